"""Merges: what moves, what is copied, what is lost."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox

JAN = "/v4/clients/by-email/jan@example.com"
MERGE = "/v4/clients/merge/from/custom-ids/c-2,c-3/to/custom-id/c-1"
BY_ID = "/v4/clients/merge/from/ids/{}/to/id/{}"


@pytest.fixture
def three(api: httpx.Client, jan: dict[str, Any]) -> list[dict[str, Any]]:
    """Jan, and two profiles to be merged into him."""
    for name, attributes in [("c-1", {"a": 1}), ("c-2", {"a": 2, "b": 2}), ("c-3", {"b": 3, "c": 3})]:
        more = {} if name == "c-1" else {"email": f"{name}@example.com", "phone": f"600700{name[2:]}"}
        sent = {"customId": name, "city": name, "tags": [name], "attributes": attributes, "uuid": f"u-{name}", **more}
        assert api.post("/v4/clients", json=sent).status_code == 202
    assert api.post("/v4/clients", json={"customId": "c-3", "company": "Lost"}).status_code == 202
    return [api.get(f"/v4/clients/by-custom-id/c-{number}").json() for number in (1, 2, 3)]


def test_missing_attributes_are_copied(api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """Attributes that the target has are kept; of two sources the first gives what is missing."""
    api.post(MERGE)
    assert api.get(JAN).json()["attributes"] == {"a": 1, "b": 2, "c": 3}


def test_properties_and_tags_of_sources_are_lost(api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """Even those that the target has no value for."""
    api.post(MERGE)
    found = api.get(JAN).json()
    assert (found["city"], found["company"], found["tags"]) == ("c-1", None, ["c-1"])


def test_uuids_move(sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """Each uuid of a source finds the target, also in a batch; the target shows its own as before."""
    api.post(MERGE)
    for number in (1, 2, 3):
        found = api.get(f"/v4/clients/by-uuid/u-c-{number}").json()
        assert (found["clientId"], found["uuid"]) == (three[0]["clientId"], "u-c-1")
    api.post("/v4/clients/batch", json=[{"uuid": "u-c-3", "city": "Gdynia"}])
    assert api.get(JAN).json()["city"] == "Gdynia"
    assert len(sandbox.store.profiles) == 1


def test_uuids_of_earlier_merges_move_on(api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """A profile that was merged into one that is merged is found in the last of them."""
    one, two, last = (profile["clientId"] for profile in three)
    assert api.post(BY_ID.format(last, two)).status_code == 200
    assert api.post(BY_ID.format(two, one)).status_code == 200
    assert api.get("/v4/clients/by-uuid/u-c-3").json()["clientId"] == one


def test_events_move(api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """The history of the sources is the target's from then on, and new events of their uuids are too."""
    api.post("/v4/events/custom", json={"label": "x", "client": {"customId": "c-3"}, "action": "my.action"})
    api.post(MERGE)
    api.post("/v4/events/custom", json={"label": "x", "client": {"uuid": "u-c-2"}, "action": "my.action"})
    assert len(api.get(f"/v4/events/by-client/{three[0]['clientId']}").json()) == 2
    assert api.get(f"/v4/events/by-client/{three[2]['clientId']}").json() == []


def test_sources_are_gone(sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """404 by every identifier but the uuids, which moved."""
    api.post(MERGE)
    for source in three[1:]:
        identifiers = [
            f"by-custom-id/{source['customId']}",
            f"by-email/{source['email']}",
            f"by-phone/{source['phone']}",
        ]
        for path in (str(source["clientId"]), *identifiers):
            assert api.get(f"/v4/clients/{path}").status_code == 404
    assert len(sandbox.store.profiles) == 1


def test_previous_clients_are_in_the_answer_alone(api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """By customId they are custom ids, by clientId numbers; reading shows none."""
    by_custom_id = api.post("/v4/clients/merge/from/custom-ids/c-2/to/custom-id/c-1").json()
    found = api.get(JAN).json()
    assert (by_custom_id, found["previousClients"]) == ({**found, "previousClients": ["c-2"]}, [])
    by_id = api.post(BY_ID.format(three[2]["clientId"], three[0]["clientId"])).json()
    assert by_id["previousClients"] == [three[2]["clientId"]]
    assert api.get(JAN).json()["previousClients"] == []


def test_source_and_target_must_exist(sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """404 for either, and nothing happens, not even with the sources that exist."""
    one, two, _ = (profile["clientId"] for profile in three)
    assert api.post(BY_ID.format(f"{two},1", one)).status_code == 404
    assert api.post(BY_ID.format(two, 1)).status_code == 404
    assert api.get("/v4/clients/by-custom-id/c-2").json() == three[1]
    assert len(sandbox.store.profiles) == 3


def test_the_target_among_the_sources_is_skipped(
    sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]
) -> None:
    """The reference's own examples name it there; the others are merged, and the target is not its own source."""
    answer = api.post("/v4/clients/merge/from/custom-ids/c-1,c-2/to/custom-id/c-1")
    assert (answer.status_code, answer.json()["previousClients"]) == (200, ["c-2"])
    one, _, last = (profile["clientId"] for profile in three)
    answer = api.post(BY_ID.format(f"{one},{last}", one))
    assert (answer.status_code, answer.json()["previousClients"]) == (200, [last])
    assert [logged.applied for logged in sandbox.log][-2:] == [1, 1]
    assert api.get(JAN).json()["attributes"] == {"a": 1, "b": 2, "c": 3}
    assert len(sandbox.store.profiles) == 1


def test_the_target_alone_stays_as_it_is(sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]) -> None:
    """Where it is its only source, the answer is the target, and nothing is applied."""
    for path in ("/v4/clients/merge/from/custom-ids/c-1/to/custom-id/c-1", BY_ID.format(*[three[0]["clientId"]] * 2)):
        answer = api.post(path)
        assert (answer.status_code, answer.json()) == (200, three[0])
        assert sandbox.log[-1].outcomes == ()
    assert len(sandbox.store.profiles) == 3


def test_more_than_twenty_are_refused(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """20 sources can be merged at once; 21 are refused."""
    api.post("/v4/clients/batch", json=[{"customId": f"m-{number}"} for number in range(21)])
    sources = [f"m-{number}" for number in range(21)]
    assert api.post(f"/v4/clients/merge/from/custom-ids/{','.join(sources)}/to/custom-id/c-1").status_code == 400
    assert api.post(f"/v4/clients/merge/from/custom-ids/{','.join(sources[1:])}/to/custom-id/c-1").status_code == 200
    assert sandbox.log[-1].applied == 20
    assert len(sandbox.store.profiles) == 2


def test_an_update_that_waits_for_a_merged_profile_is_dropped(
    sandbox: Sandbox, api: httpx.Client, three: list[dict[str, Any]]
) -> None:
    """It was accepted for a profile that is gone when its time comes."""
    sandbox.options.delay = 60
    assert api.post(f"/v4/clients/{three[1]['clientId']}", json={"city": "late"}).status_code == 202
    assert api.post(MERGE).status_code == 200
    sandbox.drain()
    assert sandbox.log[-2].outcomes == (Outcome.DROPPED,)
    assert "gone" in sandbox.dropped_writes[-1].reason


def test_a_batch_joins_an_anonymous_profile(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Both uuids with one e-mail address: the anonymous profile's uuid, events and missing attributes move."""
    for uuid in ("old", "new"):
        api.post("/v4/clients", json={"uuid": uuid, "attributes": {uuid: 1}})
    api.post("/v4/events/custom", json={"label": "x", "client": {"uuid": "new"}, "action": "my.action"})
    items = [{"uuid": uuid, "email": "ola@example.com"} for uuid in ("old", "new")]
    assert api.post("/v4/clients/batch", json=items).status_code == 202
    found = api.get("/v4/clients/by-uuid/new").json()
    assert found == api.get("/v4/clients/by-uuid/old").json()
    assert (found["email"], found["attributes"], found["anonymous"]) == ("ola@example.com", {"old": 1, "new": 1}, False)
    assert len(api.get(f"/v4/events/by-client/{found['clientId']}").json()) == 1
    assert len(sandbox.store.profiles) == 2
    assert len(sandbox.dropped_writes) == 0


def test_a_batch_joins_profiles_that_it_makes(sandbox: Sandbox, api: httpx.Client) -> None:
    """An anonymous profile of the same batch is taken in before it is ever stored."""
    items = [{"uuid": "a"}, {"customId": "c-1", "email": "ola@example.com"}, {"uuid": "a", "email": "ola@example.com"}]
    assert api.post("/v4/clients/batch", json=items).status_code == 202
    assert api.get("/v4/clients/by-uuid/a").json()["customId"] == "c-1"
    assert len(sandbox.store.profiles) == 1


def test_a_batch_does_not_join_known_profiles(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A uuid that belongs to somebody known is a conflict; so is one by single requests, which join nobody."""
    api.post("/v4/clients", json={"customId": "c-2", "uuid": "known"})
    api.post("/v4/clients", json={"uuid": "unknown"})
    api.post("/v4/clients/batch", json=[{"uuid": "known", "email": "jan@example.com"}])
    api.post("/v4/clients", json={"uuid": "unknown", "email": "jan@example.com"})
    assert [entry.operation for entry in sandbox.dropped_writes] == ["profiles.upsert_batch", "profiles.upsert"]
    assert len(sandbox.store.profiles) == 3
