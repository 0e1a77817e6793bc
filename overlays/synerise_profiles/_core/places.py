"""How many calls of a sync transport may hold a connection at once.

A call that takes a place shows an object of its own, and the place is taken while that object lives. So none can be
lost: an exception that a signal's handler raises, at whatever instruction, drops the object of the call that it ends.
"""

from __future__ import annotations

import threading
import time
import weakref
from queue import Empty, SimpleQueue
from typing import Final

__all__ = ["Place", "Places", "Wakeup"]

_LOOK_SECONDS: Final = 0.1
"""Seconds after which one who waits looks by itself: the call that was to wake it may have been cut short."""


class Place:
    """The object under which a place is taken; each is used once."""

    __slots__ = ("__weakref__",)


class Wakeup:
    """Wakes threads that wait for something.

    Unlike an event, it holds no lock that a signal's handler could meet in the thread which it interrupts.
    """

    def __init__(self) -> None:
        self._tokens: SimpleQueue[None] = SimpleQueue()

    def wake(self) -> None:
        """Wake one who waits, or the next one who will; it calls this for the others."""
        if self._tokens.empty():
            self._tokens.put(None)

    def wait(self, seconds: float | None = None) -> None:
        """Wait for so many seconds at most, and no more than a moment: then see whether there is something."""
        try:
            self._tokens.get(timeout=_LOOK_SECONDS if seconds is None else min(seconds, _LOOK_SECONDS))
        except Empty:
            return


class Places:
    """A number of places. Threads, and a signal's handlers in them, may share it."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._taken: set[weakref.ref[Place]] = set()
        # A handler's call may come in between the two steps that it guards: then one more than `count` is taken.
        self._lock = threading.RLock()
        self._freed = Wakeup()

    @property
    def free(self) -> int:
        """How many places nobody has."""
        return self._count - len(self._taken)

    def take(self, place: Place, seconds: float | None) -> bool:
        """Take a place; wait for one so many seconds, None without end. False if there is none in time."""
        if self._take_now(place):
            return True
        deadline = None if seconds is None else time.monotonic() + seconds
        while not self._take_now(place):
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                return False
            self._freed.wait(left)
        if self.free > 0:
            self._freed.wake()
        return True

    def give_back(self, place: Place) -> None:
        """Give a place back; nothing happens if it was not taken, or is given back by now."""
        self._taken.discard(weakref.ref(place))
        self._freed.wake()

    def _take_now(self, place: Place) -> bool:
        taken = self._taken
        with self._lock:
            if len(taken) >= self._count:
                return False
            taken.add(weakref.ref(place, taken.discard))
        return True
