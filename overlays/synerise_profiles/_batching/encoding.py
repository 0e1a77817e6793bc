"""From a row to the bytes that are sent, once; what JSON cannot carry, and nulls, are refused with the field's name."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Collection, Iterator
from typing import Any, Final, cast

import orjson

from synerise_profiles._validation.rules import fields_of
from synerise_profiles_api.encoding import Model, to_wire
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import UNSET

__all__ = [
    "ORJSON_OPTIONS",
    "RefusedError",
    "append_fields",
    "contains_null",
    "encode_fallback",
    "orjson_default",
    "reject_nulls",
]

# Datetimes come to `default`, which knows the ones without a zone; dataclasses are refused there, as everywhere else.
ORJSON_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
contains_null: Final = re.compile(rb"null").search
"""Whether the bytes may hold what `guarded` has to look at: NaN is written as null, so one look finds either."""


class RefusedError(Exception):
    """A row that cannot be sent: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        self.field = field
        self.reason = reason
        super().__init__(reason)


def orjson_default(value: Any) -> Any:
    """Turn what orjson does not know into what it knows."""
    if isinstance(value, Model):
        return value._fields()  # pyright: ignore[reportPrivateUsage]  # the models' own protocol
    return to_wire(value)


def encode_fallback(row: Any) -> bytes:
    """Write a row that orjson refused, or raise with the name of the field that it refused."""
    if fields_of(row) is None and not isinstance(row, int):
        raise RefusedError("", f"is neither a model nor a mapping with the publisher's keys: {type(row).__name__}")
    try:
        return orjson.dumps(to_wire(row))
    except InvalidRequestError as error:
        raise RefusedError(error.field, error.problem) from None
    except TypeError as error:  # orjson's texts name types and encodings, never values
        raise RefusedError(_unencodable_path(row, "") or "", f"cannot be written as JSON: {error}") from None


def reject_nulls(row: Any, item: bytes, allow_null: Collection[str]) -> bytes:
    """Refuse nulls that are not allowed by name, and NaN; return the bytes without what is UNSET."""
    unset = False
    for path, value in _special_values(row, ""):
        if value is UNSET:
            unset = True
        elif value is not None:
            raise RefusedError(path, "is NaN or infinite, which JSON cannot carry; leave the field out")
        elif path not in allow_null:
            reason = "is null, which deletes the stored value; leave the field out, or allow it by allow_null"
            raise RefusedError(path, reason)
    return encode_fallback(row) if unset else item


def append_fields(item: bytes, fields: bytes) -> bytes:
    """Add fields to the bytes of an object, which is not written again for that."""
    return item[:-1] + (b"," if len(item) > 2 else b"") + fields + b"}"


def _special_values(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the way to each null, NaN, infinity and UNSET."""
    if value is None or value is UNSET:
        yield path, value
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield path, value
    elif isinstance(value, str | int | datetime.date):
        return
    elif isinstance(value, list | tuple):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from _special_values(item, f"{path}[{index}]")
    elif (fields := fields_of(value)) is not None:
        for key, item in fields.items():
            yield from _special_values(item, f"{path}.{key}" if path else str(key))


def _unencodable_path(value: Any, path: str) -> str | None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return path
        return None
    if isinstance(value, list | tuple):
        parts = [(f"{path}[{index}]", item) for index, item in enumerate(cast("list[Any]", value))]
    else:
        parts = [(f"{path}.{key}" if path else str(key), item) for key, item in (fields_of(value) or {}).items()]
    return next((found for at, item in parts if (found := _unencodable_path(item, at)) is not None), None)
