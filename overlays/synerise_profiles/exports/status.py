"""The status of an export: what the API document says it means, and the progress that is reported to the caller.

The statuses are an open set. Those that end an export are listed in the document; any other one means to wait.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Literal, TypeAlias

import attrs

from synerise_profiles._core.openapi import openapi_document
from synerise_profiles_api.api.exports import get_data
from synerise_profiles_api.names import HintsNames

__all__ = ["ExportProgress", "ExportSpec", "Stage", "StatusMeaning", "export_spec"]

Stage: TypeAlias = Literal["waiting", "ready", "reading"]
StatusMeaning: TypeAlias = Literal["waiting", "ready", "failed"]
"""What a status means: go on waiting, read the records, or give up."""


@attrs.frozen(kw_only=True)
class ExportProgress(HintsNames):
    """How far an export is: what the caller's `progress` function is given.

    `task_id` is known from the first call on, which comes before any waiting: keep it, and the export can be resumed
    by another process. `status` is the last one, as the server wrote it; None before the first check. `checks` is how
    often the status was asked for, `records` how many were read in this pass, `seconds` how long it took so far.
    """

    task_id: str
    stage: Stage
    status: str | None
    checks: int
    records: int
    seconds: float


@attrs.frozen(kw_only=True)
class ExportSpec:
    """What the API document says of exports: the field that must come first, the usual size of a page, statuses.

    `meanings` has the statuses that are known to end an export, in capitals.
    """

    first_field: str
    page_size: int
    meanings: dict[str, StatusMeaning]


@cache
def export_spec() -> ExportSpec:
    """Return what the document says. It is read once, and only what is needed of it is kept."""
    whole = openapi_document()
    openapi_document.cache_clear()
    schemas: dict[str, Any] = whole["components"]["schemas"]
    operation = get_data.OPERATION
    outcomes: dict[StatusMeaning, list[str]] = schemas["ExportState"]["x-outcomes"]
    return ExportSpec(
        first_field=schemas["ExportRequest"]["properties"]["fields"]["not"]["not"]["prefixItems"][0]["const"],
        page_size=whole["paths"][operation.path][operation.http_method.lower()]["x-page"]["size"],
        meanings={status: meaning for meaning, statuses in outcomes.items() for status in statuses},
    )
