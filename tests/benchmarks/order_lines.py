"""What orders from lines cost: reading them grouped, adjacent or sorted on disk, against reading the same lines alone.

Each is measured in a process of its own, with the memory that it needs at most over one that has read a few lines.
`--memory MB` does so for a file of this size and one of an eighth.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from typing import Any

from synerise_profiles.sources import RowMapping, field, read_csv

HEADER = b"InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
CONSTANTS = {"products[].finalUnitPrice.currency": "GBP", "paymentInfo.method": "CARD", "source": "POS"}
COLUMNS: dict[str, Any] = {
    "InvoiceNo": ["orderId", "eventSalt"],
    "StockCode": "products[].sku",
    "Description": "products[].name",
    "Quantity": "products[].quantity",
    "InvoiceDate": field("recordedAt", format="%d/%m/%Y %H:%M", zone="Europe/London"),
    "UnitPrice": field("products[].finalUnitPrice.amount", "decimal"),
    "CustomerID": "client.customId",
}
TOTALS = {
    f"{name}.{part}": value for name in ("revenue", "value") for part, value in (("amount", 1), ("currency", "GBP"))
}
ALONE = RowMapping.for_transactions(COLUMNS, constants={**CONSTANTS, **TOTALS})
GROUPED = RowMapping.for_transactions(COLUMNS, constants=CONSTANTS, group_by="InvoiceNo")
LINES_OF_AN_ORDER = 20
MEMORY_BUDGET = 60.0
ADJACENT_BUDGET = 2.3
SORTED_BUDGET = 5.0
WAYS = ("alone", "adjacent", "sorted")


def write(path: Path, megabytes: float, *, is_adjacent: bool) -> int:
    """Write order lines as a till writes them; those of an order stand together, or a thousand orders apart."""
    form = b"%d,85123A%d,WHITE HANGING HEART HOLDER,%d,%02d/12/2010 %02d:%02d,2.5%d,%d,United Kingdom\n"
    orders = size = 0
    with path.open("wb") as file:
        file.write(HEADER)
        while size < megabytes * 1e6:
            numbers = [(orders + order, item) for order in range(1000) for item in range(LINES_OF_AN_ORDER)]
            if not is_adjacent:
                numbers.sort(key=lambda pair: pair[1])
            lines = [
                form % (n, item, item + 1, n // 1440 % 31 + 1, n // 60 % 24, n % 60, item % 10, n % 9999)
                for n, item in numbers
            ]
            size += file.write(b"".join(lines))
            orders += 1000
    return orders * LINES_OF_AN_ORDER


def source_of(path: str, way: str) -> Any:
    return read_csv(path, ALONE if way == "alone" else GROUPED, sort=way == "sorted")


def child(path: str, small: str, way: str) -> None:
    """Read all rows; print seconds of the processor, and megabytes over what a small file needs."""
    deque(source_of(small, way), 0)
    before, begun = peak(), time.process_time()
    count = sum(1 for row in source_of(path, way) if isinstance(row, dict))
    print(count, time.process_time() - begun, peak() - before)


def peak() -> float:
    """Megabytes that this process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def compare(folder: Path, megabytes: float) -> int:
    """Print rows a second for each way; return 1 if one of them is over its budget."""
    small = folder / "small.csv"
    write(small, 0.1, is_adjacent=True)
    bare = failed = 0.0
    for way in WAYS:
        path = folder / "lines.csv"
        lines = write(path, megabytes, is_adjacent=way != "sorted")
        command = [sys.executable, __file__, "--child", str(path), str(small), way]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        count, spent, memory = int(said[0]), float(said[1]), float(said[2])
        assert count == (lines if way == "alone" else lines // LINES_OF_AN_ORDER)
        bare = bare or spent
        budget = {"alone": 1.0, "adjacent": ADJACENT_BUDGET, "sorted": SORTED_BUDGET}[way]
        failed = failed or spent / bare > budget or memory > MEMORY_BUDGET
        text = f"{lines / spent:>10,.0f} lines a second, {spent / bare:.2f} times reading alone (budget {budget:.1f})"
        print(f"{megabytes:6,.0f} MB {way:9}{text}, {memory:.0f} MB more (budget {MEMORY_BUDGET:.0f})", flush=True)
    return int(failed)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=float, default=20.0, metavar="MB", help="of the file that is read")
    parser.add_argument("--memory", type=float, nargs="?", const=1000.0, metavar="MB", help="and of one eighth of it")
    parser.add_argument("--child", nargs=3, metavar=("PATH", "SMALL", "WAY"))
    given = parser.parse_args()
    if given.child:
        child(*given.child)
        return 0
    sizes = (given.memory / 8, given.memory) if given.memory else (given.size,)
    with tempfile.TemporaryDirectory() as folder:
        return max([compare(Path(folder), size) for size in sizes])


if __name__ == "__main__":
    sys.exit(main())
