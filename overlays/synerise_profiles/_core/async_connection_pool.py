"""The async transport, in httpx's terms, that leases single connections of httpcore to one host.

It does what the one of `connection_pool` does, by tasks. A call may be cancelled at any moment, also while its
connection is being made, which httpx's own pool never recovers from: its place and its connection are given back all
the same.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import AsyncIterator
from typing import Any, Final, cast

import anyio
import anyio.lowlevel
import httpcore
import httpx
import sniffio

from .asyncio_stream import AsyncioStream, connect_asyncio
from .leases import (
    NO_PLACE,
    ConnectTarget,
    CoreRequest,
    ExchangeState,
    IdleConnections,
    came_too_early,
    core_request,
    httpx_error_type,
    is_reusable,
    is_usable,
    may_resend,
    raise_if_unsent,
    step_seconds,
)
from .response_reading import ReadResponse, read_raw
from .socket_io import MAX_PIECE_BYTES, is_silent
from .tls_stream import TlsStream, start_tls

__all__ = ["AsyncLeasingTransport"]

_CLOSE_SECONDS: Final = 1.0


class _AsyncStream(httpcore.AsyncNetworkStream):
    """The socket of a connection, bounded by the exchange that goes on."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, state: ExchangeState) -> None:
        self._stream = stream
        self._lowest = stream.lower if isinstance(stream, TlsStream) else stream
        self._state = state
        self._socket = stream.get_extra_info("socket")

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        return is_silent(self._socket) and all(
            stream.is_quiet for stream in (self._lowest, self._stream) if isinstance(stream, AsyncioStream | TlsStream)
        )

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore's name
        state = self._state
        seconds = step_seconds(timeout, state.deadline, httpcore.ReadTimeout)
        return state.handle_data(await self._stream.read(max_bytes, seconds))

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - httpcore's name
        state = self._state
        if data := state.bytes_to_send(buffer):
            try:
                for start in range(0, len(data), MAX_PIECE_BYTES):
                    seconds = step_seconds(timeout, state.deadline, httpcore.WriteTimeout)
                    await self._stream.write(data[start : start + MAX_PIECE_BYTES], seconds)
            except httpcore.WriteError:
                state.is_cut = True
                raise
            state.has_sent = True

    async def aclose(self) -> None:
        # Closing must not be cut short by what ended the call, nor wait for a server that reads no more.
        if isinstance(self._lowest, AsyncioStream):
            self._lowest.abort()
            return
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
            await self._lowest.aclose()

    def abandon(self) -> None:
        """Close the socket of an event loop that has ended. One of trio closes by itself only while trio runs."""
        if isinstance(self._lowest, AsyncioStream):
            self._lowest.abandon()
            return
        with contextlib.suppress(OSError):
            if (descriptor := self._socket.detach()) != -1:
                socket.close(descriptor)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _AsyncLease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("connection", "idle_since", "state", "stream")

    def __init__(self, origin: httpcore.Origin, stream: _AsyncStream, state: ExchangeState) -> None:
        self.connection = httpcore.AsyncHTTP11Connection(origin, stream)
        self.stream = stream
        self.state = state
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the connection is still there, and nothing has arrived on it."""
        return self.stream.is_quiet


class _AsyncResponseStream(httpx.AsyncByteStream):
    """The body of a response; closing it gives the connection back."""

    def __init__(self, transport: AsyncLeasingTransport, lease: _AsyncLease, response: httpcore.Response) -> None:
        self._transport = transport
        self._lease: _AsyncLease | None = lease
        self._stream: Any = response.stream
        self._is_sound = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._stream:
                yield piece
        except BaseException as error:
            self._is_sound = False
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    async def aclose(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            is_sound = False
            try:
                await self._stream.aclose()
                is_sound = self._is_sound
            finally:
                await self._transport.give_back(lease, is_sound=is_sound)


class AsyncLeasingTransport(httpx.AsyncBaseTransport):
    """Sends over leased connections, in one event loop. A call waits for a place while all are taken."""

    def __init__(
        self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int, max_response_bytes: int
    ) -> None:
        self._target = ConnectTarget(base_url, context)
        self.origin = self._target.origin
        self._max_response_bytes = max_response_bytes
        self._places = anyio.Semaphore(max_connections)
        self._idle: IdleConnections[_AsyncLease] = IdleConnections()
        # Trio connects by itself: older versions of anyio leave a socket open when a call is cancelled as it connects.
        is_asyncio = sniffio.current_async_library() == "asyncio"
        self._backend = None if is_asyncio else cast("httpcore.AsyncNetworkBackend", httpcore.TrioBackend())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on a connection of its own; closing the response gives that back."""
        lease, response = await self._lease(core_request(request, self.origin))
        stream = _AsyncResponseStream(self, lease, response)
        return httpx.Response(response.status, headers=response.headers, stream=stream)

    async def exchange(self, message: CoreRequest, max_bytes: int) -> ReadResponse:
        """Send a request in the terms of httpcore, and read its response to the end. Raises httpx.RequestError.

        It holds the seconds of each step as `timeout`, `deadline`, `repeatable` and `content_length` as extensions.
        """
        lease, response = await self._lease(message)
        stream = _AsyncResponseStream(self, lease, response)
        try:
            pieces = [piece async for piece in stream]
        finally:
            await stream.aclose()
        return read_raw(response.status, response.headers, pieces, max_bytes)

    async def _lease(self, message: CoreRequest) -> tuple[_AsyncLease, httpcore.Response]:
        await self._take_place(message.extensions["timeout"].get("pool"))
        try:
            return await self._exchange(message)
        except BaseException as error:
            self._places.release()
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    async def give_back(self, lease: _AsyncLease, *, is_sound: bool) -> None:
        """End a lease: keep the connection if its response was read to the end without an exception, or close it."""
        to_close = self._idle.put(lease) if is_sound and is_reusable(lease.connection) else [lease]
        self._places.release()
        for each in to_close:
            await each.connection.aclose()

    async def aclose(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            await lease.connection.aclose()
        await anyio.lowlevel.checkpoint()  # an event loop closes its sockets in its next round

    def abandon(self) -> None:
        """Close the connections, after the event loop to which they belong has ended."""
        for lease in self._idle.close():
            lease.stream.abandon()

    async def _take_place(self, seconds: float | None) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(seconds):
                await self._places.acquire()
                return
            raise httpx.PoolTimeout(NO_PLACE) from None

    async def _exchange(self, message: CoreRequest) -> tuple[_AsyncLease, httpcore.Response]:
        extensions = message.extensions
        deadline = extensions.get("deadline")
        length, lines = extensions["content_length"], extensions["header_lines"]
        kept = await self._take()
        while True:
            lease = kept or await self._connect(extensions["timeout"].get("connect"), deadline)
            lease.state.start(deadline, length, lines)
            try:
                response = await lease.connection.handle_async_request(message)
                lease.state.handle_head(response.status)
            except BaseException as error:
                await lease.connection.aclose()
                raise_if_unsent(lease.state, error)
                if not may_resend(message, lease.state, error, was_kept=lease is kept):
                    raise
            else:
                if not came_too_early(message, response.status, was_kept=lease is kept):
                    return lease, response
                await lease.connection.aclose()
            kept = None

    async def _take(self) -> _AsyncLease | None:
        while (lease := self._idle.take()) is not None:
            if is_usable(lease):
                return lease
            await lease.connection.aclose()
        return None

    async def _connect(self, own_seconds: float | None, deadline: float | None) -> _AsyncLease:
        target, state = self._target, ExchangeState(self._max_response_bytes)
        state.start(deadline)
        seconds = step_seconds(own_seconds, deadline, httpcore.ConnectTimeout)
        began = time.monotonic()
        host, port = target.host, target.origin.port
        connecting = connect_asyncio if self._backend is None else self._backend.connect_tcp
        stream: httpcore.AsyncNetworkStream = await connecting(host, port, seconds)
        if target.context is not None:
            left = None if seconds is None else seconds - (time.monotonic() - began)
            stream = await start_tls(stream, target.context, host, left)
        return _AsyncLease(target.origin, _AsyncStream(stream, state), state)
