"""Python names that would collide: fields of a model, arguments of a method, modules of models, client members."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from generator.errors import Finding
from generator.spec.bundle import Bundle
from generator.spec.composition import properties
from generator.spec.yaml_reader import Pointer
from generator.upstream import class_name, module_name, python_name
from generator.views.operations import camel_case

_ARGUMENTS = ("self", "body")
_IMPORTED = re.compile(r"^\s*(?:from (?!\.+models)[\w.]+ )?import \(?([\w, ]+)", re.MULTILINE)
_MADE = re.compile(r"^    (?:def (\w+)\(|(\w+): )", re.MULTILINE)


def name_findings(bundle: Bundle, templates: Path) -> list[Finding]:
    """Every collision, with the place of the later name in the spec."""
    return sorted(
        {*_fields(bundle, templates), *_models(bundle, templates), *_arguments(bundle), *_resources(bundle, templates)}
    )


def _fields(bundle: Bundle, templates: Path) -> Iterator[Finding]:
    members = _class_members(templates / "runtime" / "encoding.py", "Model") | _made_members(templates)
    for name, schema in _schemas(bundle).items():
        pointer = ("components", "schemas", name)
        seen: dict[str, str] = {}
        for wire in properties(bundle, schema):
            made, place = python_name(wire), _property_place(bundle, pointer, wire)
            if not re.search(r"[A-Za-z0-9]", wire) or wire.startswith("__"):
                yield bundle.finding(place, "name", f"property {wire!r} of {name} makes no Python name")
            elif made in seen:
                message = f"properties {seen[made]!r} and {wire!r} of {name} would both be {made} in Python"
                yield bundle.finding(place, "name", message)
            elif made in members:
                yield bundle.finding(place, "name", f"property {wire!r} of {name} would hide {made} of every model")
            seen.setdefault(made, wire)


def _models(bundle: Bundle, templates: Path) -> Iterator[Finding]:
    taken = _imported_names(templates)
    modules: dict[str, str] = {}
    for name in _schemas(bundle):
        pointer, module = ("components", "schemas", name), module_name(name)
        if module in modules:
            message = f"schemas {modules[module]} and {name} would share the module models/{module}.py"
            yield bundle.finding(pointer, "name", message)
        elif class_name(name) in taken:
            message = f"schema {name} would hide what generated modules import as {class_name(name)}"
            yield bundle.finding(pointer, "name", message)
        modules.setdefault(module, name)


def _arguments(bundle: Bundle) -> Iterator[Finding]:
    for path, method, operation in bundle.operations():
        seen: dict[str, str] = dict.fromkeys(_ARGUMENTS, "a method's own argument")
        shared: list[Any] = bundle.document["paths"][path].get("parameters", [])
        for item in (*shared, *operation.get("parameters", [])):
            parameter = bundle.resolve(item)
            if parameter["in"] == "header":
                continue
            made = python_name(parameter["name"])
            if made in seen:
                message = f"parameter {parameter['name']} would be the argument {made}, like {seen[made]}"
                yield bundle.finding(("paths", path, method), "name", message)
            seen.setdefault(made, f"parameter {parameter['name']}")


def _resources(bundle: Bundle, templates: Path) -> Iterator[Finding]:
    package = templates.parent / "synerise_profiles"
    members = {
        name
        for module, owner in (("client.py", "Synerise"), ("_features.py", "ClientExtensions"))
        for name in _class_members(package / module, owner)
    }
    for path, method, operation in bundle.operations():
        resource = str(operation["x-sdk"]["resource"])
        if resource in members and not _is_extended(package / resource, camel_case(resource)):
            message = f"resource {resource} would hide client.{resource}, which is no operation"
            yield bundle.finding(("paths", path, method, "x-sdk"), "name", message)


def _schemas(bundle: Bundle) -> dict[str, Any]:
    found: dict[str, Any] = bundle.document.get("components", {}).get("schemas", {})
    return found


def _property_place(bundle: Bundle, pointer: Pointer, wire: str) -> Pointer:
    """Where the property stands: in the schema itself or in a part of it, else the schema."""
    parts = (pointer, *((*pointer, "allOf", str(at)) for at in range(len(bundle.at(pointer).get("allOf", [])))))
    places = ((*part, "properties", wire) for part in parts)
    return next((place for place in places if place in bundle.lines), pointer)


def _class_members(path: Path, owner: str) -> set[str]:
    """Public names of a class, from its text; none where there is no such file."""
    if not path.is_file():
        return set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    owners = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == owner)
    names: set[str] = set()
    for node in (node for found in owners for node in found.body):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def _made_members(templates: Path) -> set[str]:
    """What the template of a model defines in each of them."""
    text = (templates / "model.py.jinja").read_text(encoding="utf-8")
    return {name for names in _MADE.findall(text) for name in names if name and not name.startswith("_")}


def _imported_names(templates: Path) -> set[str]:
    """Names with a capital that the templates' own code imports or defines."""
    texts = [path.read_text(encoding="utf-8") for path in templates.glob("*.jinja")]
    found = {name.strip() for text in texts for names in _IMPORTED.findall(text) for name in names.split(",")}
    return {name for name in found if name[:1].isupper()}


def _is_extended(package: Path, resource: str) -> bool:
    """Whether a feature of that name is the resource with more methods."""
    pattern = re.compile(rf"^class \w+\((?:\w+\.)?{resource}\b", re.MULTILINE)
    return any(pattern.search(path.read_text(encoding="utf-8")) for path in package.glob("*.py"))
