"""From Python values to what is sent: query strings and JSON bodies. Refuses what would be misread."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence, Sized
from itertools import islice
from typing import Any, TypeGuard, TypeVar, cast
from urllib.parse import quote

import orjson

from .bounded import items_of, pairs_of
from .errors import InvalidRequestError
from .json_values import (
    MAX_INTEGER,
    MIN_INTEGER,
    NO_UNICODE,
    NOT_FINITE,
    TOO_DEEP,
    TOO_LARGE,
    InvalidValueError,
    conversion_hint,
    is_list,
    key_problem,
    plain,
    raised_problem,
    shown_key,
    unwritable_problem,
    unwritten_problem,
)
from .names import missing_problem
from .reading import ReadableModel
from .types import UNSET, Operation

__all__ = [
    "FreeFormModel",
    "Model",
    "body_content",
    "copy_with",
    "is_keyed",
    "list_content",
    "list_items",
    "pop_model",
    "pop_models",
    "query_string",
    "to_wire",
]

T = TypeVar("T")
_BINARY = (bytes, bytearray, memoryview)


class Model(ReadableModel):
    """Base of the request and response models: what is set, by the publisher's keys, and how it is written."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return what is set as plain JSON types with the publisher's keys.

        Raises InvalidRequestError, naming the field, for a value that JSON cannot carry.
        """
        return cast(dict[str, Any], to_wire(self))

    def _body_for(self, operation: Operation) -> object:
        """Return what the body of one operation is made of; the model itself, unless it is made for another."""
        del operation
        return self


class FreeFormModel(Model, MutableMapping[str, Any]):
    """Base of the models whose keys are the caller's own: a mapping in full, equal to a dict of the same.

    An empty one is false, as a mapping is.
    """

    __slots__ = ()

    def __bool__(self) -> bool:
        return len(self) > 0


def query_string(operation: Operation, pairs: Sequence[tuple[str, object]]) -> str:
    """Encode the query; what is `UNSET` or `None` is left out."""
    parts: list[str] = []
    for name, value in pairs:
        if value is UNSET or value is None:
            continue
        try:
            parts.append(f"{quote(name, safe='')}={quote(_query_text(value), safe='')}")
        except InvalidValueError as error:
            raise InvalidRequestError(error.problem, operation=operation.name, field=name) from None
        except UnicodeEncodeError:
            raise InvalidRequestError(NO_UNICODE, operation=operation.name, field=name) from None
        except RecursionError:
            raise InvalidRequestError(TOO_DEEP, operation=operation.name, field=name) from None
    return "&".join(parts)


def _query_text(value: object) -> str:
    wire = _wire(value)
    if isinstance(wire, bool):
        return "true" if wire else "false"
    if isinstance(wire, str | int | float):
        return str(wire)
    raise InvalidValueError(f"cannot be written in a query: {type(value).__name__}")


def body_content(operation: Operation, body: object) -> tuple[bytes, Any]:
    """Serialise a body that is one object; return its bytes and the mapping that they were made from."""
    _require_object(operation, "body", body)
    if isinstance(body, Model):
        body = body._body_for(operation)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # our own protocol
    return _content(operation, body)


def list_items(operation: Operation, body: object) -> list[Any]:
    """Read a body that is a list of objects from any iterable of them, once; refuse what is none."""
    limits = operation.batch
    kind = type(body).__name__
    if isinstance(body, str | bytes | Mapping | Model) or not _is_iterable(body):
        problem = f"expected a sequence of models or mappings, got {kind}"
        raise InvalidRequestError(problem, operation=operation.name, field="body")
    if isinstance(body, Sized) or limits is None:
        try:
            items = items_of(body)
        except InvalidValueError as error:
            raise InvalidRequestError(error.problem, operation=operation.name, field="body") from None
    else:  # a generator may have no end
        items = list(islice(body, limits.max_items + 1))
        if len(items) > limits.max_items:
            problem = f"holds more items than the {limits.max_items} that one request may carry; split it"
            raise InvalidRequestError(problem, operation=operation.name, field="body")
    for index, item in enumerate(items):
        _require_object(operation, f"body[{index}]", item)
    return items


def list_content(operation: Operation, items: list[Any]) -> tuple[bytes, Any]:
    """Serialise a body that is a list of objects; refuse none, and more items or bytes than the operation allows."""
    if not items:
        raise InvalidRequestError("holds no item; there is nothing to send", operation=operation.name, field="body")
    limits = operation.batch
    if limits is not None and len(items) > limits.max_items:
        problem = f"holds {len(items)} items, one request may carry {limits.max_items}; split it"
        raise InvalidRequestError(problem, operation=operation.name, field="body")
    content, wire = _content(operation, items)
    if limits is not None and len(content) > limits.max_bytes:
        problem = f"is {len(content)} bytes, one request may carry {limits.max_bytes}; split it"
        raise InvalidRequestError(problem, operation=operation.name, field="body")
    return content, wire


def copy_with(data: Mapping[str, Any], model: str, *required: str) -> dict[str, Any]:
    """Copy the fields of a request model; raise InvalidRequestError for all that it cannot do without and lacks."""
    missing = [key for key in required if data.get(key, UNSET) is UNSET]
    if missing:
        others = [f"{key} {missing_problem(key, data)}" for key in missing[1:]]
        problem = "; ".join([missing_problem(missing[0], data), *others])
        raise InvalidRequestError(problem, field=f"{model}.{missing[0]}")
    return dict(data)


def pop_model(value: Any, read: Callable[[Mapping[str, Any]], T]) -> Any:
    """Turn a mapping into its model; anything else stays as it is."""
    return read(value) if _is_mapping(value) else value


def pop_models(value: Any, read: Callable[[Mapping[str, Any]], T]) -> Any:
    """Turn each mapping of a list into its model; anything else stays as it is."""
    return [pop_model(item, read) for item in value] if is_list(value) else value


def is_keyed(operation: Operation, wire: Any) -> bool:
    """Whether every item carries the keys that make a second sending overwrite the first."""
    items = wire if is_list(wire) else [wire]
    return all(item.get(key) for item in items for key in operation.retry_keys)


def to_wire(value: object) -> Any:
    """Turn a value into plain JSON types; raise InvalidRequestError, naming the field, for what JSON cannot carry."""
    try:
        return _wire(value)
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem, field=_way(error).removeprefix(".")) from None
    except RecursionError:
        raise InvalidRequestError(TOO_DEEP) from None


def _require_object(operation: Operation, field: str, value: object) -> None:
    try:
        is_object = isinstance(value, Model | Mapping)
    except Exception as error:  # noqa: BLE001 - what an object says of its class is code of the caller's
        problem = raised_problem(error).problem
        raise InvalidRequestError(problem, operation=operation.name, field=field) from None
    if not is_object:
        hint = conversion_hint(value)
        problem = f"expected a model or a mapping with the publisher's keys, got {type(value).__name__}{hint}"
        raise InvalidRequestError(problem, operation=operation.name, field=field)


def _is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(value, Iterable)


def _is_mapping(value: object) -> TypeGuard[Mapping[Any, Any]]:
    return isinstance(value, Mapping)


def _is_sequence(value: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(value, Sequence) and not isinstance(value, _BINARY)


def _content(operation: Operation, body: object) -> tuple[bytes, Any]:
    wire: Any = None
    try:
        wire = _wire(body)
        if not is_list(wire):
            return orjson.dumps(wire), wire
        # Each by itself, so that a row may be nested as deeply as in a request of its own.
        return b"[" + b",".join(map(orjson.dumps, wire)) + b"]", wire
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem, operation=operation.name, field="body" + _way(error)) from None
    except RecursionError:
        raise InvalidRequestError(TOO_DEEP, operation=operation.name, field="body") from None
    except TypeError as error:
        path, problem = unwritten_problem(wire, error)
        raise InvalidRequestError(problem, operation=operation.name, field=f"body{path}") from None


def _way(error: InvalidValueError) -> str:
    """Return the way to a value; to what is nested too deeply, as far as it leads to a field of a row."""
    steps = error.steps[::-1]
    return "".join(steps if error.problem != TOO_DEEP else steps[: 2 + steps[0].startswith("[")])


def _wire(value: Any) -> Any:
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    if kind is str or kind is bool or value is None:
        return value
    if kind is int:
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise InvalidValueError(TOO_LARGE)
        return value
    if kind is dict:
        return _wire_mapping(value)
    if kind is list or kind is tuple:
        return _wire_items(value)
    if kind is float:
        if not math.isfinite(value):
            raise InvalidValueError(NOT_FINITE)
        return value
    return _wire_other(value)


def _wire_mapping(value: Mapping[Any, Any]) -> dict[str, Any]:
    return _wire_pairs(value.items())


def _wire_pairs(pairs: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in pairs:
        if item is UNSET:
            continue
        if type(key) is not str and not issubclass(type(key), str):
            raise InvalidValueError(key_problem(key))
        name = str.__str__(key)
        try:
            result[name] = _wire(item)
        except InvalidValueError as error:
            error.steps.append(f".{shown_key(name)}")
            raise
        except RecursionError:
            raise InvalidValueError(TOO_DEEP, f".{shown_key(name)}") from None
    return result


def _wire_items(values: Iterable[Any]) -> list[Any]:
    result: list[Any] = []
    for index, item in enumerate(values):
        try:
            result.append(_wire(item))
        except InvalidValueError as error:
            error.steps.append(f"[{index}]")
            raise
        except RecursionError:
            raise InvalidValueError(TOO_DEEP, f"[{index}]") from None
    return result


def _wire_other(value: Any) -> Any:
    if value is UNSET:
        raise InvalidValueError("is UNSET, which has no place in a list; leave the item out")
    kind: type[Any] = type(value)  # pyright: ignore[reportUnknownVariableType]  # of whatever class it is
    try:
        return _wire_foreign(value, kind)
    except (InvalidValueError, RecursionError):
        raise
    except Exception as error:  # noqa: BLE001 - a value of the caller's may fail in any way, and costs its row alone
        raise raised_problem(error) from None


def _wire_foreign(value: Any, kind: type[Any]) -> Any:
    """Write a value of a class that may be the caller's; what is one of Python's own types is asked no method of it."""
    if issubclass(kind, Model):
        return _wire_mapping(value._fields())  # pyright: ignore[reportPrivateUsage]  # one module, one protocol
    written = plain(value)
    if written is not value:
        return _wire(written)
    if issubclass(kind, dict):
        return _wire_mapping(dict[Any, Any].copy(value))
    if issubclass(kind, list):
        return _wire_items(list[Any].copy(value))
    if issubclass(kind, Mapping) or _is_mapping(value):
        return _wire_pairs(pairs_of(value))
    if isinstance(value, set | frozenset):
        return _wire_set(cast("Iterable[Any]", value))
    if _is_sequence(value):
        return _wire_items(items_of(value))
    raise InvalidValueError(unwritable_problem(value))


def _wire_set(values: Iterable[Any]) -> list[Any]:
    """Sort a set: its own order differs from process to process."""
    items = [_wire(item) for item in values]
    try:
        return sorted(items)
    except TypeError:
        problem = "is a set of values that have no order of their own; give a list, whose order stays the same"
        raise InvalidValueError(problem) from None
