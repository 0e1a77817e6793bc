"""What a call costs alone and in a crowd, beside bare peers in the same run: http.client, requests, httpx, aiohttp.

A server in a process of its own answers each request with the same bytes, over loopback, plain and with TLS. Peers
that are not installed are left out. The last lines are the ratios that count, each with its goal.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import importlib.util
import multiprocessing
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from synerise_profiles import AsyncSynerise, Synerise
from tests._core.tls import make_certificate

WARM_UP_CALLS = 1000
"""Calls before a measurement: what a busier peer left of the processor's idle states is gone after some hundreds."""
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n[]"
PATH = "/v4/tags"
HEADERS = {"Authorization": "Bearer t", "Accept": "application/json"}
Figures = dict[tuple[str, str], float]


class _Answer(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport, self._data = transport, b""

    def data_received(self, data: bytes) -> None:
        self._data += data
        count = self._data.count(b"\r\n\r\n")
        if count:
            self._data = self._data.rpartition(b"\r\n\r\n")[2]
            self._transport.write(RESPONSE * count)


def _serve(ports: Any, certificate: str | None) -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        context = None
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        server = await loop.create_server(_Answer, "127.0.0.1", 0, ssl=context)
        ports.put(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())


@contextmanager
def serving(certificate: str | None) -> Iterator[str]:
    """Run the server and give its URL."""
    spawn = multiprocessing.get_context("spawn")
    ports = spawn.Queue()
    process = spawn.Process(target=_serve, args=(ports, certificate), daemon=True)
    process.start()
    try:
        yield f"{'http' if certificate is None else 'https'}://127.0.0.1:{ports.get(timeout=30)}"
    finally:
        process.terminate()
        process.join()


def time_threads(call: Callable[[], object], threads: int, calls: int) -> float:
    """Return seconds a call, with so many threads that call at the same time."""
    share = calls // threads
    ready = threading.Barrier(threads + 1)

    def work() -> None:
        ready.wait()  # together, so that all connections that so many threads need are there before the measurement
        for _ in range(WARM_UP_CALLS // threads):
            call()
        ready.wait()
        for _ in range(share):
            call()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    ready.wait()
    ready.wait()
    begun = time.perf_counter()
    for worker in workers:
        worker.join()
    return (time.perf_counter() - begun) / (share * threads)


async def time_tasks(call: Callable[[], Awaitable[object]], tasks: int, calls: int) -> float:
    """Return seconds a call, with so many tasks that call at the same time."""
    share = calls // tasks

    async def work(count: int) -> None:
        for _ in range(count):
            await call()

    await asyncio.gather(*(work(WARM_UP_CALLS // tasks) for _ in range(tasks)))
    begun = time.perf_counter()
    await asyncio.gather(*(work(share) for _ in range(tasks)))
    return (time.perf_counter() - begun) / (share * tasks)


def _http_client(url: str, context: ssl.SSLContext) -> Callable[[], object]:
    local, parts = threading.local(), urlsplit(url)

    def call() -> object:
        connection = getattr(local, "connection", None)
        if connection is None:
            connection = local.connection = (
                http.client.HTTPConnection(parts.netloc)
                if parts.scheme == "http"
                else http.client.HTTPSConnection(parts.netloc, context=context)
            )
        connection.request("GET", PATH, headers=HEADERS)
        return connection.getresponse().read()

    return call


def measure_sync(url: str, context: ssl.SSLContext, threads: int, calls: int) -> dict[str, float]:
    """Return seconds a call of the sync peers."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    figures = {"http.client": time_threads(_http_client(url, context), threads, calls)}
    with Synerise(token="t", base_url=url, verify=context) as client:
        figures["ours"] = time_threads(client.tags.list, threads, calls)
    with httpx.Client(verify=context, limits=limits, headers=HEADERS) as bare:
        figures["httpx"] = time_threads(lambda: bare.get(url + PATH), threads, calls)
    if url.startswith("http:") and importlib.util.find_spec("requests"):
        import requests  # noqa: PLC0415

        session = requests.Session()
        session.trust_env = False
        figures["requests"] = time_threads(
            lambda: session.get(url + PATH, headers=HEADERS).content, threads, max(calls // 4, threads)
        )
        session.close()
    return figures


async def measure_async(url: str, context: ssl.SSLContext, tasks: int, calls: int) -> dict[str, float]:
    """Return seconds a call of the async peers."""
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    async with AsyncSynerise(token="t", base_url=url, verify=context) as client:
        figures = {"ours": await time_tasks(client.tags.list, tasks, calls)}
    async with httpx.AsyncClient(verify=context, limits=limits, headers=HEADERS) as bare:
        figures["httpx"] = await time_tasks(lambda: bare.get(url + PATH), tasks, calls)
    if importlib.util.find_spec("aiohttp"):
        import aiohttp  # type: ignore[import-not-found] # noqa: PLC0415

        async with aiohttp.ClientSession(headers=HEADERS) as session:

            async def call() -> object:
                async with session.get(url + PATH, ssl=context) as response:
                    return await response.read()

            figures["aiohttp"] = await time_tasks(call, tasks, calls)
    return figures


def measure(url: str, context: ssl.SSLContext, calls: int, rounds: int, suffix: str) -> Figures:
    """Return the median microseconds a call, by situation and peer; the peers of a situation follow each other."""
    found: dict[tuple[str, str], list[float]] = {}
    for _ in range(rounds):
        for threads in (1, 32):
            for peer, seconds in measure_sync(url, context, threads, calls).items():
                found.setdefault((f"sync {threads}{suffix}", peer), []).append(seconds)
        for tasks in (1, 32, 100):
            for peer, seconds in asyncio.run(measure_async(url, context, tasks, calls)).items():
                found.setdefault((f"async {tasks}{suffix}", peer), []).append(seconds)
    return {key: statistics.median(each) * 1e6 for key, each in found.items()}


def ratios(figures: Figures, suffix: str) -> Iterator[tuple[str, float, float]]:
    """Yield what is compared, its ratio and the most that it may be."""

    def between(situation: str, other: str, peer: str = "ours") -> float | None:
        divisor = figures.get((other + suffix, peer))
        return None if divisor is None else figures[situation + suffix, "ours"] / divisor

    for situation, other, peer, goal in (
        ("async 32", "async 1", "ours", 1.1),
        ("async 100", "async 1", "ours", 1.1),
        ("async 1", "async 1", "httpx", 0.6),
        ("async 32", "async 32", "httpx", 0.25),
        ("async 32", "async 32", "aiohttp", 4.5),
        ("sync 1", "sync 1", "http.client", 1.6),
        ("sync 32", "sync 1", "ours", 1.2),
    ):
        ratio = between(situation, other, peer)
        if ratio is not None:
            name = f"ours at {situation}{suffix} / {peer if peer != 'ours' else 'ours'} at {other}{suffix}"
            yield name, ratio, goal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1600, help="calls of each measurement")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-tls", action="store_true")
    parser.add_argument("--cpu", action="store_true", help="this process's time on a core, for a busy machine")
    arguments = parser.parse_args()
    if arguments.cpu:
        time.perf_counter = time.process_time  # type: ignore[assignment]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        certificate = None if arguments.no_tls else make_certificate(Path(folder))
        for suffix, file in (("", None), (" tls", certificate)):
            if suffix and file is None:
                continue
            context = ssl.create_default_context(cafile=file)
            with serving(None if file is None else str(file)) as url:
                figures = measure(url, context, arguments.calls, arguments.rounds, suffix)
            for (situation, peer), microseconds in figures.items():
                print(f"{situation:14} {peer:12} {microseconds:8.0f} us a call")
            for name, ratio, goal in ratios(figures, suffix):
                missed += ratio > goal
                print(f"{name:52} {ratio:6.2f} (goal {goal}){'' if ratio <= goal else '  MISSED'}")
    return int(missed > 0)


if __name__ == "__main__":
    sys.exit(main())
