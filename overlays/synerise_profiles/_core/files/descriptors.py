"""Descriptors: opened into a list that has an owner already, and closed out of it: none is lost, or closed twice.

The interpreter calls the handler of a signal between instructions of Python alone. What opens and stores, or takes out
and closes, in one call of what is written in C cannot be cut into. Nor can the end of the objects in the list, which
close what they hold: also where the destructor of their owner was cut off.
"""

from __future__ import annotations

import os
import sys
import weakref
from io import FileIO
from pathlib import Path
from typing import Final, Protocol

__all__ = [
    "OPEN_FLAGS",
    "OWNER_ONLY",
    "close_all",
    "close_first",
    "close_in_children",
    "close_last",
    "open_into",
    "opened",
    "sync_folder",
]

OWNER_ONLY: Final = 0o600
OPEN_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def open_into(owner: list[FileIO], path: Path, flags: int) -> None:
    """Open a file, no folder, and add it to the list, for its descriptor. Raises OSError."""
    owner.extend(map(FileIO, map(os.open, (path,), (flags,), (OWNER_ONLY,))))


def close_all(owner: list[FileIO]) -> None:
    """Close all files of the list, and empty it. Raises OSError, without those that are closed."""
    close_first(owner, len(owner))


def close_first(owner: list[FileIO], count: int) -> None:
    """Close so many files of the list, and take them out of it."""
    any(map(FileIO.close, map(owner.pop, (0,) * count)))


def close_last(owner: list[FileIO]) -> None:
    """Close the last file of the list, and take it out of it."""
    any(map(FileIO.close, map(owner.pop, (-1,))))


def opened(path: Path, flags: int) -> FileIO:
    """Open a file, no folder, for a `with` block, whose end is written in C too. Raises OSError."""
    return next(map(FileIO, map(os.open, (path,), (flags,), (OWNER_ONLY,))))


def sync_folder(target: Path) -> None:
    """Sync a file's folder: a new name survives a power cut only once its folder is on the disk."""
    if sys.platform != "win32":
        folder: list[int] = []
        try:
            folder.extend(map(os.open, (target.parent,), (os.O_RDONLY,)))
            os.fsync(folder[0])
        finally:
            try:
                any(map(os.close, map(folder.pop, (0,) * len(folder))))
            finally:
                any(map(os.close, map(folder.pop, (0,) * len(folder))))


class _Closable(Protocol):
    def close(self) -> None: ...


_closed_in_children: Final = weakref.WeakSet[_Closable]()


def close_in_children(file: _Closable, *, is_open: bool = True) -> None:
    """Close what a child of fork got of a file: a lock lasts while any process has it open, were its owner dead.

    One that is closed is forgotten: what a signal's handler raises while that goes by itself, Python tells nobody.
    """
    (_closed_in_children.add if is_open else _closed_in_children.discard)(file)


def _close_after_fork() -> None:
    for file in list(_closed_in_children):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_after_fork)
