"""A user's program that builds events, checked by mypy and pyright in strict mode and never run."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import assert_type

from synerise_profiles import UNSET, AsyncSynerise, Synerise, Unset, events
from synerise_profiles._core.server_clock import AsyncServerClock, ServerClock, TimeBounds
from synerise_profiles.models import (
    ApplicationStartedParams,
    CartEvent,
    CartParams,
    ClientIdentifier,
    EventParams,
    ItemSearchClickParams,
    LocationParams,
    Money,
    Product,
    Transaction,
    TransactionCancelledParams,
)

NOW = datetime.datetime.now(tz=datetime.UTC)
JAN = ClientIdentifier(custom_id="customer-17")


def functions() -> Iterator[events.BuiltEvent]:
    price = assert_type(events.money(Decimal("12.50"), "PLN"), Money)
    tea = CartParams(sku="tea", quantity=2, final_unit_price=price)
    added = events.added_to_cart(client=JAN, params=tea, label="Tea", time=NOW, salt="content")
    yield assert_type(added, events.AddedToCart)
    assert_type(added.params, CartParams)
    assert_type(added.params.sku, str)
    assert_type(added.client, ClientIdentifier)
    assert_type(added.event_salt, str | Unset)
    yield assert_type(events.removed_from_cart(client={"id": 1}, params=tea.to_dict()), events.RemovedFromCart)
    searched = assert_type(events.searched(client=JAN, params={"query": "tea"}, salt="s-1"), events.Searched)
    assert_type(searched.params, EventParams | Unset)
    yield assert_type(events.custom(client=JAN, action="shop.seen"), events.Custom)
    yield events.appeared_in_location(client=JAN, params=LocationParams(lat=52.2, lon=21.0), salt="unique")
    yield events.application_started(client=JAN, params=ApplicationStartedParams(application_name="Shop", version="1"))
    click = ItemSearchClickParams(item="tea", correlation_id="c-1", position=1, search_type="autocomplete")
    yield events.item_search_click(client=JAN, params=click, time="2026-01-01T12:00:00+01:00")
    yield events.push_received(client=JAN, time=UNSET)
    cancelled = assert_type(events.cancelled_transaction(client=JAN), events.CancelledTransaction)
    assert_type(cancelled.params, TransactionCancelledParams | Unset)


def sending(client: Synerise) -> None:
    added = events.added_to_cart(client=JAN, params={"sku": "tea"})
    event: CartEvent = added
    client.events.added_to_cart(added)
    client.events.added_to_cart(event)
    client.events.send_batch([added, events.searched(client=JAN), {"label": "Mine"}])
    client.bulk.send_events(functions())
    client.bulk.send_events([added, events.searched(client=JAN), {"label": "Mine"}])


def purchases(client: Synerise) -> None:
    assert_type(client.clock, ServerClock)
    assert_type(client.clock.now(), datetime.datetime)
    assert_type(client.clock.bounds(), TimeBounds)
    assert_type(client.clock.error, float | None)
    build = assert_type(client.builder(salt="content"), events.Builder)
    tea = Product(sku="tea", name="Tea", quantity=2, final_unit_price=events.money("12.50", "PLN"))
    cup = {"sku": "cup", "name": "Cup", "quantity": 1, "finalUnitPrice": {"amount": 5, "currency": "PLN"}}
    bought = build.transaction(
        client=JAN, order_id="o-1", products=[tea, cup], payment="CARD", source="WEB_DESKTOP", revenue="30.00"
    )
    assert_type(bought, Transaction)
    client.transactions.create(bought)
    assert_type(build.updated_transaction(bought, products=[cup], discount=None), Transaction)
    assert_type(build.updated_transaction(bought.to_dict(), revenue=Decimal(5), value=5), Transaction)
    gone = assert_type(build.cancellation_of(bought, items=[0]), events.CancelledTransaction)
    client.events.cancelled_transaction(gone)
    client.events.cancelled_transaction(build.cancellation_of(bought, items={0: 1, 1: Decimal("0.5")}))
    client.bulk.send_events([build.cancellation(client=JAN, order_id="o-1", products=(tea, cup))])


def as_values() -> list[Callable[..., events.BuiltEvent]]:
    return [events.searched, events.shared, events.added_to_cart]


async def asynchronous(client: AsyncSynerise) -> None:
    assert_type(client.clock, AsyncServerClock)
    assert_type(await client.clock.now(), datetime.datetime)
    build = assert_type(await client.builder(), events.Builder)
    await client.events.added_to_cart(build.added_to_cart(client=JAN, params={"sku": "tea"}))
    await client.bulk.send_events([build.logged_in(client=JAN)])
