"""What names a profile: well formed or not, first taken, masked, the same after the change of July 2026."""

from __future__ import annotations

import subprocess
import sys
import unicodedata
import uuid
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError
from synerise_profiles.identifiers import (
    CLIENT_IDENTIFIERS,
    IDENTIFIER_CHANGE_DATE,
    PROFILE_IDENTIFIERS,
    canonical,
    email_uuid,
    first_identifier,
    guess_identifier,
    mask,
    problem,
    same,
)
from synerise_profiles.models import ClientIdentifier, ProfileInput
from tests.contract.document import DOCUMENT

SCHEMAS = DOCUMENT["components"]["schemas"]


def test_the_facts_are_those_of_the_document() -> None:
    """Names, their order and the day stand in the spec, and nowhere else."""
    assert list(PROFILE_IDENTIFIERS) == SCHEMAS["ProfileBatchItem"]["x-identifiers"]
    assert list(CLIENT_IDENTIFIERS) == SCHEMAS["ClientIdentifier"]["x-identifiers"]
    assert DOCUMENT["info"]["x-identifier-change"]["effective"] == IDENTIFIER_CHANGE_DATE
    assert set(CLIENT_IDENTIFIERS) == set(SCHEMAS["ClientIdentifier"]["properties"])


@pytest.mark.usefixtures("unmeasured")
def test_importing_it_is_cheap() -> None:
    """Neither HTTP nor a database nor a model is loaded for it."""
    code = "import sys, synerise_profiles.identifiers\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"httpx", "sqlite3", "csv", "synerise_profiles.bulk"}
    assert not any(name.startswith("synerise_profiles_api.models.") for name in loaded)


GOOD: list[tuple[str, Any]] = [
    ("clientId", 433230297),
    ("id", 0),
    ("uuid", "07243772-008a-42e1-ba37-c3807cebde8f"),
    ("uuid", "any text"),
    ("customId", "zażółć gęślą"),
    ("customId", " with spaces "),
    ("email", "jan.kowalski@example.com"),
    ("email", '"jan kowalski"@[192.0.2.1]'),
    ("phone", "+48 111-222-333"),
    ("phone", "111222333"),
]
BAD: list[tuple[str, Any, str]] = [
    ("clientId", "433230297", "is not an integer: str"),
    ("clientId", True, "is not an integer: bool"),
    ("id", 1.0, "is not an integer: float"),
    ("uuid", uuid.uuid4(), "is not a text: UUID"),
    ("customId", 17, "is not a text: int"),
    ("customId", None, "is not a text: NoneType"),
    ("customId", "", "is blank"),
    ("customId", " \t", "is blank"),
    ("customId", "smile \U0001f600", "is not as documented: "),
    ("customId", "two\nlines", "holds the control character U+000A"),
    ("customId", "c-17\n", "holds the control character U+000A"),
    ("customId", "half \ud83d", "is not as documented: "),
    ("email", "jan.kowalski", "is not as documented: An e-mail address."),
    ("email", "jan@example.com\n", "holds the control character U+000A"),
    ("email", "jan..kowalski@example.com", "is not as documented: "),
    ("phone", "12345", "is not as documented: A phone number."),
    ("phone", "111222333\n", "holds the control character U+000A"),
    ("phone", "+48 111 222 333 444 555", "is not as documented: "),
]


@pytest.mark.parametrize(("field", "value"), GOOD)
def test_well_formed(field: str, value: Any) -> None:
    """The type and the patterns of the spec, no more."""
    assert problem(field, value) is None


@pytest.mark.parametrize(("field", "value", "words"), BAD)
def test_not_well_formed(field: str, value: Any, words: str) -> None:
    """The words name what is wrong, and never the value."""
    found = problem(field, value)
    assert found is not None
    assert found.startswith(words)
    if isinstance(value, str) and value.strip():
        assert value.strip() not in found


def test_a_refusal_names_what_nobody_sees() -> None:
    """A space of no width, or one that does not break, came along with an address: by its code point."""
    plain = problem("email", "jan")
    assert plain is not None
    assert problem("email", "jan\u00a0@example.com") == f"{plain}; it has U+00A0 (no-break space), which nobody sees"


@pytest.mark.parametrize("call", [lambda: problem("mail", "x"), lambda: canonical("mail", "x")])
def test_an_unknown_field(call: Any) -> None:
    """The names are the publisher's; another one is refused with the list of them."""
    with pytest.raises(
        InvalidRequestError, match="is no identifier; one of id, uuid, customId, email, clientId, phone"
    ):
        call()


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"email": "a@example.com", "uuid": "u", "clientId": 1}, ("clientId", 1)),
        ({"email": "a@example.com", "customId": "c"}, ("customId", "c")),
        ({"phone": "111222333", "email": "a@example.com"}, ("email", "a@example.com")),
        ({"phone": "111222333", "city": "Łódź"}, ("phone", "111222333")),
        ({"clientId": None, "uuid": "", "customId": "c"}, ("customId", "c")),
        ({"clientId": 0}, ("clientId", 0)),
        ({"city": "Łódź"}, None),
        (ProfileInput(phone="111222333", uuid="u"), ("uuid", "u")),
    ],
)
def test_which_one_is_taken(row: Any, expected: Any) -> None:
    """The first one by the server's order that holds something; a phone number only alone."""
    assert first_identifier(row) == expected


def test_which_one_is_taken_of_an_event() -> None:
    """An event's profile has other names, and no phone number."""
    assert first_identifier({"customId": "c", "id": 7, "phone": "111222333"}, CLIENT_IDENTIFIERS) == ("id", 7)
    assert first_identifier({"phone": "111222333"}, CLIENT_IDENTIFIERS) is None
    assert first_identifier(ClientIdentifier(email="a@example.com", uuid="u"), CLIENT_IDENTIFIERS) == ("uuid", "u")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("jan.kowalski@example.com", "j…m"), (433230297, "4…7"), ("short", "…"), ("", "…"), ("sixsix", "s…x")],
)
def test_masking(value: object, expected: str) -> None:
    """Two characters of a long one, none of a short one."""
    assert mask(value) == expected


def test_the_uuid_of_an_address() -> None:
    """Version 5 in the namespace that is named, of the address as it is."""
    namespace = uuid.UUID("12345678-1234-5678-1234-567812345678")
    found = email_uuid("jan@example.com", namespace)
    assert found == str(uuid.uuid5(namespace, "jan@example.com"))
    assert uuid.UUID(found).version == 5
    assert found != email_uuid("Jan@example.com", namespace)
    assert found != email_uuid("jan@example.com", uuid.NAMESPACE_DNS)


@pytest.mark.parametrize("address", ["", " ", "jan", None, 7])
def test_no_uuid_of_what_is_no_address(address: Any) -> None:
    """The uuid of nothing would be shared by everybody without an address."""
    with pytest.raises(InvalidRequestError) as raised:
        email_uuid(address, uuid.NAMESPACE_DNS)
    assert raised.value.field == "email"


def test_a_namespace_is_a_uuid() -> None:
    """A text is refused with what to do."""
    with pytest.raises(InvalidRequestError, match=r"wrap the text in uuid\.UUID"):
        email_uuid("jan@example.com", "6ba7b810-9dad-11d1-80b4-00c04fd430c8")  # type: ignore[arg-type]


# --- the change of July 2026

FIELDS = st.sampled_from(["uuid", "customId", "email", "phone"])
VALUES = st.text(max_size=8) | st.sampled_from(["a", " a", "a ", "á", "A", " á\t"])


@given(FIELDS, VALUES)
def test_canonical_is_idempotent(field: str, value: str) -> None:
    """What was trimmed once stays as it is."""
    once = canonical(field, value)
    assert canonical(field, once) == once
    assert once == once.strip()


@given(FIELDS, VALUES, VALUES, VALUES)
def test_same_is_an_equivalence(field: str, a: str, b: str, c: str) -> None:
    """Of identifiers that hold something: reflexive, symmetric, transitive."""
    assume(a.strip())
    assert same(field, a, a)
    assert same(field, a, b) is same(field, b, a)
    assert not (same(field, a, b) and same(field, b, c)) or same(field, a, c)


@given(FIELDS, VALUES, VALUES)
def test_only_the_ends_do_not_count(field: str, a: str, b: str) -> None:
    """Two are the same exactly if nothing but white space at their ends differs."""
    assert same(field, a, b) is (a.strip() == b.strip() != "")


@pytest.mark.parametrize(
    ("field", "a", "b", "expected"),
    [
        ("customId", "jose", "josé", False),
        ("customId", "Łukasz", "Lukasz", False),
        ("customId", "josé", unicodedata.normalize("NFD", "josé"), False),
        ("customId", "Jan", "jan", False),
        ("customId", "jan\u00a0", "\u2003jan", True),
        ("email", " jan@example.com", "jan@example.com", True),
        ("clientId", 17, "17", True),
        ("clientId", 17, 18, False),
        ("customId", "", "", False),
        ("customId", " ", "\t", False),
    ],
)
def test_same(field: str, a: object, b: object, *, expected: bool) -> None:
    """Accents and case count, white space at the ends does not, and nothing is not the same as nothing."""
    assert same(field, a, b) is expected


@pytest.mark.parametrize("value", [None, True, 1.5, ["a"], b"a"])
def test_what_is_no_identifier_is_not_compared(value: object) -> None:
    """Neither a text nor an integer: its text would be compared with that of something else."""
    with pytest.raises(InvalidRequestError, match="is neither a text nor an integer"):
        canonical("customId", value)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("jan.kowalski@example.com", "email"),
        ("07243772-008a-42e1-ba37-c3807cebde8f", "uuid"),
        ("+48 111 222 333", "phone"),
        ("customer-17", "customId"),
        ("+not a number", "customId"),
        ("1234", None),
        (" 1234 ", None),
    ],
)
def test_a_typed_identifier_is_guessed(text: str, kind: str | None) -> None:
    """By how it looks; digits alone may be three things, so they are none."""
    assert guess_identifier(text) == kind
