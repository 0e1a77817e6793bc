"""Profiles: what was sent can be read back; identifiers, null, tags, updates, deletion, the older contact form."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Outcome, Sandbox

from .conftest import client_of

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
    items = [{"phone": jan["phone"], "city": "Gdynia"}, {"phone": jan["phone"], "email": "ola@example.com"}]
    api.post("/v4/clients/batch", json=items)
    assert len(sandbox.store.profiles) == 3


@pytest.mark.parametrize("sent", [{"phone": "600700800"}, {"uuid": "u-1"}], ids=["phone", "uuid"])
def test_an_anonymous_profile_has_a_placeholder_address(api: httpx.Client, sent: dict[str, str]) -> None:
    """Without a custom id and an e-mail address a profile is anonymous and has a made-up one; later it gets its own."""
    [(name, value)] = sent.items()
    api.post("/v4/clients", json=sent)
    found = api.get(f"/v4/clients/by-{name}/{value}").json()
    assert found["anonymous"] is True
    assert found["email"].endswith("@anonymous.invalid")
    api.post(f"/v4/clients/{found['clientId']}", json={"email": "ola@example.com"})
    known = api.get(f"/v4/clients/by-{name}/{value}").json()
    assert (known["email"], known["anonymous"]) == ("ola@example.com", False)
    api.post(f"/v4/clients/{found['clientId']}", json={"email": None})
    assert api.get(f"/v4/clients/by-{name}/{value}").json() == found


def test_a_phone_that_was_given_up_finds_nobody(api: httpx.Client, jan: dict[str, Any]) -> None:
    """Within one batch too; of two profiles with a number the older one is meant."""
    api.post("/v4/clients", json={"customId": "c-2", "phone": jan["phone"]})
    items = [{"phone": jan["phone"], "city": "A"}, {"customId": "c-1", "phone": "1234567"}]
    api.post("/v4/clients/batch", json=[*items, {"phone": jan["phone"], "city": "B"}])
    assert [api.get(f"/v4/clients/by-custom-id/c-{number}").json()["city"] for number in (1, 2)] == ["A", "B"]


def test_an_empty_identifier_is_none(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """It names nobody; sent to a profile it takes the identifier away, as null does."""
    assert api.post("/v4/clients", json={"customId": "", "uuid": ""}).status_code == 400
    api.post(f"/v4/clients/{jan['clientId']}", json={"customId": "", "uuid": "", "phone": None})
    found = api.get(JAN).json()
    assert (found["customId"], found["uuid"], found["phone"]) == (None, jan["uuid"], None)
    assert len(sandbox.store.profiles) == 1


def test_a_uuid_that_is_replaced_still_finds_the_profile(
    sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]
) -> None:
    """The uuid sent last is shown; the one before still belongs to the profile, and to nobody once that is deleted."""
    api.post("/v4/clients", json={"customId": "c-1", "uuid": "u-2"})
    for uuid in (jan["uuid"], "u-2"):
        found = api.get(f"/v4/clients/by-uuid/{uuid}").json()
        assert (found["clientId"], found["uuid"]) == (jan["clientId"], "u-2")
    api.post("/v4/clients/batch", json=[{"uuid": jan["uuid"], "city": "Gdynia"}])
    assert api.get(JAN).json()["city"] == "Gdynia"
    assert sandbox.store.profiles.uuids(jan["clientId"]) == ["u-2", jan["uuid"]]
    api.delete(f"/v4/clients/{jan['clientId']}")
    assert [api.get(f"/v4/clients/by-uuid/{uuid}").status_code for uuid in (jan["uuid"], "u-2")] == [404, 404]
    api.post("/v4/clients", json={"uuid": jan["uuid"]})
    assert api.get(f"/v4/clients/by-uuid/{jan['uuid']}").json()["clientId"] > jan["clientId"]


def test_a_uuid_of_another_sandbox_is_free(api: httpx.Client) -> None:
    """Uuids that are made here differ from those of any other sandbox: profiles can be copied between them."""
    with Sandbox() as other, client_of(other, other.token()) as source:
        source.post("/v4/clients/batch", json=[{"customId": str(number)} for number in range(3)])
        uuid = source.get("/v4/clients/by-custom-id/2").json()["uuid"]
    assert api.post("/v4/clients", json={"uuid": uuid}).status_code == 202
    assert api.post("/v4/clients/batch", json=[{"customId": str(number)} for number in range(3)]).status_code == 202
    assert api.get("/v4/clients/by-custom-id/2").json()["uuid"] != uuid


def test_emails_that_are_not_unique(sandbox: Sandbox, api: httpx.Client) -> None:
    """An e-mail address names nobody then: it is stored and may repeat, and its agreement has no effect."""
    sandbox.options.unique_emails = False
    refused = api.post("/v4/clients", json={"email": "ola@example.com"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "identifier")
    agreements = {"email": True, "sms": True}
    items = [{"customId": f"c-{n}", "email": "ola@example.com", "agreements": agreements} for n in range(2)]
    assert api.post("/v4/clients/batch", json=items).status_code == 202
    assert [logged.applied for logged in sandbox.log][-1] == 2
    found = [api.get(f"/v4/clients/by-custom-id/c-{n}").json() for n in range(2)]
    assert [profile["email"] for profile in found] == ["ola@example.com"] * 2
    assert [(one["agreements"]["email"], one["agreements"]["sms"]) for one in found] == [(False, True)] * 2
    assert api.get("/v4/clients/by-email/ola@example.com").status_code == 404
    assert api.post("/v4/clients/by-email/ola@example.com", json={"city": "x"}).status_code == 404
    for _ in range(2):
        api.post("/v4/clients", json={"phone": "600700800", "email": "ola@example.com"})
    assert len(sandbox.store.profiles) == 3
    api.post("/v4/clients", json={"phone": "700800900"})
    nobody = api.get("/v4/clients/by-phone/700800900").json()
    assert (nobody["email"], nobody["anonymous"]) == (None, True)


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


def test_an_id_that_no_profile_can_have(sandbox: Sandbox, api: httpx.Client) -> None:
    """However large it is, it is a profile's that does not exist."""
    assert sandbox.store.profiles.find("clientId", 10**30) is None
    assert api.post(f"/sauth/management/client/{10**30}/logout", json={"action": "LOGOUT"}).status_code == 404
    assert api.post("/v4/clients/batch", json=[{"clientId": 2**64 - 1}, {"clientId": 10**30}]).status_code == 202
    assert [entry.index for entry in sandbox.dropped_writes] == [0, 1]


def test_contact(api: httpx.Client, jan: dict[str, Any]) -> None:
    """The older form reads and writes the same profile under other names; a missing one is plain text."""
    sent = {"firstname": "Adam", "sex": "2", "hasDog": True, "country_id": "PL", "ownerId": "reserved", "tags": ["vip"]}
    answer = api.put(f"/crm/v1/contacts/{jan['clientId']}", json=sent)
    assert answer.json()["base"]["firstname"] == {"label": "firstname", "value": "Adam"}
    found = api.get(JAN).json()
    assert (found["firstName"], found["sex"], found["countryCode"]) == ("Adam", "MALE", "PL")
    assert (found["attributes"], found["tags"]) == ({"hasDog": True}, ["vip"])
    read = api.get(f"/crm/v1/clients/{jan['clientId']}/contacts").json()
    assert read == answer.json()
    missing = api.get("/crm/v1/clients/1/contacts")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "text/plain; charset=utf-8")


def test_a_contact_that_is_dropped(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """The answer shows the contact as it was, and the log what became of the change."""
    api.post("/v4/clients", json={"customId": "c-2"})
    answer = api.put(f"/crm/v1/contacts/{jan['clientId']}", json={"custom_identify": "c-2", "city": "Gdynia"})
    assert (answer.status_code, answer.json()["base"]["city"]["value"]) == (200, None)
    assert sandbox.log[-1].outcomes == (Outcome.DROPPED,)
    assert api.put(f"/crm/v1/contacts/{jan['clientId']}", json={"city": "Gdynia"}).status_code == 200
    assert sandbox.log[-1].outcomes == (Outcome.APPLIED,)


def test_a_contact_is_born_in_the_past(api: httpx.Client, jan: dict[str, Any]) -> None:
    """The date has to lie in the past; no further pattern of a profile holds in the older form, which prints none."""
    contact = f"/crm/v1/contacts/{jan['clientId']}"
    answer = api.put(contact, json={"birthdate": "2999-01-01"})
    assert answer.status_code == 400
    assert [error["field"] for error in answer.json()["errors"]] == ["birthdate"]
    assert api.put(contact, json={"birthdate": "1800-01-01", "phone": "none"}).status_code == 200
