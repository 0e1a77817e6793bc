"""Schemas: every object and enum has a name, serves one direction, and a response can never fail to be read.

What x-identifiers lists is a property of its schema.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.errors import Finding
from generator.spec.bundle import Bundle
from generator.spec.composition import alternatives, kinds, properties, required_choices
from generator.spec.walk import SchemaNode, reachable, schemas
from generator.spec.yaml_reader import Pointer, is_list

# What the rules, the parser and the templates know. In a flow mapping an unquoted comma starts a new key, so a
# sentence in a description may turn into one.
# fmt: off
KEYWORDS = {
    "$ref", "type", "enum", "const", "format", "pattern", "description", "title", "default", "examples",
    "deprecated", "properties", "patternProperties", "additionalProperties", "propertyNames",
    "required", "minProperties", "maxProperties", "dependentRequired", "items", "prefixItems", "contains",
    "minItems", "maxItems", "uniqueItems", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum",
    "exclusiveMaximum", "multipleOf", "allOf", "oneOf", "anyOf", "not",
}
# fmt: on
_IDENTIFIER_KINDS = ([["string"]], [["integer"]])


def have_known_keywords(bundle: Bundle) -> Iterator[Finding]:
    """A keyword that nobody knows is silently ignored by every tool, so it is none."""
    for node in schemas(bundle):
        for key in node.schema:
            if key not in KEYWORDS and not key.startswith("x-"):
                yield bundle.finding((*node.pointer, key), "keyword", f"unknown keyword {key!r} in a schema")


def are_named(bundle: Bundle) -> Iterator[Finding]:
    """No inline object but an allOf part of a component, and no inline enum."""
    for node in schemas(bundle):
        if node.is_condition:
            continue
        extends = node.role == "allOf" and node.parent is not None and node.parent.role == "component"
        if node.is_object and node.role != "component" and not extends:
            yield bundle.finding(node.pointer, "inline", f"object under {node.role} must be a named component")
        if {"enum", "x-known-values"} & set(node.schema) and node.role != "component":
            yield bundle.finding(node.pointer, "inline", f"enum under {node.role} must be a named component")


def are_more_than_another_name(bundle: Bundle) -> Iterator[Finding]:
    """The parser takes an object that is composed of one reference alone for what it refers to, and loses its name."""
    for node in schemas(bundle):
        parts = [part for key in ("allOf", "oneOf", "anyOf") for part in node.schema.get(key, [])]
        if node.role == "component" and len(parts) == 1 and "$ref" in parts[0] and _describes_object(bundle, node):
            message = f"{node.name} is but another name; add a part to it, or refer to the other schema"
            yield bundle.finding(node.pointer, "alias", message)


def have_one_direction(bundle: Bundle) -> Iterator[Finding]:
    """An object is sent or received, never both: null means delete in one direction and nothing in the other."""
    requests, responses = _directions(bundle)
    for node in schemas(bundle):
        if node.role == "component" and _describes_object(bundle, node) and node.pointer in requests & responses:
            yield bundle.finding(node.pointer, "direction", f"{node.name} is used in requests and in responses")


def are_lenient(bundle: Bundle) -> Iterator[Finding]:
    """What a response is made of requires nothing, allows null everywhere and knows no closed enum."""
    _, responses = _directions(bundle)
    for node in schemas(bundle):
        if node.pointer[:3] not in responses and not _in_response(node.pointer):
            continue
        if "required" in node.schema:
            yield bundle.finding((*node.pointer, "required"), "response", "a response requires no property")
        if "enum" in node.schema:
            yield bundle.finding((*node.pointer, "enum"), "response", "an enum in a response is x-known-values")
        if node.schema.get("additionalProperties") is False:
            pointer = (*node.pointer, "additionalProperties")
            yield bundle.finding(pointer, "response", "a response allows unknown keys")
        if node.role == "properties" and not is_nullable(bundle, node.schema):
            yield bundle.finding(node.pointer, "response", f"property {node.name} of a response must allow null")


def are_described(bundle: Bundle) -> Iterator[Finding]:
    """Every named schema, property and parameter has a description of its own; a reference may bring one along."""
    for node in schemas(bundle):
        if node.is_condition:
            continue
        if node.role in ("component", "properties") and not _has_description(bundle, node.schema):
            kind = "schema" if node.role == "component" else "property"
            yield bundle.finding(node.pointer, "description", f"{kind} {node.name} has no description")
        if node.role == "parameter" and not str(node.holder.get("description") or "").strip():
            name = node.holder.get("name")
            yield bundle.finding(node.pointer[:-1], "description", f"parameter {name} has no description")


def identifiers_are_fields(bundle: Bundle) -> Iterator[Finding]:
    """Each name is a property of the schema, listed once, that holds a text or an integer."""
    for node in schemas(bundle):
        names = node.schema.get("x-identifiers")
        if not is_list(names):
            continue
        fields, at = properties(bundle, node.schema), (*node.pointer, "x-identifiers")
        if len(set(map(str, names))) < len(names):
            yield bundle.finding(at, "x-identifiers", "an identifier is listed twice")
        for name in map(str, names):
            if name not in fields:
                yield bundle.finding(at, "x-identifiers", f"{name} is no property of the schema")
            elif [kinds(bundle, branch) for branch in alternatives(bundle, fields[name])] not in _IDENTIFIER_KINDS:
                yield bundle.finding(at, "x-identifiers", f"{name} is neither a text nor an integer")


def identifiers_are_required(bundle: Bundle) -> Iterator[Finding]:
    """A schema with x-identifiers refuses an object without any of them, for tools that do not know the key."""
    for node in schemas(bundle):
        names = node.schema.get("x-identifiers")
        if is_list(names) and set(map(str, names)) != required_choices(bundle, node.schema):
            message = "at least one is required by `not: {not: {anyOf: [{required: [...]}, ...]}}`, with the same names"
            yield bundle.finding((*node.pointer, "x-identifiers"), "x-identifiers", message)


def have_twins(bundle: Bundle) -> Iterator[Finding]:
    """An enum that is read under the name of a sent one says by x-twin whose values it has, and has the same ones."""
    components: dict[str, Any] = bundle.document.get("components", {}).get("schemas", {})
    requests, responses = _directions(bundle)
    sent: dict[str, list[dict[str, Any]]] = {}
    for node, enum in _enum_fields(bundle, requests - responses):
        sent.setdefault(node.name, []).append(enum)
    for node, enum in _enum_fields(bundle, responses - requests):
        known = sent.get(node.name, [])
        if known and "x-twin" not in enum and not any(enum is other for other in known):
            message = f"{node.name} is also sent; x-twin names the enum that it is sent with"
            yield bundle.finding(node.pointer, "twin", message)
    for name, schema in components.items():
        if "x-twin" in schema and _values(schema) != _values(components.get(str(schema["x-twin"]), {})):
            message = f"{name} and {schema['x-twin']} must have the same values"
            yield bundle.finding(("components", "schemas", name, "x-twin"), "twin", message)


def _enum_fields(bundle: Bundle, within: set[Pointer]) -> Iterator[tuple[SchemaNode, dict[str, Any]]]:
    """Each property of these components that is an enum, closed or open, with its schema."""
    for node in schemas(bundle):
        if node.role == "properties" and node.pointer[:3] in within:
            yield from ((node, branch) for branch in alternatives(bundle, node.schema) if _values(branch))


def _values(schema: dict[str, Any]) -> set[str]:
    return {str(value) for value in schema.get("enum", schema.get("x-known-values", ())) if value is not None}


def is_nullable(bundle: Bundle, schema: Any) -> bool:
    """Whether null is a valid value."""
    node = bundle.resolve(schema)
    branches = [*node.get("oneOf", []), *node.get("anyOf", [])]
    if branches and not any(is_nullable(bundle, branch) for branch in branches):
        return False
    if not all(is_nullable(bundle, part) for part in node.get("allOf", [])):
        return False
    kind = node.get("type")
    if kind is None:
        return "enum" not in node and "const" not in node and "properties" not in node
    return kind == "null" or "null" in kind


def _has_description(bundle: Bundle, schema: dict[str, Any]) -> bool:
    if str(schema.get("description") or "").strip():
        return True
    target = bundle.resolve(schema)
    return target is not schema and bool(str(target.get("description") or "").strip())


def _describes_object(bundle: Bundle, node: SchemaNode) -> bool:
    return "object" in kinds(bundle, node.schema) or bool(properties(bundle, node.schema))


def _directions(bundle: Bundle) -> tuple[set[Pointer], set[Pointer]]:
    """Components that requests lead to, and those that responses lead to."""
    requests: list[Any] = [item.get("parameters", []) for item in bundle.document.get("paths", {}).values()]
    responses: list[Any] = []
    for _, _, node in bundle.operations():
        requests += [node.get("parameters", []), node.get("requestBody", {})]
        responses += node.get("responses", {}).values()
    return reachable(bundle, requests), reachable(bundle, responses)


def _in_response(pointer: Pointer) -> bool:
    return (pointer[0] == "paths" and pointer[3:4] == ("responses",)) or pointer[:2] == ("components", "responses")
