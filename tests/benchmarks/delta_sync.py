"""What delta sync costs where nothing changed, as a ratio to reading and mapping the same source alone.

Also the bytes that the state takes for a row, and the memory of a run over a client that has done a small one.
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
from statistics import median

from bulk_server import Answerer

from synerise_profiles import Synerise
from synerise_profiles.sources import RowMapping, field, read_csv

MAPPING = RowMapping.for_profiles(
    {
        "id": "customId",
        "first": "firstName",
        "town": "city",
        "orders": field("attributes.orders", "integer"),
        "spent": field("attributes.spent", "number"),
        "*": "attributes.*",
    }
)
RATIO_BUDGET = 2.0
STATE_BUDGET = 40.0
FLAT_MEGABYTES = 100.0
ROW_BUDGET = 40.0


def write(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("id,first,town,orders,spent,level,shop\n")
        file.writelines(f"c-{n},Anna,Town {n % 900},{n % 50},{n % 1000}.5,gold,{n % 77}\n" for n in range(count))


def peak() -> float:
    """Megabytes that this process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def reading(path: str) -> float:
    begun = time.process_time()
    deque(read_csv(path, MAPPING), 0)
    return time.process_time() - begun


def first(path: str, state: str, url: str, count: int) -> None:
    """Make the state."""
    with Synerise(token="t", base_url=url) as client:
        assert client.delta_sync.profiles(read_csv(path, MAPPING), key="customId", state=state).new == count


def again(path: str, state: str, url: str, count: int) -> None:
    """Run a table that did not change; print the median ratio, rows a second, and megabytes over the client."""
    ratios: list[float] = []
    spent: list[float] = []
    with Synerise(token="t", base_url=url) as client, tempfile.TemporaryDirectory() as folder:
        few = Path(folder) / "few.csv"
        write(few, 10)
        client.delta_sync.profiles(read_csv(few, MAPPING), key="customId", state=Path(folder) / "few.state")
        before = peak()
        for _ in range(5):
            alone = reading(path)
            begun = time.process_time()
            report = client.delta_sync.profiles(read_csv(path, MAPPING), key="customId", state=state)
            spent.append(time.process_time() - begun)
            ratios.append(spent[-1] / alone)
            assert (report.unchanged, report.requests) == (count, 0)
    print(median(ratios), count / median(spent), peak() - before)


def measure(folder: Path, count: int) -> int:
    """Run both nights in processes of their own: a process starts with the peak of the one that started it."""
    path, state = folder / "rows.csv", folder / "rows.state"
    write(path, count)
    with Answerer(0.0) as server:
        command = [sys.executable, __file__, "--rows", str(count), "--child", str(path), str(state), server.url]
        subprocess.run([*command, "first"], check=True)
        found = subprocess.run([*command, "again"], capture_output=True, text=True, check=True).stdout.split()
    ratio, speed, megabytes = map(float, found)
    size = state.stat().st_size / count
    memory_budget = FLAT_MEGABYTES + count * ROW_BUDGET / 1e6
    of_reading = f"{ratio:.2f} times reading and mapping (budget {RATIO_BUDGET:.1f})"
    print(f"unchanged run: {of_reading}, {speed:,.0f} rows a second")
    print(f"state: {size:.1f} bytes a row (budget {STATE_BUDGET:.0f})")
    print(f"memory: {megabytes:.0f} MB over the client (budget {memory_budget:.0f})")
    return int(ratio > RATIO_BUDGET or size > STATE_BUDGET or megabytes > memory_budget)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--child", nargs=4, metavar=("PATH", "STATE", "URL", "NIGHT"))
    given = parser.parse_args()
    if given.child:
        path, state, url, night = given.child
        (first if night == "first" else again)(path, state, url, given.rows)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return measure(Path(folder), given.rows)


if __name__ == "__main__":
    sys.exit(main())
