"""Memory and linear time of bulk runs from a generator, and how far a stalled server lets it be read.

Peak memory is that of a fresh process over one that has imported the client and opened a connection.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
from bulk_server import Answerer

from synerise_profiles import Synerise
from synerise_profiles_api.api.events import server_time
from synerise_profiles_api.types import Request

MEMORY_BUDGET = 60.0


def rows(count: int) -> Iterator[dict[str, Any]]:
    filler = "x" * 60
    for n in range(count):
        yield {
            "customId": f"customer-{n}",
            "firstName": "Łucja",
            "attributes": {f"attribute{i}": f"{filler}{n}" for i in range(10)},
        }


def peak() -> float:
    """Megabytes that this process has needed at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def child(url: str, count: int, checks: Any) -> None:
    with Synerise(token="t", base_url=url) as client:
        client.send(server_time_request())
        before, started_at = peak(), time.perf_counter()
        report = client.bulk.upsert_profiles(rows(count), checks=checks)
        assert report.accepted == count
        print(time.perf_counter() - started_at, peak() - before)


def server_time_request() -> Any:
    request = server_time.request()
    return Request(operation=request.operation, path=request.path, repeatable=True, parse=lambda _: None)


def measure(count: int, checks: str) -> tuple[float, float]:
    with Answerer(0.0) as server:
        command = [sys.executable, __file__, "--child", server.url, "--rows", str(count), "--checks", checks]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds, megabytes = map(float, done.stdout.split())
    return seconds, megabytes


def stalled(concurrency: int) -> int:
    """How many rows are read of a source without end while a server answers nothing."""
    taken = 0

    def counted() -> Iterator[dict[str, Any]]:
        nonlocal taken
        for row in rows(10**12):
            taken += 1
            yield row

    with Answerer(-1.0) as server:
        client = Synerise(token="t", base_url=server.url, transport=httpx.HTTPTransport())

        def run() -> None:
            client.bulk.upsert_profiles(counted(), concurrency=concurrency)

        threading.Thread(target=run, daemon=True).start()
        before = -1
        while before != taken or not taken:
            before = taken
            time.sleep(0.5)
    return taken


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="the smallest size; up to ten times as many follow")
    parser.add_argument("--checks", choices=["off", "basic", "strict"], default="basic")
    parser.add_argument("--child", metavar="URL")
    given = parser.parse_args()
    if given.child:
        child(given.child, given.rows, given.checks)
        return 0
    failed = 0
    for factor in (1, 2, 4, 8, 10):
        seconds, megabytes = measure(given.rows * factor, given.checks)
        failed += megabytes > MEMORY_BUDGET
        rate = given.rows * factor / seconds
        text = f"{seconds:7.1f} s, {rate:>9,.0f} rows a second, {megabytes:.0f} MB over the client"
        print(f"{given.rows * factor:>12,} rows, {given.checks}: {text} (budget {MEMORY_BUDGET:.0f})", flush=True)
    chunk = 1000
    for concurrency in (1, 8):
        taken = stalled(concurrency)
        failed += taken > (concurrency + 1) * chunk + 1
        print(f"stalled server, {concurrency} in flight: {taken:,} rows read, {taken / chunk:.1f} chunks")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
