"""Locks of files: who writes one, who appends to one, and the same answer everywhere where a system has no locks.

A lock is on one byte, far behind what a file holds. It belongs to the opening that took it, not to a process: two runs
of a process keep each other off too, whoever else opens and closes the file changes nothing, and it goes with the
process. `WRITER` is held by who changes the file: a part as long as it is written, a file that is shared during each
addition. `APPENDER` is held by a run that appends, from its beginning to its end: together with others, or alone.

Where the system has only locks of whole files, they stand for `WRITER`, and for an `APPENDER` that is alone; where it
has none, NoLocksError is raised by all that needs one.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from synerise_profiles._core.logging import LOGGER

from .descriptors import OPEN_FLAGS, opened

__all__ = [
    "APPENDER",
    "WRITER",
    "NoLocksError",
    "held",
    "is_taken",
    "release",
    "settled_size",
    "take",
    "tell_no_locks",
    "wait_for",
]

if sys.platform != "win32":
    import fcntl

WRITER: Final = 0x7FFF_FF10
APPENDER: Final = 0x7FFF_FF11
_TAKEN_CODES: Final = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK)
_NO_LOCKS_TEXT: Final = "the system has no locks of files there"
_told: Final = set[str]()


class NoLocksError(OSError):
    """The system, or the file system, has no such locks."""

    def __init__(self) -> None:
        super().__init__(errno.ENOLCK, _NO_LOCKS_TEXT)


def take(descriptor: int, byte: int = WRITER, *, is_shared: bool = False, waits: bool = False) -> bool:
    """Take a lock until it is released, or closed; false if another one has it. Raises NoLocksError."""
    try:
        if sys.platform == "linux":
            kind = fcntl.F_RDLCK if is_shared else fcntl.F_WRLCK
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLKW if waits else fcntl.F_OFD_SETLK, _request(kind, byte))
        elif sys.platform == "win32" or is_shared:
            raise NoLocksError
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _TAKEN_CODES:
            return False
        if error.errno == errno.EBADF:
            raise
        raise NoLocksError from None
    return True


def is_taken(descriptor: int, byte: int = WRITER) -> bool:
    """Whether another one has a lock, without keeping anybody from taking it. Raises NoLocksError."""
    if sys.platform == "linux":
        try:
            found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, byte))
        except OSError:
            raise NoLocksError from None
        else:
            return int(struct.unpack_from("h", found)[0]) != fcntl.F_UNLCK
    elif byte == APPENDER:  # cannot be told from a lock that is held for a moment
        return False
    elif not take(descriptor):
        return True
    else:
        release(descriptor)
        return False


def release(descriptor: int, *bytes_: int) -> None:
    """Release locks that were taken by a descriptor, or all of them, also where a child of fork has it too."""
    try:
        if sys.platform == "linux":
            for byte in bytes_ or (WRITER, APPENDER):
                fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK, byte))
        elif sys.platform != "win32":
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    except OSError:  # there is none
        return


@contextmanager
def held(descriptor: int) -> Generator[None]:
    """Be the only writer of a file for the block (`wait_for`)."""
    try:
        wait_for(descriptor)
        yield
    finally:
        release(descriptor, WRITER)


def wait_for(descriptor: int) -> None:
    """Become the only writer of a file, once no other is; where there are no locks, by hope."""
    try:
        take(descriptor, waits=True)
    except NoLocksError:
        tell_no_locks()


def settled_size(target: Path) -> int:
    """Return how many bytes a file has while nobody appends to it. Raises OSError where there is none."""
    with opened(target, os.O_RDWR | OPEN_FLAGS) as file, held(file.fileno()):
        return os.fstat(file.fileno()).st_size


def tell_no_locks() -> None:
    """Log once that files are written without locks."""
    if not _told:
        _told.add(_NO_LOCKS_TEXT)
        LOGGER.warning("%s: no two runs may write one file at once", _NO_LOCKS_TEXT)


def _request(kind: int, byte: int) -> bytes:
    """A lock as the system reads it: kind, whence, first byte, number of bytes, process."""
    return struct.pack("hhqqi", kind, os.SEEK_SET, byte, 1, 0)
