"""Descriptors: opened into a list that has an owner already, and closed out of it: none is lost, or closed twice.

The interpreter calls the handler of a signal between instructions of Python alone. What opens and stores, or takes out
and closes, in one call of what is written in C cannot be cut into.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Protocol

__all__ = ["OPEN_FLAGS", "OWNER_ONLY", "close_all", "close_first", "close_in_children", "open_into", "opened"]

OWNER_ONLY: Final = 0o600
OPEN_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def open_into(owner: list[int], path: Path, flags: int) -> None:
    """Open a file, and add its descriptor to the list. Raises OSError."""
    owner.extend(map(os.open, (path,), (flags,), (OWNER_ONLY,)))


def close_all(owner: list[int]) -> None:
    """Close all descriptors of the list, and empty it. Raises OSError, without those that are closed."""
    close_first(owner, len(owner))


def close_first(owner: list[int], count: int) -> None:
    """Close so many descriptors of the list, and take them out of it."""
    any(map(os.close, map(owner.pop, (0,) * count)))


@contextmanager
def opened(path: Path, flags: int) -> Generator[int]:
    """Open a file for the block."""
    owner: list[int] = []
    try:
        try:
            open_into(owner, path, flags)
            yield owner[0]
        finally:
            close_all(owner)
    finally:
        close_all(owner)  # where an interruption cut into the other one


class _Closable(Protocol):
    def close(self) -> None: ...


_closed_in_children: Final = weakref.WeakSet[_Closable]()


def close_in_children(file: _Closable) -> None:
    """Close what a child of fork got of a file: a lock lasts while any process has it open, were its owner dead."""
    _closed_in_children.add(file)


def _close_after_fork() -> None:
    for file in list(_closed_in_children):
        file.close()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_after_fork)
