"""JSON that is read without losing digits."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._readers.exact_json import (
    LargeNumberError,
    LossyJsonError,
    LostDigitsError,
    RepeatedKeyError,
    load_decimals,
    load_exactly,
    unread_json,
)

NUMBERS = st.integers(-(10**25), 10**25) | st.integers(-(2**63) - 3, -(2**63) + 3) | st.integers(2**64 - 3, 2**64 + 3)
LEAVES = NUMBERS | st.floats(allow_nan=False, allow_infinity=False) | st.text() | NUMBERS.map(str)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4) | NUMBERS.map(str), inner, max_size=3)
    ),
    max_leaves=6,
)


def is_large(value: object) -> bool:
    """Whether a value holds a whole number beyond 64 bits."""
    if isinstance(value, dict):
        return any(map(is_large, value.values()))
    if isinstance(value, list):
        return any(map(is_large, value))
    return isinstance(value, int) and not -(2**63) <= value < 2**64


@given(VALUES, st.text(max_size=7))
def test_digits_are_kept_or_the_text_is_refused(value: object, padding: str) -> None:
    """What is read is what was written, to the last digit; what cannot be is refused, wherever it stands."""
    text = json.dumps({padding: value}, ensure_ascii=True).encode()
    if is_large(value):
        with pytest.raises(LargeNumberError):
            load_exactly(text)
    else:
        assert load_exactly(text) == json.loads(text)


@pytest.mark.parametrize("load", [load_exactly, load_decimals])
@pytest.mark.parametrize(
    "text",
    [
        *(
            '{"a":1,"a":2}',
            '{"a": 1, "b": 2, "a": 1}',
            '{"x":{"a":1,"a":2}}',
            '[{"a":1,"a":2}]',
            '{"b":[{"a":1,"a":2}]}',
        ),
        *('{"a" :1,"a" :2}', '{"\\u0061":1,"a":2}', '{"x":"\\":","a":1,"a":2}', '{"a":1,"a":2,"n":1.5e3,"m":7}'),
        '{"a":1.12345678901234567890123,"a":2}',
        *('{"x" : {"a":1,"a":2}}', '{"a":1,"a":2,"b":"x\\u0022:y"}', '{"a":1,"a":2,"b" :3}', '{"a":1,"a":2,"b"\t:3}'),
        *('{"a":1,"a":{},"b":"x\\"\\u003ay"}', '{"a":1,"a":2,"b":"\\u003A"}', '{"b":[{"a":1,"a":2}], "c" :"\\":"}'),
    ],
)
def test_a_key_twice_in_an_object_is_refused(load: Any, text: str) -> None:
    """Readers keep the last value in silence; which one is meant is not known."""
    with pytest.raises(RepeatedKeyError, match="has the key 'a' twice in one object") as caught:
        load(text.encode())
    assert caught.value.key == "a"


@pytest.mark.parametrize("key", ["jan.kowalski@example.com", "48600100200", "+48 600 100 200", "c-90010112345"])
def test_a_key_that_may_be_somebodys_is_not_told(key: str) -> None:
    """Where objects are keyed by people, the key is personal data, and reasons of rejections stand in reports."""
    with pytest.raises(RepeatedKeyError, match="has a key that is not shown twice in one object") as caught:
        load_exactly(orjson.dumps({"x": {key: 1, "b": 2}}).replace(b'"b"', orjson.dumps(key)))
    assert key not in str(caught.value)
    with pytest.raises(LargeNumberError, match="has a whole number beyond 64 bits, which would lose digits") as large:
        load_exactly(b'{"x":{%b:89480000000000012345}}' % orjson.dumps(key))
    assert key not in str(large.value)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", ":", '"', "\\"]), st.text('":\\ a', max_size=4))), st.data())
def test_no_text_hides_a_key_that_comes_twice(pairs: list[tuple[str, str]], data: st.DataObject) -> None:
    """However its texts are spelled, an object is refused if it has a key twice, and only then."""
    spelled = [[_spelled(text, data) for text in pair] for pair in pairs]
    colon = data.draw(st.sampled_from([":", ": ", " :", "\t: "]))
    text = "{" + ",".join(colon.join(pair) for pair in spelled) + "}"
    if len(dict(pairs)) < len(pairs):
        with pytest.raises(RepeatedKeyError):
            load_exactly(text.encode())
    else:
        assert load_exactly(text.encode()) == dict(pairs)


def _spelled(text: str, data: st.DataObject) -> str:
    """A text as JSON, some of whose characters are escapes."""
    chars = (f"\\u{ord(char):04x}" if data.draw(st.booleans()) else json.dumps(char)[1:-1] for char in text)
    return f'"{"".join(chars)}"'


@pytest.mark.parametrize("load", [load_exactly, load_decimals])
@pytest.mark.parametrize(
    "text", ["[" * 300 + "]" * 300, '{"a":' * 300 + "1" + "}" * 300, "[" * 1000 + "{}" + "]" * 1000]
)
def test_what_is_nested_deeper_than_can_be_sent_is_refused(load: Any, text: str) -> None:
    """It is one bad line, and ends no run."""
    with pytest.raises(LossyJsonError, match="is nested too deep"):
        load(text.encode())


@pytest.mark.parametrize("load", [load_exactly, load_decimals])
@pytest.mark.parametrize(
    "text",
    [
        *('{"a":1,"b":{"a":1}}', '[{"a":1},{"a":2}]', '{"a" :1,"b"\\t:2}', '{"a":"\\":\\"","b":"x\\":"}', '{"a:":":"}'),
        *('{"\\":":1,"":2}', '{"a":"\\u0022:"}', '"\\":"', '{"a":{"b":{"c":[{"d":1},{"d":2}]}}}', '{"A":1,"a":2}'),
    ],
)
def test_other_keys_pass(load: Any, text: str) -> None:
    """However deep they stand, whatever texts look like names, and however blanks stand around colons."""
    text = text.replace("\\t", "\t")
    assert load(text.encode()) == json.loads(text)


def test_the_field_is_named() -> None:
    """The way to the number is told, and the number is not."""
    with pytest.raises(LargeNumberError, match=r"beyond 64 bits in attributes\.sims\[1\]") as caught:
        load_exactly(b'{"customId":"a","attributes":{"sims":["89480000000000012345", 89480000000000012345]}}')
    assert "8948" not in str(caught.value)


@pytest.mark.parametrize("text", [b"[" + b"1" * 5000 + b"]", b"[-" + b"9" * 5000 + b"]"])
def test_numbers_that_python_does_not_read_are_refused(text: bytes) -> None:
    """A number of thousands of digits is refused like any other."""
    with pytest.raises((LargeNumberError, orjson.JSONDecodeError)):
        load_exactly(text)


@pytest.mark.parametrize(
    "text",
    [
        *("1e300", "0.10000000000000001", "0.1000000000000000055511151231257827", "-1.0000000000000000555e-1"),
        *("1.5000000000000000000000", "9007199254740992.0e-3", '"1.12345678901234567890123"', '"1.2.3.4.5.6.7.8.9.0"'),
    ],
)
def test_floats_pass_however_many_digits_they_are_written_with(text: str) -> None:
    """A number with a fraction or an exponent is a float in every reader; a text is none."""
    assert load_exactly(f'[ {text}, "\\u0041"]'.encode()) == json.loads(f'[{text}, "A"]')


@pytest.mark.parametrize("text", ["1.12345678901234567890123", "12345678901234567890.0", "12345678901234567.89"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_fractions_that_lose_digits_are_refused(text: str, sign: str) -> None:
    """Like whole numbers beyond 64 bits: by their field, and without the number."""
    with pytest.raises(LostDigitsError, match=r"^has a number with more digits than .* keep in a\.b\[1\]") as caught:
        load_exactly(f'{{"a": {{"b": [0.5, {sign}{text}]}}}}'.encode())
    assert "12345" not in str(caught.value)
    assert load_decimals(f"[ {text}, 0.5]".encode()) == [Decimal(text), 0.5]


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(17, 40))
def test_a_float_with_any_number_of_its_digits_is_that_float(number: float, digits: int) -> None:
    """What another program has written of it is read."""
    assert load_exactly(f"[ {number:.{digits}e}]".encode()) == [number]


@pytest.mark.parametrize("number", ["1e-400", "-1.5E-0400", "4e-324", "0.01e-330"])
def test_what_is_too_near_to_zero_for_a_float_is_refused(number: str) -> None:
    """It would be zero, or another number."""
    with pytest.raises(LostDigitsError, match=r"keep in a\[0\]"):
        load_exactly(f'{{"a": [{number}, "x"]}}'.encode())
    assert load_decimals(f"[{number} ]".encode()) == [Decimal(number)]


@pytest.mark.parametrize("load", [load_exactly, load_decimals])
def test_an_exponent_beyond_decimals_is_refused(load: Any) -> None:
    """Every reader makes zero of a number whose exponent no Decimal has."""
    for number in (b"1.00000000000000000001e-99999999999999999999", b"1e-99999999999999999999"):
        with pytest.raises(LostDigitsError):
            load(b"[ %s]" % number)


@pytest.mark.parametrize(
    "text", ["0e-400", "-0.0e-99999999999999999999", "5e-324", "2.5e-300", '"blue-400"', '"1e-400"']
)
def test_zeros_and_small_floats_pass(text: str) -> None:
    """However they are written; and so does what stands in a text."""
    assert load_exactly(f"[{text} ]".encode()) == json.loads(f"[{text}]") == load_decimals(f"[{text} ]".encode())


@pytest.mark.parametrize("digits", [310, 401, 5000])
def test_a_whole_number_that_no_float_holds_is_named(digits: int) -> None:
    """However many digits it has, it is a whole number beyond 64 bits, and no text that is nested too deep."""
    assert "whole number beyond 64 bits" in (unread_json(f'{{"a": {"1" * digits}}}') or "")
    assert "too deep" in (unread_json("[" * 1500 + "]" * 1500) or "")
