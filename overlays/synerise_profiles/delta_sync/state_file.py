"""The file of a state: a SQLite database of one process, and what is said where something is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from synerise_profiles._core.files import DatabaseFile, DatabaseFileError, FaultKind, database_error, refused, target_of
from synerise_profiles_api.errors import SyneriseError

from .entries import Digests

__all__ = ["DeltaStateError", "DeltaStateMismatchError", "StateFile", "damaged", "state_target"]

_APPLICATION_ID: Final = 0x53504453
"""Stands in the header of the file, and says that it is a state of this library."""
_VERSION: Final = 5
_MAX_LOOKUP: Final = 2000
_PAGE_CACHE_KIB: Final = 32_000
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS header (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS digests (number INTEGER PRIMARY KEY, block BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS cleared (id INTEGER PRIMARY KEY, mask BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, attempts INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY, key BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS repeated (id INTEGER PRIMARY KEY)",
    "CREATE TABLE IF NOT EXISTS past (id INTEGER PRIMARY KEY, value BLOB NOT NULL, marked INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS spellings (folded INTEGER, id INTEGER, PRIMARY KEY (folded, id)) WITHOUT ROWID",
)
_KNOWN: Final = ("entries", "digests", "cleared", "refused", "keys", "spellings", "repeated", "header")
_SENT: Final = ("past", "fields")
"""What says which fields were sent: it holds beyond a full run of the same input."""


class DeltaStateError(SyneriseError):
    """The state cannot be used: it is no state, damaged, in use, of another version, or the disk is full.

    The text says what to do. What the server confirmed before is known all the same, if the state can be opened later.
    """


class DeltaStateMismatchError(DeltaStateError, ValueError):
    """The state was made for another mapping, server, key field or secret, or with other options. Nothing was sent.

    The text says which, and what to do; `full=True` begins anew.
    """


def state_target(path: object) -> Path:
    """Return the file of a state; nothing is touched. Raises InvalidRequestError for what would keep nothing."""
    if path == ":memory:":
        raise refused("state", "is no file and would keep nothing; give the name of one")
    return target_of(path, "state")


class StateFile:
    """The tables of a state, and its header, which says for what it was made. What is wrong is a DeltaStateError."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        try:
            self._file = DatabaseFile(
                state_target(path), "state", application_id=_APPLICATION_ID, version=_VERSION, is_exclusive=True
            )
        except DatabaseFileError as error:
            raise _state_error(error) from None
        self._database = self._file.connection
        self._new_header: list[tuple[str, bytes]] = []
        self.keeps_fields = False
        """Whether a state that begins anew is of the same input, so that it stays known which fields were sent."""
        try:
            self.execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            self.execute("PRAGMA synchronous = FULL")  # what is in doubt is so after a loss of power too
        except BaseException:
            self._file.close()
            raise

    def prepare(self, header: Mapping[str, Any], secret: bytes | None, *, full: bool) -> Digests:
        """Make the tables where they are not there, and compare the header. Returns the digests to use.

        What is there stays until `begin_anew`, also with `full`. A state without entries fits every header.
        """
        with self.transaction():
            for statement in _SCHEMA:
                self.execute(statement)
        stored: dict[str, bytes] = dict(self.execute("SELECT name, value FROM header"))
        has_entries = bool(self.execute("SELECT 1 FROM entries UNION ALL SELECT 1 FROM past LIMIT 1"))
        if not stored and has_entries:
            raise damaged()
        own = stored.get("secret") or os.urandom(32)
        digests = Digests(own if secret is None else secret)
        wanted = {name: orjson.dumps(value) for name, value in header.items()}
        wanted[_DIGEST_CHECK] = digests.content(b"synerise-profiles")
        other = next((name for name in wanted if stored.get(name) != wanted[name]), None)
        if full or (other is not None and not has_entries):
            self._new_header = [*wanted.items(), *([("secret", own)] if secret is None else [])]
            self.keeps_fields = all(stored.get(name) == wanted[name] for name in _OTHERS)
        elif other is not None:
            raise _mismatch(other, stored.get(other, b""))
        return digests

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
        self.many("INSERT INTO header VALUES (?, ?)", self._new_header)

    @contextmanager
    def transaction(self) -> Generator[None]:
        """Do what is inside as a whole: all of it survives the end of the process, or nothing of it is there."""
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.rollback()
            raise

    def select(self, sql: str, ids: Iterable[int], by: str = "id") -> Iterator[Any]:
        """Yield the rows of these ids, which stand in the column `by`."""
        in_order = sorted(ids)
        for start in range(0, len(in_order), _MAX_LOOKUP):
            part = in_order[start : start + _MAX_LOOKUP]
            yield from self.execute(f"{sql} WHERE {by} IN ({','.join('?' * len(part))})", *part)

    def cursor(self, sql: str) -> Iterator[Any]:
        """Yield the rows of a query as they are read."""
        try:
            yield from self._database.execute(sql)
        except (self._database.Error, UnicodeDecodeError) as error:
            raise _state_error(database_error(error, "state")) from None

    def many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        """Execute a statement for each of the values."""
        if values:
            try:
                self._database.executemany(sql, values)
            except (self._database.Error, UnicodeDecodeError) as error:
                raise _state_error(database_error(error, "state")) from None

    def execute(self, sql: str, *values: Any) -> list[Any]:
        """Execute a statement and return its rows."""
        try:
            return self._database.execute(sql, values).fetchall()
        except (self._database.Error, UnicodeDecodeError) as error:
            raise _state_error(database_error(error, "state")) from None

    def number(self, name: str) -> int:
        """Return a number of the header, 0 if it is not there."""
        found = self.execute("SELECT value FROM header WHERE name = ?", name)
        return int(found[0][0]) if found else 0

    def set_number(self, name: str, value: int) -> None:
        """Write a number into the header."""
        self.execute("INSERT OR REPLACE INTO header VALUES (?, ?)", name, str(value))

    def size(self) -> int:
        """Return how many bytes the file takes."""
        pages, page_bytes = self.execute("PRAGMA page_count"), self.execute("PRAGMA page_size")
        return int(pages[0][0]) * int(page_bytes[0][0])

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except (self._database.Error, UnicodeDecodeError) as error:
            raise _state_error(database_error(error, "state")) from None


def _mismatch(name: str, stored: bytes) -> DeltaStateMismatchError:
    """Return the error of a state whose header says something else of a name than the call does."""
    if name in _OTHERS:
        made, advice = _OTHERS[name]
        made = made.format(stored=stored.decode(errors="replace"))
    elif stored == b"true":
        made, advice = f"with {name}=True, and this call is without", f"give {name}=True too"
    else:
        made, advice = f"without {name}=True, and this call has it", f"leave {name}=True out"
    otherwise = "name another file, or give full=True, which begins anew and sends all rows"
    return DeltaStateMismatchError(f"the state was made {made}; nothing was sent: {advice}, {otherwise}")


def damaged() -> DeltaStateError:
    """Return the error of a state whose content cannot be."""
    return _state_error(DatabaseFileError("the state is damaged", "damaged"))


def _state_error(error: DatabaseFileError) -> DeltaStateError:
    return DeltaStateError(f"{error}; {_ADVICE[error.kind]}")


_DIGEST_CHECK: Final = "key of the digests"
_OTHERS: Final[Mapping[str, tuple[str, str]]] = {
    "key field": ("for the key field {stored}, and this call has another", "give that key field"),
    "server": ("for another server, and confirms nothing of this one", "use a client of that server"),
    "mapping": ("from rows of another mapping, or of none", "read the rows by that mapping"),
    _DIGEST_CHECK: ("with another secret, or without one", "set SYNERISE_STATE_KEY as it was then"),
}
"""What is said of a header that is of another input: how the state was made, and what to do."""
_NEW_FILE_TEXT: Final = "give the name of a file that is not there yet, with which all rows are sent"
_ADVICE: Final[Mapping[FaultKind, str]] = {
    "foreign": "give the name of another file",
    "version": _NEW_FILE_TEXT,
    "damaged": f"nothing of it is believed; {_NEW_FILE_TEXT}",
    "locked": "another run has it open; wait for its end",
    "unusable": "make room, and repeat the call: what was confirmed is not sent again",
    "forbidden": "give the name of a file in a folder that can be written",
}
