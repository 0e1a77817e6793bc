"""Protection of personal data: who lacks the permission sees test profiles only."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.domain.permissions import PII_ACCESS

READ = ["API_BY_ID_CLIENT_READ", "API_BY_IDENTIFIER_CLIENT_READ", "CRM_DETAILS_CLIENT_READ", "API_BY_ID_CLIENT_UPDATE"]
ROLES = ["client_info: read", "client_info: update"]


@pytest.fixture(params=["key", "basic", "user"])
def limited(request: pytest.FixtureRequest, sandbox: Sandbox, api: httpx.Client) -> httpx.Client:
    """A caller that may read profiles, without the permission for personal data."""
    sandbox.options.pii_protection = True
    return as_caller(sandbox, api, request.param, pii=False)


def as_caller(sandbox: Sandbox, api: httpx.Client, kind: str, *, pii: bool) -> httpx.Client:
    more = [PII_ACCESS] if pii else []
    if kind == "user":
        api.headers["Authorization"] = f"Bearer {sandbox.token('user', roles=[*ROLES, *more])}"
        return api
    key = sandbox.add_key([*READ, *more]).key
    if kind == "basic":
        del api.headers["Authorization"]
        api.auth = httpx.BasicAuth(sandbox.workspace_guid, key)
        return api
    token = api.post("/uauth/v2/auth/login/profile", json={"apiKey": key}).json()["token"]
    api.headers["Authorization"] = f"Bearer {token}"
    return api


def paths(jan: dict[str, Any]) -> list[str]:
    return [
        f"/v4/clients/{jan['clientId']}",
        "/v4/clients/by-email/jan@example.com",
        "/v4/clients/by-custom-id/c-1",
        f"/v4/clients/by-uuid/{jan['uuid']}",
        "/v4/clients/by-phone/%2B48111222333",
        "/v4/clients/batch/by-phone/%2B48111222333",
        f"/crm/v1/clients/{jan['clientId']}/contacts",
    ]


def test_others_are_not_found(jan: dict[str, Any], limited: httpx.Client) -> None:
    """A profile that exists is 404, read by id, by any identifier, by phone or in the older form."""
    assert {path: limited.get(path).status_code for path in paths(jan)} == dict.fromkeys(paths(jan), 404)


def test_a_test_profile_is_shown(sandbox: Sandbox, jan: dict[str, Any], limited: httpx.Client) -> None:
    """Everybody sees a test profile, until it is none any more; the mark is no part of it."""
    sandbox.mark_test_profile(jan["clientId"])
    answers = [limited.get(path) for path in paths(jan)]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    assert answers[0].json() == jan
    sandbox.mark_test_profile(jan["clientId"], test=False)
    assert limited.get(paths(jan)[0]).status_code == 404


def test_a_list_leaves_the_others_out(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """Of several profiles with a phone number only the test profiles are listed; nobody's number is an empty list."""
    api.post("/v4/clients", json={"email": "ola@example.com", "phone": jan["phone"]})
    ola = api.get("/v4/clients/by-email/ola@example.com").json()
    sandbox.mark_test_profile(ola["clientId"])
    sandbox.options.pii_protection = True
    limited = as_caller(sandbox, api, "key", pii=False)
    assert limited.get("/v4/clients/batch/by-phone/%2B48111222333").json() == [ola]
    nobody = limited.get("/v4/clients/batch/by-phone/%2B48999999999")
    assert (nobody.status_code, nobody.json()) == (200, [])


@pytest.mark.parametrize("kind", ["key", "basic", "user"])
def test_the_permission_shows_them(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any], kind: str) -> None:
    """With the permission for personal data nothing is hidden; a key without any limit has it too."""
    sandbox.options.pii_protection = True
    assert api.get(paths(jan)[0]).json() == jan
    allowed = as_caller(sandbox, api, kind, pii=True)
    assert {allowed.get(path).status_code for path in paths(jan)} == {200}


def test_without_the_option_nothing_is_hidden(sandbox: Sandbox, api: httpx.Client, jan: dict[str, Any]) -> None:
    """By default the permission to read profiles is enough."""
    caller = as_caller(sandbox, api, "key", pii=False)
    assert {caller.get(path).status_code for path in paths(jan)} == {200}


def test_the_own_profile_is_never_hidden(sandbox: Sandbox, jan: dict[str, Any], own: httpx.Client) -> None:
    """A profile that is signed in sees itself."""
    sandbox.options.pii_protection = True
    assert own.get("/v4/my-account/personal-information").json() == jan


def test_what_shows_nothing_is_not_limited(jan: dict[str, Any], limited: httpx.Client) -> None:
    """Writing needs the permission of the operation alone."""
    assert limited.post(f"/v4/clients/{jan['clientId']}", json={"city": "Gdynia"}).status_code == 202
