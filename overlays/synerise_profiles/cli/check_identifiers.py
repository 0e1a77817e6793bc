"""`synerise-profiles check-identifiers`: which rows of a file the change of identifiers touches, and how."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from .command import Command, CommandError

_DESCRIPTION = (
    "List the identifiers of a file that the server's new way of comparing them touches: accents count, white space at"
    " the ends is trimmed, uuids are unique. The file is CSV or JSON Lines, plain or gzip, with the publisher's names"
    " of fields; an event or a transaction names its profile in `client`. Identifiers are masked."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to check")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="format of the file (default: by its name)")
    parser.add_argument(
        "--delimiter", default=",", type=_parse_delimiter, help="what separates columns (default: a comma)"
    )
    parser.add_argument(
        "--column",
        action="append",
        default=[],
        type=_parse_renaming,
        metavar="FIELD=NAME",
        help="the column or key that holds a field, if it has another name; may be repeated",
    )
    parser.add_argument("--strict", action="store_true", help="end with status 1 if any row is touched")


def run(options: argparse.Namespace) -> int:
    """Print a line for each identifier that is touched, and a line of counts."""
    from synerise_profiles.identifiers import IDENTIFIER_CHANGE_DATE, ChangeCheck  # noqa: PLC0415 - other commands do without

    rows = touched = found = 0
    with closing(ChangeCheck()) as check:
        for line, row in _rows(options):
            rows += 1
            changes = list(check.changes(row, line))
            touched += bool(changes)
            found += len(changes)
            for change in changes:
                sys.stdout.write(
                    f"{options.file}:{line}: {change.field} {change.identifier}: {change.effect('line')}\n"
                )
    sys.stdout.write(
        f"{touched:,} of {rows:,} rows are touched by the change of {IDENTIFIER_CHANGE_DATE}: {found:,} identifiers\n"
    )
    return 1 if options.strict and touched else 0


def _rows(options: argparse.Namespace) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The rows under the publisher's names."""
    from synerise_profiles.identifiers import PROFILE_IDENTIFIERS  # noqa: PLC0415 - likewise

    from .rows import read_rows  # noqa: PLC0415 - likewise

    known, renamed = {*PROFILE_IDENTIFIERS, "client"}, dict[str, str](options.column)
    for field in sorted(renamed.keys() - known):
        raise CommandError(f"--column: {field} is none of {', '.join(PROFILE_IDENTIFIERS)}")
    for number, (line, given) in enumerate(read_rows(options.file, options.format, options.delimiter)):
        if number == 0:
            missing = [column for column in renamed.values() if column not in given]
            if missing:
                raise CommandError(f"{options.file}: there is no {missing[0]} in line {line}")
            if not renamed and known.isdisjoint(given):
                names = ", ".join(PROFILE_IDENTIFIERS)
                raise CommandError(f"{options.file}: no field is called {names} or client; say --column customId=NAME")
        yield line, {**given, **{field: given.get(column) for field, column in renamed.items()}}


def _parse_delimiter(text: str) -> str:
    found = {"tab": "\t", "\\t": "\t"}.get(text, text)
    if len(found) != 1:
        raise argparse.ArgumentTypeError("expected one character, or `tab`")
    return found


def _parse_renaming(text: str) -> tuple[str, str]:
    field, equals, column = text.partition("=")
    if not (field and equals and column):
        raise argparse.ArgumentTypeError("expected FIELD=NAME, such as customId=customer_number")
    return field, column


COMMAND = Command(
    name="check-identifiers",
    summary="which rows of a file the change of identifiers touches",
    description=_DESCRIPTION,
    add_arguments=add_arguments,
    run=run,
)
