"""Who may call what: consumers, permissions of API keys, roles of users, as the spec has them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.domain.permissions import CONSUMERS
from synerise_profiles.sandbox.spec import OperationSpec, load_spec

OPERATIONS = load_spec().operations
REFUSED = (401, 403)


def named(operation: OperationSpec) -> str:
    return operation.name


def may_call(consumer: str) -> list[OperationSpec]:
    return [item for item in OPERATIONS if item.schemes and consumer in item.consumers]


@pytest.fixture(scope="module")
def running() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture(scope="module")
def client(running: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url, headers={"Api-Version": "4.4"}, trust_env=False, verify=False) as client:
        yield client


def status(client: httpx.Client, operation: OperationSpec, token: str) -> int:
    """A call without a body about nobody: whoever may call it gets another answer than 401 and 403."""
    path = re.sub(r"\{.*?\}", "1", operation.path.replace("{identifierType}", "by-uuid"))
    return client.request(operation.method, path, headers={"Authorization": f"Bearer {token}"}).status_code


def token_of(sandbox: Sandbox, client: httpx.Client, permissions: list[str]) -> str:
    key = sandbox.add_key(permissions).key
    token: str = client.post("/uauth/v2/auth/login/profile", json={"apiKey": key}).json()["token"]
    return token


@pytest.mark.parametrize("operation", may_call("workspace"), ids=named)
def test_an_api_key_needs_the_permission(running: Sandbox, client: httpx.Client, operation: OperationSpec) -> None:
    """A key that has all permissions but the operation's gets 403; one that has this permission alone may call."""
    assert operation.permission is not None
    others = {item.permission for item in OPERATIONS if item.permission is not None} - {operation.permission}
    assert status(client, operation, token_of(running, client, sorted(others))) == 403
    assert status(client, operation, token_of(running, client, [operation.permission])) not in REFUSED


@pytest.mark.parametrize("operation", [item for item in may_call("user") if item.role], ids=named)
def test_a_user_needs_the_role(running: Sandbox, client: httpx.Client, operation: OperationSpec) -> None:
    """The same with the permissions of a user's roles."""
    assert operation.role is not None
    others = {item.role for item in OPERATIONS if item.role is not None} - {operation.role}
    assert status(client, operation, running.token("user", roles=others)) == 403
    assert status(client, operation, running.token("user", roles=[operation.role])) not in REFUSED


@pytest.mark.parametrize("consumer", CONSUMERS)
def test_a_consumer_may_call_what_lists_it(running: Sandbox, client: httpx.Client, consumer: str) -> None:
    """Each kind of token opens the operations that name it and no other; the ones without authorization ask nobody."""
    client.post("/v4/clients", json={"uuid": "u"}, headers={"Authorization": f"Bearer {running.token()}"})
    opened = {
        operation.name
        for operation in OPERATIONS
        if operation.schemes and status(client, operation, running.token(consumer, uuid="u")) not in REFUSED
    }
    # Nobody can show who it is without a body; these refuse that with 403.
    closed = {"account.delete_v1", "account.delete_oauth", "account.delete_apple", "account.delete_facebook"}
    assert opened - closed == {item.name for item in may_call(consumer)} - closed


def test_basic_has_the_permissions_of_its_key(running: Sandbox, client: httpx.Client) -> None:
    """It is the key that may or may not, however it is sent."""
    key = running.add_key(["API_TAGS_CLIENT_READ"])
    basic = httpx.BasicAuth(running.workspace_guid, key.key)
    assert client.get("/v4/clients/tags", auth=basic).status_code == 200
    assert client.get("/v4/clients/1/tags", auth=basic).status_code == 403


def test_the_refusal_names_the_permission(running: Sandbox, client: httpx.Client) -> None:
    """The body of the 403 says what is missing, in the common form."""
    token = token_of(running, client, [])
    answer = client.get("/v4/clients/tags", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["error"]) == (403, "Forbidden")
    assert "API_TAGS_CLIENT_READ" in answer.json()["message"]


def test_profiles_need_no_permission(running: Sandbox, client: httpx.Client) -> None:
    """Permissions are those of API keys and users: an anonymous profile sends its events without."""
    token = running.token("anonymous", uuid="a-1")
    event = {"label": "Seen", "client": {"uuid": "a-1"}, "params": {}}
    answer = client.post("/v4/events/visited-screen", json=event, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 202


def test_roles_are_those_of_users(running: Sandbox) -> None:
    """Roles for anybody else are an error where the token is issued."""
    with pytest.raises(ValueError, match="only a user has roles"):
        running.token("workspace", roles=["client_info: read"])
