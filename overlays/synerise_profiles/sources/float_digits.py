"""Floats of fewer than 64 bits by the digits that they are written with, as cells of numbers have them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from struct import pack, unpack
from typing import Any, Final

__all__ = ["float_digits", "with_single_digits"]

_FLOAT4: Final = 700
"""What PostgreSQL calls a real, of 32 bits."""
_POSTGRES: Final = frozenset({"psycopg", "psycopg2"})


def float_digits(value: float, form: str, digits: int) -> float:
    """Return a float of a form of `struct` by its own shortest digits; a whole one, maybe an identifier, as it is.

    `digits` are so many that each is told from the others.
    """
    try:
        packed = pack(form, value)
    except OverflowError:
        return value
    (exact,) = unpack(form, packed)
    if exact.is_integer():
        return float(exact)
    for count in range(1, digits):
        found = float(f"{exact:.{count}g}")
        with suppress(OverflowError):  # rounded to more than the form holds
            if pack(form, found) == packed:
                return found
    return float(f"{exact:.{digits}g}")


def with_single_digits(rows: list[Any], cursor: Any) -> list[Any]:
    """Return rows of psycopg, of which reals may have been written with too few digits for a whole number."""
    packages = {kind.__module__.partition(".")[0] for kind in type(cursor).__mro__}
    if _POSTGRES.isdisjoint(packages):
        return rows
    places = [place for place, column in enumerate(cursor.description or ()) if column[1] == _FLOAT4]
    return [_with_digits(row, places) for row in rows] if places else rows


def _with_digits(cells: Sequence[Any], places: Sequence[int]) -> Sequence[Any]:
    found = list(cells)
    for place in places:
        if type(found[place]) is float:
            found[place] = float_digits(found[place], "<f", 9)
    return found
