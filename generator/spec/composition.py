"""Schema composition: what a schema comes to once $ref, allOf and null alternatives are resolved."""

from __future__ import annotations

import json
from typing import Any

from generator.spec.bundle import Bundle
from generator.spec.yaml_reader import is_mapping

Schema = dict[str, Any]


def parts(bundle: Bundle, schema: Any) -> list[Schema]:
    """The schema and all it is composed of by $ref and allOf, base first."""
    node = bundle.resolve(schema)
    if not is_mapping(node):
        return []
    found = [part for child in node.get("allOf", []) for part in parts(bundle, child)]
    return [*found, node]


def alternatives(bundle: Bundle, schema: Any) -> list[Schema]:
    """The branches of oneOf and anyOf, the null one left out; the schema alone when it has none."""
    node: Schema = bundle.resolve(schema)
    branches = [*node.get("oneOf", []), *node.get("anyOf", [])]
    return [found for branch in branches for found in alternatives(bundle, branch) if found.get("type") != "null"] or [
        node
    ]


def kinds(bundle: Bundle, schema: Any) -> list[str]:
    """The `type` words of the schema, null left out."""
    found: list[str] = []
    for part in parts(bundle, schema):
        word = part.get("type", [])
        found.extend(name for name in ([word] if isinstance(word, str) else word) if name not in (*found, "null"))
    return found


def properties(bundle: Bundle, schema: Any) -> dict[str, Any]:
    """Declared properties over all parts and alternatives."""
    found: dict[str, Any] = {}
    for branch in alternatives(bundle, schema):
        for part in parts(bundle, branch):
            found.update(part.get("properties", {}))
    return found


def required(bundle: Bundle, schema: Any) -> set[str]:
    """Names that every alternative requires."""
    sets: list[set[str]] = [
        {name for part in parts(bundle, branch) for name in part.get("required", [])}
        for branch in alternatives(bundle, schema)
    ]
    return sets[0].intersection(*sets[1:])


def required_choices(bundle: Bundle, schema: Any) -> set[str]:
    """Names of which at least one is required, by a doubly negated `anyOf` that lists no values."""
    found: set[str] = set()
    for part in parts(bundle, schema):
        choices = part.get("not", {}).get("not", {}).get("anyOf", [])
        if not any("enum" in field for choice in choices for field in choice.get("properties", {}).values()):
            found.update(name for choice in choices for name in choice.get("required", []))
    return found


def items(bundle: Bundle, schema: Any) -> Any:
    """The schema of an array's items; an empty schema when nothing is said."""
    for branch in alternatives(bundle, schema):
        for part in reversed(parts(bundle, branch)):
            if "items" in part:
                return part["items"]
    return {}


def is_free_form(bundle: Bundle, schema: Any) -> bool:
    """Whether keys beyond the declared ones are part of the schema's purpose."""
    for branch in alternatives(bundle, schema):
        found = parts(bundle, branch)
        if any(part.get("additionalProperties") not in (None, False) for part in found):
            return True
        closed = any(part.get("additionalProperties") is False for part in found)
        if not closed and not any(part.get("properties") for part in found):
            return True
    return False


def type_text(bundle: Bundle, schema: Any) -> str:
    """The type as the reference would print it, such as `array<string>` or `enum<"A", "B">`."""
    texts: list[str] = []
    for branch in alternatives(bundle, schema):
        text = _branch_text(bundle, branch)
        if text not in texts:
            texts.append(text)
    return " | ".join(texts)


def _branch_text(bundle: Bundle, schema: Schema) -> str:
    for part in parts(bundle, schema):
        if "enum" in part:
            return _enum_text([value for value in part["enum"] if value is not None], is_open=False)
        if "const" in part:
            return _enum_text([part["const"]], is_open=False)
        if "x-known-values" in part:
            return _enum_text(part["x-known-values"], is_open=True)
    names = kinds(bundle, schema)
    if not names and properties(bundle, schema):
        names = ["object"]
    if names == ["array"]:
        inner = type_text(bundle, items(bundle, schema))
        return f"array<{'object' if inner == 'any' else inner}>"
    return " | ".join(names) or "any"


def _enum_text(values: list[Any], *, is_open: bool) -> str:
    words = [json.dumps(value, ensure_ascii=False) for value in values]
    return f"enum<{', '.join([*words, '…'] if is_open else words)}>"
