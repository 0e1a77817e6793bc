"""JSON that is read without losing anything: what orjson would change in silence is refused.

That is a whole number beyond 64 bits, of which it makes a float, a fraction with more digits than a float keeps or too
near to zero for one, and a key that comes twice: it keeps the last one. A float that is written with all its digits, or
with 17 of them as many programs do, is none. Such numbers are ids: of SIM cards, of receipts. They are rare, so a text
is first searched for so many digits in a row, by a sample of its bytes; only where there may be some, it is parsed a
second time, exactly. Of a key that comes twice a colon is lost, so the colons of the text are counted, and those of
what was found when it is written again. Where that is the text itself but for blanks, as it is for most programs that
write JSON, nothing was lost, and nothing is searched.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from math import isinf
from typing import Any, Final

import orjson

from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import HIDDEN_KEY, is_object, looks_like_a_name

__all__ = [
    "LargeNumberError",
    "LossyJsonError",
    "LostDigitsError",
    "RepeatedKeyError",
    "load_all_digits",
    "load_decimals",
    "load_exactly",
    "loses_digits",
    "unread_json",
]

_MIN_DIGITS: Final = 19
"""Whole numbers with fewer digits fit into 64 bits."""
_DIGITS_AS_ZEROS: Final = bytes(ord("0") if chr(code) in "0123456789" else ord(" ") for code in range(256))
_STRIDE: Final = 6
_SAMPLE: Final = b"0" * (_MIN_DIGITS // _STRIDE)
_ALL: Final = b"0" * _MIN_DIGITS
_MIN_LOSSY_CHARS: Final = 16
"""A float keeps fewer digits than these, and one of these characters may be the point."""
_MARKS_AS_ZEROS: Final = bytes(ord("0") if chr(code) in "0123456789." else ord(" ") for code in range(256))
_find_long_numbers: Final = re.compile(rb"[0-9.]{%d,}(?:[eE][-+]?[0-9]+)?" % _MIN_LOSSY_CHARS).findall
_has_small_exponent: Final = re.compile(rb"[0-9][eE]-0*[1-9][0-9]{2}").search
"""Of such numbers a float may keep few digits, or none: 1e-400 is zero to it."""
_MARK_STRIDE: Final = 5
_MANY_SAMPLE: Final = b"0" * (_MIN_LOSSY_CHARS // _MARK_STRIDE)

_BLANK: Final = b" "
_BACKSLASH: Final = ord("\\")
_TOO_DEEP: Final = "is nested too deep"
_PLACE: Final = re.compile(r"\[\d+\]")
_has_half: Final = re.compile(r"\\u[dD][89a-fA-F]").search


class LossyJsonError(ValueError):
    """A text of JSON holds what readers lose of it in silence."""


class RepeatedKeyError(LossyJsonError):
    """An object has a key twice, of which readers keep the last; `key` is its name."""

    def __init__(self, key: str) -> None:
        self.key = key
        shown = f"the key {key!r}" if looks_like_a_name(key) else HIDDEN_KEY
        super().__init__(f"has {shown} twice in one object, so that one value would be lost; leave one")


class LostDigitsError(LossyJsonError):
    """A text of JSON holds a number whose digits would be lost; `field` is the way to it, where one is known."""

    number = "a number with more digits than JSON's doubles keep"

    def __init__(self, field: str) -> None:
        self.field = field
        where = f" in {field}" if looks_like_a_name(_PLACE.sub("", field)) else ""
        super().__init__(f"has {self.number}{where}, which would lose digits; write it as text, in quotes")


class LargeNumberError(LostDigitsError):
    """That number is a whole one beyond 64 bits."""

    number = "a whole number beyond 64 bits"


def load_exactly(text: bytes, *, keeps_decimals: bool = False, holds_row: bool = False) -> Any:
    """Parse JSON; raise LossyJsonError for what would be lost of it, orjson.JSONDecodeError for what is none.

    With `keeps_decimals` a number with more digits than a float keeps is a Decimal. With `holds_row` what is sent is
    one value of the object, which may be nested as deeply as it could be by itself.
    """
    found: Any = orjson.loads(text)
    try:
        written = _write_parts(found) if holds_row and is_object(found) else orjson.dumps(found)
    except TypeError:  # it reads deeper than it writes, so it could not be sent either
        raise LossyJsonError(_TOO_DEEP) from None
    if written == text or written.translate(None, _BLANK) == text.translate(None, _BLANK):
        return found
    _check_keys(text, written)
    if (
        # Counting costs half of asking whether it is in there.
        text[::_STRIDE].translate(_DIGITS_AS_ZEROS).count(_SAMPLE)
        and text.translate(_DIGITS_AS_ZEROS).count(_ALL)
        and (field := _large_number(text)) is not None
    ):
        raise LargeNumberError(field)
    is_long = text[::_MARK_STRIDE].translate(_MARKS_AS_ZEROS).count(_MANY_SAMPLE)
    numbers = _find_long_numbers(text) if is_long else []
    is_tiny = (b"e-" in text or b"E-" in text) and _has_small_exponent(text) is not None
    if keeps_decimals and (numbers or is_tiny):
        return json.loads(text, parse_float=_float_or_decimal)
    if is_tiny or any(map(_loses_digits, numbers)):
        _check_fractions(text)
    return found


def _write_parts(fields: dict[str, Any]) -> bytes:
    parts = (b"%b:%b" % (orjson.dumps(name), orjson.dumps(value)) for name, value in fields.items())
    return b"{%b}" % b",".join(parts)


def load_all_digits(text: bytes) -> Any:
    """Parse JSON that has lost digits by `load_exactly`: such numbers are integers and decimals."""
    return json.loads(text, parse_float=_double_or_decimal)


def load_decimals(text: bytes) -> Any:
    """Parse JSON as `load_exactly` does, with decimals."""
    return load_exactly(text, keeps_decimals=True)


def _check_keys(text: bytes, written: bytes) -> None:
    """Raise RepeatedKeyError where an object of the text has a key twice; `written` is what was found of it, as JSON.

    Nothing makes up for a colon that was lost, but one that the text spells as an escape.
    """
    if written.count(b":") == text.count(b":") and not (_BACKSLASH in text and text.count(b"\\u003")):
        return
    json.loads(text, object_pairs_hook=_unique_keys, parse_int=_ignore, parse_float=_ignore)


def _unique_keys(pairs: list[tuple[str, Any]]) -> None:
    known = set[str]()
    for key, _ in pairs:
        if key in known:
            raise RepeatedKeyError(key)
        known.add(key)


def unread_json(text: str) -> str | None:
    """Say what JSON holds that its syntax allows and no reader here takes; None for a text that is no JSON."""
    is_infinite = is_large = False

    def look(number: str) -> float:
        nonlocal is_infinite
        is_infinite = is_infinite or isinf(float(number))
        return 0.0

    def look_whole(number: str) -> float:
        nonlocal is_large
        is_large = is_large or isinf(float(number))
        return 0.0

    try:
        json.loads(text, parse_float=look, parse_int=look_whole, parse_constant=_refuse_constant)
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return None
    if is_large:
        return str(LargeNumberError(""))
    if is_infinite:
        return "has a number that is too large for JSON's doubles"
    return "has half a character (a lone surrogate) in a text" if _has_half(text) else _TOO_DEEP


def _refuse_constant(name: str) -> float:
    raise ValueError(name)


def _float_or_decimal(text: str) -> float | Decimal:
    number = float(text)
    if repr(number) == text:  # as it is nearly always written
        return number
    try:
        exact = Decimal(text)
    except ArithmeticError:  # an exponent beyond what a Decimal has
        if number or re.match("-?[0.]*[1-9]", text) is None:
            return number
        raise LostDigitsError("") from None
    return number if Decimal(repr(number)) == exact else exact


def _double_or_decimal(text: str) -> float | Decimal:
    """Read a number as a float where it is one that is written with so many digits, and else as a decimal."""
    found = _float_or_decimal(text)
    if not isinstance(found, Decimal):
        return found
    number = float(text)
    return number if Decimal(f"{number:.{len(found.as_tuple().digits)}g}") == found else found


def _check_fractions(text: bytes) -> None:
    """Raise LostDigitsError for a number with a fraction or an exponent of which a float loses digits."""
    try:
        to_wire(json.loads(text, parse_int=_ignore, parse_float=_double_or_decimal))
    except InvalidRequestError as error:
        raise LostDigitsError(error.field) from None


def loses_digits(number: str) -> bool:
    """Whether a float is another number than the one that is written."""
    try:
        return isinstance(_double_or_decimal(number), Decimal)
    except LostDigitsError:
        return True


def _loses_digits(number: bytes) -> bool:
    """Whether what may be a number, or stand in a text, would lose digits; a whole one is looked at by itself."""
    try:
        return not number.isdigit() and loses_digits(number.decode())
    except ValueError:  # it is a part of a text
        return False


def _large_number(text: bytes) -> str | None:
    """Return the way to the first whole number beyond 64 bits, None if there is none."""
    try:
        to_wire(json.loads(text, parse_float=_ignore))
    except InvalidRequestError as error:
        return error.field
    except ValueError:  # more digits than Python reads
        return ""
    return None


def _ignore(_: str) -> float:
    """Take any number with a fraction or an exponent: it is a float in every reader."""
    return 0.0
