"""The files: what is written is what came, whatever it holds; a file is whole or not there."""

from __future__ import annotations

import asyncio
import csv
import os
import stat
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError
from synerise_profiles.exports import ExportProgress
from synerise_profiles.exports.writers import CsvWriter, atomic_writer
from tests.exports.support import Server, answer, numbered, order

pyarrow = pytest.importorskip("pyarrow")

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["", '"', "\r\n", "\n", ",", "=1"]
)
NUMBERS = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXT
VALUES = SCALARS | st.lists(SCALARS, max_size=2) | st.dictionaries(TEXT, SCALARS, max_size=2)
ROWS = st.lists(st.dictionaries(st.sampled_from(["id", "a", "b", 'c "d"', "e\r\n"]), VALUES, max_size=4), max_size=12)
PER_EXAMPLE = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)


def columns_of(rows: list[dict[str, Any]], known: tuple[str, ...] = ("id",)) -> list[str]:
    return list(dict.fromkeys([*known, *(name for row in rows for name in row)]))


def there(folder: Path) -> list[str]:
    return [path.suffix for path in folder.iterdir()]


def as_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode() if isinstance(value, bool | list | dict) else str(value)


@PER_EXAMPLE
@given(rows=ROWS, size=st.integers(1, 5))
def test_csv_is_what_came(tmp_path: Path, rows: list[dict[str, Any]], size: int) -> None:
    """Every row has a cell for every column, those that later pages bring included; any reader reads it back."""
    path = tmp_path / "rows.csv"
    with atomic_writer(path, lambda file: CsvWriter(file, ("id",))) as sink:
        for start in range(0, len(rows), size):
            sink.add(rows[start : start + size])
        sink.finish()
    with path.open(encoding="utf-8", newline="") as file:
        header, *cells = csv.reader(file)
    names = columns_of(rows)
    assert header == names
    assert cells == [[as_cell(row.get(name)) for name in names] for row in rows]


@PER_EXAMPLE
@given(rows=ROWS, size=st.integers(1, 5))
def test_json_lines_are_what_came(tmp_path: Path, rows: list[dict[str, Any]], size: int) -> None:
    """A line for each record, equal to what the server sent."""
    records = [{**row, "id": number} for number, row in enumerate(rows)]
    with Server(records).client() as client:
        assert client.exports.run(order(), page_size=size).write_jsonl(tmp_path / "rows.jsonl") == len(rows)
    assert [orjson.loads(line) for line in (tmp_path / "rows.jsonl").read_bytes().splitlines()] == records


def as_arrow(values: list[Any]) -> tuple[str, list[Any]]:
    """The type of a column and its values, decided the slow way."""
    there = [value for value in values if value is not None]
    if there and all(isinstance(value, bool) for value in there):
        return "bool", values
    whole = [value for value in there if isinstance(value, int) and not isinstance(value, bool)]
    if there and len(whole) == len(there) and all(-(2**63) <= value < 2**63 for value in there):
        return "int64", values
    is_number = all(isinstance(value, int | float) and not isinstance(value, bool) for value in there)
    if there and is_number and all(abs(value) <= 2**53 for value in whole):
        return "double", [None if value is None else float(value) for value in values]
    return "string", [None if value is None else as_cell(value) for value in values]


@PER_EXAMPLE
@given(rows=ROWS, size=st.integers(1, 5))
def test_arrow_columns_have_one_type(tmp_path: Path, rows: list[dict[str, Any]], size: int) -> None:
    """The narrowest type that holds all values without loss, whatever page they come from; in a table and in a file."""
    records = [{**row, "id": number} for number, row in enumerate(rows)]
    with Server(records).client() as client:
        export = client.exports.run(order(fields=["id"]), page_size=size)
        table = export.to_table()
        assert export.write_arrow(tmp_path / "rows.arrow") == len(rows)
    with pyarrow.ipc.open_file(tmp_path / "rows.arrow") as reader:
        assert reader.read_all().equals(table)
    assert table.column_names == columns_of(records)
    for name in table.column_names:
        type_name, values = as_arrow([record.get(name) for record in records])
        if not records:
            type_name = "int64"
        assert (str(table.schema.field(name).type), table.column(name).to_pylist()) == (type_name, values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 0.5], ("double", [1.0, 0.5])),
        ([2**53, 0.5], ("double", [2.0**53, 0.5])),
        ([2**53 + 1, 0.5], ("string", ["9007199254740993", "0.5"])),
        ([2**53 + 1, -(2**63)], ("int64", [2**53 + 1, -(2**63)])),
        ([2**63, 1], ("string", ["9223372036854775808", "1"])),
        ([True, 1], ("string", ["true", "1"])),
        (["1", 1, None], ("string", ["1", "1", None])),
        ([None, [1, None]], ("string", [None, "[1,null]"])),
        ([None, None], ("string", [None, None])),
    ],
    ids=str,
)
def test_mixed_columns(values: list[Any], expected: tuple[str, list[Any]]) -> None:
    """No value changes: where no type of numbers holds all of them, they are text, on whatever page they come."""
    for ordered in (values, values[::-1]):
        with Server([{"id": n, "x": value} for n, value in enumerate(ordered)]).client() as client:
            column = client.exports.run(order(fields=["id", "x"]), page_size=1).to_table().column("x")
        found = column.to_pylist() if ordered is values else column.to_pylist()[::-1]
        assert (str(column.type), found) == expected


def test_numbers_and_flags_in_csv(tmp_path: Path) -> None:
    """Null is empty, flags and nested values are JSON, a formula stays as it is."""
    row = {"id": 1, "a": None, "b": True, "c": 1.5, "d": [1, "ł"], "e": {"k": None}, "f": "=1+1"}
    with Server([row]).client() as client:
        client.exports.run(order(fields=list(row))).write_csv(tmp_path / "rows.csv")
    expected = 'id,a,b,c,d,e,f\r\n1,,true,1.5,"[1,""ł""]","{""k"":null}",=1+1\r\n'
    assert (tmp_path / "rows.csv").read_bytes().decode() == expected


def test_columns_of_an_export_from_elsewhere(tmp_path: Path) -> None:
    """A resumed export has its id first and its other names as they come."""
    with Server([{"x": 1, "id": 7}, {"id": 8, "y": 2}]).client() as client:
        client.exports.resume("t-1").write_csv(tmp_path / "rows.csv")
    assert (tmp_path / "rows.csv").read_bytes() == b"id,x,y\r\n7,1,\r\n8,,2\r\n"


@pytest.mark.parametrize("method", ["write_jsonl", "write_csv", "write_arrow"])
def test_where_files_go(tmp_path: Path, method: str) -> None:
    """A link is followed, permissions are kept, and what is no file is refused."""
    target = tmp_path / "real"
    target.write_text("old")
    target.chmod(0o640)
    (tmp_path / "link").symlink_to(target)
    with (server := Server(numbered(2))).client() as client:
        export = client.exports.run(order())
        write = getattr(export, method)
        assert write(tmp_path / "link") == 2
        assert (tmp_path / "link").is_symlink()
        assert target.read_bytes() != b"old"
        assert stat.S_IMODE(target.stat().st_mode) == 0o640
        assert write(str(tmp_path / ("ł" * 120))) == 2
        asked = len(server.seen)
        with pytest.raises(InvalidRequestError, match="path: is a folder"):
            write(tmp_path)
        with pytest.raises(InvalidRequestError, match="path: is a device"):
            write(os.devnull)
        with pytest.raises(InvalidRequestError, match="path: is in a folder that does not exist"):
            write(tmp_path / "no" / "folder")
        assert len(server.seen) == asked


def test_a_cancelled_file_is_not_there(tmp_path: Path) -> None:
    """An async writer that is cancelled leaves nothing behind."""

    async def main() -> None:
        waits = asyncio.Event()

        async def hang(now: ExportProgress) -> None:
            if now.records == 4:
                waits.set()
                await asyncio.sleep(3600)

        async with Server(numbered(10)).async_client() as client:
            export = await client.exports.run(order(), page_size=2, progress=hang)
            task = asyncio.create_task(export.write_csv(tmp_path / "rows.csv"))
            await waits.wait()
            beside.extend(there(tmp_path))
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    beside: list[str] = []
    asyncio.run(main())
    assert beside == [".part"]
    assert there(tmp_path) == []


def test_without_pyarrow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, before a page is asked for or a file is made."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with (server := Server(numbered(2))).client() as client:
        export = client.exports.run(order())
        for call in (export.to_table, lambda: export.write_arrow(tmp_path / "rows.arrow")):
            with pytest.raises(ModuleNotFoundError, match=r"pip install 'synerise-profiles\[arrow\]'"):
                call()
        assert export.write_jsonl(tmp_path / "rows.jsonl") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["rows.jsonl"]
    assert server.seen[:2] == ["POST segmentation", "GET status"]
    assert len(server.seen) == 4


@pytest.mark.parametrize("method", ["write_jsonl", "write_csv", "write_arrow"])
def test_memory_does_not_grow(tmp_path: Path, method: str) -> None:
    """A writer needs a page at a time, however many there are."""

    def peak(pages: int) -> int:
        def page(offset: int, limit: int) -> Any:
            ids = range(offset, offset + limit) if offset < pages * limit else ()
            return answer([{"id": n, "text": f"{n} " * 20} for n in ids])

        with Server(page=page).client() as client:
            export = client.exports.run(order(), page_size=200)
            getattr(export, method)(tmp_path / "warm")
            tracemalloc.start()
            getattr(export, method)(tmp_path / "rows")
            found = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return found

    # An Arrow file is written in batches of more than that.
    small, large = (60, 180) if method == "write_arrow" else (5, 40)
    assert peak(large) < peak(small) * 1.5
