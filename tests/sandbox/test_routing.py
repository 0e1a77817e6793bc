"""All operations of the document answer as documented; every path reaches the operation that it means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.domain.permissions import CONSUMERS
from synerise_profiles.sandbox.http.routing import Router
from synerise_profiles.sandbox.http.validation import RequestValidator
from synerise_profiles.sandbox.spec import OperationSpec, load_spec

SPEC = load_spec()
VALIDATOR = RequestValidator(SPEC)


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


# Their examples need an account, or a password, token or code that nobody was given; test_account.py and
# test_registration.py show that the right one works.
NEEDS_PROOF = {
    "account.change_password",
    "account.confirm_email_change",
    "account.confirm_phone_change",
    "account.delete_v1",
    "account.request_email_change_v1",
    "account.request_password_reset",
    "account.request_phone_change",
    "registration.activate",
    "registration.confirm_with_pin",
    "registration.resend_activation_email",
    "registration.resend_pin",
}


class Seed:
    """Two profiles, a tag, a note and an export of this test alone, made over the wire."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        headers = {"Api-Version": "4.4"}
        number = abs(hash(name)) % 10**9
        self.values: dict[str, Any] = {"phoneNumber": f"+48{number}"}
        with httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, verify=False) as client:
            client.headers["Authorization"] = f"Bearer {sandbox.token('user')}"
            first = self._profile(client, f"{name}.one@example.com", f"{name}-1", f"+48{number}")
            second = self._profile(client, f"{name}.two@example.com", f"{name}-2", None)
            client_id = first["clientId"]
            tag = client.post("/v4/tags", json={"name": name}).json()
            client.post(f"/v4/clients/{client_id}/tags/{tag['id']}")
            note = client.post(f"/notes-service/by-id/{client_id}", json={"subject": "One"}).json()
            export = SPEC.example(_named("exports.create"))
            task = client.post("/morph/exports/clients/segmentation", json=export).json()
        self.uuid = first["uuid"]
        self.client_id = client_id
        self.values |= {"clientId": client_id, "clientID": client_id, "tagID": tag["id"], "noteId": note["id"]}
        self.values |= {"customId": f"{name}-1", "clientEmail": f"{name}.one@example.com", "taskId": task["taskId"]}
        self.values |= {"sourceCustomIDs": f"{name}-2", "targetCustomID": f"{name}-1"}
        self.values |= {"fromClientIds": second["clientId"], "toClientId": client_id}

    def path(self, operation: OperationSpec) -> str:
        values = dict(self.values)
        kinds = [item for item in operation.parameters if item.name == "identifierType"]
        if kinds:
            values["identifierType"] = kinds[0].schema["enum"][0]
            values["identifierValue"] = values["customId"]
        values.setdefault("identifierValue", self.uuid)
        path = operation.path
        for item in operation.parameters:
            if item.location == "path":
                path = path.replace("{" + item.name + "}", quote(str(values[item.name]), safe=""))
        return path

    @staticmethod
    def _profile(client: httpx.Client, email: str, custom_id: str, phone: str | None) -> dict[str, Any]:
        sent = {"email": email, "customId": custom_id, **({"phone": phone} if phone else {})}
        assert client.post("/v4/clients", json=sent).status_code == 202
        found: dict[str, Any] = client.get(f"/v4/clients/by-custom-id/{custom_id}").json()
        return found


def _named(name: str) -> OperationSpec:
    return next(item for item in SPEC.operations if item.name == name)


def _request(sandbox: Sandbox, operation: OperationSpec, seed: Seed) -> httpx.Response:
    headers = {"Api-Version": "4.4"}
    if operation.schemes:
        consumer = min(operation.consumers, key=CONSUMERS.index)
        owner = {"client_id": seed.client_id} if consumer == "profile" else {}
        headers["Authorization"] = f"Bearer {sandbox.token(consumer, uuid=seed.uuid, **owner)}"
    query = {"offset": "0", "limit": "10"} if operation.name == "exports.get_data" else {}
    body = SPEC.example(operation)
    url = sandbox.url + seed.path(operation)
    sent = {} if body is None else {"json": body}
    return httpx.request(operation.method, url, headers=headers, params=query, trust_env=False, verify=False, **sent)


@pytest.mark.parametrize("operation", SPEC.operations, ids=lambda operation: operation.name)
def test_operation_answers_as_documented(sandbox: Sandbox, operation: OperationSpec) -> None:
    """The example of the spec gets a documented status, with a body that its schema allows: success where it can."""
    response = _request(sandbox, operation, Seed(sandbox, operation.name.replace(".", "-")))
    assert response.is_success is (operation.name not in NEEDS_PROOF), response.text
    documented = operation.response(response.status_code)
    assert documented is not None, f"{response.status_code} is not documented"
    if documented.media_type is None:
        assert response.content == b""
    elif documented.media_type == "application/json":
        assert documented.pointer is not None
        assert VALIDATOR.problems(documented.pointer, response.json()) == []
    assert sandbox.log[-1].operation == operation.name


def test_all_operations_are_there() -> None:
    """The document holds the 89 operations of the document, each with a name of its own."""
    assert len({operation.name for operation in SPEC.operations}) == 89


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v4/clients/tags", "tags.list"),
        ("GET", "/v4/clients/17", "profiles.get"),
        ("GET", "/v4/clients/abc", "profiles.get"),
        ("GET", "/v4/clients/17/tags", "tags.list_for_profile"),
        ("GET", "/v4/clients/by-email/tags", "profiles.find"),
        ("GET", "/v4/clients/by-uuid/a%2Ftags", "profiles.find"),
        ("GET", "/v4/clients/batch/by-phone/123456", "profiles.list_by_phone"),
        ("POST", "/v4/clients/batch", "profiles.upsert_batch"),
        ("POST", "/v4/clients/by-email/batch", "profiles.update_by_email"),
        ("DELETE", "/v4/clients/by-custom-id/1", "profiles.delete_by_custom_id"),
        ("POST", "/v4/clients/17/linked-devices", "devices.link"),
        ("POST", "/v4/clients/17/tags/3", "tags.assign"),
        ("POST", "/v4/clients/by-uuid/17/linked-devices", "devices.link_by_identifier"),
        ("POST", "/push-devices/clients/linked-devices", "devices.link_from_token"),
        ("POST", "/v4/events/push/clicked", "events.push_clicked"),
        ("POST", "/v4/events/batch", "events.send_batch"),
    ],
)
def test_literal_segments_beat_parameters(method: str, path: str, name: str) -> None:
    """Where several paths could be meant, the literal one is, and then the one whose types fit."""
    match = Router(SPEC.operations).match(method, path.encode())
    assert match is not None
    assert match.operation.name == name


def test_an_unknown_path_is_404(api: httpx.Client) -> None:
    """A path outside the document has the common error body."""
    response = api.get("/v4/nothing/here")
    assert response.status_code == 404
    assert response.json()["path"] == "/v4/nothing/here"


def test_another_method_is_405(api: httpx.Client) -> None:
    """A known path with an unknown method names the ones that it has."""
    response = api.get("/v4/transactions")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zl", "Zp")), min_size=1, max_size=20)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(value=_TEXT.filter(lambda text: text.strip() not in ("", ".", "..")))
def test_path_values_arrive_exactly(running: Sandbox, value: str) -> None:
    """A percent-encoded value, slashes and all, is the text that the profile is looked up by."""
    headers = {"Api-Version": "4.4", "Authorization": f"Bearer {running.token()}"}
    with httpx.Client(base_url=running.url, headers=headers, trust_env=False, verify=False) as client:
        response = client.post("/v4/clients", json={"customId": value})
        if response.status_code == 400:  # a character that identifiers may not hold
            return
        found = client.get(f"/v4/clients/by-custom-id/{quote(value, safe='')}")
    assert found.status_code == 200
    assert found.json()["customId"] == value


@settings(max_examples=100, deadline=None)
@given(values=st.lists(_TEXT.filter(lambda text: "," not in text), min_size=1, max_size=5))
def test_merge_lists_split_on_literal_commas(values: list[str]) -> None:
    """The commas between ids are literal; what is encoded inside an id stays in it."""
    operation = _named("profiles.merge_by_custom_id")
    sources = ",".join(quote(value, safe="") for value in values)
    path = f"/v4/clients/merge/from/custom-ids/{sources}/to/custom-id/x%2Cy"
    match = Router(SPEC.operations).match("POST", path.encode())
    assert match is not None
    assert match.operation is operation
    assert match.raw_parameters["sourceCustomIDs"].split(b",") == [quote(value, safe="").encode() for value in values]
    if all(value.isascii() for value in values):
        assert VALIDATOR.path(operation, match.raw_parameters) == {"sourceCustomIDs": values, "targetCustomID": "x,y"}
