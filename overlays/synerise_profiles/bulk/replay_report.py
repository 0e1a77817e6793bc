"""The report of a replay: the sums of all operations, and the counts of each."""

from __future__ import annotations

from typing import Any, Final

import attrs

from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.letter_lines import LetterLine

from .report import Report

__all__ = ["OperationCounts", "ReplayReport", "refuse_damaged"]

_NOTES_SHOWN: Final = 3
_DAMAGED_REASON: Final = "line {} is damaged: it holds no letter any more; mend it by hand"
_NO_OPERATION: Final = "unknown"


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


def refuse_damaged(report: ReplayReport, line: LetterLine) -> None:
    """Count a damaged line as a refused row of the operation that it still names."""
    name = line.operation or _NO_OPERATION
    before = report.by_operation.get(name, OperationCounts())
    counts = attrs.evolve(before, read=before.read + 1, rejected=before.rejected + 1)
    rejection = Rejection(index=line.number - 1, stage="check", reason=_DAMAGED_REASON.format(line.number))
    report.by_operation = {**report.by_operation, name: counts}
    report.read += 1
    report.rejection_store.add_without_line(rejection, report.by_stage)
