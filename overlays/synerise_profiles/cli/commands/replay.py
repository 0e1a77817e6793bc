"""`replay`: dead letters sent again, each by the method of its operation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import click

from synerise_profiles._core.wording import counted
from synerise_profiles.cli.connection import connected, default_limits, open_client
from synerise_profiles.cli.exit_status import CommandError
from synerise_profiles.cli.flags import REPLAY_FLAGS, flagged, given_options, report_option, show_values_option
from synerise_profiles.cli.output import as_json_flag, confirm
from synerise_profiles.cli.runs import check_page, run_rows
from synerise_profiles.cli.wording import as_flags

__all__ = ["COMMANDS"]


@click.command()
@click.argument("letters", metavar="LETTERS")
@click.option("--mapping", metavar="FILE", help="Mapping that reads the cells among the letters, a TOML file.")
@click.option("--yes", is_flag=True, help="Do not ask where letters delete profiles.")
@show_values_option
@report_option
@flagged(REPLAY_FLAGS)
@as_json_flag
@connected
def replay(
    letters: str,
    mapping: str | None,
    yes: bool,  # noqa: FBT001 - click passes flags by name
    show_values: bool,  # noqa: FBT001 - likewise
    as_json: bool,  # noqa: FBT001 - likewise
    page: str | None,
    **values: Any,
) -> int:
    """Send the rows of a dead-letter file again, as they stand in it: mend them there first.

    Rows that could not be read are cells: --mapping reads them, the one of the import or a better one. --dead-letter is
    the file for what is not accepted this time; it may be the same, which is replaced at the end. Without it LETTERS
    stays as it is.

    \b
    Example:
      synerise-profiles replay rejected.jsonl --mapping map.toml --dead-letter rejected.jsonl
    """
    options = dict(default_limits()) | given_options(REPLAY_FLAGS, values)
    if mapping is not None:
        from synerise_profiles.sources import RowMapping  # noqa: PLC0415 - a help page does without

        options["mapping"] = RowMapping.load(mapping)
    deletions = _deletions(letters)
    if deletions:
        confirm(
            f"{counted(deletions, 'letter')} of {letters} would delete profiles, which is irreversible.", is_sure=yes
        )
    check_page(page, None)
    with open_client() as client:
        send = partial(client.bulk.replay, letters)
        again = _again(letters, options)
        return run_rows(send, options, as_json=as_json, show_values=show_values, page=page, again=again)


def _deletions(path: str) -> int:
    """Count the letters that delete. Raises CommandError for what is no file of letters."""
    from synerise_profiles.bulk import read_dead_letter  # noqa: PLC0415 - a help page does without
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - likewise

    try:
        return sum(letter["operation"] == "profiles.delete" for letter in read_dead_letter(path))
    except InvalidRequestError as error:
        raise CommandError(f"{path}: {as_flags(error.problem)}") from None


def _again(letters: str, options: Mapping[str, Any]) -> str:
    """Say what is left after an interruption."""
    left = options.get("dead_letter") or letters
    return f"What was not accepted is in {left}: replay that one to go on."


COMMANDS: Final[Mapping[str, click.Command]] = {"replay": replay}
