"""A run from its arguments to its report: what is opened before, closed after, and raised in the end."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.rejection import Rejection
from synerise_profiles._batching.row_source import RowSource
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing

from .dead_letter import RejectionStore
from .engine import Engine
from .recorder import JournalProtocol, OutcomeRecorder
from .report import BulkStoppedError, Report
from .settings import BulkSettings

__all__ = ["open_run"]


@contextmanager
def open_run(
    batch_operation: BatchOperation,
    rows: object,
    arguments: Mapping[str, Any],
    policy: RetryPolicy,
    timing: Timing,
    journal_header: Mapping[str, Any],
) -> Generator[Engine]:
    """Prepare a run, let a driver drive it inside, and settle it; `subject` is what the journal knows it by."""
    settings = BulkSettings(**arguments)
    source = rows if isinstance(rows, RowSource) else None
    if source is not None:
        source.check(batch_operation.operation)
    journal = _open_journal(batch_operation, settings, journal_header)
    try:
        with RejectionStore[Rejection](settings.dead_letter) as spool:
            report = Report(operation=batch_operation.operation.name, rejection_store=spool)
            ledger = OutcomeRecorder(
                batch_operation, settings, report, journal, None if source is None else source.locate
            )
            engine = Engine(batch_operation, settings, ledger, timing, policy)
            try:
                yield engine
            except Exception as error:
                error.add_note(f"The run ended early: {report.summary()}")
                raise
            if engine.problem is not None:
                raise BulkStoppedError(engine.problem, report) from engine.error
    finally:
        if journal is not None:
            journal.close()


def _open_journal(
    batch_operation: BatchOperation, settings: BulkSettings, journal_header: Mapping[str, Any]
) -> JournalProtocol | None:
    if settings.journal is None:
        return None
    # Loads sqlite3, which a run without a journal does without.
    from .journal import Journal  # noqa: PLC0415

    # Whatever decides which rows go together: with other choices the chunks would be others.
    return Journal(
        settings.journal,
        {
            "operation": batch_operation.operation.name,
            "checks": settings.checks,
            "allow_null": sorted(settings.allow_null),
            "keep_duplicates": settings.keep_duplicates,
            **journal_header,
        },
    )
