"""How much a sandbox in a process of its own takes, over one raw connection that is kept: upserts, batches, events.

Each figure stands beside a bare ASGI application on the same uvicorn, which reads the body and answers 202: what the
network, the server and the sender cost by themselves. Rounds of all of them take turns; medians are printed. The
processor time of the server's process says what it would manage if it had a core to itself.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

BATCH = 1000
BATCH_LIMIT = 1_000_000
FIRST_NAMES = ("Zażółć", "Łukasz", "Małgorzata", "Jan", "Wojciech", "Stanisława", "Grzegorz", "Krystyna")
CITIES = ("Kraków", "Łódź", "Warszawa", "Świnoujście", "Rzeszów", "Zielona Góra")

SANDBOX = """
import sys, time
begun = time.perf_counter()
from synerise_profiles.sandbox import Sandbox
with Sandbox(api_key="bench", log_size=1000, state=sys.argv[1]) as sandbox:
    port = sandbox.url.rpartition(":")[2]
    print(port, sandbox.token(lifetime=86400), time.perf_counter() - begun, flush=True)
    sys.stdin.read()
"""
REFERENCE = """
import socket, sys, threading, time
begun = time.perf_counter()
import uvicorn
async def app(scope, receive, send):
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    await send({"type": "http.response.start", "status": 202, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listener.bind(("127.0.0.1", 0))
listener.listen()
config = uvicorn.Config(app, loop="asyncio", ws="none", lifespan="off", log_config=None, access_log=False,
                        proxy_headers=False, server_header=False)
threading.Thread(target=uvicorn.Server(config).run, kwargs={"sockets": [listener]}, daemon=True).start()
print(listener.getsockname()[1], "none", time.perf_counter() - begun, flush=True)
sys.stdin.read()
"""


def profile(number: int) -> dict[str, object]:
    """A profile as a nightly import sends it: some 300 bytes."""
    pick = random.Random(number)
    return {
        "customId": f"customer-{number:08d}",
        "email": f"customer.{number:08d}@example.com",
        "firstName": pick.choice(FIRST_NAMES),
        "lastName": "Brzęczyszczykiewicz",
        "phone": f"+48{600_000_000 + number}",
        "city": pick.choice(CITIES),
        "agreements": {"email": True, "sms": pick.random() < 0.5},
        "attributes": {"loyaltyLevel": pick.choice(("gold", "silver")), "points": pick.randrange(10_000)},
        "tags": ["import"],
    }


def event(number: int) -> dict[str, object]:
    """A custom event with a salt, as a client that may send it twice writes it."""
    return {
        "action": "cart.status",
        "label": "Cart",
        "client": {"customId": f"customer-{number % 10_000:08d}"},
        "time": "2026-01-02T03:04:05.678Z",
        "eventSalt": f"salt-{number}",
        "params": {"source": "WEB_DESKTOP", "items": number % 7, "totalAmount": 112.25, "currency": "PLN"},
    }


def compact(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@dataclass
class Peer:
    """One server in its own process, and the connection to it."""

    process: subprocess.Popen[str]
    connection: socket.socket
    head: str
    started: float
    """Seconds from the start of the process to the port that answers."""
    prepared: float
    """Seconds of those without the interpreter's own start."""

    def send(self, path: str, bodies: Sequence[bytes]) -> float:
        """One request after another; the seconds they took. Anything but 202 ends the run."""
        requests = [f"POST {path} {self.head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        connection = self.connection
        begun = time.perf_counter()
        for request in requests:
            connection.sendall(request)
            answer = connection.recv(65536)
            while b"\r\n\r\n" not in answer:
                answer += connection.recv(65536)
            if not answer.startswith(b"HTTP/1.1 202"):
                raise RuntimeError(f"{path}: {answer[:500].decode(errors='replace')}")
        return time.perf_counter() - begun

    @property
    def busy(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        threads = Path(f"/proc/{self.process.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text(encoding="ascii").split()[0]) for thread in threads) / 1e9

    @property
    def megabytes(self) -> float:
        """What it holds in memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextlib.contextmanager
def peer(source: str, *arguments: str) -> Iterator[Peer]:
    begun = time.perf_counter()
    command = [sys.executable, "-c", source, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        port, token, prepared = process.stdout.readline().split()
        with socket.create_connection(("127.0.0.1", int(port))) as connection:
            started = time.perf_counter() - begun
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            head = (
                f"HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nApi-Version: 4.4\r\n"
                "Accept: application/json\r\nContent-Type: application/json\r\n"
            )
            yield Peer(process, connection, head, started, float(prepared))
        process.stdin.close()


@dataclass(frozen=True)
class Workload:
    """Requests of one kind; `units` is what one of them carries."""

    name: str
    path: str
    units: int
    bodies: list[bytes]


def workloads(index: int, singles: int, batches: int) -> list[Workload]:
    """The requests of one round: new profiles, then the same ones again, and events with salts of their own."""
    first = index * (singles + batches * BATCH)
    alone = [compact(profile(first + number)) for number in range(singles)]
    starts = range(first + singles, first + singles + batches * BATCH, BATCH)
    many = [compact([profile(start + number) for number in range(BATCH)]) for start in starts]
    happened = [compact(event(first + number)) for number in range(singles)]
    together = [compact([event(start + number) for number in range(BATCH)]) for start in starts]
    oversized = [len(body) for body in (*many, *together) if len(body) > BATCH_LIMIT]
    if oversized:
        raise ValueError(f"a batch of {max(oversized)} bytes is more than the API takes")
    return [
        Workload("single upserts, new", "/v4/clients", 1, alone),
        Workload("single upserts, known", "/v4/clients", 1, alone),
        Workload("batched profiles, new", "/v4/clients/batch", BATCH, many),
        Workload("batched profiles, known", "/v4/clients/batch", BATCH, many),
        Workload("single events", "/v4/events/custom", 1, happened),
        Workload("batched events", "/v4/events/batch", BATCH, together),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--singles", type=int, default=1000)
    parser.add_argument("--batches", type=int, default=10)
    parser.add_argument("--state", default=":memory:", help="a file to keep the state in")
    arguments = parser.parse_args()
    ours: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    busy: dict[str, list[float]] = {}
    with peer(SANDBOX, arguments.state) as sandbox, peer(REFERENCE) as reference:
        for server in (sandbox, reference):
            server.send("/v4/clients", [compact(profile(10**8))])
        before = sandbox.megabytes
        for index in range(arguments.rounds):
            for load in workloads(index, arguments.singles, arguments.batches):
                sent = len(load.bodies) * load.units
                earlier = sandbox.busy
                for server, taken in ((sandbox, ours), (reference, theirs)):
                    taken.setdefault(load.name, []).append(sent / server.send(load.path, load.bodies))
                busy.setdefault(load.name, []).append((sandbox.busy - earlier) / sent)
        after = sandbox.megabytes
    print(f"one profile is {len(compact(profile(1)))} bytes, one event {len(compact(event(1)))}")
    for name, rates in ours.items():
        own, bare = statistics.median(rates), statistics.median(theirs[name])
        print(
            f"{name:>24}: {own:9,.0f}/s (from {min(rates):,.0f} to {max(rates):,.0f}),"
            f" bare server {bare:9,.0f}/s, ratio {own / bare:.3f};"
            f" {statistics.median(busy[name]) * 1e6:.1f} us of a core each: {1 / statistics.median(busy[name]):,.0f}/s"
        )
    print(f"start: {sandbox.started:.2f} s with the interpreter, {sandbox.prepared:.2f} s without")
    print(f"memory: {before:.0f} MB before, {after:.0f} MB after {arguments.rounds} rounds")


if __name__ == "__main__":
    main()
