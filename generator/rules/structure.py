"""The structure that every other rule relies on: the standard's own schema, schemas that end, patterns that compile."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, cast

import jsonschema_rs
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, relevance
from openapi_spec_validator import OpenAPIV31SpecValidator

from generator.errors import Finding
from generator.spec.bundle import METHODS, Bundle, ref_pointer
from generator.spec.walk import SchemaNode, mappings, schemas
from generator.spec.yaml_reader import Pointer, is_list, is_mapping

_COMPOSED = ("allOf", "oneOf", "anyOf", "not")
_MAX_MESSAGE_CHARACTERS = 200


class SchemaValidator(Protocol):
    """What is used of a validator; its own stubs leave a type open."""

    def iter_errors(self, instance: Any) -> Iterable[ValidationError]: ...


def is_openapi(bundle: Bundle) -> Iterator[Finding]:
    """OpenAPI 3.1 by the standard's own schema; every path, operation and parameter is a mapping."""
    version = bundle.document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3.1."):
        yield bundle.finding(("openapi",), "openapi", f"openapi must be a 3.1 version, not {version!r}")
        return
    validator: SchemaValidator = cast("Any", OpenAPIV31SpecValidator(bundle.document)).schema_validator
    for error in validator.iter_errors(bundle.document):
        yield _finding(bundle, (), error)


def schemas_are_json_schema(bundle: Bundle) -> Iterator[Finding]:
    """Each schema by JSON Schema's own schema: types that exist, limits that are numbers.

    A compiled validator passes over what is valid; the other one tells the place of what is not.
    """
    validator: SchemaValidator = cast("Any", Draft202012Validator(Draft202012Validator.META_SCHEMA))
    compiled = jsonschema_rs.Draft202012Validator(Draft202012Validator.META_SCHEMA)
    for pointer, schema in _outer_schemas(bundle):
        if compiled.is_valid(schema):
            continue
        for error in validator.iter_errors(schema):
            yield _finding(bundle, pointer, error)


def paths_are_readable(bundle: Bundle) -> Iterator[Finding]:
    """The braces of a path fit, and its methods are those of HTTP in lower case."""
    for path, item in _mapping(bundle.document.get("paths")).items():
        if re.sub(r"\{[^{}]+\}", "", path) != re.sub(r"[{}]", "", re.sub(r"\{[^{}]+\}", "", path)):
            yield bundle.finding(("paths", path), "path", f"the braces of {path} do not fit")
        for method, operation in _mapping(item).items():
            if method in METHODS and not is_mapping(operation):
                yield bundle.finding(("paths", path, method), "path", f"{method.upper()} {path} is no mapping")


def schemas_are_mappings(bundle: Bundle) -> Iterator[Finding]:
    """A schema that is true, false, a text or nothing says less than its author meant."""
    for pointer, value in _schema_places(bundle.document):
        if not is_mapping(value) and not (pointer[-1] == "additionalProperties" and isinstance(value, bool)):
            yield bundle.finding(pointer, "schema", f"{pointer[-1]} must be a schema, a mapping of keywords")


def schemas_end(bundle: Bundle) -> Iterator[Finding]:
    """No schema is a part or an alternative of itself: there would be no end to what it says."""
    for name, schema in _mapping(_mapping(bundle.document.get("components")).get("schemas")).items():
        pointer = ("components", "schemas", name)
        if pointer in _composed_of(bundle, schema, set()):
            yield bundle.finding(pointer, "circle", f"{name} is composed of itself, by {', '.join(_COMPOSED)} or $ref")


def patterns_compile(bundle: Bundle) -> Iterator[Finding]:
    """Each pattern is a regular expression that Python and the validators of other languages read alike."""
    for node in schemas(bundle):
        pattern = node.schema.get("pattern")
        if pattern is None:
            continue
        problem = _pattern_problem(pattern)
        if problem:
            yield bundle.finding((*node.pointer, "pattern"), "pattern", f"the pattern of {_owner(node)} {problem}")


def _outer_schemas(bundle: Bundle) -> Iterator[tuple[Pointer, Any]]:
    """Named schemas, and those of parameters and bodies; each holds its inner ones."""
    for name, schema in _mapping(_mapping(bundle.document.get("components")).get("schemas")).items():
        yield ("components", "schemas", name), schema
    for pointer, holder in mappings(bundle.document):
        if is_mapping(holder.get("schema")) and "properties" not in holder:
            yield (*pointer, "schema"), holder["schema"]


def _finding(bundle: Bundle, pointer: Pointer, error: ValidationError) -> Finding:
    """At the deepest place that the error is about; of its text the first line."""
    found = _deepest(error)
    place = (*pointer, *(str(part) for part in found.absolute_path))
    message = found.message.partition("\n")[0][:_MAX_MESSAGE_CHARACTERS]
    return bundle.finding(place, "openapi", f"{'/'.join(place) or 'the document'}: {message}")


def _pattern_problem(pattern: Any) -> str:
    if not isinstance(pattern, str):
        return "is no text"
    try:
        re.compile(pattern)
    except re.error as error:
        return f"is no regular expression: {error}"
    if re.search(r"\(\?P|\(\?<[^=!]|\\[AZ]|[*+?}]\+", pattern):
        return "has what not every language knows: named groups, \\A, \\Z or possessive quantifiers"
    return ""


def _owner(node: SchemaNode) -> str:
    return node.name if node.role in ("component", "properties") else f"this {node.role}"


def _deepest(error: ValidationError) -> ValidationError:
    """Of a failed choice the alternative that came furthest, which is what the author meant."""
    while error.context:
        error = max(error.context, key=relevance)
    return error


def _composed_of(bundle: Bundle, schema: Any, seen: set[Pointer]) -> set[Pointer]:
    """Pointers of the components that the schema is composed of."""
    if not is_mapping(schema):
        return seen
    if "$ref" in schema:
        try:
            pointer = ref_pointer(schema["$ref"])
            if pointer not in seen:
                seen.add(pointer)
                _composed_of(bundle, bundle.at(pointer), seen)
        except (LookupError, ValueError, TypeError):
            return seen  # the rule about references tells it
    for key in _COMPOSED:
        parts = schema.get(key, [])
        for part in parts if is_list(parts) else [parts]:
            _composed_of(bundle, part, seen)
    return seen


def _schema_places(node: Any, pointer: Pointer = (), *, holds_schemas: bool = False) -> Iterator[tuple[Pointer, Any]]:
    """(pointer, value) of every place where a schema belongs, whatever stands there."""
    if is_list(node):
        for at, item in enumerate(node):
            if holds_schemas:
                yield (*pointer, str(at)), item
            yield from _schema_places(item, (*pointer, str(at)))
    elif is_mapping(node):
        for key, child in node.items():
            if key.startswith("x-") or key in ("example", "examples", "default", "enum", "const"):
                continue
            place = (*pointer, key)
            if holds_schemas or key in ("schema", "items", "additionalProperties", "not", "propertyNames"):
                yield place, child
            inner = not holds_schemas and key in ("schemas", "properties", "allOf", "oneOf", "anyOf")
            yield from _schema_places(child, place, holds_schemas=inner)


def _mapping(value: Any) -> dict[str, Any]:
    return value if is_mapping(value) else {}
