"""Batches of events: limits, one kind of identifier, types, equal items, and the proof that nothing is lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox
from synerise_profiles.sandbox.domain.events import StoredEvent
from synerise_profiles.sandbox.spec import load_spec

BATCH = "/v4/events/batch"
CUSTOM = "/v4/events/custom"
OPERATIONS = {item.path: item for item in load_spec().operations}
SINGLE = [item for path, item in OPERATIONS.items() if item.action and path.startswith("/v4/events/")]


def event(**changes: Any) -> dict[str, Any]:
    return {"label": "x", "client": {"customId": "c-1"}, "time": "2024-03-01T12:00:00.250+01:00", **changes}


def custom(**changes: Any) -> dict[str, Any]:
    return event(action="my.action", **changes)


def stored(sandbox: Sandbox, profile: dict[str, Any]) -> list[StoredEvent]:
    return sandbox.store.events.of_profile(profile["clientId"])


def refused(response: httpx.Response) -> str:
    """The field that a refusal names first."""
    assert response.status_code == 400
    field: str = response.json()["errors"][0]["field"]
    return field


def test_equal_events_of_one_batch(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The second of two overwrites the first; the log tells each in the request's order."""
    items = [custom(eventSalt=salt, params={"n": n}) for n, salt in enumerate(("a", "b", "a", "a"))]
    api.post(BATCH, json=items)
    api.post(BATCH, json=[items[1]])
    assert sorted(kept.params["n"] for kept in stored(sandbox, jan)) == [1, 3]
    applied, overwrote = Outcome.APPLIED, Outcome.OVERWROTE
    assert sandbox.log[-2].outcomes == (applied, applied, overwrote, overwrote)
    assert sandbox.log[-1].outcomes == (overwrote,)


def test_a_batch_of_mixed_identifiers_is_refused_whole(sandbox: Sandbox, api: httpx.Client) -> None:
    """All items are identified by the same kind; of several the first of id, uuid, customId, email counts."""
    by_id, by_email = custom(), custom(client={"email": "jan@example.com"})
    by_both = custom(client={"customId": "c-1", "email": "jan@example.com"})
    assert refused(api.post(BATCH, json=[by_id, by_id, by_email])) == "[2].client"
    assert refused(api.post(BATCH, json=[by_email, by_both])) == "[1].client"
    assert (len(sandbox.store.events), len(sandbox.store.profiles)) == (0, 0)
    assert api.post(BATCH, json=[by_id, by_both]).status_code == 202
    assert sandbox.store.counts.events() == 2


def test_a_batch_beyond_the_limits_is_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    """A thousand events are taken and one more is not; nor is a byte more than the spec allows."""
    most, size = OPERATIONS[BATCH].max_items, OPERATIONS[BATCH].max_bytes
    assert (most, size) == (1000, 1_000_000)
    assert api.post(BATCH, json=[custom()] * 1001).status_code == 400
    padding = len(httpx.Request("POST", "http://x", json=[custom(params={"p": ""})]).content)
    for length, status in ((1_000_001, 400), (1_000_000, 202)):
        assert api.post(BATCH, json=[custom(params={"p": "x" * (length - padding)})]).status_code == status
    assert api.post(BATCH, json=[custom()] * 1000).status_code == 202
    assert sandbox.store.counts.events() == 1001


def test_a_batch_with_an_invalid_event_is_refused(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Nothing of it is stored, and the error says which item it was."""
    assert refused(api.post(BATCH, json=[custom(), event(label=None)])) == "[1].label"
    assert len(stored(sandbox, jan)) == 0


def test_the_type_of_an_item_names_an_endpoint(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Its action is set as by that endpoint, whatever action stands beside it."""
    for operation in SINGLE:
        kind = operation.path.removeprefix("/v4/events/")
        api.post(BATCH, json=[event(type=kind), event(type=kind, action="own.action")])
        assert [kept.action for kept in stored(sandbox, jan)[-2:]] == [operation.action] * 2


def test_the_type_of_a_custom_item(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A type that names no endpoint needs an action, and is a custom event then."""
    assert api.post(BATCH, json=[custom(), custom(type="custom"), custom(type="string")]).status_code == 202
    assert [kept.action for kept in stored(sandbox, jan)] == ["my.action"] * 3
    assert refused(api.post(BATCH, json=[custom(), event()])) == "[1].action"
    assert refused(api.post(BATCH, json=[event(type="custom")])) == "[0].action"
    assert refused(api.post(BATCH, json=[event(type="added-to-crat")])) == "[0].type"


@pytest.mark.parametrize("place", [CUSTOM, BATCH])
def test_no_purchase_comes_of_an_event(sandbox: Sandbox, api: httpx.Client, place: str) -> None:
    """A transaction.charge sent as an event is no more than an event: no product.buy, no transaction."""
    sent = event(action="transaction.charge", params={"orderId": "o-1", "products": [{"sku": "a"}]})
    assert api.post(place, json=sent if place == CUSTOM else [sent]).status_code == 202
    assert sandbox.store.counts.events_by_action() == {"transaction.charge": 1}
    assert sandbox.store.counts.transactions() == 0


def test_events_can_be_counted(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A test can prove that nothing was lost and nothing was kept twice."""
    items = [event(action=f"a.{n % 3}", eventSalt=f"s-{n}", client={"customId": f"c-{n % 2}"}) for n in range(30)]
    for _ in range(2):
        api.post(BATCH, json=items)
    counts = sandbox.store.counts
    assert counts.events_by_action() == {"a.0": 10, "a.1": 10, "a.2": 10}
    assert (counts.events(), counts.events(action="a.1"), counts.events(client_id=jan["clientId"])) == (30, 10, 15)
    uuids = [kept.uuid for kept in stored(sandbox, jan)]
    assert counts.known_events([*uuids, "none"]) == set(uuids)
    assert sum(logged.applied for logged in sandbox.log if logged.operation == "events.send_batch") == 60
