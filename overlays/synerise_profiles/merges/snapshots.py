"""Snapshots: what was read of a profile, as far as a merge concerns it; how it is read, and what two of them differ in.

Snapshots compare as JSON and not as Python values: 1 is not true.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs
import orjson

from synerise_profiles._core.wording import counted
from synerise_profiles._core.workflow import SendOutcome, SendRequests, Workflow, response_of
from synerise_profiles.errors import NotFoundError
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles_api.api.profiles import get
from synerise_profiles_api.encoding import Model
from synerise_profiles_api.errors import ResponseDecodingError
from synerise_profiles_api.json_values import is_list, is_object, looks_like_a_name
from synerise_profiles_api.models import Profile
from synerise_profiles_api.types import Request

from .key_type import Key

__all__ = [
    "PlanMember",
    "Snapshot",
    "after_merging",
    "differences",
    "digest",
    "is_same",
    "names_profile",
    "read_profiles",
    "snapshot_of",
    "snapshot_or_none",
]

Json = dict[str, Any]
_MAX_CONCURRENT_READS = 4
"""Profiles that are read at the same time: modest, since the API publishes no rate limit."""
"""Matches a name of an attribute, and not data in the place of one, such as a phone number or an address."""
_SEPARATE_FIELDS = ("clientId", "uuid", "attributes", "tags")
# Fields that hold nothing that a merge could lose: one is derived, one documented as meaningless, and one filled in the
# answer to a merge alone.
_IGNORED_FIELDS = ("anonymous", "lastActivityDate", "previousClients")


@attrs.frozen(kw_only=True, repr=False)
class Snapshot:
    """A profile at the moment when it was read; repr shows no value.

    `properties` are all fields of the profile itself that have a value, agreements among them as `agreements.email`.
    """

    client_id: int | None
    uuid: str | None
    properties: Mapping[str, Any]
    attributes: Mapping[str, Any]
    tags: tuple[str, ...]

    def __repr__(self) -> str:
        counts = f"{'1 property' if len(self.properties) == 1 else f'{len(self.properties)} properties'}, "
        counts += f"{counted(len(self.attributes), 'attribute')}, {counted(len(self.tags), 'tag')}"
        return f"<Snapshot: {counts}>"

    def to_dict(self) -> Json:
        """Return it as plain JSON types."""
        return {
            "client_id": self.client_id,
            "uuid": self.uuid,
            "properties": dict(self.properties),
            "attributes": dict(self.attributes),
            "tags": list(self.tags),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Snapshot:
        """Read what `to_dict` returned."""
        return cls(
            client_id=data["client_id"],
            uuid=data["uuid"],
            properties=dict(data["properties"]),
            attributes=dict(data["attributes"]),
            tags=tuple(data["tags"]),
        )


@attrs.frozen(repr=False)
class PlanMember:
    """A profile that a plan names; `snapshot` is None if it was not found, or is not readable with this key."""

    key: Key
    snapshot: Snapshot | None

    @property
    def found(self) -> bool:
        """Whether the profile was found."""
        return self.snapshot is not None

    def __repr__(self) -> str:
        return f"<PlanMember {'found' if self.found else 'not found'}>"


def read_profiles(requests: Iterable[Request[Profile]]) -> Workflow[list[SendOutcome[Profile]]]:
    """Read profiles, a few at a time; the outcomes are in the order of the requests."""
    outcomes: list[SendOutcome[Profile]] = yield SendRequests(tuple(requests), max_concurrent=_MAX_CONCURRENT_READS)
    return outcomes


def snapshot_or_none(outcome: SendOutcome[Profile]) -> Snapshot | None:
    """Return what was read; None where the profile is not found.

    Raises any other failure, and ResponseDecodingError for a profile that nothing names: none is read like that.
    """
    if isinstance(outcome, NotFoundError):
        return None
    response = response_of(outcome)
    if not names_profile(response.body):
        raise ResponseDecodingError(
            "the answer is no profile, since nothing in it names one; nothing is planned or merged by it",
            operation=get.OPERATION.name,
            status_code=response.status_code,
            content=response.content,
        )
    return snapshot_of(response.body)


def names_profile(profile: Model) -> bool:
    """Whether anything in a profile says whose it is."""
    data = profile.to_dict()
    return any(data.get(name) is not None for name in PROFILE_IDENTIFIERS)


def snapshot_of(profile: Model) -> Snapshot:
    """Return the snapshot of a profile. Unknown fields are properties too: whatever they are, a merge loses them."""
    data = profile.to_dict()
    client_id, uuid, attributes, tags = (data.pop(name, None) for name in _SEPARATE_FIELDS)
    for name in _IGNORED_FIELDS:
        data.pop(name, None)
    if data.get("sex") == "NOT_SPECIFIED":
        del data["sex"]
    # What is not of the documented type is kept as it is, so that it is at least seen to be lost.
    if not is_object(attributes):
        data |= {} if attributes is None else {"attributes": attributes}
        attributes = {}
    if not is_list(tags):
        data |= {} if tags is None else {"tags": tags}
        tags = []
    found: Json = {}
    for name, value in data.items():
        if name == "agreements" and is_object(value):
            found |= {f"agreements.{key}": given for key, given in value.items() if given is not None}
        elif value is not None:
            found[name] = value
    return Snapshot(
        client_id=client_id if isinstance(client_id, int) else None,
        uuid=uuid if isinstance(uuid, str) else None,
        properties=found,
        attributes=attributes,
        tags=tuple(str(tag) for tag in tags),
    )


def after_merging(target: Snapshot, sources: Iterable[Snapshot]) -> Snapshot:
    """Return the target as it is after a merge: attributes that it lacks come from the first source that has them."""
    attributes = dict(target.attributes)
    for source in sources:
        for name, value in source.attributes.items():
            attributes.setdefault(name, value)
    return attrs.evolve(target, attributes=attributes)


def is_same(one: object, other: object) -> bool:
    """Whether two JSON values are equal; unlike in Python, 1 is not true."""
    return _canonical(one) == _canonical(other)


def differences(planned: Snapshot, now: Snapshot, merged: Iterable[Snapshot] = ()) -> Iterator[str]:
    """Name what is no longer as planned, without values.

    `planned` is the target with `merged` taken in. Which of several sources gives an attribute is not documented, so
    the value of any of them is as planned.
    """
    taken = list(merged)
    if now.uuid not in {planned.uuid, *(source.uuid for source in taken)}:
        yield "its uuid has changed"
    yield from _changes("", planned.properties, now.properties, ())
    yield from _changes("attributes.", planned.attributes, now.attributes, taken)
    if sorted(planned.tags) != sorted(now.tags):
        yield "its tags have changed"


def digest(value: object) -> str:
    """Return the SHA-256 of a JSON value, which depends on nothing but the value."""
    return hashlib.sha256(_canonical(value)).hexdigest()


def _changes(
    prefix: str, planned: Mapping[str, Any], now: Mapping[str, Any], merged: Iterable[Snapshot]
) -> Iterator[str]:
    for name in sorted(planned.keys() | now.keys()):
        shown = prefix + (name if looks_like_a_name(name) else "(a name that is not shown)")
        if name not in now:
            yield f"{shown} is gone"
        elif name not in planned:
            yield f"{shown} is new"
        elif not is_same(planned[name], now[name]):
            given = (source.attributes[name] for source in merged if name in source.attributes)
            if not any(is_same(value, now[name]) for value in given):
                yield f"{shown} has changed"


def _canonical(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
