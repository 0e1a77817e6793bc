"""A dry run as a command: what would be sent and refused, and how long it would take at a rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from synerise_profiles._core.wording import counted

from .exit_status import DONE, REFUSED, describe_error
from .output import print_json, shown_progress, write_line
from .runs import check_page, print_report, report_document, write_page
from .streams import tell

if TYPE_CHECKING:
    from synerise_profiles.bulk import Report

__all__ = ["durations_of", "print_durations", "rates_of", "run_dry"]

_RATES: Final = (5.0, 20.0, 50.0)
"""Requests a second for which the time is said where no rate was given."""


def run_dry(rows: Any, for_: Any, options: Mapping[str, Any], *, as_json: bool, page: str | None = None) -> int:
    """Do a dry run, print its report and write its page; return the exit status."""
    from synerise_profiles.bulk import BulkStoppedError, dry_run  # noqa: PLC0415 - a help page does without

    check_page(page, rows)
    rates = rates_of(options)
    try:
        with shown_progress(as_json=as_json) as progress:
            report = dry_run(rows, for_=for_, **options, progress=progress)
    except BulkStoppedError as error:
        described = describe_error(error)
        problem, partial = "" if described is None else described.text, error.report
        tell(lambda: _print(partial, rates, as_json=as_json, problem=problem), partial.counts())
        raise
    is_told = tell(lambda: _print(report, rates, as_json=as_json, problem=""), report.counts())
    is_written = write_page(report, page, show_values=False)
    return DONE if is_told and is_written and not report.rejected_count() else REFUSED


def rates_of(options: Mapping[str, Any]) -> tuple[float, ...]:
    """Return the requests a second for which the time is said."""
    rate = options.get("requests_per_second")
    return _RATES if rate is None else (float(rate),)


def durations_of(requests: int, rates: tuple[float, ...]) -> list[dict[str, float]]:
    """Return how long requests would take, for machines."""
    return [{"requests_per_second": rate, "seconds": requests / rate} for rate in rates]


def print_durations(requests: int, size: int, rates: tuple[float, ...]) -> None:
    """Print what a run would take."""
    write_line(f"  {counted(requests, 'request')} with {counted(size, 'byte')} would be sent")
    for rate in rates:
        write_line(f"  at {rate:g} requests a second: {duration_text(requests / rate)}")


def _print(report: Report, rates: tuple[float, ...], *, as_json: bool, problem: str) -> None:
    if as_json:
        document = report_document(report, show_values=False)
        times = durations_of(report.requests, rates)
        print_json(document | {"dry_run": True, "durations": times, "problem": problem or None})
        return
    write_line("Dry run: nothing was sent.")
    print_report(report, show_values=False, is_dry=True)
    print_durations(report.requests, report.bytes_sent, rates)


def duration_text(seconds: float) -> str:
    """Write a duration as a person says it."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:,.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60:02} min"
