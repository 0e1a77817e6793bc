"""File writers for records: JSON lines and CSV, each by atomic replace, so that a file is whole or not there."""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final, Protocol

import orjson

from synerise_profiles._core.files import replaced_file, scratch_file

__all__ = ["CsvWriter", "FileWriter", "JsonLinesWriter", "Row", "RowWriter", "atomic_writer", "cell_text"]

Row = dict[str, Any]
_LINE_END: Final = b"\r\n"


class RowWriter(Protocol):
    """The writer of one format: takes rows page by page, and puts what is left into its file at the end."""

    def add(self, rows: Sequence[Row]) -> None:
        """Take a page of rows."""
        ...

    def finish(self) -> None:
        """Complete the file."""
        ...

    def close(self) -> None:
        """Release what it holds, whether the file is complete or not."""
        ...


class FileWriter:
    """A file that is being written by a `RowWriter`: counts rows, and syncs the file at the end."""

    def __init__(self, writer: RowWriter, file: IO[bytes]) -> None:
        self.count = 0
        self._writer = writer
        self._file = file

    def add(self, rows: Sequence[Row]) -> None:
        """Write a page of rows."""
        self._writer.add(rows)
        self.count += len(rows)

    def finish(self) -> None:
        """Write what is left, down to the disk."""
        self._writer.finish()
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def atomic_writer(path: str | os.PathLike[str], make: Callable[[IO[bytes]], RowWriter]) -> Generator[FileWriter]:
    """Atomic replace: write a file beside `path`, which takes its place once it is complete; see `_core.files`.

    Until then, and after a failure, `path` is what it was before, so that half a file never looks whole.
    """
    with replaced_file(path) as file, closing(make(file)) as writer:
        yield FileWriter(writer, file)


class JsonLinesWriter:
    """A line of JSON for each row, as the server sent it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, rows: Sequence[Row]) -> None:
        """Write a line for each row."""
        self._file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def finish(self) -> None:
        """There is nothing left to write."""

    def close(self) -> None:
        """There is nothing to release."""


class CsvWriter:
    """Comma-separated values as RFC 4180 has them, in UTF-8, with a header.

    The columns that are known beforehand come first; a name that a row brings gets a column behind them. New names are
    rare after the first page, so rows are written at once, and the file is rewritten at the end if there were any.
    """

    def __init__(self, file: IO[bytes], columns: Sequence[str]) -> None:
        self._file = file
        self._columns = dict.fromkeys(columns)
        self._text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=True)
        self._writer = csv.writer(self._text)
        self._rows = 0
        # (first row, columns): from that row on rows were written with so many columns.
        self._widths: list[tuple[int, int]] = []

    def add(self, rows: Sequence[Row]) -> None:
        """Write the rows; the header has the columns that are known with the first ones."""
        for row in rows:
            self._columns.update(dict.fromkeys(row))
        if not self._widths:
            self._writer.writerow(self._columns)
        if not self._widths or self._widths[-1][1] < len(self._columns):
            self._widths.append((self._rows, len(self._columns)))
        names = tuple(self._columns)
        self._writer.writerows([cell_text(row.get(name)) for name in names] for row in rows)
        self._rows += len(rows)

    def finish(self) -> None:
        """Write the header if there was no row; give rows from before a new column an empty cell for it."""
        self.add(())
        if len(self._widths) > 1:
            self._widen()

    def close(self) -> None:
        """Leave the file open."""
        self._text.detach()

    def _widen(self) -> None:
        columns = len(self._columns)
        ends = [*(start for start, _ in self._widths[1:]), self._rows]
        self._file.seek(0)
        with scratch_file(Path(self._file.name).parent) as spare:
            rows = _split_csv_rows(self._file)
            next(rows)
            spare.write(_encode_csv_row(self._columns))
            for (start, width), end in zip(self._widths, ends, strict=True):
                missing = b"," * (columns - width)
                spare.writelines(row[: -len(_LINE_END)] + missing + _LINE_END for row in islice(rows, end - start))
            spare.seek(0)
            self._file.seek(0)
            shutil.copyfileobj(spare, self._file)  # no truncation: it is longer than what it replaces


def _split_csv_rows(file: Iterable[bytes]) -> Iterator[bytes]:
    """Split what was written into rows. A line end belongs to a cell where the number of quotes before it is odd."""
    row = b""
    for line in file:
        row += line
        if row.count(b'"') % 2 == 0 and row.endswith(_LINE_END):
            yield row
            row = b""


def _encode_csv_row(cells: Iterable[str]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(cells)
    return text.getvalue().encode()


def cell_text(value: Any) -> str | int | float:
    """Return a value as a cell shows it: nothing for null, JSON for lists and objects, text unchanged."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    return orjson.dumps(value).decode()
