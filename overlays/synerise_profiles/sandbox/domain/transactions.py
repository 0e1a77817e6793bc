"""The rules of transactions: one currency, and the events that one makes (a charge, its purchases). Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from synerise_profiles.sandbox.schemas import Json
from synerise_profiles.sandbox.spec import is_object

from .events import (
    ORIGINAL_TIME_PARAM,
    EventDraft,
    InvalidFieldError,
    StoredEvent,
    derived_uuid,
    draft_event,
    without_reserved,
)

CHARGE = "transaction.charge"
BUY = "product.buy"

_NOT_PARAMS = frozenset({"client", "recordedAt", "eventSalt"})
_ORDER_PARAMS = ("orderId", "source")


def draft_transaction(item: Json, received_millis: int, reserved: frozenset[str]) -> EventDraft:
    """The draft of a charge with its purchases; InvalidFieldError for an order in several currencies."""
    _check_currency(item)
    params = {name: value for name, value in item.items() if name not in _NOT_PARAMS}
    draft = draft_event(item, CHARGE, params, received_millis, reserved, time_field="recordedAt")
    shared = {name: draft.params[name] for name in (*_ORDER_PARAMS, ORIGINAL_TIME_PARAM) if name in draft.params}
    return draft._replace(purchases=[{**without_reserved(product, reserved), **shared} for product in item["products"]])


def purchase_events(draft: EventDraft, charge: StoredEvent) -> Iterator[StoredEvent]:
    """One event for each product. Its uuid comes from the charge's and from its position, not from what was bought.

    So an update with the items in another order overwrites one item's event with another's, and one with fewer items
    leaves the events at the later positions as they were: events can't be deleted.
    """
    for position, params in enumerate(draft.purchases):
        uuid = derived_uuid(f"{charge.uuid}\0{position}")
        yield StoredEvent(uuid, charge.client_id, BUY, charge.time, params)


def _check_currency(item: Json) -> None:
    """All monetary values of a transaction have one currency; free keys that look like one count too."""
    expected: str = item["revenue"]["currency"]
    for field, currency in _currencies(item):
        if currency != expected:
            message = f"differs from {expected}, the currency of revenue; a transaction has one"
            raise InvalidFieldError(field, message, currency)


def _currencies(item: Json) -> Iterator[tuple[str, Any]]:
    for name, value in item.items():
        if is_object(value) and isinstance(value.get("currency"), str):
            yield f"{name}.currency", value["currency"]
    for position, product in enumerate(item["products"]):
        for name, value in product.items():
            if is_object(value) and isinstance(value.get("currency"), str):
                yield f"products.{position}.{name}.currency", value["currency"]
