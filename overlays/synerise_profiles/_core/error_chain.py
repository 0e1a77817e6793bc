"""Which exceptions belong to one that ended a run, and the report of the run that they hold.

They are those that it came of, and those that an event loop made of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, Protocol, TypeVar, cast

import attrs

__all__ = [
    "BULK_REPORT",
    "CountedReport",
    "ReportHolder",
    "add_note",
    "attach_report",
    "current_error",
    "endings",
    "first_error",
    "held_report",
    "hold_report",
    "related_errors",
]

ErrorT = TypeVar("ErrorT", bound=BaseException)
BULK_REPORT: Final = "_synerise_bulk_report"
"""The name by which an exception holds the report of a bulk run."""


class CountedReport(Protocol):
    """A report of which an exception tells the counts."""

    read: int
    complete: bool

    def counts(self) -> str:
        """Return the counts in a line."""
        ...


@attrs.define(eq=False)
class ReportHolder:
    """Holds a report in an exception that is not ours. A pickled or copied exception leaves it behind.

    `complete` brings what the exception ended to its end, where that was cut off; it is called before the report is
    handed out.
    """

    report: object = None
    complete: Callable[[BaseException], None] | None = attrs.field(default=None, init=False)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


def hold_report(error: BaseException, name: str, report: object, note: str = "") -> None:
    """Let an exception hold a report by a name, and add a line to its text."""
    if _found(error, name) is not report:
        vars(error)[name] = ReportHolder(report)
    if note:
        add_note(error, note)


def held_report(error: BaseException, name: str) -> object:
    """Return the report that this very exception holds by a name; None if it holds none."""
    holder = vars(error).get(name)
    if isinstance(holder, ReportHolder) and holder.complete is not None:
        holder.complete(error)
    return _found(error, name)


def _found(error: BaseException, name: str) -> object:
    holder = vars(error).get(name)
    return holder.report if isinstance(holder, ReportHolder) else None


def attach_report(error: BaseException, report: CountedReport) -> None:
    """Let `bulk.report_of` find the report of the run that this exception ended, and add its counts to its text."""
    words = "The run is complete" if report.complete else "The run ended early"
    hold_report(error, BULK_REPORT, report, f"{words}: {report.counts()}" if report.read else "")


def add_note(error: BaseException, note: str) -> None:
    """Add a line to the text of an exception, once."""
    if note not in getattr(error, "__notes__", ()):
        with suppress(Exception):  # a frozen exception takes no note
            error.add_note(note)


def first_error(*errors: ErrorT | None) -> ErrorT | None:
    """Return the first that is one. An exception of the caller's may be false, or refuse to say whether it is."""
    return next((error for error in errors if error is not None), None)


def current_error(error: BaseException) -> BaseException:
    """Return the exception that is being handled, which may have cut in after `error`."""
    current = sys.exception()
    return error if current is None else current


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
