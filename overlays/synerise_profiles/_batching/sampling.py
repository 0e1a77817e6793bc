"""The sample of a run: which of the accepted rows are read back. It is drawn while rows are put into chunks.

It is a reservoir sample: every row has the same chance, however many there will be, and memory is bounded by the size
of the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from .batch import Chunk, SampledRow
from .readable_row import write_any

__all__ = ["Sample"]

_OVERSAMPLING_FACTOR: Final = 2
"""How many times the size of the sample is kept, since some rows will be refused or cannot be compared."""


class Sample:
    """A reservoir sample of rows (algorithm L of Li, 1994).

    It draws how many rows to skip until the next one that is kept, so that a row that is skipped costs next to nothing.
    Where a later row names the profile of one that is kept, it takes its place, since it is applied last. In a run
    whose order is not kept nobody knows that, and the profile is not compared. With `keeps_first` a later row changes
    nothing.
    """

    def __init__(
        self,
        size: int,
        identifiers: Sequence[str],
        random: Callable[[], float],
        *,
        is_ordered: bool = True,
        keeps_first: bool = False,
    ) -> None:
        self.size = size
        self._capacity = size * _OVERSAMPLING_FACTOR
        self._random = random
        self._is_ordered = is_ordered
        self._keeps_first = keeps_first
        self._reservoir: list[SampledRow] = []
        self._names: list[list[tuple[str, Any]]] = []
        """What names the profile of each row that is kept, in any row so far."""
        self._places: dict[str, dict[Any, int]] = {name: {} for name in identifiers}
        """The place in the reservoir by identifier and value."""
        self._seen = 0
        self._next_pick = 0
        self._weight = 1.0

    def offer(self, chunk: Chunk, rows: Sequence[Mapping[str, Any]]) -> None:
        """Offer the rows that were added to a chunk last, as mappings."""
        picked = set(self._draw(len(rows)))
        if not picked and not self._has_known(rows):
            return
        first = len(chunk) - len(rows)
        latest: dict[int, int] = {}
        for number, row in enumerate(rows):
            names = [(name, value) for name in self._places if _is_identifier(value := row.get(name))]
            known = {self._places[name][value] for name, value in names if value in self._places[name]}
            if known and self._keeps_first:
                continue
            if known:
                self._meet(min(known), max(known), names, latest, number)
            elif number in picked:
                latest[self._make_room(names)] = number
        for place, number in latest.items():
            data: dict[str, Any] = orjson.loads(write_any(rows[number]))
            doubtful = self._reservoir[place].has_duplicate
            entry = SampledRow(chunk.indexes[first + number], data, has_duplicate=doubtful)
            self._reservoir[place] = entry
            chunk.sampled.append((first + number, entry))

    def accepted(self) -> list[SampledRow]:
        """Return as many rows as were asked for, of those that the server accepted, in the order of the input."""
        found = [entry for entry in self._reservoir if entry.is_accepted]
        order = sorted(found, key=lambda _: self._random())[: self.size]
        return sorted(order, key=lambda entry: entry.index)

    def _has_known(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        for name, places in self._places.items():
            if places and not places.keys().isdisjoint([v for row in rows if _is_identifier(v := row.get(name))]):
                return True
        return False

    def _meet(
        self, place: int, other: int, names: Sequence[tuple[str, Any]], latest: dict[int, int], number: int
    ) -> None:
        """Take note of a row that names a profile that is kept, or two places that turn out to be one profile."""
        if self._is_ordered:
            latest[place] = number
        else:
            self._reservoir[place].has_duplicate = True
        if other != place:
            self._reservoir[other].has_duplicate = True
        for name, value in names:
            if self._places[name].setdefault(value, place) == place and (name, value) not in self._names[place]:
                self._names[place].append((name, value))

    def _make_room(self, names: list[tuple[str, Any]]) -> int:
        """Return a place for a row, at random once the reservoir is full."""
        place = len(self._reservoir)
        if place < self._capacity:
            self._reservoir.append(SampledRow(-1, {}))
            self._names.append(names)
        else:
            place = int(self._random() * self._capacity)
            for name, value in self._names[place]:
                del self._places[name][value]
            self._reservoir[place], self._names[place] = SampledRow(-1, {}), names
        for name, value in names:
            self._places[name][value] = place
        return place

    def _draw(self, count: int) -> list[int]:
        """Draw which of the next rows are kept; return their places."""
        end = self._seen + count
        found: list[int] = []
        while self._next_pick < end:
            found.append(self._next_pick - self._seen)
            self._next_pick += 1
            if self._next_pick >= self._capacity:
                self._weight *= (1.0 - self._random()) ** (1.0 / self._capacity)
                self._next_pick += int(math.log(1.0 - self._random()) / math.log1p(-min(self._weight, 1.0 - 1e-12)))
        self._seen = end
        return found


def _is_identifier(value: object) -> bool:
    return value.__class__ in (str, int) and bool(value)
