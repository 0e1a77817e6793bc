"""The steps of one call: what to send next, and what an answer or a failure means. Sends nothing, waits for nothing."""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar, cast

import attrs

from synerise_profiles.deprecations import utc_date
from synerise_profiles.errors import APIConnectionError, APIStatusError
from synerise_profiles_api.types import RawResponse, Request, Response

from .config import MAX_WAIT_SECONDS, AttemptResult, Options
from .logging import LOGGER, log_attempt, log_retry, log_token_renewal
from .retry import AttemptFailure, decide_retry, parse_retry_after
from .status_errors import connection_error, status_error, token_was_refused
from .timing import Timing
from .tokens import Token

__all__ = ["NextAction", "RequestAttempts", "TransportFailure"]

T = TypeVar("T")


class NextAction(enum.Enum):
    """What follows an attempt."""

    DONE = enum.auto()
    RENEW_TOKEN = enum.auto()
    RETRY = enum.auto()
    FAIL = enum.auto()


@attrs.frozen(kw_only=True)
class TransportFailure:
    """An attempt without a complete answer: what happened in words, what it means, and the exception to chain."""

    problem: str
    failure: AttemptFailure
    timed_out: bool
    cause: Exception | None


class RequestAttempts(Generic[T]):
    """One call with all its attempts: what to send next, and what an answer or a failure means. Waits for nothing."""

    def __init__(self, options: Options, timing: Timing, request: Request[T]) -> None:
        self.options = options
        self.timing = timing
        self.request = request
        self.attempts = 0
        self.delay = 0.0
        self.error: APIStatusError | APIConnectionError | None = None
        self._token_renewals = 0
        self._maybe_applied = False
        self._response: RawResponse | None = None
        self._problem: str | None = None
        self._call_started = self._attempt_started = timing.monotonic()

    def start_attempt(self) -> Mapping[str, float | None]:
        """Begin an attempt: return the seconds that each of its steps may take."""
        self._attempt_started = self.timing.monotonic()
        policy = self.options.retry
        left = policy.deadline - (self._attempt_started - self._call_started)
        if left <= 0:
            problem = f"the deadline of {policy.deadline:g} s has passed"
            raise self._connection_error(problem, timed_out=True)
        left = min(left, MAX_WAIT_SECONDS)
        timeouts = self.options.timeouts
        if any(value is None or value > left for value in timeouts.values()):
            timeouts = {step: left if value is None else min(value, left) for step, value in timeouts.items()}
        self.attempts += 1
        return timeouts

    def handle_response(self, answer: RawResponse, token: Token | None) -> NextAction:
        """Say what follows a complete answer."""
        self._response, self._problem = answer, None
        status = answer.status_code
        if LOGGER.isEnabledFor(logging.DEBUG):
            log_attempt(self.request.operation, status, self._attempt_seconds(), self.attempts)
        if 200 <= status < 300:
            return NextAction.DONE
        if token is not None and not self._token_renewals and token_was_refused(status, answer.content):
            self._token_renewals = 1
            self.error = self._status_error(answer, None, "")
            log_token_renewal(self.request.operation)
            return NextAction.RENEW_TOKEN
        wait = parse_retry_after(answer.headers, self.timing.wall())
        return self._decide(
            AttemptFailure(status_code=status, retry_after=wait),
            status,
            lambda note: self._status_error(answer, wait, note),
        )

    def handle_failure(self, broken: TransportFailure) -> NextAction:
        """Say what follows an attempt without a complete answer."""
        self._response, self._problem = None, broken.problem
        self._maybe_applied |= broken.failure.maybe_received
        if LOGGER.isEnabledFor(logging.DEBUG):
            log_attempt(self.request.operation, broken.problem, self._attempt_seconds(), self.attempts)
        return self._decide(broken.failure, broken.problem, lambda note: self._transport_error(broken, note))

    def response(self) -> Response[T]:
        """Read the answer that ended the call."""
        answer, request = cast("RawResponse", self._response), self.request  # Next.DONE follows an answer only
        return Response(
            operation=request.operation,
            status_code=answer.status_code,
            headers=answer.headers,
            content=answer.content,
            body=request.parse(answer),
            attempts=self.attempts,
        )

    def final_error(self) -> APIStatusError | APIConnectionError:
        """Return the error that ended the call."""
        return cast("APIStatusError | APIConnectionError", self.error)  # Next.STOP and Next.RENEW come with one

    def attempt_result(self) -> AttemptResult:
        """Describe the attempt that just ended, for the caller's hook."""
        answer = self._response
        return AttemptResult(
            operation=self.request.operation,
            attempt=self.attempts,
            seconds=self._attempt_seconds(),
            status_code=None if answer is None else answer.status_code,
            headers=None if answer is None else answer.headers,
            failure=self._problem,
        )

    def _decide(
        self,
        failure: AttemptFailure,
        outcome: int | str,
        make_error: Callable[[str], APIStatusError | APIConnectionError],
    ) -> NextAction:
        decision = decide_retry(
            self.options.retry,
            failure,
            repeatable=self.request.repeatable,
            attempt=self.attempts - self._token_renewals,
            elapsed=self.timing.monotonic() - self._call_started,
            random=self.timing.random,
        )
        if decision.delay is None:
            self.error = make_error(decision.note)
            return NextAction.FAIL
        self.error = None
        self.delay = decision.delay
        log_retry(self.request.operation, outcome, decision.delay, self.attempts)
        return NextAction.RETRY

    def _status_error(self, answer: RawResponse, wait: float | None, note: str) -> APIStatusError:
        return status_error(
            self.request.operation,
            answer.status_code,
            answer.headers,
            answer.content,
            attempts=self.attempts,
            retry_after=wait,
            consumer=self.options.consumer,
            today=utc_date(self.timing.wall()),
            note=note,
        )

    def _transport_error(self, broken: TransportFailure, note: str) -> APIConnectionError:
        error = self._connection_error(broken.problem, timed_out=broken.timed_out, note=note)
        error.__cause__ = broken.cause
        return error

    def _connection_error(self, problem: str, *, timed_out: bool, note: str = "") -> APIConnectionError:
        return connection_error(
            self.request.operation,
            problem,
            timed_out=timed_out,
            attempts=self.attempts,
            maybe_applied=self._maybe_applied,
            note=note,
        )

    def _attempt_seconds(self) -> float:
        return self.timing.monotonic() - self._attempt_started
