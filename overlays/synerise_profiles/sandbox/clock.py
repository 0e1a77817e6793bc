"""Time as the sandbox sees it: milliseconds since 1970 and back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

Clock = Callable[[], float]
"""Seconds since 1970; every moment in the sandbox comes from one such function, so that it can be moved."""

system_clock: Clock = time.time

_MAX_SECONDS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


class MovableClock:
    """A clock that runs like another one until it is moved or stopped; every moment of the sandbox comes from it.

    It can be read and moved from any thread.
    """

    def __init__(self, source: Clock = system_clock) -> None:
        self._source = source
        self._offset = 0.0
        self._stopped: float | None = None
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Seconds since 1970."""
        stopped = self._stopped
        return self._source() + self._offset if stopped is None else stopped

    @property
    def stopped(self) -> bool:
        """Whether it stands still."""
        return self._stopped is not None

    @property
    def offset(self) -> float:
        """How many seconds it is ahead of the clock that it runs like."""
        stopped = self._stopped
        return self._offset if stopped is None else stopped - self._source()

    def advance(self, seconds: float) -> None:
        """Move forward, or back by a negative number."""
        if not isfinite(seconds):
            raise ValueError("expected a number of seconds")
        if not 0 <= self() + seconds < _MAX_SECONDS:
            raise ValueError("expected a moment from 1970 to 9999")
        with self._lock:
            self._move(seconds)

    def set(self, to: datetime) -> None:
        """Move to a moment, which needs a zone."""
        if to.tzinfo is None:
            raise ValueError("the moment needs a zone, such as datetime.UTC")
        seconds = to.timestamp()
        if not 0 <= seconds < _MAX_SECONDS:
            raise ValueError("expected a moment from 1970 to 9999")
        with self._lock:
            if self._stopped is None:
                self._move(seconds - self())
            else:
                self._stopped = seconds

    def stop(self) -> None:
        """Stand still; moving still works."""
        with self._lock:
            self._stopped = self()

    def go(self) -> None:
        """Run on from where it stands."""
        with self._lock:
            if self._stopped is not None:
                self._offset = self._stopped - self._source()
                self._stopped = None

    def reset(self) -> None:
        """Run like the other clock again, as if it had never been moved or stopped."""
        with self._lock:
            self._offset = 0.0
            self._stopped = None

    def _move(self, seconds: float) -> None:
        if self._stopped is None:
            self._offset += seconds
        else:
            self._stopped += seconds


def utc_datetime(seconds: float) -> datetime:
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
    return f"{_iso_second(millis // 1000)}{millis % 1000:03d}Z"


@lru_cache(maxsize=1024)
def _iso_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.")
