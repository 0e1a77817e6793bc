"""`suggest-mapping`: a first mapping file for a CSV file, to standard output or a file that is not there yet."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from synerise_profiles.cli.exit_status import DONE, CommandError
from synerise_profiles.cli.output import print_bytes
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles.sources import SuggestedFor

__all__ = ["COMMANDS"]


@click.command(name="suggest-mapping")
@click.argument("file", metavar="FILE")
@click.option(
    "--for",
    "for_",
    type=click.Choice(["profiles", "events", "transactions"]),
    required=True,
    help="What the rows of the file are.",
)
@click.option("--output", type=click.Path(dir_okay=False), metavar="FILE", help="Mapping file to write (.toml).")
@click.option("--delimiter", metavar="TEXT", help="What separates columns, or `tab` (guessed).")
@click.option("--encoding", metavar="TEXT", help="Encoding of the file (UTF-8).")
@click.option("--skip-lines", type=click.IntRange(min=0), metavar="NUMBER", help="Lines above the header.")
def suggest_mapping(
    file: str,
    for_: SuggestedFor,
    output: str | None,
    **csv_flags: str | int | None,
) -> int:
    """Write a first mapping file for a CSV file, from its header and its first rows. Sends nothing.

    It has a comment at each guess. Read it, fill in what is marked as MISSING, and give it to `import` by --mapping.

    \b
    Example:
      synerise-profiles suggest-mapping customers.csv --for profiles --output suggested.toml
    """
    from synerise_profiles.cli.inputs import csv_options  # noqa: PLC0415 - a help page does without
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - likewise
    from synerise_profiles.sources import suggest_mapping as suggest  # noqa: PLC0415 - likewise

    given = {name: value for name, value in csv_flags.items() if value is not None}
    if output is not None and Path(output).exists():
        raise CommandError(f"--output: {output} is there already; give another name, so that no work is lost")
    try:
        text = suggest(file, for_=for_, **csv_options(file, given))
    except InvalidRequestError as error:
        raise CommandError(f"{file}: {as_flags(error.problem)}") from None
    if output is None:
        print_bytes(text.encode())
        return DONE
    from synerise_profiles._core.files import replaced_file  # noqa: PLC0415 - likewise

    with replaced_file(output, "output") as target:
        target.write(text.encode())
    click.echo(f"{output}: a draft; read it, then try it by --mapping {output} --dry-run", err=True)
    return DONE


COMMANDS: Final[Mapping[str, click.Command]] = {"suggest-mapping": suggest_mapping}
