"""A row as JSON can carry it, whatever is wrong with it: what cannot be carried stands as text, with the reason.

Dead letters keep rows like this, so that each can be read and mended.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final, cast

import orjson

from synerise_profiles._validation.plain_rows import ORJSON_OPTIONS, orjson_default, raise_interrupt
from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.json_values import raise_if_of_a_signal

from .row_encoder import has_enums_of_their_own

__all__ = ["KEY_PROBLEMS", "ROW_NAME", "readable", "write_any"]

KEY_PROBLEMS: Final = ("its key is no text", "its key holds half a character")
ROW_NAME: Final = "the row"
"""What stands for the way to the row itself in a problem."""
_MAX_DEPTH: Final = 200
_MIN_INTEGER: Final = -(2**63)
_MAX_INTEGER: Final = 2**64 - 1


def write_any(value: Any, options: int = 0) -> bytes:
    """Write a value of whatever class, by options of orjson.

    Raises TypeError, ValueError, RecursionError or InvalidRequestError for what JSON cannot carry.
    """
    if has_enums_of_their_own():
        value = to_wire(value)
    return orjson.dumps(value, orjson_default, ORJSON_OPTIONS | options)


def readable(value: Any, path: str, problems: list[str], inside: tuple[int, ...]) -> Any:
    """Return what JSON can carry of a value; what stands as text is added to `problems`, with its path.

    `inside` are the ids of the objects around it.
    """
    try:
        return _readable(value, path, problems, inside)
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way, as it is looked into
        raise_if_of_a_signal(error)
        return _as_text(_text(value), path, problems, f"a value that raised {type(error).__name__} when it was read")


def _readable(value: Any, path: str, problems: list[str], inside: tuple[int, ...]) -> Any:
    fields = fields_of(value)
    if fields is not None or isinstance(value, list | tuple | AbstractSet):
        own_id = id(cast("object", value))
        if own_id in inside:
            return _as_text("(the value around it)", path, problems, "a value that holds itself")
        if len(inside) == _MAX_DEPTH:
            return _as_text(_text(value), path, problems, f"nested in {_MAX_DEPTH} values")
        inside = (*inside, own_id)
        if fields is not None:
            return _readable_fields(fields, path, problems, inside)
        given = items_of(cast("list[Any]", value))
        items = _ordered(given, path, problems) if isinstance(value, AbstractSet) else given
        return [readable(item, f"{path}[{place}]", problems, inside) for place, item in enumerate(items)]
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _readable_text(str.__str__(value), path, problems)
    if isinstance(value, int):
        value = int.__int__(value)  # of a subclass, such as IntEnum
        is_carried = _MIN_INTEGER <= value <= _MAX_INTEGER
        return value if is_carried else _as_text(_digits(value), path, problems, "a whole number beyond 64 bits")
    if isinstance(value, float):
        is_carried = math.isfinite(value)
        return float.__float__(value) if is_carried else _as_text(_text(value), path, problems, "no finite number")
    try:
        found: Any = orjson.loads(orjson.dumps(to_wire(value)))
    except (TypeError, ValueError) as error:
        raise_interrupt(error)
        return _as_text(_text(value), path, problems, f"no value of JSON ({type(value).__name__})")
    return found


def _ordered(values: list[Any], path: str, problems: list[str]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError as error:
        raise_if_of_a_signal(error)
        problems.append(_problem(path, "it is a set of values that have no order of their own"))
        return sorted(values, key=_text)


def _text(value: Any) -> str:
    try:
        return str.__str__(str(value))  # of a class of its own too
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way
        raise_if_of_a_signal(error)
        return type(value).__name__


def _readable_fields(fields: Mapping[Any, Any], path: str, problems: list[str], inside: tuple[int, ...]) -> Any:
    found: dict[str, Any] = {}
    for key, value in items_of(fields.items()):
        is_text = issubclass(type(key), str)
        text = str.__str__(key) if is_text else _text(key)
        name = text.encode("utf-8", "backslashreplace").decode()
        while name in found:
            name += "'"
        at = f"{path}.{name}" if path else name
        if not is_text:
            problems.append(_problem(at, KEY_PROBLEMS[0]))
        elif name != text:
            problems.append(_problem(at, KEY_PROBLEMS[1]))
        found[name] = readable(value, at, problems, inside)
    return found


def _as_text(text: str, path: str, problems: list[str], what: str) -> str:
    """Return what stands for a value, and note what the value was."""
    problems.append(_problem(path, f"it is {what}"))
    return _readable_text(text, path, problems)


def _readable_text(text: str, path: str, problems: list[str]) -> str:
    """Return a text whose halves of characters, which no file can hold, are escaped."""
    try:
        text.encode()
    except UnicodeEncodeError:
        problems.append(_problem(path, "it holds half a character"))
        return text.encode("utf-8", "backslashreplace").decode()
    return text


def _digits(value: int) -> str:
    """Return a whole number as text, in base 16 where Python refuses so many digits."""
    try:
        return str.__str__(str(value))  # of a class of its own too
    except ValueError as error:
        raise_if_of_a_signal(error)
        return hex(value)


def _problem(path: str, problem: str) -> str:
    return f"{path or ROW_NAME}: {problem}"
