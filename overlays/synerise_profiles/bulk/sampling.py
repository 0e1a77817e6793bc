"""The sample of a run: which of the accepted rows are read back. It is drawn while rows are put into chunks.

It is a reservoir sample: every row has the same chance, however many there will be, and memory is bounded by the size
of the sample.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from synerise_profiles._batching.batch import Chunk, SampledRow
from synerise_profiles._batching.row_encoder import ORJSON_OPTIONS, orjson_default

__all__ = ["Sample"]

_OVERSAMPLING_FACTOR: Final = 2
"""How many times the size of the sample is kept, since some rows will be refused or cannot be compared."""


class Sample:
    """A reservoir sample of rows (algorithm L of Li, 1994).

    It draws how many rows to skip until the next one that is kept, so that a row that is skipped costs next to nothing.
    A row that names the same profile as one of the sample gives that one a duplicate: which of the two the server
    applied last is not known, so it is not compared.
    """

    def __init__(self, size: int, identifiers: Sequence[str], random: Callable[[], float]) -> None:
        self.size = size
        self._capacity = size * _OVERSAMPLING_FACTOR
        self._random = random
        self._reservoir: list[SampledRow] = []
        self._by_identifier: dict[str, dict[Any, SampledRow]] = {name: {} for name in identifiers}
        self._seen = 0
        self._next_pick = 0
        self._weight = 1.0

    def offer(self, chunk: Chunk, rows: Sequence[Mapping[str, Any]]) -> None:
        """Offer the rows that were added to a chunk last, as mappings."""
        columns = self._columns(rows)
        for name, column in columns.items():
            named = self._by_identifier[name]
            if named and not named.keys().isdisjoint(column):
                for value in named.keys() & set(column):
                    named[value].has_duplicate = True
        first = len(chunk) - len(rows)
        for place in self._draw(len(rows)):
            data: dict[str, Any] = orjson.loads(orjson.dumps(rows[place], orjson_default, ORJSON_OPTIONS))
            entry = SampledRow(chunk.indexes[first + place], data)
            chunk.sampled.append((first + place, entry))
            self._keep(entry, columns)

    def accepted(self) -> list[SampledRow]:
        """Return as many rows as were asked for, of those that the server accepted, in the order of the input."""
        found = [entry for entry in self._reservoir if entry.is_accepted]
        order = sorted(found, key=lambda _: self._random())[: self.size]
        return sorted(order, key=lambda entry: entry.index)

    def _columns(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
        columns: dict[str, list[Any]] = {}
        for name in self._by_identifier:
            column = [value for row in rows if (value := row.get(name)).__class__ in (str, int) and value]
            if column:
                columns[name] = column
        return columns

    def _keep(self, entry: SampledRow, columns: Mapping[str, list[Any]]) -> None:
        if len(self._reservoir) < self._capacity:
            self._reservoir.append(entry)
        else:
            place = int(self._random() * self._capacity)
            self._forget(self._reservoir[place])
            self._reservoir[place] = entry
        for name, column in columns.items():
            value = entry.data.get(name)
            if value in column:
                entry.has_duplicate = (
                    entry.has_duplicate or column.count(value) > 1 or value in self._by_identifier[name]
                )
                self._by_identifier[name].setdefault(value, entry)

    def _forget(self, entry: SampledRow) -> None:
        for name, named in self._by_identifier.items():
            if named.get(entry.data.get(name)) is entry:
                del named[entry.data[name]]

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
