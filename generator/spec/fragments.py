"""Load the fragments of spec/ and merge them into one document; a key that stands twice is an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generator.errors import Finding, GeneratorFailure
from generator.spec.bundle import ROOT_FILE, Bundle
from generator.spec.yaml_reader import LoadedFile, Location, Pointer, is_mapping, load_yaml

DEVIATIONS_FILE = "deviations.yaml"
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


@dataclass(slots=True)
class _Merger:
    document: dict[str, Any] = field(default_factory=dict[str, Any])
    lines: dict[Pointer, Location] = field(default_factory=dict[Pointer, Location])
    findings: list[Finding] = field(default_factory=list[Finding])

    def refuse(self, place: Location, message: str) -> None:
        self.findings.append(Finding(place.file, place.line, "merge", message))

    def add_root(self, loaded: LoadedFile) -> None:
        for key in loaded.value:
            if key not in ROOT_KEYS and not key.startswith("x-"):
                self.refuse(loaded.lines[(key,)], f"unexpected top-level key {key!r}")
            elif key not in ("paths", "components"):
                self.put((key,), loaded)
        self.lines[()] = loaded.lines[()]

    def add_fragment(self, loaded: LoadedFile) -> None:
        for key, value in loaded.value.items():
            place = loaded.lines[(key,)]
            if key == "paths":
                self.add_keys(("paths",), value, loaded)
            elif key == "components":
                self.add_sections(value, loaded)
            else:
                self.refuse(place, f"unexpected top-level key {key!r}; a fragment has paths and components only")

    def add_sections(self, sections: Any, loaded: LoadedFile) -> None:
        if not is_mapping(sections):
            self.refuse(loaded.lines[("components",)], "components must be a mapping")
            return
        for section, value in sections.items():
            if section in SECTIONS:
                self.add_keys(("components", section), value, loaded)
            else:
                self.refuse(loaded.lines[("components", section)], f"unexpected key {section!r} in components")

    def add_keys(self, parent: Pointer, value: Any, loaded: LoadedFile) -> None:
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

    def put(self, pointer: Pointer, loaded: LoadedFile) -> None:
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
    findings = sorted([*failures, *merger.findings, *_strays(spec_dir, names)])
    if findings:
        raise GeneratorFailure(findings)
    return Bundle(merger.ordered(), merger.lines)


def _strays(spec_dir: Path, read: list[Path]) -> list[Finding]:
    """Files that look like fragments and are not read: in another folder, or with another ending."""
    known = {spec_dir / ROOT_FILE, spec_dir / DEVIATIONS_FILE, *read}
    found = (path for path in spec_dir.rglob("*") if path.suffix.lower() in (".yaml", ".yml", ".json"))
    message = "is not read: a fragment is paths/NAME.yaml or components/NAME.yaml"
    return [
        Finding(f"{spec_dir.name}/{path.relative_to(spec_dir).as_posix()}", 1, "fragment", message)
        for path in sorted(found)
        if path not in known
    ]


def load_file(path: Path, file: str) -> LoadedFile:
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
