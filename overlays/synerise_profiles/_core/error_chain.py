"""Which exceptions belong to one that ended a run, and the report of the run that they hold.

They are those that it came of, and those that an event loop made of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Final, Protocol, cast

__all__ = [
    "BULK_REPORT",
    "CountedReport",
    "attach_report",
    "endings",
    "held_report",
    "hold_report",
    "related_errors",
]

BULK_REPORT: Final = "_synerise_bulk_report"
"""The name by which an exception holds the report of a bulk run."""


class CountedReport(Protocol):
    """A report of which an exception tells the counts."""

    read: int
    complete: bool

    def counts(self) -> str:
        """Return the counts in a line."""
        ...


class _ReportHolder:
    """Holds a report in an exception that is not ours. A pickled or copied exception leaves it behind."""

    def __init__(self, report: object = None) -> None:
        self.report = report

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


def hold_report(error: BaseException, name: str, report: object, note: str = "") -> None:
    """Let an exception hold a report by a name, and add a line to its text."""
    vars(error)[name] = _ReportHolder(report)
    if note:
        _add_note(error, note)


def held_report(error: BaseException, name: str) -> object:
    """Return the report that this very exception holds by a name; None if it holds none."""
    holder = vars(error).get(name)
    return holder.report if isinstance(holder, _ReportHolder) else None


def attach_report(error: BaseException, report: CountedReport) -> None:
    """Let `bulk.report_of` find the report of the run that this exception ended, and add its counts to its text."""
    if held_report(error, BULK_REPORT) is report:
        return
    hold_report(error, BULK_REPORT, report)
    if report.read:
        words = "The run is complete" if report.complete else "The run ended early"
        _add_note(error, f"{words}: {report.counts()}")


def _add_note(error: BaseException, note: str) -> None:
    with suppress(Exception):  # a frozen exception takes no note
        error.add_note(note)


def related_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it groups, its causes and its contexts, each once, the nearest first."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", found).exceptions
        waiting += [found.__cause__, found.__context__]


def endings(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    """Yield the exceptions by which a caller may see that `error` ended a run; `handled` was there before the run.

    What a signal's handler raises while a loop waits ends the loop, and reaches the run as a cancellation alone.
    """
    yield error
    is_cancellation = not isinstance(error, Exception | KeyboardInterrupt | SystemExit | GeneratorExit)
    cause = error.__context__
    if is_cancellation and cause is not None and cause is not handled:
        yield cause
