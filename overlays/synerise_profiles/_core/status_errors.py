"""Makes the typed error of a response that is no success, or of a call without a response.

The spec's facts go into its notes: what the status means for the operation, who may call it, which permission it needs,
what replaces it. Pure.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterator, Mapping
from typing import Any

from synerise_profiles.deprecations import is_past_sunset, replacement_text
from synerise_profiles.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    decoded_body,
    reason_phrase,
    status_error_type,
    sunset_error_type,
)
from synerise_profiles_api.types import Operation, Request

from .retry import TRANSIENT_STATUSES
from .server_words import server_words
from .tokens import LOGIN

__all__ = ["connection_error", "status_error", "token_was_refused"]

_MAYBE_SUNSET_STATUSES = frozenset({401, 403})
"""How a gateway may refuse an operation that no longer exists; but missing rights are likelier."""
_UNREAD_PATH_STATUSES = frozenset({400, 404})
_ENCODED_SLASH = "%2F"
_SLASH_NOTE = (
    "the path holds an encoded slash, which many servers refuse; send the identifier in a body, or another one"
)
_KEY_NOTE = "the token or key was not accepted; check that it has not expired, its workspace and its region"


def token_was_refused(status_code: int, content: bytes) -> bool:
    """Whether the token, rather than the request, was refused.

    A 403 usually means a missing permission, but the publisher lets it stand for an expired token too.
    """
    return status_code == 401 or (status_code == 403 and b"token expired" in content.lower())


def status_error(
    request: Request[Any],
    status_code: int,
    headers: Mapping[str, str],
    content: bytes,
    *,
    attempts: int,
    retry_after: float | None,
    consumer: str | None,
    today: datetime.date,
    note: str,
) -> APIStatusError:
    """Make the error for a response with another status than 2xx; `today` is the day in UTC."""
    operation = request.operation
    error_type = status_error_type(status_code)
    notes = [note] if note else []
    if status_code in _UNREAD_PATH_STATUSES and _ENCODED_SLASH in request.path:
        notes.append(_SLASH_NOTE)
    arguments: dict[str, Any] = {}
    if operation is LOGIN:
        if 400 <= status_code < 500 and status_code not in TRANSIENT_STATUSES:
            error_type = AuthenticationError
            notes.append("the login was refused; check that it is a workspace API key, its region and its IP rules")
    else:
        meanings = (meaning for status, meaning in operation.refusals if status == status_code)
        notes.extend(f"it means here: {meaning.rstrip('.')}" for meaning in meanings)
        notes.extend(_permission_notes(operation, status_code, consumer))
        if (sunset_type := _sunset_type(operation, status_code, today)) is not None:
            error_type, arguments = sunset_type, {"sunset": operation.sunset, "replaced_by": operation.replaced_by}
        if sunset_type is not None or (is_past_sunset(operation, today) and status_code in _MAYBE_SUNSET_STATUSES):
            notes.append(_sunset_note(operation))
    return error_type(
        operation=operation.name,
        status_code=status_code,
        headers=headers,
        content=content,
        attempts=attempts,
        retry_after=retry_after,
        notes=notes,
        reason="" if operation is LOGIN else functools.partial(_reason, request, status_code, content),
        **arguments,
    )


def _reason(request: Request[Any], status_code: int, content: bytes) -> str:
    """Read the server's words; only where somebody asks for them, since a batch holds much to be looked for."""
    return server_words(decoded_body(content), request, reason_phrase(status_code))


def connection_error(
    operation: Operation, problem: str, *, timed_out: bool, attempts: int, maybe_applied: bool, note: str
) -> APIConnectionError:
    """Make the error for a call without a complete response."""
    error_type = APITimeoutError if timed_out else APIConnectionError
    # A login that may have arrived changes nothing, and what it was for has not been sent.
    applied = maybe_applied and operation is not LOGIN
    notes = [note] if note else []
    return error_type(problem, operation=operation.name, attempts=attempts, maybe_applied=applied, notes=notes)


def _sunset_type(operation: Operation, status_code: int, today: datetime.date) -> type[APIStatusError] | None:
    """The class for a deprecated operation that is gone.

    A 404 may mean that the profile is not there, so it counts only once the day has come; the others say by themselves
    that the path is no longer served.
    """
    if not operation.deprecated or (status_code == 404 and not is_past_sunset(operation, today)):
        return None
    return sunset_error_type(status_code)


def _sunset_note(operation: Operation) -> str:
    due = f"it was due to be switched off on {operation.sunset}" if operation.sunset else "it is deprecated"
    instead = replacement_text(operation)
    return f"{due}; {instead}" if instead else due


def _permission_notes(operation: Operation, status_code: int, consumer: str | None) -> Iterator[str]:
    if status_code not in (401, 403):
        return
    if consumer is not None and operation.consumers and consumer not in operation.consumers:
        callers = ", ".join(operation.consumers)
        yield f"{operation.name} may be called by: {callers}; this client signs in as: {consumer}"
    elif status_code == 401:
        yield _KEY_NOTE
    elif status_code == 403 and operation.permission and consumer in (None, "workspace"):
        yield f"an API key needs the permission: {operation.permission}"
    elif status_code == 403 and operation.role and consumer == "user":
        yield f"a user needs the permission: {operation.role}"
    if status_code == 403 and operation.pii and consumer in (None, "workspace", "user"):
        yield "where PII protection is on, PII permissions are needed in addition"
