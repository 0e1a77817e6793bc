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
known. With the first one that is, the guard begins to remember the chunk of each key (`_last_chunks`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.json_values import InvalidValueError, plain

from .batch import PreparedRow

__all__ = ["HOLD_DISTANCE", "IdentifierKeys", "Keys", "OrderGuard"]

Keys: TypeAlias = Sequence[Hashable]
"""What a row writes: two rows with one of them in common must keep their order."""
HOLD_DISTANCE: Final = 8
"""How many chunks a row is held back. It decides which rows go together, so a journal is of one distance."""
_LAST_IDENTIFIER: Final = "phone"
"""The identifier that names a profile only where no other one is given."""


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
        self._window = max(window, HOLD_DISTANCE)
        self._max_items = max_items
        self._max_bytes = max_bytes
        # The keys of the last chunks, in two generations: when the young one is a window old, the old one is dropped.
        self._young_keys: set[Hashable] = set()
        self._old_keys: set[Hashable] = set()
        self._columns: deque[tuple[int, Iterable[Hashable]]] = deque()
        # The keys of rows that were put one by one, of the open chunk.
        self._column: list[Hashable] = []
        self._column_number = -1
        self._last_chunks: tuple[dict[Hashable, int], dict[Hashable, int]] | None = None
        self._born_at = self._old_born_at = 0
        self._is_quiet = True
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
        if self._last_chunks is None and self._place_unknown(columns):
            return True
        young, old = self._remember_chunks()
        keys = dict.fromkeys(chain.from_iterable(columns), self.number)
        if not all(known.keys().isdisjoint(keys) for known in (young, old, self._held_keys) if known):
            self._is_quiet = False
            return False
        young.update(keys)
        return True

    def place(self, keys: Keys) -> bool:
        """Put a row into the open chunk, unless it may only go to a later one: then return false."""
        self._is_used = True
        if self._last_chunks is None and self._young_keys.isdisjoint(keys) and self._old_keys.isdisjoint(keys):
            self._young_keys.update(keys)
            if self._column_number != self.number:
                self._column_number, self._column = self.number, []
                self._columns.append((self.number, self._column))
            self._column.extend(keys)
            return True
        if self.target(keys) != self.number:
            return False
        young, _ = self._remember_chunks()
        for key in keys:
            last = self._last(key)
            if last is not None and self._after < last < self.number:
                self._after = last
            young[key] = self.number
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
        self._is_quiet = False
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
        bound = max(self._after, self._old_born_at - 1) if self._is_used else -1
        after = self.run_number(bound)
        if chunk_number is not None:
            self._settle_order.append((self.number, chunk_number))
        while len(self._settle_order) > 1 and self._settle_order[1][0] < self._old_born_at:
            self._settle_order.popleft()
        return after

    def last_number(self, keys: Keys) -> int:
        """Return the number of the last chunk that may have a row with one of these keys, or will; -1 for none.

        Where none is known, it is that of the last one whose keys are forgotten.
        """
        return max((last for key in keys if (last := self._last(key)) is not None), default=self._old_born_at - 1)

    def run_number(self, number: int) -> int:
        """Return the number in the run of the last chunk up to this one; -1 if there is none."""
        return next((found for own, found in reversed(self._settle_order) if own <= number), -1)

    def open_next(self) -> list[PreparedRow]:
        """Begin the next chunk; return the rows that were held back for it, which fit into it."""
        self.number += 1
        self._after = -1
        if self.number - self._born_at >= self._window:
            self._begin_generation()
        held = self._held.pop(self.number, None)
        if held is None:
            return []
        young, _ = self._remember_chunks()
        for row in held.rows:
            self._after = max(self._after, row.after)
            for key in row.keys:
                young[key] = self.number
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
        if found is not None:
            return found
        if self._last_chunks is None and key not in self._young_keys and key not in self._old_keys:
            return None
        young, old = self._remember_chunks()
        found = young.get(key)
        return old.get(key) if found is None else found

    def _place_unknown(self, columns: Sequence[Sequence[Hashable]]) -> bool:
        """Put keys into the set; false if one of them is known, and the guard has to remember chunks from here on."""
        self._is_used = True
        young, old = self._young_keys, self._old_keys
        for column in columns:
            size = len(young)
            young.update(column)
            if len(young) - size != len(column) or not old.isdisjoint(column):
                return False
        self._columns.extend((self.number, column) for column in columns)
        return True

    def _remember_chunks(self) -> tuple[dict[Hashable, int], dict[Hashable, int]]:
        """Return the last chunk of each key, of the young generation and of the old one."""
        if self._last_chunks is None:
            self._is_quiet = False
            young, old = dict[Hashable, int](), dict[Hashable, int]()
            for number, column in self._columns:
                (old if number < self._born_at else young).update(dict.fromkeys(column, number))
            self._last_chunks = young, old
            self._columns.clear()
            self._column_number = -1
            self._young_keys, self._old_keys = set(), set()
        return self._last_chunks

    def _begin_generation(self) -> None:
        self._old_born_at, self._born_at = self._born_at, self.number
        if self._last_chunks is None:
            self._old_keys, self._young_keys = self._young_keys, set()
            while self._columns and self._columns[0][0] < self._old_born_at:
                self._columns.popleft()
            return
        young, _ = self._last_chunks
        if not self._is_quiet or self._held:
            self._last_chunks = {}, young
            self._is_quiet = True
            return
        by_chunk: dict[int, list[Hashable]] = {}
        for key, number in young.items():
            by_chunk.setdefault(number, []).append(key)
        self._columns.extend(by_chunk.items())
        self._old_keys, self._young_keys, self._last_chunks = set(young), set(), None


class IdentifierKeys:
    """The keys of rows that write profiles: their identifiers, as the server compares them.

    White space at the ends does not count. A phone number names a profile only where it is the only identifier. Two
    kinds of identifiers with the same value are taken for the same, which costs nothing but a row that is held back.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._all_names = names
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
                key = value.strip() or None if value.__class__ is str else _key_of(value)
                if key is not None and key not in keys:
                    keys.append(key)
        if not keys and self._last_name is not None:
            key = _key_of(fields.get(self._last_name))
            return () if key is None else (key,)
        return keys

    def of_columns(self, columns: Mapping[str, Sequence[Any]]) -> Sequence[Sequence[Hashable]] | None:
        """Return the keys of a block of rows by columns; None if the rows have to be looked at one by one."""
        found: list[Sequence[Hashable]] = []
        are_named = False
        for column in (columns[name] for name in self._names if name in columns):
            keys = _keys_of_column(column)
            if keys is None:
                return None
            are_named = are_named or len(keys) == len(column)
            if keys not in found:  # an e-mail address is often the customId too
                found.append(keys)
        return found if are_named or not any(columns.get(self._last_name or "", ())) else None

    def columns_of(self, rows: Sequence[Any]) -> dict[str, Sequence[Any]] | None:
        """Return the identifiers of rows by columns, None for what a row has not; None if a row is no dict."""
        if set(map(type, rows)) != {dict}:
            return None
        given = (name for name in self._all_names if any(map(dict[str, Any].__contains__, rows, repeat(name))))
        return {name: [row.get(name) for row in rows] for name in given}


def _key_of(value: Any) -> Hashable | None:
    if isinstance(value, str):
        return str.strip(value) or None
    if isinstance(value, int):
        return int.__int__(value)
    if value is None:
        return None
    try:
        written = plain(value)  # a UUID object names the same profile as its text
    except InvalidValueError:
        return None
    return None if written is value else _key_of(written)


_KEY_TYPES: Final = frozenset((int, str, type(None)))
_SPACES: Final = " \t\n\r\v\f\x1c\x1d\x1e\x1f"


def _keys_of_column(column: Sequence[Any]) -> Sequence[Hashable] | None:
    """Return the keys of a column, most often found by a look at all of them together; None if it has odd values."""
    try:
        text = "".join(column)
    except TypeError:  # they are numbers, or some are missing
        if not _KEY_TYPES.issuperset(map(type, column)):
            return None
        given = [value for value in column if value]
        if set(map(type, given)) <= {int}:
            return given
        return _keys_of_column(given) if len(given) < len(column) else None
    if text.isascii() and set(map(type, column)) == {str} and all(column) and not any(map(text.__contains__, _SPACES)):
        return column
    return [key for value in column if (key := str.strip(value))]
