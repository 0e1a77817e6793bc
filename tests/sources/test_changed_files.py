"""Files that somebody cuts or changes while a run reads them: it never ends as if they had been read whole."""

from __future__ import annotations

import asyncio
import gzip
import io
import os
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias, cast

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
)

MANY = 12_000
"""More than is read at a time, with the padding."""
PAD = "x" * 100
MAPPING = RowMapping.for_profiles({"Id": "customId", "City": "city"})
Act: TypeAlias = Callable[[Path], object]
Make: TypeAlias = Callable[[Path], Any]


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


def more_of(text: str) -> str:
    """Make a value longer: all behind it moves, and what stands before it is as it was."""
    at = text.index(PAD, len(text) // 15) + len(PAD)
    return f"{text[:at]}-y{text[at:]}"


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
    "a row amid the others": lambda path, text: write(path, more_of(text())),
    "cut and written on": lambda path, text: write(path, text()[:200_000] + text("d")),
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
def test_a_text_file_that_is_changed_while_it_is_read(client: Synerise, tmp_path: Path, kind: str, how: str) -> None:
    """The run ends by an error that names the file, with its report; the same call goes on once the file is whole."""
    name, text, make = KINDS[kind]
    path, journal = tmp_path / name, tmp_path / "journal.db"
    write(path, text())
    with pytest.raises(InvalidRequestError, match=f"^the (gzip )?file .*{name} (was cut|is cut)") as caught:
        client.bulk.upsert_profiles(acting(make(path), lambda: CHANGES[how](path, text)), journal=journal)
    report = report_of(caught.value)
    assert report is not None
    assert not report.complete
    assert 0 < report.read == report.accepted + report.rejected_count() < MANY
    assert report.by_stage["check"] == 0
    write(path, text())
    again = client.bulk.upsert_profiles(make(path), journal=journal)
    assert (again.accepted, again.complete) == (MANY, True)


@pytest.mark.parametrize("length", [1_000, 9_400, 60_000])
def test_long_rows_that_are_written_over_at_their_length(client: Synerise, tmp_path: Path, length: int) -> None:
    """Most of a row is as it was, and its ends are of two rows."""

    def text(mark: str) -> str:
        return "".join(
            f'{{"Id":"{mark}{number:06d}","Text":"{"x" * length}","City":"{mark}"}}\n'
            for number in range(3_000_000 // length)
        )

    path = tmp_path / "rows.jsonl"
    write(path, text("c"))
    rows = acting(read_jsonl(path, MAPPING), lambda: write(path, text("d")), at=20)
    with pytest.raises(InvalidRequestError, match="was cut or changed"):
        client.bulk.upsert_profiles(rows)


@pytest.mark.parametrize("kind", ["packed csv", "packed jsonl"])
def test_a_packed_file_of_parts_that_loses_the_last_one(client: Synerise, tmp_path: Path, kind: str) -> None:
    """What is left of it is a whole file, and yet its rows are not all."""
    name, text, make = KINDS[kind]
    path = tmp_path / name
    write(path, text())
    with pytest.raises(InvalidRequestError, match="was cut or changed by somebody else while it was read"):
        client.bulk.upsert_profiles(acting(make(path), lambda: cut_between_parts(path)))


@pytest.mark.parametrize("mode", ["rb", "r"])
@pytest.mark.parametrize("kind", ["csv", "jsonl", "packed csv"])
def test_a_file_object_whose_file_is_cut(client: Synerise, tmp_path: Path, kind: str, mode: str) -> None:
    """It is looked at by its descriptor."""
    name, text, _ = KINDS[kind]
    path = tmp_path / name
    write(path, text())
    read = read_csv if name.startswith("rows.csv") else read_jsonl
    act = cut_between_parts if path.suffix == ".gz" else cut
    with (
        gzip.open(path, mode + "t" * (mode == "r")) if path.suffix == ".gz" else path.open(mode) as opened,
        pytest.raises(InvalidRequestError, match="was cut or changed by somebody else while it was read"),
    ):
        client.bulk.upsert_profiles(acting(read(cast("Any", opened), MAPPING), lambda: act(path)))


@pytest.mark.parametrize("kind", ["csv", "jsonl", "packed csv", "packed jsonl"])
def test_a_file_that_grows_is_read_to_its_end(client: Synerise, tmp_path: Path, kind: str) -> None:
    """Such as a log, also one that is empty when it is opened, or that has another name by the end."""
    name, text, make = KINDS[kind]
    path = tmp_path / name
    write(path, text())
    more = text("more", 100).removeprefix("Id,City\n")

    def grow() -> None:
        with path.open("ab") as file:
            file.write(packed(more) if path.suffix == ".gz" else more.encode())
        path.rename(path.with_name("renamed"))

    report = client.bulk.upsert_profiles(acting(make(path), grow))
    assert (report.accepted, report.complete) == (MANY + 100, True)


def test_what_is_no_file_of_the_system_is_read(client: Synerise) -> None:
    """An object that has no descriptor, or one of a pipe."""
    text = csv_text(count=5000)
    assert client.bulk.upsert_profiles(read_csv(io.StringIO(text), MAPPING)).accepted == 5000
    assert client.bulk.upsert_profiles(read_csv(io.BytesIO(text.encode()), MAPPING)).accepted == 5000
    reader, writer = os.pipe()
    with os.fdopen(writer, "wb") as file:
        file.write(csv_text(count=100).encode())
    with os.fdopen(reader, "rb") as pipe:
        assert client.bulk.upsert_profiles(read_csv(pipe, MAPPING)).accepted == 100


def test_an_async_run_ends_by_it_too(sandbox: Sandbox, tmp_path: Path) -> None:
    """The same error, with the report."""
    path = tmp_path / "rows.csv"
    write(path, csv_text())

    async def run() -> Report:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.bulk.upsert_profiles(acting(read_csv(path, MAPPING), lambda: cut(path)))

    with pytest.raises(InvalidRequestError, match="was cut or changed") as caught:
        asyncio.run(run())
    report = report_of(caught.value)
    assert report is not None
    assert 0 < report.read == report.accepted + report.rejected_count() < MANY


class CutFile(io.FileIO):
    """A file that is cut at its third reading."""

    readings = 0

    def read(self, size: int | None = -1, /) -> bytes:
        self.readings += 1
        if self.readings == 3:
            cut(Path(str(self.name)))
        return super().read(-1 if size is None else size)


@pytest.mark.parametrize("sort", [False, True])
def test_lines_of_orders_of_a_file_that_is_cut(tmp_path: Path, *, sort: bool) -> None:
    """The last lines before the cut are no whole order, and are not sent as one."""
    path = tmp_path / "lines.csv"
    lines = [f"o{n // 3},c{n // 3},2026-01-01T08:00:00Z,{n % 3}{PAD},1.00,1\n" for n in range(MANY)]
    path.write_text("Order,Who,When,Sku,Price,Qty\n" + "".join(lines))
    columns = {
        "Order": "orderId",
        "Who": "client.customId",
        "When": "recordedAt",
        "Sku": ["products[].sku", "products[].name"],
        "Price": "products[].finalUnitPrice.amount",
        "Qty": "products[].quantity",
    }
    constants = {"products[].finalUnitPrice.currency": "GBP", "paymentInfo.method": "CARD", "source": "POS"}
    mapping = RowMapping.for_transactions(columns, constants=constants, group_by="Order")
    found: list[Any] = []
    with CutFile(path) as file, pytest.raises(InvalidRequestError, match="was cut or changed"):
        found.extend(read_csv(file, mapping, sort=sort))
    assert {len(row["products"]) for row in found} == (set() if sort else {3})


def table(prefix: str = "c", count: int = 300_000) -> Any:
    arrow = pytest.importorskip("pyarrow")
    return arrow.table({"Id": [f"{prefix}{number:06d}" for number in range(count)], "City": ["x"] * count})


def overwritten(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"#" * 5000)


def replaced_in_place(path: Path) -> None:
    import_module("pyarrow.parquet").write_table(table("d"), path.with_suffix(".other"), row_group_size=5000)
    write_bytes(path, path.with_suffix(".other").read_bytes())


def write_bytes(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)


@pytest.mark.parametrize("act", [cut, cut_to_nothing, overwritten, replaced_in_place])
@pytest.mark.parametrize("how", ["path", "dataset"])
def test_a_parquet_file_that_is_changed_while_it_is_read(tmp_path: Path, how: str, act: Act) -> None:
    """Also where pyarrow reads on as if nothing were."""
    path = tmp_path / "rows.parquet"
    pytest.importorskip("pyarrow.parquet").write_table(table(), path, row_group_size=5000)
    dataset = import_module("pyarrow.dataset").dataset
    rows = read_parquet(path, MAPPING) if how == "path" else read_arrow(dataset(path), MAPPING)
    reading = iter(rows)
    next(reading)
    act(path)
    words = (
        "rows.parquet was cut or changed" if how == "path" else "has a file that somebody cut or changed|cannot be read"
    )
    with pytest.raises(InvalidRequestError, match=words):
        list(reading)


def test_a_parquet_file_that_is_put_in_the_place_of_one_that_is_read(tmp_path: Path) -> None:
    """It is another file."""
    path = tmp_path / "rows.parquet"
    write_table = pytest.importorskip("pyarrow.parquet").write_table
    write_table(table(), path)
    reading = iter(read_parquet(path, MAPPING))
    next(reading)
    write_table(table("d", 5), path.with_name("new"))
    path.with_name("new").replace(path)
    assert len(list(reading)) == 300_000 - 1
