"""A bulk run as a command: its progress, its report as text or as JSON, and the exit status that it ends with."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from synerise_profiles._core.wording import counted

from .exit_status import DONE, REFUSED, describe_error
from .output import print_json, shown_progress, write_line
from .streams import tell
from .wording import as_flags
from .written_files import PAGE, check_written_file

if TYPE_CHECKING:
    from synerise_profiles.bulk import ReasonCount, Report
    from synerise_profiles.delta_sync import DeltaPlan

__all__ = [
    "REASONS_SHOWN",
    "check_page",
    "print_reasons",
    "print_report",
    "report_document",
    "run_rows",
    "status_of",
    "write_page",
]

REASONS_SHOWN: Final = 10
_HIDDEN_REASON: Final = "refused by the server; --show-values shows its words"


def run_rows(
    send: Callable[..., Report],
    options: Mapping[str, Any],
    *,
    as_json: bool,
    show_values: bool,
    page: str | None = None,
    again: str = "",
) -> int:
    """Do a bulk run and print its report, also where it ended early; return the exit status.

    `page` is the file of its page; `again` says how to go on after an interruption, where that is not by the journal.
    """
    from synerise_profiles.bulk import report_of  # noqa: PLC0415 - a help page does without

    try:
        with shown_progress(as_json=as_json) as progress:
            report = send(**options, progress=progress)
    except BaseException as error:
        partial = report_of(error)
        if partial is not None and partial.read:
            described = describe_error(error)
            _tell(
                partial, as_json=as_json, show_values=show_values, problem="" if described is None else described.text
            )
            if isinstance(error, KeyboardInterrupt) and not as_json:
                click.echo(again or _resume_text(options), err=True)
            write_page(partial, page, show_values=show_values)
        raise
    is_told = _tell(report, as_json=as_json, show_values=show_values, problem="")
    is_written = write_page(report, page, show_values=show_values)
    return status_of(report) if is_told and is_written else REFUSED


def check_page(page: str | None, rows: object) -> None:
    """Refuse, before anything is sent, a page that cannot be written or would destroy another file."""
    from synerise_profiles._core.files import refuse_same_files, target_of  # noqa: PLC0415 - as above

    if page is not None:
        check_written_file("--report", page, PAGE)
        inputs = {"the file that the rows are read from": getattr(rows, "input_id", None)}
        refuse_same_files({"--report": target_of(page, "--report")}, inputs)


def write_page(report: Report | DeltaPlan, page: str | None, *, show_values: bool) -> bool:
    """Write the page of a run that is over; false where it cannot be written, which changes nothing of the run."""
    from synerise_profiles.errors import SyneriseError  # noqa: PLC0415 - as above

    try:
        if page is not None:
            report.write_html(page, show_values=show_values)
    except (OSError, SyneriseError) as error:
        reason = getattr(error, "strerror", None) or getattr(error, "problem", None) or type(error).__name__
        click.echo(
            f"--report: the page could not be written: {as_flags(reason)}; what was sent is as told above", err=True
        )
        return False
    return True


def status_of(report: Report) -> int:
    """Return the exit status of a run that came to its end."""
    verification, deletions = report.verification, report.deletion_verification
    is_unconfirmed = verification is not None and bool(verification.missing or verification.problem)
    is_undeleted = deletions is not None and bool(deletions.remaining or deletions.problem)
    return REFUSED if report.rejected_count() or is_unconfirmed or is_undeleted else DONE


def print_report(report: Report, *, show_values: bool, is_dry: bool = False) -> None:
    """Print what became of the rows, with the most frequent reasons and where they were met first."""
    from synerise_profiles.bulk import ReplayReport  # noqa: PLC0415 - a help page does without

    write_line(report.counts())
    by_operation = report.by_operation if isinstance(report, ReplayReport) else {}
    for name, counts in by_operation.items() if len(by_operation) > 1 else ():
        write_line(f"  {name}: {counts.read:,} read, {counts.accepted:,} accepted, {counts.rejected:,} rejected")
    print_reasons(report, show_values=show_values)
    if report.resumed:
        write_line(f"  {report.resumed:,} of them settled by an earlier run")
    if report.seconds and not is_dry:
        write_line(
            f"  {counted(report.requests, 'request')}, {counted(report.bytes_sent, 'byte')}, {report.seconds:,.1f} s, "
            f"{report.rows_per_second:,.0f} rows a second"
        )
    for text, count in sorted(report.notes.items(), key=lambda note: -note[1]):
        write_line(f"  note: {as_flags(text)} ({count:,})")
    for line in _read_back_lines(report):
        write_line(f"  {line}")


def _read_back_lines(report: Report) -> Iterator[str]:
    verification, deletions = report.verification, report.deletion_verification
    if verification is not None:
        for missing in verification.missing:
            fields = f": {', '.join(missing.fields)}" if missing.fields else ""
            where = missing.index if missing.reference is None else missing.reference
            yield f"not as sent: {report.unit} {where}, {missing.identifier} {missing.reason}{fields}"
    if deletions is not None:
        for remaining in deletions.remaining:
            where = remaining.index if remaining.reference is None else remaining.reference
            yield f"still exists: {report.unit} {where}, {remaining.identifier}"
    for found in (verification, deletions):
        if found is not None and found.problem:
            yield as_flags(found.problem)


def print_reasons(report: Report, *, show_values: bool) -> None:
    """Print why rows were not accepted, the most frequent reasons first."""
    for line in _reason_lines(report, show_values=show_values):
        write_line(f"  {line}")


def report_document(report: Report, *, show_values: bool) -> dict[str, Any]:
    """Return the report for machines. References are places in the files that the command has read."""
    return report.to_dict(show_values=show_values, show_references=True)


def _tell(report: Report, *, as_json: bool, show_values: bool, problem: str) -> bool:
    def show() -> None:
        if as_json:
            document = report_document(report, show_values=show_values)
            print_json(document | {"problem": problem or None})
        else:
            print_report(report, show_values=show_values)

    return tell(show, report.counts())


def _reason_lines(report: Report, *, show_values: bool) -> list[str]:
    found = report.reasons(show_values=show_values, show_references=True)
    lines: list[str] = []
    for item in found[:REASONS_SHOWN]:
        reason = _HIDDEN_REASON if item.is_hidden else item.reason
        if item.stage != "server":
            reason = as_flags(reason)
        what = ": ".join(part for part in (item.field, reason) if part)
        lines.append(f"{item.rows:,} x {item.stage}: {what} ({_places(report, item)})")
    if len(found) > REASONS_SHOWN:
        lines.append(f"and {counted(len(found) - REASONS_SHOWN, 'other reason')}")
    return lines


def _places(report: Report, item: ReasonCount) -> str:
    """Write where the first rows of a reason stand: by their lines, by their numbers, or by files and lines."""
    places = ", ".join(map(str, item.first)) + (", …" if item.rows > len(item.first) else "")
    noun = report.unit if item.rows == 1 else f"{report.unit}s"
    return places if report.unit == "place" else f"{noun} {places}"


def _resume_text(options: Mapping[str, Any]) -> str:
    if options.get("journal"):
        return "The journal is safe: the same command goes on where this one stopped."
    return "There is no --journal: the same command sends all rows again."
