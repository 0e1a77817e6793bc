"""The rules of profiles: how sent data changes one, what a merge keeps, what the API shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles.sandbox.responses import error_entry
from synerise_profiles.sandbox.spec import Json

NATIVE_FIELDS = (
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
PLACEHOLDER_DOMAIN = "@anonymous.invalid"
BOOLEAN_TEXTS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
"""The texts that an agreement may be given as."""

PushKind = Literal["mobile", "web"]
PUSH_ATTRIBUTES: Mapping[PushKind, str] = {"mobile": "has_mobile_push_devices", "web": "has_webpush_devices"}
"""The attribute that tells whether a profile has push tokens of this kind."""

_PLAIN_FIELDS = frozenset({*NATIVE_FIELDS, "sex"})


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """The rules of a workspace that matter here: names that no attribute can have, and whether an e-mail identifies."""

    reserved: frozenset[str] = frozenset()
    unique_emails: bool = True


@dataclass(slots=True, eq=False)
class StoredProfile:
    """One profile: its identifiers, and in `data` everything else (native fields, agreements, attributes).

    `uuid` is the one that is shown; others, from merges and from other devices, find the profile too.
    """

    client_id: int
    uuid: str
    email: str | None
    custom_id: str | None
    phone: str | None
    created: str
    data: Json = field(default_factory=dict[str, Any])
    fresh: bool = False
    """Not stored yet."""
    identifiers_changed: bool = False
    """An identifier differs from what is stored."""

    @property
    def anonymous(self) -> bool:
        """Whether nothing says who it is: neither a custom id nor a real e-mail address."""
        return self.custom_id is None and (self.email is None or self.email.endswith(PLACEHOLDER_DOMAIN))


def missing_identifier(item: Json, *, updating: bool = False, unique_emails: bool = True) -> list[Json]:
    """The error of an item that names no profile, if it does not; an empty text names none."""
    if item.get("customId") or (unique_emails and item.get("email")):
        return []  # the usual case first
    for name in PROFILE_IDENTIFIERS:
        if item.get(name) not in (None, "") and (updating or name != "clientId") and (unique_emails or name != "email"):
            return []
    known = [
        name for name in PROFILE_IDENTIFIERS if (updating or name != "clientId") and (unique_emails or name != "email")
    ]
    return [error_entry("identifier", f"at least one of {', '.join(known)} is required")]


def placeholder_email(client_id: int) -> str:
    """The made-up address of an anonymous profile. From its id, which is never given twice."""
    return f"{client_id:032x}{PLACEHOLDER_DOMAIN}"


def apply_changes(profile: StoredProfile, item: Json, options: MatchOptions) -> None:
    """Apply what was sent, all but the identifiers: null resets a native field and deletes a custom attribute."""
    data = profile.data
    for key, value in item.items():
        if key in _PLAIN_FIELDS:
            if value is None:
                data.pop(key, None)
            else:
                data[key] = value
        elif key == "attributes":
            _change_attributes(data, value, options.reserved)
        elif key == "agreements":
            _change_agreements(data, value, unique_emails=options.unique_emails)


def details(profile: StoredProfile, tags: Iterable[str], previous: Iterable[Any] = ()) -> Json:
    """The profile as the API shows it."""
    data = profile.data
    agreements: Json = data.get("agreements", {})
    return {
        "clientId": profile.client_id,
        "email": profile.email,
        "phone": profile.phone,
        "customId": profile.custom_id,
        "uuid": profile.uuid,
        **{name: data.get(name) for name in NATIVE_FIELDS},
        "sex": data.get("sex", "NOT_SPECIFIED"),
        # Equal to the moment of creation, as the publisher has it.
        "lastActivityDate": profile.created,
        "anonymous": profile.anonymous,
        "agreements": dict.fromkeys(AGREEMENTS, False) | agreements,
        "attributes": data.get("attributes", {}),
        "tags": list(tags),
        "previousClients": list(previous),
    }


def merge(target: StoredProfile, sources: Iterable[StoredProfile]) -> None:
    """Copy the attributes that the target lacks; all else of the sources is lost. The first source wins."""
    attributes: Json = target.data.setdefault("attributes", {})
    for source in sources:
        for name, value in source.data.get("attributes", {}).items():
            attributes.setdefault(name, value)


def _change_attributes(data: Json, sent: Json | None, reserved: frozenset[str]) -> None:
    attributes: Json = data.setdefault("attributes", {})
    for name, value in (sent or {}).items():
        if name in reserved:
            continue
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value


def _change_agreements(data: Json, sent: Json | None, *, unique_emails: bool) -> None:
    if sent is None:
        data.pop("agreements", None)
        return
    agreements: Json = data.setdefault("agreements", {})
    for name, value in sent.items():
        # The publisher's clients say so: that agreement has no effect where an address identifies nobody.
        if name != "email" or unique_emails:
            known = value is True or value is False or name not in AGREEMENTS
            agreements[name] = value if known else _to_boolean(value)


def _to_boolean(value: Any) -> Any:
    """Agreements may be sent as booleans, which are none of these, as text or as 1 and 0."""
    if isinstance(value, str):
        return BOOLEAN_TEXTS.get(value, value)
    return bool(value) if value in (0, 1) else value
