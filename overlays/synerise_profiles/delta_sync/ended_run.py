"""The report of a delta sync that an exception ended."""

from __future__ import annotations

from typing import Final

from synerise_profiles._core.error_chain import endings, held_report, hold_report, related_errors

from .report import DeltaReport

__all__ = ["attach_report", "report_of"]

_NAME: Final = "_synerise_delta_report"


def attach_report(error: BaseException, handled: BaseException | None, report: DeltaReport) -> None:
    """Let `report_of` find the report of the delta sync that this exception ended.

    Where it ended what is done to profiles that are gone, a line of the counts of the rows is added to its text, which
    has those of the gone ones alone.
    """
    for ending in endings(error, handled):
        note = "" if report.gone_sent is None else f"Before the profiles that are gone: {report.summary()}"
        hold_report(ending, _NAME, report, note)


def report_of(error: BaseException) -> DeltaReport | None:
    """Return the report of the delta sync that ended by an exception, whichever it is; None if there was none.

    `sent` in it, and `gone_sent` where the run had come so far, say what became of each row until then. It is found
    where `bulk.report_of` finds the report of the bulk run that the exception ended, which is one of these two.
    """
    for found in related_errors(error):
        report = held_report(found, _NAME)
        if isinstance(report, DeltaReport):
            return report
    return None
