"""References lead somewhere, and nothing stands in the components that no operation leads to."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Finding
from generator.spec.fragments import Bundle
from generator.spec.walk import reachable, references


def resolve(bundle: Bundle) -> Iterator[Finding]:
    """Every $ref is internal and ends at something that is no reference."""
    for pointer, ref in references(bundle.document):
        try:
            bundle.resolve({"$ref": ref})
        except LookupError as error:
            yield bundle.finding(pointer, "ref", str(error.args[0]))


def are_used(bundle: Bundle) -> Iterator[Finding]:
    """Every component is reached from the paths; a security scheme from a `security` list."""
    used = reachable(bundle, [bundle.document.get("paths", {})])
    lists = [bundle.document.get("security", []), *(node.get("security", []) for _, _, node in bundle.operations())]
    schemes = {name for requirements in lists for requirement in requirements for name in requirement}
    for section, components in bundle.document.get("components", {}).items():
        for name in components:
            pointer = ("components", section, name)
            if not (name in schemes if section == "securitySchemes" else pointer in used):
                yield bundle.finding(pointer, "unused", f"{section}/{name} is used by no operation")
