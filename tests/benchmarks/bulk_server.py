"""A server for the benchmarks in a process of its own: answers every request after a fixed time, or never."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Self

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
_ES_HEAD = (
    b"HTTP/1.1 200 OK\r\nX-Elastic-Product: Elasticsearch\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)
_ES_ITEM = b'{"index":{"status":201}}'


class _Connection(asyncio.Protocol):
    """Counts the bytes of bodies and looks at nothing else."""

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.left = 0
        self.lines = -1
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        while data or self.left:
            if not self.left:
                self.head += data
                end = self.head.find(b"\r\n\r\n")
                if end < 0:
                    return
                data, head = self.head[end + 4 :], self.head[:end]
                self.head = b""
                lines = head.lower().split(b"\r\n")
                self.left = next((int(line[15:]) for line in lines if line.startswith(b"content-length:")), 0)
                self.lines = 0 if b"_bulk" in head.partition(b"\r\n")[0] else -1
            taken = data[: self.left]
            if self.lines >= 0:
                self.lines += taken.count(b"\n")
            self.left -= len(taken)
            data = data[len(taken) :]
            if self.left:
                return
            self.answer()

    def answer(self) -> None:
        answer = _ANSWER
        if self.lines >= 0:
            body = b'{"errors":false,"items":[' + b",".join([_ES_ITEM] * (self.lines // 2)) + b"]}"
            answer = _ES_HEAD % len(body) + body
        if self.delay >= 0:
            asyncio.get_running_loop().call_later(self.delay, self.transport.write, answer)


async def _serve(delay: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Connection(delay), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


class Answerer:
    """`with Answerer(0.05) as server:` answers at `server.url` after 50 ms; a negative delay is a stalled server."""

    def __init__(self, delay: float) -> None:
        self._command = [sys.executable, __file__, str(delay)]
        self.url = ""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
