"""What is malformed is refused before it does anything."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from synerise_profiles.sandbox import Sandbox


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"email": "no"}, "email"),
        ({"email": "jan@example.com", "phone": "abc"}, "phone"),
        ({"email": "jan@example.com", "birthDate": "1987-2-3"}, "birthDate"),
        ({"email": "jan@example.com", "birthDate": "1987-02-30"}, "birthDate"),
        ({"email": "jan@example.com", "sex": "X"}, "sex"),
        ({"email": "jan@example.com", "firstName": 7}, "firstName"),
        ({"email": "jan@example.com", "tags": "vip"}, "tags"),
        ({"email": "jan@example.com", "attributes": {"a\u2028b": 1}}, "attributes"),
        ({"customId": "a\nb"}, "customId"),
        ({"customId": "\N{GRINNING FACE}"}, "customId"),
        ({"firstName": "Jan"}, "identifier"),
        ([], "body"),
    ],
)
def test_a_body_that_breaks_the_schema(sandbox: Sandbox, api: httpx.Client, sent: Any, field: str) -> None:
    """The error body names the field and the value, in the common form."""
    response = api.post("/v4/clients", json=sent)
    body = response.json()
    assert response.status_code == 400
    assert body.keys() == {"error", "status", "timestamp", "path", "message", "errors"}
    assert [error["field"] for error in body["errors"]] == [field]
    assert body["errors"][0].keys() == {"code", "field", "message", "rejectedValue"}
    assert len(sandbox.store.profiles) == 0


@pytest.mark.parametrize("content", [b"", b"{", b'{"email": NaN}', b"\xff"])
def test_a_body_that_is_no_json(api: httpx.Client, content: bytes) -> None:
    """It is 400, not an accident of the server."""
    response = api.post("/v4/clients/1", content=content, headers={"Content-Type": "application/json"})
    assert response.status_code == 400


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type_is_415(api: httpx.Client, kind: str) -> None:
    """Only JSON is read; its parameters do not matter."""
    content = b'{"email": "jan@example.com"}'
    response = api.post("/v4/clients", content=content, headers={"Content-Type": kind} if kind else {})
    assert (response.status_code, response.json()["status"]) == (415, 415)
    good = {"Content-Type": "application/json; charset=utf-8"}
    assert api.post("/v4/clients", content=content, headers=good).status_code == 202


def test_the_api_version_is_required_where_the_spec_says_so(api: httpx.Client) -> None:
    """Missing or another one is 400; where it is not listed nobody asks."""
    del api.headers["Api-Version"]
    missing = api.get("/v4/clients/1")
    assert (missing.status_code, missing.json()["errors"][0]["field"]) == (400, "Api-Version")
    for version, status in (("4.4", 404), ("4.2", 400), ("4.2", 400), ("4.4", 404)):
        assert api.get("/v4/clients/1", headers={"Api-Version": version}).status_code == status
    assert api.post("/v4/tags", json={"name": "vip"}).status_code == 200


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v4/clients/abc", "clientId"),
        ("/v4/clients/-", "clientId"),
        ("/v4/clients/by-name/x", "identifierType"),
        ("/v4/clients/by-uuid/%FF", "identifierValue"),
        ("/morph/exports/clients/x/data", "offset"),
        ("/morph/exports/clients/x/data?offset=a&limit=1", "offset"),
        ("/v4/events/by-client/1?limit=1.5", "limit"),
    ],
)
def test_parameters_are_checked(api: httpx.Client, path: str, field: str) -> None:
    """A path or query value of another type names its parameter."""
    response = api.get(path)
    assert (response.status_code, response.json()["errors"][0]["field"]) == (400, field)


@pytest.mark.parametrize("digits", ["9" * 20, f"-{'9' * 20}", "9" * 5000])
def test_an_integer_beyond_64_bits(api: httpx.Client, jan: dict[str, Any], digits: str) -> None:
    """In a path it names nobody, as any id that is not known; in a query it is the last one that there is."""
    assert api.get(f"/v4/clients/{digits}").status_code == 404
    assert api.post(f"/v4/clients/merge/from/ids/{digits}/to/id/{jan['clientId']}").status_code == 404
    assert api.delete(f"/v4/tags/{digits}").status_code == 404
    found = api.get(f"/v4/events/by-client/{jan['clientId']}?limit={digits}")
    assert (found.status_code, found.json()) == (200, [])


def nested(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/v4/clients", b'{"customId":"a","attributes":{"n":%s}}', "attributes"),
        ("/v4/clients/batch", b'[{"customId":"b"},{"customId":"a","attributes":{"n":%s}}]', "[1].attributes"),
        ("/v4/events/custom", b'{"label":"x","action":"a.b","client":{"customId":"a"},"params":{"n":%s}}', "params"),
        (
            "/v4/events/batch",
            b'[{"label":"x","action":"a.b","client":{"customId":"a"},"params":{"n":%s}}]',
            "[0].params",
        ),
        ("/v4/clients", b"%s", "body"),
    ],
)
def test_what_is_nested_too_deep_is_refused(
    sandbox: Sandbox, api: httpx.Client, path: str, body: bytes, field: str
) -> None:
    """More could not be written back; the refusal names the field, and nothing of the request happens."""
    for depth in (200, 260, 900):
        answer = api.post(path, content=body % nested(depth), headers={"Content-Type": "application/json"})
        expected = "body" if field == "body" and depth == 200 else field
        assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [expected])
    assert len(sandbox.store.profiles) == 0


def test_what_is_nested_deep_is_kept(sandbox: Sandbox, api: httpx.Client) -> None:
    """Up to the bound it can be read back, alone and in lists, and dropped items with it can be listed."""
    content = b'{"customId":"a","phone":"600700800","attributes":{"n":%s}}' % nested(198)
    headers = {"Content-Type": "application/json"}
    assert api.post("/v4/clients", content=content, headers=headers).status_code == 202
    [found] = api.get("/v4/clients/batch/by-phone/600700800").json()
    assert json.dumps(found["attributes"]["n"]).encode() == nested(198)
    content = b'{"label":"x","action":"a.b","client":{"id":1},"params":{"n":%s}}' % nested(198)
    assert api.post("/v4/events/custom", content=content, headers=headers).status_code == 202
    assert api.get("/_sandbox/dropped-writes").status_code == 200
    assert len(sandbox.dropped_writes) == 1


def test_merge_ids_are_checked(api: httpx.Client) -> None:
    """Each id of the list has to be one, and there is a limit to them."""
    assert api.post("/v4/clients/merge/from/ids/1,x/to/id/2").json()["errors"][0]["field"] == "fromClientIds"
    many = ",".join(str(number) for number in range(100))
    assert api.post(f"/v4/clients/merge/from/ids/{many}/to/id/200").status_code == 400


def test_a_fault_of_the_sandbox_is_500(sandbox: Sandbox, api: httpx.Client, caplog: pytest.LogCaptureFixture) -> None:
    """It is answered in the common form and logged, and the next request is served."""
    sandbox.store.close()
    response = api.get("/v4/clients/tags")
    assert (response.status_code, response.json()["status"]) == (500, 500)
    assert "tags.list failed" in caplog.text
    assert api.get("/v4/server/time").status_code == 200
