"""Which digest was seen first, and where: kept in a private temporary file, so that memory stays flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

__all__ = ["FirstSeenIndex"]

_SCHEMA_SQL = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -65536;
CREATE TABLE seen (digest BLOB PRIMARY KEY, number INTEGER, owner BLOB) WITHOUT ROWID;
BEGIN;
"""


class FirstSeenIndex:
    """Digests with a number and an owner each. The file is opened with the first one, and goes when it is closed."""

    def __init__(self) -> None:
        self._database: sqlite3.Connection | None = None

    def first_seen(self, digest: bytes, number: int, owner: bytes) -> tuple[int, bytes]:
        """Return the number and the owner with which a digest came first; these ones, if it is new."""
        file = self._open() if self._database is None else self._database
        added = file.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (digest, number, owner))
        if added.rowcount:
            return number, owner
        found: tuple[int, bytes] = file.execute("SELECT number, owner FROM seen WHERE digest = ?", (digest,)).fetchone()
        return found

    def close(self) -> None:
        """Remove the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _open(self) -> sqlite3.Connection:
        import sqlite3  # noqa: PLC0415 - most programs do without

        # An empty name is a file of SQLite's own, which nobody else can open and which goes with the connection.
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.executescript(_SCHEMA_SQL)
        return self._database
