"""Batches in flight: what is sent of them, and what an answer means for their rows.

A batch is sealed when it is taken from its buffer. From then on its rows, their order and their bytes stay the same, so
that sending it again overwrites what the first sending may have stored.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any

import attrs
import orjson

from synerise_profiles._batching.attribution import Refusal, count_note
from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.bisection import BisectBudget, ChunkState
from synerise_profiles._batching.operations import BatchOperation, server_time_request
from synerise_profiles._batching.row_keys import keys_of_sent_row
from synerise_profiles._batching.send_result import SendResult, result_of_exception, send_result_of
from synerise_profiles._core.confirmation import unlisted_note
from synerise_profiles._core.instruments import count_rows, is_traced
from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles._core.server_clock import ClockOffset
from synerise_profiles._core.telemetry import describe_batch
from synerise_profiles_api.types import Request, Response

from .buffer import QueuedBatch, QueuedRow
from .stats import Undelivered
from .timestamps import with_timestamps

__all__ = ["AnswerResult", "InflightBatch", "QueueTask", "TaskOutcome"]


class InflightBatch:
    """A sealed batch, from its first sending until each of its rows is delivered or refused.

    `open_positions` are those of the rows that are neither. They change together with the queue's counters, hence under
    the same lock, while `chunk_state` belongs to the sender alone as long as a request is in flight.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        batch: QueuedBatch,
        clock_offset: ClockOffset | None,
        budget: BisectBudget,
    ) -> None:
        self.size = batch.size
        self.keys = batch.keys
        self.chunk_state = ChunkState.of(Chunk(batch_operation, indexes=[row[0] for row in batch.rows]), budget)
        self.open_positions: list[Sequence[int]] = [range(len(batch.rows))]
        self.is_stuck = False
        """Whether the server broke at all that could be sent of it, and nothing passed since."""
        self.due_at = 0.0
        """When it may be sent again, in monotonic seconds."""
        self.sub_batch: SubBatch | None = None
        """The rows whose request is in flight; None if there is no request."""
        self.counted_refusals = 0
        """How many of the refused rows `pop_refused` has returned."""
        self._batch_operation = batch_operation
        self._queued_rows: Sequence[QueuedRow] = batch.rows
        self._clock_offset = clock_offset
        self._counted_accepted = self._counted_refused = 0

    def is_of(self, batch_operation: BatchOperation) -> bool:
        """Whether its rows are of this operation."""
        return self._batch_operation is batch_operation

    def unsettled(self) -> list[SubBatch]:
        """Return what is to be sent, and what is parked."""
        return [*self.chunk_state.pending, *self.chunk_state.parked]

    @property
    def open_row_count(self) -> int:
        """How many rows are open."""
        return sum(map(len, self.open_positions))

    @property
    def first_index(self) -> int:
        """The index of the first open row."""
        return self.chunk_state.chunk.indexes[min(positions[0] for positions in self.open_positions)]

    def open_indexes(self) -> Iterator[int]:
        """Yield the indexes of the open rows."""
        indexes = self.chunk_state.chunk.indexes
        return (indexes[position] for positions in self.open_positions for position in positions)

    def open_keys(self) -> Iterator[Hashable]:
        """Yield what the open rows write. Those that were sent before are parsed once."""
        if self._queued_rows:
            operation = self._batch_operation
            yield from (key for row in self.undelivered() for key in keys_of_sent_row(operation, orjson.loads(row.row)))
        else:
            row_keys = self.chunk_state.row_keys
            yield from (key for positions in self.open_positions for at in positions for key in row_keys(at))

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the open rows."""
        chunk = self.chunk_state.chunk
        maybe_applied = self.sub_batch is not None or any(part.maybe_applied for part in self.unsettled())
        # Read once, before it is tested: a sender drops the rows as soon as the body is complete, and not before.
        queued_rows = self._queued_rows
        rows = with_timestamps(self._batch_operation, queued_rows, self._clock_offset)
        for positions in self.open_positions:
            for position in positions:
                yield Undelivered(
                    index=chunk.indexes[position],
                    operation=self._batch_operation.operation.name,
                    row=rows[position] if rows else chunk.row_bytes(position),
                    maybe_applied=maybe_applied,
                )

    def request(self, sub_batch: SubBatch) -> Request[Any]:
        """Build the request of some rows. The first one writes the missing times into the body, for all later ones."""
        if self._queued_rows:
            chunk = self.chunk_state.chunk
            chunk.pieces[:] = with_timestamps(self._batch_operation, self._queued_rows, self._clock_offset)
            chunk.build_body()
            self._queued_rows = ()
        return self.chunk_state.chunk.request(None if sub_batch.is_whole else sub_batch.positions)

    def count_fates(self) -> None:
        """Count, for metrics, the rows whose fate became known since the last time."""
        state, name = self.chunk_state, self._batch_operation.operation.name
        count_rows(name, "accepted", state.accepted - self._counted_accepted)
        self._counted_accepted = state.accepted
        refusals = list(state.refused.values())
        for refusal in refusals[self._counted_refused :]:
            count_rows(name, refusal.stage, 1)
        self._counted_refused = len(refusals)

    def pop_refused(self) -> list[tuple[int, Refusal]]:
        """Return the rows that were refused since the last call, with their positions."""
        refused = list(self.chunk_state.refused.items())[self.counted_refusals :]
        self.counted_refusals = len(self.chunk_state.refused)
        return refused


@attrs.frozen(eq=False)
class QueueTask:
    """One request to send once. Without a batch it is GET /v4/server/time.

    The driver sends `request()`, passes the outcome to `apply_response`, and both to `QueueCore.on_result`.
    """

    sub_batch: SubBatch
    sent_at: float
    inflight_batch: InflightBatch | None = None

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done without holding a lock."""
        batch, sub_batch = self.inflight_batch, self.sub_batch
        request = server_time_request() if batch is None else batch.request(sub_batch)
        if batch is not None and is_traced():
            describe_batch(request, len(sub_batch.positions), sub_batch.attempts - 1)
        return request

    def apply_response(self, result: SendResult) -> bool:
        """Work out what an answer means for each row, without holding a lock; false if it says nothing about them."""
        if self.inflight_batch is None:
            return result.is_success
        is_conclusive = result.is_success or result.refuses_rows
        if is_conclusive:
            self.inflight_batch.chunk_state.take_answer(self.sub_batch, result, is_accepted=result.is_success)
        return is_conclusive

    def count(self, result: SendResult, notes: dict[str, int]) -> None:
        """Count what an answer says for metrics, and a response that confirms rows and is not documented so."""
        if self.inflight_batch is None:
            return
        if is_traced():
            self.inflight_batch.count_fates()
        if result.status is None or not result.is_success:
            return
        operation = self.inflight_batch.chunk_state.chunk.batch_operation.operation
        note = unlisted_note(operation, result.status, result.content)
        if note is not None:
            count_note(notes, note)


@attrs.define(eq=False)
class TaskOutcome:
    """What came of a task, however far its sending came: by default nothing is known of its rows, which stay held."""

    task: QueueTask
    result: SendResult = attrs.field(factory=lambda: SendResult(failure=AttemptFailure()), init=False)
    is_conclusive: bool = attrs.field(default=False, init=False)
    error: BaseException | None = attrs.field(default=None, init=False)
    """What a hook raised, or anything else that is not about the request."""

    def send(self, send: Callable[[Request[Any]], Response[Any]], notes: dict[str, int]) -> None:
        """Send the request, and work out what the answer means; keep an error that is not about it."""
        request = self.task.request()
        try:
            answer = send_result_of(send(request))
        except BaseException as error:  # noqa: BLE001 - the core knows what it means
            answer, self.error = result_of_exception(request, error)
        self.is_conclusive = self.task.apply_response(answer)
        self.result = answer
        self.task.count(answer, notes)


@attrs.frozen
class AnswerResult:
    """What the caller's functions are called with after an answer.

    These are the rows of `chunk` that were refused, by position, the error after which a request is sent again, and
    what a hook of the client raised.
    """

    chunk: Chunk | None
    refused: Sequence[tuple[int, Refusal]] = ()
    error: Exception | None = None
    hook_error: BaseException | None = None

    @property
    def needs_callbacks(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.refused) or self.error is not None or self.hook_error is not None
