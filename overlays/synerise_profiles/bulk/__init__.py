"""Bulk runs: any number of rows in batches, checked, retried, and each with its fate. Reached by `client.bulk`."""

from __future__ import annotations

from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.row_source import RowSource, UnreadableRow
from synerise_profiles._batching.verification_result import DeletionVerification, Missing, Remaining, Verification

from .client import AsyncBulk, Bulk
from .dry_runs import dry_run
from .journal_protocol import JournalError, JournalMismatchError
from .letter_reader import read_dead_letter
from .progress_bar import progress_bar
from .replay_report import OperationCounts, ReplayReport
from .report import (
    BulkStoppedError,
    Progress,
    ReasonCount,
    RejectedRowsError,
    Report,
    report_of,
)
from .settings import BatchArguments, BulkArguments, BulkSettings, DeletionArguments
from .timings import RatePoint, RunTimings, SlowBatch

__all__ = [
    "AsyncBulk",
    "BatchArguments",
    "Bulk",
    "BulkArguments",
    "BulkSettings",
    "BulkStoppedError",
    "DeletionArguments",
    "DeletionVerification",
    "JournalError",
    "JournalMismatchError",
    "Missing",
    "OperationCounts",
    "Progress",
    "RatePoint",
    "ReasonCount",
    "RejectedRowsError",
    "Rejection",
    "Remaining",
    "ReplayReport",
    "Report",
    "RowSource",
    "RunTimings",
    "SlowBatch",
    "UnreadableRow",
    "Verification",
    "dry_run",
    "progress_bar",
    "read_dead_letter",
    "report_of",
]
