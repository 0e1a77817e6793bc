"""`read_csv`: rows of CSV files, plain or gzip, in any encoding; a row that cannot be read is one rejected row."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from typing import Any, Final, Protocol

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import MAX_LINE_CHARS, InputFile, PathOrFile, split_blocks
from .columns import Column
from .errors import BadCellError, MappingError, MappingIssue
from .line_index import LineIndex
from .mapping import RowMapping
from .source import Row, Source

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
    not there, and OSError for a file that cannot be opened. A row with a bad cell, a wrong number of cells, a stray
    quote or bytes that are not of the `encoding` is rejected by the run with its line and column, and the run goes on.
    A quote that is never closed takes the lines after it along, up to the limit of `csv.field_size_limit()`.

    Blank lines are skipped. `locate` tells the line on which a row begins.
    """
    dialect: dict[str, Any] = {"delimiter": delimiter, "quotechar": quotechar, "escapechar": escapechar}
    if quotechar is None:
        dialect["quoting"] = csv.QUOTE_NONE
    try:
        codecs.getincrementaldecoder(encoding)
        csv.reader((), **dialect)
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidRequestError(f"cannot be read like this: {error}", field="file") from None
    return CsvSource(InputFile(file), mapping, encoding, dialect, names)


class CsvSource(Source):
    """The rows of a CSV file; made by `read_csv`."""

    def __init__(
        self,
        file: InputFile,
        mapping: RowMapping,
        encoding: str,
        dialect: Mapping[str, Any],
        names: Sequence[str] | None,
    ) -> None:
        super().__init__(mapping)
        self._file = file
        self._encoding = encoding
        self._dialect = dialect
        self._has_header = names is None
        self._line_index = LineIndex()
        stack, reading = self._start()
        self._started: tuple[ExitStack, _CsvPass] | None = (stack, reading)
        try:
            header = list(names) if names is not None else reading.header(mapping)
            self.columns = tuple(header)
            self._row_builder = mapping.row_builder([Column(name) for name in header])
        except BaseException:
            stack.close()
            raise
        if file.is_path:  # nothing stays open until it is read
            stack.close()
            self._started = None

    def locate(self, index: int) -> int:
        """Return the line on which a row begins, counted from 1."""
        return self._line_index.locate(index)

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one."""
        begun, self._started = self._started, None
        stack, reading = begun or self._start()
        self._line_index = LineIndex()
        with stack:
            if begun is None and self._has_header and tuple(reading.header(self._mapping)) != self.columns:
                raise InvalidRequestError("has another header than when it was opened", field="file")
            yield from self._rows(reading, self._line_index)

    def _start(self) -> tuple[ExitStack, _CsvPass]:
        stack = ExitStack()
        read = stack.enter_context(self._file.open())
        return stack, _CsvPass(_LenientDecoder(read, self._encoding), self._dialect)

    def _rows(self, reading: _CsvPass, lines: LineIndex) -> Iterator[Row]:
        convert, width, decoder = self._row_builder.convert, len(self.columns), reading.decoder
        index, delta = -1, 0
        while True:
            reader, base = reading.reader, reading.base_line
            # Where the row before ended. `delta` is the line of a row less its index, while rows are of one line each.
            done = base + reader.line_num
            try:
                for cells in reader:
                    begin, done = done + 1, base + reader.line_num
                    if not cells:
                        continue
                    index += 1
                    if begin - index != delta:
                        lines.add(index, begin)
                        delta = begin - index
                    if len(cells) != width or decoder.is_damaged:
                        refused = self._rejected_row(cells, decoder)
                        if refused is not None:
                            yield refused
                            continue
                    try:
                        row = convert(cells)
                    except BadCellError:
                        yield self._row_builder.unreadable_row(cells)
                        continue
                    yield row
            except (csv.Error, _LongLineError) as error:
                reason = reading.skip_bad_line(error, done + 1)
            else:
                return
            index, delta = index + 1, 0
            lines.add(index, done + 1)
            yield UnreadableRow("", reason)

    def _rejected_row(self, cells: list[str], decoder: _LenientDecoder) -> UnreadableRow | None:
        """Look at a row with a wrong number of cells, or of a file with wrong bytes."""
        width = len(self.columns)
        if len(cells) != width:
            reason = f"has {len(cells)} cells, and there are {width} columns; is a cell with the delimiter not quoted?"
            return UnreadableRow("", reason, list(map(_replace_surrogates, cells)))
        leaf = next((leaf for leaf in self._row_builder.bindings if decoder.find_damage(cells[leaf.position])), None)
        if leaf is None:
            return None
        reason = f"column {leaf.column!r} has bytes that are not {decoder.encoding}; give the file's encoding="
        return UnreadableRow(leaf.path, reason, dict(zip(self.columns, map(_replace_surrogates, cells), strict=True)))


class _LongLineError(Exception):
    """A line that is too long to be read."""


class _CsvReader(Protocol):
    """What is used of a reader of the standard library, whose type has no public name here."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...


class _CsvPass:
    """One pass over a file."""

    def __init__(self, decoder: _LenientDecoder, dialect: Mapping[str, Any]) -> None:
        self.decoder = decoder
        self.base_line = 0
        self._dialect = dialect
        self._feed = _LineFeed(split_blocks(iter(decoder), "\n", "\r"))
        self.reader = self._new_reader()

    def skip_bad_line(self, error: Exception, begin: int) -> str:
        """Go on below a line of which no row can be made; return what is wrong with it."""
        end = self.base_line + self.reader.line_num
        if isinstance(error, csv.Error):
            return _csv_problem(error, begin, end)
        # The reader's lines have ended with the error: another one goes on.
        self.base_line = end + 1
        self.reader = self._new_reader()
        return str(error)

    def _new_reader(self) -> _CsvReader:
        return csv.reader(chain.from_iterable(self._feed), strict=True, **self._dialect)

    def header(self, mapping: RowMapping | None) -> list[str]:
        """Read the names of the columns."""
        operation = "" if mapping is None else mapping.operations[0].name
        try:
            for cells in self.reader:
                if cells and not any(map(self.decoder.find_damage, cells)):
                    return cells
                if cells:
                    problem = f"the header is not {self.decoder.encoding}; give the file's encoding="
                    break
            else:
                problem = "the file is empty: it has no header"
        except (csv.Error, _LongLineError):
            problem = "the header cannot be read as CSV"
        raise MappingError([MappingIssue("", "", problem)], operation=operation)


class _LineFeed:
    """Lines for a CSV reader, a block at a time, so that no line passes through Python."""

    def __init__(self, blocks: Iterator[str | None]) -> None:
        self._blocks = blocks

    def __iter__(self) -> Iterator[io.StringIO]:
        return self

    def __next__(self) -> io.StringIO:
        block = next(self._blocks)
        if block is None:
            raise _LongLineError(f"is longer than {MAX_LINE_CHARS:,} characters")
        return io.StringIO(block, newline="")


class _LenientDecoder:
    """Decodes a file strictly, until bytes are found that are not of its encoding: those are marked from then on."""

    def __init__(self, read: Callable[[], bytes | str], encoding: str) -> None:
        self.encoding = encoding
        self.is_damaged = False
        self._read = read
        # The wide encodings know no way to keep a bad byte.
        is_wide = codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))
        self._lenient = "replace" if is_wide else "surrogateescape"
        self.find_damage = re.compile("\ufffd" if is_wide else "[\udc80-\udcff]").search

    def __iter__(self) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)("strict")
        while True:
            part = self._read()
            if isinstance(part, str):
                if part:
                    yield part
                    continue
                return
            state = decoder.getstate()
            try:
                try:
                    text = decoder.decode(part, final=not part)
                except UnicodeDecodeError:
                    self.is_damaged = True
                    decoder.errors = self._lenient
                    decoder.setstate(state)
                    text = decoder.decode(part, final=not part)
            except UnicodeError:
                problem = f"is not {self.encoding}: it does not begin with a mark of its byte order"
                raise InvalidRequestError(problem, field="file") from None
            yield text
            if not part:
                return


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _replace_surrogates(cell: str) -> str:
    """What of a cell can be written."""
    return _SURROGATES.sub("\ufffd", cell)


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
