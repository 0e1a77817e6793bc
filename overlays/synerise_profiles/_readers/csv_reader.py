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
from typing import Any, Final, Literal, TypeAlias, TypeVar, cast, get_args

import attrs

from synerise_profiles._core.files import FileId
from synerise_profiles._core.wording import counted
from synerise_profiles_api.errors import InvalidRequestError

from .block_reader import InputFile, LongLineError, TextBlocks
from .csv_pass import CsvPass
from .file_form import check_csv
from .given_input import PathOrFile
from .line_index import LineIndex

__all__ = ["BadRecord", "CsvFormat", "CsvReader", "Ragged", "delimiter_hint", "width_problem"]

_REPEATED_HEADER: Final = "the header of the file came again, and is no row"
_BLANKS: Final = (
    " \t\n\r\v\f\x1c\x1d\x1e\x1f\x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_SEP_START: Final = "sep="
Ragged: TypeAlias = Literal["refuse", "pad"]
_DEFAULT_DELIMITER: Final = ","
R = TypeVar("R")
B = TypeVar("B")


@attrs.frozen(kw_only=True)
class CsvFormat:
    """How a CSV file is written. A delimiter that is not given is a comma, unless a line `sep=` names another."""

    encoding: str = "utf-8-sig"
    delimiter: str | None = None
    quotechar: str | None = '"'
    escapechar: str | None = None
    skipinitialspace: bool = False
    skip_lines: int = 0
    comment: str | None = None
    ragged: Ragged = "refuse"

    def check(self) -> None:
        """Raise InvalidRequestError for a format in which no file can be."""
        problem = self._problem()
        if problem is not None:
            raise InvalidRequestError(problem, field="file")

    def dialect(self, delimiter: str | None = None) -> dict[str, Any]:
        """Return the arguments of the standard library's reader; `delimiter` is what a line `sep=` names."""
        quoting = {"quoting": csv.QUOTE_NONE} if self.quotechar is None else {}
        return {
            "delimiter": self.delimiter or delimiter or _DEFAULT_DELIMITER,
            "quotechar": self.quotechar,
            "escapechar": self.escapechar,
            "skipinitialspace": self.skipinitialspace,
            **quoting,
        }

    def _problem(self) -> str | None:
        if (problem := _skip_problem(self.skip_lines)) is not None:
            return problem
        if not _begins_comments(self.comment, self.quotechar, self.delimiter or _DEFAULT_DELIMITER):
            return f"comment={self.comment!r} cannot begin a comment; give a mark such as '#'"
        if self.ragged not in get_args(Ragged):
            return f"ragged={self.ragged!r} is none of {', '.join(get_args(Ragged))}"
        try:
            "".encode(self.encoding)  # of text, which not every codec is
            codecs.getincrementaldecoder(self.encoding)
        except (LookupError, TypeError, ValueError) as error:
            return f"cannot be read like this: {error}"
        return _marks_problem(self.dialect())


@attrs.frozen
class BadRecord:
    """A record that cannot be read: its cells, or its text where it has none; `position` is that of a damaged cell."""

    reason: str
    cells: list[str] | None = attrs.field(default=None, repr=False)
    position: int | None = None
    text: str | None = attrs.field(default=None, repr=False)


class CsvReader:
    """A CSV file: its header, which is read at once, and its records, read as they are taken.

    A path is closed in between, and can be read again and again; a file object, a pipe and standard input once. Raises
    InvalidRequestError for an impossible format and for a file that is no CSV, CsvHeaderError, and OSError for a file
    that cannot be opened.

    `columns` are the names of the columns: those of the first line with any cell, or `names`; none in an empty file.
    `marks` are the delimiter and the quote, which is empty where there is none. `lines` is the line index of the
    records that were read last.
    """

    def __init__(
        self,
        file: PathOrFile,
        format: CsvFormat | None = None,  # noqa: A002 - what it is
        *,
        names: Sequence[str] | None = None,
    ) -> None:
        self._format = CsvFormat() if format is None else format
        self._format.check()
        _check_names(names)
        self._has_header = names is None
        self.lines = LineIndex()
        self._file = InputFile(file)
        first = self._start(is_first=True)
        try:
            self.columns = first.header() if names is None else tuple(names)
        except BaseException:
            first.blocks.close()
            raise
        self.marks = first.marks
        self._plain_header = _plain_record(self.columns)
        start = "".join(self.columns[:1]).strip()[:1]
        # How a record may begin that is no row: with nothing, a blank, or as the header or a line `sep=` does.
        self._header_starts = frozenset(("", *_BLANKS, start, start.lower(), start.upper(), *"sS"))
        self._started: CsvPass | None = first
        if self._file.is_reusable:  # nothing stays open until it is read
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
        note: Callable[[str], None] | None = None,
    ) -> Iterator[R | B]:
        """Yield what `convert` makes of the cells of each record, and what `refuse` makes of a bad one.

        Lines without any cell are no records, nor is the header where it comes again. A damaged cell is looked for in
        the columns that are `used`, and where a file `is_ragged`, a wrong number of cells is none. `note` is told of
        each header that is passed over.
        """
        started, self._started = self._started, None
        reading = started or self._start(is_first=False)
        with closing(reading.blocks):
            if started is None and self._has_header and not reading.begins_with(self.columns):
                raise InvalidRequestError("has another header than when it was opened", field="file")
            width = -1 if is_ragged else len(self.columns)
            # `delta` is the line of a record, counted from 1, less its index, while each is one line.
            lines = self.lines = LineIndex(reading.done + 1)
            index, delta = -1, lines.first_line
            may_be_no_row = self._header_starts
            while True:
                reader, base = reading.reader, reading.base_line
                try:
                    for cells in reader:
                        start = reading.done
                        reading.done = base + reader.line_num
                        if not cells or (
                            cells[0][:1] in may_be_no_row and self._is_no_row(cells, reading, start, note)
                        ):
                            continue
                        index += 1
                        if start - index + 1 != delta:
                            delta = start - index + 1
                            lines.add(index, start + 1)
                        if len(cells) != width or reading.needs_look:
                            bad = self._bad_record(cells, width, used, reading, start)
                            if bad is not None:
                                yield refuse(bad)
                                continue
                        yield convert(cells)
                except (csv.Error, LongLineError) as error:
                    start = reading.done
                    reason, text = reading.skip_bad_record(error, len(self.columns))
                else:
                    return
                index += 1
                delta = start - index + 1
                lines.add(index, start + 1)
                yield refuse(BadRecord(reason, text=text and _SURROGATES.sub("\ufffd", text)))

    def _start(self, *, is_first: bool) -> CsvPass:
        form = self._format
        blocks = self._file.open_text(form.encoding)
        try:
            if is_first or not self._has_header:  # else its header tells whether it is still the same file
                check_csv(blocks.head, form.encoding, has_header=self._has_header)
            return CsvPass(blocks, form.dialect, skip_lines=form.skip_lines, comment=form.comment)
        except BaseException:
            blocks.close()
            raise

    def _is_no_row(self, cells: list[str], reading: CsvPass, begin: int, note: Callable[[str], None] | None) -> bool:
        """Whether a record is the header once more, which is noted, or has no cell with anything but blanks.

        A line `sep=;` above such a header is no row either.
        """
        first = cells[0].strip().lower()
        if first and first != self._plain_header[0]:  # nearly all rows that come here
            return first.startswith(_SEP_START) and self._is_header(reading.cells_below_sep_line(begin))
        if not first and _plain_record(cells) == [""]:
            return True
        if not self._is_header(cells):
            return False
        if note is not None:
            note(_REPEATED_HEADER)
        return True

    def _is_header(self, cells: list[str]) -> bool:
        """Whether these are the cells of the header.

        Blanks around its cells, empty cells behind them, and the case of letters make no other header; but one column
        may well hold a word that differs from its name by its case, and so may rows of a file without a header.
        """
        if _plain_record(cells) != self._plain_header:
            return False
        # One column may hold such a word, and names that were given are those of no header that could come again.
        is_exact = len(self._plain_header) == 1 or not self._has_header
        pairs = zip(cells, self.columns, strict=False)
        return not is_exact or all(cell.strip() == name.strip() for cell, name in pairs)

    def _bad_record(
        self, cells: list[str], width: int, used: Sequence[int], reading: CsvPass, start: int
    ) -> BadRecord | None:
        """Say what is wrong with a record of another width, or one that needs a look; fill or cut it if it may be."""
        problem = reading.quote_problem(start) if reading.needs_look else None
        if problem is not None:
            return BadRecord(problem, _replace_surrogates(cells))
        if width not in (-1, len(cells)):
            if self._format.ragged == "refuse" or any(map(str.strip, cells[width:])):
                return BadRecord(width_problem(len(cells), width), _replace_surrogates(cells))
            cells[width:] = [""] * (width - len(cells))
        return self._damage(cells, used, reading.blocks) if reading.blocks.is_damaged else None

    def _damage(self, cells: list[str], used: Sequence[int], blocks: TextBlocks) -> BadRecord | None:
        for position in used:
            if position < len(cells) and blocks.find_damage(cells[position]):
                reason = f"column {self.columns[position]!r} has bytes that are not {blocks.encoding}"
                return BadRecord(f"{reason}; give the file's encoding", _replace_surrogates(cells), position)
        return None


def _check_names(names: object) -> None:
    """Raise InvalidRequestError for what is no list of names of columns, and not left out."""
    if isinstance(names, str) or not isinstance(names, Sequence | None):
        raise InvalidRequestError(f"names= is a list of texts, not {type(names).__name__}", field="file")
    if not all(isinstance(name, str) for name in cast("Sequence[object]", names or ())):
        raise InvalidRequestError("names= is a list of texts, and one of them is none", field="file")


def _plain_record(cells: Sequence[str]) -> list[str]:
    """Return cells in small letters, without blanks around them, and without the empty ones at the end; one is left."""
    texts = [cell.strip().lower() for cell in cells]
    while len(texts) > 1 and not texts[-1]:
        del texts[-1]
    return texts or [""]


def delimiter_hint(columns: Sequence[str]) -> str:
    """Say which mark may be the delimiter, where a header that lacks a column is a single one; or nothing."""
    mark = re.search(r"[;\t|,]", columns[0]) if len(columns) == 1 else None
    return f"the header is one column, in which {mark[0]!r} may be the delimiter" if mark else ""


def width_problem(count: int, width: int) -> str:
    """Say what is wrong with a record that has another number of cells than there are columns."""
    there = f"there {'is' if width == 1 else 'are'} {counted(width, 'column')}"
    return f"has {counted(count, 'cell')}, and {there}; is a cell with the delimiter not quoted?"


_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def _replace_surrogates(cells: list[str]) -> list[str]:
    """What of a record can be written."""
    return [_SURROGATES.sub("\ufffd", cell) for cell in cells]


def _marks_problem(dialect: Mapping[str, Any]) -> str | None:
    """Say what is wrong with the marks of a dialect, in the same words with every Python."""
    delimiter, quotechar, escapechar = (dialect[name] for name in ("delimiter", "quotechar", "escapechar"))
    marks = {"delimiter": delimiter, "quotechar": quotechar, "escapechar": escapechar}
    for name, mark in marks.items():
        if mark is not None and not (isinstance(mark, str) and len(mark) == 1):
            return f'cannot be read like this: "{name}" must be a 1-character string'
    if delimiter in (quotechar, escapechar, "\n", "\r"):
        return f"delimiter={delimiter!r} is the mark of something else, too; give what stands between cells"
    if quotechar is not None and quotechar in (escapechar, "\n", "\r"):
        return f"quotechar={quotechar!r} is the mark of something else, too; give what stands around a cell"
    if escapechar in ("\n", "\r"):
        return f"escapechar={escapechar!r} is the mark of something else, too; give what stands before a mark in a cell"
    try:
        csv.reader((), **dialect)
    except (TypeError, ValueError):
        return "cannot be read like this: delimiter, quotechar, escapechar and skipinitialspace do not go together"
    return None


def _begins_comments(mark: object, quotechar: str | None, delimiter: str | None) -> bool:
    """Whether lines that begin with a mark can be told from others; None stands for no comments."""
    return mark is None or (isinstance(mark, str) and mark not in ("", quotechar, delimiter))


def _skip_problem(skip_lines: object) -> str | None:
    """Say what a caller without a type checker got wrong."""
    is_count = isinstance(skip_lines, int) and not isinstance(skip_lines, bool) and skip_lines >= 0
    return None if is_count else f"skip_lines={skip_lines!r} is no number of lines"
