"""The format of a CSV file: its dialect, what stands above its header, and the lines that are no rows."""

from __future__ import annotations

import codecs
import csv
import re
from typing import Any, Final, Literal, TypeAlias, get_args

import attrs

from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["CsvFormat", "Ragged", "delimiter_of_sep_line"]

Ragged: TypeAlias = Literal["refuse", "pad"]
_DEFAULT_DELIMITER: Final = ","
_match_sep_line: Final = re.compile(r'"?sep=(.)"?\1*\s*', re.IGNORECASE).fullmatch


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
        if self.comment is not None and (not self.comment or self.comment == self.quotechar):
            return f"comment={self.comment!r} cannot begin a comment; give a mark such as '#'"
        if self.ragged not in get_args(Ragged):
            return f"ragged={self.ragged!r} is none of {', '.join(get_args(Ragged))}"
        try:
            codecs.getincrementaldecoder(self.encoding)
            csv.reader((), **self.dialect())
        except (LookupError, TypeError, ValueError) as error:
            return f"cannot be read like this: {error}"
        return None


def _skip_problem(skip_lines: object) -> str | None:
    """Say what a caller without a type checker got wrong."""
    is_count = isinstance(skip_lines, int) and not isinstance(skip_lines, bool) and skip_lines >= 0
    return None if is_count else f"skip_lines={skip_lines!r} is no number of lines"


def delimiter_of_sep_line(line: str) -> str | None:
    """Return the delimiter that a line `sep=;` names, as spreadsheets write and read it; None for any other line."""
    found = _match_sep_line(line.rstrip("\r\n"))
    return None if found is None else found[1]
