"""What a 2xx confirms: its body contradicts it, or it does not. One rule for every operation."""

from __future__ import annotations

import pickle
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import ResponseDecodingError, Synerise, UnconfirmedResponseError
from synerise_profiles._core.confirmation import contradiction, holds_refusals, unlisted_note
from synerise_profiles._core.openapi import openapi_document
from synerise_profiles._core.tokens import LOGIN
from synerise_profiles.bulk import BulkStoppedError, Report
from synerise_profiles_api.api.account import change_password
from synerise_profiles_api.api.exports import get_data, get_status
from synerise_profiles_api.api.profiles import delete, get, upsert, upsert_batch
from synerise_profiles_api.api.tags import list as list_tags
from synerise_profiles_api.operations import all_operations
from tests.bulk.support import Clock

BOM = b"\xef\xbb\xbf"
CONTRADICTING = [
    (200, b"The service is under maintenance."),
    (202, b"<html>sign in</html>"),
    (202, BOM + b"  \n<!DOCTYPE html><html></html>"),
    (200, b"{'error': 'quota'}"),
    (200, b"[maintenance]"),
    (200, b"NaN"),
    (200, b'{"error":"quota exceeded","status":500}'),
    (202, b'{"errors":[{"message":"no"}]}'),
    (200, BOM + b'{"errorCode":"CRM-1"}'),
    (204, b'{"status":400}'),
    (200, b'{"status":"503"}'),
    (200, b'[{"error":"quota exceeded","status":500}]'),
    (200, b'{"error":"x","error":null}'),
    (200, b'{"status":500,"at":{"status":1},"status":200}'),
    (200, b'{"status":"error"}'),
    (200, b'{"status":"503 Service Unavailable"}'),
    (202, b'{"status":" 404: Not Found"}'),
    (202, b'{"status":"FAILED","id":7}'),
    (202, b'{"success":false}'),
    (206, b""),
    (206, b"[]"),
    (207, b""),
    (207, b"{}"),
    (207, b"partly"),
    (207, b"null"),
    (207, b"[]"),
    (207, b"[1]"),
    (207, b"[null]"),
    (207, b"[{}]"),
    (207, b'[{"id":1}]'),
    (207, b'[{"field":"email","message":"is bad"},1]'),
    (200, b'[{"field":"email","message":"is bad"},{"id":1}]'),
]
HARMLESS = [
    (200, b""),
    (202, b" \r\n"),
    (203, BOM),
    (200, b"null"),
    (299, b"{}"),
    (202, b'{"timestamp":"2026-11-28T10:00:00Z"}'),
    (200, b'{"status":200,"error":null,"errors":[]}'),
    (200, b'{"status":"OK","errorCode":0}'),
    (200, b'{"name":"half an emoji \\ud83d"}'),
    (200, BOM + b'{"id":1}'),
    (201, b'[{"id":1}]'),
    (200, b'{"id":1,"attributes":{"error":"x","errors":[1],"status":500,"success":false,"errorCode":"e"}}'),
    (200, b'{"error":null,"attributes":{"error":"x"},"tags":[{"error":"y"}]}'),
    (200, b'{"success":true,"status":"success"}'),
    (202, b'{"status":"202 Accepted"}'),
    (200, b'{"status":"5031 rows"}'),
    (200, b'"503 rows"'),
]


@pytest.mark.parametrize(("status", "content"), CONTRADICTING)
def test_what_contradicts(status: int, content: bytes) -> None:
    """A page, a text, an error, a part, a 207 without a list: none of them confirms that anything was done."""
    for operation in (upsert.OPERATION, upsert_batch.OPERATION, delete.OPERATION):
        assert contradiction(operation, status, content) is not None


@pytest.mark.parametrize(("status", "content"), HARMLESS)
def test_what_confirms(status: int, content: bytes) -> None:
    """A status or a body that nobody documented, and that says nothing against it, confirms."""
    for operation in (upsert.OPERATION, upsert_batch.OPERATION, delete.OPERATION, get.OPERATION):
        assert contradiction(operation, status, content) is None


def test_a_description_of_a_problem_contradicts() -> None:
    """Its media type says that the request failed, whatever the status."""
    for operation in (upsert.OPERATION, get.OPERATION):
        for media_type in ("application/problem+json", "Application/Problem+XML; charset=utf-8"):
            assert contradiction(operation, 200, b'{"title":"Forbidden"}', media_type) is not None
        assert contradiction(operation, 200, b'{"title":"Mr"}', "application/json") is None


def fields_of_body(schema: dict[str, Any], document: dict[str, Any]) -> set[str]:
    """The names of a body's own fields, those of what it is composed of included."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if name:
        return fields_of_body(document["components"]["schemas"][name], document)
    parts = [part for key in ("allOf", "anyOf", "oneOf") for part in schema.get(key, ())]
    return {*schema.get("properties", ()), *(field for part in parts for field in fields_of_body(part, document))}


def test_no_documented_response_of_a_change_has_a_name_that_is_judged() -> None:
    """So what is judged by these names is never what the API documents."""
    document = openapi_document()
    for path in document["paths"].values():
        for method, node in path.items():
            if method in ("post", "put", "delete", "patch"):
                for response in node["responses"].values():
                    for media in response.get("content", {}).values():
                        fields = fields_of_body(media["schema"], document)
                        assert not {"error", "errors", "errorCode", "status", "success"} & fields, (path, fields)


def test_every_operation_keeps_the_rule() -> None:
    """A page confirms nothing, whatever the operation; an empty 200 does."""
    for operation in all_operations():
        assert contradiction(operation, 200, b"<html><body>sign in</body></html>") is not None
        assert contradiction(operation, 200, b'{"error":"quota exceeded","status":500}') is not None
        assert contradiction(operation, 200, b"") is None


def test_texts_lists_and_states_that_are_read() -> None:
    """What an operation documents does not contradict it: a text, records with any names, a failed export."""
    assert contradiction(change_password.OPERATION, 200, b"Password changed.") is None
    assert contradiction(change_password.OPERATION, 200, b"<html>") is not None
    assert contradiction(get_data.OPERATION, 200, b'[{"id":1,"error":"x","field":"a","message":"b"}]') is None
    assert contradiction(get_status.OPERATION, 200, b'{"status":"FAILED","error":"no disk"}') is None
    assert contradiction(list_tags.OPERATION, 200, b'{"error":"quota"}') is not None


@pytest.mark.parametrize(
    "content",
    [
        b'[{"error":"Service unavailable","status":503}]',
        b'[{"status":500,"message":"x","path":"/"},{"errorCode":"e","code":1}]',
        b"[]x",
        b'[{"id":1},{"id"',
    ],
)
def test_a_list_of_errors_is_no_list_of_records(content: bytes) -> None:
    """Also where a list is read: it is refused at once, and not waited on or taken for records."""
    for operation in (get_data.OPERATION, get_status.OPERATION, list_tags.OPERATION):
        assert contradiction(operation, 200, content) is not None
    for harmless in (b'[{"id":1,"error":"x"}]', b'[{"error":"x","status":500},{"id":2}]', b"[]", b"[null]"):
        assert contradiction(get_data.OPERATION, 200, harmless) is None


def test_refusals_in_a_list() -> None:
    """A batch reads a list of refused fields as that of a 207, whatever its status; elsewhere it contradicts."""
    refusals = b'[{"field":"email","message":"is bad","rejectedValue":"x"}]'
    assert contradiction(upsert_batch.OPERATION, 200, refusals) is None
    assert holds_refusals(200, refusals)
    assert holds_refusals(207, b'[{"message":"is bad"}]')
    assert contradiction(delete.OPERATION, 207, b'[{"message":"is bad"}]') is not None
    assert not holds_refusals(200, b'[{"id":1}]')
    assert not holds_refusals(202, b"")
    assert contradiction(delete.OPERATION, 200, refusals) is not None


@given(content=st.binary(max_size=60), status=st.sampled_from([200, 202, 204, 207, 226]))
def test_any_bytes_have_a_verdict(content: bytes, status: int) -> None:
    """Nothing raises, and what is confirmed is empty or JSON."""
    for operation in (upsert_batch.OPERATION, delete.OPERATION):
        if contradiction(operation, status, content) is None and content.removeprefix(BOM).strip():
            text = content.removeprefix(BOM).decode("utf-8", "replace").strip()
            assert text[0] in '{["-0123456789tfn'


def test_notes_about_unlisted_responses() -> None:
    """A note names the status, or the body where none is documented; a documented response has none."""
    assert unlisted_note(upsert_batch.OPERATION, 202, b"") is None
    assert "status 203" in str(unlisted_note(upsert_batch.OPERATION, 203, b""))
    assert "with status 202 and a body" in str(unlisted_note(delete.OPERATION, 202, b"{}"))
    assert "was not there any more" in str(unlisted_note(delete.OPERATION, 404, b"{}"))


BODIES = [
    *(b"", b" ", b"null", b"{}", b"[]", b"[1]", b"[null]", b"[[]]", b"[{}]", b'["a"]', b"true", b"0", b'"ok"', b"ok"),
    *(b"<html>", BOM + b"[]", b'{"message":"taken"}', b'{"errors":[]}', b'{"errors":[{"field":"customId"}]}'),
    *(b'[{"id":1}]', b'[{"field":"customId"}]', b'[{"message":"bad"}]', b'[{"error":"bad"}]', b'{"data":[]}'),
    *(b'[{"field":"customId","message":"bad","rejectedValue":"c-1"}]', b'[{"rejectedValue":"c-1"}]'),
    *(b'[{"field":"customId","message":"bad","rejectedValue":"c-1"},1]', b'[{"field":"customId","message":null}]'),
]
ROW = {"customId": "c-1"}
EVENT = {
    "type": "custom",
    "action": "a.b",
    "label": "l",
    "client": ROW,
    "time": "2026-01-01T00:00:00Z",
    "eventSalt": "s",
}
ROADS: dict[str, Any] = {
    "batch call": lambda client: client.profiles.upsert_batch([ROW]),
    "batch call of events": lambda client: client.events.send_batch([EVENT | {"time": "2026-01-01T00:00:00Z"}]),
    "bulk": lambda client: client.bulk.upsert_profiles([ROW]),
    "bulk of events": lambda client: client.bulk.send_events([EVENT | {"time": "2026-01-01T00:00:00Z"}]),
}


def verdict(road: str, client: Synerise) -> str:
    try:
        found = ROADS[road](client)
    except UnconfirmedResponseError:
        return "unconfirmed"
    except ResponseDecodingError as error:
        return "refused" if "were refused" in str(error) else str(error)
    except BulkStoppedError as error:
        found = error.report
    if not isinstance(found, Report):
        return "refused" if found else "confirmed"
    return "confirmed" if found.accepted else "unconfirmed" if found.by_stage["unsent"] else "refused"


@pytest.mark.parametrize("status", [200, 202, 203, 207])
@pytest.mark.parametrize("content", BODIES)
def test_one_verdict_for_an_answer(status: int, content: bytes) -> None:
    """A batch that is sent by a call and by bulk is confirmed, refused in part or unconfirmed alike by one answer."""
    transport = httpx.MockTransport(lambda _: httpx.Response(status, content=content))
    with Synerise(token="t", transport=transport, max_retries=0, _timing=Clock().timing) as client:
        found = {road: verdict(road, client) for road in ROADS}
        try:
            client.profiles.upsert(ROW)
            of_a_call = "confirmed"
        except UnconfirmedResponseError:
            of_a_call = "unconfirmed"
    (of_batches,) = set(found.values())
    assert of_batches in {"confirmed", "refused", "unconfirmed"}, found
    assert (of_a_call == "confirmed") == (of_batches == "confirmed")


CALLS: list[Any] = [
    lambda client: client.profiles.upsert({"customId": "a"}),
    lambda client: client.profiles.delete(1),
    lambda client: client.profiles.merge_by_id([1], 2),
    lambda client: client.profiles.get(1),
    lambda client: client.tags.assign(1, 2),
    lambda client: client.profiles.upsert_batch([{"customId": "a"}]),
]


@pytest.mark.parametrize("call", CALLS)
def test_a_call_says_that_it_is_unconfirmed(call: Any) -> None:
    """A single call raises once, with the body kept and not shown; it can be pickled."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, content=b"<p>Dear anna@example.com</p>")

    with (
        Synerise(token="t", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(UnconfirmedResponseError) as caught,
    ):
        call(client)
    error = caught.value
    is_write = sent[0].method != "GET"
    assert str(error).endswith("may have been carried out" if is_write else "was not carried out")
    assert isinstance(error, ResponseDecodingError)
    assert (error.maybe_applied, error.status_code, error.content) == (is_write, 200, b"<p>Dear anna@example.com</p>")
    assert "anna" not in str(error)
    copied = pickle.loads(pickle.dumps(error))
    assert (str(copied), copied.maybe_applied, copied.problem) == (str(error), is_write, error.problem)
    assert len(sent) == 1


def test_a_login_that_is_answered_by_a_page() -> None:
    """What the login was for was not sent; its body, which may hold a token, is not kept."""
    with (
        Synerise(
            api_key="07243772-008a-42e1-ba37-c3807cebde8f",
            transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>sign in</html>")),
        ) as client,
        pytest.raises(UnconfirmedResponseError, match="was not carried out") as caught,
    ):
        client.profiles.delete(1)
    assert (caught.value.operation, caught.value.maybe_applied, caught.value.content) == (LOGIN.name, False, b"")


def test_a_read_that_is_answered_by_a_page() -> None:
    """It changes nothing, so it is not said that it may have been carried out."""
    with (
        Synerise(token="t", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=b"<html>"))) as client,
        pytest.raises(UnconfirmedResponseError, match="was not carried out") as caught,
    ):
        client.profiles.get(1)
    assert (caught.value.maybe_applied, caught.value.content) == (False, b"<html>")


def test_a_hook_sees_why() -> None:
    """`on_response` is told the status, and that it confirms nothing."""
    seen: list[Any] = []
    body = orjson.dumps({"error": "quota"})
    transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
    with (
        Synerise(token="t", transport=transport, on_response=seen.append) as client,
        pytest.raises(UnconfirmedResponseError),
    ):
        client.profiles.delete(1)
    assert [(result.status_code, result.failure) for result in seen] == [(200, "the body is an error")]
