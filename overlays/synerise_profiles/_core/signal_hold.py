"""Signals that come while something is brought to its end: their handlers are called once that is done."""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Final, Self, TypeAlias

__all__ = ["SignalHold"]

_Handler: TypeAlias = Callable[[int, FrameType | None], Any]
_MAX_SECONDS: Final = 2.0
"""A signal that comes later than this in a block is handled at once: what does not end can be interrupted."""


class SignalHold:
    """Holds back the handlers of the signals that come in a block, and calls each at its end, once.

    It is for handlers that are functions, which may raise, and for the main thread, in which Python calls them;
    elsewhere it does nothing. One block may be in another one. Nothing is to be awaited in it.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._handlers: dict[int, _Handler] = {}
        self._came: list[int] = []
        self._until = 0.0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._until = self._now() + _MAX_SECONDS
            # Those of Ctrl-C and of a stop first, since they come most.
            for number in sorted(signal.valid_signals(), key=_FIRST.__contains__, reverse=True):
                handler = signal.getsignal(number)
                if callable(handler):
                    self._handlers[number] = handler
                    signal.signal(number, self._hold)
        return self

    def __exit__(self, *_: object) -> None:
        self._until = 0.0  # from here on `_hold` stands for the handler, should one that raises cut in
        try:
            self._give_back()
        finally:
            self._give_back()
            self._call()

    def _hold(self, number: int, frame: FrameType | None) -> Any:
        if self._now() >= self._until:
            return self._handlers[number](number, frame)
        if number not in self._came:
            self._came.append(number)
        return None

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            if signal.getsignal(number) == self._hold:
                signal.signal(number, handler)

    def _call(self) -> None:
        """Call the handlers of what came, each also where the one before raises."""
        if self._came:
            number = self._came.pop(0)
            try:
                self._handlers[number](number, inspect.currentframe())
            finally:
                self._call()


_FIRST: Final = frozenset({signal.SIGINT, signal.SIGTERM})
