"""The table of devices and their push tokens: "mobile" ones of an app, "web" ones of a browser."""

from __future__ import annotations

import orjson

from synerise_profiles.sandbox.clock import Clock, system_clock
from synerise_profiles.sandbox.domain.profiles import PUSH_ATTRIBUTES, PushKind
from synerise_profiles.sandbox.schemas import Json

from .database import Database, json_text
from .profiles import ProfileStore


class DeviceStore:
    """Links devices, lists them, removes their tokens."""

    def __init__(self, database: Database, profiles: ProfileStore, clock: Clock = system_clock) -> None:
        self._db = database
        self._profiles = profiles
        self._clock = clock

    def link(self, client_id: int, device: Json, push: PushKind = "mobile") -> bool:
        """Link a device to a profile, and take it from the one that had it; False when the profile is gone."""
        with self._db.transaction():
            device_id: str = device["deviceId"]
            if not self._set_push_attribute(client_id, push, has_any=True):
                return False
            before = self._db.row("SELECT client_id FROM devices WHERE push = ? AND device_id = ?", (push, device_id))
            values = (push, device_id, client_id, round(self._clock() * 1000), device.get("version"), json_text(device))
            self._db.execute("INSERT OR REPLACE INTO devices VALUES (?, ?, ?, ?, ?, ?)", values)
            if before is not None and before[0] != client_id:
                self._update_push_attribute(before[0], push)
        return True

    def add_web_push(self, client_id: int, device_id: str, *, version: str | None = None) -> None:
        """A push token of a browser. No operation of the API makes one: a test does."""
        if not self.link(client_id, {"deviceId": device_id, "version": version}, "web"):
            raise LookupError(f"there is no profile {client_id}")

    def of_profile(self, client_id: int, push: PushKind = "mobile") -> list[Json]:
        """The devices of a profile, as they were linked."""
        sql = "SELECT data FROM devices WHERE client_id = ? AND push = ? ORDER BY device_id"
        return [orjson.loads(row[0]) for row in self._db.rows(sql, (client_id, push))]

    def clean_up(self, client_id: int, push: PushKind, before: int, version: str | None = None) -> list[str]:
        """Remove tokens last updated before a moment in milliseconds, and those of a version; their devices' ids."""
        with self._db.transaction():
            old = "client_id = ? AND push = ? AND (updated < ? OR version = ?)"
            values = (client_id, push, before, version)
            sql = f"SELECT device_id FROM devices WHERE {old} ORDER BY device_id"  # noqa: S608 - a constant
            removed = [row[0] for row in self._db.rows(sql, values)]
            self._db.execute(f"DELETE FROM devices WHERE {old}", values)  # noqa: S608 - a constant
            self._update_push_attribute(client_id, push)
        return removed

    def _update_push_attribute(self, client_id: int, push: PushKind) -> None:
        if self._db.row("SELECT 1 FROM devices WHERE client_id = ? AND push = ?", (client_id, push)) is None:
            self._set_push_attribute(client_id, push, has_any=False)

    def _set_push_attribute(self, client_id: int, push: PushKind, *, has_any: bool) -> bool:
        profile = self._profiles.get(client_id)
        if profile is None:
            return False
        profile.data.setdefault("attributes", {})[PUSH_ATTRIBUTES[push]] = has_any
        self._profiles.save([profile])
        return True
