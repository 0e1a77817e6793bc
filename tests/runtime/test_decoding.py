"""What is read: bodies of answers, and fields that may hold anything."""

from __future__ import annotations

import datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles_api import decoding
from synerise_profiles_api.errors import ResponseDecodingError
from tests.runtime.samples import JSON, OBJECTS, READ, Answer

TAKERS = {
    "take_any": decoding.take_any,
    "take_bool": decoding.take_bool,
    "take_date": decoding.take_date,
    "take_datetime": decoding.take_datetime,
    "take_float": decoding.take_float,
    "take_int": decoding.take_int,
    "take_list": decoding.take_list,
    "take_list of texts": lambda data, key: decoding.take_list(data, key, (str,)),
    "take_model": lambda data, key: decoding.take_model(data, key, dict),
    "take_models": lambda data, key: decoding.take_models(data, key, dict),
    "take_one_of": lambda data, key: decoding.take_one_of(data, key, (str, int)),
    "take_str": decoding.take_str,
}


# --- bodies


@given(OBJECTS)
def test_an_object_is_read(body):
    """A JSON object comes back as it is."""
    answer = Answer(orjson.dumps(body))

    assert decoding.object_of(READ, answer) == decoding.object_or_none(READ, answer) == body


@given(st.lists(OBJECTS))
def test_a_list_of_objects_is_read(body):
    """A JSON list of objects comes back as it is; a byte order mark before it is no part of it."""
    answer = Answer(b"\xef\xbb\xbf" + orjson.dumps(body))

    assert decoding.objects_of(READ, answer) == decoding.objects_or_none(READ, answer) == body


@pytest.mark.parametrize("content", [b"", b"  \r\n"])
def test_no_body_is_none_where_that_is_documented(content):
    """An empty body is None where some success has none, and an error where every success has one."""
    answer = Answer(content, status_code=202)

    assert decoding.object_or_none(READ, answer) is None
    assert decoding.objects_or_none(READ, answer) is None
    for read in (decoding.object_of, decoding.objects_of):
        with pytest.raises(ResponseDecodingError, match="the body is not JSON"):
            read(READ, answer)


@pytest.mark.parametrize(
    ("read", "content", "problem"),
    [
        ("object_of", b"[]", "expected a JSON object"),
        ("object_of", b"null", "expected a JSON object"),
        ("object_or_none", b'"text"', "expected a JSON object"),
        ("object_of", b"<html>", "the body is not JSON"),
        ("object_of", b'{"a":"\xff"}', "the body is not JSON"),
        ("objects_of", b"{}", "expected a JSON list of objects"),
        ("objects_of", b"[1]", "expected a JSON list of objects"),
        ("objects_or_none", b"[{},[]]", "expected a JSON list of objects"),
        ("objects_or_none", b'{"a":', "the body is not JSON"),
    ],
)
def test_another_body_than_documented_is_an_error_that_keeps_it(read, content, problem):
    """The error tells what was expected, keeps the body for the caller and leaves it out of its text."""
    with pytest.raises(ResponseDecodingError, match=problem) as caught:
        getattr(decoding, read)(READ, Answer(content, status_code=201))

    error = caught.value
    assert (error.operation, error.status_code, error.content) == ("things.get", 201, content)
    assert content.decode("latin-1") not in str(error)


@given(OBJECTS)
def test_an_inferred_object_is_read(body):
    """What is an object is read as the model that it is inferred to be."""
    assert decoding.object_or_raw(Answer(orjson.dumps(body)), dict) == body


@given(st.lists(OBJECTS | st.none()))
def test_an_inferred_list_is_read_without_its_nulls(body):
    """What is a list of objects is read as models; a null among them is none."""
    read = decoding.objects_or_raw(Answer(orjson.dumps(body)), dict)

    assert read == [item for item in body if item is not None]


@given(JSON | st.binary())
def test_no_inferred_body_is_an_error(body):
    """Whatever came is read or returned as it came: nothing is lost of an answer that cannot be asked for again."""
    answer = Answer(body if isinstance(body, bytes) else orjson.dumps(body))

    for read in (decoding.object_or_raw, decoding.objects_or_raw):
        read(answer, dict)


@given(st.binary())
def test_text_is_read_whatever_its_bytes(content):
    """Text that is no UTF-8 is read with replacement characters, never an error."""
    assert decoding.text_of(Answer(content)) == content.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")


# --- fields


@pytest.mark.parametrize("name", TAKERS)
@given(value=JSON)
def test_any_value_of_a_field_is_taken_or_left(name, value):
    """No JSON value makes a reader raise: it is taken out, or it stays where nothing is lost."""
    data = {"field": value, "other": 1}

    taken = TAKERS[name](data, "field")

    assert data.pop("other") == 1
    if value is None:
        assert taken is None
        assert data == {}
    elif taken is None:
        assert data == {"field": value}
    else:
        assert data == {}


@pytest.mark.parametrize("name", TAKERS)
def test_a_missing_field_is_none(name):
    """A field that is not there is None, and leaves no trace."""
    data = {"other": 1}

    assert TAKERS[name](data, "field") is None
    assert data == {"other": 1}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("take_str", "", ""),
        ("take_str", 1, None),
        ("take_bool", False, False),
        ("take_bool", 0, None),
        ("take_bool", "true", None),
        ("take_int", 0, 0),
        ("take_int", True, None),
        ("take_int", 1.0, None),
        ("take_int", "1", None),
        ("take_float", 1, 1),
        ("take_float", 0.5, 0.5),
        ("take_float", True, None),
        ("take_list", [], []),
        ("take_list", {}, None),
        ("take_list of texts", ["a"], ["a"]),
        ("take_list of texts", ["a", None], ["a"]),
        ("take_list of texts", ["a", None, 1], None),
        ("take_list", [None, 1], [1]),
        ("take_one_of", "a", "a"),
        ("take_one_of", 1.5, None),
        ("take_model", {"a": 1}, {"a": 1}),
        ("take_model", [], None),
        ("take_models", [{"a": 1}], [{"a": 1}]),
        ("take_models", [{"a": 1}, None], [{"a": 1}]),
        ("take_models", {"a": 1}, None),
        ("take_any", False, False),
    ],
)
def test_only_the_documented_type_is_taken(name, value, expected):
    """A value of another type is not converted: it stays among the additional properties."""
    data = {"field": value}

    taken = TAKERS[name](data, "field")

    assert taken == expected
    assert type(taken) is type(expected)
    assert data == ({} if expected is not None else {"field": value})


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2024-01-02T03:04:05Z", "2024-01-02T03:04:05+00:00"),
        ("2024-01-02T03:04:05.678+02:00", "2024-01-02T01:04:05.678000+00:00"),
        ("2024-01-02T03:04:05+0200", "2024-01-02T01:04:05+00:00"),
        ("2024-01-02 03:04:05+02:00", "2024-01-02T01:04:05+00:00"),
    ],
)
def test_moments_with_an_offset_are_taken(text, utc):
    """Every usual way to write an offset is understood."""
    moment = decoding.take_datetime({"at": text}, "at")

    assert moment == datetime.datetime.fromisoformat(utc)


@pytest.mark.parametrize("text", ["2024-01-02T03:04:05", "2024-01-02", "yesterday", "", "1704164645", 1704164645])
def test_a_moment_without_an_offset_stays_text(text):
    """What could not be compared with a moment, nor be written again, is kept as it came."""
    data = {"at": text}

    assert decoding.take_datetime(data, "at") is None
    assert data == {"at": text}


@given(st.dates())
def test_days_are_taken(day):
    """An ISO date is a date."""
    assert decoding.take_date({"on": day.isoformat()}, "on") == day
