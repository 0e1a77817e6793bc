"""A random sample of the rows that a run sends, every row with the same chance, however many there will be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from synerise_profiles._batching.batch import Chunk, Sampled
from synerise_profiles._batching.encoding import OPTIONS, default

__all__ = ["Sample"]

_SPARE = 2
"""So many times as many rows are kept as are asked for, since some of them will be refused or cannot be compared."""


class Sample:
    """A reservoir of rows. Rows that are passed over cost next to nothing: how many there are is drawn beforehand.

    A row that names the same profile as a sampled one makes that one `doubtful`: which of the two the server applied
    last, nobody knows.
    """

    def __init__(self, size: int, identifiers: Sequence[str], random: Callable[[], float]) -> None:
        self.size = size
        self._room = size * _SPARE
        self._random = random
        self._kept: list[Sampled] = []
        self._named: dict[str, dict[Any, Sampled]] = {name: {} for name in identifiers}
        self._seen = 0
        self._next = 0
        self._weight = 1.0

    def offer(self, chunk: Chunk, rows: Sequence[Mapping[str, Any]]) -> None:
        """Offer the rows that were added to a chunk last."""
        columns = self._columns(rows)
        for name, column in columns.items():
            named = self._named[name]
            if named and not named.keys().isdisjoint(column):
                for value in named.keys() & set(column):
                    named[value].doubtful = True
        first = len(chunk) - len(rows)
        for place in self._picks(len(rows)):
            data: dict[str, Any] = orjson.loads(orjson.dumps(rows[place], default, OPTIONS))
            entry = Sampled(chunk.indexes[first + place], data)
            chunk.sampled.append((first + place, entry))
            self._keep(entry, columns)

    def accepted(self) -> list[Sampled]:
        """Return as many rows as were asked for, of those that the server accepted; in the order of the input."""
        found = [entry for entry in self._kept if entry.is_accepted]
        order = sorted(found, key=lambda _: self._random())[: self.size]
        return sorted(order, key=lambda entry: entry.index)

    def _columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for name in self._named:
            column = [value for row in rows if (value := row.get(name)).__class__ in (str, int) and value]
            if column:
                columns[name] = column
        return columns

    def _keep(self, entry: Sampled, columns: Mapping[str, list[Any]]) -> None:
        if len(self._kept) < self._room:
            self._kept.append(entry)
        else:
            place = int(self._random() * self._room)
            self._forget(self._kept[place])
            self._kept[place] = entry
        for name, column in columns.items():
            value = entry.data.get(name)
            if value in column:
                entry.doubtful = entry.doubtful or column.count(value) > 1 or value in self._named[name]
                self._named[name].setdefault(value, entry)

    def _forget(self, entry: Sampled) -> None:
        for name, named in self._named.items():
            if named.get(entry.data.get(name)) is entry:
                del named[entry.data[name]]

    def _picks(self, count: int) -> list[int]:
        """Draw which of the next rows are kept (algorithm L of Li, 1994)."""
        end = self._seen + count
        found: list[int] = []
        while self._next < end:
            found.append(self._next - self._seen)
            self._next += 1
            if self._next >= self._room:
                self._weight *= (1.0 - self._random()) ** (1.0 / self._room)
                self._next += int(math.log(1.0 - self._random()) / math.log1p(-min(self._weight, 1.0 - 1e-12)))
        self._seen = end
        return found
