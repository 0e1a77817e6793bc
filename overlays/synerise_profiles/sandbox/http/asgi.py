"""ASGI in and out: read a whole request, send a response, wait while the connection lasts."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .messages import Header, HTTPRequest, HTTPResponse

ASGIMessage = MutableMapping[str, Any]
ASGIReceive = Callable[[], Awaitable[ASGIMessage]]
ASGISend = Callable[[ASGIMessage], Awaitable[None]]

TRANSPORT_EXTENSION = "synerise_profiles.sandbox.transport"
"""Key of the scope's extensions under which the server puts the transport; ASGI itself cannot break a connection."""
MAX_BODY_BYTES = 32_000_000
"""Far more than any operation allows: it only keeps a mistake from filling the memory."""


async def read_request(scope: ASGIMessage, receive: ASGIReceive) -> HTTPRequest | None:
    """The whole request; None when the connection broke before its end."""
    content = await _read_body(receive)
    if content is None:
        return None
    raw_path: bytes = scope.get("raw_path") or scope["path"].encode()
    return HTTPRequest(
        scope["method"],
        raw_path,
        scope["query_string"],
        _by_name(scope["headers"]),
        content,
        scheme=scope.get("scheme", "http"),
        local_address=str((scope.get("server") or ("",))[0]),
    )


def _by_name(sent: list[Header]) -> dict[bytes, bytes]:
    """The header fields; the values of one that is repeated are joined, so that none of them is overlooked."""
    fields = dict(sent)
    if len(fields) < len(sent):
        fields = {name: b", ".join(value for other, value in sent if other == name) for name in fields}
    return fields


async def send_response(http_response: HTTPResponse, date: bytes, send: ASGISend) -> None:
    """Send a response with this Date."""
    headers = http_response.all_headers(date)
    await send({"type": "http.response.start", "status": http_response.status, "headers": headers})
    await send({"type": "http.response.body", "body": http_response.content})


async def wait_for_disconnect(seconds: float, receive: ASGIReceive) -> bool:
    """Wait, or return early when the connection is gone; True then. The request must have been read."""
    try:
        await asyncio.wait_for(receive(), seconds)
    except TimeoutError:
        return False
    return True


async def _read_body(receive: ASGIReceive) -> bytes | None:
    """The body; beyond the bound it is read to its end and thrown away, so that the refusal arrives."""
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
