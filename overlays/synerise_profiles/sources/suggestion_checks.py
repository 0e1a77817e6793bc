"""Doubts about a file for which a mapping is suggested: no header, another delimiter or encoding.

A draft holds the names of the columns. Where the file has no header these are cells of its first row, so such a file is
refused; where another encoding or lines above the header are likely, the error or a comment says by what to tell it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from synerise_profiles._readers.csv_reader import BadRecord
from synerise_profiles_api.errors import InvalidRequestError

from .value_guesses import guess_values

__all__ = ["check_sample", "doubts"]

_PERSONAL_KINDS: Final = frozenset({"email", "phone"})
_NUMBER_KINDS: Final = frozenset({"integer", "digits", "number"})
_DATA_KINDS: Final = frozenset({"date", "datetime", "digits", "number"})
"""What a name may look like where its cells do not: that of a year or a month, say."""
_MARKS: Final = ";\t|"
"""What is between cells, the comma aside: texts in quotes may have one each."""
_SKIP_HINT: Final = (
    "say by skip_lines how many lines stand above the header, and by delimiter what is between the cells"
)


def check_sample(
    columns: Sequence[str], records: Sequence[Sequence[str]], bad: Sequence[BadRecord], *, encoding: str
) -> None:
    """Raise InvalidRequestError for a file that was not read as it is meant, as far as that is sure."""
    damaged = sum(record.position is not None for record in bad)
    if len(bad) > len(records):
        problem = (
            f"has bytes that are not {encoding} in most of its lines; give the file's encoding, such as cp1250"
            if damaged * 2 > len(bad)
            else f"has another number of cells in most of its lines than in its header, of {len(columns)}; {_SKIP_HINT}"
        )
        raise InvalidRequestError(problem, field="file")
    if _lacks_header(columns, records):
        problem = (
            "has no header: its first line looks like a row of cells; put a line with the names of the columns above "
            f"it, or where one stands further down, {_SKIP_HINT}"
        )
        raise InvalidRequestError(problem, field="file")
    if len(columns) == 1 and _is_cut_by_other_mark(columns[0], [record[0] for record in records]):
        problem = f"has one column in its first line, and several in those below; {_SKIP_HINT}"
        raise InvalidRequestError(problem, field="file")


def doubts(columns: Sequence[str], records: Sequence[Sequence[str]], bad: Sequence[BadRecord]) -> Iterator[str]:
    """Yield comments for what is only likely."""
    damaged = sum(record.position is not None for record in bad)
    if damaged:
        yield f"# Lines with bytes that are not of the encoding: {damaged:,}. Is it the file's own?\n"
    kinds = [guess_values([name.strip()]).kind for name in columns if name.strip()]
    if any(kind in _NUMBER_KINDS for kind in kinds):
        yield "# Names of columns are numbers: is the first line a header?\n"
    unnamed = sum(
        not name.strip() and any(record[place].strip() for record in records) for place, name in enumerate(columns)
    )
    if unnamed:
        yield f"# Columns without a name, which are left out: {unnamed:,}. Does the header stand further down?\n"


def _lacks_header(columns: Sequence[str], records: Sequence[Sequence[str]]) -> bool:
    """Whether the names of the columns are cells: one is an address or a phone, or is of a kind with its cells."""
    kinds = [guess_values([name.strip()]).kind for name in columns if name.strip()]
    if _PERSONAL_KINDS.intersection(kinds) or (kinds and all(kind in _NUMBER_KINDS for kind in kinds)):
        return True
    for place, name in enumerate(columns):
        kind = guess_values([name.strip()]).kind if name.strip() else ""
        values = [text for record in records if (text := record[place].strip())]
        if kind in _DATA_KINDS and values and guess_values(values).kind == kind:
            return True
    return False


def _is_cut_by_other_mark(name: str, cells: Sequence[str]) -> bool:
    """Whether all texts have the same number of a mark that the first line does not have."""
    for mark in _MARKS:
        counts = {cell.count(mark) for cell in cells}
        if len(cells) > 1 and mark not in name and len(counts) == 1 and 0 not in counts:
            return True
    return False
