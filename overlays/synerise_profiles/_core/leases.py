"""The rules of leased connections, without I/O, for both transports, `connection_pool` and `async_connection_pool`.

A call leases one connection for itself and gives it back when its response is read. `IdleConnections` holds those that
nobody uses, and `may_resend` says when a request that broke on a kept connection may go out again on a new one. What
goes over one while it is leased is in `http11`.
"""

from __future__ import annotations

import ssl
import time
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

import httpcore
import httpx

from .http11 import HttpConnection, HttpRequest

__all__ = [
    "NO_PLACE",
    "ConnectTarget",
    "IdleConnections",
    "came_too_early",
    "http_request",
    "httpx_error_type",
    "is_usable",
    "may_resend",
]

_IDLE_SECONDS: Final = 5.0
"""How long a connection is kept without use: less than what servers and load balancers keep theirs."""
_REQUEST_TIMEOUT: Final = 408
NO_PLACE: Final = "no connection became free in time"
"""Why a call gives up that waited for a place."""

_HTTPX_ERRORS: Final[Mapping[type[BaseException], type[httpx.RequestError]]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class Leasable(Protocol):
    """A connection that can be idle; `is_quiet` is false if the server has closed it or sent something."""

    idle_since: float

    @property
    def is_quiet(self) -> bool: ...


L = TypeVar("L", bound=Leasable)


class IdleConnections(Generic[L]):
    """The connections that nobody uses, the one used last on top. It may be shared by threads.

    Taking from the top keeps few connections in use, so that those at the bottom get old and are closed: one look at
    the bottom whenever one is put back is enough for that, and costs the same however many there are.
    """

    def __init__(self) -> None:
        self._stack: deque[L] = deque()
        self._closed = False

    # Each step is one of the deque's, which nothing cuts in two. A signal's handler may make calls of its own in the
    # midst of any of these methods, and would wait without an end for a lock that the call below it holds.

    def take(self) -> L | None:
        """Take the connection that was used last; None if there is none."""
        try:
            return self._stack.pop()
        except IndexError:
            return None

    def put(self, lease: L) -> list[L]:
        """Put a connection on top; return those that have to be closed, itself if it came after the end."""
        lease.idle_since = now = time.monotonic()
        self._stack.append(lease)
        if rest := self._left_at_end():
            return rest
        try:
            if now - self._stack[0].idle_since <= _IDLE_SECONDS:
                return []
            oldest = self._stack.popleft()
        except IndexError:  # others took them all meanwhile
            return []
        if now - oldest.idle_since > _IDLE_SECONDS:
            return [oldest]
        self._stack.appendleft(oldest)  # others took the old one
        return self._left_at_end()

    def close(self) -> list[L]:
        """Keep none from here on; return those that have to be closed."""
        self._closed = True
        return self._take_all()

    def _left_at_end(self) -> list[L]:
        return self._take_all() if self._closed else []

    def _take_all(self) -> list[L]:
        idle: list[L] = []
        while (lease := self.take()) is not None:
            idle.append(lease)
        return idle


def is_usable(lease: Leasable) -> bool:
    """Whether an idle connection can carry a request: it is young, and the server has not closed it."""
    return time.monotonic() - lease.idle_since <= _IDLE_SECONDS and lease.is_quiet


class ConnectTarget:
    """The host that a transport connects to."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None) -> None:
        url = httpx.URL(base_url)
        self.host = url.raw_host.decode("ascii")
        self.port = url.port or (80 if context is None else 443)
        self.context = context
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])


def may_resend(request: HttpRequest, http: HttpConnection, error: BaseException, *, was_kept: bool) -> bool:
    """Whether a request that failed may be sent again at once, on a new connection.

    A server may close an idle connection at the moment at which it is used again. Nothing of a response has arrived
    then. If nothing could be sent either, the server cannot have carried out the request. Otherwise only what reads is
    sent again: a second deletion may be refused because the first was carried out, and whoever retries has to know it.
    """
    if not was_kept or http.received or not isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
        return False
    return _is_reading(request) or not http.has_sent


def came_too_early(request: HttpRequest, http: HttpConnection, *, was_kept: bool) -> bool:
    """Whether a response is the server's farewell to an idle connection, which it sent as the request went out.

    Then what reads is sent again at once, on a new connection.
    """
    return was_kept and http.status == _REQUEST_TIMEOUT and _is_reading(request)


def _is_reading(request: HttpRequest) -> bool:
    return request.is_repeatable and request.method == "GET"


def http_request(request: httpx.Request, content: Iterable[bytes]) -> HttpRequest:
    """Return a request of httpx, whose stream had this content, as one of ours. It goes to the transport's own host."""
    return HttpRequest(
        method=request.method,
        target=request.url.raw_path,
        headers=request.headers.raw,
        header_lines=b"",
        content=tuple(content),
        timeouts=request.extensions.get("timeout", {}),
        deadline=None,
        is_repeatable=False,
    )


def httpx_error_type(error: BaseException) -> type[httpx.RequestError] | None:
    """Return the exception of httpx that stands for one of httpcore's; None for any other."""
    return _HTTPX_ERRORS.get(type(error))
