"""Dead letters: one line of JSON for each row that was not accepted, written by bulk runs and by the spill of a queue.

A line says all that is needed to mend its row and to send it again: the version of the format, the operation and its
further arguments, what the row holds, and by which mapping it was read. A row holds the fields of the API, or the cells
of its source where no row could be made of them. Cells stand under the one key `cells`, so that no method takes them
for fields. A row can always be read, and is never null: what JSON cannot carry stands as text, and `problems` says
where and why.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal, TypeAlias

import attrs
import orjson

from synerise_profiles._validation.object_rules import CELLS_NAME
from synerise_profiles._validation.plain_rows import raise_interrupt
from synerise_profiles_api.json_values import is_list, is_object, raised_problem

from .order_ids import ID_TAKEN_MARK, PART_MARK
from .readable_row import readable, write_any
from .row_encoder import contains_null

__all__ = [
    "LETTER_START",
    "LETTER_VERSION",
    "LetterHead",
    "LetterRow",
    "RowHolds",
    "cells_of",
    "letter_line",
    "letter_row",
    "problem_of",
]

LETTER_VERSION: Final = 1
RowHolds: TypeAlias = Literal["fields", "cells"]
LETTER_START: Final = b'{"version":%d,"operation":"' % LETTER_VERSION
"""What every letter begins with: a line that a crash cut off before its end says nothing."""
_NO_ROW: Final = ("the row: nothing of it could be kept",)
_HOLDS_NO_ROW: Final = (
    "holds no row, since nothing of it could be kept: mend it in its file and send it from there, or write the row "
    "into the letter and remove 'problems' from it"
)
_PART_OF_ORDER: Final = (
    "is a part of an order, and would replace the whole one: put all lines of the order into one letter, remove its "
    "mark 'part_of_order' and delete its other letters, give transform=, a function that returns all lines of the "
    "order and takes the mark off, by letter.pop('part_of_order'), or import the mended file again with sort=True"
)


@attrs.frozen(kw_only=True)
class LetterHead:
    """What all letters of a run have in common.

    `arguments` are those of the method beside its rows, such as the tag; `mapping` is the digest of the source's.
    """

    operation: str
    arguments: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    mapping: str | None = None


@attrs.frozen(repr=False)
class LetterRow:
    """A row as JSON, what it holds, and what of it stands as text since JSON cannot carry it.

    `mapping` is the digest of the mapping that could not read its cells, where they say so themselves; `decimals` are
    the columns whose cells were decimals, and stand as text. With `part_of_order` they are not all lines of an order.
    `order_digest` stands for the key of an order whose lines may come apart; `columns` are the names of cells that
    stand in a list; `id_taken` is the mark of an order whose id another one has.
    """

    json: bytes
    holds: RowHolds = "fields"
    problems: tuple[str, ...] = ()
    mapping: str | None = None
    decimals: tuple[str, ...] = ()
    part_of_order: bool = False
    order_digest: str | None = None
    columns: tuple[str, ...] = ()
    id_taken: str | None = None

    def of_order(self, digest: str | None) -> LetterRow:
        """Return the row with what stands for its order."""
        return attrs.evolve(self, order_digest=digest)


def letter_line(head: LetterHead, record: Mapping[str, Any], row: LetterRow) -> bytes:
    """Return the line of a letter; `record` is its rejection."""
    if row.json == b"null":  # as a row stands in a batch whose rows were not checked
        row = attrs.evolve(row, json=b'""', problems=_NO_ROW)
    data: dict[str, Any] = {"version": LETTER_VERSION, "operation": head.operation, "row_holds": row.holds}
    mapping, problems = row.mapping or head.mapping, row.problems or None
    more = {
        "arguments": head.arguments or None,
        "mapping": mapping,
        "decimals": row.decimals or None,
        "problems": problems,
        PART_MARK: row.part_of_order or None,
        "order_digest": row.order_digest,
        "columns": row.columns or None,
        ID_TAKEN_MARK: row.id_taken,
        **record,
    }
    data |= {name: value for name, value in more.items() if value is not None}
    content = b'{"%b":%b}' % (CELLS_NAME.encode(), row.json) if row.holds == "cells" else row.json
    return letter_row(data).json[:-1] + b',"row":' + content + b"}\n"


def letter_row(row: Any, holds: RowHolds = "fields", mapping: str | None = None) -> LetterRow:
    """Write a row as it was given, readable whatever is wrong with it."""
    if row is None:
        return LetterRow(b'""', holds, _NO_ROW, mapping)
    decimals: tuple[str, ...] = ()
    if holds == "cells":
        try:
            row, decimals = _plain_cells(row)
        except Exception as error:  # noqa: BLE001 - a cell of the caller's may fail in any way, as it is looked into
            raised_problem(error)
    try:
        found = write_any(row)
    except (TypeError, ValueError, RecursionError) as error:
        raise_interrupt(error)
        found = b"null"  # the slow way finds out why
    problems: list[str] = []
    if contains_null(found):
        found = orjson.dumps(readable(row, "", problems, ()))
    return LetterRow(found, holds, tuple(problems), mapping, decimals)


def _plain_cells(row: Any) -> tuple[Any, tuple[str, ...]]:
    """Return the cells of a row, or of the lines of an order, as JSON has them, and the columns of decimals."""
    lines = _lines_of(row)
    if not lines:
        return row, ()
    plain = [{name: _plain_cell(cell) for name, cell in line.items()} for line in lines]
    return plain if is_list(row) else plain[0], _decimal_columns(lines)


def cells_of(letter: Mapping[str, Any], row: object) -> object:
    """Return the cells that a row of this letter holds, as their source gave them; None where it holds none.

    A list of cells that has one for each column, such as it was mended, gets their names.
    """
    if not is_object(row) or row.keys() != {CELLS_NAME}:
        return None
    cells: object = row[CELLS_NAME]
    if is_list(cells):
        cells = _named(cells, letter.get("columns"))
    decimals: object = letter.get("decimals")
    lines = _lines_of(cells) if is_list(decimals) else []
    if not lines or not is_list(decimals):
        return cells
    read = [_with_decimals(line, decimals) for line in lines]
    return read if is_list(cells) else read[0]


def _with_decimals(line: Mapping[str, Any], columns: Sequence[object]) -> dict[str, Any]:
    return {name: _decimal(cell) if name in columns else cell for name, cell in line.items()}


def _lines_of(cells: object) -> list[dict[str, Any]]:
    """Return the cells of a row, or of each line of an order; nothing for what has no names of columns."""
    lines = cells if is_list(cells) else [cells]
    return [line for line in lines if is_object(line)] if all(map(is_object, lines)) else []


def _decimal_columns(lines: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the columns whose cells are decimals in all lines that give one."""
    kinds: dict[str, bool] = {}
    for line in lines:
        for name, cell in line.items():
            if cell is not None:
                kinds[name] = kinds.get(name, True) and isinstance(cell, Decimal)
    return tuple(name for name, is_decimal in kinds.items() if is_decimal)


def _named(cells: list[Any], columns: object) -> object:
    """Name the cells of a line, or of those lines of an order that are lists, by its other ones."""
    lines = [line for line in cells if is_object(line)]
    if lines:
        names = list(lines[0])
        fits = [is_list(line) and len(line) == len(names) for line in cells]
        return [dict(zip(names, line, strict=True)) if fit else line for line, fit in zip(cells, fits, strict=True)]
    if is_list(columns) and len(columns) == len(cells) and not any(isinstance(cell, list | dict) for cell in cells):
        return dict(zip(columns, cells, strict=True))
    return cells


def problem_of(letter: Mapping[str, Any]) -> str | None:
    """Say why the row of a letter must not be sent as it stands there; None if it may be."""
    if letter.get(PART_MARK):
        return _PART_OF_ORDER
    problems: object = letter.get("problems")
    if not problems:
        return None
    if is_list(problems) and tuple(problems) == _NO_ROW:
        return _HOLDS_NO_ROW
    listed = "; ".join(map(str, problems)) if is_list(problems) else str(problems)
    advice = "mend it first, and remove 'problems' from the letter"
    return f"a value stands as text, since JSON cannot carry it: {listed}; {advice}"


def _plain_cell(cell: Any) -> Any:
    """Return a cell as JSON has it, where a mapping reads that in the same way: no number is empty, times are text."""
    if isinstance(cell, float):
        return None if math.isnan(cell) else cell
    if isinstance(cell, datetime.date):  # a datetime too
        return cell.isoformat()
    return str(cell) if isinstance(cell, Decimal) else cell


def _decimal(cell: object) -> object:
    try:
        return Decimal(cell) if isinstance(cell, str) else cell
    except InvalidOperation:  # it was mended to something else
        return cell
