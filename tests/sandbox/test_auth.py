"""Login, tokens, Basic, and who may call what."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import Endpoint, load_spec

LOGIN = "/uauth/v2/auth/login/profile"
TAGS = "/v4/clients/tags"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def log_in(api: httpx.Client, key: str) -> httpx.Response:
    return api.post(LOGIN, json={"apiKey": key}, headers={"Authorization": ""})


def path_of(found: Endpoint | None) -> str:
    assert found is not None, "the spec does not say where"
    return found.path


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
    assert api.post("/sauth/my-account/delete", auth=basic).status_code == 401
    assert api.get("/v4/clients/tags", auth=httpx.BasicAuth(sandbox.workspace_guid, "no")).status_code == 401


@pytest.mark.parametrize(
    ("consumer", "method", "path", "status"),
    [
        ("workspace", "GET", "/notes-service/by-id/1", 401),
        ("workspace", "GET", "/v4/events", 401),
        ("profile", "GET", "/v4/clients/tags", 401),
        ("anonymous", "GET", "/v4/clients/1", 401),
        ("web-sdk", "POST", "/v4/clients", 401),
        ("user", "POST", "/v4/transactions", 401),
        ("workspace", "POST", "/sauth/my-account/delete", 403),
        ("profile", "POST", "/sauth/clients/registered", 403),
        ("user", "POST", "/sauth/clients/activation/by-pin-code/request", 403),
    ],
)
def test_a_token_of_the_wrong_kind(
    sandbox: Sandbox, api: httpx.Client, consumer: str, method: str, path: str, status: int
) -> None:
    """The token is good, but not for this operation: "wrong consumer scope" is 401, "wrong JWT scope" is 403."""
    token = sandbox.token(consumer, client_id=1, uuid="u")
    assert api.request(method, path, headers=bearer(token)).status_code == status


def test_an_unknown_consumer_is_refused_at_once(sandbox: Sandbox) -> None:
    """A misspelt consumer is an error where the token is issued."""
    with pytest.raises(ValueError, match="unknown consumer 'worksapce'"):
        sandbox.token("worksapce")


def test_the_token_of_a_profile_that_is_gone_is_401(sandbox: Sandbox, api: httpx.Client) -> None:
    """There is nobody left whom it could mean."""
    headers = {"Authorization": f"Bearer {sandbox.token('profile', client_id=17)}"}
    assert api.get("/v4/my-account/personal-information", headers=headers).status_code == 401


# --- how long a token lives


def test_the_lifetime_of_tokens_is_an_option_that_can_be_changed(sandbox: Sandbox, api: httpx.Client) -> None:
    """Tokens that are issued from now on live that long; `exp` says so and the clock ends them."""
    sandbox.clock.stop()
    sandbox.options.token_lifetime = 120
    token = log_in(api, sandbox.api_key).json()["token"]
    assert claims(token)["exp"] - claims(token)["iat"] == 120
    sandbox.clock.advance(119)
    assert api.get(TAGS, headers=bearer(token)).status_code == 200
    sandbox.clock.advance(1)
    answer = api.get(TAGS, headers=bearer(token))
    assert (answer.status_code, answer.json()["error"]) == (401, "Token expired.")
    sandbox.options.token_lifetime = 7
    token = sandbox.token("user")
    assert claims(token)["exp"] - claims(token)["iat"] == 7


def test_all_tokens_can_be_expired_at_once(sandbox: Sandbox, api: httpx.Client) -> None:
    """Those that exist are invalid from now on, whether used before or not; those issued afterwards are valid."""
    used, unused = log_in(api, sandbox.api_key).json()["token"], sandbox.token("user")
    assert api.get(TAGS, headers=bearer(used)).status_code == 200
    sandbox.expire_tokens()
    for token in (used, unused):
        answer = api.get(TAGS, headers=bearer(token))
        assert (answer.status_code, answer.json()["error"]) == (401, "Token expired.")
    assert api.get(TAGS, headers=bearer(log_in(api, sandbox.api_key).json()["token"])).status_code == 200


def test_a_refreshed_token(sandbox: Sandbox, api: httpx.Client) -> None:
    """A good token of the workspace buys one that lives longer, and stays good itself until its end."""
    sandbox.clock.stop()
    refresh = path_of(load_spec().login.refresh)
    first = log_in(api, sandbox.api_key).json()["token"]
    sandbox.clock.advance(3000)
    answer = api.get(refresh, headers=bearer(first))
    second = answer.json()["token"]
    assert (answer.status_code, claims(second)["exp"] - claims(first)["exp"]) == (200, 3000)
    assert sandbox.log[-1].operation == "refresh"
    assert api.get(TAGS, headers=bearer(first)).status_code == 200
    sandbox.clock.advance(600)
    assert api.get(TAGS, headers=bearer(second)).status_code == 200
    assert api.get(refresh, headers=bearer(first)).json()["error"] == "Token expired."


def test_a_refreshed_token_has_the_permissions_of_its_key(sandbox: Sandbox, api: httpx.Client) -> None:
    """Renewing is no way to more."""
    token = log_in(api, sandbox.add_key(["API_TAGS_READ"]).key).json()["token"]
    renewed = api.get(path_of(load_spec().login.refresh), headers=bearer(token)).json()["token"]
    assert api.get(TAGS, headers=bearer(renewed)).status_code == 403


def test_what_is_not_refreshed(sandbox: Sandbox, api: httpx.Client) -> None:
    """Nothing and Basic are 401, as is a token that has ended; a token of another kind is 403."""
    refresh = path_of(load_spec().login.refresh)
    basic = httpx.BasicAuth(sandbox.workspace_guid, sandbox.api_key)
    assert api.get(refresh, headers=bearer(sandbox.token("user"))).status_code == 403
    assert api.get(refresh, headers=bearer(sandbox.token("profile", client_id=1))).status_code == 403
    sandbox.revoke(api.headers["Authorization"].removeprefix("Bearer "))
    assert api.get(refresh).status_code == 401
    del api.headers["Authorization"]
    assert [api.get(refresh).status_code, api.get(refresh, auth=basic).status_code] == [401, 401]


# --- API keys


def test_several_api_keys(sandbox: Sandbox, api: httpx.Client) -> None:
    """Each key logs in and is good for Basic; none of them shows in a repr."""
    key = sandbox.add_key()
    assert key.key != sandbox.api_key
    assert key.key not in repr(key)
    for text in (sandbox.api_key, key.key):
        assert api.get(TAGS, headers=bearer(log_in(api, text).json()["token"])).status_code == 200
        assert api.get(TAGS, auth=httpx.BasicAuth(sandbox.workspace_guid, text)).status_code == 200


def test_basic_has_to_be_enabled_for_the_key(sandbox: Sandbox, api: httpx.Client) -> None:
    """A key made without it still logs in."""
    key = sandbox.add_key(basic=False)
    assert api.get(TAGS, auth=httpx.BasicAuth(sandbox.workspace_guid, key.key)).status_code == 401
    assert log_in(api, key.key).status_code == 200


def test_basic_needs_the_guid_of_the_workspace(sandbox: Sandbox, api: httpx.Client) -> None:
    """The key alone is not enough, and what is no Basic at all is refused like a wrong one."""
    for user in ("", "another", sandbox.workspace_guid.upper()):
        assert api.get(TAGS, auth=httpx.BasicAuth(user, sandbox.api_key)).status_code == 401
    for value in ("Basic", "Basic %%%", "Basic /w=="):
        assert api.get(TAGS, headers={"Authorization": value}).status_code == 401


def test_a_profile_key_does_not_open_the_workspace(sandbox: Sandbox, api: httpx.Client) -> None:
    """Keys for apps are another kind; a wrong kind is 401."""
    for key in (sandbox.profile_key, sandbox.add_key(kind="profile").key):
        assert log_in(api, key).status_code == 401
        assert api.get(TAGS, auth=httpx.BasicAuth(sandbox.workspace_guid, key)).status_code == 401


def test_a_revoked_token_is_worth_nothing(sandbox: Sandbox, api: httpx.Client) -> None:
    """Only that one ends."""
    token = sandbox.token()
    assert api.get(TAGS, headers=bearer(token)).status_code == 200
    sandbox.revoke(token)
    assert api.get(TAGS, headers=bearer(token)).json()["error"] == "Token expired."
    assert api.get(TAGS).status_code == 200


def test_a_revoked_key_takes_its_tokens_along(sandbox: Sandbox, api: httpx.Client) -> None:
    """It neither logs in nor is good for Basic; other keys and their tokens stay."""
    key = sandbox.add_key()
    token, basic = log_in(api, key.key).json()["token"], httpx.BasicAuth(sandbox.workspace_guid, key.key)
    assert [api.get(TAGS, headers=bearer(token)).status_code, api.get(TAGS, auth=basic).status_code] == [200, 200]
    sandbox.revoke(key)
    assert [api.get(TAGS, headers=bearer(token)).status_code, api.get(TAGS, auth=basic).status_code] == [401, 401]
    assert log_in(api, key.key).status_code == 401
    assert api.get(TAGS).status_code == 200
    sandbox.revoke(sandbox.api_key)
    assert [log_in(api, sandbox.api_key).status_code, api.get(TAGS).status_code] == [401, 401]


def test_only_what_is_known_can_be_revoked(sandbox: Sandbox) -> None:
    """A misspelt credential is an error where it is revoked."""
    for text in ("", "no-such-key", "a.b.c"):
        with pytest.raises(ValueError, match="neither a token nor an API key"):
            sandbox.revoke(text)


def test_permissions_are_a_list(sandbox: Sandbox) -> None:
    """One name alone would be taken for its letters."""
    with pytest.raises(TypeError, match="a list of names"):
        sandbox.add_key("API_TAGS_READ")


def test_keys_and_their_ends_outlive_the_server(tmp_path: Path) -> None:
    """With a file, a later sandbox knows the keys with their permissions, and what was ended stays ended."""
    file = str(tmp_path / "sandbox.db")
    with Sandbox(state=file) as first:
        limited, revoked, profile_key = first.add_key(["API_TAGS_READ"]), first.add_key(), first.profile_key
        old, good = first.token(), first.token("user")
        first.revoke(revoked)
        first.revoke(old)
    with (
        Sandbox(state=file) as second,
        httpx.Client(base_url=second.url, headers={"Api-Version": "4.4"}, trust_env=False, verify=False) as api,
    ):
        assert second.profile_key == profile_key
        assert api.get(TAGS, auth=httpx.BasicAuth(second.workspace_guid, limited.key)).status_code == 403
        assert log_in(api, revoked.key).status_code == 401
        assert api.get(TAGS, headers=bearer(old)).status_code == 401
        assert api.get(TAGS, headers=bearer(good)).status_code == 200


def test_a_reset_keeps_the_credentials(sandbox: Sandbox, api: httpx.Client) -> None:
    """Keys that were added stay, and what was ended does not come to life again."""
    key, token = sandbox.add_key(), sandbox.token()
    sandbox.revoke(token)
    sandbox.reset()
    assert log_in(api, key.key).status_code == 200
    assert [api.get(TAGS, headers=bearer(token)).status_code, api.get(TAGS).status_code] == [401, 200]
