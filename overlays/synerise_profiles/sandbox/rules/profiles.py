"""What a profile is, how sent data changes it, and what the API shows of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from synerise_profiles.sandbox.answers import problem
from synerise_profiles.sandbox.bundle import Json

NATIVE = (
    "firstName",
    "lastName",
    "displayName",
    "company",
    "address",
    "city",
    "province",
    "zipCode",
    "countryCode",
    "birthDate",
    "avatarUrl",
)
AGREEMENTS = ("email", "sms", "push", "webPush", "bluetooth", "rfid", "wifi")
IDENTIFIERS = ("clientId", "uuid", "customId", "email", "phone")
PLACEHOLDER = "@anonymous.invalid"

_PLAIN = frozenset({*NATIVE, "sex"})


@dataclass(slots=True, eq=False)
class Profile:
    """One profile: its identifiers, and in `data` everything else (native fields, agreements, attributes)."""

    client_id: int
    uuid: str | None
    email: str | None
    custom_id: str | None
    phone: str | None
    created: str
    data: Json = field(default_factory=dict[str, Any])
    fresh: bool = False
    """Not stored yet."""
    moved: bool = False
    """An identifier differs from what is stored."""

    @property
    def anonymous(self) -> bool:
        """Whether nothing says who it is: neither a custom id nor a real e-mail address."""
        return self.custom_id is None and (self.email is None or self.email.endswith(PLACEHOLDER))


def missing_identifier(item: Json, *, updating: bool = False) -> list[Json]:
    """The problem of an item that names no profile."""
    known = IDENTIFIERS if updating else IDENTIFIERS[1:]
    if any(item.get(name) is not None for name in known):
        return []
    return [problem("identifier", f"at least one of {', '.join(known)} is required")]


def change(profile: Profile, item: Json) -> None:
    """Apply what was sent, all but the identifiers: null resets a native field and deletes a custom attribute."""
    data = profile.data
    for key, value in item.items():
        if key in _PLAIN:
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        elif key == "attributes":
            _change_attributes(data, value)
        elif key == "agreements":
            _change_agreements(data, value)


def change_identifiers(profile: Profile, item: Json) -> None:
    """Take over the identifiers that were sent; null removes one, except the uuid."""
    uuid, email, custom_id, phone = profile.uuid, profile.email, profile.custom_id, profile.phone
    profile.uuid = item.get("uuid") or uuid
    profile.email = item.get("email", email)
    profile.custom_id = item.get("customId", custom_id)
    profile.phone = item.get("phone", phone)
    if (uuid, email, custom_id, phone) != (profile.uuid, profile.email, profile.custom_id, profile.phone):
        profile.moved = True


def details(profile: Profile, tags: Iterable[str], previous: Iterable[Any] = ()) -> Json:
    """The profile as the API shows it."""
    data = profile.data
    agreements: Json = data.get("agreements", {})
    return {
        "clientId": profile.client_id,
        "email": profile.email,
        "phone": profile.phone,
        "customId": profile.custom_id,
        "uuid": profile.uuid,
        **{name: data.get(name) for name in NATIVE},
        "sex": data.get("sex", "NOT_SPECIFIED"),
        # Equal to the moment of creation, as the publisher has it.
        "lastActivityDate": profile.created,
        "anonymous": profile.anonymous,
        "agreements": dict.fromkeys(AGREEMENTS, False) | agreements,
        "attributes": data.get("attributes", {}),
        "tags": list(tags),
        "previousClients": list(previous),
    }


def merge(target: Profile, sources: Iterable[Profile]) -> None:
    """Copy the attributes that the target lacks; all else of the sources is lost. The first source wins."""
    attributes: Json = target.data.setdefault("attributes", {})
    for source in sources:
        for name, value in source.data.get("attributes", {}).items():
            attributes.setdefault(name, value)


def _change_attributes(data: Json, sent: Json | None) -> None:
    attributes: Json = data.setdefault("attributes", {})
    for name, value in (sent or {}).items():
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value


def _change_agreements(data: Json, sent: Json | None) -> None:
    if sent is None:
        data.pop("agreements", None)
        return
    agreements: Json = data.setdefault("agreements", {})
    for name, value in sent.items():
        agreements[name] = _truth(value)


def _truth(value: Any) -> Any:
    """Agreements may be sent as booleans, as text or as 1 and 0."""
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower(), cast("Any", value))
    if value is None:
        return False
    return bool(value) if value in (0, 1) else value
