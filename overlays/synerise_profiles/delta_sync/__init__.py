"""Delta sync: sends only what changed in a table since the server confirmed it. Reached by `client.delta_sync`."""

from __future__ import annotations

from .client import AsyncDeltaSync, DeltaSync
from .ended_run import report_of
from .report import DeltaPlan, DeltaReport
from .settings import DeltaArguments, PlanArguments
from .state_errors import DeltaStateError, DeltaStateMismatchError

__all__ = [
    "AsyncDeltaSync",
    "DeltaArguments",
    "DeltaPlan",
    "DeltaReport",
    "DeltaStateError",
    "DeltaStateMismatchError",
    "DeltaSync",
    "PlanArguments",
    "report_of",
]
