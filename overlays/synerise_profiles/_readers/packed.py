"""Packed files: how they begin, what is first in them, and what is wrong with them."""

from __future__ import annotations

import io
import zlib
from typing import IO, Final

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["GZIP_MAGIC", "DamagedFileError", "PeekedFile", "peek", "unpacked_head"]

GZIP_MAGIC: Final = b"\x1f\x8b"


class DamagedFileError(InvalidRequestError):
    """A file that is cut off or damaged, or that somebody cut or changed while it was read; its text names the file."""

    def __init__(self, problem: str, *, operation: str = "", field: str = "", reference: object = None) -> None:
        super().__init__(problem, operation=operation, reference=reference)
        self.field = field


class PeekedFile:
    """A file whose first part has been read."""

    def __init__(self, first: bytes, file: IO[bytes]) -> None:
        self._first = first
        self._file = file

    def read(self, size: int = -1) -> bytes:
        """Read on."""
        if self._first:
            part, self._first = (self._first, b"") if size < 0 else (self._first[:size], self._first[size:])
            return part
        return self._file.read(size)


def peek(file: io.BufferedReader) -> bytes:
    """Return some of the first bytes of a file, unpacked; they are still there to be read."""
    return unpacked_head(file.peek(), 64)


def unpacked_head(first: bytes, most: int) -> bytes:
    """Return the first bytes of a file unpacked, at most so many, where they are of gzip."""
    if not first.startswith(GZIP_MAGIC):
        return first
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(first, most)
    except zlib.error:
        raise DamagedFileError("the gzip file is damaged; fetch it again", field="file") from None
