"""Scratch files, which go when they are closed, or are the caller's to remove."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Collection, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, cast

from .writing import WrittenFile

__all__ = [
    "named_scratch_file",
    "scratch_file",
    "scratch_folder",
    "spooled_file",
    "telling_full_disk",
    "unnamed_scratch_file",
]

_NO_ROOM_CODES: Final = ("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN")
_NO_ROOM_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ROOM: Final = (
    "the folder of temporary files is full or cannot be written, in which the lines of orders are kept; name one with "
    "more room by the environment variable TMPDIR (and by SQLITE_TMPDIR, if that is set), and run again"
)


def scratch_file(folder: Path | None = None) -> IO[bytes]:
    """Open a file without a name, which goes when it is closed."""
    return tempfile.TemporaryFile(dir=folder)


def spooled_file(max_memory_bytes: int) -> IO[bytes]:
    """Open a file without a name that is in memory while it is small."""
    return cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=max_memory_bytes))


@contextmanager
def scratch_folder(prefix: str) -> Generator[Path]:
    """Make a folder for its owner alone, which goes at the end of the block with all that is in it."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        yield Path(name)


def unnamed_scratch_file() -> WrittenFile:
    """Make a temporary file without a name, which goes when it is closed."""
    with tempfile.TemporaryFile() as file:
        return WrittenFile(Path(), os.dup(file.fileno()))


def named_scratch_file(prefix: str) -> WrittenFile:
    """Make a temporary file that can be opened again by its name; it is the caller's to remove."""
    descriptor, name = tempfile.mkstemp(prefix=prefix, suffix=".jsonl")
    return WrittenFile(Path(name), descriptor)


@contextmanager
def telling_full_disk(passed_on: Collection[BaseException] = ()) -> Generator[None]:
    """Say what is meant where the folder of temporary files is full or cannot be written; raises OSError (ENOSPC).

    `passed_on` are errors of somebody else's that come through here, and stay themselves.
    """
    try:
        yield
    except Exception as error:  # of the system or of SQLite, which a program without a database does not load
        code = getattr(error, "sqlite_errorname", "")
        is_full = code.startswith(_NO_ROOM_CODES) or getattr(error, "errno", None) in _NO_ROOM_ERRORS
        if not is_full or any(known is error for known in passed_on):
            raise
        raise OSError(errno.ENOSPC, _NO_ROOM) from error
