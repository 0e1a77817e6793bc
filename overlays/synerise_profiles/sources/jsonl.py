"""The JSON Lines source: `read_jsonl`, rows of JSON Lines files, plain or gzip, as they are or through a mapping.

Without a mapping a line is a row. With one the keys of the objects are the columns; since a file has no header, they
are taken from its first rows, and a star of the mapping takes those that come later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain, islice
from typing import Any, Final, cast

import attrs
import orjson

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._readers.block_reader import MAX_LINE_CHARS, InputFile, OpenedFile, PathOrFile, split_blocks
from synerise_profiles._readers.line_index import LineIndex

from .columns import Column
from .errors import MappingError
from .mapping import RowMapping
from .row_builder import Row, RowBuilder
from .source import Source

__all__ = ["JsonLinesSource", "read_jsonl"]

_MAX_SAMPLE_ROWS: Final = 1000
_MAX_COLUMNS: Final = 1000
"""Keys that come later than those of the first rows are columns too, up to so many: each costs a new function."""
_BOM: Final = b"\xef\xbb\xbf"


def read_jsonl(file: PathOrFile, mapping: RowMapping | None = None) -> JsonLinesSource:
    """Read the rows of a JSON Lines file: a path, or a file object of bytes or text, plain or gzip.

    Without a mapping a line is a row with the publisher's keys, as it stands. With one, the keys of its objects are the
    columns. A column that none of the first 1,000 rows has is taken for a mistake, unless it is optional: raises
    MappingError then, and OSError for a file that cannot be opened. A line that is not JSON, or has a bad value, is
    rejected by the run with its number, and the run goes on. Blank lines are skipped.
    """
    return JsonLinesSource(InputFile(file), mapping)


class JsonLinesSource(Source):
    """The rows of a JSON Lines file; made by `read_jsonl`."""

    def __init__(self, file: InputFile, mapping: RowMapping | None) -> None:
        super().__init__(mapping)
        self._file = file
        self._line_index = LineIndex()
        opened, blocks = self._start()
        self._started: tuple[OpenedFile, Iterator[bytes | None]] | None = (opened, blocks)
        self._objects: _ObjectMapper | None = None
        try:
            if mapping is not None:
                first = _first_blocks(blocks)
                self._objects = _ObjectMapper(mapping, _first_keys(first))
                self._started = (opened, chain(first, blocks))
        except BaseException:
            opened.close()
            raise
        if file.is_path:  # nothing stays open until it is read
            opened.close()
            self._started = None

    def locate(self, index: int) -> int:
        """Return the line of a row, counted from 1."""
        return self._line_index.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        started, self._started = self._started, None
        opened, blocks = started or self._start()
        self._line_index = LineIndex()
        with closing(opened):
            yield from self._rows(blocks, self._line_index)

    def _start(self) -> tuple[OpenedFile, Iterator[bytes | None]]:
        opened = self._file.open()
        return opened, split_blocks(_encoded_blocks(opened.read), b"\n", b"")

    def _rows(self, blocks: Iterator[bytes | None], lines: LineIndex) -> Iterator[Row]:
        make = None if self._objects is None else self._objects.row
        # `delta` is the line of a row less its index, while no line is blank.
        loads, index, number, delta = orjson.loads, -1, 0, lines.first_line
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
                    yield UnreadableRow("", f"is longer than {MAX_LINE_CHARS:,} bytes")
                    continue
                try:
                    found = loads(line)
                except orjson.JSONDecodeError as error:
                    yield _unreadable(line, error)
                    continue
                yield found if make is None else make(found)


class _ObjectMapper:
    """Rows from objects whose keys are the columns; `first_keys` are those of the first objects of the file."""

    def __init__(self, mapping: RowMapping, first_keys: tuple[str, ...]) -> None:
        self._mapping = mapping
        names = first_keys or tuple(name for name in mapping.targets if "*" not in name)
        self._names: dict[str, None] = {}
        self._row_builder = self._extend_columns(names)
        self._has_patterns = mapping.has_patterns

    def row(self, found: Any) -> Row:
        """Make a row of one object."""
        if not isinstance(found, dict):
            return UnreadableRow("", "is JSON, but no object", found)
        found = cast("dict[str, Any]", found)
        if self._has_patterns and not found.keys() <= self._names.keys():
            try:
                if len(self._names) + len(found) > _MAX_COLUMNS:
                    return UnreadableRow("", f"has new keys, after {len(self._names):,} others in this file", found)
                self._row_builder = self._extend_columns(name for name in found if name not in self._names)
            except MappingError as error:
                issue = error.issues[0]
                return UnreadableRow(issue.field, f"column {issue.column!r} {issue.problem}", found)
        row = self._row_builder.convert(list(map(found.get, self._row_builder.columns)))
        return attrs.evolve(row, row=found) if row.__class__ is UnreadableRow else row

    def _extend_columns(self, more: Iterable[str]) -> RowBuilder:
        names = {**self._names, **dict.fromkeys(more)}
        builder = self._mapping.row_builder([Column(name, "json", "JSON") for name in names])
        self._names = names
        return builder


def _encoded_blocks(read: Callable[[], bytes | str]) -> Iterator[bytes]:
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
        if lines >= _MAX_SAMPLE_ROWS or size >= MAX_LINE_CHARS:
            break
    return found


def _first_keys(blocks: list[bytes | None]) -> tuple[str, ...]:
    """The keys of the first objects of a file."""
    found: dict[str, None] = {}
    lines = (line for block in blocks if block is not None for line in _split_lines(block))
    for line in islice(lines, _MAX_SAMPLE_ROWS):
        try:
            row = orjson.loads(line)
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


def _unreadable(line: bytes, error: orjson.JSONDecodeError) -> UnreadableRow:
    try:
        return UnreadableRow("", f"is not JSON, at character {error.pos + 1} of the line", line.decode())
    except UnicodeDecodeError:
        return UnreadableRow("", "is not UTF-8, in which JSON is written", line.decode("utf-8", "replace"))
