"""The result of sending a request once, in one form for success, refusal and a broken connection. Pure.

Machines decide by it alone, and it is made the same way from what the sync and the async client return or raise.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, Final

import attrs

from synerise_profiles._core.attempts import callers_error
from synerise_profiles._core.confirmation import holds_refusals
from synerise_profiles._core.retry import TRANSIENT_STATUSES, AttemptFailure
from synerise_profiles._core.tokens import LOGIN
from synerise_profiles.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    PermissionDeniedError,
    UnconfirmedResponseError,
    request_id_in,
)
from synerise_profiles_api.errors import SyneriseError
from synerise_profiles_api.types import Operation, Request, Response

from .attribution import not_found_body
from .batch import SubBatch

__all__ = ["SendResult", "as_not_found", "result_of_exception", "result_of_unbuilt", "send_result_of"]

_ROW_REFUSAL_STATUSES: Final = frozenset({400, 409, 413, 422, 424})
"""Statuses that are about the rows; any other one below 500 is about the caller or the operation."""
_BUSY_STATUSES: Final = frozenset({408, 499, 501, 503, 505})
"""Statuses that are not about the rows: the server is too busy, or does not know the operation."""


def _confirms(result: SendResult) -> bool:
    return result.status is not None and 200 <= result.status < 300 and not result.is_unconfirmed


def _lists_refusals(result: SendResult) -> bool:
    return result.is_success and result.status is not None and holds_refusals(result.status, result.content)


@attrs.frozen(kw_only=True, repr=False)
class SendResult:
    """A response with its status, or the failure that came instead; `error` is what was raised, if anything was."""

    status: int | None = None
    content: bytes = b""
    failure: AttemptFailure | None = None
    error: Exception | None = None
    headers: Mapping[str, str] | None = None
    is_success: bool = attrs.field(init=False, default=attrs.Factory(_confirms, takes_self=True))
    """Whether rows were accepted: a status of success that nothing contradicts."""
    is_partial: bool = attrs.field(init=False, default=attrs.Factory(_lists_refusals, takes_self=True))
    """Whether it is a success whose body lists rows that were refused."""

    @property
    def trace_id(self) -> str | None:
        """The id by which the publisher, or a gateway, knows the request; None if the response has none."""
        if isinstance(self.error, APIStatusError):
            return self.error.trace_id or self.error.request_id
        return None if self.headers is None else request_id_in(self.headers)

    @property
    def is_unconfirmed(self) -> bool:
        """Whether it is a success by its status alone, since its body contradicts it."""
        return isinstance(self.error, UnconfirmedResponseError)

    @property
    def is_unreadable_partial(self) -> bool:
        """Whether it is a 207 without its list: rows were refused, and nobody knows which."""
        return self.is_unconfirmed and self.status == 207

    @property
    def refuses_rows(self) -> bool:
        """Whether rows were refused as a whole."""
        return self.status in _ROW_REFUSAL_STATUSES and not self.is_of_login

    @property
    def is_of_login(self) -> bool:
        """Whether the login failed that the request needs, so that no row was sent."""
        return getattr(self.error, "operation", None) == LOGIN.name

    @property
    def is_final(self) -> bool:
        """Whether every other request would end in the same way, so that nothing more need be sent."""
        if self.status is None:
            return self.failure is None
        return (
            self.status < 500
            and self.status not in TRANSIENT_STATUSES
            and not self.refuses_rows
            and not self.is_unconfirmed
        )

    @property
    def may_be_about_a_row(self) -> bool:
        """Whether one row may be why it failed: the server, or a gateway before it, broke at the request."""
        if self.is_of_login:
            return False
        if self.status is not None:
            return self.status >= 500 and self.status not in _BUSY_STATUSES
        return (
            isinstance(self.error, APIConnectionError)
            and self.error.maybe_applied
            and not isinstance(self.error, APITimeoutError)
        )

    @property
    def is_busy(self) -> bool:
        """Whether the server says that it is too busy, or does not know the operation; a row may be why even so."""
        return self.status in _BUSY_STATUSES and not self.is_of_login

    def may_be_about(self, sub_batch: SubBatch) -> bool:
        """Whether a row of this sub-batch may be why it failed: also if the server is too busy for it alone."""
        return self.may_be_about_a_row or (self.is_busy and sub_batch.fails_alone)

    def operation_of(self, sent: Operation) -> Operation:
        """Return what the result is of: the operation that was to be sent, or the login that it needed."""
        return LOGIN if self.is_of_login else sent

    @property
    def description(self) -> str:
        """What happened in a few words, without anything of what was sent; of a login it says so."""
        is_told = isinstance(self.error, AuthenticationError)  # by its notes
        return f"the login: {self.problem}" if self.is_of_login and not is_told else self.problem

    @property
    def problem(self) -> str:
        """What happened in a few words, as part of a sentence about the operation it is of."""
        if isinstance(self.error, UnconfirmedResponseError):
            return f"status {self.status}, but {self.error.problem}"
        if isinstance(self.error, AuthenticationError | PermissionDeniedError):
            return "; ".join([f"status {self.status}", *self.error.notes])
        if self.status is not None:
            return f"status {self.status}"
        if isinstance(self.error, APIConnectionError):
            return self.error.problem
        return "it was interrupted" if self.error is None else type(self.error).__name__


def as_not_found(result: SendResult) -> SendResult:
    """Return a 404 as one that says so before the server's own words."""
    return attrs.evolve(result, content=not_found_body(result.content))


def send_result_of(result: Response[Any] | Exception) -> SendResult:
    """Make the result of what `client.send` returned or raised."""
    if isinstance(result, Response):
        content = _without_bom(result.content)
        failure = AttemptFailure()
        return SendResult(status=result.status_code, content=content, failure=failure, headers=result.headers)
    if isinstance(result, APIStatusError):
        failure = AttemptFailure(
            status_code=result.status_code,
            retry_after=result.retry_after,
            maybe_received=result.operation != LOGIN.name,
        )
        content = _without_bom(result.content)
        return SendResult(status=result.status_code, content=content, failure=failure, error=result)
    if isinstance(result, UnconfirmedResponseError):
        failure = AttemptFailure(maybe_received=result.maybe_applied)
        return SendResult(status=result.status_code, content=result.content, failure=failure, error=result)
    if isinstance(result, APIConnectionError):
        return SendResult(failure=AttemptFailure(maybe_received=result.maybe_applied), error=result)
    return SendResult(error=result)


def result_of_exception(request: Request[Any], error: BaseException) -> tuple[SendResult, BaseException | None]:
    """Make the result of a request whose sending raised, and return what of it is not about the request.

    That is an exception of a hook or a token callable: what was answered before it is the result. It may also be one
    that came out of nowhere, such as of a signal's handler; then nothing says what became of the request.
    """
    is_callers, outcome = callers_error(request)
    if is_callers:
        unsent = SendResult(failure=AttemptFailure(maybe_received=False))
        return unsent if outcome is None else send_result_of(outcome), error
    if isinstance(error, SyneriseError):
        return send_result_of(error), None
    return SendResult(failure=AttemptFailure()), error


def result_of_unbuilt(error: BaseException) -> tuple[SendResult, BaseException | None]:
    """Make the result of a request that could not be built, and return what of it is not about the request."""
    if isinstance(error, SyneriseError):
        return send_result_of(error), None
    return SendResult(failure=AttemptFailure(maybe_received=False)), error


def _without_bom(content: bytes) -> bytes:
    """Leave out a byte order mark, which is no part of the JSON behind it."""
    return content.removeprefix(BOM_UTF8)
