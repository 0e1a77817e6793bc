"""A bulk run from its call to its end: the arguments that are refused, and the files that are opened and closed.

Nothing is touched before the arguments, the source and the journal are accepted. Whatever ends a run, its report is
attached to what is raised.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.deletion_audit import DeletionAudit
from synerise_profiles._batching.letters import LetterHead, letter_target
from synerise_profiles._batching.row_source import RowSource
from synerise_profiles._batching.verification import DeletionVerifier, Verifier
from synerise_profiles._core.error_chain import attach_report, endings
from synerise_profiles._core.files import refuse_same_files
from synerise_profiles._core.logging import LOGGER
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import counted, raised_text
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls
from synerise_profiles_api.errors import InvalidRequestError

from .dead_letter import RejectionStore, open_letters
from .engine import Engine
from .journal_protocol import JournalMismatchError, JournalProtocol
from .recorder import OutcomeRecorder
from .report import BulkStoppedError, Report
from .settings import BulkSettings

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation
    from synerise_profiles._core.config import Options

__all__ = ["open_run", "reported", "start_verification"]

_STAGE_WORDS: Final = {"check": "refused by the checks", "server": "refused by the server"}
_MAYBE_PERSONAL: Final = re.compile(r"@|\d{5}|\d{3}[ -]\d{3}")
"""What no reason of a check holds, unless it quotes a name that the caller gave."""
_ROW_ERROR_NOTE: Final = (
    "A row that cannot be built costs itself alone if the generator catches the error and yields "
    "UnreadableRow(error.field, error.problem, reference=error.reference) in its place."
)


@contextmanager
def open_run(
    batch_operation: BatchOperation,
    rows: object,
    options: Mapping[str, Any],
    client_options: Options,
    timing: Timing,
    journal_header: Mapping[str, Any],
) -> Generator[Engine]:
    """Open the files of a run and close them after it; raise BulkStoppedError in the end if it stopped early.

    `journal_header` is what, beside the settings, another call with the same journal must have in common with this one.
    """
    settings, operation = BulkSettings(**options), batch_operation.operation
    if settings.allow_null:
        refuse_unknown_nulls(settings.allow_null, settings.allow_unknown, [batch_operation.schema])
    if settings.default_time is not None:
        settings.check_time(timing)
    source = rows if isinstance(rows, RowSource) else None
    letter_target = _check_files(settings, source)
    pace = None if settings.rate_budget is None else settings.open_pace(client_options.base_url)
    report = Report(operation=operation.name, unit=getattr(source, "unit", "row"))
    store = report.rejection_store
    if source is not None:
        with reported(report):  # it may read the beginning of a file
            source.check(operation)
    with ExitStack() as files:
        journal = _open_journal(batch_operation, settings, {"base_url": client_options.base_url, **journal_header})
        if journal is not None:
            files.callback(journal.close)
        audit = None if settings.audit is None else files.enter_context(DeletionAudit(settings.audit, timing.wall))
        # From here on the run is accepted, and files are touched.
        if letter_target is not None:
            head = LetterHead(
                operation=operation.name,
                arguments={**journal_header, **settings.letter_arguments()},
                mapping=getattr(source, "mapping_digest", None),
            )
            letters = open_letters(letter_target, settings.dead_letter_mode, head)
            report.add_notes(letters.notes)
            store.write_to(letters)
            report.dead_letter = letter_target
        are_ours = source is not None and type(source).__module__.startswith("synerise_profiles.")
        recorder = OutcomeRecorder(
            batch_operation, settings, report, journal, source, reasons_are_ours=are_ours, audit=audit
        )
        engine = Engine(
            batch_operation,
            settings,
            recorder,
            timing,
            client_options.retry,
            rows_are_fixed=isinstance(rows, list | tuple),
            pace=pace,
            outage=client_options.outage,
        )
        with reported(report):
            try:
                with _closing_store(store, report, source), _logged(engine, recorder, settings):
                    yield engine
            finally:
                if audit is not None:
                    recorder.write_audit(audit.sync)
            _raise_what_stopped(engine, recorder, store, engine.problem or recorder.problem or store.problem)


def _raise_what_stopped(
    engine: Engine, recorder: OutcomeRecorder, store: RejectionStore[Rejection], problem: str | None
) -> None:
    """Raise why a run ended early, if it did."""
    if recorder.journal_error is not None:
        raise recorder.journal_error
    if problem is None:
        return
    if engine.problem is None:  # it came when the file was closed
        LOGGER.info("%s: bulk run stopped (a file of it cannot be written)", engine.report.operation)
    error = BulkStoppedError(problem, engine.report, too_many_rejected=problem == recorder.limit_problem)
    raise error from engine.error or recorder.audit_error or store.error


@contextmanager
def reported(report: Report) -> Generator[None]:
    """Attach the report to whatever is raised inside, and to what an event loop cancelled its tasks for."""
    handled = sys.exception()
    try:
        yield
    except BaseException as error:
        for ending in endings(error, handled):
            attach_report(ending, report)
        raise


def start_verification(engine: Engine, operation: BatchOperation, timing: Timing) -> Verifier | DeletionVerifier | None:
    """Begin to read a sample of a run back, where that was asked for and the run came to an end."""
    sample, settings = engine.sample, engine.settings
    if sample is None or engine.problem is not None:
        return None
    concurrency, within = settings.concurrency, settings.verify_within
    if operation.schema is None:
        names = operation.identifiers
        return DeletionVerifier(sample, names, concurrency=concurrency, within=within, timing=timing)
    return Verifier(sample, operation.schema, concurrency=concurrency, within=within, timing=timing)


@contextmanager
def _logged(engine: Engine, recorder: OutcomeRecorder, settings: BulkSettings) -> Generator[None]:
    """Log the start of a run, and its end with its counts."""
    with_files = [name for name in ("journal", "dead_letter") if getattr(settings, name) is not None]
    LOGGER.info(
        "%s: bulk run started, up to %d request%s at a time%s",
        engine.report.operation,
        settings.concurrency,
        "" if settings.concurrency == 1 else "s",
        f", with {' and '.join(with_files)}" if with_files else "",
    )
    problem: str | None = None
    try:
        yield
        problem = engine.problem
    except BaseException as error:
        problem = raised_text(error)
        raise
    finally:
        if LOGGER.isEnabledFor(logging.INFO):
            if recorder.journal_error is not None or engine.report.rejection_store.problem is not None:
                problem = "the journal or the dead letters cannot be written"  # the error's text may hold a path
            _log_end(engine.report, recorder.first_reasons, problem)


def _log_end(report: Report, first_reasons: Sequence[str], problem: str | None) -> None:
    # Not the summary, which gives reasons that may hold what a caller or a server wrote.
    found = ((stage, count) for stage, count in report.by_stage.items() if count)
    stages = "".join(f", {count:,} {_STAGE_WORDS.get(stage, stage)}" for stage, count in found)
    counts = f"{counted(report.read, 'row')} read, {report.accepted:,} accepted{stages}"
    parts = [f"{counts}, in {report.seconds:,.1f} s ({report.rows_per_second:,.0f} rows/s)"]
    parts.append(f"{counted(report.requests, 'request')}, {report.retries:,} of them retries")
    if report.resumed:
        parts.append(f"{counted(report.resumed, 'row')} settled by an earlier run")
    reasons = [reason for reason in dict.fromkeys(first_reasons) if not _MAYBE_PERSONAL.search(reason)]
    if reasons:
        parts.append(f"the checks say: {'; '.join(reasons)}")
    ending = "ended" if problem is None else f"stopped ({problem})"
    LOGGER.info("%s: bulk run %s: %s", report.operation, ending, "; ".join(parts))


@contextmanager
def _closing_store(store: RejectionStore[Rejection], report: Report, source: RowSource | None) -> Generator[None]:
    """Close the dead-letter file of a run, and add the notes of its source to the report, however it ends.

    After a run that was refused, the file that was there stays as it was.
    """
    is_kept = True
    try:
        yield
    except BaseException as error:
        is_kept = report.read > 0 and not isinstance(error, JournalMismatchError)
        if source is None and isinstance(error, InvalidRequestError):
            error.add_note(_ROW_ERROR_NOTE)
        raise
    finally:
        if notes := getattr(source, "notes", None):
            report.add_notes(notes)
        store.close(is_kept=is_kept)


def _check_files(settings: BulkSettings, source: RowSource | None) -> Path | None:
    """Refuse files that cannot be written, or that are one; return that of the dead letters. Nothing is touched."""
    targets = settings.written_files()
    if not targets:
        return None
    refuse_same_files(targets, {"the file that the rows are read from": getattr(source, "input_id", None)})
    if settings.dead_letter is not None:
        letter_target(settings.dead_letter, "dead_letter", is_appended=settings.dead_letter_mode == "append")
    return targets.get("dead_letter")


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
            "allow_unknown": sorted(settings.allow_unknown),
            "keep_duplicates": settings.keep_duplicates,
            "ordered": settings.ordered,
            "default_time": settings.default_time,
            **journal_header,
        },
    )
