"""The rules of profiles: how sent data changes one, what a merge keeps, what the API shows. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles.sandbox.responses import error_entry
from synerise_profiles.sandbox.schemas import Json

PLACEHOLDER_DOMAIN = "@anonymous.invalid"

PushKind = Literal["mobile", "web"]
PUSH_ATTRIBUTES: Mapping[PushKind, str] = {"mobile": "has_mobile_push_devices", "web": "has_webpush_devices"}
"""The attribute that tells whether a profile has push tokens of this kind."""

_NOT_NATIVE = frozenset({*PROFILE_IDENTIFIERS, "tags"})
"""Fields of an item that are stored elsewhere; all others are native fields, whatever the document calls them."""


class ProfileShape(NamedTuple):
    """The fields of a profile that is read, and the names of its agreements, as the document has them."""

    fields: Sequence[str]
    agreements: Sequence[str]


NO_SHAPE = ProfileShape((), ())


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """What matters here of a workspace: the names of agreements, and whether an e-mail identifies."""

    agreements: Collection[str] = ()
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
    def identifiers(self) -> Json:
        """Its identifiers by their names on the wire."""
        return {
            "clientId": self.client_id,
            "uuid": self.uuid,
            "email": self.email,
            "customId": self.custom_id,
            "phone": self.phone,
        }

    @property
    def anonymous(self) -> bool:
        """Whether nothing says who it is: neither a custom id nor a real e-mail address."""
        return self.custom_id is None and (self.email is None or self.email.endswith(PLACEHOLDER_DOMAIN))


def missing_identifier(item: Json, *, updating: bool = False) -> list[Json]:
    """The error of an item with no identifier but an e-mail address, which identifies nobody where it may repeat.

    That one of all identifiers is there is a rule of the schema.
    """
    known = [name for name in PROFILE_IDENTIFIERS if name != "email" and (updating or name != "clientId")]
    if any(item.get(name) not in (None, "") for name in known):
        return []
    return [error_entry("identifier", f"at least one of {', '.join(known)} is required")]


def identifier_of_type(identifier_type: str) -> str:
    """The identifier that a type in a path names, such as `by-custom-id`, which has three spellings."""
    wanted = identifier_type.removeprefix("by-").replace("-", "").lower()
    return next(name for name in PROFILE_IDENTIFIERS if name.lower() == wanted)


def placeholder_email(client_id: int) -> str:
    """The made-up address of an anonymous profile. From its id, which is never given twice."""
    return f"{client_id:032x}{PLACEHOLDER_DOMAIN}"


def apply_changes(profile: StoredProfile, item: Json, options: MatchOptions) -> None:
    """Apply what was sent, all but the identifiers: null resets a native field and deletes a custom attribute."""
    data = profile.data
    for key, value in item.items():
        if key in _NOT_NATIVE:
            continue
        if key == "attributes":
            _change_attributes(data, value)
        elif key == "agreements":
            _change_agreements(data, value, options)
        elif value is None:
            data.pop(key, None)
        else:
            data[key] = value


def details(profile: StoredProfile, tags: Iterable[str], shape: ProfileShape, previous: Iterable[Any] = ()) -> Json:
    """The profile as the API shows it: what the document says, and a native field that only its input knows."""
    data = profile.data
    agreements: Json = data.get("agreements", {})
    return {
        **dict.fromkeys(shape.fields),
        **data,
        **profile.identifiers,
        "sex": data.get("sex", "NOT_SPECIFIED"),
        # Equal to the moment of creation, as the publisher has it.
        "lastActivityDate": profile.created,
        "anonymous": profile.anonymous,
        "agreements": dict.fromkeys(shape.agreements, False) | agreements,
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


def _change_attributes(data: Json, sent: Json | None) -> None:
    attributes: Json = data.setdefault("attributes", {})
    for name, value in (sent or {}).items():
        if value is None:
            attributes.pop(name, None)
        else:
            attributes[name] = value


def _change_agreements(data: Json, sent: Json | None, options: MatchOptions) -> None:
    if sent is None:
        data.pop("agreements", None)
        return
    agreements: Json = data.setdefault("agreements", {})
    for name, value in sent.items():
        # The publisher's clients say so: that agreement has no effect where an address identifies nobody.
        if name != "email" or options.unique_emails:
            # The values of other names are kept as they are: nothing is known about them.
            agreements[name] = _to_boolean(value) if name in options.agreements else value


def _to_boolean(value: Any) -> bool:
    """Agreements may be sent as booleans, as text or as 1 and 0; the schema lets nothing else in."""
    return value.lower() == "true" if isinstance(value, str) else bool(value)
