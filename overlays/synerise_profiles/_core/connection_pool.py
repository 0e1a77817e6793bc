"""The sync transport that leases single connections to one host.

The pools of HTTP libraries walk over all their connections and requests whenever one of them changes, so that a call
costs more the more there are. Here a call takes a free place and the connection on top of a stack. Its end gives both
back, whatever the end is: a connection whose response was read to its end is kept, any other is closed. The rules are
in `leases`, what is said on a connection in `http1`.
"""

from __future__ import annotations

import ssl
from queue import Empty, SimpleQueue

import httpcore
import httpx

from .http1 import READ_BYTES, Exchange, LeasedRequest
from .leases import NO_PLACE, ConnectTarget, IdleConnections, httpx_error, is_silent, is_usable, may_resend
from .response_reading import ReadResponse

__all__ = ["LeasingTransport"]


class _Lease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("_socket", "_stream", "idle_since")

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._socket = stream.get_extra_info("socket")
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        return is_silent(self._socket)

    def carry(self, exchange: Exchange) -> None:
        """Send a request, and receive its response."""
        stream, request = self._stream, exchange.request
        try:
            for data in exchange.to_send():
                stream.write(data, request.seconds("write", httpcore.WriteTimeout))
                exchange.has_sent = True
            exchange.is_sent = True
        except httpcore.WriteError:
            pass  # a server may answer before it has read everything, and close the connection
        while not exchange.feed(stream.read(READ_BYTES, request.seconds("read", httpcore.ReadTimeout))):
            pass

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


class LeasingTransport:
    """Sends over leased connections; threads may share it. A call waits for a place while all are taken."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int) -> None:
        self._target = ConnectTarget(base_url, context)
        self._places: SimpleQueue[None] = SimpleQueue()
        for _ in range(max_connections):
            self._places.put(None)
        self._idle: IdleConnections[_Lease] = IdleConnections()
        self._backend = httpcore.SyncBackend()

    def exchange(self, request: LeasedRequest, max_response_bytes: int) -> ReadResponse:
        """Send a request on a connection of its own, and return its response. Raises httpx.RequestError."""
        try:
            self._places.get(timeout=request.timeouts.get("pool"))
        except Empty:
            raise httpx.PoolTimeout(NO_PLACE) from None
        try:
            exchange = self._exchange(request, max_response_bytes)
        except BaseException as error:
            if (mapped := httpx_error(error)) is None:
                raise
            raise mapped from error
        finally:
            self._places.put(None)
        return exchange.response()

    def close(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            lease.close()

    def _exchange(self, request: LeasedRequest, max_response_bytes: int) -> Exchange:
        kept = self._take()
        while True:
            lease = kept or self._connect(request)
            exchange = Exchange(request, max_response_bytes)
            try:
                lease.carry(exchange)
            except BaseException as error:
                lease.close()
                if not may_resend(exchange, error, was_kept=lease is kept):
                    raise
                kept = None
            else:
                for each in self._idle.put(lease) if exchange.is_sent and exchange.is_reusable else [lease]:
                    each.close()
                return exchange

    def _take(self) -> _Lease | None:
        while (lease := self._idle.take()) is not None:
            if is_usable(lease):
                return lease
            lease.close()
        return None

    def _connect(self, request: LeasedRequest) -> _Lease:
        target = self._target
        seconds = request.seconds("connect", httpcore.ConnectTimeout)
        stream = self._backend.connect_tcp(target.host, target.origin.port, seconds)
        if target.context is not None:
            seconds = request.seconds("connect", httpcore.ConnectTimeout)
            stream = stream.start_tls(target.context, target.host, seconds)
        return _Lease(stream)
