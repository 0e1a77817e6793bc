"""A group of commands that suggests the nearest name for one that is misspelt.

Click does so itself from 8.4 on, and older ones are allowed.
"""

from __future__ import annotations

import click

__all__ = ["SuggestingGroup"]


class SuggestingGroup(click.Group):
    """A group whose mistaken names are told with the nearest one."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command by its name; one that is not there is told with the one that is meant."""
        names = self.list_commands(ctx)
        if args[0] not in names and not args[0].startswith("-"):
            import difflib  # noqa: PLC0415 - few calls need it

            close = difflib.get_close_matches(args[0], names, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else "The help page lists all."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)
