"""The journal: a SQLite file that says which chunks of a run are settled, so that the same call goes on after a crash.

How the journal works. Chunks depend on the input alone, so the same input gives the same chunks, with the same numbers.
When all rows of a chunk have their fate, the journal gets its number, its digest and what became of its rows, but no
rows. A later run reads the input from the start, and compares each chunk that the journal knows with its digest: where
they are the same, its fates are taken from the journal and it is not sent; where they differ, the input is another one,
and the run ends before it has sent anything. A chunk with unsent rows is not in the journal, so it is sent again. The
times that rows are given are written ahead of the rows (write-ahead), since a row that is sent again with another time
would be stored twice; so is that a deletion is on its way, since it is "not found" when it is sent again. The settings
that decide which rows go together stand in the file too: with others it is refused. Each entry has a digest of itself
and of the header, so that a damaged file is refused and never gives a wrong count.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from synerise_profiles._batching.attribution import Refusal
from synerise_profiles._core.files import DatabaseFile, DatabaseFileError, FaultKind, database_error, refused, target_of

from .journal_protocol import JournalEntry, JournalError, JournalMismatchError

__all__ = ["Journal", "journal_target"]

_APPLICATION_ID: Final = 0x53504A31
"""Stands in the header of the file, and says that it is a journal of this library."""
_VERSION: Final = 2
_CHECKSUM_BYTES: Final = 8
_FLUSH_SECONDS: Final = 1.0
"""Seconds after which entries have to be on the disk."""
_COUNTS: Final = "SELECT count(*), max(number) FROM chunks"
_TOTAL: Final = -1
"""The number under which the checksums of all that was sent stand together, so that none is taken away."""
_CHUNKS_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS chunks (number INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL,"
    " digest BLOB NOT NULL, accepted INTEGER NOT NULL, refused BLOB, checksum BLOB NOT NULL)"
)
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS run (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS times (number INTEGER PRIMARY KEY, time TEXT NOT NULL, checksum BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS sent (number INTEGER PRIMARY KEY, digest BLOB NOT NULL, checksum BLOB NOT NULL)",
    _CHUNKS_TABLE,
)


def journal_target(path: object) -> Path:
    """Return the file of a journal; nothing is touched. Raises InvalidRequestError for what would keep nothing."""
    if path == ":memory:":
        raise refused("journal", "is no file and would keep nothing; give the name of one")
    return target_of(path, "journal")


class Journal:
    """Keeps what became of each chunk: digests and reasons, no rows. The file is locked while a run uses it.

    An entry survives the end of the process at once, and a power cut after a second at most: what is lost then is sent
    again. A time survives both before its rows are sent. Whatever is wrong with the file is a JournalError.
    """

    def __init__(self, path: str | os.PathLike[str], header: dict[str, Any]) -> None:
        self._name = str(path)
        try:
            self._target = journal_target(path)
            self._file = _opened(self._target)
        except DatabaseFileError as error:
            raise _journal_error(error, self._name) from None
        self._is_written = False
        """Whether all that was to be written was, and is to be found in the file at its end."""
        try:
            self._database = self._file.connection
            self._key = hashlib.sha256(orjson.dumps(header, option=orjson.OPT_SORT_KEYS)).digest()
            self._prepare(header)
            self._count, found = self._execute(_COUNTS)[0]
            self._check_sent()
            self._finished = self._was_finished()
            self._flushed_at = time.monotonic()
        except BaseException:  # an interruption too
            try:
                self._file.close()
            finally:  # also where another one cut in
                self._file.close()
            raise
        self._last_number: int = -1 if found is None else found
        self._last_written = self._last_number

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
        row = self._one("SELECT first, last, digest, accepted, refused, checksum FROM chunks WHERE number = ?", number)
        if row is None:
            return None
        if row[5] != self._checksum(number, *row[:5]):
            raise _damaged(self._name)
        entries: list[list[Any]] = [] if row[4] is None else orjson.loads(row[4])
        refused = {int(entry[0]): Refusal(*entry[1:]) for entry in entries}
        return JournalEntry(first_index=row[0], last_index=row[1], digest=row[2], accepted=row[3], refused=refused)

    def record(self, number: int, entry: JournalEntry) -> None:
        """Write what became of a chunk."""
        entries = [[at, item.stage, item.reason, item.field, item.group] for at, item in entry.refused.items()]
        refused = orjson.dumps(entries) if entries else None
        values = (entry.first_index, entry.last_index, entry.digest, entry.accepted, refused)
        checksum = self._checksum(number, *values)
        if not self._is_written:  # the last entry may be in the file or not
            self._count_again()
        self._is_written = False
        is_new = number > self._last_number or self._one("SELECT 1 FROM chunks WHERE number = ?", number) is None
        self._execute("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?, ?)", number, *values, checksum)
        count, last = self._count + is_new, max(number, self._last_written)
        self._count, self._last_written, self._is_written = count, last, True
        if time.monotonic() - self._flushed_at > _FLUSH_SECONDS:
            self.flush()

    def _count_again(self) -> None:
        self._count, found = self._execute(_COUNTS)[0]
        self._last_written = -1 if found is None else found

    def time_of(self, number: int) -> str | None:
        """Return the time that an earlier run gave to rows of a chunk; None if it gave none."""
        row = self._one("SELECT time, checksum FROM times WHERE number = ?", number)
        if row is not None and row[1] != self._checksum(number, row[0]):
            raise _damaged(self._name)
        return None if row is None else row[0]

    def record_time(self, number: int, time: str) -> None:
        """Write the time that rows are given, to the disk, before they are sent."""
        self._execute("PRAGMA synchronous = FULL")
        self._execute("INSERT OR REPLACE INTO times VALUES (?, ?, ?)", number, time, self._checksum(number, time))
        self._execute("PRAGMA synchronous = NORMAL")

    def record_sent(self, number: int, digest: bytes) -> bool:
        """Write that a chunk is on its way, before it is sent.

        Return whether it was before, and no answer is known that says that it was not carried out.
        """
        known = self._one("SELECT digest FROM sent WHERE number = ?", number)
        if known is not None and known[0] == digest:
            return True
        self._write_sent(number, digest)
        return False

    def record_not_applied(self, number: int) -> None:
        """Write that nothing of what was sent of a chunk was carried out."""
        self._write_sent(number, b"")

    def mark_finished(self) -> None:
        """Write that the whole input was sent."""
        self._execute("INSERT OR REPLACE INTO run VALUES ('finished', ?)", self._finished_text)
        self._finished = True

    def flush(self) -> None:
        """Write to the disk what was recorded."""
        # In WAL mode with synchronous = NORMAL only a checkpoint syncs to the disk.
        self._check_place()
        self._execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._flushed_at = time.monotonic()

    def close(self) -> None:
        """Close the file. Raises JournalError if it, or what SQLite keeps beside it, was taken away meanwhile."""
        try:
            self._check_place()
        finally:
            self._close()
        if self._is_written:
            self._check_written()
            self._is_written = False

    def _check_written(self) -> None:
        """Look, as the next run would, whether the file has what was written to it."""
        expected = self._count, self._last_written
        try:
            file = _opened(self._target)
            try:
                found = file.connection.execute(_COUNTS).fetchone()
            except (self._database.Error, UnicodeDecodeError):
                found = None
            finally:
                try:
                    file.close()
                finally:  # where an interruption cut in
                    file.close()
        except DatabaseFileError as error:
            if error.kind == "locked":  # the next run has it
                return
            found = None
        if found != expected:
            problem = "the journal lacks what was written to it, as a file of it was changed by somebody else"
            raise _journal_error(DatabaseFileError(problem, "gone"), self._name)

    def _close(self) -> None:
        try:
            self._file.close()
        except (self._database.Error, UnicodeDecodeError) as error:
            raise _journal_error(database_error(error, "journal"), self._name) from None

    def _check_place(self) -> None:
        try:
            self._file.check_place("journal")
        except DatabaseFileError as error:
            raise _journal_error(error, self._name) from None

    def _prepare(self, header: dict[str, Any]) -> None:
        self._execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            self._execute(statement)
        if self._one("SELECT 1 FROM run") is None and self._one("SELECT 1 FROM sent") is None:
            self._execute("INSERT INTO sent VALUES (?, ?, ?)", _TOTAL, b"", bytes(_CHECKSUM_BYTES))
        for name, value in header.items():
            text = orjson.dumps(value).decode()
            known = self._value(name)
            if known is None and self._one("SELECT 1 FROM chunks") is not None:
                raise _damaged(self._name)
            if known is None:
                self._execute("INSERT INTO run VALUES (?, ?)", name, text)
            elif known != text:
                problem = f"the journal was made by a call with another {name}: {known}; nothing was sent"
                raise JournalMismatchError(f"{problem}. The file is {self._name}")
        self._execute("COMMIT")

    def _check_sent(self) -> None:
        """Raise JournalError unless all that was sent is there as it was written."""
        total, found = None, bytes(_CHECKSUM_BYTES)
        for number, digest, checksum in self._all_sent():
            if number == _TOTAL:
                total = checksum
            elif checksum == self._checksum(number, digest):
                found = _combined(found, checksum)
            else:
                raise _damaged(self._name)
        if total != found:
            raise _damaged(self._name)

    def _all_sent(self) -> Iterator[Sequence[Any]]:
        last = _TOTAL - 1
        sql = "SELECT number, digest, checksum FROM sent WHERE number > ? ORDER BY number LIMIT 10000"
        while rows := self._execute(sql, last):
            yield from rows
            last = rows[-1][0]

    def _write_sent(self, number: int, digest: bytes) -> None:
        sql = "SELECT number, checksum FROM sent WHERE number IN (?, ?)"
        known: dict[int, bytes] = {row[0]: row[1] for row in self._execute(sql, _TOTAL, number)}
        checksum = self._checksum(number, digest)
        total = _combined(known[_TOTAL], known.get(number, bytes(_CHECKSUM_BYTES)), checksum)
        # One statement, so that both are there or neither.
        sql = "INSERT OR REPLACE INTO sent VALUES (?, ?, ?), (?, ?, ?)"
        self._execute(sql, number, digest, checksum, _TOTAL, b"", total)

    def _was_finished(self) -> bool:
        text = self._value("finished")
        if text not in (None, self._finished_text):
            raise _damaged(self._name)
        return text is not None

    @property
    def _finished_text(self) -> str:
        return self._checksum(_TOTAL, "finished").hex()

    def _value(self, name: str) -> str | None:
        row = self._one("SELECT value FROM run WHERE name = ?", name)
        return None if row is None else row[0]

    def _checksum(self, number: int, *values: Any) -> bytes:
        """Digest an entry; that of another number, or of a journal with another header, is another one."""
        content = repr((number, values)).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES, key=self._key).digest()

    def _one(self, sql: str, *values: Any) -> Sequence[Any] | None:
        rows = self._execute(sql, *values)
        return rows[0] if rows else None

    def _execute(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except (self._database.Error, UnicodeDecodeError) as error:
            self._is_written = False  # the error says so
            raise _journal_error(database_error(error, "journal"), self._name) from None


def _opened(target: Path) -> DatabaseFile:
    return DatabaseFile(target, "journal", application_id=_APPLICATION_ID, version=_VERSION, is_exclusive=True)


def _combined(*checksums: bytes) -> bytes:
    """Return one checksum of several, in any order; what is in it twice is not in it."""
    found = 0
    for checksum in checksums:
        found ^= int.from_bytes(checksum, "big")
    return found.to_bytes(_CHECKSUM_BYTES, "big")


def _journal_error(error: DatabaseFileError, name: str) -> JournalError:
    return JournalError(f"{error}; {_ADVICE[error.kind]}. The file is {name}")


def _damaged(name: str) -> JournalError:
    return _journal_error(DatabaseFileError("the journal is damaged", "damaged"), name)


_NEW_FILE_TEXT: Final = "give the name of a file that is not there yet, with which all rows are sent"
_ADVICE: Final[Mapping[FaultKind, str]] = {
    "foreign": "give the name of another file",
    "version": f"end the run with the release that began it, or {_NEW_FILE_TEXT}",
    "damaged": f"what it says of rows is not taken; {_NEW_FILE_TEXT}",
    "locked": "another run may have it open; wait for its end",
    "unusable": "make room, and repeat the call with the same input and journal: it goes on where it stopped",
    "gone": f"the report says what was sent; nothing is resumed by this file: {_NEW_FILE_TEXT}",
    "forbidden": "give the name of a file in a folder that can be written",
}
