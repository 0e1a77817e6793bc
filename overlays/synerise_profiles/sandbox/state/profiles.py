"""Profiles in SQLite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import orjson

from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.rules.matching import Keys
from synerise_profiles.sandbox.rules.profiles import Profile

from .database import Database, Row, json_text

FIRST_ID = 434_428_001
COLUMNS = {"clientId": "client_id", "uuid": "uuid", "customId": "custom_id", "email": "email", "phone": "phone"}
_SELECT = "SELECT client_id, uuid, email, custom_id, phone, created, data FROM profiles"
_OWNED = ("tag_assignments", "events", "transactions", "records")


class Profiles:
    """Find, save, merge and delete profiles."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def __len__(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM profiles")[0][0])

    def __iter__(self) -> Iterator[Profile]:
        return (_profile(row) for row in self._db.rows(_SELECT + " ORDER BY client_id"))

    def get(self, client_id: int) -> Profile | None:
        """The profile with this clientId."""
        return self.find("clientId", client_id)

    def find(self, identifier: str, value: object) -> Profile | None:
        """The profile with this identifier (its name on the wire); of several, the oldest."""
        found = self.all_with(identifier, value, 1)
        return found[0] if found else None

    def all_with(self, identifier: str, value: object, limit: int = -1) -> list[Profile]:
        """All profiles with this identifier; only a phone can have more than one."""
        sql = f"{_SELECT} WHERE {COLUMNS[identifier]} = ? ORDER BY client_id LIMIT ?"
        return [_profile(row) for row in self._db.rows(sql, (value, limit))]

    def load(self, keys: Keys) -> list[Profile]:
        """Every profile that one of these identifiers names, each once."""
        wanted: list[tuple[str, Collection[Any]]] = [
            ("client_id", keys.ids),
            ("uuid", keys.uuids),
            ("email", keys.emails),
            ("custom_id", keys.custom_ids),
            ("phone", keys.phones),
        ]
        used = [(column, values) for column, values in wanted if values]
        if not used:
            return []
        lookup = "SELECT client_id FROM profiles WHERE {} IN (SELECT value FROM json_each(?))"
        parts = [lookup.format(column) for column, _ in used]
        sql = f"{_SELECT} WHERE client_id IN ({' UNION '.join(parts)}) ORDER BY client_id"
        return [_profile(row) for row in self._db.rows(sql, [json_text(values) for _, values in used])]

    def next_id(self) -> int:
        """The clientId of the next new profile."""
        return self._db.counter("client_id", FIRST_ID)

    def save(self, profiles: Iterable[Profile], next_id: int | None = None) -> None:
        """Store profiles, new ones and changed ones; the caller holds the transaction."""
        fresh: list[Row] = []
        moved: list[Row] = []
        changed: list[Row] = []
        for item in profiles:
            data = orjson.dumps(item.data).decode()
            if item.fresh:
                fresh.append((item.client_id, item.uuid, item.email, item.custom_id, item.phone, item.created, data))
            elif item.moved:
                moved.append((item.client_id, item.uuid, item.email, item.custom_id, item.phone, data))
            else:
                changed.append((data, item.client_id))
        if changed:
            self._db.run_many("UPDATE profiles SET data = ? WHERE client_id = ?", changed)
        if moved:
            self._move(moved)
        if fresh:
            self._db.run_many("INSERT INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?)", fresh)
        if next_id is not None and fresh:
            self._db.set_counter("client_id", next_id)

    def _move(self, moved: list[Row]) -> None:
        """Free all the old identifiers first: an item may take over what an earlier one gave up."""
        free = "UPDATE profiles SET uuid = NULL, email = NULL, custom_id = NULL WHERE client_id = ?"
        self._db.run_many(free, [(row[0],) for row in moved])
        sql = "UPDATE profiles SET uuid = ?2, email = ?3, custom_id = ?4, phone = ?5, data = ?6 WHERE client_id = ?1"
        self._db.run_many(sql, moved)

    def delete(self, client_id: int) -> None:
        """Remove a profile and all that hangs on it; the caller holds the transaction."""
        for table in ("profiles", *_OWNED):
            self._db.run(f"DELETE FROM {table} WHERE client_id = ?", (client_id,))  # noqa: S608 - names are constants

    def absorb(self, target: int, sources: list[int]) -> None:
        """Give the history of the sources to the target and remove them; their tags are lost."""
        values = (json_text(sources),)
        self._db.run("DELETE FROM tag_assignments WHERE client_id IN (SELECT value FROM json_each(?))", values)
        for table in ("events", "transactions", "records"):
            sql = f"UPDATE {table} SET client_id = ? WHERE client_id IN (SELECT value FROM json_each(?))"  # noqa: S608 - see above
            self._db.run(sql, (target, *values))
        self._db.run("DELETE FROM profiles WHERE client_id IN (SELECT value FROM json_each(?))", values)


def _profile(row: Row) -> Profile:
    data: Json = orjson.loads(row[6])
    return Profile(row[0], row[1], row[2], row[3], row[4], row[5], data)
