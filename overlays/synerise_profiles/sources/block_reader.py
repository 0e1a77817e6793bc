"""Files as blocks of whole lines: opened, unpacked where they are gzip, and cut at line ends."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, Any, AnyStr, Final, TypeAlias, cast

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["MAX_LINE_CHARS", "InputFile", "PathOrFile", "split_blocks"]

PathOrFile: TypeAlias = "str | os.PathLike[str] | IO[bytes] | IO[str]"
_BLOCK_BYTES: Final = 1 << 18
MAX_LINE_CHARS: Final = 8_000_000
"""No line is longer: a request carries an eighth of it, so what is longer is no row."""
_GZIP_MAGIC: Final = b"\x1f\x8b"


class InputFile:
    """A path, or a file object of bytes or text. A path can be read again and again, a file object once."""

    def __init__(self, given: PathOrFile) -> None:
        self._path: Path | None = None
        self._file: Any = None
        if isinstance(given, str | os.PathLike):
            self._path = Path(given)
        elif callable(getattr(given, "read", None)):
            self._file = given
        else:
            problem = f"expected a path or a file object, got {type(given).__name__}"
            raise InvalidRequestError(problem, field="file")
        self._was_read = False

    @property
    def is_path(self) -> bool:
        """Whether it can be read again."""
        return self._path is not None

    def open(self) -> AbstractContextManager[Callable[[], bytes | str]]:
        """Open it; the function returns the next part, unpacked, and nothing at the end."""
        if self._path is not None:
            return _OpenedFile(self._path)
        if self._was_read:
            raise InvalidRequestError("was read before; give a path, or open it again", field="file")
        self._was_read = True
        return nullcontext(_decompressed(self._file))


class _OpenedFile(AbstractContextManager[Callable[[], bytes | str]]):
    """A file of a path, while it is read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")

    def __enter__(self) -> Callable[[], bytes | str]:
        return _decompressed(self._file)

    def __exit__(self, *_: object) -> None:
        self._file.close()


class _PeekedFile:
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


def _decompressed(file: IO[Any]) -> Callable[[], bytes | str]:
    first: bytes | str = file.read(_BLOCK_BYTES)
    if isinstance(first, bytes) and len(first) < len(_GZIP_MAGIC):
        first += file.read(_BLOCK_BYTES)  # a pipe may give less than it was asked for
    if isinstance(first, str) or not first.startswith(_GZIP_MAGIC):
        parts = iter((first,))
        return lambda: next(parts, None) or file.read(_BLOCK_BYTES)
    packed = gzip.GzipFile(fileobj=cast("IO[bytes]", _PeekedFile(first, file)), mode="rb")
    return lambda: packed.read(_BLOCK_BYTES)


def split_blocks(parts: Iterator[AnyStr], newline: AnyStr, other: AnyStr) -> Iterator[AnyStr | None]:
    """Cut what is read after its last line end, so that a block holds whole lines; None is one too long to be read.

    Lines end with `newline`, or with `other` in a file that has none of it.
    """
    rest, skips = newline[:0], False
    for part in parts:
        block = rest + part
        if skips:
            begin = _line_end(block, newline, other, last=False)
            if not begin:
                rest = block[-1:]
                continue
            block, skips = block[begin:], False
            yield None
        end = _line_end(block, newline, other, last=True)
        if end:
            yield block[:end]
        rest = block[end:]
        if len(rest) > MAX_LINE_CHARS:
            rest, skips = rest[-1:], True
    if skips:
        yield None
    elif rest:
        yield rest


def _line_end(block: AnyStr, newline: AnyStr, other: AnyStr, *, last: bool) -> int:
    """Where the first or last line of a block ends; 0 if none does."""
    place = block.rfind(newline) if last else block.find(newline)
    if place < 0 and other:
        # One at the very end may be half of a pair.
        place = block.rfind(other, 0, len(block) - 1) if last else block.find(other, 0, len(block) - 1)
    return place + 1
