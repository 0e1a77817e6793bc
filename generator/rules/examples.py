"""Examples: every request body has one, and each is valid against its schema, formats included."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY

from generator.errors import Finding
from generator.rules.structure import SchemaValidator
from generator.spec.bundle import Bundle, body_example
from generator.spec.walk import mappings, schemas
from generator.spec.yaml_reader import Pointer, is_mapping

_BASE = "urn:bundle"


def exist(bundle: Bundle) -> Iterator[Finding]:
    """Documentation, sandbox and tests start from the request examples."""
    for path, method, node in bundle.operations():
        if "requestBody" in node and not body_example(bundle, node)[0]:
            yield bundle.finding(("paths", path, method, "requestBody"), "example", "the request body has no example")


def are_valid(bundle: Bundle) -> Iterator[Finding]:
    """Of media types, parameters and schemas; defaults count as examples."""
    resource: Resource[Any] = DRAFT202012.create_resource(bundle.document)
    registry: Registry[Any] = EMPTY_REGISTRY.with_resource(_BASE, resource)
    for at, schema, value in _examples(bundle):
        for error in _validator(registry, schema).iter_errors(value):
            inner = tuple(str(part) for part in error.absolute_path)
            message = f"{'.'.join(inner) or 'the example'}: {error.message[:200]}"
            yield bundle.finding((*at, *inner), "example", message)


def _validator(registry: Registry[Any], schema: Pointer) -> SchemaValidator:
    fragment = "/".join(part.replace("~", "~0").replace("/", "~1").replace("%", "%25") for part in schema)
    reference = {"$ref": f"{_BASE}#/{fragment}"}
    return Draft202012Validator(reference, registry=registry, format_checker=FormatChecker())


def _examples(bundle: Bundle) -> Iterator[tuple[Pointer, Pointer, Any]]:
    """(where the value stands, where its schema stands, the value)."""
    for pointer, holder in mappings(bundle.document):
        if not is_mapping(holder.get("schema")):
            continue
        schema = (*pointer, "schema")
        if "example" in holder:
            yield (*pointer, "example"), schema, holder["example"]
        for name, example in holder.get("examples", {}).items():
            found = bundle.resolve(example)
            if "value" in found:
                yield (*pointer, "examples", name, "value"), schema, found["value"]
    for node in schemas(bundle):
        if "default" in node.schema:
            yield (*node.pointer, "default"), node.pointer, node.schema["default"]
        if "example" in node.schema:
            yield (*node.pointer, "example"), node.pointer, node.schema["example"]
        for index, value in enumerate(node.schema.get("examples", [])):
            yield (*node.pointer, "examples", str(index)), node.pointer, value
