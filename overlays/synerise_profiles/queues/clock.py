"""The server's clock as it is known here: always a little behind, since a time in the future counts for nothing.

A row that has no time gets the one at which it was put. With its salt, a second sending then overwrites the first.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import attrs

__all__ = ["Reading", "ServerClock", "written"]

_FRESH = 300.0
"""Seconds for which a reading is trusted."""
_DRIFT = 2e-4
"""How much two clocks may drift apart: far more than they do."""
_JUMP = 1.0
"""By so many seconds the two clocks of this machine come apart when it slept, or when its time was set."""


@attrs.frozen
class Reading:
    """What the server told (seconds of the epoch), and when that was on the monotonic and the wall clock here."""

    told: float
    monotonic: float
    wall: float

    def at(self, moment: float) -> float:
        """Return the server's time at a monotonic moment. The answer took its time, so the server is ahead of it."""
        passed = moment - self.monotonic
        return self.told + passed - max(0.0, passed) * _DRIFT


class ServerClock:
    """Says when to ask the server for its time, and keeps what it told."""

    def __init__(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self.reading: Reading | None = None
        self.is_asked = False
        self.due = 0.0
        self._monotonic = monotonic
        self._wall = wall

    def own(self) -> Reading:
        """Read the clock here, as if it was the server's."""
        return Reading(self._wall(), self._monotonic(), self._wall())

    def wants_asking(self, now: float) -> bool:
        """Whether to ask now: nothing is known, or it is old. One question at a time."""
        if self.is_asked or now < self.due:
            return False
        known = self.reading
        return known is None or now - known.monotonic > _FRESH or self._jumped(known)

    def told(self, moment: float) -> None:
        """Keep what the server told."""
        self.is_asked = False
        self.reading = Reading(moment, self._monotonic(), self._wall())

    def failed(self, until: float) -> None:
        """Ask again then; what was known serves until it is replaced."""
        self.is_asked = False
        self.due = until

    def _jumped(self, known: Reading) -> bool:
        passed = (self._wall() - known.wall) - (self._monotonic() - known.monotonic)
        return abs(passed) > _JUMP


def written() -> Callable[[float], bytes]:
    """Return a function that writes seconds of the epoch as ISO 8601 with milliseconds, cut off, in UTC."""
    last, prefix = -1, b""

    def write(moment: float) -> bytes:
        nonlocal last, prefix
        second, milli = divmod(int(moment * 1000), 1000)
        if second != last:
            last, prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)).encode()
        return b"%b.%03dZ" % (prefix, milli)

    return write
