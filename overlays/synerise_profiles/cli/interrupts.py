"""Ctrl-C, SIGTERM and SIGHUP end a command by an exception, but not while a module is being loaded.

Some extension modules crash the interpreter if an exception is raised while they are initialised, and Python loses one
that is raised in a callback of the import system. A signal that comes there is therefore sent again a moment later.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Final

__all__ = ["HUNG_UP", "INTERRUPTED", "TERMINATED", "HungUpError", "TerminatedError", "ending_of", "raised_signals"]

_SIGHUP: Final[int] = getattr(signal, "SIGHUP", 1)
"""It is not known on Windows, where no such signal comes."""
HUNG_UP: Final = 128 + _SIGHUP
INTERRUPTED: Final = 128 + signal.SIGINT
TERMINATED: Final = 128 + signal.SIGTERM
_IMPORT_SYSTEM: Final = "<frozen importlib"
_SECONDS_LATER: Final = 0.02
_MAX_TIMES: Final = 100
"""After so many times it is raised wherever it comes: what loads for so long may wait for something."""


class TerminatedError(KeyboardInterrupt):
    """SIGTERM: a command ends as by Ctrl-C, with another status."""


class HungUpError(TerminatedError):
    """SIGHUP: the terminal was closed."""


_ERRORS: Final = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: TerminatedError, _SIGHUP: HungUpError}
_SIGNALS: Final = tuple(number for number in _ERRORS if number in signal.valid_signals())


def ending_of(error: KeyboardInterrupt) -> tuple[str, int]:
    """Return the word and the exit status for an interruption."""
    if isinstance(error, HungUpError):
        return "the terminal was closed", HUNG_UP
    return ("terminated", TERMINATED) if isinstance(error, TerminatedError) else ("interrupted", INTERRUPTED)


@contextmanager
def raised_signals(outermost: CodeType) -> Generator[None]:
    """Raise KeyboardInterrupt for Ctrl-C, TerminatedError for SIGTERM and HungUpError for SIGHUP in the block.

    `outermost` is the code of the function that holds the block: what was being loaded when it was called does not
    count. A signal that is ignored, or has a handler of the caller's, stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    again = _Again(outermost)
    usual = (signal.SIG_DFL, signal.default_int_handler)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    taken = {number: handler for number, handler in before.items() if handler in usual}
    try:
        for number in taken:
            signal.signal(number, again.handle)
        yield
    finally:
        again.stop()
        for number, handler in taken.items():
            signal.signal(number, handler)


class _Again:
    """Raises for a signal, or sends it again later."""

    def __init__(self, outermost: CodeType) -> None:
        self._outermost = outermost
        self._times = 0
        self._timer: threading.Timer | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Answer a signal."""
        if self._times < _MAX_TIMES and self._is_loading(frame):
            self._times += 1
            self.stop()
            self._timer = threading.Timer(_SECONDS_LATER, _send_again, (number,))
            self._timer.daemon = True
            self._timer.start()
            return
        raise _ERRORS[number]

    def stop(self) -> None:
        """Send nothing more."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_loading(self, frame: FrameType | None) -> bool:
        while frame is not None and frame.f_code is not self._outermost:
            if frame.f_code.co_filename.startswith(_IMPORT_SYSTEM):
                return True
            frame = frame.f_back
        return False


def _send_again(number: int) -> None:
    if sys.platform == "win32":
        signal.raise_signal(number)
    else:  # to the main thread, so that it does not go on waiting
        signal.pthread_kill(threading.main_thread().ident or 0, number)
