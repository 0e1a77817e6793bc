"""How fast requests may follow each other: one window for the whole run, narrowed by a 429 and widened by success."""

from __future__ import annotations

__all__ = ["Throttle"]


class Throttle:
    """Says when the next request may go. A throttled answer holds all requests back and halves how many may fly.

    `rounds` counts throttled answers since the last success; several to requests that flew together are one round.
    """

    def __init__(self, concurrency: int, per_second: float | None) -> None:
        self.throttled_rounds = 0
        self.throttled_since = 0.0
        self._max_window = float(concurrency)
        self._window = float(concurrency)
        self._min_interval = 0.0 if per_second is None else 1.0 / per_second
        self._next_at = 0.0
        self._held_until = 0.0
        self._narrowed_at = float("-inf")

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return int(self._window)

    def delay(self, now: float) -> float:
        """Seconds until the next request may go."""
        return max(0.0, max(self._next_at, self._held_until) - now)

    def on_sent(self, now: float) -> None:
        """Note that a request goes now."""
        self._next_at = max(now, self._next_at) + self._min_interval

    def on_throttled(self, now: float, sent_at: float) -> int:
        """Note an answer that asks for a pause, to a request that went at `sent_at`; return the round."""
        if sent_at >= self._narrowed_at:
            if not self.throttled_rounds:
                self.throttled_since = now
            self.throttled_rounds += 1
            self._window = max(1.0, self._window / 2)
            self._narrowed_at = now
        return max(1, self.throttled_rounds)

    def hold_until(self, until: float) -> None:
        """Hold all requests back until then."""
        self._held_until = max(self._held_until, until)

    def on_success(self) -> None:
        """Note a success."""
        self.throttled_rounds = 0
        self._window = min(self._max_window, self._window + 1.0 / self._window)
