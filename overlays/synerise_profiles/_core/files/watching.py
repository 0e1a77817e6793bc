"""A file that is read: whether somebody cuts it, or writes over it, meanwhile."""

from __future__ import annotations

import os
from typing import Self

import attrs

__all__ = ["FileStamp"]


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
