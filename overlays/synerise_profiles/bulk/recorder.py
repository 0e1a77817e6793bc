"""What is written down of a run: rejections, notes, the journal's entries; and when there are too many rejections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import attrs

from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.bisection import Job, Refusal
from synerise_profiles._batching.operations import Kind
from synerise_profiles._batching.rejection import Rejection, identifier_of
from synerise_profiles_api.errors import SyneriseError

from .report import Progress, Report
from .settings import Settings

__all__ = ["Confirmed", "JournalMismatchError", "JournalPort", "Ledger"]

_ENOUGH = 1000
"""How many rows must be settled before their rate of errors says anything."""


class JournalMismatchError(SyneriseError, ValueError):
    """The journal belongs to another input, or to a call with other arguments; nothing was sent."""


@attrs.frozen(kw_only=True)
class Confirmed:
    """What a journal keeps of a settled chunk: its rows, and what became of them."""

    first: int
    last: int
    digest: bytes
    accepted: int
    refused: dict[int, Refusal]


class JournalPort(Protocol):
    """What is asked of a journal."""

    @property
    def last(self) -> int:
        """The number of the last chunk that is settled; -1 for a new journal."""
        ...

    @property
    def is_finished(self) -> bool:
        """Whether the whole input was sent."""
        ...

    def confirmed(self, number: int) -> Confirmed | None:
        """Return what is known of a settled chunk."""
        ...

    def confirm(self, number: int, found: Confirmed) -> None:
        """Keep what became of a chunk."""
        ...

    def time_of(self, number: int) -> str | None:
        """Return the time that rows of a chunk were given by an earlier run."""
        ...

    def keep_time(self, number: int, time: str) -> None:
        """Keep the time that rows are given, before they are sent."""
        ...

    def finish(self) -> None:
        """Keep that the whole input was sent."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class Ledger:
    """Writes down what became of rows."""

    def __init__(
        self,
        kind: Kind,
        settings: Settings,
        report: Report,
        journal: JournalPort | None,
        locate: Callable[[int], Any] | None = None,
    ) -> None:
        self.report = report
        self.journal = journal
        self.problem: str | None = None
        """Why the run has to end: too many rejections."""
        self._kind = kind
        self._settings = settings
        self._locate = locate

    def refuse(self, index: int, reference: Any, row: bytes, field: str, reason: str) -> bool:
        """Write down a row that the checks refused; return whether to read on."""
        if reference is None and self._locate is not None:
            reference = self._locate(index)
        self._add(row, index=index, reference=reference, stage="check", reason=reason, field=field or None)
        return self.problem is None

    def settle(self, job: Job) -> None:
        """Write down what became of a chunk."""
        chunk = job.chunk
        if self.journal is not None and not job.is_unsent:
            found = Confirmed(
                first=chunk.indexes[0],
                last=chunk.indexes[-1],
                digest=chunk.digest(),
                accepted=job.accepted,
                refused=job.refused,
            )
            self.journal.confirm(chunk.number, found)
        self.report.accepted += job.accepted
        self._tell(chunk, job.refused)

    def resume(self, chunk: Chunk) -> bool:
        """Write down a chunk that an earlier run settled; false if none did."""
        journal = self.journal
        if journal is None:
            return False
        found = journal.confirmed(chunk.number)
        if found is None:
            if journal.is_finished:
                raise JournalMismatchError(_OTHER.format("the input has more rows than the one that was sent"))
            return False
        if (found.first, found.last, found.digest) != (chunk.indexes[0], chunk.indexes[-1], chunk.digest()):
            raise JournalMismatchError(_OTHER.format(f"rows {found.first} to {found.last} differ"))
        self.report.resumed += len(chunk)
        self.report.accepted += found.accepted
        self._tell(chunk, found.refused)
        return True

    def finish(self, chunks: int) -> None:
        """Write down that the input was read to its end."""
        if self.journal is None:
            return
        if chunks <= self.journal.last:
            raise JournalMismatchError(_OTHER.format("the input has fewer rows than the one that was sent"))
        if not self.report.by_stage["unsent"]:
            self.journal.finish()

    def progress(self, in_flight: int, seconds: float) -> None:
        """Tell the caller where the run stands."""
        report = self.report
        report.seconds = seconds
        if self._settings.progress is not None:
            now = Progress(
                read=report.read,
                accepted=report.accepted,
                rejected=report.count(),
                resumed=report.resumed,
                requests=report.requests,
                in_flight=in_flight,
                seconds=seconds,
            )
            self._settings.progress(now)

    def _tell(self, chunk: Chunk, refused: dict[int, Refusal]) -> None:
        for position, entry in chunk.sampled:
            entry.is_accepted = position not in refused
            entry.reference = self._reference_of(chunk, position)
        for position in sorted(refused):
            refusal = refused[position]
            self._add(
                chunk.item(position),
                index=chunk.indexes[position],
                reference=self._reference_of(chunk, position),
                stage=refusal.stage,
                reason=refusal.reason,
                field=refusal.field,
                group=refusal.group,
            )

    def _reference_of(self, chunk: Chunk, position: int) -> Any:
        """What the caller knows a row by, or where its source says that it stands."""
        if chunk.references is not None:
            return chunk.references[position]
        return None if self._locate is None else self._locate(chunk.indexes[position])

    def _add(self, row: bytes, **parts: Any) -> None:
        self.report.add(Rejection(identifier=identifier_of(self._kind, row), **parts), row)
        if self.problem is None and parts["stage"] != "unsent":
            self.problem = self._too_many()

    def _too_many(self) -> str | None:
        report, settings = self.report, self._settings
        bad = report.count() - report.by_stage["unsent"]
        if settings.max_errors is not None and bad > settings.max_errors:
            return f"more than {settings.max_errors:,} rows were rejected"
        rate, settled = settings.max_error_rate, bad + report.accepted
        if rate is not None and settled >= _ENOUGH and bad > rate * settled:
            return f"more than {rate:.1%} of the rows were rejected"
        return None


_OTHER = (
    "the journal belongs to another input: {}. Give the input that it was made with, or another file as the journal; "
    "nothing of this input was sent"
)
