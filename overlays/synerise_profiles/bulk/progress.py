"""Where a run stands: told to the caller's `progress` function, to telemetry and to the curve of its report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from synerise_profiles._core.instruments import count_rows, is_traced

from .journal_protocol import JournalEntry
from .report import Progress, Report
from .timings import FIRST_GAP

__all__ = ["RunProgress"]


class RunProgress:
    """Tells where a run stands, as often as it is asked to."""

    def __init__(self, report: Report, function: Callable[[Progress], object] | None) -> None:
        self._report = report
        self._function = function
        self._next_point = FIRST_GAP
        self._counted: Counter[str] = Counter()

    def skip(self, entry: JournalEntry) -> None:
        """Count no rows for telemetry that an earlier run settled: they were counted by it."""
        self._counted["accepted"] += entry.accepted
        self._counted.update(refusal.stage for refusal in entry.refused.values())

    def tell(self, in_flight: int, seconds: float) -> None:
        """Tell it, with so many requests in flight, so long after the start."""
        report = self._report
        report.seconds = seconds
        if is_traced() and not report.is_dry:
            self._count_rows()
        if seconds >= self._next_point:
            settled = report.accepted + report.rejected_count() - report.resumed
            self._next_point = report.timings.add_point(seconds, settled)
        if self._function is not None:
            progress = Progress(
                read=report.read,
                accepted=report.accepted,
                rejected=report.rejected_count(),
                resumed=report.resumed,
                requests=report.requests,
                in_flight=in_flight,
                seconds=seconds,
            )
            self._function(progress)

    def _count_rows(self) -> None:
        """Count the rows whose fate became known since the last time."""
        report, counted = self._report, self._counted
        for fate, rows in (("accepted", report.accepted), *report.by_stage.items()):
            count_rows(report.operation, fate, rows - counted[fate])
            counted[fate] = rows
