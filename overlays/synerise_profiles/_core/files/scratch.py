"""Scratch files: temporary, private to their process, gone with it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from .writing import WrittenFile

if TYPE_CHECKING:
    import sqlite3

__all__ = ["memory_database", "named_scratch_file", "scratch_database", "scratch_file", "spooled_file"]


def scratch_database() -> sqlite3.Connection:
    """Open a database in a file of SQLite's own, which nobody else can open and which goes with the connection."""
    import sqlite3  # noqa: PLC0415 - likewise

    return sqlite3.connect("", isolation_level=None)


def memory_database() -> sqlite3.Connection:
    """Open a database in memory, for all threads of this process."""
    import sqlite3  # noqa: PLC0415 - likewise

    return sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, cached_statements=256)


def scratch_file(folder: Path | None = None) -> IO[bytes]:
    """Open a file without a name, which goes when it is closed."""
    return tempfile.TemporaryFile(dir=folder)


def spooled_file(max_memory_bytes: int) -> IO[bytes]:
    """Open a file without a name that is in memory while it is small."""
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=max_memory_bytes))


def named_scratch_file(prefix: str) -> WrittenFile:
    """Make a temporary file that can be opened again by its name; it is the caller's to remove."""
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".jsonl")
    return WrittenFile(Path(name), descriptor)
