"""`completion`: what a shell has to read to complete commands and flags."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click
from click.shell_completion import get_completion_class

from synerise_profiles.cli.exit_status import DONE, CommandError

__all__ = ["COMMANDS"]

_VARIABLE: Final = "_SYNERISE_PROFILES_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> int:
    """Print the lines that let a shell complete commands and flags; put them where it reads its settings.

    \b
    Example:
      synerise-profiles completion bash >> ~/.bashrc
    """
    found = get_completion_class(shell)
    if found is None:
        raise CommandError(f"this version of click does not know {shell}")
    root = ctx.find_root()
    click.echo(found(root.command, {}, root.info_name or "synerise-profiles", _VARIABLE).source())
    return DONE


COMMANDS: Final[Mapping[str, click.Command]] = {"completion": completion}
