"""Which keys the last chunks have: what the order guard remembers.

Most inputs repeat nothing. So keys are only put into a set, a column at a time, which tells by its size whether one was
known. With the first one that is, the chunk of each key is remembered, in mappings; once nothing repeats any more, sets
do again. Both come in generations of half a window, the youngest first; the oldest is dropped once the others have one.

What that costs is the way to memory: a set of some 20,000 keys has a table of half a megabyte, which stays in the cache
of a core, one of more has two megabytes and takes twice the time. Measured, a row of two identifiers, in microseconds
beside 1.6 for all else of it: generations of a window 0.30 to 0.33, of half of one 0.23 to 0.27, of a third 0.27, one
for each chunk 0.45; one set that is made anew from the last columns 0.18 to 0.28; a mapping from the start in place of
sets 0.42 to 0.55, and a set for each block that is added to the others 0.1 more than that of columns. What did not
count: keeping the columns (0.02), the search for keys in the old generation (0.03 each), page faults.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import repeat
from typing import TypeAlias

__all__ = ["Keys", "KnownKeys"]

Keys: TypeAlias = Sequence[Hashable]
"""What a row writes: two rows with one of them in common must keep their order."""


class KnownKeys:
    """The keys of at least the last `window` chunks, which are numbered, each with the last chunk that has it.

    `is_quiet` says whether no key has come again since the youngest generation began.
    """

    def __init__(self, window: int) -> None:
        self.is_quiet = True
        self._window = window
        self._most_chunks = -(-window // 2)
        # Of each generation the number of its first chunk, and its keys: in sets, or each with its chunk.
        self._births = [0]
        self._sets: list[set[Hashable]] = [set()]
        self._mappings: list[dict[Hashable, int]] | None = None
        # The chunks of the keys in the sets.
        self._columns: deque[tuple[int, Iterable[Hashable]]] = deque()
        # The keys of rows that were put one by one, of the open chunk.
        self._column: list[Hashable] = []
        self._column_number = -1

    @property
    def first_number(self) -> int:
        """The number of the first chunk whose keys are remembered."""
        return self._births[-1]

    @property
    def has_chunks(self) -> bool:
        """Whether the chunk of each key is remembered, since one came again."""
        return self._mappings is not None

    def add_columns(self, columns: Sequence[Sequence[Hashable]], number: int, held: Mapping[Hashable, int]) -> bool:
        """Add the keys of rows of a chunk, given by columns; false if one is known or `held`, then none is added."""
        if self._mappings is None and self._add_to_sets(columns, number):
            return True
        mappings, keys = self._remember_chunks(), dict[Hashable, int]()
        for column in columns:
            keys.update(dict.fromkeys(column, number))
        if not all(known.keys().isdisjoint(keys) for known in (held, *mappings) if known):
            self.is_quiet = False
            return False
        mappings[0].update(keys)
        return True

    def add_unknown(self, keys: Keys, number: int) -> bool:
        """Add the keys of a row of a chunk; false if one is known, or may be."""
        if self._mappings is not None or not all(known.isdisjoint(keys) for known in self._sets):
            return False
        self._sets[0].update(keys)
        if self._column_number != number:
            self._column_number, self._column = number, []
            self._columns.append((number, self._column))
        self._column.extend(keys)
        return True

    def set_chunk(self, keys: Keys, number: int) -> None:
        """Say which chunk is the last one with these keys."""
        self._remember_chunks()[0].update(dict.fromkeys(keys, number))

    def last(self, key: Hashable) -> int | None:
        """Return the number of the last chunk with a key; None if the key is unknown."""
        if self._mappings is None and not any(key in known for known in self._sets):
            return None
        return next((known[key] for known in self._remember_chunks() if key in known), None)

    def begin_chunk(self, number: int, *, keeps_chunks: bool) -> None:
        """Begin the next chunk, and perhaps a generation; with `keeps_chunks` those of keys stay remembered."""
        if number - self._births[0] < self._most_chunks:
            return
        births = [number, *self._births]
        kept = next((place for place, born in enumerate(births) if born <= number - self._window), len(births)) + 1
        self._births = births[:kept]
        if self._mappings is None:
            self._sets = [set(), *self._sets][:kept]
            while self._columns and self._columns[0][0] < self.first_number:
                self._columns.popleft()
            return
        self._mappings = [{}, *self._mappings][:kept]
        if self.is_quiet and not keeps_chunks:
            self._forget_chunks(self._mappings)
        self.is_quiet = True

    def _add_to_sets(self, columns: Sequence[Sequence[Hashable]], number: int) -> bool:
        """Put keys into the youngest set; false if one of them is known, and chunks have to be remembered from here."""
        young, *old = self._sets
        for column in columns:
            size = len(young)
            young.update(column)
            if len(young) - size != len(column):
                return False
            for known in old:
                if not known.isdisjoint(column):
                    return False
        self._columns.extend(zip(repeat(number), columns))
        return True

    def _remember_chunks(self) -> list[dict[Hashable, int]]:
        """Return the last chunk of each key, by generations."""
        if self._mappings is None:
            self.is_quiet = False
            mappings: list[dict[Hashable, int]] = [{} for _ in self._births]
            for number, column in self._columns:
                place = next(place for place, born in enumerate(self._births) if born <= number)
                mappings[place].update(dict.fromkeys(column, number))
            self._mappings = mappings
            self._columns.clear()
            self._column_number = -1
            self._sets.clear()
        return self._mappings

    def _forget_chunks(self, mappings: Sequence[Mapping[Hashable, int]]) -> None:
        """Put the keys into sets."""
        by_number: dict[int, list[Hashable]] = {}
        for known in mappings:
            for key, number in known.items():
                by_number.setdefault(number, []).append(key)
        self._columns.extend(sorted(by_number.items()))
        self._sets, self._mappings = [set(known) for known in mappings], None
