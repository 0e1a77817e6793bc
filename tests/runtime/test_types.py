"""The pieces that requests and answers are made of, and the two errors that belong to them."""

from __future__ import annotations

import copy
import pickle

import attrs
import pytest

from synerise_profiles_api.errors import InvalidRequestError, ResponseDecodingError, SyneriseError
from synerise_profiles_api.types import UNSET, Request, Response, Unset
from tests.runtime.samples import READ

SECRET = "jan.kowalski@example.com"


def test_unset_is_one_value():
    """Copies and pickles are the same object, so that `is UNSET` always holds."""
    assert copy.copy(UNSET) is UNSET
    assert copy.deepcopy({"a": UNSET})["a"] is UNSET
    assert pickle.loads(pickle.dumps(UNSET)) is UNSET
    assert list(Unset) == [UNSET]


def test_unset_is_false_and_says_its_name():
    """UNSET reads as nothing, and is no None."""
    assert not UNSET
    assert UNSET is not None
    assert repr(UNSET) == "UNSET"


def test_an_operation_cannot_be_changed():
    """Facts are facts."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        READ.retry = "idempotent"


def test_an_operation_is_named_like_the_method():
    """The name is what a user writes."""
    assert READ.name == "things.get"


def test_an_operation_is_never_repeated_unless_it_says_so():
    """Without a word about repeating, nothing is repeated."""
    assert READ.retry == "never"
    assert Request(operation=READ, path="/", parse=bytes).repeatable is False


def test_a_request_shows_no_value():
    """Path, query and body hold personal data: the text shows the template and the size."""
    request = Request(
        operation=READ, path=f"/v1/things/{SECRET}", query=f"q={SECRET}", content=SECRET.encode(), parse=bytes
    )

    assert repr(request) == f"<Request things.get: GET /v1/things/{{thingId}}, {len(SECRET)} bytes>"


def test_a_response_shows_no_value():
    """The text of an answer holds its status and size, not its body or headers."""
    response = Response(operation=READ, status_code=200, headers={"x": SECRET}, content=SECRET.encode(), body=SECRET)

    assert repr(response) == f"<Response things.get: 200, {len(SECRET)} bytes>"


def test_errors_survive_a_pickle():
    """Errors cross process boundaries whole."""
    refused = pickle.loads(pickle.dumps(InvalidRequestError("is empty", operation="a.b", field="c")))
    unread = pickle.loads(
        pickle.dumps(ResponseDecodingError("no JSON", operation="a.b", status_code=200, content=b"<"))
    )

    assert (refused.problem, refused.operation, refused.field) == ("is empty", "a.b", "c")
    assert str(refused) == "a.b: c: is empty"
    assert (unread.problem, unread.operation, unread.status_code, unread.content) == ("no JSON", "a.b", 200, b"<")
    assert str(unread) == "a.b: status 200, 1 byte: no JSON"


def test_errors_have_one_root():
    """One class catches all; a refused argument is a ValueError as well."""
    assert issubclass(InvalidRequestError, SyneriseError)
    assert issubclass(InvalidRequestError, ValueError)
    assert issubclass(ResponseDecodingError, SyneriseError)
    assert not issubclass(ResponseDecodingError, ValueError)
