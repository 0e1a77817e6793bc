"""The OpenAPI document that ships in the package: facts that `Operation` does not carry are read from it."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

__all__ = ["openapi_document"]


@cache
def openapi_document() -> dict[str, Any]:
    """Return the whole document. It is large: call `cache_clear()` on this function once what is needed is kept."""
    from importlib import resources  # noqa: PLC0415 - a client may do without the document

    file = resources.files("synerise_profiles_api") / "openapi.json"
    found: dict[str, Any] = orjson.loads(file.read_bytes())
    return found
