"""Names in an event's params or among a product's free properties that the server keeps to itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from synerise_profiles_api.errors import InvalidRequestError

from .schema import schema_of

__all__ = ["refuse_reserved_names"]


def refuse_reserved_names(params: Mapping[str, Any], field: str) -> None:
    """Refuse names that the server would ignore or overwrite."""
    for name in schema_of("EventParams").reserved_names.intersection(params):
        problem = "is reserved for the system: the server ignores it; choose another name"
        raise InvalidRequestError(problem, field=f"{field}.{name}")
