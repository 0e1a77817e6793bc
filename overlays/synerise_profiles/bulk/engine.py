"""The state machine of a run: what to read, send and wait for, and what responses mean. Without I/O, for any driver.

A run keeps a window of chunks on their way, each with one request in flight, and sends before it reads on. What was
accepted is not repeated (but see `PoisonSearch.probe`): of a chunk that was refused in part only the rows in doubt.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.bisection import BisectBudget, ChunkState, SubBatchTask
from synerise_profiles._batching.machine import DONE, Call, Machine, Read, Signal, Wait
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.poison_search import Evidence, PoisonSearch
from synerise_profiles._batching.send_result import SendResult, as_not_found
from synerise_profiles._batching.throttle import Pace, Throttle
from synerise_profiles._core.logging import Outage
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import raised_text

from .chunker import Chunker
from .recorder import OutcomeRecorder
from .retries import Retries
from .settings import BulkSettings
from .timestamps import ServerTimeTask, TimestampAssigner
from .unsent_keys import UnsentKeys

__all__ = ["BulkStep", "BulkTask", "Engine"]

BulkTask: TypeAlias = SubBatchTask | ServerTimeTask
BulkStep: TypeAlias = BulkTask | Call | Read | Wait | Signal
_MAX_FAILED_REQUESTS: Final = 3
"""After so many requests in a row that were given up, with all their retries, nothing more is tried."""


class Engine(Machine[BulkTask]):
    """One run: a `Machine` that sends the rows of an input. `report` is complete once `next` has said DONE.

    `rows_are_fixed` says that reading on changes no row; `problem` why it ended early.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        settings: BulkSettings,
        recorder: OutcomeRecorder,
        timing: Timing,
        policy: RetryPolicy,
        *,
        rows_are_fixed: bool = False,
        pace: Pace | None = None,
        outage: Callable[[], Outage] | None = None,
    ) -> None:
        self.report = recorder.report
        self.problem: str | None = None
        self.error: Exception | None = None
        self.failure: BaseException | None = None
        self._batch_operation, self.settings, self._recorder = batch_operation, settings, recorder
        self._timing, self._policy, self._budget = timing, policy, BisectBudget(settings.max_bisect_requests)
        self._throttle = Throttle(settings.concurrency, settings.requests_per_second, pace)
        self._retries: Retries | None = None
        options = settings.chunker_options(rows_are_fixed=rows_are_fixed, wall=timing.wall)
        self.sample = settings.sample_of(batch_operation.identifiers, timing.random)
        self._chunker = Chunker(batch_operation, options, recorder.record_refusal, recorder.report.note, self.sample)
        self._timestamps = None if batch_operation.time_field is None else TimestampAssigner(timing, recorder.journal)
        self._states: list[ChunkState] = []
        self._ready: deque[Chunk] = deque()
        self._awaiting_journal: list[Chunk] = []
        self._outstanding: set[BulkTask] = set()
        self._outage, self._chunk_count, self._failed_streak, self._exhausted, self._done = outage, 0, 0, False, False
        self._started_at, self._evidence = timing.monotonic(), Evidence()
        self._search, self.wants_rows_at_once = PoisonSearch(self._evidence), settings.flush_after is not None
        self._unsent_keys = UnsentKeys(recorder.journal is not None)

    @property
    def max_ready_rows(self) -> int:
        """How many rows may be taken from the source before `read` gets them."""
        return self._chunker.next_block_size

    def next(self) -> BulkStep:
        """Say what to do next. Asked again at once, it may say the same: only a task and a call are said once."""
        now = self._timing.monotonic()
        self._stop(self._recorder.problem, None)
        if self._recorder.failure is not None:
            self.fail(self._recorder.failure)
        if self._recorder.settled is not None and (call := self._recorder.next_settled()) is not None:
            return call
        if self.problem is not None:
            return Wait(None) if self._outstanding else DONE if self._done else self._finish(now)
        for chunk in self._chunker.flush_due(now) if self.wants_rows_at_once and not self._ready else ():
            self._take_chunk(chunk)
        task = self._next_task(now) if self._states or self._ready else None
        if task is not None:
            return task
        if not self._states and not self._ready and self._exhausted:
            return DONE if self._done else self._finish(now)
        pause = self._pause(now) if self._states or self._ready else Wait(None)
        if self._exhausted or self._ready:
            return pause
        return Read(self._chunker.read_delay(pause.seconds, now) if self.wants_rows_at_once else pause.seconds)

    def read(self, rows: Iterable[Any]) -> bool:
        """Read rows until a chunk is full, or the run has to end; false if they end before. Then call `end`."""
        try:
            chunk = self._chunker.next_chunk(rows)
        finally:
            self.report.read = self._chunker.rows_read
        if chunk is not None:
            self._take_chunk(chunk)
        return chunk is not None or self._chunker.is_halted

    def end(self) -> None:
        """Take note that the input has ended."""
        if not self._recorder.must_end and not self._exhausted:
            chunks = self._chunker.remaining_chunks()
            self.report.read = self._chunker.rows_read
            for chunk in chunks:
                self._take_chunk(chunk)
            self._exhausted = True
            self._ready.extend(self._awaiting_journal)
            self._awaiting_journal.clear()

    def on_result(self, task: BulkTask, result: SendResult) -> None:
        """Take what came of a request."""
        if task not in self._outstanding:
            return
        now = self._timing.monotonic()
        self._outstanding.discard(task)
        self.report.requests += 1
        self.report.retries += task.sub_batch.attempts > 1 + task.sub_batch.failed_logins
        if isinstance(task, ServerTimeTask):
            self._on_server_time(task, result, now)
            return
        chunk_state, sub_batch, operation = task.chunk_state, task.sub_batch, self._batch_operation
        chunk_state.last_result, is_absent = result, result.status == 404
        is_success = result.is_success or (is_absent and sub_batch.maybe_applied and operation.not_found_is_success)
        if is_success or result.refuses_rows or (is_absent and operation.build_request is not None):
            self._on_success(sub_batch)
            chunk_state.take_answer(sub_batch, as_not_found(result) if is_absent else result, is_accepted=is_success)
            if chunk_state.last_answer_accepts:
                self._evidence.last_accepted, self._evidence.accepted_at = chunk_state, now
        else:
            self._on_failure(task, result, now)
        chunk_state.sent = None
        self._settle(chunk_state, now)
        self._recorder.note_response(task, result, now, is_success=is_success)

    def fail(self, error: BaseException) -> None:
        """Take note of what ends the run: nothing more is started."""
        self.failure = error if self.failure is None else self.failure
        self._stop(raised_text(error), None)

    def close(self) -> None:
        """End now: what is in flight is unsent, and may have been applied."""
        self.stop_driver()
        self._outstanding.clear()
        if not self._done:
            self._finish(self._timing.monotonic(), is_asked=False)
        elif self.problem is not None:
            self._mark_rest_unsent(self.problem)

    @property
    def _can_start(self) -> bool:
        """Whether the next chunk may be sent. What only waits to see whether the server is up leaves room for it."""
        if not self._ready or sum(not state.is_waiting for state in self._states) >= self.settings.concurrency:
            return False
        after = self._ready[0].after
        return after < 0 or all(after < state.chunk.number for state in self._states)

    def _open_states(self) -> list[ChunkState]:
        # Those too of which nothing is left, since the search gave up the last of it when another one passed.
        return [state for state in self._states if state.sent is None and not state.is_waiting]

    def _next_task(self, now: float) -> BulkTask | None:
        while True:
            chunk_state = next((state for state in self._open_states() if state.due <= now), None)
            if chunk_state is None and not self._can_start:
                if not self._resolve(now):
                    return None
                continue
            if len(self._outstanding) >= self._throttle.window or self._throttle.delay(now) > 0:
                return None
            if chunk_state is None:
                timestamps = self._timestamps
                if timestamps is not None and not timestamps.assign(self._ready[0]):
                    is_due = timestamps.due <= now and self._throttle.take(now)
                    return self._mark_sent(timestamps.next_task(now)) if is_due else None
                # At each moment it is in one of the two, or in both, so that an interrupt loses none.
                chunk_state = ChunkState.of(self._ready[0], self._budget)
                self._states.append(chunk_state)
                self._ready.popleft()
            if self._unsent_keys.keys:
                self._unsent_keys.hold_back(chunk_state)
            if chunk_state.pending:
                return self._send(chunk_state, now)
            self._settle(chunk_state, now)

    def _resolve(self, now: float) -> bool:
        """Go on where nothing else can be sent by which the server would be seen; false if there is no need to."""
        if self._outstanding or not (self._ready or self._exhausted):
            return False
        if not self._states or not all(state.is_waiting for state in self._states):
            return False
        probe = self._search.probe(self._budget, now)
        for state in tuple(self._states) if probe is None else ():
            self._search.give_up(state)
            self._settle(state, now)
        self._states += [] if probe is None else [probe]
        return True

    def _send(self, chunk_state: ChunkState, now: float) -> BulkTask | None:
        may_send = self._throttle.take(now)
        if not may_send or not self._recorder.record_on_its_way(chunk_state.chunk, chunk_state.pending[-1]):
            return None
        sub_batch = chunk_state.take_next()
        self.report.bytes_sent += chunk_state.chunk.size_of(sub_batch)
        task = SubBatchTask(sub_batch, now, chunk_state, with_digest=self._recorder.journal is not None)
        return self._mark_sent(task)

    def _mark_sent(self, task: BulkTask) -> BulkTask:
        self._evidence.sent += 1
        task.sub_batch.mark_sent(task.sent_at, self._evidence.sent, self._evidence.last_passed)
        self._outstanding.add(task)
        return task

    def _pause(self, now: float) -> Wait:
        """Until when nothing can be done but to wait for a response."""
        due, can_start = min((state.due for state in self._open_states()), default=math.inf), self._can_start
        if (due == math.inf and not can_start) or len(self._outstanding) >= self._throttle.window:
            return Wait(None)
        if can_start:
            times = self._timestamps
            due = min(due, now if times is None or times.assign(self._ready[0]) else times.due)
        return Wait(None if due == math.inf else max(0.0, due - now, self._throttle.delay(now)))

    def _on_failure(self, task: SubBatchTask, result: SendResult, now: float) -> None:
        chunk_state, sub_batch = task.chunk_state, task.sub_batch
        self._search.on_failure(sub_batch, result)
        delay = self._retry_delay(task, result, now)
        self._recorder.record_failure(chunk_state.chunk, sub_batch)
        if delay is not None:
            chunk_state.pending.append(sub_batch)
            chunk_state.due = now + delay
            return
        # After a 207 without its list too: the server takes batches, and cannot say how.
        if self._search.take(chunk_state, sub_batch, result) or result.is_unreadable_partial:
            return
        if result.is_final:
            self._stop(f"the server takes none of these requests: {result.description}", result.error)
            return
        self._failed_streak += 1
        others = (state for state in self._states if state is not chunk_state)
        is_last = self._exhausted and not self._ready and all(state.is_waiting for state in others)
        if self._failed_streak == _MAX_FAILED_REQUESTS or (is_last and not self._evidence.last_passed):
            self._stop(f"the server takes nothing more: {result.description}", result.error)

    def _on_success(self, sub_batch: SubBatch) -> None:
        self._failed_streak = 0
        if self._retries is not None:
            self._retries.end_outage()
        self._evidence.last_passed = max(self._evidence.last_passed, sub_batch.number)
        self._evidence.passed += not sub_batch.was_parked
        self._throttle.on_success()
        if self._search.is_on:
            self._search.on_success(self._states)

    def _on_server_time(self, task: ServerTimeTask, result: SendResult, now: float) -> None:
        if result.is_success and task.assigner.record(task, now, result.content):
            return
        delay = None if result.is_success else self._retry_delay(task, result, now)
        if delay is None:
            self._stop(f"the server does not tell its time: {result.description}", result.error)
        else:
            task.assigner.due = now + delay

    def _retry_delay(self, task: BulkTask, result: SendResult, now: float) -> float | None:
        shared = self._policy, self._throttle, self._timing, self._outage
        self._retries = self._retries or Retries(self._batch_operation.operation, self.report, *shared)
        return self._retries.delay(task, result, now, last_passed=self._evidence.last_passed)

    def _take_chunk(self, chunk: Chunk) -> None:
        """Take a full chunk. It is not sent if the journal has it, nor before all of the journal was compared."""
        self._chunk_count += 1
        journal = self._recorder.journal
        if journal is None:
            self._ready.append(chunk)
            self._chunker.handed_out.popleft()
            return
        self._awaiting_journal.append(chunk)
        self._chunker.handed_out.popleft()
        if self._recorder.record_resumed(chunk, rows_are_built=self._chunker.preparer.has_built_rows):
            self._awaiting_journal.pop()
            self._recorder.report_progress(len(self._outstanding), self._timing.monotonic() - self._started_at)
        if chunk.number >= journal.last_number:
            self._ready.extend(self._awaiting_journal)
            self._awaiting_journal.clear()

    def _settle(self, chunk_state: ChunkState, now: float) -> None:
        """Take note of what is settled of a chunk; write it down if that is all of it."""
        if chunk_state.parked:
            self._search.resume(chunk_state)
        if self.settings.ordered and chunk_state.refused and chunk_state.has_unsent:
            self._unsent_keys.add(chunk_state)
        if chunk_state.is_settled:
            self._recorder.record(chunk_state)
            self._states.remove(chunk_state)
            self._recorder.report_progress(len(self._outstanding), now - self._started_at)

    def _stop(self, problem: str | None, error: Exception | None) -> None:
        if self.problem is None and problem is not None:
            self.problem, self.error = problem, error
            self._recorder.keeps_unsent = False  # it is to come again

    def _finish(self, now: float, *, is_asked: bool = True) -> BulkStep:
        try:
            if self.problem is None:
                self._recorder.record_end(self._chunk_count)
        except Exception as error:  # noqa: BLE001 - the driver raises it
            self.fail(error)
        if self.problem is not None:
            self._mark_rest_unsent(self.problem)
        if self._batch_operation.salt_field is not None:
            self.report.notes |= self._chunker.preparer.notes(has_journal=self._recorder.journal is not None)
        self.report.complete = self.problem is None and not self.report.by_stage["unsent"]
        self.report.timings.held_seconds = self._throttle.held_seconds
        self._done = True  # from here on nothing is done again
        self._recorder.report_progress(0, now - self._started_at)
        self.failure = self._recorder.failure if self.failure is None else self.failure
        return self.next() if is_asked and self._recorder.settled is not None else DONE

    def _mark_rest_unsent(self, problem: str) -> None:
        """Report all rows that the source gave and that have no fate yet as unsent."""
        self._chunker.find_unplaced(self.unread_rows())
        waiting = (*self._ready, *self._awaiting_journal, *self._chunker.handed_out, *self._chunker.open_chunks())
        known = {id(self._recorder.resumed_last), *(id(state.chunk) for state in self._states)}
        chunks = {id(chunk): chunk for chunk in waiting if id(chunk) not in known}  # some stand there twice
        self._states += [ChunkState.of(chunk, self._budget) for chunk in chunks.values()]
        self._ready, self._awaiting_journal, self._chunker.handed_out = deque(), [], deque()
        for state in (state for state in self._states if not state.is_recorded):
            if state.parked:
                self._search.give_up(state)
            state.mark_rest_unsent(f"the run ended: {problem}")
            self._recorder.record(state)
        self._states.clear()
        self._recorder.record_unread(self._chunker.unplaced, f"the run ended: {problem}")
