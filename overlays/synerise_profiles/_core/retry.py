"""The retry decision: whether to send a request again, and after how long. Pure: no clock, no network, no sleep.

What is retried, and why:

- For every operation: failures before the request could reach the server (no connection), and the statuses 429 and
  503, by which the server says that it has not begun.
- For requests that may be carried out twice (`Request.repeatable`, by `x-retry` of the spec): timeouts and connections
  that broke after sending, 408 and 499 of a gateway, and 5xx. The server may have carried the request out, so a second
  one could count an event or merge profiles twice.
- Never: all other statuses, 501 and 505 among them, and failures that another attempt cannot mend, such as a
  certificate that was not accepted.

Waits grow exponentially with full jitter, so that many clients that failed together do not come back together. What
the server asks for in `Retry-After` takes their place.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

from synerise_profiles_api.names import HintsNames

from .arguments import checks_init, configuration_error, positive_seconds, seconds, whole_number

__all__ = [
    "THROTTLED_STATUSES",
    "TRANSIENT_STATUSES",
    "AttemptFailure",
    "OutageState",
    "RetryDecision",
    "RetryPolicy",
    "decide_retry",
    "is_away",
    "parse_retry_after",
]

THROTTLED_STATUSES: Final = frozenset({429, 503})
"""The server says that it is too busy and has not begun: safe for every operation."""
TRANSIENT_STATUSES: Final = THROTTLED_STATUSES | {408, 499}
"""Statuses that say nothing about the request, beside other 5xx; 408 and 499 are a gateway's, of a slow connection."""
_PERMANENT_STATUSES: Final = frozenset({501, 505})
"""Server errors that another attempt cannot mend."""
_AWAY_STATUSES: Final = frozenset({502, 503, 504})
"""What a gateway answers for a server that is not there."""
_DELAY_SECONDS_PATTERN: Final = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)
_COUNT: Final = whole_number(0, error=configuration_error)
_DELAY: Final = seconds(error=configuration_error)
_DEADLINE: Final = positive_seconds(error=configuration_error)


@checks_init
@attrs.frozen(kw_only=True)
class RetryPolicy(HintsNames):
    """How failed requests are sent again. All times are seconds.

    Waits grow as `base_delay` * 2^n up to `max_delay`, each drawn at random between zero and that (full jitter). A
    `Retry-After` of the server is kept exactly, unless it exceeds `retry_after_cap`: then the error is raised at once.
    `deadline` limits one call with all its attempts and waits; a wait that would pass it is never begun.
    """

    max_retries: int = attrs.field(default=3, validator=_COUNT)
    base_delay: float = attrs.field(default=0.5, validator=_DELAY)
    max_delay: float = attrs.field(default=8.0, validator=_DELAY)
    retry_after_cap: float = attrs.field(default=60.0, validator=_DELAY)
    deadline: float = attrs.field(default=300.0, validator=_DEADLINE)


@attrs.define(eq=False)
class OutageState:
    """Whether the host of a client is away, and since when; one for all its calls, runs and queues.

    A program that asks it in many threads may be told of the same beginning twice.
    """

    is_on: bool = False
    since: float = -math.inf
    ended: float = -math.inf
    failures: int = 0

    def begin(self, sent_at: float, clock: Callable[[], float]) -> bool:
        """Note that a request failed; whether that is the beginning.

        A request that was sent before the server answered again, and fails after that, begins nothing.
        """
        begins = not self.is_on and sent_at >= self.ended
        if begins:
            self.is_on, self.since, self.failures = True, clock(), 0
        self.failures += 1
        return begins

    def end(self, now: float) -> tuple[float, int]:
        """Note that the host answers; return the seconds that it was away, and the requests that failed."""
        self.is_on, self.ended = False, now
        return now - self.since, self.failures


def is_away(status: int | None) -> bool:
    """Whether a failure looks as if the host was away: no answer (None), or one that a gateway gives for it."""
    return status is None or status in _AWAY_STATUSES


@attrs.frozen(kw_only=True)
class AttemptFailure:
    """What went wrong with one attempt, as far as a retry depends on it.

    `status_code` is None if no complete response arrived. `maybe_received` says whether the request may have reached
    the server, `permanent` that another attempt cannot end otherwise, `retry_after` how many seconds the server asks
    to wait.
    """

    status_code: int | None = None
    maybe_received: bool = True
    permanent: bool = False
    retry_after: float | None = None


@attrs.frozen
class RetryDecision:
    """Wait for `delay` seconds and try again; or, if it is None, stop. `note` says why, where that is worth saying."""

    delay: float | None
    note: str = ""


_STOP: Final = RetryDecision(None)
_UNSAFE: Final = RetryDecision(None, "not tried again, because a second sending could be applied twice")


def decide_retry(
    policy: RetryPolicy,
    failure: AttemptFailure,
    *,
    repeatable: bool,
    attempt: int,
    elapsed: float,
    random: Callable[[], float],
) -> RetryDecision:
    """Decide what follows the failure of the `attempt`-th sending (from 1), `elapsed` seconds after the call began.

    `repeatable` says that the request may be carried out twice, `random` returns a number from 0 to 1.
    """
    if failure.permanent or failure.status_code in _PERMANENT_STATUSES:
        return _STOP
    if not _is_safe_to_repeat(failure):
        if not _is_transient(failure.status_code):
            return _STOP
        if not repeatable:
            return _UNSAFE
    if failure.retry_after is not None and failure.retry_after > policy.retry_after_cap:
        asked, cap = failure.retry_after, policy.retry_after_cap
        return RetryDecision(None, f"the server asks to wait {asked:g} s, which is beyond the cap of {cap:g} s")
    if attempt > policy.max_retries:
        return _STOP
    delay = failure.retry_after
    if delay is None:
        # The exponent is bounded, since a float holds no power of two beyond 2**1023.
        delay = min(policy.max_delay, policy.base_delay * 2.0 ** min(attempt - 1, 60)) * random()
    if elapsed + delay >= policy.deadline:
        return RetryDecision(None, f"another attempt would pass the deadline of {policy.deadline:g} s")
    return RetryDecision(delay)


def _is_safe_to_repeat(failure: AttemptFailure) -> bool:
    return not failure.maybe_received if failure.status_code is None else failure.status_code in THROTTLED_STATUSES


def _is_transient(status_code: int | None) -> bool:
    return status_code is None or status_code >= 500 or status_code in TRANSIENT_STATUSES


def parse_retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Read `Retry-After` as seconds from now; None if it is absent or unreadable.

    A date is taken relative to the response's own `Date`, since the two clocks may differ; without one, to `now`
    (seconds of the epoch).
    """
    value = headers.get("retry-after", "").strip()
    if not value:
        return None
    if _DELAY_SECONDS_PATTERN.fullmatch(value):
        return float(value)
    moment = parse_http_date(value)
    if moment is None:
        return None
    sent = parse_http_date(headers.get("date", ""))
    return max(0.0, moment - (now if sent is None else sent))


def parse_http_date(value: str) -> float | None:
    """Read an HTTP date as seconds of the epoch; None if it is no date."""
    try:
        moment = parsedate_to_datetime(value)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None
