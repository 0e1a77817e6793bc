"""The Arrow source: `read_arrow`, rows of tables, batches, streams, datasets and DataFrames, by Arrow's own types.

How a table gives its batches is found by `tables`. Here the columns become Python objects, a slice at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import repeat
from typing import Any, Final, Self, TypeAlias

import attrs
import orjson

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles._readers.exact_json import LossyJsonError, load_exactly
from synerise_profiles_api.json_values import is_list
from synerise_profiles_api.names import checks_names

from .arrow_floats import cells_with_digits
from .arrow_types import cell_kind, database_type, extension_of, has_name_twice, holds_money, type_text
from .cell_reader import LOST_BYTES
from .column_types import Column, misread_issues
from .converters import drop_nulls
from .errors import MappingError
from .mapping import RowMapping
from .row_builder import Row
from .source import Source
from .tables import Table, open_table

__all__ = ["ArrowSource", "read_arrow"]

_Reading: TypeAlias = "Callable[[list[Any]], list[Any]]"
"""Makes values of a column's cells, where Arrow's type says less of them than its field."""
_SLICE_ROWS: Final = 4096
"""So many rows are Python objects at a time, however large a batch is."""


@checks_names
def read_arrow(table: object, mapping: RowMapping, *, sort: bool = False) -> ArrowSource:
    """Read the rows of a table, a batch, a stream, a dataset, a lazy frame or an iterable of batches.

    Taken is what offers `__arrow_c_stream__` or `__arrow_c_array__` (pyarrow, polars, pandas, DuckDB and others) or the
    older `__dataframe__`; datasets, scanners and Parquet files of pyarrow; lazy frames of polars and relations of
    DuckDB, which are computed as their rows are read; tables of Delta, and scans of Iceberg. Nothing is read whole, and
    of datasets and lazy frames only the columns that are mapped. A stream and a generator of batches are read once.

    Null, NaN and the empty text are empty cells. The types of the columns are checked at once against the mapping:
    raises MappingError; InvalidRequestError for an object that is no table; and ModuleNotFoundError where pyarrow is
    not installed, which comes with `pip install 'synerise-profiles[arrow]'`. `locate` returns the number of a row,
    counted from 0. `sort` brings the lines of each order together, on disk, for a mapping with `group_by`.
    """
    return ArrowSource.of(table, mapping, sort=sort)


class ArrowSource(Source):
    """The rows of a table; made by `read_arrow`, `read_parquet`, and `read_sql` where a database speaks Arrow."""

    def __init__(self, arrow: Any, table: Table, mapping: RowMapping, *, sort: bool = False) -> None:
        super().__init__(mapping, sort=sort)
        self._arrow = arrow
        self._table = table
        columns = [_column_of(arrow, field) for field in table.schema]
        self._set_columns(tuple(column.name for column in columns))
        # Only columns that are used are read, where a table allows that, and become Python objects.
        is_prepared = mapping.lines.prepare is not None
        used = set[int]() if is_prepared else {*mapping.row_builder(columns, self._note).positions}
        used |= {self.columns.index(name) for name in mapping.lines.columns(self.columns)}
        used_columns = [columns[position] for position in sorted(used)]
        if issues := [*misread_issues(used_columns)]:
            raise MappingError(issues, operation=mapping.operations[0].name)
        self._names = [column.name for column in used_columns]
        readings = {field.name: _reading_of(field) for field in table.schema}
        # Of what is nested, prepare= gets what its field would.
        nested = {column.name for column in used_columns if is_prepared and column.kind in ("struct", "list")}
        self._readings = [readings[name] or (_without_nulls if name in nested else None) for name in self._names]
        self._row_builder = None if is_prepared else mapping.row_builder(used_columns, self._note)
        if not mapping.is_plain:
            self._plan = mapping.line_plan(self._row_builder, self._names)

    @classmethod
    def of(cls, table: object, mapping: RowMapping, *, sort: bool = False) -> Self:
        """Read the rows of a table, as `read_arrow` does."""
        arrow = import_pyarrow()
        return cls(arrow, open_table(arrow, table), mapping, sort=sort)

    def locate_record(self, index: int) -> Any:
        """Return the number of a row, counted from 0."""
        return index

    def __iter__(self) -> Iterator[Row]:
        """Read the rows from the first one; a stream is read once."""
        self.notes = dict(self._column_notes)
        builder = self._row_builder
        if self._plan is None and builder is not None:
            records = self._records(builder.convert, lambda cells: self._unreadable(cells) or builder.convert(cells))
        else:
            records = self._records(_as_it_is, lambda cells: self._unreadable(cells) or cells)
        return records if self._are_rows else self._rows(records)

    def _records(
        self, convert_all: Callable[[tuple[Any, ...]], Any], convert_some: Callable[[tuple[Any, ...]], Any]
    ) -> Iterator[Any]:
        """Yield what is made of the cells of each row: by the second function where some may not be readable."""
        for batch in self._table.batches(self._names):
            for start in range(0, batch.num_rows, _SLICE_ROWS):
                part = batch.slice(start, _SLICE_ROWS)
                columns = [
                    (part.column(name), reading) for name, reading in zip(self._names, self._readings, strict=True)
                ]
                convert = convert_all
                try:
                    cells = [_values(self._arrow, *column) for column in columns]
                except (ValueError, OverflowError):  # one of them is no Python object, such as text that is not UTF-8
                    cells = [[_value(self._arrow, *column, row) for row in range(len(column[0]))] for column in columns]
                    convert = convert_some
                yield from map(convert, zip(*cells, strict=True) if cells else repeat((), part.num_rows))

    def _unreadable(self, cells: tuple[Any, ...]) -> UnreadableRow | None:
        """Return what stands for a row with a cell that is no Python object; None if all are."""
        bad = next((position for position, cell in enumerate(cells) if isinstance(cell, _UnreadableCell)), None)
        if bad is None:
            return None
        named = zip(self._names, cells, strict=True)
        row = {name: LOST_BYTES if isinstance(cell, _UnreadableCell) else cell for name, cell in named}
        path = "" if self._row_builder is None else self._row_builder.path_of(bad)
        return UnreadableRow(
            path, f"column {self._names[bad]!r} {cells[bad].problem}", row, mapping=self.mapping_digest
        )


@attrs.frozen
class _UnreadableCell:
    """Stands for a cell that is no Python object."""

    problem: str


class _TwiceError(ValueError):
    """A map has a key twice."""


_LOST: Final = _UnreadableCell("holds what cannot be read: text that is not UTF-8, or a date beyond the year 9999")
_TWICE: Final = _UnreadableCell(
    "has a key or a name twice in one object, so that one value would be lost; leave one, or rename one"
)


def _as_it_is(cells: tuple[Any, ...]) -> Any:
    return cells


def _values(arrow: Any, column: Any, reading: _Reading | None) -> list[Any]:
    """The cells of a column as Python objects."""
    arrow_type = column.type
    if arrow.types.is_timestamp(arrow_type) and arrow_type.unit == "ns":
        # Python's datetimes have microseconds.
        column = column.cast(arrow.timestamp("us", arrow_type.tz), safe=False)
    cells = cells_with_digits(arrow, column)
    if arrow.types.is_map(arrow_type):
        cells = [None if cell is None else _object_of(cell) for cell in cells]
    return cells if reading is None else reading(cells)


def _object_of(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Make an object of the pairs of a map, in which Arrow lets a key come twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _value(arrow: Any, column: Any, reading: _Reading | None, row: int) -> Any:
    try:
        return _values(arrow, column.slice(row, 1), reading)[0]
    except LossyJsonError as error:
        return _UnreadableCell(str(error))
    except orjson.JSONDecodeError:
        return _UnreadableCell("is not JSON")
    except (ValueError, OverflowError) as error:
        return _TWICE if isinstance(error, _TwiceError) or has_name_twice(column.type) else _LOST


def _decimals(cells: list[Any]) -> list[Any]:
    """Read texts as decimals, at any depth of lists."""
    return [_decimal_of(cell) for cell in cells]


def _decimal_of(cell: object) -> Any:
    return Decimal(cell) if isinstance(cell, str) else _decimals(cell) if is_list(cell) else cell


def _without_nulls(cells: list[Any]) -> list[Any]:
    return [drop_nulls(cell) for cell in cells]


def _parsed(cells: list[Any]) -> list[Any]:
    """Read texts as JSON, in which null means that there is nothing."""
    return [drop_nulls(load_exactly(cell.encode())) if isinstance(cell, str) else cell for cell in cells]


_READINGS: Final[dict[bytes, _Reading]] = {
    b"numeric": _decimals,
    b"_numeric": _decimals,
    b"json": _parsed,
    b"jsonb": _parsed,
}


def _reading_of(field: Any) -> _Reading | None:
    """Return how the cells of a field are read; None where they are what Arrow makes of them."""
    name = extension_of(field.type)
    return _parsed if name == "arrow.json" else _READINGS.get(database_type(field))


def _column_of(arrow: Any, field: Any) -> Column:
    """Say what a field holds."""
    if holds_money(field):
        return Column(field.name, "other", "money of PostgreSQL as a count of its smallest unit", is_misread=True)
    reading = _reading_of(field)
    if reading is _parsed:
        return Column(field.name, "json", "JSON")
    is_decimal = reading is _decimals and cell_kind(arrow, field.type) == "text"
    return Column(field.name, "decimal" if is_decimal else cell_kind(arrow, field.type), type_text(field.type))
