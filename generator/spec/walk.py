"""Walk over the bundle: every mapping of OpenAPI's own keywords, every schema, every reference.

Names that the author chose (of properties, components, status codes) and example data are told apart from keywords.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from generator.spec.bundle import Bundle, ref_pointer
from generator.spec.yaml_reader import Pointer, is_list, is_mapping

# Mappings whose keys are names, not keywords.
_NAMES = {
    "paths",
    "schemas",
    "responses",
    "parameters",
    "examples",
    "requestBodies",
    "headers",
    "securitySchemes",
    "links",
    "callbacks",
    "pathItems",
    "content",
    "properties",
    "patternProperties",
    "$defs",
    "encoding",
    "variables",
    "mapping",
    "scopes",
}
_DATA = {"example", "default", "enum", "const", "required"}
_MANY = ("allOf", "oneOf", "anyOf", "prefixItems")
_ONE = ("items", "additionalProperties", "not", "contains", "propertyNames")
_BY_NAME = ("properties", "patternProperties")


@dataclass(frozen=True, slots=True)
class SchemaNode:
    """A schema where it stands. `role` is the keyword that holds it; `component` for a named one."""

    pointer: Pointer
    schema: dict[str, Any]
    role: str
    holder: dict[str, Any]
    parent: SchemaNode | None = None

    @property
    def name(self) -> str:
        """Its own name among its neighbours."""
        return self.pointer[-1]

    @property
    def is_object(self) -> bool:
        """Whether the schema itself, not one it refers to, describes an object."""
        kind = self.schema.get("type", [])
        return "properties" in self.schema or "object" in ([kind] if isinstance(kind, str) else kind)

    @property
    def is_condition(self) -> bool:
        """Whether it stands under `not`, where it describes no value, but says what a value must be."""
        return self.role == "not" or (self.parent is not None and self.parent.is_condition)


def mappings(node: Any, pointer: Pointer = (), *, names: bool = False) -> Iterator[tuple[Pointer, dict[str, Any]]]:
    """Every mapping whose keys are keywords, outermost first."""
    if is_list(node):
        for index, item in enumerate(node):
            yield from mappings(item, (*pointer, str(index)))
    elif is_mapping(node):
        if not names:
            yield pointer, node
        is_example = pointer[-2:-1] == ("examples",)
        for key, child in node.items():
            if names:
                yield from mappings(child, (*pointer, key))
            elif key in _DATA or key.startswith("x-") or (is_example and key == "value"):
                continue
            elif not (key == "examples" and is_list(child)):
                yield from mappings(child, (*pointer, key), names=key in _NAMES and is_mapping(child))


def references(node: Any, pointer: Pointer = ()) -> Iterator[tuple[Pointer, str]]:
    """Every $ref in or under the node."""
    for at, mapping in mappings(node, pointer):
        if "$ref" in mapping:
            yield (*at, "$ref"), mapping["$ref"]


def reachable(bundle: Bundle, roots: Iterable[Any]) -> set[Pointer]:
    """Pointers of all components that the roots lead to, directly or through others."""
    found: set[Pointer] = set()
    waiting: list[Any] = list(roots)
    while waiting:
        for _, ref in references(waiting.pop()):
            pointer = ref_pointer(ref)
            if pointer not in found:
                found.add(pointer)
                waiting.append(bundle.at(pointer))
    return found


def schemas(bundle: Bundle) -> Iterator[SchemaNode]:
    """Every schema of the document, each before those inside it."""
    for name, schema in bundle.document.get("components", {}).get("schemas", {}).items():
        yield from _within(SchemaNode(("components", "schemas", name), schema, "component", {}))
    for pointer, holder in mappings(bundle.document):
        if is_mapping(holder.get("schema")) and "properties" not in holder:
            role = "parameter" if "in" in holder else "content"
            yield from _within(SchemaNode((*pointer, "schema"), holder["schema"], role, holder))


def _within(node: SchemaNode) -> Iterator[SchemaNode]:
    yield node
    for key, pointer, schema in _children(node):
        yield from _within(SchemaNode(pointer, schema, key, node.schema, node))


def _children(node: SchemaNode) -> Iterator[tuple[str, Pointer, dict[str, Any]]]:
    """(keyword, pointer, schema) of each schema directly inside."""
    for key in (*_BY_NAME, *_MANY, *_ONE):
        child = node.schema.get(key)
        pointer = (*node.pointer, key)
        if key in _ONE and is_mapping(child):
            yield key, pointer, child
        elif key in _BY_NAME and is_mapping(child):
            yield from ((key, (*pointer, name), schema) for name, schema in child.items() if is_mapping(schema))
        elif key in _MANY and is_list(child):
            yield from ((key, (*pointer, str(at)), schema) for at, schema in enumerate(child) if is_mapping(schema))
