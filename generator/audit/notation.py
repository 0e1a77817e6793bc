"""The reference and the bundle in one notation: a mapping from item to value for each operation.

The audit compares two such mappings; an item that one side lacks counts as `none`, an example key as `absent`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from generator.audit.reference_text import FREE_FORM_ROW, PrintedOperation
from generator.spec.bundle import Bundle, body_schema
from generator.spec.composition import Schema, is_free_form, items, properties, required, type_text
from generator.spec.yaml_reader import is_list, is_mapping

Items = dict[str, str]

_NAMED_ITEM = re.compile(r"array<(?!string>|integer>|number>|boolean>|object>|enum<|array<)[^<>]*>")
_ENUM = re.compile(r'enum<((?:"[^"]*"|…|[^<>"])*)>')


def document_items(operation: PrintedOperation) -> Items:
    """What the reference says of one operation."""
    body = operation.body
    found = {
        "operation": "present",
        "tag": operation.tag,
        "operationId": operation.operation_id,
        "deprecated": _flag(operation.deprecated),
        "sunset": operation.sunset or "none",
        "authentication": "required" if operation.authenticated else "not required",
        "consumers": ", ".join(sorted(operation.consumers)) or "none",
        "permission": operation.permission or "none",
        "role": operation.role or "none",
        "body required": _need(body.required) if body else "none",
    }
    for parameter in operation.parameters:
        value = f"{parameter.location} {_document_type(parameter.type)} {_need(parameter.required)}"
        found[f"parameter {parameter.name}"] = value
    for response in operation.responses:
        found[f"response {response.status.replace('x', 'X')}"] = response.content or "no body"
    if body:
        found["body type"] = f"{body.media} {_document_type(body.schema, named='object')}"
        for row in body.fields:
            found[f"field {row.name}"] = f"{_document_type(row.type)} {_need(row.required)}"
        if body.free_form:
            found[f"field {FREE_FORM_ROW}"] = "any optional"
    return found


def item_lines(operation: PrintedOperation) -> dict[str, int]:
    """Where the reference says it; an item that is not here is said by the operation's heading, if at all."""
    found = dict(operation.fact_lines)
    found.update({f"parameter {row.name}": row.line for row in operation.parameters})
    for row in operation.responses:
        found[f"response {row.status.replace('x', 'X')}"] = found[f"status {row.status.upper()}"] = row.line
    if operation.body:
        found["body required"] = found["body type"] = operation.body.line
        found.update({f"field {row.name}": row.line for row in operation.body.fields})
    return found


def bundle_items(bundle: Bundle, path: str, operation: Schema) -> Items:
    """What the bundle says of one operation, in the same notation."""
    found = {
        "operation": "present",
        "tag": ", ".join(operation.get("tags", [])) or "none",
        "operationId": str(operation.get("operationId", "none")),
        "deprecated": _flag(operation.get("deprecated", False)),
        "sunset": str(operation.get("x-sunset", "none")),
        "authentication": "not required" if operation.get("security") == [] else "required",
        "consumers": ", ".join(sorted(operation.get("x-synerise-consumers", []))) or "none",
        "permission": str(operation.get("x-synerise-permission", "none")),
        "role": str(operation.get("x-synerise-role", "none")),
        "body required": "none",
    }
    shared = bundle.document["paths"][path].get("parameters", [])
    for node in (*shared, *operation.get("parameters", [])):
        parameter = bundle.resolve(node)
        kind = type_text(bundle, parameter.get("schema", {}))
        value = f"{parameter['in']} {kind} {_need(parameter.get('required', False))}"
        found[f"parameter {parameter['name']}"] = value
    for status, node in operation.get("responses", {}).items():
        contents = bundle.resolve(node).get("content", {})
        found[f"response {str(status).upper() if status != 'default' else status}"] = (
            ", ".join(sorted(contents)) or "no body"
        )
    if "requestBody" in operation:
        found.update(_body_items(bundle, operation))
    return found


def _body_items(bundle: Bundle, operation: Schema) -> Items:
    body = bundle.resolve(operation["requestBody"])
    found = {"body required": _need(body.get("required", False))}
    media, schema = body_schema(bundle, operation)
    kind = type_text(bundle, schema)
    found["body type"] = f"{media} {kind}"
    record = items(bundle, schema) if kind.startswith("array<") else schema
    needed = required(bundle, record)
    for name, node in properties(bundle, record).items():
        found[f"field {name}"] = f"{type_text(bundle, node)} {_need(name in needed)}"
    if is_free_form(bundle, record):
        found[f"field {FREE_FORM_ROW}"] = "any optional"
    return found


def example_keys(bundle: Bundle, value: Any, schema: Any, at: str = "") -> Iterator[tuple[str, str, bool]]:
    """(path, key, whether it is a free key: undeclared, in or under a free-form object), outer keys first."""
    if is_list(value):
        inner = items(bundle, schema)
        for item in value:
            yield from example_keys(bundle, item, inner, f"{at}[]")
    elif is_mapping(value):
        declared = properties(bundle, schema)
        open_keys = is_free_form(bundle, schema)
        for key, child in value.items():
            path = f"{at}.{key}" if at else key
            yield path, key, open_keys and key not in declared
            yield from example_keys(bundle, child, declared.get(key, {}), path)


def same(document: str, spec: str) -> bool:
    """Whether two values agree: enums by their set of values; an open one only has to know those printed."""
    if document == spec:
        return True
    if _ENUM.sub("enum", document) != _ENUM.sub("enum", spec):
        return False
    pairs = zip(_ENUM.findall(document), _ENUM.findall(spec), strict=True)
    return all(_same_values(_values(left), _values(right)) for left, right in pairs)


def _values(listed: str) -> set[str]:
    return {value.strip() for value in re.findall(r'"[^"]*"|[^,]+', listed) if value.strip()}


def _same_values(document: set[str], spec: set[str]) -> bool:
    if ("…" in document) != ("…" in spec):
        return False
    return document <= spec if "…" in document else document == spec


def _document_type(printed: str, named: str | None = None) -> str:
    """Names of the publisher's schemas become `object`; an array of anything counts as one of objects."""
    if named and not printed.startswith(("array<", "enum<")):
        return named
    return _NAMED_ITEM.sub("array<object>", printed)


def _flag(value: object) -> str:
    return "true" if value else "false"


def _need(value: object) -> str:
    return "required" if value else "optional"
