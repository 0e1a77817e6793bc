"""When a queue asks the server for its time. What was told serves until it is replaced.

A row that has no time gets the one at which it was put. With its salt, a second sending then overwrites the first.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from synerise_profiles._core.server_clock import ClockOffset, ClockState
from synerise_profiles._core.timing import Timing

__all__ = ["QueueClock", "timestamp_writer"]


class QueueClock:
    """One question at a time, and after a failure a pause."""

    def __init__(self, timing: Timing) -> None:
        self.state = ClockState()
        self.is_request_pending = False
        self.next_request_at = 0.0
        self._timing = timing

    @property
    def offset(self) -> ClockOffset | None:
        """What is known of the server's clock."""
        return self.state.offset

    def local_offset(self) -> ClockOffset:
        """Read the clock here, as if it was the server's."""
        now = self._timing.monotonic()
        gap = self._timing.wall() - now
        return ClockOffset(gap, gap, now, gap)

    def is_due(self, now: float) -> bool:
        """Whether to ask now: nothing is known, or it is old."""
        return (
            not self.is_request_pending and now >= self.next_request_at and self.state.is_due(now, self._timing.wall())
        )

    def record_measurement(self, started_at: float, server_time: datetime.datetime) -> None:
        """Keep what the server told when it was asked at `began`."""
        self.is_request_pending = False
        self.state.record_measurement(started_at, self._timing.monotonic(), self._timing.wall(), server_time)

    def record_failure(self, retry_at: float) -> None:
        """Ask again then."""
        self.is_request_pending = False
        self.next_request_at = retry_at


def timestamp_writer() -> Callable[[float], bytes]:
    """Return a function that writes seconds of the epoch as ISO 8601 with milliseconds, cut off, in UTC."""
    last, prefix = -1, b""

    def write(moment: float) -> bytes:
        nonlocal last, prefix
        second, milli = divmod(int(moment * 1000), 1000)
        if second != last:
            last, prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (prefix, milli)

    return write
