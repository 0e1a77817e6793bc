"""Bulk beside a bare loop: chunking and serialising at each level of checks, models, and whole runs over a socket.

The bare loop is the limit: orjson writes each item once, bytes are counted, joined and sent with the same number of
requests in flight, without checks, report or retries. Figures are shares of it, taken in one run, interleaved; beside
it stand what one writes over the stock output of openapi-python-client, and the helpers of elasticsearch-py.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import itertools
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import httpx
import orjson
from bulk_server import Answerer

from synerise_profiles import Synerise
from synerise_profiles._batching import operations
from synerise_profiles.bulk.chunker import Chunker, ChunkerOptions
from synerise_profiles.models import ProfileBatchItem

BUDGETS = {"off": 0.8, "basic": 0.5, "strict": 0.3}
MODELS_BUDGET = 2.0
END_TO_END_BUDGET = 0.9
JOURNAL_BUDGET = 0.05
ORDER_BUDGETS = {"processor time of a row": 0.1, "time of whole runs": 0.05}
LIMITS = operations.profiles()


def item(n: int) -> dict[str, Any]:
    """About a kilobyte, with texts that differ and texts that come again."""
    return {
        "customId": f"customer-{n}",
        "email": f"jan.kowalski{n}@example.com",
        "firstName": "Łucja",
        "lastName": "Kowalska",
        "city": "Kraków",
        "phone": "+48 111 222 333",
        "birthDate": "1987-10-24",
        "sex": "FEMALE",
        "agreements": {"email": True, "sms": False, "push": True},
        "tags": ["newsletter", "vip"],
        "attributes": {f"attribute{i}": f"value {n} of some length, as they are, number {i}" for i in range(11)},
    }


def bare_chunks(rows: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    items: list[bytes] = []
    size, most, limit, dumps = 1, LIMITS.max_items, LIMITS.max_bytes, orjson.dumps
    for row in rows:
        data = dumps(row)
        length = len(data) + 1
        if size + length > limit or len(items) == most:
            yield b"[" + b",".join(items) + b"]"
            items, size = [], 1
        items.append(data)
        size += length
    yield b"[" + b",".join(items) + b"]"


def our_chunks(rows: Iterable[Any], checks: Any) -> Iterator[bytes]:
    source = iter(rows)
    chunker = Chunker(LIMITS, ChunkerOptions(checks=checks), lambda *_: True, lambda _: None)
    while (chunk := chunker.next_chunk(source)) is not None:
        yield chunk.request(None).content or b""
    for chunk in chunker.remaining_chunks():
        yield chunk.request(None).content or b""


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    gc.collect()
    started_at = clock()
    work()
    return clock() - started_at


def drained(chunks: Iterable[bytes]) -> int:
    return sum(map(len, chunks))


def chunking(rounds: int, count: int) -> int:
    rows = [item(n) for n in range(count)]
    models = [ProfileBatchItem.from_dict(row) for row in rows]
    assert drained(bare_chunks(rows)) == drained(our_chunks(rows, "strict")) == drained(our_chunks(models, "strict"))
    works: dict[str, Callable[[], object]] = {"bare": lambda: drained(bare_chunks(rows))}
    for checks in BUDGETS:
        works[checks] = lambda checks=checks: drained(our_chunks(rows, checks))
        works[f"models, {checks}"] = lambda checks=checks: drained(our_chunks(models, checks))
    times = interleaved(rounds, works, time.process_time)
    best = {name: min(found) / count * 1e6 for name, found in times.items()}
    print(f"chunking and serialising, {len(orjson.dumps(rows[0])):,} bytes a row, microseconds a row:")
    print(f"  bare loop       {best['bare']:.2f}")
    failed = 0
    for checks, budget in BUDGETS.items():
        share, models_cost = best["bare"] / best[checks], best[f"models, {checks}"] / best[checks]
        failed += share < budget
        text = f"{share:.0%} of the bare loop (budget {budget:.0%}), models {best[f'models, {checks}']:.2f}"
        print(f"  checks {checks:8} {best[checks]:.2f}: {text}, {models_cost:.1f} times")
        failed += checks == "basic" and models_cost > MODELS_BUDGET
    return failed


def bare_run(url: str, rows: Iterable[dict[str, Any]], concurrency: int) -> None:
    headers = {"Authorization": "Bearer t", "Content-Type": "application/json", "Api-Version": "4.4"}
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    in_flight: set[Future[httpx.Response]] = set()
    with (
        httpx.Client(limits=limits, verify=False, trust_env=False, timeout=30) as client,
        ThreadPoolExecutor(concurrency) as pool,
    ):
        for body in bare_chunks(rows):
            if len(in_flight) == concurrency:
                done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                assert all(future.result().status_code == 202 for future in done)
            in_flight.add(pool.submit(client.post, f"{url}/v4/clients/batch", content=body, headers=headers))
        assert all(future.result().status_code == 202 for future in in_flight)


def stock_client(folder: str) -> Any:
    """Generate a client with the stock templates of openapi-python-client, and import what sends a batch."""
    document = Path(__file__).resolve().parents[2] / "generated" / "openapi.yaml"
    program = Path(sys.executable).with_name("openapi-python-client")
    given = ["--path", str(document), "--output-path", f"{folder}/stock", "--meta", "none"]
    # Beside the program stands ruff, by which its hooks format what it writes.
    paths = os.pathsep.join([str(program.parent), os.environ.get("PATH", "")])
    subprocess.run(
        [str(program), "generate", *given], check=True, capture_output=True, env={**os.environ, "PATH": paths}
    )
    sys.path.insert(0, folder)
    return importlib.import_module("stock.api.profile_management.batch_add_or_update_clients")


def stock_run(stock: Any, url: str, rows: list[dict[str, Any]], concurrency: int) -> None:
    """What one writes over a generated client alone: models of a thousand rows, sent from a pool of threads."""
    versions = importlib.import_module("stock.models").ApiVersion
    with (
        stock.AuthenticatedClient(base_url=url, token="t", verify_ssl=False, httpx_args={"trust_env": False}) as client,
        ThreadPoolExecutor(concurrency) as pool,
    ):

        def send(first: int) -> None:
            # Fewer items than allowed, since nothing counts bytes.
            body = [stock.ProfileBatchItem.from_dict(row) for row in rows[first : first + 500]]
            answer = stock.sync_detailed(client=client, body=body, api_version=next(iter(versions)))
            assert answer.status_code == 202

        list(pool.map(send, range(0, len(rows), 500)))


def our_run(url: str, rows: Iterable[dict[str, Any]], concurrency: int, **options: Any) -> None:
    with Synerise(token="t", base_url=url) as client:
        report = client.bulk.upsert_profiles(rows, concurrency=concurrency, **options)
        assert report.complete
        assert not report.rejected_count()


def end_to_end(rounds: int, count: int, delay: float, concurrency: int, folder: str) -> int:
    rows = [item(n) for n in range(count)]
    with Answerer(delay) as server:
        works: dict[str, Callable[[], object]] = {
            "bare": lambda: bare_run(server.url, rows, concurrency),
            "off": lambda: our_run(server.url, rows, concurrency, checks="off"),
            "basic": lambda: our_run(server.url, rows, concurrency),
            "strict": lambda: our_run(server.url, rows, concurrency, checks="strict"),
        }
        stock = stock_client(folder)
        works["stock client"] = lambda: stock_run(stock, server.url, rows, concurrency)
        works.update(peers(server.url, rows, concurrency))
        times = interleaved(rounds, works)
    print(f"whole runs, {count:,} rows, answers after {delay * 1000:g} ms, {concurrency} in flight, rows a second:")
    middle = {name: statistics.median(found) for name, found in times.items()}
    for name, found in middle.items():
        print(f"  {name:28} {count / found:>9,.0f}  {middle['bare'] / found:.0%} of the bare loop")
    rival = middle.get("elasticsearch parallel_bulk", math.inf)
    return int(middle["bare"] / middle["basic"] < END_TO_END_BUDGET or middle["basic"] > rival)


def journal_cost(rounds: int, count: int, delay: float, concurrency: int, folder: str) -> int:
    """Pairs of runs with and without a journal, long enough that opening the file does not count."""
    rows = [item(n) for n in range(5000)]
    numbers = itertools.count()

    def source() -> Iterator[dict[str, Any]]:
        return itertools.islice(itertools.cycle(rows), count)

    shares: list[float] = []
    with Answerer(delay) as server:

        def with_journal() -> None:
            our_run(server.url, source(), concurrency, journal=f"{folder}/{next(numbers)}.db")

        for _ in range(rounds):
            without = seconds(lambda: our_run(server.url, source(), concurrency))
            shares.append(seconds(with_journal) / without - 1)
    cost = statistics.median(shares)
    spread = f"from {min(shares):+.1%} to {max(shares):+.1%}"
    print(f"the journal costs {cost:+.1%} of the time, {spread} (budget {JOURNAL_BUDGET:.0%}), {count:,} rows a run")
    return int(cost > JOURNAL_BUDGET)


def order_cost(rounds: int, count: int, delay: float, concurrency: int) -> int:
    """Whole runs with and without the order guard, over rows of which none repeats an identifier."""
    rows = [item(n) for n in range(count)]
    shares: dict[str, list[float]] = {name: [] for name in ORDER_BUDGETS}
    clocks = time.process_time, time.perf_counter
    with Answerer(delay) as server:
        for _ in range(rounds):
            took: dict[bool, tuple[float, ...]] = {}
            for is_ordered in (False, True):
                gc.collect()
                started_at = [clock() for clock in clocks]
                our_run(server.url, rows, concurrency, ordered=is_ordered)
                took[is_ordered] = tuple(clock() - at for clock, at in zip(clocks, started_at, strict=True))
            for found, without, with_guard in zip(shares.values(), took[False], took[True], strict=True):
                found.append(with_guard / without - 1)
    failed = 0
    for (name, found), budget in zip(shares.items(), ORDER_BUDGETS.values(), strict=True):
        cost = statistics.median(found)
        spread = f"from {min(found):+.1%} to {max(found):+.1%}"
        print(f"the order guard costs {cost:+.1%} of the {name}, {spread} (budget {budget:.0%}), {count:,} rows a run")
        failed += cost > budget
    return failed


def interleaved(
    rounds: int, works: dict[str, Callable[[], object]], clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            times[name].append(seconds(work, clock))
    return times


def peers(url: str, rows: list[dict[str, Any]], concurrency: int) -> dict[str, Callable[[], object]]:
    """elasticsearch-py's helpers, where they are installed: the same rows, limits and number in flight."""
    try:
        elasticsearch = importlib.import_module("elasticsearch")
        helpers = importlib.import_module("elasticsearch.helpers")
    except ImportError:
        print("elasticsearch[orjson] is not installed: no comparison with its parallel_bulk")
        return {}

    def run() -> None:
        client = elasticsearch.Elasticsearch(
            url, connections_per_node=concurrency, serializer=elasticsearch.OrjsonSerializer(), request_timeout=30
        )
        actions = ({"_index": "profiles", "_source": row} for row in rows)
        options = {"chunk_size": LIMITS.max_items, "max_chunk_bytes": LIMITS.max_bytes, "thread_count": concurrency}
        sent = sum(is_good for is_good, _ in helpers.parallel_bulk(client, actions, queue_size=concurrency, **options))
        assert sent == len(rows)

    return {"elasticsearch parallel_bulk": run}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--delay", type=float, default=0.05)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--only", choices=["chunking", "end", "journal", "order"], default=None)
    given = parser.parse_args()
    failed = 0
    if given.only in (None, "chunking"):
        failed += chunking(given.rounds, given.rows // 2)
    if given.only in (None, "order"):
        failed += order_cost(given.rounds, given.rows * 3, given.delay, given.concurrency)
    with tempfile.TemporaryDirectory() as folder:
        if given.only in (None, "end"):
            failed += end_to_end(given.rounds, given.rows * 3, given.delay, given.concurrency, folder)
        if given.only in (None, "journal"):
            failed += journal_cost(given.rounds, given.rows * 10, given.delay, given.concurrency, folder)
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
