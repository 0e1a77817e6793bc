"""Records that the processes of a machine share: a few bytes in a file, each change under the lock of the file.

The lock belongs to a process and goes with it, so one that dies leaves nothing behind but the bytes.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final, cast

from .descriptors import OPEN_FLAGS, close_all, close_in_children, open_into
from .locks import NoLocksError, is_taken, release, take
from .targets import refused

__all__ = ["SharedRecord", "refuse_foreign", "rename_file", "temporary_folder"]

_HEAD_BYTES: Final = 16


def temporary_folder() -> Path:
    """Return the folder for temporary files, which all programs of the machine find."""
    return Path(tempfile.gettempdir())


def rename_file(path: Path, target: Path) -> None:
    """Give a file another name in its folder, at once for all who look; it replaces a file of that name."""
    os.replace(path, target)  # noqa: PTH105 - says what it does


def refuse_foreign(path: object, argument: str) -> None:
    """Raise InvalidRequestError where there is a file at a path that other users may write, or that is theirs."""
    if isinstance(path, str | os.PathLike):
        with contextlib.suppress(OSError, ValueError):
            found = os.stat(cast("str | os.PathLike[str]", path))  # noqa: PTH116 - whatever the path is
            problem = _foreign(found) if stat.S_ISREG(found.st_mode) else None
            if problem is not None:
                raise refused(argument, problem)


class SharedRecord:
    """The record of a file, made if it is not there; `head` tells such a file from any other, which is left as it is.

    The file is this user's, and no other may write it: who could, could hold up all that share it. Raises
    InvalidRequestError, by the name of the argument, for a file of another user or of another kind, and where it cannot
    be opened. A child of fork has a handle of its own, and none until it asks, so that it keeps no lock of its parent.
    """

    def __init__(self, target: Path, argument: str, head: bytes) -> None:
        self._target, self._argument = target, argument
        self._head = head.ljust(_HEAD_BYTES, b"\0")
        self._opened: list[FileIO] = []
        self._descriptor, self._pid = -1, 0
        try:
            self._open()
            close_in_children(self)
        except NoLocksError:
            self.close()
            problem = "needs locks of files that this system does not have; divide the rate by hand"
            raise refused(argument, problem) from None
        except BaseException:  # an interruption too
            try:
                self.close()
            finally:
                self.close()
            raise

    @contextmanager
    def locked(self) -> Generator[bool]:
        """Lock it for the block; false, at once, where another process or run has the lock."""
        descriptor = self._current()
        if os.fstat(descriptor).st_nlink == 0:
            descriptor = self._open()  # a file that was removed is shared with nobody
        try:
            yield take(descriptor)
        finally:
            if descriptor == self._descriptor:  # else the block is in a child of fork, and the lock is its parent's
                release(descriptor)

    def read(self) -> bytes:
        """Return the record; it is empty in a file that was just made."""
        return os.pread(self._current(), 64, _HEAD_BYTES)

    def write(self, record: bytes) -> None:
        """Replace the record, under the lock, by one of the same size. Raises OSError if the disk is full."""
        os.pwrite(self._descriptor, record, _HEAD_BYTES)

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        self._descriptor = -1
        close_all(self._opened)

    def __del__(self) -> None:
        try:
            self._close_left()
        finally:
            self._close_left()

    def _close_left(self) -> None:
        if getattr(self, "_opened", None):
            self.close()

    def _current(self) -> int:
        """The handle of this process."""
        return self._descriptor if self._pid == os.getpid() and self._descriptor >= 0 else self._open()

    def _open(self) -> int:
        self.close()
        try:
            open_into(self._opened, self._target, os.O_RDWR | os.O_CREAT | OPEN_FLAGS)
        except OSError as error:
            refuse_foreign(self._target, self._argument)
            raise refused(self._argument, f"cannot be opened: {error.strerror}") from None
        descriptor = self._descriptor = self._opened[-1].fileno()
        self._pid = os.getpid()
        is_taken(descriptor)  # raises where there are no locks
        problem = _foreign(os.fstat(descriptor))
        if problem is None:
            try:
                found = os.pread(descriptor, _HEAD_BYTES, 0)
                if not found:  # two processes that make it at once write the same
                    os.pwrite(descriptor, self._head, 0)
            except OSError as error:
                problem = f"cannot be used: {error.strerror}"
            else:
                if found and found != self._head:
                    problem = "is a file of another kind; give the name of another one"
        if problem is not None:
            self.close()
            raise refused(self._argument, problem)
        return descriptor


def _foreign(found: os.stat_result) -> str | None:
    """Say why a file that is open is not this user's alone; None where it is."""
    if sys.platform == "win32":
        return None
    if found.st_uid != os.geteuid():
        return "is a file of another user; give the name of one of your own: only processes of one user share a rate"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "may be written by other users; take that right away (chmod 600), or give the name of another file"
    return None
