"""Transactions and the events that they make."""

from __future__ import annotations

from typing import Any

import httpx

from synerise_profiles.sandbox import Sandbox


def transaction(*skus: str, **changes: Any) -> dict[str, Any]:
    price = {"amount": 3.25, "currency": "PLN"}
    return {
        "client": {"customId": "c-1"},
        "orderId": "o-1",
        "paymentInfo": {"method": "CASH"},
        "products": [{"sku": sku, "name": sku, "finalUnitPrice": price, "quantity": 2} for sku in skus],
        "revenue": price,
        "value": price,
        "source": "POS",
        "recordedAt": "2024-03-01T12:00:00Z",
        **changes,
    }


def test_a_transaction_makes_events(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """One charge with the whole purchase, one product.buy an item."""
    assert api.post("/v4/transactions", json=transaction("a", "b")).status_code == 202
    path = f"/v4/events/by-client/{jan['clientId']}"
    [charge] = api.get(path, params={"action": "transaction.charge"}).json()
    assert (charge["params"]["orderId"], len(charge["params"]["products"])) == ("o-1", 2)
    bought = api.get(path, params={"action": "product.buy"}).json()
    assert [(item["params"]["sku"], item["params"]["orderId"]) for item in bought] == [("a", "o-1"), ("b", "o-1")]
    assert [kept["orderId"] for kept in sandbox.store.transactions.of_profile(jan["clientId"])] == ["o-1"]


def test_a_salt_overwrites_by_position(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """An item that moves into another's place overwrites that one's event; without a salt all is new."""
    api.post("/v4/transactions", json=transaction("a", "b", "c", eventSalt="s"))
    api.post("/v4/transactions/batch", json=[transaction("a", "b", "d", "c", eventSalt="s")])
    bought = sandbox.store.events.of_profile(jan["clientId"], action="product.buy")
    assert [event.params["sku"] for event in bought] == ["a", "b", "d", "c"]
    assert len(sandbox.store.transactions) == 1
    api.post("/v4/transactions", json=transaction("a"))
    assert len(sandbox.store.transactions) == 2


def test_a_batch_of_transactions(sandbox: Sandbox, api: httpx.Client) -> None:
    """Each makes its profile where that is new."""
    items = [transaction("a", orderId=f"o-{n}", client={"customId": f"t-{n}"}) for n in range(100)]
    assert api.post("/v4/transactions/batch", json=items).status_code == 202
    assert (len(sandbox.store.profiles), len(sandbox.store.transactions), len(sandbox.store.events)) == (100, 100, 200)


def test_an_invalid_transaction_is_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    """A negative amount is named with its place, alone and in a batch."""
    bad = transaction("a", revenue={"amount": -1, "currency": "PLN"})
    single, batch = api.post("/v4/transactions", json=bad), api.post("/v4/transactions/batch", json=[bad])
    assert (single.status_code, single.json()["errors"][0]["field"]) == (400, "revenue.amount")
    assert (batch.status_code, batch.json()["errors"][0]["field"]) == (400, "[0].revenue.amount")
    assert len(sandbox.store.transactions) == 0
