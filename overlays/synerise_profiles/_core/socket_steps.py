"""Connecting and sending in the sync client, each bounded as a whole.

httpcore gives each address of a host, and each piece that a socket takes, the whole time of the step. Here the
addresses share it, as in `asyncio_stream`, and what is sent ends with the deadline of the call.
"""

from __future__ import annotations

import math
import socket
import ssl
import time
from collections.abc import Callable
from typing import Final

import httpcore

__all__ = ["connect", "send_all"]

_MAX_PIECE_BYTES: Final = 256_000
"""What is sent at once: a socket of TLS takes all of it before it returns."""


def connect(
    backend: httpcore.NetworkBackend, host: str, port: int, context: ssl.SSLContext | None, seconds: float | None
) -> httpcore.NetworkStream:
    """Connect, with TLS if there is a context. Raises httpcore.ConnectError or httpcore.ConnectTimeout."""
    deadline = time.monotonic() + (math.inf if seconds is None else seconds)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError from error
    stream = _connect_to_one([str(address[0]) for *_, address in found], backend, port, deadline)
    if context is None:
        return stream
    try:
        return stream.start_tls(context, host, _seconds_until(deadline))
    except BaseException:
        stream.close()
        raise


def _connect_to_one(
    addresses: list[str], backend: httpcore.NetworkBackend, port: int, deadline: float
) -> httpcore.NetworkStream:
    """Connect to one address after the other, each with its share of the time."""
    failure: Exception = httpcore.ConnectError()
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        try:
            return backend.connect_tcp(address, port, _seconds_until(deadline, left))
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
            failure = error
    raise failure


def _seconds_until(deadline: float, shares: int = 1) -> float | None:
    if math.isinf(deadline):
        return None
    seconds = (deadline - time.monotonic()) / shares
    if seconds <= 0:
        raise httpcore.ConnectTimeout
    return seconds


def send_all(sock: socket.socket, data: bytes, seconds: Callable[[], float | None]) -> None:
    """Send to a socket, each time for so many seconds at most. Raises httpcore.WriteError or httpcore.WriteTimeout."""
    view = memoryview(data)
    try:
        while view:
            sock.settimeout(seconds())
            view = view[sock.send(view[:_MAX_PIECE_BYTES]) :]
    except TimeoutError as error:
        raise httpcore.WriteTimeout from error
    except OSError as error:
        raise httpcore.WriteError from error
