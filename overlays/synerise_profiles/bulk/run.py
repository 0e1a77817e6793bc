"""A run from its arguments to its report: what is opened before, closed after, and raised in the end."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

from synerise_profiles._batching.operations import Kind
from synerise_profiles._batching.rejection import Rejection
from synerise_profiles._batching.row_source import RowSource
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing

from .dead_letter import Spool
from .engine import Engine
from .recorder import JournalPort, Ledger
from .report import BulkStoppedError, Report
from .settings import Settings

__all__ = ["run"]


@contextmanager
def run(
    kind: Kind,
    rows: object,
    arguments: Mapping[str, Any],
    policy: RetryPolicy,
    timing: Timing,
    subject: Mapping[str, Any],
) -> Generator[Engine]:
    """Prepare a run, let a driver drive it inside, and settle it; `subject` is what the journal knows it by."""
    settings = Settings(**arguments)
    source = rows if isinstance(rows, RowSource) else None
    if source is not None:
        source.check(kind.operation)
    journal = _journal(kind, settings, subject)
    try:
        with Spool[Rejection](settings.dead_letter) as spool:
            report = Report(operation=kind.operation.name, spool=spool)
            ledger = Ledger(kind, settings, report, journal, None if source is None else source.locate)
            engine = Engine(kind, settings, ledger, timing, policy)
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


def _journal(kind: Kind, settings: Settings, subject: Mapping[str, Any]) -> JournalPort | None:
    if settings.journal is None:
        return None
    # Loads sqlite3, which a run without a journal does without.
    from .journal import Journal  # noqa: PLC0415

    # Whatever decides which rows go together: with other choices the chunks would be others.
    return Journal(
        settings.journal,
        {
            "operation": kind.operation.name,
            "checks": settings.checks,
            "allow_null": sorted(settings.allow_null),
            "keep_duplicates": settings.keep_duplicates,
            **subject,
        },
    )
