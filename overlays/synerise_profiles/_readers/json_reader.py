"""The JSON reader: the elements of an array, as a file holds it, plain or gzip, read one by one.

An element ends where its brackets are closed, which a search for brackets outside of texts finds in C. So one that is
not JSON costs itself alone, and an array of any size is read in flat memory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, Final

import orjson

from synerise_profiles._core.files import FileId
from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import MAX_LINE_CHARS, InputFile, OpenedFile, PathOrFile
from .exact_json import LargeNumberError, load_exactly
from .file_form import check_json_array
from .jsonl_reader import MAX_SAMPLE_ROWS, encoded_blocks, first_keys, json_problem

__all__ = ["JsonArrayReader"]

_find_bracket: Final = re.compile(rb'(?:[^"{}\[\]]++|"(?:[^"\\]++|\\.)*+")*+([{}\[\]])', re.DOTALL).match
_find_scalar_end: Final = re.compile(rb'(?:[^",\]]++|"(?:[^"\\]++|\\.)*+")*+[,\]]', re.DOTALL).match
_skip_blanks: Final = re.compile(rb"[ \t\r\n]*").match
_OPENING: Final = frozenset(b"{[")
_COMMA: Final = ord(",")
_END: Final = ord("]")


class JsonArrayReader:
    """A JSON array, whose elements are read as they are taken.

    A path is closed in between, and can be read again and again; a file object, a pipe and standard input once. Raises
    at once OSError for a file that cannot be opened, and InvalidRequestError for one that is no array. `keys` are those
    of the first 1,000 objects, if the reader is made `with_keys`.
    """

    def __init__(self, file: PathOrFile, *, with_keys: bool = False) -> None:
        self._file = InputFile(file)
        self.keys: tuple[str, ...] = ()
        opened, elements = self._start()
        try:
            if with_keys:
                first = _Sample(elements)
                self.keys = first_keys(first.texts)
                elements = first.all_elements()
        except BaseException:
            opened.close()
            raise
        self._started: tuple[OpenedFile, Iterator[bytes]] | None = (opened, elements)
        if self._file.is_reusable:  # nothing stays open until it is read
            opened.close()
            self._started = None

    @property
    def input_id(self) -> FileId | None:
        """What tells the file apart; None for a file object that is none of the system's."""
        return self._file.id

    def records(self, convert: Callable[[Any], Any] | None, refuse: Callable[[str, str | None], Any]) -> Iterator[Any]:
        """Yield the value of each element, or what `convert` makes of it; and what `refuse` makes of a bad one.

        That is called with what is wrong with the element, and its text, or None where there is none. It is called too
        where the array is broken, after which nothing more is read.
        """
        started, self._started = self._started, None
        opened, elements = started or self._start()
        with closing(opened):
            while True:
                try:
                    text = next(elements, None)
                except _BrokenArrayError as error:
                    yield refuse(str(error), None)
                    return
                if text is None:
                    return
                try:
                    found = load_exactly(text)
                except LargeNumberError as error:
                    yield refuse(str(error), text.decode())
                    continue
                except orjson.JSONDecodeError as error:
                    yield refuse(*json_problem(text, error, "element"))
                    continue
                yield found if convert is None else convert(found)

    def _start(self) -> tuple[OpenedFile, Iterator[bytes]]:
        opened = self._file.open()
        try:
            check_json_array(opened.head)
        except InvalidRequestError:
            opened.close()
            raise
        return opened, _elements(_Buffer(encoded_blocks(opened.read)))


class _Sample:
    """The first elements of an array, from which its keys are taken."""

    def __init__(self, elements: Iterator[bytes]) -> None:
        self.texts: list[bytes] = []
        self._rest = elements
        self._error: _BrokenArrayError | None = None
        size = 0
        try:
            for text in islice(elements, MAX_SAMPLE_ROWS):
                self.texts.append(text)
                size += len(text)
                if size >= MAX_LINE_CHARS:
                    break
        except _BrokenArrayError as error:
            self._error = error

    def all_elements(self) -> Iterator[bytes]:
        """Yield all elements, those of the sample first."""
        yield from self.texts
        if self._error is not None:
            raise self._error
        yield from self._rest


class _BrokenArrayError(Exception):
    """The array is broken, so that it is not known where its next element begins."""


class _Buffer:
    """What was read of a file and not yet taken."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self.data = b""
        self.position = 0

    def read_more(self) -> bool:
        """Add what comes next in the file; return whether there was any."""
        part = next(self._parts, b"")
        self.data, self.position = self.data[self.position :] + part, 0
        return bool(part)

    def next_byte(self) -> int | None:
        """Return the next byte that is no blank, which is not taken; None at the end of the file."""
        while True:
            found = _skip_blanks(self.data, self.position)
            self.position = self.position if found is None else found.end()
            if self.position < len(self.data):
                return self.data[self.position]
            if not self.read_more():
                return None


def _elements(buffer: _Buffer) -> Iterator[bytes]:
    if buffer.next_byte() is None:
        return
    buffer.position += 1  # the bracket that opens the array
    if buffer.next_byte() == _END:
        buffer.position += 1
    else:
        is_more = True
        while is_more:
            yield _take_element(buffer)
            mark = buffer.next_byte()
            if mark not in (_COMMA, _END):
                raise _BrokenArrayError(_CUT if mark is None else "is not followed by a comma in its array")
            buffer.position += 1
            is_more = mark == _COMMA
    if buffer.next_byte() is not None:
        raise _BrokenArrayError("stands below the end of the array; a file holds one array")


def _take_element(buffer: _Buffer) -> bytes:
    """Take the next element from the buffer."""
    first = buffer.next_byte()
    if first is None:
        raise _BrokenArrayError(_CUT)
    while True:
        end = _nested_end(buffer) if first in _OPENING else _scalar_end(buffer)
        if end is not None:
            text, buffer.position = buffer.data[buffer.position : end], end
            return text
        if len(buffer.data) - buffer.position > MAX_LINE_CHARS:
            raise _BrokenArrayError(f"is longer than {MAX_LINE_CHARS:,} bytes")
        if not buffer.read_more():
            raise _BrokenArrayError(_CUT)


def _nested_end(buffer: _Buffer) -> int | None:
    """Where an object or a list ends; None if that has not been read."""
    position, depth = buffer.position, 0
    while (found := _find_bracket(buffer.data, position)) is not None:
        position = found.end()
        depth += 1 if buffer.data[position - 1] in _OPENING else -1
        if not depth:
            return position
    return None


def _scalar_end(buffer: _Buffer) -> int | None:
    found = _find_scalar_end(buffer.data, buffer.position)
    return None if found is None else found.end() - 1


_CUT: Final = "is cut off: the file ends within the array"
