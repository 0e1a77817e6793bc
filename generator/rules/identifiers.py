"""Identifiers: what x-identifiers names is there, and is a text or an integer."""

from __future__ import annotations

from collections.abc import Iterator

from generator.errors import Finding
from generator.spec.composition import alternatives, kinds, properties
from generator.spec.fragments import Bundle
from generator.spec.walk import schemas
from generator.spec.yaml_reader import is_list


def are_fields(bundle: Bundle) -> Iterator[Finding]:
    """Each name is a property of the schema, listed once, that holds a text or an integer."""
    for node in schemas(bundle):
        names = node.schema.get("x-identifiers")
        if not is_list(names):
            continue
        fields, at = properties(bundle, node.schema), (*node.pointer, "x-identifiers")
        if len(set(map(str, names))) < len(names):
            yield bundle.finding(at, "x-identifiers", "an identifier is listed twice")
        for name in map(str, names):
            if name not in fields:
                yield bundle.finding(at, "x-identifiers", f"{name} is no property of the schema")
            elif [kinds(bundle, branch) for branch in alternatives(bundle, fields[name])] not in _KINDS:
                yield bundle.finding(at, "x-identifiers", f"{name} is neither a text nor an integer")


_KINDS = ([["string"]], [["integer"]])
