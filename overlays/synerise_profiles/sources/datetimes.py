"""Converters to dates and datetimes: from texts of one format, typed cells or seconds since 1970, to ISO 8601.

A datetime is never sent without its zone, and none is assumed: the server would take a local time for UTC.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from .errors import BadCellError

__all__ = ["date_converter", "datetime_converter", "has_zone"]

_UNITS_PER_SECOND: Final = {"unix": 1, "unix_ms": 1000}
_MAX_CACHED_ITEMS: Final = 4096
"""Dates repeat from row to row, and looking one up takes a tenth of the time of parsing it."""


def has_zone(format: str | None) -> bool:  # noqa: A002 - as strptime calls it
    """Whether texts of this format may state their zone."""
    return format is None or format in _UNITS_PER_SECOND or "%z" in format


def datetime_converter(format: str | None, zone: datetime.tzinfo | None) -> Callable[[Any], str]:  # noqa: A002
    """Make the converter to a datetime with its zone; `zone` is that of values without one."""
    parse = _parser(format, "a date and time")

    def finish(moment: datetime.datetime) -> str:
        if moment.tzinfo is not None:
            return moment.isoformat()
        if zone is None:
            raise BadCellError("has no zone; give the mapping's column a zone=")
        return _in_zone(moment, zone).isoformat()

    @lru_cache(_MAX_CACHED_ITEMS)
    def read(text: str | float) -> str:
        return finish(parse(text))

    def convert(cell: Any) -> str:
        if isinstance(cell, datetime.datetime):
            return finish(cell)
        if isinstance(cell, str | int | float) and not isinstance(cell, bool):
            return read(cell)
        raise BadCellError("is not a date and time")

    return convert


def date_converter(format: str | None, zone: datetime.tzinfo | None) -> Callable[[Any], str]:  # noqa: A002
    """Make the converter to a date; of a datetime it is the one in its own zone, or in `zone` if that is given."""
    parse = _parser(format, "a date")

    def finish(moment: datetime.datetime) -> str:
        if moment.tzinfo is not None and zone is not None:
            moment = moment.astimezone(zone)
        return moment.date().isoformat()

    @lru_cache(_MAX_CACHED_ITEMS)
    def read(text: str | float) -> str:
        return finish(parse(text))

    def convert(cell: Any) -> str:
        if isinstance(cell, datetime.datetime):
            return finish(cell)
        if isinstance(cell, datetime.date):
            return cell.isoformat()
        if isinstance(cell, str | int | float) and not isinstance(cell, bool):
            return read(cell)
        raise BadCellError("is not a date")

    return convert


def _parser(format: str | None, name: str) -> Callable[[str | float], datetime.datetime]:  # noqa: A002
    if format in _UNITS_PER_SECOND:
        return _epoch_parser(_UNITS_PER_SECOND[format], format)
    parse_text = datetime.datetime.fromisoformat if format is None else _format_parser(format)
    wanted = "in ISO 8601; say what it is by format=" if format is None else f"of the form {format}"

    def parse(cell: str | float) -> datetime.datetime:
        if not isinstance(cell, str):
            raise BadCellError(f"is a number, not {name}; say what it counts by format='unix' or 'unix_ms'")
        try:
            return parse_text(cell.strip())
        except ValueError:
            raise BadCellError(f"is not {name} {wanted}") from None

    return parse


_DIRECTIVES: Final = {
    "%Y": ("year", r"[0-9]{4}"),
    "%m": ("month", r"1[0-2]|0[1-9]|[1-9]"),
    "%d": ("day", r"3[01]|[12][0-9]|0[1-9]|[1-9]"),
    "%H": ("hour", r"2[0-3]|[01][0-9]|[0-9]"),
    "%M": ("minute", r"[0-5][0-9]|[0-9]"),
    "%S": ("second", r"[0-5][0-9]|[0-9]"),
}
"""The directives of strptime of which nearly all formats are made."""


def _format_parser(format: str) -> Callable[[str], datetime.datetime]:  # noqa: A002
    """Read texts as strptime does; where there are numbers alone, five times as fast."""
    parts = re.split("(%.)", format)
    directives = parts[1::2]
    is_plain = len(set(directives)) == len(directives) and {"%Y", "%m", "%d"} <= set(directives) <= _DIRECTIVES.keys()
    if not is_plain or not all(part.isprintable() and part.isascii() for part in parts):
        return lambda text: datetime.datetime.strptime(text, format)  # noqa: DTZ007 - the zone is set by the caller
    pattern = "".join(
        f"(?P<{_DIRECTIVES[part][0]}>{_DIRECTIVES[part][1]})"
        if number % 2
        else re.sub(r"(?:\\ )+", r"\\s+", re.escape(part))
        for number, part in enumerate(parts)
    )
    match = re.compile(pattern, re.IGNORECASE).fullmatch
    names = [_DIRECTIVES[part][0] for part in directives]
    order = [names.index(name) if name in names else len(names) for name, _ in _DIRECTIVES.values()]

    def parse(text: str) -> datetime.datetime:
        found = match(text)
        if found is None:
            raise ValueError
        numbers = (*found.groups(), "0")
        year, month, day, hour, minute, second = (int(numbers[position]) for position in order)
        return datetime.datetime(year, month, day, hour, minute, second)  # noqa: DTZ001 - the caller sets it

    return parse


def _epoch_parser(units: int, format: str) -> Callable[[str | float], datetime.datetime]:  # noqa: A002
    def parse(cell: str | float) -> datetime.datetime:
        try:
            # Whole numbers are divided exactly: a float of seconds would lose microseconds.
            number = int(cell) * (1_000_000 // units) if _is_whole(cell) else round(float(cell) * 1_000_000 / units)
            return _EPOCH + datetime.timedelta(microseconds=number)
        except (ValueError, OverflowError):
            raise BadCellError(f"is no time as {format} counts it") from None

    return parse


_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


def _is_whole(cell: str | float) -> bool:
    return isinstance(cell, int) or (isinstance(cell, str) and cell.strip().lstrip("+-").isdigit())


def _in_zone(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    """Read a local time in a zone: the first of two when clocks go back, none when they skip it."""
    zoned = moment.replace(tzinfo=zone)
    if zone is datetime.UTC:
        return zoned
    try:
        exists = zoned.astimezone(datetime.UTC).astimezone(zone).replace(tzinfo=None) == moment
    except OverflowError:
        raise BadCellError("is out of the range of dates") from None
    if not exists:
        raise BadCellError("does not exist in its zone: clocks were put forward there")
    return zoned
