"""The log of the library: DEBUG for each attempt, WARNING for each retry and each merge without a clear answer.

Names of operations, statuses and durations are logged, never values or paths: those may be personal data.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from synerise_profiles_api.types import Operation

__all__ = ["LOGGER", "log_attempt", "log_retry", "log_stale_clock", "log_token_renewal", "log_uncertain_merge"]

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
        "" if request_id is None else f", request id {request_id}",
    )


def log_retry(operation: Operation, outcome: int | str, delay: float, attempt: int) -> None:
    """Log that a failed attempt is followed by another one."""
    LOGGER.warning("%s: %s; attempt %d follows in %.2f s", operation.name, outcome, attempt + 1, delay)


def log_uncertain_merge(operation: Operation, group: int) -> None:
    """Log that a merge had no clear answer, and that its sources are looked for."""
    LOGGER.warning("%s: group %d had no clear answer; looking for its sources", operation.name, group)


def log_token_renewal(operation: Operation) -> None:
    """Log that the server refused the token and that another one is fetched."""
    LOGGER.debug("%s: the token was refused; asking for another one", operation.name)


def log_stale_clock(operation: Operation, failure: str) -> None:
    """Log that the server did not tell its time, and that what is known of it is kept."""
    LOGGER.warning("%s: %s; the time that was told before is kept", operation.name, failure)
