"""Bodies and tokens that the sandbox refuses, with the status and the words of a server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.doctor.examination import PERMISSION_CHECK
from synerise_profiles.sandbox import Sandbox
from tests.sandbox.conftest import client_of

BATCH = "/v4/clients/batch"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"customId": "a"}, "The body must be a list."),
        ("text", "The body must be a list."),
        (7, "The body must be a list."),
        ([], "The body holds no item."),
    ],
)
def test_a_batch_is_a_list_with_items(api: httpx.Client, body: Any, message: str) -> None:
    """Anything else is refused as a whole."""
    answer = api.post(BATCH, json=body)
    assert answer.status_code == 400
    assert message in answer.text


@pytest.mark.parametrize("depth", [400, 5000])
def test_a_body_that_is_nested_too_deep_is_refused(api: httpx.Client, depth: int) -> None:
    """Whatever it is: a field of a profile, an item of a batch, or nothing but lists."""
    deep = "[" * depth + "]" * depth
    headers = {"Content-Type": "application/json"}
    for path, content in (
        ("/v4/clients", f'{{"customId": "a", "attributes": {{"a": {deep}}}}}'),
        (BATCH, f'[{{"customId": "a", "attributes": {{"a": {deep}}}}}]'),
        (BATCH, f"[{deep}]"),
        ("/v4/clients", deep),
    ):
        assert api.post(path, content=content, headers=headers).status_code == 400


def test_permissions_are_those_of_an_api_key(sandbox: Sandbox, api: httpx.Client) -> None:
    """They are asked by a list of names, and a token of a profile or a user has none."""
    found = api.post(PERMISSION_CHECK.path, json=["API_CLIENT_READ"])
    assert found.status_code == 200
    for body in ({}, [1], "API_CLIENT_READ"):
        answer = api.post(PERMISSION_CHECK.path, json=body)
        assert (answer.status_code, "A list of names" in answer.text) == (400, True)
    with client_of(sandbox, sandbox.token("user")) as user:
        answer = user.post(PERMISSION_CHECK.path, json=["API_CLIENT_READ"])
        assert (answer.status_code, "has no API key" in answer.text) == (401, True)


def test_keys_that_are_taken_away_are_refused(sandbox: Sandbox) -> None:
    """Each of the workspace's own, by `auth`."""
    key = sandbox.add_key().key
    assert sandbox.auth is sandbox.app.auth
    assert sandbox.auth.find_key(key, "workspace").key == key
