"""What a bulk run raises when it cannot go on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synerise_profiles_api.errors import SyneriseError

if TYPE_CHECKING:
    from .report import Report

__all__ = ["BulkStoppedError", "JournalMismatchError", "RejectedRowsError"]


class BulkStoppedError(SyneriseError):
    """The run ended early: too many rows were rejected, or the server takes nothing more.

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


class JournalMismatchError(SyneriseError, ValueError):
    """The journal belongs to another input, or to a call with other arguments; nothing was sent."""
