"""One SQLite connection behind a lock: writes come from the server's loop, reads from any thread.

A list is one parameter, `IN (SELECT value FROM json_each(?))`: a lookup of a thousand is one prepared statement.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any

import orjson

from synerise_profiles._core.files import (
    DatabaseFile,
    DatabaseFileError,
    database_error,
    memory_database,
    refused,
    target_of,
)
from synerise_profiles_api.errors import InvalidRequestError

from .schema import SCHEMA, SCHEMA_VERSION

MEMORY = ":memory:"
_APPLICATION_ID = 0x53504B31
"""Stands in the header of the file, and says that it is the state of a sandbox."""
_ADVICE = {
    "foreign": "give the name of another file",
    "version": "give the name of another file, or remove it to begin anew",
    "damaged": "remove it to begin anew",
    "locked": "stop the sandbox that uses it, or give the name of another file",
    "unusable": "make room, or give the name of another file",
    "forbidden": "give the name of a file in a folder that can be written",
}
_NOUN = "state of a sandbox"
DatabaseRow = tuple[Any, ...]


class Database:
    """The connection, its lock, and transactions that may be nested.

    `rollbacks` grows with each transaction that is rolled back: what was read inside it and cached may be wrong then.
    """

    def __init__(self, path: str | os.PathLike[str] = MEMORY) -> None:
        self._lock = threading.RLock()
        self.rollbacks = 0
        self._transaction = _Transaction(self, self._lock)
        self._counters: dict[str, int] = {}
        self._on_file = path != MEMORY
        self._file = _open_state(path) if self._on_file else None
        self._connection = memory_database() if self._file is None else self._file.connection
        try:
            with _telling_faults():
                self._connection.execute("PRAGMA cache_size = -65536")
                self._connection.executescript(SCHEMA)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
            if self._file is not None:
                self._file.close()

    def transaction(self) -> AbstractContextManager[None]:
        """Everything inside is stored together or not at all; others wait."""
        return self._transaction

    def end_transaction(self, *, good: bool) -> None:
        """Commit, or roll back."""
        is_stored = False
        try:
            if good:
                self._connection.execute("COMMIT")
                is_stored = True
        finally:
            if not is_stored:
                self.rollbacks += 1
                if self._connection.in_transaction:  # else SQLite has rolled it back itself
                    self._connection.execute("ROLLBACK")

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[DatabaseRow]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> DatabaseRow | None:
        """The first row of a query."""
        with self._lock:
            found: DatabaseRow | None = self._connection.execute(sql, values).fetchone()
            return found

    def execute(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run one statement; the number of rows that it changed."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Insert one row; its id."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def execute_many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Run a statement once for each of the values."""
        with self._lock:
            if len(values) == 1:
                self._connection.execute(sql, values[0])  # half the time of the other
            else:
                self._connection.executemany(sql, values)

    def counter(self, name: str, start: int) -> int:
        """The next free number; numbers are never used twice, whatever is deleted."""
        known = self._counters.get(name)
        if known is None:
            found = self.row("SELECT value FROM counters WHERE name = ?", (name,))
            known = self._counters[name] = found[0] if found else start
        return known

    def set_counter(self, name: str, value: int) -> None:
        """Keep the next free number; a state that dies with the process needs no row for it.

        The cached number is not rolled back with a transaction: numbers are left out then, and none is used twice.
        """
        self._counters[name] = value
        if self._on_file:
            self.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))

    def setting(self, name: str, default: str) -> str:
        """A value that is chosen once and kept."""
        with _telling_faults():
            self.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
            found = self.row("SELECT value FROM settings WHERE name = ?", (name,))
        return str(found[0]) if found else default


def _open_state(path: str | os.PathLike[str]) -> DatabaseFile:
    target = target_of(path, "state")
    try:
        return DatabaseFile(target, _NOUN, application_id=_APPLICATION_ID, version=SCHEMA_VERSION)
    except DatabaseFileError as error:
        raise _refused(error) from None


@contextmanager
def _telling_faults() -> Generator[None]:
    """Say what is meant where the file cannot be written at the start."""
    try:
        yield
    except Exception as error:
        if getattr(error, "sqlite_errorname", None) is None:  # SQLite is not loaded for its class alone
            raise
        raise _refused(database_error(error, _NOUN)) from None


def _refused(error: DatabaseFileError) -> InvalidRequestError:
    return refused("state", f"{error}; {_ADVICE[error.kind]}")


class _Transaction:
    """A transaction of the one connection; nested, it is a part of the outer one."""

    def __init__(self, database: Database, lock: threading.RLock) -> None:
        self._database = database
        self._lock = lock
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            if self._depth == 0:
                self._database.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._lock.release()
            raise
        self._depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        try:
            if self._depth == 0:
                self._database.end_transaction(good=kind is None)
        finally:
            self._lock.release()


def json_text(value: Any) -> str:
    """JSON as a column holds it."""
    return orjson.dumps(value).decode()
