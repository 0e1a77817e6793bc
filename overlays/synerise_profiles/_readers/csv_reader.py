"""The CSV reader: records of a file with the lines on which they begin, in any encoding, plain or gzip.

There is one for all that read CSV, so that a file that is good for a bulk run is good for merges and the command line
too. A record that cannot be read (a stray quote, a wrong number of cells, bytes of another encoding, a line without an
end) is one bad record, and reading goes on below it: whoever reads decides whether it refuses a row or the whole file.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from typing import Any, Final, Protocol, TypeVar

import attrs

from synerise_profiles._core.files import FileId
from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import InputFile, LongLineError, PathOrFile, TextBlocks
from .line_index import LineIndex

__all__ = ["BadRecord", "CsvHeaderError", "CsvReader", "delimiter_hint", "width_problem"]

R = TypeVar("R")
B = TypeVar("B")


class CsvHeaderError(InvalidRequestError):
    """The names of the columns cannot be read."""


@attrs.frozen
class BadRecord:
    """A record that cannot be read. `cells` is None where there are none; `position` is that of the damaged one."""

    reason: str
    cells: list[str] | None = attrs.field(default=None, repr=False)
    position: int | None = None


class CsvReader:
    """A CSV file: its header, which is read at once, and its records, read as they are taken.

    A path is closed in between, and can be read again and again; a file object once. Raises InvalidRequestError for an
    impossible dialect or encoding, CsvHeaderError, and OSError for a file that cannot be opened.

    `columns` are the names of the columns: those of the first line that is not blank, or `names`; none in an empty
    file. `lines` is the line index of the records that were read last.
    """

    def __init__(
        self,
        file: PathOrFile,
        *,
        encoding: str = "utf-8-sig",
        delimiter: str = ",",
        quotechar: str | None = '"',
        escapechar: str | None = None,
        names: Sequence[str] | None = None,
    ) -> None:
        self._dialect: dict[str, Any] = {"delimiter": delimiter, "quotechar": quotechar, "escapechar": escapechar}
        if quotechar is None:
            self._dialect["quoting"] = csv.QUOTE_NONE
        try:
            codecs.getincrementaldecoder(encoding)
            csv.reader((), **self._dialect)
        except (LookupError, TypeError, ValueError) as error:
            raise InvalidRequestError(f"cannot be read like this: {error}", field="file") from None
        self._encoding = encoding
        self._has_header = names is None
        self.lines = LineIndex()
        self._file = InputFile(file)
        first = _CsvPass(self._file.open_text(encoding), self._dialect)
        try:
            self.columns = first.header() if names is None else tuple(names)
        except BaseException:
            first.blocks.close()
            raise
        self._started: _CsvPass | None = first
        if self._file.is_path:  # nothing stays open until it is read
            first.blocks.close()
            self._started = None

    @property
    def input_id(self) -> FileId | None:
        """What tells the file apart from others, whatever it is called."""
        return self._file.id

    def records(
        self,
        convert: Callable[[list[str]], R],
        refuse: Callable[[BadRecord], B],
        *,
        used: Sequence[int],
        is_ragged: bool = False,
    ) -> Iterator[R | B]:
        """Yield what `convert` makes of the cells of each record, and what `refuse` makes of a bad one.

        Blank lines are no records. A damaged cell is looked for in the columns that are `used`, and where a file
        `is_ragged`, a wrong number of cells is none.
        """
        started, self._started = self._started, None
        reading = started or _CsvPass(self._file.open_text(self._encoding), self._dialect)
        with closing(reading.blocks) as blocks:
            if started is None and self._has_header and not reading.begins_with(self.columns):
                raise InvalidRequestError("has another header than when it was opened", field="file")
            width = -1 if is_ragged else len(self.columns)
            # Where the record before ended. `delta` is the line of a record less its index, while each is one line.
            done = reading.line
            lines = self.lines = LineIndex(done + 1)
            index, delta = -1, done + 1
            while True:
                reader, base = reading.reader, reading.base_line
                try:
                    for cells in reader:
                        start, done = done + 1, base + reader.line_num
                        if not cells:
                            continue
                        index += 1
                        if start - index != delta:
                            lines.add(index, start)
                            delta = start - index
                        if len(cells) != width or blocks.is_damaged:
                            bad = self._bad_record(cells, width, used, blocks)
                            if bad is not None:
                                yield refuse(bad)
                                continue
                        yield convert(cells)
                except (csv.Error, LongLineError) as error:
                    reason = reading.skip_bad_line(error, done + 1)
                else:
                    return
                index += 1
                delta = done + 1 - index
                lines.add(index, done + 1)
                yield refuse(BadRecord(reason))
                done = reading.line

    def _bad_record(self, cells: list[str], width: int, used: Sequence[int], blocks: TextBlocks) -> BadRecord | None:
        """Say what is wrong with a record that has a wrong number of cells, or is of a file with wrong bytes."""
        if width not in (-1, len(cells)):
            return BadRecord(width_problem(len(cells), width), _replace_surrogates(cells))
        if not blocks.is_damaged:
            return None
        for position in used:
            if position < len(cells) and blocks.find_damage(cells[position]):
                reason = f"column {self.columns[position]!r} has bytes that are not {blocks.encoding}"
                return BadRecord(f"{reason}; give the file's encoding", _replace_surrogates(cells), position)
        return None


class _StandardReader(Protocol):
    """What is used of a reader of the standard library, whose type has no public name here."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class _CsvPass:
    """One pass over a file: the standard library's reader, and a new one after each line that is too long."""

    def __init__(self, blocks: TextBlocks, dialect: Mapping[str, Any]) -> None:
        self.blocks = blocks
        self.base_line = 0
        self._dialect = dialect
        self.reader = self._new_reader()

    @property
    def line(self) -> int:
        """How many lines have been read."""
        return self.base_line + self.reader.line_num

    def header(self) -> tuple[str, ...]:
        """Read the names of the columns."""
        try:
            for cells in self.reader:
                if cells and any(map(self.blocks.find_damage, cells)):
                    break
                if cells:
                    return tuple(cells)
            else:
                return ()
        except (csv.Error, LongLineError):
            raise CsvHeaderError("the header cannot be read as CSV", field="file") from None
        problem = f"the header is not {self.blocks.encoding}; give the file's encoding"
        raise CsvHeaderError(problem, field="file")

    def begins_with(self, columns: tuple[str, ...]) -> bool:
        """Whether the header names these columns."""
        try:
            return self.header() == columns
        except CsvHeaderError:
            return False

    def skip_bad_line(self, error: Exception, begin: int) -> str:
        """Go on below a line of which no record can be made; return what is wrong with it."""
        end = self.line
        if isinstance(error, csv.Error):
            return _csv_problem(error, begin, end)
        # The reader's lines have ended with the error: another one goes on.
        self.base_line = end + 1
        self.reader = self._new_reader()
        return str(error)

    def _new_reader(self) -> _StandardReader:
        lines = chain.from_iterable(iter(self.blocks.read, None))
        return csv.reader(lines, strict=True, **self._dialect)


def delimiter_hint(columns: Sequence[str]) -> str:
    """Say which mark may be the delimiter, where a header that lacks a column is a single one; or nothing."""
    mark = re.search(r"[;\t|,]", columns[0]) if len(columns) == 1 else None
    return f"the header is one column, in which {mark[0]!r} may be the delimiter" if mark else ""


def width_problem(count: int, width: int) -> str:
    """Say what is wrong with a record that has another number of cells than there are columns."""
    return f"has {count} cells, and there are {width} columns; is a cell with the delimiter not quoted?"


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _replace_surrogates(cells: list[str]) -> list[str]:
    """What of a record can be written."""
    return [_SURROGATES.sub("\ufffd", cell) for cell in cells]


def _csv_problem(error: csv.Error, begin: int, end: int) -> str:
    """Say what is wrong with a line, in words of our own: those of the reader are about its innards."""
    text = str(error)
    if "limit" in text:
        problem = f"has a cell of more than {csv.field_size_limit():,} characters; is a quote not closed?"
    elif "end of data" in text:
        problem = "has a quote that is not closed"
    else:
        problem = "has a quote in the wrong place"
    return problem if end <= begin else f"{problem} (lines {begin:,} to {end:,})"
