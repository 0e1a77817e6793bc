"""The state machine of one call: what to send next, and what a response or a failure means.

It is sans-I/O: it sends nothing and waits for nothing, so that retries, the renewal of a token, the deadline and the
log are written once for both drivers, `Transport` and `AsyncTransport`. For each attempt a driver calls
`start_attempt`, sends, calls `handle_response` or `handle_failure`, and does what the returned `NextAction` says.

An exception of a hook or a token callable reaches the caller as itself, so it cannot carry the answer. But who sends
many requests (a bulk run, a queue, a workflow) has to know what became of each. So the answer is kept by its request
(`CallersError`), and the sender takes it from there (`callers_error`).
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from weakref import WeakKeyDictionary

import attrs

from synerise_profiles.deprecations import utc_date
from synerise_profiles.errors import APIConnectionError, APIStatusError, UnconfirmedResponseError
from synerise_profiles_api.errors import ResponseDecodingError, SyneriseError
from synerise_profiles_api.types import RawResponse, Request, Response

from .config import MAX_WAIT_SECONDS, AttemptResult, Options
from .confirmation import contradiction
from .headers import request_id_of
from .instruments import count_throttling, is_traced
from .logging import LOGGER, Outage, log_attempt, log_retry, log_token_renewal, outage_of
from .retry import THROTTLED_STATUSES, AttemptFailure, decide_retry, is_away, parse_retry_after
from .status_errors import connection_error, status_error, token_was_refused
from .timing import Timing
from .tokens import LOGIN, Token

__all__ = ["CallersError", "NextAction", "Outcome", "RequestAttempts", "TransportFailure", "callers_error"]

T = TypeVar("T")
CallError: TypeAlias = APIStatusError | APIConnectionError | UnconfirmedResponseError


class NextAction(enum.Enum):
    """What follows an attempt: the call is done, or has failed, or is sent again (with another token)."""

    DONE = enum.auto()
    RENEW_TOKEN = enum.auto()
    RETRY = enum.auto()
    FAIL = enum.auto()


@attrs.frozen(kw_only=True)
class TransportFailure:
    """An attempt without a complete response: what happened in words, what it means, and the exception to chain."""

    problem: str
    meaning: AttemptFailure
    timed_out: bool
    cause: Exception | None


class RequestAttempts(Generic[T]):
    """One call with all its attempts: the state between them, and the decision after each.

    A refused token is renewed once a call, and the attempt that it cost is no retry. The deadline counts from `began`,
    a moment of the monotonic clock; without it from now.
    """

    def __init__(self, options: Options, timing: Timing, request: Request[T], began: float | None = None) -> None:
        self.options = options
        self.timing = timing
        self.request = request
        self.attempts = 0
        self.delay = 0.0
        self.seconds_left = MAX_WAIT_SECONDS
        self.error: CallError | None = None
        self._token_renewals = 0
        self._maybe_applied = False
        self._response: RawResponse | None = None
        self._problem: str | None = None
        self.call_started = self._attempt_started = timing.monotonic() if began is None else began

    def start_attempt(self) -> Mapping[str, float | None]:
        """Begin an attempt: return the seconds that each of its steps may take."""
        self._attempt_started = self.timing.monotonic()
        policy = self.options.retry
        seconds_left = policy.deadline - (self._attempt_started - self.call_started)
        if seconds_left <= 0:
            problem = f"the deadline of {policy.deadline:g} s has passed"
            raise self._connection_error(problem, timed_out=True)
        self.seconds_left = seconds_left = min(seconds_left, MAX_WAIT_SECONDS)
        self.attempts += 1
        timeouts = self.options.timeouts
        for value in timeouts.values():
            if value is None or value > seconds_left:
                return {
                    step: seconds_left if each is None else min(each, seconds_left) for step, each in timeouts.items()
                }
        return timeouts

    def handle_response(self, response: RawResponse, token: Token | None) -> NextAction:
        """Say what follows a complete response; `token` is what the request was signed with."""
        self._response, self._problem = response, None
        status = response.status_code
        if self.options.outage.is_on and not is_away(status):
            self._outage().end(self.request.operation)
        if LOGGER.isEnabledFor(logging.DEBUG):
            self._log_attempt(status)
        if 200 <= status < 300:
            content_type = response.headers.get("content-type", "")
            self._problem = contradiction(self.request.operation, status, response.content, content_type)
            if self._problem is None:
                return NextAction.DONE
            self.error = self._unconfirmed_error(response, self._problem)
            return NextAction.FAIL
        if token is not None and not self._token_renewals and token_was_refused(status, response.content):
            self._token_renewals = 1
            self.error = self._status_error(response, None, "")
            log_token_renewal(self.request.operation)
            return NextAction.RENEW_TOKEN
        wait = parse_retry_after(response.headers, self.timing.wall())
        return self._decide(
            AttemptFailure(status_code=status, retry_after=wait),
            status,
            lambda note: self._status_error(response, wait, note),
        )

    def handle_failure(self, failure: TransportFailure) -> NextAction:
        """Say what follows an attempt without a complete response."""
        self._response, self._problem = None, failure.problem
        self._maybe_applied |= failure.meaning.maybe_received
        if LOGGER.isEnabledFor(logging.DEBUG):
            self._log_attempt(failure.problem)
        return self._decide(failure.meaning, failure.problem, lambda note: self._transport_error(failure, note))

    def response(self) -> Response[T]:
        """Parse the response that ended the call."""
        response, request = cast("RawResponse", self._response), self.request  # NextAction.DONE follows a response only
        return Response(
            operation=request.operation,
            status_code=response.status_code,
            headers=response.headers,
            content=response.content,
            body=request.parse(response),
            attempts=self.attempts,
        )

    def final_error(self) -> CallError:
        """Hand over the error that ended the call; its traceback holds this object, which must not hold it too."""
        error, self.error = self.error, None
        return cast("CallError", error)  # FAIL and RENEW_TOKEN come with one

    def before_sending(self, *, signs: bool = False) -> CallersError:
        """Return a `with` block for what is done before an attempt is sent: a hook, or getting a token (`signs`)."""
        return CallersError(self.request, _no_outcome, is_ours=signs)

    def after_answer(self, next_action: NextAction) -> CallersError:
        """Return a `with` block for the hook that is called after an attempt."""
        return CallersError(self.request, self._outcome if next_action is NextAction.DONE else lambda: self.error)

    def _outcome(self) -> Outcome:
        try:
            return self.response()
        except ResponseDecodingError as error:
            return error

    def attempt_result(self) -> AttemptResult:
        """Describe the attempt that just ended, for the caller's hook."""
        response = self._response
        return AttemptResult(
            operation=self.request.operation,
            attempt=self.attempts,
            seconds=self._attempt_seconds(),
            status_code=None if response is None else response.status_code,
            headers=None if response is None else response.headers,
            failure=self._problem,
        )

    def _decide(
        self,
        failure: AttemptFailure,
        outcome: int | str,
        make_error: Callable[[str], CallError],
    ) -> NextAction:
        decision = decide_retry(
            self.options.retry,
            failure,
            repeatable=self.request.repeatable,
            attempt=self.attempts - self._token_renewals,
            elapsed=self.timing.monotonic() - self.call_started,
            random=self.timing.random,
        )
        if decision.delay is None:
            self.error = make_error(decision.note)
            return NextAction.FAIL
        self.error = None
        self.delay = decision.delay
        self._log_retry(failure, outcome)
        if failure.status_code in THROTTLED_STATUSES and is_traced():
            count_throttling(decision.delay)
        return NextAction.RETRY

    def _status_error(self, response: RawResponse, wait: float | None, note: str) -> APIStatusError:
        return status_error(
            self.request,
            response.status_code,
            response.headers,
            response.content,
            attempts=self.attempts,
            retry_after=wait,
            consumer=self.options.consumer,
            today=utc_date(self.timing.wall()),
            note=note,
        )

    def _unconfirmed_error(self, response: RawResponse, problem: str) -> UnconfirmedResponseError:
        operation = self.request.operation
        is_login = operation is LOGIN  # its body may hold a token, and what it was for has not been sent
        return UnconfirmedResponseError(
            problem,
            operation=operation.name,
            status_code=response.status_code,
            content=b"" if is_login else response.content,
            maybe_applied=not (is_login or operation.http_method == "GET"),
        )

    def _transport_error(self, failure: TransportFailure, note: str) -> APIConnectionError:
        error = self._connection_error(failure.problem, timed_out=failure.timed_out, note=note)
        error.__cause__ = failure.cause
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

    def _log_attempt(self, outcome: int | str) -> None:
        request_id = request_id_of(self.options.headers)
        log_attempt(self.request.operation, outcome, self._attempt_seconds(), self.attempts, request_id)

    def _log_retry(self, failure: AttemptFailure, outcome: int | str) -> None:
        operation, status = self.request.operation, failure.status_code
        # A login stands before all else that waits for the host; of other calls no connection alone proves it away.
        if is_away(status) if operation is LOGIN else status is None and not failure.maybe_received:
            told = (operation, status, str(outcome), self.delay, self.attempts, self._attempt_started)
            self._outage().log_retry(*told)
        else:
            log_retry(operation, outcome, self.delay, self.attempts, request_id_of(self.options.headers))

    def _outage(self) -> Outage:
        return outage_of(self.options, self.timing.monotonic)

    def _attempt_seconds(self) -> float:
        return self.timing.monotonic() - self._attempt_started


def _no_outcome() -> None:
    return None


Outcome = Response[Any] | SyneriseError
"""The response to a request, or the typed error of one that failed."""


@attrs.frozen
class _Kept:
    outcome: Outcome | None


_KEPT: Final[WeakKeyDictionary[Request[Any], _Kept]] = WeakKeyDictionary()


class CallersError:
    """A `with` block around a function of the caller's: if it raises, the answer to the request is kept.

    `outcome` returns that answer. `is_ours` says that the block may raise a typed error of this library too, which is
    no error of the caller's.
    """

    __slots__ = ("_is_ours", "_outcome", "_request")

    def __init__(self, request: Request[Any], outcome: Callable[[], Outcome | None], *, is_ours: bool = False) -> None:
        self._request = request
        self._outcome = outcome
        self._is_ours = is_ours

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None and not (self._is_ours and isinstance(exc, SyneriseError)):
            _KEPT[self._request] = _Kept(self._outcome())


def callers_error(request: Request[Any]) -> tuple[bool, Outcome | None]:
    """Return whether the exception that a call just ended by is the caller's own, and what was answered before it.

    The answer is None if the attempt was not sent.
    """
    kept = _KEPT.pop(request, None)
    return kept is not None, None if kept is None else kept.outcome
