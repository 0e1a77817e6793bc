"""Login, tokens, Basic, and who may call what."""

from __future__ import annotations

import base64
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles.sandbox import Sandbox

LOGIN = "/uauth/v2/auth/login/profile"


def claims(token: str) -> dict[str, Any]:
    decoded: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    return decoded


def test_login(sandbox: Sandbox, api: httpx.Client) -> None:
    """The API key buys a token that looks like the publisher's and opens the workspace."""
    del api.headers["Authorization"]
    answer = api.post(LOGIN, json={"apiKey": sandbox.api_key})
    token = answer.json()["token"]
    assert token.count(".") == 2
    assert claims(token)["businessProfileGuid"] == sandbox.workspace_guid
    assert claims(token)["exp"] - claims(token)["iat"] == 3600
    assert api.get("/v4/clients/tags", headers={"Authorization": f"Bearer {token}"}).status_code == 200


@pytest.mark.parametrize(("body", "status"), [({"apiKey": "wrong"}, 401), ({}, 400), ([], 400), ({"apiKey": 7}, 400)])
def test_refused_login(api: httpx.Client, body: Any, status: int) -> None:
    """A wrong key is 401, a missing one 400, both with the common error body."""
    answer = api.post(LOGIN, json=body)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


@pytest.mark.parametrize("header", [None, "Bearer x", "Bearer a.b.c", "Basic eDp5", "Other x", "Bearer"])
def test_no_or_unknown_credentials_are_401(api: httpx.Client, header: str | None) -> None:
    """Whatever is not known is refused with 401."""
    del api.headers["Authorization"]
    answer = api.get("/v4/clients/1", headers={"Authorization": header} if header else {})
    assert (answer.status_code, answer.json()["status"]) == (401, 401)


def test_expired_and_foreign_tokens_say_so(sandbox: Sandbox, api: httpx.Client) -> None:
    """Both answer with the text on which a client logs in again."""
    with Sandbox() as other:
        foreign = other.token()
    for token in (sandbox.token(lifetime=-1), foreign):
        answer = api.get("/v4/clients/1", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["error"]) == (401, "Token expired.")


def test_a_token_expires_by_the_clock() -> None:
    """The sandbox's own clock decides, so that no test has to wait."""
    now = 1_700_000_000.0
    with Sandbox(clock=lambda: now) as sandbox:
        headers = {"Api-Version": "4.4", "Authorization": f"Bearer {sandbox.token(lifetime=60)}"}
        url = sandbox.url + "/v4/clients/tags"
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 200
        now += 61
        assert httpx.get(url, headers=headers, trust_env=False).status_code == 401


def test_basic(sandbox: Sandbox, api: httpx.Client) -> None:
    """GUID and key open what a workspace may call, and nothing else."""
    del api.headers["Authorization"]
    basic = httpx.BasicAuth(sandbox.workspace_guid, sandbox.api_key)
    assert api.get("/v4/clients/tags", auth=basic).status_code == 200
    assert api.get("/v4/events", auth=basic).status_code == 401
    assert api.get("/v4/clients/tags", auth=httpx.BasicAuth(sandbox.workspace_guid, "no")).status_code == 401


@pytest.mark.parametrize(
    ("consumer", "method", "path"),
    [
        ("workspace", "GET", "/notes-service/by-id/1"),
        ("workspace", "GET", "/v4/events"),
        ("profile", "GET", "/v4/clients/tags"),
        ("anonymous", "GET", "/v4/clients/1"),
        ("web-sdk", "POST", "/v4/clients"),
        ("user", "POST", "/v4/transactions"),
    ],
)
def test_a_consumer_that_is_not_listed_is_403(
    sandbox: Sandbox, api: httpx.Client, consumer: str, method: str, path: str
) -> None:
    """The token is good, but not for this operation."""
    token = sandbox.token(consumer, client_id=1, uuid="u")
    assert api.request(method, path, headers={"Authorization": f"Bearer {token}"}).status_code == 403


def test_an_unknown_consumer_is_refused_at_once(sandbox: Sandbox) -> None:
    """A misspelt consumer is an error where the token is minted."""
    with pytest.raises(ValueError, match="unknown consumer 'worksapce'"):
        sandbox.token("worksapce")


def test_the_token_of_a_profile_that_is_gone_is_401(sandbox: Sandbox, api: httpx.Client) -> None:
    """There is nobody left whom it could mean."""
    headers = {"Authorization": f"Bearer {sandbox.token('profile', client_id=17)}"}
    assert api.get("/v4/my-account/personal-information", headers=headers).status_code == 401
