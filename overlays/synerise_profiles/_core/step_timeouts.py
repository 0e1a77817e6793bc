"""How long one step of a request may take: its own timeout, or what is left until the deadline of the call."""

from __future__ import annotations

import math
import time

import httpcore

__all__ = ["step_seconds"]


def step_seconds(timeout: float | None, deadline: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """Return the seconds that a step may take: its own, or what is left until a moment of the monotonic clock.

    Raises `error` if that has passed.
    """
    if deadline is None or deadline == math.inf:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("the deadline has passed")
    return left if timeout is None or left < timeout else timeout
