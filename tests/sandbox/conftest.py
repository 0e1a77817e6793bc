"""A running sandbox and clients that talk to it over real sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a token of the workspace."""
    with client_of(sandbox, sandbox.token()) as client:
        yield client


@pytest.fixture
def jan(api: httpx.Client) -> dict[str, Any]:
    """A profile that is there already."""
    sent = {"email": "jan@example.com", "customId": "c-1", "phone": "+48111222333", "firstName": "Jan"}
    assert api.post("/v4/clients", json=sent).status_code == 202
    found: dict[str, Any] = api.get("/v4/clients/by-email/jan@example.com").json()
    return found


@pytest.fixture
def own(sandbox: Sandbox, jan: dict[str, Any]) -> Iterator[httpx.Client]:
    """A client with a token of that profile."""
    with client_of(sandbox, sandbox.token("profile", client_id=jan["clientId"])) as client:
        yield client


@pytest.fixture
def user(sandbox: Sandbox) -> Iterator[httpx.Client]:
    """A client with a token of a user of the portal."""
    with client_of(sandbox, sandbox.token("user")) as client:
        yield client


def client_of(sandbox: Sandbox, token: str | None) -> httpx.Client:
    headers = {"Api-Version": "4.4"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    # No certificates are loaded: a client would spend more time on that than a whole test takes.
    return httpx.Client(base_url=sandbox.url, headers=headers, trust_env=False, verify=False)
