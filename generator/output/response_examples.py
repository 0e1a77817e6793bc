"""Examples of response bodies, made from their schemas where the spec shows none.

A text or number is that of the first request example with a field of the same name, so that examples look like data.
"""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from generator.spec.bundle import Bundle, body_example
from generator.spec.composition import alternatives, items, kinds, parts, properties
from generator.spec.yaml_reader import is_list, is_mapping

_DEEPEST = 6
_BY_FORMAT = {
    "date-time": "2024-01-02T03:04:05Z",
    "date": "2024-01-02",
    "email": "jan.kowalski@example.com",
    "uri": "https://shop.example.com/",
    "uuid": "07243772-008a-42e1-ba37-c3807cebde8f",
}
_BY_KIND: dict[str, Any] = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "object": {}, "null": None}
_PYTHON: dict[str, type] = {"string": str, "integer": int, "number": float, "boolean": bool}
_CHOSEN = ("format", "enum", "const", "x-known-values", "pattern")


class ResponseExamples:
    """Makes the examples of one document and writes them into it."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle
        self._known: dict[str, Any] = {}
        for _, _, operation in bundle.operations():
            for name, value in _leaves(body_example(bundle, operation)[1]):
                self._known.setdefault(name, value)

    def add(self, status: str, response: dict[str, Any]) -> None:
        """Give each body of a response an example; one that the spec has is kept."""
        for media in response.get("content", {}).values():
            if "example" in media or "examples" in media or "schema" not in media:
                continue
            value = self._value("", media["schema"], 0)
            if is_mapping(value) and status.startswith(("4", "5")):
                _tell(value, status, response["description"])
            media["examples"] = {"default": {"value": value}}

    def of_schema(self, name: str) -> Any:
        """One of a named schema."""
        return self._value("", {"$ref": f"#/components/schemas/{name}"}, 0)

    def _value(self, name: str, schema: Any, depth: int) -> Any:
        node = alternatives(self._bundle, schema)[0]
        every = parts(self._bundle, node)
        for key in ("examples", "enum", "x-known-values"):
            if (listed := next((part[key] for part in every if key in part), None)) is not None:
                return listed[0]
        if fields := properties(self._bundle, node):
            nested = fields.items() if depth < _DEEPEST else ()
            return {field: self._value(field, inner, depth + 1) for field, inner in nested}
        kind = next(iter(kinds(self._bundle, node)), "string")
        if kind == "array":
            inner = items(self._bundle, node)
            return [self._value(name, inner, depth + 1)] if depth < _DEEPEST else []
        known = self._known.get(name)
        if type(known) is _PYTHON.get(kind) and not any(key in part for part in every for key in _CHOSEN):
            return known
        found = next((part["format"] for part in every if "format" in part), "")
        return _BY_FORMAT.get(found, _BY_KIND[kind])


def _tell(error: dict[str, Any], status: str, description: str) -> None:
    """Let the example of an error body speak of its own status."""
    number = int(status.upper().replace("X", "0"))
    told = {"status": number, "error": HTTPStatus(number).phrase, "message": description}
    error.update({key: value for key, value in told.items() if key in error})


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if is_mapping(value):
        for key, inner in value.items():
            yield from _leaves(inner, key)
    elif is_list(value):
        for inner in value:
            yield from _leaves(inner, name)
    elif name:
        yield name, value
