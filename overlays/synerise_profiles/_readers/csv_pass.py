"""One pass over a CSV file: the lines that the standard library's reader takes, and how reading goes on after an error.

The lines of a block go to that reader as they stand, at the speed of C. What needs a closer look (comments, bare
quotes, bytes of another encoding) is searched for in the whole block first, and its records are looked at one by one
only where there is any. The blocks of the record at hand are kept: a quote that is not closed swallows the lines below
it, and they are read again.

The standard library takes a quote within an unquoted cell for a letter. Most often it is one, an inch or a nickname.
But `1,the "big, red" one` was meant as two cells and is read as three, and `1, "Hel"` keeps its quotes.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, Final

from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import LongLineError, TextBlocks
from .csv_resync import StandardReader, csv_problem, next_fitting

__all__ = ["CsvHeaderError", "CsvPass", "QuoteCheck"]

_BYTE_ORDER_MARK: Final = "\ufeff"
_match_sep_line: Final = re.compile(r'"?sep=(.)"?\1*\s*', re.IGNORECASE).fullmatch
_MAX_TEXT: Final = 65_536
"""So many characters are kept of lines that no record can be made of."""


class CsvHeaderError(InvalidRequestError):
    """The names of the columns cannot be read."""


class CsvPass:
    """The records of a file by `reader`, which is another one after a line that was lost.

    Lines are counted from 0. Who takes records sets `done` to the line below each of them. `needs_look` says that the
    records at hand have to be looked at by `quote_problem` and for damage. `dialect` returns the arguments of that
    reader, by the delimiter that a line `sep=` names, if there is one; `marks` are the delimiter and the quote.
    """

    def __init__(
        self,
        blocks: TextBlocks,
        dialect: Callable[[str | None], dict[str, Any]],
        *,
        skip_lines: int = 0,
        comment: str | None = None,
    ) -> None:
        self.blocks = blocks
        self.needs_look = False
        self.base_line = self.done = 0
        self._comment = comment
        self._rest: str | None = None
        self._dialect = dialect(self._skip_preamble(skip_lines))
        self.marks: tuple[str, str] = (self._dialect["delimiter"], self._dialect["quotechar"] or "")
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
        if _delimiter_of_sep_line(record.removeprefix(_BYTE_ORDER_MARK)) is None:
            return []
        below = self._lines_between(self.done, self.done + 1)
        if not below:
            self._rest = self._rest or self.blocks.read()
            below = io.StringIO(self._rest or "", newline="").readlines(1)
        try:
            return next(self._new_reader(line.removeprefix(_BYTE_ORDER_MARK) for line in below))
        except (csv.Error, StopIteration):
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
        start = next_fitting(swallowed, width, self._new_reader, self._quotes)
        text = "".join(self._lines_between(begin, begin + 1) + swallowed[:start])
        if start < len(swallowed):
            self.base_line = begin + 1 + start
            self.needs_look = self._is_suspicious = True
            self.reader = self._new_reader(chain(self._filtered(swallowed[start:]), self._lines))
        self.done = begin + 1 + start
        return csv_problem(error, begin + 1, self.done), text.rstrip("\r\n")[:_MAX_TEXT]

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
            named = _delimiter_of_sep_line(line) if may_name and not is_no_record else None
            if self.base_line >= skip_lines and named is None and not is_no_record:
                self._rest = line + lines.read()
                break
            delimiter = named or delimiter
            self.base_line += 1
        self.done = self.base_line
        return delimiter

    def _new_reader(self, lines: Iterable[str]) -> StandardReader:
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


def _delimiter_of_sep_line(line: str) -> str | None:
    """Return the delimiter that a line `sep=;` names, as spreadsheets write and read it; None for any other line."""
    found = _match_sep_line(line.rstrip("\r\n"))
    return None if found is None else found[1]


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


class QuoteCheck:
    """Finds bare quotes of a dialect that make a record doubtful.

    `is_suspicious` says whether a block of text may have any: a search that costs next to nothing, so that records are
    looked at one by one in such blocks alone.
    """

    def __init__(self, dialect: Mapping[str, Any]) -> None:
        self._delimiter, self._quote = dialect["delimiter"], dialect["quotechar"] or ""
        self._skips_blanks = bool(dialect["skipinitialspace"])
        self.is_open = False
        """Whether the record that was looked at last has a bare quote that the next one may close."""
        if not self._quote:
            return
        escape_mark = dialect["escapechar"] or ""
        self._classes = _byte_classes(self._quote, self._delimiter + escape_mark)
        delimiter, quote, escape = map(re.escape, (self._delimiter, self._quote, escape_mark))
        escaped = f"{escape}.|" if escape else ""
        opened = f"{quote}(?:{escaped}{quote}{quote}|[^{quote}{escape}])*+"
        quoted = opened + quote
        plain = f"(?:{escaped}[^{delimiter}\r\n{escape}])*"
        lead = " *" if self._skips_blanks else ""
        end = rf"{delimiter}|[\r\n]+|\Z"
        self._match_cell = re.compile(rf"{lead}(?:{quoted}(?={end})|({plain}))(?:{end})", re.DOTALL).match
        self._match_open_cell = re.compile(lead + opened, re.DOTALL).fullmatch
        self._opens = re.compile(f"{quote}(?=[^\\s{quote}])").search
        self._opens_after_blank = re.compile(f"(?:^|[^\\w{quote}]){quote}(?=[^\\s{quote}])").search

    def is_suspicious(self, block: str) -> bool:
        """Whether a block may have a bare quote that makes a record doubtful."""
        if not self._quote or self._quote not in block:
            return False
        if self._skips_blanks:
            block = block.replace(f"{self._delimiter} {self._quote}", self._delimiter + self._quote)
        if not self._quote.isascii():
            return True
        # A quote that opens or closes a cell has the cell's end at one side, one that is doubled has a quote there.
        return _BARE_QUOTE in block.encode("utf-8", "surrogatepass").translate(self._classes)

    def problem(self, record: str) -> str | None:
        """Say what is wrong with the quotes of a record, which is given as it stands; None if nothing is."""
        if not self._quote:
            return None
        was_open, self.is_open = self.is_open, False
        odd: list[str] = []
        for cell in self._unquoted_cells(record):
            if not self._skips_blanks and cell.lstrip(" \t").startswith(self._quote):
                return "has a quote after a blank; skipinitialspace=True reads such cells"
            if cell.count(self._quote) % 2:
                odd.append(cell)
        if not odd:
            return None
        if len(odd) == 1:
            # The other one may stand in the next line.
            self.is_open = not was_open and self._opens_after_blank(odd[0]) is not None
            return _PROBLEM if self.is_open or was_open else None
        return _PROBLEM if self._opens(odd[0]) is not None else None

    def has_odd_cell(self, record: str) -> bool:
        """Whether an unquoted cell of a record has an odd number of quotes, as the end of a quoted one has."""
        return bool(self._quote) and any(cell.count(self._quote) % 2 for cell in self._unquoted_cells(record))

    def goes_on(self, record: str) -> bool:
        """Whether a record ends within a quoted cell, and its quotes are in order up to there."""
        end = 0
        while (found := self._match_cell(record, end)) is not None and found.end() > end:
            if found[1] and found[1].count(self._quote) % 2:
                return self._match_open_cell(record, end) is not None
            end = found.end()
        return False

    def _unquoted_cells(self, record: str) -> Iterator[str]:
        """The cells with quotes in them that are not quoted themselves."""
        position = 0
        while position < len(record):
            found = self._match_cell(record, position)
            if found is None or found.end() == position:
                return
            position = found.end()
            if found[1] and self._quote in found[1]:
                yield found[1]


def _byte_classes(quote: str, ends: str) -> bytes:
    """The table by which each byte of a text is a quote, an end of a cell, or anything else.

    Delimiters beyond ASCII are anything else, so that the quotes beside them are looked at.
    """
    table = bytearray(_OTHER * 256)
    for mark in (*ends, "\r", "\n"):
        if mark.isascii():
            table[ord(mark)] = _END[0]
    if quote.isascii():
        table[ord(quote)] = _QUOTE[0]
    return bytes(table)


_OTHER, _QUOTE, _END = b"a", b'"', b","
_BARE_QUOTE = _OTHER + _QUOTE + _OTHER
_PROBLEM = "has a quote in the wrong place: within a cell that does not begin with one"
