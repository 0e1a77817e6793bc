"""Batching for millions of rows: chunk, check, send, attribute, report. Reached by `client.bulk`."""

from __future__ import annotations

from .errors import BulkStoppedError, JournalMismatchError, RejectedRowsError
from .report import Progress, Rejection, Report
from .spool import read_dead_letter
from .surface import AsyncBulk, Bulk

__all__ = [
    "AsyncBulk",
    "Bulk",
    "BulkStoppedError",
    "JournalMismatchError",
    "Progress",
    "RejectedRowsError",
    "Rejection",
    "Report",
    "read_dead_letter",
]
