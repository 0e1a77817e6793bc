"""Standard input, output and error while a command runs: one may be closed, full, or read by nobody any more.

A closed one is replaced by an empty file: else the next file that is opened, such as a journal, would take its number.
What standard error cannot take is left out. Output that is lost ends a command, unless it tells of work that is done:
such a command prints by `tell`, and keeps its own exit status.
"""

from __future__ import annotations

import errno
import io
import os
import select
import stat
import sys
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, Final, TextIO, cast

__all__ = ["UNREAD", "OutputLostError", "guarded_streams", "tell"]

UNREAD: Final = 128 + 13
"""The status of a program that SIGPIPE ends: nobody reads its output any more."""


class OutputLostError(Exception):
    """Standard output cannot be written; only the first piece that is lost raises it.

    `is_unread` says that the other end of a pipe was closed, or the terminal, which gives the error of a bad disk.
    """

    def __init__(self, error: OSError, *, is_file: bool) -> None:
        is_closed = error.errno == errno.EBADF
        super().__init__(f"standard output {'is closed' if is_closed else f'cannot be written: {error.strerror}'}")
        self.is_unread = error.errno == errno.EPIPE or (error.errno == errno.EIO and not is_file)


class _GuardedFile(io.FileIO):
    """An output that, once something was lost, takes all that is written to it."""

    def __init__(self, number: int, *, raises: bool) -> None:
        super().__init__(number, "w", closefd=False)
        self._raises = raises
        self._is_lost = False

    def write(self, data: Any, /) -> int:
        """Write what can be written at once, and wait where that is nothing."""
        try:
            written = len(memoryview(data).cast("B")) if self._is_lost else cast("int | None", super().write(data))
        except OSError as error:
            self._is_lost = True
            if self._raises:
                raise OutputLostError(error, is_file=self._is_file()) from None
            return self.write(data)
        if written is None:  # it does not block, and is full
            select.select([], [self], [])
        return written or 0

    def _is_file(self) -> bool:
        try:
            return stat.S_ISREG(os.fstat(self.fileno()).st_mode)
        except OSError:
            return False


@contextmanager
def guarded_streams() -> Generator[None]:
    """Replace the streams in the block. Those that are no files, such as a test's, stay as they are."""
    before = sys.stdin, sys.stdout, sys.stderr
    with ExitStack() as stack:
        stack.callback(_restore, *before)
        if cast("TextIO | None", sys.stdin) is None:
            sys.stdin = stack.enter_context(open(os.devnull, encoding="utf-8"))  # noqa: PTH123 - no path of a user
        sys.stdout = _guarded(sys.stdout, stack, raises=True)
        sys.stderr = _guarded(sys.stderr, stack, raises=False)
        yield


def tell(show: Callable[[], None], summary: str) -> bool:
    """Print what became of work that is done. Return false, and say the summary, if it could not be printed.

    A reader that has read enough is no failure.
    """
    try:
        show()
    except OutputLostError as error:
        if not error.is_unread:
            sys.stderr.write(f"synerise-profiles: {error}; {summary}\n")
        return error.is_unread
    return True


def _guarded(stream: TextIO, stack: ExitStack, *, raises: bool) -> TextIO:
    number = _number_of(stream)
    if number is None:
        return stream
    encoding, errors = "utf-8", "backslashreplace"
    if number < 0:  # closed: what is written to a file for reading is refused as there
        number = stack.enter_context(open(os.devnull, "rb", buffering=0)).fileno()  # noqa: PTH123, SIM115 - no path of a user
    else:
        stream.flush()
        encoding, errors = stream.encoding, stream.errors or errors
    writer = io.BufferedWriter(_GuardedFile(number, raises=raises))
    return io.TextIOWrapper(writer, encoding, errors, line_buffering=True)


def _number_of(stream: TextIO | None) -> int | None:
    """Return the number of a stream's file, -1 if it is closed, None if it is no plain file."""
    if stream is None:
        return -1
    buffer = getattr(stream, "buffer", None)
    is_file = type(getattr(buffer, "raw", buffer)) is io.FileIO  # without a buffer where PYTHONUNBUFFERED is set
    return stream.fileno() if is_file else None


def _restore(stdin: TextIO, stdout: TextIO, stderr: TextIO) -> None:
    for stream in (sys.stdout, sys.stderr):
        if cast("TextIO | None", stream) is not None:
            with suppress(OutputLostError, OSError, ValueError):
                stream.flush()
    sys.stdin, sys.stdout, sys.stderr = stdin, stdout, stderr
