"""The application: its commands by name, loaded one by one, and how whatever they raise becomes an exit status."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from .exit_status import EXIT_STATUSES, REFUSED, CommandError, describe_error
from .groups import SuggestingGroup
from .streams import UNREAD, OutputLostError

__all__ = ["COMMANDS", "PROGRAM", "app", "run"]

PROGRAM: Final = "synerise-profiles"
COMMANDS: Final[Mapping[str, Mapping[str, tuple[str, str]]]] = {
    "Files": {
        "import": ("import_rows", "send the profiles, events or transactions of files"),
        "delta-sync": ("delta_sync", "send of a table what changed since it was confirmed"),
        "replay": ("replay", "send the rows of a dead-letter file again"),
        "delete": ("profile_files", "delete the profiles of a file; irreversible"),
        "tag": ("profile_files", "put a tag on the profiles of a file"),
        "check": ("check", "what of a file would be refused, or is touched by the change of identifiers"),
        "suggest-mapping": ("suggest_mapping", "write a first mapping file for a CSV file"),
    },
    "Merges and exports": {
        "merge": ("merge", "plan what merging profiles would do, and apply the plans"),
        "export": ("export", "order an export, wait for it, write it to a file"),
    },
    "Single calls": {
        "get": ("lookups", "show a profile"),
        "events": ("lookups", "show the events of a profile"),
        "tags": ("lookups", "list the tags of the workspace"),
        "call": ("call", "call any operation by its name"),
    },
    "Programs": {
        "permissions": ("programs", "the API-key permissions that a program needs"),
        "deprecations": ("programs", "where a program uses what is deprecated or was removed"),
    },
    "Tools": {
        "doctor": ("doctor", "look at the host, the key, its permissions, the clock and the latency"),
        "sandbox": ("sandbox", "serve a local, stateful copy of the API"),
        "completion": ("completion", "print what lets a shell complete commands and flags"),
    },
}
"""By section and name, in the order in which `--help` lists them: the module below `commands`, and a summary."""
_MAX_WIDTH: Final = 120
_MODULES: Final = {name: module for section in COMMANDS.values() for name, (module, _) in section.items()}


class LazyGroup(SuggestingGroup):
    """A group whose commands are loaded when they are called: listing them loads none."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - they are the same everywhere
        """Return the names of all commands."""
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - likewise
        """Load the module of one command."""
        module = _MODULES.get(cmd_name)
        if module is None:
            return None
        found: Mapping[str, click.Command] = import_module(f".commands.{module}", __package__).COMMANDS
        return found[cmd_name]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - likewise
        """List the commands by section."""
        longest = max(map(len, _MODULES))
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(longest), summary) for name, (_, summary) in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command."""
        found = [
            CompletionItem(name, help=summary)
            for section in COMMANDS.values()
            for name, (_, summary) in section.items()
            if name.startswith(incomplete)
        ]
        return found or super().shell_complete(ctx, incomplete)


def _epilog() -> str:
    statuses = "\n".join(f"  {status:<4} {meaning}" for status, meaning in EXIT_STATUSES.items())
    return f"\b\nExit status:\n{statuses}\n\nKeys stand in the environment or in a file, never on the command line."


@click.group(
    cls=LazyGroup,
    epilog=_epilog(),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(None, "--version", package_name=PROGRAM, message="%(prog)s %(version)s")
def app() -> None:
    """Send, read and change data of the Synerise Profile Management API."""


def run(arguments: Sequence[str] | None) -> int:
    """Run a command; return its exit status, whatever happens."""
    with _warnings_as_lines():
        try:
            status: Any = app.main(
                None if arguments is None else list(arguments),
                prog_name=PROGRAM,
                standalone_mode=False,
                terminal_width=_help_width(),
            )
        except CommandError as error:
            error.show()
            return error.status
        except click.ClickException as error:
            error.show()
            return error.exit_code
        except OutputLostError as error:
            if error.is_unread:
                return UNREAD
            click.echo(f"{PROGRAM}: {error}", err=True)
            return REFUSED
        except (Exception, KeyboardInterrupt, click.Abort) as error:
            described = describe_error(error)
            if described is None:
                raise
            for line in described.text.splitlines():
                click.echo(f"{PROGRAM}: {line}", err=True)
            return described.status
    return status if isinstance(status, int) else 0


def _help_width() -> int:
    """Return the width of help pages. What asks for the width of a terminal loads half of the archive formats."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        width = int(columns)
    else:
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
        except (OSError, ValueError, AttributeError):
            width = 0
    return max(min(width or 80, _MAX_WIDTH) - 2, 50)


@contextmanager
def _warnings_as_lines() -> Generator[None]:
    """Say a warning in one line: where in this library it comes from is of no use to who types."""

    def show(message: Warning | str, *_: object, **__: object) -> None:
        sys.stderr.write(f"{PROGRAM}: {message}\n")

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
