"""Lost keys: of which orders a line may be that cannot be read, by where its cells stand.

A cell is taken for the key only where it may stand in the key's column: a line with too few cells has lost some before
it or after it, and one with a wrong quote has the cells in front of that in their places.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.json_values import is_list, is_object

__all__ = ["LOST_CHARACTERS", "possible_cells"]

LOST_CHARACTERS: Final = re.compile("[\ufffd\ud800-\udfff]")
"""What stands in the place of bytes that could not be read."""
_CELL_ENDS: Final = re.compile(r'[,;\t|"\r\n]+')


def possible_cells(
    bad: UnreadableRow, names: Sequence[str], marks: tuple[str, str], *, is_prepared: bool
) -> list[list[Any]]:
    """Return for each column of the key the cells that may be its own; none where it is lost.

    `marks` are the delimiter and the quote of a file that has them. With `is_prepared` a column may be of the caller's
    making, and so of any cell.
    """
    return [[cell for cell in _cells_of(bad, name, marks, is_prepared) if not _is_lost(cell)] for name in names]


def _cells_of(bad: UnreadableRow, name: str, marks: tuple[str, str], is_prepared: bool) -> Iterable[Any]:  # noqa: FBT001
    row: object = bad.row
    columns = tuple(bad.columns)
    place = columns.index(name) if name in columns else None
    if is_object(row):  # each cell stands in its place
        return (row[name],) if name in row else row.values() if is_prepared else ()
    if is_list(row):
        return row if place is None else _window(row, place, len(columns))
    if not isinstance(row, str):
        return ()
    if place is not None and all(marks) and (found := _cell_before_quote(row, place, *marks)) is not None:
        return (found,)
    named = [] if place is not None else _json_values(row, name)
    return named or [cell.strip() for cell in _CELL_ENDS.split(row)]


def _window(cells: Sequence[Any], place: int, width: int) -> Sequence[Any]:
    """Return the cells that a column may have where a line has too few or too many."""
    lacking = width - len(cells)
    return cells[max(0, place - max(lacking, 0)) : place + max(-lacking, 0) + 1]


def _cell_before_quote(text: str, place: int, delimiter: str, quote: str) -> str | None:
    """Return the cell of a column in front of the first quote; None where it stands behind it, or there is none."""
    head, found, _ = text.partition(quote)
    cells = head.split(delimiter)
    return cells[place].strip() if found and place < len(cells) - 1 else None


def _json_values(text: str, name: str) -> list[str]:
    """Return the values of a name in what was to be an object of JSON."""
    pattern = rf'"{re.escape(name)}"\s*:\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,}}\]"]+))'
    return [text or bare for text, bare in re.findall(pattern, text)]


def _is_lost(cell: object) -> bool:
    return isinstance(cell, str) and LOST_CHARACTERS.search(cell) is not None
