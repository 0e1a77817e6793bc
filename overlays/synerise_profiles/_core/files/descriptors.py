"""Descriptors: opened into a list that has an owner already, and closed out of it: none is lost, or closed twice.

The interpreter calls the handler of a signal between instructions of Python alone. What opens and stores, or takes out
and closes, in one call of what is written in C cannot be cut into.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

__all__ = ["OPEN_FLAGS", "OWNER_ONLY", "close_all", "open_into"]

OWNER_ONLY: Final = 0o600
OPEN_FLAGS: Final = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def open_into(owner: list[int], path: Path, flags: int) -> None:
    """Open a file, and add its descriptor to the list. Raises OSError."""
    owner.extend(map(os.open, (path,), (flags,), (OWNER_ONLY,)))


def close_all(owner: list[int]) -> None:
    """Close all descriptors of the list, and empty it. Raises OSError, without those that are closed."""
    any(map(os.close, map(owner.pop, (-1,) * len(owner))))
