"""The subcommand `check-identifiers`: which rows of a file the change of identifiers touches, and how.

Files are read by what sources read with, so a file that an import accepts is accepted here. What cannot be read ends
the check: a report that leaves rows out would look complete.
"""

from __future__ import annotations

import argparse
import io
import sys
import zlib
from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from .command import Command, CommandError

Format: TypeAlias = Literal["csv", "jsonl"]
Rows: TypeAlias = "Iterator[tuple[int, Mapping[str, Any]]]"
"""The line on which each row begins, and its fields."""
_FORMAT_BY_SUFFIX: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
}
_DESCRIPTION = (
    "List the identifiers of a file that the server's new way of comparing them touches: accents count, white space at"
    " the ends is trimmed, uuids are unique. The file is CSV or JSON Lines, plain or gzip, with the publisher's names"
    " of fields; an event or a transaction names its profile in `client`. Identifiers are masked."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("file", type=Path, metavar="FILE", help="the file to check; - is standard input")
    parser.add_argument("--format", choices=("csv", "jsonl"), help="format of the file (default: by its name)")
    parser.add_argument("--delimiter", type=_parse_delimiter, help="what separates columns (default: a comma)")
    parser.add_argument(
        "--encoding", default="utf-8-sig", metavar="NAME", help="encoding of a CSV file (default: UTF-8)"
    )
    parser.add_argument(
        "--skip-lines", type=int, default=0, metavar="N", help="lines above the header of a CSV file (default: none)"
    )
    parser.add_argument("--comment", metavar="MARK", help="what lines of a CSV file begin with that are comments")
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

    rows = touched = found = invisible = 0
    with closing(ChangeCheck()) as check:
        for line, row in _rows(options):
            rows += 1
            changes = list(check.changes(row, line))
            hidden = sum(change.kind == "invisible" for change in changes)
            touched += len(changes) > hidden
            found += len(changes) - hidden
            invisible += hidden
            for change in changes:
                sys.stdout.write(
                    f"{options.file}:{line}: {change.field} {change.identifier}: {change.effect('line')}\n"
                )
    sys.stdout.write(
        f"{touched:,} of {rows:,} rows are touched by the change of {IDENTIFIER_CHANGE_DATE}: {found:,} identifiers\n"
    )
    if invisible:
        sys.stdout.write(f"{invisible:,} identifiers have characters that nobody sees\n")
    return 1 if options.strict and touched else 0


def _rows(options: argparse.Namespace) -> Rows:
    """The rows under the publisher's names."""
    from synerise_profiles.identifiers import PROFILE_IDENTIFIERS  # noqa: PLC0415 - likewise

    known, renamed = {*PROFILE_IDENTIFIERS, "client"}, dict[str, str](options.column)
    for field in sorted(renamed.keys() - known):
        raise CommandError(f"--column: {field} is none of {', '.join(PROFILE_IDENTIFIERS)}")
    for number, (line, given) in enumerate(_read(options, known | {*renamed.values()})):
        if number == 0:
            missing = [column for column in renamed.values() if column not in given]
            if missing:
                raise CommandError(f"{options.file}: there is no {missing[0]} in line {line}")
            if not renamed and known.isdisjoint(given):
                names = ", ".join(PROFILE_IDENTIFIERS)
                raise CommandError(f"{options.file}: no field is called {names} or client; say --column customId=NAME")
        yield line, {**given, **{field: given.get(column) for field, column in renamed.items()}}


def _read(options: argparse.Namespace, columns: Collection[str]) -> Rows:
    """The rows as they stand; of a CSV file only these columns are looked at."""
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - likewise

    path = options.file
    try:
        with _open(path) as file:
            if (options.format or _guess_format(path, file)) == "csv":
                yield from _csv_rows(path, file, options, columns)
            else:
                yield from _json_rows(path, file)
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"cannot read {path}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    except InvalidRequestError as error:
        raise CommandError(f"{path}: {error.problem}") from None


@contextmanager
def _open(path: Path) -> Generator[io.BufferedReader]:
    """Open a file; a dash is standard input, which stays open."""
    from synerise_profiles._readers.block_reader import STANDARD_INPUT, standard_input  # noqa: PLC0415 - likewise

    if str(path) == STANDARD_INPUT:
        yield cast("io.BufferedReader", standard_input())
        return
    with path.open("rb") as file:
        yield file


def _guess_format(path: Path, file: io.BufferedReader) -> Format:
    """The format by the name; failing that, JSON Lines if the file opens like an object."""
    from synerise_profiles._readers.block_reader import peek  # noqa: PLC0415 - likewise

    suffixes = [suffix for suffix in path.suffixes if suffix.lower() != ".gz"]
    known = _FORMAT_BY_SUFFIX.get(suffixes[-1].lower()) if suffixes else None
    if known is not None:
        return known
    return "jsonl" if peek(file).removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else "csv"


def _csv_rows(path: Path, file: io.BufferedReader, options: argparse.Namespace, columns: Collection[str]) -> Rows:
    from synerise_profiles._readers.csv_reader import CsvReader, delimiter_hint  # noqa: PLC0415 - likewise
    from synerise_profiles._readers.file_form import CsvFormat  # noqa: PLC0415 - likewise

    format_ = CsvFormat(
        encoding=options.encoding,
        delimiter=options.delimiter,
        skip_lines=options.skip_lines,
        comment=options.comment,
    )
    reader = CsvReader(file, format_)
    names = reader.columns
    used = [position for position, name in enumerate(names) if name in columns]
    hint = "" if used else delimiter_hint(names)
    if hint:
        raise CommandError(f"{path}: {hint}; say it by --delimiter")
    records = reader.records(
        lambda cells: dict(zip(names, cells, strict=False)), lambda bad: bad.reason, used=used, is_ragged=True
    )
    for index, row in enumerate(records):
        line = reader.lines.locate(index)
        if isinstance(row, str):
            raise CommandError(f"{path}: line {line} {row}")
        yield line, row


def _json_rows(path: Path, file: io.BufferedReader) -> Rows:
    from synerise_profiles._readers.jsonl_reader import JsonLinesReader  # noqa: PLC0415 - likewise

    reader = JsonLinesReader(file)
    for index, row in enumerate(reader.records(None, lambda reason, _: CommandError(reason))):
        line = reader.lines.locate(index)
        if not isinstance(row, dict):
            problem = row if isinstance(row, CommandError) else "is not an object"
            raise CommandError(f"{path}: line {line} {problem}; give JSON Lines, one object a line")
        yield line, row


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
