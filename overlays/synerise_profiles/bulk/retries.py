"""When a request of a run is sent again: the client's rules of retry, for all requests of the run together.

A request that the server is too busy for holds the others back too. One that broke may have been applied.
"""

from __future__ import annotations

from collections.abc import Callable

from synerise_profiles._batching.bisection import SubBatchTask
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Throttle
from synerise_profiles._core.logging import Outage
from synerise_profiles._core.retry import THROTTLED_STATUSES, AttemptFailure, RetryPolicy, decide_retry
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Operation

from .report import Report
from .timestamps import ServerTimeTask

__all__ = ["Retries"]


class Retries:
    """Decides about the requests of one run."""

    def __init__(
        self,
        operation: Operation,
        report: Report,
        policy: RetryPolicy,
        throttle: Throttle,
        timing: Timing,
        outage: Callable[[], Outage] | None = None,
    ) -> None:
        self._outage = Outage(timing.monotonic) if outage is None else outage()
        self._operation, self._report = operation, report
        self._policy, self._throttle, self._timing = policy, throttle, timing

    def delay(
        self, task: SubBatchTask | ServerTimeTask, result: SendResult, now: float, *, last_passed: int
    ) -> float | None:
        """Return the seconds until a request is sent again; None if it is not.

        `last_passed` is the number of the last one that was accepted, 0 without any.
        """
        if result.is_of_login:
            self._uncount(task)
        sub_batch, sent_at, failure = task.sub_batch, task.sent_at, result.failure
        throttle, is_throttled = self._throttle, result.status in THROTTLED_STATUSES
        if (sub_batch.is_half or sub_batch.was_parked) and result.may_be_about(sub_batch):  # it is tried once
            sub_batch.maybe_applied = sub_batch.maybe_applied or result.may_be_about_a_row
            if is_throttled and failure is not None and failure.retry_after is not None:
                throttle.on_throttled(now, sent_at)
                self._hold(failure, now)
            return None
        # The client has renewed its token once already. Where others were accepted, the new one may have expired too.
        is_token = result.status == 401 and last_passed > 0
        if failure is None or (result.is_final and not is_token):
            return None
        if is_token:
            failure = AttemptFailure(maybe_received=False)
        sub_batch.maybe_applied = sub_batch.maybe_applied or (failure.maybe_received and not is_throttled)
        attempt = throttle.on_throttled(now, sent_at) if is_throttled else sub_batch.attempts
        decision = decide_retry(
            self._policy,
            failure,
            repeatable=True,
            attempt=attempt,
            elapsed=now - (throttle.throttled_since if is_throttled else sub_batch.started_at),
            random=self._timing.random,
        )
        if decision.delay is not None:
            self._log(result, decision.delay, sub_batch.attempts, sent_at)
        if is_throttled:
            self._hold(failure, now, decision.delay)
        return decision.delay

    def _uncount(self, task: SubBatchTask | ServerTimeTask) -> None:
        """Take back what was counted of a request that was not sent, since the login failed that it needed."""
        self._report.requests -= 1
        self._report.retries -= task.sub_batch.is_repeated
        task.sub_batch.failed_logins += 1
        if isinstance(task, SubBatchTask):
            self._report.bytes_sent -= task.chunk_state.chunk.size_of(task.sub_batch)

    def _hold(self, failure: AttemptFailure, now: float, delay: float | None = None) -> None:
        """Hold all requests back, for what the server asks for also if this one is not sent again as it is."""
        if failure.retry_after is not None:
            delay = min(failure.retry_after, self._policy.retry_after_cap)
        if delay is not None:
            self._throttle.hold_until(now + delay)

    def end_outage(self) -> None:
        """Note that the server takes requests again."""
        if self._outage.is_on:
            self._outage.end(self._operation)

    def _log(self, result: SendResult, delay: float, attempts: int, sent_at: float) -> None:
        operation = result.operation_of(self._operation)
        self._outage.log_retry(operation, result.status, result.problem, delay, attempts, sent_at)
