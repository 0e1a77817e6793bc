"""The result of sending a request once, in one form for success, refusal and a broken connection. Pure.

Machines decide by it alone, and it is made the same way from what the sync and the async client return or raise.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from typing import Any, Final

import attrs

from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles.errors import APIConnectionError, APIStatusError
from synerise_profiles_api.types import Response

__all__ = ["SendResult", "send_result_of"]

_ROW_REFUSAL_STATUSES: Final = frozenset({400, 409, 413, 422, 424})
"""Statuses that are about the rows; any other one below 500 is about the caller or the operation."""
_TRANSIENT_STATUSES: Final = frozenset({408, 429, 499})


@attrs.frozen(kw_only=True, repr=False)
class SendResult:
    """A response with its status, or the failure that came instead; `error` is what was raised, if anything was."""

    status: int | None = None
    content: bytes = b""
    failure: AttemptFailure | None = None
    error: Exception | None = None

    @property
    def is_success(self) -> bool:
        """Whether rows were accepted. A page of HTML is no response of the API, whatever its status."""
        return self.status is not None and 200 <= self.status < 300 and not self.is_unreadable

    @property
    def is_unreadable(self) -> bool:
        """Whether it is a success by its status, but its body is not what such a response has."""
        if self.status is None or not 200 <= self.status < 300:
            return False
        start = self.content[:64].lstrip()[:1]
        return start == b"<" or (self.status == 207 and start != b"[")

    @property
    def refuses_rows(self) -> bool:
        """Whether rows were refused as a whole."""
        return self.status in _ROW_REFUSAL_STATUSES

    @property
    def is_final(self) -> bool:
        """Whether every other request would end in the same way, so that nothing more need be sent."""
        if self.status is None:
            return self.failure is None
        return (
            self.status < 500
            and self.status not in _TRANSIENT_STATUSES
            and not self.refuses_rows
            and not self.is_unreadable
        )

    @property
    def description(self) -> str:
        """What happened in a few words, without anything of what was sent."""
        if self.is_unreadable:
            return f"status {self.status} with an answer that cannot be read"
        if self.status is not None:
            return f"status {self.status}"
        if isinstance(self.error, APIConnectionError):
            return self.error.problem
        return type(self.error).__name__


def send_result_of(result: Response[Any] | Exception) -> SendResult:
    """Make the result of what `client.send` returned or raised."""
    if isinstance(result, Response):
        return SendResult(status=result.status_code, content=_without_bom(result.content), failure=AttemptFailure())
    if isinstance(result, APIStatusError):
        failure = AttemptFailure(status_code=result.status_code, retry_after=result.retry_after)
        content = _without_bom(result.content)
        return SendResult(status=result.status_code, content=content, failure=failure, error=result)
    if isinstance(result, APIConnectionError):
        return SendResult(failure=AttemptFailure(maybe_received=result.maybe_applied), error=result)
    return SendResult(error=result)


def _without_bom(content: bytes) -> bytes:
    """Leave out a byte order mark, which is no part of the JSON behind it."""
    return content.removeprefix(BOM_UTF8)
