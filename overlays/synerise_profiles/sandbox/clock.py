"""The sandbox's clock, which tests move and stop, and timestamps as the API writes them (ISO 8601, UTC)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite

from synerise_profiles._core.arguments import checks_init

Clock = Callable[[], float]
"""A function that returns seconds since 1970. All times of the sandbox come from one, so that tests can move it."""

system_clock: Clock = time.time

_MAX_SECONDS = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@checks_init
class MovableClock:
    """A clock that follows another one, `source`, until it is moved or stopped. Safe from any thread."""

    def __init__(self, source: Clock = system_clock) -> None:
        self._source = source
        self._offset = 0.0
        self._stopped: float | None = None
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.offset:+.0f} s{', stopped' if self.stopped else ''}>"

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
        """How many seconds it is ahead of its source."""
        stopped = self._stopped
        return self._offset if stopped is None else stopped - self._source()

    def advance(self, seconds: float) -> None:
        """Move forward by seconds, or back by a negative number; ValueError beyond the years 1970 to 9999."""
        if not isfinite(seconds):
            raise ValueError("expected a number of seconds")
        if not 0 <= self() + seconds < _MAX_SECONDS:
            raise ValueError("expected a moment from 1970 to 9999")
        with self._lock:
            self._move(seconds)

    def set(self, to: datetime) -> None:
        """Move to a moment; ValueError without a time zone, and beyond the years 1970 to 9999."""
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

    def change(self, *, stopped: bool | None = None, to: datetime | None = None, seconds: float = 0.0) -> None:
        """Stop it or let it go, then set it, then move it; ValueError as `set` and `advance`, and nothing changes."""
        before = self._offset, self._stopped
        try:
            if stopped is not None:
                (self.stop if stopped else self.go)()
            if to is not None:
                self.set(to)
            self.advance(seconds)
        except (ValueError, OverflowError):
            with self._lock:
                self._offset, self._stopped = before
            raise

    def stop(self) -> None:
        """Stop; it can still be moved."""
        with self._lock:
            self._stopped = self()

    def go(self) -> None:
        """Run again from where it stands."""
        with self._lock:
            if self._stopped is not None:
                self._offset = self._stopped - self._source()
                self._stopped = None

    def reset(self) -> None:
        """Follow its source again, as if it had never been moved or stopped."""
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
