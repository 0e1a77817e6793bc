"""The file of a state: a SQLite database of one process, and what is said where something is wrong with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, Final

import orjson

from synerise_profiles._core.files import (
    DatabaseFile,
    DatabaseFileError,
    file_id,
    memory_database,
    refused,
    target_of,
)

from .entries import Digests
from .state_errors import DIGEST_CHECK, OF_THE_INPUT, damaged, mismatch, state_error, state_fault

__all__ = ["StateFile", "state_target"]

_APPLICATION_ID: Final = 0x53504453
"""Stands in the header of the file, and says that it is a state of this library."""
_VERSION: Final = 5
_MAX_LOOKUP: Final = 2000
_PAGE_CACHE_KIB: Final = 32_000
_SCHEMA: Final = (
    "CREATE TABLE header (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE digests (number INTEGER PRIMARY KEY, block BLOB NOT NULL)",
    "CREATE TABLE fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE cleared (id INTEGER PRIMARY KEY, mask BLOB NOT NULL)",
    "CREATE TABLE refused (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, attempts INTEGER NOT NULL)",
    "CREATE TABLE keys (id INTEGER PRIMARY KEY, key BLOB NOT NULL)",
    "CREATE TABLE repeated (id INTEGER PRIMARY KEY)",
    "CREATE TABLE past (id INTEGER PRIMARY KEY, value BLOB NOT NULL, marked INTEGER NOT NULL)",
    "CREATE TABLE spellings (folded INTEGER, id INTEGER, PRIMARY KEY (folded, id)) WITHOUT ROWID",
)
_NUMBERS: Final = "numbers"
_SUM: Final = "sum"
_BEGUN: Final = "begun"
_COUNTED: Final = ("entries", "keys", "fields", "past", "cleared", "refused", "repeated", "spellings")
_KNOWN: Final = ("entries", "digests", "cleared", "refused", "keys", "spellings", "repeated", "header")
_SENT: Final = ("past", "fields")
"""What says which fields were sent: it holds beyond a full run of the same input."""


def state_target(path: object) -> Path:
    """Return the file of a state; nothing is touched. Raises InvalidRequestError for what would keep nothing."""
    if path == ":memory:":
        raise refused("state", "is no file and would keep nothing; give the name of one")
    return target_of(path, "state")


_CUT_TEXT: Final = "the state was cut by somebody else during the run"
_LEFT_TEXT: Final = "the log of the state, {}, could not be written back into it; keep both, and make room on the disk"


class _NoFile:
    """Stands for the file of a plan where there is none: an empty database in memory, so that nothing is written."""

    def __init__(self, target: Path) -> None:
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise DatabaseFileError(
                "the state cannot be made (its folder is not there, or not to be written)", "foreign"
            )
        self.connection = memory_database()

    def close(self) -> None:
        """Forget it."""
        self.connection.close()


def _size_of(target: Path) -> int:
    """Return the size of a file, 0 where the log of a run that broke off may have a part of it."""
    return target.stat().st_size if target.exists() and not _log_of(target) else 0


def _log_of(target: Path) -> int:
    log = _log_path(target)
    return log.stat().st_size if log.exists() else 0


def _log_path(target: Path) -> Path:
    return target.with_name(f"{target.name}-wal")


class StateFile:
    """The tables of a state, and its header, which says for what it was made. What is wrong is a DeltaStateError."""

    def __init__(self, path: str | os.PathLike[str], *, is_plan: bool = False) -> None:
        target = state_target(path)
        self._file: DatabaseFile | _NoFile
        try:
            size = _size_of(target)
            self.was_empty = target.exists() and not target.stat().st_size and not _log_of(target)
            """Whether the file was there and held nothing, as one that was cut."""
            if is_plan and not (target.exists() and target.stat().st_size):
                self._file = _NoFile(target)
            else:
                self._file = DatabaseFile(
                    target, "state", application_id=_APPLICATION_ID, version=_VERSION, is_exclusive=True
                )
        except (DatabaseFileError, OSError) as error:
            raise state_error(error) if isinstance(error, DatabaseFileError) else state_fault(error) from None
        self._database = self._file.connection
        self._target, self._id = target, file_id(target)
        self._whole_bytes, self._was_cut = size, False
        """How large the file has to be, as it never shrinks but when it is packed; and whether it was smaller."""
        self._numbers: dict[str, int] = {}
        """How many rows each table has, and what else is counted; the header holds it, so that what is lost is seen."""
        self._is_changed = False
        self._token = int.from_bytes(os.urandom(6), "big")
        """Stands in a state that this object began anew."""
        self._new_header: list[tuple[str, bytes]] = []
        self.keeps_fields = False
        """Whether a state that begins anew is of the same input, so that it stays known which fields were sent."""
        try:
            self.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            self.execute("PRAGMA synchronous = FULL")  # what is in doubt is so after a loss of power too
            self._check_size(size)
        except BaseException:
            self._file.close()
            raise

    def prepare(self, header: Mapping[str, Any], secret: bytes | None, *, full: bool) -> Digests:
        """Make the tables where they are not there, and compare the header. Returns the digests to use.

        What is there stays until `begin_anew`, also with `full`. A state without entries fits every header.
        """
        self._prepare_tables()
        stored = self._stored_header()
        has_entries = bool(self.number("entries") or self.number("past"))
        own = stored.get("secret") or os.urandom(32)
        digests = Digests(own if secret is None else secret)
        wanted = {name: orjson.dumps(value) for name, value in header.items()}
        wanted[DIGEST_CHECK] = digests.content(b"synerise-profiles")
        other = next((name for name in wanted if stored.get(name) != wanted[name]), None)
        if full or (other is not None and not has_entries):
            self._new_header = [*wanted.items(), *([("secret", own)] if secret is None else [])]
            self.keeps_fields = all(stored.get(name) == wanted[name] for name in OF_THE_INPUT)
        elif other is not None:
            raise mismatch(other, stored.get(other, b""))
        return digests

    def _check_size(self, size: int) -> None:
        if size % int(self.execute("PRAGMA page_size")[0][0]):
            raise damaged()

    def _prepare_tables(self) -> None:
        """Make the tables where there is none; else see that they are those of this library."""
        found = [sql for (sql,) in self.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")]
        if not found:
            with self.transaction():
                for statement in _SCHEMA:
                    self.execute(statement)
        elif found != [*_SCHEMA]:
            raise damaged()

    def _stored_header(self) -> dict[str, bytes]:
        """Read the header, and see that it and the tables hold what was written last."""
        stored: dict[str, bytes] = dict(self.execute("SELECT name, value FROM header"))
        found = {table: self.execute(f"SELECT count(*) FROM {table}")[0][0] for table in _COUNTED}  # noqa: S608 - own names
        if stored and stored.get(_SUM) == self._sum():  # else nothing in it is believed, whatever it is
            self._numbers = orjson.loads(stored[_NUMBERS])
        if bool(stored) != bool(self._numbers) or any(self.number(table) != found[table] for table in _COUNTED):
            raise damaged()
        return stored

    def _sum(self) -> bytes:
        """Return a checksum of the header and the names of fields."""
        header = self.execute(f"SELECT name, value FROM header WHERE name != '{_SUM}' ORDER BY name")  # noqa: S608 - likewise
        names = self.execute("SELECT number, name FROM fields ORDER BY number")
        return hashlib.blake2b(repr((header, names)).encode(), digest_size=8).digest()

    @property
    def is_to_begin_anew(self) -> bool:
        """Whether nothing of what the file holds is to be believed."""
        return bool(self._new_header)

    def begin_anew(self) -> None:
        """Remove what the file holds, and write the header of this run; inside a transaction.

        Which fields were sent is kept where it is of the same input.
        """
        if self.keeps_fields:
            self.execute("INSERT OR REPLACE INTO past SELECT id, value, 0 FROM entries")
        for table in _KNOWN if self.keeps_fields else (*_KNOWN, *_SENT):
            self.execute(f"DELETE FROM {table}")  # noqa: S608 - names of this module
        kept = {table: self.execute(f"SELECT count(*) FROM {table}")[0][0] for table in _SENT}  # noqa: S608 - likewise
        self._numbers, self._is_changed = {**kept, _BEGUN: self._token}, True
        self.many("INSERT INTO header VALUES (?, ?)", self._new_header)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Do what is inside as a whole: all of it survives the end of the process, or nothing of it is there."""
        self.change()
        try:
            self.execute("BEGIN IMMEDIATE")
            yield
            if self._is_changed:
                self.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", _NUMBERS, orjson.dumps(self._numbers))
                self.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", _SUM, self._sum())
            self.execute("COMMIT")
            self._is_changed, self._whole_bytes = False, self._bytes_there()
        except BaseException:
            if self._database.in_transaction:
                self._database.rollback()
            raise

    def restore(self) -> None:
        """Let the numbers in memory be those of the file again, after a transaction of which the end is in doubt."""
        if self._database.in_transaction:
            self._database.rollback()
        stored = self.execute("SELECT value FROM header WHERE name = ?", _NUMBERS)
        self._numbers, self._is_changed = orjson.loads(stored[0][0]) if stored else {}, False

    @property
    def has_begun_anew(self) -> bool:
        """Whether this object began the state anew."""
        return self._numbers.get(_BEGUN) == self._token

    def select(self, sql: str, ids: Iterable[int], by: str = "id") -> Iterator[Any]:
        """Yield the rows of these ids, which stand in the column `by`."""
        in_order = sorted(ids)
        for start in range(0, len(in_order), _MAX_LOOKUP):
            part = in_order[start : start + _MAX_LOOKUP]
            yield from self.execute(f"{sql} WHERE {by} IN ({','.join('?' * len(part))})", *part)

    def cursor(self, sql: str) -> Iterator[Any]:
        """Yield the rows of a query as they are read."""
        try:
            # SQLite's own cursor would be closed with this generator, which fails where the database was closed before.
            yield from chain(self._database.execute(sql))
        except (self._database.Error, UnicodeDecodeError) as error:
            raise state_fault(error) from None

    def put(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of a table, in place of those with the same first column."""
        if rows:
            values = f"INTO {table} VALUES ({','.join('?' * len(rows[0]))})"
            added = self.many(f"INSERT OR IGNORE {values}", rows)
            self.count(table, added)
            if added < len(rows):
                self.many(f"INSERT OR REPLACE {values}", rows)

    def remove(self, table: str, ids: Iterable[int]) -> None:
        """Remove rows of a table."""
        self.count(table, -self.many(f"DELETE FROM {table} WHERE id = ?", [(number,) for number in ids]))  # noqa: S608 - own names

    def count(self, table: str, added: int) -> None:
        """Take note of how many rows a table has more than before, inside a transaction."""
        if added:
            self.set_number(table, self.number(table) + added)

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> int:
        """Execute a statement for each of the values; return how many rows it wrote or removed."""
        if values:
            try:
                return self._database.executemany(sql, values).rowcount
            except (self._database.Error, UnicodeDecodeError) as error:
                raise state_fault(error) from None
        return 0

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """Execute a statement and return its rows."""
        try:
            return self._database.execute(sql, values).fetchall()
        except (self._database.Error, UnicodeDecodeError) as error:
            raise state_fault(error) from None

    def number(self, name: str) -> int:
        """Return a number of the header, 0 if it is not there."""
        return self._numbers.get(name, 0)

    def set_number(self, name: str, value: int) -> None:
        """Write a number into the header, inside a transaction."""
        self._numbers[name], self._is_changed = value, True

    def size(self) -> int:
        """Return how many bytes the file takes."""
        pages, page_bytes = self.execute("PRAGMA page_count"), self.execute("PRAGMA page_size")
        return int(pages[0][0]) * int(page_bytes[0][0])

    def vacuum(self) -> None:
        """Write the file anew, without the room in it, by which it becomes smaller."""
        self._whole_bytes = 0
        self.execute("VACUUM")

    def change(self) -> str | None:
        """Return what somebody else did to the file since it was opened; None if nothing is seen."""
        if file_id(self._target) != self._id:
            return "the state was removed or replaced during the run"
        self._was_cut = self._was_cut or self._bytes_there() < self._whole_bytes
        return _CUT_TEXT if self._was_cut else None

    def _bytes_there(self) -> int:
        try:
            return self._target.stat().st_size
        except OSError:
            return 0

    def close(self) -> str | None:
        """Close the file; return what is wrong with it then, by what its header says of its size."""
        found = self.change()
        try:
            self._file.close()
        except (self._database.Error, UnicodeDecodeError) as error:
            raise state_fault(error) from None
        if found is not None or isinstance(self._file, _NoFile):
            return found
        if _log_of(self._target):  # SQLite says nothing of it, and reads it when the state is opened
            return _LEFT_TEXT.format(_log_path(self._target).name)
        return None if _is_whole(self._target) else _CUT_TEXT


def _is_whole(target: Path) -> bool:
    """Whether a database that nobody has open is as large as its header says."""
    try:
        with target.open("rb") as file:
            header = file.read(100)
            size = file.seek(0, os.SEEK_END)
    except OSError:
        return False
    page_bytes = int.from_bytes(header[16:18], "big")  # 4096, as all states have
    return size > 0 and size == page_bytes * int.from_bytes(header[28:32], "big")
