"""Checks of field names in arguments: nulls allowed for fields, or salts of fields, that no row has; reserved names.

Names in rows are judged by the rules of objects.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import closest_name

from .schema import Schema, schema_of

__all__ = ["refuse_reserved_names", "refuse_unknown_nulls", "refuse_unknown_salts"]

_PLACE: Final = re.compile(r"\[\d+\]")
"""Of an item in a list."""


def refuse_reserved_names(params: Mapping[str, Any], field: str) -> None:
    """Refuse names that the server would ignore or overwrite."""
    for name in schema_of("EventParams").reserved_names.intersection(params):
        problem = "is reserved for the system: the server ignores it; choose another name"
        raise InvalidRequestError(problem, field=f"{field}.{name}")


def refuse_unknown_nulls(
    allow_null: Iterable[str], allow_unknown: Collection[str], schemas: Iterable[Schema | None]
) -> None:
    """Refuse a field that may be null, and that no row of these schemas has: a slip would reject each row it is for."""
    _refuse_unknown("allow_null", allow_null, allow_unknown, schemas)


def refuse_unknown_salts(
    salt: object, checks: str, allow_unknown: Collection[str], schemas: Iterable[Schema | None]
) -> None:
    """Refuse the name of a field that salts are made from, and that no row of these schemas has."""
    if isinstance(salt, list | tuple) and checks != "off":
        _refuse_unknown("salt", cast("Sequence[str]", salt), allow_unknown, schemas)


def _refuse_unknown(
    argument: str, names: Iterable[str], allow_unknown: Collection[str], schemas: Iterable[Schema | None]
) -> None:
    known = [schema for schema in schemas if schema is not None]
    for name in names:
        if name in allow_unknown:
            continue
        problems = [_unknown_problem(name, schema) for schema in known]
        if problems and None not in problems:
            problem = max(filter(None, problems), key=lambda text: "meant" in text)
            raise InvalidRequestError(f"{name!r} {problem}", field=argument)


def _unknown_problem(name: str, schema: Schema) -> str | None:
    path: list[str] = []
    parts = _PLACE.sub("", name).split(".")
    for place, part in enumerate(parts):
        schema = schema.items or schema
        if part not in schema.properties:
            if schema.allows_additional:
                return None
            meant = closest_name(part, schema.properties)
            if meant is not None:
                return f"is no documented field; {'.'.join([*path, meant, *parts[place + 1 :]])!r} is meant"
            return "is no documented field; name it in allow_unknown too, if the rows have it"
        path.append(part)
        schema = schema.properties[part]
    return None
