"""The table of profiles: identifiers are columns, so that matching is an index lookup; all else is one JSON column."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson

from synerise_profiles.sandbox.domain.matching import LookupKeys
from synerise_profiles.sandbox.domain.profiles import StoredProfile
from synerise_profiles.sandbox.schemas import Json

from .database import Database, DatabaseRow, json_text

FIRST_CLIENT_ID = 434_428_001
IDENTIFIER_COLUMNS = {
    "clientId": "client_id",
    "uuid": "uuid",
    "customId": "custom_id",
    "email": "email",
    "phone": "phone",
}
_SELECT = "SELECT client_id, uuid, email, custom_id, phone, created, data FROM profiles"
_OWNED_TABLES = ("tag_assignments", "events", "transactions", "records", "devices", "aliases")
_MERGED_TABLES = ("events", "transactions", "records", "devices", "aliases")
_PAGE_ROWS = 1000
_MAX_INTEGER = 2**63 - 1


class ProfileStore:
    """Finds, saves, merges and deletes profiles."""

    def __init__(self, database: Database) -> None:
        self._db = database
        # Of this state alone: a uuid that was copied from another sandbox must not be given again by this one.
        # The last of its five groups is the clientId.
        prefix = str(uuid.uuid4()).rpartition("-")[0] + "-"
        self.uuid_prefix = database.setting("uuid_prefix", prefix)

    def __len__(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM profiles")[0][0])

    def __iter__(self) -> Iterator[StoredProfile]:
        """All of them by clientId, a page at a time."""
        sql = f"{_SELECT} WHERE client_id > ? ORDER BY client_id LIMIT {_PAGE_ROWS}"
        last = -1
        while rows := self._db.rows(sql, (last,)):
            last = rows[-1][0]
            yield from map(_profile, rows)

    def get(self, client_id: int) -> StoredProfile | None:
        """The profile with this clientId."""
        return self.find("clientId", client_id)

    def find(self, identifier: str, value: object) -> StoredProfile | None:
        """The profile with this identifier (its name on the wire); of several, the oldest."""
        found = self.find_all(identifier, value, 1)
        if not found and identifier == "uuid":
            row = self._db.row("SELECT client_id FROM aliases WHERE uuid = ?", (value,))
            return None if row is None else self.get(row[0])
        return found[0] if found else None

    def find_all(self, identifier: str, value: object, limit: int = -1) -> list[StoredProfile]:
        """All profiles with this identifier, the oldest first; only phones and e-mail addresses can repeat."""
        if isinstance(value, int) and abs(value) > _MAX_INTEGER:
            return []
        sql = f"{_SELECT} WHERE {IDENTIFIER_COLUMNS[identifier]} = ? ORDER BY client_id LIMIT ?"
        return [_profile(row) for row in self._db.rows(sql, (value, limit))]

    def uuids(self, client_id: int) -> list[str]:
        """All uuids that find this profile, the one that is shown first."""
        shown = [row[0] for row in self._db.rows("SELECT uuid FROM profiles WHERE client_id = ?", (client_id,))]
        sql = "SELECT uuid FROM aliases WHERE client_id = ? ORDER BY uuid"
        return shown + [row[0] for row in self._db.rows(sql, (client_id,))]

    def load(self, keys: LookupKeys) -> tuple[list[StoredProfile], dict[str, int]]:
        """Every profile that one of these identifiers names, each once; the owners of uuids that are not shown."""
        aliases: dict[str, int] = {}
        if keys.uuids:
            sql = "SELECT uuid, client_id FROM aliases WHERE uuid IN (SELECT value FROM json_each(?))"
            aliases.update(self._db.rows(sql, (json_text(keys.uuids),)))
        found: dict[int, StoredProfile] = {}
        self._load(found, "client_id", [*keys.ids, *aliases.values()] if aliases else keys.ids)
        # What is unique is looked up only where no profile at hand has it: mostly all identifiers of an item are one's.
        self._load(found, "custom_id", keys.custom_ids)
        self._load(found, "uuid", _without(keys.uuids, (profile.uuid for profile in found.values())))
        self._load(found, "email", _without(keys.emails, (profile.email for profile in found.values())))
        self._load(found, "phone", keys.phones)
        return sorted(found.values(), key=lambda profile: profile.client_id), aliases

    def next_id(self) -> int:
        """The clientId of the next new profile."""
        return self._db.counter("client_id", FIRST_CLIENT_ID)

    def save(self, profiles: Iterable[StoredProfile], next_id: int | None = None) -> None:
        """Store profiles, new ones and changed ones; the caller holds the transaction."""
        fresh: list[DatabaseRow] = []
        moved: list[DatabaseRow] = []
        changed: list[DatabaseRow] = []
        dumps = orjson.dumps
        for item in profiles:
            data = dumps(item.data).decode()
            if item.fresh:
                fresh.append((item.client_id, item.uuid, item.email, item.custom_id, item.phone, item.created, data))
            elif item.identifiers_changed:
                moved.append((item.uuid, item.email, item.custom_id, item.phone, data, item.client_id))
            else:
                changed.append((data, item.client_id))
        if changed:
            self._db.execute_many("UPDATE profiles SET data = ? WHERE client_id = ?", changed)
        if moved:
            self._update_identifiers(moved)
        if fresh:
            self._db.execute_many("INSERT INTO profiles VALUES (?, ?, ?, ?, ?, ?, ?)", fresh)
        if next_id is not None and fresh:
            self._db.set_counter("client_id", next_id)

    def add_aliases(self, aliases: Mapping[str, int]) -> None:
        """Store further uuids of profiles; the caller holds the transaction."""
        self._db.execute_many("INSERT OR REPLACE INTO aliases VALUES (?, ?)", list(aliases.items()))

    def delete(self, client_id: int) -> bool:
        """Remove a profile and all that belongs to it; False when there was none. The caller holds the transaction."""
        for table in _OWNED_TABLES:
            self._db.execute(f"DELETE FROM {table} WHERE client_id = ?", (client_id,))  # noqa: S608 - names are constants
        return self._db.execute("DELETE FROM profiles WHERE client_id = ?", (client_id,)) > 0

    def absorb(self, target: int, sources: list[int]) -> None:
        """Give the uuids and the history of the sources to the target and remove them; their tags are lost."""
        values = (json_text(sources),)
        among = "client_id IN (SELECT value FROM json_each(?))"
        self._db.execute(f"DELETE FROM tag_assignments WHERE {among}", values)  # noqa: S608 - no value is in it
        for table in _MERGED_TABLES:
            self._db.execute(f"UPDATE {table} SET client_id = ? WHERE {among}", (target, *values))  # noqa: S608 - see above
        self._db.execute(
            f"INSERT OR REPLACE INTO aliases SELECT uuid, ? FROM profiles WHERE {among}",  # noqa: S608 - see above
            (target, *values),
        )
        self._db.execute(f"DELETE FROM profiles WHERE {among}", values)  # noqa: S608 - see above

    def _load(self, found: dict[int, StoredProfile], column: str, values: Sequence[Any]) -> None:
        if not values:
            return
        if len(values) == 1 and isinstance(values[0], str):
            sql = f"{_SELECT} WHERE {column} = ?"
            rows = self._db.rows(sql, values)
        else:
            sql = f"{_SELECT} WHERE {column} IN (SELECT value FROM json_each(?))"  # noqa: S608 - names are constants
            rows = self._db.rows(sql, (json_text(values),))
        for row in rows:
            if row[0] not in found:
                found[row[0]] = _profile(row)

    def _update_identifiers(self, moved: list[DatabaseRow]) -> None:
        """Free all the old identifiers first: an item may take over what an earlier one gave up."""
        free = "UPDATE profiles SET uuid = NULL, custom_id = NULL WHERE client_id = ?"
        self._db.execute_many(free, [(row[-1],) for row in moved])
        sql = "UPDATE profiles SET uuid = ?, email = ?, custom_id = ?, phone = ?, data = ? WHERE client_id = ?"
        self._db.execute_many(sql, moved)


def _without(values: Sequence[str], known: Iterable[str | None]) -> Sequence[str]:
    there = set(known)
    return [value for value in values if value not in there] if there else values


def _profile(row: DatabaseRow) -> StoredProfile:
    data: Json = orjson.loads(row[6])
    return StoredProfile(row[0], row[1], row[2], row[3], row[4], row[5], data)
