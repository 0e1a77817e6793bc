"""Events: the action of each endpoint, times, overwriting, params, batches, listings, the server's clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox
from synerise_profiles.sandbox.domain.events import ORIGINAL_TIME_PARAM, StoredEvent
from synerise_profiles.sandbox.spec import load_spec

BATCH = "/v4/events/batch"
CUSTOM = "/v4/events/custom"
OPERATIONS = {item.path: item for item in load_spec().operations}
SINGLE = [item for path, item in OPERATIONS.items() if item.action and path.startswith("/v4/events/")]
RESERVED = load_spec().document["components"]["schemas"]["EventParams"]["x-reserved-names"]
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)


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


def test_a_single_event_is_listed(api: httpx.Client, jan: dict[str, Any]) -> None:
    """It comes back in UTC with the profile's identifiers, and without the text of its time."""
    assert api.post(CUSTOM, json=custom(params={"a": [1]})).status_code == 202
    [listed] = api.get(f"/v4/events/by-client/{jan['clientId']}").json()
    assert listed.pop("uuid")
    assert listed == {
        "time": "2024-03-01T11:00:00.250Z",
        "action": "my.action",
        "label": None,
        "client": {"customId": "c-1", "id": jan["clientId"], "uuid": jan["uuid"], "email": "jan@example.com"},
        "params": {"a": [1]},
    }


def test_the_endpoint_sets_the_action(sandbox: Sandbox, api: httpx.Client) -> None:
    """The action is the one that the spec gives for the endpoint; one in the body counts for nothing."""
    for operation in SINGLE:
        body = {**load_spec().example(operation), "client": {"customId": operation.path}, "action": "own.action"}
        assert api.post(operation.path, json=body).status_code == operation.success_status
        owner = sandbox.store.profiles.find("customId", operation.path)
        assert owner is not None
        assert [kept.action for kept in sandbox.store.events.of_profile(owner.client_id)] == [operation.action]


def test_the_action_of_a_custom_event(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """It is the sender's own and matches the documented pattern."""
    for action in ("ab", "A.b-c_9", "x" * 64):
        assert api.post(CUSTOM, json=event(action=action)).status_code == 202
    for action in ("a", "two words", "x" * 65, "zażółć", ""):
        assert refused(api.post(CUSTOM, json=event(action=action))) == "action"
    assert refused(api.post(CUSTOM, json=event())) == "action"
    assert [kept.action for kept in stored(sandbox, jan)] == ["ab", "A.b-c_9", "x" * 64]


def test_a_label_is_required_and_kept_nowhere(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """An event without a label is refused; what the label said cannot be found afterwards."""
    without = custom()
    del without["label"]
    assert refused(api.post(CUSTOM, json=without)) == "label"
    assert refused(api.post(CUSTOM, json=custom(label=""))) == "label"
    assert api.post(CUSTOM, json=custom(label="a rare word")).status_code == 202
    assert "a rare word" not in repr(stored(sandbox, jan))
    assert "a rare word" not in api.get(f"/v4/events/by-client/{jan['clientId']}").text


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("2022-10-14T15:00:00+01:00", "2022-10-14T14:00:00.000Z"),
        ("2022-10-14T22:00:00-08:00", "2022-10-15T06:00:00.000Z"),
        ("2022-10-14T12:02:06.5Z", "2022-10-14T12:02:06.500Z"),
    ],
)
def test_times_are_kept_in_utc(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], sent: str, shown: str) -> None:
    """A time is shown in UTC; its text stays beside it as a param that the listings don't show."""
    api.post(CUSTOM, json=custom(time=sent))
    [kept] = stored(sandbox, jan)
    assert kept.params == {ORIGINAL_TIME_PARAM: sent}
    [listed] = api.get(f"/v4/events/by-client/{jan['clientId']}").json()
    assert (listed["time"], listed["params"]) == (shown, {})


def test_a_time_that_is_no_moment_is_refused(sandbox: Sandbox, api: httpx.Client) -> None:
    """What the schema lets through and no calendar has is refused before it is accepted."""
    for time in ("2016-12-31T23:59:60Z", "0001-01-01T00:00:00+01:00", "yesterday"):
        assert refused(api.post(CUSTOM, json=custom(time=time))) == "time"
        assert refused(api.post(BATCH, json=[custom(), custom(time=time)])) == "[1].time"
    assert len(sandbox.store.events) == 0


def test_a_future_time_is_replaced(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The time of receipt is kept instead of one in the future, and where there is none."""
    sandbox.clock.stop()
    sandbox.clock.set(NOON)
    future = "2024-03-01T12:00:00.001Z"
    without = custom()
    del without["time"]
    api.post(BATCH, json=[custom(time=future), custom(time="2024-03-01T13:00:00+01:00")])
    api.post(CUSTOM, json=without)
    kept = stored(sandbox, jan)
    assert [item.time for item in kept] == [int(NOON.timestamp() * 1000)] * 3
    assert [item.params.get(ORIGINAL_TIME_PARAM) for item in kept] == [future, "2024-03-01T13:00:00+01:00", None]


def test_a_salt_has_no_effect_with_a_future_time(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Such an event overwrites nothing and can't be overwritten, not even at the same moment."""
    sandbox.clock.stop()
    sandbox.clock.set(NOON)
    for time in ("2024-03-02T00:00:00Z", "2024-03-02T00:00:00Z", "2024-03-01T12:00:00Z"):
        api.post(CUSTOM, json=custom(eventSalt="s", time=time))
    assert len(stored(sandbox, jan)) == 3
    assert [logged.outcomes for logged in sandbox.log][-3:] == [(Outcome.APPLIED,)] * 3


def test_the_time_of_receipt_is_that_of_the_request(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """However long an accepted event waits, it happened when it came."""
    sandbox.clock.stop()
    sandbox.clock.set(NOON)
    sandbox.options.delay = 60
    path = f"/v4/events/by-client/{jan['clientId']}"
    api.post(CUSTOM, json=custom(time="2024-03-01T12:00:30Z"))
    assert api.get(path).json() == []
    sandbox.clock.advance(60)
    assert [item["time"] for item in api.get(path).json()] == ["2024-03-01T12:00:00.000Z"]


def test_a_salt_overwrites(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The same salt, time, profile and action keep one event with its uuid; the time may be written otherwise."""
    path = f"/v4/events/by-client/{jan['clientId']}"
    api.post(CUSTOM, json=custom(eventSalt="s", params={"n": 0, "gone": True}))
    [first] = api.get(path).json()
    client = {"id": jan["clientId"]}
    api.post(CUSTOM, json=custom(eventSalt="s", params={"n": 1}, client=client, time="2024-03-01T11:00:00.250Z"))
    [second] = api.get(path).json()
    assert (second["uuid"], second["params"]) == (first["uuid"], {"n": 1})
    written = [logged.outcomes for logged in sandbox.log if logged.operation == "events.custom"]
    assert written == [(Outcome.APPLIED,), (Outcome.OVERWROTE,)]


@pytest.mark.parametrize(
    "change",
    [
        {"time": "2024-03-01T12:00:00.251+01:00"},
        {"client": {"customId": "c-2"}},
        {"action": "other.action"},
        {"eventSalt": "s2"},
    ],
    ids=["another time", "another profile", "another action", "another salt"],
)
def test_a_salt_elsewhere_overwrites_nothing(sandbox: Sandbox, api: httpx.Client, change: dict[str, Any]) -> None:
    """One difference, and both events stay."""
    api.post(CUSTOM, json=custom(eventSalt="s", params={"n": 0}))
    api.post(CUSTOM, json=custom(eventSalt="s", params={"n": 1}) | change)
    assert sandbox.store.counts.events() == 2
    assert [logged.outcomes for logged in sandbox.log] == [(Outcome.APPLIED,)] * 2


def test_events_without_a_salt_are_all_kept(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Equal events are different events; an empty salt is none."""
    api.post(BATCH, json=[custom(), custom(), custom(eventSalt=""), custom(eventSalt="")])
    assert len({kept.uuid for kept in stored(sandbox, jan)}) == 4


@pytest.mark.parametrize("place", [CUSTOM, BATCH])
def test_reserved_params_are_ignored(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], place: str) -> None:
    """What the system keeps for itself takes no effect, not even on the event's own time and uuid."""
    sent = custom(params={**dict.fromkeys(RESERVED, "mine"), ORIGINAL_TIME_PARAM: "mine", "kept": 1})
    assert api.post(place, json=sent if place == CUSTOM else [sent]).status_code == 202
    [kept] = stored(sandbox, jan)
    assert kept.params == {"kept": 1, ORIGINAL_TIME_PARAM: sent["time"]}
    assert kept.uuid != "mine"


def test_an_email_param_must_be_the_profiles_own(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Another address is accepted with 202; the event is dropped, and only the list of dropped writes says so."""
    own, other, cased = ({"email": text} for text in ("jan@example.com", "ewa@example.com", "JAN@example.com"))
    response = api.post(BATCH, json=[custom(params=other), custom(params=own), custom(params=cased)])
    assert response.status_code == 202
    assert [kept.params["email"] for kept in stored(sandbox, jan)] == ["jan@example.com"]
    assert sandbox.log[-1].outcomes == (Outcome.DROPPED, Outcome.APPLIED, Outcome.DROPPED)
    assert [(entry.operation, entry.index) for entry in sandbox.dropped_writes] == [
        ("events.send_batch", n) for n in (0, 2)
    ]
    assert "email" in sandbox.dropped_writes[0].reason


def test_an_event_makes_its_profile(sandbox: Sandbox, api: httpx.Client) -> None:
    """New identifiers make a profile, once; other events find it."""
    clients: list[dict[str, Any]] = [{"email": "new@example.com"}, {"customId": "new"}, {"uuid": "new-uuid"}]
    for client in clients:
        assert api.post(BATCH, json=[custom(client=client)] * 2).status_code == 202
        [(name, value)] = client.items()
        owner = sandbox.store.profiles.find(name, value)
        assert owner is not None
        assert len(sandbox.store.events.of_profile(owner.client_id)) == 2
    assert len(sandbox.store.profiles) == 3


def test_an_event_of_an_unknown_id_is_dropped(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """It is accepted with 202 and makes no profile; the dropped writes have the item and the reason."""
    items = [custom(client={"id": client_id}) for client_id in (17, jan["clientId"], 18)]
    assert api.post(BATCH, json=items).status_code == 202
    assert api.post("/v4/events/logged-in", json=event(client={"id": 19})).status_code == 202
    assert (len(sandbox.store.profiles), len(stored(sandbox, jan))) == (1, 1)
    assert sandbox.log[-2].outcomes == (Outcome.DROPPED, Outcome.APPLIED, Outcome.DROPPED)
    assert sandbox.log[-1].outcomes == (Outcome.DROPPED,)
    entries = [(entry.operation, entry.index, entry.item["client"]["id"]) for entry in sandbox.dropped_writes]
    assert entries == [("events.send_batch", 0, 17), ("events.send_batch", 2, 18), ("events.logged_in", 0, 19)]
    assert "17" in sandbox.dropped_writes[0].reason


def test_an_email_that_identifies_nobody(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Where addresses are not unique an event with an address alone is dropped, and the dropped writes say why."""
    sandbox.options.unique_emails = False
    assert api.post(CUSTOM, json=custom(client={"email": "jan@example.com"})).status_code == 202
    assert (len(sandbox.store.profiles), stored(sandbox, jan)) == (1, [])
    assert sandbox.log[-1].outcomes == (Outcome.DROPPED,)
    assert "no identifier" in sandbox.dropped_writes[0].reason


@pytest.mark.parametrize("client", [{}, {"phone": "+48111222333"}, {"customId": ""}])
def test_an_event_names_its_profile(sandbox: Sandbox, api: httpx.Client, client: dict[str, Any]) -> None:
    """Without an identifier it is refused; a phone number is none here, and neither is an empty text."""
    assert refused(api.post(CUSTOM, json=custom(client=client))) == "client"
    assert refused(api.post(BATCH, json=[custom(), custom(client=client)])) == "[1].client"
    assert len(sandbox.store.profiles) == 0


def test_listing_by_time_action_and_limit(api: httpx.Client, own: httpx.Client, jan: dict[str, Any]) -> None:
    """The oldest come first; both ends of the range are included; a profile lists its own."""
    days = [event(action=f"a.{day % 2}", time=f"2024-03-0{day}T00:00:00Z") for day in (3, 1, 2, 4)]
    others = event(action="a.0", client={"customId": "c-2"})
    assert api.post(BATCH, json=[*days, others]).status_code == 202

    def listed(client: httpx.Client, path: str, **query: Any) -> list[str]:
        return [item["time"][8:10] for item in client.get(path, params=query).json()]

    path = f"/v4/events/by-client/{jan['clientId']}"
    between = {"time[from]": "2024-03-02T00:00:00Z", "time[to]": "2024-03-03T00:00:00Z"}
    for client, place in ((api, path), (own, "/v4/events")):
        assert listed(client, place) == ["01", "02", "03", "04"]
        assert listed(client, place, **between) == ["02", "03"]
        assert listed(client, place, action="a.0", limit=1) == ["02"]
        assert listed(client, place, limit=3) == ["01", "02", "03"]
        assert listed(client, place, limit=0) == listed(client, place, limit=-1) == []
        assert client.get(place, params={"time[from]": "yesterday"}).status_code == 400
    assert api.get("/v4/events/by-client/1").json() == []


def test_a_listing_ends_now(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Without an end the current time applies: what a moved clock has yet to reach is left out."""
    path = f"/v4/events/by-client/{jan['clientId']}"
    api.post(BATCH, json=[custom(time="2024-03-01T00:00:00Z"), custom(time="2024-03-03T00:00:00Z")])
    sandbox.clock.set(datetime(2024, 3, 2, tzinfo=UTC))
    assert len(api.get(path).json()) == 1
    assert len(api.get(path, params={"time[to]": "2024-03-04T00:00:00Z"}).json()) == 2


def test_server_time_is_the_sandboxs_clock(sandbox: Sandbox, api: httpx.Client) -> None:
    """It answers without credentials, in ISO 8601, and moves as the clock is moved."""
    del api.headers["Authorization"]
    sandbox.clock.stop()
    sandbox.clock.set(NOON + timedelta(milliseconds=5))
    assert api.get("/v4/server/time").json() == {"serverTime": "2024-03-01T12:00:00.005Z"}
    sandbox.clock.advance(60)
    assert api.get("/v4/server/time").json() == {"serverTime": "2024-03-01T12:01:00.005Z"}
