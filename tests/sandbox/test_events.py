"""Events: the action of each endpoint, times, overwriting, batches and listings."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.bundle import load_bundle

ACTIONS = {
    item.path: item.action for item in load_bundle().operations if item.action and item.path.startswith("/v4/events/")
}


def event(**changes: Any) -> dict[str, Any]:
    return {"label": "x", "client": {"customId": "c-1"}, "time": "2024-03-01T12:00:00.250+01:00", **changes}


def test_a_single_event_is_listed(api: httpx.Client, jan: dict[str, Any]) -> None:
    """It comes back in UTC with the profile's identifiers; the label is kept nowhere."""
    assert api.post("/v4/events/custom", json=event(action="my.action", params={"a": [1]})).status_code == 202
    [listed] = api.get(f"/v4/events/by-client/{jan['clientId']}").json()
    assert listed.pop("uuid")
    assert listed == {
        "time": "2024-03-01T11:00:00.250Z",
        "action": "my.action",
        "label": None,
        "client": {"customId": "c-1", "id": jan["clientId"], "uuid": jan["uuid"], "email": "jan@example.com"},
        "params": {"a": [1]},
    }


@pytest.mark.parametrize("path", ["/v4/events/logged-in", "/v4/events/push/viewed", "/v4/events/visited-screen"])
def test_the_endpoint_sets_the_action(api: httpx.Client, jan: dict[str, Any], path: str) -> None:
    """The action is the one that the spec gives for the endpoint, in a batch by its type as well."""
    api.post(path, json=event())
    api.post("/v4/events/batch", json=[event(type=path.removeprefix("/v4/events/"), params={})])
    listed = api.get(f"/v4/events/by-client/{jan['clientId']}").json()
    assert [item["action"] for item in listed] == [ACTIONS[path]] * 2


def test_a_salt_overwrites(api: httpx.Client, jan: dict[str, Any]) -> None:
    """The same salt, time, profile and action keep one event; without a salt each is its own."""
    path = f"/v4/events/by-client/{jan['clientId']}"
    for number in range(2):
        api.post("/v4/events/custom", json=event(action="my.action", eventSalt="s", params={"n": number}))
    [kept] = api.get(path).json()
    assert kept["params"] == {"n": 1}
    api.post("/v4/events/custom", json=event(action="my.action", eventSalt="s", time="2024-03-02T12:00:00Z"))
    api.post("/v4/events/custom", json=event(action="other.action", eventSalt="s"))
    api.post("/v4/events/batch", json=[event(action="my.action")] * 2)
    assert len(api.get(path).json()) == 5


def test_a_future_time_is_replaced(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The time of receipt is kept instead of one in the future, and where there is none."""
    api.post("/v4/events/batch", json=[event(action="my.action", time="2100-01-01T00:00:00Z")])
    api.post("/v4/events/custom", json={"label": "x", "client": {"id": jan["clientId"]}, "action": "my.action"})
    now = sandbox.app.world.millis()
    assert all(now - 60_000 < item.time <= now for item in sandbox.store.events.of_profile(jan["clientId"]))


def test_an_event_makes_its_profile(sandbox: Sandbox, api: httpx.Client) -> None:
    """New identifiers make a profile; an unknown id alone makes none and the event is lost."""
    api.post("/v4/events/custom", json=event(action="my.action", client={"email": "new@example.com"}))
    api.post("/v4/events/custom", json=event(action="my.action", client={"id": 17}))
    found = api.get("/v4/clients/by-email/new@example.com").json()
    assert len(sandbox.store.events.of_profile(found["clientId"])) == 1
    assert [exchange.applied for exchange in sandbox.log][:2] == [1, 0]


def test_listing_by_time_action_and_limit(api: httpx.Client, own: httpx.Client, jan: dict[str, Any]) -> None:
    """The oldest come first; both ends of the range are included; a profile lists its own."""
    days = [event(action=f"a.{day % 2}", time=f"2024-03-0{day}T00:00:00Z") for day in (3, 1, 2, 4)]
    assert api.post("/v4/events/batch", json=days).status_code == 202

    def listed(client: httpx.Client, path: str, **query: Any) -> list[str]:
        return [item["time"][8:10] for item in client.get(path, params=query).json()]

    path = f"/v4/events/by-client/{jan['clientId']}"
    between = {"time[from]": "2024-03-02T00:00:00Z", "time[to]": "2024-03-03T00:00:00Z"}
    assert listed(api, path) == ["01", "02", "03", "04"]
    assert listed(api, path, **between) == ["02", "03"]
    assert listed(api, path, action="a.0", limit=1) == ["02"]
    assert listed(own, "/v4/events", limit=3) == ["01", "02", "03"]
    assert api.get(path, params={"time[from]": "yesterday"}).status_code == 400
    assert api.get("/v4/events/by-client/1").json() == []


def test_a_batch_with_an_invalid_event_is_refused(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Nothing of it is stored, and the error says which item it was."""
    response = api.post("/v4/events/batch", json=[event(action="my.action"), event(label=None)])
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, "[1].label")
    assert len(sandbox.store.events) == 0


def test_server_time_needs_nobody(sandbox: Sandbox, api: httpx.Client) -> None:
    """The clock answers without credentials, in ISO 8601."""
    del api.headers["Authorization"]
    answer = api.get("/v4/server/time").json()
    assert answer["serverTime"][:10] == sandbox.app.world.iso()[:10]
    assert answer["serverTime"].endswith("Z")
