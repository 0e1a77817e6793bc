"""Why a row cannot be written: the field, and the reason. What bulk runs and queues ask once the quick way failed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import orjson

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.encoding import to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import (
    conversion_hint,
    is_list,
    is_object,
    raised_problem,
    shown_key,
    unwritten_problem,
)

__all__ = ["RefusedError", "as_wire", "dump", "reject_nulls"]


class RefusedError(Exception):
    """A row that cannot be sent: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(reason)


def as_wire(row: Any) -> Any:
    """Return a row as JSON writes it; raise RefusedError, with the field, where it does not."""
    try:
        is_row = type(row) is int or fields_of(row) is not None
    except Exception as error:  # noqa: BLE001 - what an object says of its class is code of the caller's
        raise RefusedError("", raised_problem(error).problem) from None
    if not is_row and (isinstance(row, bool) or not isinstance(row, int)):
        kind = f"{type(row).__name__}{conversion_hint(row)}"
        raise RefusedError("", f"is neither a model nor a mapping with the publisher's keys: {kind}")
    try:
        return to_wire(row)
    except InvalidRequestError as error:
        raise RefusedError("clientId" if isinstance(row, int) else error.field, error.problem) from None


def dump(wire: Any) -> bytes:
    """Write plain JSON; raise RefusedError, with the field, for what it cannot carry."""
    try:
        return orjson.dumps(wire)
    except TypeError as error:
        path, problem = unwritten_problem(wire, error)
        raise RefusedError(path.removeprefix("."), problem) from None


def reject_nulls(row: Any, allow_null: Collection[str]) -> bytes:
    """Refuse nulls that are not allowed by name, and NaN; return the bytes without fields that are UNSET."""
    wire = as_wire(row)
    for path, shown in _null_paths(wire, "", ""):
        if path not in allow_null:
            reason = "is null, which deletes the stored value; leave the field out, or allow it by allow_null"
            raise RefusedError(shown, reason)
    return dump(wire)


def _null_paths(value: Any, path: str, shown: str) -> Iterator[tuple[str, str]]:
    """Yield the path of each null of plain JSON, and the path as messages show it."""
    if value is None:
        yield path, shown
    elif is_list(value):
        for index, item in enumerate(value):
            yield from _null_paths(item, f"{path}[{index}]", f"{shown}[{index}]")
    elif is_object(value):
        for key, item in value.items():
            dot = "." if path else ""
            yield from _null_paths(item, f"{path}{dot}{key}", f"{shown}{dot}{shown_key(key)}")
