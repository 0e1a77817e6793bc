"""The server's clock: an estimate of its offset from the local monotonic clock, between two bounds.

The server ignores the salt of an event whose time is in its future, and local clocks err. So the time is asked for by
`GET /v4/server/time`: the server read its clock at some moment between sending and receiving, which bounds the offset
(Cristian's algorithm). Each further measurement narrows the bounds, drift widens them again with age, and what is read
is the lower bound, which is never ahead of the server. The local wall clock serves one end only: to notice that it was
set or that the machine slept. A client and its copies share one clock, since they talk to one server.
"""

from __future__ import annotations

import copy
import datetime
import math
import os
import threading
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import anyio
import attrs

from synerise_profiles.errors import APIConnectionError, APIStatusError
from synerise_profiles_api.api.events import server_time
from synerise_profiles_api.errors import ResponseDecodingError
from synerise_profiles_api.models import ServerTime
from synerise_profiles_api.types import Request, Response

from .logging import log_stale_clock
from .timing import Timing

__all__ = ["AsyncServerClock", "ClockOffset", "ClockState", "ServerClock", "TimeBounds"]

MAX_AGE_SECONDS: Final = 600.0
"""Seconds after which the server is asked again."""
MAX_DRIFT_RATE: Final = 5e-4
"""How many seconds two clocks may come apart in a second: what NTP may slew one by."""
MIN_JUMP_SECONDS: Final = 1.0
"""A step of the local clock that is noticed: it was set, or the machine slept and its monotonic clock with it."""
COARSE_ERROR_SECONDS: Final = 0.25
"""An error, in seconds, at which it is worth asking again at once: the first request has to connect."""
MAX_SAMPLES: Final = 3
FAILURE_PAUSE_SECONDS: Final = 60.0
"""Seconds for which an older measurement is kept when the server does not tell its time anew."""
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_MEASUREMENT_ERRORS: Final = (APIConnectionError, APIStatusError, ResponseDecodingError)


class TimeBounds(NamedTuple):
    """Between which moments the server's time lies; in UTC."""

    earliest: datetime.datetime
    latest: datetime.datetime


@attrs.frozen
class ClockOffset:
    """How far the server's clock is ahead of the monotonic one: between `low` and `high` seconds at `measured_at`.

    `wall_offset` is how far the local wall clock was ahead of the monotonic one then.
    """

    low: float
    high: float
    measured_at: float
    wall_offset: float

    def earliest(self, monotonic: float) -> float:
        """Return the least that the server's clock can show, in seconds of the epoch."""
        return self.low + monotonic - MAX_DRIFT_RATE * abs(monotonic - self.measured_at)

    def latest(self, monotonic: float) -> float:
        """Return the most that the server's clock can show, in seconds of the epoch."""
        return self.high + monotonic + MAX_DRIFT_RATE * abs(monotonic - self.measured_at)

    def uncertainty(self, monotonic: float) -> float:
        """Return how far `earliest` may be behind the server's clock, in seconds."""
        return self.latest(monotonic) - self.earliest(monotonic)


class ClockState:
    """The state machine of the clock: what is known of it, and when to measure. Sends nothing, reads no clock."""

    def __init__(self) -> None:
        self.offset: ClockOffset | None = None
        self._samples = 0
        self._not_before = -math.inf

    def is_due(self, monotonic: float, wall: float) -> bool:
        """Whether the server is to be asked now."""
        if self.offset is None:
            return True
        if self._has_jumped(wall - monotonic):
            return True
        if monotonic < self._not_before:
            return False
        if monotonic - self.offset.measured_at > MAX_AGE_SECONDS:
            return True
        return self._samples < MAX_SAMPLES and self.offset.uncertainty(self.offset.measured_at) > COARSE_ERROR_SECONDS

    def record_measurement(self, began: float, ended: float, wall: float, moment: datetime.datetime) -> None:
        """Take a measurement: the server showed `moment` at some time from `began` to `ended`, both monotonic."""
        shown, step = (moment - _EPOCH).total_seconds(), _resolution(moment)
        slack = step + MAX_DRIFT_RATE * (ended - began)
        new = ClockOffset(shown - slack - ended, shown + slack - began, ended, wall - ended)
        old = None if self._has_jumped(new.wall_offset) else self.offset
        self._samples = 1 if old is None or ended - old.measured_at > MAX_AGE_SECONDS else self._samples + 1
        self._not_before = -math.inf
        if old is not None:
            low = max(new.low, old.earliest(ended) - ended)
            high = min(new.high, old.latest(ended) - ended)
            # Where the two contradict each other, the server's clock was set: the new one counts.
            if low <= high:
                new = attrs.evolve(new, low=low, high=high)
        self.offset = new

    def record_failure(self, monotonic: float, wall: float) -> bool:
        """Whether to go on with what is known: its bounds still hold, as long as no clock has jumped."""
        if self.offset is None or self._has_jumped(wall - monotonic):
            return False
        self._not_before = monotonic + FAILURE_PAUSE_SECONDS
        return True

    def bounds(self, monotonic: float) -> TimeBounds | None:
        """Return between which moments the server's time lies; None if it was never measured."""
        offset = self.offset
        if offset is None:
            return None
        # Whole milliseconds, which is what the server keeps.
        earliest = _EPOCH + datetime.timedelta(milliseconds=math.floor(offset.earliest(monotonic) * 1000))
        return TimeBounds(earliest, _EPOCH + datetime.timedelta(seconds=offset.latest(monotonic)))

    def _has_jumped(self, wall_offset: float) -> bool:
        return self.offset is not None and abs(wall_offset - self.offset.wall_offset) > MIN_JUMP_SECONDS


class _ClockReader:
    """What the sync and the async clock share: reading the state, and recording a measurement."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._state = ClockState()

    def __repr__(self) -> str:
        error = self.error
        known = "not measured yet" if error is None else f"at most {error:.3f} s behind the server's"
        return f"<{type(self).__name__}, {known}>"

    @property
    def error(self) -> float | None:
        """How many seconds `now` may be behind the server's clock; None before it was measured."""
        offset = self._state.offset
        return None if offset is None else offset.uncertainty(self._timing.monotonic())

    def known(self) -> TimeBounds | None:
        """Return between which moments the server's time lies, by what was measured last; sends nothing."""
        return self._state.bounds(self._timing.monotonic())

    def _is_due(self) -> bool:
        return self._state.is_due(self._timing.monotonic(), self._timing.wall())

    def _record(self, began: float, response: Response[ServerTime]) -> None:
        ended, moment = self._timing.monotonic(), response.body.server_time
        if moment is None:
            raise ResponseDecodingError(
                "has no time in serverTime",
                operation=server_time.OPERATION.name,
                status_code=response.status_code,
                content=response.content,
            )
        self._state.record_measurement(began, ended, self._timing.wall(), moment)

    def _keeps_measurement(self, error: Exception) -> bool:
        is_kept = self._state.record_failure(self._timing.monotonic(), self._timing.wall())
        if is_kept:
            log_stale_clock(server_time.OPERATION, type(error).__name__)
        return is_kept

    def _known_bounds(self) -> TimeBounds:
        found = self.known()
        if found is None:  # only after a measurement
            raise LookupError("the server's clock was not measured")
        return found


class ServerClock(_ClockReader):
    """The server's clock, in `client.clock`. It is measured when it is first read, and again after ten minutes.

    What is read is never later than the server's own time, and behind it by at most `error` seconds: the time that a
    request takes. So an event with such a time is never in the server's future, where its salt would have no effect.
    The local clock does not matter: it may be wrong, and may be set. Threads may share it.

    Operation: GET /v4/server/time; no permission is needed.
    """

    def __init__(self, send: Callable[[Request[Any]], Response[Any]], timing: Timing) -> None:
        super().__init__(timing)
        self._send = send
        self._lock = threading.RLock()  # a signal's handler may meet it in its own thread
        self._pid = os.getpid()

    def asked_by(self, send: Callable[[Request[Any]], Response[Any]]) -> ServerClock:
        """Return this clock for a copy of the client, which asks by its own options; what is known is shared."""
        clock = copy.copy(self)
        clock._send = send  # noqa: SLF001 - its own class
        return clock

    def now(self) -> datetime.datetime:
        """Return the server's time, in UTC and whole milliseconds.

        Raises APIStatusError or APIConnectionError when the server does not tell it.
        """
        return self.bounds().earliest

    def bounds(self) -> TimeBounds:
        """Return between which moments the server's time lies. Raises what `now` does."""
        if self._is_due():
            self._measure()
        return self._known_bounds()

    def _measure(self) -> None:
        if self._pid != os.getpid():  # a child of fork must not wait for a lock that a thread of its parent held
            self._lock, self._pid = threading.RLock(), os.getpid()
        with self._lock:
            try:
                while self._is_due():
                    began = self._timing.monotonic()
                    self._record(began, self._send(server_time.request()))
            except _MEASUREMENT_ERRORS as error:
                if not self._keeps_measurement(error):
                    raise


class AsyncServerClock(_ClockReader):
    """The server's clock of an async client; what `ServerClock` says holds for it. `known` reads it without waiting."""

    def __init__(
        self, send: Callable[[Request[Any]], Awaitable[Response[Any]]], timing: Timing, loop: Callable[[], object]
    ) -> None:
        super().__init__(timing)
        self._send = send
        self._loop = loop
        self._locks: WeakKeyDictionary[object, anyio.Lock] = WeakKeyDictionary()

    def asked_by(self, send: Callable[[Request[Any]], Awaitable[Response[Any]]]) -> AsyncServerClock:
        """Return this clock for a copy of the client, as `ServerClock.asked_by` does."""
        clock = copy.copy(self)
        clock._send = send  # noqa: SLF001 - its own class
        return clock

    async def now(self) -> datetime.datetime:
        """Return the server's time, in UTC and whole milliseconds.

        Raises APIStatusError or APIConnectionError when the server does not tell it.
        """
        return (await self.bounds()).earliest

    async def bounds(self) -> TimeBounds:
        """Return between which moments the server's time lies. Raises what `now` does."""
        if self._is_due():
            await self._measure()
        return self._known_bounds()

    async def _measure(self) -> None:
        async with self._locks.setdefault(self._loop(), anyio.Lock()):
            try:
                while self._is_due():
                    began = self._timing.monotonic()
                    self._record(began, await self._send(server_time.request()))
            except _MEASUREMENT_ERRORS as error:
                if not self._keeps_measurement(error):
                    raise


def _resolution(moment: datetime.datetime) -> float:
    """Return by how many seconds a shown time may differ from the one that it was rounded from."""
    if moment.microsecond % 1000:
        return 1e-6
    return 1e-3 if moment.microsecond else 1.0
