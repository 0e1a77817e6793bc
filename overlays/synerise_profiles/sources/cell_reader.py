"""The cells of dead letters, read again by a mapping: what would have been sent, or why no row can be made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.json_values import is_object

from .columns import Column
from .errors import MappingError, printable_name
from .row_builder import Row, RowBuilder

__all__ = ["LOST_BYTES", "CellReader"]

LOST_BYTES = "\ufffd"
"""Stands in a cell for bytes that are no text."""


class CellReader:
    """Reads cells by the names of their columns. `named` are those of the mapping, `build` finds them among others."""

    def __init__(self, named: Sequence[str], build: Callable[[Sequence[Column]], RowBuilder], digest: str) -> None:
        self._named = named
        self._build = build
        self._digest = digest
        self._columns: tuple[tuple[str, bool], ...] | None = None
        self._builder: RowBuilder | MappingError | None = None

    def __call__(self, cells: object) -> Row:
        """Return the row, or what stands for one that cannot be read."""
        if not is_object(cells):
            return self._unreadable("", "holds no cells by the names of their columns", cells)
        builder = self._builder_for(tuple((name, isinstance(cell, Decimal)) for name, cell in cells.items()))
        if isinstance(builder, MappingError):
            issue = builder.issues[0]
            return self._unreadable(issue.field, f"column {printable_name(issue.column)} {issue.problem}", cells)
        lost = next((item for item in builder.bindings if LOST_BYTES in str(cells.get(item.column))), None)
        if lost is None:
            return builder.convert(cells)
        reason = f"column {printable_name(lost.column)} lost bytes that could not be read; mend the cell"
        return self._unreadable(lost.path, reason, cells)

    def _builder_for(self, columns: tuple[tuple[str, bool], ...]) -> RowBuilder | MappingError:
        """Return the builder for columns, of which some hold decimals; nearly all rows have those of the one before."""
        if self._builder is None or columns != self._columns:
            kinds = dict.fromkeys(self._named, False) | dict(columns)
            try:
                self._builder = self._build([_column(name, is_decimal=kind) for name, kind in kinds.items()])
            except MappingError as error:
                self._builder = error
            self._columns = columns
        return self._builder

    def _unreadable(self, field: str, reason: str, cells: Any) -> UnreadableRow:
        return UnreadableRow(field, reason, cells, mapping=self._digest)


def _column(name: str, *, is_decimal: bool) -> Column:
    return Column(name, "decimal", "decimal") if is_decimal else Column(name, "json", "JSON")
