"""Which profile an item means. Pure: works on the profiles that a request can touch, loaded beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from synerise_profiles.sandbox.bundle import Json

from .profiles import PLACEHOLDER, Profile, change, change_identifiers


@dataclass(slots=True)
class Keys:
    """The identifiers that a request mentions: what has to be loaded to decide it."""

    ids: list[int] = field(default_factory=list[int])
    uuids: list[str] = field(default_factory=list[str])
    emails: list[str] = field(default_factory=list[str])
    custom_ids: list[str] = field(default_factory=list[str])
    phones: list[str] = field(default_factory=list[str])


def keys_of(items: Iterable[Json], id_field: str = "clientId") -> Keys:
    """Collect the identifiers of items; a phone counts only where it is the only one."""
    keys = Keys()
    for item in items:
        get = item.get
        found = False
        for name, into in ((id_field, keys.ids), ("uuid", keys.uuids)):
            if (value := get(name)) is not None:
                into.append(value)
                found = True
        if (value := get("customId")) is not None:
            keys.custom_ids.append(value)
            found = True
        if (value := get("email")) is not None:
            keys.emails.append(value)
            found = True
        if not found and (value := get("phone")) is not None:
            keys.phones.append(value)
    return keys


class WorkingSet:
    """The profiles of one request by each identifier; items are applied to it one after another."""

    def __init__(self, profiles: Iterable[Profile], *, next_id: int, created: str) -> None:
        self.next_id = next_id
        self.touched: dict[int, Profile] = {}
        self.tags: dict[int, list[str]] = {}
        self._created = created
        self._ids: dict[int, Profile] = {}
        self._uuids: dict[str, Profile] = {}
        self._emails: dict[str, Profile] = {}
        self._custom_ids: dict[str, Profile] = {}
        self._phones: dict[str, Profile] = {}
        for profile in profiles:
            self._index(profile)

    def upsert(self, item: Json) -> Profile | None:
        """Change the profile that the item means, or make it; None when the item is dropped.

        An item is dropped, without an error, when its identifiers belong to several profiles or when it names a
        clientId that does not exist.
        """
        profile, conflict = self._match(item, item.get("clientId"))
        if conflict:
            return None
        if profile is None:
            if item.get("clientId") is not None:
                return None
            profile = self._create(item)
        return self._change(profile, item)

    def update(self, client_id: int, item: Json) -> Profile | None:
        """Change a profile named by the path; None when an identifier sent belongs to another."""
        profile, conflict = self._match(item, client_id)
        return None if conflict or profile is None else self._change(profile, item)

    def identify(self, client: Json) -> Profile | None:
        """The profile of an event, made where it is new; the data of a known one stays. None for an unknown id."""
        profile, _ = self._match(client, client.get("id"))
        if profile is None and any(client.get(name) is not None for name in ("uuid", "email", "customId")):
            profile = self._create(client)
            change_identifiers(profile, client)
            self._store(profile)
        return profile

    def _match(self, item: Json, client_id: int | None) -> tuple[Profile | None, bool]:
        get = item.get
        found: Profile | None = None
        conflict = False
        alone = True
        if client_id is not None:
            found = self._ids.get(client_id)
            conflict = found is None
            alone = False
        # The order in which the publisher's own client picks identifiers.
        indexes: tuple[tuple[str, dict[str, Profile]], ...] = (
            ("uuid", self._uuids),
            ("customId", self._custom_ids),
            ("email", self._emails),
        )
        for name, index in indexes:
            value = get(name)
            if value is not None:
                alone = False
                other = index.get(value)
                if found is None:
                    found = other
                elif other is not None and other is not found:
                    conflict = True
        if alone and (phone := get("phone")) is not None:
            found = self._phones.get(phone)
        return found, conflict

    def _create(self, item: Json) -> Profile:
        client_id = self.next_id
        self.next_id += 1
        uuid = item.get("uuid") or f"00000000-0000-4000-8000-{client_id:012d}"
        email = None
        if all(item.get(name) is None for name in ("uuid", "email", "customId")):
            # Known by its phone alone: the API gives such a profile a made-up address.
            email = uuid + PLACEHOLDER
        return Profile(client_id, uuid, email, None, None, self._created, fresh=True)

    def _change(self, profile: Profile, item: Json) -> Profile:
        before: tuple[Any, ...] = (profile.uuid, profile.email, profile.custom_id)
        change_identifiers(profile, item)
        change(profile, item)
        if profile.fresh or profile.moved:
            self._forget(profile, *before)
        tags = item.get("tags", self)
        if tags is not self:
            self.tags[profile.client_id] = tags or []
        self._store(profile)
        return profile

    def _store(self, profile: Profile) -> None:
        self.touched[profile.client_id] = profile
        if profile.fresh or profile.moved:
            self._index(profile)

    def _forget(self, profile: Profile, uuid: str | None, email: str | None, custom_id: str | None) -> None:
        places: tuple[tuple[str | None, dict[str, Profile]], ...] = (
            (uuid, self._uuids),
            (email, self._emails),
            (custom_id, self._custom_ids),
        )
        for value, index in places:
            if value is not None and index.get(value) is profile:
                del index[value]

    def _index(self, profile: Profile) -> None:
        self._ids[profile.client_id] = profile
        if profile.uuid is not None:
            self._uuids[profile.uuid] = profile
        if profile.email is not None:
            self._emails[profile.email] = profile
        if profile.custom_id is not None:
            self._custom_ids[profile.custom_id] = profile
        if profile.phone is not None:
            self._phones.setdefault(profile.phone, profile)
