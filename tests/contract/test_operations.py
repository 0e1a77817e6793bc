"""Every operation over a real socket: what arrives is what the document says, what returns is read as it says."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import parse_qsl

import attrs
import pytest

from synerise_profiles import errors, models
from synerise_profiles_api.encoding import Model
from tests.contract.conftest import TOKEN
from tests.contract.document import Answer, operations, properties, python_name, reference_name

OPERATIONS = operations()
SUCCESSES = [
    pytest.param(item, answer, id=f"{item.name}-{answer.status}")
    for item in OPERATIONS
    for answer in item.answers(success=True)
]
FAILURES = [
    pytest.param(item, answer, id=f"{item.name}-{answer.status}")
    for item in OPERATIONS
    for answer in item.answers(success=False)
]
WITH_BODY = [item for item in OPERATIONS if item.body is not None]
ERROR_CLASSES = {
    400: errors.BadRequestError,
    401: errors.AuthenticationError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    415: errors.UnsupportedMediaTypeError,
    418: errors.APIStatusError,
    424: errors.FailedDependencyError,
    500: errors.ServerError,
}


def _each(items):
    return pytest.mark.parametrize("documented", items, ids=lambda item: item.name)


def _arguments(documented, body):
    """Positional arguments as a caller writes them: values of the path, then the body."""
    return [*documented.path_values.values(), *([] if documented.body is None else [body])]


def _expect(server, documented, result=None):
    """What arrived is what the document says."""
    received = server.last
    raw_path, _, query = received.target.partition("?")
    assert received.method == documented.http_method
    assert raw_path == documented.raw_path
    assert set(received.header("Accept").split(", ")) == documented.media_types
    assert received.header("Api-Version") == documented.headers.get("Api-Version")
    needs_token = documented.node.get("security") != []
    assert received.header("Authorization") == (f"Bearer {TOKEN}" if needs_token else None)
    return received, query


@_each(OPERATIONS)
def test_what_arrives(documented, server, call):
    """Method, raw path, query, headers and JSON body are exactly what the document says."""
    server.will_answer(documented.answers(success=True)[0])
    named = {python_name(name): value for name, value in documented.query_values.items()}

    call(documented, *_arguments(documented, documented.example), **named)

    received, query = _expect(server, documented)
    expected = [(name, str(value)) for name, value in documented.query_values.items()]
    assert parse_qsl(query, strict_parsing=bool(query)) == expected
    if documented.body is None:
        assert received.header("Content-Type") is None
        assert received.content == b""
    else:
        assert received.header("Content-Type") == "application/json"
        assert received.header("Content-Length") == str(len(received.content))
        assert json.loads(received.content) == documented.example


@_each(WITH_BODY)
def test_a_model_arrives_like_its_mapping(documented, server, call):
    """The example as a model, or as a list of models, is sent like the mapping that it was read from."""
    server.will_answer(documented.answers(success=True)[0])
    model = getattr(models, documented.body_model)
    example = documented.example
    body = [model.from_dict(item) for item in example] if isinstance(example, list) else model.from_dict(example)

    call(documented, *_arguments(documented, body))

    received, _ = _expect(server, documented)
    assert json.loads(received.content) == example


@_each([item for item in OPERATIONS if item.query_values])
def test_what_is_not_given_is_not_sent(documented, server, call):
    """Without optional arguments there is no query, not even an empty one."""
    server.will_answer(documented.answers(success=True)[0])

    call(documented, *_arguments(documented, documented.example), **documented.required_query)

    _, query = _expect(server, documented)
    assert {python_name(name) for name, _ in parse_qsl(query)} == set(documented.required_query)
    assert ("?" in server.last.target) is bool(documented.required_query)


@_each([item for item in WITH_BODY if not item.node["requestBody"].get("required", True)])
def test_an_optional_body_may_be_left_out(documented, server, call):
    """Where the document lets a body out, nothing is sent, and nothing is said of its type."""
    server.will_answer(documented.answers(success=True)[0])

    call(documented, *documented.path_values.values())

    received, _ = _expect(server, documented)
    assert received.content == b""
    assert received.header("Content-Type") is None


@pytest.mark.parametrize(("documented", "answer"), SUCCESSES)
def test_what_returns(documented, answer, server, call):
    """Each documented success is read into the documented model, each field into its own attribute."""
    server.will_answer(answer)

    result = call(documented, *_arguments(documented, documented.example), **documented.required_query)

    assert len(server.received) == 1
    if answer.schema is None:
        assert result is None
    elif answer.content_type != "application/json":
        assert result == answer.value
    elif isinstance(answer.value, list):
        assert [type(item).__name__ for item in result] == [reference_name(answer.schema["items"])] * 2
        assert [item.to_dict() for item in result] == answer.value
        _all_understood(result)
    else:
        assert type(result).__name__ == reference_name(answer.schema)
        assert result.to_dict() == answer.value
        _all_understood(result)


_LENIENT = [item for item in OPERATIONS if item.may_answer_anything]
_RAW = {b"[1]": [1], b'"done"': "done", b"0.5": 0.5, b"true": True}


@_each(_LENIENT)
def test_no_body_is_demanded_where_it_is_inferred(documented, server, call):
    """An empty answer or null is None, another shape comes as it is: what was carried out never raises."""
    answer = [answer for answer in documented.answers(success=True) if answer.status != 207][-1]
    arguments = _arguments(documented, documented.example)
    for content in (b"", b" \r\n", b"null", b"\xef\xbb\xbfnull", *_RAW):
        server.will_answer(_Bytes(answer.status, "application/json", None, content))

        result = call(documented, *arguments, **documented.required_query)

        assert result == _RAW.get(content), content
    if "items" in (answer.schema or {}):
        server.will_answer(_Bytes(answer.status, "application/json", None, b'{"data":[{"clientId":1}],"total":1}'))
        assert call(documented, *arguments, **documented.required_query) == {"data": [{"clientId": 1}], "total": 1}
    for content in (b"Done", b"<p>\xff"):  # what stands before the API may have answered
        server.will_answer(_Bytes(answer.status, "application/json", None, content))
        with pytest.raises(errors.UnconfirmedResponseError):
            call(documented, *arguments, **documented.required_query)


def test_something_is_inferred():
    """The test above has operations to hold, the merges among them."""
    names = {item.name for item in _LENIENT}
    assert {"profiles.merge_by_id", "profiles.merge_by_custom_id", "tags.update", "exports.get_data"} <= names


@pytest.mark.parametrize(("documented", "answer"), [item for item in SUCCESSES if item.values[1].value is not None])
def test_a_byte_order_mark_and_a_null_in_a_list_do_no_harm(documented, answer, server, call):
    """A mark before the body is no part of it, and a null in a list, at any depth, hides nothing of the others."""
    content = answer.content
    if answer.content_type == "application/json":
        content = json.dumps(_with_nulls(answer.value)).encode()
    server.will_answer(_Bytes(answer.status, answer.content_type, None, b"\xef\xbb\xbf" + content))

    result = call(documented, *_arguments(documented, documented.example), **documented.required_query)

    if isinstance(answer.value, list):
        assert [item.to_dict() for item in result] == answer.value
    else:
        assert (result if isinstance(result, str) else result.to_dict()) == answer.value


def _with_nulls(value):
    if isinstance(value, list):
        return [None, *map(_with_nulls, value), None]
    return {key: _with_nulls(item) for key, item in value.items()} if isinstance(value, dict) else value


@dataclass(frozen=True)
class _Bytes(Answer):
    """An answer of these bytes, documented or not."""

    body: bytes = b""

    @property
    def content(self):
        return self.body


def _all_understood(value):
    """No value of a model, at any depth, was set aside as one that it does not know."""
    if isinstance(value, Model):
        assert value.additional_properties == {}, type(value).__name__
        value = [getattr(value, field.name) for field in attrs.fields(type(value))]
    for item in value if isinstance(value, list) else ():
        _all_understood(item)


@pytest.mark.parametrize(("documented", "answer"), FAILURES)
def test_what_is_raised(documented, answer, server, call):
    """Each documented error raises the class of its status, with the JSON of its body."""
    server.will_answer(answer)

    with pytest.raises(errors.APIStatusError) as caught:
        call(documented, *_arguments(documented, documented.example), **documented.required_query)

    error = caught.value
    # One that may be switched off by the day of the test is told so by a class of its own, under that of the status.
    kinds = type(error).__mro__ if "x-sunset" in documented.node else (type(error),)
    assert ERROR_CLASSES[answer.status] in kinds
    assert (error.operation, error.status_code, error.content) == (documented.name, answer.status, answer.content)
    if answer.content_type == "application/json":
        assert reference_name(answer.schema) == "ErrorBody"
        assert error.body == answer.value
    else:
        assert error.body is None
    assert len(server.received) == 1


@_each([item for item in OPERATIONS if item.node.get("security") == []])
def test_no_token_where_none_is_needed(documented, server, call):
    """An operation that needs no sign-in is sent without one, so that the token cannot leak there."""
    server.will_answer(documented.answers(success=True)[0])

    call(documented, *_arguments(documented, documented.example))

    assert server.last.header("Authorization") is None


@_each(WITH_BODY)
def test_the_example_comes_through_the_model(documented):
    """Example, model, example: nothing is lost and nothing is added, and every key is a field unless free keys are."""
    model = getattr(models, documented.body_model)
    example = documented.example

    for item in example if isinstance(example, list) else [example]:
        built = model.from_dict(item)
        assert built.to_dict() == item
        declared = properties({"$ref": f"#/components/schemas/{documented.body_model}"})
        assert built.additional_properties == {key: value for key, value in item.items() if key not in declared}


def test_the_server_records_what_the_document_does_not_say(server, client):
    """The recorder is no mirror: another path than documented would be seen."""
    server.will_answer(Answer(404, "text/plain", {"type": "string"}))

    with pytest.raises(errors.NotFoundError):
        client.profiles.get(8)

    assert server.last.target == "/v4/clients/8"
