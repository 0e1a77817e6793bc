"""Subcommands: what one consists of, and how its errors become one line and an exit status."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass


class CommandError(Exception):
    """Why a command cannot do what was asked; the text is for the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A subcommand: `add_arguments` describes its arguments, `run` takes them parsed and returns the exit status."""

    name: str
    summary: str
    description: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def execute(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> int:
    """Parse the arguments and do what their `run` does; what went wrong is one line."""
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except CommandError as problem:
        sys.stderr.write(f"{parser.prog}: {problem}\n")
        return 1
    return status
