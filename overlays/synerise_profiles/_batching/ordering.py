"""The order guard: rows with a key in common are never in two requests at once, and arrive in the order of the input.

How the order is kept. Several chunks are on their way together, and one that has to be sent again may arrive after a
later one: then the older value of a profile would stay. So a row says by its keys what it writes (the identifiers of a
profile, the key of an event), and two rules hold for chunks, which are numbered as they are filled:

- A row that has a key in common with one of the last `HOLD_DISTANCE` chunks is held back, for the chunk that stands so
  far behind that one. Rows of the same chunk may share keys: they are sent in one request, in their order.
- A chunk is not sent before those are settled that it shares keys with. Keys are remembered for a window of chunks, so
  it also waits for all that are older than that.

Only the rows themselves decide which chunk they go to, never time or answers, so that a journal finds the same chunks
again. What is held back is bounded: beyond that the open chunk is closed as it is.

Most inputs repeat nothing. So keys are only put into a set, a column at a time, which tells by its size whether one was
known. With the first one that is, the chunk of each key is remembered, in mappings; once nothing repeats any more, sets
do again. Both come in generations of half a window, the youngest first; the oldest is dropped once the others have one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._validation.rules import fields_of

from .batch import PreparedRow
from .identifier_columns import columns_of, key_of, keys_of_columns

__all__ = ["HOLD_DISTANCE", "IdentifierKeys", "Keys", "KnownKeys", "OrderGuard"]

Keys: TypeAlias = Sequence[Hashable]
"""What a row writes: two rows with one of them in common must keep their order."""
_LAST_IDENTIFIER: Final = "phone"
HOLD_DISTANCE: Final = 8
"""How many chunks a row is held back. It decides which rows go together, so a journal is of one distance."""


class IdentifierKeys:
    """The keys of rows that write profiles: their identifiers, as the server compares them.

    White space at the ends does not count. A phone number names a profile only where it is the only identifier. Two
    kinds of identifiers with the same value are taken for the same, which costs nothing but a row that is held back.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = tuple(name for name in names if name != _LAST_IDENTIFIER)
        self._last_name = _LAST_IDENTIFIER if _LAST_IDENTIFIER in names else None

    def of_row(self, row: Any) -> Keys:
        """Return the keys of one row, which has fields or is a clientId."""
        if isinstance(row, int):
            return (row,)
        fields = row if row.__class__ is dict else fields_of(row)
        if fields is None:
            return ()
        keys: list[Hashable] = []
        for name in self._names:
            value = fields.get(name)
            if value is not None:
                key = value.strip() or None if value.__class__ is str else key_of(value)
                if key is not None and key not in keys:
                    keys.append(key)
        if not keys and self._last_name is not None:
            key = key_of(fields.get(self._last_name))
            return () if key is None else (key,)
        return keys

    def of_columns(
        self, columns: Mapping[str, Sequence[Any]], solid: Collection[str] = (), rows: Sequence[dict[str, Any]] = ()
    ) -> Sequence[Sequence[Hashable]] | None:
        """Return the keys of a block of rows by columns, see `keys_of_columns`."""
        return keys_of_columns(columns, self._names, self._last_name, solid, rows)

    def of_rows(self, rows: Sequence[Any]) -> Sequence[Sequence[Hashable]] | None:
        """Return the keys of a block of rows by columns; None if the rows have to be looked at one by one."""
        return None if (found := columns_of(rows, self._names)) is None else self.of_columns(found, rows=rows)


@attrs.define(eq=False, repr=False)
class _HeldChunk:
    """The rows that are held back for one chunk, and their size in bytes."""

    rows: list[PreparedRow] = attrs.field(factory=list[PreparedRow])
    size: int = 1


class OrderGuard:
    """Says to which chunk a row goes, and which chunks have to be settled before another one is sent.

    `number` is that of the open chunk. `window` is for how many chunks keys are remembered at least.
    """

    def __init__(self, window: int, max_items: int, max_bytes: int) -> None:
        self.number = 0
        self._known = KnownKeys(max(window, HOLD_DISTANCE))
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._held: dict[int, _HeldChunk] = {}
        self._held_keys: dict[Hashable, int] = {}
        self._held_bytes = 0
        self.held_rows = 0
        """How many rows are held back."""
        self._is_used = False
        self._after = -1
        self._settle_order: deque[tuple[int, int]] = deque()

    def held_indexes(self) -> Iterator[int]:
        """Yield the indexes of the rows that are held back."""
        return (row.index for held in self._held.values() for row in held.rows)

    def place_columns(self, columns: Sequence[Sequence[Hashable]]) -> bool:
        """Put rows into the open chunk, given their keys by columns; false if a key is known, then none is put."""
        self._is_used = True
        return self._known.add_columns(columns, self.number, self._held_keys)

    def place(self, keys: Keys) -> bool:
        """Put a row into the open chunk, unless it may only go to a later one: then return false."""
        self._is_used = True
        if self._known.add_unknown(keys, self.number):
            return True
        if self.target(keys) != self.number:
            return False
        for key in keys:
            last = self._last(key)
            if last is not None and self._after < last < self.number:
                self._after = last
        self._known.set_chunk(keys, self.number)
        return True

    def target(self, keys: Keys) -> int:
        """Return the number of the chunk that a row may go to, if there is room: the open one or a later one."""
        numbers = {last for key in keys if (last := self._last(key)) is not None}
        if not numbers:
            return self.number
        newest = max(numbers)
        target = max(newest, self.number)
        if all(last == target or target - last >= HOLD_DISTANCE for last in numbers):
            return target
        self._known.is_quiet = False
        return newest + HOLD_DISTANCE

    def blocked_places(self, keys_of_rows: Sequence[Keys]) -> list[int]:
        """Return the places of the rows that may not go into the open chunk, if the others go there."""
        places: list[int] = []
        blocked = set[Hashable]()
        for place, keys in enumerate(keys_of_rows):
            if not blocked.isdisjoint(keys) or self.target(keys) != self.number:
                places.append(place)
                blocked.update(keys)
        return places

    def hold(self, row: PreparedRow) -> None:
        """Hold back a row whose `target` is a later chunk; it goes to the first one from there on that has room."""
        self._is_used = True
        size = row.size
        numbers = {last for key in row.keys if (last := self._last(key)) is not None}
        newest, target = max(numbers), self.target(row.keys)
        if target == newest and not self._has_room(target, size):
            target += HOLD_DISTANCE
        while not self._has_room(target, size):
            target += 1
        row.after = max((last for last in numbers if last < target), default=-1)
        held = self._held.setdefault(target, _HeldChunk())
        held.rows.append(row)
        held.size += size
        self.held_rows += 1
        self._held_bytes += size
        self._held_keys.update(dict.fromkeys(row.keys, target))

    def is_over(self, rows: int = 0, size: int = 0) -> bool:
        """Whether more is held back than may be, with so many further rows and bytes: then the open chunk is closed."""
        return (
            self.held_rows + rows > max(1, HOLD_DISTANCE * self._max_items // 2)
            or self._held_bytes + size > HOLD_DISTANCE * self._max_bytes // 2
        )

    def close(self, chunk_number: int | None) -> int:
        """Close the open chunk, with the number that it has in the run, None if it is empty.

        Returns the number of the chunk up to which all have to be settled before this one is sent; -1 if none has to.
        """
        bound = max(self._after, self._known.first_number - 1) if self._is_used else -1
        after = self.run_number(bound)
        if chunk_number is not None:
            self._settle_order.append((self.number, chunk_number))
        while len(self._settle_order) > 1 and self._settle_order[1][0] < self._known.first_number:
            self._settle_order.popleft()
        return after

    def last_number(self, keys: Keys) -> int:
        """Return the number of the last chunk that may have a row with one of these keys, or will; -1 for none.

        Where none is known, it is that of the last one whose keys are forgotten.
        """
        forgotten = self._known.first_number - 1
        return max((last for key in keys if (last := self._last(key)) is not None), default=forgotten)

    def run_number(self, number: int) -> int:
        """Return the number in the run of the last chunk up to this one; -1 if there is none."""
        return next((found for own, found in reversed(self._settle_order) if own <= number), -1)

    def open_next(self) -> list[PreparedRow]:
        """Begin the next chunk; return the rows that were held back for it, which fit into it."""
        self.number += 1
        self._after = -1
        self._known.begin_chunk(self.number, keeps_chunks=bool(self._held))
        if (held := self._held.pop(self.number, None)) is None:
            return []
        for row in held.rows:
            self._after = max(self._after, row.after)
            self._known.set_chunk(row.keys, self.number)
            for key in row.keys:
                if self._held_keys.get(key) == self.number:
                    del self._held_keys[key]
        self.held_rows -= len(held.rows)
        self._held_bytes -= held.size - 1
        return held.rows

    def _has_room(self, number: int, size: int) -> bool:
        held = self._held.get(number)
        return held is None or (len(held.rows) < self._max_items and held.size + size <= self._max_bytes)

    def _last(self, key: Hashable) -> int | None:
        """Return the number of the last chunk that a row with this key is in or is held for; None if it is unknown."""
        found = self._held_keys.get(key)
        return self._known.last(key) if found is None else found


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
