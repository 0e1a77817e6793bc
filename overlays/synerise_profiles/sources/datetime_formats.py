"""Formats of dates and times: strptime, ISO 8601, counted numbers; whether one is valid, and whether it has a zone.

All of it is known when a mapping is made: a format by which no cell can be read is refused where it is written.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from typing import Final

__all__ = [
    "DIRECTIVES",
    "EXCEL",
    "ISO",
    "NUMBER_FORMATS",
    "UNITS_PER_SECOND",
    "date_width",
    "format_problem",
    "formats_of",
    "has_short_year",
    "has_zone",
    "is_plain",
]

ISO: Final = "iso"
EXCEL: Final = "excel"
UNITS_PER_SECOND: Final = {"unix": 1, "unix_ms": 1000}
NUMBER_FORMATS: Final = frozenset({*UNITS_PER_SECOND, EXCEL})
"""The formats of numbers."""


def formats_of(given: str | Iterable[str] | None) -> tuple[str, ...]:
    """The formats that `format=` gives."""
    if given is None:
        return (ISO,)
    return (given,) if isinstance(given, str) else tuple(given)


def format_problem(format: object) -> str | None:  # noqa: A002 - as strptime calls it
    """Say why no cell, or no whole date, can be read by a format; None if one can."""
    if isinstance(format, str) and (format == ISO or format in NUMBER_FORMATS):
        return None
    advice = f"give one for strptime such as '%d.%m.%Y', {ISO}, or {', '.join(sorted(NUMBER_FORMATS))}"
    if not isinstance(format, str) or "%" not in format:
        return f"the format {format!r} is none; {advice}"
    given = frozenset(_find_directives(format))
    if "%Z" in given:
        advice = "read an offset by %z, 'UTC' or 'GMT' behind ISO 8601 by iso, or leave it out and give zone="
        return f"the format {format!r} has %Z, the name of a zone, which strptime reads and ignores; {advice}"
    if not any(parts <= given for parts in _WHOLE_DATES):
        return f"the format {format!r} lacks the year, the month or the day: a whole date takes such as '%d.%m.%Y'"
    try:
        # The text fits no format: only one that is none is an error before it is looked at.
        datetime.datetime.strptime("\0", format)  # noqa: DTZ007 - nothing is read
    except re.error:  # of the pattern that it makes of the format
        return f"the format {format!r} has a directive twice, which strptime does not read"
    except ValueError as error:
        if "does not match format" not in str(error):
            return f"the format {format!r} is none that strptime reads; {advice}"
    return None


_find_directives: Final = re.compile(r"%[%A-Za-z]").findall
_WHOLE_DATES: Final = (
    *(frozenset((year, month, "%d")) for year in ("%Y", "%y") for month in ("%m", "%b", "%B")),
    *(frozenset((year, "%j")) for year in ("%Y", "%y")),
    *(frozenset((year, week, day)) for year in ("%Y", "%y") for week in ("%U", "%W") for day in ("%a", "%A", "%w")),
    *(frozenset(("%G", "%V", day)) for day in ("%a", "%A", "%w", "%u")),
    frozenset(("%c",)),
    frozenset(("%x",)),
)
"""Directives of strptime that make a whole date; what is left out would be of the year 1900."""


def has_zone(format: str) -> bool:  # noqa: A002 - as strptime calls it
    """Whether texts of this format may state their zone."""
    return format == ISO or format in UNITS_PER_SECOND or "%z" in format


def has_short_year(format: object) -> bool:  # noqa: A002 - as strptime calls it
    """Whether texts of this format have years of two digits."""
    return isinstance(format, str) and "%y" in _find_directives(format)


DIRECTIVES: Final = {
    "%Y": ("year", r"[0-9]{4}"),
    "%m": ("month", r"1[0-2]|0[1-9]|[1-9]"),
    "%d": ("day", r"3[01]|[12][0-9]|0[1-9]|[1-9]"),
    "%H": ("hour", r"2[0-3]|[01][0-9]|[0-9]"),
    "%M": ("minute", r"[0-5][0-9]|[0-9]"),
    "%S": ("second", r"[0-5][0-9]|[0-9]"),
}
"""The directives of strptime of which nearly all formats are made."""
_DATE_DIRECTIVES: Final = frozenset({"%Y", "%m", "%d"})


def is_plain(parts: list[str]) -> bool:
    """Whether a format, split at its directives, has numbers and ASCII alone."""
    directives = parts[1::2]
    is_known = len(set(directives)) == len(directives) and _DATE_DIRECTIVES <= set(directives) <= DIRECTIVES.keys()
    return is_known and all(part.isprintable() and part.isascii() for part in parts)


def date_width(format: str) -> int | None:  # noqa: A002
    """How many characters the date takes that a text of this format begins with, written in full; None for others.

    Behind them the time begins with a mark that is no digit, so the two can be told apart.
    """
    if format == ISO:
        return 10
    parts = re.split("(%.)", format)
    marks = parts[2:6:2]
    ends = len(parts) == 7 or (len(parts) > 7 and parts[6][:1] and not parts[6][:1].isalnum())
    if not is_plain(parts) or parts[0] or frozenset(parts[1:6:2]) != _DATE_DIRECTIVES or not ends:
        return None
    return (
        None
        if any(not mark or any(map(str.isalnum, mark)) or " " in mark for mark in marks)
        else 8 + len("".join(marks))
    )
