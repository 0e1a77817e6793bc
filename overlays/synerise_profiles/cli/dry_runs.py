"""A dry run as a command: what would be sent and refused, and how long it would take at a rate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from .exit_status import DONE, REFUSED, describe_error
from .output import print_json, shown_progress, write_line
from .runs import print_report, report_document

if TYPE_CHECKING:
    from synerise_profiles.bulk import Report

__all__ = ["run_dry"]

_RATES: Final = (5.0, 20.0, 50.0)
"""Requests a second for which the time is said where no rate was given."""


def run_dry(rows: Any, for_: Any, options: Mapping[str, Any], *, as_json: bool) -> int:
    """Do a dry run and print its report; return the exit status."""
    from synerise_profiles.bulk import BulkStoppedError, dry_run  # noqa: PLC0415 - a help page does without

    rate = options.get("requests_per_second")
    rates = _RATES if rate is None else (float(rate),)
    try:
        with shown_progress(as_json=as_json) as progress:
            report = dry_run(rows, for_=for_, **options, progress=progress)
    except BulkStoppedError as error:
        described = describe_error(error)
        _print(error.report, rates, as_json=as_json, problem="" if described is None else described.text)
        raise
    _print(report, rates, as_json=as_json, problem="")
    return REFUSED if report.rejected_count() else DONE


def _print(report: Report, rates: tuple[float, ...], *, as_json: bool, problem: str) -> None:
    durations = {rate: report.requests / rate for rate in rates}
    if as_json:
        document = report_document(report, show_values=False)
        times = [{"requests_per_second": rate, "seconds": seconds} for rate, seconds in durations.items()]
        print_json(document | {"dry_run": True, "durations": times, "problem": problem or None})
        return
    write_line("Dry run: nothing was sent.")
    print_report(report, show_values=False, is_dry=True)
    write_line(f"  {report.requests:,} requests with {report.bytes_sent:,} bytes would be sent")
    for rate, seconds in durations.items():
        write_line(f"  at {rate:g} requests a second: {duration_text(seconds)}")


def duration_text(seconds: float) -> str:
    """Write a duration as a person says it."""
    if seconds < 1:
        return "less than a second"
    if seconds < 90:
        return f"{seconds:,.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60:,} h {minutes % 60:02} min"
