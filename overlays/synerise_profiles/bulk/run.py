"""A bulk run from its call to its end: the arguments that are refused, and the files that are opened and closed.

Nothing is touched before the arguments, the source and the journal are accepted. Whatever ends a run, its report is
attached to what is raised.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from synerise_profiles._batching.deletion_audit import DeletionAudit
from synerise_profiles._batching.letter_lines import letter_target
from synerise_profiles._batching.letters import LetterHead
from synerise_profiles._batching.row_source import RowSource, rows_are_fixed
from synerise_profiles._batching.verification import DeletionVerifier, Verifier
from synerise_profiles._core.error_chain import ReportHolder, add_note, attach_report, endings, first_error
from synerise_profiles._core.files import refuse_same_files
from synerise_profiles._core.logging import LOGGER, outage_of
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import counted, raised_text
from synerise_profiles._validation.unknown_names import refuse_unknown_nulls, refuse_unknown_salts
from synerise_profiles_api.errors import InvalidRequestError

from .engine import Engine
from .journal_protocol import JournalMismatchError, JournalProtocol
from .letter_file import LetterFile, open_letters
from .recorder import OutcomeRecorder
from .report import BulkStoppedError, Report, add_counts
from .settings import BulkSettings

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation
    from synerise_profiles._core.config import Options

__all__ = ["BulkRun", "LastSteps", "end_by"]

_MAX_LOGGED_FIELDS: Final = 5
_STAGE_WORDS: Final = {"check": "refused by the checks", "server": "refused by the server"}
_MAYBE_PERSONAL: Final = re.compile(r"@|\d{5}|\d{3}[ -]\d{3}")
"""What no reason of a check holds, unless it quotes a name that the caller gave."""
_ROW_ERROR_NOTE: Final = (
    "A row that cannot be built costs itself alone if the generator catches the error and yields "
    "UnreadableRow(error.field, error.problem, reference=error.reference) in its place."
)


class LastSteps:
    """The steps that end a run, in their order. Each gets what ended it, None for a run that came to its end."""

    def __init__(self, *steps: Callable[[BaseException | None], None]) -> None:
        self._left = list(reversed(steps))

    def do(self, error: BaseException | None) -> None:
        """Do those that are left; what one raises is raised, and a second call begins with it."""
        while self._left:
            self._left[-1](error)
            self._left.pop()

    def do_all(self, error: BaseException) -> None:
        """Do those that are left; what raises an Exception twice, such as a file that cannot be closed, is left out."""
        failed: object = None
        while self._left:
            try:
                self.do(error)
            except Exception:  # noqa: BLE001 - what ended the run is raised
                if self._left and self._left[-1] is failed:
                    self._left.pop()
                failed = self._left[-1] if self._left else None


class BulkRun:
    """A run from the moment at which its arguments are accepted to its end, whatever ends it.

    Making it refuses the arguments that cannot work; `open` opens the files. What it has opened `close` closes at the
    end of a run that went well, and `end_by` after any exception, also one that cut into `close`: each step of closing
    is done again until it was done once. Should one after the other cut into that, `holder`, by which each of them
    holds the report, does the rest before it is handed out. `journal_header` is what, beside the settings, another call
    with the same journal must have in common with this one.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        rows: object,
        options: Mapping[str, Any],
        client_options: Options,
        timing: Timing,
        journal_header: Mapping[str, Any],
        holder: ReportHolder,
    ) -> None:
        self._handled = sys.exception()
        settings = self._settings = BulkSettings(**options)
        if settings.allow_null:
            refuse_unknown_nulls(settings.allow_null, settings.allow_unknown, [batch_operation.schema])
        if settings.salt is not None:
            refuse_unknown_salts(settings.salt, settings.checks, settings.allow_unknown, [batch_operation.schema])
        if settings.default_time is not None:
            settings.check_time(timing)
        source = self._source = rows if isinstance(rows, RowSource) else None
        self._letter_target = _check_files(settings, source)
        self._pace = None if settings.rate_budget is None else settings.open_pace(client_options.base_url)
        self._batch_operation, self._timing, self._client_options = batch_operation, timing, client_options
        self._journal_header, self._rows_are_fixed = journal_header, rows_are_fixed(rows)
        self._journal: JournalProtocol | None = None
        self._audit: DeletionAudit | None = None
        self._letters: LetterFile | None = None
        self._letter_problem: str | None = None
        self._opened: tuple[Engine, OutcomeRecorder] | None = None
        self._is_logged = self._is_noted = self._is_told = False
        files = (self._close_letters, self._sync_audit, self._add_notes, self._close_audit, self._close_journal)
        self._last_steps = LastSteps(self._end_engine, self._log_end, *files)
        self.report = Report(operation=batch_operation.operation.name, unit=getattr(source, "unit", "row"))
        self._holder, holder.report, holder.complete = holder, self.report, self._complete

    def open(self) -> Engine:
        """Open the files, and return what drives the run."""
        settings, report, source = self._settings, self.report, self._source
        if source is not None:
            source.check(self._batch_operation.operation)  # it may read the beginning of a file
        header = {"base_url": self._client_options.base_url, **self._journal_header}
        journal = self._journal = _open_journal(self._batch_operation, settings, header)
        audit = self._audit = None if settings.audit is None else DeletionAudit(settings.audit, self._timing.wall)
        # From here on the run is accepted, and files are touched.
        if self._letter_target is not None:
            self._open_letters(self._letter_target)
        are_ours = source is not None and type(source).__module__.startswith("synerise_profiles.")
        recorder = OutcomeRecorder(
            self._batch_operation, settings, report, journal, source, reasons_are_ours=are_ours, audit=audit
        )
        engine = Engine(
            self._batch_operation,
            settings,
            recorder,
            self._timing,
            self._client_options.retry,
            rows_are_fixed=self._rows_are_fixed,
            pace=self._pace,
            outage=partial(outage_of, self._client_options, self._timing.monotonic),
        )
        self._opened = engine, recorder
        _log_start(engine, settings)
        self._is_logged = True
        return engine

    def close(self) -> None:
        """Close the files of a run that came to its end; raise what stopped it, if that was early."""
        self._last_steps.do(None)
        self._holder.complete = None
        if self._opened is not None:
            engine, recorder = self._opened
            problem, at_end = engine.problem or recorder.problem or self._letter_problem, self._letter_problem
            if problem and at_end and at_end.startswith(problem):  # it says where they are, too
                problem = at_end
            _raise_what_stopped(engine, recorder, problem, "" if self._audit is None else self._audit.left_text)

    def start_verification(self) -> Verifier | DeletionVerifier | None:
        """Begin to read a sample of the run back, where that was asked for and the run came to an end."""
        engine = None if self._opened is None else self._opened[0]
        settings, operation = self._settings, self._batch_operation
        if engine is None or engine.sample is None or engine.problem is not None:
            return None
        concurrency, within = settings.concurrency, settings.verify_within
        if operation.schema is None:
            names = operation.identifiers
            return DeletionVerifier(engine.sample, names, concurrency=concurrency, within=within, timing=self._timing)
        return Verifier(engine.sample, operation.schema, concurrency=concurrency, within=within, timing=self._timing)

    def call_on_finish(self) -> object:
        """Call the caller's function with the report, once, if the run was accepted; return what it returned."""
        function = self._settings.on_finish
        if function is None or self._opened is None or self._is_told:
            return None
        self._is_told = True
        return function(self.report)

    def end_by(self, error: BaseException) -> None:
        """Close what is open, and attach the report to what ended the run, or to why a loop cancelled it."""
        with SignalHold():
            self._complete(error)
            for ending in endings(error, self._handled):
                attach_report(ending, self.report)
                self.report.rejection_store.tell_problem(ending)
                if self._audit is not None:
                    self._audit.tell_left(ending)

    def _complete(self, error: BaseException) -> None:
        with SignalHold():
            self._last_steps.do_all(error)
        self._holder.complete = None

    def _end_engine(self, error: BaseException | None) -> None:
        """End what drives the run, where that was cut off."""
        if error is not None and self._opened is not None:
            self._opened[0].fail(error)
            self._opened[0].close()

    def _log_end(self, error: BaseException | None) -> None:
        if self._opened is None or not self._is_logged or not LOGGER.isEnabledFor(logging.INFO):
            return
        engine, recorder = self._opened
        problem = engine.problem if error is None else raised_text(error)
        if recorder.journal_error is not None or self.report.rejection_store.problem is not None:
            problem = "the journal or the dead letters cannot be written"  # the error's text may hold a path
        _log_end(self.report, recorder, problem)

    def _open_letters(self, target: Path) -> None:
        head = LetterHead(
            operation=self._batch_operation.operation.name,
            arguments={**self._journal_header, **self._settings.letter_arguments()},
            mapping=getattr(self._source, "mapping_digest", None),
        )
        letters = self._letters = open_letters(target, self._settings.dead_letter_mode, head)
        self.report.rejection_store.write_to(letters)
        self.report.add_notes(letters.notes)
        self.report.dead_letter = target

    def _close_letters(self, error: BaseException | None) -> None:
        """Close the dead-letter file. After a run that was refused, the file that was there stays as it was."""
        is_kept = error is None or (self.report.read > 0 and not isinstance(error, JournalMismatchError))
        if self._opened is not None and self._source is None and isinstance(error, InvalidRequestError):
            add_note(error, _ROW_ERROR_NOTE)
        if self._letters is not None:  # an interruption may have come before the store had them
            self.report.rejection_store.write_to(self._letters)
        store = self.report.rejection_store
        store.close(is_kept=is_kept)
        self._letter_problem = store.problem

    def _add_notes(self, _: BaseException | None) -> None:
        """Add the notes of the source, of the letters and of the audit to the report."""
        found: list[Mapping[str, int] | None] = [None if self._letters is None else self._letters.end_notes]
        if self._opened is not None:
            found += [getattr(self._source, "notes", None), None if self._audit is None else self._audit.left_notes]
        if self._letter_problem is not None:
            found.append({self._letter_problem: 1})
        if self._is_noted or not any(found):
            return
        notes = dict(self.report.notes)
        for further in filter(None, found):
            add_counts(notes, further)
        # No call between these, so that no signal's handler is called there.
        self.report.notes, self._is_noted = notes, True

    def _sync_audit(self, _: BaseException | None) -> None:
        if self._opened is not None and self._audit is not None:
            self._opened[1].write_audit(self._audit.sync)

    def _close_audit(self, _: BaseException | None) -> None:
        if self._audit is not None:
            self._audit.close()

    def _close_journal(self, _: BaseException | None) -> None:
        if self._journal is not None:
            self._journal.close()


def end_by(run: BulkRun | None, holder: ReportHolder, batch_operation: BatchOperation, error: BaseException) -> None:
    """End a run by an exception; one that was not refused has a report also where it cut in before there was a run."""
    if run is not None:
        run.end_by(error)
    elif not isinstance(error, InvalidRequestError):
        holder.report = Report(operation=batch_operation.operation.name)


def _raise_what_stopped(engine: Engine, recorder: OutcomeRecorder, problem: str | None, left_text: str) -> None:
    """Raise why a run ended early, if it did; `left_text` names the rows that the audit has no line of."""
    if recorder.journal_error is not None:
        raise recorder.journal_error
    if problem is None:
        return
    if engine.problem is None:  # it came when the file was closed
        LOGGER.info("%s: bulk run stopped (a file of it cannot be written)", engine.report.operation)
    error = BulkStoppedError(problem + left_text, engine.report, too_many_rejected=problem == recorder.limit_problem)
    raise error from first_error(engine.error, recorder.audit_error, engine.report.rejection_store.error)


def _log_start(engine: Engine, settings: BulkSettings) -> None:
    with_files = [name for name in ("journal", "dead_letter") if getattr(settings, name) is not None]
    LOGGER.info(
        "%s: bulk run started, up to %d request%s at a time%s",
        engine.report.operation,
        settings.concurrency,
        "" if settings.concurrency == 1 else "s",
        f", with {' and '.join(with_files)}" if with_files else "",
    )


def _log_end(report: Report, recorder: OutcomeRecorder, problem: str | None) -> None:
    # Not the summary, which gives reasons that may hold what a caller or a server wrote.
    found = ((stage, count) for stage, count in report.by_stage.items() if count)
    stages = "".join(f", {count:,} {_STAGE_WORDS.get(stage, stage)}" for stage, count in found)
    counts = f"{counted(report.read, 'row')} read, {report.accepted:,} accepted{stages}"
    parts = [f"{counts}, in {report.seconds:,.1f} s ({report.rows_per_second:,.0f} rows/s)"]
    parts.append(f"{counted(report.requests, 'request')}, {report.retries:,} of them retries")
    if report.resumed:
        parts.append(f"{counted(report.resumed, 'row')} settled by an earlier run")
    first_reasons = dict.fromkeys(recorder.first_reasons)
    reasons = [reason for reason in first_reasons if not _MAYBE_PERSONAL.search(reason)]
    if reasons:
        parts.append(f"the checks say: {'; '.join(reasons)}")
    # Below its first name a field may have a key of the caller's own.
    fields = dict.fromkeys(field.partition(".")[0] for field, _ in recorder.refused_fields.most_common())
    names = [name for name in fields if name.isalpha()][:_MAX_LOGGED_FIELDS]
    if names:
        parts.append(f"the server refused: {', '.join(names)}")
    ending = "ended" if problem is None else f"stopped ({problem})"
    LOGGER.info("%s: bulk run %s: %s", report.operation, ending, "; ".join(parts))


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
