"""Load the fragments of spec/ and merge them into one document; a key that stands twice is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.errors import Finding, GeneratorFailure
from generator.spec.yaml_reader import Loaded, Place, Pointer, is_list, is_mapping, load_yaml

ROOT_FILE = "openapi.yaml"
ROOT_KEYS = ("openapi", "info", "servers", "tags", "security", "externalDocs", "paths", "components")
SECTIONS = (
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
)
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@dataclass(frozen=True, slots=True)
class Bundle:
    """The merged document, and the place of each of its nodes by JSON pointer."""

    document: dict[str, Any]
    lines: dict[Pointer, Place]

    def where(self, pointer: Pointer) -> Place:
        """The place of the node, or of the nearest one around it."""
        while pointer and pointer not in self.lines:
            pointer = pointer[:-1]
        return self.lines.get(pointer, Place("spec/" + ROOT_FILE, 1))

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


@dataclass(slots=True)
class _Merger:
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[Pointer, Place] = field(default_factory=dict[Pointer, Place])
    findings: list[Finding] = field(default_factory=list[Finding])

    def refuse(self, place: Place, message: str) -> None:
        self.findings.append(Finding(place.file, place.line, "merge", message))

    def add_root(self, loaded: Loaded) -> None:
        for key in loaded.value:
            if key not in ROOT_KEYS and not key.startswith("x-"):
                self.refuse(loaded.lines[(key,)], f"unexpected top-level key {key!r}")
            elif key not in ("paths", "components"):
                self.put((key,), loaded)
        self.lines[()] = loaded.lines[()]

    def add_fragment(self, loaded: Loaded) -> None:
        for key, value in loaded.value.items():
            place = loaded.lines[(key,)]
            if key == "paths":
                self.add_keys(("paths",), value, loaded)
            elif key == "components":
                self.add_sections(value, loaded)
            else:
                self.refuse(place, f"unexpected top-level key {key!r}; a fragment has paths and components only")

    def add_sections(self, sections: Any, loaded: Loaded) -> None:
        if not is_mapping(sections):
            self.refuse(loaded.lines[("components",)], "components must be a mapping")
            return
        for section, value in sections.items():
            if section in SECTIONS:
                self.add_keys(("components", section), value, loaded)
            else:
                self.refuse(loaded.lines[("components", section)], f"unexpected key {section!r} in components")

    def add_keys(self, parent: Pointer, value: Any, loaded: Loaded) -> None:
        if not is_mapping(value):
            self.refuse(loaded.lines[parent], f"{'/'.join(parent)} must be a mapping")
            return
        for key in value:
            pointer = (*parent, key)
            if pointer in self.lines:
                first = self.lines[pointer]
                message = f"{'/'.join(pointer)} is repeated; first in {first.file}:{first.line}"
                self.refuse(loaded.lines[pointer], message)
            else:
                self.put(pointer, loaded)

    def put(self, pointer: Pointer, loaded: Loaded) -> None:
        source: Any = loaded.value
        target: dict[str, Any] = self.document
        for part in pointer[:-1]:
            source = source[part]
            target = target.setdefault(part, {})
        target[pointer[-1]] = source[pointer[-1]]
        size = len(pointer)
        self.lines.update({key: place for key, place in loaded.lines.items() if key[:size] == pointer})

    def ordered(self) -> dict[str, Any]:
        """Root keys in the root file's order, then paths, then the components' sections in a fixed order."""
        components = self.document.pop("components", {})
        paths = self.document.pop("paths", {})
        self.document["paths"] = paths
        self.document["components"] = {name: components[name] for name in SECTIONS if name in components}
        return self.document


def load_fragments(spec_dir: Path) -> Bundle:
    """Merge openapi.yaml, paths/*.yaml and components/*.yaml, each folder sorted by name."""
    merger = _Merger()
    failures: list[Finding] = []
    names = sorted((*spec_dir.glob("paths/*.yaml"), *spec_dir.glob("components/*.yaml")), key=_order)
    for path in (spec_dir / ROOT_FILE, *names):
        file = f"{spec_dir.name}/{path.relative_to(spec_dir).as_posix()}"
        try:
            loaded = load_file(path, file)
        except GeneratorFailure as failure:
            failures.extend(failure.findings)
            continue
        if path.name == ROOT_FILE and path.parent == spec_dir:
            merger.add_root(loaded)
            loaded.value = {key: value for key, value in loaded.value.items() if key in ("paths", "components")}
        merger.add_fragment(loaded)
    findings = sorted([*failures, *merger.findings])
    if findings:
        raise GeneratorFailure(findings)
    return Bundle(merger.ordered(), merger.lines)


def load_file(path: Path, file: str) -> Loaded:
    """Read a file that holds one mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise GeneratorFailure([Finding(file, 1, "yaml", f"cannot be read: {type(error).__name__}")]) from error
    loaded = load_yaml(text, file)
    if loaded.value is None:
        loaded.value = {}
    if not is_mapping(loaded.value):
        raise GeneratorFailure([Finding(file, 1, "yaml", "the file must hold one mapping")])
    return loaded


def _order(path: Path) -> tuple[bool, str]:
    """Paths come before components; within a folder by name, the same on every system."""
    return path.parent.name != "paths", path.name
