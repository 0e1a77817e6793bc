"""The JSON Lines source: `read_jsonl`, rows of JSON Lines files, plain or gzip, as they are or through a mapping.

Without a mapping a line is a row. With one the keys of the objects are the columns; since a file has no header, they
are taken from its first rows, and a star of the mapping takes those that come later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Final, cast

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import FileId
from synerise_profiles._readers.block_reader import PathOrFile
from synerise_profiles._readers.jsonl_reader import JsonLinesReader

from .columns import Column
from .errors import MappingError
from .mapping import RowMapping, Source
from .row_builder import Row, RowBuilder

__all__ = ["JsonLinesSource", "read_jsonl"]

_MAX_COLUMNS: Final = 1000
"""Keys that come later than those of the first rows are columns too, up to so many: each costs a new function."""


def read_jsonl(file: PathOrFile, mapping: RowMapping | None = None) -> JsonLinesSource:
    """Read the rows of a JSON Lines file: a path, or a file object of bytes or text, plain or gzip.

    Without a mapping a line is a row with the publisher's keys, as it stands. With one, the keys of its objects are the
    columns. A column that none of the first 1,000 rows has is an issue of the mapping, unless it is optional: raises
    MappingError then, and OSError for a file that cannot be opened. A line that is not JSON, or has a bad value, is
    rejected by the run with its number, and the run goes on. Blank lines are skipped. `locate` returns the line of a
    row, counted from 1.
    """
    return JsonLinesSource(JsonLinesReader(file, with_keys=mapping is not None), mapping)


class JsonLinesSource(Source):
    """The rows of a JSON Lines file; made by `read_jsonl`."""

    def __init__(self, reader: JsonLinesReader, mapping: RowMapping | None) -> None:
        super().__init__(mapping)
        self._reader = reader
        self._convert = None if mapping is None else _ObjectMapper(mapping, reader.keys).row

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others."""
        return self._reader.input_id

    def locate(self, index: int) -> int:
        """Return the line of a row, counted from 1."""
        return self._reader.lines.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        return self._reader.records(self._convert, partial(UnreadableRow, ""))


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
        return attrs.evolve(row, row=found) if isinstance(row, UnreadableRow) else row

    def _extend_columns(self, more: Iterable[str]) -> RowBuilder:
        names = {**self._names, **dict.fromkeys(more)}
        builder = self._mapping.row_builder([Column(name, "json", "JSON") for name in names])
        self._names = names
        return builder
