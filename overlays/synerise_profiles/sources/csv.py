"""The CSV source: `read_csv`, rows of CSV files, plain or gzip, in any encoding.

What can be wrong with a file is found by the shared reader (`_readers.csv_reader`) and by the converters of the
mapping; here each such record becomes an `UnreadableRow`, so that it is one rejected row and the run goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import FileId
from synerise_profiles._readers.block_reader import PathOrFile
from synerise_profiles._readers.csv_reader import BadRecord, CsvHeaderError, CsvReader

from .columns import Column
from .errors import MappingError, MappingIssue
from .mapping import RowMapping, Source
from .row_builder import Row

__all__ = ["CsvSource", "read_csv"]


def read_csv(
    file: PathOrFile,
    mapping: RowMapping,
    *,
    encoding: str = "utf-8-sig",
    delimiter: str = ",",
    quotechar: str | None = '"',
    escapechar: str | None = None,
    names: Sequence[str] | None = None,
) -> CsvSource:
    """Read the rows of a CSV file: a path, or a file object of bytes or text, plain or gzip.

    The first line names the columns, unless `names` does. It is read at once: raises MappingError for columns that are
    not there, InvalidRequestError for an impossible dialect or encoding, and OSError for a file that cannot be opened.
    A row with a bad cell, a wrong number of cells, a stray quote or bytes that are not of the `encoding` is rejected by
    the run with its line and column, and the run goes on. A quote that is never closed takes the lines after it along,
    up to the limit of `csv.field_size_limit()`.

    Blank lines are skipped. `locate` returns the line on which a row begins, counted from 1.
    """
    try:
        reader = CsvReader(
            file, encoding=encoding, delimiter=delimiter, quotechar=quotechar, escapechar=escapechar, names=names
        )
    except CsvHeaderError as error:
        raise _header_error(error.problem, mapping) from None
    if names is None and not reader.columns:
        raise _header_error("the file is empty: it has no header", mapping)
    return CsvSource(reader, mapping)


class CsvSource(Source):
    """The rows of a CSV file; made by `read_csv`."""

    def __init__(self, reader: CsvReader, mapping: RowMapping) -> None:
        columns = [Column(name) for name in reader.columns]
        super().__init__(mapping)
        self._row_builder = mapping.row_builder(columns)
        self._used = [binding.position for binding in self._row_builder.bindings]
        self._reader = reader
        self.columns = reader.columns

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others."""
        return self._reader.input_id

    def locate(self, index: int) -> int:
        """Return the line on which a row begins, counted from 1."""
        return self._reader.lines.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        return self._reader.records(self._row_builder.convert, self._unreadable_row, used=self._used)

    def _unreadable_row(self, bad: BadRecord) -> UnreadableRow:
        if bad.position is None or bad.cells is None:
            return UnreadableRow("", bad.reason, bad.cells)
        row = dict(zip(self.columns, bad.cells, strict=True))
        return UnreadableRow(self._row_builder.bindings[self._used.index(bad.position)].path, bad.reason, row)


def _header_error(problem: str, mapping: RowMapping) -> MappingError:
    return MappingError([MappingIssue("", "", problem)], operation=mapping.operations[0].name)
