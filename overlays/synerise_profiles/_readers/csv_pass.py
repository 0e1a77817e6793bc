"""One pass over a CSV file: the lines that the standard library's reader takes, and how reading goes on after an error.

The lines of a block go to that reader as they stand, at the speed of C. What needs a closer look (comments, bare
quotes, bytes of another encoding) is searched for in the whole block first, and its records are looked at one by one
only where there is any. The blocks of the record at hand are kept: a quote that is not closed swallows the lines below
it, and they are read again.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, Protocol

from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import LongLineError, TextBlocks
from .file_form import CsvFormat, delimiter_of_sep_line
from .quote_check import QuoteCheck

__all__ = ["CsvHeaderError", "CsvPass"]

_BYTE_ORDER_MARK: Final = "\ufeff"
_MAX_TEXT: Final = 65_536
"""So many characters are kept of lines that no record can be made of."""


class CsvHeaderError(InvalidRequestError):
    """The names of the columns cannot be read."""


class _StandardReader(Protocol):
    """What is used of a reader of the standard library, whose type has no public name here."""

    @property
    def line_num(self) -> int: ...

    def __iter__(self) -> Iterator[list[str]]: ...

    def __next__(self) -> list[str]: ...


class CsvPass:
    """The records of a file by `reader`, which is another one after a line that was lost.

    Lines are counted from 0. Who takes records sets `done` to the line below each of them. `needs_look` says that the
    records at hand have to be looked at by `quote_problem` and for damage.
    """

    def __init__(self, blocks: TextBlocks, format: CsvFormat) -> None:  # noqa: A002 - what it is
        self.blocks = blocks
        self.needs_look = False
        self.base_line = self.done = 0
        self._comment = format.comment
        self._rest: str | None = None
        delimiter = self._skip_preamble(format.skip_lines)
        self._dialect = format.dialect(delimiter)
        self._quotes = QuoteCheck(self._dialect)
        self._kept: list[_KeptBlock] = []
        self._is_suspicious = False  # the newest of these blocks
        self._lines: Iterator[str] = chain.from_iterable(self._line_blocks())
        self.reader = self._new_reader(self._lines)

    @property
    def line(self) -> int:
        """How many lines have been read."""
        return self.base_line + self.reader.line_num

    def header(self) -> tuple[str, ...]:
        """Read the names of the columns: those of the first line that has any cell."""
        try:
            for cells in self.reader:
                begin, self.done = self.done, self.line
                if not any(cells):
                    continue
                if any(map(self.blocks.find_damage, cells)):
                    break
                problem = self.quote_problem(begin) if self.needs_look else None
                if problem is not None:
                    raise CsvHeaderError(f"the header {problem}", field="file")
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

    def quote_problem(self, begin: int) -> str | None:
        """Say what is wrong with the quotes of the record that begins on a line and ends where reading stands."""
        text = "".join(self._lines_between(begin, self.line)).removeprefix(_BYTE_ORDER_MARK)
        problem = self._quotes.problem(text)
        if begin >= self._kept[-1].start and not self._quotes.is_open:
            self.needs_look = self._is_suspicious  # a block is not looked at for what stands in the one above it
        return problem

    def cells_below_sep_line(self, begin: int) -> list[str]:
        """Return the cells of the line below the record that begins on a line, if that is a line `sep=;`; else none."""
        record = "".join(self._lines_between(begin, self.done))
        if delimiter_of_sep_line(record.removeprefix(_BYTE_ORDER_MARK)) is None:
            return []
        below = self._lines_between(self.done, self.done + 1)
        if not below:
            self._rest = self._rest or self.blocks.read()
            below = io.StringIO(self._rest or "", newline="").readlines(1)
        try:
            return next(self._new_reader(line.removeprefix(_BYTE_ORDER_MARK) for line in below), [])
        except csv.Error:
            return []

    def skip_bad_record(self, error: Exception, width: int) -> tuple[str, str | None]:
        """Go on below a record that cannot be read, at the next line that fits.

        Returns what is wrong with it, and the text of its lines or the beginning of that, None where they are too long.
        """
        begin, end = self.done, self.line
        if not isinstance(error, csv.Error):
            # The reader's lines have ended with the error: another one goes on.
            self.base_line = self.done = end + 1
            self._kept.clear()
            self._lines = chain.from_iterable(self._line_blocks())
            self.reader = self._new_reader(self._lines)
            return str(error), None
        swallowed = self._lines_between(begin + 1, end)
        start = self._next_fitting(swallowed, width)
        text = "".join(self._lines_between(begin, begin + 1) + swallowed[:start])
        if start < len(swallowed):
            self.base_line = begin + 1 + start
            self.needs_look = self._is_suspicious = True
            self.reader = self._new_reader(chain(self._filtered(swallowed[start:]), self._lines))
        self.done = begin + 1 + start
        return _csv_problem(error, begin + 1, self.done), text.rstrip("\r\n")[:_MAX_TEXT]

    def _next_fitting(self, lines: list[str], width: int) -> int:
        """The number of the first of the lines that were swallowed with which a record begins.

        Where the last of them is broken by itself, it is its quote that is wrong, and those above may be one cell; one
        whose last cell goes on below it is not.
        """
        if lines and (not self._quotes.has_odd_cell(lines[-1]) or self._quotes.goes_on(lines[-1])):
            for number in range(len(lines)):
                if self._fits(lines[number:], width):
                    return number
        return len(lines)

    def _fits(self, lines: list[str], width: int) -> bool:
        """Whether a record begins with the first of these lines; one that goes on below the last of them may."""
        reader = self._new_reader(lines)
        try:
            cells = next(reader)
        except csv.Error as error:
            return "end of data" in str(error)
        return (len(cells) == width or not any(cells)) and not self._quotes.has_odd_cell(
            "".join(lines[: reader.line_num])
        )

    def _skip_preamble(self, skip_lines: int) -> str | None:
        """Pass over the lines above the header; return the delimiter that one of them names."""
        delimiter = None
        lines = io.StringIO("", newline="")
        while True:
            line = lines.readline()
            if not line:
                try:
                    block = self.blocks.read()
                except LongLineError:
                    if self.base_line < skip_lines:
                        self.base_line += 1
                        continue
                    raise CsvHeaderError("the header cannot be read as CSV", field="file") from None
                if block is None:
                    break
                lines = io.StringIO(block, newline="")
                continue
            line = line.removeprefix(_BYTE_ORDER_MARK)
            # Below the lines that are skipped, only blank ones and comments have come so far.
            may_name = self.base_line in (0, skip_lines) or (delimiter is None and self.base_line > skip_lines)
            is_no_record = self.base_line >= skip_lines and (
                not line.strip() or (self._comment is not None and line.startswith(self._comment))
            )
            named = delimiter_of_sep_line(line) if may_name and not is_no_record else None
            if self.base_line >= skip_lines and named is None and not is_no_record:
                self._rest = line + lines.read()
                break
            delimiter = named or delimiter
            self.base_line += 1
        self.done = self.base_line
        return delimiter

    def _new_reader(self, lines: Iterable[str]) -> _StandardReader:
        return csv.reader(lines, strict=True, **self._dialect)

    def _line_blocks(self) -> Iterator[Iterable[str]]:
        """Yield the lines of each block."""
        while True:
            block, self._rest = self._rest or self.blocks.read(), None
            if block is None:
                return
            start = self.line
            is_amid = self.done < start
            self._kept.append(_KeptBlock(start, block))
            while len(self._kept) > 1 and self._kept[1].start <= self.done:
                del self._kept[0]
            self._is_suspicious = self.blocks.is_damaged or self._quotes.is_suspicious(block)
            self.needs_look = self._is_suspicious or self._quotes.is_open or (is_amid and self.needs_look)
            lines = io.StringIO(block, newline="")
            is_filtered = _BYTE_ORDER_MARK in block or (self._comment is not None and self._comment in block)
            yield self._filtered(lines) if is_filtered else lines

    def _filtered(self, lines: Iterable[str]) -> Iterator[str]:
        """Put a blank line in the place of each comment, and take the mark of UTF-8 off where a file was appended.

        Neither is one within a cell.
        """
        for line in lines:
            if self.done != self.line:
                yield line
            elif self._comment is not None and line.startswith(self._comment):
                yield "\n"
            else:
                yield line.removeprefix(_BYTE_ORDER_MARK)

    def _lines_between(self, begin: int, end: int) -> list[str]:
        """The lines of the record at hand, from one up to another."""
        found: list[str] = []
        for block in self._kept:
            if block.start < end:
                found += block.lines()[max(begin - block.start, 0) : end - block.start]
        return found


class _KeptBlock:
    """A block that the record at hand may be in, with the line on which it begins; its lines are split once."""

    def __init__(self, start: int, text: str) -> None:
        self.start = start
        self._text = text
        self._lines: list[str] | None = None

    def lines(self) -> list[str]:
        """Return its lines."""
        if self._lines is None:
            self._lines = list(io.StringIO(self._text, newline=""))
        return self._lines


def _csv_problem(error: csv.Error, begin: int, end: int) -> str:
    """Say what is wrong with a record, in words of our own; `begin` and `end` are its lines, counted from 1."""
    text = str(error)
    if "limit" in text:
        problem = f"has a cell of more than {csv.field_size_limit():,} characters; is a quote not closed?"
    elif "end of data" in text:
        problem = "has a quote that is not closed"
    else:
        problem = "has a quote in the wrong place"
    count = end - begin
    if count <= 0:
        return problem
    return f"{problem} (lines {begin:,} to {end:,}: {count:,} below it {'is' if count == 1 else 'are'} lost with it)"
