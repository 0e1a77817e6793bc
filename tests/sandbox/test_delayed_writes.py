"""What 202 means: accepted, done later, perhaps dropped; batches and what becomes of each item."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox

APPLIED, DROPPED, REFUSED = Outcome.APPLIED, Outcome.DROPPED, Outcome.REFUSED
JAN = "/v4/clients/by-email/jan@example.com"
BATCH = "/v4/clients/batch"


def test_writes_become_visible_after_the_delay(sandbox: Sandbox, api: httpx.Client) -> None:
    """Until then nothing is to be seen, and nothing is known of its outcome."""
    sandbox.options.delay = 30
    assert api.post("/v4/clients", json={"email": "jan@example.com"}).status_code == 202
    assert sandbox.log[-1].outcomes == ()
    sandbox.clock.advance(29)
    assert api.get(JAN).status_code == 404
    sandbox.clock.advance(2)
    assert api.get(JAN).status_code == 200
    assert sandbox.log[0].outcomes == (APPLIED,)


def test_waiting_writes_keep_their_order(sandbox: Sandbox, api: httpx.Client) -> None:
    """Also when the delay is taken away meanwhile; `drain` does them all now."""
    for delay, city in ((60, "A"), (5, "B"), (0, "C")):
        sandbox.options.delay = delay
        api.post("/v4/clients", json={"email": "jan@example.com", "city": city, "attributes": {city: 1}})
    assert api.get(JAN).status_code == 404
    assert sandbox.drain() == 3
    found = api.get(JAN).json()
    assert (found["city"], list(found["attributes"])) == ("C", ["A", "B", "C"])
    assert sandbox.drain() == 0


def test_deletion_and_tags_wait_too(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Accepted twice, done once: the second deletion finds nothing and is dropped."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    sandbox.options.delay = 30
    for path in (f"/v4/clients/{jan['clientId']}", f"/v4/tags/{tag}"):
        assert [api.delete(path).status_code for _ in range(2)] == [202, 202]
    assert api.get(JAN).status_code == 200
    assert [found["id"] for found in api.get("/v4/clients/tags").json()] == [tag]
    sandbox.drain()
    assert api.get(JAN).status_code == 404
    assert api.get("/v4/clients/tags").json() == []
    deletions = [logged.outcomes for logged in sandbox.log if logged.method == "DELETE"]
    assert deletions == [(APPLIED,), (DROPPED,)] * 2
    assert [entry.operation for entry in sandbox.dropped_writes] == ["profiles.delete", "tags.delete"]


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ({"email": "anna@example.com", "customId": "c-1", "city": "Gdynia"}, "belong to several profiles"),
        ({"uuid": "u-anna", "customId": "c-1", "city": "Gdynia"}, "belong to several profiles"),
        ({"clientId": 17, "city": "Gdynia"}, "no profile has the clientId 17"),
        ({"clientId": 17, "customId": "c-1", "city": "Gdynia"}, "no profile has the clientId 17"),
    ],
)
def test_an_identifier_conflict_drops_the_whole_item(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], item: dict[str, Any], reason: str
) -> None:
    """Accepted without effect: only the dropped writes show it, with the reason."""
    anna = {"email": "anna@example.com", "uuid": "u-anna", "customId": "c-anna"}
    api.post("/v4/clients", json=anna)
    items = [{"customId": "c-1", "lastName": "Kowalski"}, item, {"customId": "c-9"}]
    response = api.post(BATCH, json=items)
    assert (response.status_code, response.content) == (202, b"")
    assert sandbox.log[-1].outcomes == (APPLIED, DROPPED, APPLIED)
    [entry] = sandbox.dropped_writes
    assert (entry.operation, entry.index, entry.item) == ("profiles.upsert_batch", 1, item)
    assert reason in entry.reason
    assert api.get(JAN).json() == {**jan, "lastName": "Kowalski"}
    assert api.get("/v4/clients/by-email/anna@example.com").json()["city"] is None


@pytest.mark.parametrize("path", ["/v4/clients", "/v4/clients/{clientId}", "/v4/clients/by-customid/c-1"])
def test_an_identifier_of_another_drops_a_single_write(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], path: str
) -> None:
    """The same for single writes, under the name of their operation."""
    api.post("/v4/clients", json={"customId": "c-2", "email": "anna@example.com"})
    sent = {"customId": "c-1", "email": "anna@example.com", "city": "Gdynia"}
    assert api.post(path.format(**jan), json=sent).status_code == 202
    assert sandbox.log[-1].outcomes == (DROPPED,)
    assert sandbox.dropped_writes[-1].operation == sandbox.log[-1].operation
    assert api.get(JAN).json() == jan


def test_a_batch_of_a_thousand(sandbox: Sandbox, api: httpx.Client) -> None:
    """A thousand profiles in one request, in the order of the list, each applied once."""
    items = [{"customId": f"b-{number}", "attributes": {"n": number}} for number in range(1000)]
    assert api.post(BATCH, json=items).status_code == 202
    assert api.post(BATCH, json=items[:500]).status_code == 202
    assert [profile.data["attributes"]["n"] for profile in sandbox.store.profiles] == list(range(1000))
    assert [logged.outcomes for logged in sandbox.log] == [(APPLIED,) * 1000, (APPLIED,) * 500]


def test_items_of_a_batch_see_each_other(api: httpx.Client) -> None:
    """An item finds the profile that an earlier one of the same batch made, and may take over what it gave up."""
    items = [{"customId": "a", "email": "x@example.com"}, {"customId": "a", "city": "Gdynia"}]
    api.post(BATCH, json=items)
    api.post(BATCH, json=[{"customId": "a", "email": "y@example.com"}, {"customId": "b", "email": "x@example.com"}])
    first, second = (api.get(f"/v4/clients/by-custom-id/{name}").json() for name in "ab")
    assert (first["email"], first["city"], second["email"]) == ("y@example.com", "Gdynia", "x@example.com")


def test_invalid_items_of_a_batch_are_reported_and_left_out(sandbox: Sandbox, api: httpx.Client) -> None:
    """207 with what is wrong, without a position; the good items take effect, and the log has each at its place."""
    items: list[dict[str, Any]] = [
        {"email": "no"},
        {"email": "jan@example.com"},
        {"firstName": "Anna"},
        {"clientId": 17},
        {"customId": "c-1", "birthDate": "2999-01-01", "agreements": {"sms": "maybe"}},
    ]
    response = api.post(BATCH, json=items)
    assert response.status_code == 207
    assert [(error["field"], error["rejectedValue"]) for error in response.json()] == [
        ("email", "no"),
        ("identifier", None),
        ("agreements.sms", "maybe"),
        ("birthDate", "2999-01-01"),
    ]
    assert all(error.keys() == {"code", "field", "message", "rejectedValue"} for error in response.json())
    assert sandbox.log[-1].outcomes == (REFUSED, APPLIED, REFUSED, DROPPED, REFUSED)
    assert [entry.index for entry in sandbox.dropped_writes] == [3]
    assert [profile.email for profile in sandbox.store.profiles] == ["jan@example.com"]


def test_a_batch_of_invalid_items_alone(sandbox: Sandbox, api: httpx.Client) -> None:
    """Is 207 as well; nothing happens."""
    response = api.post(BATCH, json=[{"email": "no"}, {"firstName": "Anna"}])
    assert (response.status_code, len(response.json())) == (207, 2)
    assert sandbox.log[-1].outcomes == (REFUSED, REFUSED)
    assert len(sandbox.store.profiles) == 0


def test_a_partly_invalid_batch_waits_too(sandbox: Sandbox, api: httpx.Client) -> None:
    """The good items of a 207 become visible after the delay."""
    sandbox.options.delay = 30
    assert api.post(BATCH, json=[{"email": "no"}, {"email": "jan@example.com"}]).status_code == 207
    assert api.get(JAN).status_code == 404
    sandbox.drain()
    assert api.get(JAN).status_code == 200
    assert sandbox.log[0].outcomes == (REFUSED, APPLIED)


@pytest.mark.parametrize("more", [0, 1])
def test_more_than_a_thousand_items_are_refused(sandbox: Sandbox, api: httpx.Client, more: int) -> None:
    """1000 are accepted, 1001 refused as a whole."""
    items = [{"customId": f"b-{number}"} for number in range(1000 + more)]
    assert api.post(BATCH, json=items).status_code == (400 if more else 202)
    assert len(sandbox.store.profiles) == (0 if more else 1000)


@pytest.mark.parametrize("more", [0, 1])
def test_more_than_a_million_bytes_are_refused(sandbox: Sandbox, api: httpx.Client, more: int) -> None:
    """1,000,000 bytes are accepted, one more is refused; what counts is bytes, not characters."""
    frame = len('[{"customId":"b","displayName":""}]')
    content = '[{"customId":"b","displayName":"' + "ż" * 400_000 + "x" * (200_000 - frame + more) + '"}]'
    sent = content.encode()
    assert len(sent) == 1_000_000 + more
    response = api.post(BATCH, content=sent, headers={"Content-Type": "application/json"})
    assert response.status_code == (400 if more else 202)
    assert len(sandbox.store.profiles) == (0 if more else 1)
