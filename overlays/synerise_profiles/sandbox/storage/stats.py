"""Statistics of the whole state: counts by kind, action and order, the newest entries; and emptying it."""

from __future__ import annotations

from collections.abc import Collection

import orjson

from synerise_profiles.sandbox.clock import iso_of
from synerise_profiles.sandbox.schemas import Json

from .database import Database, json_text

_COUNTED_TABLES = ("profiles", "events", "transactions", "tags")
_KEPT_TABLES = frozenset({"settings", "counters"})
_CREDENTIAL_KINDS = "'api-key', 'ended'"
"""Kinds of records that outlive the data as well: what was revoked must stay revoked."""


class StateOverview:
    """Counts and newest entries of all kinds, for the control API; safe from any thread."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def counts(self) -> dict[str, int]:
        """How many there are of each kind."""
        return {name: self._db.rows(f"SELECT count(*) FROM {name}")[0][0] for name in _COUNTED_TABLES}  # noqa: S608 - constants

    def newest_profiles(self, limit: int) -> list[int]:
        """The clientIds that were given last, newest first."""
        sql = "SELECT client_id FROM profiles ORDER BY client_id DESC LIMIT ?"
        return [row[0] for row in self._db.rows(sql, (limit,))]

    def newest_events(self, limit: int) -> list[Json]:
        """The events that were stored last, newest first."""
        sql = "SELECT uuid, client_id, action, time, params FROM events ORDER BY seq DESC LIMIT ?"
        return [
            {
                "uuid": uuid,
                "clientId": client_id,
                "action": action,
                "time": iso_of(time),
                "params": orjson.loads(params),
            }
            for uuid, client_id, action, time, params in self._db.rows(sql, (limit,))
        ]

    def clear(self) -> None:
        """Remove all but what outlives the data: settings, credentials, and counters, so that no id is given twice."""
        tables = [row[0] for row in self._db.rows("SELECT name FROM sqlite_master WHERE type = 'table'")]
        with self._db.transaction():
            for name in tables:
                if name not in _KEPT_TABLES and not name.startswith("sqlite_"):
                    condition = f" WHERE kind NOT IN ({_CREDENTIAL_KINDS})" if name == "records" else ""
                    self._db.execute(f'DELETE FROM "{name}"{condition}')  # noqa: S608 - names from the schema, and a constant


class RecordCounts:
    """Counts of events and transactions: tests prove by them that nothing was lost or kept twice."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def events(self, *, action: str | None = None, client_id: int | None = None) -> int:
        """How many events there are, of one action or of one profile where it is given."""
        sql = "SELECT count(*) FROM events WHERE action = coalesce(?, action) AND client_id = coalesce(?, client_id)"
        return self._count(sql, action, client_id)

    def events_by_action(self) -> dict[str, int]:
        """How many events there are of each action."""
        return dict(self._db.rows("SELECT action, count(*) FROM events GROUP BY action ORDER BY action"))

    def known_events(self, uuids: Collection[str]) -> set[str]:
        """Which of these uuids are those of events; an event is kept once, however often it was sent."""
        sql = "SELECT uuid FROM events WHERE uuid IN (SELECT value FROM json_each(?))"
        return {row[0] for row in self._db.rows(sql, (json_text(list(uuids)),))}

    def transactions(self, *, order_id: str | None = None) -> int:
        """How many transactions there are, of one order where it is given."""
        return self._count("SELECT count(*) FROM transactions WHERE order_id = coalesce(?, order_id)", order_id)

    def transactions_by_order(self) -> dict[str, int]:
        """How many transactions there are of each order; more than one where an order was sent again without a salt."""
        return dict(self._db.rows("SELECT order_id, count(*) FROM transactions GROUP BY order_id ORDER BY order_id"))

    def _count(self, sql: str, *values: str | int | None) -> int:
        return int(self._db.rows(sql, values)[0][0])
