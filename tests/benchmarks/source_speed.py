"""What reading rows from files and tables costs, as ratios to the barest reader of each; and memory at growing sizes.

`--memory` imports files of up to a gigabyte in a fresh process each, by `client.bulk`, to a server that takes all.
"""

from __future__ import annotations

import argparse
import csv
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import orjson
from bulk_server import Answerer

from synerise_profiles import Synerise
from synerise_profiles.sources import RowMapping, field, read_arrow, read_csv, read_jsonl, read_parquet

MAPPING = RowMapping.for_profiles(
    {
        "CustomerID": "customId",
        "Town": "city",
        "InvoiceDate": field("attributes.seen", "datetime", format="%d/%m/%Y %H:%M", zone="Europe/London"),
        "Quantity": field("attributes.quantity", "integer"),
        "UnitPrice": field("attributes.price", "number"),
        "*": "attributes.*",
    }
)
HEADER = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Town\n"
MEMORY_BUDGET = 60.0
CSV_BUDGET = 1.9
JSON_BUDGET = 4.5
ARROW_BUDGET = 2.3
PLAIN_BUDGET = 3.0
OPTIONS: dict[str, Any] = {"comment": "#", "skipinitialspace": True, "ragged": "pad"}


def block(start: int, count: int) -> bytes:
    """Rows as a shop's till writes them, each at its own minute; every tenth has a line end in a cell."""
    name = b'"WHITE HANGING HEART ""T-LIGHT""%bHOLDER, LARGE"'
    form = b"%d,85123A," + name + b",%d,%02d/12/2010 %02d:%02d,2.55,%d,\xc5\x81\xc3\xb3d\xc5\xba\n"
    rows = (
        form % (536365 + n // 20, b"\n" if n % 10 == 0 else b" ", n % 50, n // 1440 % 31 + 1, n // 60 % 24, n % 60, n)
        for n in range(start, start + count)
    )
    return b"".join(rows)


def write(path: Path, megabytes: float) -> int:
    """Write a file of this size; return its rows."""
    rows = size = 0
    with path.open("wb") as file:
        file.write(HEADER)
        while size < megabytes * 1e6:
            size += file.write(block(rows, 20_000))
            rows += 20_000
    return rows


def seconds(rows: Callable[[], Iterable[Any]]) -> float:
    """The best of three, of the processor's time: nothing is waited for, and others may be at work."""
    found: list[float] = []
    for _ in range(3):
        begun = time.process_time()
        deque(rows(), 0)
        found.append(time.process_time() - begun)
    return min(found)


def compare(folder: Path, megabytes: float) -> int:
    path = folder / "rows.csv"
    count = write(path, megabytes)
    lines = folder / "rows.jsonl"
    with path.open(encoding="utf-8", newline="") as file, lines.open("wb") as out:
        out.writelines(orjson.dumps(row) + b"\n" for row in csv.DictReader(file))
    text = path.read_text("utf-8")
    bare = seconds(lambda: csv.DictReader(io.StringIO(text, newline="")))
    failed = show("CSV", count, seconds(lambda: read_csv(path, MAPPING)), bare, "csv.DictReader", CSV_BUDGET)
    spent = seconds(lambda: read_csv(path, MAPPING, **OPTIONS))
    failed |= show("CSV with options", count, spent, bare, "csv.DictReader", CSV_BUDGET)
    data = lines.read_bytes()
    bare = seconds(lambda: map(orjson.loads, io.BytesIO(data)))
    reference = "orjson.loads a line"
    failed |= show("JSON Lines as they are", count, seconds(lambda: read_jsonl(lines)), bare, reference, PLAIN_BUDGET)
    spent = seconds(lambda: read_jsonl(lines, MAPPING))
    failed |= show("JSON Lines, mapped", count, spent, bare, reference, JSON_BUDGET)
    try:
        from pyarrow import csv as arrow  # noqa: PLC0415 - an extra
    except ImportError:
        return failed
    table = arrow.read_csv(path, parse_options=arrow.ParseOptions(newlines_in_values=True))
    bare = seconds(table.to_pylist)
    spent = seconds(lambda: read_arrow(table, MAPPING))
    failed |= show("Arrow", count, spent, bare, "Table.to_pylist", ARROW_BUDGET)
    from pyarrow import parquet  # noqa: PLC0415 - as above

    packed = folder / "rows.parquet"
    parquet.write_table(table, packed, row_group_size=100_000)
    bare = seconds(lambda: (row for batch in parquet.ParquetFile(packed).iter_batches() for row in batch.to_pylist()))
    spent = seconds(lambda: read_parquet(packed, MAPPING))
    return failed | show("Parquet", count, spent, bare, "its batches' to_pylist", ARROW_BUDGET)


def show(name: str, count: int, spent: float, bare: float, reference: str, budget: float) -> int:
    ratio = spent / bare
    print(f"{name:24}{count / spent:>12,.0f} rows a second, {ratio:.2f} times {reference} (budget {budget:.1f})")
    return int(ratio > budget)


def peak() -> float:
    """Megabytes that this process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(path: str, url: str) -> None:
    with Synerise(token="t", base_url=url) as client:
        client.bulk.upsert_profiles(read_csv(io.BytesIO(HEADER + block(0, 10)), MAPPING))
        before, begun = peak(), time.perf_counter()
        source = read_csv(path, MAPPING)
        report = client.bulk.upsert_profiles(source, checks="off")
        assert report.accepted == report.read
        assert source.locate(report.read - 1) == 1 + report.read + (report.read + 9) // 10 - (
            (report.read - 1) % 10 == 0
        )
        print(report.read, time.perf_counter() - begun, peak() - before)


def measure(path: Path) -> tuple[int, float, float]:
    """Import a file in a process of its own: rows, seconds, megabytes over a client that has sent a few."""
    with Answerer(0.0) as server:
        command = [sys.executable, __file__, "--child", str(path), server.url]
        rows, spent, megabytes = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(rows), float(spent), float(megabytes)


def memory(folder: Path, megabytes: float) -> int:
    failed = 0
    for size in (megabytes / 8, megabytes):
        path = folder / "rows.csv"
        write(path, size)
        rows, spent, used = measure(path)
        failed += used > MEMORY_BUDGET
        text = f"{rows:>12,} rows, {spent:6.1f} s, {rows / spent:>9,.0f} rows a second"
        print(f"{size:6,.0f} MB of CSV: {text}, {used:.0f} MB over the client (budget {MEMORY_BUDGET:.0f})")
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--memory", type=float, nargs="?", const=1000.0, metavar="MB", help="import files up to this size"
    )
    parser.add_argument("--size", type=float, default=20.0, metavar="MB", help="of the file whose reading is timed")
    parser.add_argument("--child", nargs=2, metavar=("PATH", "URL"))
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        failed = memory(Path(folder), given.memory) if given.memory else compare(Path(folder), given.size)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
