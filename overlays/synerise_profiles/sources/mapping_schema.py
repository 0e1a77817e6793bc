"""The JSON Schema of mapping files, which ships in the package for editors, and what a file has wrong by it.

`row-mapping.schema.json` is the one table of the options that a mapping file may have. Only the few keywords that it
uses are understood here; the problems are told in the words of TOML, with the near miss.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, Final, TypeAlias, cast

import orjson

from synerise_profiles_api.json_values import is_list, is_object

from .fields import close_names

__all__ = ["KeyPath", "Problem", "mapping_schema", "schema_problems"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""Where a value stands in a mapping file: keys, and positions in lists."""
Problem: TypeAlias = tuple[KeyPath, str]
_FOR_HINT: Final = ' above all tables, such as for = "profiles"'
_SCHEMA_FILE: Final = "row-mapping.schema.json"
_TYPE_TEXTS: Final = {
    "string": "a text",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "array": "a list",
    "object": "a table",
    "time": "a date or time",
}


def mapping_schema() -> dict[str, Any]:
    """Return the JSON Schema of mapping files, for editors that complete and check TOML by one."""
    found: dict[str, Any] = orjson.loads(_schema_text())
    return found


def schema_problems(value: object) -> Iterator[Problem]:
    """Yield what is wrong with the content of a mapping file, each problem with the place where it stands."""
    root = mapping_schema()
    yield from _problems(value, root, (), root["$defs"])


@cache
def _schema_text() -> bytes:
    return (resources.files("synerise_profiles.sources") / _SCHEMA_FILE).read_bytes()


def _problems(value: object, schema: Mapping[str, Any], path: KeyPath, shared: Mapping[str, Any]) -> Iterator[Problem]:
    branches = [branch for branch in _branches(schema, shared) if _fits(value, branch)]
    if not branches:
        yield path, _wrong_value(value, list(_branches(schema, shared)))
        return
    found = branches[0]
    if is_object(value):
        yield from _table_problems(value, found, path, shared)
    elif is_list(value) and "items" in found:
        for position, item in enumerate(value):
            yield from _problems(item, found["items"], (*path, position), shared)


def _table_problems(
    value: Mapping[str, Any], schema: Mapping[str, Any], path: KeyPath, shared: Mapping[str, Any]
) -> Iterator[Problem]:
    known: Mapping[str, Any] = schema.get("properties", {})
    others: object = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            yield from _problems(item, known[name], (*path, name), shared)
        elif others is False:
            close = close_names(name, known)
            hint = f"; did you mean {close}?" if close else f"; there are {', '.join(known)}"
            yield (*path, name), f"has no option {name!r}{hint}"
        elif is_object(others):
            yield from _problems(item, others, (*path, name), shared)
    required: Sequence[str] = schema.get("required", ())
    for name in required:
        if name not in value:
            yield path, f"needs {name} =" + (_FOR_HINT if name == "for" else "")


def _branches(schema: Mapping[str, Any], shared: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the schemas of which a value has to fit one."""
    reference: str | None = schema.get("$ref")
    if reference is not None:
        yield from _branches(shared[reference.rpartition("/")[2]], shared)
    elif "anyOf" in schema:
        for branch in schema["anyOf"]:
            yield from _branches(branch, shared)
    else:
        yield schema


def _fits(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether a value is what a schema is for, whatever is inside it."""
    if "enum" in schema:
        return any(value == known and type(value) is type(known) for known in schema["enum"])
    return "type" not in schema or _type_of(value) in (schema["type"], "integer" * (schema["type"] == "number"))


def _wrong_value(value: object, branches: Sequence[Mapping[str, Any]]) -> str:
    words = [str(word) for branch in branches for word in branch.get("enum", ()) if isinstance(word, str)]
    if isinstance(value, str) and words:
        close = close_names(value, words)
        return f"is {value!r}; did you mean {close}?" if close else f"is {value!r}, none of {', '.join(words)}"
    wanted = [f"one of {', '.join(words)}"] if words else []
    wanted += [_TYPE_TEXTS[cast("str", branch["type"])] for branch in branches if "type" in branch]
    return f"is {_TYPE_TEXTS[_type_of(value)]}; give {' or '.join(dict.fromkeys(wanted))}"


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, datetime.date | datetime.time):
        return "time"
    types: Mapping[type, str] = {str: "string", int: "integer", float: "number", list: "array"}
    return types.get(type(value), "object")
