"""`merge plan` and `merge apply`: what merges would do, as text, page and file; and doing it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import click

from synerise_profiles.cli.connection import connected, open_client
from synerise_profiles.cli.exit_status import DONE, REFUSED, CommandError, raise_if_begun
from synerise_profiles.cli.groups import SuggestingGroup
from synerise_profiles.cli.output import as_json_flag, confirm, print_json, write_line
from synerise_profiles.cli.streams import tell
from synerise_profiles.cli.wording import as_flags, as_typed
from synerise_profiles.cli.written_files import PAGE, PLANS, check_written_file

if TYPE_CHECKING:
    from synerise_profiles import Synerise
    from synerise_profiles.merges import MergePlanSet, MergeSetResult

__all__ = ["COMMANDS"]


@click.group(cls=SuggestingGroup)
def merge() -> None:
    """Merge profiles by a plan that says first what would be copied and lost. Merging is irreversible.

    \b
    Example:
      synerise-profiles merge plan --by custom_id --into jan janek jasiek --save plans.jsonl
    """


@merge.command()
@click.option("--by", type=click.Choice(["custom_id", "id"]), required=True, help="How profiles are named.")
@click.option("--into", metavar="ID", help="The profile that stays.")
@click.argument("sources", nargs=-1, metavar="[ID]...")
@click.option("--show-values", is_flag=True, help="Show ids and values: personal data.")
@click.option("--html", metavar="FILE", help="Write a page for sign-off; with --show-values it shows values.")
@click.option("--save", metavar="FILE", help="Write the plans for `merge apply`, personal data included.")
@click.option("--pairs", metavar="CSV", help="File of duplicates and survivors, instead of --into.")
@click.option("--duplicate-column", default="duplicate", metavar="NAME", help="Column of duplicates (duplicate).")
@click.option("--survivor-column", default="survivor", metavar="NAME", help="Column of survivors (survivor).")
@click.option("--delimiter", metavar="TEXT", help="What separates columns (a comma).")
@click.option("--encoding", default="utf-8-sig", metavar="NAME", help="Encoding of the file (UTF-8).")
@click.option("--skip-lines", type=int, default=0, metavar="N", help="Lines above the header.")
@click.option("--comment", metavar="TEXT", help="What lines begin with that are comments.")
@click.option(
    "--on-chain",
    type=click.Choice(["flatten", "order", "refuse"]),
    default="flatten",
    help="What to do where a survivor is a duplicate itself.",
)
@connected
def plan(sources: tuple[str, ...], **options: Any) -> int:
    """Read profiles and show what merging them would copy and lose; change nothing.

    \b
    Examples:
      synerise-profiles merge plan --by custom_id --into jan janek jasiek
      synerise-profiles merge plan --by custom_id --pairs duplicates.csv --save plans.jsonl --html sign-off.html
    """
    pairs, into = options["pairs"], options["into"]
    if (pairs is None) == (into is None) or bool(sources) != (into is not None):
        raise CommandError("give --into ID and the ids to merge, or --pairs CSV")
    with open_client() as client:
        for flag, path, kind in (("--save", options["save"], PLANS), ("--html", options["html"], PAGE)):
            if path is not None:
                check_written_file(flag, path, kind)
        plans = _plans(client, sources, options)
        if options["html"] is not None:
            plans.write_html(options["html"], show_values=options["show_values"])
        if options["save"] is not None:
            plans.write_jsonl(options["save"])
        write_line(as_typed(plans.to_text(show_values=options["show_values"])))
        return _tell_inapplicable(plans)


def _tell_inapplicable(plans: MergePlanSet) -> int:
    """Say why plans cannot be applied, if there are such; return the exit status."""
    if not plans.counts.inapplicable:
        return DONE
    for one in plans:
        if one.problems:
            click.echo(f"plan {one.fingerprint[:12]} cannot be applied: {'; '.join(one.problems)}", err=True)
    return REFUSED


def _plans(client: Synerise, sources: tuple[str, ...], options: Mapping[str, Any]) -> MergePlanSet:
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - a help page does without

    by = options["by"]
    if options["pairs"] is not None:
        names = "on_chain", "duplicate_column", "survivor_column", "encoding", "skip_lines", "delimiter", "comment"
        given = {name: options[name] for name in names if options[name] is not None}
        try:
            return client.merges.plan_many(options["pairs"], by=by, **given)
        except InvalidRequestError as error:
            problem, marker, _ = error.problem.partition("; read it by ")
            if not marker:
                raise
            raise CommandError(f"--pairs: {problem}; give a CSV file") from None
    target, *merged = (_key(text, by) for text in (options["into"], *sources))
    if target in merged:
        raise CommandError("--into: the profile that stays is among those to merge; leave it out there")
    try:
        return client.merges.plan_many([(source, target) for source in merged], by=by)
    except InvalidRequestError as error:
        raise CommandError(f"ID: {as_flags(error.problem)}") from None


@merge.command()
@click.argument("plans_file", metavar="PLANS")
@click.option("--actor", required=True, metavar="NAME", help="Who merges, for the audit.")
@click.option("--audit", required=True, metavar="FILE", help="JSONL file that is appended to, ids included.")
@click.option("--group-size", type=int, metavar="N", help="Sources a request.")
@click.option("--allow-changes", is_flag=True, help="Merge although profiles have changed since.")
@click.option("--skip-refused", is_flag=True, help="Leave out plans that are refused.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_flag
@connected
def apply(
    plans_file: str,
    audit: str,
    yes: bool,  # noqa: FBT001 - click passes flags by name
    skip_refused: bool,  # noqa: FBT001 - likewise
    as_json: bool,  # noqa: FBT001 - likewise
    **options: Any,
) -> int:
    """Merge as saved plans say, with an audit; irreversible. Run it again to go on after a stop.

    \b
    Example:
      synerise-profiles merge apply plans.jsonl --actor e.nowak --audit merges.jsonl --yes
    """
    with open_client() as client:
        _check_audit(audit, plans_file)
        plans = _saved_plans(plans_file)
        confirm(f"{plans.summary()}. Merging is irreversible.", is_sure=yes)
        on_refusal: Literal["stop", "skip"] = "skip" if skip_refused else "stop"
        try:
            result = client.merges.apply_many(plans, audit=audit, on_refusal=on_refusal, **options)
        except BaseException as error:
            _tell_end(error, as_json=as_json)
            raise
    is_told = _tell_result(result, as_json=as_json)
    return DONE if is_told and result.complete else REFUSED


def _tell_end(error: BaseException, *, as_json: bool) -> None:
    """Print what is merged, whatever ended it; raise the error by which the command ends instead, if there is one."""
    from synerise_profiles.merges import AuditError, MergeSetResult, MergeStoppedError, report_of  # noqa: PLC0415

    result = report_of(error)
    if not isinstance(result, MergeSetResult):
        return
    _tell_result(result, as_json=as_json)
    if isinstance(error, MergeStoppedError):
        is_audited = not isinstance(error.__cause__, AuditError)
        hint = "The audit says what is merged; run it again to go on" if is_audited else "Mend that, and run it again"
        text = f"{as_flags(error.problem)}. {hint}"
        raise CommandError(text, REFUSED) from None
    if isinstance(error, KeyboardInterrupt) and not as_json:
        click.echo("The same command goes on where this one stopped: the audit says what is merged.", err=True)
    if len(result.merged) > result.resumed:
        raise_if_begun(error)


def _saved_plans(path: str) -> MergePlanSet:
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - a help page does without
    from synerise_profiles.merges import MergePlanSet  # noqa: PLC0415 - likewise

    try:
        return MergePlanSet.read_jsonl(path)
    except InvalidRequestError as error:
        problem = error.problem.replace("set of plans that write_jsonl() wrote", "file that merge plan --save wrote")
        raise CommandError(f"{path}: {as_flags(problem)}") from None


def _check_audit(audit: str, plans_file: str) -> None:
    """Refuse, before anything is asked for, an audit that cannot be written, or that is the file of the plans."""
    from synerise_profiles._core.files import file_id, refuse_same_files, target_of  # noqa: PLC0415 - as above

    target = target_of(audit, "--audit", is_appended=True)
    refuse_same_files({"--audit": target}, {"the plans": file_id(plans_file)})


def _tell_result(result: MergeSetResult, *, as_json: bool) -> bool:
    reasons = sorted({problem for problems in result.refused.values() for problem in problems})
    summary = result.summary()
    if as_json:
        return tell(lambda: print_json({"summary": summary, "complete": result.complete, "refused": reasons}), summary)
    is_told = tell(lambda: write_line(summary), summary)
    for reason in reasons:
        click.echo(f"refused: {as_flags(reason)}", err=True)
    return is_told


def _key(text: str, by: str) -> int | str:
    if by == "custom_id":
        return text
    try:
        return int(text)
    except ValueError:
        raise CommandError("with --by id every id is a number") from None


COMMANDS: Final[Mapping[str, click.Command]] = {"merge": merge}
