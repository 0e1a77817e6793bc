"""A document store for what needs no table of its own: notes, exports, accounts, API keys, revocations."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import orjson

from synerise_profiles.sandbox.schemas import Json

from .database import Database, json_text


class RecordStore:
    """JSON documents by kind and id; those of a profile go with it."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def put(self, kind: str, record_id: str, data: Json, client_id: int | None = None) -> None:
        """Store a document; one with the same kind and id is replaced."""
        values = (kind, record_id, client_id, json_text(data))
        self._db.execute("INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?)", values)

    def get(self, kind: str, record_id: str, client_id: int | None = None) -> Json | None:
        """The document, if there is one and it is this profile's."""
        sql = "SELECT data FROM records WHERE kind = ? AND id = ? AND client_id IS coalesce(?, client_id)"
        row = self._db.row(sql, (kind, record_id, client_id))
        return None if row is None else orjson.loads(row[0])

    def of_profile(self, kind: str, client_id: int) -> list[Json]:
        """The documents of a profile."""
        sql = "SELECT data FROM records WHERE kind = ? AND client_id = ? ORDER BY id"
        return [orjson.loads(row[0]) for row in self._db.rows(sql, (kind, client_id))]

    def delete(self, kind: str, record_id: str, client_id: int | None = None) -> bool:
        """Remove a document; whether it was there."""
        sql = "DELETE FROM records WHERE kind = ? AND id = ? AND client_id IS coalesce(?, client_id)"
        return self._db.execute(sql, (kind, record_id, client_id)) > 0

    def next_id(self, kind: str) -> str:
        """A new id in the shape of a uuid, counting up."""
        number = self._db.counter(kind, 1)
        self._db.set_counter(kind, number + 1)
        return f"00000000-0000-4000-9000-{number:012d}"

    def put_rows(self, task_id: str, rows: Iterable[Json]) -> int:
        """Store the rows of an export; how many there are."""
        stored = 0
        for page in _pages(rows):
            values = [(task_id, stored + index, json_text(row)) for index, row in enumerate(page)]
            self._db.execute_many("INSERT INTO export_rows VALUES (?, ?, ?)", values)
            stored += len(values)
        return stored

    def page(self, task_id: str, offset: int, limit: int) -> list[Json]:
        """Some of the rows of an export."""
        sql = "SELECT data FROM export_rows WHERE task_id = ? AND position >= ? ORDER BY position LIMIT ?"
        return [orjson.loads(row[0]) for row in self._db.rows(sql, (task_id, offset, limit))]


def _pages(rows: Iterable[Json], size: int = 1000) -> Iterator[list[Json]]:
    """The rows in lists of bounded length, so that a large export does not stand in memory."""
    remaining = iter(rows)
    while page := list(islice(remaining, size)):
        yield page
