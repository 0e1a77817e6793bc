"""The pace that processes of one machine share: how many of their requests together may begin in a second.

How it works (the generic cell rate algorithm). A small file holds the moment from which the next request may begin, on
the clock that all processes of the machine see. Who begins one moves that moment on by an interval, under the lock of
the file. Nothing is reserved, so a process that dies, or has nothing to send, leaves its share to the others. A request
that begins late does not delay those behind it, within `_TOLERANCE_SECONDS`: so the rate is used up though nobody wakes
up exactly in time, and yet no second has more than a fortieth too many. Where the interval is so long that waking up
late hardly counts, there is no such tolerance.
"""

from __future__ import annotations

import hashlib
import os
import struct
from pathlib import Path
from typing import Final

import attrs

from synerise_profiles._core.files import SharedRecord, refuse_foreign, target_of, temporary_folder
from synerise_profiles._core.logging import LOGGER
from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["OWN_FILE", "Schedule", "SharedPace", "budget_target", "open_pace"]

OWN_FILE: Final = "file"
"""As `rate_budget`: a file that the library finds by itself, one for each user of the machine and each server."""
_HEAD: Final = b"synerise rate 1"
_RECORD: Final = struct.Struct("<dd")
_TOLERANCE_SECONDS: Final = 0.025
_MAX_TOLERANT_INTERVAL_SECONDS: Final = 0.1
_LOCKED_SECONDS: Final = 0.002
"""Seconds until a lock is tried again that another process has."""
_SLOW_FACTOR: Final = 2.0
"""Another process is told of that takes so many times as long between two requests as this one."""


@attrs.frozen
class Schedule:
    """When the next request may begin (`next_at`), and by how many seconds the last one moved that on (`interval`)."""

    next_at: float = 0.0
    interval: float = 0.0

    def delay(self, now: float) -> float:
        """Seconds until the next request may begin."""
        return 0.0 if self._is_stale(now) else max(0.0, self.next_at - now)

    def taken(self, now: float, interval: float) -> Schedule:
        """Return what is left once a request has begun now."""
        tolerance = _TOLERANCE_SECONDS if interval <= _MAX_TOLERANT_INTERVAL_SECONDS else 0.0
        start = now if self._is_stale(now) else max(self.next_at, now - tolerance)
        return Schedule(start + interval, interval)

    def _is_stale(self, now: float) -> bool:
        """Whether the clock began anew since, as it does when the machine starts: what is next is within an interval.

        Half of one more is allowed for, since numbers are rounded.
        """
        return self.next_at - now > 1.5 * self.interval


class SharedPace:
    """A `Pace` whose schedule is in a file. Raises InvalidRequestError, by `rate_budget`, where that cannot be used."""

    def __init__(self, target: Path, per_second: float) -> None:
        self._interval = 1.0 / per_second
        self._record = SharedRecord(target, "rate_budget", _HEAD)
        self._locked_until = 0.0
        self._is_slow_told = False

    def delay(self, now: float) -> float:
        """Seconds until the next request may begin; another process may be faster then."""
        schedule = self._schedule()
        seconds = schedule.delay(now)
        if seconds > self._interval and schedule.interval > _SLOW_FACTOR * self._interval and not self._is_slow_told:
            self._is_slow_told = True
            text = "rate_budget: another process with this file sends at most %.3g requests a second, this one %.3g"
            LOGGER.warning(text + "; requests wait for the slower one", 1 / schedule.interval, 1 / self._interval)
        return max(seconds, self._locked_until - now)

    def take(self, now: float) -> bool:
        """Begin a request now; false where it is too early, or the file is locked. Raises OSError for a full disk."""
        with self._record.locked() as is_locked:
            if not is_locked:
                self._locked_until = now + _LOCKED_SECONDS
                return False
            schedule = self._schedule()
            if schedule.delay(now) > 0:
                return False
            schedule = schedule.taken(now, self._interval)
            self._record.write(_RECORD.pack(schedule.next_at, schedule.interval))
            return True

    def close(self) -> None:
        """Close the file."""
        self._record.close()

    def _schedule(self) -> Schedule:
        record = self._record.read()
        return Schedule(*_RECORD.unpack(record)) if len(record) == _RECORD.size else Schedule()


def open_pace(per_second: float | None, budget: str | os.PathLike[str], base_url: str) -> SharedPace:
    """Return the pace of all runs and queues with the same file.

    Raises InvalidRequestError where there is no rate to share, and for a file that cannot be used.
    """
    if per_second is None:
        problem = "needs requests_per_second: the rate that all processes with this file share"
        raise InvalidRequestError(problem, field="rate_budget")
    if budget == OWN_FILE:
        return SharedPace(_own_path(base_url), per_second)
    refuse_foreign(budget, "rate_budget")
    return SharedPace(target_of(budget, "rate_budget", is_appended=True), per_second)


def budget_target(budget: str | os.PathLike[str]) -> Path | None:
    """Return the file of a budget, None for that which the library finds by itself; nothing is touched."""
    return None if budget == OWN_FILE else target_of(budget, "rate_budget", is_appended=True)


def _own_path(base_url: str) -> Path:
    """The file of this user and server in a folder that all users share: no link is followed there."""
    user = getattr(os, "getuid", lambda: 0)()
    server = hashlib.blake2b(base_url.encode(), digest_size=8).hexdigest()
    return temporary_folder().resolve() / f"synerise-profiles-{user}-{server}.rate"
