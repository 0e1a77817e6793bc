"""Conditions: which lines of a file become rows, by the cells of their columns (`where=`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, TypeAlias, TypedDict, TypeGuard, cast

from synerise_profiles._core.arguments import without_awaitables
from synerise_profiles._core.callables import is_coroutine_function, takes

from .converters import convert_text
from .errors import BadCellError

__all__ = ["CellTest", "Condition", "ConditionTable", "condition_test"]

CellTest: TypeAlias = Callable[[Any], object]


class ConditionTable(TypedDict, total=False):
    """What a cell has to be: `matches` is a regular expression for the whole of it; `empty` says whether it is so."""

    matches: str
    empty: bool


Condition: TypeAlias = (
    str | int | float | bool | Decimal | Sequence[str | int | float | bool | Decimal] | ConditionTable | CellTest
)
"""A value, a list of values of which one fits, `matches` and `empty`, or a function of the cell."""


_is_plain_number: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,99})(?:\.[0-9]{1,99})?", re.ASCII).fullmatch
"""A text that writes a number, in any number of places; 007 and 1e3 are codes of their own."""


def condition_test(condition: object, clean: Callable[[Any], Any]) -> CellTest:
    """Make the test of a condition; raises ValueError for what is no condition.

    Every kind of test sees what `clean` makes of a cell: without its blanks and words for nothing, as fields do; and
    wanted texts are read like cells.
    A number fits numbers of its value, and texts that write it: 5 fits 5.00 of a table and of a file. A text fits that
    text alone, and where it writes a number, numbers of that value.
    """
    if callable(condition):
        if not takes(condition, 1):
            raise ValueError("is a function of one argument, the cell")
        if is_coroutine_function(condition):
            raise ValueError("is a function, and no coroutine function, since what it returns is not awaited")
        function = without_awaitables("where", condition)
        return lambda cell: function(clean(cell))
    if isinstance(condition, Mapping):
        return _table_test(cast("Mapping[str, object]", condition), clean)
    values = list(cast("Sequence[object]", condition)) if isinstance(condition, list | tuple) else [condition]
    if not values or not all(isinstance(value, str | int | float | Decimal) for value in values):
        raise ValueError("is a value, a list of values, a table of matches and empty, or in Python a function")
    numbers = frozenset(_number_text(value) for value in values if _is_number(value))
    texts = numbers.union(clean(convert_text(value)) for value in values if not _is_number(value))
    written = numbers.union(_number_text(Decimal(text)) for text in texts if _is_plain_number(text))

    def test(cell: Any) -> bool:
        cell = clean(cell)
        if cell.__class__ is str:
            return cell in texts or (
                bool(numbers) and _is_plain_number(cell) is not None and _number_text(Decimal(cell)) in numbers
            )
        if _is_number(cell):
            return _text_of(cell, _number_text) in written
        return _text_of(cell) in texts

    return test


def _table_test(table: Mapping[str, object], clean: Callable[[Any], Any]) -> CellTest:
    if not table or table.keys() - {"matches", "empty"}:
        raise ValueError("has the options matches, a regular expression, and empty, true or false")
    pattern, wants_empty = table.get("matches"), table.get("empty")
    if wants_empty is not None and not isinstance(wants_empty, bool):
        raise ValueError("says by empty= whether cells are empty: true or false")
    if pattern is None:
        return lambda cell: (clean(cell) == "") is wants_empty
    try:
        match = re.compile(cast("str", pattern)).fullmatch
    except (re.error, TypeError) as error:
        problem = error.msg if isinstance(error, re.error) else "it is no text"
        raise ValueError(f"has in matches= no regular expression: {problem}") from None

    def test(cell: Any) -> bool:
        text = _text_of(clean(cell))
        return text is not None and match(text) is not None and wants_empty in (None, text == "")

    return test


def _is_number(value: object) -> TypeGuard[float | Decimal]:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _number_text(number: float | Decimal) -> str:
    """Write a number as one of any other type is written: 5.00 as 5, 6.50 as 6.5, and 1e-05 as 0.00001."""
    text = convert_text(number)
    if "e" in text:  # a small one
        text = f"{Decimal(text):f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text


def _text_of(cell: Any, write: Callable[[Any], str] = convert_text) -> str | None:
    """Write a cell as text; None for what is none, such as a list."""
    try:
        return write(cell)
    except BadCellError:
        return None
