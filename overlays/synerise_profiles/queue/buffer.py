"""The buffer of a queue: rows that wait to be sent, gathered into batches while they are put.

Whether a batch is full is decided at the put, by counting the bytes that the row adds. So nothing has to be measured or
sorted when it is sent, and a put tells at once whether a request is due.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from synerise_profiles._batching.row_encoder import IdentifierGroup

__all__ = ["Buffer", "EncodedRow", "QueuedBatch", "QueuedRow"]


class EncodedRow(NamedTuple):
    """A row that is to be held: its JSON, its group of identifiers, and whether it lacks a time.

    Rows with one of the same `keys` overwrite each other, so that they must not be in two requests at once.
    """

    item: bytes
    group: IdentifierGroup
    is_untimed: bool
    keys: Sequence[Hashable] = ()


QueuedRow: TypeAlias = tuple[int, float, bytes, bool]
"""A row that is held: its index in the order of puts, the monotonic time of its put in seconds, its JSON, and whether
it lacks a time."""


class QueuedBatch:
    """Rows that are meant for one request. `size` is the bytes of its body, with room for the times that are missing.

    `is_untimed` says that at least one row lacks a time; `keys` are those of the rows that have one.
    """

    __slots__ = ("is_untimed", "keys", "rows", "size")

    def __init__(self, row: QueuedRow, size: int) -> None:
        self.rows: deque[QueuedRow] = deque((row,))
        self.size = 1 + size
        self.is_untimed = row[3]
        self.keys: set[Hashable] = set()

    def add(self, row: QueuedRow, size: int) -> None:
        """Add a row that adds so many bytes."""
        self.rows.append(row)
        self.size += size
        self.is_untimed = self.is_untimed or row[3]


class Buffer:
    """A FIFO of batches, in the order of puts. Only the last batch grows.

    `timestamp_reserve` is the bytes that a time will add to a row that lacks one.
    """

    def __init__(self, max_items: int, max_bytes: int, timestamp_reserve: int) -> None:
        self.batches: deque[QueuedBatch] = deque()
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._timestamp_reserve = timestamp_reserve

    def size_of(self, item: bytes, *, is_untimed: bool) -> int:
        """Return how many bytes a row adds to a body: its own, a comma, and its time where that is still to come."""
        return len(item) + 1 + self._timestamp_reserve if is_untimed else len(item) + 1

    def batch_for(self, size: int) -> QueuedBatch | None:
        """Return the batch that a row of this size goes to; None if it begins a new one.

        A row that is larger than a batch should be is a batch of its own.
        """
        if not self.batches:
            return None
        batch = self.batches[-1]
        fits = batch.size + size <= self._max_bytes and len(batch.rows) < self._max_items
        return batch if fits else None

    def fills(self, batch: QueuedBatch, size: int) -> bool:
        """Whether a row of this size makes a batch as large as it may grow."""
        return len(batch.rows) + 1 >= self._max_items or batch.size + size >= self._max_bytes

    @property
    def head(self) -> QueuedRow:
        """The oldest row. The buffer must not be empty."""
        return self.batches[0].rows[0]

    def is_complete(self, batch: QueuedBatch) -> bool:
        """Whether a batch does not grow any more."""
        is_last = batch is self.batches[-1]
        return not is_last or len(batch.rows) >= self._max_items or batch.size >= self._max_bytes

    def take(self, batch: QueuedBatch, indexes: Collection[int] | None = None) -> QueuedBatch:
        """Remove and return a batch, or a new one of its rows with these indexes; the others stay where they are."""
        if indexes is None or len(indexes) == len(batch.rows):
            self.batches.remove(batch)
            return batch
        taken: QueuedBatch | None = None
        kept = deque[QueuedRow]()
        for row in batch.rows:
            size = self.size_of(row[2], is_untimed=row[3])
            if row[0] not in indexes:
                kept.append(row)
            elif taken is None:
                taken = QueuedBatch(row, size)
            else:
                taken.add(row, size)
        if taken is None:
            return batch
        taken.keys |= batch.keys  # of both, since it is not known which is whose
        batch.rows = kept
        batch.size -= taken.size - 1
        return taken

    def __iter__(self) -> Iterator[QueuedRow]:
        for batch in self.batches:
            yield from batch.rows

    def has_keys(self, keys: Collection[Hashable], before: int) -> bool:
        """Whether a row with one of these keys waits in a batch that was begun before the row with this index."""
        return any(batch.rows[0][0] < before and not batch.keys.isdisjoint(keys) for batch in self.batches)

    def __bool__(self) -> bool:
        return bool(self.batches)
