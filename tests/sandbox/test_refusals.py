"""A refusal says what the document says that its status means for the operation; so does the client's error."""

from __future__ import annotations

import httpx
import pytest

from synerise_profiles import Synerise
from synerise_profiles.errors import NotFoundError
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.spec import load_spec

SPEC = load_spec()


def meaning(name: str, status: int) -> str:
    found = next(operation for operation in SPEC.operations if operation.name == name).response(status)
    assert found is not None
    return found.description


@pytest.mark.parametrize(
    ("name", "method", "path", "body", "status"),
    [
        ("profiles.merge_by_id", "POST", "/v4/clients/merge/from/ids/7/to/id/8", None, 404),
        ("profiles.get", "GET", "/v4/clients/7", None, 404),
        ("profiles.delete", "DELETE", "/v4/clients/7", None, 404),
        ("tags.update", "PUT", "/v4/tags/7", {}, 404),
        ("tags.assign", "POST", "/v4/clients/7/tags/7", None, 404),
        ("profiles.get_contact", "GET", "/crm/v1/clients/7/contacts", None, 404),
    ],
)
def test_message_is_the_meaning(
    api: httpx.Client, name: str, method: str, path: str, body: object, status: int
) -> None:
    """Merges, profiles, tags and contacts, each in the words of the document; a text where the document says text."""
    answer = api.request(method, path, json=body)
    told = answer.json()["message"] if "json" in answer.headers["content-type"] else answer.text
    assert (answer.status_code, told) == (status, meaning(name, status))


def test_a_tag_that_is_there_names_the_profile_that_is_not(api: httpx.Client) -> None:
    """The other refusal of tags, 400, in the words of the document too."""
    tag = api.post("/v4/tags", json={"name": "vip"}).json()["id"]
    answer = api.post(f"/v4/clients/7/tags/{tag}")
    assert (answer.status_code, answer.json()["message"]) == (400, meaning("tags.assign", 400))


def test_a_second_account_is_refused_in_the_words_of_the_document(api: httpx.Client) -> None:
    """And the entry names the field that is taken."""
    account = {"email": "jan@example.com", "password": "correct horse 1!"}
    assert api.post("/sauth/clients/registered", json=account).status_code == 202
    refused = api.post("/sauth/clients/registered", json=account)
    assert (refused.status_code, refused.json()["message"]) == (400, meaning("registration.register", 400))
    assert refused.json()["errors"][0]["field"] == "email"


def test_the_error_of_the_client_says_it(sandbox: Sandbox) -> None:
    """A caller reads what a 404 means here without the documentation, and once where the server says the same."""
    with (
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        pytest.raises(NotFoundError) as caught,
    ):
        client.tags.update(7, {"color": "#00ff00"})
    text = str(caught.value)
    assert text.count(meaning("tags.update", 404).rstrip(".")) == 1
    assert "it means here" not in text
    assert ".;" not in text
