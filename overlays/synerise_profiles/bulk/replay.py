"""`client.bulk.replay`: dead letters are mended and sent again, each by its own method.

How a replay works. The letters of one operation, with the same further arguments, are a run of an `Engine` like any
other; the runs follow each other in the order in which the file begins them, and one report sums them up. What is not
accepted is written to a new file of letters, which takes the place of the old one at the end and not before: a process
that is killed leaves the old file as it was. Where a replay ends early, what it did not read goes to the new file too.
So there is no journal: the file itself is what is left to do. Should somebody cut the file or write to it meanwhile,
letters that were read keep their fate and are letters still; the replay ends at the first line that is not as it was.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from synerise_profiles._batching.attribution import Stage
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._batching.letters import LETTER_START, LetterHead, LetterRow
from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles._core.arguments import taken_by
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.logging import outage_of
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles.deprecations import warn_deprecated
from synerise_profiles_api.errors import InvalidRequestError

from .dead_letter import RejectionStore
from .engine import Engine
from .letter_file import LetterFile
from .letter_reader import CellMapping
from .recorder import OutcomeRecorder
from .replay_file import LetterGoneError, LetterGroup, ReplayFile
from .replay_methods import ReplayMethod, replay_methods
from .replay_report import OperationCounts, ReplayReport, refuse_damaged
from .replay_rows import LetterRows, Transform, kept_letter, letter_content
from .report import BulkStoppedError, Progress, Report, add_counts
from .run import LastSteps
from .settings import SALT_FUNCTION, BulkSettings

if TYPE_CHECKING:
    from synerise_profiles._batching.operations import BatchOperation
    from synerise_profiles._batching.throttle import Pace
    from synerise_profiles._core.config import Options
    from synerise_profiles._core.timing import Timing

__all__ = ["METHOD", "Replay"]

METHOD: Final = "bulk.replay"
_UNREAD_TEXT: Final = "not read, and a letter still"
_GONE_TEXT: Final = "not read, and no letter any more: its line is gone, as somebody has cut or changed the file"
_WRITTEN_TEXT: Final = "somebody wrote to the file while it was read: what came to it since was not read; replay it too"
_SALT_OPTIONS: Final = frozenset({"salt", "keep_duplicates", "default_time"})
"""What letters say of the call that wrote them, and another one is sent by too."""


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

    def record(self, chunk_state: ChunkState) -> None:
        """Write down what became of a chunk; its letters are not needed any more then."""
        super().record(chunk_state)
        self._rows.settle(chunk_state.chunk.indexes)

    def _add_rejection(self, row: LetterRow, **fields: Any) -> None:
        number: int = fields["index"]
        rows, letter = self._rows, self._rows.letter(number)
        if number in rows.kept:
            reason = rows.kept[number]
            mark = rows.marks.pop(number, "")
            stage = self._replay.keep(self.report, rows.group, number, letter, reason, mark)
            self._replay.left += reason is None and stage != "unsent"
            del rows.kept[number]
            rows.settle((number,))
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
            if fields["stage"] in ("check", "server"):
                rows.note_refused(number)
            rows.settle((number,))
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
        self.is_own = False
        """Whether the file that is read is the one that is replaced."""
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
        self._carried, self._gone, self._is_kept, self._is_noted = 0, 0, True, False
        steps = (self._end_run, self._carry_unread, self._carry_cut, self._close_letters, self._add_notes)
        self._last_steps = LastSteps(*steps)

    def runs(self) -> Iterator[tuple[Engine, LetterRows]]:
        """Yield each run and its rows, to be driven to its end. Raises BulkStoppedError after one that ended early."""
        while self._waiting:
            group = self._waiting[0]
            method = replay_methods().get(group.operation)
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
            engine, gone = run[0], run[1].gone
            problem = engine.problem or self._store.problem or (None if gone is None else gone.problem)
            if problem is not None:
                is_limit = problem == self.limit_problem
                error = BulkStoppedError(problem, self.report, too_many_rejected=is_limit)
                raise error from first_error(engine.error, self._store.error, gone)

    def new_part(self, operation: str) -> Report:
        """Begin the report of one operation."""
        self._part = Report(operation=operation, rejection_store=self._store)
        return self._part

    def keep(
        self,
        report: Report,
        group: LetterGroup,
        number: int,
        letter: Mapping[str, Any],
        reason: str | None,
        mark: str = "",
    ) -> Stage:
        """Write a letter that is not sent; return the stage at which it was refused."""
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
        while self._waiting and (may_be_kept or self._file.has_lost_letters):
            for line in self._file.lines(self._waiting[0], self._unread_from):
                if line is None:
                    self._gone += 1
                elif letters is not None and may_be_kept:
                    self._carried += letters.carry((line,))
                self._unread_from += 1
            self._waiting, self._unread_from = self._waiting[1:], 0
        is_whole = letters is None or letters.problem is None
        self._is_kept = may_be_kept and (is_whole or self._options.get("dead_letter_mode") == "append")

    def _carry_cut(self, _: BaseException | None) -> None:
        letters, damaged, cut = self._letters, self._file.damaged_lines, self._file.cut_lines
        while self._is_kept and damaged:
            if letters is not None and damaged[0].content.startswith(LETTER_START):
                letters.carry((damaged[0].content,))
            refuse_damaged(self.report, damaged.pop(0))
        while letters is not None and self.is_own and self._is_kept and cut:
            letters.carry((cut.pop(0),))

    def _close_letters(self, _: BaseException | None) -> None:
        self._store.close(is_kept=self._is_kept)

    def _add_notes(self, _: BaseException | None) -> None:
        if not self._is_noted:
            notes = dict(self.report.notes)
            found = {_UNREAD_TEXT: self._carried, _GONE_TEXT: self._gone}
            if not self.is_own and not self._gone and self._file.was_written:
                found[_WRITTEN_TEXT] = 1
            add_counts(notes, {text: count for text, count in found.items() if count})
            add_counts(notes, {} if self._letters is None else self._letters.end_notes)
            add_counts(notes, {} if self._store.problem is None else {self._store.problem: 1})
            # As above.
            self.report.notes, self._is_noted = notes, True

    def _new_run(
        self, group: LetterGroup, method: ReplayMethod, batch_operation: BatchOperation
    ) -> tuple[Engine, LetterRows]:
        client_options, timing = self._client_options, self._timing
        warn_deprecated(batch_operation.operation, client_options.deprecations, timing.wall())
        taken = taken_by(method.arguments)
        own = {name: value for name, value in group.arguments.items() if name in _SALT_OPTIONS}
        options = {name: value for name, value in {**own, **self._options}.items() if name in taken}
        options |= {"dead_letter": None, "dead_letter_mode": "replace"}
        options |= {"progress": None if self._progress is None else self._on_progress}
        settings = BulkSettings(**options)
        needs_salt = SALT_FUNCTION in group.arguments and settings.salt is None
        rows = LetterRows(self._file, group, batch_operation, self._mapping, self._transform, needs_salt=needs_salt)
        recorder = ReplayRecorder(batch_operation, settings, rows, self)
        recorder.report.notes = rows.notes
        policy, outage = client_options.retry, functools.partial(outage_of, client_options, timing.monotonic)
        return Engine(batch_operation, settings, recorder, timing, policy, outage=outage, pace=self._pace), rows

    def _keep_all(self, group: LetterGroup) -> None:
        part = self.new_part(group.operation)
        known = group.operation in replay_methods()
        reason = (
            "lacks the arguments of its operation, such as tag_id"
            if known
            else f"is for {group.operation or 'no operation'}, which is not sent by client.bulk"
        )
        gone: LetterGoneError | None = None
        for number in range(len(group)):
            try:
                letter = self._file.letter_of(self._file.line(group, number))
            except LetterGoneError as error:
                gone = error
                break
            part.read += 1
            self.keep(part, group, number, letter, reason)
        part.complete = gone is None
        self.close_part()
        if gone is not None:
            raise BulkStoppedError(gone.problem, self.report) from gone

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
