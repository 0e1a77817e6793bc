"""The bundle: the merged OpenAPI document, with the fragment and line that each of its nodes comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from generator.errors import Finding
from generator.spec.yaml_reader import Location, Pointer, is_list, is_mapping

ROOT_FILE = "openapi.yaml"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The merged document, and the place of each of its nodes by JSON pointer."""

    document: dict[str, Any]
    lines: dict[Pointer, Location]

    def where(self, pointer: Pointer) -> Location:
        """The place of the node, or of the nearest one around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer[:-1]
        return self.lines.get(pointer, Location("spec/" + ROOT_FILE, 1))

    def finding(self, pointer: Pointer, rule: str, message: str) -> Finding:
        """A finding at the place of the node."""
        place = self.where(pointer)
        return Finding(place.file, place.line, rule, message)

    def at(self, pointer: Pointer) -> Any:
        """The node under the pointer; LookupError when there is none."""
        node: Any = self.document
        for part in pointer:
            node = node[int(part)] if is_list(node) else node[part]
        return node

    def resolve(self, node: Any) -> Any:
        """The node itself, or what its $ref points to, followed to the end."""
        for _ in range(32):
            if not is_mapping(node) or "$ref" not in node:
                return node
            ref = node["$ref"]
            try:
                node = self.at(ref_pointer(ref))
            except (LookupError, ValueError, TypeError) as error:
                raise LookupError(f"$ref {ref!r} leads nowhere") from error
        raise LookupError(f"$ref {node['$ref']!r} never ends")

    def operations(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(path, method in lower case, operation) in the document's order."""
        paths: dict[str, dict[str, Any]] = self.document.get("paths", {})
        return [(path, key, item[key]) for path, item in paths.items() for key in item if key in METHODS]


def ref_pointer(ref: Any) -> Pointer:
    """The parts of an internal reference; LookupError for any other."""
    if not isinstance(ref, str) or not ref.startswith("#/"):
        raise LookupError(f"$ref {ref!r} is not internal")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in ref[2:].split("/"))


def body_schema(bundle: Bundle, operation: dict[str, Any]) -> tuple[str, Any]:
    """Media type and schema of the request body; ("", {}) without one."""
    content = bundle.resolve(operation.get("requestBody", {})).get("content", {})
    for media, node in content.items():
        return media, node.get("schema", {})
    return "", {}


def body_example(bundle: Bundle, operation: dict[str, Any]) -> tuple[bool, Any]:
    """Whether the request body has an example, and the first one's value."""
    content = bundle.resolve(operation.get("requestBody", {})).get("content", {})
    for node in content.values():
        for example in node.get("examples", {}).values():
            return True, bundle.resolve(example).get("value")
        if "example" in node:
            return True, node["example"]
    return False, None
