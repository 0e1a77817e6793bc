"""The tables of events and transactions.

The uuid of an event is derived from its salt, so that saving it again overwrites: the key does what the API promises.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from synerise_profiles.sandbox.clock import iso_of
from synerise_profiles.sandbox.domain.events import StoredEvent
from synerise_profiles.sandbox.schemas import Json

from .database import Database, json_text

_SAVE = (
    "INSERT INTO events (uuid, client_id, action, time, params) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (uuid) DO UPDATE SET client_id = excluded.client_id, action = excluded.action,"
    " time = excluded.time, params = excluded.params"
)


class EventStore:
    """Saves events, lists those of a profile."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def __len__(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM events")[0][0])

    def save(self, events: Iterable[StoredEvent]) -> None:
        """Store events; one with a known uuid overwrites. The caller holds the transaction."""
        rows = [(e.uuid, e.client_id, e.action, e.time, orjson.dumps(e.params).decode()) for e in events]
        self._db.execute_many(_SAVE, rows)

    def of_profile(
        self,
        client_id: int,
        *,
        since: int | None = None,
        until: int | None = None,
        action: str | None = None,
        limit: int | None = None,
    ) -> list[StoredEvent]:
        """The events of a profile from the oldest on; `since` and `until` in milliseconds, both included."""
        sql = (
            "SELECT uuid, client_id, action, time, params FROM events WHERE client_id = ?"
            " AND time >= coalesce(?, time) AND time <= coalesce(?, time) AND action = coalesce(?, action)"
            " ORDER BY time, seq LIMIT ?"
        )
        values = (client_id, since, until, action, -1 if limit is None else limit)
        return [StoredEvent(row[0], row[1], row[2], row[3], orjson.loads(row[4])) for row in self._db.rows(sql, values)]


class TransactionStore:
    """Saves transactions, lists those of a profile."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def __len__(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM transactions")[0][0])

    def save(self, charges: Iterable[tuple[StoredEvent, Json]]) -> None:
        """Store transactions under the uuid of their charge. The caller holds the transaction."""
        rows = [(e.uuid, e.client_id, item["orderId"], e.time, json_text(item)) for e, item in charges]
        self._db.execute_many("INSERT OR REPLACE INTO transactions VALUES (?, ?, ?, ?, ?)", rows)

    def of_profile(self, client_id: int) -> list[Json]:
        """The transactions of a profile as they were sent, from the oldest on, each with the time that counts."""
        sql = "SELECT time, data FROM transactions WHERE client_id = ? ORDER BY time, uuid"
        return [{**orjson.loads(data), "recordedAt": iso_of(time)} for time, data in self._db.rows(sql, (client_id,))]
