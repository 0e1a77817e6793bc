"""The log of the library: DEBUG for each attempt, WARNING for each retry and each merge without a clear answer.

INFO says when a bulk run, a queue, a merge and an export begin and end, with their counts. Names of operations,
statuses, counts and durations are logged, never values or paths: those may be personal data.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from .headers import request_id_of
from .retry import OutageState, is_away
from .wording import counted

if TYPE_CHECKING:
    from synerise_profiles_api.types import Operation

    from .config import Options

__all__ = [
    "LOGGER",
    "Outage",
    "log_attempt",
    "log_retry",
    "log_stale_clock",
    "log_token_renewal",
    "log_uncertain_merge",
    "outage_of",
]

LOGGER = logging.getLogger("synerise_profiles")
LOGGER.addHandler(logging.NullHandler())


def log_attempt(operation: Operation, outcome: int | str, seconds: float, attempt: int, request_id: str | None) -> None:
    """Log one attempt: `outcome` is the status, or what happened instead; `request_id` is the caller's own."""
    LOGGER.debug(
        "%s %s %s: %s in %.0f ms (attempt %d)%s",
        operation.name,
        operation.http_method,
        operation.path,
        outcome,
        seconds * 1000,
        attempt,
        _id_text(request_id),
    )


def log_retry(
    operation: Operation, outcome: int | str, delay: float, attempt: int, request_id: str | None = None
) -> None:
    """Log that a failed attempt is followed by another one; `request_id` is the caller's own."""
    shown = _id_text(request_id)
    LOGGER.warning("%s: %s; attempt %d follows in %.2f s%s", operation.name, outcome, attempt + 1, delay, shown)


def _id_text(request_id: str | None) -> str:
    return "" if request_id is None else f", request id {request_id}"


def log_uncertain_merge(operation: Operation, group: int) -> None:
    """Log that a merge had no clear answer, and that its sources are looked for."""
    LOGGER.warning("%s: group %d had no clear answer; looking for its sources", operation.name, group)


def log_token_renewal(operation: Operation) -> None:
    """Log that the server refused the token and that another one is fetched."""
    LOGGER.debug("%s: the token was refused; asking for another one", operation.name)


def log_stale_clock(operation: Operation, failure: str) -> None:
    """Log that the server did not tell its time, and that what is known of it is kept."""
    LOGGER.warning("%s: %s; the time that was told before is kept", operation.name, failure)


class Outage:
    """Keeps a host that is away from filling the log: one WARNING when that begins, one line when it answers again.

    `is_on` says that it is away; then `end` is to be called with the first answer. `clock` returns seconds; `state` is
    shared by all that talks to the host; `request_id` is the caller's own, for the lines of retries.
    """

    def __init__(
        self, clock: Callable[[], float], state: OutageState | None = None, request_id: str | None = None
    ) -> None:
        self._clock = clock
        self._request_id = request_id
        self._state = OutageState() if state is None else state

    @property
    def is_on(self) -> bool:
        """Whether the host is away."""
        return self._state.is_on

    def log_retry(
        self,
        operation: Operation,
        status: int | None,
        outcome: str,
        delay: float,
        attempt: int,
        sent_at: float,
        *,
        was_told: bool = False,
    ) -> None:
        """Log that a failed request is followed by another one; `status` is None where no answer came.

        A request that was sent before the server answered again, and fails after that, begins no other outage.
        `was_told` says that it failed in the same way before, and that nothing but a change of the key ends it.
        """
        shown = _id_text(self._request_id)
        if not is_away(status) and not was_told:
            log_retry(operation, outcome, delay, attempt, self._request_id)
        elif is_away(status) and self._state.begin(sent_at, self._clock):
            text = "%s: %s; it is tried again, the next time in %.2f s%s"
            LOGGER.warning(text, operation.name, outcome, delay, shown)
        else:
            LOGGER.debug("%s: %s; attempt %d follows in %.2f s%s", operation.name, outcome, attempt + 1, delay, shown)

    def end(self, operation: Operation) -> None:
        """Log that the host answers again."""
        seconds, failures = self._state.end(self._clock())
        failed = counted(failures, "failed request")
        LOGGER.info("%s: the server answers again, after %.1f s and %s", operation.name, seconds, failed)


def outage_of(options: Options, clock: Callable[[], float]) -> Outage:
    """Return what keeps the outages of the host of a client, as calls, bulk runs and queues log them."""
    return Outage(clock, options.outage, request_id_of(options.headers))
