"""The async transport, in httpx's terms, that leases single connections to one host.

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
from typing import Final, cast

import anyio
import anyio.lowlevel
import httpcore
import httpx
import sniffio

from .asyncio_stream import AsyncioStream, connect_asyncio
from .http11 import EARLY_ANSWER_SECONDS, HttpConnection, HttpRequest
from .leases import (
    NO_PLACE,
    ConnectTarget,
    IdleConnections,
    came_too_early,
    http_request,
    httpx_error_type,
    is_usable,
    may_resend,
)
from .response_reading import ReadResponse, read_raw
from .socket_io import MAX_PIECE_BYTES, READ_BYTES, is_silent
from .step_timeouts import step_seconds
from .tls_stream import TlsStream, start_tls

__all__ = ["AsyncLeasingTransport"]

_CLOSE_SECONDS: Final = 1.0


class _AsyncLease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("_lowest", "_socket", "_stream", "http", "idle_since")

    def __init__(self, stream: httpcore.AsyncNetworkStream, max_response_bytes: int) -> None:
        self._stream = stream
        self._lowest = stream.lower if isinstance(stream, TlsStream) else stream
        self._socket = stream.get_extra_info("socket")
        self.http = HttpConnection(max_response_bytes)
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        return is_silent(self._socket) and all(
            stream.is_quiet for stream in (self._lowest, self._stream) if isinstance(stream, AsyncioStream | TlsStream)
        )

    async def send(self, request: HttpRequest) -> None:
        """Begin an exchange. A server may refuse a request that it does not read to its end: its answer tells why."""
        http = self.http
        try:
            for data in http.start(request):
                for start in range(0, len(data), MAX_PIECE_BYTES):
                    seconds = request.seconds_of("write", httpcore.WriteTimeout)
                    await self._stream.write(data[start : start + MAX_PIECE_BYTES], seconds)
                http.has_sent = True
        except httpcore.WriteError:
            http.send_failed()
        except httpcore.WriteTimeout:
            http.send_failed()
            if not await self._is_refused():
                raise

    async def _is_refused(self) -> bool:
        """Whether the server has answered by an error, and reads no more without closing the connection."""
        ends = time.monotonic() + EARLY_ANSWER_SECONDS
        with contextlib.suppress(httpcore.ReadTimeout, httpcore.NetworkError, httpcore.RemoteProtocolError):
            while not self.http.status:
                self.http.feed(await self._stream.read(READ_BYTES, step_seconds(None, ends, httpcore.ReadTimeout)))
        return self.http.is_refused

    async def receive(self, request: HttpRequest) -> None:
        """Take what comes next of the response."""
        self.http.feed(await self._stream.read(READ_BYTES, request.seconds_of("read", httpcore.ReadTimeout)))

    async def aclose(self) -> None:
        """Close the connection, and drop what is left of a response."""
        self.http.take_body()
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


class _AsyncResponseStream(httpx.AsyncByteStream):
    """The body of a response; closing it gives the connection back."""

    def __init__(self, transport: AsyncLeasingTransport, lease: _AsyncLease, request: HttpRequest) -> None:
        self._transport = transport
        self._lease: _AsyncLease | None = lease
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (lease := self._lease) is not None:
                if body := lease.http.take_body():
                    yield body
                elif lease.http.is_complete:
                    return
                else:
                    await lease.receive(self._request)
        except Exception as error:
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error
        raise httpx.StreamClosed

    async def aclose(self) -> None:
        lease, self._lease = self._lease, None
        if lease is not None:
            await self._transport.give_back(lease)


class AsyncLeasingTransport(httpx.AsyncBaseTransport):
    """Sends over leased connections, in one event loop. A call waits for a place while all are taken."""

    def __init__(
        self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int, max_response_bytes: int
    ) -> None:
        self._target = ConnectTarget(base_url, context)
        self._max_response_bytes = max_response_bytes
        self._places = anyio.Semaphore(max_connections)
        self._idle: IdleConnections[_AsyncLease] = IdleConnections()
        # Trio connects by itself: older versions of anyio leave a socket open when a call is cancelled as it connects.
        is_asyncio = sniffio.current_async_library() == "asyncio"
        self._backend = None if is_asyncio else cast("httpcore.AsyncNetworkBackend", httpcore.TrioBackend())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on a connection of its own; closing the response gives that back."""
        stream = cast("httpx.AsyncByteStream", request.stream)
        message = http_request(request, [piece async for piece in stream])
        lease = await self._lease(message)
        try:
            body = _AsyncResponseStream(self, lease, message)
            return httpx.Response(lease.http.status, headers=lease.http.headers, stream=body)
        except BaseException:
            await self.give_back(lease)
            raise

    async def exchange(self, request: HttpRequest, max_bytes: int) -> ReadResponse:
        """Send a request, and read its response to the end. Raises httpx.RequestError."""
        lease = await self._lease(request)
        http = lease.http
        try:
            while not http.is_complete:
                await lease.receive(request)
            status, headers, pieces = http.status, http.headers, [http.take_body()]
        except Exception as error:
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error
        finally:
            await self.give_back(lease)
        return read_raw(status, headers, pieces, max_bytes)

    async def _lease(self, request: HttpRequest) -> _AsyncLease:
        await self._take_place(request.timeouts.get("pool"))
        try:
            return await self._exchange(request)
        except BaseException as error:
            self._places.release()
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    async def give_back(self, lease: _AsyncLease) -> None:
        """End a lease: keep the connection if its response was read to the end, or close it."""
        to_close = self._idle.put(lease) if lease.http.end() else [lease]
        self._places.release()
        for each in to_close:
            await each.aclose()

    async def aclose(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            await lease.aclose()
        await anyio.lowlevel.checkpoint()  # an event loop closes its sockets in its next round

    def abandon(self) -> None:
        """Close the connections, after the event loop to which they belong has ended."""
        for lease in self._idle.close():
            lease.abandon()

    async def _take_place(self, seconds: float | None) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(seconds):
                await self._places.acquire()
                return
            raise httpx.PoolTimeout(NO_PLACE) from None

    async def _exchange(self, request: HttpRequest) -> _AsyncLease:
        kept = await self._take()
        while True:
            lease = kept or await self._connect(request)
            try:
                await lease.send(request)
                while not lease.http.status:
                    await lease.receive(request)
            except BaseException as error:
                await lease.aclose()
                if not may_resend(request, lease.http, error, was_kept=lease is kept):
                    raise
            else:
                if not came_too_early(request, lease.http, was_kept=lease is kept):
                    return lease
                await lease.aclose()
            kept = None

    async def _take(self) -> _AsyncLease | None:
        while (lease := self._idle.take()) is not None:
            if is_usable(lease):
                return lease
            await lease.aclose()
        return None

    async def _connect(self, request: HttpRequest) -> _AsyncLease:
        target, seconds = self._target, request.seconds_of("connect", httpcore.ConnectTimeout)
        began = time.monotonic()
        connecting = connect_asyncio if self._backend is None else self._backend.connect_tcp
        stream: httpcore.AsyncNetworkStream = await connecting(target.host, target.port, seconds)
        if target.context is not None:
            left = None if seconds is None else seconds - (time.monotonic() - began)
            stream = await start_tls(stream, target.context, target.host, left)
        return _AsyncLease(stream, self._max_response_bytes)
