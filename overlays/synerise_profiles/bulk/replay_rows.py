"""From a letter to the row that is sent: mended by the caller's function, read by the mapping, or left as it is.

A letter that is not sent keeps its fate, or gets the reason for which it cannot be sent; either way it stays a letter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias, cast, get_args

import attrs
import orjson

from synerise_profiles._batching.attribution import BREAKS_TEXT, Rejection, Stage, count_note
from synerise_profiles._batching.letters import LetterRow, RowHolds, cells_of, letter_row, problem_of
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.order_ids import ID_TAKEN_MARK, PART_MARK, id_problem
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.callables import closed_coroutine, is_awaitable
from synerise_profiles._validation.object_rules import CELLS_NAME
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_list, is_object

from .letter_reader import CellMapping
from .replay_file import LetterGoneError, LetterGroup, ReplayFile
from .stand_ins import left_problems

__all__ = ["LetterRows", "Transform", "kept_letter", "letter_content"]

Transform: TypeAlias = Callable[[dict[str, Any]], Any]
"""Makes the row that is sent of a letter; None leaves the letter as it is."""
_BEFORE: Final = "; before: "
_NO_NAMED_CELLS: Final = (
    "holds no cells by the names of their columns: write them as {{column: cell}}{}, give transform=, a function that "
    "returns {{'cells': {{column: cell}}}}, or import the mended file again"
)
_NOT_MAPPED: Final = "holds fields, not cells: a mapping does not change it; edit the file, or give a transform"
_NO_SALT: Final = "its salt was to be made by a function of the call: give that as salt="
_OVERWRITES: Final = (
    "is a row at which the server broke: it overwrites later rows of its profile, which arrived without it; send the "
    "newest row of such a profile again"
)
_SAME_ID: Final = (
    "has the id of line {}, and is written otherwise: it would replace that order; delete one of the two letters, or "
    "change what the id is made of"
)
_LETTER_KEYS: Final = frozenset({"operation", "stage", "row"})


class LetterRows:
    """The rows of a group of letters, for an engine that counts them from 0.

    `kept` says of letters that are not sent why, until their fate is written down; None leaves them the reason that
    they have. `notes` counts what the report says about them. The lines of those that have no fate yet are held, since
    somebody may cut the file or write to it: `gone` is the error of the first that was not there when it was its turn,
    and ends the rows. `marks` has those of orders whose id another letter has.
    """

    def __init__(
        self,
        file: ReplayFile,
        group: LetterGroup,
        batch_operation: BatchOperation,
        mapping: CellMapping | None,
        transform: Transform | None,
        *,
        needs_salt: bool,
    ) -> None:
        self.kept: dict[int, str | None] = {}
        self.marks: dict[int, str] = {}
        self.notes: dict[str, int] = {}
        self.gone: LetterGoneError | None = None
        self.group = group
        self._lines: dict[int, bytes] = {}
        self._unmapped: set[int] = set()
        self._file = file
        self._operation = batch_operation
        self._mapping = mapping
        self.mapping_digest = None if mapping is None else mapping.digest
        self._read_cells = None if mapping is None else mapping.cell_reader()
        is_own = mapping is not None and group.operation in mapping.operation_names
        self._ids = mapping.order_ids() if mapping is not None and is_own else None
        self._letter: dict[str, Any] = {}
        self._transform = transform
        self._needs_salt = needs_salt

    @property
    def are_transformed(self) -> bool:
        """Whether the rows are those that the caller's function made of the letters."""
        return self._transform is not None

    def letter(self, number: int) -> dict[str, Any]:
        """Return the letter of a row that has no fate yet."""
        return self._file.letter_of(self._lines[number])

    def settle(self, numbers: Iterable[int]) -> None:
        """Let go of the letters of rows whose fate is written down."""
        for number in numbers:
            self._lines.pop(number, None)
            self._unmapped.discard(number)

    def note_refused(self, number: int) -> None:
        """Note of a row that was refused again, and was meant to be mended by the mapping, that it holds fields."""
        if number in self._unmapped:
            count_note(self.notes, _NOT_MAPPED)

    def __iter__(self) -> Iterator[Any]:
        """Read the rows, each as it is asked for."""
        for number in range(len(self.group)):
            try:
                self._lines[number] = self._file.line(self.group, number)
            except LetterGoneError as error:
                self.gone = error
                return
            yield self._with_own_id(number, self._row(number))

    def _with_own_id(self, number: int, row: Any) -> Any:
        """Return a row, or what stands for one that would replace another order: one of its file, or of these letters.

        A row that cannot be read yet has an id as well.
        """
        if number in self.kept:
            return row
        letter, is_readable = self._letter, not isinstance(row, UnreadableRow)
        if not is_readable:
            row = attrs.evolve(row, id_taken=letter.get(ID_TAKEN_MARK) or None)
        elif (problem := id_problem(letter, row)) is not None:
            return self._keep(number, problem)
        if self._ids is None or letter.get("mapping") is None:
            return row
        fields = fields_of(row.fields if isinstance(row, UnreadableRow) else row) or {}
        earlier = self._ids.add(fields, number, letter_row(fields).json)
        if earlier is None:
            return row
        self.marks[number] = self._ids.mark_of(fields)
        if is_readable:
            return self._keep(number, _SAME_ID.format(self.group.line_of(earlier)))
        return attrs.evolve(row, id_taken=self.marks.pop(number))

    def _row(self, number: int) -> Any:
        letter = self.letter(number)
        row = letter["row"]
        if self._transform is not None:
            row = _checked(self._transform(letter))
            if row is None:
                return self._keep(number, None)
            has_problems = bool(letter.get("problems"))
            letter = _as_marked(letter, self.letter(number))
            letter["problems"] = left_problems(letter, row) if has_problems else ()
        self._letter = letter
        problem = problem_of(letter)
        if problem is not None:
            return self._keep(number, problem)
        fields = fields_of(row) or {}
        if CELLS_NAME in fields and (letter["row_holds"] == "cells" or len(fields) == 1):
            return self._row_of_cells(number, letter, row)
        if letter["row_holds"] == "cells" and row == letter["row"]:
            return self._keep(number, "says that its row holds cells, and there are none in it")
        if not self._has_salt(row):
            return self._keep(number, _NO_SALT)
        if self._mapping is not None and row == letter["row"]:
            self._unmapped.add(number)
        if self._operation.time_field is None and BREAKS_TEXT in str(letter.get("reason")):
            count_note(self.notes, _OVERWRITES)
        return row

    def _row_of_cells(self, number: int, letter: Mapping[str, Any], row: Any) -> Any:
        cells, mapping, read = cells_of(letter, row), self._mapping, self._read_cells
        if cells is None:
            return self._keep(number, "holds cells and fields at once: return either {'cells': ...} or fields alone")
        if mapping is None or read is None:
            digest = letter.get("mapping")
            which = "" if digest is None else f" with the digest {digest}"
            return self._keep(number, f"holds the cells of a source: give mapping=, the RowMapping{which}")
        if letter["operation"] not in mapping.operation_names:
            made = " or ".join(sorted(mapping.operation_names))
            reason = f"holds cells for {letter['operation']}, and the mapping is made for {made}"
            return self._keep(number, reason)
        if not is_object(cells) and not (is_list(cells) and all(map(is_object, cells))):
            return self._keep(number, _unnamed_problem(letter, cells))
        if letter.get("mapping") not in (None, mapping.digest):
            count_note(self.notes, "read by another mapping than the one that could not read it")
        found = read(cells)
        return found if isinstance(found, UnreadableRow) or self._has_salt(found) else self._keep(number, _NO_SALT)

    def _has_salt(self, row: Any) -> bool:
        """Whether the row has a salt, or gets the one that it would have got."""
        return not self._needs_salt or self._operation.salt_field in (fields_of(row) or {})

    def _keep(self, number: int, reason: str | None) -> UnreadableRow:
        self.kept[number] = reason
        return UnreadableRow("", reason or "", part_of_order=True)  # it is not sent


def _as_marked(seen: Mapping[str, Any], letter: dict[str, Any]) -> dict[str, Any]:
    """Return a letter without the marks that the caller's function took off the one that it saw, or set to false."""
    taken_off = [name for name in (PART_MARK, ID_TAKEN_MARK) if not seen.get(name)]
    return {name: value for name, value in letter.items() if name not in taken_off}


def _unnamed_problem(letter: Mapping[str, Any], cells: object) -> str:
    """Say how cells get the names of their columns."""
    columns: object = letter.get("columns")
    if not is_list(columns):
        return _NO_NAMED_CELLS.format("")
    there = f" (there {'is' if len(cells) == 1 else 'are'} {len(cells):,})" if is_list(cells) else ""
    return _NO_NAMED_CELLS.format(f", or as a list of {len(columns):,} in the order of columns{there}")


def kept_letter(
    letter: Mapping[str, Any], index: int, reason: str | None, mark: str = ""
) -> tuple[Rejection, LetterRow]:
    """Return the rejection and the row of a letter that is not sent, with its own reason where there is no other.

    `mark` is a new one of an order whose id another one has.
    """
    content = letter_content(letter, mark)
    stage = letter["stage"] if reason is None and letter["stage"] in get_args(Stage) else "check"
    before = str(letter.get("reason", ""))
    if reason is not None:
        before = f"line {index + 1} {reason}{_BEFORE}{before.rpartition(_BEFORE)[2]}"
    rejection = Rejection(
        index=index,
        stage=cast("Stage", stage),
        reason=before,
        field=letter.get("field"),
        identifier=letter.get("identifier"),
        reference=letter.get("reference"),
    )
    return rejection, content


def letter_content(letter: Mapping[str, Any], mark: str | None = None) -> LetterRow:
    """Return the row of a letter, to be written again as it stands there; `mark` is a new one of its order's id."""
    holds: RowHolds = "cells" if letter["row_holds"] == "cells" else "fields"
    row = letter["row"]
    if holds == "cells" and is_object(row) and row.keys() == {CELLS_NAME}:
        row = row[CELLS_NAME]
    problems, decimals = (_texts(letter.get(name)) for name in ("problems", "decimals"))
    return LetterRow(
        orjson.dumps(row),
        holds,
        problems,
        letter.get("mapping"),
        decimals,
        part_of_order=bool(letter.get(PART_MARK)),
        order_digest=letter.get("order_digest"),
        columns=_texts(letter.get("columns")),
        id_taken=mark or letter.get(ID_TAKEN_MARK) or None,
    )


def _checked(row: Any) -> Any:
    """Return what the caller's function has returned; raise InvalidRequestError for what is no row."""
    if is_awaitable(row):
        closed_coroutine(row)
        raise InvalidRequestError("is a coroutine function; give one that returns the row", field="transform")
    if is_object(row) and row.keys() >= _LETTER_KEYS:
        raise InvalidRequestError("returned the letter; return its row, which is letter['row']", field="transform")
    return row


def _texts(value: object) -> tuple[str, ...]:
    return tuple(map(str, value)) if is_list(value) else ()
