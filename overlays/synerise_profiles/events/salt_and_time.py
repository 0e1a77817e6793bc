"""Salt and time: the idempotency key of an event. Pure; the clock is a function.

The server keeps one event for each salt, time, profile and action: a second one overwrites the first. So an event that
carries a salt and a time can be sent again after a timeout, and is stored once. Where one of the two is missing, each
sending makes a new event, since the server sets the time of receipt. It does so with a time in the future as well, and
ignores the salt then: hence a time that is set here comes from the server's clock, and is never later than that can be.
A salt of the caller's own, such as "order-17", lets a later version overwrite an earlier one. The salt "content" is a
digest of the event, so that equal events are one; "unique" is random, so that only a repetition of the same request is.
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from synerise_profiles._batching.salt_choice import slip_problem
from synerise_profiles._batching.salting import content_salt, moment_of
from synerise_profiles._core.server_clock import TimeBounds
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import (
    NO_MOMENT,
    NO_UNICODE,
    as_written,
    is_moment,
    raised_problem,
    surrogate_path,
)
from synerise_profiles_api.names import near_name
from synerise_profiles_api.types import UNSET, Unset

__all__ = ["ReadTimeBounds", "checked_salt", "salt_of", "time_of"]

ReadTimeBounds: TypeAlias = Callable[[], TimeBounds | None]
"""Returns the moments between which the server's time lies; None where it is not known."""
_WORDS: Final = ("content", "unique")
_NO_CLOCK_PROBLEM: Final = "needs a time; give one, or build by client.builder(), which tells it by the server's clock"


def time_of(time: object, field: str, now: ReadTimeBounds | None) -> Any:
    """Return the time to send: the given one, or now. Refuse a time in the future, if the server's clock is known."""
    bounds = None if now is None else now()
    if time is UNSET:
        return UNSET if bounds is None else bounds.earliest
    moment = _parse_time(time, field)
    if bounds is not None and moment > bounds.latest:
        problem = "is in the future by the server's clock: it would be replaced, and a salt would have no effect"
        raise InvalidRequestError(problem, field=field)
    return time


def salt_of(salt: object, time: object, wire: Mapping[str, Any], *, action: str, time_field: str) -> str | Unset:
    """Return the salt to send. `wire` is the body, `action` what the event is stored as, or its type."""
    if salt is UNSET:
        return UNSET
    if time is UNSET:
        raise InvalidRequestError(_NO_CLOCK_PROBLEM, field="salt")
    salt = checked_salt(salt)
    if salt == "unique":
        return uuid.uuid4().hex
    if salt != "content":
        return salt
    return content_salt(action, moment_of(_parse_time(time, time_field)), wire)


def checked_salt(salt: object) -> str:
    """Return a salt as it is written; raise InvalidRequestError for what is none."""
    if type(salt := as_written(salt)) is not str:
        raise InvalidRequestError(f"is not a text: {type(salt).__name__}", field="salt")
    if not salt or salt.isspace():
        raise InvalidRequestError("is empty; a salt is unique in the workspace", field="salt")
    if surrogate_path(salt) is not None:
        raise InvalidRequestError(NO_UNICODE, field="salt")
    if salt not in _WORDS and (word := near_name(salt, _WORDS)) is not None:
        raise InvalidRequestError(slip_problem(word), field="salt")
    return salt


def _parse_time(time: object, field: str) -> datetime.datetime:
    try:
        found = _moment(time, field)
        return found if type(found) is datetime.datetime else datetime.datetime.fromisoformat(found.isoformat())
    except InvalidRequestError:
        raise
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way, as it is looked into
        raise InvalidRequestError(raised_problem(error).problem, field=field) from None


def _moment(time: object, field: str) -> datetime.datetime:
    if isinstance(time, str):
        try:
            time = datetime.datetime.fromisoformat(time)
        except ValueError:
            raise InvalidRequestError("is no moment in ISO 8601 with its offset from UTC", field=field) from None
    if not isinstance(time, datetime.datetime):
        raise InvalidRequestError(f"is no moment: {type(time).__name__}; give a datetime with a zone", field=field)
    if not is_moment(time):
        raise InvalidRequestError(NO_MOMENT, field=field)
    if time.utcoffset() is None:
        problem = "has no zone; attach one, such as datetime.timezone.utc"
        raise InvalidRequestError(problem, field=field)
    return time
