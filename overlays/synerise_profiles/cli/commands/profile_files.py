"""`delete` and `tag`: what is done to each profile that a file names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import click

from synerise_profiles.cli.connection import connected, default_limits, open_client
from synerise_profiles.cli.exit_status import CommandError
from synerise_profiles.cli.flags import (
    BULK_FLAGS,
    DELETION_FLAGS,
    dry_run_option,
    flagged,
    given_options,
    reads_rows,
    report_option,
    show_values_option,
)
from synerise_profiles.cli.output import as_json_flag, confirm
from synerise_profiles.cli.runs import check_page, run_rows

if TYPE_CHECKING:
    from synerise_profiles.bulk import Report

__all__ = ["COMMANDS"]

_yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command()
@reads_rows
@dry_run_option
@_yes_option
@show_values_option
@report_option
@flagged(DELETION_FLAGS)
@as_json_flag
@connected
def delete(
    files: tuple[str, ...],
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    yes: bool,  # noqa: FBT001 - likewise
    **values: Any,
) -> int:
    """Delete the profiles of files, one request each; irreversible. A row has a clientId or a customId.

    With --audit a file says which profile was deleted when. With --journal too, the same command goes on after a stop.

    \b
    Example:
      synerise-profiles delete leavers.csv --set customId=number --dry-run
      synerise-profiles delete leavers.csv --set customId=number --audit deletions.jsonl --verify-sample 100 --yes
    """
    options = dict(default_limits()) | given_options(DELETION_FLAGS, values)
    rows = _rows(files, values)
    if dry_run:
        return _dry_run(rows, "deletions", options, values)
    check_page(values["page"], rows)
    confirm(f"The profiles of {', '.join(files) or 'the query'} are deleted. Deleting is irreversible.", is_sure=yes)
    with open_client() as client:
        method: Callable[..., Report] = client.bulk.delete_profiles
        send = partial(method, rows)
        shown = {name: values[name] for name in ("as_json", "show_values", "page")}
        return run_rows(send, options, **shown)


@click.command()
@click.option("--tag-id", type=int, required=True, metavar="N", help="Id of the tag; `tags` lists them.")
@reads_rows
@dry_run_option
@_yes_option
@show_values_option
@report_option
@flagged(BULK_FLAGS)
@as_json_flag
@connected
def tag(
    files: tuple[str, ...],
    tag_id: int,
    dry_run: bool,  # noqa: FBT001 - click passes flags by name
    yes: bool,  # noqa: FBT001 - likewise
    **values: Any,
) -> int:
    """Put a tag on the profiles of files, one request each. A row has a clientId; `get` shows that of a profile.

    \b
    Example:
      synerise-profiles tag vips.csv --tag-id 7 --set clientId=id --yes
    """
    options = dict(default_limits()) | given_options(BULK_FLAGS, values)
    rows = _rows(files, values)
    _refuse_without_client_id(rows, values)
    if dry_run:
        return _dry_run(rows, "tags", options, values)
    check_page(values["page"], rows)
    confirm(f"The profiles of {', '.join(files) or 'the query'} get tag {tag_id}.", is_sure=yes)
    with open_client() as client:
        method: Callable[..., Report] = client.bulk.assign_tag
        send = partial(method, rows, tag_id)
        shown = {name: values[name] for name in ("as_json", "show_values", "page")}
        return run_rows(send, options, **shown)


def _rows(files: tuple[str, ...], values: Mapping[str, Any]) -> Any:
    from synerise_profiles.cli.inputs import rows_of  # noqa: PLC0415 - a help page does without

    return rows_of(files, "identifiers", values)


def _refuse_without_client_id(rows: Any, values: Mapping[str, Any]) -> None:
    """Refuse rows of which no field is a clientId, as far as that can be told before they are read."""
    from synerise_profiles.cli.inputs import parse_renamings  # noqa: PLC0415 - a help page does without
    from synerise_profiles.sources import RowMapping  # noqa: PLC0415 - likewise

    if values["mapping"] is not None:
        targets = RowMapping.load(values["mapping"]).targets.values()
        fields = {target.field for found in targets for target in found}
    else:
        fields = {*parse_renamings(values["renamings"])} or {*getattr(rows, "columns", ())}
    if fields and "clientId" not in fields:
        raise CommandError("a tag is put on by clientId alone; give --set clientId=COLUMN or a --mapping with it")


def _dry_run(rows: Any, for_: str, options: Mapping[str, Any], values: Mapping[str, Any]) -> int:
    from synerise_profiles.cli.dry_runs import run_dry  # noqa: PLC0415 - a help page does without

    return run_dry(rows, for_, options, as_json=values["as_json"], page=values["page"])


COMMANDS: Final[Mapping[str, click.Command]] = {"delete": delete, "tag": tag}
