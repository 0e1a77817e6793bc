"""What is sent in bodies: JSON, its limits and what it cannot carry."""

from __future__ import annotations

import datetime
import decimal
import itertools
import math
import re

import orjson
import pytest
from hypothesis import assume, example, given, reject
from hypothesis import strategies as st

from synerise_profiles_api.encoding import (
    body_content,
    copy_with,
    is_keyed,
    list_content,
    list_items,
    pop_model,
    pop_models,
    to_wire,
)
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET
from tests.runtime.samples import (
    BATCH,
    JSON,
    KEYED,
    OBJECTS,
    READ,
    Half,
    Loud,
    NewTextEnum,
    Number,
    Plain,
    TextEnum,
    Thing,
)

# --- JSON


@given(JSON)
def test_any_json_comes_back_from_the_wire(value):
    """What is JSON already is sent unchanged."""
    assert to_wire(value) == value
    assert orjson.loads(orjson.dumps(to_wire(value))) == value


@given(OBJECTS)
def test_a_body_is_its_own_json(body):
    """The bytes of a body are its mapping as compact UTF-8, and the mapping is handed back beside them."""
    content, wire = body_content(READ, body)

    assert orjson.loads(content) == wire == body
    assert content == orjson.dumps(body)


def test_polish_names_are_sent_as_utf8():
    """Text is not escaped: a name does not grow sixfold."""
    assert body_content(READ, {"name": "Żółć"})[0] == '{"name":"Żółć"}'.encode()


_STEPS = st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True) | st.integers(0, 3), max_size=5)


def _wrap(steps, value, plain):
    for step in reversed(steps):
        value = {"ok": plain, step: value} if isinstance(step, str) else [plain] * step + [value]
    return value


@given(
    _STEPS,
    st.sampled_from(
        [
            (math.nan, "NaN"),
            (-math.inf, "NaN or infinite"),
            (decimal.Decimal("Infinity"), "NaN or infinite"),
            (decimal.Decimal("sNaN"), "NaN or infinite"),
            (datetime.datetime(2024, 1, 1), "without a zone"),  # noqa: DTZ001  # it is what must be refused
            (b"raw", "is a bytes"),
            (bytearray(b"raw"), "is a bytearray"),
            (memoryview(b"raw"), "is a memoryview"),
            (object(), "is an object"),
            (1j, "is a complex"),
            (datetime.timedelta(1), "is a timedelta"),
        ]
    ),
)
def test_what_json_cannot_carry_is_refused_at_any_depth(steps, bad):
    """The error names the way to the value, however deep it stands, and not the value."""
    value, problem = bad
    way = "".join(f".{step}" if isinstance(step, str) else f"[{step}]" for step in steps)

    with pytest.raises(InvalidRequestError, match=problem) as caught:
        body_content(READ, {"top": _wrap(steps, value, 0)})

    assert (caught.value.operation, caught.value.field) == ("things.get", "body.top" + way)


def test_the_way_leads_through_models():
    """A model inside a mapping inside a list is named like any other step."""
    body = {"products": ({"price": Thing(name={"amount": math.inf})},)}

    with pytest.raises(InvalidRequestError) as caught:
        body_content(READ, body)

    assert caught.value.field == "body.products[0].price.name.amount"


def test_to_dict_names_the_field_from_the_model_on():
    """Without an operation the way starts at the model's own field."""
    with pytest.raises(InvalidRequestError) as caught:
        Thing(note=[1, math.nan]).to_dict()

    assert caught.value.field == "note[1]"


@pytest.mark.parametrize("key", [1, None, ("a",), b"a", Plain.RED])
def test_keys_are_text(key):
    """JSON would turn other keys into text silently; they are refused instead."""
    with pytest.raises(InvalidRequestError, match="keys are text"):
        body_content(READ, {"attributes": {key: 1}})


def test_enums_and_subclasses_are_sent_as_what_they_hold():
    """Subclasses of text and numbers lose their class, not their value, as keys too."""
    body = {
        "text": TextEnum.RED,
        "new": NewTextEnum.RED,
        "number": Number.ONE,
        "half": Half.HALF,
        "loud": Loud("quiet"),
        TextEnum.RED: 1,
        Loud("key"): 2,
    }

    content, wire = body_content(READ, body)

    expected = {"text": "red", "new": "red", "number": 1, "half": 0.5, "loud": "quiet", "red": 1, "key": 2}
    assert orjson.loads(content) == wire == expected
    assert {type(value) for value in wire.values()} == {str, int, float}


@pytest.mark.parametrize("items", [("a", "b"), ["a", "b"], range(2), frozenset({"a"}), {"b"}], ids=repr)
def test_sequences_and_sets_are_lists(items):
    """Tuples, ranges and sets are sent as lists."""
    assert to_wire({"items": items}) == {"items": list(items)}


@given(st.sets(st.text(max_size=3)) | st.frozensets(st.integers(-9, 9)) | st.sets(st.uuids(), max_size=4))
def test_sets_are_sorted(items):
    """The order of a set is its own in each process; what is sent is the same in all of them."""
    assert to_wire(items) == sorted(to_wire(list(items)))


@pytest.mark.parametrize("items", [{1, "a"}, {None, "a"}, {("a",), "a"}], ids=["number", "none", "tuple"])
def test_a_set_without_an_order_is_refused(items):
    """Values that cannot be sorted have no order that stays the same."""
    with pytest.raises(InvalidRequestError, match="no order of their own") as caught:
        body_content(READ, {"tags": items})

    assert caught.value.field == "body.tags"


@given(st.datetimes(timezones=st.timezones()))
def test_moments_keep_their_instant(moment):
    """A moment is written in ISO 8601 with its offset and reads back as the same instant."""
    assume(moment.utcoffset().total_seconds() % 60 == 0)

    assert datetime.datetime.fromisoformat(to_wire(moment)).timestamp() == moment.timestamp()


@given(st.dates())
def test_days_are_iso_dates(day):
    """A day is written as yyyy-mm-dd."""
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", to_wire(day))
    assert datetime.date.fromisoformat(to_wire(day)) == day


@given(st.decimals(allow_nan=False, allow_infinity=False))
@example(decimal.Decimal("0.1"))
@example(decimal.Decimal("19.90"))
@example(decimal.Decimal(2**53 + 1))
@example(decimal.Decimal("1E+400"))
@example(decimal.Decimal("1E-400"))
@example(decimal.Decimal("0.1000000000000000055511151231257827"))
def test_decimals_are_exact_or_refused(value):
    """A decimal arrives with exactly its digits, or it is not sent at all."""
    try:
        wire = to_wire(value)
    except InvalidRequestError:
        reject()
    assert decimal.Decimal(orjson.dumps(wire).decode()) == value


@given(st.integers(-(10**9), 10**9), st.integers(0, 4))
def test_prices_are_always_exact(units, places):
    """Amounts of up to thirteen digits are sent, not refused."""
    price = decimal.Decimal(units).scaleb(-places)

    assert decimal.Decimal(orjson.dumps(to_wire(price)).decode()) == price


def test_unset_is_never_sent():
    """UNSET in a model or mapping leaves the key out, at any depth."""
    body = Thing(note={"a": UNSET, "b": 1}, additional_properties={"c": UNSET, "d": [Thing()]})

    assert body.to_dict() == {"note": {"b": 1}, "d": [{}]}
    assert body_content(READ, body)[0] == b'{"d":[{}],"note":{"b":1}}'


def test_unset_in_a_list_is_refused():
    """Leaving an entry of a list out would move the others."""
    with pytest.raises(InvalidRequestError, match="UNSET") as caught:
        body_content(READ, {"tags": ["a", UNSET]})

    assert caught.value.field == "body.tags[1]"


def test_null_is_sent_only_where_it_was_written():
    """None is null, which deletes a value; what was not set is absent."""
    assert body_content(READ, Thing())[0] == b"{}"
    assert body_content(READ, Thing(note=None))[0] == b'{"note":null}'
    assert body_content(READ, Thing(note={"a": None}))[0] == b'{"note":{"a":null}}'


def test_a_body_that_contains_itself_is_refused():
    """A cycle ends in an error that says so, not in a crash."""
    body = {"a": []}
    body["a"].append(body)

    with pytest.raises(InvalidRequestError, match="contains itself"):
        body_content(READ, body)
    with pytest.raises(InvalidRequestError, match="contains itself"):
        Thing(note=body).to_dict()


@pytest.mark.parametrize("depth", [255, 5000])
def test_a_body_that_is_nested_too_deeply_is_refused(depth):
    """Depth that the JSON writer, or Python, does not bear is an error of the request."""
    body = {}
    for _ in range(depth):
        body = {"a": body}

    with pytest.raises(InvalidRequestError):
        body_content(READ, body)


@pytest.mark.parametrize(
    ("body", "field", "problem"),
    [
        ({"a": {"b": "\ud83d"}}, "body.a.b", "half of an emoji"),
        ({"a": ["x", "Jan \udc00"]}, "body.a[1]", "half of an emoji"),
        ({"a\ud800": 1}, "body.(a key that is not shown)", "half of an emoji"),
        ({"a": {"b": 2**64}}, "body.a.b", "beyond 64 bits"),
        ({"a": [-(2**63) - 1]}, "body.a[0]", "beyond 64 bits"),
    ],
)
def test_what_json_writers_refuse_is_named(body, field, problem):
    """Text that is no Unicode and integers beyond 64 bits are refused with their field."""
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        body_content(READ, body)

    assert (caught.value.operation, caught.value.field) == ("things.get", field)


@pytest.mark.parametrize("body", [None, "text", b"{}", 1, [], [{}], UNSET], ids=repr)
def test_a_body_is_a_model_or_a_mapping(body):
    """Anything else is refused before it is serialised."""
    with pytest.raises(InvalidRequestError, match="expected a model or a mapping") as caught:
        body_content(READ, body)

    assert caught.value.field == "body"


# --- lists


def test_a_list_body_takes_models_and_mappings_from_any_iterable():
    """A generator is read once; models and mappings may stand side by side."""
    content, wire = list_content(READ, list_items(READ, (item for item in (Thing(name="a"), {"name": "b"}))))

    assert orjson.loads(content) == wire == [{"name": "a"}, {"name": "b"}]


@pytest.mark.parametrize("body", [{"name": "a"}, Thing(), "text", b"[]", None, 1], ids=repr)
def test_a_list_body_is_a_sequence(body):
    """One object where a list is due is a mistake, not a list of one."""
    with pytest.raises(InvalidRequestError, match="expected a sequence"):
        list_items(BATCH, body)


def test_a_wrong_item_is_named():
    """The error says which item is neither model nor mapping."""
    with pytest.raises(InvalidRequestError, match="expected a model or a mapping") as caught:
        list_items(BATCH, [{}, "text"])

    assert caught.value.field == "body[1]"


def test_items_are_counted():
    """As many items as the operation allows are sent, one more is refused."""
    assert list_content(BATCH, [{}] * 3)[0] == b"[{},{},{}]"
    with pytest.raises(InvalidRequestError, match="holds more items than the 3 that one request may carry"):
        list_items(BATCH, ({} for _ in itertools.count()))
    with pytest.raises(InvalidRequestError, match="holds 4 items, one request may carry 3"):
        list_content(BATCH, [{}] * 4)


def test_bytes_are_counted_as_sent():
    """The limit counts UTF-8 bytes of the whole body, so that two-byte letters count twice."""
    envelope = len(b'[{"a":""}]')
    fitting = "ż" * ((100 - envelope) // 2)

    assert len(list_content(BATCH, [{"a": fitting}])[0]) == 100
    with pytest.raises(InvalidRequestError, match="is 102 bytes, one request may carry 100"):
        list_content(BATCH, [{"a": fitting + "ż"}])


def test_an_operation_without_limits_takes_any_length():
    """Where the spec states no limit, none is kept."""
    assert len(list_content(READ, [{}] * 2000)[1]) == 2000


# --- the rest


@pytest.mark.parametrize(
    ("wire", "keyed"),
    [
        ({"eventSalt": "a", "time": "2024-01-01T00:00:00Z"}, True),
        ({"eventSalt": "a"}, False),
        ({"eventSalt": "", "time": "2024-01-01T00:00:00Z"}, False),
        ({"eventSalt": None, "time": "2024-01-01T00:00:00Z"}, False),
        ([{"eventSalt": "a", "time": "b"}, {"eventSalt": "c", "time": "d"}], True),
        ([{"eventSalt": "a", "time": "b"}, {"eventSalt": "c"}], False),
        ([], True),
    ],
)
def test_is_keyed_needs_every_key_in_every_item(wire, keyed):
    """One item without its keys makes the whole request unsafe to repeat."""
    assert is_keyed(KEYED, wire) is keyed


def test_copy_with_names_all_keys_that_are_missing():
    """All that the model cannot do without is named in one error, with what is meant for it; a null is there."""
    data = {"name": None, "excludedId": [1]}

    assert copy_with(data, "Thing", "name") == data
    assert copy_with(data, "Thing") is not data
    with pytest.raises(InvalidRequestError) as caught:
        copy_with(data, "Thing", "name", "fields", "excludedIds")
    assert caught.value.field == "Thing.fields"
    assert str(caught.value) == "Thing.fields: is required; excludedIds is required; is 'excludedId' meant for it?"


@pytest.mark.parametrize("value", [None, UNSET, "text", 1, Thing()], ids=repr)
def test_pop_model_leaves_alone_what_is_no_mapping(value):
    """A model, a null or a mistake stays what it is; the check comes with the sending."""
    assert pop_model(value, lambda data: pytest.fail("read")) is value
    assert pop_models(value, lambda data: pytest.fail("read")) is value


def test_pop_model_reads_mappings():
    """Mappings become models, alone or in a list."""
    assert pop_model({"name": "a"}, lambda data: Thing(**data)) == Thing(name="a")
    assert pop_models([{"name": "a"}, None], lambda data: Thing(**data)) == [Thing(name="a"), None]
