"""Dates: from a cell to a datetime by the format that fits, with or without a zone, and to the date that is sent.

ISO 8601 is read as exporters write it: with `UTC` or an offset after a blank, with small letters, with fractions or
none. Days repeat from row to row: each text is read once.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from synerise_profiles._validation.rules import Rule

from .converters import plain_cell
from .datetime_formats import DIRECTIVES, EXCEL, ISO, UNITS_PER_SECOND, has_short_year, is_plain
from .errors import BadCellError

__all__ = ["Parser", "date_converter", "parser_of"]

Parser: TypeAlias = Callable[[str | float], datetime.datetime]
_LAST_SHORT_YEAR: Final = 2068
"""The last year that two digits mean by default, as for strptime: 68 is 2068, 69 is 1969."""
_MAX_CACHED_DATES: Final = 4096


def date_converter(
    formats: tuple[str, ...],
    zone: datetime.tzinfo | None,
    *,
    decimal: str = ".",
    pivot_year: int | None = None,
    rule: Rule | None = None,
) -> Callable[[Any], str]:
    """Make the converter to a date; of a datetime it is the one in its own zone, or in `zone` if that is given.

    `rule` judges what it makes of a cell.
    """
    parse: Parser = parser_of(formats, "a date", decimal=decimal, pivot_year=pivot_year)
    known: dict[str, str] = {}

    def finish(date: datetime.date) -> str:
        text = date.isoformat()
        problem = None if rule is None else rule.check(text)
        if problem is not None:
            raise BadCellError(problem[1])
        return text

    def read(text: str) -> str:
        if len(known) >= _MAX_CACHED_DATES:
            known.clear()
        found = known[text] = finish(_date_in(zone, parse(text)))
        return found

    def convert(cell: Any) -> str:
        if cell.__class__ is str:
            return known.get(cell) or read(cell)
        cell = plain_cell(cell)
        if isinstance(cell, datetime.datetime):
            return finish(_date_in(zone, cell))
        if isinstance(cell, datetime.date):
            return finish(cell)
        if isinstance(cell, str | int | float) and not isinstance(cell, bool):
            return finish(_date_in(zone, parse(cell)))
        raise BadCellError("is not a date")

    return convert


def _date_in(zone: datetime.tzinfo | None, moment: datetime.datetime) -> datetime.date:
    """Return the date of a moment, in a zone if both have one."""
    if moment.tzinfo is not None and zone is not None:
        try:
            moment = moment.astimezone(zone)
        except OverflowError:
            raise BadCellError("is out of the range of dates") from None
    return moment.date()


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
    if format in UNITS_PER_SECOND:
        return _epoch_parser(UNITS_PER_SECOND[format], format)
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


def _format_parser(format: str, pivot_year: int | None) -> Callable[[str], datetime.datetime]:  # noqa: A002
    """Read texts as strptime does; where there are numbers alone, five times as fast."""
    parts = re.split("(%.)", format)
    if not is_plain(parts):
        return _strptime_parser(format, pivot_year)
    pattern = "".join(
        f"(?P<{DIRECTIVES[part][0]}>{DIRECTIVES[part][1]})"
        if number % 2
        else re.sub(r"(?:\\ )+", r"\\s+", re.escape(part))
        for number, part in enumerate(parts)
    )
    match = re.compile(pattern, re.IGNORECASE).fullmatch
    names = [DIRECTIVES[part][0] for part in parts[1::2]]
    order = [names.index(name) if name in names else len(names) for name, _ in DIRECTIVES.values()]

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
