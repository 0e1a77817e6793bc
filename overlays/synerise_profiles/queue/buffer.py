"""What waits to be sent: rows in batches, batches in lines, a line for each group of rows that may go together."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TypeAlias

__all__ = ["Buffer", "QueuedBatch", "QueuedRow"]

QueuedRow: TypeAlias = tuple[int, float, bytes, bool]
"""A row that is held: its number, the monotonic moment at which it was put, its bytes, and whether it lacks a time."""


class QueuedBatch:
    """Rows that go in one request, if nothing happens. `size` is that of the body; some of them may lack a time."""

    __slots__ = ("entries", "is_timeless", "size")

    def __init__(self, entry: QueuedRow, size: int) -> None:
        self.entries: deque[QueuedRow] = deque((entry,))
        self.size = 1 + size
        self.is_timeless = entry[3]


class Buffer:
    """Batches in the order of their rows; only the last one grows."""

    def __init__(self, max_items: int, max_bytes: int, timestamp_reserve: int) -> None:
        self.batches: deque[QueuedBatch] = deque()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._timestamp_reserve = timestamp_reserve

    def size_of(self, item: bytes, *, is_timeless: bool) -> int:
        """How many bytes a row adds to a body: its own, a comma, and its time where that is still to come."""
        return len(item) + 1 + self._timestamp_reserve if is_timeless else len(item) + 1

    def batch_for(self, size: int) -> QueuedBatch | None:
        """Return the batch that a row of this size goes to; None if it begins another one.

        A row that is larger than a batch should be is a batch of its own.
        """
        if not self.batches:
            return None
        batch = self.batches[-1]
        fits = batch.size + size <= self._max_bytes and len(batch.entries) < self._max_items
        return batch if fits else None

    def fills(self, batch: QueuedBatch, size: int) -> bool:
        """Whether a row of this size makes a batch as large as it may grow."""
        return len(batch.entries) + 1 >= self._max_items or batch.size + size >= self._max_bytes

    @property
    def head(self) -> QueuedRow:
        """The oldest row; there is one."""
        return self.batches[0].entries[0]

    @property
    def is_full(self) -> bool:
        """Whether a batch is as large as it may grow."""
        batch = self.batches[0]
        return len(self.batches) > 1 or len(batch.entries) >= self._max_items or batch.size >= self._max_bytes

    def pop_batch(self) -> QueuedBatch:
        """Take the oldest batch."""
        return self.batches.popleft()

    def __iter__(self) -> Iterator[QueuedRow]:
        for batch in self.batches:
            yield from batch.entries

    def __bool__(self) -> bool:
        return bool(self.batches)
