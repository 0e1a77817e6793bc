"""How the records of a file become rows where a mapping chooses its lines, prepares them or groups them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object, raised_problem

from .conditions import CellTest
from .grouping import BadLine, FieldPath, Grouping, Order, value_at
from .lost_keys import LOST_CHARACTERS
from .order_ids import IdFields
from .order_keys import KeyReader
from .row_builder import Row

__all__ = ["KEY_TYPES", "Cells", "LinePlan", "Prepare", "join_key", "read_lines"]

Cells: TypeAlias = "dict[str, Any]"
Prepare: TypeAlias = "Callable[[Cells], Mapping[str, Any] | UnreadableRow | None]"
KEY_TYPES: Final = frozenset({str, int})
"""What any key may be; of others it depends on the field that they go to."""


@attrs.frozen(kw_only=True)
class LinePlan:
    """How records become rows. `cells_of` gives the cells of a record by the names of their columns.

    `convert` makes a row of a record, or with `prepare` of what that returns; `read_cells` makes one of cells by their
    names, where these are what it is made of. `key_columns` and `grouping` are set
    where lines are grouped; `key_readers` make the texts of a key, `key_fields` are the columns of it
    that may be none of their fields, with these, and `id_fields` say how the API tells orders apart.
    """

    cells_of: Callable[[Any], Cells]
    convert: Callable[[Any], Row]
    read_cells: Callable[[object], Row] | None = None
    tests: Sequence[tuple[Callable[[Any], Any], CellTest]] = ()
    prepare: Prepare | None = None
    key_columns: Sequence[str] = ()
    key_cells: Sequence[Callable[[Any], Any]] = ()
    key_readers: Sequence[KeyReader] = ()
    key_fields: Sequence[tuple[str, FieldPath]] = ()
    grouping: Grouping | None = None
    id_fields: IdFields | None = None
    bad_line: BadLine = "refuse_order"

    def chooses(self, record: Any) -> bool:
        """Whether a record is one of the lines that are wanted."""
        return all(test(cell_of(record)) for cell_of, test in self.tests)

    def prepared(self, record: Any) -> Any:
        """Return what `convert` takes of a record; None if it is left out, an UnreadableRow if it is refused."""
        if self.prepare is None:
            return record
        cells = self.cells_of(record)
        found = self.prepare(cells)
        return attrs.evolve(found, row=cells) if isinstance(found, UnreadableRow) and found.row is None else found

    def row(self, record: Any, prepared: Any) -> Row:
        """Make the row of a record."""
        row = prepared if type(prepared) is UnreadableRow else self._converted(prepared)
        if (
            self.prepare is not None and isinstance(row, UnreadableRow) and row is not record
        ):  # a letter holds what stands in the file
            return attrs.evolve(row, row=self.cells_of(record))
        return row

    def _converted(self, prepared: Any) -> Row:
        """Make a row; a cell that a function of the caller made, and that raises as it is read, refuses it."""
        if self.prepare is None:
            return self.convert(prepared)
        try:
            return self.convert(prepared)
        except InvalidRequestError:  # the function itself is wrong
            raise
        except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
            return UnreadableRow("", f"has a cell that {raised_problem(error).problem}")

    def key(self, prepared: Any) -> str:
        """Return the key of a line; an empty text where it is empty, or cannot be read."""
        if type(prepared) is UnreadableRow:
            cells = prepared.row
            known = isinstance(cells, dict) and all(name in cells for name in self.key_columns)
            parts = [cast("Cells", cells)[name] for name in self.key_columns] if known else []
            if any(LOST_CHARACTERS.search(str(part)) for part in parts):
                return ""
        elif self.prepare is not None:
            parts = [prepared.get(name) for name in self.key_columns]
        else:
            parts = [cell_of(prepared) for cell_of in self.key_cells]
        texts = [read(part) for read, part in zip(self.key_readers, parts, strict=False)]
        return join_key(texts) if all(texts) else ""

    def has_wrong_key(self, record: Any, prepared: Any) -> bool:
        """Whether the key of a line is refused for its type, as a decimal number is where a text is meant."""
        if type(prepared) is UnreadableRow:
            return False
        cells = self.cells_of(prepared) if self.prepare is None else prepared
        if all(type(cells.get(name)) in KEY_TYPES for name in self.key_columns):
            return False
        row = self.row(record, prepared)
        refused = tuple(f"column {name!r} " for name in self.key_columns)
        return isinstance(row, UnreadableRow) and row.reason.startswith(refused)

    def loses_key(self, record: Any, prepared: Any) -> bool:
        """Whether a column of the key of a line cannot be read by a field that it goes to."""
        row = record if self.prepare is not None and type(prepared) is UnreadableRow else self.row(record, prepared)
        if not isinstance(row, UnreadableRow):
            return False
        fields = self.readable(row)
        return bool(fields) and any(value_at(fields, path) is None for _, path in self.key_fields)

    @property
    def takes_last_id(self) -> bool:
        """Whether the id of an order is that of the last of its lines which has one."""
        ids, grouping = self.id_fields, self.grouping
        return ids is not None and grouping is not None and grouping.combine.get(ids.path) == "last"

    def readable(self, row: Row) -> Mapping[str, Any]:
        """Return the fields of a row, or those that could be read of a line that is refused."""
        if not isinstance(row, UnreadableRow):
            return row
        cells: object = row.row
        if row.fields or (self.prepare is not None and not is_object(cells)):
            return row.fields
        # A reader refused it for bytes in a cell, before the mapping saw it; or prepare= did, and so left it as it is.
        found = self._converted(cells) if self.read_cells is None else self.read_cells(cells)
        return found.fields if isinstance(found, UnreadableRow) else found

    def letter(self, record: Any) -> Any:
        """Return what a letter holds of a line."""
        return record.row if isinstance(record, UnreadableRow) else self.cells_of(record)


def join_key(texts: Sequence[str]) -> str:
    """Return the key of its texts: another one for each other list of them, whatever they hold."""
    key = "\0".join(texts)
    if len(texts) == 1 or key.count("\0") < len(texts):
        return key
    return "\0".join([*(f"{len(text)} {text}" for text in texts), ""])


def read_lines(plan: LinePlan, lines: Sequence[Cells]) -> Row:
    """Make the row of lines that belong together, as a letter holds them: one, or all of an order."""
    order = None if plan.grouping is None else Order(plan.grouping)
    ids, known = plan.id_fields, dict[str, Any]()
    for cells in lines:
        prepared = plan.prepared(cells)
        if prepared is None:
            continue
        row = plan.row(cells, prepared)
        if order is None:
            return row
        if ids is not None and (not known or plan.takes_last_id):
            known = ids.part_of(plan.readable(row)) or known
        if isinstance(row, UnreadableRow):
            return attrs.evolve(row, row=list(lines), fields=known or row.fields)
        order.add(row)
    if order is None or not order.lines:
        return UnreadableRow("", "is left out by prepare=", list(lines))
    result = order.finish()
    return result if isinstance(result, dict) else UnreadableRow(*result, list(lines), fields=known)
