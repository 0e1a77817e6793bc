"""One SQLite connection behind a lock: writes come from the server's loop, reads from any thread.

A list is one parameter, `IN (SELECT value FROM json_each(?))`: a lookup of a thousand is one prepared statement.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from .schema import SCHEMA, VERSION

MEMORY = ":memory:"
Row = tuple[Any, ...]


class Database:
    """The connection, its lock, and transactions that may be nested."""

    def __init__(self, path: str = MEMORY) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
        if path != MEMORY:
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = NORMAL")
        self._connection.execute("PRAGMA cache_size = -65536")
        self._prepare(path)

    def _prepare(self, path: str) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            self._connection.close()
            raise ValueError(f"{path} has tables of version {version}; this release reads version {VERSION}")
        self._connection.executescript(SCHEMA)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def transaction(self) -> Generator[None, None, None]:
        """Everything inside is stored together or not at all; others wait."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth = 1
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            else:
                self._connection.execute("COMMIT")
            finally:
                self._depth = 0

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query."""
        with self._lock:
            return self._connection.execute(sql, values).fetchall()

    def row(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        """The first row of a query."""
        with self._lock:
            found: Row | None = self._connection.execute(sql, values).fetchone()
            return found

    def run(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Change something; how many rows it touched."""
        with self._lock:
            return self._connection.execute(sql, values).rowcount

    def insert(self, sql: str, values: Sequence[Any]) -> int:
        """Insert one row; its id."""
        with self._lock:
            return self._connection.execute(sql, values).lastrowid or 0

    def run_many(self, sql: str, values: Iterable[Sequence[Any]]) -> None:
        """Change one row for each of the values."""
        with self._lock:
            self._connection.executemany(sql, values)

    def counter(self, name: str, start: int) -> int:
        """The next free number; numbers are never used twice, whatever is deleted."""
        found = self.row("SELECT value FROM counters WHERE name = ?", (name,))
        return found[0] if found else start

    def set_counter(self, name: str, value: int) -> None:
        """Keep the next free number."""
        self.run("INSERT INTO counters VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", (name, value))

    def setting(self, name: str, default: str) -> str:
        """A value that is chosen once and kept."""
        self.run("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, default))
        found = self.row("SELECT value FROM settings WHERE name = ?", (name,))
        return str(found[0]) if found else default


def json_text(value: Any) -> str:
    """JSON as a column holds it."""
    return orjson.dumps(value).decode()
