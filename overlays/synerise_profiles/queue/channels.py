"""A channel: the rows of one operation, those that wait and those in flight, and which of them are due.

Each operation has a channel of its own, so that one whose key lacks a permission, or whose server asks for a pause,
does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_encoder import IdentifierGroup, timestamp_reserve
from synerise_profiles._batching.throttle import Pace, Throttle

from .buffer import Buffer
from .inflight import InflightBatch
from .limits import InflightLimits
from .settings import QueueSettings
from .timestamps import QueueClock

__all__ = ["Channel"]


class Channel:
    """A buffer for each group of rows that may share a request, and the batches in flight.

    Where rows have no time (profiles), one request follows the other, so that the last put wins; else a batch waits for
    those in flight that have a row with the same key. `failing` is the reason of the last failure, None after a
    success. Times are monotonic seconds.
    """

    def __init__(
        self, batch_operation: BatchOperation, settings: QueueSettings, limits: InflightLimits, pace: Pace | None = None
    ) -> None:
        self.batch_operation = batch_operation
        self.max_inflight_batches = 1 if batch_operation.time_field is None else settings.concurrency
        self.throttle = Throttle(self.max_inflight_batches, None, pace)
        self.inflight_batches: list[InflightBatch] = []
        self.requests_in_flight = 0
        self.failing: str | None = None
        self._limits = limits
        self._flush_after = settings.flush_after
        self._buffers: dict[IdentifierGroup, Buffer] = {}

    def buffer_for(self, group: IdentifierGroup) -> Buffer:
        """Return the buffer of a group."""
        buffer = self._buffers.get(group)
        if buffer is None:
            buffer = self._buffers[group] = Buffer(
                self._limits.batch_rows(self.batch_operation),
                self._limits.batch_bytes(self.batch_operation),
                timestamp_reserve(self.batch_operation),
            )
        return buffer

    def nonempty_buffers(self) -> Iterator[Buffer]:
        """Yield the buffers that hold rows."""
        return filter(None, self._buffers.values())

    def may_send(self, now: float) -> bool:
        """Whether the AIMD window has room for a request, and the server has not asked for a pause."""
        return self.requests_in_flight < self.throttle.window and self.throttle.delay(now) <= 0

    def due_inflight_batch(self, now: float) -> InflightBatch | None:
        """Return the first batch in flight that is to be sent again, or of which another part is to be sent."""
        return next((batch for batch in self.inflight_batches if batch.sub_batch is None and batch.due_at <= now), None)

    def due_buffer(self, now: float, flush_mark: int) -> Buffer | None:
        """Return the buffer whose oldest batch is to be sealed and sent: of those, the one with the oldest row."""
        if len(self.inflight_batches) >= self.max_inflight_batches:
            return None
        due = [
            buffer
            for buffer in self.nonempty_buffers()
            if self._due_time(buffer, flush_mark) <= now and not self._must_wait(buffer)
        ]
        return min(due, key=lambda buffer: buffer.head[0], default=None)

    def due_times(self, now: float, flush_mark: int, clock: QueueClock) -> Iterator[float]:
        """Yield the times at which there may be something to send, other than because of an answer."""
        if self.requests_in_flight >= self.throttle.window:
            return
        earliest = now + self.throttle.delay(now)
        for batch in self.inflight_batches:
            if batch.sub_batch is None:
                yield max(batch.due_at, earliest)
        if len(self.inflight_batches) < self.max_inflight_batches:
            for buffer in self.nonempty_buffers():
                if self._must_wait(buffer):
                    continue
                waits_for_clock = buffer.batches[0].is_untimed and clock.offset is None
                if not (waits_for_clock and clock.is_request_pending):
                    clock_due = clock.next_request_at if waits_for_clock else 0.0
                    yield max(self._due_time(buffer, flush_mark), earliest, clock_due)

    def first_indexes(self) -> Iterator[int]:
        """Yield the index of the oldest row of each buffer and each batch in flight."""
        yield from (buffer.head[0] for buffer in self.nonempty_buffers())
        yield from (batch.first_index for batch in self.inflight_batches)

    def held_indexes(self) -> Iterator[int]:
        """Yield the indexes of all rows that are held."""
        yield from (row[0] for buffer in self.nonempty_buffers() for row in buffer)
        yield from (index for batch in self.inflight_batches for index in batch.open_indexes())

    def _must_wait(self, buffer: Buffer) -> bool:
        """Whether there is no room in flight for the oldest batch, or it has a row that would overwrite one in flight.

        Such a row could be overtaken by that one.
        """
        batch = buffer.batches[0]
        if not self._limits.allows(batch, self.inflight_batches):
            return True
        keys = batch.keys
        return bool(keys) and any(not keys.isdisjoint(other.keys) for other in self.inflight_batches)

    def _due_time(self, buffer: Buffer, flush_mark: int) -> float:
        if buffer.is_full or buffer.head[0] < flush_mark:
            return 0.0
        return buffer.head[1] + self._flush_after
