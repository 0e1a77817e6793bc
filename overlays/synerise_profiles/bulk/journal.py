"""The journal: a SQLite file that says which chunks of a run are settled, so that the same call goes on after a crash.

How the journal works. Chunks depend on the input alone, so the same input gives the same chunks, with the same numbers.
When all rows of a chunk have their fate, the journal gets its number, its digest and what became of its rows, but no
rows. A later run reads the input from the start, and compares each chunk that the journal knows with its digest: where
they are the same, its fates are taken from the journal and it is not sent; where they differ, the input is another one,
and the run ends before it has sent anything. A chunk with unsent rows is not in the journal, so it is sent again. The
times that rows are given are written ahead of the rows (write-ahead), since a row that is sent again with another time
would be stored twice. The settings that decide which rows go together stand in the file too: with others it is refused.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any, Final

import orjson

from synerise_profiles._batching.attribution import Refusal

from .recorder import JournalEntry, JournalMismatchError

__all__ = ["Journal"]

_FLUSH_SECONDS: Final = 1.0
"""Seconds after which entries have to be on the disk."""
_CHUNKS_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS chunks (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " digest BLOB NOT NULL, accepted INTEGER NOT NULL, refused BLOB)"
)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS times (number INTEGER PRIMARY KEY, time TEXT NOT NULL)",
    _CHUNKS_TABLE,
)


class Journal:
    """Keeps what became of each chunk: digests and reasons, no rows. The file is locked while a run uses it.

    An entry survives the end of the process at once, and a power cut after a second at most: what is lost then is sent
    again. A time survives both before its rows are sent.
    """

    def __init__(self, path: str | os.PathLike[str], header: dict[str, Any]) -> None:
        try:
            self._database = sqlite3.connect(os.fspath(path), isolation_level=None, timeout=1.0)
        except sqlite3.OperationalError as error:
            raise JournalMismatchError(f"the journal cannot be opened: {error}") from None
        try:
            self._prepare(header)
        except BaseException:
            self._database.close()
            raise
        found = self._database.execute("SELECT max(number) FROM chunks").fetchone()[0]
        self._last_number: int = -1 if found is None else found
        self._finished = self._value("finished") is not None
        self._flushed_at = time.monotonic()

    @property
    def last_number(self) -> int:
        """The number of the last chunk that an earlier run settled; -1 for a new journal."""
        return self._last_number

    @property
    def is_finished(self) -> bool:
        """Whether the whole input was sent."""
        return self._finished

    def entry(self, number: int) -> JournalEntry | None:
        """Return what an earlier run wrote of a chunk; None if it did not settle it."""
        if number > self._last_number:
            return None
        row = self._database.execute(
            "SELECT first, last, digest, accepted, refused FROM chunks WHERE number = ?", (number,)
        ).fetchone()
        if row is None:
            return None
        entries: list[list[Any]] = [] if row[4] is None else orjson.loads(row[4])
        refused = {int(entry[0]): Refusal(*entry[1:]) for entry in entries}
        return JournalEntry(first_index=row[0], last_index=row[1], digest=row[2], accepted=row[3], refused=refused)

    def record(self, number: int, entry: JournalEntry) -> None:
        """Write what became of a chunk."""
        entries = [[at, item.stage, item.reason, item.field, item.group] for at, item in entry.refused.items()]
        refused = orjson.dumps(entries) if entries else None
        values = (number, entry.first_index, entry.last_index, entry.digest, entry.accepted, refused)
        self._database.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", values)
        if time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self._flush()

    def time_of(self, number: int) -> str | None:
        """Return the time that an earlier run gave to rows of a chunk; None if it gave none."""
        row = self._database.execute("SELECT time FROM times WHERE number = ?", (number,)).fetchone()
        return None if row is None else row[0]

    def record_time(self, number: int, time: str) -> None:
        """Write the time that rows are given, to the disk, before they are sent."""
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("INSERT OR REPLACE INTO times VALUES (?, ?)", (number, time))
        self._database.execute("PRAGMA synchronous = NORMAL")

    def mark_finished(self) -> None:
        """Write that the whole input was sent."""
        self._database.execute("INSERT OR REPLACE INTO run VALUES ('finished', 'yes')")
        self._finished = True

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _prepare(self, header: dict[str, Any]) -> None:
        try:
            self._database.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                self._database.execute(statement)
        except sqlite3.OperationalError as error:
            raise JournalMismatchError(f"the journal cannot be used, another run may have it open: {error}") from None
        except sqlite3.DatabaseError:
            raise JournalMismatchError("the file is no journal; give the name of another one") from None
        for name, value in header.items():
            text = orjson.dumps(value).decode()
            known = self._value(name)
            if known is None:
                self._database.execute("INSERT INTO run VALUES (?, ?)", (name, text))
            elif known != text:
                problem = f"the journal was made by a call with another {name}: {known}; nothing was sent"
                raise JournalMismatchError(problem)
        self._database.execute("COMMIT")

    def _value(self, name: str) -> str | None:
        row = self._database.execute("SELECT value FROM run WHERE name = ?", (name,)).fetchone()
        return None if row is None else row[0]

    def _flush(self) -> None:
        # In WAL mode with synchronous = NORMAL only a checkpoint syncs to the disk.
        self._database.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._flushed_at = time.monotonic()
