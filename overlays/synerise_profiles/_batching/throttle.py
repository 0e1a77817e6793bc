"""How fast requests may follow each other: one window for the whole run, narrowed by a 429 and widened by success."""

from __future__ import annotations

__all__ = ["Pace"]


class Pace:
    """Says when the next request may go. A throttled answer holds all requests back and halves how many may fly.

    `rounds` counts throttled answers since the last success; several to requests that flew together are one round.
    """

    def __init__(self, concurrency: int, per_second: float | None) -> None:
        self.rounds = 0
        self.since = 0.0
        self._most = float(concurrency)
        self._window = float(concurrency)
        self._gap = 0.0 if per_second is None else 1.0 / per_second
        self._next = 0.0
        self._held = 0.0
        self._narrowed = float("-inf")

    @property
    def window(self) -> int:
        """How many requests may be in flight."""
        return int(self._window)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        return max(0.0, max(self._next, self._held) - now)

    def sent(self, now: float) -> None:
        """Note that a request goes now."""
        self._next = max(now, self._next) + self._gap

    def throttled(self, now: float, sent_at: float) -> int:
        """Note an answer that asks for a pause, to a request that went at `sent_at`; return the round."""
        if sent_at >= self._narrowed:
            if not self.rounds:
                self.since = now
            self.rounds += 1
            self._window = max(1.0, self._window / 2)
            self._narrowed = now
        return max(1, self.rounds)

    def hold(self, until: float) -> None:
        """Hold all requests back until then."""
        self._held = max(self._held, until)

    def went_well(self) -> None:
        """Note a success."""
        self.rounds = 0
        self._window = min(self._most, self._window + 1.0 / self._window)
