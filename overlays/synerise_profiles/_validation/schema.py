"""The schemas of the API document that ships in the package, merged into what a rule needs, and their patterns.

`$ref` and `allOf` are resolved once, so that rules need to know nothing of JSON Schema's composition.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import attrs
import orjson

from synerise_profiles._core.openapi import openapi_document
from synerise_profiles_api.json_values import is_object
from synerise_profiles_api.types import Operation

__all__ = [
    "Schema",
    "ValueChoice",
    "allows_printable_ascii",
    "body_schema",
    "compile_pattern",
    "is_printable_ascii",
    "schema_of",
]

Json = dict[str, Any]


@attrs.frozen
class ValueChoice:
    """A field that is required where another one, `field`, has none of some values; `excluded` are not among them."""

    required: str
    field: str
    values: tuple[str, ...]
    excluded: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False)
class Schema:
    """A schema with everything that it refers to merged in. Null is not among its types: it is checked elsewhere."""

    name: str
    description: str
    types: frozenset[str]
    patterns: tuple[str, ...]
    date_format: str | None
    is_past: bool
    enum: tuple[Any, ...]
    min_length: int
    max_length: int | None
    minimum: float | None
    maximum: float | None
    exclusive_minimum: float | None
    required: tuple[str, ...]
    required_choices: tuple[str, ...]
    value_choice: ValueChoice | None
    properties: Mapping[str, Schema]
    items: Schema | None
    name_patterns: tuple[str, ...]
    reserved_names: frozenset[str]
    allows_additional: bool
    additional: Schema | None
    identifiers: tuple[str, ...]


@cache
def schema_of(name: str) -> Schema:
    """Return a named schema of the document, such as `Product`."""
    try:
        return _merge_schema({"$ref": f"#/components/schemas/{name}"})
    finally:
        openapi_document.cache_clear()  # it is large, and the schemas that are needed are cached


@cache
def body_schema(operation: Operation) -> Schema:
    """Return the schema of an operation's body, or of one item where the body is a list."""
    try:
        node = openapi_document()["paths"][operation.path][operation.http_method.lower()]["requestBody"]
        if "$ref" in node:
            node = _resolve(node["$ref"])
        schema: Json = node["content"]["application/json"]["schema"]
        return _merge_schema(schema.get("items", schema))
    finally:
        openapi_document.cache_clear()


def _resolve(pointer: str) -> Json:
    node: Any = openapi_document()
    for part in pointer[2:].split("/"):
        node = node[part.replace("~1", "/").replace("~0", "~")]
    found: Json = node
    return found


def _merge_schema(node: Json) -> Schema:
    parts = list(_flatten(node))
    types = [set(_as_list(part["type"])) - {"null"} for part in parts if "type" in part]
    properties: dict[str, Schema] = {}
    for part in parts:
        for name, inner in part.get("properties", {}).items():
            properties[name] = _merge_schema(inner)
    items = _first_value(parts, "items")
    additional: Any = _first_value(parts, "additionalProperties")
    names = [part["propertyNames"] for part in parts if "propertyNames" in part]
    return Schema(
        name=next((part["$ref"].rpartition("/")[2] for part in parts if "$ref" in part), ""),
        description=_description(parts),
        types=frozenset(set[str].intersection(*types) if types else ()),
        patterns=tuple(part["pattern"] for part in parts if "pattern" in part),
        date_format=next((part["format"] for part in parts if part.get("format") in ("date", "date-time")), None),
        is_past=any(part.get("x-past") for part in parts),
        enum=tuple(_first_value(parts, "enum") or ()),
        min_length=_first_value(parts, "minLength") or 0,
        max_length=_first_value(parts, "maxLength"),
        minimum=_first_value(parts, "minimum"),
        maximum=_first_value(parts, "maximum"),
        exclusive_minimum=_first_value(parts, "exclusiveMinimum"),
        required=tuple(name for part in parts for name in part.get("required", ())),
        required_choices=_required_choices(parts),
        value_choice=next(filter(None, map(_value_choice, parts)), None),
        properties=properties,
        items=None if items is None else _merge_schema(items),
        name_patterns=tuple(pattern for inner in names for part in _flatten(inner) for pattern in _patterns_in(part)),
        reserved_names=frozenset(name for part in parts for name in part.get("x-reserved-names", ())),
        allows_additional=additional is not None,
        additional=_merge_schema(additional) if is_object(additional) else None,
        identifiers=tuple(_first_value(parts, "x-identifiers") or ()),
    )


def _flatten(node: Json) -> list[Json]:
    """Return the schema and all that it refers to or is composed of; of `oneOf` with null, the other choice."""
    found = [node]
    if "$ref" in node:
        found += _flatten(_resolve(node["$ref"]))
    for inner in node.get("allOf", ()):
        found += _flatten(inner)
    choices = [inner for inner in node.get("oneOf", ()) if inner.get("type") != "null"]
    if len(choices) == 1:
        found += _flatten(choices[0])
    return found


def _description(parts: list[Json]) -> str:
    """Return the description of the part that has the pattern or the enum, rather than of the field that uses it."""
    with_rule = [part for part in parts if part.keys() & {"pattern", "enum", "format", "minimum", "exclusiveMinimum"}]
    return next((part["description"] for part in (*with_rule, *parts) if "description" in part), "")


def _required_choices(parts: list[Json]) -> tuple[str, ...]:
    """Return the fields of which at least one is required, as a doubly negated `anyOf` or as the identifiers say."""
    found: list[str] = []
    for part in parts:
        choices = _choices(part)
        # A choice that lists values asks for more than names.
        if not any("enum" in field for choice in choices for field in choice.get("properties", {}).values()):
            found += [name for choice in choices for name in choice.get("required", ())]
    return tuple(dict.fromkeys(_first_value(parts, "x-identifiers") or found))


def _value_choice(part: Json) -> ValueChoice | None:
    """Return the choice between the presence of a field and the listed values of another one, as `anyOf` says it."""
    names = [name for choice in _choices(part) for name in choice["required"]]
    fields = [item for choice in _choices(part) for item in choice.get("properties", {}).items()]
    listed = {name: node for name, node in fields if "enum" in node}
    needed = [name for name in names if name not in listed]
    for name, node in listed.items():
        excluded = tuple(node.get("not", {}).get("enum", ()))
        return ValueChoice(needed[0], name, tuple(set(node["enum"]).difference(excluded)), excluded)
    return None


def _choices(part: Json) -> list[Json]:
    """Return the choices of a doubly negated `anyOf`."""
    found: list[Json] = part.get("not", {}).get("not", {}).get("anyOf", [])
    return found


def _patterns_in(part: Json) -> tuple[str, ...]:
    return (part["pattern"],) if "pattern" in part else ()


def _first_value(parts: list[Json], key: str) -> Any:
    return next((part[key] for part in parts if key in part), None)


def _as_list(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


_PRINTABLE_ASCII = "".join(map(chr, range(32, 127)))
_ONE_CLASS_PATTERN = re.compile(r"\^\[(?:[^\]\\]|\\.)+\][*+]\$")


# Any text, but for some characters; or such a text with at least one character that is none of some more.
_EXCLUDING_PATTERN = re.compile(
    r"(?:\^\$\|)?\^\[\^(?:[^\]\\]|\\.)+\]\*\[\^(?:[^\]\\]|\\.)+\]\[\^(?:[^\]\\]|\\.)+\]\*\$"
)


def allows_printable_ascii(pattern: str) -> bool:
    """Whether a text of printable ASCII matches, whatever it says: the classes of the pattern hold all of ASCII."""
    if _EXCLUDING_PATTERN.fullmatch(pattern) is not None:
        return all(re.fullmatch(pattern, character) for character in (*_PRINTABLE_ASCII, _PRINTABLE_ASCII))
    return _ONE_CLASS_PATTERN.fullmatch(pattern) is not None and re.fullmatch(pattern, _PRINTABLE_ASCII) is not None


def is_printable_ascii(text: str) -> bool:
    """Whether a long text is ASCII without control characters.

    If orjson escapes nothing, it holds none but DEL, perhaps; that is known in a fifth of the time of a translation.
    """
    if not text.isascii():
        return False
    if len(orjson.dumps(text)) == len(text) + len('""'):
        return "\x7f" not in text
    return not text.encode().translate(None, _PRINTABLE_ASCII.encode())


def _without_capturing(pattern: str) -> str:
    """Make all groups non-capturing: capturing takes time, and nobody asks what was captured."""
    return re.sub(r"(\\.|\[(?:[^\]\\]|\\.)*\])|\((?!\?)", lambda found: found[1] or "(?:", pattern)


def compile_pattern(pattern: str) -> Callable[[str], object]:
    """Compile a pattern of the spec. It is of ECMA-262: an unanchored one is searched for, and `$` is the very end."""
    compiled = re.compile(_without_capturing(pattern))
    return compiled.fullmatch if pattern.lstrip("(").startswith("^") else compiled.search
