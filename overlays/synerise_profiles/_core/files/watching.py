"""A file that is read: whether somebody cuts it, or writes over it, meanwhile."""

from __future__ import annotations

import os
import stat
import sys
from typing import Any, Final, Self

import attrs

from .lines import read_at

__all__ = ["FileStamp", "FileWatch"]

_START_BYTES: Final = 4096


@attrs.frozen
class FileStamp:
    """What a file was that a library opens by its path, and that nobody appends to; None stands for what is not known.

    A file that takes its name is another one, and changes none that is open.
    """

    path: str
    _seen: tuple[int, int, int] | None

    @classmethod
    def of(cls, path: str) -> Self:
        """Look at a file."""
        return cls(path, _stamp(path))

    @property
    def is_changed(self) -> bool:
        """Whether somebody has written to the file."""
        now = _stamp(self.path)
        return self._seen is not None and now is not None and now[0] == self._seen[0] and now != self._seen


def _stamp(path: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 - as the library has it
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class FileWatch:
    """What a file was when its reading began. One that grows at its end is as it was; of a pipe nothing is known."""

    def __init__(self, file: Any) -> None:
        self._descriptor: int | None = None
        self._size, self._start = 0, b""
        try:
            descriptor: int = file.fileno()
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                self._size, self._start = found.st_size, _start_of(descriptor, _START_BYTES)
                self._descriptor = descriptor
        except (AttributeError, OSError, TypeError, ValueError):  # an object that is no file of the system's
            pass

    @property
    def is_changed(self) -> bool:
        """Whether the file is shorter than it was once, or begins with something else."""
        if self._descriptor is None:
            return False
        try:
            size = os.fstat(self._descriptor).st_size
            start = _start_of(self._descriptor, len(self._start))
        except OSError:  # it was closed, which whoever reads it is told
            return False
        is_cut, self._size = size < self._size, max(size, self._size)
        return is_cut or start != self._start


def _start_of(descriptor: int, size: int) -> bytes:
    """Read the first bytes of a file, whose place stays where it was."""
    if sys.platform == "win32":
        place = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            return read_at(descriptor, size, 0)
        finally:
            os.lseek(descriptor, place, os.SEEK_SET)
    return read_at(descriptor, size, 0)
