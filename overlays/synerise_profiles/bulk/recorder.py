"""The recorder of outcomes: writes the fate of rows to the report, the dead-letter file and the journal.

It sees every rejection, so it also knows when there are too many of them for the run to go on.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from heapq import heappush, heappushpop
from typing import Any

from synerise_profiles._batching.attribution import Rejection, Stage, hidden_in_refused, masked_identifier
from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.bisection import ChunkState, SubBatchTask
from synerise_profiles._batching.deletion_audit import DeletionAudit
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles._batching.machine import Call
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_source import RowSource, UnreadableRow, letter_of
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles._core.arguments import refuse_coroutine
from synerise_profiles._core.confirmation import unlisted_note
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.instruments import is_traced
from synerise_profiles._core.retry import THROTTLED_STATUSES

from .counting import CountedChunk, RowCounter
from .journal_protocol import JournalEntry, JournalError, JournalMismatchError, JournalProtocol, mismatch_error
from .report import Report, progress_of
from .settings import SHOWN_SETTINGS, BulkSettings, reference_of
from .settled import SettledRows
from .timings import FIRST_GAP, MAX_SLOWEST, SlowBatch

__all__ = ["OutcomeRecorder"]

_MAX_FIRST_REASONS = 3
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z_.]{0,79}")
"""A path of names alone. Any other may hold a key of the caller's that is personal."""


class OutcomeRecorder:
    """Writes down what became of rows; `problem` says why the run has to end, once too many were rejected."""

    def __init__(
        self,
        batch_operation: BatchOperation,
        settings: BulkSettings,
        report: Report,
        journal: JournalProtocol | None,
        source: RowSource | None = None,
        *,
        reasons_are_ours: bool = False,
        audit: DeletionAudit | None = None,
    ) -> None:
        self.report, self.journal, self._audit = report, journal, audit
        self.problem: str | None = None
        self.limit_problem: str | None = None  # the problem, where it is that too many rows were rejected
        self.journal_error: JournalError | None = None
        self.audit_error: OSError | None = None
        self.failure: BaseException | None = None
        """What the caller's function, or a file, raised first; what is to be written down goes on all the same."""
        self._batch_operation, self._settings = batch_operation, settings
        self._locate = None if source is None else source.locate
        self._explain = getattr(source, "explain", None)
        self._settle = None if report.is_dry else getattr(source, "settle", None)
        self._order_digest = getattr(source, "order_digest", None)
        self._next_point, self._row_counter = FIRST_GAP, RowCounter()
        report.settings = {name: getattr(settings, name) for name in SHOWN_SETTINGS}
        self._reasons_are_ours = reasons_are_ours
        self.first_reasons: list[str] = []  # of the checks, in words of this library, which may be logged
        self.refused_fields: Counter[str] = Counter()  # by the server
        self.settled = None if settings.on_settled is None else SettledRows()
        self._counted: CountedChunk | None = None
        self._unaudited: list[ChunkState] = []  # whose lines the audit could not take
        self._adding: dict[Stage, tuple[int, int]] = {}
        """By stage the row whose rejection was added last, and how many there were before it."""
        self.resumed_last: Chunk | None = None  # the last that an earlier run settled
        # A letter that is appended is there whatever becomes of the run, and so is the fate of an unsent row then.
        is_appended = settings.dead_letter is not None and settings.dead_letter_mode == "append"
        self.keeps_unsent = journal is None and is_appended
        most, rate = settings.max_errors, settings.max_error_rate
        is_free = most is None and rate is None
        self._thresholds = None if is_free else Thresholds(max_errors=most, max_error_rate=rate)

    def next_settled(self) -> Call | None:
        """Return the call that tells the caller of further rows that have their fate, once that is written down."""
        settled, function = self.settled, self._settings.on_settled
        if settled is None or function is None or not settled.has_news:
            return None
        store, journal = self.report.rejection_store, self.journal
        store.flush()
        if store.problem is not None or (self._audit is not None and self._audit.is_behind):
            return None
        if journal is not None and self._write_journal(journal.flush) is None:
            return None
        settled.told = settled.through
        return Call(function, settled.told, settled.end)

    def record_refusal(self, index: int, reference: Any, row: LetterRow, field: str, reason: str) -> bool:
        """Write down a row that the checks refused; return whether to read on."""
        reference = self._located(index) if reference is None else reference
        if self._explain is not None and row.holds == "fields":
            reason = self._explain(field, reason)
        if len(self.first_reasons) < _MAX_FIRST_REASONS and (self._reasons_are_ours or row.holds == "fields"):
            self.first_reasons.append(f"{field} {reason}" if _PLAIN_NAME.fullmatch(field) else reason)
        self._add_once(row, index=index, reference=reference, stage="check", reason=reason, field=field or None)
        if self.settled is not None:
            self.settled.add((index,))
        self._tell((index,), {0: "check"})
        return not self.must_end

    def record_unread(self, rows: deque[tuple[int, Any]], reason: str) -> None:
        """Write down the rows, by their indexes, that a run did not come to, and that all rows have their fate."""
        self._record_counted()
        while rows:
            index, row = rows[0]
            letter, reference, function = letter_of(row), None, reference_of(self._settings)
            if issubclass(type(row), UnreadableRow):
                self.record_refusal(index, row.reference, letter, row.field, row.reason)
                rows.popleft()
                continue
            with suppress(BaseException):  # the run has ended already, perhaps by this
                reference = self._located(index) if function is None else function(row)
            self._add_once(letter, index=index, reference=reference, stage="unsent", reason=reason, field=None)
            self._tell((index,), {0: "unsent"})
            rows.popleft()  # last: what is cut off is done again
        for state in self._unaudited if self._audit is not None and self.write_audit(self._audit.flush) else ():
            self._record_in_journal(state)
        self.report.read = self.report.accepted + self.report.rejected_count()

    @property
    def must_end(self) -> bool:
        """Whether the run has to end."""
        return self.problem is not None or self.failure is not None

    def record(self, chunk_state: ChunkState) -> None:
        """Write down what became of a chunk, unless that was done."""
        if chunk_state.is_recorded:
            return
        self._record_counted()  # of another one, where that was cut off
        chunk, accepted = chunk_state.chunk, chunk_state.accepted
        counted = CountedChunk(chunk, chunk_state.refused, chunk_state)
        # With the next two lines, as there is no call between: of what is counted the rest is written down at the end.
        chunk_state.is_recorded = True
        self._counted = counted
        self.report.accepted += accepted
        self._record_counted()
        if self._settle is not None:
            self._tell(chunk.indexes, {position: item.stage for position, item in chunk_state.refused.items()})
        if self.settled is not None:
            refused = {} if self.keeps_unsent else chunk_state.refused
            held = {at for at, item in refused.items() if item.stage == "unsent"}
            if not held or self.journal is None:
                self.settled.add(index for at, index in enumerate(chunk.indexes) if at not in held)

    def note_response(self, task: SubBatchTask, result: SendResult, now: float, *, is_success: bool) -> None:
        """Count a response that confirms rows and is not documented so, one that was throttled or slow."""
        timings, seconds, status = self.report.timings, now - task.sent_at, result.status
        timings.throttled += status in THROTTLED_STATUSES
        if len(timings.slowest) < MAX_SLOWEST or seconds > timings.slowest[0].seconds:
            sub_batch, indexes = task.sub_batch, task.chunk_state.chunk.indexes
            first, last, rows = indexes[sub_batch.positions[0]], indexes[sub_batch.positions[-1]], sub_batch.positions
            batch = SlowBatch(seconds, self.report.requests, first, last, len(rows), sub_batch.attempts, status)
            (heappush if len(timings.slowest) < MAX_SLOWEST else heappushpop)(timings.slowest, batch)
        if is_success and status is not None:
            note = unlisted_note(self._batch_operation.operation, status, result.content)
            if note is not None:
                self.report.note(note)

    def record_resumed(self, chunk: Chunk, *, rows_are_built: bool = False) -> bool:
        """Write down a chunk that an earlier run settled; false if none did.

        Raises JournalMismatchError if that run had other rows there. `rows_are_built` says that code built them.
        """
        journal = self.journal
        entry = None if journal is None else journal.entry(chunk.number)
        if entry is None:
            if journal is not None and journal.is_finished:
                raise self._mismatch("the input has more rows than the one that was sent")
            return False
        if (problem := entry.difference(chunk)) is not None:
            raise self._mismatch(problem, rows_are_built=rows_are_built)
        self._record_counted()
        count, counted = len(chunk), CountedChunk(chunk, entry.refused)
        # As in `record`.
        self._counted, self.resumed_last = counted, chunk
        self.report.resumed += count
        self.report.accepted += entry.accepted
        self._record_counted()
        self._row_counter.skip(entry)
        if self.settled is not None:
            self.settled.add(chunk.indexes)
        return True

    def _mismatch(self, problem: str, *, rows_are_built: bool = False) -> JournalMismatchError:
        self.settled = None  # the fates are those of other rows
        return mismatch_error(problem, self._settings.journal, rows_are_built=rows_are_built)

    def record_on_its_way(self, chunk: Chunk, sub_batch: SubBatch) -> bool:
        """Write down that a deletion is about to be sent; false if that cannot be written, so that it must not be.

        Where an earlier run had sent it, it may have been carried out.
        """
        if self.journal is None or not self._batch_operation.not_found_is_success:
            return True
        was_sent = self._write_journal(self.journal.record_sent, chunk.number, chunk.digest())
        sub_batch.maybe_applied = sub_batch.maybe_applied or was_sent is True
        return was_sent is not None

    def record_failure(self, chunk: Chunk, sub_batch: SubBatch) -> None:
        """Write down that a deletion was surely not carried out, where no sending of it may have been."""
        if self.journal is not None and self._batch_operation.not_found_is_success and not sub_batch.maybe_applied:
            self._write_journal(self.journal.record_not_applied, chunk.number)

    def record_end(self, chunks: int) -> None:
        """Write down that the input was read to its end."""
        if self.journal is None:
            return
        if chunks <= self.journal.last_number:
            raise self._mismatch("the input has fewer rows than the one that was sent")
        if not self.report.by_stage["unsent"] and self.journal_error is None:
            self.journal.mark_finished()

    def report_progress(self, in_flight: int, seconds: float) -> None:
        """Call the caller's `progress` function with where the run stands."""
        report = self.report
        report.seconds = seconds
        if is_traced() and not report.is_dry:
            self._row_counter.count(report)
        if seconds >= self._next_point:
            settled = report.accepted + report.rejected_count() - report.resumed
            self._next_point = report.timings.add_point(seconds, settled)
        if self._settings.progress is not None:
            try:
                outcome = self._settings.progress(progress_of(report, in_flight))
                if outcome is not None:
                    refuse_coroutine("progress", outcome)
            except BaseException as error:  # noqa: BLE001 - the run ends by it, once what is in flight is answered
                self._keep_failure(error)

    def _tell(self, indexes: Sequence[int], refused: Mapping[int, Stage]) -> None:
        if self._settle is not None:
            try:
                self._settle(indexes, refused)
            except BaseException as error:  # noqa: BLE001 - as above
                self._keep_failure(error)

    def _keep_failure(self, error: BaseException) -> None:
        is_first, self.failure = self.failure is None, first_error(self.failure, error)
        if isinstance(error, KeyboardInterrupt) and is_first:  # it waits for nothing
            raise error

    def _located(self, index: int) -> Any:
        try:
            return None if self._locate is None else self._locate(index)
        except Exception as error:  # noqa: BLE001 - as above
            return self._keep_failure(error)

    def _record_counted(self) -> None:
        """Write down what is left of a chunk that was counted; where that was cut off, a second call goes on."""
        counted = self._counted
        if counted is None:
            return
        self._record_refused(counted)
        state = counted.state
        if state is None or self._audit is None or self.write_audit(self._audit.record, state):
            self._record_in_journal(state)
        else:
            self._unaudited += (state,)
        self._counted = None

    def _record_in_journal(self, state: ChunkState | None) -> None:
        if self.journal is not None and state is not None and not state.has_unsent:
            self._write_journal(self.journal.record, state.chunk.number, JournalEntry.of(state))

    def _record_refused(self, counted: CountedChunk) -> None:
        chunk = counted.chunk
        for position, sampled_row in chunk.sampled:
            sampled_row.is_accepted = position not in counted.refused
            sampled_row.reference = self._reference_of(chunk, position)
        for position in sorted(counted.refused)[counted.recorded :]:
            refusal, reference = counted.refused[position], self._reference_of(chunk, position)
            row, index = LetterRow(chunk.row_bytes(position)), chunk.indexes[position]
            self.refused_fields.update([refusal.field] if refusal.field and refusal.stage == "server" else [])
            told: dict[str, Any] = {"reason": refusal.reason, "field": refusal.field, "group": refusal.group}
            self._add_once(row, index=index, reference=reference, stage=refusal.stage, is_sent=True, **told)
            counted.recorded += 1
        if counted.refused:
            self.report.rejection_store.flush()

    def _add_once(self, row: LetterRow, *, index: int, stage: Stage, is_sent: bool = False, **fields: Any) -> None:
        """Add the rejection of a row, unless an interruption came behind it and all is done again.

        Of one that `is_sent` the audit gets its line with its chunk.
        """
        counts, audit = self.report.by_stage, None if is_sent else self._audit
        added = next((of for of, (last, before) in self._adding.items() if last == index and before < counts[of]), None)
        if added is None:
            if audit is not None:
                audit.note_refusal(index, row.json, stage, fields["field"], fields["reason"])
            self._adding[stage] = index, counts[stage]
            self._add_rejection(row, index=index, stage=stage, **fields)
        if audit is not None:
            self.write_audit(audit.record_refusal, index, added or stage)

    def _write_journal(self, write: Callable[..., bool | None], *values: Any) -> bool | None:
        """Write to the journal; None if that failed: the run ends then, once what is in flight is answered."""
        try:
            return bool(write(*values))
        except JournalError as error:
            self.journal_error = first_error(self.journal_error, error)
            self.problem = self.problem or str(error)
            return None

    def write_audit(self, write: Callable[..., None], *values: Any) -> bool:
        """Write to the audit; false if that failed: the run ends then, since nothing is to be deleted without it."""
        try:
            write(*values)
        except OSError as error:
            self.audit_error = first_error(self.audit_error, error)
            self.problem = self.problem or f"the audit cannot be written: {error.strerror}"
            return False
        return True

    def _reference_of(self, chunk: Chunk, position: int) -> Any:
        """Return what the caller knows a row by, or where its source says that it stands."""
        return self._located(chunk.indexes[position]) if chunk.references is None else chunk.references[position]

    def _add_rejection(self, row: LetterRow, **fields: Any) -> None:
        fields["reason"] += hidden_in_refused(self._batch_operation, row.json, fields["stage"], fields["field"])
        identifier = masked_identifier(self._batch_operation, row.json)
        if self._order_digest is not None and row.order_digest is None:
            row = row.of_order(self._order_digest(fields["index"]))
        self.report.rejection_store.add(Rejection(identifier=identifier, **fields), row, self.report.by_stage)
        self.problem = self.problem or self.report.rejection_store.problem
        if self._thresholds is not None and self.problem is None and fields["stage"] != "unsent":
            self._check_error_limit(self._thresholds)

    def _check_error_limit(self, thresholds: Thresholds) -> None:
        self.problem = self.limit_problem = thresholds.problem(*self._refused_and_settled())

    def _refused_and_settled(self) -> tuple[int, int]:
        """How many rows were refused, and how many were refused or accepted."""
        report = self.report
        refused = report.rejected_count() - report.by_stage["unsent"]
        return refused, refused + report.accepted
