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
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Final, TypeAlias, TypeVar

import httpcore

from synerise_profiles_api.json_values import raise_if_of_a_signal

from .signal_hold import SignalHold

__all__ = [
    "MAX_PIECE_BYTES",
    "READ_BYTES",
    "SocketAddress",
    "connect",
    "connect_any",
    "is_silent",
    "receive",
    "send_all",
]

S = TypeVar("S")
T = TypeVar("T")
SocketAddress: TypeAlias = tuple[int, int, int, str, Any]
"""An address of a host, as `socket.getaddrinfo` tells it."""

READ_BYTES: Final = 64_000
"""What is received at once."""
MAX_PIECE_BYTES: Final = 256_000
"""What is sent at once, within one time: a socket of TLS takes all of it before it returns."""


def connect(host: str, port: int, context: ssl.SSLContext | None, seconds: float | None) -> socket.socket:
    """Connect, with TLS if there is a context. Raises httpcore.ConnectError or httpcore.ConnectTimeout."""
    deadline = _moment_in(seconds)
    sock = connect_any(host, port, seconds, _connect_to)
    try:
        with _Told():
            sock.settimeout(0.0)
            return sock if context is None else _with_tls(sock, context, host, deadline)
    except BaseException:
        sock.close()
        raise


def connect_any(
    host: str, port: int, seconds: float | None, connect_to: Callable[[SocketAddress, float | None], T]
) -> T:
    """Connect to one address of a host after the other, each with its share of the time. Raises as `connect` does."""
    deadline = _moment_in(seconds)
    with _Told():
        found = _addresses_of(host, port)
        failure: Exception = OSError("no address")
        for left, address in zip(range(len(found), 0, -1), found, strict=True):
            try:
                return connect_to(address, _seconds_until(deadline, left))
            except (OSError, httpcore.ConnectError, httpcore.ConnectTimeout) as error:  # a TimeoutError is an OSError
                raise_if_of_a_signal(error)
                failure = error
        try:
            raise failure
        finally:
            del failure  # it holds this frame, which must not hold it too


def _addresses_of(host: str, port: int) -> Sequence[SocketAddress]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:  # one of its labels is too long
        raise socket.gaierror(socket.EAI_NONAME, "no name of a host") from None


class _Told:
    """A `with` block that raises what a socket does as an error of connecting.

    It is no generator: on Python 3.13 the end of one holds the exception, which holds it.
    """

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, traceback: TracebackType | None) -> None:
        if isinstance(error, OSError):
            raise_if_of_a_signal(error)
            kind = httpcore.ConnectTimeout if isinstance(error, TimeoutError) else httpcore.ConnectError
            raise kind from error


def _connect_to(address: SocketAddress, seconds: float | None) -> socket.socket:
    family, kind, protocol, _, where = address
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(seconds)
        sock.connect(where)
    except BaseException:
        sock.close()
        raise
    return sock


def _with_tls(sock: socket.socket, context: ssl.SSLContext, host: str, deadline: float) -> ssl.SSLSocket:
    """Agree on keys with the server; from here on this socket stands for the other one, which is no more of use."""
    secure: ssl.SSLSocket | None = None
    try:
        with SignalHold():  # a handler that raises amid this would leave two objects that close one descriptor
            secure = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
        _once_ready(secure, lambda _: secure.do_handshake(), None, _seconds_until(deadline), writes=False)
    except BaseException:
        if secure is not None:
            secure.close()
        raise
    return secure


def _moment_in(seconds: float | None) -> float:
    return time.monotonic() + (math.inf if seconds is None else seconds)


def _seconds_until(deadline: float, shares: int = 1) -> float | None:
    if math.isinf(deadline):
        return None
    seconds = (deadline - time.monotonic()) / shares
    if seconds <= 0:
        raise TimeoutError
    return seconds


def receive(sock: socket.socket, max_bytes: int, seconds: float | None) -> bytes:
    """Return what comes next, b"" at the end. Raises httpcore.ReadError or httpcore.ReadTimeout."""
    try:
        return _once_ready(sock, sock.recv, max_bytes, seconds, writes=False)
    except TimeoutError as error:
        raise_if_of_a_signal(error)
        raise httpcore.ReadTimeout from error
    except OSError as error:
        raise_if_of_a_signal(error)
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
        raise_if_of_a_signal(error)
        raise httpcore.WriteTimeout from error
    except OSError as error:
        raise_if_of_a_signal(error)
        raise httpcore.WriteError from error


def _once_ready(sock: socket.socket, step: Callable[[S], T], what: S, seconds: float | None, *, writes: bool) -> T:
    """Do a step of a socket that never blocks, as soon as it can be done. Raises TimeoutError."""
    ends: float | None = None
    while True:
        try:
            return step(what)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError) as error:
            raise_if_of_a_signal(error)  # else the step would be done twice
            # TLS may have to receive before it can send, and the other way round.
            needs_write = writes if isinstance(error, BlockingIOError) else isinstance(error, ssl.SSLWantWriteError)
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
