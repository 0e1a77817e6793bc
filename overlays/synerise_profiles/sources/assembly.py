"""From the records of a file to rows, where a mapping chooses lines (`where=`), prepares them or groups them.

A mapping without these does not come here: its records are rows. Lines of one order stand next to each other, or they
are sorted on disk first. A line whose key is empty or cannot be read may be of the order above or below it, so it
refuses both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import product
from math import prod
from operator import itemgetter
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.wording import counted
from synerise_profiles._validation.rules import FieldProblem

from .doubtful_keys import DoubtfulKeys
from .grouping import Grouping, Order
from .line_plan import KEY_TYPES, LinePlan, join_key
from .line_store import RowPositions, SeenKeys, StoredNumbers, digest_text, key_digest, sort_lines
from .lost_keys import possible_cells
from .open_order import OpenOrder
from .order_ids import SeenIds
from .row_builder import Row

__all__ = ["LineAssembler"]

Line: TypeAlias = "tuple[str, int, tuple[Any, Any]]"
"""The key of a line, its number, its record, and what is converted of it."""
_MAX_LETTER_LINES: Final = 50_000
"""A letter holds all lines of its order, but not without end."""
_MAX_BAD_LINES: Final = 1000
"""So many lines that are refused by themselves wait for the order above them; then it ends there."""
_MAX_POSSIBLE_KEYS: Final = 10_000
"""Of a line that cannot be read; beyond, each of its cells may be a part of any key."""
_LEFT_OUT_BY_WHERE: Final = "left out by where="
_LEFT_OUT_BY_PREPARE: Final = "left out by prepare="
_COMES_AGAIN: Final = (
    "lines with this key came before, at {}, and were taken for an order of their own: they are not adjacent, "
    "so read them with sort=True"
)
_MAY_BE_OF_IT: Final = "cannot be read, or has no key, and may be of this order: it is refused by itself, mend it first"


class LineAssembler:
    """Makes the rows of one pass over a file. `locate` returns where a record stands, which `unit` says what it is."""

    def __init__(
        self,
        plan: LinePlan,
        locate: Callable[[int], Any],
        note: Callable[[str], None],
        *,
        unit: str,
        is_sorted: bool = False,
        marks: tuple[str, str] = ("", ""),
    ) -> None:
        self._plan = plan
        self._locate = locate
        self._note = note
        self._unit = unit
        self._is_sorted = is_sorted
        self._marks = marks
        self._positions = RowPositions(is_sorted=is_sorted)
        self._seen = SeenKeys()
        # What stands for the order of each row, 0 for none; sorted, no line of an order stands apart.
        self._digests = None if is_sorted or plan.grouping is None else StoredNumbers()
        self._suspected, self._suspected_parts = SeenKeys(), SeenKeys()
        ids = plan.id_fields
        self._ids = None if ids is None or ids.is_key else SeenIds(ids)
        self._doubts = DoubtfulKeys(plan, self._place, note)

    def locate(self, index: int) -> Any:
        """Return where a row stands: the line that it begins with."""
        return self._locate(self._positions.locate(index))

    def order_digest(self, index: int) -> str | None:
        """Return what stands for the order of a row, where further lines of it may stand apart."""
        digest = 0 if self._digests is None else self._digests[index]
        return digest_text(digest)

    def rows(self, records: Iterable[Any]) -> Iterator[Row]:
        """Yield the rows."""
        chosen = self._chosen(records)
        if self._plan.grouping is None:
            for number, record, prepared in chosen:
                self._positions.add(number)
                yield self._plan.row(record, prepared)
            return
        lines = self._keyed(chosen)
        yield from self._orders(sort_lines(self._watched(lines)) if self._is_sorted else lines, self._plan.grouping)

    def _keyed(self, chosen: Iterable[tuple[int, Any, Any]]) -> Iterator[Line]:
        """Yield lines with their keys; nearly all have that of the line above."""
        plan = self._plan
        cell_of = plan.key_cells[0] if len(plan.key_cells) == 1 else None
        above, key = object(), ""
        for number, record, prepared in chosen:
            if cell_of is None or prepared.__class__ is UnreadableRow:
                yield self._key_of(record, prepared), number, (record, prepared)
                continue
            part = cell_of(prepared)
            if part.__class__ is not above.__class__ or part.__class__ not in KEY_TYPES or part != above:
                above, key = part, self._key_of(record, prepared)
            yield key, number, (record, prepared)

    def _key_of(self, record: Any, prepared: Any) -> str:
        key = "" if self._plan.has_wrong_key(record, prepared) else self._plan.key(prepared)
        return self._doubts.noted(key, record, prepared)

    def _watched(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Note, while lines are sorted, of which orders one that has no key, or cannot be read, may be.

        That is: of those beside it in the file, and of those whose key may stand in it.
        """
        above, keyless = "", None
        for line in lines:
            key, number, (_, prepared) = line
            if key:
                if keyless is not None:
                    self._suspected.add(key, keyless)
                above, keyless = key, None
            else:
                keyless = number
                self._suspected.add(above, number)
                if prepared.__class__ is UnreadableRow:
                    self._suspect(prepared, number)
            yield line

    def _suspect(self, bad: UnreadableRow, number: int) -> None:
        """Take note of the orders whose key may stand in a line that cannot be read."""
        plan = self._plan
        cells = possible_cells(bad, plan.key_columns, self._marks, is_prepared=plan.prepare is not None)
        texts = [{*map(read, found)} - {""} for read, found in zip(plan.key_readers, cells, strict=True)]
        if prod(map(len, texts)) > _MAX_POSSIBLE_KEYS:
            for text in set[str]().union(*texts):
                self._suspected_parts.add(text, number)
            return
        for key in map(join_key, product(*texts)):
            self._suspected.add(key, number)

    def _suspected_by(self, key: str) -> int | None:
        """Return the number of a line that may be of the order with this key; None if there is none."""
        found = self._suspected.find(key)
        if found is not None:
            return found
        parts = [self._suspected_parts.find(part) for part in key.split("\0")]
        return parts[0] if None not in parts else None

    def _chosen(self, records: Iterable[Any]) -> Iterator[tuple[int, Any, Any]]:
        """Yield the number of each line that is wanted, its record, and what is converted of it."""
        plan = self._plan
        tests, is_prepared = plan.tests, plan.prepare is not None
        if not tests and not is_prepared:
            yield from ((number, record, record) for number, record in enumerate(records))
            return
        for number, record in enumerate(records):
            if record.__class__ is UnreadableRow:
                yield number, record, record
                continue
            option = "where"
            try:
                is_chosen = not tests or plan.chooses(record)
                option = "prepare"
                prepared = plan.prepared(record) if is_chosen and is_prepared else record
            except Exception as error:  # it is the caller's own, and stays itself
                error.add_note(f"raised by {option}= of the mapping at {self._place(number)}")
                raise
            if not is_chosen:
                self._note(_LEFT_OUT_BY_WHERE)
            elif prepared is None:
                self._note(_LEFT_OUT_BY_PREPARE)
            else:
                yield number, record, prepared

    def _orders(self, lines: Iterable[Line], grouping: Grouping) -> Iterator[Row]:
        open_order: OpenOrder | None = None
        beside, make_row = "", self._plan.row
        for key, number, (record, prepared) in lines:
            row = make_row(record, prepared)
            if type(row) is dict and open_order is not None and key == open_order.key and not beside:
                records = open_order.records
                if records and not open_order.lacks_id:  # nearly all lines come here
                    open_order.order.add(row)
                    if len(records) < _MAX_LETTER_LINES:
                        records.append(record)
                    continue
            if key and (open_order is None or key != open_order.key):
                if open_order is not None:
                    self._refuse(open_order, self._doubts.above(open_order.key, key, number))
                    yield from self._finish(open_order)
                open_order = self._open(key, number, grouping, beside)
            if key and open_order is not None:
                self._add(open_order, number, record, row)
                beside = ""
                continue
            row, beside = self._keyless(open_order, number, record, row)
            if open_order is None:
                self._place_row(number)
                yield row
            elif len(open_order.bad) >= _MAX_BAD_LINES:
                yield from self._finish(open_order)
                open_order = None
        if open_order is not None:
            yield from self._finish(open_order)

    def _open(self, key: str, number: int, grouping: Grouping, beside: str) -> OpenOrder:
        """Begin an order; `beside` says that a line above it cannot be read."""
        opened = OpenOrder(key, number, Order(grouping), lacks_id=self._ids is not None)
        if not self._is_sorted and (earlier := self._seen.add(key, number)) is not None:
            opened.order.refuse("", _COMES_AGAIN.format(self._place(earlier)))
            opened.is_part = opened.comes_again = True
        elif self._is_sorted and (number_of_bad := self._suspected_by(key)) is not None:
            self._refuse(opened, f"{self._place(number_of_bad)} {_MAY_BE_OF_IT}")
        self._refuse(opened, self._doubts.open(key, number))
        self._refuse(opened, beside)
        return opened

    def _keyless(self, open_order: OpenOrder | None, number: int, record: Any, row: Row) -> tuple[UnreadableRow, str]:
        """Refuse a line without a key; return what that means for the orders beside it, too."""
        problem = "cannot be read"
        if not isinstance(row, UnreadableRow):
            row, problem = self._without_key(record), "has no key"
        beside = "" if self._is_sorted else f"{self._place(number)} beside it {problem}, and may be of this order"
        self._refuse(open_order, beside)
        row = attrs.evolve(row, part_of_order=True)
        if open_order is not None:
            open_order.bad.append((number, row))
        return row, beside

    def _add(self, open_order: OpenOrder, number: int, record: Any, row: Row) -> None:
        if open_order.lacks_id and self._ids is not None:
            open_order.known = self._ids.fields.part_of(self._plan.readable(row)) or open_order.known
            open_order.lacks_id = self._plan.takes_last_id or not open_order.known
        if isinstance(row, UnreadableRow) or not open_order.fields:
            open_order.fields = {**self._plan.readable(row), **open_order.fields}
        if isinstance(row, UnreadableRow):
            if self._plan.bad_line == "refuse_line":
                open_order.bad.append((number, attrs.evolve(row, part_of_order=True)))
                return
            order = open_order.order
            if order.problem == ("", open_order.doubt):  # the doubt is told after it
                order.problem = None
            order.refuse(row.field, f"{self._place(number)}: {row.reason}")
            open_order.order.lines += 1
        else:
            if not open_order.records:
                open_order.first = number
            open_order.order.add(row)
        if len(open_order.records) < _MAX_LETTER_LINES:
            open_order.records.append(record)

    def _refuse(self, open_order: OpenOrder | None, reason: str) -> None:
        if open_order is not None and reason and self._plan.bad_line == "refuse_order":
            open_order.order.refuse("", reason)
            open_order.is_part = True
            open_order.doubt = open_order.doubt or reason

    def _finish(self, open_order: OpenOrder) -> Iterator[Row]:
        """Yield an order, and those of its lines that are refused by themselves, as they stand in the file."""
        result = open_order.order.finish() if open_order.records else ("", "")
        if self._ids is not None and not open_order.comes_again:
            result = self._with_own_id(self._ids, open_order, result)
        found: list[tuple[int, Row, int]] = [
            (number, self._marked(open_order, row), 0) for number, row in open_order.bad
        ]
        if open_order.records:
            digest = 0 if self._digests is None else key_digest(open_order.key)
            row = result if isinstance(result, dict) else self._refused(open_order, digest, *result)
            found.append((open_order.first, row, digest))
        for number, row, digest in sorted(found, key=itemgetter(0)):
            self._place_row(number, digest)
            yield row

    def _with_own_id(
        self, ids: SeenIds, open_order: OpenOrder, result: dict[str, Any] | FieldProblem
    ) -> dict[str, Any] | FieldProblem:
        """Return an order, or why it is refused: also since another one, with another key, has its id.

        A refused one has an id too, since its letter may be mended and sent.
        """
        row = result if isinstance(result, dict) else open_order.known
        earlier = ids.add(row, open_order.first)
        if earlier is None:
            return result
        open_order.id_taken = ids.mark_of(row)  # sent by itself, it would take the place of the other one
        name, problem = ids.fields.name, f"is that of another order, at {self._place(earlier)}; {ids.fields.advice}"
        open_order.id_problem = f"; {name} {problem}"
        return (name, problem) if isinstance(result, dict) else (result[0], result[1] + open_order.id_problem)

    def _marked(self, open_order: OpenOrder, bad: UnreadableRow) -> UnreadableRow:
        """Return a line that is refused by itself, with the mark of its order where it has the id of that one."""
        mark, ids = open_order.id_taken, self._ids
        known = {} if ids is None or mark is None else ids.fields.part_of(self._plan.readable(bad))
        if ids is None or mark is None or not known or ids.mark_of(known) != mark:
            return bad
        return attrs.evolve(bad, id_taken=mark, reason=bad.reason + open_order.id_problem)

    def _place_row(self, number: int, digest: int = 0) -> None:
        """Keep where the next row stands, and what stands for its order."""
        self._positions.add(number)
        if self._digests is not None:
            self._digests.add(digest)

    def _refused(self, open_order: OpenOrder, digest: int, field: str, reason: str) -> UnreadableRow:
        is_part = open_order.is_part
        if open_order.doubt not in reason:
            reason += f"; {open_order.doubt}"
        if open_order.order.lines > len(open_order.records):
            is_part = True
            reason += f"; its letter holds the first {counted(len(open_order.records), 'line')}"
        lines = [self._plan.letter(record) for record in open_order.records]
        mark, fields = open_order.id_taken, open_order.fields | open_order.known
        if self._doubts.is_lost(open_order.key):  # nobody knows whose order it is
            fields = {}
        return UnreadableRow(
            field, reason, lines, part_of_order=is_part, order_digest=digest_text(digest), id_taken=mark, fields=fields
        )

    def _without_key(self, record: Any) -> UnreadableRow:
        names = " or ".join(map(repr, self._plan.key_columns))
        reason = f"column {names}, by which lines are grouped, is empty; leave out by where= what is of no order"
        return UnreadableRow("", reason, self._plan.letter(record))

    def _place(self, number: int) -> str:
        place = self._locate(number)
        return f"{self._unit} {place:,}" if isinstance(place, int) else str(place)
