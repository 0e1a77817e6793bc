"""Every operation, by name; loading one loads its module alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from types import ModuleType

from .settings import OPERATIONS as NAMES
from .types import Operation

__all__ = ["NAMES", "all_operations", "load"]


def load(resource: str, method: str) -> ModuleType:
    """Return the module of an operation: it has `OPERATION`, `request` and `parse`."""
    if (resource, method) not in NAMES:
        raise LookupError(f"no operation {resource}.{method}")
    return import_module(f".api.{resource}.{method}", __package__)


def all_operations() -> Iterator[Operation]:
    """Yield the facts of every operation, in the order of the spec."""
    for resource, method in NAMES:
        operation: Operation = load(resource, method).OPERATION
        yield operation
