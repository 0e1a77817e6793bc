"""What the schemas of the document say beside JSON Schema: fields, reserved names, dates that lie in the past. Pure.

References and compositions are resolved, so that a fact counts wherever in a schema it stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class ObjectSchema:
    """The facts of a body, or of each item of a list.

    `fields` are the names that it documents; `reserved` the names that a free-form field cannot have, by the name of
    the field, "" for the object itself; `past` the fields whose date has to lie in the past; `own` the names within
    a field whose value has to be that of the profile itself.
    """

    fields: frozenset[str]
    reserved: Mapping[str, frozenset[str]]
    past: tuple[str, ...]
    own: Mapping[str, frozenset[str]]

    def known(self, item: Json) -> Json:
        """The item without what does nothing: fields that are not documented, attributes that are reserved."""
        if not item.keys() <= self.fields:
            item = {name: value for name, value in item.items() if name in self.fields}
        attributes: Json | None = item.get("attributes")
        reserved = self.reserved.get("attributes", frozenset())
        if attributes and not reserved.isdisjoint(attributes):
            kept = {name: value for name, value in attributes.items() if name not in reserved}
            item = {**item, "attributes": kept}
        return item


def object_schema(document: Json, node: Json) -> ObjectSchema:
    """The facts of an object's schema."""
    fields = properties(document, node)
    return ObjectSchema(
        fields=frozenset(fields),
        reserved=_names(document, {"": node, **fields}, "x-reserved-names"),
        past=tuple(
            name for name, field in fields.items() if any(part.get("x-past") for part in _parts(document, field))
        ),
        own=_names(document, fields, "x-same-as-profile"),
    )


def properties(document: Json, node: Json) -> dict[str, Json]:
    """The properties of an object's schema, those that it is composed of included."""
    found: dict[str, Json] = {}
    for part in _parts(document, node):
        found.update(part.get("properties", {}))
    return found


def resolve(document: Json, node: Json, pointer: str = "") -> tuple[Json, str]:
    """The node, or what its $ref points to, with its pointer."""
    while "$ref" in node:
        pointer = node["$ref"]
        target: Any = document
        for part in pointer[2:].split("/"):
            target = target[part.replace("~1", "/").replace("~0", "~")]
        node = target
    return node, pointer


def _names(document: Json, nodes: Mapping[str, Json], key: str) -> dict[str, frozenset[str]]:
    found = {
        name: frozenset(word for part in _parts(document, node) for word in part.get(key, ()))
        for name, node in nodes.items()
    }
    return {name: words for name, words in found.items() if words}


def _parts(document: Json, node: Json) -> Iterator[Json]:
    """The schema, and all that it refers to or is composed of; of a choice with null, the other one."""
    yield node
    if "$ref" in node:
        yield from _parts(document, resolve(document, node)[0])
    for inner in (*node.get("allOf", ()), *node.get("oneOf", ())):
        yield from _parts(document, inner)
