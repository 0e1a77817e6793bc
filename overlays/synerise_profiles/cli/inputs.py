"""Files as rows: the form of each, its mapping, and several of them as one input of a run."""

from __future__ import annotations

import io
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from synerise_profiles._readers.block_reader import STANDARD_INPUT, peek, standard_input
from synerise_profiles.sources import RowMapping, Source, read_csv, read_json, read_jsonl

from .exit_status import CommandError

if TYPE_CHECKING:
    from synerise_profiles_api.types import Operation

__all__ = ["Format", "RowKind", "SourceChain", "csv_options", "form_of", "open_rows", "opened", "parse_renamings"]

Format: TypeAlias = Literal["csv", "jsonl", "json"]
RowKind: TypeAlias = Literal["profiles", "events", "transactions", "identifiers"]
_FORMAT_BY_SUFFIX: Final[Mapping[str, Format]] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
}
_HEAD_BYTES: Final = 1 << 16
_GZIP_MAGIC: Final = b"\x1f\x8b"


class SourceChain:
    """Several sources, read one after the other as one input of a run; a row is known by its file and its place."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources
        self._begins: list[tuple[int, str]] = []

    def check(self, operation: Operation) -> None:
        """Raise InvalidRequestError if a mapping is made for another operation."""
        for source in self._sources.values():
            source.check(operation)

    def locate(self, index: int) -> str:
        """Return the file and the place in it of a row that was read."""
        first, name = max(item for item in self._begins if item[0] <= index)
        return f"{name}:{self._sources[name].locate(index - first)}"

    @property
    def notes(self) -> Mapping[str, int]:
        """The notes of all."""
        found: dict[str, int] = {}
        for source in self._sources.values():
            for text, count in source.notes.items():
                found[text] = found.get(text, 0) + count
        return found

    def __iter__(self) -> Iterator[Any]:
        self._begins.clear()
        number = 0
        for name, source in self._sources.items():
            self._begins.append((number, name))
            for row in source:
                number += 1
                yield row


def open_rows(
    paths: Sequence[str],
    kind: RowKind,
    options: Mapping[str, Any],
    *,
    mapping: str | None = None,
    renamings: Sequence[str] = (),
) -> Source | SourceChain:
    """Open the files as rows of a kind; `options` are those of `FILE_FLAGS` that were given."""
    if len(set(paths)) < len(paths):
        raise CommandError("a file is named twice")
    sources = {path: _open(path, kind, options, mapping, renamings) for path in paths}
    return next(iter(sources.values())) if len(sources) == 1 else SourceChain(sources)


def parse_renamings(renamings: Sequence[str]) -> dict[str, str]:
    """Read FIELD=COLUMN texts as a mapping from fields to columns."""
    found: dict[str, str] = {}
    for text in renamings:
        field, equals, column = text.partition("=")
        if not (field and equals and column):
            raise CommandError(f"--set {text}: expected FIELD=COLUMN, such as customId=customer_number")
        if field in found:
            raise CommandError(f"--set {text}: {field} is given twice")
        found[field] = column
    return found


def form_of(path: str, given: Format | None = None) -> Format:
    """Return the form of a file: as it was said, by its name, or by how it begins."""
    suffixes = [suffix.lower() for suffix in Path(path).suffixes if suffix.lower() != ".gz"]
    known = given or (_FORMAT_BY_SUFFIX.get(suffixes[-1]) if suffixes else None)
    if known is not None:
        return known
    with opened(path) as file:
        first = peek(file).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return {b"{": "jsonl", b"[": "json"}.get(first, "csv")  # type: ignore[return-value]


def csv_options(path: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a CSV file is written, of the options that were given."""
    found = {name: value for name, value in options.items() if name != "format"}
    is_tabbed = Path(path.removesuffix(".gz")).suffix.lower() == ".tsv" and "delimiter" not in found
    if is_tabbed or found.get("delimiter") in ("tab", "\\t"):
        found["delimiter"] = "\t"
    return found


def _open(
    path: str, kind: RowKind, options: Mapping[str, Any], mapping: str | None, renamings: Sequence[str]
) -> Source:
    form, csv = form_of(path, options.get("format")), csv_options(path, options)
    chosen = _mapping(kind, mapping, renamings)
    if form == "csv":
        return read_csv(path, chosen or _same_names(path, kind, csv), **csv)
    if csv_only := [name for name in options if name != "format"]:
        raise CommandError(f"{path} is {form.upper()}, for which there is no --{csv_only[0].replace('_', '-')}")
    return read_json(path, chosen) if form == "json" else read_jsonl(path, chosen)


def _mapping(kind: RowKind, mapping: str | None, renamings: Sequence[str]) -> RowMapping | None:
    if mapping is not None and renamings:
        raise CommandError("--mapping and --set: give one of them")
    if mapping is not None:
        raise CommandError("--mapping: give the columns by --set")
    columns: dict[str, list[str]] = {}
    for field, column in parse_renamings(renamings).items():
        columns.setdefault(column, []).append(field)
    return _make_mapping(kind, columns) if columns else None


def _make_mapping(kind: RowKind, columns: Mapping[str, Any]) -> RowMapping:
    make = {
        "profiles": RowMapping.for_profiles,
        "events": RowMapping.for_events,
        "transactions": RowMapping.for_transactions,
        "identifiers": RowMapping.for_identifiers,
    }[kind]
    return make(columns)


def _same_names(path: str, kind: RowKind, csv: Mapping[str, Any]) -> RowMapping:
    """Make the mapping of a CSV file whose columns have the publisher's names."""
    from synerise_profiles._readers.csv_reader import CsvReader  # noqa: PLC0415 - likewise
    from synerise_profiles._readers.file_form import CsvFormat  # noqa: PLC0415 - few files need it

    with opened(path) as file:
        reader = CsvReader(io.BytesIO(_first_lines(file)) if path == STANDARD_INPUT else file, CsvFormat(**csv))
        return _make_mapping(kind, {name: name for name in reader.columns if name})


def _first_lines(file: io.BufferedReader) -> bytes:
    """Return the whole lines that standard input has waiting, unpacked; they are still there to be read."""
    first = file.peek()
    if first.startswith(_GZIP_MAGIC):
        first = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(first, _HEAD_BYTES)
    lines, newline, _ = first.rpartition(b"\n")
    if not newline:
        raise CommandError("the header of standard input is too long to find its columns in; give --set or --mapping")
    return lines + newline


@contextmanager
def opened(path: str) -> Generator[io.BufferedReader]:
    """Open a file to look at its beginning; standard input stays open, and keeps what was looked at."""
    if path == STANDARD_INPUT:
        yield cast("io.BufferedReader", standard_input())
        return
    with Path(path).open("rb") as file:
        yield file
