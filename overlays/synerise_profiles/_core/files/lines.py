"""Lines of an open file, read from any place of it: each reader has a place of its own, though they share the file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Final

__all__ = ["first_line", "last_line", "lines_between", "read_at"]

_BUFFER_BYTES: Final = 1 << 16


def lines_between(descriptor: int, start: int, end: int) -> Iterator[bytes]:
    """Yield the lines of a part of a file."""
    rest = b""
    while start < end and (content := read_at(descriptor, min(_BUFFER_BYTES, end - start), start)):
        start += len(content)
        *lines, rest = (rest + content).split(b"\n")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest


def first_line(descriptor: int, start: int, end: int) -> bytes:
    """Return the first line of a part of a file that is not blank."""
    return next((line for line in lines_between(descriptor, start, end) if line.strip()), b"")


def last_line(descriptor: int, start: int, end: int) -> bytes:
    """Return the last line of a part of a file that is not blank, as far as it is in it."""
    found = b""
    while start < end:
        size = min(max(_BUFFER_BYTES, len(found)), end - start)
        end -= size
        found = read_at(descriptor, size, end) + found
        whole = found.rstrip()
        if (at := whole.rfind(b"\n")) >= 0 or not start < end:
            return whole[at + 1 :] + found[len(whole) :][:1]
    return b""


def read_at(descriptor: int, size: int, place: int) -> bytes:
    """Read so many bytes, or as many as there are, from a place on."""
    if sys.platform == "win32":
        os.lseek(descriptor, place, os.SEEK_SET)
        return os.read(descriptor, size)
    return os.pread(descriptor, size, place)
