"""The sync transport, in httpx's terms, that leases single connections of httpcore to one host.

httpx's own pool walks over all its connections and requests whenever one of them changes, so that a call costs more
the more there are. Here a call takes a free place and the connection on top of a stack. Its end gives both back,
whatever the end is: a connection whose response was read to its end is kept, any other is closed. The rules are in
`leases`. A signal's handler may raise at any instruction, so a place is taken and given back under an object that is
there before, and a connection is kept only once the whole exchange has returned normally.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Any

import httpcore
import httpx

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
from .places import Place, Places
from .response_reading import ReadResponse, read_raw
from .socket_io import connect, is_silent, receive, send_all

__all__ = ["LeasingTransport"]


class _Stream(httpcore.NetworkStream):
    """The socket of a connection, bounded by the exchange that goes on."""

    def __init__(self, stream: httpcore.NetworkStream, state: ExchangeState) -> None:
        self._stream = stream
        self._state = state
        self.socket = stream.get_extra_info("socket")
        self.socket.settimeout(0.0)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        state = self._state
        seconds = step_seconds(timeout, state.deadline, httpcore.ReadTimeout)
        return state.handle_data(receive(self.socket, max_bytes, seconds))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        state = self._state
        if data := state.bytes_to_send(buffer):
            try:
                send_all(self.socket, data, lambda: step_seconds(timeout, state.deadline, httpcore.WriteTimeout))
            except httpcore.WriteError:
                state.is_cut = True
                raise
            state.has_sent = True

    def close(self) -> None:
        self._stream.close()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Lease:
    """A connection that one call has for itself, until it is closed or idle again."""

    __slots__ = ("connection", "idle_since", "state", "stream")

    def __init__(self, origin: httpcore.Origin, stream: _Stream, state: ExchangeState) -> None:
        self.connection = httpcore.HTTP11Connection(origin, stream)
        self.stream = stream
        self.state = state
        self.idle_since = 0.0

    @property
    def is_quiet(self) -> bool:
        """Whether the server has neither closed the connection nor sent anything that was not asked for."""
        return is_silent(self.stream.socket)


class _Call(Place):
    """A call's place and its connection; dropping it gives up both."""

    __slots__ = ("lease",)

    def __init__(self) -> None:
        self.lease: _Lease | None = None


class _ResponseStream(httpx.SyncByteStream):
    """The body of a response; closing it gives the connection back."""

    def __init__(self, transport: LeasingTransport, call: _Call, stream: Any) -> None:
        self._transport = transport
        self._call = call
        self._stream = stream
        self._is_sound = True

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._stream
        except BaseException as error:
            self._is_sound = False
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    def close(self) -> None:
        try:
            self._stream.close()
            if self._is_sound:
                self._transport.keep(self._call)
        finally:
            self._transport.end(self._call)


class LeasingTransport(httpx.BaseTransport):
    """Sends over leased connections; threads may share it. A call waits for a place while all are taken."""

    def __init__(
        self, base_url: str, context: ssl.SSLContext | None, *, max_connections: int, max_response_bytes: int
    ) -> None:
        self._target = ConnectTarget(base_url, context)
        self.origin = self._target.origin
        self._max_response_bytes = max_response_bytes
        self._places = Places(max_connections)
        self._idle: IdleConnections[_Lease] = IdleConnections()
        self._backend = httpcore.SyncBackend()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request on a connection of its own; closing the response gives that back."""
        call = _Call()
        try:
            response = self._exchange(call, core_request(request, self.origin))
            stream = _ResponseStream(self, call, response.stream)
            return httpx.Response(response.status, headers=response.headers, stream=stream)
        except BaseException as error:
            self.end(call)
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error

    def exchange(self, message: CoreRequest, max_bytes: int) -> ReadResponse:
        """Send a request in the terms of httpcore, and read its response to the end. Raises httpx.RequestError.

        It holds the seconds of each step as `timeout`, `deadline`, `repeatable` and `content_length` as extensions.
        """
        call = _Call()
        try:
            response = self._exchange(call, message)
            stream: Any = response.stream
            pieces: list[bytes] = list(stream)
            stream.close()
            self.keep(call)
        except Exception as error:
            if (error_type := httpx_error_type(error)) is None:
                raise
            raise error_type(str(error)) from error
        finally:
            self.end(call)
        return read_raw(response.status, response.headers, pieces, max_bytes)

    def keep(self, call: _Call) -> None:
        """Keep the connection of a call, whose exchange ended normally, if its response was read to the end."""
        lease = call.lease
        if lease is not None and is_reusable(lease.connection):
            call.lease = None
            for each in self._idle.put(lease):
                each.connection.close()

    def end(self, call: _Call) -> None:
        """Give the place of a call back, and close its connection unless that is kept; once is enough."""
        lease, call.lease = call.lease, None
        self._places.give_back(call)
        if lease is not None:
            lease.connection.close()

    def close(self) -> None:
        """Close the connections; one that is in use is closed when its call has ended."""
        for lease in self._idle.close():
            lease.connection.close()

    def _exchange(self, call: _Call, message: CoreRequest) -> httpcore.Response:
        """Take a place, and send on a connection that is the call's from then on."""
        extensions = message.extensions
        if not self._places.take(call, extensions["timeout"].get("pool")):
            raise httpx.PoolTimeout(NO_PLACE)
        deadline = extensions.get("deadline")
        length, lines = extensions["content_length"], extensions["header_lines"]
        call.lease = kept = self._take()
        while True:
            if (lease := call.lease) is None:
                call.lease = lease = self._connect(extensions["timeout"].get("connect"), deadline)
            lease.state.start(deadline, length, lines)
            try:
                response = lease.connection.handle_request(message)
                lease.state.handle_head(response.status)
            except Exception as error:
                raise_if_unsent(lease.state, error)
                if not may_resend(message, lease.state, error, was_kept=lease is kept):
                    raise
            else:
                if not came_too_early(message, response.status, was_kept=lease is kept):
                    return response
            lease.connection.close()
            call.lease = kept = None

    def _take(self) -> _Lease | None:
        while (lease := self._idle.take()) is not None:
            if is_usable(lease):
                return lease
            lease.connection.close()
        return None

    def _connect(self, timeout: float | None, deadline: float | None) -> _Lease:
        target, state = self._target, ExchangeState(self._max_response_bytes)
        state.start(deadline)
        seconds = step_seconds(timeout, deadline, httpcore.ConnectTimeout)
        stream = connect(self._backend, target.host, target.origin.port, target.context, seconds)
        return _Lease(target.origin, _Stream(stream, state), state)
