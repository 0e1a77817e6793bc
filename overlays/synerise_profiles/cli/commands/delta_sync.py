"""`delta-sync`: send what changed in a table since the server confirmed it, or only show the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import click

from synerise_profiles.cli.connection import connected, default_limits, open_client
from synerise_profiles.cli.exit_status import DONE, REFUSED, describe_error
from synerise_profiles.cli.flags import (
    DELTA_FLAGS,
    PLAN_FLAGS,
    dry_run_option,
    flagged,
    given_options,
    reads_rows,
    report_option,
    show_values_option,
)
from synerise_profiles.cli.output import as_json_flag, confirm, print_json, shown_progress, write_line
from synerise_profiles.cli.runs import check_page, print_reasons, print_report, status_of, write_page
from synerise_profiles.cli.streams import tell
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles import Synerise
    from synerise_profiles.delta_sync import DeltaPlan, DeltaReport

__all__ = ["COMMANDS"]

_AGAIN: Final = "The state is safe: the same command sends what was not confirmed."


@click.command(name="delta-sync")
@reads_rows
@dry_run_option
@click.option("--yes", is_flag=True, help="Do not ask where profiles that are gone are deleted.")
@show_values_option
@report_option
@flagged(DELTA_FLAGS)
@as_json_flag
@connected
def delta_sync(
    files: tuple[str, ...],
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    yes: bool,  # noqa: FBT001 - likewise
    page: str | None,
    **values: Any,
) -> int:
    """Send of a table of profiles what changed since the server confirmed it (profiles.upsert_batch).

    --state is a file that says so by digests of rows. --dry-run reads, compares, sends nothing and leaves the state as
    it is. --gone tag=12 puts a tag on profiles that are not in the table any more, --gone attributes.active=false sets
    a field of theirs, and --gone delete deletes them, which is irreversible.

    \b
    Examples:
      synerise-profiles delta-sync customers.csv --set customId=id --key customId --state customers.state --dry-run
      synerise-profiles delta-sync customers.csv --mapping map.toml --key customId --state mapped.state
    """
    from synerise_profiles.cli.inputs import rows_of  # noqa: PLC0415 - a help page does without

    rows = rows_of(files, "profiles", values)
    shown = {name: values[name] for name in ("as_json", "show_values")}
    options = given_options(DELTA_FLAGS, values)
    check_page(page, rows)
    if dry_run:
        plan_options = given_options(PLAN_FLAGS, values)
        with open_client() as client:
            return _plan(client, rows, plan_options, dict(default_limits()) | options, page, **shown)
    if options.get("gone") == "delete":
        confirm("Profiles that are gone are deleted. Deleting is irreversible.", is_sure=yes)
    with open_client() as client:
        return _run(client, rows, dict(default_limits()) | options, page, **shown)


def _plan(
    client: Synerise,
    rows: Any,
    options: Mapping[str, Any],
    limits: Mapping[str, Any],
    page: str | None,
    *,
    as_json: bool,
    show_values: bool,
) -> int:
    from synerise_profiles.cli.dry_runs import durations_of, print_durations, rates_of  # noqa: PLC0415 - as above

    plan = client.delta_sync.plan(rows, **options)
    rates = rates_of(limits)

    def show() -> None:
        if as_json:
            document = plan.to_dict(show_values=show_values, show_references=True)
            print_json(document | {"dry_run": True, "durations": durations_of(plan.requests, rates), "problem": None})
            return
        write_line("Dry run: nothing was sent.")
        _print_found(plan)
        print_reasons(plan.sent, show_values=show_values)
        print_durations(plan.requests, plan.bytes, rates)

    is_told = tell(show, "nothing was sent")
    is_written = write_page(plan, page, show_values=show_values)
    return DONE if is_told and is_written and not (plan.invalid or plan.held) else REFUSED


def _run(
    client: Synerise, rows: Any, options: Mapping[str, Any], page: str | None, *, as_json: bool, show_values: bool
) -> int:
    from synerise_profiles.delta_sync import report_of  # noqa: PLC0415 - as above

    try:
        with shown_progress(as_json=as_json) as progress:
            report = client.delta_sync.profiles(rows, **options, progress=progress)
    except BaseException as error:
        partial = report_of(error)
        if partial is not None and (partial.sent.read or partial.gone_sent is not None):
            described = describe_error(error)
            problem = None if described is None else described.text
            _tell(partial, as_json=as_json, show_values=show_values, problem=problem, is_over=False)
            if not as_json:
                click.echo(_AGAIN, err=True)
        raise
    is_told = _tell(report, as_json=as_json, show_values=show_values, problem=report.gone_problem, is_over=True)
    is_written = write_page(report, page, show_values=show_values)
    return _status_of(report) if is_told and is_written else REFUSED


def _tell(report: DeltaReport, *, as_json: bool, show_values: bool, problem: str | None, is_over: bool) -> bool:
    def show() -> None:
        if as_json:
            print_json(report.to_dict(show_values=show_values, show_references=True) | {"problem": problem})
            return
        _print_report(report, show_values=show_values)
        if is_over and not report.sent.read and not (report.gone_sent and report.gone_sent.read):
            write_line("Nothing had to be sent.")

    return tell(show, report.sent.counts())


def _print_found(found: DeltaPlan) -> None:
    """Print what was found, a line for each thing."""
    text, problem = found.to_text(), found.gone_problem
    for line in (text if problem is None else text.replace(problem, as_flags(problem))).splitlines():
        write_line(line)


def _print_report(report: DeltaReport, *, show_values: bool) -> None:
    """Print what was found, and what became of it."""
    _print_found(report)
    for name, sent in (("Rows that changed:", report.sent), ("Profiles that are gone:", report.gone_sent)):
        if sent is not None and (sent.read or sent.notes):
            write_line(name)
            print_report(sent, show_values=show_values)


def _status_of(report: DeltaReport) -> int:
    statuses = [status_of(sent) for sent in (report.sent, report.gone_sent) if sent is not None]
    return REFUSED if report.held or report.gone_problem else max(statuses)


COMMANDS: Final[Mapping[str, click.Command]] = {"delta-sync": delta_sync}
