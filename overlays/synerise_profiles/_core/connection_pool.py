"""The sync transport, in httpx's terms, that leases single connections to one host.

httpx's own pool walks over all its connections and requests whenever one of them changes, so that a call costs more
the more there are. Here a call takes a free place and the connection on top of a stack. Its end gives both back,
whatever the end is: a connection whose response was read to its end is kept, any other is closed. The rules are in
`leases`, HTTP in `http11`. A signal's handler may raise at any instruction, so a place is taken and given back under an
object that is there before, and a connection is kept only once the whole exchange has returned normally.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections.abc import Iterator
from typing import cast

import httpcore
import httpx

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
from .places import Place, Places
from .response_reading import ReadResponse, read_raw
from .socket_io import READ_BYTES, connect, is_silent, receive, send_all
from .step_timeouts import step_seconds

__all__ = ["LeasingTransport"]


class _Lease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("http", "idle_since", "socket")

    def __init__(self, sock: socket.socket, max_response_bytes: int) -> None:
        self.socket = sock
        self.http = HttpConnection(max_response_bytes)
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        return is_silent(self.socket)

    def send(self, request: HttpRequest) -> None:
        """Begin an exchange. A server may refuse a request that it does not read to its end: its answer tells why."""
        http = self.http
        try:
            for data in http.start(request):
                send_all(self.socket, data, lambda: request.seconds_of("write", httpcore.WriteTimeout))
                http.has_sent = True
        except httpcore.WriteError:
            http.send_failed()
        except httpcore.WriteTimeout:
            http.send_failed()
            if not self._is_refused():
                raise

    def _is_refused(self) -> bool:
        """Whether the server has answered by an error, and reads no more without closing the connection."""
        ends = time.monotonic() + EARLY_ANSWER_SECONDS
        with contextlib.suppress(httpcore.ReadTimeout, httpcore.NetworkError, httpcore.RemoteProtocolError):
            while not self.http.status:
                self.http.feed(receive(self.socket, READ_BYTES, step_seconds(None, ends, httpcore.ReadTimeout)))
        return self.http.is_refused

    def receive(self, request: HttpRequest) -> None:
        """Take what comes next of the response."""
        self.http.feed(receive(self.socket, READ_BYTES, request.seconds_of("read", httpcore.ReadTimeout)))

    def close(self) -> None:
        """Close the connection, and drop what is left of a response."""
        self.http.take_body()
        self.socket.close()


class _Call(Place):
    """A call's place and its connection; dropping it gives up both."""

    __slots__ = ("lease",)

    def __init__(self) -> None:
        self.lease: _Lease | None = None


class _ResponseStream(httpx.SyncByteStream):
    """The body of a response; closing it gives the connection back."""

    def __init__(self, transport: LeasingTransport, call: _Call, lease: _Lease, request: HttpRequest) -> None:
        self._transport = transport
        self._call = call
        self._lease: _Lease | None = lease
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        try:
            while (lease := self._lease) is not None:
                if body := lease.http.take_body():
                    yield body
                elif lease.http.is_complete:
                    return
                else:
                    lease.receive(self._request)
        except Exception as error:
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error
        raise httpx.StreamClosed

    def close(self) -> None:
        self._lease = None
        try:
            self._transport.keep(self._call)
        finally:
            self._transport.end(self._call)


class LeasingTransport(httpx.BaseTransport):
    """Sends over leased connections; threads may share it. A call waits for a place while all are taken."""

    def __init__(
        self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int, max_response_bytes: int
    ) -> None:
        self._target = ConnectTarget(base_url, context)
        self._max_response_bytes = max_response_bytes
        self._places = Places(max_connections)
        self._idle: IdleConnections[_Lease] = IdleConnections()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on a connection of its own; closing the response gives that back."""
        call, message = _Call(), http_request(request, cast("httpx.SyncByteStream", request.stream))
        try:
            lease = self._exchange(call, message)
            stream = _ResponseStream(self, call, lease, message)
            return httpx.Response(lease.http.status, headers=lease.http.headers, stream=stream)
        except BaseException as error:
            self.end(call)
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    def exchange(self, request: HttpRequest, max_bytes: int) -> ReadResponse:
        """Send a request, and read its response to the end. Raises httpx.RequestError."""
        call = _Call()
        try:
            lease = self._exchange(call, request)
            http = lease.http
            while not http.is_complete:
                lease.receive(request)
            status, headers, pieces = http.status, http.headers, [http.take_body()]
            self.keep(call)
        except Exception as error:
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error
        finally:
            self.end(call)
        return read_raw(status, headers, pieces, max_bytes)

    def keep(self, call: _Call) -> None:
        """Keep the connection of a call, whose exchange ended normally, if its response was read to the end."""
        lease = call.lease
        if lease is not None and lease.http.end():
            call.lease = None
            for each in self._idle.put(lease):
                each.close()

    def end(self, call: _Call) -> None:
        """Give the place of a call back, and close its connection unless that is kept; once is enough."""
        lease, call.lease = call.lease, None
        self._places.give_back(call)
        if lease is not None:
            lease.close()

    def close(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            lease.close()

    def _exchange(self, call: _Call, request: HttpRequest) -> _Lease:
        """Take a place, send on a connection that is the call's from then on, and read the headers of the response."""
        if not self._places.take(call, request.timeouts.get("pool")):
            raise httpx.PoolTimeout(NO_PLACE)
        kept = self._take(call)
        while True:
            if (lease := call.lease) is None:
                call.lease = lease = self._connect(request)
            try:
                lease.send(request)
                while not lease.http.status:
                    lease.receive(request)
            except Exception as error:
                if not may_resend(request, lease.http, error, was_kept=lease is kept):
                    raise
            else:
                if not came_too_early(request, lease.http, was_kept=lease is kept):
                    return lease
            lease.close()
            call.lease = kept = None

    def _take(self, call: _Call) -> _Lease | None:
        while (lease := self._idle.take()) is not None:
            call.lease = lease
            if is_usable(lease):
                return lease
            lease.close()
        call.lease = None
        return None

    def _connect(self, request: HttpRequest) -> _Lease:
        target, seconds = self._target, request.seconds_of("connect", httpcore.ConnectTimeout)
        return _Lease(connect(target.host, target.port, target.context, seconds), self._max_response_bytes)
