"""Rows of a file with the lines on which they begin: CSV or JSON Lines, plain or gzip."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import orjson

from .command import CommandError

Format = Literal["csv", "jsonl"]
_FORMAT_BY_SUFFIX: Mapping[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".jsonlines": "jsonl"}


def read_rows(path: Path, kind: Format | None, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield the line and the fields of each row; raise Problem, naming the line, for what cannot be read."""
    line = 0
    try:
        with path.open("rb") as raw, _decompressed(raw) as file:
            for line, row in (
                _csv_rows(file, delimiter) if (kind or _guess_format(path, file)) == "csv" else _json_rows(file)
            ):
                yield line, row
    except (OSError, EOFError, zlib.error) as error:
        raise CommandError(f"cannot read {path}: {getattr(error, 'strerror', None) or type(error).__name__}") from None
    except UnicodeDecodeError:
        raise CommandError(f"{path}: there is something that is not UTF-8 after line {line}") from None
    except csv.Error as error:
        raise CommandError(f"{path}: cannot be read as CSV after line {line}: {error}") from None
    except _BadLineError as error:
        raise CommandError(f"{path}: line {error.line} {error.problem}") from None


class _BadLineError(Exception):
    def __init__(self, line: int, problem: str) -> None:
        self.line = line
        self.problem = problem
        super().__init__(problem)


def _decompressed(raw: io.BufferedReader) -> io.BufferedReader | io.BufferedIOBase:
    if raw.peek(2)[:2] != b"\x1f\x8b":
        return raw
    return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=cast("BinaryIO", raw))))


def _guess_format(path: Path, file: Any) -> Format:
    """The format by the name; failing that, JSON Lines if it opens like an object."""
    suffixes = [suffix for suffix in path.suffixes if suffix.lower() != ".gz"]
    known = _FORMAT_BY_SUFFIX.get(suffixes[-1].lower()) if suffixes else None
    if known is not None:
        return known
    head: bytes = file.peek(64)
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[") else "csv"


def _csv_rows(file: Any, delimiter: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with io.TextIOWrapper(file, "utf-8-sig", newline="") as text:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        names = next(reader, list[str]())
        first = reader.line_num + 1
        for values in reader:
            if values:
                yield first, dict(zip(names, values, strict=False))
            first = reader.line_num + 1


def _json_rows(file: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, 1):
        text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
        if not text.strip():
            continue
        try:
            row = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise _BadLineError(number, "is not JSON; give JSON Lines, one object a line") from None
        if not isinstance(row, dict):
            raise _BadLineError(number, "is not an object; give JSON Lines, one object a line")
        yield number, cast("dict[str, Any]", row)
