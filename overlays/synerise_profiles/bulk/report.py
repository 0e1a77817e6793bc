"""The report of a run: counts, rejections, notes, the result of a verification; `Progress` while it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, cast

import attrs

from synerise_profiles._batching.attribution import Rejection, Stage, count_note
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles_api.errors import SyneriseError

from .dead_letter import RejectionStore

__all__ = [
    "BulkStoppedError",
    "Missing",
    "Progress",
    "RejectedRowsError",
    "Report",
    "Verification",
    "attach_report",
    "report_of",
]


@attrs.frozen(kw_only=True)
class Progress:
    """Where a run stands.

    `read`, `accepted`, `rejected` and `resumed` (settled by an earlier run) count rows, `requests` and `in_flight`
    requests; `seconds` have passed since the run began.
    """

    read: int
    accepted: int
    rejected: int
    resumed: int
    requests: int
    in_flight: int
    seconds: float

    @property
    def rate(self) -> float:
        """How many rows this run accepted or rejected in a second."""
        return (self.accepted + self.rejected - self.resumed) / self.seconds if self.seconds else 0.0


@attrs.frozen(kw_only=True)
class Missing:
    """A profile that was accepted, and is not stored as it was sent.

    `index` and `reference` name the row; `identifier` is masked; `fields` are those that differ, none where there is no
    profile.
    """

    index: int
    reason: str
    identifier: str
    fields: tuple[str, ...] = ()
    reference: Any = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Verification:
    """The result of reading profiles back: of `sample` profiles that were compared, `arrived` are as they were sent.

    Not in the sample are `skipped` ones (another row of the run names the same profile, or its identifier cannot stand
    in a path) and `unread` ones, of which no response came; `problem` says why, where reading was refused altogether.
    """

    sample: int
    arrived: int
    missing: tuple[Missing, ...] = ()
    skipped: int = 0
    unread: int = 0
    problem: str | None = None


@attrs.define(kw_only=True, eq=False)
class Report:
    """What became of every row: `read` is `accepted` plus the rows in `rejected`.

    `by_stage` counts the rejected rows by who refused them. `notes` counts notes by their text: about rows that were
    sent all the same, and about responses that confirm and are not documented so. `resumed` rows were settled by an
    earlier run with the same journal. `complete` says that the input was read to its end and that no row is unsent.
    `verification` is the result of reading a sample back, where
    that was asked for.
    """

    operation: str
    read: int = 0
    accepted: int = 0
    resumed: int = 0
    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    complete: bool = False
    by_stage: dict[Stage, int] = attrs.field(factory=lambda: {"check": 0, "server": 0, "ambiguous": 0, "unsent": 0})
    notes: dict[str, int] = attrs.field(factory=dict[str, int])
    verification: Verification | None = None
    rejection_store: RejectionStore[Rejection] = attrs.field(factory=RejectionStore[Rejection], repr=False)

    @property
    def rejected(self) -> Rejected:
        """The rows that were not accepted, in the order in which that became known; they can be iterated again."""
        return Rejected(self)

    @property
    def rows_per_second(self) -> float:
        """How many rows this run read in a second, without those of an earlier run."""
        return (self.read - self.resumed) / self.seconds if self.seconds else 0.0

    def rejected_count(self) -> int:
        """How many rows were not accepted."""
        return sum(self.by_stage.values())

    def summary(self) -> str:
        """Return one line of counts, without anything of the rows."""
        phrases = [f"{self.operation}: {self.read:,} rows read", f"{self.accepted:,} accepted"]
        phrases += [f"{count:,} {_STAGE_TEXTS[stage]}" for stage, count in self.by_stage.items() if count]
        if self.verification is not None:
            phrases.append(f"{self.verification.arrived:,} of {self.verification.sample:,} read back as sent")
        return ", ".join(phrases)

    def raise_for_rejected(self) -> None:
        """Raise RejectedRowsError if a row was not accepted."""
        if self.rejected_count():
            raise RejectedRowsError(self)

    def add(self, rejection: Rejection, row: LetterRow) -> None:
        """Count and keep one rejection; `row` goes to the dead-letter file alone."""
        self.by_stage[rejection.stage] += 1
        self.rejection_store.add(rejection, row)

    def note(self, text: str) -> None:
        """Count a note about a row."""
        count_note(self.notes, text)

    def add_notes(self, notes: Mapping[str, int]) -> None:
        """Add the notes that a source counted."""
        for text, count in notes.items():
            self.notes[text] = self.notes.get(text, 0) + count


class Rejected:
    """The rejections of a report: iterable again and again, and sized. Many of them are read from a file."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def __iter__(self) -> Iterator[Rejection]:
        return self._report.rejection_store.read(parse_rejection)

    def __len__(self) -> int:
        return self._report.rejected_count()

    def __repr__(self) -> str:
        return f"<{len(self)} rejected rows>"


_STAGE_TEXTS: Mapping[Stage, str] = {
    "check": "refused by the checks",
    "server": "refused by the server",
    "ambiguous": "ambiguous",
    "unsent": "unsent",
}


_REJECTION_FIELDS = tuple(field.name for field in attrs.fields(Rejection))


def parse_rejection(data: Mapping[str, Any]) -> Rejection:
    """Make a rejection from a line of the file of a rejection store."""
    return Rejection(**{name: data[name] for name in _REJECTION_FIELDS if name in data})


class BulkStoppedError(SyneriseError):
    """A run ended early: too many rows were rejected, or the server takes nothing more.

    `report` says what became of each row that was read. The error that ended the run is its `__cause__`.
    """

    def __init__(self, problem: str, report: Report) -> None:
        self.problem = problem
        self.report = report
        super().__init__(f"{problem}; {report.summary()}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.report)


class RejectedRowsError(SyneriseError):
    """Some rows were not accepted; raised by `report.raise_for_rejected()`."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(report.summary())

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.report,)


class _ReportHolder:
    """Holds the report of an exception that is not ours. A pickled or copied exception leaves it behind."""

    def __init__(self, report: Report | None = None) -> None:
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


_HOLDER_NAME = "_synerise_bulk_report"


def attach_report(error: BaseException, report: Report) -> None:
    """Let `report_of` find the report of the run that this exception ended, and add a line of counts to its text."""
    vars(error)[_HOLDER_NAME] = _ReportHolder(report)
    if report.read:
        with suppress(Exception):  # a frozen exception takes no note
            error.add_note(f"The run ended early: {report.summary()}")


def report_of(error: BaseException) -> Report | None:
    """Return the report of the bulk run that ended by an exception, whichever it is; None if there was none.

    It is found in BulkStoppedError and RejectedRowsError, in whatever else a run raised (an error of the rows, of a
    function of yours, Ctrl-C, a cancellation), and in what such an exception is the cause or the context of, or is
    grouped by. What was not confirmed when the run ended is `unsent` in it.
    """
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        holder = vars(found).get(_HOLDER_NAME)
        if isinstance(holder, _ReportHolder) and holder.report is not None:
            return holder.report
        if isinstance(found, BulkStoppedError | RejectedRowsError):
            return found.report
        if isinstance(found, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", found).exceptions
        waiting += [found.__cause__, found.__context__]
    return None
