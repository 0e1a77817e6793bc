"""What waits and flies of one kind of rows."""

from __future__ import annotations

from collections.abc import Iterator

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.throttle import Throttle

from .buffer import Buffer
from .encoding import IdentifierGroup, timestamp_reserve
from .inflight import InflightBatch
from .settings import QueueSettings

__all__ = ["Channel"]


class Channel:
    """The rows of one kind. Kinds without a time are sent one request at a time, so that the last put wins."""

    def __init__(self, batch_operation: BatchOperation, settings: QueueSettings) -> None:
        self.batch_operation = batch_operation
        self.max_inflight_batches = 1 if batch_operation.time_field is None else settings.concurrency
        self.throttle = Throttle(self.max_inflight_batches, None)
        self.inflight_batches: list[InflightBatch] = []
        self.requests_in_flight = 0
        self.failing: str | None = None
        # A batch is at most half of the queue, so that dropping always finds something that is not on its way.
        self._max_batch_items = min(batch_operation.max_items, settings.flush_items or max(1, settings.max_items // 2))
        self._max_batch_bytes = min(batch_operation.max_bytes, settings.flush_bytes or max(2, settings.max_bytes // 2))
        self._buffers: dict[IdentifierGroup, Buffer] = {}

    def buffer_for(self, group: IdentifierGroup) -> Buffer:
        """Return the line of a group."""
        line = self._buffers.get(group)
        if line is None:
            line = self._buffers[group] = Buffer(
                self._max_batch_items, self._max_batch_bytes, timestamp_reserve(self.batch_operation)
            )
        return line

    def nonempty_buffers(self) -> Iterator[Buffer]:
        """Yield the lines in which something waits."""
        return filter(None, self._buffers.values())
