"""What a put costs its caller, compared with the least possible: 20,000 events a second on one core, sending included.

The baseline writes the same event by orjson and appends it to a deque under a lock. Budget: 20 us at the median, the
rate kept, nothing lost. A rate that this machine cannot keep on one core, shared with others, shows in `late`.
"""

from __future__ import annotations

import argparse
import datetime
import os
import statistics
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson
from bulk_server import Answerer

from synerise_profiles import Synerise

BUDGET_SECONDS = 20e-6
PUTS_PER_SECOND = 20_000


def event(n: int) -> dict[str, Any]:
    """An event of about 300 bytes, as a shop sends it."""
    return {
        "label": "Dodano do koszyka",
        "action": "cart.add",
        "client": {"customId": f"customer-{n % 5000}"},
        "params": {
            "sku": f"sku-{n % 900}",
            "name": "Herbata Earl Grey, 100 torebek",
            "category": "Spożywcze > Herbata",
            "quantity": 2,
            "price": 18.99,
            "currency": "PLN",
            "source": "WEB_DESKTOP",
            "url": f"https://shop.example.com/p/{n % 900}",
        },
    }


def put_at_rate(put: Callable[[Any], object], seconds: float) -> tuple[list[float], float]:
    """Put at the rate; return how long each call took, and how late the last one was, in seconds."""
    clock, took, count = time.perf_counter, list[float](), int(PUTS_PER_SECOND * seconds)
    started_at = clock()
    for n in range(count):
        row = event(n)
        due = started_at + n / PUTS_PER_SECOND
        while (now := clock()) < due:
            if due - now > 0.001:
                time.sleep(0.0005)
        put(row)
        took.append(clock() - now)
    return took, clock() - started_at - (count - 1) / PUTS_PER_SECOND


def baseline(seconds: float) -> list[float]:
    """The same rate into a deque."""
    held, lock = deque[bytes](maxlen=100_000), threading.Lock()

    def put(row: Any) -> None:
        item = orjson.dumps(row)
        with lock:
            held.append(item)

    return put_at_rate(put, seconds)[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--delay", type=float, default=0.05, help="how long the server takes for an answer")
    arguments = parser.parse_args()
    with Answerer(arguments.delay) as server, Synerise(token="t", base_url=server.url) as client:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        base = baseline(arguments.seconds / 2)
        queue = client.queue()
        # The server of the benchmarks does not answer requests for its time.
        queue._core.clock.record_measurement(time.monotonic(), datetime.datetime.now(datetime.UTC))
        took, late = put_at_rate(queue.events.put, arguments.seconds)
        result = queue.close(20)
    median, share = statistics.median(took), statistics.median(took) / statistics.median(base)
    last = sorted(took)[int(len(took) * 0.99)]
    print(
        f"put: median {median * 1e6:.1f} us, p99 {last * 1e6:.1f} us, worst {max(took) * 1e3:.1f} ms, "
        f"{share:.1f} times orjson and a deque ({statistics.median(base) * 1e6:.1f} us); "
        f"budget {BUDGET_SECONDS * 1e6:.0f} us\n"
        f"{len(took):,} events of {len(orjson.dumps(event(1)))} bytes at {PUTS_PER_SECOND:,} a second, "
        f"the last one {late * 1e3:.1f} ms late; {result.stats.delivered:,} delivered, {result.left} left"
    )
    return int(median > BUDGET_SECONDS or not result.complete or late > 0.5)


if __name__ == "__main__":
    sys.exit(main())
