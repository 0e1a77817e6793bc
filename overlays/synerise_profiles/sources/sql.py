"""The SQL source: `read_sql`, rows of a query, read as the run takes them, by Arrow where the driver speaks it.

A driver decides what a cursor holds: some give the rows as they are fetched, some read all of them first. Where a
driver offers both, the first is taken. Cells of a plain cursor are Python objects, whose types its first rows show.
"""

from __future__ import annotations

import datetime
import inspect
import re
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from decimal import Decimal
from importlib import import_module
from typing import Any, Final, TypeAlias

from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.optional_deps import import_pyarrow
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import as_written, raise_if_of_a_signal
from synerise_profiles_api.names import checks_names

from .arrow import ArrowSource
from .cell_reader import LOST_BYTES
from .column_types import Column
from .float_digits import with_single_digits
from .mapping import RowMapping
from .row_builder import Row
from .source import Source
from .sql_json import RowsWithBadJson, UnreadJson, json_positions, keep_digits, unread_json_of
from .tables import Table, duckdb_reader, tell_breaks

__all__ = ["SqlSource", "read_sql"]

SqlParams: TypeAlias = "Sequence[Any] | Mapping[str, Any] | None"
_Block: TypeAlias = "tuple[tuple[str, ...], list[Any]]"
"""The names of the columns, and some rows."""
_Blocks: TypeAlias = "Generator[_Block, None, None]"
_DUCKDB: Final = frozenset({"duckdb", "_duckdb"})
_POSTGRES: Final = frozenset({"psycopg", "psycopg2"})
_KINDS: Final[Sequence[tuple[type[object], str]]] = (
    # What JSON has, each cell by itself: a column of SQLite may hold several types.
    (str, "json"),
    (bool, "json"),
    (int, "json"),
    (float, "json"),
    (uuid.UUID, "uuid"),
    (Decimal, "decimal"),
    (datetime.datetime, "datetime"),
    (datetime.date, "date"),
    (dict, "struct"),
    (list, "list"),
)
_OTHER_WORDS: Final = frozenset(
    (
        *("alter", "analyze", "attach", "checkpoint", "commit", "copy", "create", "delete", "detach", "do", "drop"),
        *("explain", "export", "grant", "import", "insert", "install", "load", "merge", "prepare", "refresh"),
        *("reindex", "rename", "replace", "revoke", "rollback", "truncate", "update", "vacuum"),
    )
)
"""With these begins no query, but mostly what writes to a database, or to files beside it."""
_find_first_word: Final = re.compile(
    r"(?:[\s(;\ufeff]|(?:--|#)[^\n]*(?:\n|\Z)|/\*(?!!)(?:(?!\*/).)*\*/)*+([a-z]+)", re.IGNORECASE | re.DOTALL
).match
_has_writing_word: Final = re.compile(r"\b(?:copy|delete|insert|merge|update)\b", re.IGNORECASE).search
_DUCKDB_QUERIES: Final = frozenset({"SELECT", "CALL", "MULTI"})
"""What DuckDB calls the statements that have rows; PIVOT is of several in one."""
_DUCKDB_WRITES: Final = re.compile(r'"name": *"(?:batch[ _])?(?:copy|delete|insert|merge|update)', re.IGNORECASE)
"""Steps of its plans that write."""
_SQLITE: Final = frozenset({"sqlite3", "pysqlite3"})
_FETCH_ROWS: Final = 2000
"""So many rows are fetched at a time; the types of columns are those of the first."""


@checks_names
def read_sql(
    query: Any, connection: Any, mapping: RowMapping, *, params: SqlParams = None, sort: bool = False
) -> ArrowSource | SqlSource:
    """Read the rows of a query over an open connection: of ADBC, of DuckDB, or any other that has the DB-API's cursor.

    `query` and `params` are handed to the driver as they are. The query is executed at once, and its columns checked
    against the mapping: raises MappingError; InvalidRequestError for what is no connection, and for a statement that
    has no rows, or is seen to be no query; and what the driver raises. Rows are fetched as the run takes them.
    Nothing is read whole where the driver can do without: PostgreSQL is read by a cursor on the server; connect to
    MySQL with a class of cursors that streams. ADBC and DuckDB give Arrow's types, which needs pyarrow
    (`pip install 'synerise-profiles[arrow]'`).

    A statement is refused before it is executed if it begins with a word such as COPY, DELETE or ATTACH. SQLite (not by
    ADBC) and DuckDB are asked too whether it writes, as WITH can before a DELETE, and psycopg's cursors on the server
    take nothing that does. Any other database executes what begins with another word: WITH, SELECT ... INTO, CALL or
    SET; and functions and procedures do everywhere what they do. Connect as a user who may only read.

    The connection is used by the thread that starts the run. Use it for nothing else meanwhile; it is left open, and so
    is its transaction. Reading the rows again executes the query again, and a journal goes on only where they come in
    the same order, so end the query with ORDER BY. `locate` returns the number of a row, counted from 0. `sort` brings
    the lines of each order together, on disk, for a mapping with `group_by`; an ORDER BY does that too.
    """
    _check_selects(query)
    if _package_of(connection) in _DUCKDB and hasattr(connection, "sql"):
        return _arrow_source(lambda: _duckdb_batches(connection, query, params), mapping, sort=sort)
    cursor = _open_cursor(connection)
    if hasattr(cursor, "fetch_record_batch"):
        cursor.close()
        return _arrow_source(lambda: _adbc_batches(connection, query, params), mapping, sort=sort)
    cursor.close()
    return SqlSource(lambda: _fetch(_open_cursor(connection), query, params), mapping, sort=sort)


class SqlSource(Source):
    """The rows of a query by the DB-API; made by `read_sql`."""

    def __init__(self, fetch: Callable[[], _Blocks], mapping: RowMapping, *, sort: bool = False) -> None:
        super().__init__(mapping, sort=sort)
        self._fetch = fetch
        self._opened: tuple[_Blocks, _Block] | None = self._execute()
        _, (names, rows) = self._opened
        columns = [_column_of(name, [row[position] for row in rows]) for position, name in enumerate(names)]
        self._set_columns(names)
        builder = None if mapping.lines.prepare is not None else mapping.row_builder(columns, self._note)
        self._builder = builder
        self._convert: Callable[[Any], Row] = _as_it_is if builder is None else builder.convert
        if not mapping.is_plain:
            self._plan = mapping.line_plan(builder, names)

    def locate_record(self, index: int) -> Any:
        """Return the number of a row, counted from 0."""
        return index

    def __iter__(self) -> Iterator[Row]:
        """Fetch the rows; a second time, the query is executed again."""
        self.notes = dict(self._column_notes)
        records = self._records(self._convert if self._plan is None else _as_it_is)
        return records if self._are_rows else self._rows(records)

    def _records(self, convert: Callable[[Any], Any]) -> Iterator[Any]:
        blocks, (_, rows) = self._opened or self._execute()
        self._opened = None
        with closing(blocks):
            yield from self._converted(convert, rows)
            for _, others in blocks:
                yield from self._converted(convert, others)

    def _converted(self, convert: Callable[[Any], Any], rows: list[Any]) -> Iterator[Any]:
        if not isinstance(rows, RowsWithBadJson):
            return map(convert, rows)
        return (self._unreadable(cells) or convert(cells) for cells in rows)

    def _unreadable(self, cells: Sequence[Any]) -> UnreadableRow | None:
        """Return what stands for a row with JSON that could not be read; None if it has none."""
        bad = next((position for position, cell in enumerate(cells) if unread_json_of(cell)), None)
        problem = None if bad is None else unread_json_of(cells[bad])
        if bad is None or problem is None:
            return None
        named = zip(self.columns, cells, strict=True)
        row = {name: LOST_BYTES if unread_json_of(cell) else cell for name, cell in named}
        path = "" if self._builder is None else self._builder.path_of(bad)
        reason = f"column {self.columns[bad]!r} {problem.problem}"
        return UnreadableRow(path, reason, row, mapping=self.mapping_digest)

    def _execute(self) -> tuple[_Blocks, _Block]:
        blocks = self._fetch()
        return blocks, next(blocks)


def _as_it_is(cells: Any) -> Any:
    return cells


def _fetch(cursor: Any, query: Any, params: SqlParams) -> _Blocks:
    """Execute a query; yield the names of its columns with the rows, some at a time, and an empty list if it has none.

    The cursor is closed at the end, or when what is left of the rows is dropped.
    """
    try:
        _check_sqlite(cursor, query, params)
        is_exact = keep_digits(cursor)
        cursor.execute(query) if params is None else cursor.execute(query, params)
        # A cursor on the server knows its columns when it has fetched.
        if cursor.description is None and not getattr(cursor, "name", None):
            raise _no_rows_error()
        is_first = True
        while (rows := list(cursor.fetchmany(_FETCH_ROWS))) or is_first:
            is_first = False
            names = tuple(str(column[0]) for column in cursor.description or ())
            found = with_single_digits(_by_position(rows, names), cursor)
            bad = json_positions(cursor.description or ()) if is_exact else []
            if bad and any(unread_json_of(cells[position]) for cells in found for position in bad):
                found = RowsWithBadJson(found)
            yield names, found
    finally:
        try:
            cursor.close()
        except Exception as error:  # noqa: BLE001 - its connection may have been closed before it
            raise_if_of_a_signal(error)


def _check_selects(query: object) -> None:
    """Refuse what is none, or begins as no query does, before it is executed."""
    if query is None or isinstance(query, int | float):
        raise InvalidRequestError(f"expected a query, got {type(query).__name__}", field="query")
    found = _find_first_word(query) if isinstance(query, str) else None
    if found is not None and found[1].lower() in _OTHER_WORDS:
        raise _no_query_error(f"begins with {found[1].upper()}")


def _check_sqlite(cursor: Any, query: object, params: SqlParams) -> None:
    """Refuse what writes to a database of SQLite, by the program that it makes of it; nothing is executed."""
    packages = {kind.__module__.partition(".")[0] for kind in type(cursor).__mro__}
    found = _find_first_word(query) if isinstance(query, str) and not _SQLITE.isdisjoint(packages) else None
    if found is None:
        return
    if found[1].lower() == "pragma":  # which takes effect when it is compiled
        raise _no_rows_error()
    text = f"{found.string[: found.start(1)]}EXPLAIN {found.string[found.start(1) :]}"
    explaining = cursor.connection.cursor()
    with closing(explaining):
        explaining.row_factory = None
        explaining.execute(text) if params is None else explaining.execute(text, params)
        # A transaction is begun to write if its second operand says so.
        if any(step[1] in ("Transaction", b"Transaction") and step[3] for step in explaining):
            raise _no_query_error("writes to the database")


def _check_duckdb(connection: Any, query: object, params: SqlParams) -> None:
    """Refuse what DuckDB would take for another statement than one query; it executes all that it is given."""
    duckdb = import_module("duckdb")
    extract = getattr(duckdb, "extract_statements", None)
    if extract is None or not isinstance(query, str):
        return
    kinds = [statement.type.name.removesuffix("_STATEMENT") for statement in extract(query)]
    if len(kinds) > 1:
        raise InvalidRequestError("is several statements; give one that selects rows", field="query")
    if kinds and kinds[0] not in _DUCKDB_QUERIES:
        raise _no_query_error(f"is a statement of {kinds[0]}")
    if kinds == ["SELECT"] and _has_writing_word(query):  # maybe in a column's name, or a text
        with suppress(duckdb.Error):  # the query itself will say why
            plan = connection.sql(f"EXPLAIN (FORMAT JSON) {query.lstrip(' ;')}", params=params).fetchall()
            if _DUCKDB_WRITES.search(str(plan[0][1])):
                raise _no_query_error("writes to the database")


def _no_query_error(what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{what}, and is no query; give a SELECT", field="query")


def _no_rows_error() -> InvalidRequestError:
    return InvalidRequestError("has no rows; give a query that selects some", field="query")


def _by_position(rows: list[Any], names: tuple[str, ...]) -> list[Any]:
    """Return rows that are lists of cells; take these out of mappings. Raises InvalidRequestError for other rows."""
    first = next(iter(rows), ())
    if not isinstance(first, Mapping):
        is_list_of_cells = not isinstance(first, str | bytes) and hasattr(first, "__getitem__")
        if rows and not (is_list_of_cells and len(first) == len(names)):
            problem = f"makes a {type(first).__name__} of a row; take its row factory away, so that rows are tuples"
            raise InvalidRequestError(problem, field="connection")
        return rows
    if len(set(names)) < len(names):
        raise InvalidRequestError("names a column twice, and the connection's rows are mappings", field="query")
    return [tuple(row.values()) for row in rows]


def _duckdb_batches(connection: Any, query: Any, params: SqlParams) -> Iterator[Any]:
    """Yield the schema of a query of DuckDB, and then its batches, which are computed as they are read."""
    _check_duckdb(connection, query, params)
    relation = connection.sql(query, params=params)
    if relation is None:
        raise _no_rows_error()
    reader = duckdb_reader(relation)
    with closing(reader):
        yield reader.schema
        yield from reader


def _adbc_batches(connection: Any, query: Any, params: SqlParams) -> Iterator[Any]:
    """Yield the schema of a query by ADBC, and then its batches."""
    with closing(_open_cursor(connection)) as cursor:
        cursor.execute(query, params)
        reader = cursor.fetch_record_batch()
        yield reader.schema
        yield from reader


def _arrow_source(execute: Callable[[], Iterator[Any]], mapping: RowMapping, *, sort: bool) -> ArrowSource:
    """Make a source of a function that executes a query and yields its schema and batches; it is called at once."""
    arrow = import_pyarrow()
    opened = [execute()]
    schema = next(opened[0])

    def batches(_: Sequence[str]) -> Iterator[Any]:
        if opened:
            return opened.pop()
        again = execute()
        next(again)
        return again

    table = tell_breaks((arrow.ArrowException, OSError), Table(schema, batches), "query", _BROKEN_OFF)
    return ArrowSource(arrow, table, mapping, sort=sort)


_BROKEN_OFF: Final = "was ended by the database amid its rows ({}); try it there to see why"


def _open_cursor(connection: Any) -> Any:
    """Open a cursor, on the server where the driver would else fetch all rows; raises InvalidRequestError."""
    package = _package_of(connection)
    open_cursor = getattr(connection, "cursor", None)
    if not callable(open_cursor):
        kind = type(connection).__name__
        hint = "; give engine.raw_connection()" if package == "sqlalchemy" else ""
        raise InvalidRequestError(f"expected an open connection of a database, got {kind}{hint}", field="connection")
    if package not in _POSTGRES:
        cursor: Any = open_cursor()
    else:
        # Without a transaction, the rows have to be held beyond one.
        cursor = open_cursor(name=f"synerise_{uuid.uuid4().hex}", withhold=bool(connection.autocommit))
    if inspect.isawaitable(cursor) or inspect.iscoroutinefunction(getattr(cursor, "execute", None)):
        if inspect.iscoroutine(cursor):
            cursor.close()
        raise InvalidRequestError("is asynchronous; give one whose calls return at once", field="connection")
    return cursor


def _package_of(connection: object) -> str:
    return type(connection).__module__.partition(".")[0]


def _column_of(name: str, cells: Sequence[Any]) -> Column:
    """The column by the types of its first cells; where they differ, each is read by itself, as JSON is.

    So a cell that JSON cannot carry costs its row alone, whether it is one of the first or comes later.
    """
    found: dict[type[object], object] = {
        type(cell): cell for cell in cells if cell is not None and type(cell) is not UnreadJson
    }
    kinds = {_kind_of(kind, cell) for kind, cell in found.items()}
    (kind,) = kinds if len(kinds) == 1 else ("json",)
    if kind == "datetime" and any(cell is not None and cell.tzinfo is None for cell in cells):
        kind = "local_datetime"
    type_text = next(iter(found)).__name__ if len(found) == 1 else "cells of several types"
    return Column(name, kind, type_text, may_be_nan=kind == "json")


def _kind_of(cell_type: type[object], cell: object) -> str:
    """Return the kind of a cell by its type, or by that of the value as which it is written."""
    types: list[type[object]] = [cell_type, type(as_written(cell))]
    return next((kind for given in types for base, kind in _KINDS if issubclass(given, base)), "other")
