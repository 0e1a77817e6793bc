"""Bare quotes of a CSV file: those within a cell that does not begin with one.

The standard library takes a quote within an unquoted cell for a letter. Most often it is one, an inch or a nickname.
But `1,the "big, red" one` was meant as two cells and is read as three, and `1, "Hel"` keeps its quotes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["QuoteCheck"]


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
