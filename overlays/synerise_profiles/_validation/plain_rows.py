"""Rows as plain values, of which all else is asked: no class of the caller's comes into a check, a key or a salt.

A row may hold values of any class, and each of their methods may raise, or say what is not so: `__bool__`, `__hash__`,
`__eq__`, `__len__`. So they are read once, where they are made JSON, and each failure is that of its field. Nearly all
rows hold Python's own types alone, which orjson tells as it writes them, at no cost.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import zoneinfo
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar, cast

import attrs
import orjson

from synerise_profiles_api.bounded import TOO_MANY, items_of, pairs_of
from synerise_profiles_api.encoding import Model, to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import (
    TOO_DEEP,
    InvalidValueError,
    key_problem,
    raise_if_of_a_signal,
    raised_problem,
    shown_key,
)
from synerise_profiles_api.types import UNSET

__all__ = [
    "EXACT_OPTIONS",
    "ORJSON_OPTIONS",
    "ForeignValueError",
    "asked_plainly",
    "exact_default",
    "holds_enum",
    "orjson_default",
    "plain_copy",
    "plain_row",
    "raise_interrupt",
    "raise_unless_of_enums",
    "read_items_once",
    "read_once",
]

T = TypeVar("T")
# Datetimes go to `orjson_default`, which refuses those without a zone; so do dataclasses, which are refused there.
ORJSON_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
EXACT_OPTIONS: Final = ORJSON_OPTIONS | orjson.OPT_PASSTHROUGH_SUBCLASS
"""Those that go with `exact_default`."""
_LEAVES: Final = frozenset((str, int, float, bool, type(None), decimal.Decimal, datetime.date))
_MAX_ITEMS: Final = 100_000
_ZONES: Final = (datetime.timezone, zoneinfo.ZoneInfo)


def exact_default(value: Any) -> Any:
    """Turn a value into one that orjson knows, if no code of the caller's is asked for that; else raise TypeError."""
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    if kind in _LEAVES or (kind is datetime.datetime and type(value.tzinfo) in _ZONES):
        return to_wire(value)
    if issubclass(kind, Model):
        return value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    raise ForeignValueError


class ForeignValueError(TypeError):
    """A value that is not written here, but by another way."""


def raise_interrupt(error: Exception) -> None:
    """Raise what came from outside while orjson asked a function, such as Ctrl-C, and which it hides behind its own.

    So is what the handler of a signal raised, of whatever kind it is. An Exception as a cause without a traceback is
    orjson's own: older ones hide what Python says of a number that is too large, or of half an emoji. Python 3.11
    gives a cause no traceback; Ctrl-C is known even so, as is whatever else is no Exception.
    """
    raise_if_of_a_signal(error)
    cause = error.__cause__
    if cause is None or (cause.__traceback__ is None and isinstance(cause, Exception)):
        return
    if not isinstance(cause, ForeignValueError | InvalidRequestError | RecursionError):
        raise cause


def orjson_default(value: Any) -> Any:
    """Turn a value that orjson does not know into one that it does; a set is sorted, and so the same in any process."""
    try:
        if isinstance(value, Model):
            return value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
        # What stands in a mapping is written as it is in a dict, also where nulls and NaN are not looked for.
        if isinstance(value, Mapping):
            return dict[Any, Any](items_of(value.items()))  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]  # its keys are looked at by orjson
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
        raised_problem(error)
        raise ForeignValueError from None
    return to_wire(value)


def plain_row(row: Any) -> Any:
    """Return a row itself if it holds Python's own types alone, else a copy that does; its models stay models.

    Raises InvalidRequestError, naming the field, for what JSON cannot carry.
    """
    if holds_enum(row):
        return plain_copy(row)
    try:
        orjson.dumps(row, exact_default, EXACT_OPTIONS)
    except TypeError as error:
        raise_interrupt(error)
        return plain_copy(row)
    return row


def read_once(value: Any, field: str) -> Any:
    """Return a value of the caller's as `plain_row` does, for what asks it more than once; UNSET stays.

    Raises InvalidRequestError, naming the field, for what JSON cannot carry, or raises when it is read.
    """
    if value is UNSET:
        return value
    try:
        return plain_row(value)
    except RecursionError:
        raise _too_deep(value, field) from None
    except InvalidRequestError as error:
        raise _below(field, error) from None


def _too_deep(value: Any, field: str) -> InvalidRequestError:
    """Return the error of a value that is nested too deeply, with the way to where a row would have it."""
    try:
        to_wire({"value": value})
    except InvalidRequestError as error:
        field += error.field.removeprefix("value")
    return InvalidRequestError(TOO_DEEP, field=field)


def read_items_once(items: Iterable[Any], field: str) -> Iterator[Any]:
    """Yield the items of what can be iterated over, each read once; raise InvalidRequestError as `read_once` does.

    So it does for more than a request can carry, since there may be no end to them.
    """
    iterator, place = iter(items), 0
    while True:
        if place > _MAX_ITEMS:
            raise InvalidRequestError(TOO_MANY.format(_MAX_ITEMS), field=field)
        try:
            item = next(iterator)
        except StopIteration:
            return
        except InvalidRequestError:
            raise
        except Exception as error:  # noqa: BLE001 - what the caller iterates over may fail in any way
            raise InvalidRequestError(raised_problem(error).problem, field=f"{field}[{place}]") from None
        yield read_once(item, f"{field}[{place}]")
        place += 1


def asked_plainly(ask: Callable[[Any], T], row: Any) -> T:
    """Ask something of a row; where that raises, ask it of a plain copy, in which no member of an enum is left."""
    try:
        return ask(row)
    except Exception as error:  # noqa: BLE001 - a method of an enum may raise anything
        raise_unless_of_enums(error, (row,))
        return ask(plain_copy(row))


def raise_unless_of_enums(error: Exception, rows: Iterable[Any]) -> None:
    """Raise an error again that is none of a method of an enum, of which rows of Python's own types may hold members.

    orjson writes these by itself, so that it does not tell them. Their classes may have methods of their own, such as
    `__hash__`, and nearly all have none.
    """
    if not any(map(holds_enum, rows)):
        raise error
    raised_problem(error)


def holds_enum(value: Any) -> bool:
    """Whether a value of Python's own types, or a model, is a member of an enum or holds one."""
    if issubclass(type(value), Model):
        value = value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    if type(value) is dict:
        fields = cast("dict[object, Any]", value)
        is_key = set(map(type, fields)) != {str} and any(map(holds_enum, fields))
        return is_key or any(map(holds_enum, fields.values()))
    if type(value) is list or type(value) is tuple:
        return any(map(holds_enum, cast("list[Any]", value)))
    return issubclass(type(value), enum.Enum)


def plain_copy(value: Any) -> Any:
    """Copy a row so that it holds nothing but Python's own types and models of such; dates and decimals stay.

    Raises InvalidRequestError for what JSON cannot carry.
    """
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    if kind in _LEAVES or (kind is datetime.datetime and type(value.tzinfo) in _ZONES):
        return value
    if kind is list or kind is tuple:
        return _plain_items(value)
    try:
        if kind is dict or issubclass(kind, dict):
            return _plain_mapping(dict[Any, Any].items(value))
        if issubclass(kind, Model):
            return _plain_model(value)
        if issubclass(kind, Mapping):
            return _plain_mapping(pairs_of(cast("Mapping[Any, Any]", value)))
    except (InvalidRequestError, RecursionError):
        raise
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem) from None
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way, and costs its row alone
        raise InvalidRequestError(raised_problem(error).problem) from None
    written = to_wire(value)
    return _plain_date(written, kind) if issubclass(kind, datetime.date) else written


def _plain_mapping(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, item in pairs:
        if item is UNSET:
            continue
        if not issubclass(type(key), str):
            raise InvalidRequestError(key_problem(key))
        name = str.__str__(key)
        try:
            found[name] = item if type(item) in _LEAVES else plain_copy(item)
        except InvalidRequestError as error:
            raise _below(shown_key(name), error) from None
    return found


def _plain_items(items: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for item in items:
        try:
            found.append(item if type(item) in _LEAVES else plain_copy(item))
        except InvalidRequestError as error:
            raise _below(f"[{len(found)}]", error) from None
    return found


def _below(step: str, error: InvalidRequestError) -> InvalidRequestError:
    """Return the error of a value with the step that leads to it."""
    dot = "." if error.field and not error.field.startswith("[") else ""
    return InvalidRequestError(error.problem, field=f"{step}{dot}{error.field}")


def _plain_date(text: Any, kind: type[Any]) -> Any:
    """Return a date of a class of the caller's as one of Python's own; as it is written where that keeps not all."""
    own = datetime.datetime if issubclass(kind, datetime.datetime) else datetime.date
    try:
        found = own.fromisoformat(text)
    except (TypeError, ValueError) as error:
        raise_if_of_a_signal(error)
        return text
    return found if found.isoformat() == text else text


def _plain_model(model: Any) -> Any:
    kind: type[Any] = type(model)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    found: Any = object.__new__(kind)
    for field in attrs.fields(kind):
        value = getattr(model, field.name)
        object.__setattr__(found, field.name, value if value is UNSET else plain_copy(value))
    return found
