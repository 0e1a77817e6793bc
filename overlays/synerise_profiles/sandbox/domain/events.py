"""The rules of events: from a sent item to the event that is stored (action, time, uuid, params). Pure.

A draft is made when the request is received, since its moment counts; it becomes an event when its write is applied and
its profile is known.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Any, NamedTuple

from synerise_profiles.identifiers import CLIENT_IDENTIFIERS
from synerise_profiles.sandbox.clock import iso_of, millis_of
from synerise_profiles.sandbox.schemas import Json

CUSTOM = "custom"
ORIGINAL_TIME_PARAM = "snr-original-time"
_MIN_TIME_MILLIS = millis_of("0001-01-01T00:00:00Z")


class InvalidFieldError(ValueError):
    """A value that its schema allows and a rule does not; `field` is its path."""

    def __init__(self, field: str, message: str, rejected: object = None) -> None:
        super().__init__(message)
        self.field = field
        self.message = message
        self.rejected = rejected


class EventDraft(NamedTuple):
    """An event before its profile is known: what the moment of receipt decides about it.

    `time` is in milliseconds, `salt` None where it has no effect; `purchases` are the params of a charge's purchases.
    """

    item: Json
    action: str
    time: int
    salt: str | None
    params: Json
    purchases: Sequence[Json] = ()


class StoredEvent(NamedTuple):
    """One event as it is stored; `time` in milliseconds. The label is required on the wire and stored nowhere."""

    uuid: str
    client_id: int
    action: str
    time: int
    params: Json


def draft_event(
    item: Json, action: str, params: Json, received_millis: int, reserved: frozenset[str], *, time_field: str = "time"
) -> EventDraft:
    """Decide time, salt and params; `received_millis` is the moment of receipt.

    A time in the future is replaced by that moment, and no salt works with one. The text of the time that was sent is
    kept as a param in either case; it is for another service of the publisher to show it.
    """
    text = item.get(time_field)
    time, salt = received_millis, item.get("eventSalt")
    stored = without_reserved(params, reserved)
    if text is not None:
        time = _time(text, time_field)
        if time > received_millis:
            time, salt = received_millis, None
        stored[ORIGINAL_TIME_PARAM] = text
    return EventDraft(item, action, time, salt or None, stored)


def without_reserved(params: Json, reserved: frozenset[str]) -> Json:
    """A copy of params without those that are reserved for the system.

    They are "ignored or overwritten" by the reference; here they are ignored, since the listings show no value of the
    system's own among the params.
    """
    if ORIGINAL_TIME_PARAM in params or not reserved.isdisjoint(params):
        return {name: value for name, value in params.items() if name not in reserved and name != ORIGINAL_TIME_PARAM}
    return params.copy()


def event_from_draft(draft: EventDraft, client_id: int) -> StoredEvent:
    """The event that a draft becomes; the same salt, time, profile and action make the same uuid, and so overwrite."""
    _, action, time, salt, params, _ = draft
    if salt is None:
        return StoredEvent(_uuid(os.urandom(16).hex(), "4"), client_id, action, time, params)
    # The salt stands last: it is the only part that may hold any character, the separator too.
    return StoredEvent(derived_uuid(f"{time}\0{client_id}\0{action}\0{salt}"), client_id, action, time, params)


def derived_uuid(text: str) -> str:
    """The same text makes the same uuid."""
    return _uuid(sha1(text.encode(), usedforsecurity=False).hexdigest(), "5")


def identifier_kind(client: Json) -> str | None:
    """The kind of identifier that names the profile; an empty text is none."""
    for name in CLIENT_IDENTIFIERS:
        if client.get(name) not in (None, ""):
            return name
    return None


def mixed_identifiers(clients: Sequence[Json]) -> list[tuple[int, str]]:
    """The items of a batch whose kind of identifier is not that of the first: index and message."""
    kinds = [identifier_kind(client) for client in clients]
    return [
        (index, f"is identified by {kind} and the first one by {kinds[0]}; one request takes one kind")
        for index, kind in enumerate(kinds)
        if kind != kinds[0]
    ]


def batch_action(item: Json, actions: Mapping[str, str]) -> str:
    """The action of an item of a batch.

    A `type` that names a single endpoint sets that endpoint's action, and an action sent beside it counts for nothing,
    as there. Any other type is a custom event: the reference has no list of types, and its example sends an action with
    a type that names no endpoint. Without an action the document refuses such an item: it could not be told apart.
    """
    return actions.get(item.get("type", CUSTOM)) or str(item["action"])


def to_event_record(event: StoredEvent, client: Mapping[str, Any]) -> Json:
    """The event as the listings show it: in UTC, without the label and without the text of the time that was sent."""
    return {
        "uuid": event.uuid,
        "time": iso_of(event.time),
        "action": event.action,
        "label": None,
        "client": dict(client),
        "params": {name: value for name, value in event.params.items() if name != ORIGINAL_TIME_PARAM},
    }


def _time(text: str, field: str) -> int:
    try:
        time = millis_of(text)
    except ValueError:
        raise InvalidFieldError(field, "is no moment that can be read", text) from None
    if time < _MIN_TIME_MILLIS:
        raise InvalidFieldError(field, "lies before the year 1 in UTC", text)
    return time


def _uuid(digits: str, version: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-a{digits[17:20]}-{digits[20:32]}"
