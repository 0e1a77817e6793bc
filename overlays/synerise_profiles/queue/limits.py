"""How much of a queue may be in flight: all of it, unless it drops its oldest rows to make room for newer ones.

What is in flight is never dropped, since it may have been applied, and it stays in flight for as long as the server is
away. So a queue that is to drop its oldest rows must have some that were never sent: half of it is kept for these, and
each operation has the same share of the other half, so that one that fails does not take the room of the others. A
batch is at most half of a share, so that there is room for another one beside it. A row that is larger than that is
sent by itself, if nothing else of its operation is in flight.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from synerise_profiles._batching.operations import BatchOperation

from .buffer import QueuedBatch
from .inflight import InflightBatch
from .settings import QueueSettings

__all__ = ["InflightLimits"]

_BATCHES_IN_SHARE: Final = 2
"""How many batches of full size the share of an operation holds."""


class InflightLimits:
    """The rows in flight of all channels and the bytes of their batches, and whether another batch may be sealed."""

    def __init__(self, settings: QueueSettings, channel_count: int) -> None:
        self.rows = self.size = 0
        self._settings = settings
        self._keeps_half = settings.when_full == "drop_oldest"
        self._half_bytes = settings.max_bytes // 2
        parts = channel_count if self._keeps_half else 1
        self._share_rows, self._share_bytes = settings.max_items // 2 // parts, settings.max_bytes // 2 // parts

    def batch_rows(self, batch_operation: BatchOperation) -> int:
        """How many rows a batch may have."""
        return max(1, self._batch_limit(batch_operation.max_items, self._settings.flush_items, self._share_rows))

    def batch_bytes(self, batch_operation: BatchOperation) -> int:
        """How many bytes a batch may have, unless a row of its own has more."""
        return max(2, self._batch_limit(batch_operation.max_bytes, self._settings.flush_bytes, self._share_bytes))

    def allows(self, batch: QueuedBatch, inflight_batches: Collection[InflightBatch]) -> bool:
        """Whether a batch may be sealed beside those of its channel that are in flight."""
        size = batch.size - 1
        if not self._keeps_half or not self.size:
            return True
        if self.size + size > self._half_bytes:
            return False
        rows = len(batch.rows) + sum(other.open_row_count for other in inflight_batches)
        size += sum(other.size - 1 for other in inflight_batches)
        return not inflight_batches or (rows <= self._share_rows and size <= self._share_bytes)

    def has_room(self, size: int) -> bool:
        """Whether a row of this size fits into the queue beside what is in flight."""
        return self.rows < self._settings.max_items and self.size + size <= self._settings.max_bytes

    def _batch_limit(self, documented: int, chosen: int | None, share: int) -> int:
        if self._keeps_half:
            return min(documented, chosen or documented, share // _BATCHES_IN_SHARE)
        return min(documented, chosen or share)
