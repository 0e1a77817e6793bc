"""From what was sent to the events that are kept: action, time, uuid; the events of a transaction. Pure."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from synerise_profiles.sandbox.bundle import Json
from synerise_profiles.sandbox.clock import iso_of, millis_of

CHARGE = "transaction.charge"
BUY = "product.buy"
_NAMESPACE = uuid.UUID("5b1f9d0c-6a52-4d0e-9c38-7d1f4c1d2a10")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it is kept; `time` in milliseconds. The label is required on the wire and kept nowhere."""

    uuid: str
    client_id: int
    action: str
    time: int
    params: Json


def event_time(sent: str | None, now: int) -> int:
    """The event's time; a time in the future is refused and the time of receipt kept instead."""
    return now if sent is None else min(millis_of(sent), now)


def event_uuid(salt: str | None, time: int, client_id: int, action: str) -> str:
    """The event's uuid; the same salt, time, profile and action make the same one, so that sending overwrites."""
    if not salt:
        return str(uuid.uuid4())
    return str(uuid.uuid5(_NAMESPACE, f"{salt}\0{time}\0{client_id}\0{action}"))


def event_of(item: Json, client_id: int, action: str, now: int) -> Event:
    """The event that an item becomes."""
    time = event_time(item.get("time"), now)
    salt = item.get("eventSalt")
    return Event(event_uuid(salt, time, client_id, action), client_id, action, time, item.get("params") or {})


def batch_action(item: Json, actions: Mapping[str, str]) -> str:
    """The action of an item of a batch: its own, or that of the single endpoint which `type` names."""
    action = item.get("action")
    if action:
        return str(action)
    kind = str(item.get("type") or "custom")
    return actions.get(kind, kind)


def transaction_events(item: Json, client_id: int, now: int) -> Iterator[Event]:
    """A charge, and one purchase a product; sending again overwrites the purchase at the same place in the list."""
    time = event_time(item.get("recordedAt"), now)
    charge = event_uuid(item.get("eventSalt"), time, client_id, CHARGE)
    shared: Json = {key: item[key] for key in ("orderId", "source") if key in item}
    params = {key: value for key, value in item.items() if key not in ("client", "recordedAt", "eventSalt")}
    yield Event(charge, client_id, CHARGE, time, params)
    for position, product in enumerate(item.get("products", ())):
        purchase = str(uuid.uuid5(_NAMESPACE, f"{charge}\0{position}"))
        yield Event(purchase, client_id, BUY, time, {**shared, **product})


def listed(event: Event, client: Mapping[str, Any]) -> Json:
    """The event as the listings show it."""
    return {
        "uuid": event.uuid,
        "time": iso_of(event.time),
        "action": event.action,
        "label": None,
        "client": dict(client),
        "params": event.params,
    }
