"""The rules of leased connections, without I/O, for both transports, `connection_pool` and `async_connection_pool`.

A call leases one connection for itself and gives it back when its response is read. `IdleConnections` holds those that
nobody uses, `ExchangeState` bounds what happens on one while it is leased, and `may_resend` says when a request that
broke on a kept connection may go out again on a new one.
"""

from __future__ import annotations

import math
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, MutableMapping, Sequence
from typing import Any, Final, Generic, Protocol, TypeVar

import httpcore
import httpx

from .response_reading import CUT_SHORT, ResponseTooLargeError, UnsentRequestError, is_success

__all__ = [
    "NO_CONTENT",
    "NO_PLACE",
    "ConnectTarget",
    "Content",
    "CoreRequest",
    "CoreTarget",
    "ExchangeState",
    "IdleConnections",
    "came_too_early",
    "core_request",
    "httpx_error_type",
    "is_reusable",
    "is_usable",
    "may_resend",
    "raise_if_unsent",
    "step_seconds",
]

_IDLE_SECONDS: Final = 5.0
"""How long a connection is kept without use: less than what servers and load balancers keep theirs."""
_MAX_HEAD_BYTES: Final = 1_000_000
"""What may arrive before the headers of a response are complete, answers 1xx included."""
_MAX_JOINED_BYTES: Final = 64_000
_END_OF_HEAD: Final = b"\r\n\r\n"
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
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
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


def is_reusable(connection: httpcore.HTTP11Connection | httpcore.AsyncHTTP11Connection) -> bool:
    """Whether a connection can be kept: its response was read to its end, and nothing came behind it.

    Bytes behind a response, such as a 408 at once, would be taken for the answer to the next request. They were read
    with the response, so that the socket does not show them.
    """
    if not connection.is_idle():
        return False
    parser: Any = getattr(connection, "_h11_state", None)  # there is no public way to it
    return parser is None or not parser.trailing_data[0]


def is_usable(lease: Leasable) -> bool:
    """Whether an idle connection can carry a request: it is young, and the server has not closed it."""
    return time.monotonic() - lease.idle_since <= _IDLE_SECONDS and lease.is_quiet


class ConnectTarget:
    """The host that a transport connects to."""

    def __init__(self, base_url: str, context: ssl.SSLContext | None) -> None:
        url = httpx.URL(base_url)
        parts = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=b"/")
        self.origin = parts.origin
        self.host = url.raw_host.decode("ascii")
        self.context = context
        if context is not None:
            context.set_alpn_protocols(["http/1.1"])


class ExchangeState:
    """What one request and its response have done on a connection, and how long and how large they may get."""

    __slots__ = (
        "_header_lines",
        "_held",
        "_holds_head",
        "_max_bytes",
        "_max_response_bytes",
        "deadline",
        "has_sent",
        "is_cut",
        "received",
    )

    def __init__(self, max_response_bytes: int) -> None:
        self._max_response_bytes = max_response_bytes
        self.start(None)

    def start(self, deadline: float | None, content_length: int = 0, header_lines: bytes = b"") -> None:
        """Begin an exchange; `deadline` is a moment of the monotonic clock, `content_length` that of the request.

        `header_lines` are the headers of the request that its head does not have yet.
        """
        self._header_lines = header_lines
        self.deadline = deadline
        self._holds_head = 0 < content_length <= _MAX_JOINED_BYTES
        self._held = b""
        self._max_bytes = _MAX_HEAD_BYTES
        self.has_sent = self.is_cut = False
        self.received = 0

    def bytes_to_send(self, data: bytes) -> bytes:
        """Return what to send: the headers of a request with a small body wait for it, and leave with it at once."""
        if self._header_lines:
            data = data.replace(_END_OF_HEAD, b"\r\n" + self._header_lines + b"\r\n", 1)
            self._header_lines = b""
        if self._holds_head:
            self._holds_head, self._held = False, data
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        return data

    def handle_head(self, status: int) -> None:
        """The headers of the response are complete; what follows is its body.

        Headers of which nothing arrived in this exchange came before it, behind the response to another request. An
        error may come before the request is sent whole, and ends it; a success then confirms what cannot be there.
        """
        if not self.received:
            raise httpcore.RemoteProtocolError("a response that came before its request")
        if self.is_cut and is_success(status):
            raise httpcore.WriteError(CUT_SHORT)
        self._max_bytes = self.received + self._max_response_bytes + _MAX_HEAD_BYTES

    def handle_data(self, data: bytes) -> bytes:
        """Count what has arrived, and return it; raise if it is too much."""
        self.received += len(data)
        if self.received > self._max_bytes:
            raise ResponseTooLargeError("too many bytes")
        return data


def step_seconds(timeout: float | None, deadline: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    """Return the seconds that a step may take: its own, or what is left until a moment of the monotonic clock."""
    if deadline is None or deadline == math.inf:
        return timeout
    left = deadline - time.monotonic()
    if left <= 0:
        raise error("the deadline has passed")
    return left if timeout is None or left < timeout else timeout


class CoreTarget(httpcore.URL):
    """The target of a request to a host that is known; httpcore's own URL makes its origin anew each time."""

    def __init__(self, origin: httpcore.Origin, target: bytes) -> None:
        self.scheme = origin.scheme
        self.host = origin.host
        self.port = origin.port
        self.target = target
        self._origin = origin

    @property
    def origin(self) -> httpcore.Origin:
        """The host."""
        return self._origin


class CoreRequest(httpcore.Request):
    """A request in the terms of httpcore; it says in its extensions how long it may take, and its content's length.

    What it is made of is taken as it is: httpcore's own goes through all of it, for callers who may give texts.
    """

    headers: Any
    extensions: MutableMapping[str, Any]

    def __init__(
        self,
        method: bytes,
        url: CoreTarget,
        *,
        headers: Sequence[tuple[bytes, bytes]],
        stream: Any,
        extensions: MutableMapping[str, Any],
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.stream = stream
        self.extensions = extensions


class Content(httpx.ByteStream):
    """The content of a request in pieces, sync and async; of none there is no piece, where httpx has an empty one.

    Its iterators are no generators: trio warns of one that is left before its end, as by a request that breaks off.
    """

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return _AsyncPieces(iter(self._pieces))


class _AsyncPieces(AsyncIterator[bytes]):
    __slots__ = ("_pieces",)

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


NO_CONTENT: Final = Content()


def may_resend(request: CoreRequest, state: ExchangeState, error: BaseException, *, was_kept: bool) -> bool:
    """Whether a request that failed may be sent again at once, on a new connection.

    A server may close an idle connection at the moment at which it is used again. Nothing of a response has arrived
    then. If nothing could be sent either, the server cannot have carried out the request. Otherwise only what reads is
    sent again: a second deletion may be refused because the first was carried out, and whoever retries has to know it.
    """
    if not was_kept or state.received or not isinstance(error, httpcore.NetworkError | httpcore.RemoteProtocolError):
        return False
    return _is_reading(request) or not state.has_sent


def raise_if_unsent(state: ExchangeState, error: BaseException) -> None:
    """Raise UnsentRequestError for a request that was refused as no valid HTTP before any of it has left."""
    if isinstance(error, httpcore.LocalProtocolError) and not (state.has_sent or state.is_cut):
        raise UnsentRequestError(str(error)) from None


def came_too_early(request: CoreRequest, status: int, *, was_kept: bool) -> bool:
    """Whether a response is the server's farewell to an idle connection, which it sent as the request went out.

    Then what reads is sent again at once, on a new connection.
    """
    return was_kept and status == _REQUEST_TIMEOUT and _is_reading(request)


def _is_reading(request: CoreRequest) -> bool:
    return request.method == b"GET" and bool(request.extensions.get("repeatable"))


def core_request(request: httpx.Request, origin: httpcore.Origin) -> CoreRequest:
    """Return the request in the terms of httpcore."""
    length = int(request.headers.get("content-length", "0"))
    return CoreRequest(
        request.method.encode("ascii"),
        CoreTarget(origin, request.url.raw_path),
        headers=request.headers.raw,
        stream=request.stream,
        extensions={"timeout": {}, **request.extensions, "content_length": length, "header_lines": b""},
    )


def httpx_error_type(error: BaseException) -> type[httpx.RequestError] | None:
    """Return the exception of httpx that stands for one of httpcore's; None for any other."""
    return _HTTPX_ERRORS.get(type(error))
