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
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, BinaryIO, Final, Literal, TypeAlias, cast, get_args

import attrs
import orjson

from synerise_profiles._core.files import refused, target_of
from synerise_profiles._validation.unknown_names import CELLS_NAME
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.settings import OPERATIONS as NAMES

from .attribution import Stage
from .readable_row import readable
from .row_encoder import ORJSON_OPTIONS, contains_null, orjson_default

__all__ = [
    "LETTER_START",
    "LETTER_VERSION",
    "LetterHead",
    "LetterLine",
    "LetterRow",
    "RowHolds",
    "are_letters",
    "cells_of",
    "letter_line",
    "letter_row",
    "letter_target",
    "load_letter",
    "problem_of",
    "scan_letters",
]

LETTER_VERSION: Final = 1
RowHolds: TypeAlias = Literal["fields", "cells"]
_LETTER_PATTERN: Final = re.compile(rb'\{"version":(\d+),"operation":"([\w.]*)","row_holds":"')
_MARKS: Final = frozenset({"version", "operation", "row_holds", "index", "stage", "reason", "row"})
"""What every letter has, whatever its version."""
_OPERATION: Final = re.compile(rf"(?:{'|'.join(sorted({resource for resource, _ in NAMES}))})\.\w+")
"""Of another release too, whose methods may be others."""
LETTER_START: Final = b'{"version":%d,"operation":"' % LETTER_VERSION
"""What every letter begins with: a line that a crash cut off before its end says nothing."""
_NO_ROW: Final = ("the row: nothing of it could be kept",)
_TELLING_START: Final = b'{"version":'
"""What other JSON hardly begins with, let alone ends with."""
_PART_OF_ORDER: Final = (
    "is a part of an order, and would replace the whole one: put all lines of the order into one letter, remove its "
    "mark 'part_of_order' and delete its other letters, give transform=, a function that returns all lines "
    "of the order, or import the mended file again with sort=True"
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
    stand in a list.
    """

    json: bytes
    holds: RowHolds = "fields"
    problems: tuple[str, ...] = ()
    mapping: str | None = None
    decimals: tuple[str, ...] = ()
    part_of_order: bool = False
    order_digest: str | None = None
    columns: tuple[str, ...] = ()

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
        "part_of_order": row.part_of_order or None,
        "order_digest": row.order_digest,
        "columns": row.columns or None,
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
    lines = _lines_of(row) if holds == "cells" else []
    if lines:
        decimals = _decimal_columns(lines)
        plain = [{name: _plain_cell(cell) for name, cell in line.items()} for line in lines]
        row = plain if is_list(row) else plain[0]
    try:
        found = orjson.dumps(row, orjson_default, ORJSON_OPTIONS)
    except (TypeError, ValueError, RecursionError):
        found = b"null"  # the slow way finds out why
    problems: list[str] = []
    if contains_null(found):
        found = orjson.dumps(readable(row, "", problems, ()))
    return LetterRow(found, holds, tuple(problems), mapping, decimals)


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
    if letter.get("part_of_order"):
        return _PART_OF_ORDER
    problems: object = letter.get("problems")
    if not problems:
        return None
    listed = "; ".join(map(str, problems)) if is_list(problems) else str(problems)
    advice = "mend it first, and remove 'problems' from the letter"
    return f"a value stands as text, since JSON cannot carry it: {listed}; {advice}"


def letter_target(path: object, argument: str, *, is_appended: bool) -> Path:
    """Return the file for letters; nothing is touched.

    Raises InvalidRequestError, by the name of the argument, for what cannot be written, and for a file that is there
    and is neither empty nor of dead letters of this version.
    """
    target = target_of(path, argument, is_appended=is_appended)
    try:
        with target.open("rb") as lines:
            # Where it is replaced, every line counts, so that no other content goes.
            version = _version_in(lines, is_first_enough=is_appended)
    except FileNotFoundError:
        return target
    except OSError as error:
        raise refused(argument, f"cannot be read: {error.strerror}") from None
    except _NoLettersError:
        raise refused(argument, "is a file of something else than dead letters; give the name of another one") from None
    if version not in (None, LETTER_VERSION):
        problem = f"has dead letters of version {version}, and this release writes version {LETTER_VERSION}"
        raise refused(
            argument, f"{problem}; send them by the release that wrote them, or give the name of another file"
        )
    return target


def are_letters(lines: Iterable[bytes]) -> bool:
    """Whether all lines that are not blank are letters of this version."""
    try:
        return _version_in(lines, is_first_enough=False) in (None, LETTER_VERSION)
    except _NoLettersError:
        return False


class _NoLettersError(Exception):
    """A file has other lines than letters."""


def _version_in(lines: Iterable[bytes], *, is_first_enough: bool) -> int | None:
    """Return the version of the letters, whole or cut off by a crash; None if all lines are blank.

    Where they have several, it is one that is not of this release.

    Raises _NoLettersError for a line that is neither. One too short to be told from other JSON, such as a lone brace,
    may be the rest of a letter only where there is another letter.
    """
    version, is_known, is_in_doubt = None, False, False
    for line in lines:
        if not line.strip():
            continue
        found = _version_of(line)
        if found is not None or _is_beginning(line):
            version = found if version in (None, LETTER_VERSION) and found is not None else version
            is_known = True
            if is_first_enough:
                break
        elif not LETTER_START.startswith(line.rstrip(b"\n")):
            raise _NoLettersError
        else:
            is_in_doubt = is_in_doubt or not line.startswith(_TELLING_START) or line.endswith(b"\n")
    if is_in_doubt and not is_known:
        raise _NoLettersError
    return version


@attrs.frozen
class LetterLine:
    """A line of a file of dead letters: its number, counted from 1, where it begins, and its letter.

    The letter is None where a crash cut the line off.
    """

    number: int
    offset: int
    letter: dict[str, Any] | None = attrs.field(repr=False)


def scan_letters(file: BinaryIO) -> Iterator[LetterLine]:
    """Yield the lines of an open file of dead letters that are not blank.

    Raises InvalidRequestError for one that is no dead letter of this version.
    """
    offset = 0
    for number, content in enumerate(file, 1):
        if content.strip():
            yield LetterLine(number, offset, _letter_of(content, number))
        offset += len(content)


def load_letter(line: bytes) -> Any:
    """Parse the line of a letter. Numbers in its row that would lose digits stand as text, among its problems."""
    from synerise_profiles._readers.exact_json import (  # noqa: PLC0415 - most read none
        LostDigitsError,
        load_all_digits,
        load_exactly,
    )

    line = line.removeprefix(BOM_UTF8)  # of an editor, in which letters were mended
    try:
        return load_exactly(line)
    except LostDigitsError:
        letter = orjson.loads(line)
    if not is_object(letter) or "row" not in letter:
        return letter
    row = letter_row(load_all_digits(line)["row"])
    known = letter.get("problems")
    return {**letter, "row": orjson.loads(row.json), "problems": [*(known if is_list(known) else ()), *row.problems]}


def _letter_of(line: bytes, number: int) -> dict[str, Any] | None:
    from synerise_profiles._readers.exact_json import LossyJsonError  # noqa: PLC0415 - as in `load_letter`

    try:
        letter: Any = load_letter(line)
    except LossyJsonError as error:
        raise InvalidRequestError(f"line {number} {error}", field="path") from None
    except orjson.JSONDecodeError:
        is_rest = _version_of(line) == LETTER_VERSION or LETTER_START.startswith(line.rstrip(b"\n"))
        if is_rest or _is_beginning(line):
            return None
        letter = None
    version = _version_of(line, letter)
    if version == LETTER_VERSION:
        return cast("dict[str, Any]", letter)
    problem = "is no dead letter" if version is None else f"is a dead letter of version {version}"
    advice = "" if version is None else "; send it by the release that wrote it"
    text = f"line {number} {problem}; this release reads version {LETTER_VERSION}{advice}"
    raise InvalidRequestError(text, field="path")


def _version_of(line: bytes, letter: Any = None) -> int | None:
    """Return the version of a letter; None if a line is none."""
    try:
        letter = orjson.loads(line.removeprefix(BOM_UTF8)) if letter is None else letter
    except orjson.JSONDecodeError:
        head = _LETTER_PATTERN.match(line)
        is_letter = head is not None and (int(head[1]) != LETTER_VERSION or _OPERATION.fullmatch(head[2].decode()))
        return int(head[1]) if head is not None and is_letter else None
    if not is_object(letter) or not letter.keys() >= _MARKS or type(letter["version"]) is not int:
        return None
    is_letter = letter["version"] != LETTER_VERSION or _is_of_this_version(letter)
    return letter["version"] if is_letter else None


def _is_of_this_version(letter: Mapping[str, Any]) -> bool:
    """Whether what every letter has is what this release writes there."""
    is_known = _OPERATION.fullmatch(str(letter["operation"])) and letter["row_holds"] in get_args(RowHolds)
    return bool(is_known) and letter["stage"] in get_args(Stage) and isinstance(letter["reason"], str)


def _is_beginning(line: bytes) -> bool:
    """Whether a crash may have cut a letter off within the name of its operation, or shortly behind it."""
    rest = line.rstrip(b"\n")
    heads = (LETTER_START + ".".join(name).encode() + b'","row_holds":"' for name in NAMES)
    return rest.startswith(LETTER_START) and any(head.startswith(rest) for head in heads)


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
