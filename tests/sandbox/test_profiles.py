"""Profiles: what was sent can be read back; matching, null, batches, merges, exports, notes, devices."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox

JAN = "/v4/clients/by-email/jan@example.com"


def test_a_new_profile_is_read_back(api: httpx.Client) -> None:
    """Native fields, agreements, attributes and tags come back as they were sent, the rest with its default."""
    sent = {
        "email": "zofia@example.com",
        "city": "Kraków",
        "sex": "FEMALE",
        "agreements": {"email": True, "sms": "true", "push": 1, "wifi": "False"},
        "attributes": {"score": 7, "nested": {"a": [1, None]}},
        "tags": ["vip", "new"],
    }
    response = api.post("/v4/clients", json=sent)
    assert (response.status_code, response.content) == (202, b"")
    found = api.get("/v4/clients/by-email/zofia@example.com").json()
    assert found["clientId"] > 100_000_000
    assert (found["city"], found["sex"], found["firstName"]) == ("Kraków", "FEMALE", None)
    assert found["agreements"] == {
        "email": True,
        "sms": True,
        "push": True,
        "webPush": False,
        "bluetooth": False,
        "rfid": False,
        "wifi": False,
    }
    assert found["attributes"] == {"score": 7, "nested": {"a": [1, None]}}
    assert found["tags"] == ["vip", "new"]
    assert api.get(f"/v4/clients/{found['clientId']}").json() == found


@pytest.mark.parametrize(
    "identifiers",
    [{"email": "jan@example.com"}, {"customId": "c-1"}, {"phone": "+48111222333"}],
    ids=["email", "customId", "phone"],
)
def test_an_identifier_finds_the_profile(api: httpx.Client, jan: dict[str, Any], identifiers: dict[str, str]) -> None:
    """Any identifier updates the profile that has it; a phone does so alone."""
    api.post("/v4/clients", json={**identifiers, "city": "Gdynia"})
    assert api.get(f"/v4/clients/{jan['clientId']}").json()["city"] == "Gdynia"


def test_a_uuid_finds_the_profile(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A uuid updates the profile that has it, in a batch as well."""
    api.post("/v4/clients/batch", json=[{"uuid": jan["uuid"], "city": "Gdynia"}])
    assert api.get(JAN).json()["city"] == "Gdynia"
    assert len(sandbox.store.profiles) == 1


def test_a_phone_beside_another_identifier_finds_nothing(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]
) -> None:
    """With another identifier the phone is only a field: two profiles may share it."""
    api.post("/v4/clients", json={"phone": jan["phone"], "email": "anna@example.com"})
    found = api.get("/v4/clients/batch/by-phone/%2B48111222333").json()
    assert [profile["email"] for profile in found] == ["jan@example.com", "anna@example.com"]
    assert len(sandbox.store.profiles) == 2


def test_a_phone_alone_makes_an_anonymous_profile(api: httpx.Client) -> None:
    """Such a profile is anonymous and has a made-up e-mail address."""
    api.post("/v4/clients", json={"phone": "600700800"})
    found = api.get("/v4/clients/by-phone/600700800").json()
    assert found["anonymous"] is True
    assert found["email"].endswith(".invalid")


def test_null_deletes_and_resets(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Null deletes a custom attribute and resets a native field; what is left out stays."""
    path = f"/v4/clients/{jan['clientId']}"
    api.post(path, json={"city": "Gdynia", "attributes": {"a": 1, "b": 2}})
    assert api.post(path, json={"firstName": None, "attributes": {"a": None, "c": 3}}).status_code == 202
    found = api.get(path).json()
    assert (found["firstName"], found["city"]) == (None, "Gdynia")
    assert found["attributes"] == {"b": 2, "c": 3}


def test_tags_are_set(api: httpx.Client) -> None:
    """Tags that are sent replace the ones before; left out they stay; an empty list removes them."""
    cases: list[tuple[dict[str, list[str]], list[str]]] = [
        ({"tags": ["a", "b"]}, ["a", "b"]),
        ({}, ["a", "b"]),
        ({"tags": ["c"]}, ["c"]),
        ({"tags": []}, []),
    ]
    for sent, expected in cases:
        api.post("/v4/clients", json={"email": "jan@example.com", **sent})
        assert api.get(JAN).json()["tags"] == expected


def test_an_item_with_identifiers_of_two_profiles_is_dropped(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]
) -> None:
    """The request is accepted and nothing happens."""
    api.post("/v4/clients", json={"email": "anna@example.com"})
    response = api.post("/v4/clients", json={"email": "anna@example.com", "customId": "c-1", "city": "Gdynia"})
    assert response.status_code == 202
    assert sandbox.log[-1].applied == 0
    assert api.get(JAN).json() == jan


@pytest.mark.parametrize(
    "path", ["/v4/clients/{clientId}", "/v4/clients/by-email/{email}", "/v4/clients/by-customid/{customId}"]
)
def test_update_by_path(api: httpx.Client, jan: dict[str, Any], path: str) -> None:
    """Each way to name the profile changes it; its identifiers may change as well."""
    assert api.post(path.format(**jan), json={"email": "nowak@example.com", "city": "Gdynia"}).status_code == 202
    found = api.get("/v4/clients/by-email/nowak@example.com").json()
    assert (found["clientId"], found["city"]) == (jan["clientId"], "Gdynia")
    assert api.get(JAN).status_code == 404


def test_update_of_nobody_is_404(api: httpx.Client) -> None:
    """A profile that does not exist is not made by an update."""
    assert api.post("/v4/clients/by-email/nobody@example.com", json={"city": "Gdynia"}).status_code == 404
    assert api.post("/v4/clients/1", json={"city": "Gdynia"}).json()["status"] == 404


@pytest.mark.parametrize("path", ["/v4/clients/{clientId}", "/v4/clients/by-custom-id/{customId}"])
def test_delete(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], path: str) -> None:
    """A deleted profile is gone, and its id is not given again."""
    assert api.delete(path.format(**jan)).status_code == 202
    assert api.delete(path.format(**jan)).status_code == 404
    api.post("/v4/clients", json={"email": "jan@example.com"})
    assert api.get(JAN).json()["clientId"] > jan["clientId"]
    assert len(sandbox.store.profiles) == 1


def test_batch(sandbox: Sandbox, api: httpx.Client) -> None:
    """A thousand profiles in one request, in the order of the list."""
    items = [{"customId": f"b-{number}", "attributes": {"n": number}} for number in range(1000)]
    assert api.post("/v4/clients/batch", json=items).status_code == 202
    assert api.post("/v4/clients/batch", json=items[:500]).status_code == 202
    assert [profile.data["attributes"]["n"] for profile in sandbox.store.profiles] == list(range(1000))
    assert [exchange.applied for exchange in sandbox.log] == [1000, 500]


def test_items_of_a_batch_see_each_other(api: httpx.Client) -> None:
    """An item finds the profile that an earlier one of the same batch made, and may take over what it gave up."""
    api.post(
        "/v4/clients/batch", json=[{"customId": "a", "email": "x@example.com"}, {"customId": "a", "city": "Gdynia"}]
    )
    api.post(
        "/v4/clients/batch",
        json=[{"customId": "a", "email": "y@example.com"}, {"customId": "b", "email": "x@example.com"}],
    )
    first, second = (api.get(f"/v4/clients/by-custom-id/{name}").json() for name in "ab")
    assert (first["email"], first["city"], second["email"]) == ("y@example.com", "Gdynia", "x@example.com")


def test_invalid_items_of_a_batch(sandbox: Sandbox, api: httpx.Client) -> None:
    """207 names what is wrong; the good items take effect."""
    items: list[dict[str, Any]] = [{"email": "no"}, {"email": "jan@example.com"}, {"firstName": "Anna"}]
    response = api.post("/v4/clients/batch", json=items)
    assert response.status_code == 207
    assert [(error["field"], error["rejectedValue"]) for error in response.json()] == [
        ("email", "no"),
        ("identifier", None),
    ]
    assert [profile.email for profile in sandbox.store.profiles] == ["jan@example.com"]


@pytest.mark.parametrize("body", [[{"customId": "x"}] * 1001, [{"customId": "x", "displayName": "y" * 1_000_000}]])
def test_too_large_a_batch_is_refused(api: httpx.Client, body: list[dict[str, str]]) -> None:
    """More than 1000 items or 1,000,000 bytes are refused as a whole."""
    assert api.post("/v4/clients/batch", json=body).status_code == 400


def test_merge(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Sources go; the target gets their history and the attributes that it lacks, and names them once."""
    for name, attributes in [("c-1", {"a": 1}), ("c-2", {"a": 2, "b": 2}), ("c-3", {"b": 3, "c": 3})]:
        api.post("/v4/clients", json={"customId": name, "city": name, "tags": [name], "attributes": attributes})
    event = {"label": "x", "client": {"customId": "c-3"}, "action": "my.action"}
    api.post("/v4/events/custom", json=event)
    merged = api.post("/v4/clients/merge/from/custom-ids/c-2,c-3/to/custom-id/c-1")
    assert merged.status_code == 200
    found = api.get(JAN).json()
    assert merged.json() == {**found, "previousClients": ["c-2", "c-3"]}
    assert found["previousClients"] == []
    assert (found["attributes"], found["city"], found["tags"]) == ({"a": 1, "b": 2, "c": 3}, "c-1", ["c-1"])
    assert [api.get(f"/v4/clients/by-custom-id/{name}").status_code for name in ("c-2", "c-3")] == [404, 404]
    assert len(api.get(f"/v4/events/by-client/{jan['clientId']}").json()) == 1


def test_merge_of_unknown_profiles_is_404(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Source and target must exist; nothing happens when one does not."""
    client_id = jan["clientId"]
    assert api.post(f"/v4/clients/merge/from/ids/1/to/id/{client_id}").status_code == 404
    assert api.post(f"/v4/clients/merge/from/ids/{client_id}/to/id/1").status_code == 404
    assert api.get(JAN).json() == jan


def test_contact(api: httpx.Client, jan: dict[str, Any]) -> None:
    """The older form reads and writes the same profile under other names; a missing one is plain text."""
    answer = api.put(f"/crm/v1/contacts/{jan['clientId']}", json={"firstname": "Adam", "sex": "2", "hasDog": True})
    assert answer.json()["base"]["firstname"] == {"label": "firstname", "value": "Adam"}
    found = api.get(JAN).json()
    assert (found["firstName"], found["sex"], found["attributes"]) == ("Adam", "MALE", {"hasDog": True})
    missing = api.get("/crm/v1/clients/1/contacts")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_export(api: httpx.Client, jan: dict[str, Any]) -> None:
    """An export keeps the profiles of its moment and is read in pages."""
    api.post(
        "/v4/clients/batch", json=[{"customId": f"e-{number}", "agreements": {"email": True}} for number in range(3)]
    )
    order: dict[str, Any] = {
        "name": "All",
        "fields": ["id", "customId"],
        "agreementFilter": "EMAIL",
        "segmentationHash": "e7cff342-b484-4fcb-aa34-4735122bc9e7",
        "tags": ["vip"],
        "excludedIds": [jan["clientId"] + 1],
    }
    task = api.post("/morph/exports/clients/segmentation", json=order).json()["taskId"]
    api.post("/v4/clients", json={"customId": "late", "agreements": {"email": True}})
    assert api.get(f"/morph/exports/clients/{task}/status").json()["status"] == "COMPLETED"
    data = f"/morph/exports/clients/{task}/data"
    rows = api.get(data, params={"offset": 0, "limit": 10}).json()
    assert [(row["customId"], row["vip"]) for row in rows] == [("e-1", "false"), ("e-2", "false")]
    assert api.get(data, params={"offset": 1, "limit": 1}).json() == rows[1:]
    assert api.post("/morph/exports/clients/segmentation", json={**order, "fields": ["email"]}).status_code == 400


def test_notes(user: httpx.Client, jan: dict[str, Any]) -> None:
    """Notes are made, read, changed and removed by a user."""
    path = f"/notes-service/by-id/{jan['clientId']}"
    note = user.post(path, json={"subject": "One", "body": "<p>1</p>"}).json()
    assert user.get(path).json() == [note]
    changed = user.put(f"{path}/{note['id']}", json={"subject": "Two"}).json()
    assert (changed["subject"], changed["body"]) == ("Two", "<p>1</p>")
    assert user.get(f"{path}/{note['id']}").json() == changed
    assert [user.delete(f"{path}/{note['id']}").status_code for _ in range(2)] == [200, 204]
    missing = user.get(f"{path}/{note['id']}")
    assert (missing.status_code, missing.content) == (404, b"")


def test_devices(sandbox: Sandbox, api: httpx.Client, own: httpx.Client, jan: dict[str, Any]) -> None:
    """A linked device is kept; a clean-up removes its token, leaves an event and says that none is left."""
    device = {"deviceId": "d-1", "registrationId": "r-1", "type": "android"}
    assert api.post(f"/v4/clients/{jan['clientId']}/linked-devices", json=device).status_code == 200
    assert own.post("/push-devices/clients/linked-devices", json={**device, "deviceId": "d-2"}).status_code == 202
    assert len(sandbox.store.records.of_profile("device", jan["clientId"])) == 2
    clean_up = {"type": "BY_UPDATED_BEFORE", "updated": "2100-01-01T00:00:00Z"}
    assert (
        api.post(f"/push-devices/mobile-push-subscriber/clean-up/{jan['clientId']}", json=clean_up).status_code == 200
    )
    assert sandbox.store.records.of_profile("device", jan["clientId"]) == []
    events = sandbox.store.events.of_profile(jan["clientId"], action="push.tokenDelete")
    assert [event.params["deviceId"] for event in events] == ["d-1", "d-2"]
    assert api.get(JAN).json()["attributes"] == {"has_mobile_push_devices": False}


def test_own_account(own: httpx.Client, api: httpx.Client, jan: dict[str, Any]) -> None:
    """A profile reads and changes itself, also by what it confirms."""
    assert own.get("/v4/my-account/personal-information").json() == jan
    assert own.post("/v4/my-account/personal-information", json={"city": "Gdynia"}).status_code == 202
    own.post("/v4/my-account/phone-update/confirmation", json={"phone": "600700800", "confirmationCode": "1"})
    own.post("/sauth/v2/my-account/email-change/request", json={"email": "nowak@example.com", "uuid": jan["uuid"]})
    own.post("/sauth/my-account/email-change/confirmation", json={"token": "t", "newsletterAgreement": True})
    found = api.get(f"/v4/clients/{jan['clientId']}").json()
    assert (found["city"], found["phone"], found["email"]) == ("Gdynia", "600700800", "nowak@example.com")
    assert found["agreements"]["email"] is True


def test_account_deletion(own: httpx.Client, sandbox: Sandbox, jan: dict[str, Any]) -> None:
    """The profile stays, without agreements and with the event of its deletion."""
    own.post("/v4/my-account/personal-information", json={"agreements": {"sms": True}})
    answer = own.post("/sauth/v2/my-account/delete", json={"password": "secret", "identityProvider": "SYNERISE"})
    assert answer.status_code == 200
    found = sandbox.store.profile(jan["clientId"])
    assert found is not None
    assert found["agreements"]["sms"] is False
    assert [event.action for event in sandbox.store.events.of_profile(jan["clientId"])] == ["client.deleteAccount"]


def test_registration(api: httpx.Client) -> None:
    """An account is opened once; a second one with the same address is refused."""
    account = {"email": "ola@example.com", "password": "secret", "firstName": "Ola"}
    assert api.post("/sauth/clients/registered", json=account).status_code == 202
    assert api.get("/v4/clients/by-email/ola@example.com").json()["firstName"] == "Ola"
    refused = api.post("/sauth/clients/registered", json=account)
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "email")
    assert refused.json()["traceId"]
