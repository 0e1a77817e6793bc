"""Time as the sandbox sees it: milliseconds since 1970 and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds since 1970; every moment in the sandbox comes from one such function, so that it can be moved."""

system_clock: Clock = time.time


class MovableClock:
    """A clock that runs like another one until it is moved or stopped; every moment of the sandbox comes from it."""

    def __init__(self, source: Clock = system_clock) -> None:
        self._source = source
        self._offset = 0.0
        self._stopped: float | None = None

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self._source() + self._offset if self._stopped is None else self._stopped

    def advance(self, seconds: float) -> None:
        """Move forward, or back by a negative number."""
        if self._stopped is None:
            self._offset += seconds
        else:
            self._stopped += seconds

    def set(self, to: datetime) -> None:
        """Move to a moment, which needs a zone."""
        if to.tzinfo is None:
            raise ValueError("the moment needs a zone, such as datetime.UTC")
        self.advance(to.timestamp() - self())

    def stop(self) -> None:
        """Stand still; moving still works."""
        self._stopped = self()

    def go(self) -> None:
        """Run on from where it stands."""
        if self._stopped is not None:
            self._offset = self._stopped - self._source()
            self._stopped = None


def moment(seconds: float) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def millis_of(text: str) -> int:
    """Read ISO 8601; what has no zone counts as UTC."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return round(value.timestamp() * 1000)


def iso_of(millis: int) -> str:
    """Write ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"
