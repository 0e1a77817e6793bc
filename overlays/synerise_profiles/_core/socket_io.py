"""The sockets of sync connections: connecting, sending and receiving, each within so many seconds.

httpcore gives each address of a host, and each piece that a socket takes, the whole time of the step. Here the
addresses share it, as in `asyncio_stream`, and what is sent ends with the deadline of the call.

A socket with a timeout waits before it sends or receives, and has to be told of each new timeout. In each of these a
thread lets go of the interpreter, and in a crowd it then has to win it back. So here a socket never blocks, and is
waited for only when it is not ready.
"""

from __future__ import annotations

import math
import select
import socket
import ssl
import sys
import time
from collections.abc import Callable
from typing import Final, TypeVar

import httpcore

__all__ = ["MAX_PIECE_BYTES", "connect", "is_silent", "receive", "send_all"]

S = TypeVar("S")
T = TypeVar("T")

MAX_PIECE_BYTES: Final = 256_000
"""What is sent at once, within one time: a socket of TLS takes all of it before it returns."""


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


def receive(sock: socket.socket, max_bytes: int, seconds: float | None) -> bytes:
    """Return what comes next, b"" at the end. Raises httpcore.ReadError or httpcore.ReadTimeout."""
    try:
        return _once_ready(sock, sock.recv, max_bytes, seconds, writes=False)
    except TimeoutError as error:
        raise httpcore.ReadTimeout from error
    except OSError as error:
        raise httpcore.ReadError from error


def send_all(sock: socket.socket, data: bytes, seconds: Callable[[], float | None]) -> None:
    """Send in pieces, each for so many seconds at most. Raises httpcore.WriteError or httpcore.WriteTimeout."""
    rest: bytes | memoryview = data if len(data) <= MAX_PIECE_BYTES else memoryview(data)
    try:
        while rest:
            sent = _once_ready(sock, sock.send, rest[:MAX_PIECE_BYTES], seconds(), writes=True)
            if sent == len(rest):
                return
            rest = memoryview(rest)[sent:]
    except TimeoutError as error:
        raise httpcore.WriteTimeout from error
    except OSError as error:
        raise httpcore.WriteError from error


def _once_ready(sock: socket.socket, step: Callable[[S], T], what: S, seconds: float | None, *, writes: bool) -> T:
    """Do a step of a socket that never blocks, as soon as it can be done. Raises TimeoutError."""
    ends: float | None = None
    while True:
        try:
            return step(what)
        except BlockingIOError:
            needs_write = writes
        except ssl.SSLWantReadError:  # TLS may have to receive before it can send, and the other way round
            needs_write = False
        except ssl.SSLWantWriteError:
            needs_write = True
        if seconds is not None:
            now = time.monotonic()
            ends = now + seconds if ends is None else ends
            seconds = max(ends - now, 0.0)
        if not _wait(sock.fileno(), seconds, writes=needs_write):
            raise TimeoutError


def is_silent(sock: socket.socket | None) -> bool:
    """Whether nothing can be read from a socket: on an idle connection that would be its end."""
    descriptor = -1 if sock is None else sock.fileno()
    return descriptor >= 0 and not _wait(descriptor, 0.0, writes=False)


def _wait(descriptor: int, seconds: float | None, *, writes: bool) -> bool:
    """Wait until something can be read or written, or has failed; False if that takes longer."""
    if sys.platform == "win32":
        both = ([], [descriptor]) if writes else ([descriptor], [])
        return any(select.select(*both, both[1], seconds))
    poll = select.poll()  # unlike select, it takes descriptors beyond 1023
    poll.register(descriptor, select.POLLOUT if writes else select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))
