"""View models of identifiers: the fields that name a profile, with the patterns that they must match."""

from __future__ import annotations

import re
from dataclasses import dataclass

from generator.spec.bundle import Bundle
from generator.spec.composition import alternatives, kinds, parts, properties

_END = re.compile(r"(\\.|\[(?:[^\]\\]|\\.)*\])|\$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class IdentifierView:
    """One field: its name, its type, and what it must match, each pattern with its description."""

    name: str
    kind: str
    rules: list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class HolderView:
    """A schema that names a profile, with its identifiers in the order in which the server takes them."""

    schema: str
    identifiers: list[IdentifierView]


def holder_views(bundle: Bundle) -> list[HolderView]:
    """The schemas with x-identifiers, in the order of the spec."""
    found: list[HolderView] = []
    for schema, body in bundle.document.get("components", {}).get("schemas", {}).items():
        fields = properties(bundle, body)
        if "x-identifiers" in body:
            found.append(HolderView(schema, [_view(bundle, name, fields[name]) for name in body["x-identifiers"]]))
    return found


def python_pattern(pattern: str) -> str:
    """An ECMA pattern as Python reads it: the end is the very end, and not before a last line break too."""
    return _END.sub(lambda found: found[1] or r"\Z", pattern)


def _view(bundle: Bundle, name: str, field: object) -> IdentifierView:
    (branch,) = alternatives(bundle, field)
    rules = [
        (python_pattern(part["pattern"]), " ".join(part["description"].split()))
        for part in parts(bundle, branch)
        if "pattern" in part
    ]
    return IdentifierView(name, kinds(bundle, branch)[0], rules)
