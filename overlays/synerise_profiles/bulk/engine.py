"""The core of a run: what to read, send and wait for, and what answers mean. It neither sends, waits nor sleeps."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.attribution import complaints_of
from synerise_profiles._batching.batch import Chunk, Part
from synerise_profiles._batching.bisection import Budget, Job
from synerise_profiles._batching.machine import DONE, Read, Signal, Wait
from synerise_profiles._batching.operations import Kind, clock_request, told_time
from synerise_profiles._batching.send_result import Outcome
from synerise_profiles._batching.throttle import Pace
from synerise_profiles._core.logging import log_retry
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy, decide_retry
from synerise_profiles._core.server_clock import ClockState
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request

from .chunker import Intake, IntakeOptions
from .recorder import Ledger
from .sample import Sample
from .settings import Settings
from .verification import ReadBack

__all__ = ["Engine", "Send", "Step"]


@attrs.frozen(eq=False)
class Send:
    """Send a request once, and hand the outcome back by `answered`. Without a job it asks for the server's time."""

    part: Part
    at: float
    job: Job | None = None
    with_digest: bool = False

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done beside the main thread."""
        if self.job is None:
            return clock_request()
        return self.job.chunk.request(None if self.part.whole else self.part.positions, with_digest=self.with_digest)


Step: TypeAlias = Send | Read | Wait | Signal
_HOPELESS: Final = 3
"""After so many requests in a row that were given up, with all their retries, nothing more is tried."""


class Engine:
    """One run. Ask `next` what to do; give rows to `read`, and what came of a `Send` to `answered`."""

    def __init__(self, kind: Kind, settings: Settings, ledger: Ledger, timing: Timing, policy: RetryPolicy) -> None:
        self.report = ledger.report
        self.problem: str | None = None
        """Why the run ended early."""
        self.error: Exception | None = None
        self._kind = kind
        self._settings = settings
        self._ledger = ledger
        self._timing = timing
        self._policy = policy
        self._pace = Pace(settings.concurrency, settings.requests_per_second)
        self._budget = Budget(settings.max_bisect_requests)
        options = IntakeOptions(
            checks=settings.checks,
            allow_null=frozenset(settings.allow_null),
            reference=settings.reference,
            salt=settings.salt,
            keep_duplicates=settings.keep_duplicates,
        )
        self._sample = Sample(settings.verify, kind.identifiers, timing.random) if settings.verify else None
        self._intake = Intake(kind, options, ledger.refuse, ledger.report.note, self._sample)
        self._jobs: list[Job] = []
        self._ready: deque[Chunk] = deque()
        self._unverified: list[Chunk] = []
        self._in_flight = 0
        self._chunks = 0
        self._exhausted = False
        self._done = False
        self._server_clock = ClockState()
        self._clock = Part(())
        self._clock_due: float | None = 0.0
        self._begun = timing.monotonic()
        self._given_up = 0
        self._took_any = False

    def next(self) -> Step:
        """Say what to do next. Asked again at once, it may say the same: only `Send` is said once."""
        now = self._timing.monotonic()
        self._stop(self._ledger.problem, None)
        if self.problem is not None:
            return Wait(None) if self._in_flight else self._finish(now)
        send = self._next_send(now)
        if send is not None:
            return send
        if not self._exhausted and not self._ready:
            return Read(self._pause(now).seconds)
        if not self._jobs and not self._ready:
            return self._finish(now)
        return self._pause(now)

    def read(self, rows: Iterable[Any]) -> bool:
        """Read rows until a chunk is full, or the run has to end; false if they end before. Then call `end`."""
        try:
            chunk = self._intake.take(rows)
        finally:
            self.report.read = self._intake.read
        if chunk is not None:
            self._arrived(chunk)
        return chunk is not None or self._ledger.problem is not None

    def end(self) -> None:
        """The input has ended."""
        if self._ledger.problem is None and not self._exhausted:
            for chunk in self._rest():
                self._arrived(chunk)
            self._exhausted = True
            self._ready.extend(self._unverified)
            self._unverified.clear()

    def answered(self, send: Send, outcome: Outcome) -> None:
        """Take what came of a request."""
        now, report = self._timing.monotonic(), self.report
        self._in_flight -= 1
        report.requests += 1
        report.retries += send.part.attempts > 1
        job, part = send.job, send.part
        if job is None:
            self._clock_answered(send, outcome, now)
            return
        job.in_flight = False
        refuses = outcome.refuses_rows or (self._kind.single is not None and outcome.status == 404)
        if outcome.is_success or (outcome.status == 404 and part.maybe_applied and self._kind.gone_is_done):
            self._went_well()
            if outcome.status == 207:
                job.accept_some(part, complaints_of(outcome.content) or [])
            else:
                job.accept(part)
        elif refuses:
            self._went_well()
            job.refuse(part, outcome.content)
        else:
            self._failed(job, send, outcome, now)
        self._settle(job, now)

    def read_back(self) -> ReadBack | None:
        """Begin to compare a sample with what the server holds, where that was asked for and the run came to an end."""
        if self._sample is None or self._kind.schema is None or self.problem is not None:
            return None
        settings = self._settings
        return ReadBack(
            self._sample,
            self._kind.schema,
            concurrency=settings.concurrency,
            within=settings.verify_within,
            timing=self._timing,
        )

    def _next_send(self, now: float) -> Send | None:
        if self._in_flight >= self._pace.window or self._pace.wait(now) > 0:
            return None
        job = next((job for job in self._jobs if not job.in_flight and job.due <= now), None)
        if job is None:
            if not self._ready or len(self._jobs) >= self._settings.concurrency:
                return None
            if not self._has_time(self._ready[0]):
                return self._ask_time(now)
            job = Job.of(self._ready.popleft(), self._budget)
            self._jobs.append(job)
        part = job.parts.pop()
        job.in_flight = True
        if part.whole:
            job.chunk.pack()
        self.report.bytes_sent += job.chunk.size_of(part)
        return self._sent(Send(part, now, job, with_digest=self._ledger.journal is not None))

    def _sent(self, send: Send) -> Send:
        send.part.attempts += 1
        if send.part.attempts == 1:
            send.part.begun = send.at
        self._in_flight += 1
        self._pace.sent(send.at)
        return send

    def _pause(self, now: float) -> Wait:
        """Until when nothing can be done but to wait for an answer."""
        if self._in_flight >= self._pace.window:
            return Wait(None)
        dues = [job.due for job in self._jobs if not job.in_flight]
        if self._ready and len(self._jobs) < self._settings.concurrency:
            needs_time = not self._has_time(self._ready[0])
            dues.append(self._clock_due if needs_time and self._clock_due is not None else now)
            if needs_time and self._clock_due is None:
                dues.pop()
        if not dues:
            return Wait(None)
        return Wait(max(0.0, min(dues) - now, self._pace.wait(now)))

    def _failed(self, job: Job, send: Send, outcome: Outcome, now: float) -> None:
        part = send.part
        delay = self._delay(part, outcome, send.at, now)
        if delay is not None:
            job.parts.append(part)
            job.due = now + delay
            log_retry(self._kind.operation, outcome.words, delay, part.attempts)
            return
        fate = "it may have been applied, and can be sent again" if part.maybe_applied else "it was not applied"
        job.give_up(part, f"{outcome.words}; {fate}")
        if outcome.is_final:
            self._stop(f"the server takes none of these requests: {outcome.words}", outcome.error)
            return
        self._given_up += 1
        is_last = self._exhausted and not self._ready and len(self._jobs) == 1
        if self._given_up == _HOPELESS or (is_last and not self._took_any):
            self._stop(f"the server takes nothing more: {outcome.words}", outcome.error)

    def _went_well(self) -> None:
        self._given_up, self._took_any = 0, True
        self._pace.went_well()

    def _delay(self, part: Part, outcome: Outcome, sent_at: float, now: float) -> float | None:
        """Seconds until a part is sent again; None if it is not. A throttled one holds the others back too."""
        failure = outcome.failure
        # The client has renewed its token once already. Where others were accepted, the new one may have expired too.
        is_token = outcome.status == 401 and self._took_any
        if failure is None or (outcome.is_final and not is_token):
            return None
        if outcome.is_unreadable or is_token:
            failure = AttemptFailure(maybe_received=not is_token)
        part.maybe_applied = part.maybe_applied or (failure.maybe_received and outcome.status not in (429, 503))
        is_throttled = outcome.status in (429, 503)
        attempt = self._pace.throttled(now, sent_at) if is_throttled else part.attempts
        decision = decide_retry(
            self._policy,
            failure,
            repeatable=True,
            attempt=attempt,
            elapsed=now - (self._pace.since if is_throttled else part.begun),
            random=self._timing.random,
        )
        if is_throttled and decision.delay is not None:
            self._pace.hold(now + decision.delay)
        return decision.delay

    def _arrived(self, chunk: Chunk) -> None:
        """Take a full chunk. What an earlier run settled is not sent; nothing is sent before all that is verified."""
        chunk.number = self._chunks
        self._chunks += 1
        journal = self._ledger.journal
        if journal is None:
            self._ready.append(chunk)
            return
        if not self._ledger.resume(chunk):
            self._unverified.append(chunk)
        else:
            self._ledger.progress(self._in_flight, self._timing.monotonic() - self._begun)
        if chunk.number >= journal.last:
            self._ready.extend(self._unverified)
            self._unverified.clear()

    def _has_time(self, chunk: Chunk) -> bool:
        """Set the time of rows that have none; false while the server's clock is not known."""
        if not chunk.timeless or chunk.time is not None:
            return True
        journal = self._ledger.journal
        time = None if journal is None else journal.time_of(chunk.number)
        if time is None:
            # Never later than the server's own: a time in the future would take a salt its effect.
            bounds = self._server_clock.bounds(self._timing.monotonic())
            if bounds is None:
                return False
            time = bounds.earliest.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if journal is not None:
            chunk.digest()
            journal.keep_time(chunk.number, time)
        chunk.set_time(time)
        return True

    def _ask_time(self, now: float) -> Send | None:
        if self._clock_due is None or self._clock_due > now:
            return None
        self._clock_due = None
        return self._sent(Send(self._clock, now))

    def _clock_answered(self, send: Send, outcome: Outcome, now: float) -> None:
        if outcome.is_success:
            told = told_time(outcome.content)
            if told is not None:
                self._server_clock.record_measurement(send.at, now, self._timing.wall(), told)
                return
        delay = None if outcome.is_success else self._delay(send.part, outcome, send.at, now)
        if delay is None:
            self._stop(f"the server does not tell its time: {outcome.words}", outcome.error)
        else:
            self._clock_due = now + delay

    def _rest(self) -> list[Chunk]:
        chunks = self._intake.rest()
        self.report.read = self._intake.read
        return chunks

    def _settle(self, job: Job, now: float) -> None:
        if not job.parts and not job.in_flight:
            self._jobs.remove(job)
            self._ledger.settle(job)
            self._ledger.progress(self._in_flight, now - self._begun)

    def _stop(self, problem: str | None, error: Exception | None) -> None:
        if self.problem is None and problem is not None:
            self.problem, self.error = problem, error

    def _finish(self, now: float) -> Step:
        if not self._done:
            self._done = True
            if self.problem is None:
                self._ledger.finish(self._chunks)
            else:
                self._give_up(self.problem)
            report = self.report
            report.complete = self.problem is None and not report.by_stage["unsent"]
            self._ledger.progress(0, now - self._begun)
        return DONE

    def _give_up(self, problem: str) -> None:
        """Tell of all rows that were read and are not settled."""
        waiting = [*self._ready, *self._unverified, *self._rest()]
        for job in [*self._jobs, *(Job.of(chunk, self._budget) for chunk in waiting)]:
            job.give_up_rest(f"the run ended: {problem}")
            self._ledger.settle(job)
        self._jobs.clear()
