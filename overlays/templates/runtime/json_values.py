"""What is written as JSON beside JSON's own types, words for what is not, and what a JSON value is."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import math
import re
import uuid
from collections.abc import Iterator
from itertools import chain
from types import FrameType
from typing import Any, Final, TypeGuard, cast

from .types import UNSET

__all__ = [
    "HIDDEN_KEY",
    "MAX_DEPTH",
    "MAX_INTEGER",
    "MIN_INTEGER",
    "NOT_FINITE",
    "NO_MOMENT",
    "NO_UNICODE",
    "TOO_DEEP",
    "TOO_LARGE",
    "InvalidValueError",
    "as_written",
    "conversion_hint",
    "is_list",
    "is_missing",
    "is_moment",
    "is_object",
    "is_of_a_signal",
    "key_problem",
    "looks_like_a_name",
    "objects_in",
    "plain",
    "raise_if_of_a_signal",
    "raised_problem",
    "refusals_in",
    "shown_key",
    "surrogate_path",
    "unwritable_problem",
    "unwritten_problem",
]

HIDDEN_KEY = "a key that is not shown"
_NAME = re.compile(r"(?!.*\d{5})[^\W\d][\w .:-]{0,79}")
MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
TOO_LARGE = "is a whole number beyond 64 bits, of which JSON readers lose digits; send it as text"
NOT_FINITE = "is NaN or infinite, which JSON cannot carry; leave the field out"
_HANDLER_NAMES: Final = 4
"""Where the arguments of a signal's handler stand among its names: it may be a method, or have `*args`."""
NO_MOMENT = "is no moment (NaT); leave the field out"
NO_UNICODE = "holds half of an emoji (a lone surrogate), which is no Unicode; mend the text where it was decoded"
TOO_DEEP = "is nested too deeply, or contains itself"
MAX_DEPTH = 254
"""Levels of objects and lists that orjson writes."""
_MAX_SHOWN_STEPS = 2
_CONVERSIONS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("model_dump", "model_fields"),
        "whose defaults would be sent as well",
        "call .model_dump(exclude_unset=True, by_alias=True)",
    ),
    (
        ("__fields__", "dict", "copy"),
        "whose defaults would be sent as well",
        "call .dict(exclude_unset=True, by_alias=True)",
    ),
    (
        ("__dataclass_fields__",),
        "whose None would become null, which deletes",
        "make a mapping: {f.name: x for f in dataclasses.fields(row) if (x := getattr(row, f.name)) is not None}",
    ),
    (
        ("part_of_order", "order_digest"),
        "which stands for a row that could not be read",
        "give it to a method of client.bulk, which reports it",
    ),
    (
        ("__attrs_attrs__",),
        "whose None would become null, which deletes",
        "call attrs.asdict(row, filter=lambda _, item: item is not None)",
    ),
    (
        ("__struct_fields__",),
        "whose defaults would be sent as well",
        "make a mapping of the fields that are set",
    ),
    (("tolist", "dtype", "__setitem__"), "an array", "call .tolist()"),
    (("_asdict",), "a named tuple", "call ._asdict()"),
)
"""By what a type is known that is no mapping, what it is, and the call that makes of it what can be sent."""


class InvalidValueError(Exception):
    """A value that JSON cannot carry, with the way to it from the inside out."""

    def __init__(self, problem: str, *steps: str) -> None:
        self.problem = problem
        self.steps = list(steps)
        super().__init__(problem)


def raised_problem(error: Exception) -> InvalidValueError:
    """Make the error of a value that raised one of its own when it was read; the value is not told.

    What is not the value's is raised again: what the handler of a signal raised meanwhile, and a lack of memory.
    """
    if isinstance(error, MemoryError):
        raise error
    raise_if_of_a_signal(error)
    return InvalidValueError(f"raised {type(error).__name__} when it was read; give a value of a type of Python's own")


def raise_if_of_a_signal(error: Exception) -> None:
    """Raise an error again that the handler of a signal raised, which runs in the midst of whatever is done."""
    if is_of_a_signal(error):
        raise error


def is_of_a_signal(error: BaseException) -> bool:
    """Whether the handler of a signal raised an error; Python alone gives it the frame in which that came."""
    before, step = None, error.__traceback__
    while step is not None:
        frame = step.tb_frame
        if before is not None and _is_of_handler(frame, before):
            return True
        before, step = frame, step.tb_next
    return False


def _is_of_handler(frame: FrameType, caller: FrameType) -> bool:
    given: list[Any] = [frame.f_locals.get(name) for name in frame.f_code.co_varnames[:_HANDLER_NAMES]]
    of_args: list[tuple[Any, ...]] = [item for item in given if type(item) is tuple]
    return any(item is caller for item in chain(given, *of_args))


def plain(value: Any) -> Any:
    """Return the text, number or truth value as which a value is written; the value itself where there is none.

    This is the one list of what is written as JSON beside JSON's own types, models, mappings, sequences and sets: the
    value of an enum member, a UUID or a UserString as text, a date or a datetime with a zone in ISO 8601, an exact
    Decimal, a scalar of numpy, and subclasses of text and numbers, of which no method of their own is asked. Raises
    InvalidValueError for one of these that JSON cannot carry, and for one that raises when it is read.
    """
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    if issubclass(kind, str):
        return str.__str__(value)  # the text itself: str() of an enum is its name
    if kind is bool:
        return value
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    try:
        return _plain_other(value, kind)
    except (InvalidValueError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way, and costs its row alone
        raise raised_problem(error) from None


def _plain_other(value: Any, kind: type[Any]) -> Any:
    if issubclass(kind, enum.Enum):
        return value.value
    if issubclass(kind, uuid.UUID | collections.UserString):
        return str(value)
    if issubclass(kind, datetime.datetime):
        if not is_moment(value):
            raise InvalidValueError(NO_MOMENT)
        if value.tzinfo is None or value.utcoffset() is None:
            raise InvalidValueError("is a datetime without a zone; attach one, such as datetime.timezone.utc")
        return _iso_text(value, datetime.datetime)
    if issubclass(kind, datetime.date):
        return _iso_text(value, datetime.date)
    if issubclass(kind, decimal.Decimal):
        return _plain_decimal(value)
    return _plain_scalar(value) if kind.__module__ == "numpy" else value


def _iso_text(value: Any, own: type[datetime.date]) -> str:
    """Write a date or a datetime; a class of its own may write more of it, such as nanoseconds, and nothing else."""
    text, kind = own.isoformat(value), cast("type[datetime.date]", type(value))
    if kind.isoformat is own.isoformat:
        return text
    given: object = value.isoformat()
    try:
        is_same = isinstance(given, str) and own.fromisoformat(given) == own.fromisoformat(text)
    except ValueError:
        is_same = False
    return str(given) if is_same else text


def as_written(value: Any) -> Any:
    """Return what is written for a value that is no text, number or container of Python's own, such as a UUID.

    Dates and decimals stay, which rules know; so does what JSON cannot carry: that is refused where it is written.
    """
    if issubclass(type(value), datetime.date | decimal.Decimal):
        return value
    try:
        written = plain(value)
    except InvalidValueError:
        return value
    return written if written is value else as_written(written)


def _plain_decimal(value: decimal.Decimal) -> int | float:
    if not value.is_finite():
        raise InvalidValueError(NOT_FINITE)
    # Neither depends on the precision of the caller's context.
    if value == value.to_integral_value() and value.copy_abs() < 2**53:
        return int(value)
    number = float(value)
    if not math.isfinite(number):
        raise InvalidValueError("is beyond what a JSON number holds; send it as text")
    if decimal.Decimal(repr(number)) != value:
        raise InvalidValueError("has more digits than a JSON number keeps; round it first")
    return number


def _plain_scalar(value: Any) -> Any:
    """Return the value of a scalar of numpy, which is not imported for that.

    A float has its own shortest digits; a whole one stays what it is, since it may be an identifier.
    """
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if getattr(value, "shape", None) != () or kind not in {"b", "i", "u", "f"}:
        return value
    if kind != "f":
        return value.item()
    if value.itemsize > 8:
        return _plain_decimal(decimal.Decimal(str(value)))
    number = float(value)
    return number if number.is_integer() else float(str(value))


def conversion_hint(value: object) -> str:
    """Return the call that makes a mapping of an object, after a semicolon; empty where none is known."""
    kind = type(value)
    return next((f"; {call}" for marks, _, call in _CONVERSIONS if all(hasattr(kind, mark) for mark in marks)), "")


def unwritable_problem(value: object) -> str:
    """Say that a value is of no type that is written as JSON, and what makes it one."""
    kind = type(value)
    name = f"{'an' if kind.__name__[0] in 'aeiouAEIOU' else 'a'} {kind.__name__}"
    for marks, noun, call in _CONVERSIONS:
        if all(hasattr(kind, mark) for mark in marks):
            return f"is {name}, {noun}; {call}"
    if issubclass(kind, Iterator):
        return f"is {name}, which can be read only once; give a list"
    return f"is {name}, which JSON cannot carry; convert it to text or a number"


def key_problem(key: object) -> str:
    """Say that a key of a mapping is no text."""
    return f"has a key of type {type(key).__name__}; keys are text"


def looks_like_a_name(key: str) -> bool:
    """Whether a key of somebody's data may be told: where objects are keyed by people it is an address or a number."""
    return _NAME.fullmatch(key) is not None


def shown_key(key: str) -> str:
    """Return a key as a step of the way to a value, for messages."""
    return key if looks_like_a_name(key) else f"({HIDDEN_KEY})"


def surrogate_path(value: Any) -> str | None:
    """Find a text of plain JSON that UTF-8 cannot carry, half of an emoji; return the way to it, None without one."""
    if isinstance(value, str):
        return "" if any("\ud800" <= char <= "\udfff" for char in value) else None
    if is_object(value):
        for key, item in value.items():
            found = "" if surrogate_path(key) is not None else surrogate_path(item)
            if found is not None:
                return f".{shown_key(key)}{found}"
    elif is_list(value):
        for index, item in enumerate(value):
            if (found := surrogate_path(item)) is not None:
                return f"[{index}]{found}"
    return None


def unwritten_problem(wire: Any, error: TypeError) -> tuple[str, str]:
    """Say why orjson does not write plain JSON: the way to what is wrong, after a dot, and the problem."""
    if (path := surrogate_path(wire)) is not None:
        return path, NO_UNICODE
    if any(_is_deep(item, MAX_DEPTH) for item in (wire if is_list(wire) else [wire])):
        return _deep_path(wire), TOO_DEEP
    return "", f"cannot be written as JSON: {error}"  # orjson's texts name types and encodings, never values


def _deep_path(value: Any) -> str:
    """Return the way to what is nested too deeply in plain JSON, as far as it leads to a field of a row."""
    path, levels = "", MAX_DEPTH
    if is_list(value):  # of rows
        place = next(place for place, row in enumerate(value) if _is_deep(row, levels))
        path, value = f"[{place}]", value[place]
    for _ in range(_MAX_SHOWN_STEPS):
        levels -= 1
        items: Any = value.items() if is_object(value) else enumerate(value) if is_list(value) else ()
        key, inner = next(((key, item) for key, item in items if _is_deep(item, levels)), (None, None))
        if key is None:
            break
        path, value = f"{path}[{key}]" if is_list(value) else f"{path}.{shown_key(key)}", inner
    return path


def _is_deep(value: Any, levels: int) -> bool:
    """Whether dictionaries, lists and tuples are nested in more levels than these; each is looked into once a level."""
    layer: list[Any] = [value]
    for _ in range(levels + 1):
        inner: dict[int, Any] = {}
        for item in layer:
            if isinstance(item, dict):
                inner.update((id(part), part) for part in dict[Any, Any].values(item))  # pyright: ignore[reportUnknownArgumentType]
            elif type(item) is list or type(item) is tuple:
                inner.update((id(part), part) for part in item)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        layer = list(inner.values())
        if not layer:
            return False
    return True


def is_moment(value: datetime.datetime) -> bool:
    """Whether a datetime is one: the NaT of pandas is of that type, and raises at whatever is asked of it."""
    return value == value  # noqa: PLR0124


def is_missing(value: object) -> bool:
    """Whether a field has no value: it is UNSET, null or an empty text."""
    return value is UNSET or value is None or (isinstance(value, str) and not str.__len__(value))


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a JSON object."""
    return isinstance(value, dict)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a JSON array."""
    return isinstance(value, list)


def objects_in(data: object) -> list[dict[str, Any]] | None:
    """Return the objects of a list; None for what is no list, or holds other values than objects and nulls."""
    if not is_list(data):
        return None
    items = [item for item in data if item is not None]
    return items if all(is_object(item) for item in items) else None


def refusals_in(status: int, data: object) -> list[dict[str, Any]] | None:
    """Return the entries of a body that says which parts of a batch were refused; None for any other body.

    They have a field, a message or the refused value each. Where the status is not that of a batch that was taken in
    part (207), such a list is known by both a field and a message, or by the refused value. A null among them says
    nothing.
    """
    items = objects_in(data)
    is_expected = status == 207
    return items if items and all(_is_refusal(item, is_expected=is_expected) for item in items) else None


def _is_refusal(item: dict[str, Any], *, is_expected: bool) -> bool:
    if item.get("rejectedValue") is not None:
        return True
    has_field, has_message = item.get("field") is not None, item.get("message") is not None
    return (has_field or has_message or bool(item.get("error"))) if is_expected else (has_field and has_message)
