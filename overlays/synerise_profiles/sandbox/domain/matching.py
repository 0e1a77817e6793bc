"""Matching: which profile an item means, and what its identifiers change. Pure.

All profiles that a request can touch are loaded first, in a few queries, and indexed by each identifier. Its items are
applied in memory, one after another, since an item sees what earlier ones changed; what was touched is saved last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from synerise_profiles.sandbox.schemas import Json

from .profiles import MatchOptions, StoredProfile, apply_changes, merge, placeholder_email


@dataclass(slots=True)
class LookupKeys:
    """The identifiers of a request's items: the keys by which its profiles are loaded."""

    ids: list[int] = field(default_factory=list[int])
    uuids: list[str] = field(default_factory=list[str])
    emails: list[str] = field(default_factory=list[str])
    custom_ids: list[str] = field(default_factory=list[str])
    phones: list[str] = field(default_factory=list[str])


def lookup_keys(items: Iterable[Json], id_field: str = "clientId", *, unique_emails: bool = True) -> LookupKeys:
    """Collect the identifiers of items; a phone counts only where it is the only one. An empty text is none."""
    keys = LookupKeys()
    for item in items:
        get = item.get
        alone = True
        if (value := get(id_field)) is not None:
            keys.ids.append(value)
            alone = False
        if value := get("uuid"):
            keys.uuids.append(value)
            alone = False
        if value := get("customId"):
            keys.custom_ids.append(value)
            alone = False
        if unique_emails and (value := get("email")):
            keys.emails.append(value)
            alone = False
        if alone and (value := get("phone")):
            keys.phones.append(value)
    return keys


@dataclass(slots=True)
class LoadedProfiles:
    """What a working set starts from: the profiles, and the owners (clientId) of uuids that are not shown."""

    profiles: Iterable[StoredProfile] = ()
    aliases: Mapping[str, int] = field(default_factory=dict[str, int])
    next_id: int = 1
    uuid_prefix: str = "00000000-0000-4000-8000-"
    created: str = ""
    by_phone: bool = True
    """Whether the request names any profile by its phone."""


class WorkingSet:
    """The profiles of one request, indexed by each identifier; items are applied to it one after another.

    An item is dropped, without an error, when its identifiers belong to several profiles, when it names a clientId
    that does not exist, or when it names nobody. `reason` says why the last dropped one was.
    """

    def __init__(self, loaded: LoadedProfiles, options: MatchOptions) -> None:
        self.reason = ""
        self.next_id = loaded.next_id
        self.touched: dict[int, StoredProfile] = {}
        self.tags: dict[int, list[str]] = {}
        self.aliases: dict[str, int] = {}
        """Further uuids of profiles, to be stored."""
        self.absorbed: list[tuple[int, int]] = []
        """Target and source (clientId) of each anonymous profile that was joined with a known one."""
        self._options = options
        self._created = loaded.created
        self._uuid_prefix = loaded.uuid_prefix
        self._by_phone = loaded.by_phone
        self._ids: dict[int, StoredProfile] = {}
        self._uuids: dict[str, StoredProfile] = {}
        self._emails: dict[str, StoredProfile] = {}
        self._custom_ids: dict[str, StoredProfile] = {}
        self._phones: dict[str, list[StoredProfile]] = {}
        for profile in loaded.profiles:
            self._ids[profile.client_id] = profile
            self._uuids[profile.uuid] = profile
            self._index(profile)
        for uuid, client_id in loaded.aliases.items():
            self._uuids[uuid] = self._ids[client_id]

    def upsert(self, item: Json, *, joining: bool = False) -> StoredProfile | None:
        """Change the profile that the item means, or make it; None when the item is dropped.

        `joining` lets an item with the uuid of an anonymous profile and the e-mail address of a known one join both.
        """
        client_id = item.get("clientId")
        matches = self._matches(item, client_id)
        if client_id is not None and client_id not in self._ids:
            return self._drop_item(f"no profile has the clientId {client_id}")
        if not matches:
            if not self._has_identifier(item) and not item.get("phone"):
                return self._drop_item("it has no identifier")
            return self._change(self._create(item), item)
        if len(matches) > 1:
            target = self._join(item, matches) if joining else None
            return self._conflict(matches) if target is None else self._change(target, item)
        return self._change(matches[0], item)

    def update(self, client_id: int, item: Json) -> StoredProfile | None:
        """Change a profile named by the path; None when it is gone or an identifier sent belongs to another."""
        if client_id not in self._ids:
            return self._drop_item(f"the profile {client_id} is gone")
        matches = self._matches(item, client_id)
        return self._conflict(matches) if len(matches) > 1 else self._change(matches[0], item)

    def identify(self, client: Json) -> StoredProfile | None:
        """The profile of an event, made where it is new; a known one keeps its data. None where nobody is named."""
        matches = self._matches(client, client.get("id"))
        if matches:
            return matches[0]
        if not self._has_identifier(client):
            return self._drop_item("its client has no identifier of a profile, nor one that makes a profile")
        return self._change(self._create(client), {name: client.get(name) for name in ("uuid", "email", "customId")})

    def _matches(self, item: Json, client_id: int | None) -> list[StoredProfile]:
        """The profiles that the identifiers name, each once, in the order of the publisher's client."""
        get = item.get
        matches: list[StoredProfile] = []
        uuid, custom_id = get("uuid"), get("customId")
        email = get("email") if self._options.unique_emails else None
        if client_id is not None and (found := self._ids.get(client_id)) is not None:
            matches.append(found)
        if uuid and (found := self._uuids.get(uuid)) is not None and found not in matches:
            matches.append(found)
        if custom_id and (found := self._custom_ids.get(custom_id)) is not None and found not in matches:
            matches.append(found)
        if email and (found := self._emails.get(email)) is not None and found not in matches:
            matches.append(found)
        if not (uuid or custom_id or email or client_id is not None):
            owners = self._phones.get(get("phone") or "")
            if owners:
                matches.append(min(owners, key=_client_id))
        return matches

    def _has_identifier(self, item: Json) -> bool:
        get = item.get
        return bool(get("uuid") or get("customId") or (self._options.unique_emails and get("email")))

    def _create(self, item: Json) -> StoredProfile:
        client_id = self.next_id
        self.next_id += 1
        uuid = item.get("uuid") or f"{self._uuid_prefix}{client_id:012d}"
        profile = StoredProfile(client_id, uuid, None, None, None, self._created, {}, fresh=True)
        self._ids[client_id] = profile
        self._uuids[uuid] = profile
        return profile

    def _change(self, profile: StoredProfile, item: Json) -> StoredProfile:
        email, custom_id, phone = profile.email, profile.custom_id, profile.phone
        self._change_identifiers(profile, item)
        if profile.email != email or profile.custom_id != custom_id or profile.phone != phone:
            profile.identifiers_changed = True
            self._unindex(profile, email, custom_id, phone)
            self._index(profile)
        apply_changes(profile, item, self._options)
        if "tags" in item:
            self.tags[profile.client_id] = item["tags"] or []
        self.touched[profile.client_id] = profile
        return profile

    def _change_identifiers(self, profile: StoredProfile, item: Json) -> None:
        """Take over the identifiers that were sent; null or an empty text removes one, except the uuid."""
        uuid = item.get("uuid")
        if uuid and uuid != profile.uuid and self._uuids.get(uuid) is not profile:
            # The one that was sent is shown from now on. The one before still belongs to the profile: each of its
            # devices has its own.
            self.aliases[profile.uuid] = profile.client_id
            profile.uuid = uuid
            profile.identifiers_changed = True
            self._uuids[uuid] = profile
        if "customId" in item:
            profile.custom_id = item["customId"] or None
        if "email" in item:
            profile.email = item["email"] or None
        if "phone" in item:
            profile.phone = item["phone"] or None
        if profile.email is None and profile.custom_id is None and self._options.unique_emails:
            profile.email = placeholder_email(profile.client_id)

    def _join(self, item: Json, matches: list[StoredProfile]) -> StoredProfile | None:
        """Join the anonymous profile with the item's uuid with the known one that has its e-mail address.

        The reference is silent; the publisher's clients merge so, by a batch. None where it is not that case.
        """
        target, source = self._emails.get(item.get("email", "")), self._uuids.get(item.get("uuid", ""))
        if target is None or source is None or not source.anonymous:
            return None
        if item.get("clientId") == source.client_id or any(one is not target and one is not source for one in matches):
            return None
        merge(target, [source])
        self._unindex(source, source.email, source.custom_id, source.phone)
        for uuid in [uuid for uuid, owner in self._uuids.items() if owner is source]:
            self._uuids[uuid] = target
            self.aliases[uuid] = target.client_id
        for known in (self._ids, self.touched, self.tags):
            known.pop(source.client_id, None)
        self.absorbed.append((target.client_id, source.client_id))
        return target

    def _conflict(self, matches: Iterable[StoredProfile]) -> StoredProfile | None:
        owners = ", ".join(str(client_id) for client_id in sorted({profile.client_id for profile in matches}))
        return self._drop_item(f"its identifiers belong to several profiles: {owners}")

    def _drop_item(self, reason: str) -> StoredProfile | None:
        self.reason = reason
        return None

    def _unindex(self, profile: StoredProfile, email: str | None, custom_id: str | None, phone: str | None) -> None:
        if email is not None and self._emails.get(email) is profile:
            del self._emails[email]
        if custom_id is not None and self._custom_ids.get(custom_id) is profile:
            del self._custom_ids[custom_id]
        if phone is not None and profile in (owners := self._phones.get(phone, [])):
            owners.remove(profile)

    def _index(self, profile: StoredProfile) -> None:
        if profile.email is not None:
            self._emails.setdefault(profile.email, profile)
        if profile.custom_id is not None:
            self._custom_ids[profile.custom_id] = profile
        if profile.phone is not None and self._by_phone:
            owners = self._phones.setdefault(profile.phone, [])
            if profile not in owners:
                owners.append(profile)


def _client_id(profile: StoredProfile) -> int:
    return profile.client_id
