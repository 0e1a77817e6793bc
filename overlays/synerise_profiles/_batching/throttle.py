"""The throttle: an AIMD window over the requests of one operation, and their pace: how many may begin in a second.

How the window works (additive increase, multiplicative decrease, as TCP does it). It starts at the caller's
concurrency. A response of 429 or 503 halves it, to 1 at least, and holds all further requests back until the wait is
over that the server or the policy asks for; every success widens it by the inverse of its size, which is one request
more for each window that went well, up to where it started. Requests that were in flight when the window was narrowed
may be throttled too: they belong to the same round and do not narrow it again. So a server that is too busy is asked
less by all at once, and soon as much as before once it has recovered.
"""

from __future__ import annotations

from typing import Protocol

from synerise_profiles._core.instruments import count_throttling, is_traced

__all__ = ["OwnPace", "Pace", "Throttle"]


class Pace(Protocol):
    """Says when the next request may begin, and counts those that do. Moments are seconds of a monotonic clock."""

    def delay(self, now: float) -> float:
        """Seconds until the next request may begin, as far as is known now."""
        ...

    def take(self, now: float) -> bool:
        """Begin a request now; false where it may not begin yet."""
        ...


class OwnPace:
    """The pace of one run: requests keep their distance; without `per_second` they begin as they come."""

    def __init__(self, per_second: float | None) -> None:
        self._min_interval = 0.0 if per_second is None else 1.0 / per_second
        self._next_at = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next request may begin."""
        return max(0.0, self._next_at - now)

    def take(self, now: float) -> bool:
        """Begin a request now, unless it is too early."""
        if now < self._next_at:
            return False
        self._next_at = now + self._min_interval
        return True


class Throttle:
    """Says when the next request may go, and how many may be in flight (`window`).

    `throttled_rounds` counts rounds of throttled responses since the last success; `throttled_since` is when the first
    one came, and `held_seconds` for how long requests were held back in all. `pace` is one that is shared, and is kept
    instead of `per_second`. Moments and `delay` are seconds of a monotonic clock.
    """

    def __init__(self, concurrency: int, per_second: float | None, pace: Pace | None = None) -> None:
        self.throttled_rounds = 0
        self.throttled_since = 0.0
        self.held_seconds = 0.0
        self._max_window = float(concurrency)
        self._window = float(concurrency)
        self._pace = OwnPace(per_second) if pace is None else pace
        self._held_until = 0.0
        self._narrowed_at = float("-inf")
        self._throttled_at = 0.0

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return int(self._window)

    def delay(self, now: float) -> float:
        """Seconds until the next request may go."""
        return max(self._held_until - now, self._pace.delay(now), 0.0)

    def take(self, now: float) -> bool:
        """Let a request go now; false where its pace is shared, and another process was faster."""
        return self._pace.take(now)

    def on_throttled(self, now: float, sent_at: float) -> int:
        """Note a throttled response to a request that was sent at `sent_at`; return the number of the round."""
        self._throttled_at = now
        if sent_at >= self._narrowed_at:
            if not self.throttled_rounds:
                self.throttled_since = now
            self.throttled_rounds += 1
            self._window = max(1.0, self._window / 2)
            self._narrowed_at = now
        return max(1, self.throttled_rounds)

    def hold_until(self, until: float) -> None:
        """Hold all requests back until this moment."""
        seconds = until - max(self._held_until, self._throttled_at)
        self.held_seconds += max(0.0, seconds)
        if is_traced():
            count_throttling(seconds)
        self._held_until = max(self._held_until, until)

    def on_success(self) -> None:
        """Note a success: widen the window."""
        self.throttled_rounds = 0
        self._window = min(self._max_window, self._window + 1.0 / self._window)
