"""The JSON Lines reader: values of a file with their lines, plain or gzip; a line that is not JSON is one bad line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any, Final, cast

import orjson

from synerise_profiles._core.files import FileId
from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import MAX_LINE_CHARS, InputFile, OpenedFile, split_blocks
from .exact_json import LossyJsonError, load_exactly, unread_json
from .file_form import check_json_lines
from .given_input import PathOrFile
from .line_index import LineIndex

__all__ = ["MAX_SAMPLE_ROWS", "JsonLinesReader", "encoded_blocks", "first_keys", "json_problem"]

MAX_SAMPLE_ROWS: Final = 1000
_BOM: Final = b"\xef\xbb\xbf"
_NOT_UTF8: Final = "is not UTF-8, in which JSON is written; a dead letter has U+FFFD in place of such bytes"


class JsonLinesReader:
    """A JSON Lines file, whose lines are read as they are taken.

    A path is closed in between, and can be read again and again; a file object, a pipe and standard input once. Raises
    at once OSError for a file that cannot be opened, and InvalidRequestError for one of another form. `keys` are those
    of the objects in the first 1,000 lines, if the reader is made `with_keys`. `lines` is the line index of the values
    that were read last.
    """

    def __init__(self, file: PathOrFile, *, with_keys: bool = False) -> None:
        self._file = InputFile(file)
        self.lines = LineIndex()
        self.keys: tuple[str, ...] = ()
        opened, blocks = self._start()
        try:
            if with_keys:
                first = _first_blocks(blocks)
                texts = (line for block in first if block is not None for line in _split_lines(block))
                self.keys = first_keys(texts)
                blocks = chain(first, blocks)
        except BaseException:
            opened.close()
            raise
        self._started: tuple[OpenedFile, Iterator[bytes | None]] | None = (opened, blocks)
        if self._file.is_reusable:  # nothing stays open until it is read
            opened.close()
            self._started = None

    @property
    def input_id(self) -> FileId | None:
        """What tells the file apart from others, whatever it is called."""
        return self._file.id

    def records(
        self,
        convert: Callable[[Any], Any] | None,
        refuse: Callable[[str, str | None], Any],
        *,
        loads: Callable[[bytes], Any] = load_exactly,
    ) -> Iterator[Any]:
        """Yield the value of each line, or what `convert` makes of it; and what `refuse` makes of a bad line.

        That is called with what is wrong with the line, and its text, or None where it is too long. Blank lines are
        skipped. `loads` parses a line.
        """
        started, self._started = self._started, None
        opened, blocks = started or self._start()
        lines = self.lines = LineIndex()
        # `delta` is the line of a value less its index, while no line is blank.
        index, number, delta = -1, 0, lines.first_line
        with closing(opened):
            for block in blocks:
                for line in (b"",) if block is None else _split_lines(block):
                    number += 1
                    if block is not None and (not line or line.isspace()):
                        continue
                    index += 1
                    if number - index != delta:
                        lines.add(index, number)
                        delta = number - index
                    if block is None:
                        yield refuse(f"is longer than {MAX_LINE_CHARS:,} bytes", None)
                        continue
                    try:
                        found = loads(line)
                    except orjson.JSONDecodeError as error:
                        found = _appended_value(line)
                        if found is None:
                            yield refuse(*json_problem(line, error))
                            continue
                    except LossyJsonError as error:
                        yield refuse(str(error), line.decode())
                        continue
                    yield found if convert is None else convert(found)

    def _start(self) -> tuple[OpenedFile, Iterator[bytes | None]]:
        opened = self._file.open()
        try:
            check_json_lines(opened.head)
        except InvalidRequestError:
            opened.close()
            raise
        return opened, split_blocks(encoded_blocks(opened.read), b"\n", b"")


def _appended_value(line: bytes) -> Any:
    """The value of a line with which a file begins, with its mark of UTF-8, that was appended to another; or None."""
    try:
        return load_exactly(line.removeprefix(_BOM)) if line.startswith(_BOM) else None
    except (orjson.JSONDecodeError, LossyJsonError):
        return None


def encoded_blocks(read: Callable[[], bytes | str]) -> Iterator[bytes]:
    """Yield the parts of a file of JSON as bytes, without the mark of UTF-8 at its start."""
    is_first = True
    while part := read():
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        yield data.removeprefix(_BOM) if is_first else data
        is_first = False


def _first_blocks(blocks: Iterator[bytes | None]) -> list[bytes | None]:
    """Read the lines from which the keys are taken, but not without end."""
    found: list[bytes | None] = []
    lines = size = 0
    for block in blocks:
        found.append(block)
        if block is not None:
            lines += block.count(b"\n")
            size += len(block)
        if lines >= MAX_SAMPLE_ROWS or size >= MAX_LINE_CHARS:
            break
    return found


def first_keys(texts: Iterable[bytes]) -> tuple[str, ...]:
    """The keys of the objects among the first of these texts."""
    found: dict[str, None] = {}
    for text in islice(texts, MAX_SAMPLE_ROWS):
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError:
            continue
        if isinstance(row, dict):
            found.update(dict.fromkeys(cast("dict[str, Any]", row)))
    return tuple(found)


def _split_lines(block: bytes) -> list[bytes]:
    """The lines of a block; a lone carriage return is a blank of JSON, and ends none."""
    lines = block.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def json_problem(line: bytes, error: orjson.JSONDecodeError, unit: str = "line") -> tuple[str, str]:
    """Say what is wrong with a line or another unit, and return its text too."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return _NOT_UTF8, line.decode("utf-8", "replace")
    return unread_json(text) or f"is not JSON, at character {error.pos + 1} of the {unit}", text
