"""`permissions` and `deprecations`: what a program needs, and what it should not use any more, read from its code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
import click

from synerise_profiles._core.wording import counted
from synerise_profiles.cli.exit_status import DONE, REFUSED, CommandError
from synerise_profiles.cli.output import as_json_flag, print_json, write_line

__all__ = ["COMMANDS"]


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True))
@as_json_flag
def permissions(paths: tuple[str, ...], as_json: bool) -> int:  # noqa: FBT001 - click passes flags by name
    """List the permissions that the API key of a program needs at least. The program is read, not run.

    Ends with status 1 if a file cannot be read: more permissions may be needed.

    \b
    Example:
      synerise-profiles permissions src/
    """
    from synerise_profiles.permissions import required_permissions  # noqa: PLC0415 - a help page does without

    _check_programs(paths)
    report = required_permissions(paths)
    status = REFUSED if report.unread else DONE
    if as_json:
        print_json(attrs.asdict(report))
        return status
    for item in report.permissions:
        write_line(f"{item.permission}{' (and PII permissions, under PII protection)' if item.pii else ''}")
        write_line(f"  {', '.join(item.operations)}: {', '.join(item.places)}")
    for name in report.without_key:
        click.echo(f"{name} cannot be called with an API key", err=True)
    for text in report.unread:
        click.echo(text, err=True)
    click.echo(f"{counted(len(report.permissions), 'permission')} for {counted(report.files, 'file')}", err=True)
    return status


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True))
@click.option("--strict", is_flag=True, help="End with status 1 also if anything is found.")
@as_json_flag
def deprecations(
    paths: tuple[str, ...],
    strict: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001 - likewise
) -> int:
    """List where programs use what is deprecated or was removed, and what to use instead. Programs are read, not run.

    Ends with status 1 if a file cannot be read.

    \b
    Example:
      synerise-profiles deprecations src/ --strict
    """
    from synerise_profiles.deprecations import find_deprecated  # noqa: PLC0415 - a help page does without

    _check_programs(paths)
    found = find_deprecated(paths)
    if as_json:
        print_json(found)
    else:
        for use in found["findings"]:
            when = f"; due to be switched off on {use['sunset']}" if use["sunset"] else ""
            removed = f"; removed in {use['removed_in']}" if use["removed_in"] else ""
            write_line(f"{use['file']}:{use['line']}:{use['column']}: {use['name']}: {use['instead']}{when}{removed}")
        for item in found["unread"]:
            click.echo(f"{item['file']}:{item['line']}: {item['problem']}", err=True)
        click.echo(f"{len(found['findings']):,} found in {counted(found['files'], 'file')}", err=True)
    return REFUSED if found["unread"] or (strict and found["findings"]) else DONE


def _check_programs(paths: tuple[str, ...]) -> None:
    """Refuse what holds no program: to find nothing there would look like an answer."""
    from synerise_profiles._scanning.scan import PROGRAM_SUFFIXES, python_files  # noqa: PLC0415 - as above

    for path in map(Path, paths):
        if path.is_dir():
            if next(iter(python_files(path)), None) is None:
                raise CommandError(f"{path}: no Python program is in this folder")
        elif not path.is_file() or path.suffix not in (*PROGRAM_SUFFIXES, ""):
            raise CommandError(f"{path}: is no Python program; its name would end in .py")


COMMANDS: Final[Mapping[str, click.Command]] = {"permissions": permissions, "deprecations": deprecations}
