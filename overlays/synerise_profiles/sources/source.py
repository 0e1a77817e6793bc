"""`Source`: the rows of a file or table, read through a mapping where there is one.

It is what the readers of the forms have in common: the check of the operation, the notes and where a row stands.
"""

from __future__ import annotations

import abc
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Final

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import FileId
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import raise_if_of_a_signal
from synerise_profiles_api.types import Operation

from .assembly import LineAssembler
from .empty_columns import with_empty_columns
from .line_plan import LinePlan
from .mapping import RowMapping
from .row_builder import Row

__all__ = ["RecordReader", "Source"]

_REMEMBERED_PURCHASES: Final = 65_536
_SAME_ORDER: Final = (
    "a purchase of its own, with the order and the profile of a row above it; "
    "if rows are the lines of orders, give the mapping group_by"
)


_SAME_AS_REFUSED: Final = (
    "the order and the profile of another row, and one of the two was refused: its letter, mended and sent, is a "
    "second purchase, or overwrites the other one; if rows are the lines of orders, give the mapping group_by"
)


@attrs.frozen
class RecordReader:
    """The records of a source whose lines are grouped, for orders that are made of those of several ones.

    `read` returns them, of which the plan makes orders; `marks` are the delimiter and the quote of a file that has
    them.
    """

    plan: LinePlan
    is_sorted: bool
    marks: tuple[str, str]
    read: Callable[[], Iterator[Any]]


class Source(abc.ABC):
    """Rows of a file or table for a method of `client.bulk`, made by `read_csv`, `read_jsonl` and `read_arrow`.

    Iterating reads rows as they are taken: dictionaries, and an `UnreadableRow` for each that cannot be read.
    """

    unit: ClassVar[str] = "row"
    """What `locate` counts."""
    rows_are_fixed: ClassVar[bool] = True
    """Each row is an object of its own, which reading on does not change."""
    _needs_mapping: ClassVar[bool] = True
    """Whether rows are made by a mapping alone; else they may be what stands in the file."""

    def __init__(self, mapping: RowMapping | None, *, sort: bool = False) -> None:
        self._check_mapping(mapping)
        if sort and (mapping is None or not mapping.lines.group_by):
            raise InvalidRequestError("sorts the lines of orders; the mapping has no group_by", field="sort")
        self._mapping = mapping
        self._sort = sort
        self._plan: LinePlan | None = None
        # Nothing is done to records that are rows: they are returned as they are read.
        self._are_rows = mapping is None or (mapping.is_plain and mapping.kind != "transactions")
        self._assembler: LineAssembler | None = None
        self._gives_records = False
        self._marks = ("", "")  # the delimiter and the quote of a file that has them
        self.notes: dict[str, int] = {}
        """What was passed over, and what could be read in two ways, by its text, with how often; a run reports it."""
        self._column_notes: dict[str, int] = {}
        is_apart = mapping is not None and bool(mapping.lines.group_by) and not sort
        self.order_digest: Callable[[int], str | None] | None = self._order_digest if is_apart else None
        """Returns what stands for the order of a row, by its index; None where no line of one can come further down."""
        self.columns: tuple[str, ...] = ()
        """The names of the columns, as far as they are known."""

    def _set_columns(self, names: tuple[str, ...]) -> None:
        self.columns = names
        if self._mapping is not None:
            self._column_notes = dict.fromkeys(self._mapping.unnamed_columns(names), 1)

    def _check_mapping(self, given: object) -> None:
        """Raise InvalidRequestError for what is no mapping."""
        if isinstance(given, RowMapping) or (given is None and not self._needs_mapping):
            return
        kind = type(given).__name__
        how = "RowMapping.load(path)" if isinstance(given, str | os.PathLike) else "RowMapping.for_profiles(columns)"
        raise InvalidRequestError(f"expected a RowMapping, got {kind}; {how} makes one", field="mapping")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{'' if self._mapping is None else f' by {self._mapping!r}'}>"

    def _note(self, text: str) -> None:
        self.notes[text] = self.notes.get(text, 0) + 1

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if the mapping is made for another operation."""
        if self._mapping is not None and operation not in self._mapping.operations:
            made = " or ".join(known.name for known in self._mapping.operations)
            raise InvalidRequestError(f"the mapping of these rows is made for {made}", operation=operation.name)

    @property
    def input_id(self) -> FileId | None:
        """What tells the file that is read apart from others; None where it is none."""
        return None

    @property
    def mapping(self) -> RowMapping | None:
        """The mapping that its rows are made by."""
        return self._mapping

    @property
    def mapping_digest(self) -> str | None:
        """The digest of the mapping, as dead letters have it; None where there is none."""
        return None if self._mapping is None else self._mapping.digest

    def locate(self, index: int) -> Any:
        """Return where the row with this index, counted from 0, stands: its line, counted from 1, or its row.

        Of an order it is where the order begins.
        """
        return self.locate_record(index) if self._assembler is None else self._assembler.locate(index)

    def _order_digest(self, index: int) -> str | None:
        return None if self._assembler is None else self._assembler.order_digest(index)

    def explain(self, field: str, reason: str) -> str:
        """Return why a row was refused, with the empty columns where it lacks a field."""
        return reason if self._mapping is None else with_empty_columns(field, reason, self._mapping.targets)

    def record_reader(self) -> RecordReader | None:
        """Return what gives its records as they are read; None where their lines are not grouped."""
        plan = self._plan
        if plan is None or plan.grouping is None:
            return None
        return RecordReader(plan, self._sort, self._marks, self._records_alone)

    def _records_alone(self) -> Iterator[Any]:
        self._gives_records = True
        try:
            return iter(self)
        finally:
            self._gives_records = False

    @abc.abstractmethod
    def locate_record(self, index: int) -> Any:
        """Return where a record of the file or table stands, counted from 0 as it was read."""

    def _rows(self, records: Iterator[Any]) -> Iterator[Row]:
        """Return the records, which are rows, or with a plan what is chosen, prepared or grouped of them."""
        if self._gives_records:
            return records
        if self._plan is not None:
            plan, is_sorted = self._plan, self._sort
            self._assembler = LineAssembler(
                plan, self.locate_record, self._note, unit=self.unit, is_sorted=is_sorted, marks=self._marks
            )
            records = self._assembler.rows(records)
        mapping = self._mapping
        if mapping is None or mapping.kind != "transactions" or mapping.lines.group_by:
            return records
        return self._watched_purchases(records)

    def _watched_purchases(self, rows: Iterable[Row]) -> Iterator[Row]:
        """Note each purchase that has the order and the profile of another one, not too far above it."""
        older: set[int] = set()
        newer: set[int] = set()
        refused: set[int] = set()
        for row in rows:
            is_refused = isinstance(row, UnreadableRow)
            key = _purchase_key(row.fields if isinstance(row, UnreadableRow) else row)
            if key in newer or key in older:
                self._note(_SAME_AS_REFUSED if is_refused or key in refused else _SAME_ORDER)
            elif key is not None:
                newer.add(key)
                if len(newer) >= _REMEMBERED_PURCHASES:
                    older, newer = newer, set()
                    refused.clear()
            if is_refused and key is not None:
                refused.add(key)
            yield row

    @abc.abstractmethod
    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one; a file object is read once."""


def _purchase_key(row: Any) -> int | None:
    """Return what stands for the order and the profile of a row; None for one that has none, or is not well formed."""
    try:
        return hash((row["orderId"], *row["client"].values()))
    except (AttributeError, KeyError, TypeError) as error:
        raise_if_of_a_signal(error)
        return None
