"""The async transport that leases single connections to one host.

It does what the one of `connection_pool` does, by tasks. A call may be cancelled at any moment, also while its
connection is being made, which httpx's own pool never recovers from: its place and its connection are given back all
the same.
"""

from __future__ import annotations

import ssl
from typing import Final, cast

import anyio
import anyio.lowlevel
import httpcore
import httpx
import sniffio

from .asyncio_stream import AsyncioStream, connect_asyncio
from .http1 import READ_BYTES, Exchange, LeasedRequest
from .leases import NO_PLACE, ConnectTarget, IdleConnections, httpx_error, is_silent, is_usable, may_resend
from .response_reading import ReadResponse

__all__ = ["AsyncLeasingTransport"]

_CLOSE_SECONDS: Final = 1.0


class _AsyncLease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("_socket", "_stream", "idle_since")

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        stream = self._stream
        return is_silent(self._socket) and (not isinstance(stream, AsyncioStream) or stream.is_quiet)

    async def carry(self, exchange: Exchange) -> None:
        """Send a request, and receive its response."""
        stream, request = self._stream, exchange.request
        try:
            for data in exchange.to_send():
                await stream.write(data, request.seconds("write", httpcore.WriteTimeout))
                exchange.has_sent = True
            exchange.is_sent = True
        except httpcore.WriteError:
            pass  # a server may answer before it has read everything, and close the connection
        while not exchange.feed(await stream.read(READ_BYTES, request.seconds("read", httpcore.ReadTimeout))):
            pass

    async def close(self) -> None:
        """Close the connection."""
        await _close_stream(self._stream)


class AsyncLeasingTransport:
    """Sends over leased connections, in one event loop. A call waits for a place while all are taken."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int) -> None:
        self._target = ConnectTarget(base_url, context)
        self._places = anyio.Semaphore(max_connections)
        self._idle: IdleConnections[_AsyncLease] = IdleConnections()
        # Elsewhere, on trio, anyio connects.
        is_asyncio = sniffio.current_async_library() == "asyncio"
        self._backend = None if is_asyncio else cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def exchange(self, request: LeasedRequest, max_response_bytes: int) -> ReadResponse:
        """Send a request on a connection of its own, and return its response. Raises httpx.RequestError."""
        await self._take_place(request.timeouts.get("pool"))
        try:
            exchange = await self._exchange(request, max_response_bytes)
        except BaseException as error:
            if (mapped := httpx_error(error)) is None:
                raise
            raise mapped from error
        finally:
            self._places.release()
        return exchange.response()

    async def aclose(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            await lease.close()
        await anyio.lowlevel.checkpoint()  # an event loop closes its sockets in its next round

    async def _take_place(self, seconds: float | None) -> None:
        try:
            self._places.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(seconds):
                await self._places.acquire()
                return
            raise httpx.PoolTimeout(NO_PLACE) from None

    async def _exchange(self, request: LeasedRequest, max_response_bytes: int) -> Exchange:
        kept = await self._take()
        while True:
            lease = kept or await self._connect(request)
            exchange = Exchange(request, max_response_bytes)
            try:
                await lease.carry(exchange)
            except BaseException as error:
                await lease.close()
                if not may_resend(exchange, error, was_kept=lease is kept):
                    raise
                kept = None
            else:
                for each in self._idle.put(lease) if exchange.is_sent and exchange.is_reusable else [lease]:
                    await each.close()
                return exchange

    async def _take(self) -> _AsyncLease | None:
        while (lease := self._idle.take()) is not None:
            if is_usable(lease):
                return lease
            await lease.close()
        return None

    async def _connect(self, request: LeasedRequest) -> _AsyncLease:
        target, timeout_error = self._target, httpcore.ConnectTimeout
        host, port, context = target.host, target.origin.port, target.context
        seconds = request.seconds("connect", timeout_error)
        if self._backend is None:
            return _AsyncLease(await connect_asyncio(host, port, context, seconds))
        stream = await self._backend.connect_tcp(host, port, seconds)
        if context is not None:
            try:
                stream = await stream.start_tls(context, host, request.seconds("connect", timeout_error))
            except BaseException:
                await _close_stream(stream)
                raise
        return _AsyncLease(stream)


async def _close_stream(stream: httpcore.AsyncNetworkStream) -> None:
    # Closing must not be cut short by what ended the call, nor wait for a server that reads no more.
    if isinstance(stream, AsyncioStream):
        stream.abort()
        return
    with anyio.move_on_after(_CLOSE_SECONDS, shield=True):
        await stream.aclose()
