"""`check`: which rows of a file would be refused, and which identifiers the change of identifiers touches, and how.

Files are read by what sources read with, so a file that an import accepts is accepted here. Without `--for` a file is
only looked through for identifiers, and what cannot be read ends the check: a report that leaves rows out would look
complete. With it each such row is one that would be refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from synerise_profiles._core.wording import counted
from synerise_profiles.cli.exit_status import DONE, REFUSED, CommandError
from synerise_profiles.cli.flags import FILE_FLAGS, PROFILE_FLAGS, flagged, given_options
from synerise_profiles.cli.output import as_json_flag, print_json, write_line
from synerise_profiles.cli.wording import as_flags

if TYPE_CHECKING:
    from synerise_profiles.cli.inputs import RowKind
    from synerise_profiles.identifiers import ChangeCheck, IdentifierChange
    from synerise_profiles_api.types import Operation

__all__ = ["COMMANDS"]

Rows: TypeAlias = "Iterator[tuple[int, Mapping[str, Any]]]"
"""The line on which each row begins, and its fields."""
_CHECK_FLAGS: Final = tuple(flag for flag in PROFILE_FLAGS if flag.name in ("checks", "allow_null", "allow_unknown"))


@click.command()
@click.argument("file", metavar="FILE")
@click.option(
    "--for", "for_", type=click.Choice(["profiles", "events", "transactions"]), help="Check rows as for an import."
)
@click.option("--mapping", metavar="FILE", help="Mapping of columns to fields, a TOML file; with --for.")
@click.option("--set", "renamings", multiple=True, metavar="FIELD=COLUMN", help="Column of a field; may be repeated.")
@click.option("--strict", is_flag=True, help="End with status 1 also if any row is touched by the change.")
@flagged(_CHECK_FLAGS)
@flagged(FILE_FLAGS)
@as_json_flag
def check(
    file: str,
    for_: RowKind | None,
    mapping: str | None,
    renamings: tuple[str, ...],
    strict: bool,  # noqa: FBT001 - click passes flags by name
    as_json: bool,  # noqa: FBT001 - likewise
    **values: Any,
) -> int:
    """Say what of a file would be refused, and which identifiers the change of identifiers touches. Sends nothing.

    Status 1 says that rows would be refused. After the change accents count, white space at the ends is trimmed, uuids
    are unique. An event or a transaction names its profile in `client`. Identifiers are masked.

    \b
    Example:
      synerise-profiles check customers.csv --for profiles --set customId=id
    """
    options = given_options(_CHECK_FLAGS, values)
    file_options = given_options(FILE_FLAGS, values)
    found = _Findings(file, as_json=as_json)
    if for_ is None:
        if mapping is not None or options:
            raise CommandError("--mapping and the checks of rows go with --for")
        if "sort" in file_options:
            raise CommandError("--sort goes with --for and a --mapping")
        _check_identifiers(file, file_options, renamings, found)
        status = DONE
    else:
        status = _check_rows(file, for_, mapping, renamings, file_options, options, found)
    found.print_counts()
    return REFUSED if strict and found.touched else status


class _Findings:
    """What the change touches: printed line by line, and counted."""

    def __init__(self, file: str, *, as_json: bool) -> None:
        self.rows = self.touched = self.identifiers = self.invisible = 0
        self._file = file
        self._changes: list[dict[str, Any]] | None = [] if as_json else None
        self.refusals: dict[str, Any] | None = None

    def add(self, changes: list[IdentifierChange], line: object) -> None:
        """Take in what was found in a row."""
        hidden = sum(change.kind == "invisible" for change in changes)
        self.rows += 1
        self.touched += len(changes) > hidden
        self.identifiers += len(changes) - hidden
        self.invisible += len({change.field for change in changes if change.characters})
        for change in changes:
            effect = change.effect("line")
            if self._changes is None:
                write_line(f"{self._file}:{line}: {change.field} {change.identifier}: {effect}")
            else:
                fact = {"line": line, "field": change.field, "kind": change.kind, "effect": effect}
                self._changes.append(fact | {"identifier": change.identifier})

    @property
    def is_json(self) -> bool:
        """Whether all is printed at the end, as JSON."""
        return self._changes is not None

    def print_counts(self) -> None:
        """Print the counts, or all of it as JSON."""
        from synerise_profiles.identifiers import IDENTIFIER_CHANGE_DATE  # noqa: PLC0415 - help pages do without

        if self._changes is not None:
            counts = {"rows": self.rows, "touched": self.touched, "identifiers": self.identifiers}
            print_json({**counts, "invisible": self.invisible, "changes": self._changes, "refusals": self.refusals})
            return
        write_line(
            f"touched by the change of {IDENTIFIER_CHANGE_DATE}: {self.touched:,} of {counted(self.rows, 'row')}, "
            f"{counted(self.identifiers, 'identifier')}"
        )
        if self.invisible:
            write_line(f"{counted(self.invisible, 'identifier')} with characters that nobody sees")


class _WatchedRows:
    """The rows of a source on their way to a dry run; each is looked through for the change."""

    def __init__(self, source: Any, check: ChangeCheck, found: _Findings) -> None:
        self._source = source
        self._check = check
        self._found = found
        self.unit: str = source.unit

    def check(self, operation: Operation) -> None:
        """As the source does."""
        self._source.check(operation)

    def locate(self, index: int) -> Any:
        """As the source does."""
        return self._source.locate(index)

    def explain(self, field: str, reason: str) -> str:
        """As the source does."""
        explained: str = self._source.explain(field, reason)
        return explained

    @property
    def notes(self) -> Mapping[str, int]:
        """Those of the source."""
        notes: Mapping[str, int] = self._source.notes
        return notes

    def __iter__(self) -> Iterator[Any]:
        from synerise_profiles_api.json_values import is_object  # noqa: PLC0415 - help pages do without

        for index, row in enumerate(self._source):
            if is_object(row):
                line = self._source.locate(index)
                self._found.add(list(self._check.changes(row, line)), line)
            yield row


def _check_rows(
    file: str,
    for_: Any,
    mapping: str | None,
    renamings: tuple[str, ...],
    file_options: Mapping[str, Any],
    options: Mapping[str, Any],
    found: _Findings,
) -> int:
    from synerise_profiles.bulk import dry_run  # noqa: PLC0415 - help pages do without
    from synerise_profiles.cli.inputs import open_rows  # noqa: PLC0415 - likewise
    from synerise_profiles.cli.runs import print_report, report_document  # noqa: PLC0415 - likewise
    from synerise_profiles.identifiers import ChangeCheck  # noqa: PLC0415 - likewise

    rows = open_rows([file], for_, file_options, mapping=mapping, renamings=renamings)
    with closing(ChangeCheck()) as change_check:
        report = dry_run(_WatchedRows(rows, change_check, found), for_=for_, **options)
    found.refusals = report_document(report, show_values=False)
    if not found.is_json:
        print_report(report, show_values=False, is_dry=True)
    return REFUSED if report.rejected_count() else DONE


def _check_identifiers(file: str, options: Mapping[str, Any], renamings: tuple[str, ...], found: _Findings) -> None:
    from synerise_profiles.identifiers import ChangeCheck  # noqa: PLC0415 - help pages do without

    with closing(ChangeCheck()) as change_check:
        for line, row in _rows(file, options, renamings):
            found.add(list(change_check.changes(row, line)), line)


def _rows(file: str, options: Mapping[str, Any], renamings: tuple[str, ...]) -> Rows:
    """The rows under the publisher's names."""
    from synerise_profiles.cli.inputs import parse_renamings  # noqa: PLC0415 - likewise
    from synerise_profiles.identifiers import PROFILE_IDENTIFIERS  # noqa: PLC0415 - likewise

    known, renamed = {*PROFILE_IDENTIFIERS, "client"}, parse_renamings(renamings)
    for field in sorted(renamed.keys() - known):
        raise CommandError(f"--set: {field} is none of {', '.join(PROFILE_IDENTIFIERS)}")
    for number, (line, given) in enumerate(_read(file, options, known | {*renamed.values()})):
        if number == 0:
            missing = [column for column in renamed.values() if column not in given]
            if missing:
                raise CommandError(f"{file}: there is no {missing[0]} in line {line}")
            if not renamed and known.isdisjoint(given):
                names = ", ".join(PROFILE_IDENTIFIERS)
                raise CommandError(f"{file}: no field is called {names} or client; say --set customId=NAME")
        yield line, {**given, **{field: given.get(column) for field, column in renamed.items()}}


def _read(path: str, options: Mapping[str, Any], columns: Collection[str]) -> Rows:
    """The rows as they stand; of a CSV file only these columns are looked at."""
    from synerise_profiles.cli.inputs import csv_options, form_of, opened  # noqa: PLC0415 - likewise
    from synerise_profiles.errors import InvalidRequestError  # noqa: PLC0415 - likewise

    try:
        form = form_of(path, options.get("format"))
        if form == "parquet":
            raise CommandError(f"{path} is Parquet; say by --for what its rows are")
        with opened(path) as file:
            if form == "csv":
                yield from _csv_rows(path, file, csv_options(path, options), columns)
            else:
                yield from _json_rows(path, file, form)
    except OSError as error:
        raise CommandError(f"cannot read {path}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    except InvalidRequestError as error:
        raise CommandError(f"{path}: {as_flags(error.problem)}") from None


def _csv_rows(path: str, file: Any, options: Mapping[str, Any], columns: Collection[str]) -> Rows:
    from synerise_profiles._readers.csv_reader import CsvFormat, CsvReader, delimiter_hint  # noqa: PLC0415 - likewise

    reader = CsvReader(file, CsvFormat(**options))
    names = reader.columns
    used = [position for position, name in enumerate(names) if name in columns]
    hint = "" if used else delimiter_hint(names)
    if hint:
        raise CommandError(f"{path}: {hint}; say it by --delimiter")
    records = reader.records(
        lambda cells: dict(zip(names, cells, strict=False)), lambda bad: as_flags(bad.reason), used=used, is_ragged=True
    )
    for index, row in enumerate(records):
        line = reader.lines.locate(index)
        if isinstance(row, str):
            raise CommandError(f"{path}: line {line} {row}")
        yield line, row


def _json_rows(path: str, file: Any, form: str) -> Rows:
    from synerise_profiles._readers.json_reader import JsonArrayReader  # noqa: PLC0415 - likewise
    from synerise_profiles._readers.jsonl_reader import JsonLinesReader  # noqa: PLC0415 - likewise

    lines = None if form == "json" else JsonLinesReader(file)
    reader = JsonArrayReader(file) if lines is None else lines
    for index, row in enumerate(reader.records(None, lambda reason, _: CommandError(as_flags(reason)))):
        place = index if lines is None else lines.lines.locate(index)
        if not isinstance(row, dict):
            problem = row.message if isinstance(row, CommandError) else "is not an object"
            what = "element" if lines is None else "line"
            raise CommandError(f"{path}: {what} {place} {problem}")
        yield place, row


COMMANDS: Final[Mapping[str, click.Command]] = {"check": check}
