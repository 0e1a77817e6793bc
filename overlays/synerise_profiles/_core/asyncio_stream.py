"""A socket of an asyncio event loop in httpcore's terms.

httpcore's own stream goes through anyio, which opens a cancel scope and yields to the event loop at every step. Here a
write returns at once if the socket takes all of it, and waits for that otherwise; a read waits for one future. An event
loop also tells at once if the server closes a connection that is idle, or sends what nobody asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn, cast

import anyio
import httpcore

from synerise_profiles_api.json_values import is_of_a_signal, raise_if_of_a_signal

__all__ = ["AsyncioStream", "connect_asyncio"]

_MAX_BUFFERED_BYTES: Final = 1_000_000


class AsyncioStream(asyncio.Protocol, httpcore.AsyncNetworkStream):
    """One connection. One task reads and writes at a time."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._is_paused = False
        self._is_over = self._is_closed = False
        self._lost: BaseException | None = None
        self._wake: asyncio.Future[bool] | None = None
        self._can_write = True

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not read."""
        return not self._is_over and not self._buffer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)  # what it holds back would be lost as the connection is closed

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > _MAX_BUFFERED_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()
        self._notify()

    def eof_received(self) -> bool:
        """Note that the server sends no more; it may still read what is being written."""
        self._is_over = True
        self._notify()
        return not self._can_write

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_over = self._is_closed = self._can_write = True
        self._lost = exc
        if exc is not None:
            self._take_rest()
        self._notify()

    def pause_writing(self) -> None:
        self._can_write = False

    def resume_writing(self) -> None:
        self._can_write = True
        self._notify()

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        while not self._buffer and not self._is_over:
            if not await self._wait(timeout):
                raise httpcore.ReadTimeout
        buffer = self._buffer
        if not buffer and self._lost is not None:
            self._fail(httpcore.ReadError)
        data = bytes(buffer[:max_bytes])
        del buffer[:max_bytes]
        if self._is_paused and not buffer and not self._is_over:
            self._is_paused = False
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        if not buffer:
            return
        if self._transport.is_closing():
            self._fail(httpcore.WriteError)
        self._transport.write(buffer)
        ends = None if timeout is None else self._loop.time() + timeout
        while not self._can_write:  # what arrives meanwhile wakes this too, but gives it no more time
            if not await self._wait(None if ends is None else ends - self._loop.time()):
                raise httpcore.WriteTimeout
        if self._lost is not None:
            self._fail(httpcore.WriteError)

    async def aclose(self) -> None:
        self.abort()

    def abort(self) -> None:
        """Close the connection at once, without sending what is still in its buffer."""
        if not self._is_closed:  # a transport that has ended fails at being ended
            self._transport.abort()

    def abandon(self) -> None:
        """Close the connection though its event loop has ended, which closes nothing any more."""
        loop = cast("Any", self._loop)
        with contextlib.suppress(Exception):  # an event loop of another kind closes its sockets by itself as it ends
            # What closing leaves for the next round of the event loop is done at once: there is no next round.
            loop.call_soon = _call_at_once
            try:
                self._transport.abort()
            finally:
                del loop.call_soon

    def get_extra_info(self, info: str) -> Any:
        return self._transport.get_extra_info({"client_addr": "sockname", "server_addr": "peername"}.get(info, info))

    def _fail(self, kind: type[Exception]) -> NoReturn:
        """Raise why the connection was lost; what a signal's handler raised in the midst of the loop, as itself.

        The loop takes that for a fault of the connection.
        """
        lost = self._lost
        if lost is not None and is_of_a_signal(lost):
            raise lost
        raise kind from lost

    def _take_rest(self) -> None:
        """Take what has arrived before a write failed: the event loop gives it up, and it may say why."""
        with contextlib.suppress(OSError):  # there is no more, or the event loop has closed the socket
            while len(self._buffer) <= _MAX_BUFFERED_BYTES and (data := self._socket.recv(_MAX_BUFFERED_BYTES)):
                self._buffer += data

    def _notify(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(True)

    async def _wait(self, seconds: float | None) -> bool:
        """Wait for whatever comes next; return false if nothing does in time."""
        wake = self._wake = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _give_up, wake)
        try:
            await wake
            return wake.result() is True
        finally:
            self._wake = None
            if timer is not None:
                timer.cancel()


def _call_at_once(callback: Callable[..., object], *args: object, context: object = None) -> None:  # noqa: ARG001
    callback(*args)


def _give_up(wake: asyncio.Future[bool]) -> None:
    if not wake.done():
        wake.set_result(False)


async def connect_asyncio(host: str, port: int, seconds: float | None) -> AsyncioStream:
    """Connect. Raises httpcore.ConnectError or httpcore.ConnectTimeout."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + (math.inf if seconds is None else seconds)
    try:
        sock = await _connect_socket(host, port, deadline)
        with anyio.fail_after(deadline - loop.time()):
            _, stream = await loop.create_connection(functools.partial(AsyncioStream, sock), sock=sock)
    except TimeoutError as error:
        raise_if_of_a_signal(error)
        raise httpcore.ConnectTimeout from error
    except OSError as error:
        raise_if_of_a_signal(error)
        raise httpcore.ConnectError from error
    return stream


async def _connect_socket(host: str, port: int, deadline: float) -> socket.socket:
    """Connect to one address after the other, each with its share of the time.

    The event loop's own way, `create_connection` with a host, loses the socket if it is cancelled at the wrong moment.
    """
    loop = asyncio.get_running_loop()
    with anyio.fail_after(deadline - loop.time()):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    failure: OSError = TimeoutError()
    for left, (family, kind, protocol, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.setblocking(False)  # noqa: FBT003 - takes no keyword
            with anyio.fail_after((deadline - loop.time()) / left):
                await loop.sock_connect(sock, address)
        except OSError as error:  # a TimeoutError is one
            sock.close()
            raise_if_of_a_signal(error)
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    try:
        raise failure
    finally:
        del failure  # it holds this frame, which must not hold it too
