"""A deprecated operation says what to call instead, or why there is nothing; and by when, if a date is known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.errors import Finding
from generator.rules.keys import is_date
from generator.spec.bundle import Bundle
from generator.spec.yaml_reader import Pointer, is_list


def has_replacement(bundle: Bundle) -> Iterator[Finding]:
    """Each replacement is an operationId of the bundle or a path of an operation outside of it."""
    ids = {node.get("operationId") for _, _, node in bundle.operations()}
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method)
        if node.get("deprecated"):
            yield from _replacements(bundle, pointer, node, ids)
            continue
        for key in ("x-replaced-by", "x-deprecated-reason"):
            if key in node:
                yield bundle.finding((*pointer, key), "deprecation", f"{key} is for deprecated operations only")


def _replacements(bundle: Bundle, pointer: Pointer, node: dict[str, Any], ids: set[Any]) -> Iterator[Finding]:
    names = node.get("x-replaced-by")
    if names is None:
        if not str(node.get("x-deprecated-reason") or "").strip():
            message = "a deprecated operation has x-replaced-by or x-deprecated-reason"
            yield bundle.finding((*pointer, "deprecated"), "deprecation", message)
        return
    at = (*pointer, "x-replaced-by")
    if not is_list(names) or not names:
        yield bundle.finding(at, "deprecation", "x-replaced-by is a list of operationIds or paths")
        return
    for name in names:
        if not (isinstance(name, str) and (name.startswith("/") or name in ids)):
            yield bundle.finding(at, "deprecation", f"{name!r} is neither an operationId here nor a path")
        elif name == node.get("operationId"):
            yield bundle.finding(at, "deprecation", "an operation cannot replace itself")


def has_sunset(bundle: Bundle) -> Iterator[Finding]:
    """x-sunset is an ISO date in text, on deprecated operations only."""
    for path, method, node in bundle.operations():
        if "x-sunset" not in node:
            continue
        pointer = ("paths", path, method, "x-sunset")
        if not node.get("deprecated"):
            yield bundle.finding(pointer, "deprecation", "x-sunset is for deprecated operations only")
        if not is_date(node["x-sunset"]):
            yield bundle.finding(pointer, "deprecation", f"x-sunset {node['x-sunset']!r} is no ISO date")
