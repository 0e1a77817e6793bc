"""What to use instead of a deprecated operation, as the document says it."""

from __future__ import annotations

from synerise_profiles_api.types import Operation

__all__ = ["replacement_text"]


def replacement_text(operation: Operation) -> str:
    """Say what to use instead of an operation, or why there is nothing."""
    if operation.replaced_by:
        return f"use {' or '.join(operation.replaced_by)}"
    return (operation.deprecated_reason or "").rstrip(".")
