"""How many there are of what: for a test's proof that nothing was lost and nothing was kept twice. Reads only."""

from __future__ import annotations

from collections.abc import Collection

from .database import Database, json_text


class RecordCounts:
    """Counts of events and transactions; safe from any thread."""

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
