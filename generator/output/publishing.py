"""The document that others read: the bundle with its facts in words, and with an example of every response body.

A tool that is not ours shows descriptions and examples but no x- keys. So the generator writes who may call an
operation, its limits and its end into the description, and as a condition that the items of a batch name their
profiles alike. What is for the audit alone is left out.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from generator.output.response_examples import ResponseExamples
from generator.spec.bundle import Bundle
from generator.spec.composition import properties
from generator.spec.walk import mappings

_AUDIT_KEYS = ("x-printed",)


def published(bundle: Bundle) -> dict[str, Any]:
    """A copy of the document; the bundle stays as it is."""
    document: dict[str, Any] = copy.deepcopy(bundle.document)
    target = Bundle(document, bundle.lines)
    examples = ResponseExamples(target)
    for _, _, operation in target.operations():
        facts = " ".join(_sentences(operation))
        operation["description"] = "\n\n".join(filter(None, (operation.get("description", "").strip(), facts)))
        if operation.get("x-batch", {}).get("uniform-identifier"):
            _name_alike(target, operation)
        for status, node in operation.get("responses", {}).items():
            examples.add(status, target.resolve(node))
    for _, mapping in list(mappings(document)):
        for key in _AUDIT_KEYS:
            mapping.pop(key, None)
    return document


def _name_alike(bundle: Bundle, operation: dict[str, Any]) -> None:
    """Let a list be valid only where all its items have the same identifier first, in the order of x-identifiers."""
    (content,) = bundle.resolve(operation["requestBody"])["content"].values()
    array = bundle.resolve(content["schema"])
    for field, node in properties(bundle, array["items"]).items():
        names = bundle.resolve(node).get("x-identifiers", [])
        has = [{"required": [name], "properties": {name: {"minLength": 1}}} for name in names]
        # One by one: an alternative of a single schema is a warning of linters.
        first = [
            part | ({"allOf": [{"not": earlier} for earlier in has[:index]]} if index else {})
            for index, part in enumerate(has)
        ]
        if first:
            array["not"] = {"not": {"anyOf": [{"items": {"properties": {field: part}}} for part in first]}}


def _sentences(operation: dict[str, Any]) -> Iterator[str]:
    if callers := operation.get("x-synerise-consumers"):
        yield f"Callers: {', '.join(callers)}."
    if operation.get("security") == []:
        yield "No authentication is needed."
    if permission := operation.get("x-synerise-permission"):
        yield f"Permission of the API key: {permission}."
    if role := operation.get("x-synerise-role"):
        yield f"Permission of the user: {role}."
    if operation.get("x-synerise-pii"):
        yield "PII permissions in addition, where PII protection is on."
    if batch := operation.get("x-batch"):
        yield f"At most {batch['max-items']:,} items and {batch['max-bytes']:,} bytes a request."
    if operation.get("x-irreversible"):
        yield "It cannot be undone."
    if operation.get("deprecated"):
        yield from _end(operation)


def _end(operation: dict[str, Any]) -> Iterator[str]:
    if sunset := operation.get("x-sunset"):
        yield f"Due to be switched off on {sunset}."
    if instead := operation.get("x-replaced-by"):
        yield f"Use instead: {' or '.join(instead)}."
    if reason := operation.get("x-deprecated-reason"):
        yield f"{reason.rstrip('.')}."
