"""The command line `synerise-profiles`: one module a subcommand, each of which imports what it needs when it is run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from . import check_identifiers, merges, sandbox
from .command import Command, execute

__all__ = ["COMMANDS", "main"]

COMMANDS: Sequence[Command] = (sandbox.COMMAND, check_identifiers.COMMAND, merges.PLAN, merges.APPLY)
"""In the order in which `--help` lists them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand and return its exit status; what went wrong is one line on standard error."""
    parser = argparse.ArgumentParser(prog="synerise-profiles", description="Tools around the Profile Management API.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        added = commands.add_parser(command.name, help=command.summary, description=command.description)
        command.add_arguments(added)
        added.set_defaults(run=command.run)
    return execute(parser, arguments)
