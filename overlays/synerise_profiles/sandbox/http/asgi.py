"""Between ASGI and the application: read a request, write an answer, play a fault on the connection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from synerise_profiles.sandbox.admin.faults import Fault, FaultKind, reason_phrase

from .messages import Header, HTTPRequest, HTTPResponse

ASGIMessage = MutableMapping[str, Any]
ASGIReceive = Callable[[], Awaitable[ASGIMessage]]
ASGISend = Callable[[ASGIMessage], Awaitable[None]]

TRANSPORT_EXTENSION = "synerise_profiles.sandbox.transport"
"""Where in the scope's extensions the server puts the connection; ASGI itself has no word for breaking it."""
MAX_BODY_BYTES = 32_000_000
"""More than any operation allows by far; only keeps a mistake from filling the memory."""

_CONNECTION_FAULTS = frozenset({FaultKind.CLOSE, FaultKind.TRUNCATE, FaultKind.DRIP})
_TRUNCATED_HEAD_BYTES = 12
"""So much of an answer without a body is sent before it breaks off: `HTTP/1.1 202`."""


async def read_request(scope: ASGIMessage, receive: ASGIReceive) -> HTTPRequest | None:
    """The whole request; None when the connection broke before its end."""
    content = await _read_body(receive)
    if content is None:
        return None
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    return HTTPRequest(scope["method"], raw_path, scope["query_string"], dict(scope["headers"]), content)


async def send_response(outgoing: HTTPResponse, date: bytes, send: ASGISend) -> None:
    """Send an answer."""
    await send({"type": "http.response.start", "status": outgoing.status, "headers": outgoing.all_headers(date)})
    await send({"type": "http.response.body", "body": outgoing.content})


async def wait_for_disconnect(seconds: float, receive: ASGIReceive) -> bool:
    """Wait, at most until the connection is gone; whether it is. The request must have been read."""
    try:
        await asyncio.wait_for(receive(), seconds)
    except TimeoutError:
        return False
    return True


async def emit_fault(
    fault: Fault, outgoing: HTTPResponse, date: bytes, scope: ASGIMessage, receive: ASGIReceive, send: ASGISend
) -> None:
    """Send an answer, or what the fault leaves of it."""
    if fault.kind is FaultKind.DELAY and fault.processed:
        await wait_for_disconnect(fault.seconds, receive)
    if fault.kind not in _CONNECTION_FAULTS:
        await send_response(outgoing, date, send)
        return
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    if transport is None:
        raise ConnectionAbortedError(f"{fault.label}; only the sandbox's own server can play this on a connection")
    if fault.kind is FaultKind.DRIP:
        await _drip(fault, _raw_response(outgoing, date), transport, receive)
    elif fault.kind is FaultKind.TRUNCATE:
        transport.write(truncated_response(fault, outgoing, date))
    _close(transport, reset=fault.reset)
    # The server takes the answer for finished once the connection is gone.
    await receive()


def truncated_response(fault: Fault, outgoing: HTTPResponse, date: bytes) -> bytes:
    """What a truncated answer consists of, head included."""
    raw = _raw_response(outgoing, date)
    if not outgoing.content:
        return raw[:_TRUNCATED_HEAD_BYTES]
    size = len(outgoing.content)
    kept = size // 2 if fault.size is None else min(fault.size, size - 1)
    return raw[: len(raw) - size + kept]


def body_bytes_sent(fault: Fault, outgoing: HTTPResponse) -> int:
    """How many bytes of the body go out."""
    if fault.kind is FaultKind.CLOSE:
        return 0
    if fault.kind is FaultKind.TRUNCATE and outgoing.content:
        return len(truncated_response(fault, outgoing, b"")) - len(_raw_response(outgoing, b"")) + len(outgoing.content)
    return len(outgoing.content)


async def _drip(fault: Fault, raw: bytes, transport: asyncio.Transport, receive: ASGIReceive) -> None:
    size = fault.size or 1
    for start in range(0, len(raw), size):
        if start and await wait_for_disconnect(fault.seconds, receive):
            return
        transport.write(raw[start : start + size])


def _close(transport: asyncio.Transport, *, reset: bool) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if reset and connection is not None:
        with contextlib.suppress(OSError):  # it is gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    else:
        transport.close()


def _raw_response(outgoing: HTTPResponse, date: bytes) -> bytes:
    close: Header = (b"connection", b"close")
    lines = [b"%s: %s\r\n" % field for field in (*outgoing.all_headers(date), close)]
    start = f"HTTP/1.1 {outgoing.status} {reason_phrase(outgoing.status)}\r\n".encode()
    return start + b"".join(lines) + b"\r\n" + outgoing.content


async def _read_body(receive: ASGIReceive) -> bytes | None:
    """What exceeds the bound is read to its end and thrown away, so that the refusal arrives."""
    message = await receive()
    content: bytes = message.get("body", b"")
    if message["type"] != "http.request":
        return None
    if not message.get("more_body", False):
        return content
    chunks, size = [content], len(content)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk: bytes = message.get("body", b"")
        size += len(chunk)
        if size <= MAX_BODY_BYTES:
            chunks.append(chunk)
    return b"".join(chunks)
