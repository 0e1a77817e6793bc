"""Notes on profiles, which only a user of the portal keeps."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox


@pytest.fixture
def path(jan: dict[str, Any]) -> str:
    return f"/notes-service/by-id/{jan['clientId']}"


def test_notes(user: httpx.Client, path: str) -> None:
    """Notes are made, read, changed and removed; a removed one is gone, and removing it again is a success."""
    note = user.post(path, json={"subject": "One", "body": "<p>1</p>"}).json()
    assert user.get(path).json() == [note]
    changed = user.put(f"{path}/{note['id']}", json={"subject": "Two"}).json()
    assert (changed["subject"], changed["body"]) == ("Two", "<p>1</p>")
    assert user.get(f"{path}/{note['id']}").json() == changed
    assert [user.delete(f"{path}/{note['id']}").status_code for _ in range(2)] == [200, 204]
    missing = user.get(f"{path}/{note['id']}")
    assert (missing.status_code, missing.content) == (404, b"")
    assert user.put(f"{path}/{note['id']}", json={"subject": "Three"}).status_code == 404


def test_a_note_says_when_it_was_changed(sandbox: Sandbox, user: httpx.Client, path: str) -> None:
    """By the sandbox's clock; the moment of writing stays."""
    note = user.post(path, json={"subject": "One"}).json()
    sandbox.clock.advance(60)
    changed = user.put(f"{path}/{note['id']}", json={"subject": "Two"}).json()
    assert note["created"] == note["updated"] == changed["created"] < changed["updated"]


def test_notes_belong_to_their_profile(user: httpx.Client, api: httpx.Client, path: str) -> None:
    """A note is not found at another profile; an unknown profile is 404; a deleted one takes its notes along."""
    api.post("/v4/clients", json={"customId": "c-2"})
    other = f"/notes-service/by-id/{api.get('/v4/clients/by-custom-id/c-2').json()['clientId']}"
    note = user.post(path, json={"subject": "One"}).json()
    assert user.get(f"{other}/{note['id']}").status_code == 404
    assert user.delete(f"{other}/{note['id']}").status_code == 204
    assert user.get(other).json() == []
    assert user.get(path).json() == [note]
    assert user.get("/notes-service/by-id/1").status_code == 404
    assert user.post("/notes-service/by-id/1", json={"subject": "One"}).status_code == 404
    api.delete("/v4/clients/by-custom-id/c-1")
    assert user.get(f"{path}/{note['id']}").status_code == 404


def test_only_a_user_keeps_notes(api: httpx.Client, path: str) -> None:
    """A token of the workspace is not allowed to."""
    assert api.get(path).status_code in (401, 403)
