"""The times that a queue gives to rows that have none: the server's time at the moment of the put.

The time is written when the row is first sent, since the server's clock may not be known before; a second sending has
the same bytes, so with its salt it overwrites the first (see `events/salt_and_time.py`). It is the earliest time that
the server's clock could show at the put: a time in the future would be replaced by the server, and then the salt would
have no effect.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_encoder import append_fields
from synerise_profiles._core.server_clock import ClockOffset, ClockState
from synerise_profiles._core.timing import Timing

from .buffer import QueuedRow

__all__ = ["QueueClock", "with_timestamps"]


class QueueClock:
    """What a queue knows of the server's clock, and when to ask again: one request at a time, a pause after a failure.

    A measurement serves until the next one replaces it.
    """

    def __init__(self, timing: Timing) -> None:
        self.state = ClockState()
        self.is_request_pending = False
        self.next_request_at = 0.0
        self._timing = timing

    @property
    def offset(self) -> ClockOffset | None:
        """The offset of the server's clock; None before it was measured."""
        return self.state.offset

    def local_offset(self) -> ClockOffset:
        """Return the offset of the local clock, as if it were the server's."""
        now = self._timing.monotonic()
        wall_offset = self._timing.wall() - now
        return ClockOffset(wall_offset, wall_offset, now, wall_offset)

    def is_due(self, now: float) -> bool:
        """Whether to ask now: nothing is known, or it is old."""
        return (
            not self.is_request_pending and now >= self.next_request_at and self.state.is_due(now, self._timing.wall())
        )

    def record_measurement(self, started_at: float, server_time: datetime.datetime) -> None:
        """Keep what the server answered to a request that was sent at `started_at` (monotonic seconds)."""
        self.is_request_pending = False
        self.state.record_measurement(started_at, self._timing.monotonic(), self._timing.wall(), server_time)

    def record_failure(self, retry_at: float) -> None:
        """Ask again at `retry_at` (monotonic seconds)."""
        self.is_request_pending = False
        self.next_request_at = retry_at


def with_timestamps(
    batch_operation: BatchOperation, queued_rows: Sequence[QueuedRow], clock_offset: ClockOffset | None
) -> list[bytes]:
    """Return the JSON of rows; those without a time get the time of their put, where the clock is known."""
    if batch_operation.time_field is None or clock_offset is None:
        return [item for _, _, item, _ in queued_rows]
    prefix, write = b'"%b":"' % batch_operation.time_field.encode(), _timestamp_writer()
    return [
        append_fields(item, prefix + write(clock_offset.earliest(put_at)) + b'"') if is_untimed else item
        for _, put_at, item, is_untimed in queued_rows
    ]


def _timestamp_writer() -> Callable[[float], bytes]:
    """Return a function that writes seconds of the epoch as ISO 8601 with milliseconds, cut off, in UTC.

    It formats a second once: the rows of a batch were mostly put within a few of them.
    """
    last_second, prefix = -1, b""

    def write(moment: float) -> bytes:
        nonlocal last_second, prefix
        second, millisecond = divmod(int(moment * 1000), 1000)
        if second != last_second:
            last_second, prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (prefix, millisecond)

    return write
