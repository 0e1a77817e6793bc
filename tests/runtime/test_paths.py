"""What is sent in URLs: path segments and query strings."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import re
import uuid
from urllib.parse import parse_qsl, unquote

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from synerise_profiles_api.encoding import query_string
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.paths import path_integer, path_list, path_text
from synerise_profiles_api.types import UNSET
from tests.runtime.samples import (
    READ,
    TEXTS,
    NewTextEnum,
    Number,
    TextEnum,
)


class UuidEnum(enum.Enum):
    SEVEN = uuid.UUID(int=7)
    RED = "red"


class NumberEnum(enum.Enum):
    BIG = 2**70


SECRET = "jan.kowalski@example.com"


# --- path


@given(TEXTS)
@example("..%2F")
@example("%2e%2e")
@example("a?b#c;d=e&f")
@example("zażółć gęślą 🦊")
@example("…")
def test_path_text_is_one_segment_and_comes_back(value):
    """A text that is accepted is one segment without separators, and decodes to itself."""
    try:
        segment = path_text(READ, "name", value)
    except InvalidRequestError:
        return

    assert unquote(segment, errors="strict") == value
    assert re.fullmatch(r"[A-Za-z0-9%._~-]+", segment)
    assert segment not in {".", ".."}


@given(st.from_regex(r"[A-Za-z0-9ąę@+. -]*[A-Za-z0-9ąę@+-][A-Za-z0-9ąę@+. -]*", fullmatch=True))
def test_path_text_accepts_ordinary_identifiers(value):
    """Ids, mail addresses and names with spaces are sent, not refused."""
    assert unquote(path_text(READ, "name", value)) == value


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("", "is empty"),
        (" ", "is blank"),
        ("\t \u3000", "is blank"),
        ("\u200b", "is blank, so that it names nothing; it has U\\+200B"),
        ("\ufeff\u00ad ", "is blank"),
        (".", "relative path segment"),
        ("..", "relative path segment"),
        ("a\\b", "backslash"),
        ("..\\..", "backslash"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("a\x7f", "control character"),
        ("\ud83e", "surrogate"),
        ("a\udc80b", "surrogate"),
        (None, "expected text, got NoneType"),
        (1, "expected text, got int"),
        (b"a", "expected text, got bytes"),
        (UNSET, "expected text, got Unset"),
        (datetime.date(2026, 1, 1), "expected text, got date"),
        (decimal.Decimal(1), "expected text, got Decimal"),
        (NumberEnum.BIG, "expected text, got NumberEnum"),
    ],
)
def test_path_text_refuses(value, problem):
    """What could be read as another path, or cannot be written in one, is refused with operation and argument named."""
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        path_text(READ, "thing_name", value)

    assert (caught.value.operation, caught.value.field) == ("things.get", "thing_name")


@pytest.mark.parametrize("value", ["+48 22/123-45-67", "22/7", "/22", "a//b", "jan/kowalski@example.com"])
def test_path_text_encodes_a_slash(value):
    """An identifier may hold a slash; it is sent encoded, within one segment."""
    segment = path_text(READ, "phone", value)

    assert "/" not in segment
    assert unquote(segment) == value


@pytest.mark.parametrize("value", ["../1", "1/..", "1/./2", "/..", "a\\b", ""])
def test_path_text_with_slashes_still_refuses_to_climb(value):
    """A slash is no way to another path: relative parts and backslashes stay refused."""
    with pytest.raises(InvalidRequestError):
        path_text(READ, "phone", value)


@pytest.mark.parametrize("value", ["a/b", "/", "22/7"])
def test_path_text_refuses_a_slash_where_nothing_can_be_undone(value):
    """A deletion or a merge that a server read as another path could hit another profile."""
    with pytest.raises(InvalidRequestError, match="holds a slash"):
        path_text(attrs.evolve(READ, irreversible=True), "custom_id", value)


def test_path_text_sends_the_value_of_an_enum():
    """An enum that is a text is sent by its value, not by its name."""
    assert path_text(READ, "kind", TextEnum.RED) == path_text(READ, "kind", NewTextEnum.RED) == "red"


def test_path_text_takes_what_a_body_takes_for_a_text():
    """A UUID is written as text, and a member of an enum as its value, in a path as in a body."""
    found = uuid.UUID(int=7)
    assert path_text(READ, "uuid", found) == path_text(READ, "uuid", UuidEnum.SEVEN) == str(found)
    assert path_text(READ, "kind", UuidEnum.RED) == "red"
    assert path_list(READ, "ids", [found, UuidEnum.RED], integers=False) == f"{found},red"


def test_path_list_knows_the_target_in_any_form():
    """A profile is not merged into itself, however its id is given; white space at the ends tells none apart."""
    seven = str(uuid.UUID(int=7))
    for source, target in ((uuid.UUID(int=7), seven), (seven, UuidEnum.SEVEN), ("a ", "a"), ("a", "\ta")):
        with pytest.raises(InvalidRequestError, match="cannot be merged into itself"):
            path_list(READ, "ids", [source], integers=False, target=target)


@pytest.mark.parametrize(
    "value", [2**64, -(2**63) - 1, 10**400, pytest.param(10**5000, id="5000 digits"), NumberEnum.BIG]
)
def test_whole_numbers_beyond_64_bits_are_refused(value):
    """Where a body refuses them a path and a query do so too, with the field."""
    for write in (
        lambda: path_integer(READ, "thing_id", value),
        lambda: path_list(READ, "thing_id", [1, value], integers=True),
        lambda: query_string(READ, [("thing_id", value)]),
    ):
        with pytest.raises(InvalidRequestError, match="beyond 64 bits") as caught:
            write()
        assert caught.value.field.startswith("thing_id")


@pytest.mark.parametrize("value", [decimal.Decimal("1e400"), decimal.Decimal("-1e400"), decimal.Decimal("1" * 400)])
def test_decimals_that_no_number_keeps_are_refused_by_a_query(value):
    """In the words of a body, whatever the precision of the caller's context."""
    with decimal.localcontext() as context:
        context.prec, context.Emax = 3, 100
        with pytest.raises(InvalidRequestError, match=r"is beyond what a JSON number holds|has more digits"):
            query_string(READ, [("limit", value)])


def test_path_text_hides_the_value():
    """An identifier is personal data: the error does not repeat it."""
    with pytest.raises(InvalidRequestError) as caught:
        path_text(READ, "email", SECRET + "\\x")

    assert SECRET not in str(caught.value)


@given(st.integers(-(2**63), 2**63 - 1))
def test_path_integer_comes_back(value):
    """An integer is written in decimal digits."""
    assert int(path_integer(READ, "thing_id", value)) == value


def test_path_integer_sends_the_value_of_an_enum():
    """An enum that is an integer is sent by its value, not by its name."""
    assert path_integer(READ, "thing_id", Number.ONE) == "1"


@pytest.mark.parametrize("value", ["1", 1.0, True, None, UNSET, decimal.Decimal(1)])
def test_path_integer_refuses_other_types(value):
    """Nothing is turned into an integer silently, least of all a truth value."""
    with pytest.raises(InvalidRequestError, match="expected an integer") as caught:
        path_integer(READ, "thing_id", value)

    assert caught.value.field == "thing_id"


@given(st.lists(TEXTS, min_size=1, max_size=5))
@example(["a b", "c&d"])
def test_path_list_separates_encoded_ids_by_commas(values):
    """Each id is encoded by itself, so that splitting at the commas gives the ids back."""
    try:
        joined = path_list(READ, "ids", values, integers=False)
    except InvalidRequestError:
        return

    assert [unquote(part) for part in joined.split(",")] == values
    assert "/" not in joined


def test_path_list_takes_any_sequence_of_integers():
    """Tuples, sets and generators are sequences of ids; the commas stay literal."""
    assert path_list(READ, "ids", (1, 2), integers=True) == "1,2"
    assert path_list(READ, "ids", (value for value in (3, 4)), integers=True) == "3,4"
    assert path_list(READ, "ids", {5}, integers=True) == "5"


@pytest.mark.parametrize(
    ("values", "integers", "problem", "field"),
    [
        (["a", "b,c"], False, "comma", "ids[1]"),
        (["a", ""], False, "empty", "ids[1]"),
        ([1, "2"], True, "expected an integer", "ids[1]"),
        ([], True, "no id", "ids"),
        ("12", True, "expected a sequence of ids, got str", "ids"),
        (12, True, "expected a sequence of ids, got int", "ids"),
        ([1, 2, 3, 4], True, "holds 4 ids, at most 3", "ids"),
    ],
)
def test_path_list_refuses(values, integers, problem, field):
    """A list that would address other profiles than meant is refused, the entry named."""
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        path_list(READ, "ids", values, integers=integers, most=3)

    assert caught.value.field == field


def test_nothing_is_merged_into_itself():
    """An id of a list that is the target too is refused, by its place."""
    with pytest.raises(InvalidRequestError, match="cannot be merged into itself") as caught:
        path_list(READ, "sources", ["a", "b"], integers=False, target="b")

    assert caught.value.field == "sources[1]"
    assert path_list(READ, "sources", ["a", "b"], integers=False, target="c") == "a,b"


# --- query


@given(
    st.dictionaries(st.sampled_from(["time[from]", "limit", "q", "a b", "ż"]), TEXTS | st.integers(-(2**63), 2**64 - 1))
)
def test_query_string_comes_back(values):
    """Names and values of any text decode to themselves."""
    query = query_string(READ, tuple(values.items()))

    assert dict(parse_qsl(query, keep_blank_values=True)) == {key: str(value) for key, value in values.items()}
    assert re.fullmatch(r"[A-Za-z0-9%._~=&-]*", query)


def test_query_string_leaves_out_what_is_not_given():
    """UNSET and None are no parameters; zero, false and an empty text are."""
    pairs = (("a", UNSET), ("b", None), ("c", 0), ("d", False), ("e", ""))

    assert query_string(READ, pairs) == "c=0&d=false&e="


def test_query_string_writes_values_as_json_would():
    """Truth values are lower case, moments ISO 8601 with their offset, enums their value."""
    moment = datetime.datetime(2024, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
    pairs = (("flag", True), ("time[from]", moment), ("day", moment.date()), ("kind", TextEnum.RED))

    assert query_string(READ, pairs) == (
        "flag=true&time%5Bfrom%5D=2024-01-02T03%3A04%3A05%2B00%3A00&day=2024-01-02&kind=red"
    )


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (math.nan, "NaN"),
        (datetime.datetime(2024, 1, 1), "without a zone"),  # noqa: DTZ001  # it is what must be refused
        (["a"], "cannot be written in a query: list"),
        ({"a": 1}, "cannot be written in a query: dict"),
        (b"a", "bytes"),
        ("\ud800", "Unicode"),
    ],
)
def test_query_string_refuses(value, problem):
    """What has no one reading in a query is refused, the parameter named."""
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        query_string(READ, (("time[from]", value),))

    assert (caught.value.operation, caught.value.field) == ("things.get", "time[from]")
