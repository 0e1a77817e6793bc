"""Records as Arrow: a column for each name, with one type for all its values. Needs the package pyarrow.

A later page may bring a value that its column's type so far cannot hold. So rows are buffered in a temporary file, and
converted batch by batch at the end, when the types are known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import orjson

from synerise_profiles._core.files import scratch_file
from synerise_profiles._core.optional_deps import import_pyarrow

from .writers import Row, cell_text

__all__ = ["ArrowRowBuffer", "ArrowWriter", "kind_of_column", "kind_of_value"]

_BATCH_ROWS: Final = 4096
"""Rows of a record batch. They are in memory twice: as Python objects and as Arrow arrays."""
_MAX_EXACT_INTEGER: Final = 2**53
"""Up to here a float64 holds every whole number."""
_INT64_LIMIT: Final = 2**63


def kind_of_value(value: Any) -> str:
    """Return the kind of a value that is not null: bool, int, long (an int that no float holds), float or text."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        if abs(value) <= _MAX_EXACT_INTEGER:
            return "int"
        return "long" if -_INT64_LIMIT <= value < _INT64_LIMIT else "text"
    return "float" if isinstance(value, float) else "text"


def kind_of_column(kinds: frozenset[str] | set[str]) -> str:
    """Return the type of a column with values of these kinds: bool, int or float if it holds all of them, else text."""
    if kinds == {"bool"}:
        return "bool"
    if kinds and kinds <= {"int", "long"}:
        return "int"
    if kinds and kinds <= {"int", "float"}:
        return "float"
    return "text"


class ArrowRowBuffer:
    """A buffer on the disk: rows in a nameless temporary file, until the type of every column is known."""

    def __init__(self, columns: Sequence[str], kinds: Mapping[str, str], folder: Path | None = None) -> None:
        self._arrow = import_pyarrow()
        self._kinds: dict[str, set[str]] = {name: set() for name in columns}
        for name, kind in kinds.items():
            self._kinds.setdefault(name, set()).add(kind)
        self._file: IO[bytes] = scratch_file(folder)

    def add(self, rows: Sequence[Row]) -> None:
        """Take a page of rows."""
        for row in rows:
            for name, value in row.items():
                kinds = self._kinds.setdefault(name, set())
                if value is not None:
                    kinds.add(kind_of_value(value))
        self._file.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def schema(self) -> Any:
        """Return the schema of what was taken so far; a column without values is text."""
        arrow = self._arrow
        types = {"bool": arrow.bool_(), "int": arrow.int64(), "float": arrow.float64(), "text": arrow.string()}
        return arrow.schema([(name, types[kind_of_column(kinds)]) for name, kinds in self._kinds.items()])

    def batches(self, schema: Any) -> Iterator[Any]:
        """Yield the rows again, as record batches."""
        arrow = self._arrow
        texts = {name for name, kinds in self._kinds.items() if kind_of_column(kinds) == "text"}
        self._file.seek(0)
        while rows := [orjson.loads(line) for line in islice(self._file, _BATCH_ROWS)]:
            arrays = [arrow.array(_values(rows, field.name, field.name in texts), field.type) for field in schema]
            yield arrow.record_batch(arrays, schema=schema)

    def to_table(self) -> Any:
        """Return a pyarrow.Table of all rows."""
        schema = self.schema()
        return self._arrow.Table.from_batches(self.batches(schema), schema=schema)

    def write_arrow(self, file: IO[bytes]) -> None:
        """Write an Arrow IPC file of all rows, batch by batch."""
        schema = self.schema()
        with self._arrow.ipc.new_file(file, schema) as writer:
            for batch in self.batches(schema):
                writer.write_batch(batch)

    def close(self) -> None:
        """Remove the temporary file."""
        self._file.close()


class ArrowWriter:
    """The `RowWriter` of an Arrow IPC file, which it writes at the end, when the types are known."""

    def __init__(self, file: IO[bytes], columns: Sequence[str], kinds: Mapping[str, str]) -> None:
        self._file = file
        self._rows = ArrowRowBuffer(columns, kinds, Path(file.name).parent)

    def add(self, rows: Sequence[Row]) -> None:
        """Take a page of rows."""
        self._rows.add(rows)

    def finish(self) -> None:
        """Write the file."""
        self._rows.write_arrow(self._file)

    def close(self) -> None:
        """Remove the temporary file."""
        self._rows.close()


def _values(rows: Iterable[Row], name: str, as_text: bool) -> list[Any]:  # noqa: FBT001 - one of two
    values = [row.get(name) for row in rows]
    if not as_text:
        return values
    return [None if value is None else str(cell_text(value)) for value in values]
