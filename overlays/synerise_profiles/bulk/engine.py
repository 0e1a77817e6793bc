"""The core of a run: what to read, send and wait for, and what answers mean. It neither sends, waits nor sleeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.attribution import BisectBudget, ChunkState
from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.machine import DONE, Read, Signal, Wait
from synerise_profiles._batching.operations import BatchOperation, parse_server_time, server_time_request
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Throttle
from synerise_profiles._core.logging import log_retry
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy, decide_retry
from synerise_profiles._core.server_clock import ClockState
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request

from .chunker import Chunker, ChunkerOptions
from .recorder import OutcomeRecorder
from .settings import BulkSettings
from .verification import Sample, Verifier

__all__ = ["BulkStep", "BulkTask", "Engine"]


@attrs.frozen(eq=False)
class BulkTask:
    """Send a request once, and hand the outcome back by `answered`. Without a job it asks for the server's time."""

    sub_batch: SubBatch
    sent_at: float
    chunk_state: ChunkState | None = None
    with_digest: bool = False

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done beside the main thread."""
        if self.chunk_state is None:
            return server_time_request()
        return self.chunk_state.chunk.request(
            None if self.sub_batch.is_whole else self.sub_batch.positions, with_digest=self.with_digest
        )


BulkStep: TypeAlias = BulkTask | Read | Wait | Signal
_MAX_FAILED_REQUESTS: Final = 3
"""After so many requests in a row that were given up, with all their retries, nothing more is tried."""


class Engine:
    """One run. Ask `next` what to do; give rows to `read`, and what came of a `Send` to `answered`."""

    def __init__(
        self,
        batch_operation: BatchOperation,
        settings: BulkSettings,
        recorder: OutcomeRecorder,
        timing: Timing,
        policy: RetryPolicy,
    ) -> None:
        self.report = recorder.report
        self.problem: str | None = None
        """Why the run ended early."""
        self.error: Exception | None = None
        self._batch_operation = batch_operation
        self._settings = settings
        self._recorder = recorder
        self._timing = timing
        self._policy = policy
        self._throttle = Throttle(settings.concurrency, settings.requests_per_second)
        self._budget = BisectBudget(settings.max_bisect_requests)
        options = ChunkerOptions(
            checks=settings.checks,
            allow_null=frozenset(settings.allow_null),
            reference=settings.reference,
            salt=settings.salt,
            keep_duplicates=settings.keep_duplicates,
        )
        self._sample = (
            Sample(settings.verify_sample, batch_operation.identifiers, timing.random)
            if settings.verify_sample
            else None
        )
        self._chunker = Chunker(batch_operation, options, recorder.record_refusal, recorder.report.note, self._sample)
        self._chunk_states: list[ChunkState] = []
        self._ready: deque[Chunk] = deque()
        self._awaiting_journal: list[Chunk] = []
        self._in_flight = 0
        self._chunk_count = 0
        self._exhausted = False
        self._done = False
        self._server_clock = ClockState()
        self._clock_sub_batch = SubBatch(())
        self._clock_due: float | None = 0.0
        self._started_at = timing.monotonic()
        self._failed_streak = 0
        self._had_success = False

    def next(self) -> BulkStep:
        """Say what to do next. Asked again at once, it may say the same: only `Send` is said once."""
        now = self._timing.monotonic()
        self._stop(self._recorder.problem, None)
        if self.problem is not None:
            return Wait(None) if self._in_flight else self._finish(now)
        send = self._next_task(now)
        if send is not None:
            return send
        if not self._exhausted and not self._ready:
            return Read(self._pause(now).seconds)
        if not self._chunk_states and not self._ready:
            return self._finish(now)
        return self._pause(now)

    def read(self, rows: Iterable[Any]) -> bool:
        """Read rows until a chunk is full, or the run has to end; false if they end before. Then call `end`."""
        try:
            chunk = self._chunker.next_chunk(rows)
        finally:
            self.report.read = self._chunker.rows_read
        if chunk is not None:
            self._take_chunk(chunk)
        return chunk is not None or self._recorder.problem is not None

    def end(self) -> None:
        """The input has ended."""
        if self._recorder.problem is None and not self._exhausted:
            for chunk in self._remaining_chunks():
                self._take_chunk(chunk)
            self._exhausted = True
            self._ready.extend(self._awaiting_journal)
            self._awaiting_journal.clear()

    def on_result(self, task: BulkTask, result: SendResult) -> None:
        """Take what came of a request."""
        now, report = self._timing.monotonic(), self.report
        self._in_flight -= 1
        report.requests += 1
        report.retries += task.sub_batch.attempts > 1
        job, part = task.chunk_state, task.sub_batch
        if job is None:
            self._on_server_time(task, result, now)
            return
        job.in_flight = False
        refuses = result.refuses_rows or (self._batch_operation.build_request is not None and result.status == 404)
        if result.is_success or (
            result.status == 404 and part.maybe_applied and self._batch_operation.not_found_is_success
        ):
            self._on_success()
            if result.status == 207:
                job.accept_partially(part, result.content)
            else:
                job.accept(part)
        elif refuses:
            self._on_success()
            job.refuse(part, result.content)
        else:
            self._on_failure(job, task, result, now)
        self._record_if_finished(job, now)

    def start_verification(self) -> Verifier | None:
        """Begin to compare a sample with what the server holds, where that was asked for and the run came to an end."""
        if self._sample is None or self._batch_operation.schema is None or self.problem is not None:
            return None
        settings = self._settings
        return Verifier(
            self._sample,
            self._batch_operation.schema,
            concurrency=settings.concurrency,
            within=settings.verify_within,
            timing=self._timing,
        )

    def _next_task(self, now: float) -> BulkTask | None:
        if self._in_flight >= self._throttle.window or self._throttle.delay(now) > 0:
            return None
        job = next((job for job in self._chunk_states if not job.in_flight and job.due <= now), None)
        if job is None:
            if not self._ready or len(self._chunk_states) >= self._settings.concurrency:
                return None
            if not self._ensure_time(self._ready[0]):
                return self._request_server_time(now)
            job = ChunkState.of(self._ready.popleft(), self._budget)
            self._chunk_states.append(job)
        part = job.pending.pop()
        job.in_flight = True
        if part.is_whole:
            job.chunk.build_body()
        self.report.bytes_sent += job.chunk.size_of(part)
        return self._mark_sent(BulkTask(part, now, job, with_digest=self._recorder.journal is not None))

    def _mark_sent(self, task: BulkTask) -> BulkTask:
        task.sub_batch.attempts += 1
        if task.sub_batch.attempts == 1:
            task.sub_batch.started_at = task.sent_at
        self._in_flight += 1
        self._throttle.on_sent(task.sent_at)
        return task

    def _pause(self, now: float) -> Wait:
        """Until when nothing can be done but to wait for an answer."""
        if self._in_flight >= self._throttle.window:
            return Wait(None)
        dues = [job.due for job in self._chunk_states if not job.in_flight]
        if self._ready and len(self._chunk_states) < self._settings.concurrency:
            needs_time = not self._ensure_time(self._ready[0])
            dues.append(self._clock_due if needs_time and self._clock_due is not None else now)
            if needs_time and self._clock_due is None:
                dues.pop()
        if not dues:
            return Wait(None)
        return Wait(max(0.0, min(dues) - now, self._throttle.delay(now)))

    def _on_failure(self, chunk_state: ChunkState, task: BulkTask, result: SendResult, now: float) -> None:
        part = task.sub_batch
        delay = self._retry_delay(part, result, task.sent_at, now)
        if delay is not None:
            chunk_state.pending.append(part)
            chunk_state.due = now + delay
            log_retry(self._batch_operation.operation, result.description, delay, part.attempts)
            return
        fate = "it may have been applied, and can be sent again" if part.maybe_applied else "it was not applied"
        chunk_state.mark_unsent(part, f"{result.description}; {fate}")
        if result.is_final:
            self._stop(f"the server takes none of these requests: {result.description}", result.error)
            return
        self._failed_streak += 1
        is_last = self._exhausted and not self._ready and len(self._chunk_states) == 1
        if self._failed_streak == _MAX_FAILED_REQUESTS or (is_last and not self._had_success):
            self._stop(f"the server takes nothing more: {result.description}", result.error)

    def _on_success(self) -> None:
        self._failed_streak, self._had_success = 0, True
        self._throttle.on_success()

    def _retry_delay(self, sub_batch: SubBatch, result: SendResult, sent_at: float, now: float) -> float | None:
        """Seconds until a part is sent again; None if it is not. A throttled one holds the others back too."""
        failure = result.failure
        # The client has renewed its token once already. Where others were accepted, the new one may have expired too.
        is_token = result.status == 401 and self._had_success
        if failure is None or (result.is_final and not is_token):
            return None
        if result.is_unreadable or is_token:
            failure = AttemptFailure(maybe_received=not is_token)
        sub_batch.maybe_applied = sub_batch.maybe_applied or (
            failure.maybe_received and result.status not in (429, 503)
        )
        is_throttled = result.status in (429, 503)
        attempt = self._throttle.on_throttled(now, sent_at) if is_throttled else sub_batch.attempts
        decision = decide_retry(
            self._policy,
            failure,
            repeatable=True,
            attempt=attempt,
            elapsed=now - (self._throttle.throttled_since if is_throttled else sub_batch.started_at),
            random=self._timing.random,
        )
        if is_throttled and decision.delay is not None:
            self._throttle.hold_until(now + decision.delay)
        return decision.delay

    def _take_chunk(self, chunk: Chunk) -> None:
        """Take a full chunk. What an earlier run settled is not sent; nothing is sent before all that is verified."""
        chunk.number = self._chunk_count
        self._chunk_count += 1
        journal = self._recorder.journal
        if journal is None:
            self._ready.append(chunk)
            return
        if not self._recorder.record_resumed(chunk):
            self._awaiting_journal.append(chunk)
        else:
            self._recorder.report_progress(self._in_flight, self._timing.monotonic() - self._started_at)
        if chunk.number >= journal.last_number:
            self._ready.extend(self._awaiting_journal)
            self._awaiting_journal.clear()

    def _ensure_time(self, chunk: Chunk) -> bool:
        """Set the time of rows that have none; false while the server's clock is not known."""
        if not chunk.untimed_positions or chunk.time is not None:
            return True
        journal = self._recorder.journal
        time = None if journal is None else journal.time_of(chunk.number)
        if time is None:
            # Never later than the server's own: a time in the future would take a salt its effect.
            bounds = self._server_clock.bounds(self._timing.monotonic())
            if bounds is None:
                return False
            time = bounds.earliest.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if journal is not None:
            chunk.digest()
            journal.record_time(chunk.number, time)
        chunk.set_time(time)
        return True

    def _request_server_time(self, now: float) -> BulkTask | None:
        if self._clock_due is None or self._clock_due > now:
            return None
        self._clock_due = None
        return self._mark_sent(BulkTask(self._clock_sub_batch, now))

    def _on_server_time(self, task: BulkTask, result: SendResult, now: float) -> None:
        if result.is_success:
            told = parse_server_time(result.content)
            if told is not None:
                self._server_clock.record_measurement(task.sent_at, now, self._timing.wall(), told)
                return
        delay = None if result.is_success else self._retry_delay(task.sub_batch, result, task.sent_at, now)
        if delay is None:
            self._stop(f"the server does not tell its time: {result.description}", result.error)
        else:
            self._clock_due = now + delay

    def _remaining_chunks(self) -> list[Chunk]:
        chunks = self._chunker.remaining_chunks()
        self.report.read = self._chunker.rows_read
        return chunks

    def _record_if_finished(self, chunk_state: ChunkState, now: float) -> None:
        if not chunk_state.pending and not chunk_state.in_flight:
            self._chunk_states.remove(chunk_state)
            self._recorder.record(chunk_state)
            self._recorder.report_progress(self._in_flight, now - self._started_at)

    def _stop(self, problem: str | None, error: Exception | None) -> None:
        if self.problem is None and problem is not None:
            self.problem, self.error = problem, error

    def _finish(self, now: float) -> BulkStep:
        if not self._done:
            self._done = True
            if self.problem is None:
                self._recorder.record_end(self._chunk_count)
            else:
                self._mark_rest_unsent(self.problem)
            report = self.report
            report.complete = self.problem is None and not report.by_stage["unsent"]
            self._recorder.report_progress(0, now - self._started_at)
        return DONE

    def _mark_rest_unsent(self, problem: str) -> None:
        """Tell of all rows that were read and are not settled."""
        waiting = [*self._ready, *self._awaiting_journal, *self._remaining_chunks()]
        for job in [*self._chunk_states, *(ChunkState.of(chunk, self._budget) for chunk in waiting)]:
            job.mark_rest_unsent(f"the run ended: {problem}")
            self._recorder.record(job)
        self._chunk_states.clear()
