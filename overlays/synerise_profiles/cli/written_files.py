"""Files that a command writes whole: they take the place of a file of their own kind alone, and of none of the run's.

A page or a saved plan is written after the work is done, so what would be in its way is refused before it begins.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import click

__all__ = ["PAGE", "PLANS", "check_written_file"]

PAGE: Final = (b"<!DOCTYPE html", "a page")
PLANS: Final = (b'{"format":', "plans")
"""How a file of a kind begins, and what the kind is called."""


def check_written_file(flag: str, path: str, kind: tuple[bytes, str]) -> None:
    """Refuse by its flag a file that cannot be written, is another one of the command, or is of another kind."""
    from synerise_profiles._core.files import (  # noqa: PLC0415 - a help page does without
        PartFile,
        refuse_same_files,
        refused,
        target_of,
    )

    target = target_of(path, flag)
    for other, value in _other_values(flag):
        refuse_same_files({other: value, flag: target}, {})
    begin, name = kind
    if target.exists():
        with target.open("rb") as file:
            found = file.read(len(begin))
        if found and found != begin:
            raise refused(flag, f"is a file that does not hold {name}, and would be lost; give the name of another one")
    PartFile(target, flag).discard()


def _other_values(flag: str) -> Iterator[tuple[str, Path]]:
    """Yield what was given on the command line beside a flag: any of it may name a file."""
    context: click.Context | None = click.get_current_context()
    while context is not None:
        for parameter in context.command.params:
            name = parameter.opts[0] if isinstance(parameter, click.Option) else "the file that the rows are read from"
            given: object = context.params.get(parameter.name or "")
            values = cast("Sequence[object]", given) if isinstance(given, tuple | list) else (given,)
            for value in values:
                if isinstance(value, str | os.PathLike) and name != flag:
                    with suppress(OSError, ValueError):  # of a text that cannot name a file
                        yield name, Path(os.path.realpath(value))
        context = context.parent
