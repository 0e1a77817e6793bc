"""The server's clock, as far as it can be known here: measured by `GET /v4/server/time`, never read ahead of it."""

from __future__ import annotations

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

__all__ = ["AsyncServerClock", "Bounds", "ClockState", "Estimate", "ServerClock"]

MAX_AGE: Final = 600.0
"""Seconds after which the server is asked again."""
DRIFT: Final = 5e-4
"""How many seconds two clocks may come apart in a second: what NTP may slew one by."""
JUMP: Final = 1.0
"""A step of the local clock that is noticed: it was set, or the machine slept and its monotonic clock with it."""
COARSE: Final = 0.25
"""An error, in seconds, at which it is worth asking again at once: the first request has to connect."""
SAMPLES: Final = 3
PATIENCE: Final = 60.0
"""Seconds for which an older measurement is kept when the server does not tell its time anew."""
_EPOCH: Final = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_FAILURES: Final = (APIConnectionError, APIStatusError, ResponseDecodingError)


class Bounds(NamedTuple):
    """Between which moments the server's time lies; in UTC."""

    earliest: datetime.datetime
    latest: datetime.datetime


@attrs.frozen
class Estimate:
    """How far the server's clock is ahead of the monotonic one: between `low` and `high` seconds at the time `taken`.

    `gap` is how far the local clock was ahead of the monotonic one then.
    """

    low: float
    high: float
    taken: float
    gap: float

    def earliest(self, monotonic: float) -> float:
        """Return the least that the server's clock can show, in seconds of the epoch."""
        return self.low + monotonic - DRIFT * abs(monotonic - self.taken)

    def latest(self, monotonic: float) -> float:
        """Return the most that the server's clock can show, in seconds of the epoch."""
        return self.high + monotonic + DRIFT * abs(monotonic - self.taken)

    def error(self, monotonic: float) -> float:
        """Return how far `earliest` may be behind the server's clock, in seconds."""
        return self.latest(monotonic) - self.earliest(monotonic)


class ClockState:
    """What is known of the server's clock, and when to ask for it. Asks nobody, reads no clock."""

    def __init__(self) -> None:
        self.estimate: Estimate | None = None
        self._samples = 0
        self._not_before = -math.inf

    def wants(self, monotonic: float, wall: float) -> bool:
        """Say whether the server is to be asked now."""
        if self.estimate is None:
            return True
        if self._jumped(wall - monotonic):
            return True
        if monotonic < self._not_before:
            return False
        if monotonic - self.estimate.taken > MAX_AGE:
            return True
        return self._samples < SAMPLES and self.estimate.error(self.estimate.taken) > COARSE

    def told(self, began: float, ended: float, wall: float, moment: datetime.datetime) -> None:
        """Take an answer. The server read its clock at some time from `began` to `ended`, both monotonic."""
        shown, step = (moment - _EPOCH).total_seconds(), _resolution(moment)
        slack = step + DRIFT * (ended - began)
        new = Estimate(shown - slack - ended, shown + slack - began, ended, wall - ended)
        old = None if self._jumped(new.gap) else self.estimate
        self._samples = 1 if old is None or ended - old.taken > MAX_AGE else self._samples + 1
        self._not_before = -math.inf
        if old is not None:
            low = max(new.low, old.earliest(ended) - ended)
            high = min(new.high, old.latest(ended) - ended)
            # Where the two contradict each other, the server's clock was set: the new one counts.
            if low <= high:
                new = attrs.evolve(new, low=low, high=high)
        self.estimate = new

    def failed(self, monotonic: float, wall: float) -> bool:
        """Say whether to go on with what is known: its bounds still hold, as long as no clock has jumped."""
        if self.estimate is None or self._jumped(wall - monotonic):
            return False
        self._not_before = monotonic + PATIENCE
        return True

    def bounds(self, monotonic: float) -> Bounds | None:
        """Return between which moments the server's time lies; None if it was never told."""
        estimate = self.estimate
        if estimate is None:
            return None
        # Whole milliseconds, which is what the server keeps.
        earliest = _EPOCH + datetime.timedelta(milliseconds=math.floor(estimate.earliest(monotonic) * 1000))
        return Bounds(earliest, _EPOCH + datetime.timedelta(seconds=estimate.latest(monotonic)))

    def _jumped(self, gap: float) -> bool:
        return self.estimate is not None and abs(gap - self.estimate.gap) > JUMP


class _Clock:
    """What both clocks share: reading what is known."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._state = ClockState()

    @property
    def error(self) -> float | None:
        """How many seconds `now` may be behind the server's clock; None before it was measured."""
        estimate = self._state.estimate
        return None if estimate is None else estimate.error(self._timing.monotonic())

    def known(self) -> Bounds | None:
        """Return between which moments the server's time lies, by what was measured last; sends nothing."""
        return self._state.bounds(self._timing.monotonic())

    def _is_due(self) -> bool:
        return self._state.wants(self._timing.monotonic(), self._timing.wall())

    def _take(self, began: float, answer: Response[ServerTime]) -> None:
        ended, moment = self._timing.monotonic(), answer.body.server_time
        if moment is None:
            raise ResponseDecodingError(
                "has no time in serverTime",
                operation=server_time.OPERATION.name,
                status_code=answer.status_code,
                content=answer.content,
            )
        self._state.told(began, ended, self._timing.wall(), moment)

    def _goes_on(self, error: Exception) -> bool:
        goes_on = self._state.failed(self._timing.monotonic(), self._timing.wall())
        if goes_on:
            log_stale_clock(server_time.OPERATION, type(error).__name__)
        return goes_on

    def _bounds(self) -> Bounds:
        found = self.known()
        if found is None:  # only after a measurement
            raise LookupError("the server's clock was not measured")
        return found


class ServerClock(_Clock):
    """The server's clock, in `client.clock`. It is measured when it is first read, and again after ten minutes.

    What is read is never later than the server's own time, and behind it by at most `error` seconds: the time that a
    request takes. So an event with such a time is never "in the future", which would take its salt the effect. The
    local clock does not matter: it may be wrong, and may be set. Threads may share it.

    Operation: GET /v4/server/time; no permission is needed.
    """

    def __init__(self, send: Callable[[Request[Any]], Response[Any]], timing: Timing) -> None:
        super().__init__(timing)
        self._send = send
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def now(self) -> datetime.datetime:
        """Return the server's time, in UTC and whole milliseconds.

        Raises APIStatusError or APIConnectionError when the server does not tell it.
        """
        return self.bounds().earliest

    def bounds(self) -> Bounds:
        """Return between which moments the server's time lies. Raises what `now` does."""
        if self._is_due():
            self._measure()
        return self._bounds()

    def _measure(self) -> None:
        if self._pid != os.getpid():  # a child of fork must not wait for a lock that a thread of its parent held
            self._lock, self._pid = threading.Lock(), os.getpid()
        with self._lock:
            try:
                while self._is_due():
                    began = self._timing.monotonic()
                    self._take(began, self._send(server_time.request()))
            except _FAILURES as error:
                if not self._goes_on(error):
                    raise


class AsyncServerClock(_Clock):
    """The server's clock of an async client; what `ServerClock` says holds for it. `known` reads it without waiting."""

    def __init__(
        self, send: Callable[[Request[Any]], Awaitable[Response[Any]]], timing: Timing, loop: Callable[[], object]
    ) -> None:
        super().__init__(timing)
        self._send = send
        self._loop = loop
        self._locks: WeakKeyDictionary[object, anyio.Lock] = WeakKeyDictionary()

    async def now(self) -> datetime.datetime:
        """Return the server's time, in UTC and whole milliseconds.

        Raises APIStatusError or APIConnectionError when the server does not tell it.
        """
        return (await self.bounds()).earliest

    async def bounds(self) -> Bounds:
        """Return between which moments the server's time lies. Raises what `now` does."""
        if self._is_due():
            await self._measure()
        return self._bounds()

    async def _measure(self) -> None:
        async with self._locks.setdefault(self._loop(), anyio.Lock()):
            try:
                while self._is_due():
                    began = self._timing.monotonic()
                    self._take(began, await self._send(server_time.request()))
            except _FAILURES as error:
                if not self._goes_on(error):
                    raise


def _resolution(moment: datetime.datetime) -> float:
    """Return by how many seconds a shown time may differ from the one that it was rounded from."""
    if moment.microsecond % 1000:
        return 1e-6
    return 1e-3 if moment.microsecond else 1.0
