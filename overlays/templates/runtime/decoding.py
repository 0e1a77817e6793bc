"""From an answer to Python values. Lenient: a field that is missing, null or of another type never raises."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard, TypeVar

import orjson

from .errors import ResponseDecodingError
from .types import Operation, RawResponse

__all__ = [
    "object_of",
    "object_or_none",
    "objects_of",
    "objects_or_none",
    "take_any",
    "take_bool",
    "take_date",
    "take_datetime",
    "take_float",
    "take_int",
    "take_list",
    "take_model",
    "take_models",
    "take_one_of",
    "take_str",
    "text_of",
]


T = TypeVar("T")


def object_of(operation: Operation, response: RawResponse) -> dict[str, Any]:
    """Read a body that is one object."""
    data = _json(operation, response)
    if not _is_object(data):
        raise _unexpected(operation, response, "expected a JSON object")
    return data


def object_or_none(operation: Operation, response: RawResponse) -> dict[str, Any] | None:
    """Read a body that is one object, or none at all."""
    return object_of(operation, response) if response.content.strip() else None


def objects_of(operation: Operation, response: RawResponse) -> list[dict[str, Any]]:
    """Read a body that is a list of objects."""
    data = _json(operation, response)
    if not _is_list(data) or not all(_is_object(item) for item in data):
        raise _unexpected(operation, response, "expected a JSON list of objects")
    return data


def objects_or_none(operation: Operation, response: RawResponse) -> list[dict[str, Any]] | None:
    """Read a body that is a list of objects, or none at all."""
    return objects_of(operation, response) if response.content.strip() else None


def text_of(response: RawResponse) -> str:
    """Read a body that is text."""
    return response.content.decode("utf-8", "replace")


def _is_object(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _json(operation: Operation, response: RawResponse) -> object:
    try:
        return orjson.loads(response.content)
    except orjson.JSONDecodeError:
        raise _unexpected(operation, response, "the body is not JSON") from None


def _unexpected(operation: Operation, response: RawResponse, problem: str) -> ResponseDecodingError:
    return ResponseDecodingError(
        problem, operation=operation.name, status_code=response.status_code, content=response.content
    )


# Each take_* removes a field from `data` and returns it. What is missing or null is None; a value of another type than
# documented stays in `data`, which becomes the model's additional properties, so that nothing is lost.


def take_str(data: dict[str, Any], key: str) -> str | None:
    value = data.get(key)
    if value is None or isinstance(value, str):
        data.pop(key, None)
        return value
    return None


def take_bool(data: dict[str, Any], key: str) -> bool | None:
    value = data.get(key)
    if value is None or isinstance(value, bool):
        data.pop(key, None)
        return value
    return None


def take_int(data: dict[str, Any], key: str) -> int | None:
    value = data.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        data.pop(key, None)
        return value
    return None


def take_float(data: dict[str, Any], key: str) -> float | None:
    value = data.get(key)
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        data.pop(key, None)
        return value
    return None


def take_datetime(data: dict[str, Any], key: str) -> datetime.datetime | None:
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    if moment.tzinfo is None:  # no moment without a zone, and none that could be compared with one
        return None
    del data[key]
    return moment


def take_date(data: dict[str, Any], key: str) -> datetime.date | None:
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    try:
        day = datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    del data[key]
    return day


def take_any(data: dict[str, Any], key: str) -> Any:
    return data.pop(key, None)


def take_one_of(data: dict[str, Any], key: str, kinds: tuple[type[Any], ...]) -> Any:
    value = data.get(key)
    if value is None or isinstance(value, kinds):
        data.pop(key, None)
        return value
    return None


def take_list(data: dict[str, Any], key: str, kinds: tuple[type[Any], ...] = (object,)) -> list[Any] | None:
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    if _is_list(value) and all(isinstance(item, kinds) for item in value):
        del data[key]
        return value
    return None


def take_model(data: dict[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    if _is_object(value):
        del data[key]
        return read(value)
    return None


def take_models(data: dict[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> list[T] | None:
    items = take_list(data, key, (dict,))
    return None if items is None else [read(item) for item in items]
