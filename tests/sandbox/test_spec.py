"""The sandbox keeps what the document says: fields, agreements, reserved names, events. None needs code of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox, app
from synerise_profiles.sandbox.handlers import handler_for, orphans
from synerise_profiles.sandbox.spec import OpenAPISpec, load_spec
from tests.sandbox.conftest import client_of

SPEC = load_spec()
Json = dict[str, Any]
Change = Callable[[Json], None]
NATIVE = sorted(
    SPEC.operation("profiles.upsert").body.fields
    - {"uuid", "email", "phone", "customId", "sex", "birthDate", "agreements", "attributes", "tags"}
)


@pytest.fixture
def changed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Change], httpx.Client]]:
    """Start a sandbox of a document that a function changed; a client of its workspace."""
    with ExitStack() as stack:

        def start(change: Change) -> httpx.Client:
            document = copy.deepcopy(SPEC.document)
            change(document)
            monkeypatch.setattr(app, "load_spec", lambda: OpenAPISpec(document))
            sandbox: AbstractContextManager[Sandbox] = Sandbox()
            running = stack.enter_context(sandbox)
            return stack.enter_context(client_of(running, running.token()))

        yield start


def test_each_operation_has_a_handler_and_each_handler_an_operation() -> None:
    """What the sandbox cannot do is listed here, and so is what no operation asks for any more."""
    assert [item.name for item in SPEC.operations if handler_for(item) is None] == []
    assert orphans(SPEC.operations) == set()


def test_an_operation_without_a_handler_answers_501(changed: Callable[[Change], httpx.Client]) -> None:
    """It keeps nothing else from starting and answering."""

    def add(document: Json) -> None:
        operation = copy.deepcopy(document["paths"]["/v4/tags"]["post"])
        operation |= {"operationId": "melt", "x-sdk": {"resource": "events", "method": "melt"}}
        document["paths"]["/v4/melt"] = {"post": operation}

    api = changed(add)
    answer = api.post("/v4/melt", json={"name": "x"})
    assert (answer.status_code, answer.json()["message"]) == (501, "The sandbox has no handler for events.melt.")
    assert api.post("/v4/tags", json={"name": "x"}).status_code == 200


def test_a_new_field_of_a_profile_is_stored_and_read(changed: Callable[[Change], httpx.Client]) -> None:
    """A field that the document adds needs no code; a null resets it, as any native field."""

    def add(document: Json) -> None:
        schemas = document["components"]["schemas"]
        schemas["ProfileFields"]["properties"]["shoeSize"] = {"type": ["integer", "null"]}
        schemas["Profile"]["properties"]["shoeSize"] = {"type": ["integer", "null"]}
        schemas["Agreements"]["properties"]["fax"] = {"$ref": "#/components/schemas/AgreementValue"}
        schemas["StoredAgreements"]["properties"]["fax"] = {"type": ["boolean", "null"]}

    api = changed(add)
    for number, size in enumerate((39, None)):
        item = {"customId": "c-1", "shoeSize": size, "agreements": {"fax": "true"}}
        write = api.post("/v4/clients", json=item) if number else api.post("/v4/clients/batch", json=[item])
        assert write.status_code == 202
        found = api.get("/v4/clients/by-custom-id/c-1").json()
        assert (found["shoeSize"], found["agreements"]["fax"]) == (size, True)
    assert api.post("/v4/clients", json={"customId": "c-1", "shoeSize": "big"}).status_code == 400


def test_a_new_reserved_name_and_param_are_kept_out(changed: Callable[[Change], httpx.Client]) -> None:
    """The lists of the document are the ones that count, of attributes and of params of any event."""

    def add(document: Json) -> None:
        schemas = document["components"]["schemas"]
        schemas["Attributes"]["x-reserved-names"].append("secret")
        schemas["EventParams"]["x-reserved-names"].append("secret")
        schemas["EventParams"]["x-same-as-profile"].append("customId")

    api = changed(add)
    api.post("/v4/clients", json={"customId": "c-1", "attributes": {"secret": 1, "open": 1}})
    profile = api.get("/v4/clients/by-custom-id/c-1").json()
    params = {"applicationName": "a", "version": "1", "secret": 1}
    sent = {"label": "x", "client": {"customId": "c-1"}, "params": params}
    for customer in ("c-1", "c-2"):
        api.post("/v4/events/application-started", json={**sent, "params": {**params, "customId": customer}})
    [event] = api.get(f"/v4/events/by-client/{profile['clientId']}").json()
    assert profile["attributes"] == {"open": 1}
    assert event["params"] == {"applicationName": "a", "version": "1", "customId": "c-1"}


def test_a_new_event_is_found_by_its_type(changed: Callable[[Change], httpx.Client]) -> None:
    """A single event is what has a type in a batch, whatever resource and method it belongs to."""

    def add(document: Json) -> None:
        operation = copy.deepcopy(document["paths"]["/v4/events/searched"]["post"])
        operation |= {"operationId": "waved", "x-event-type": "waved", "x-synerise-action": "client.wave"}
        operation["x-sdk"] = {"resource": "gestures", "method": "waved"}
        document["paths"]["/v4/events/waved"] = {"post": operation}
        # A rule of the generator has each type listed, and the items of a batch refer to that list.
        choices = document["components"]["schemas"]["BatchEvent"]["not"]["not"]["anyOf"]
        choices[1]["properties"]["type"]["enum"].append("waved")

    api = changed(add)
    event = {"label": "x", "client": {"customId": "c-1"}}
    assert api.post("/v4/events/waved", json=event).status_code == 202
    assert api.post("/v4/events/batch", json=[{**event, "type": "waved"}]).status_code == 202
    profile = api.get("/v4/clients/by-custom-id/c-1").json()
    found = api.get(f"/v4/events/by-client/{profile['clientId']}").json()
    assert [item["action"] for item in found] == ["client.wave", "client.wave"]


@pytest.mark.parametrize("name", NATIVE)
def test_every_native_field_is_stored(api: httpx.Client, jan: Json, name: str) -> None:
    """Each field of the document comes back; a field that it does not know does nothing."""
    assert api.post("/v4/clients", json={"customId": "c-1", name: "Kraków", "shoeSize": 39}).status_code == 202
    assert api.get("/v4/clients/by-custom-id/c-1").json() == {**jan, name: "Kraków"}


def test_registration_keeps_what_it_documents(sandbox: Sandbox) -> None:
    """Its own field is stored, and its own reserved names are left out beside those of all profiles."""
    with client_of(sandbox, sandbox.token("anonymous", uuid="u-1")) as visitor:
        reserved = SPEC.operation("registration.register").body.reserved["attributes"]
        assert {"whatsapp_id", "receive_whatsapp_messages", "email"} < reserved
        account = {"email": "a@example.com", "whatsAppId": "w-1", "attributes": {**dict.fromkeys(reserved, 7), "x": 1}}
        assert visitor.post("/sauth/clients/registered", json=account).status_code == 202
    with client_of(sandbox, sandbox.token()) as api:
        found = api.get("/v4/clients/by-email/a@example.com").json()
        assert (found["whatsAppId"], found["attributes"]) == ("w-1", {"x": 1})


def test_the_older_contact_has_reserved_names_of_its_own(api: httpx.Client, jan: Json) -> None:
    """Its list is older than that of profiles: what only the one names is an attribute of the other."""
    contact = SPEC.operation("profiles.update_contact").body
    names = {*contact.reserved[""], *SPEC.operation("profiles.upsert").body.reserved["attributes"]}
    free = names - contact.fields
    answer = api.put(f"/crm/v1/contacts/{jan['clientId']}", json=dict.fromkeys(free, "x"))
    assert answer.status_code == 200
    stored = api.get("/v4/clients/by-custom-id/c-1").json()["attributes"]
    assert set(stored) == free - contact.reserved[""]
    assert "ownerId" not in stored


def test_updating_oneself_changes_neither_uuid_nor_tags(own: httpx.Client, jan: Json) -> None:
    """They are no fields of that operation."""
    sent = {"uuid": "other", "tags": ["vip"], "city": "Gdynia", "whatsAppId": "w"}
    assert own.post("/v4/my-account/personal-information", json=sent).status_code == 202
    assert own.get("/v4/my-account/personal-information").json() == {**jan, "city": "Gdynia"}
