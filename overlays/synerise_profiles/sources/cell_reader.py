"""Cells by the names of their columns, as dead letters and `prepare=` give them: read by a mapping, or why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, cast

import attrs

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object

from .column_types import Column
from .errors import MappingError, printable_name
from .row_builder import Row, RowBuilder

__all__ = ["LOST_BYTES", "CellReader"]

LOST_BYTES = "\ufffd"
"""Stands in a cell for bytes that are no text."""
_LOST: Final = (
    "lost bytes that could not be read, and has U+FFFD in their place: write the cell anew from its source, or read "
    "that again with its encoding"
)


class CellReader:
    """Reads cells by the names of their columns. `named` are those of the mapping, `build` finds them among others.

    With `are_stored` they come from a dead letter: some may be decimals, or have lost bytes.
    """

    def __init__(
        self,
        named: Sequence[str],
        build: Callable[[Sequence[Column]], RowBuilder],
        digest: str,
        *,
        are_stored: bool = True,
    ) -> None:
        self._named = named
        self._build = build
        self._digest = digest
        self._are_stored = are_stored
        self._names: tuple[str, ...] | None = None
        self._decimals: frozenset[str] = frozenset()
        self._builder: RowBuilder | MappingError | None = None

    def __call__(self, cells: object) -> Row:
        """Return the row, or what stands for one that cannot be read."""
        if not is_object(cells):
            return self._unreadable("", "holds no cells by the names of their columns", cells)
        builder = self._builder_for(cells)
        if isinstance(builder, MappingError):
            issue = builder.issues[0]
            return self._unreadable(issue.field, f"column {printable_name(issue.column)} {issue.problem}", cells)
        lost = None
        if self._are_stored:
            lost = next((item for item in builder.bindings if LOST_BYTES in str(cells.get(item.column))), None)
        if lost is None:
            return builder.convert(cells)
        reason = f"column {printable_name(lost.column)} {_LOST}"
        kept = builder.convert({name: cell for name, cell in cells.items() if LOST_BYTES not in str(cell)})
        fields = kept.fields if isinstance(kept, UnreadableRow) else kept
        return attrs.evolve(self._unreadable(lost.path, reason, cells), fields=fields)

    def _builder_for(self, cells: Mapping[str, Any]) -> RowBuilder | MappingError:
        """Return the builder for the columns of cells; nearly all rows have those of the one before."""
        names, decimals = tuple(cells), self._decimals
        if self._are_stored:
            decimals = frozenset(name for name, cell in cells.items() if isinstance(cell, Decimal))
        if self._builder is None or names != self._names or decimals != self._decimals:
            if not all(isinstance(name, str) for name in cast("tuple[object, ...]", names)):
                problem = "returned cells by names of which one is no text; give them by the names of columns"
                raise InvalidRequestError(problem, field="prepare")
            columns = [_column(name, is_decimal=name in decimals) for name in dict.fromkeys((*names, *self._named))]
            try:
                self._builder = self._build(columns)
            except MappingError as error:
                self._builder = error
            self._names, self._decimals = names, decimals
        return self._builder

    def _unreadable(self, field: str, reason: str, cells: Any) -> UnreadableRow:
        return UnreadableRow(field, reason, cells, mapping=self._digest)


def _column(name: str, *, is_decimal: bool) -> Column:
    return Column(name, "decimal", "decimal") if is_decimal else Column(name, "json", "JSON")
