"""Who may call an operation, and that the authentication it asks for fits them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from generator.errors import Finding
from generator.spec.bundle import Bundle
from generator.spec.consumers import CONSUMERS
from generator.spec.yaml_reader import is_list

BEARER_ONLY: list[dict[str, list[Any]]] = [{"bearer": []}]


def consumers_are_known(bundle: Bundle) -> Iterator[Finding]:
    """x-synerise-consumers is there (but where nobody has to sign in), without repeats or unknown names."""
    known = set(CONSUMERS.values())
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method, "x-synerise-consumers")
        consumers = node.get("x-synerise-consumers")
        if consumers is None and node.get("security") == []:
            continue
        if not is_list(consumers) or not consumers:
            yield bundle.finding(pointer, "consumers", "x-synerise-consumers is missing or empty")
            continue
        for name in consumers:
            if name not in known:
                yield bundle.finding(pointer, "consumers", f"unknown consumer {name!r}")
        if len(consumers) != len({str(name) for name in consumers}):
            yield bundle.finding(pointer, "consumers", "a consumer is listed twice")


def scheme_fits_consumers(bundle: Bundle) -> Iterator[Finding]:
    """Basic belongs to the workspace: where it may not call, only Bearer is left."""
    for path, method, node in bundle.operations():
        pointer = ("paths", path, method, "security")
        consumers = node.get("x-synerise-consumers")
        if not is_list(consumers) or not consumers:
            continue
        if "workspace" in consumers:
            if "security" in node and node["security"] != []:
                yield bundle.finding(pointer, "security", "with a workspace among the consumers the root decides")
        elif node.get("security") != BEARER_ONLY:
            yield bundle.finding(pointer, "security", "without a workspace among the consumers only bearer is left")
