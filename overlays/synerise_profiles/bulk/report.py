"""The report of a run: counts, rejections, notes, the result of a verification; `Progress` while it goes on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, get_args, overload

import attrs

from synerise_profiles._batching.attribution import Rejection, Stage, count_note
from synerise_profiles._batching.verification_result import DeletionVerification, Verification
from synerise_profiles._core.error_chain import BULK_REPORT, held_report, related_errors
from synerise_profiles._core.wording import counted
from synerise_profiles_api.errors import SyneriseError
from synerise_profiles_api.names import HintsNames

from .dead_letter import RejectionStore
from .reasons import ReasonCount, ReasonTally
from .timings import RunTimings

__all__ = [
    "BulkStoppedError",
    "Progress",
    "ReasonCount",
    "RejectedRowsError",
    "Report",
    "add_counts",
    "progress_of",
    "report_of",
]


@attrs.frozen(kw_only=True)
class Progress(HintsNames):
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


@attrs.define(kw_only=True, eq=False)
class Report(HintsNames):
    """What became of every row: `read` is `accepted` plus the rows in `rejected`.

    `by_stage` counts the rejected rows by who refused them. `notes` counts notes by their text: about rows that were
    sent all the same, and about responses that confirm and are not documented so. `resumed` rows were settled by an
    earlier run with the same journal. `complete` says that the input was read to its end and that no row is unsent.
    `verification` is the result of reading a sample back, where that was asked for; `deletion_verification` that of a
    run of deletions. `is_dry` says that nothing was sent, `settings` how the run was set, `timings` its rate, its
    slowest requests and the throttling. `unit` is what the references of rejections count: a `row`, or a `line`.
    `dead_letter` is the file of the dead letters; no file of the report takes its place.
    """

    operation: str
    unit: str = "row"
    read: int = 0
    accepted: int = 0
    resumed: int = 0
    requests: int = 0
    retries: int = 0
    bytes_sent: int = 0
    seconds: float = 0.0
    complete: bool = False
    by_stage: dict[Stage, int] = attrs.field(factory=partial(dict.fromkeys, get_args(Stage), 0))
    notes: dict[str, int] = attrs.field(factory=dict[str, int])
    verification: Verification | None = None
    deletion_verification: DeletionVerification | None = None
    rejection_store: RejectionStore = attrs.field(factory=RejectionStore, repr=False)
    dead_letter: Path | None = attrs.field(default=None, repr=False)
    is_dry: bool = attrs.field(default=False, repr=False)
    settings: dict[str, object] = attrs.field(factory=dict[str, object], repr=False)
    timings: RunTimings = attrs.field(factory=RunTimings, repr=False)
    _tally: ReasonTally | None = attrs.field(default=None, init=False, repr=False)

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

    def counts(self) -> str:
        """Return the counts alone as one line, which any text may hold, that of an exception too."""
        phrases = [
            f"{self.operation}: {counted(self.read, 'row')} read",
            f"{self.accepted:,} {'would be sent' if self.is_dry else 'accepted'}",
        ]
        phrases += [f"{count:,} {_STAGE_TEXTS[stage]}" for stage, count in self.by_stage.items() if count]
        if self.verification is not None:
            sample, skipped = self.verification, self.verification.skipped
            uncompared = f" ({skipped:,} cannot be compared)" if skipped else ""
            phrases.append(f"{sample.arrived:,} of {sample.sample:,} read back as sent{uncompared}")
        if self.deletion_verification is not None:
            found = self.deletion_verification
            phrases.append(f"{len(found.remaining):,} of {found.sample:,} looked for still exist")
        return ", ".join(phrases)

    def summary(self, *, show_values: bool = False) -> str:
        """Return one line: counts, what an earlier run settled, the rate, and the three most frequent reasons.

        Without `show_values` nothing of the rows is in it: of what the server refused the field is named, and not its
        words, which may quote what was sent.
        """
        phrases = [self.counts()]
        if self.resumed:
            phrases.append(f"{self.resumed:,} of them settled by an earlier run")
        if self.seconds and not self.is_dry:
            phrases.append(f"{self.rows_per_second:,.0f} rows a second")
        reasons = self.reasons(show_values=show_values)
        shown = [
            f"{item.rows:,} x {': '.join(filter(None, (item.field, item.reason)))}" for item in reasons[:_REASONS_SHOWN]
        ]
        if len(reasons) > _REASONS_SHOWN:
            shown.append(f"{sum(item.rows for item in reasons[_REASONS_SHOWN:]):,} for other reasons")
        return "; ".join([*phrases, *shown])

    def reasons(self, *, show_values: bool = False, show_references: bool = False) -> list[ReasonCount]:
        """Return why rows were not accepted, the most frequent reason first, each with its first rows.

        Without `show_values` the words of the server are left out, and references that are no numbers, such as lines
        are; `show_references` shows these alone. Up to 1,000 different reasons are told apart. The
        rejected rows are read through once, from their file where they are many: OSError if a later run replaced it.
        """
        if self._tally is None or self._tally.rows != self.rejected_count():
            self._tally = ReasonTally(self.rejected)
        return self._tally.most_common(show_values=show_values, show_references=show_references)

    def to_dict(self, *, show_values: bool = False, show_references: bool = False) -> dict[str, Any]:
        """Return counts, reasons, notes and the verification as JSON has them. The rejected rows are in `rejected`.

        `show_values` and `show_references` add what they add to `reasons`.
        """
        from synerise_profiles._reports.plain_json import json_form  # noqa: PLC0415 - a run does without

        reasons = self.reasons(show_values=show_values, show_references=show_references)
        return {
            **{name: getattr(self, name) for name in _DOCUMENT_FIELDS},
            "rejected": self.rejected_count(),
            "rows_per_second": self.rows_per_second,
            "by_stage": dict(self.by_stage),
            "reasons": [json_form(item) for item in reasons],
            "notes": dict(self.notes),
            **self.timings.to_dict(),
            "verification": None if self.verification is None else json_form(self.verification),
            "deletion_verification": (
                None if self.deletion_verification is None else json_form(self.deletion_verification)
            ),
        }

    def to_json(self, *, show_values: bool = False) -> str:
        """Return what `to_dict` holds as JSON."""
        from .report_files import json_of  # noqa: PLC0415 - likewise

        return json_of(self.to_dict(show_values=show_values)).decode()

    def write_json(self, path: str | os.PathLike[str], *, show_values: bool = False) -> None:
        """Write what `to_json` returns to a file: whole, and for its owner alone.

        Raises InvalidRequestError if the file cannot be written.
        """
        from .report_files import write_json  # noqa: PLC0415 - likewise

        write_json(self.to_dict(show_values=show_values), path, self.dead_letter)

    def write_parquet(self, path: str | os.PathLike[str]) -> None:
        """Write the rejected rows to a Parquet file: the fields of a `Rejection` as columns, `reference` as text.

        It holds no rows, but the words of the server, which may quote them; it is for its owner alone. Raises
        InvalidRequestError if the file cannot be written, ModuleNotFoundError without `synerise-profiles[arrow]`.
        """
        from .report_files import write_parquet  # noqa: PLC0415 - likewise

        write_parquet(self.rejected, path, self.dead_letter)

    def write_html(self, path: str | os.PathLike[str], *, show_values: bool = False) -> None:
        """Write a page about the run: funnel, rejections, rate, throttling, slowest batches, settings and versions.

        It is one file that needs no network, for screen and paper, and for its owner alone. Raises InvalidRequestError
        if the file cannot be written.
        """
        from .report_files import write_page  # noqa: PLC0415 - likewise

        document = self.to_dict(show_values=show_values)
        options: dict[str, Any] = {"settings": self.settings, "timings": self.timings, "is_dry": self.is_dry}
        write_page(document, path, self.dead_letter, **options)

    def raise_for_rejected(self) -> None:
        """Raise RejectedRowsError if a row was not accepted."""
        if self.rejected_count():
            raise RejectedRowsError(self)

    def note(self, text: str) -> None:
        """Count a note about a row."""
        count_note(self.notes, text)

    def add_notes(self, notes: Mapping[str, int]) -> None:
        """Add the notes that a source counted."""
        add_counts(self.notes, notes)


def add_counts(counts: dict[str, int], further: Mapping[str, int]) -> None:
    """Add the counts of notes to others."""
    for text, count in further.items():
        counts[text] = counts.get(text, 0) + count


def progress_of(report: Report, in_flight: int) -> Progress:
    """Return where a run stands, with so many requests in flight."""
    return Progress(
        read=report.read,
        accepted=report.accepted,
        rejected=report.rejected_count(),
        resumed=report.resumed,
        requests=report.requests,
        in_flight=in_flight,
        seconds=report.seconds,
    )


class Rejected:
    """The rejections of a report: iterable again and again, and sized; `rejected[:4]` are the first four.

    Many of them are read from a file, for each index or slice from its beginning.
    """

    def __init__(self, report: Report) -> None:
        self._report = report

    def __iter__(self) -> Iterator[Rejection]:
        return self._report.rejection_store.read(parse_rejection)

    def __len__(self) -> int:
        return self._report.rejected_count()

    @overload
    def __getitem__(self, index: int) -> Rejection: ...
    @overload
    def __getitem__(self, index: slice) -> list[Rejection]: ...
    def __getitem__(self, index: int | slice) -> Rejection | list[Rejection]:
        places = range(len(self))[index]
        if isinstance(places, int):
            return next(islice(self, places, None))
        chosen = sorted(places)
        found = list(islice(self, chosen[0], chosen[-1] + 1, abs(places.step))) if chosen else []
        return found if places.step > 0 else found[::-1]

    def __repr__(self) -> str:
        return f"<{counted(len(self), 'rejected row')}>"


_STAGE_TEXTS: Mapping[Stage, str] = {
    "check": "refused by the checks",
    "server": "refused by the server",
    "ambiguous": "ambiguous",
    "unsent": "unsent",
}
_REASONS_SHOWN = 3
_COUNTS = ("read", "accepted", "resumed", "requests", "retries", "bytes_sent", "seconds", "complete")
_DOCUMENT_FIELDS = ("operation", "unit", *_COUNTS)


_REJECTION_FIELDS = tuple(field.name for field in attrs.fields(Rejection))


def parse_rejection(data: Mapping[str, Any]) -> Rejection:
    """Make a rejection from a line of the file of a rejection store."""
    return Rejection(**{name: data[name] for name in _REJECTION_FIELDS if name in data})


class BulkStoppedError(SyneriseError):
    """A run ended early: too many rows were rejected, or the server takes nothing more.

    `report` says what became of each row that was read. `too_many_rejected` says that `max_errors` or `max_error_rate`
    ended the run: the same call would end so again. Any other error that did is the `__cause__`.
    """

    def __init__(self, problem: str, report: Report, *, too_many_rejected: bool = False) -> None:
        self.problem = problem
        self.report = report
        self.too_many_rejected = too_many_rejected
        super().__init__(f"{problem}; {report.counts()}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.report), {"too_many_rejected": self.too_many_rejected}


class RejectedRowsError(SyneriseError):
    """Some rows were not accepted; raised by `report.raise_for_rejected()`."""

    def __init__(self, report: Report) -> None:
        self.report = report
        super().__init__(report.counts())

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.report,)


def report_of(error: BaseException) -> Report | None:
    """Return the report of the bulk run that ended by an exception, whichever it is; None if there was none.

    It is found in BulkStoppedError and RejectedRowsError, in whatever else a run raised (an error of the rows, of a
    function of yours, Ctrl-C, a cancellation), and in what such an exception is the cause or the context of, or is
    grouped by. What was not confirmed when the run ended is `unsent` in it. The error of an asyncio.TaskGroup whose
    other task failed does not hold the cancellation of the run; `on_finish` hands the report over then.
    """
    return next((found for each in related_errors(error) if (found := _attached_report(each)) is not None), None)


def _attached_report(error: BaseException) -> Report | None:
    """Return the report of the run that this very exception ended."""
    found = held_report(error, BULK_REPORT)
    if isinstance(found, Report):
        return found
    return error.report if isinstance(error, BulkStoppedError | RejectedRowsError) else None
