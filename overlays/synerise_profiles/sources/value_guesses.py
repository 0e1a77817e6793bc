"""What the cells of a column look like: dates with their format, numbers with their marks, phones, identifiers."""

from __future__ import annotations

import datetime
import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

__all__ = ["NULL_WORDS", "Guess", "guess_values", "is_unique"]

NULL_WORDS: Final = frozenset(
    {"null", "none", "nil", "nan", "n/a", "na", "#n/a", "\\n", "-", "--", "brak", "nd", "n.d.", "brak danych", "(null)"}
)
"""Words that files have for nothing, without case."""
_DATE_FORMATS: Final = ("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%Y/%m/%d", "%Y%m%d", "%d.%m.%y")
_TIME_FORMATS: Final = (" %H:%M", " %H:%M:%S", "T%H:%M:%S")
_ISO_WITH_ZONE: Final = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)? ?(Z|UTC|[+-]\d\d:?\d\d)", re.IGNORECASE
)
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_PHONE: Final = re.compile(r"\+\d[\d ()-]{7,18}\d")
_INTEGER: Final = re.compile(r"[+-]?(0|[1-9]\d*)")
_WITH_BLANKS: Final = re.compile(r"[+-]?\d{1,3}([ \u00a0]\d{3})+")
_MAY_BE_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_MIN_IDENTIFIER_DIGITS: Final = 5
_NUMBERS: Final[Sequence[tuple[re.Pattern[str], dict[str, str]]]] = (
    (re.compile(r"[+-]?\d+\.\d+"), {}),
    (re.compile(r"[+-]?\d+,\d+"), {"decimal": ","}),
    (re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+"), {"thousands": ","}),
    (re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+"), {"decimal": ",", "thousands": "."}),
    (re.compile(r"[+-]?\d{1,3}([ \u00a0]\d{3})+,\d+"), {"decimal": ",", "thousands": " \u00a0"}),
)
"""Forms of numbers with decimals, and the marks that each has."""


@attrs.frozen
class Guess:
    """What a column seems to hold: `kind`, the options of `field` for it, and what a person should know."""

    kind: str = "text"
    options: dict[str, Any] = attrs.field(factory=dict[str, Any])
    comment: str = ""


def guess_values(values: Sequence[str]) -> Guess:
    """Guess from cells that are not empty."""
    if not values:
        return Guess("empty", {}, "no cell of the sample holds anything")
    if _all_match(_EMAIL, values):
        return Guess("email", {}, "looks like e-mail addresses")
    if _all_match(_PHONE, values):
        return Guess("phone", {}, "looks like phone numbers")
    if _all_match(_INTEGER, values):
        return _guess_integer(values)
    return _guess_date(values) or _guess_number(values) or _guess_mixed(values)


def is_unique(values: Sequence[str], rows: int) -> bool:
    """Whether every row of the sample has a value, and each another one."""
    return bool(rows) and len(values) == rows == len(set(values))


def _guess_integer(values: Sequence[str]) -> Guess:
    if (date := _guess_date(values)) is not None and all(len(value) == 8 for value in values):
        return date
    if all(len(value.lstrip("+-")) >= _MIN_IDENTIFIER_DIGITS for value in values):
        return Guess("digits", {}, "digits that seem to name something stay a text")
    return Guess("integer", {"type": "integer"}, "whole numbers")


def _guess_mixed(values: Sequence[str]) -> Guess:
    """Say of texts that they or most of them may be whole numbers: a word among them may be a mistake."""
    if all(_INTEGER.fullmatch(value) or _WITH_BLANKS.fullmatch(value) for value in values):
        return Guess("text", {}, "if these are numbers: type = 'integer' with the blank as thousands")
    others = sum(_INTEGER.fullmatch(value) is None for value in values)
    if others * 2 >= len(values) > 1 or others == len(values):
        return Guess()
    return Guess("text", {}, f"most cells are whole numbers, and {others:,} not: is that a mistake?")


def _guess_date(values: Sequence[str]) -> Guess | None:
    if _all_match(_ISO_WITH_ZONE, values):
        return Guess("datetime", {"type": "datetime"}, "times with their zone")
    for time in ("", *_TIME_FORMATS):
        fitting = [date + time for date in _DATE_FORMATS if _fits_all(date + time, values)]
        if not fitting:
            continue
        known = [] if fitting[0].startswith("%Y-%m-%d") and time in ("", "T%H:%M:%S") else [fitting[0]]
        options: dict[str, Any] = {"type": "datetime" if time else "date", **({"format": known[0]} if known else {})}
        comment = "times" if time else "dates"
        if len(fitting) > 1:
            comment += f"; {' and '.join(fitting)} both fit: is the day first, or the month?"
        if time:
            options["zone"] = "UTC"
            comment += "; the file names no zone: say which one it is"
        return Guess("datetime" if time else "date", options, comment)
    return None


def _guess_number(values: Sequence[str]) -> Guess | None:
    for pattern, marks in _NUMBERS:
        plain = [value for value in values if not _INTEGER.fullmatch(value)]
        if plain and all(_fits_number(value, pattern, marks) for value in plain):
            mark = "a comma" if marks.get("decimal") == "," else "a point"
            comment = f"numbers with {mark} before the decimals"
            if not marks.get("thousands") and _all_match(_MAY_BE_THOUSANDS, plain):
                comment += "; each has three digits after it: does it stand between thousands?"
            return Guess("number", {"type": "number", **marks}, comment)
    return None


def _fits_number(value: str, pattern: re.Pattern[str], marks: dict[str, str]) -> bool:
    """Whether a number has this form, or lacks the marks between thousands."""
    if pattern.fullmatch(value):
        return True
    point = re.escape(marks.get("decimal", "."))
    return bool(marks.get("thousands")) and re.fullmatch(rf"[+-]?\d{{1,3}}{point}\d+", value) is not None


def _fits_all(format_: str, values: Sequence[str]) -> bool:
    try:
        for value in values:
            datetime.datetime.strptime(value, format_)  # noqa: DTZ007 - whether it fits is all that is asked
    except ValueError:
        return False
    return True


def _all_match(pattern: re.Pattern[str], values: Sequence[str]) -> bool:
    return all(pattern.fullmatch(value) for value in values)
