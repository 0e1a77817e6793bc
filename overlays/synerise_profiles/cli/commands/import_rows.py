"""`import`: the profiles, events or transactions of files, sent in batches; or read and checked alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import click

from synerise_profiles.cli.connection import connected, default_limits, open_client
from synerise_profiles.cli.flags import (
    PROFILE_FLAGS,
    SALTED_FLAGS,
    Flag,
    dry_run_option,
    flagged,
    given_options,
    reads_rows,
    report_option,
    show_values_option,
)
from synerise_profiles.cli.groups import SuggestingGroup
from synerise_profiles.cli.output import as_json_flag
from synerise_profiles.cli.runs import check_page, run_rows

if TYPE_CHECKING:
    from synerise_profiles.bulk import Report

__all__ = ["COMMANDS"]

ImportedKind: TypeAlias = Literal["profiles", "events", "transactions"]
_METHODS: Final[Mapping[ImportedKind, str]] = {
    "profiles": "upsert_profiles",
    "events": "send_events",
    "transactions": "create_transactions",
}


@click.group(name="import", cls=SuggestingGroup)
def import_group() -> None:
    """Send the rows of files in batches: CSV, JSON Lines or JSON, plain or gzip, and Parquet; or those of a query.

    Columns are mapped to fields by --mapping or --set; without them they have the publisher's names. `-` is standard
    input. Several files are one run.

    \b
    Example:
      synerise-profiles import profiles customers.csv --set customId=id --dry-run
    """


def _command(kind: ImportedKind, flags: Sequence[Flag], help_text: str) -> click.Command:
    @import_group.command(name=kind, help=help_text)
    @reads_rows
    @dry_run_option
    @show_values_option
    @report_option
    @flagged(flags)
    @as_json_flag
    @connected
    def run(
        files: tuple[str, ...],
        dry_run: bool,  # noqa: FBT001 - click passes flags by name
        show_values: bool,  # noqa: FBT001 - likewise
        as_json: bool,  # noqa: FBT001 - likewise
        page: str | None,
        **values: Any,
    ) -> int:
        from synerise_profiles.cli.inputs import rows_of  # noqa: PLC0415 - a help page does without

        options = dict(default_limits()) | given_options(flags, values)
        rows = rows_of(files, kind, values)
        if dry_run:
            from synerise_profiles.cli.dry_runs import run_dry  # noqa: PLC0415 - likewise

            return run_dry(rows, kind, options, as_json=as_json, page=page)
        check_page(page, rows)
        with open_client() as client:
            method: Callable[..., Report] = getattr(client.bulk, _METHODS[kind])
            return run_rows(partial(method, rows), options, as_json=as_json, show_values=show_values, page=page)

    return run


_command(
    "profiles",
    PROFILE_FLAGS,
    """Create or update profiles (profiles.upsert_batch).

    \b
    Example:
      synerise-profiles import profiles customers.csv --set customId=id --journal run.journal
      synerise-profiles import profiles customers.csv --mapping map.toml --dry-run
      synerise-profiles import profiles --sql "SELECT id FROM customers ORDER BY id" --db crm.db --set customId=id
    """,
)
_command(
    "events",
    SALTED_FLAGS,
    """Record events of any type (events.send_batch).

    \b
    Example:
      synerise-profiles import events visits.jsonl --default-time 2026-03-01T00:00:00Z
    """,
)
_command(
    "transactions",
    SALTED_FLAGS,
    """Record purchases (transactions.create_batch).

    \b
    Example:
      synerise-profiles import transactions purchases.jsonl --checks strict --max-errors 100
    """,
)

COMMANDS: Final[Mapping[str, click.Command]] = {"import": import_group}
