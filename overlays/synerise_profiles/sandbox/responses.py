"""A handler's response and refusal, the outcomes of its write, and the error body of the API. Pure."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any

from .schemas import Json


class Outcome(enum.Enum):
    """What became of one item of a request: the log has it, for the API mostly does not say."""

    APPLIED = "applied"
    OVERWROTE = "overwrote"
    DROPPED = "dropped"
    REFUSED = "refused"


Write = Callable[[], Sequence[Outcome]]
"""Applies what a request asks for, now or later; the outcome of each item."""

_PHRASES = {int(item): item.phrase for item in HTTPStatus}

NO_BODY: Any = object()
"""No body at all; None would be a JSON null."""


@dataclass(frozen=True, slots=True)
class HandlerResponse:
    """Status (by default the documented success), body, and the write that the request asks for.

    `write` stands apart from the answer because an operation that answers 202 may apply it later: what is accepted need
    not be visible yet. A handler that applied its change itself has no `write`; it says in `applied` how many items it
    changed, or in `outcomes` what became of each where that can differ.
    """

    body: Any = NO_BODY
    status: int | None = None
    write: Write | None = None
    applied: int = 0
    outcomes: Sequence[Outcome] = ()


class RefusedRequest(Exception):  # noqa: N818 - it is an answer, not a fault of the program
    """A request that is refused with this status; `errors` are the entries of the error body's list.

    Without a message of its own it says what the document says that the status means for the operation.
    """

    def __init__(self, status: int, message: str = "", errors: Sequence[Json] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = list(errors)


def error_entry(field: str, message: str, rejected: Any = None, *, code: int = 400) -> Json:
    """One entry of `errors`. The publisher's own codes are not documented, so the status stands in for them."""
    return {"code": code, "field": field, "message": message, "rejectedValue": rejected}


def refuse(errors: Sequence[Json]) -> None:
    """Raise `RefusedRequest` with status 400 where there is any entry; its message tells the first."""
    if errors:
        raise RefusedRequest(400, f"Bad request: {errors[0]['field']} {errors[0]['message']}", errors)


def error_body(status: int, message: str, path: str, now: datetime, errors: Sequence[Json] = ()) -> Json:
    """The error body that every service of the API shares."""
    return {
        "error": message if status == 401 or status not in _PHRASES else _PHRASES[status],
        "status": status,
        "timestamp": iso(now),
        "path": path,
        "message": message,
        "errors": list(errors),
    }


def iso(moment: datetime) -> str:
    """A moment as the API writes it: UTC, milliseconds, Z."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
