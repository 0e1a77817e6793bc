"""A batch on its way: the bytes that are sent, the parts of it that are still open, and what answers mean for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from synerise_profiles._batching.attribution import BisectBudget, ChunkState, Refusal
from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.operations import BatchOperation, server_time_request
from synerise_profiles._batching.row_encoder import append_fields
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.server_clock import ClockOffset
from synerise_profiles_api.types import Request

from .buffer import QueuedBatch, QueuedRow
from .stats import Undelivered
from .timestamps import timestamp_writer

__all__ = ["InflightBatch", "QueueTask", "with_timestamps"]


class InflightBatch:
    """A batch that was taken for sending, until the fate of all its rows is known.

    `open` are the positions whose fate is not; it changes with the queue's counters, hence under the same lock, while
    the job is its sender's own as long as a request is on its way.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        batch: QueuedBatch,
        clock_offset: ClockOffset | None,
        budget: BisectBudget,
    ) -> None:
        self.size = batch.size
        self.chunk_state = ChunkState.of(Chunk(batch_operation, indexes=[entry[0] for entry in batch.entries]), budget)
        self.open_positions: list[Sequence[int]] = [range(len(batch.entries))]
        self.due_at = 0.0
        self.sub_batch: SubBatch | None = None
        """What is on its way."""
        self.counted_refusals = 0
        """How many of the refused rows are counted."""
        self._batch_operation = batch_operation
        self._queued_rows: Sequence[QueuedRow] = batch.entries
        self._clock_offset = clock_offset

    @property
    def open_row_count(self) -> int:
        """How many rows are open."""
        return sum(map(len, self.open_positions))

    @property
    def first_index(self) -> int:
        """The number of the first row that is open."""
        return self.chunk_state.chunk.indexes[min(positions[0] for positions in self.open_positions)]

    def open_indexes(self) -> Iterator[int]:
        """Yield the numbers of the open rows."""
        indexes = self.chunk_state.chunk.indexes
        return (indexes[position] for positions in self.open_positions for position in positions)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the open rows."""
        chunk, kind = self.chunk_state.chunk, self._batch_operation
        maybe_applied = self.sub_batch is not None or any(part.maybe_applied for part in self.chunk_state.pending)
        # Taken before it is looked at: the sender lets go of the entries once the body is complete, and not before.
        entries = self._queued_rows
        rows = with_timestamps(kind, entries, self._clock_offset)
        for positions in self.open_positions:
            for position in positions:
                yield Undelivered(
                    index=chunk.indexes[position],
                    operation=kind.operation.name,
                    row=rows[position] if rows else chunk.row_bytes(position),
                    maybe_applied=maybe_applied,
                )

    def request(self, sub_batch: SubBatch) -> Request[Any]:
        """Build the request of a part; of the first one with the times that are due. A second sending has the same."""
        if self._queued_rows:
            chunk = self.chunk_state.chunk
            chunk.pieces[:] = with_timestamps(self._batch_operation, self._queued_rows, self._clock_offset)
            chunk.build_body()
            self._queued_rows = ()
        return self.chunk_state.chunk.request(None if sub_batch.is_whole else sub_batch.positions)

    def pop_refused(self) -> list[tuple[int, Refusal]]:
        """Return the rows that were refused since this was asked before, with their positions."""
        found = list(self.chunk_state.refused.items())[self.counted_refusals :]
        self.counted_refusals = len(self.chunk_state.refused)
        return found


@attrs.frozen(eq=False)
class QueueTask:
    """Send a request once, `judge` what came of it and hand it back. Without a flight it asks for the server's time."""

    sub_batch: SubBatch
    sent_at: float
    inflight_batch: InflightBatch | None = None

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done without holding a lock."""
        return server_time_request() if self.inflight_batch is None else self.inflight_batch.request(self.sub_batch)

    def apply_response(self, result: SendResult) -> bool:
        """Find out what an answer means for the rows; false if it says nothing about them."""
        if self.inflight_batch is None:
            return result.is_success
        job = self.inflight_batch.chunk_state
        if result.is_success:
            if result.status == 207:
                job.accept_partially(self.sub_batch, result.content)
            else:
                job.accept(self.sub_batch)
        elif result.refuses_rows:
            job.refuse(self.sub_batch, result.content)
        return result.is_success or result.refuses_rows


def with_timestamps(
    batch_operation: BatchOperation, queued_rows: Sequence[QueuedRow], clock_offset: ClockOffset | None
) -> list[bytes]:
    """Return the bytes of rows, those without a time with that of their put."""
    if batch_operation.time_field is None or clock_offset is None:
        return [entry[2] for entry in queued_rows]
    head, write = b'"%b":"' % batch_operation.time_field.encode(), timestamp_writer()
    return [
        append_fields(item, head + write(clock_offset.earliest(put_at)) + b'"') if is_timeless else item
        for _, put_at, item, is_timeless in queued_rows
    ]
