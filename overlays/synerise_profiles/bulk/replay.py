"""`client.bulk.replay`: dead letters are mended and sent again, each by its own method.

How a replay works. The letters of one operation, with the same further arguments, are a run of an `Engine` like any
other; the runs follow each other in the order in which the file begins them, and one report sums them up. What is not
accepted is written to a new file of letters, which takes the place of the old one at the end and not before: a process
that is killed leaves the old file as it was. Where a replay ends early, what it did not read goes to the new file too.
So there is no journal: the file itself is what is left to do.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from synerise_profiles._batching import operations
from synerise_profiles._batching.attribution import Stage
from synerise_profiles._batching.letters import LetterHead, LetterRow
from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles._core.arguments import taken_by
from synerise_profiles._core.logging import outage_of
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles.deprecations import warn_deprecated
from synerise_profiles_api.errors import InvalidRequestError

from .dead_letter import RejectionStore
from .engine import Engine
from .letter_file import LetterFile
from .letter_reader import CellMapping
from .recorder import OutcomeRecorder
from .replay_file import LetterGroup, ReplayFile
from .replay_rows import LetterRows, Transform, kept_letter, letter_content
from .report import BulkStoppedError, Progress, Report, add_counts
from .run import LastSteps
from .settings import SALT_FUNCTION, BatchArguments, BulkArguments, BulkSettings, SaltedArguments

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation
    from synerise_profiles._batching.throttle import Pace
    from synerise_profiles._core.config import Options
    from synerise_profiles._core.timing import Timing

__all__ = ["METHOD", "OperationCounts", "Replay", "ReplayReport"]

METHOD: Final = "bulk.replay"
_NOTES_SHOWN: Final = 3
_UNREAD_TEXT: Final = "not read, and a letter still"
_SALT_OPTIONS: Final = frozenset({"salt", "keep_duplicates", "default_time"})
"""What letters say of the call that wrote them, and another one is sent by too."""


@attrs.define(kw_only=True)
class OperationCounts:
    """What became of the letters of one operation: `read` is `accepted` plus `rejected`."""

    read: int = 0
    accepted: int = 0
    rejected: int = 0


@attrs.define(kw_only=True, eq=False)
class ReplayReport(Report):
    """What became of every letter: a `Report` with the sums of all operations, and the counts of each by its name.

    `index` of a rejection counts the lines of the file from 0, and `reference` is that of the letter.
    """

    by_operation: dict[str, OperationCounts] = attrs.field(factory=dict[str, OperationCounts])

    def summary(self, *, show_values: bool = False) -> str:
        """Return what `Report.summary` does, and the first three notes, such as about a line that was cut off."""
        return "; ".join([super().summary(show_values=show_values), *list(self.notes)[:_NOTES_SHOWN]])

    def to_dict(self, *, show_values: bool = False, show_references: bool = False) -> dict[str, Any]:
        """Return what `Report.to_dict` does, and the counts of each operation."""
        counts = {name: attrs.asdict(item) for name, item in self.by_operation.items()}
        found = super().to_dict(show_values=show_values, show_references=show_references)
        return {**found, "by_operation": counts}


@attrs.frozen
class _Method:
    """How the letters of an operation are sent: by which arguments, and what makes its `BatchOperation`."""

    arguments: type
    batch_operation: Callable[[Mapping[str, Any]], BatchOperation]


@functools.cache
def _methods() -> Mapping[str, _Method]:
    tags = operations.tag_assignments(1)
    return {
        operations.profiles().operation.name: _Method(BatchArguments, lambda _: operations.profiles()),
        operations.events().operation.name: _Method(SaltedArguments, lambda _: operations.events()),
        operations.transactions().operation.name: _Method(SaltedArguments, lambda _: operations.transactions()),
        operations.profile_deletions().operation.name: _Method(BulkArguments, lambda _: operations.profile_deletions()),
        tags.operation.name: _Method(BulkArguments, lambda given: operations.tag_assignments(given["tag_id"])),
    }


class ReplayRecorder(OutcomeRecorder):
    """Writes the fate of letters: by their lines and references, and of those that were not sent as they were.

    `replay` is asked for what all operations have in common.
    """

    def __init__(
        self, batch_operation: BatchOperation, settings: BulkSettings, rows: LetterRows, replay: Replay
    ) -> None:
        super().__init__(batch_operation, settings, replay.new_part(rows.group.operation), None)
        self._rows = rows
        self._replay = replay

    def _add_rejection(self, row: LetterRow, **fields: Any) -> None:
        number: int = fields["index"]
        rows, letter = self._rows, self._rows.letter(number)
        if number in rows.kept:
            reason = rows.kept[number]
            stage = self._replay.keep(self.report, rows.group, number, reason, rows.marks.pop(number, ""))
            self._replay.left += reason is None and stage != "unsent"
            del rows.kept[number]
        else:
            may_be_stored = self._batch_operation.salt_field and fields["stage"] in ("ambiguous", "unsent")
            if rows.are_transformed and not may_be_stored:  # one that may be keeps the salt that it got
                row = letter_content(letter, row.id_taken)
            elif not rows.are_transformed:  # it may be the order's first lines, whose others are not letters yet
                row = row.of_order(letter.get("order_digest"))
            mapping = rows.mapping_digest if row.holds == "cells" else letter.get("mapping")
            self._replay.set_head(rows.group, mapping)
            fields |= {"index": rows.group.line_of(number) - 1, "reference": letter.get("reference")}
            super()._add_rejection(row, **fields)
            return
        self.problem = self.problem or self.report.rejection_store.problem
        if self._thresholds is not None and self.problem is None:
            self._check_error_limit(self._thresholds)

    def _check_error_limit(self, thresholds: Thresholds) -> None:
        super()._check_error_limit(thresholds)
        self._replay.limit_problem = self.limit_problem

    def _refused_and_settled(self) -> tuple[int, int]:
        refused, settled = super()._refused_and_settled()
        before = self._replay.report
        earlier = before.rejected_count() - before.by_stage["unsent"]
        return refused + earlier - self._replay.left, settled + earlier + before.accepted


class Replay:
    """A replay that was begun: `runs` gives the runs of it one after the other, `report` sums them up.

    `end` ends it, also where it was cut off before: what was done once is not done again.
    """

    def __init__(
        self,
        file: ReplayFile,
        store: RejectionStore,
        letters: LetterFile | None,
        options: Mapping[str, Any],
        client_options: Options,
        timing: Timing,
        pace: Pace | None,
    ) -> None:
        self.report = ReplayReport(operation=METHOD, rejection_store=store, complete=True)
        self.cut_lines: list[bytes] = []
        """The lines that a crash cut off, where the file that is read is the one that is replaced."""
        self.left = 0
        """How many refused letters the caller's function left as they are: they are no errors of this call."""
        self.limit_problem: str | None = None
        self._file = file
        self._store = store
        self._letters = letters
        self._options = dict(options)
        self._mapping: CellMapping | None = self._options.pop("mapping", None)
        self._transform: Transform | None = self._options.pop("transform", None)
        self._progress = self._options.pop("progress", None)
        self._client_options = client_options
        self._timing = timing
        self._pace = pace
        self._started_at = timing.monotonic()
        self._waiting = list(file.groups)
        self._unread_from = 0
        self._part: Report | None = None
        self._run: Engine | None = None
        self._carried, self._is_kept, self._is_noted = 0, True, False
        steps = (self._end_run, self._carry_unread, self._carry_cut, self._close_letters, self._add_notes)
        self._last_steps = LastSteps(*steps)

    def runs(self) -> Iterator[tuple[Engine, LetterRows]]:
        """Yield each run and its rows, to be driven to its end. Raises BulkStoppedError after one that ended early."""
        while self._waiting:
            group = self._waiting[0]
            method = _methods().get(group.operation)
            try:
                batch_operation = None if method is None else method.batch_operation(group.arguments)
            except (KeyError, InvalidRequestError):
                batch_operation = None
            if method is None or batch_operation is None:
                self._keep_all(group)
                continue
            run = self._new_run(group, method, batch_operation)
            self._run = run[0]
            yield run
            self.close_part()
            problem = run[0].problem or self._store.problem
            if problem is not None:
                is_limit = problem == self.limit_problem
                error = BulkStoppedError(problem, self.report, too_many_rejected=is_limit)
                raise error from run[0].error or self._store.error

    def new_part(self, operation: str) -> Report:
        """Begin the report of one operation."""
        self._part = Report(operation=operation, rejection_store=self._store)
        return self._part

    def keep(self, report: Report, group: LetterGroup, number: int, reason: str | None, mark: str = "") -> Stage:
        """Write a letter that is not sent; return the stage at which it was refused."""
        letter = self._file.letter(group, number)
        rejection, row = kept_letter(letter, group.line_of(number) - 1, reason, mark)
        self.set_head(group, letter.get("mapping"))
        self._store.add(rejection, row, report.by_stage)
        return rejection.stage

    def set_head(self, group: LetterGroup, mapping: str | None) -> None:
        """Say what the next letter that is written has in common with others."""
        if self._letters is not None:
            self._letters.head = LetterHead(operation=group.operation, arguments=group.arguments, mapping=mapping)

    def close_part(self) -> None:
        """Add the run at hand to the report."""
        part, report = self._part, self.report
        if part is None:
            return
        rejected, timings, notes = part.rejected_count(), report.timings, dict(report.notes)
        read = part.accepted + rejected  # as it is once a run has ended
        before = report.by_operation.get(part.operation, OperationCounts())
        counts = OperationCounts(
            read=before.read + read, accepted=before.accepted + part.accepted, rejected=before.rejected + rejected
        )
        by_operation = {**report.by_operation, part.operation: counts}
        by_stage: dict[Stage, int] = {stage: count + part.by_stage[stage] for stage, count in report.by_stage.items()}
        add_counts(notes, part.notes)
        waiting, unread_from = self._waiting, read
        if read >= len(waiting[0]):
            waiting, unread_from = waiting[1:], 0
        report.seconds = self._timing.monotonic() - self._started_at
        # No call from here on, so that no signal's handler is called between.
        report.read += read
        report.accepted += part.accepted
        report.requests += part.requests
        report.retries += part.retries
        report.bytes_sent += part.bytes_sent
        timings.throttled += part.timings.throttled
        timings.held_seconds += part.timings.held_seconds
        report.complete = report.complete and part.complete
        report.by_operation, report.by_stage, report.notes = by_operation, by_stage, notes
        self._waiting, self._unread_from, self._part = waiting, unread_from, None

    def end(self, error: BaseException | None) -> None:
        """End the run at hand, let what was not read stay letters, and close the new file of letters."""
        with SignalHold():
            if error is None:
                self._last_steps.do(None)
            else:
                self._last_steps.do_all(error)

    def _end_run(self, error: BaseException | None) -> None:
        if error is not None:
            if self._run is not None and self._part is not None:
                self._run.fail(error)
                self._run.close()
            self.close_part()
            self.report.complete = False

    def _carry_unread(self, error: BaseException | None) -> None:
        letters = self._letters
        if error is None:
            return
        may_be_kept, self._is_kept = letters is not None and self.report.read > 0, False
        while letters is not None and may_be_kept and self._waiting:
            for line in self._file.lines(self._waiting[0], self._unread_from):
                self._carried += letters.carry((line,))
                self._unread_from += 1
            self._waiting, self._unread_from = self._waiting[1:], 0
        is_whole = letters is None or letters.problem is None
        self._is_kept = may_be_kept and (is_whole or self._options.get("dead_letter_mode") == "append")

    def _carry_cut(self, _: BaseException | None) -> None:
        while self._letters is not None and self._is_kept and self.cut_lines:
            self._letters.carry(self.cut_lines[:1])
            del self.cut_lines[:1]

    def _close_letters(self, _: BaseException | None) -> None:
        self._store.close(is_kept=self._is_kept)

    def _add_notes(self, _: BaseException | None) -> None:
        if not self._is_noted:
            notes = dict(self.report.notes)
            add_counts(notes, {_UNREAD_TEXT: self._carried} if self._carried else {})
            add_counts(notes, {} if self._letters is None else self._letters.end_notes)
            # As above.
            self.report.notes, self._is_noted = notes, True

    def _new_run(
        self, group: LetterGroup, method: _Method, batch_operation: BatchOperation
    ) -> tuple[Engine, LetterRows]:
        client_options, timing = self._client_options, self._timing
        warn_deprecated(batch_operation.operation, client_options.deprecations, timing.wall())
        taken = taken_by(method.arguments)
        own = {name: value for name, value in group.arguments.items() if name in _SALT_OPTIONS}
        options = {name: value for name, value in {**own, **self._options}.items() if name in taken}
        options |= {"dead_letter": None, "progress": None if self._progress is None else self._on_progress}
        settings = BulkSettings(**options)
        needs_salt = SALT_FUNCTION in group.arguments and settings.salt is None
        rows = LetterRows(self._file, group, batch_operation, self._mapping, self._transform, needs_salt=needs_salt)
        recorder = ReplayRecorder(batch_operation, settings, rows, self)
        recorder.report.notes = rows.notes
        policy, outage = client_options.retry, functools.partial(outage_of, client_options, timing.monotonic)
        return Engine(batch_operation, settings, recorder, timing, policy, outage=outage, pace=self._pace), rows

    def _keep_all(self, group: LetterGroup) -> None:
        part = self.new_part(group.operation)
        known = group.operation in _methods()
        reason = (
            "lacks the arguments of its operation, such as tag_id"
            if known
            else f"is for {group.operation or 'no operation'}, which is not sent by client.bulk"
        )
        for number in range(len(group)):
            part.read += 1
            self.keep(part, group, number, reason)
        part.complete = True
        self.close_part()

    def _on_progress(self, part: Progress) -> object:
        report = self.report
        if self._progress is None:
            return None
        return self._progress(
            attrs.evolve(
                part,
                read=part.read + report.read,
                accepted=part.accepted + report.accepted,
                rejected=part.rejected + report.rejected_count(),
                requests=part.requests + report.requests,
                seconds=self._timing.monotonic() - self._started_at,
            )
        )
