"""Transactions: the events that they make, amounts, updates by salt and by position, batches."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox
from synerise_profiles.sandbox.domain.events import ORIGINAL_TIME_PARAM, StoredEvent

SINGLE = "/v4/transactions"
BATCH = "/v4/transactions/batch"
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


def money(amount: float, currency: str = "PLN") -> dict[str, Any]:
    return {"amount": amount, "currency": currency}


def product(sku: str, **changes: Any) -> dict[str, Any]:
    return {"sku": sku, "name": sku, "finalUnitPrice": money(3.25), "quantity": 2, **changes}


def transaction(*skus: str, **changes: Any) -> dict[str, Any]:
    return {
        "client": {"customId": "c-1"},
        "orderId": "o-1",
        "paymentInfo": {"method": "CASH"},
        "products": [product(sku) for sku in skus],
        "revenue": money(3.25),
        "value": money(3.25),
        "source": "POS",
        "recordedAt": "2024-03-01T12:00:00Z",
        **changes,
    }


def bought(sandbox: Sandbox, profile: dict[str, Any]) -> list[StoredEvent]:
    return sandbox.store.events.of_profile(profile["clientId"], action="product.buy")


def charges(sandbox: Sandbox, profile: dict[str, Any]) -> list[StoredEvent]:
    return sandbox.store.events.of_profile(profile["clientId"], action="transaction.charge")


def refused(response: httpx.Response) -> str:
    """The field that a refusal names first."""
    assert response.status_code == 400
    field: str = response.json()["errors"][0]["field"]
    return field


def left_out(response: httpx.Response) -> str:
    """The one field that the answer to a batch names, of which the rest was taken."""
    assert response.status_code == 207
    [found] = response.json()
    field: str = found["field"]
    return field


def test_a_transaction_makes_events(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """One charge with the whole purchase, one product.buy an item with its free keys."""
    sent = transaction("a", metadata={"till": 4}, products=[product("a"), product("b", shelf="A4")])
    assert api.post(SINGLE, json=sent).status_code == 202
    path = f"/v4/events/by-client/{jan['clientId']}"
    [charge] = api.get(path, params={"action": "transaction.charge"}).json()
    kept = {key: value for key, value in sent.items() if key not in ("client", "recordedAt")}
    assert (charge["time"], charge["params"]) == ("2024-03-01T12:00:00.000Z", kept)
    items = api.get(path, params={"action": "product.buy"}).json()
    assert [item["params"] for item in items] == [
        {**product("a"), "orderId": "o-1", "source": "POS"},
        {**product("b", shelf="A4"), "orderId": "o-1", "source": "POS"},
    ]
    assert [kept["orderId"] for kept in sandbox.store.transactions.of_profile(jan["clientId"])] == ["o-1"]


def test_items_are_known_by_their_position(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """An item that moves into another's place overwrites that one's event and leaves the old place a new one."""
    api.post(SINGLE, json=transaction("a", "b", "c", eventSalt="s"))
    before = {event.params["sku"]: event.uuid for event in bought(sandbox, jan)}
    api.post(BATCH, json=[transaction("a", "b", "d", "c", eventSalt="s")])
    after = {event.params["sku"]: event.uuid for event in bought(sandbox, jan)}
    assert after == {"a": before["a"], "b": before["b"], "d": before["c"], "c": after["c"]}
    assert after["c"] not in before.values()
    assert [len(event.params["products"]) for event in charges(sandbox, jan)] == [4]


def test_items_left_out_of_an_update_stay(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Events can't be deleted: those at the later positions stay as they were."""
    api.post(SINGLE, json=transaction("a", "b", "c", eventSalt="s"))
    before = bought(sandbox, jan)
    api.post(SINGLE, json=transaction("x", eventSalt="s"))
    after = bought(sandbox, jan)
    assert [event.uuid for event in after] == [event.uuid for event in before]
    assert [event.params["sku"] for event in after] == ["x", "b", "c"]


def test_a_salt_overwrites_a_transaction(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The same salt, recordedAt and profile keep one transaction and one charge with its uuid."""
    api.post(SINGLE, json=transaction("a", eventSalt="s"))
    [first] = charges(sandbox, jan)
    api.post(SINGLE, json=transaction("a", eventSalt="s", orderId="o-2", recordedAt="2024-03-01T13:00:00+01:00"))
    [second] = charges(sandbox, jan)
    assert (second.uuid, second.params["orderId"]) == (first.uuid, "o-2")
    assert "eventSalt" not in second.params
    assert sandbox.store.counts.transactions_by_order() == {"o-2": 1}
    written = [logged.outcomes for logged in sandbox.log if logged.operation == "transactions.create"]
    assert written == [(Outcome.APPLIED,), (Outcome.OVERWROTE,)]


@pytest.mark.parametrize(
    "change",
    [{}, {"eventSalt": "s"}, {"eventSalt": "s", "recordedAt": "2024-03-02T12:00:00Z"}],
    ids=["no salt", "a salt added later", "another time"],
)
def test_the_order_id_alone_makes_another(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], change: dict[str, Any]
) -> None:
    """Sent again without what overwrites, an order is there twice, and so are its items."""
    api.post(SINGLE, json=transaction("a", **({"eventSalt": "s"} if "recordedAt" in change else {})))
    api.post(SINGLE, json=transaction("a", **change))
    assert sandbox.store.counts.transactions(order_id="o-1") == 2
    assert len({event.uuid for event in bought(sandbox, jan)}) == 2


def test_a_future_time_is_replaced(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The charge and the purchases get the time of receipt, and no salt works; the text that was sent is kept."""
    sandbox.clock.stop()
    sandbox.clock.set(NOON)
    future = "2024-03-01T12:00:00.001Z"
    for _ in range(2):
        api.post(SINGLE, json=transaction("a", eventSalt="s", recordedAt=future))
    events = [*charges(sandbox, jan), *bought(sandbox, jan)]
    assert [event.time for event in events] == [int(NOON.timestamp() * 1000)] * 4
    assert [event.params[ORIGINAL_TIME_PARAM] for event in events] == [future] * 4
    assert refused(api.post(SINGLE, json=transaction("a", recordedAt="2016-12-31T23:59:60Z"))) == "recordedAt"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"value": money(1, "EUR")}, "value.currency"),
        ({"discountAmount": money(1, "EUR")}, "discountAmount.currency"),
        (
            {"products": [product("a"), product("b", finalUnitPrice=money(1, "EUR"))]},
            "products.1.finalUnitPrice.currency",
        ),
        ({"products": [product("a", regularPrice=money(1, "EUR"))]}, "products.0.regularPrice.currency"),
        ({"products": [product("a", deposit=money(1, "EUR"))]}, "products.0.deposit.currency"),
    ],
)
def test_all_amounts_have_one_currency(sandbox: Sandbox, api: httpx.Client, change: dict[str, Any], field: str) -> None:
    """The first amount in another currency than the revenue is named, alone and in a batch, which takes the others."""
    bad = transaction("a") | change
    assert refused(api.post(SINGLE, json=bad)) == field
    assert left_out(api.post(BATCH, json=[transaction("a"), bad])) == field
    assert sandbox.log[-1].outcomes == (Outcome.APPLIED, Outcome.REFUSED)
    assert sandbox.store.counts.transactions() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"revenue": money(-1)}, "revenue.amount"),
        ({"value": money(-0.01)}, "value.amount"),
        ({"products": [product("a", netUnitPrice=money(-1))]}, "products.0.netUnitPrice.amount"),
        ({"discountAmount": money(0)}, "discountAmount.amount"),
        ({"discountAmount": money(-1)}, "discountAmount.amount"),
    ],
)
def test_amounts_are_not_negative_and_a_discount_is_more_than_zero(
    sandbox: Sandbox, api: httpx.Client, change: dict[str, Any], field: str
) -> None:
    """Zero is an amount and no discount; a batch of nothing else is refused whole and names the places."""
    bad = transaction("a") | change
    assert refused(api.post(SINGLE, json=bad)) == field
    assert left_out(api.post(BATCH, json=[transaction("a"), bad])) == field
    assert refused(api.post(BATCH, json=[bad, bad])) == f"[0].{field}"
    assert sandbox.store.counts.transactions() == 1
    free = transaction("a", revenue=money(0), value=money(0), discountAmount=money(0.01))
    assert api.post(SINGLE, json=free).status_code == 202


def test_a_batch_of_transactions(sandbox: Sandbox, api: httpx.Client) -> None:
    """Each makes its profile where that is new; unlike events, each may be identified in its own way."""
    items = [transaction("a", orderId=f"o-{n}", client={"customId": f"t-{n}"}) for n in range(100)]
    items.append(transaction("a", client={"email": "ewa@example.com"}))
    assert api.post(BATCH, json=items).status_code == 202
    assert (len(sandbox.store.profiles), len(sandbox.store.transactions), len(sandbox.store.events)) == (101, 101, 202)


def test_a_batch_of_more_than_1000_is_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    """The limit is the spec's; a thousand are taken."""
    item = {**transaction(), "eventSalt": "s"}
    assert api.post(BATCH, json=[item] * 1001).status_code == 400
    assert api.post(BATCH, json=[item] * 1000).status_code == 202
    assert sandbox.log[-1].outcomes == (Outcome.APPLIED, *[Outcome.OVERWROTE] * 999)
    assert sandbox.store.counts.transactions() == 1


def test_a_transaction_of_an_unknown_id(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Alone it answers 404; in a batch, where no 404 is documented, it is dropped, and the dropped writes say so."""
    unknown = transaction("a", client={"id": 17})
    assert api.post(SINGLE, json=unknown).status_code == 404
    assert api.post(BATCH, json=[transaction("a"), unknown]).status_code == 202
    assert sandbox.log[-1].outcomes == (Outcome.APPLIED, Outcome.DROPPED)
    [entry] = sandbox.dropped_writes
    assert (entry.operation, entry.index, entry.item["client"]) == ("transactions.create_batch", 1, {"id": 17})
    assert sandbox.store.counts.events_by_action() == {"product.buy": 1, "transaction.charge": 1}
    assert api.post(SINGLE, json=transaction("a", client={"id": 17, "customId": "c-1"})).status_code == 202
    assert api.post(SINGLE, json=transaction("a", client={"id": jan["clientId"]})).status_code == 202
    assert len(charges(sandbox, jan)) == 3


@pytest.mark.parametrize("client", [{}, {"phone": "+48111222333"}])
def test_a_transaction_names_its_profile(api: httpx.Client, client: dict[str, Any]) -> None:
    """Without an identifier it is refused."""
    assert refused(api.post(SINGLE, json=transaction("a", client=client))) == "client"
    assert refused(api.post(BATCH, json=[transaction("a", client=client)])) == "[0].client"
