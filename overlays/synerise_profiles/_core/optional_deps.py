"""Optional dependencies: how one is imported, and the error that says which extra installs it."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["import_pyarrow", "missing_dependency_error"]


def missing_dependency_error(error: ModuleNotFoundError, extra: str, purpose: str) -> ModuleNotFoundError:
    """Return the error that says how to install what is missing."""
    hint = f"{purpose} needs {error.name}; install it with: pip install 'synerise-profiles[{extra}]'"
    return ModuleNotFoundError(hint, name=error.name)


def import_pyarrow(extra: str = "arrow") -> Any:
    """Return pyarrow, which has no types of its own; `extra` is what an error says to install."""
    try:
        return import_module("pyarrow")
    except ModuleNotFoundError as error:
        raise missing_dependency_error(error, extra, "Arrow") from error
