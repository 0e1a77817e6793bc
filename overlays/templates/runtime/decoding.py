"""From an answer to Python values. Lenient: a field that is missing, null or of another type never raises."""

from __future__ import annotations

import datetime
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson

from .errors import ResponseDecodingError
from .json_values import is_list, is_object, objects_in, refusals_in
from .types import Operation, RawJson, RawResponse

__all__ = [
    "object_of",
    "object_or_none",
    "object_or_raw",
    "objects_of",
    "objects_or_none",
    "objects_or_raw",
    "read_json",
    "refusals_of",
    "require_no_refusals",
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


def read_json(content: bytes) -> Any:
    """Read JSON of a server; a byte order mark before it, as some gateways add, does no harm.

    Raises orjson.JSONDecodeError for what is no JSON.
    """
    return orjson.loads(content.removeprefix(BOM_UTF8))


def object_of(operation: Operation, response: RawResponse) -> dict[str, Any]:
    """Read a body that is one object."""
    data = _json(operation, response)
    if not is_object(data):
        raise _unexpected(operation, response, "expected a JSON object")
    return data


def object_or_none(operation: Operation, response: RawResponse) -> dict[str, Any] | None:
    """Read a body that is one object, or none at all."""
    return None if _is_absent(response) else object_of(operation, response)


def object_or_raw(response: RawResponse, read: Callable[[Mapping[str, Any]], T]) -> T | RawJson | None:
    """Read a body of which only an inference says that it is one object: no other body is an error.

    None where there is no body, or null; what is no object comes as it is.
    """
    data = _json_or_text(response)
    return read(data) if is_object(data) else data


def objects_of(operation: Operation, response: RawResponse) -> list[dict[str, Any]]:
    """Read a body that is a list of objects; a null among them is left out."""
    found = objects_in(_json(operation, response))
    if found is None:
        raise _unexpected(operation, response, "expected a JSON list of objects")
    return found


def objects_or_none(operation: Operation, response: RawResponse) -> list[dict[str, Any]] | None:
    """Read a body that is a list of objects, or none at all."""
    return None if _is_absent(response) else objects_of(operation, response)


def objects_or_raw(response: RawResponse, read: Callable[[Mapping[str, Any]], T]) -> list[T] | RawJson | None:
    """Read a body of which only an inference says that it is a list of objects: no other body is an error.

    None where there is no body, or null; what is no list of objects, such as an object around one, comes as it is.
    """
    data = _json_or_text(response)
    found = objects_in(data)
    return data if found is None else [read(item) for item in found]


def refusals_of(response: RawResponse) -> list[dict[str, Any]] | None:
    """Read which entries of a batch were refused: None where no answer says so, whatever else it says."""
    data = None if _is_absent(response) else _json_or_text(response)
    return refusals_in(response.status_code, data)


def require_no_refusals(operation: Operation, response: RawResponse) -> None:
    """Raise ResponseDecodingError where the answer to a batch lists refused entries, and the call returns nothing."""
    refused = refusals_of(response)
    if refused is not None:
        problem = f"{len(refused)} entries were refused by field and value, the others were applied"
        raise _unexpected(operation, response, problem)


def text_of(response: RawResponse) -> str:
    """Read a body that is text."""
    return response.content.removeprefix(BOM_UTF8).decode("utf-8", "replace")


def _is_absent(response: RawResponse) -> bool:
    return response.content.removeprefix(BOM_UTF8).strip() in (b"", b"null")


def _json_or_text(response: RawResponse) -> Any:
    if _is_absent(response):
        return None
    try:
        return read_json(response.content)
    except orjson.JSONDecodeError:
        return text_of(response)


def _json(operation: Operation, response: RawResponse) -> object:
    try:
        return read_json(response.content)
    except orjson.JSONDecodeError:
        raise _unexpected(operation, response, "the body is not JSON") from None


def _unexpected(operation: Operation, response: RawResponse, problem: str) -> ResponseDecodingError:
    if operation.http_method != "GET" and not operation.batch:
        problem += "; the request was carried out"
    return ResponseDecodingError(
        problem, operation=operation.name, status_code=response.status_code, content=response.content
    )


# Each take_* removes a field from `data` and returns it. What is missing or null is None; a value of another type than
# documented stays in `data`, which becomes the model's additional properties, so that nothing is lost. A null in a list
# is left out: it says nothing, and would hide the other items.


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
    if not is_list(value):
        return None
    items = [item for item in value if item is not None] if None in value else value
    if all(isinstance(item, kinds) for item in items):
        del data[key]
        return items
    return None


def take_model(data: dict[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> T | None:
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    if is_object(value):
        del data[key]
        return read(value)
    return None


def take_models(data: dict[str, Any], key: str, read: Callable[[Mapping[str, Any]], T]) -> list[T] | None:
    items = take_list(data, key, (dict,))
    return None if items is None else [read(item) for item in items]
