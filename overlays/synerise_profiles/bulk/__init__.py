"""Batching for millions of rows: chunk, check, send, attribute, report. Reached by `client.bulk`."""

from __future__ import annotations

from .errors import BulkStoppedError, JournalMismatchError, RejectedRowsError
from .report import Missing, Progress, Rejection, Report, Verification
from .spool import read_dead_letter
from .surface import AsyncBulk, Bulk
from .unreadable import RowSource, UnreadableRow

__all__ = [
    "AsyncBulk",
    "Bulk",
    "BulkStoppedError",
    "JournalMismatchError",
    "Missing",
    "Progress",
    "RejectedRowsError",
    "Rejection",
    "Report",
    "RowSource",
    "UnreadableRow",
    "Verification",
    "read_dead_letter",
]
