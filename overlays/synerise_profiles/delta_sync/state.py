"""The state of delta sync: a SQLite file that says, for each key, as which content the server confirmed its row.

How the state works. An entry is found by a keyed digest of the row's key (63 bits) and holds a keyed digest of the
row's canonical bytes (96 bits), its number, by which it is marked as seen, and a bitmap of the fields that were sent.
Before a changed row is sent, its entry is written as in doubt (write-ahead): its digest is zero, so that it is sent
again whatever the next table says, until the server confirms one. So a crash at any moment costs rows that are sent
twice, and never one that is believed and not there; nor does a row that goes back to what it was pass for unchanged
after an attempt of which no answer is known. A digest that was damaged, or two keys of one number, are no danger
either: the row differs from its entry then, and is sent.

Why SQLite. The rows of a run are confirmed in any order while others are compared, so the file has to take writes at
random places and survive the end of the process between any two of them. A write-ahead log with checksums does that,
is part of Python, and has been proved by others. Sorted buckets with an appended log compare about twice as many rows a
second, and leave the same to be proved here. So the file is read once, from start to end, into `ConfirmedDigests`,
by which unchanged rows are known at the speed of such buckets; the file is the authority for all others. Those are
looked up by blocks, in the order of their numbers, since one by one they would cost several times as much. The number
is the row number of the table, which SQLite stores once and searches fastest.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from synerise_profiles._core.files import DatabaseFile, DatabaseFileError, FaultKind, database_error, refused, target_of
from synerise_profiles_api.errors import SyneriseError

from .confirmed_digests import ConfirmedDigests

__all__ = [
    "DIGEST_BYTES",
    "DeltaState",
    "DeltaStateError",
    "DeltaStateMismatchError",
    "Digests",
    "mask_bytes",
    "state_target",
]

DIGEST_BYTES: Final = 12
_APPLICATION_ID: Final = 0x53504453
"""Stands in the header of the file, and says that it is a state of this library."""
_VERSION: Final = 1
_MAX_LOOKUP: Final = 2000
_MAX_ENTRY_BYTES: Final = 37
"""A state with more bytes an entry than this is packed at the end of a run."""
_MIN_PACKED_ENTRIES: Final = 10_000
_PAGE_CACHE_KIB: Final = 32_000
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS header (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS entries (id INTEGER PRIMARY KEY, value BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS fields (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE IF NOT EXISTS cleared (id INTEGER PRIMARY KEY, mask BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS refused (id INTEGER PRIMARY KEY, digest BLOB NOT NULL, attempts INTEGER NOT NULL)",
    "CREATE TABLE IF NOT EXISTS keys (id INTEGER PRIMARY KEY, key BLOB NOT NULL)",
)
_CONTENTS: Final = ("entries", "fields", "cleared", "refused", "keys", "header")


class DeltaStateError(SyneriseError):
    """The state cannot be used: it is no state, damaged, in use, of another version, or the disk is full.

    The text says what to do. What the server confirmed before is known all the same, if the state can be opened later.
    """


class DeltaStateMismatchError(DeltaStateError, ValueError):
    """The state belongs to another mapping, server, key field or secret. Nothing was sent; `full=True` begins anew."""


class Digests:
    """Digests of keys and rows, keyed by a secret, so that nobody without it can find out what a row held."""

    def __init__(self, secret: bytes) -> None:
        self._secret = hashlib.sha256(secret).digest()
        self.content_start = hashlib.blake2b(b"\0", digest_size=DIGEST_BYTES, key=self._secret)
        """Where the digest of each row starts: the secret is worked off, which would take half of the time."""

    def number(self, key: bytes) -> int:
        """Return the number of a key."""
        digest = hashlib.blake2b(key, digest_size=8, key=self._secret, person=b"key").digest()
        return int.from_bytes(digest, "big", signed=True)

    def content(self, data: bytes) -> bytes:
        """Return the digest of a row."""
        digest = self.content_start.copy()
        digest.update(data)
        return digest.digest()


def state_target(path: object) -> Path:
    """Return the file of a state; nothing is touched. Raises InvalidRequestError for what would keep nothing."""
    if path == ":memory:":
        raise refused("state", "is no file and would keep nothing; give the name of one")
    return target_of(path, "state")


class DeltaState:
    """The entries of one file, which no other run may have open meanwhile. Whatever is wrong is a DeltaStateError.

    `header` is what another run must have in common with the one that made the file. With `is_plan` nothing of it is
    changed; `full` begins anew.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        header: Mapping[str, Any],
        secret: bytes | None,
        *,
        full: bool = False,
        is_plan: bool = False,
    ) -> None:
        try:
            self._file = DatabaseFile(
                state_target(path), "state", application_id=_APPLICATION_ID, version=_VERSION, is_exclusive=True
            )
        except DatabaseFileError as error:
            raise _state_error(error) from None
        self._database = self._file.connection
        self._hides_entries = is_plan and full
        try:
            self._execute(f"PRAGMA cache_size = -{_PAGE_CACHE_KIB}")
            self.digests = self._prepare(header, secret, full=full, is_plan=is_plan)
            self._load()
        except BaseException:
            self._file.close()
            raise

    def _load(self) -> None:
        self.count: int = 0 if self._hides_entries else self._execute("SELECT count(*) FROM entries")[0][0]
        self.names: list[str] = [name for (name,) in self._execute("SELECT name FROM fields ORDER BY number")]
        self._numbers = {name: number for number, name in enumerate(self.names)}
        last = self._execute("SELECT max(substr(value, 13, 4)) FROM entries")[0][0]
        self.slots: int = 0 if last is None else int.from_bytes(last, "big") + 1
        self.has_refused = bool(self._execute("SELECT 1 FROM refused LIMIT 1"))
        self.has_cleared = bool(self._execute("SELECT 1 FROM cleared LIMIT 1"))

    def confirmed(self) -> ConfirmedDigests:
        """Return the digests of the rows that were confirmed, but those of which a field was sent and is empty."""
        if self._hides_entries:
            return ConfirmedDigests((), 0)
        sql = "SELECT substr(value, 1, 16) FROM entries WHERE typeof(value) = 'blob' AND length(value) >= 16"
        if self.has_cleared:
            sql += " AND id NOT IN (SELECT id FROM cleared)"
        return ConfirmedDigests(self._cursor(sql), self.count)

    def known(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return the entries of these numbers."""
        return {} if self._hides_entries else dict(self._select("SELECT id, value FROM entries", ids))

    def cleared(self, ids: Iterable[int]) -> dict[int, int]:
        """Return which fields of these rows were sent once and are empty, by their masks."""
        if not self.has_cleared or self._hides_entries:
            return {}
        found = self._select("SELECT id, mask FROM cleared", ids)
        return {number: int.from_bytes(mask, "little") for number, mask in found}

    def refused(self, ids: Iterable[int]) -> dict[int, tuple[bytes, int]]:
        """Return the digest of what was refused of these rows last, and how often."""
        if not self.has_refused or self._hides_entries:
            return {}
        return {number: (digest, n) for number, digest, n in self._select("SELECT * FROM refused", ids)}

    def field_bit(self, name: str) -> int:
        """Return the bit of a field in the masks."""
        number = self._numbers.get(name)
        if number is None:
            number = self._numbers[name] = len(self.names)
            self.names.append(name)
        return 1 << number

    def write(
        self,
        entries: Sequence[tuple[int, bytes]],
        *,
        removed: Sequence[int] = (),
        keys: Sequence[tuple[int, bytes]] = (),
        cleared: Sequence[tuple[int, int]] = (),
        refused: Sequence[tuple[int, bytes]] = (),
        accepted: Sequence[int] = (),
    ) -> None:
        """Write entries in one transaction: all of it survives the end of the process, or nothing of it is there."""
        one = [(number,) for number in removed]
        self._execute("BEGIN IMMEDIATE")
        try:
            stored = self._execute("SELECT count(*) FROM fields")[0][0]
            self._many("INSERT INTO fields VALUES (?, ?)", [*enumerate(self.names)][stored:])
            self._many("INSERT OR REPLACE INTO entries VALUES (?, ?)", entries)
            self._many("INSERT OR REPLACE INTO keys VALUES (?, ?)", keys)
            for table in ("entries", "keys", "cleared"):
                self._many(f"DELETE FROM {table} WHERE id = ?", one)  # noqa: S608 - names of this module
            self._write_cleared(cleared)
            self._many(
                "INSERT INTO refused VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET "
                "attempts = CASE WHEN digest = excluded.digest THEN attempts + 1 ELSE 1 END, digest = excluded.digest",
                refused,
            )
            if self.has_refused:
                self._many("DELETE FROM refused WHERE id = ?", [(number,) for number in accepted])
            self._execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.rollback()
            raise
        self.has_refused = self.has_refused or bool(refused)

    def unseen(self, seen: bytearray) -> Iterator[int]:
        """Yield the numbers of the entries that are not marked."""
        if self._hides_entries:
            return
        for number, value in self._cursor("SELECT id, value FROM entries"):
            if not seen[int.from_bytes(value[DIGEST_BYTES : DIGEST_BYTES + 4], "big")]:
                yield number

    def key_of(self, number: int) -> Any:
        """Return the key of an entry; None if it is not kept, or is not the one that the entry was made for."""
        found = self._execute("SELECT key FROM keys WHERE id = ?", number)
        if not found or found[0][0].__class__ is not bytes or self.digests.number(found[0][0]) != number:
            return None
        return orjson.loads(found[0][0])

    def note_planned(self, entries: Sequence[tuple[int, bytes]]) -> None:
        """Remember what a run would send, so that a key that comes twice is seen; gone when the state is closed."""
        self._execute("CREATE TEMP TABLE IF NOT EXISTS planned (id INTEGER PRIMARY KEY, value BLOB NOT NULL)")
        self._many("INSERT OR REPLACE INTO temp.planned VALUES (?, ?)", entries)

    def planned(self, ids: Iterable[int]) -> dict[int, bytes]:
        """Return what `note_planned` remembered of these numbers."""
        return dict(self._select("SELECT id, value FROM temp.planned", ids))

    def pack(self) -> None:
        """Write the file anew, without the room between its entries, where there is too much of it."""
        size = self._execute("PRAGMA page_count")[0][0] * self._execute("PRAGMA page_size")[0][0]
        entries = self._execute("SELECT count(*) FROM entries")[0][0]
        if entries >= _MIN_PACKED_ENTRIES and size > entries * _MAX_ENTRY_BYTES:
            self._execute("VACUUM")

    def close(self) -> None:
        """Close the file."""
        try:
            self._file.close()
        except self._database.Error as error:
            raise _state_error(database_error(error, "state")) from None

    def _prepare(self, header: Mapping[str, Any], secret: bytes | None, *, full: bool, is_plan: bool) -> Digests:
        self._execute("BEGIN IMMEDIATE")
        for statement in _SCHEMA:
            self._execute(statement)
        stored: dict[str, bytes] = dict(self._execute("SELECT name, value FROM header"))
        if not stored and self._execute("SELECT 1 FROM entries LIMIT 1"):
            raise _state_error(DatabaseFileError("the state is damaged", "damaged"))
        if full and not is_plan:
            for table in _CONTENTS:
                self._execute(f"DELETE FROM {table}")  # noqa: S608 - names of this module
            stored = {}
        own = stored.get("secret") or os.urandom(32)
        digests = Digests(own if secret is None else secret)
        wanted = {name: orjson.dumps(value) for name, value in header.items()}
        wanted["key of the digests"] = digests.content(b"synerise-profiles")
        if not stored:
            pairs = [*wanted.items(), *([("secret", own)] if secret is None else [])]
            self._many("INSERT INTO header VALUES (?, ?)", pairs)
        elif not full and (name := next((name for name in wanted if stored.get(name) != wanted[name]), None)):
            problem = (
                f"the state was made with another {name}; nothing was sent; full=True begins anew, and sends all rows"
            )
            raise DeltaStateMismatchError(problem)
        self._execute("COMMIT")
        return digests

    def _write_cleared(self, cleared: Sequence[tuple[int, int]]) -> None:
        if self.has_cleared:
            self._many("DELETE FROM cleared WHERE id = ?", [(number,) for number, mask in cleared if not mask])
        found = [(number, mask_bytes(mask)) for number, mask in cleared if mask]
        self._many("INSERT OR REPLACE INTO cleared VALUES (?, ?)", found)
        self.has_cleared = self.has_cleared or bool(found)

    def _select(self, sql: str, ids: Iterable[int]) -> Iterator[Any]:
        in_order = sorted(ids)
        for start in range(0, len(in_order), _MAX_LOOKUP):
            part = in_order[start : start + _MAX_LOOKUP]
            yield from self._execute(f"{sql} WHERE id IN ({','.join('?' * len(part))})", *part)

    def _cursor(self, sql: str) -> Iterator[Any]:
        try:
            yield from self._database.execute(sql)
        except self._database.Error as error:
            raise _state_error(database_error(error, "state")) from None

    def _many(self, sql: str, values: Sequence[Sequence[Any]]) -> None:
        if values:
            try:
                self._database.executemany(sql, values)
            except self._database.Error as error:
                raise _state_error(database_error(error, "state")) from None

    def _execute(self, sql: str, *values: Any) -> list[Any]:
        try:
            return self._database.execute(sql, values).fetchall()
        except self._database.Error as error:
            raise _state_error(database_error(error, "state")) from None


def mask_bytes(mask: int) -> bytes:
    """Write a mask in as few bytes as it takes."""
    return mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def _state_error(error: DatabaseFileError) -> DeltaStateError:
    return DeltaStateError(f"{error}; {_ADVICE[error.kind]}")


_NEW_FILE_TEXT: Final = "give the name of a file that is not there yet, with which all rows are sent"
_ADVICE: Final[Mapping[FaultKind, str]] = {
    "foreign": "give the name of another file",
    "version": _NEW_FILE_TEXT,
    "damaged": f"nothing of it is believed; {_NEW_FILE_TEXT}",
    "locked": "another run has it open; wait for its end",
    "unusable": "make room, and repeat the call: what was confirmed is not sent again",
}
