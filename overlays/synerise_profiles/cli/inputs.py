"""Files and queries as rows: the form of each file, its mapping, and several of them as one input of a run."""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, cast

from synerise_profiles._core.files import file_id
from synerise_profiles._readers.file_form import PARQUET_MAGIC
from synerise_profiles._readers.given_input import STANDARD_INPUT, is_stream, standard_input
from synerise_profiles._readers.packed import peek, unpacked_head
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.sources import (
    MappingError,
    MappingIssue,
    RowMapping,
    Source,
    SourceChain,
    field,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
)

from .exit_status import CommandError
from .flags import FILE_FLAGS, given_options
from .wording import as_flags

__all__ = [
    "Format",
    "RowKind",
    "csv_options",
    "form_of",
    "open_rows",
    "opened",
    "parse_renamings",
    "rows_of",
]

Format: TypeAlias = Literal["csv", "jsonl", "json", "parquet"]
RowKind: TypeAlias = Literal["profiles", "events", "transactions", "identifiers"]
_FORMAT_BY_SUFFIX: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}
_HEAD_BYTES: Final = 1 << 16
_NOT_OF_CSV: Final = frozenset({"format", "sort"})
"""Flags of files that are no matter of how a CSV file is written."""
_HINT: Final = "give --mapping or --set FIELD=COLUMN; suggest-mapping FILE --for {kind} writes a first mapping"
_IDENTIFIERS_HINT: Final = "give --set customId=COLUMN, --set clientId=COLUMN or --mapping"


def open_rows(
    paths: Sequence[str],
    kind: RowKind,
    options: Mapping[str, Any],
    *,
    mapping: str | None = None,
    renamings: Sequence[str] = (),
    sql: str | None = None,
    db: str | None = None,
) -> Source | SourceChain:
    """Open files, or a query, as rows of a kind; `options` are those of `FILE_FLAGS` that were given."""
    chosen = _mapping(kind, mapping, renamings)
    if sql is not None or db is not None:
        return _open_query(paths, kind, options, chosen, sql, db)
    if not paths:
        raise CommandError("name a file, or `-` for standard input; --sql with --db reads a database")
    if len({file_id(path) or path for path in paths}) < len(paths):
        raise CommandError("a file is named twice")
    sources = {path: _open(path, kind, options, chosen) for path in paths}
    return next(iter(sources.values())) if len(sources) == 1 else SourceChain(sources)


def rows_of(files: Sequence[str], kind: RowKind, values: Mapping[str, Any]) -> Source | SourceChain:
    """Open the rows that the flags of `reads_rows` mean."""
    inputs = {name: values[name] for name in ("mapping", "renamings", "sql", "db")}
    return open_rows(files, kind, given_options(FILE_FLAGS, values), **inputs)


def parse_renamings(renamings: Sequence[str]) -> dict[str, str]:
    """Read FIELD=COLUMN texts as a mapping from fields to columns."""
    found: dict[str, str] = {}
    for text in renamings:
        path, equals, column = text.partition("=")
        if not (path and equals and column):
            raise CommandError(f"--set {text}: expected FIELD=COLUMN, such as customId=customer_number")
        if path in found:
            raise CommandError(f"--set {text}: {path} is given twice")
        found[path] = column
    return found


def form_of(path: str, given: Format | None = None) -> Format:
    """Return the form of a file: as it was said, by its name, or by how it begins."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    known = given or (_FORMAT_BY_SUFFIX.get(suffixes[-1]) if suffixes else None)
    if known is not None:
        return known
    if "://" in path or Path(path).is_dir():
        return "parquet"
    _refuse_pipe(path, "--format")
    with opened(path) as file:
        head = peek(file)
    if head.startswith(PARQUET_MAGIC):
        return "parquet"
    forms: Mapping[bytes, Format] = {b"{": "jsonl", b"[": "json"}
    return forms.get(head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1], "csv")


def csv_options(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a CSV file is written, of the options that were given."""
    found = {name: value for name, value in options.items() if name not in _NOT_OF_CSV}
    is_tabbed = Path(path.removesuffix(".gz")).suffix.lower() == ".tsv" and "delimiter" not in found
    if is_tabbed or found.get("delimiter") in ("tab", "\\t"):
        found["delimiter"] = "\t"
    return found


def _open(path: str, kind: RowKind, options: Mapping[str, Any], mapping: RowMapping | None) -> Source:
    """Open one file; what is wrong with the file itself is told with its name."""
    name = "standard input" if path == STANDARD_INPUT else path
    try:
        form = form_of(path, options.get("format"))
        if form != "csv":
            _refuse_csv_flags(options, name, form.upper())
        return _read(path, form, kind, options, mapping)
    except MappingError as error:
        if error.file:
            raise
        hint = (
            []
            if mapping is not None
            else [MappingIssue("", "", _IDENTIFIERS_HINT if kind == "identifiers" else _HINT.format(kind=kind))]
        )
        raise MappingError([*error.issues, *hint], operation=error.operation, file=name) from None
    except InvalidRequestError as error:
        if error.field not in ("file", "paths"):
            raise
        raise CommandError(f"{name}: {as_flags(error.problem.removeprefix(path).strip())}") from None


def _read(path: str, form: Format, kind: RowKind, options: Mapping[str, Any], mapping: RowMapping | None) -> Source:
    sort = bool(options.get("sort"))
    if form == "csv":
        csv = csv_options(path, options)
        if mapping is None:
            mapping = _make_same_names(kind, _csv_columns(path, csv))
        return read_csv(path, mapping, sort=sort, **csv)
    if form == "parquet":
        if path == STANDARD_INPUT:
            raise CommandError("Parquet cannot be read from standard input; name the file")
        return read_parquet(path, mapping or _make_same_names(kind, _parquet_columns(path)), sort=sort)
    return (read_json if form == "json" else read_jsonl)(path, mapping, sort=sort)


def _open_query(
    paths: Sequence[str],
    kind: RowKind,
    options: Mapping[str, Any],
    mapping: RowMapping | None,
    sql: str | None,
    db: str | None,
) -> Source:
    from .databases import open_query  # noqa: PLC0415 - few commands read one

    if paths:
        raise CommandError("--sql and files: give one of them")
    if sql is None:
        raise CommandError("--db goes with --sql, the query")
    sort = bool(options.get("sort"))
    _refuse_csv_flags(options, "--sql", "a query")
    if "format" in options:
        raise CommandError("--sql is no file, for which there is no --format")
    return open_query(sql, db, mapping, lambda names: _make_same_names(kind, names), sort=sort)


def _refuse_csv_flags(options: Mapping[str, Any], what: str, form: str) -> None:
    given = [name for name in options if name not in _NOT_OF_CSV]
    if given:
        raise CommandError(f"{what} is {form}, for which there is no --{given[0].replace('_', '-')}")


def _mapping(kind: RowKind, mapping: str | None, renamings: Sequence[str]) -> RowMapping | None:
    if mapping is not None and renamings:
        raise CommandError("--mapping and --set: give one of them")
    if mapping is not None:
        loaded = RowMapping.load(mapping)
        if loaded.kind != kind:
            raise CommandError(f"{mapping}: is a mapping for {loaded.kind}, and {kind} are read")
        return loaded
    columns: dict[str, list[str]] = {}
    for path, column in parse_renamings(renamings).items():
        columns.setdefault(column, []).append(path)
    return _make_mapping(kind, columns) if columns else None


def _make_mapping(kind: RowKind, columns: Mapping[str, Any]) -> RowMapping:
    make = {
        "profiles": RowMapping.for_profiles,
        "events": RowMapping.for_events,
        "transactions": RowMapping.for_transactions,
        "identifiers": RowMapping.for_identifiers,
    }[kind]
    return make(columns)


def _make_same_names(kind: RowKind, names: Iterable[str]) -> RowMapping:
    """Make the mapping of columns that have the publisher's names."""
    return _make_mapping(kind, {name: name for name in names if name})


def _csv_columns(path: str, csv: Mapping[str, Any]) -> Sequence[str]:
    from synerise_profiles._readers.csv_reader import CsvFormat, CsvReader  # noqa: PLC0415 - few files need it

    _refuse_pipe(path, "--mapping or --set")
    with opened(path) as file:
        reader = CsvReader(io.BytesIO(_first_lines(file)) if path == STANDARD_INPUT else file, CsvFormat(**csv))
        if not reader.columns:
            raise InvalidRequestError("is empty: it has no header", field="file")
        return reader.columns


def _parquet_columns(path: str) -> Sequence[str]:
    """Read the schemas by a mapping that needs no column."""
    needs_none = RowMapping.for_profiles({"-": field("city", optional=True)}, constants={"customId": "-"})
    return read_parquet(path, needs_none).columns


def _first_lines(file: io.BufferedReader) -> bytes:
    """Return the whole lines that standard input has waiting, unpacked; they are still there to be read."""
    first = file.peek()
    if not first:
        raise CommandError("standard input is empty")
    lines, newline, _ = unpacked_head(first, _HEAD_BYTES).rpartition(b"\n")
    if not newline:
        raise CommandError("the header of standard input is too long to find its columns in; give --set or --mapping")
    return lines + newline


def _refuse_pipe(path: str, flag: str) -> None:
    """Refuse to look at the beginning of what can be read only once, and would lack it then; `-` keeps it."""
    if path != STANDARD_INPUT and is_stream(Path(path)):
        raise CommandError(f"{path} is a pipe or a device, which can be read only once: say {flag}, or pipe it to `-`")


@contextmanager
def opened(path: str) -> Generator[io.BufferedReader]:
    """Open a file to look at its beginning; standard input stays open, and keeps what was looked at."""
    if path == STANDARD_INPUT:
        yield cast("io.BufferedReader", standard_input())
        return
    with Path(path).open("rb") as file:
        yield file
