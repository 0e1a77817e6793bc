"""Derived cells: made of those of other columns before they are converted, and signs of numbers after it.

A template is a text with names of columns in braces; a fallback names the columns that are taken where a cell is empty.
There is no further language: what is left is a function of the caller's (`prepare=`).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Collection, Sequence
from decimal import Decimal
from typing import Any

from synerise_profiles_api.json_values import raised_problem

from .converters import Converter, convert_text
from .errors import BadCellError, cell_problem

__all__ = [
    "cell_cleaner",
    "derived_cell",
    "derived_from",
    "fallback_columns",
    "is_nan",
    "signed_converter",
    "template_columns",
]


def template_columns(template: str) -> tuple[str, ...]:
    """Return the names of the columns in a template; raises ValueError for what is none."""
    names: list[str] = []
    try:
        parts = list(string.Formatter().parse(template))
    except ValueError:  # of a brace without its other one
        parts = [("", "", "", None)]
    for _, name, form, conversion in parts:
        if name is None:
            continue
        if not name or form or conversion:
            raise ValueError("a template has names of columns in braces, such as 'shop-{CustomerID}'")
        names.append(name)
    if not names:
        raise ValueError("the template names no column; what is the same in every row is a constant")
    return tuple(names)


def fallback_columns(fallback: str | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the columns that `fallback=` gives."""
    if fallback is None:
        return ()
    return (fallback,) if isinstance(fallback, str) else tuple(fallback)


def is_nan(cell: Any) -> bool:
    """Whether a cell is the NaN of a float, which is an empty one; that of a decimal is a value that cannot be sent."""
    return not isinstance(cell, Decimal) and bool(cell != cell)  # noqa: PLR0124 - NaN


def cell_cleaner(*, trim: bool, null_values: Collection[str]) -> Callable[[Any], Any]:
    """Make a function of a cell that takes off blanks, and returns "" for an empty one."""
    words = frozenset(null_values)

    def clean(cell: Any) -> Any:
        if cell.__class__ is str:
            cell = cell.strip() if trim else cell
            return "" if cell in words else cell
        try:
            return "" if cell is None or is_nan(cell) else cell
        except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way, and is refused later
            raised_problem(error)
            return cell

    return clean


def derived_cell(template: str | None, clean: Callable[[Any], Any]) -> Callable[..., Any]:
    """Make a function of a column's own cell, those that the template names and those to fall back on, in this order.

    It returns "" where there is nothing: a template is empty where one of its cells is.
    """
    parts = [] if template is None else list(string.Formatter().parse(template))
    count = sum(name is not None for _, name, _, _ in parts)
    form = "".join(literal.replace("%", "%%") + "%s" * (name is not None) for literal, name, _, _ in parts)

    def derive(own: Any, *others: Any) -> Any:
        if template is None:
            found = clean(own)
        else:
            texts = tuple([convert_text(clean(cell)) for cell in others[:count]])
            found = form % texts if all(texts) else ""
        for cell in others[count:]:
            if found != "":
                break
            found = clean(cell)
        return found

    return derive


def derived_from(template: str | None, clean: Callable[[Any], Any]) -> Callable[..., int]:
    """Make a function of the cells that `derived_cell` takes, for what it makes of them and cannot be read.

    It returns the place of the cell that is at fault, 0 for the column's own one.
    """
    count = 0 if template is None else sum(name is not None for _, name, _, _ in string.Formatter().parse(template))

    def origin(own: Any, *others: Any) -> int:
        texts = list[str]()
        for place, cell in enumerate(others[:count], 1):
            try:
                texts.append(convert_text(clean(cell)))
            except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way
                cell_problem(error)
                return place
        if (clean(own) != "") if template is None else all(texts):
            return 0
        return next((place for place, cell in enumerate(others, 1) if place > count and clean(cell) != ""), 0)

    return origin


def signed_converter(read: Converter | None, *, absolute: bool, negate: bool) -> Converter:
    """Make a converter return a number without its sign, or with the opposite one."""

    def convert(cell: Any) -> Any:
        found = cell if read is None else read(cell)
        if isinstance(found, bool) or not isinstance(found, int | float):
            raise BadCellError("is not a number")
        found = abs(found) if absolute else found
        return -found if negate and found else found

    return convert
