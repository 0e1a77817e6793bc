"""What bounds a login: the options of the call that needs it, and what is left of that call's deadline. Pure.

Calls share a login. One that waits for another's stops at its own limits; and where a login fails that had narrower
ones than it, it logs in itself instead of failing too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, Protocol

import attrs

from synerise_profiles.errors import APIConnectionError

from .config import Options
from .status_errors import connection_error
from .tokens import LOGIN

__all__ = ["LoginCaller", "LoginLimits", "allows_more", "login_options", "overdue_error", "patience"]

_MIN_GAIN: Final = 0.1
"""By which part of a failed login's time another caller has to have longer: else many would log in one by one."""
_NO_HEADERS: Final[Mapping[str, str]] = {}


class LoginCaller(Protocol):
    """A call that needs a token: its options, and when it began on the monotonic clock."""

    @property
    def options(self) -> Options:
        """The options of the call."""
        ...

    @property
    def call_started(self) -> float:
        """When it began, in monotonic seconds."""
        ...


@attrs.frozen
class LoginLimits:
    """A `LoginCaller` that is no call: a login ahead of the calls that will need it."""

    options: Options
    call_started: float


def login_options(call: LoginCaller) -> Options:
    """Return the options to log in with: no hook sees a login, since it carries the API key; nor has it headers."""
    return attrs.evolve(call.options, on_request=None, on_response=None, headers=_NO_HEADERS)


def patience(call: LoginCaller, now: float) -> float:
    """Return for how many seconds a call waits for another's login: no longer than one of its own would take."""
    return min(_end(call) - now, _longest_login(call.options))


def allows_more(call: LoginCaller, than: LoginCaller, since: float) -> bool:
    """Whether a call may try longer, or more often, than one whose login began at `since` and failed."""
    own, other = call.options, than.options
    if own.retry.max_retries > other.retry.max_retries:
        return True
    if any(_seconds(own.timeouts[step]) > _seconds(limit) for step, limit in other.timeouts.items()):
        return True
    return _end(call) - _end(than) > _MIN_GAIN * max(0.0, _end(than) - since)


def overdue_error(call: LoginCaller, now: float) -> APIConnectionError:
    """Return the error of a call that has waited for another's login as long as its limits allow."""
    deadline = call.options.retry.deadline
    if now >= _end(call):
        problem = f"the deadline of {deadline:g} s has passed while another call was logging in"
    else:
        problem = f"another call was logging in for more than {_longest_login(call.options):g} s"
    return connection_error(LOGIN, problem, timed_out=True, attempts=0, maybe_applied=False, note="")


def _end(call: LoginCaller) -> float:
    return call.call_started + call.options.retry.deadline


def _longest_login(options: Options) -> float:
    policy = options.retry
    attempt = sum(map(_seconds, options.timeouts.values()))
    return attempt * (policy.max_retries + 1) + max(policy.max_delay, policy.retry_after_cap) * policy.max_retries


def _seconds(timeout: float | None) -> float:
    return math.inf if timeout is None else timeout
