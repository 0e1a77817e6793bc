"""Formats of dates and times: from a text, or a number that counts, to a datetime, with or without a zone.

ISO 8601 is read as exporters write it: with `UTC` or an offset after a blank, with small letters, with fractions or
none. Formats are those of strptime, and the names of what numbers count.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from .errors import BadCellError

__all__ = [
    "ISO",
    "NUMBER_FORMATS",
    "Parser",
    "date_width",
    "format_problem",
    "formats_of",
    "has_short_year",
    "has_zone",
    "parser_of",
]

Parser: TypeAlias = Callable[[str | float], datetime.datetime]
ISO: Final = "iso"
EXCEL: Final = "excel"
_UNITS_PER_SECOND: Final = {"unix": 1, "unix_ms": 1000}
NUMBER_FORMATS: Final = frozenset({*_UNITS_PER_SECOND, EXCEL})
"""The formats of numbers."""
_LAST_SHORT_YEAR: Final = 2068
"""The last year that two digits mean by default, as for strptime: 68 is 2068, 69 is 1969."""


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
    return format == ISO or format in _UNITS_PER_SECOND or "%z" in format


def has_short_year(format: object) -> bool:  # noqa: A002 - as strptime calls it
    """Whether texts of this format have years of two digits."""
    return isinstance(format, str) and "%y" in _find_directives(format)


def parser_of(formats: tuple[str, ...], name: str, *, decimal: str = ".", pivot_year: int | None = None) -> Parser:
    """Make the function that reads a cell by the one of these formats that fits; it raises BadCellError.

    A cell that two formats read differently is refused: which one is meant is not known.
    """
    parsers = {format_: _single_parser(format_, name, decimal, pivot_year) for format_ in formats}
    if len(parsers) == 1:
        return next(iter(parsers.values()))

    def parse(cell: str | float) -> datetime.datetime:
        found: dict[datetime.datetime, str] = {}
        for format_, read in parsers.items():
            try:
                found.setdefault(read(cell), format_)
            except BadCellError:
                continue
        if not found:
            raise BadCellError(f"is not {name} of any of the forms {', '.join(parsers)}")
        if len(found) > 1:
            raise BadCellError(f"is another date by each of the forms {' and '.join(found.values())}")
        return next(iter(found))

    return parse


def _single_parser(format: str, name: str, decimal: str, pivot_year: int | None) -> Parser:  # noqa: A002
    if format in _UNITS_PER_SECOND:
        return _epoch_parser(_UNITS_PER_SECOND[format], format)
    if format == EXCEL:
        return _excel_parser(decimal)
    parse_text = _parse_iso if format == ISO else _format_parser(format, pivot_year)
    wanted = "in ISO 8601; say what it is by format=" if format == ISO else f"of the form {format}"

    def parse(cell: str | float) -> datetime.datetime:
        if not isinstance(cell, str):
            raise BadCellError(f"is a number, not {name}; say what it counts by format='unix', 'unix_ms' or 'excel'")
        try:
            return parse_text(cell.strip())
        except ValueError:
            raise BadCellError(f"is not {name} {wanted}") from None

    return parse


_match_iso_variant: Final = re.compile(
    r"(?P<time>.+?)\s*(?:(?:z|utc|gmt)|(?P<offset>[+-][0-9]{2}(?::?[0-9]{2})?)(?:\s+[a-z]{2,5})?)(?:\[[\w/+-]+\])?",
    re.IGNORECASE | re.ASCII,
).fullmatch
"""A zone that stands apart from its time, in small letters or by name, with its name beside the offset."""


def _parse_iso(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        found = _match_iso_variant(text)
        if found is None:
            raise
        return datetime.datetime.fromisoformat(found["time"] + (found["offset"] or "+00:00"))


_DIRECTIVES: Final = {
    "%Y": ("year", r"[0-9]{4}"),
    "%m": ("month", r"1[0-2]|0[1-9]|[1-9]"),
    "%d": ("day", r"3[01]|[12][0-9]|0[1-9]|[1-9]"),
    "%H": ("hour", r"2[0-3]|[01][0-9]|[0-9]"),
    "%M": ("minute", r"[0-5][0-9]|[0-9]"),
    "%S": ("second", r"[0-5][0-9]|[0-9]"),
}
"""The directives of strptime of which nearly all formats are made."""
_DATE_DIRECTIVES: Final = frozenset({"%Y", "%m", "%d"})


def _is_plain(parts: list[str]) -> bool:
    """Whether a format, split at its directives, has numbers and ASCII alone."""
    directives = parts[1::2]
    is_known = len(set(directives)) == len(directives) and _DATE_DIRECTIVES <= set(directives) <= _DIRECTIVES.keys()
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
    if not _is_plain(parts) or parts[0] or frozenset(parts[1:6:2]) != _DATE_DIRECTIVES or not ends:
        return None
    return (
        None
        if any(not mark or any(map(str.isalnum, mark)) or " " in mark for mark in marks)
        else 8 + len("".join(marks))
    )


def _format_parser(format: str, pivot_year: int | None) -> Callable[[str], datetime.datetime]:  # noqa: A002
    """Read texts as strptime does; where there are numbers alone, five times as fast."""
    parts = re.split("(%.)", format)
    if not _is_plain(parts):
        return _strptime_parser(format, pivot_year)
    pattern = "".join(
        f"(?P<{_DIRECTIVES[part][0]}>{_DIRECTIVES[part][1]})"
        if number % 2
        else re.sub(r"(?:\\ )+", r"\\s+", re.escape(part))
        for number, part in enumerate(parts)
    )
    match = re.compile(pattern, re.IGNORECASE).fullmatch
    names = [_DIRECTIVES[part][0] for part in parts[1::2]]
    order = [names.index(name) if name in names else len(names) for name, _ in _DIRECTIVES.values()]

    def parse(text: str) -> datetime.datetime:
        found = match(text)
        if found is None:
            raise ValueError
        numbers = (*found.groups(), "0")
        year, month, day, hour, minute, second = (int(numbers[position]) for position in order)
        return datetime.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller sets it

    return parse


def _strptime_parser(format: str, pivot_year: int | None) -> Callable[[str], datetime.datetime]:  # noqa: A002
    last = _LAST_SHORT_YEAR if pivot_year is None else pivot_year
    is_short = has_short_year(format)

    def parse(text: str) -> datetime.datetime:
        found = datetime.datetime.strptime(text, format)  # noqa: DTZ007 - the zone is set by the caller
        return found.replace(year=last - (last - found.year) % 100) if is_short else found

    return parse


_match_number: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?", re.ASCII).fullmatch
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _epoch_parser(units: int, format: str) -> Parser:  # noqa: A002
    def parse(cell: str | float) -> datetime.datetime:
        text = cell.strip() if isinstance(cell, str) else cell
        if isinstance(text, str) and _match_number(text) is None:
            raise BadCellError(f"is no time as {format} counts it")
        try:
            # Whole numbers are divided exactly: a float of seconds would lose microseconds.
            number = int(text) * (1_000_000 // units) if _is_whole(text) else round(float(text) * 1_000_000 / units)
            return _EPOCH + datetime.timedelta(microseconds=number)
        except (ValueError, OverflowError):
            raise BadCellError(f"is no time as {format} counts it") from None

    return parse


def _is_whole(cell: str | float) -> bool:
    return isinstance(cell, int) or (isinstance(cell, str) and cell.lstrip("+-").isdigit())


_EXCEL_EPOCH: Final = datetime.datetime(1899, 12, 30)  # noqa: DTZ001 - the zone is set by the caller
_EXCEL_FALSE_LEAP_DAY: Final = 60
"""Spreadsheets count a 29 February 1900, which never was; before it their numbers are one day less."""
_MAX_EXCEL_DAY: Final = 2_958_466
_DAY_MILLISECONDS: Final = 86_400_000


def _excel_parser(decimal: str) -> Parser:
    """Read a spreadsheet's number of a day, whose fraction is the time, to the millisecond."""

    def parse(cell: str | float) -> datetime.datetime:
        text = cell.strip().replace(decimal, ".") if isinstance(cell, str) else cell
        if isinstance(text, str) and _match_number(text) is None:
            raise BadCellError("is no day as spreadsheets number it")
        number = float(text)
        if not 1 <= number < _MAX_EXCEL_DAY or int(number) == _EXCEL_FALSE_LEAP_DAY:
            raise BadCellError("is no day as spreadsheets number it")
        moment = _EXCEL_EPOCH + datetime.timedelta(milliseconds=round(number * _DAY_MILLISECONDS))
        return moment + datetime.timedelta(days=int(number) < _EXCEL_FALSE_LEAP_DAY)

    return parse
