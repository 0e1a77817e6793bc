"""From a refusal or a broken connection to the error that is raised, with what the spec knows about it. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping

from synerise_profiles_api.types import Operation

from .errors import APIConnectionError, APIStatusError, APITimeoutError, AuthenticationError, status_error_type
from .tokens import LOGIN

__all__ = ["connection_error", "refusal", "token_was_refused"]

_SWITCHED_OFF = frozenset({401, 403, 404, 405, 410, 501})
"""How a server may refuse an operation that no longer exists."""
_NO_REFUSAL = frozenset({408, 429, 499})
"""Statuses below 500 that say nothing about the credentials of a login."""


def token_was_refused(status_code: int, content: bytes) -> bool:
    """Whether the token, rather than the request, was refused.

    A 403 usually means a missing permission, but the publisher lets it stand for an expired token too.
    """
    return status_code == 401 or (status_code == 403 and b"token expired" in content.lower())


def refusal(
    operation: Operation,
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
    """Make the error for an answer with another status than 2xx."""
    kind = status_error_type(status_code)
    notes = [note] if note else []
    if operation is LOGIN:
        if 400 <= status_code < 500 and status_code not in _NO_REFUSAL:
            kind = AuthenticationError
            notes.append("the login was refused; check that it is a workspace API key, its region and its IP rules")
    else:
        notes.extend(_notes(operation, status_code, consumer, today))
    return kind(
        operation=operation.name,
        status_code=status_code,
        headers=headers,
        content=content,
        attempts=attempts,
        retry_after=retry_after,
        notes=notes,
    )


def connection_error(
    operation: Operation, problem: str, *, timed_out: bool, attempts: int, maybe_applied: bool, note: str
) -> APIConnectionError:
    """Make the error for a call that no complete answer came to."""
    kind = APITimeoutError if timed_out else APIConnectionError
    # A login that may have arrived changes nothing, and what it was for has not been sent.
    applied = maybe_applied and operation is not LOGIN
    notes = [note] if note else []
    return kind(problem, operation=operation.name, attempts=attempts, maybe_applied=applied, notes=notes)


def _notes(operation: Operation, status_code: int, consumer: str | None, today: datetime.date) -> Iterator[str]:
    if status_code in (401, 403):
        if consumer is not None and operation.consumers and consumer not in operation.consumers:
            callers = ", ".join(operation.consumers)
            yield f"{operation.name} may be called by: {callers}; this client signs in as: {consumer}"
        elif status_code == 403 and operation.permission and consumer in (None, "workspace"):
            yield f"an API key needs the permission: {operation.permission}"
        elif status_code == 403 and operation.role and consumer == "user":
            yield f"a user needs the permission: {operation.role}"
    if operation.sunset and status_code in _SWITCHED_OFF and today.isoformat() >= operation.sunset:
        instead = ", ".join(operation.replaced_by) or operation.deprecated_reason or ""
        yield f"it was due to be switched off on {operation.sunset}" + (f"; instead: {instead}" if instead else "")
