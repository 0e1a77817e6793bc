"""The JSON reader: the elements of an array, as a file holds it, plain or gzip, read one by one.

An element ends where its brackets are closed, which a search for brackets outside of texts finds in C. So one that is
not JSON costs itself alone, and an array of any size is read in flat memory. Where the array itself is cut off or
broken, nothing says what is below: that is an error of the file, as the end that a gzip file lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any, Final

import orjson

from synerise_profiles._core.files import FileId

from .block_reader import MAX_LINE_CHARS, InputFile, OpenedFile
from .exact_json import LossyJsonError, load_exactly
from .file_form import check_container, check_json_array
from .given_input import PathOrFile
from .jsonl_reader import MAX_SAMPLE_ROWS, encoded_blocks, first_keys, json_problem
from .packed import DamagedFileError

__all__ = ["JsonArrayReader"]

_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_find_brackets: Final = re.compile(
    rb'(?:[^"{}\[\]]++|' + _TEXT + rb')*+(?:(?P<open>[{\[]++)|(?P<close>[}\]]++)|(?P<quote>"))', re.DOTALL
).match
_find_scalar_end: Final = re.compile(
    rb'(?:[^",\]]++|' + _TEXT + rb')*+(?:(?P<close>[,\]])|(?P<quote>"))', re.DOTALL
).match
_skip_text: Final = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL).match
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

    def records(
        self,
        convert: Callable[[Any], Any] | None,
        refuse: Callable[[str, str | None], Any],
        *,
        loads: Callable[[bytes], Any] = load_exactly,
    ) -> Iterator[Any]:
        """Yield the value of each element, or what `convert` makes of it; and what `refuse` makes of a bad one.

        That is called with what is wrong with the element, and its text, or None where there is none. Raises
        DamagedFileError where the array is cut off or broken, after the elements above. `loads` parses an element.
        """
        started, self._started = self._started, None
        opened, elements = started or self._start()
        with closing(opened):
            for text in elements:
                if text is _TOO_LONG:
                    yield refuse(f"is longer than {MAX_LINE_CHARS:,} bytes", None)
                    continue
                try:
                    found = loads(text)
                except LossyJsonError as error:
                    yield refuse(str(error), text.decode())
                    continue
                except orjson.JSONDecodeError as error:
                    yield refuse(*json_problem(text, error, "element"))
                    continue
                yield found if convert is None else convert(found)

    def _start(self) -> tuple[OpenedFile, Iterator[bytes]]:
        opened = self._file.open()
        try:
            check_container(opened.head)
            if opened.head.strip():
                check_json_array(opened.head)
            buffer = _Buffer(encoded_blocks(opened.read))
            buffer.next_byte()
            check_json_array(buffer.data[buffer.position :])
        except BaseException:
            opened.close()
            raise
        return opened, _elements(buffer, opened.name)


class _Sample:
    """The first elements of an array, from which its keys are taken."""

    def __init__(self, elements: Iterator[bytes]) -> None:
        self.texts: list[bytes] = []
        self._rest = elements
        self._error: DamagedFileError | None = None
        size = 0
        try:
            for text in islice(elements, MAX_SAMPLE_ROWS):
                self.texts.append(text)
                size += len(text)
                if size >= MAX_LINE_CHARS:
                    break
        except DamagedFileError as error:
            self._error = error

    def all_elements(self) -> Iterator[bytes]:
        """Yield all elements, those of the sample first."""
        yield from self.texts
        if self._error is not None:
            raise self._error
        yield from self._rest


class _BrokenArrayError(Exception):
    """The array is cut off or broken, so that it is not known where its next element begins."""


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


def _elements(buffer: _Buffer, name: str) -> Iterator[bytes]:
    """Yield the text of each element; `name` is what an error calls the file. Raises DamagedFileError."""
    try:
        yield from _texts(buffer)
    except _BrokenArrayError as error:
        raise DamagedFileError(f"the JSON array{name and ' '}{name} {error}", field="file") from None


def _texts(buffer: _Buffer) -> Iterator[bytes]:
    number = -1
    buffer.next_byte()
    buffer.position += 1  # the bracket that opens the array
    is_more = buffer.next_byte() != _END
    if not is_more:
        buffer.position += 1
    while is_more:
        text = _take_element(buffer, number)
        number += 1
        yield text
        mark = buffer.next_byte()
        if mark not in (_COMMA, _END):
            raise _BrokenArrayError(_CUT_AFTER.format(number) if mark is None else _NO_COMMA.format(number))
        buffer.position += 1
        is_more = mark == _COMMA
    if buffer.next_byte() is not None:
        raise _BrokenArrayError(_NOT_ALONE)


def _take_element(buffer: _Buffer, before: int) -> bytes:
    """Take the next element from the buffer, or what stands for one that is too long, which is not kept.

    `before` is the number of the one above it.
    """
    first = buffer.next_byte()
    if first is None:
        raise _BrokenArrayError(_CUT_AT_START if before < 0 else _CUT_AFTER.format(before))
    scan, is_long = _ElementScan(is_nested=first in _OPENING), False
    position = buffer.position
    while True:
        position = scan.read(buffer.data, position)
        is_long = is_long or position - buffer.position > MAX_LINE_CHARS
        if scan.is_done:
            text, buffer.position = b"" if is_long else buffer.data[buffer.position : position], position
            # A bracket of the other kind may be that of the array, whose elements below were taken for this one.
            if first in _OPENING and buffer.data[position - 1] != first + 2 and buffer.next_byte() is None:
                raise _BrokenArrayError(_unclosed_problem(text, before + 1, is_long=is_long))
            return _TOO_LONG if is_long else text
        if is_long:
            buffer.position = position
        position -= buffer.position
        if not buffer.read_more():
            text = b"" if is_long else buffer.data[buffer.position :]
            raise _BrokenArrayError(_unclosed_problem(text, before + 1, is_long=is_long))


def _unclosed_problem(text: bytes, number: int, *, is_long: bool) -> str:
    """Say what is wrong with an element that has no end in the file; `text` is what there is of it."""
    if is_long:
        return _UNCLOSED.format(number, "")
    try:
        orjson.loads(text.decode(errors="ignore"))
    except orjson.JSONDecodeError as error:
        if not error.msg.startswith(_ENDS_EARLY):
            return _UNCLOSED.format(number, f", at character {error.pos + 1} of it")
    return _CUT_WITHIN.format(number)


class _ElementScan:
    """Finds where an element ends, in parts: each byte is looked at once, whatever is in it and however long it is."""

    def __init__(self, *, is_nested: bool) -> None:
        self.is_done = False
        self._find = _find_brackets if is_nested else _find_scalar_end
        self._is_nested = is_nested
        self._depth = 0
        self._is_in_text = False

    def read(self, data: bytes, position: int) -> int:
        """Read on from a position; return where the element ends, or up to where it was read."""
        while True:
            if self._is_in_text:
                found = _skip_text(data, position)
                position = position if found is None else found.end()
                if data[position : position + 1] != b'"':  # the end, or a backslash before it
                    return position
                position += 1
                self._is_in_text = False
            found = self._find(data, position)
            if found is None:
                return len(data)
            position = found.end()
            if found["quote"]:
                self._is_in_text = True
            elif not self._is_nested:
                self.is_done = True
                return position - 1
            elif found.lastgroup == "open":
                self._depth += position - found.start("open")
            else:
                start = found.start("close")
                if position - start >= self._depth:
                    self.is_done = True
                    return start + self._depth
                self._depth -= position - start


_TOO_LONG: Final = b"(too long)"
_ENDS_EARLY: Final = "unexpected end of data"
_CUT_AT_START: Final = "is cut off at its beginning: its end is missing; fetch it again"
_CUT_AFTER: Final = "is cut off after element {}: its end is missing; fetch it again"
_CUT_WITHIN: Final = "is cut off within element {}: its end is missing; fetch it again"
_UNCLOSED: Final = (
    "is broken in element {}{}: a quote or a bracket is wrong there, and nothing below it can be read; mend it"
)
_NO_COMMA: Final = "is broken after element {}: no comma follows it, and nothing below it can be read; mend it"
_NOT_ALONE: Final = "has something else below its end, which is not read; a file holds one array"
