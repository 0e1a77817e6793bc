"""The errors: one class a status, texts without personal data, pickles."""

from __future__ import annotations

import datetime
import importlib
import json
import pickle
import pkgutil
import re
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

import synerise_profiles
import synerise_profiles.errors as errors_module
from synerise_profiles._core.status_errors import connection_error, status_error, token_was_refused
from synerise_profiles._core.tokens import LOGIN
from synerise_profiles.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConfigurationError,
    ConflictError,
    DeprecatedOperationError,
    FailedDependencyError,
    InvalidRequestError,
    NotFoundError,
    OperationSunsetError,
    PermissionDeniedError,
    RateLimitError,
    ResponseDecodingError,
    ServerError,
    SunsetNotFoundError,
    SunsetServerError,
    SyneriseError,
    UnsupportedMediaTypeError,
    status_error_type,
)
from synerise_profiles_api.types import Operation
from tests._core.support import operation, request

SECRET = "jan.kowalski@example.com"
BODY = json.dumps(
    {
        "error": f"Bad Request {SECRET}",
        "status": 400,
        "timestamp": "2026-08-01T10:00:00Z",
        "path": f"/v4/clients/by-email/{SECRET}",
        "message": f"{SECRET} is wrong",
        "errors": [
            {"code": 1, "field": "email", "message": f"bad {SECRET}", "rejectedValue": SECRET},
            {"code": 1, "field": "items[3].attributes.score", "message": "x", "rejectedValue": "7"},
            {"code": 1, "field": "email", "message": "again", "rejectedValue": SECRET},
            {"code": 2, "field": SECRET, "message": "a value in the place of a name", "rejectedValue": None},
            {"code": 2, "field": "48500100200", "message": "a phone number in the place of a name"},
        ],
        "traceId": "7f3a-01",
        "errorCode": "SAU-601",
    }
).encode()


def error_of(
    status: int,
    facts: Operation | None = None,
    *,
    content: bytes = b"",
    consumer: str | None = None,
    today: datetime.date = datetime.date(2026, 8, 1),
    path: str = "/v4/things/1",
) -> APIStatusError:
    return status_error(
        request(operation=operation() if facts is None else facts, path=path),
        status,
        {},
        content,
        attempts=1,
        retry_after=None,
        consumer=consumer,
        today=today,
        note="",
    )


@pytest.mark.parametrize(("status", "told"), [(400, True), (404, True), (403, False), (500, False)])
def test_an_encoded_slash_in_the_path_is_told(status: int, told: bool) -> None:  # noqa: FBT001 - pytest passes it
    """Many servers refuse one by 400 or 404, whatever the identifier: the error says so, and shows no identifier."""
    error = error_of(status, path="/v4/clients/by-custom-id/jan%2Fkowalski")
    assert ("encoded slash" in str(error)) is told
    assert "kowalski" not in str(error)
    assert "encoded slash" not in str(error_of(status, path="/v4/clients/by-custom-id/jan"))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, ConflictError),
        (415, UnsupportedMediaTypeError),
        (424, FailedDependencyError),
        (429, RateLimitError),
        (302, APIStatusError),
        (410, APIStatusError),
        (413, APIStatusError),
        (499, APIStatusError),
        (500, ServerError),
        (503, ServerError),
        (520, ServerError),
    ],
)
def test_each_status_has_its_class(status: int, expected: type[APIStatusError]) -> None:
    """Documented statuses have a class of their own, 5xx one for all, others the common one."""
    assert expected is status_error_type(status)
    assert expected is type(error_of(status))


def test_every_error_has_the_one_root() -> None:
    """One except clause catches all; what is wrong with arguments is a ValueError too."""
    classes = [getattr(errors_module, name) for name in errors_module.__all__]
    assert [] == [error_type for error_type in classes if not issubclass(error_type, SyneriseError)]
    of_arguments = [ConfigurationError, DeprecatedOperationError, InvalidRequestError]
    assert of_arguments == [error_type for error_type in classes if issubclass(error_type, ValueError)]


def drawn_tree() -> dict[str, tuple[str, str]]:
    """Read the drawing in the docstring of `errors`: the parent and the package of each class, by its name."""
    above: list[str] = []
    tree: dict[str, tuple[str, str]] = {}
    for line in (errors_module.__doc__ or "").splitlines():
        found = re.match(r"(    [│├└─ ]*)(\w+Error)(?: +(?:([\w.]+): )?|$)", line)
        if found is not None:
            del above[len(found[1]) // 4 - 1 :]
            tree[found[2]] = (above[-1] if above else "Exception", found[3] or "")
            above.append(found[2])
    return tree


def all_errors(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for error_type in root.__subclasses__():
        yield from all_errors(error_type)


def test_the_drawing_has_every_error() -> None:
    """The tree of `errors` shows each error of the distribution once, below its parent, with the package it is in."""
    for module in pkgutil.walk_packages(synerise_profiles.__path__, "synerise_profiles."):
        if not module.name.endswith("__main__"):
            if module.name.startswith("synerise_profiles.integrations.spark.") and not find_spec("pyspark"):
                continue  # its errors are in a module that does without
            importlib.import_module(module.name)
    expected: dict[str, tuple[str, str]] = {}
    for error_type in all_errors(SyneriseError):
        # What a shared reader raises its callers turn into an error of their own.
        if error_type.__module__.startswith("synerise_profiles") and "._readers." not in error_type.__module__:
            parts = error_type.__module__.split(".")[1:]
            inner = ".".join(parts[: 2 if parts[0] == "integrations" else 1])
            home = "" if hasattr(errors_module, error_type.__name__) else inner
            expected[error_type.__name__] = (error_type.__bases__[0].__name__, home)
    assert expected == drawn_tree()
    for name, (_, home) in expected.items():
        assert not home or name in importlib.import_module(f"synerise_profiles.{home}").__all__


def test_text_names_what_is_safe_and_nothing_else() -> None:
    """The text has status, code, names of fields and trace id; never what the server wrote about the data."""
    expected = (
        "things.get: 400 Bad Request; code SAU-601; "
        "refused fields: email (bad […]), items[3].attributes.score (x), "
        "(a name that is not shown) (a value in the place of a name); trace id 7f3a-01"
    )
    error = error_of(400, content=BODY)
    assert expected == str(error)
    assert SECRET not in repr(error)


@pytest.mark.parametrize(
    ("message", "body", "shown"),
    [
        ("must be a well-formed email address", {"email": "no mail"}, "must be a well-formed email address"),
        ("'no mail' is no address", {"email": "no mail"}, "'[…]' is no address"),
        ("NO MAIL is no address", {"email": "no mail"}, "[…] is no address"),
        ("Kowalska is taken", {"name": "Anna Kowalska"}, "[…] is taken"),
        ("1234 is too much", {"a": [{"b": 1234}]}, "[…] is too much"),
        ("12.5 is too much", {"a": 12.5}, "[…] is too much"),
        ("7 is too small", {"a": 7}, "7 is too small"),
        ("key Anna Nowak is odd", {"attributes": {"Anna Nowak": 1}}, "key […] is odd"),
        ("see http://host/a/b for jan@example.com", None, "see […] for […]"),
        ("number 48500100 is odd", None, "number […] is odd"),
        ("call +48 500 100 200 now", None, "call […] now"),
        ("from 10.20.30.40", None, "from […]"),
        ("line\none\x07\ttwo", None, "line one two"),
        ("a" * 300, None, "a" * 200 + "…"),
    ],
)
def test_a_reason_holds_nothing_that_was_sent(message: str, body: object, shown: str) -> None:
    """Strings and numbers of the body are replaced wherever they stand; so is what looks like an address."""
    assert reason_of(message, body) == shown


def test_values_of_path_and_query_are_replaced() -> None:
    """An identifier in the path is the caller's too; the words of the path itself are not."""
    sent = {"path": "/v4/things/anna%20k,ewa", "query": "name=Zofia%20N&limit=100"}
    assert reason_of("things: Anna K, ewa and Zofia N; 100 of them", **sent) == "things: […], […] and […]; […] of them"


PERSONS = (
    "jan.kowal@przyklad.pl",
    "zażółć@gęślą.pl",
    "Łucja Żak",
    "Anna Nowak",
    "O'Brien & Søn",
    "100%25 suede",
)


def _encodings(value: str) -> Iterator[str]:
    """Forms in which a server quotes a value of a URL, upper and lower hex, whole and once more encoded."""
    once = quote(value, safe="")
    yield from (once, quote(value), quote_plus(value), quote(once, safe=""))
    yield "".join(f"%{byte:02X}" for byte in value.encode())
    yield quote(value, safe="", encoding="iso-8859-2", errors="replace")


@pytest.mark.parametrize("value", PERSONS)
@pytest.mark.parametrize("where", ["path", "query", "body"])
def test_values_are_replaced_where_they_are_quoted_percent_encoded(value: str, where: str) -> None:
    """Whole and in part, whatever the hex digits' case; `%40` makes an address."""
    quoted = quote(value, safe="")
    sent: dict[str, Any] = {
        "path": {"path": f"/v4/things/by-email/{quoted}"},
        "query": {"query": f"name={quoted}"},
        "body": {"body": {"name": value}},
    }[where]
    parts = [word.lower() for word in re.findall(r"\w{3,}", unquote(value))]
    for form in (*_encodings(value), *_encodings(value[1:]), *_encodings(value[:-1])):
        for text in (form, re.sub("%..", lambda found: found[0].lower(), form)):
            for message in (f"No thing at /x/by-email/{text}", f"bad {text}, sorry"):
                reason = reason_of(message, **sent)
                shown = reason.lower()
                assert not [word for word in parts if word in shown or quote(word).lower() in shown], reason
                assert reason.startswith(message.split(" ")[0])


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("no such ewa%40firma.pl here", "no such […] here"),
        ("no such ewa%2540firma.pl here", "no such […] here"),
        ("cut %C5 and %c5x", "cut […] and […]"),
        ("no such &#108;avender, l&#x61;vender, &amp;#108;avender", "no such […], […], […]"),
        ("M&uuml;ller Mu\u0308ller M\u00c3\u00bcller M?ller Muller", "[…] […] […] […] […]"),
        (r"M\xc3\xbcller M\303\274ller M\u{fc}ller M=C3=BCller M%u00FCller", "[…] […] […] […] […]"),
        ("&#106;&#97;&#110;&#64;firma.pl", "[…]"),
        ("tom & jerry, 5 &lt; 6, a=1", "tom & jerry, 5 < 6, a=1"),
        ("at most 50% of it, 100%", "at most 50% of it, 100%"),
        ("La\u200bvender%20and%00 Lav%E2%80%8Bender", "[…] and […]"),
    ],
)
def test_encoded_letters_hide_nothing(message: str, shown: str) -> None:
    """What looks like an address when it is decoded is one; letters that cannot be decoded are not shown."""
    assert reason_of(message, {"colour": "lavender", "name": "Müller"}) == shown


@given(
    st.recursive(
        st.text(st.characters(codec="utf-8"), min_size=3) | st.integers(-(2**63), 2**64 - 1),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    )
)
def test_no_value_of_any_body_is_shown(body: object) -> None:
    """Whatever a body holds, and the server repeats of it, is not in the reason."""
    values = [value for value in _leaves(body) if len(" ".join(value.split())) > 2]
    content = json.dumps({"message": f"refused: {' and '.join(values)}!", "errors": []}).encode()
    error = status_error(
        request(content=orjson.dumps(body)),
        400,
        {},
        content,
        attempts=1,
        retry_after=None,
        consumer=None,
        today=datetime.date(2026, 8, 1),
        note="",
    )
    words = error.reason.removeprefix("the server says: ").lower()
    for value in values:
        assert " ".join(value.split()).lower() not in words


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _leaves(item)
    else:
        yield str(value)


def test_body_keeps_the_servers_own_words() -> None:
    """What the text leaves out is in `body` and `content`."""
    error = error_of(400, content=BODY)
    assert error.body is not None
    assert json.loads(BODY) == error.body
    assert BODY == error.content


@pytest.mark.parametrize("content", [b"", b"Not Found", b"\xff\xfe", b"<html>", b"null"])
def test_any_body_can_come_with_an_error(content: bytes) -> None:
    """No body, or text, gives `body` None, and no exception."""
    error = error_of(404, content=content)
    assert (None, "things.get: 404 Not Found") == (error.body, str(error))


@pytest.mark.parametrize("content", [b"[1]", b'"text"', b"7", b"{}", b'{"message": "Not Found"}', b'{"errors": []}'])
def test_a_body_that_says_no_more_than_the_status_adds_nothing(content: bytes) -> None:
    """`body` is the JSON, whatever it is; the text stays as short as the status."""
    error = error_of(404, content=content)
    assert (json.loads(content), "things.get: 404 Not Found", "") == (error.body, str(error), error.reason)


def reason_of(message: str, body: object = None, **parts: Any) -> str:
    """The reason that is shown of a message about the field `x` of a body that was sent."""
    content = json.dumps({"errors": [{"field": "x", "message": message}]}).encode()
    sent = None if body is None else json.dumps(body).encode()
    error = status_error(
        request(content=sent, **parts),
        400,
        {},
        content,
        attempts=1,
        retry_after=None,
        consumer=None,
        today=datetime.date(2026, 8, 1),
        note="",
    )
    return error.reason.removeprefix("refused fields: x (").removesuffix(")")


@pytest.mark.parametrize(
    "body",
    [
        {"errors": "none", "traceId": 7, "errorCode": ["x"]},
        {"errors": [None, 3]},
        {"errors": [{"field": None}]},
        {"traceId": "a b\n" + SECRET},
        {"errorCode": SECRET},
    ],
)
def test_odd_fields_of_an_error_body_do_no_harm(body: dict[str, object]) -> None:
    """Fields of another type or form than documented are read leniently and not shown."""
    text = str(error_of(400, content=json.dumps(body).encode()))
    assert text.startswith("things.get: 400 Bad Request")
    assert SECRET not in text


def test_long_lists_of_fields_are_shortened() -> None:
    """At most ten names are shown."""
    content = json.dumps({"errors": [{"field": f"field{number}"} for number in range(12)]}).encode()
    assert str(error_of(400, content=content)).endswith("field9 and 2 more")


@pytest.mark.parametrize("status", [401, 403])
def test_refusal_names_who_may_call(status: int) -> None:
    """Where the client's consumer may not call the operation, the text says who may."""
    text = str(error_of(status, operation(consumers=("profile",)), consumer="workspace"))
    assert text.endswith("things.get may be called by: profile; this client signs in as: workspace")


def test_nothing_is_guessed_about_an_unknown_consumer() -> None:
    """Without knowing whose token it is, the text does not speak of consumers."""
    assert "called by" not in str(error_of(401, operation(consumers=("profile",))))


def test_missing_permission_is_named() -> None:
    """A 403 names what an API key or a user needs."""
    facts = operation(permission="client_info: read", role="crm: read")
    assert str(error_of(403, facts, consumer="workspace")).endswith(
        "an API key needs the permission: client_info: read"
    )
    assert str(error_of(403, facts, consumer="user")).endswith("a user needs the permission: crm: read")


def test_pii_permissions_are_named_to_those_who_can_have_them() -> None:
    """A 403 of an operation that needs them in addition says so to a workspace or a user, and not to a profile."""
    facts = operation(permission="client_info: read", pii=True)
    text = "where PII protection is on, PII permissions are needed in addition"
    assert str(error_of(403, facts, consumer="workspace")).endswith(f"permission: client_info: read; {text}")
    assert text not in str(error_of(401, facts, consumer="workspace"))
    assert text not in str(error_of(403, facts, consumer="profile"))


def test_what_a_status_means_for_the_operation_is_said() -> None:
    """The text has the meaning of this status, and not that of another one."""
    facts = operation(refusals=((404, "There is no such tag."), (400, "There is no such profile.")))
    assert str(error_of(404, facts)) == "things.get: 404 Not Found; it means here: There is no such tag"
    assert "it means here" not in str(error_of(403, facts))


def test_refusal_of_an_operation_past_its_end_says_so() -> None:
    """Once the sunset has passed, a refusal names the date and what to use instead; before, it does not."""
    facts = operation(deprecated=True, sunset="2026-08-30", replaced_by=("profiles.get",))
    after = error_of(404, facts, today=datetime.date(2026, 8, 30))
    assert str(after).endswith("it was due to be switched off on 2026-08-30; use profiles.get")
    assert "things.get: 404 Not Found" == str(error_of(404, facts, today=datetime.date(2026, 8, 29)))
    assert "switched off" not in str(error_of(400, facts, today=datetime.date(2026, 9, 1)))


AFTER, BEFORE = datetime.date(2026, 8, 30), datetime.date(2026, 8, 29)
DATED: dict[str, object] = {"deprecated": True, "sunset": "2026-08-30", "replaced_by": ("profiles.get",)}
DATELESS: dict[str, object] = {"deprecated": True, "deprecated_reason": "It moved elsewhere."}


@pytest.mark.parametrize(
    ("status", "facts", "day", "expected"),
    [
        (404, DATED, AFTER, SunsetNotFoundError),
        (404, DATED, BEFORE, NotFoundError),
        (404, DATELESS, AFTER, NotFoundError),
        (405, DATED, AFTER, OperationSunsetError),
        (410, DATED, AFTER, OperationSunsetError),
        (410, DATED, BEFORE, OperationSunsetError),
        (410, DATELESS, AFTER, OperationSunsetError),
        (410, {}, AFTER, APIStatusError),
        (501, DATED, AFTER, SunsetServerError),
        (501, {}, AFTER, ServerError),
        (500, DATED, AFTER, ServerError),
        (400, DATED, AFTER, BadRequestError),
        (401, DATED, AFTER, AuthenticationError),
        (403, DATED, AFTER, PermissionDeniedError),
    ],
)
def test_what_was_switched_off_has_its_class(
    status: int, facts: dict[str, object], day: datetime.date, expected: type[APIStatusError]
) -> None:
    """405, 410 and 501 say that an operation is gone, 404 only once its day has come; the status's class holds too."""
    error = error_of(status, operation(**facts), content=BODY, today=day)
    assert type(error) is expected
    assert isinstance(error, status_error_type(status))
    assert (error.status_code, error.content) == (status, BODY)
    if isinstance(error, OperationSunsetError):
        assert (error.sunset, error.replaced_by) == (facts.get("sunset"), facts.get("replaced_by", ()))
        assert str(error).endswith("use profiles.get" if error.replaced_by else "it is deprecated; It moved elsewhere")


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refused_login_is_an_authentication_error(status: int) -> None:
    """Whatever the login is refused with, the error is the one for authentication and names the login."""
    error = error_of(status, LOGIN)
    assert (AuthenticationError, status) == (type(error), error.status_code)
    assert "the login was refused" in str(error)


@pytest.mark.parametrize(("status", "expected"), [(429, RateLimitError), (503, ServerError)])
def test_login_that_could_not_be_judged_is_no_refusal(status: int, expected: type[APIStatusError]) -> None:
    """An overloaded server says nothing about the key."""
    assert expected is type(error_of(status, LOGIN))


def test_a_login_that_broke_off_changed_nothing() -> None:
    """What the login was for has not been sent, so nothing was applied."""
    error = connection_error(LOGIN, "no answer in time", timed_out=True, attempts=4, maybe_applied=True, note="")
    assert (APITimeoutError, False) == (type(error), error.maybe_applied)


@pytest.mark.parametrize(
    ("maybe_applied", "effect"),
    [(True, "the server may have received the request"), (False, "the request was not carried out")],
)
def test_connection_error_says_what_may_have_happened(*, maybe_applied: bool, effect: str) -> None:
    """The text says what broke, how often it was tried, and whether the request may have arrived."""
    error = APIConnectionError("no answer", operation="things.get", attempts=3, maybe_applied=maybe_applied)
    assert f"things.get: no answer; tried 3 times; {effect}" == str(error)


def test_request_id_is_found_in_any_case() -> None:
    """The header's name may be written in any way; without one there is no id."""
    error = APIStatusError(operation="x.y", status_code=500, headers={"X-Request-ID": "r-1"})
    assert ("r-1", None) == (error.request_id, APIStatusError(operation="x.y", status_code=500).request_id)


def test_status_outside_the_registry_has_no_reason() -> None:
    """A status that HTTP does not know is shown as a number."""
    assert "x.y: 520" == str(ServerError(operation="x.y", status_code=520))


ALL: list[SyneriseError] = [
    ConfigurationError("region: unknown"),
    InvalidRequestError("is empty", operation="profiles.get", field="client_id"),
    ResponseDecodingError("no JSON", operation="profiles.get", status_code=200, content=b"x"),
    APIConnectionError("no answer", operation="x.y", attempts=2, maybe_applied=True, notes=["a note"]),
    APITimeoutError("no answer in time", operation="x.y"),
    BadRequestError(operation="x.y", status_code=400, headers={"a": "b"}, content=BODY, attempts=2, notes=["a note"]),
    RateLimitError(operation="x.y", status_code=429, retry_after=3.0),
    DeprecatedOperationError("is deprecated", operation="x.y"),
    OperationSunsetError(
        operation="x.y", status_code=410, content=BODY, notes=["gone"], sunset="2026-08-30", replaced_by=("x.z",)
    ),
    SunsetNotFoundError(operation="x.y", status_code=404, sunset="2026-08-30"),
    SunsetServerError(operation="x.y", status_code=501),
]


@pytest.mark.parametrize("error", ALL, ids=lambda error: type(error).__name__)
def test_every_error_survives_pickling(error: SyneriseError) -> None:
    """A worker process hands its errors to the parent unharmed."""
    copied = pickle.loads(pickle.dumps(error))
    assert (type(error), str(error), vars(error)) == (type(copied), str(copied), vars(copied))


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (401, b"", True),
        (403, b'{"error": "Token expired."}', True),
        (403, b'{"error": "Forbidden"}', False),
        (400, b"token expired", False),
    ],
)
def test_refused_token_is_distinguished_from_a_refused_request(status: int, content: bytes, *, expected: bool) -> None:
    """A 401 always speaks of the token, a 403 only if it says that the token has expired."""
    assert expected is token_was_refused(status, content)
