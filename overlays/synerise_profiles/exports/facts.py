"""What the API document says of exports: the first field, the size of a page, and what a state means."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias

import attrs

from synerise_profiles._core.openapi import openapi_document
from synerise_profiles_api.api.exports import get_data

__all__ = ["ExportSpec", "StatusMeaning", "export_spec"]

StatusMeaning: TypeAlias = Literal["waiting", "ready", "failed"]
"""What a status tells: go on waiting, read the records, or give up."""


@attrs.frozen(kw_only=True)
class ExportSpec:
    """`meanings` has the states that are known to end an export, in capitals."""

    first_field: str
    page_size: int
    meanings: dict[str, StatusMeaning]


@cache
def export_spec() -> ExportSpec:
    """Read them once."""
    whole = openapi_document()
    openapi_document.cache_clear()
    schemas: dict[str, Any] = whole["components"]["schemas"]
    operation = get_data.OPERATION
    outcomes: dict[StatusMeaning, list[str]] = schemas["ExportState"]["x-outcomes"]
    return ExportSpec(
        first_field=schemas["ExportRequest"]["properties"]["fields"]["x-first-item"],
        page_size=whole["paths"][operation.path][operation.http_method.lower()]["x-page"]["size"],
        meanings={state: meaning for meaning, states in outcomes.items() for state in states},
    )
