"""What waits to be sent: rows in batches, batches in lines, a line for each group of rows that may go together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

__all__ = ["Batch", "Entry", "Line"]

Entry: TypeAlias = tuple[int, float, bytes, bool]
"""A row that is held: its number, the monotonic moment at which it was put, its bytes, and whether it lacks a time."""


class Batch:
    """Rows that go in one request, if nothing happens. `size` is that of the body; some of them may lack a time."""

    __slots__ = ("entries", "is_timeless", "size")

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.size = 1
        self.is_timeless = False


class Line:
    """Batches in the order of their rows; only the last one grows."""

    def __init__(self, most_items: int, most_bytes: int, room_of_time: int) -> None:
        self.batches: deque[Batch] = deque()
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._room_of_time = room_of_time

    def size_of(self, item: bytes, *, is_timeless: bool) -> int:
        """How many bytes a row adds to a body: its own, a comma, and its time where that is still to come."""
        return len(item) + 1 + self._room_of_time if is_timeless else len(item) + 1

    def add(self, entry: Entry, size: int) -> bool:
        """Add a row of `size` bytes with its comma; return whether somebody should look: it is the first, or it fills.

        A row that is larger than a batch should be is a batch of its own.
        """
        batches = self.batches
        is_first = not batches
        batch = Batch() if is_first else batches[-1]
        has_closed = False
        if batch.entries and (batch.size + size > self._most_bytes or len(batch.entries) >= self._most_items):
            batch, has_closed = Batch(), True
        if is_first or has_closed:
            batches.append(batch)
        batch.entries.append(entry)
        batch.size += size
        batch.is_timeless = batch.is_timeless or entry[3]
        return is_first or has_closed or self._is_full(batch)

    @property
    def head(self) -> Entry:
        """The oldest row; there is one."""
        return self.batches[0].entries[0]

    @property
    def is_full(self) -> bool:
        """Whether a batch is as large as it may grow."""
        return len(self.batches) > 1 or self._is_full(self.batches[0])

    def take(self) -> Batch:
        """Take the oldest batch."""
        return self.batches.popleft()

    def drop(self) -> int:
        """Throw the oldest row away; return its size."""
        batch = self.batches[0]
        entry = batch.entries.popleft()
        size = self.size_of(entry[2], is_timeless=entry[3])
        batch.size -= size
        if not batch.entries:
            self.batches.popleft()
        return size

    def __iter__(self) -> Iterator[Entry]:
        for batch in self.batches:
            yield from batch.entries

    def __bool__(self) -> bool:
        return bool(self.batches)

    def _is_full(self, batch: Batch) -> bool:
        return len(batch.entries) >= self._most_items or batch.size >= self._most_bytes
