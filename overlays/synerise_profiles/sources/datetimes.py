"""The converter to datetimes: from texts, typed cells or numbers that count, to ISO 8601 with its offset.

A datetime is never sent without its zone, and none is assumed: the server would take a local time for UTC.

Parsing a time and finding its offset costs more than all other cells of a row. But days repeat from row to row, and so
do times of the day: each is parsed once, and a text whose two halves are known is put together from what they gave.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeAlias

from .converters import plain_cell
from .dates import parser_of
from .datetime_formats import date_width
from .errors import BadCellError

__all__ = ["Ambiguous", "datetime_converter"]

Ambiguous: TypeAlias = Literal["earliest", "latest", "refuse"]
"""What a local time means in the hour that comes twice, when clocks are put back."""
_MAX_CACHED_ITEMS: Final = 4096
_MAX_CACHED_DAYS: Final = 100_000
"""Days whose offset is kept: those of two centuries."""


class _LocalTimes:
    """Local times in a zone: their offsets, which nearly all days have one of."""

    def __init__(self, zone: datetime.tzinfo | None, ambiguous: Ambiguous, note: Callable[[str], None]) -> None:
        self._zone = zone
        self._ambiguous = ambiguous
        self._note = note
        self._offsets: dict[int, str | None] = {}

    def offset_of_day(self, moment: datetime.datetime) -> str | None:
        """Return the offset of all times of a day, as it is written; None where it changes, or there is no zone."""
        if self._zone is None:
            return None
        day = moment.toordinal()
        if day not in self._offsets:
            if len(self._offsets) >= _MAX_CACHED_DAYS:
                self._offsets.clear()
            self._offsets[day] = _only_offset(moment, self._zone)
        return self._offsets[day]

    def in_zone(self, moment: datetime.datetime) -> datetime.datetime:
        """Read a local time: one of two when clocks go back, which is counted; none when they skip it."""
        if self._zone is None:
            raise BadCellError("has no zone; give the mapping's column a zone=")
        zoned = moment.replace(tzinfo=self._zone, fold=0)
        try:
            exists = zoned.astimezone(datetime.UTC).astimezone(self._zone).replace(tzinfo=None) == moment
        except OverflowError:
            raise BadCellError("is out of the range of dates") from None
        if not exists:
            raise BadCellError("does not exist in its zone: clocks were put forward there")
        later = zoned.replace(fold=1)
        if later.utcoffset() == zoned.utcoffset():
            return zoned
        if self._ambiguous == "refuse":
            raise BadCellError("comes twice in its zone: clocks were put back there; say which by ambiguous=")
        self._note(f"is a time that comes twice in its zone, read as the {self._ambiguous}")
        return later if self._ambiguous == "latest" else zoned


def _only_offset(moment: datetime.datetime, zone: datetime.tzinfo) -> str | None:
    """The offset of a day, unless there are several: a day that begins and ends with one keeps it, hour by hour."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=zone, fold=0)
    try:
        offsets = {(midnight + datetime.timedelta(hours=hour)).utcoffset() for hour in range(25)}
    except OverflowError:
        return None
    return midnight.isoformat()[len("2000-01-01T00:00:00") :] if len(offsets) == 1 else None


class _HalvesCache:
    """Datetimes by the halves of their texts: the day, and the time of the day behind it."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.days: dict[str, tuple[str, str | None]] = {}
        """Days as they are written, with the offset of all their times, or None."""
        self.times: dict[str, tuple[str, bool]] = {}
        """Times as they are written, and whether the day's offset goes behind them."""

    def add(self, text: str, moment: datetime.datetime, offset: str | None) -> None:
        """Keep the halves of a text that was read; `offset` is that of its whole day."""
        head, written = text[: self._width], moment.isoformat()
        # Times with a fraction do not repeat.
        if moment.microsecond or (head not in self.days and not self._is_in_full(head, written)):
            return
        if len(self.days) + len(self.times) > _MAX_CACHED_ITEMS:
            self.days.clear()
            self.times.clear()
        if offset is not None or head not in self.days:
            self.days[head] = written[:10], offset
        self.times[text[self._width :]] = written[10:], moment.tzinfo is None

    def _is_in_full(self, head: str, written: str) -> bool:
        """Whether a half is the whole date, with all its zeros: then no other split of the text is possible."""
        digits = "".join(filter(str.isdigit, head))
        return len(head) == self._width and sorted(digits) == sorted(written[:10].replace("-", ""))


def datetime_converter(
    formats: tuple[str, ...],
    zone: datetime.tzinfo | None,
    note: Callable[[str], None],
    *,
    ambiguous: Ambiguous = "earliest",
    decimal: str = ".",
    pivot_year: int | None = None,
) -> Callable[[Any], str]:
    """Make the converter to a datetime with its zone; `zone` is that of values without one."""
    parse = parser_of(formats, "a date and time", decimal=decimal, pivot_year=pivot_year)
    local_times = _LocalTimes(zone, ambiguous, note)
    width = date_width(formats[0]) if len(formats) == 1 else None
    cache = None if width is None else _HalvesCache(width)

    def finish(moment: datetime.datetime) -> str:
        if moment.tzinfo is not None:
            return moment.isoformat()
        offset = local_times.offset_of_day(moment)
        return local_times.in_zone(moment).isoformat() if offset is None else moment.isoformat() + offset

    def convert_other(cell: Any) -> str:
        cell = cell if cell.__class__ is str else plain_cell(cell)
        if isinstance(cell, datetime.datetime):
            return finish(cell)
        if isinstance(cell, bool) or not isinstance(cell, str | int | float):
            raise BadCellError("is not a date and time")
        moment = parse(cell)
        found = finish(moment)
        if cache is not None and isinstance(cell, str):
            cache.add(cell, moment, None if moment.tzinfo is not None else local_times.offset_of_day(moment))
        return found

    return convert_other if cache is None else _halves_reader(cache.days, cache.times, width or 0, convert_other)


def _halves_reader(
    days: Mapping[str, tuple[str, str | None]],
    times: Mapping[str, tuple[str, bool]],
    width: int,
    convert_other: Callable[[Any], str],
) -> Callable[[Any], str]:
    """Put a datetime together from the halves of its text where both are known, and else convert it."""

    def convert(cell: Any) -> str:
        if cell.__class__ is str:
            day, time = days.get(cell[:width]), times.get(cell[width:])
            if day is not None and time is not None:
                if not time[1]:
                    return day[0] + time[0]
                if day[1] is not None:
                    return day[0] + time[0] + day[1]
        return convert_other(cell)

    return convert
