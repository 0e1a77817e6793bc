"""The CSV source: `read_csv`, rows of CSV files, plain or gzip, in any encoding.

What can be wrong with a file is found by the shared reader (`_readers.csv_reader`) and by the converters of the
mapping; here each such record becomes an `UnreadableRow`, so that it is one rejected row and the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import FileId
from synerise_profiles._readers.csv_pass import CsvHeaderError
from synerise_profiles._readers.csv_reader import BadRecord, CsvFormat, CsvReader, Ragged
from synerise_profiles._readers.given_input import PathOrFile
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names

from .column_types import Column
from .errors import MappingError, MappingIssue
from .mapping import RowMapping
from .row_builder import Row
from .source import Source

__all__ = ["CsvSource", "read_csv"]


@checks_names
def read_csv(
    file: PathOrFile,
    mapping: RowMapping,
    *,
    encoding: str = "utf-8-sig",
    delimiter: str | None = None,
    quotechar: str | None = '"',
    escapechar: str | None = None,
    skipinitialspace: bool = False,
    skip_lines: int = 0,
    comment: str | None = None,
    ragged: Ragged = "refuse",
    names: Sequence[str] | None = None,
    sort: bool = False,
) -> CsvSource:
    """Read the rows of a CSV file: a path, "-" for standard input, or a file object of bytes or text, plain or gzip.

    The first line names the columns, unless `names` does. It is read at once: raises MappingError for columns that are
    not there, InvalidRequestError for an impossible format and for a file that is no CSV (a workbook, Parquet, JSON, a
    page), and OSError for a file that cannot be opened. A row with a bad cell, a wrong number of cells, a quote in the
    wrong place or bytes that are not of the `encoding` is rejected by the run with its line and column, and the run
    goes on. A quote that is not closed costs its row: reading goes on at the next line that fits.

    - `skip_lines` and `comment`: how many lines stand above the header, and what lines begin with that are comments.
    - `delimiter` is a comma, unless a line `sep=;` above the header names another one.
    - `skipinitialspace` passes over blanks after a delimiter.
    - `ragged`: "refuse" refuses rows with a wrong number of cells; "pad" fills short ones with empty cells, and cuts
      what is over if it is empty.
    - `sort` brings the lines of each order together, on disk, for a mapping with `group_by`.

    Blank lines, lines of blanks and delimiters alone and repetitions of the header are no rows. A file object, a pipe
    and standard input are read once. `locate` returns the line on which a row begins, counted from 1 at the top of the
    file.
    """
    format_ = CsvFormat(
        encoding=encoding,
        delimiter=delimiter,
        quotechar=quotechar,
        escapechar=escapechar,
        skipinitialspace=skipinitialspace,
        skip_lines=skip_lines,
        comment=comment,
        ragged=ragged,
    )
    try:
        reader = CsvReader(file, format_, names=names)
    except CsvHeaderError as error:
        raise _header_error(error.problem, mapping) from None
    if names is None and not reader.columns:
        raise _header_error("the file is empty: it has no header", mapping)
    source = CsvSource(reader, mapping, sort=sort)
    if escapechar:
        _check_null_words(mapping, escapechar)
    return source


class CsvSource(Source):
    """The rows of a CSV file; made by `read_csv`."""

    unit = "line"

    def __init__(self, reader: CsvReader, mapping: RowMapping, *, sort: bool = False) -> None:
        columns = [Column(name) for name in reader.columns]
        super().__init__(mapping, sort=sort)
        self._set_columns(reader.columns)
        self._reader = reader
        self._marks = reader.marks
        # The columns that a mapping with prepare= means are known when it was called.
        builder = None if mapping.lines.prepare is not None else mapping.row_builder(columns, self._note)
        self._row_builder = builder
        self._used = [] if builder is None else builder.positions
        if not mapping.is_plain:
            self._plan = mapping.line_plan(builder, self.columns)
            more = [self.columns.index(name) for name in mapping.lines.columns(self.columns)]
            self._used = list(dict.fromkeys((*self._used, *more)))

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others."""
        return self._reader.input_id

    def locate(self, index: int) -> int:
        """Return the line on which a row begins, counted from 1."""
        return self.locate_record(index) if self._assembler is None else super().locate(index)

    def locate_record(self, index: int) -> int:
        """Return the line on which a record begins, counted from 1."""
        return self._reader.lines.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        self.notes = dict(self._column_notes)
        convert = _as_it_is if self._plan is not None or self._row_builder is None else self._row_builder.convert
        records = self._reader.records(convert, self._unreadable_row, used=self._used, note=self._note)
        return records if self._are_rows else self._rows(records)

    def _unreadable_row(self, bad: BadRecord) -> UnreadableRow:
        if bad.position is None or bad.cells is None:
            kept = bad.text if bad.cells is None else bad.cells
            return UnreadableRow("", bad.reason, kept, mapping=self.mapping_digest, columns=self.columns)
        row = dict(zip(self.columns, bad.cells, strict=True))
        path = "" if self._row_builder is None else self._row_builder.path_of(bad.position)
        return UnreadableRow(path, f"{bad.reason}; {_LOST_BYTES}", row, mapping=self.mapping_digest)


_LOST_BYTES: Final = "a dead letter has U+FFFD in their place"


def _as_it_is(cells: list[str]) -> Any:
    return cells


def _check_null_words(mapping: RowMapping, escapechar: str) -> None:
    """Raise InvalidRequestError for a word for nothing that stands in no cell once its escapes are read."""
    for word in sorted(mapping.null_words):
        if escapechar in word:
            problem = (
                f"null_values has {word!r}, which is never found with escapechar={escapechar!r}: the mark is taken off "
                "cells first. Export NULL as another word, or leave out escapechar if no cell has escapes"
            )
            raise InvalidRequestError(problem, field="escapechar")


def _header_error(problem: str, mapping: RowMapping) -> MappingError:
    return MappingError([MappingIssue("", "", problem)], operation=mapping.operations[0].name)
