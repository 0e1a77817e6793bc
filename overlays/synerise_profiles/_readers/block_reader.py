"""The block reader: a file in blocks of whole lines, opened, unpacked where it is gzip, decoded, cut at line ends.

A file of any size is read a quarter of a megabyte at a time, and the lines of a block are split by the standard library
in C: line by line in Python would take several times as long. What is no regular file (a pipe, standard input) is
opened once, and what was looked at of it is kept.
"""

from __future__ import annotations

import codecs
import gzip
import io
import os
import re
import stat
import sys
import zlib
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, AnyStr, Final, TypeAlias, cast

from synerise_profiles._core.files import FileId, file_id
from synerise_profiles_api.errors import InvalidRequestError

from .given_input import STANDARD_INPUT, PathOrFile, is_stream, no_path_problem, standard_input
from .packed import GZIP_MAGIC, DamagedFileError, PeekedFile

__all__ = [
    "MAX_LINE_CHARS",
    "DamagedFileError",
    "FileWatch",
    "InputFile",
    "LongLineError",
    "OpenedFile",
    "TextBlocks",
    "split_blocks",
]

_BLOCK_BYTES: Final = 1 << 18
MAX_LINE_CHARS: Final = 8_000_000
"""No line is longer: a request carries an eighth of it, so what is longer is no row."""
_GZIP_SUFFIX: Final = ".gz"
_CUT_TEXT: Final = "the gzip file{} is cut off: its end is missing; fetch it again"
_CHANGED_TEXT: Final = "the file{} was cut or changed by somebody else while it was read; give it again once whole"
_PIECE_BYTES: Final = 1 << 12
_MIN_HEAD: Final = 512
"""So much of a file at least is looked at to say what it is, and its first line that is not blank, within a block."""


class LongLineError(Exception):
    """A line that is too long to be read."""


class InputFile:
    """A path, "-" for standard input, or a file object of bytes or text.

    A regular file can be read again and again. A file object, a pipe and standard input are read once: what was looked
    at is kept for the one who reads it.
    """

    def __init__(self, given: PathOrFile) -> None:
        self._path: Path | None = None
        self._file: Any = None
        if isinstance(given, str | os.PathLike):
            if (problem := no_path_problem(given)) is not None:
                raise InvalidRequestError(problem, field="file")
            self._path = Path(given)
        elif callable(getattr(given, "read", None)):
            self._file = given
        else:
            problem = f"expected a path or a file object, got {type(given).__name__}"
            raise InvalidRequestError(problem, field="file")
        if self._path is not None and str(self._path) == STANDARD_INPUT:
            self._path, self._file = None, standard_input()
        self.is_reusable = self._path is not None and not is_stream(self._path)
        """Whether it can be read again."""
        self._was_read = False

    @property
    def id(self) -> FileId | None:
        """What tells it apart from other files; None for a file object that is none of the system's."""
        try:
            return file_id(self._path if self._path is not None else self._file.fileno())
        except (AttributeError, OSError, ValueError):
            return None

    def open(self) -> OpenedFile:
        """Open it, and read its first part, by which `file_form` says what it is."""
        if self._was_read and not self.is_reusable:
            raise InvalidRequestError("was read before; give a path, or open it again", field="file")
        self._was_read = True
        if self._path is None:
            name = getattr(self._file, "name", "")
            return OpenedFile(self._file, is_own=False, name=name if isinstance(name, str) else "")
        file = self._path.open("rb")
        try:
            return OpenedFile(file, is_own=True, name=str(self._path))
        except BaseException:
            file.close()
            raise

    def open_text(self, encoding: str) -> TextBlocks:
        """Open it as blocks of text."""
        return TextBlocks(self.open(), encoding)


class OpenedFile:
    """A file while it is read: `read` returns the next part, unpacked, and nothing at the end; `head` is the first.

    `name` is what an error calls it.
    """

    def __init__(self, file: IO[Any], *, is_own: bool, name: str) -> None:
        self._own, self.name = file if is_own else None, name
        read = _watched(file, _decompressed(file, name), name)
        self.head = _read_head(read)
        parts = iter((self.head,))
        self.read: Callable[[], bytes | str] = lambda: next(parts, None) or read()

    def close(self) -> None:
        """Close what was opened here; a file object that was given is its owner's to close."""
        if self._own is not None:
            self._own.close()


class FileWatch:
    """What a file was as it was read. One that grows at its end is as it was; of a pipe nothing is known.

    Looked at are its size, its beginning, and what stands right before the place up to which it was read.
    """

    def __init__(self, file: Any) -> None:
        self._descriptor: int | None = None
        self._size = 0
        self._start: _Piece = (0, b"")
        self._last: _Piece = (0, b"")
        try:
            descriptor: int = file.fileno()
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode):
                self._size, self._start = found.st_size, _piece_at(descriptor, 0)
                self._last = _piece_before(descriptor, 0)
                self._descriptor = descriptor
        except (AttributeError, OSError, TypeError, ValueError):  # an object that is no file of the system's
            pass

    @property
    def has_moved(self) -> bool:
        """Whether more of the file was read since it was looked at."""
        place, piece = self._last
        return self._descriptor is not None and os.lseek(self._descriptor, 0, os.SEEK_CUR) != place + len(piece)

    @property
    def is_changed(self) -> bool:
        """Whether the file is shorter than it was once, or what was looked at before is not as it was."""
        if self._descriptor is None:
            return False
        try:
            size = os.fstat(self._descriptor).st_size
            is_other = any(_piece_at(self._descriptor, *piece) != piece for piece in (self._start, self._last))
            self._last = _piece_before(self._descriptor, self._last[0] + len(self._last[1]))
        except OSError:  # it was closed, which whoever reads it is told
            return False
        is_cut, self._size = size < self._size, max(size, self._size)
        return is_cut or is_other


_Piece: TypeAlias = tuple[int, bytes]
"""Some bytes of a file, and where they begin."""


def _piece_at(descriptor: int, place: int, like: bytes | None = None) -> _Piece:
    """Read a piece of a file, as long as another one; none on Windows, where the place of reading would move."""
    size = _PIECE_BYTES if like is None else len(like)
    return (place, b"" if sys.platform == "win32" else os.pread(descriptor, size, place))


def _piece_before(descriptor: int, since: int) -> _Piece:
    """Read what stands right before the place up to which a file was read: what was read since, but for large parts."""
    place = os.lseek(descriptor, 0, os.SEEK_CUR)
    size = min(place, max(place - since, _PIECE_BYTES), _BLOCK_BYTES)
    return _piece_at(descriptor, place - size, bytes(size))


def _watched(file: IO[Any], read: Callable[[], bytes | str], name: str) -> Callable[[], bytes | str]:
    """Return what reads the next part of a file as long as nobody changes it.

    The end that a file has since it was cut is none: its last line may be half of one.
    """
    watch = FileWatch(file)

    def read_part() -> bytes | str:
        try:
            part = read()
        except DamagedFileError:
            if not watch.is_changed:
                raise
        else:
            if not watch.is_changed:
                return part
        raise DamagedFileError(_CHANGED_TEXT.format(f" {name}" if name else ""), field="file")

    return read_part


def _read_head(read: Callable[[], bytes | str]) -> bytes | str:
    """Read the first part, and more where it is too short to say what a file is: a pipe gives what it has."""
    first: Any = read()
    part: Any
    line_end: Any = b"\n" if isinstance(first, bytes) else "\n"
    while (len(first) < _MIN_HEAD or (len(first) < _BLOCK_BYTES and line_end not in first.lstrip())) and (
        part := read()
    ):
        first += part
    return cast("bytes | str", first)


def _decompressed(file: IO[Any], name: str) -> Callable[[], bytes | str]:
    """Return what reads the next part; gzip is known by its first bytes, whatever a file is called."""
    read = _part_reader(file)
    first = read()
    if isinstance(first, bytes) and len(first) < len(GZIP_MAGIC):
        first += cast("bytes", read())
        if name.lower().endswith(_GZIP_SUFFIX) and GZIP_MAGIC.startswith(first):
            raise DamagedFileError(_CUT_TEXT.format(f" {name}"), field="file")
    if isinstance(first, str) or not first.startswith(GZIP_MAGIC):
        parts = iter((first,))
        return lambda: next(parts, None) or read()
    packed = gzip.GzipFile(fileobj=cast("IO[bytes]", PeekedFile(first, file)), mode="rb")
    place = f" {name}" if name else ""

    def read_unpacked() -> bytes:
        try:
            return packed.read(_BLOCK_BYTES)
        except EOFError:
            problem = _CUT_TEXT.format(place)
        except (gzip.BadGzipFile, zlib.error):
            problem = f"the gzip file{place} is damaged, or has something else behind its end; fetch it again"
        raise DamagedFileError(problem, field="file")

    return read_unpacked


def _part_reader(file: IO[Any]) -> Callable[[], bytes | str]:
    """Return what reads as much as there is: of a pipe not a whole block, for which it would have to be waited."""
    read: Callable[[int], bytes | str] = file.read1 if isinstance(file, io.BufferedReader) else file.read

    def read_part() -> bytes | str:
        try:
            return read(_BLOCK_BYTES)
        except UnicodeDecodeError as error:  # of a file object of text; its text quotes what it read
            problem = f"is not {error.encoding}, as which it was opened; give its path, with its encoding"
            raise InvalidRequestError(problem, field="file") from None

    return read_part


class TextBlocks:
    """The blocks of a text file, each of whole lines.

    Decoding is strict until bytes come that are not of the encoding. One bad byte is to cost one row and not the file,
    so those are marked in the text from then on: `is_damaged` says that there are any, and `find_damage` finds the mark
    in a cell. A line that is too long is dropped as it is read, and raises LongLineError; the next block can be read
    after it.
    """

    def __init__(self, file: OpenedFile, encoding: str) -> None:
        self.encoding = encoding
        self.is_damaged = False
        self.head = file.head
        self._file = file
        # The wide encodings know no way to keep a bad byte.
        is_wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        self._lenient = "replace" if is_wide else "surrogateescape"
        self.find_damage = re.compile("\ufffd" if is_wide else "[\udc80-\udcff]").search
        self._blocks = split_blocks(self._decoded(), "\n", "\r")

    def read(self) -> str | None:
        """Return the next block, or None at the end of the file."""
        for block in self._blocks:
            if block is None:
                raise LongLineError(f"is longer than {MAX_LINE_CHARS:,} characters")
            return block
        return None

    def close(self) -> None:
        """Close the file, and let go of the block at hand."""
        self._blocks.close()
        self._file.close()

    def _decoded(self) -> Iterator[str]:
        decoder, read = codecs.getincrementaldecoder(self.encoding)("strict"), self._file.read
        while True:
            part = read()
            if isinstance(part, str):
                if part:
                    yield part
                    continue
                return
            state = decoder.getstate()
            try:
                try:
                    text = decoder.decode(part, final=not part)
                except UnicodeDecodeError:
                    self.is_damaged = True
                    decoder.errors = self._lenient
                    decoder.setstate(state)
                    text = decoder.decode(part, final=not part)
            except UnicodeError:
                problem = f"is not {self.encoding}: it does not begin with a mark of its byte order"
                raise InvalidRequestError(problem, field="file") from None
            yield text
            if not part:
                return


def split_blocks(parts: Iterator[AnyStr], newline: AnyStr, other: AnyStr) -> Generator[AnyStr | None]:
    """Cut what is read after its last line end, so that a block holds whole lines; None is one too long to be read.

    Lines end with `newline`, or with `other` in a file that has none of it.
    """
    rest, skips = newline[:0], False
    for part in parts:
        block = rest + part
        if skips:
            start = _line_end(block, newline, other, last=False)
            if not start:
                rest = block[-1:]
                continue
            block, skips = block[start:], False
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
    position = block.rfind(newline) if last else block.find(newline)
    if position < 0 and other:
        # One at the very end may be half of a pair.
        position = block.rfind(other, 0, len(block) - 1) if last else block.find(other, 0, len(block) - 1)
    return position + 1
