"""HTTP over a bare socket: what really arrives, and how the connection ends."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import orjson

from synerise_profiles.sandbox import Sandbox


@dataclass(frozen=True)
class Received:
    """The pieces as they arrived; `end` is "closed" (FIN) or "reset" (RST)."""

    pieces: list[bytes]
    end: str

    @property
    def all(self) -> bytes:
        return b"".join(self.pieces)

    @property
    def head(self) -> bytes:
        return self.all.partition(b"\r\n\r\n")[0].lower()

    @property
    def body(self) -> bytes:
        return self.all.partition(b"\r\n\r\n")[2]


def connect(sandbox: Sandbox) -> socket.socket:
    address = urlsplit(sandbox.url)
    return socket.create_connection((address.hostname, address.port), timeout=5)


def request(sandbox: Sandbox, method: str, path: str, body: Any = None) -> bytes:
    content = b"" if body is None else orjson.dumps(body)
    lines = [
        f"{method} {path} HTTP/1.1",
        "Host: sandbox",
        "Api-Version: 4.4",
        f"Authorization: Bearer {sandbox.token()}",
        "Content-Type: application/json",
        f"Content-Length: {len(content)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def send(sandbox: Sandbox, method: str, path: str, body: Any = None) -> Received:
    """Send one request and read until the other side ends the connection."""
    with connect(sandbox) as connection:
        connection.sendall(request(sandbox, method, path, body))
        pieces: list[bytes] = []
        try:
            while piece := connection.recv(65536):
                pieces.append(piece)
        except ConnectionResetError:
            return Received(pieces, "reset")
        return Received(pieces, "closed")
