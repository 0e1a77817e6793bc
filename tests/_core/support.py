"""What the client's tests share: a clock that never waits, requests, tokens, and a server with scripted answers."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Self

import httpx

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Operation, RawResponse, Request

JWT_EPOCH = 1_800_000_000.0
"""Where the wall clock of `Clock` starts."""


class Clock:
    """Time that passes only when somebody sleeps or says so."""

    def __init__(self, chance: float = 1.0) -> None:
        self.now = 50.0
        self.skew = 0.0
        self.slept: list[float] = []
        self.timing = Timing(
            monotonic=lambda: self.now,
            wall=lambda: JWT_EPOCH + self.now - 50.0 + self.skew,
            sleep=self._sleep,
            sleep_async=self._sleep_async,
            random=lambda: chance,
        )

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    async def _sleep_async(self, seconds: float) -> None:
        self._sleep(seconds)


def body_of(response: RawResponse) -> bytes:
    return response.content


def operation(**facts: Any) -> Operation:
    defaults: dict[str, Any] = {
        "resource": "things",
        "method": "get",
        "operation_id": "getThing",
        "http_method": "GET",
        "path": "/v4/things/{id}",
        "summary": "Get a thing",
        "consumers": ("workspace", "user"),
    }
    return Operation(**{**defaults, **facts})


def request(*, repeatable: bool = True, path: str = "/v4/things/1", **parts: Any) -> Request[bytes]:
    parts.setdefault("operation", operation())
    return Request(path=path, parse=body_of, repeatable=repeatable, **parts)


ONCE = operation(method="merge", http_method="POST", path="/v4/things/merge", irreversible=True)
"""An operation that must not be sent twice."""


def jwt(ends: object) -> str:
    """Make a token like the publisher's; nothing checks its signature."""
    parts = [json.dumps({"alg": "RS512"}), json.dumps({"exp": ends}), "signature"]
    return ".".join(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts)


def mock(*answers: httpx.Response | Exception) -> tuple[httpx.MockTransport, list[httpx.Request]]:
    """Return a transport that gives these answers, the last one for ever, and the requests that it receives."""
    seen: list[httpx.Request] = []

    def handle(received: httpx.Request) -> httpx.Response:
        answer = answers[min(len(seen), len(answers) - 1)]
        seen.append(received)
        if isinstance(answer, Exception):
            raise answer
        # A fresh one each time, since a response can be read only once.
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    return httpx.MockTransport(handle), seen


def answer(status: int = 200, body: bytes = b"{}", *headers: str) -> bytes:
    """Write an HTTP answer."""
    lines = [f"HTTP/1.1 {status} Any", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


Act = Callable[[socket.socket], None]


def reset(connection: socket.socket) -> None:
    """Cut the connection with a RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def hang_up(connection: socket.socket) -> None:
    """Close the connection without an answer."""
    connection.close()


def silence(connection: socket.socket) -> None:
    """Never answer: wait until the other side gives up."""
    connection.recv(1)
    connection.close()


def truncated(body: bytes = b'{"clientId"') -> Act:
    """Announce more bytes than are sent."""

    def act(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + body)
        connection.close()

    return act


class Server:
    """Answers the n-th request on a loopback socket with the n-th of its acts, and keeps what it received."""

    def __init__(self, acts: Sequence[bytes | Act]) -> None:
        self._acts = list(acts)
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        try:
            while True:
                while b"\r\n\r\n" not in data:
                    chunk = connection.recv(65536)
                    if not chunk:
                        return
                    data += chunk
                head, _, data = data.partition(b"\r\n\r\n")
                length = next(
                    (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
                )
                while len(data) < length:
                    data += connection.recv(65536)
                with self._lock:
                    act = self._acts[min(len(self.heads), len(self._acts) - 1)]
                    self.heads.append(head)
                    self.bodies.append(data[:length])
                data = data[length:]
                if not isinstance(act, bytes):
                    act(connection)
                    return
                connection.sendall(act)
        except OSError:
            return

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(5)
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join(5)
        for connection in self._open:
            connection.close()


def unused_url() -> str:
    """Return a URL at which nothing listens, nor will while the tests run."""
    return f"http://127.0.0.1:{_taken().getsockname()[1]}"


@cache
def _taken() -> socket.socket:
    """Take a port for good, without listening: another worker's server could be given a free one."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    return taken
