"""The report of a delta sync that an exception ended."""

from __future__ import annotations

from contextlib import suppress

from synerise_profiles._core.error_chain import endings, related_errors

from .report import DeltaReport

__all__ = ["attach_report", "report_of"]

_HOLDER_NAME = "_synerise_delta_report"


class _DeltaReportHolder:
    """Holds the report. A pickled or copied exception leaves it behind."""

    def __init__(self, report: DeltaReport | None = None) -> None:
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


def attach_report(error: BaseException, handled: BaseException | None, report: DeltaReport) -> None:
    """Let `report_of` find the report of the delta sync that this exception ended.

    Where it ended what is done to profiles that are gone, a line of the counts of the rows is added to its text, which
    has those of the gone ones alone.
    """
    for ending in endings(error, handled):
        vars(ending)[_HOLDER_NAME] = _DeltaReportHolder(report)
        if report.gone_sent is not None:
            with suppress(Exception):  # a frozen exception takes no note
                ending.add_note(f"Before the profiles that are gone: {report.summary()}")


def report_of(error: BaseException) -> DeltaReport | None:
    """Return the report of the delta sync that ended by an exception, whichever it is; None if there was none.

    `sent` in it, and `gone_sent` where the run had come so far, say what became of each row until then. It is found
    where `bulk.report_of` finds the report of the bulk run that the exception ended, which is one of these two.
    """
    for found in related_errors(error):
        holder = vars(found).get(_HOLDER_NAME)
        if isinstance(holder, _DeltaReportHolder) and holder.report is not None:
            return holder.report
    return None
