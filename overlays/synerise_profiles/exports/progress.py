"""How far an export is, as the caller's function is told."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

__all__ = ["ExportProgress", "Stage"]

Stage: TypeAlias = Literal["waiting", "ready", "reading"]


@attrs.frozen(kw_only=True)
class ExportProgress:
    """Where an export stands.

    `task_id` is known from the first call on, which comes before any waiting: keep it, and the export can be resumed
    by another process. `status` is what the server told last, as it told it; None before the first look. `checks` is
    how often the status was asked for, `records` how many were read in this pass, `seconds` how long it took so far.
    """

    task_id: str
    stage: Stage
    status: str | None
    checks: int
    records: int
    seconds: float
