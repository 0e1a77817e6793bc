"""Tag definitions and which profile carries which, in SQLite.

A removed tag is no longer defined, but stays cached for a while: profiles keep it, and it can be put on and taken off.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from synerise_profiles.sandbox.clock import Clock, system_clock
from synerise_profiles.sandbox.schemas import Json

from .database import Database, DatabaseRow, json_text

DEFAULT_COLOR = "#0768ff"
CACHED_SECONDS = 300.0
"""Seconds that a removed tag stays cached. The reference says "for a while"; the length is our choice."""

_MAX_CACHED_IDS = 10_000
_SELECT = "SELECT id, name, color FROM tags"


class TagStore:
    """Creates, changes, assigns and removes tags."""

    def __init__(self, database: Database, clock: Clock = system_clock) -> None:
        self._db = database
        self._clock = clock
        self._ids: dict[str, int] = {}
        """Cache of defined tags by name. Only a removal or a rollback can make it wrong."""
        self._rollbacks = database.rollbacks

    def __len__(self) -> int:
        return int(self._db.rows("SELECT count(*) FROM tags WHERE removed IS NULL")[0][0])

    def all(self) -> list[Json]:
        """All tags that are defined, the oldest first; global ones too, since they can be assigned."""
        return [_tag(row) for row in self._db.rows(f"{_SELECT} WHERE removed IS NULL ORDER BY id")]

    def get(self, tag_id: int) -> Json | None:
        """The tag with this id, if it is defined and the workspace's own."""
        row = self._db.row(f"{_SELECT} WHERE id = ? AND removed IS NULL AND NOT global", (tag_id,))
        return None if row is None else _tag(row)

    def assignable(self, tag_id: int) -> Json | None:
        """The tag with this id, if profiles can have it: a global one and a cached one too."""
        row = self._db.row(
            f"{_SELECT} WHERE id = ? AND (removed IS NULL OR removed > ?)", (tag_id, self._cache_cutoff())
        )
        return None if row is None else _tag(row)

    def is_global(self, tag_id: int) -> bool:
        """Whether the tag belongs to no workspace."""
        return self._db.row("SELECT 1 FROM tags WHERE id = ? AND global", (tag_id,)) is not None

    def create(self, name: str, color: str | None = None) -> Json:
        """The tag of this name, made where it is new; an existing one stays as it is."""
        row = self._db.row(f"{_SELECT} WHERE name = ? AND removed IS NULL", (name,))
        if row is not None:
            return _tag(row)
        with self._db.transaction():
            tag_id = self._define([name], color)
        return {"id": tag_id, "name": name, "color": color or DEFAULT_COLOR}

    def add_global(self, name: str, color: str | None = None) -> Json:
        """A tag that belongs to no workspace. No operation makes one: a test does."""
        with self._db.transaction():
            tag = self.create(name, color)
            self._db.execute("UPDATE tags SET global = 1 WHERE id = ?", (tag["id"],))
        return tag

    def recolor(self, tag_id: int, color: str) -> None:
        """Change the colour of a tag."""
        self._db.execute("UPDATE tags SET color = ? WHERE id = ?", (color, tag_id))

    def delete(self, tag_id: int) -> bool:
        """Remove a tag; whether it was there. The caller holds the transaction."""
        self._ids.clear()
        gone = "SELECT id FROM tags WHERE removed <= ?"
        self._db.execute(f"DELETE FROM tag_assignments WHERE tag_id IN ({gone})", (self._cache_cutoff(),))  # noqa: S608 - a constant
        self._db.execute("DELETE FROM tags WHERE removed <= ?", (self._cache_cutoff(),))
        sql = "UPDATE tags SET removed = ? WHERE id = ? AND removed IS NULL AND NOT global"
        return self._db.execute(sql, (self._clock(), tag_id)) > 0

    def of_profile(self, client_id: int) -> list[Json]:
        """The tags of one profile, in the order of their assignment."""
        return self.of_profiles([client_id]).get(client_id, [])

    def names(self, client_id: int) -> list[str]:
        """The names of the tags of one profile."""
        return [tag["name"] for tag in self.of_profile(client_id)]

    def of_profiles(self, client_ids: list[int]) -> dict[int, list[Json]]:
        """The tags of several profiles, by clientId; profiles without any are left out."""
        sql = (
            "SELECT a.client_id, t.id, t.name, t.color FROM tag_assignments a JOIN tags t ON t.id = a.tag_id"
            " WHERE a.client_id IN (SELECT value FROM json_each(?)) AND (t.removed IS NULL OR t.removed > ?)"
            " ORDER BY a.id"
        )
        found: dict[int, list[Json]] = {}
        for client_id, *tag in self._db.rows(sql, (json_text(client_ids), self._cache_cutoff())):
            found.setdefault(client_id, []).append(_tag(tuple(tag)))
        return found

    def assign(self, client_id: int, tag_id: int) -> int:
        """Put a tag on a profile; the id of the assignment, the same one when it was there."""
        values = (client_id, tag_id)
        self._db.execute("INSERT OR IGNORE INTO tag_assignments (client_id, tag_id) VALUES (?, ?)", values)
        row = self._db.row("SELECT id FROM tag_assignments WHERE client_id = ? AND tag_id = ?", values)
        return 0 if row is None else int(row[0])

    def unassign(self, client_id: int, tag_id: int) -> None:
        """Take a tag off a profile."""
        self._db.execute("DELETE FROM tag_assignments WHERE client_id = ? AND tag_id = ?", (client_id, tag_id))

    def replace(self, names: Mapping[int, Iterable[str]], fresh: Collection[int] = ()) -> None:
        """Set the tags of profiles by name; unknown names become tags. The caller holds the transaction.

        Profiles that are `fresh` have none yet; of the others those that have these very tags are left alone.
        """
        known = self._ids_by_name(dict.fromkeys([name for tags in names.values() for name in tags]))
        wanted = {client_id: [known[name] for name in dict.fromkeys(tags)] for client_id, tags in names.items()}
        old = [client_id for client_id in wanted if client_id not in fresh] if fresh else list(wanted)
        if old:
            assigned = self._assigned(old)
            for client_id in old:
                if assigned.get(client_id, []) == wanted[client_id]:
                    del wanted[client_id]
            gone = [client_id for client_id in wanted if client_id in assigned]
            if gone:
                sql = "DELETE FROM tag_assignments WHERE client_id IN (SELECT value FROM json_each(?))"
                self._db.execute(sql, (json_text(gone),))
        pairs = [(client_id, tag_id) for client_id, tag_ids in wanted.items() for tag_id in tag_ids]
        if pairs:
            self._db.execute_many("INSERT INTO tag_assignments (client_id, tag_id) VALUES (?, ?)", pairs)

    def _assigned(self, client_ids: list[int]) -> Mapping[int, list[int]]:
        """What is assigned to profiles, by clientId and in its order; those of expired tags too."""
        sql = (
            "SELECT client_id, tag_id FROM tag_assignments WHERE client_id IN (SELECT value FROM json_each(?))"
            " ORDER BY id"
        )
        found: defaultdict[int, list[int]] = defaultdict(list)
        for client_id, tag_id in self._db.rows(sql, (json_text(client_ids),)):
            found[client_id].append(tag_id)
        return found

    def _ids_by_name(self, names: Collection[str]) -> Mapping[str, int]:
        """The ids of tags by name: of defined ones, else of those that are still cached; new names become tags."""
        if self._rollbacks != self._db.rollbacks:
            self._rollbacks = self._db.rollbacks
            self._ids.clear()
        ids = self._ids
        if all(name in ids for name in names):
            return ids
        sql = (
            "SELECT name, id, removed IS NULL FROM tags WHERE name IN (SELECT value FROM json_each(?))"
            " AND (removed IS NULL OR removed > ?) ORDER BY removed IS NULL, removed"
        )
        rows = self._db.rows(sql, (json_text(list(names)), self._cache_cutoff()))
        known = {row[0]: row[1] for row in rows}
        defined = {row[0]: row[1] for row in rows if row[2]}
        missing = [name for name in names if name not in known]
        if missing:
            first = self._define(missing, None)
            defined.update({name: first + index for index, name in enumerate(missing)})
        if len(ids) + len(defined) <= _MAX_CACHED_IDS:
            ids.update(defined)
        return {**known, **defined}

    def _cache_cutoff(self) -> float:
        """What was removed at this moment or before is no longer cached."""
        return self._clock() - CACHED_SECONDS

    def _define(self, names: list[str], color: str | None) -> int:
        first = self._db.counter("tag_id", 1)
        rows = [(first + index, name, color or DEFAULT_COLOR) for index, name in enumerate(names)]
        self._db.execute_many("INSERT INTO tags (id, name, color) VALUES (?, ?, ?)", rows)
        self._db.set_counter("tag_id", first + len(names))
        return first


def _tag(row: DatabaseRow) -> Json:
    return {"id": row[0], "name": row[1], "color": row[2]}
