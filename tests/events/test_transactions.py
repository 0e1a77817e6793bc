"""Updates keep positions, or say why not; cancellations have the totals of what was cancelled."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import UNSET, InvalidRequestError, Synerise, events
from synerise_profiles.events.updates import align_products
from synerise_profiles.models import Money, Transaction
from synerise_profiles.sandbox import Sandbox
from tests.events.conftest import JAN
from tests.events.support import stored

NOON = datetime.datetime(2026, 3, 1, 12, tzinfo=datetime.UTC)
SKUS = st.lists(st.sampled_from("abcde"), max_size=8)


def product(sku: str, price: Any = 10, quantity: Any = 1, **more: Any) -> dict[str, Any]:
    money = {"amount": price, "currency": "PLN"}
    return {"sku": sku, "name": sku.upper(), "quantity": quantity, "finalUnitPrice": money, **more}


def order(*products: Any, **more: Any) -> Transaction:
    arguments = {"client": JAN, "order_id": "o-1", "payment": "CARD", "source": "POS", "time": NOON, "salt": "o-1"}
    return events.transaction(products=products, **{**arguments, **more})


def skus(transaction: Transaction) -> list[tuple[str, bool]]:
    return [(item["sku"], item.get("cancelled", False)) for item in transaction.to_dict()["products"]]


def amounts(transaction: Any) -> tuple[Any, Any]:
    fields = transaction.to_dict()
    fields = fields.get("params", fields)
    return fields["revenue"]["amount"], fields["value"]["amount"]


@given(before=SKUS, after=SKUS)
def test_every_item_keeps_its_position(before: list[str], after: list[str]) -> None:
    """Whatever the new list: each old position has an item of its SKU, and each new item is there exactly once."""
    old = [product(sku, line=("old", position)) for position, sku in enumerate(before)]
    new = [product(sku, line=("new", position)) for position, sku in enumerate(after)]
    result = align_products(old, new, "cancelled")
    assert [item["sku"] for item in result[: len(old)]] == before
    kept = [item["line"][1] for item in result if not item.get("cancelled")]
    assert sorted(kept) == list(range(len(new)))
    for position, item in enumerate(result):
        if item.get("cancelled"):
            assert item == {**old[position], "cancelled": True}
    for sku in "abcde":
        assert sum(item["sku"] == sku for item in result) == max(before.count(sku), after.count(sku))


@given(items=st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 3)), max_size=6), order_of=st.randoms())
def test_items_that_did_not_change_stay_first(items: list[tuple[str, int]], order_of: Any) -> None:
    """The same items in another order are the old list again."""
    old = [product(sku, quantity=quantity) for sku, quantity in items]
    new = list(old)
    order_of.shuffle(new)
    assert align_products(old, new, "cancelled") == old


def test_an_update_on_the_sandbox(client: Synerise, sandbox: Sandbox) -> None:
    """Items are moved, taken out and put in: each product.buy event stays with its SKU, and nothing is overwritten."""
    build = client.builder()
    first = build.transaction(
        client=JAN, order_id="o-1", payment="CARD", source="POS", salt="o-1", products=[product(sku) for sku in "abc"]
    )
    client.transactions.create(first)
    before = {event.params["sku"]: event.uuid for event in stored(sandbox, "product.buy")}
    now = [product("d"), product("c", 12), product("a")]
    second = build.updated_transaction(first, products=now)
    client.transactions.create(second)

    assert skus(second) == [("a", False), ("b", True), ("c", False), ("d", False)]
    assert amounts(second) == (32, 32)
    bought = {event.params["sku"]: event for event in stored(sandbox, "product.buy")}
    assert {sku: bought[sku].uuid for sku in "abc"} == before
    assert len(stored(sandbox, "product.buy")) == 4
    assert (bought["b"].params["cancelled"], bought["c"].params["finalUnitPrice"]["amount"]) == (True, 12)
    [charge] = stored(sandbox, "transaction.charge")
    assert charge.params["revenue"] == {"amount": 32, "currency": "PLN"}


def test_what_is_not_said_stays() -> None:
    """Profile, order, time, salt and source are those of the old one; totals that were rounded stay too."""
    old = order(product("a", "3.25", 2.5), revenue="8.13", value="7.00", discount="1", metadata={"till": 4})
    new = events.updated_transaction(old, payment="CASH")
    assert new.to_dict() == {**old.to_dict(), "paymentInfo": {"method": "CASH"}}
    assert old.to_dict()["paymentInfo"] == {"method": "CARD"}
    assert "discountAmount" not in events.updated_transaction(old, discount=None).to_dict()
    assert events.updated_transaction(old, metadata={"till": 5}).to_dict()["metadata"] == {"till": 5}
    assert events.updated_transaction(old, discount="2").to_dict()["discountAmount"]["amount"] == 2


def test_a_stored_transaction_can_be_updated() -> None:
    """The caller keeps what was sent, most often as JSON."""
    kept = orjson.loads(orjson.dumps(order(product("a", "0.1", 3), product("b")).to_dict()))
    new = events.updated_transaction(kept, products=[product("b", "0.2", 3)])
    assert skus(new) == [("a", True), ("b", False)]
    assert amounts(new) == (0.6, 0.6)
    assert new.to_dict()["recordedAt"] == kept["recordedAt"]


def test_a_second_update_remembers_the_first() -> None:
    """What was cancelled stays so, unless it is bought again; the mark may have another name."""
    once = events.updated_transaction(order(product("a"), product("b")), products=[product("b")])
    assert skus(events.updated_transaction(once, source="WEB_DESKTOP")) == [("a", True), ("b", False)]
    assert amounts(events.updated_transaction(once)) == (10, 10)
    again = events.updated_transaction(once, products=[product("a", 7), product("b")])
    assert skus(again) == [("a", False), ("b", False)]
    assert amounts(again) == (17, 17)
    named = events.updated_transaction(order(product("a"), product("b")), products=[product("b")], tag="returned")
    assert [item.get("returned") for item in named.to_dict()["products"]] == [True, None]


def test_a_value_of_its_own_is_summed_by_net_prices() -> None:
    """Where value was not revenue, it is not made so: it is summed by netUnitPrice, or has to be said."""
    net = {"netUnitPrice": {"amount": 8, "currency": "PLN"}}
    old = order(product("a", **net), product("b", **net), value=16)
    assert amounts(events.updated_transaction(old, products=[product("a", **net)])) == (10, 8)
    with pytest.raises(InvalidRequestError, match=r"value: cannot be summed, since products\[0\] has no netUnitPrice"):
        events.updated_transaction(old, products=[product("a")])
    assert amounts(events.updated_transaction(old, products=[product("a")], value=9)) == (10, 9)


@pytest.mark.parametrize(
    ("old", "more", "field", "words"),
    [
        ({"salt": UNSET}, {}, "eventSalt", "cannot be overwritten"),
        ({"salt": UNSET, "time": UNSET}, {}, "eventSalt", "cannot be overwritten"),
        ({}, {"tag": "sku"}, "tag", "has a meaning of its own"),
        ({}, {"tag": "ip"}, "tag", "has a meaning of its own"),
        ({}, {"tag": ""}, "tag", "or is empty"),
        ({}, {"products": ["a"]}, "products[0]", "is neither a model nor a mapping"),
        ({}, {"products": [product("a", price=-1)]}, "products[0].finalUnitPrice.amount", "is below zero"),
        ({}, {"revenue": 11}, "revenue", "is 11, but"),
    ],
)
def test_an_update_says_why_not(old: dict[str, Any], more: dict[str, Any], field: str, words: str) -> None:
    """What cannot be overwritten, or would be refused, is told before anything is sent."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        events.updated_transaction(order(product("a"), **old), **more)
    assert (caught.value.operation, caught.value.field) == ("transactions.create", field)


def test_an_update_needs_the_time_that_was_sent(client: Synerise, sandbox: Sandbox) -> None:
    """A salt alone does not overwrite: sent so, the sandbox keeps two. A time in the future does not either."""
    without = {name: value for name, value in order(product("a")).to_dict().items() if name != "recordedAt"}
    for _ in range(2):
        sandbox.clock.advance(1)
        client.transactions.create(without)
    assert sandbox.store.counts.transactions() == 2
    with pytest.raises(InvalidRequestError, match="recordedAt: is not set: the transaction has the time of its rec"):
        events.updated_transaction(without)
    late = order(product("a"), time=datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1))
    with pytest.raises(InvalidRequestError, match="recordedAt: is in the future"):
        client.builder().updated_transaction(late)
    with pytest.raises(InvalidRequestError, match="transaction: is neither a transaction nor a mapping"):
        events.updated_transaction("o-1")  # type: ignore[arg-type]


# --- transactions on the sandbox


def test_a_transaction_by_content_is_one(client: Synerise, sandbox: Sandbox) -> None:
    """Sent twice with a salt by content it is one, by the single call and by a batch."""
    made = client.builder(salt="content").transaction(
        client=JAN, order_id="o-1", payment="CARD", source="POS", products=[product("a")]
    )
    client.transactions.create(made)
    assert client.bulk.create_transactions([made], checks="strict").accepted == 1
    assert sandbox.store.counts.transactions() == 1
    assert order(product("a"), salt="content").event_salt == order(product("a"), salt="content").event_salt
    assert order(product("a"), salt="content").event_salt != order(product("b"), salt="content").event_salt
    assert order(product("a"), salt="unique").event_salt != order(product("a"), salt="unique").event_salt


# --- cancellations


def test_a_cancellation_on_the_sandbox(client: Synerise, sandbox: Sandbox) -> None:
    """The event of the whole order, with its totals, is stored under the order's id."""
    made = order(product("a", "3.25", 2), product("b", 5), discount=1, value="10.00")
    client.transactions.create(made)
    event = client.builder().cancellation_of(made, status="returned")
    client.events.cancelled_transaction(event)
    assert client.bulk.send_events([event], checks="strict").accepted == 1
    params = stored(sandbox, "transaction.cancel")[0].params
    sent = made.to_dict()
    assert {name: params[name] for name in ("orderId", "revenue", "value", "discountAmount", "products", "source")} == {
        name: sent[name] for name in ("orderId", "revenue", "value", "discountAmount", "products", "source")
    }
    assert params["orderStatus"] == "returned"


def test_some_items_are_cancelled() -> None:
    """By position, or with a quantity of each: the totals are those of what was cancelled."""
    made = order(product("a", "3.25", 4), product("b", 5), product("c", 7))
    assert amounts(events.cancellation_of(made, items=[0, 2])) == (20, 20)
    some = events.cancellation_of(made, items={0: 1, 1: Decimal("0.5")})
    assert amounts(some) == (5.75, 5.75)
    assert [item["quantity"] for item in some.to_dict()["params"]["products"]] == [1, 0.5]
    assert made.to_dict()["products"][0]["quantity"] == 4
    net = {"netUnitPrice": {"amount": 8, "currency": "PLN"}}
    assert amounts(events.cancellation_of(order(product("a", **net), product("b", **net), value=16), items=[1])) == (
        10,
        8,
    )


def test_what_was_cancelled_before_is_not_again() -> None:
    """Of an updated transaction only what is left is cancelled."""
    made = events.updated_transaction(order(product("a"), product("b", 3)), products=[product("b", 3)])
    assert amounts(events.cancellation_of(made)) == (3, 3)
    with pytest.raises(InvalidRequestError, match="items: position 0 is cancelled already"):
        events.cancellation_of(made, items=[0])
    with pytest.raises(InvalidRequestError, match="products: has no item that is not cancelled already"):
        events.cancellation_of(events.updated_transaction(made, products=[]))


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([2], "position that is not from 0 to 1"),
        ([-1], "position that is not from 0 to 1"),
        (["a"], "position that is not from 0 to 1"),
        ([], "names no item"),
        ({0: 5}, r"items\[0\]: is not from more than 0 to 4"),
        ({0: 0}, r"items\[0\]: is not from more than 0 to 4"),
        ({0: -1}, r"items\[0\]: is below zero"),
    ],
)
def test_no_more_is_cancelled_than_was_bought(items: Any, words: str) -> None:
    """Positions and quantities are those of the transaction."""
    with pytest.raises(InvalidRequestError, match=words) as caught:
        events.cancellation_of(order(product("a", 1, 4), product("b")), items=items)
    assert caught.value.operation == "events.cancelled_transaction"


def test_a_cancellation_without_its_transaction() -> None:
    """Where only the cancelled goods are known, their totals are summed all the same."""
    event = events.cancellation(
        client=JAN, order_id="C-1", products=[product("a", "0.1", 3)], label="Given back", time=NOON, salt="C-1"
    )
    assert isinstance(event.params.revenue, Money)  # type: ignore[union-attr]
    assert amounts(event) == (0.3, 0.3)
    assert (event.label, event.event_salt) == ("Given back", "C-1")
    with pytest.raises(InvalidRequestError, match=r"products\[0\].quantity: is below zero"):
        events.cancellation(client=JAN, order_id="C-1", products=[product("a", 1, -3)])
    with pytest.raises(InvalidRequestError, match=r"^events.cancelled_transaction: revenue: is 1, but"):
        events.cancellation(client=JAN, order_id="C-1", products=[product("a", 2)], revenue=1)
