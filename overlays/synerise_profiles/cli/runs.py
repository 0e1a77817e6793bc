"""A bulk run as a command: its progress, its report as text or as JSON, and the exit status that it ends with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from .exit_status import DONE, REFUSED, describe_error
from .output import print_json, shown_progress, write_line

if TYPE_CHECKING:
    from synerise_profiles.bulk import Rejection, Report

__all__ = ["REASONS_SHOWN", "print_report", "report_document", "run_rows"]

REASONS_SHOWN: Final = 10
_EXAMPLES: Final = 3
_MAX_REASONS: Final = 10_000
"""More different reasons than this are counted as one, so that memory is bounded."""


def run_rows(
    send: Callable[..., Report], options: Mapping[str, Any], *, as_json: bool, show_values: bool, again: str = ""
) -> int:
    """Do a bulk run and print its report, also where it ended early; return the exit status.

    `again` says how to go on after an interruption, where that is not by the journal.
    """
    from synerise_profiles.bulk import report_of  # noqa: PLC0415 - a help page does without

    try:
        with shown_progress(as_json=as_json) as progress:
            report = send(**options, progress=progress)
    except BaseException as error:
        partial = report_of(error)
        if partial is not None and partial.read:
            described = describe_error(error)
            _print(
                partial, as_json=as_json, show_values=show_values, problem="" if described is None else described.text
            )
            if isinstance(error, KeyboardInterrupt) and not as_json:
                click.echo(again or _resume_text(options), err=True)
        raise
    _print(report, as_json=as_json, show_values=show_values, problem="")
    return status_of(report)


def status_of(report: Report) -> int:
    """Return the exit status of a run that came to its end."""
    verification = report.verification
    unconfirmed = verification is not None and (verification.missing or verification.problem)
    return REFUSED if report.rejected_count() or unconfirmed else DONE


def print_report(report: Report, *, show_values: bool, is_dry: bool = False) -> None:
    """Print what became of the rows, with the most frequent reasons and where they were met first."""
    write_line(report.summary())
    by_operation = _by_operation(report)
    for name, counts in by_operation.items() if len(by_operation) > 1 else ():
        write_line(f"  {name}: " + ", ".join(f"{count:,} {what}" for what, count in counts.items()))
    for line in _reason_lines(report, show_values=show_values):
        write_line(f"  {line}")
    if report.resumed:
        write_line(f"  {report.resumed:,} of them were settled by an earlier run")
    if report.seconds and not is_dry:
        write_line(
            f"  {report.requests:,} requests, {report.bytes_sent:,} bytes, {report.seconds:,.1f} s, "
            f"{report.rows_per_second:,.0f} rows a second"
        )
    for text, count in sorted(report.notes.items(), key=lambda note: -note[1]):
        write_line(f"  note: {text} ({count:,})")
    verification = report.verification
    if verification is not None:
        for missing in verification.missing:
            fields = f": {', '.join(missing.fields)}" if missing.fields else ""
            where = missing.index if missing.reference is None else missing.reference
            write_line(f"  not as sent: row {where}, {missing.identifier} {missing.reason}{fields}")
        if verification.problem:
            write_line(f"  {verification.problem}")


def report_document(report: Report, *, show_values: bool) -> dict[str, Any]:
    """Return the report for machines."""
    verification = report.verification
    return {
        "operation": report.operation,
        "by_operation": _by_operation(report),
        "read": report.read,
        "accepted": report.accepted,
        "resumed": report.resumed,
        "rejected": report.rejected_count(),
        "by_stage": dict(report.by_stage),
        "reasons": [
            {"stage": stage, "field": field, "reason": reason, "rows": count, "first": first}
            for (stage, field, reason), (count, first) in _reasons(report, show_values=show_values)
        ],
        "requests": report.requests,
        "retries": report.retries,
        "bytes_sent": report.bytes_sent,
        "seconds": report.seconds,
        "complete": report.complete,
        "notes": report.notes,
        "verification": None
        if verification is None
        else {
            "sample": verification.sample,
            "arrived": verification.arrived,
            "missing": len(verification.missing),
            "skipped": verification.skipped,
            "unread": verification.unread,
            "problem": verification.problem,
        },
    }


def _by_operation(report: Report) -> dict[str, dict[str, int]]:
    """Return the counts of each operation of a replay; nothing of another run."""
    from synerise_profiles.bulk import ReplayReport  # noqa: PLC0415 - a help page does without

    found = report.by_operation if isinstance(report, ReplayReport) else {}
    return {name: {"read": it.read, "accepted": it.accepted, "rejected": it.rejected} for name, it in found.items()}


def _print(report: Report, *, as_json: bool, show_values: bool, problem: str) -> None:
    if as_json:
        document = report_document(report, show_values=show_values)
        print_json(document | {"problem": problem or None})
    else:
        print_report(report, show_values=show_values)


def _reason_lines(report: Report, *, show_values: bool) -> list[str]:
    found = _reasons(report, show_values=show_values)
    lines: list[str] = []
    for (stage, field, reason), (count, first) in found[:REASONS_SHOWN]:
        what = ": ".join(part for part in (field, reason) if part)
        places = ", ".join(str(place) for place in first) + (", …" if count > len(first) else "")
        lines.append(f"{count:,} x {stage}: {what} (rows {places})")
    if len(found) > REASONS_SHOWN:
        lines.append(f"and {len(found) - REASONS_SHOWN:,} other reasons")
    return lines


_Reason = tuple[str, str, str]


def _reasons(report: Report, *, show_values: bool) -> list[tuple[_Reason, tuple[int, list[Any]]]]:
    """Count the reasons of rejections, the most frequent first, each with the first rows that it was met in."""
    counts: Counter[_Reason] = Counter()
    examples: dict[_Reason, list[Any]] = {}
    for rejection in report.rejected:
        key: _Reason = (rejection.stage, rejection.field or "", _shown_reason(rejection, show_values=show_values))
        if key not in counts and len(counts) >= _MAX_REASONS:
            key = ("", "", "further reasons")
        counts[key] += 1
        first = examples.setdefault(key, [])
        if len(first) < _EXAMPLES:
            first.append(rejection.index if rejection.reference is None else rejection.reference)
    return [(key, (count, examples[key])) for key, count in counts.most_common()]


def _shown_reason(rejection: Rejection, *, show_values: bool) -> str:
    """The server's own words may quote what was sent: they are shown where that was asked for."""
    if show_values or rejection.stage in ("check", "unsent"):
        return rejection.reason
    return "refused by the server; --show-values shows its words"


def _resume_text(options: Mapping[str, Any]) -> str:
    if options.get("journal"):
        return "The journal is safe: the same command goes on where this one stopped."
    return "There is no --journal: the same command sends all rows again."
