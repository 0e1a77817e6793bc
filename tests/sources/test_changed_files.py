"""Files that somebody cuts or changes while a run reads them: it never ends as if they had been read whole."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import Report, report_of
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import (
    RowMapping,
    read_arrow,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
    suggest_mapping,
)

MANY = 12_000
"""More than is read at a time, with the padding."""
PAD = "x" * 100
MAPPING = RowMapping.for_profiles({"Id": "customId", "City": "city"})
Act: TypeAlias = Callable[[Path], object]
Make: TypeAlias = Callable[[Path], Any]


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


def csv_text(prefix: str = "c", count: int = MANY) -> str:
    return "Id,City\n" + "".join(f"{prefix}{number:06d},{PAD}\n" for number in range(count))


def jsonl_text(prefix: str = "c", count: int = MANY) -> str:
    return "".join(f'{{"Id":"{prefix}{number:06d}","City":"{PAD}"}}\n' for number in range(count))


def json_text(prefix: str = "c", count: int = MANY) -> str:
    return "[" + ",".join(jsonl_text(prefix, count).splitlines()) + "]"


def write(path: Path, text: str) -> None:
    """Write to the file that is there."""
    with path.open("wb") as file:
        file.write(packed(text) if path.suffix == ".gz" else text.encode())


def packed(text: str) -> bytes:
    """Pack in parts that end where lines do, so that a cut between two of them is the end of a whole file."""
    lines = text.splitlines(keepends=True)
    return b"".join(gzip.compress("".join(lines[at : at + 3000]).encode(), 0) for at in range(0, len(lines), 3000))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def cut_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def cut_between_parts(path: Path) -> None:
    """So that what is left of a packed file is whole."""
    os.truncate(path, path.read_bytes().rindex(b"\x1f\x8b\x08"))


KINDS: dict[str, tuple[str, Callable[..., str], Make]] = {
    "csv": ("rows.csv", csv_text, lambda path: read_csv(path, MAPPING)),
    "jsonl": ("rows.jsonl", jsonl_text, lambda path: read_jsonl(path, MAPPING)),
    "json": ("rows.json", json_text, lambda path: read_json(path, MAPPING)),
    "packed csv": ("rows.csv.gz", csv_text, lambda path: read_csv(path, MAPPING)),
    "packed jsonl": ("rows.jsonl.gz", jsonl_text, lambda path: read_jsonl(path, MAPPING)),
}
CHANGES: dict[str, Callable[[Path, Callable[..., str]], object]] = {
    "cut": lambda path, _: cut(path),
    "cut to nothing": lambda path, _: cut_to_nothing(path),
    "other rows": lambda path, text: write(path, text("d")),
    "more other rows": lambda path, text: write(path, text("d", MANY + 5000)),
}


def acting(rows: Any, act: Callable[[], object], at: int = 1500) -> Any:
    """The rows of a source, which does something amid them."""
    real = rows.__class__.__iter__

    class Acting(rows.__class__):  # type: ignore[misc, name-defined]
        def __iter__(self) -> Iterator[Any]:
            for number, row in enumerate(real(self)):
                if number == at:
                    act()
                yield row

    rows.__class__ = Acting
    return rows


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_text_file_that_is_changed_while_it_is_read(
    client: Synerise, tmp_path: Path, kind: str, how: str
) -> None:
    """The run ends by an error that names the file, with its report; the same call goes on once the file is whole."""
    name, text, make = KINDS[kind]
    path, journal = tmp_path / name, tmp_path / "journal.db"
    write(path, text())
    with pytest.raises(InvalidRequestError, match=f"^file: the (gzip )?file .*{name} (was cut|is cut)") as caught:
        client.bulk.upsert_profiles(acting(make(path), lambda: CHANGES[how](path, text)), journal=journal)
    report = report_of(caught.value)
    assert report is not None
    assert not report.complete
    assert 0 < report.read == report.accepted + report.rejected_count() < MANY
    assert report.by_stage["check"] == 0
    write(path, text())
    again = client.bulk.upsert_profiles(make(path), journal=journal)
    assert (again.accepted, again.complete) == (MANY, True)
