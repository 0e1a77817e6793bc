"""Records that the processes of a machine share: a few bytes in a file, each change under the lock of the file.

The lock belongs to a process and goes with it, so one that dies leaves nothing behind but the bytes.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .targets import refused
from .writing import OPEN_FLAGS, OWNER_ONLY

__all__ = ["SharedRecord", "rename_file", "temporary_folder"]

if sys.platform != "win32":
    import fcntl

_HEAD_BYTES: Final = 16


def temporary_folder() -> Path:
    """Return the folder for temporary files, which all programs of the machine find."""
    return Path(tempfile.gettempdir())


def rename_file(path: Path, target: Path) -> None:
    """Give a file another name in its folder, at once for all who look; it replaces a file of that name."""
    os.replace(path, target)  # noqa: PTH105 - says what it does


class SharedRecord:
    """The record of a file, made if it is not there; `head` tells such a file from any other, which is left as it is.

    Raises InvalidRequestError, by the name of the argument, for a file of another kind, and where it cannot be opened.
    """

    def __init__(self, target: Path, argument: str, head: bytes) -> None:
        if sys.platform == "win32":
            raise refused(argument, "needs locks of files that this system does not have; divide the rate by hand")
        self._target, self._argument = target, argument
        self._head = head.ljust(_HEAD_BYTES, b"\0")
        self._descriptor, self._pid = -1, 0
        self._open()

    @contextmanager
    def locked(self) -> Generator[bool]:
        """Lock it for the block; false, at once, where another process or run has the lock."""
        if self._pid != os.getpid() or os.fstat(self._descriptor).st_nlink == 0:
            self._open()  # a child of fork would share the lock, and a file that was removed is shared with nobody
        if not self._lock():
            yield False
            return
        try:
            yield True
        finally:
            self._unlock()

    def read(self) -> bytes:
        """Return the record; it is empty in a file that was just made."""
        return os.pread(self._descriptor, 64, _HEAD_BYTES)

    def write(self, record: bytes) -> None:
        """Replace the record, under the lock, by one of the same size. Raises OSError if the disk is full."""
        os.pwrite(self._descriptor, record, _HEAD_BYTES)

    def close(self) -> None:
        """Close the file; does nothing the second time."""
        if self._descriptor >= 0:
            if self._pid == os.getpid():
                os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if getattr(self, "_descriptor", -1) >= 0:
            self.close()

    def _open(self) -> None:
        self.close()
        try:
            self._descriptor = os.open(self._target, os.O_RDWR | os.O_CREAT | OPEN_FLAGS, OWNER_ONLY)
            self._pid = os.getpid()
            found = os.pread(self._descriptor, _HEAD_BYTES, 0)
            if not found:  # two processes that make it at once write the same
                os.pwrite(self._descriptor, self._head, 0)
        except OSError as error:
            raise refused(self._argument, f"cannot be opened: {error.strerror}") from None
        if found and found != self._head:
            self.close()
            raise refused(self._argument, "is a file of another kind; give the name of another one")

    def _lock(self) -> bool:
        if sys.platform != "win32":
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
        return False

    def _unlock(self) -> None:
        if sys.platform != "win32":
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)
