"""Tables: whatever holds rows in columns, as its Arrow schema and record batches of the columns that are asked for.

Each library has its own way to give batches without reading all of it. A dataset and a lazy frame are told which
columns are wanted, and read no others; a stream gives all it has. None of the libraries but pyarrow is imported.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import chain
from typing import Any, Final, TypeAlias, cast

import attrs

from synerise_profiles._core.files import FileStamp
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_object, raise_if_of_a_signal

from .errors import printable_name

__all__ = ["Table", "duckdb_reader", "open_dataset", "open_table", "parquet_options", "tell_breaks"]

Batches: TypeAlias = "Callable[[Sequence[str]], Iterable[Any]]"
_COLUMN_BYTES: Final = 1 << 20
_BATCH_ROWS: Final = 8192
"""So many rows are asked for at a time, where a library lets one choose."""


@attrs.frozen
class Table:
    """The schema of a table, and a function from names of columns to batches that hold these, and maybe others.

    The function is called once for each time that the rows are read.
    """

    schema: Any
    batches: Batches


def open_table(arrow: Any, table: Any) -> Table:
    """Find out how a table gives its rows; raises InvalidRequestError for what is none."""
    try:
        for opener in _OPENERS:
            found = opener(arrow, table)
            if found is not None:
                return found
    except (arrow.ArrowException, TypeError, ValueError, NotImplementedError, RuntimeError) as error:
        raise_if_of_a_signal(error)
        if isinstance(error, InvalidRequestError):
            raise
        raise InvalidRequestError(
            _table_problem(arrow, table, error), field="table"
        ) from None  # their texts quote values
    problem = f"expected an object with the Arrow or the dataframe protocol, got {type(table).__name__}{_hint(table)}"
    raise InvalidRequestError(problem, field="table")


def _open_stream(open_: Callable[[], Any], *, is_read_once: bool = False) -> Table:
    """Make a table of what opens a stream of batches: it is opened at once, and anew when rows are read again."""
    opened = [open_()]

    def batches(_: Sequence[str]) -> Any:
        if is_read_once and not opened:
            raise InvalidRequestError(_WAS_READ, field="table")
        return opened.pop() if opened else open_()

    return Table(opened[0].schema, batches)


_WAS_READ: Final = "is a stream, which was read before; make it anew for another reading"


def open_dataset(dataset: Any) -> Table:
    """Make a table of a pyarrow dataset, read in its own order and few batches ahead, so that memory stays flat."""
    options = {"batch_size": _BATCH_ROWS, "batch_readahead": 1, "fragment_readahead": 1}
    if all(map(_keeps_what_was_read, getattr(dataset, "children", [dataset]))):
        options["fragment_scan_options"] = parquet_options()

    def batches(names: Sequence[str]) -> Iterable[Any]:
        scanner = dataset.scanner(columns=list(names), **options)
        found: Iterable[Any] = scanner.to_batches()
        return found

    return Table(dataset.schema, batches)


def parquet_options() -> Any:
    """Return options by which a file of Parquet is read a part at a time: by default all that was read stays in memory.

    A part of a column costs a round trip to an object store, so it is not small.
    """
    datasets = import_module("pyarrow.dataset")
    return datasets.ParquetFragmentScanOptions(pre_buffer=False, use_buffered_stream=True, buffer_size=_COLUMN_BYTES)


def _keeps_what_was_read(dataset: Any) -> bool:
    """Whether a dataset is of files of Parquet, read as is the default; options that decrypt them are left alone."""
    options = getattr(getattr(dataset, "format", None), "default_fragment_scan_options", None)
    is_plain = all(
        getattr(options, name, None) is None for name in ("decryption_properties", "parquet_decryption_config")
    )
    return getattr(options, "type_name", "") == "parquet" and is_plain


def tell_breaks(errors: type[Exception] | tuple[type[Exception], ...], table: Table, field: str, problem: str) -> Table:
    """Let an error of a library amid the rows be told by what it means: in its own words, values of rows may stand."""

    def batches(names: Sequence[str]) -> Iterator[Any]:
        try:
            yield from table.batches(names)
        except errors as error:
            raise InvalidRequestError(problem.format(type(error).__name__), field=field) from None

    return Table(table.schema, batches)


def _open_pyarrow(arrow: Any, table: Any) -> Table | None:
    """Take what pyarrow reads itself: a dataset, a scanner, a Parquet file."""
    if not type(table).__module__.startswith("pyarrow."):
        return None
    found = None
    if hasattr(table, "scanner") and hasattr(table, "get_fragments"):
        found = _watched(open_dataset(table), table)
    elif hasattr(table, "projected_schema"):
        found = Table(table.projected_schema, lambda _: table.to_batches())
    elif hasattr(table, "iter_batches") and hasattr(table, "schema_arrow"):
        found = Table(table.schema_arrow, partial(_parquet_batches, table))
    return None if found is None else tell_breaks((arrow.ArrowException, OSError), found, "table", _NOT_AS_ITS_SCHEMA)


def _watched(found: Table, dataset: Any) -> Table:
    """Let the rows of a dataset end by an error where somebody has written to one of its files meanwhile."""
    children = getattr(dataset, "children", [dataset])
    local = [child for child in children if getattr(getattr(child, "filesystem", None), "type_name", "") == "local"]
    paths: list[str] = [path for child in local for path in getattr(child, "files", ())]

    def batches(names: Sequence[str]) -> Iterator[Any]:
        stamps = [FileStamp.of(path) for path in paths]
        yield from found.batches(names)
        if any(stamp.is_changed for stamp in stamps):
            problem = (
                "has a file that somebody cut or changed while it was read; give it again once nobody writes to it"
            )
            raise InvalidRequestError(problem, field="table")

    return Table(found.schema, batches)


def _parquet_batches(file: Any, names: Sequence[str]) -> Iterator[Any]:
    """Yield the batches of a file of Parquet, by its row groups: one reading keeps in memory what it has read."""
    for group in range(file.num_row_groups):
        yield from file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=list(names))


def _open_reader(arrow: Any, table: Any) -> Table | None:
    """Take what makes a reader of batches: a relation of DuckDB, a scan of Iceberg; or a dataset: a table of Delta."""
    errors = (arrow.ArrowException, OSError)
    if hasattr(table, "to_pyarrow_dataset"):
        return tell_breaks(errors, open_dataset(_delta_dataset(table)), "table", _NOT_AS_ITS_SCHEMA)
    if hasattr(table, "to_arrow_batch_reader"):
        return tell_breaks(errors, _open_stream(table.to_arrow_batch_reader), "table", _NOT_AS_ITS_SCHEMA)
    if type(table).__module__.partition(".")[0] in ("duckdb", "_duckdb"):
        is_result = not hasattr(table, "project")  # what was executed, not a relation
        found = _open_stream(lambda: duckdb_reader(table), is_read_once=is_result)
        return tell_breaks(errors, found, "table", _NOT_COMPUTED)
    return None


def _delta_dataset(table: Any) -> Any:
    """Return the dataset of a table of Delta; raises InvalidRequestError where that would not be its rows."""
    configuration: object = getattr(table.metadata(), "configuration", None) if hasattr(table, "metadata") else None
    if is_object(configuration) and configuration.get(_COLUMN_MAPPING, "none") != "none":
        problem = (
            f"has {_COLUMN_MAPPING}, and its dataset knows no column by its name, so that all cells would be empty"
        )
        raise InvalidRequestError(f"{problem}; {_BY_DUCKDB}", field="table")
    try:
        return table.to_pyarrow_dataset()
    except Exception as error:
        raise_if_of_a_signal(error)
        if type(table).__module__.partition(".")[0] != "deltalake" or isinstance(error, OSError):
            raise
        problem = f"has no dataset of pyarrow ({type(error).__name__}), as with deletion vectors"
        raise InvalidRequestError(f"{problem}; {_BY_DUCKDB}", field="table") from None


_COLUMN_MAPPING: Final = "delta.columnMapping.mode"
_BY_DUCKDB: Final = "read it by read_sql with DuckDB: SELECT * FROM delta_scan('path')"


_NOT_AS_ITS_SCHEMA: Final = (
    "cannot be read to its end ({}): a file of it is damaged, or has a value that the type in the schema of all does "
    "not hold; read_parquet reads each file by its own types"
)
_NOT_COMPUTED: Final = "was not computed to its end ({}); collect it by itself to see why"


def duckdb_reader(relation: Any) -> Any:
    """Return the reader of a relation, which older versions call by another name."""
    read = getattr(relation, "to_arrow_reader", None) or relation.fetch_arrow_reader
    return read(_BATCH_ROWS)


def _open_lazy_frame(arrow: Any, table: Any) -> Table | None:
    """Take a lazy frame of polars, which is computed as its rows are read."""
    if not hasattr(table, "collect_schema") or hasattr(table, "__arrow_c_stream__"):
        return None
    if not hasattr(table, "collect_batches"):
        problem = f"is a {type(table).__name__} of a polars that cannot stream one; give .collect(), or a newer polars"
        raise InvalidRequestError(problem, field="table")

    def batches(names: Sequence[str]) -> Iterator[Any]:
        chosen = table if any(name.startswith("^") for name in names) else table.select(list(names))
        for frame in chosen.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, lazy=True):
            yield from arrow.RecordBatchReader.from_stream(frame)

    found = Table(arrow.RecordBatchReader.from_stream(table.head(0).collect()).schema, batches)
    return tell_breaks(import_module("polars").exceptions.PolarsError, found, "table", _NOT_COMPUTED)


def _read_stream(arrow: Any, table: Any) -> Any:
    try:
        return arrow.RecordBatchReader.from_stream(table)
    except OverflowError:  # of a DataFrame that makes its columns as it is asked for them
        problem = "has a column with a whole number beyond 64 bits; make the column text, such as by .astype(str)"
        raise InvalidRequestError(problem, field="table") from None


def _open_protocol(arrow: Any, table: Any) -> Table | None:
    """Take what offers a protocol: the streams and arrays of Arrow, or the older one of data frames."""
    if hasattr(table, "__arrow_c_stream__"):
        is_once = hasattr(table, "__next__") or hasattr(table, "read_next_batch")
        return _open_stream(lambda: _read_stream(arrow, table), is_read_once=is_once)
    if hasattr(table, "__arrow_c_array__"):
        return _open_stream(lambda: arrow.Table.from_batches([arrow.record_batch(table)]).to_reader())
    if hasattr(table, "__dataframe__"):
        return _open_stream(lambda: import_module("pyarrow.interchange").from_dataframe(table).to_reader())
    return None


def _open_batches(arrow: Any, table: object) -> Table | None:
    """Take an iterable of batches or tables, which all have the columns of the first; a generator is read once."""
    if isinstance(table, str | bytes | dict) or not isinstance(table, Iterable):
        return None
    parts = cast("Iterable[object]", table)
    opened = iter(parts)
    first = next(opened, None)
    if first is None:
        raise InvalidRequestError("has no batch, so that its columns are not known", field="table")
    if not any(hasattr(first, name) for name in ("__arrow_c_stream__", "__arrow_c_array__")):
        return None

    def batches(whole: Iterable[object]) -> Iterator[Any]:
        for number, part in enumerate(whole):
            found = open_table(arrow, part)
            if not found.schema.equals(schema):
                problem = f"batch {number}, counted from 0, has other columns or types than the first"
                raise InvalidRequestError(problem, field="table")
            yield from found.batches(schema.names)

    def read(_: Sequence[str]) -> Iterator[Any]:
        if not begun and opened is parts:
            raise InvalidRequestError(_WAS_READ, field="table")
        return batches(begun.pop() if begun else parts)

    schema = open_table(arrow, first).schema
    begun = [chain((first,), opened)]
    return Table(schema, read)


_OPENERS: Final = (_open_pyarrow, _open_reader, _open_lazy_frame, _open_protocol, _open_batches)


def _hint(table: object) -> str:
    """Say what to do with an object that is no table, where that is known."""
    if isinstance(table, str | os.PathLike):
        return "; files are read by read_parquet, read_csv and read_jsonl"
    if type(table).__module__.partition(".")[0] == "pyiceberg" and hasattr(table, "scan"):
        return "; give its .scan()"
    is_rows = isinstance(table, list) and bool(cast("list[object]", table)) and isinstance(table[0], dict)
    return "; pyarrow.Table.from_pylist makes one of rows" if is_rows else ""


def _table_problem(arrow: Any, table: Any, error: Exception) -> str:
    """Say why an object could not be taken as a table."""
    text = " ".join(map(str, error.args))
    if text.startswith("Duplicate column names"):
        return "has two columns of one name, so that it is not clear which one is meant; rename one"
    found = re.search(r"Conversion failed for column (\S+) with type object", text)
    if found is not None:
        return f"column {found[1]!r} holds values of several types; make it one, such as .astype('string')"
    for series in _series_of(table):
        try:
            arrow.chunked_array(series)
        except (arrow.ArrowException, TypeError, ValueError, NotImplementedError):
            return (
                f"column {printable_name(series.name)} is of the type {series.dtype}, which pyarrow does not have; "
                "cast it, such as to text"
            )
    return f"cannot be read as a table: {type(error).__name__}"


def _series_of(table: Any) -> Iterable[Any]:
    """Return the columns of a frame of polars, lazy or not, without their rows; none of any other table."""
    if type(table).__module__.partition(".")[0] != "polars" or not hasattr(table, "head"):
        return ()
    frame = table.head(0).collect() if hasattr(table, "collect") else table.head(0)
    found: Iterable[Any] = frame.iter_columns() if hasattr(frame, "iter_columns") else ()
    return found
