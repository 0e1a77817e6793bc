"""Conditions: which lines of a file become rows, by the cells of their columns (`where=`)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, TypeAlias, TypedDict, cast

from synerise_profiles._core.arguments import takes

from .converters import convert_text
from .errors import BadCellError

__all__ = ["CellTest", "Condition", "ConditionTable", "condition_test"]

CellTest: TypeAlias = Callable[[Any], object]


class ConditionTable(TypedDict, total=False):
    """What a cell has to be: `matches` is a regular expression for the whole of it; `empty` says whether it is so."""

    matches: str
    empty: bool


Condition: TypeAlias = str | int | float | bool | Sequence[str | int | float | bool] | ConditionTable | CellTest
"""A value, a list of values of which one fits, `matches` and `empty`, or a function of the cell."""


def condition_test(condition: object, clean: Callable[[Any], Any]) -> CellTest:
    """Make the test of a condition. Values are compared as texts; raises ValueError for what is no condition."""
    if callable(condition):
        if not takes(condition, 1):
            raise ValueError("is a function of one argument, the cell")
        return condition
    if isinstance(condition, Mapping):
        return _table_test(cast("Mapping[str, object]", condition), clean)
    values = list(cast("Sequence[object]", condition)) if isinstance(condition, list | tuple) else [condition]
    if not values or not all(isinstance(value, str | int | float) for value in values):
        raise ValueError("is a value, a list of values, a table of matches and empty, or in Python a function")
    texts = frozenset(map(convert_text, values))

    def test(cell: Any) -> bool:
        cell = clean(cell)
        text = _text_of(cell)
        return text in texts or (isinstance(cell, Decimal) and text is not None and _without_zeros(text) in texts)

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


def _without_zeros(number: str) -> str:
    """Write a decimal as a number of any other type is written: 5.00 as 5, and 6.50 as 6.5."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def _text_of(cell: Any) -> str | None:
    """Write a cell as text; None for what is none, such as a list."""
    try:
        return convert_text(cell)
    except BadCellError:
        return None
