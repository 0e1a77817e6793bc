"""Fault injection: what a fault makes of an answer, and of the connection that carries it.

`apply_fault` changes the answer and is pure; `emit_fault` sends what is left of it, and may delay, cut or reset the
connection, for which it needs the transport that the sandbox's own server puts into the ASGI scope.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

from synerise_profiles.sandbox.http.asgi import (
    TRANSPORT_EXTENSION,
    ASGIMessage,
    ASGIReceive,
    ASGISend,
    send_response,
    wait_for_disconnect,
)
from synerise_profiles.sandbox.http.auth import TOKEN_EXPIRED
from synerise_profiles.sandbox.http.messages import HTML, Header, HTTPRequest, HTTPResponse, http_date
from synerise_profiles.sandbox.http.rendering import render_refusal
from synerise_profiles.sandbox.responses import RefusedRequest
from synerise_profiles.sandbox.spec import OperationSpec

from .faults import Fault, FaultKind

_CONNECTION_FAULTS = frozenset({FaultKind.CLOSE, FaultKind.TRUNCATE, FaultKind.DRIP})
_TRUNCATED_HEAD_BYTES = 12
"""How much of an answer without a body is sent before the connection breaks: `HTTP/1.1 202`."""


def apply_fault(
    fault: Fault, http_response: HTTPResponse, operation: OperationSpec | None, http_request: HTTPRequest, now: datetime
) -> HTTPResponse:
    """The answer that a fault makes of another one; faults of the connection leave it as it is."""
    match fault.kind:
        case FaultKind.STATUS if fault.status < 400:
            faulty = HTTPResponse(fault.status)
        case FaultKind.STATUS:
            faulty = render_refusal(
                RefusedRequest(fault.status, _reason_phrase(fault.status)), operation, http_request, now
            )
        case FaultKind.HTML:
            faulty = HTTPResponse(fault.status, HTML, _gateway_error_page(fault.status))
        case FaultKind.EXPIRE_TOKEN:
            return render_refusal(RefusedRequest(401, TOKEN_EXPIRED), operation, http_request, now)
        case FaultKind.LOSE_207:
            return HTTPResponse(202)
        case FaultKind.CONTENT_TYPE:
            return replace(http_response, media_type=fault.media_type)
        case _:
            return http_response
    if fault.retry_after is not None:
        date = http_date(now.timestamp() + fault.retry_after)
        value = date if fault.retry_after_date else f"{fault.retry_after:g}".encode()
        faulty.headers = ((b"retry-after", value),)
    return faulty


async def emit_fault(
    fault: Fault, http_response: HTTPResponse, date: bytes, scope: ASGIMessage, receive: ASGIReceive, send: ASGISend
) -> None:
    """Send an answer, or what the fault leaves of it; ConnectionAbortedError where the server gives no transport."""
    if fault.kind is FaultKind.DELAY and fault.processed:
        await wait_for_disconnect(fault.seconds, receive)
    if fault.kind not in _CONNECTION_FAULTS:
        await send_response(http_response, date, send)
        return
    transport: asyncio.Transport | None = scope.get("extensions", {}).get(TRANSPORT_EXTENSION)
    if transport is None:
        raise ConnectionAbortedError(f"{fault.label}; only the sandbox's own server can play this on a connection")
    if fault.kind is FaultKind.DRIP:
        await _drip(fault, _raw_response(http_response, date), transport, receive)
    elif fault.kind is FaultKind.TRUNCATE:
        transport.write(_truncated_response(fault, http_response, date))
    _close(transport, reset=fault.reset)
    # The server takes the answer for finished once the connection is gone.
    await receive()


def _truncated_response(fault: Fault, http_response: HTTPResponse, date: bytes) -> bytes:
    """The bytes of a truncated answer, head included."""
    raw = _raw_response(http_response, date)
    if not http_response.content:
        return raw[:_TRUNCATED_HEAD_BYTES]
    size = len(http_response.content)
    kept = size // 2 if fault.size is None else min(fault.size, size - 1)
    return raw[: len(raw) - size + kept]


def body_bytes_sent(fault: Fault, http_response: HTTPResponse) -> int:
    """How many bytes of the body are sent under this fault."""
    if fault.kind is FaultKind.CLOSE:
        return 0
    if fault.kind is FaultKind.TRUNCATE and http_response.content:
        cut = len(_raw_response(http_response, b"")) - len(_truncated_response(fault, http_response, b""))
        return len(http_response.content) - cut
    return len(http_response.content)


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


def _raw_response(http_response: HTTPResponse, date: bytes) -> bytes:
    close: Header = (b"connection", b"close")
    lines = [b"%s: %s\r\n" % field for field in (*http_response.all_headers(date), close)]
    start = f"HTTP/1.1 {http_response.status} {_reason_phrase(http_response.status)}\r\n".encode()
    return start + b"".join(lines) + b"\r\n" + http_response.content


def _gateway_error_page(status: int) -> bytes:
    """The error page of a gateway in front of the API: HTML, whatever was asked for."""
    text = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><hr>gateway</body></html>"
    return text.format(f"{status} {_reason_phrase(status)}").encode()


def _reason_phrase(status: int) -> str:
    """The reason phrase of a status; gateways use statuses that have none."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
