"""An edition of the reference in the publisher's form, printed from the spec itself, with our own sentences."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from datetime import date
from typing import Any

from generator.audit.notation import bundle_items
from generator.audit.reference_text import FREE_FORM_ROW, MONTHS
from generator.spec.bundle import Bundle, body_example
from generator.spec.consumers import CONSUMERS

PRINTED_CONSUMERS = {ours: printed for printed, ours in CONSUMERS.items()}


def print_edition(bundle: Bundle) -> str:
    """The whole text: head, sections, operations, foot."""
    operations = bundle.operations()
    tags = list(dict.fromkeys(operation["tags"][0] for _, _, operation in operations))
    lines = ["Profiles — API Reference", "", f"{len(operations)} endpoints across {len(tags)} tags.", ""]
    for tag in tags:
        lines += [tag, ""]
        for path, method, operation in operations:
            if operation["tags"][0] == tag:
                lines += [*_operation(bundle, path, method, operation), ""]
    return "\n".join([*lines, "Back to all categories", ""])


def _operation(bundle: Bundle, path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    items = bundle_items(bundle, path, operation)
    mark = " (deprecated)" if operation.get("deprecated") else ""
    link = f"{operation['tags'][0].replace(' ', '-')}/operation/{operation['operationId']}"
    yield from (
        f"{method.upper()} {path} — {operation['summary']}{mark}",
        "",
        f"/api-reference/profiles#tag/{link}",
        "",
    )
    yield from (*_prose(operation), "")
    names = [PRINTED_CONSUMERS[name] for name in operation.get("x-synerise-consumers", [])]
    if names:
        yield f"API consumers: {', '.join(names)}"
    for label, key in (("API key permission required", "permission"), ("User role permission required", "role")):
        if items.get(key, "none") != "none":
            yield f"{label}: {items[key]}"
    if items["authentication"] == "not required":
        yield "Authentication: Not required"
    yield from _rows("Parameters", "NameInTypeRequiredDescription", _parameters(items))
    if "requestBody" in operation:
        yield from ("", f"Request body{' (required)' if items['body required'] == 'required' else ''}", "")
        media, _, kind = items["body type"].partition(" ")
        yield f"{media} · {kind}"
        yield from _rows("", "FieldTypeRequiredDescription", _fields(items))
    yield from _rows("Responses", "StatusDescription", _responses(bundle, operation))
    yield from ("", "Example request (cURL)", "", f"curl --request {method.upper()} \\")
    given, body = body_example(bundle, operation)
    data = f" \\\n  --data {shlex.quote(json.dumps(body, ensure_ascii=False))}" if given else ""
    yield f"  --url https://api.example.com{path}{data}"


def _prose(operation: dict[str, Any]) -> Iterator[str]:
    yield " ".join(operation.get("description", "It does what it says.").split())
    if "x-batch" in operation:
        yield f"A request cannot have more than {operation['x-batch']['max-items']} items or exceed 1 MB in size."
    if "x-sunset" in operation:
        day = date.fromisoformat(operation["x-sunset"])
        yield f"It will be disabled on {MONTHS[day.month - 1]} {day.day}, {day.year}."


def _rows(title: str, head: str, rows: Iterator[str]) -> Iterator[str]:
    found = list(rows)
    if found:
        yield from ("", *([title, ""] if title else []), head, *found)


def _parameters(items: dict[str, str]) -> Iterator[str]:
    for item, value in items.items():
        if item.startswith("parameter "):
            place, _, rest = value.partition(" ")
            kind, _, need = rest.rpartition(" ")
            yield f"{item.removeprefix('parameter ')}{place}{kind}{need}"


def _fields(items: dict[str, str]) -> Iterator[str]:
    for item, value in items.items():
        if item.startswith("field "):
            kind, _, need = value.rpartition(" ")
            name = item.removeprefix("field ")
            yield f"{name}optional" if name == FREE_FORM_ROW else f"{name}{kind}{need}"


def _responses(bundle: Bundle, operation: dict[str, Any]) -> Iterator[str]:
    for status, node in operation["responses"].items():
        response = bundle.resolve(node)
        content = "".join(f" {media}" for media in response.get("content", {}))
        words = response.get("x-printed", [""])[0]
        if operation.get("x-synerise-pii") and status == "403":
            words += "; PII permissions are required in addition"
        yield f"{status.replace('X', 'x')}{content}{words}"
