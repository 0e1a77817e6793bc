"""The sources of JSON: `read_jsonl`, rows of JSON Lines files, and `read_json`, those of a JSON array; plain or gzip.

Without a mapping an object is a row. With one the keys of the objects are the columns; since a file has no header, they
are taken from its first rows, and a star of the mapping takes those that come later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final, cast

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import FileId
from synerise_profiles._core.wording import counted
from synerise_profiles._readers.exact_json import load_decimals, load_exactly
from synerise_profiles._readers.given_input import PathOrFile
from synerise_profiles._readers.json_reader import JsonArrayReader
from synerise_profiles._readers.jsonl_reader import JsonLinesReader
from synerise_profiles_api.json_values import is_object
from synerise_profiles_api.names import checks_names

from .column_types import Column
from .columns import Note
from .errors import MappingError
from .line_plan import LinePlan
from .mapping import RowMapping
from .row_builder import Row, RowBuilder
from .source import Source

__all__ = ["JsonLinesSource", "JsonSource", "read_json", "read_jsonl"]

_MAX_COLUMNS: Final = 1000
"""Keys that come later than those of the first rows are columns too, up to so many: each costs a new function."""


@checks_names
def read_jsonl(file: PathOrFile, mapping: RowMapping | None = None, *, sort: bool = False) -> JsonLinesSource:
    """Read the rows of a JSON Lines file: a path, "-" for standard input, or a file object, plain or gzip.

    Without a mapping a line is a row with the publisher's keys, as it stands. With one, the keys of its objects are the
    columns. A column that none of the first 1,000 rows has is an issue of the mapping, unless it is optional: raises
    MappingError then, InvalidRequestError for a file of another form (a JSON array, CSV, a page), and OSError for one
    that cannot be opened. A line that is not JSON, or has a bad value, is rejected by the run with its number, and the
    run goes on. Blank lines are skipped. A file object, a pipe and standard input are read once. `locate` returns the
    line of a row, counted from 1. `sort` brings the lines of each order together, on disk, for a mapping with
    `group_by`.
    """
    return JsonLinesSource(JsonLinesReader(file, with_keys=mapping is not None), mapping, sort=sort)


@checks_names
def read_json(file: PathOrFile, mapping: RowMapping | None = None, *, sort: bool = False) -> JsonSource:
    """Read the rows of a file that is one JSON array, as `read_jsonl` reads lines; the array is never held whole.

    An element that is not JSON is rejected. An array that is cut off or broken, so that nobody can tell where its next
    element begins, raises InvalidRequestError once the rows above are read: it names the file and the element, and a
    run ends by it as by a gzip file that is cut off. `locate` returns the number of an element, counted from 0.
    """
    return JsonSource(JsonArrayReader(file, with_keys=mapping is not None), mapping, sort=sort)


class JsonLinesSource(Source):
    """The rows of a JSON Lines file; made by `read_jsonl`."""

    unit = "line"
    _needs_mapping = False

    def __init__(self, reader: JsonLinesReader, mapping: RowMapping | None, *, sort: bool = False) -> None:
        super().__init__(mapping, sort=sort)
        self._reader = reader
        self._set_columns(reader.keys)
        self._convert, self._plan = _object_converter(mapping, reader.keys, self._note)

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others."""
        return self._reader.input_id

    def locate_record(self, index: int) -> int:
        """Return the line of a row, counted from 1."""
        return self._reader.lines.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        self.notes = dict(self._column_notes)
        refuse = partial(UnreadableRow, "", mapping=self.mapping_digest)
        records = self._reader.records(self._convert, refuse, loads=_parser(self._mapping))
        return records if self._are_rows else self._rows(records)


class JsonSource(Source):
    """The rows of a JSON array; made by `read_json`."""

    unit = "element"
    _needs_mapping = False

    def __init__(self, reader: JsonArrayReader, mapping: RowMapping | None, *, sort: bool = False) -> None:
        super().__init__(mapping, sort=sort)
        self._reader = reader
        self._set_columns(reader.keys)
        self._convert, self._plan = _object_converter(mapping, reader.keys, self._note)

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others."""
        return self._reader.input_id

    def locate_record(self, index: int) -> int:
        """Return the number of an element, counted from 0."""
        return index

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        self.notes = dict(self._column_notes)
        refuse = partial(UnreadableRow, "", mapping=self.mapping_digest)
        records = self._reader.records(self._convert, refuse, loads=_parser(self._mapping))
        return records if self._are_rows else self._rows(records)


def _object_converter(
    mapping: RowMapping | None, first_keys: tuple[str, ...], note: Note
) -> tuple[Callable[[Any], Any] | None, LinePlan | None]:
    """Make the function of a value of the file, and the plan for what it returns; without one that is the row.

    Without a mapping there is neither: the value is the row.
    """
    if mapping is None:
        return None, None
    if mapping.lines.prepare is not None:  # its cells are the columns
        return _object_or_unreadable, mapping.line_plan(None, None)
    mapper = _ObjectMapper(mapping, first_keys, note)
    if not mapping.is_plain:
        for issue in mapping.lines.missing(first_keys) if first_keys else ():
            raise MappingError([issue], operation=mapping.operations[0].name)
        return _object_or_unreadable, attrs.evolve(mapping.line_plan(mapper.builder, None), convert=mapper.row)
    return mapper.builder.convert_in_order(mapper.row), None


def _parser(mapping: RowMapping | None) -> Callable[[bytes], Any]:
    """Return what parses JSON: where columns are decimals, no digit of a number may be lost before they are read."""
    targets = () if mapping is None else (target for found in mapping.targets.values() for target in found)
    return load_decimals if any(target.type == "decimal" for target in targets) else load_exactly


def _object_or_unreadable(found: Any) -> Any:
    return found if is_object(found) else UnreadableRow("", "is JSON, but no object", found)


class _ObjectMapper:
    """Rows from objects whose keys are the columns; `first_keys` are those of the first objects of the file.

    Where the mapping has a pattern, keys that come later are columns from then on.
    """

    def __init__(self, mapping: RowMapping, first_keys: tuple[str, ...], note: Note) -> None:
        self._mapping = mapping
        self._note = note
        self._grows = mapping.has_patterns
        names = first_keys or mapping.named_columns
        self._names: dict[str, None] = {}
        self.builder = self._extend_columns(names)

    def row(self, found: Any) -> Row:
        """Make a row of one object."""
        found = _object_or_unreadable(found)
        if isinstance(found, UnreadableRow):
            return attrs.evolve(found, mapping=self._mapping.digest)
        found = cast("dict[str, Any]", found)
        if self._grows and not found.keys() <= self._names.keys():
            try:
                if len(self._names) + len(found) > _MAX_COLUMNS:
                    reason = f"has new keys, after {counted(len(self._names), 'other')} in this file"
                    return UnreadableRow("", reason, found, mapping=self._mapping.digest)
                self.builder = self._extend_columns(name for name in found if name not in self._names)
            except MappingError as error:
                issue = error.issues[0]
                reason = f"column {issue.column!r} {issue.problem}"
                return UnreadableRow(issue.field, reason, found, mapping=self._mapping.digest)
        return self.builder.convert(found)

    def _extend_columns(self, more: Iterable[str]) -> RowBuilder:
        names = {**self._names, **dict.fromkeys(more)}
        columns = [Column(name, "json", "JSON") for name in names]
        builder = self._mapping.row_builder(columns, self._note, of_objects=True)
        self._names = names
        return builder
