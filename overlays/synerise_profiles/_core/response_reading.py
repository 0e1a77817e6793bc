"""Reads the body of a response, bounded in bytes and time, before and after decompression, and says if it counts.

httpx would unpack whatever arrives, at once and without an end: some kilobytes can stand for gigabytes. So the body is
taken as it arrives and unpacked here, piece by piece, up to `max_response_bytes`.

What a response and an exception mean depends on how much of the request has left. Leased connections know that of
themselves; those of httpx tell it to a `RequestTrace`.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import time
import zlib
from collections.abc import Generator, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar, cast, overload

import attrs
import httpcore
import httpx

from synerise_profiles.errors import ConfigurationError
from synerise_profiles_api.json_values import is_of_a_signal

from .error_chain import first_error

__all__ = [
    "CUT_SHORT",
    "BodyReader",
    "GivenTransportError",
    "LazyHeaders",
    "ReadResponse",
    "RequestTrace",
    "ResponseTooLargeError",
    "UnsentRequestError",
    "checked_response",
    "is_success",
    "read_raw",
]

T = TypeVar("T")

CUT_SHORT: Final = "a success of a request that could not be sent whole"
"""Why an answer does not count."""
_PIECE_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_BEGUN: Final = "send_request_headers.started"
_REFUSED: Final = "send_request_headers.failed"
_MAX_CAUSES: Final = 20
_SENT_ONCE: Final = ("POST", "PATCH")
_FAILED: Final = frozenset({"send_request_headers.failed", "send_request_body.failed"})


class ResponseTooLargeError(httpx.RequestError):
    """The body of a response is larger than the client takes, as it arrived or unpacked."""


class UnsentRequestError(httpx.LocalProtocolError):
    """A request is not valid HTTP, and nothing of it was sent."""


class GivenTransportError(httpx.RequestError):
    """What a transport of the caller's `raised`. Its text may quote the URL or the body, so it is shown nowhere.

    `is_unsent` says that the transport has told its steps, and that sending was none of them; `may_be_second` that it
    may have sent the request before: some send one again by themselves where that changes nothing at the server.
    """

    def __init__(self, raised: Exception, *, is_unsent: bool, may_be_second: bool) -> None:
        super().__init__(type(raised).__name__)
        self.raised = raised
        self.is_unsent = is_unsent
        self.may_be_second = may_be_second


class _Decompressor(Protocol):
    """What `zlib.decompressobj` returns."""

    @property
    def unconsumed_tail(self) -> bytes: ...
    @property
    def eof(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


@attrs.frozen
class ReadResponse:
    """A response that was read to its end."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes = attrs.field(repr=False)


class LazyHeaders(Mapping[str, str]):
    """The headers of a response; names are compared without case. They are read when somebody looks for one."""

    __slots__ = ("_parsed", "_raw", "_values")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._parsed: httpx.Headers | None = None
        self._values = {name.lower(): value for name, value in raw}

    def _headers(self) -> httpx.Headers:
        if self._parsed is None:
            self._parsed = httpx.Headers(self._raw)
        return self._parsed

    def __getitem__(self, name: str) -> str:
        found = self.get(name)
        if found is None:
            raise KeyError(name)
        return found

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, /, default: str | T) -> str | T: ...
    def get(self, key: str, /, default: object = None) -> object:
        """Return the value of a header; those of one that comes more than once are joined by commas."""
        if not isinstance(cast("object", key), str):
            return default
        wanted = key.lower().encode("utf-8", "surrogatepass")
        found = self._values.get(wanted)
        if found is None:
            return default
        if len(self._values) < len(self._raw):  # some names come more than once
            found = b", ".join([value for other, value in self._raw if other.lower() == wanted])
        return found.decode("ascii") if found.isascii() else self._headers()[key]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._headers()

    def __iter__(self) -> Iterator[str]:
        return iter(self._headers())

    def __len__(self) -> int:
        return len(self._headers())

    def __eq__(self, other: object) -> bool:
        return self._headers() == (other._headers() if isinstance(other, LazyHeaders) else other)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(self._headers())


def checked_response(response: object) -> httpx.Response:
    """Return what a transport answered by; raise ConfigurationError if it is no response of httpx."""
    if isinstance(response, httpx.Response):
        return response
    if inspect.iscoroutine(response):
        response.close()
    raise ConfigurationError(f"transport: expected that it answers by an httpx.Response, got {type(response).__name__}")


class RequestTrace:
    """The steps of one request on connections of httpx. What only a proxy was asked does not count as sent.

    httpcore calls the `trace` in a request's extensions at each of its steps. Other transports leave it alone, and then
    nothing is known. `is_given` says that the transport is the caller's, whose exceptions are hidden in one of ours.
    """

    def __init__(self, method: str, *, is_given: bool) -> None:
        self._method = method
        self._is_given = is_given
        self._is_told = self._has_begun = self._is_cut = False

    def note(self, step: str, facts: Mapping[str, Any]) -> None:
        """Note a step, as httpcore's sync connections tell it."""
        self._is_told = True
        name = step.partition(".")[2]
        if name == _BEGUN:
            self._has_begun = self._has_begun or facts["request"].method != b"CONNECT"
        elif name in _FAILED:
            exception = facts["exception"]
            self._is_cut = self._has_begun and isinstance(exception, httpcore.WriteError)
            if name == _REFUSED and isinstance(exception, httpcore.LocalProtocolError):
                self._has_begun = False  # it was looked at before it is written

    async def note_async(self, step: str, facts: Mapping[str, Any]) -> None:
        """Note a step, as httpcore's async connections tell it."""
        self.note(step, facts)

    def check(self, status: int) -> None:
        """Raise httpx.WriteError if a response confirms a request that could not be sent whole."""
        if self._is_cut and is_success(status):
            raise httpx.WriteError(CUT_SHORT)

    @contextlib.contextmanager
    def told_by_step(self) -> Generator[None]:
        """Raise what goes wrong before the request itself as what it is: there is no connection yet."""
        handled = sys.exception()  # by a caller who calls amid that; it came before
        try:
            with self._told_by_step():
                yield
        except (ConfigurationError, MemoryError):
            raise
        except Exception as error:
            if (raised := _of_a_signal(error, handled)) is not None:
                raise raised from raised.__cause__
            if not self._is_given:
                raise
            is_unsent = self._is_told and not self._has_begun
            may_be_second = self._method not in _SENT_ONCE and not is_unsent
            raise GivenTransportError(error, is_unsent=is_unsent, may_be_second=may_be_second) from None

    @contextlib.contextmanager
    def _told_by_step(self) -> Generator[None]:
        try:
            yield
        except (httpx.ReadTimeout, httpx.WriteTimeout) as error:
            if self._is_told and not self._has_begun:
                raise httpx.ConnectTimeout(str(error)) from error
            raise
        except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
            if self._is_told and not self._has_begun:
                raise httpx.ProxyError("it broke off") from (error if isinstance(error, httpx.NetworkError) else None)
            raise
        except httpx.LocalProtocolError as error:
            if self._is_told and not self._has_begun:
                raise UnsentRequestError(str(error)) from None
            raise


def _of_a_signal(error: BaseException, handled: BaseException | None) -> BaseException | None:
    """Return what the handler of a signal raised, where httpx took that for a fault of the connection."""
    found: BaseException | None = error
    for _ in range(_MAX_CAUSES):  # exceptions may be causes of each other
        if found is None or found is handled:
            return None
        if is_of_a_signal(found):
            return found
        found = first_error(found.__cause__, found.__context__)  # httpcore cuts off causes
    return None


def is_success(status: int) -> bool:
    """Whether a status says that the request was carried out."""
    return 200 <= status < 300


class BodyReader:
    """Takes the pieces of one body; `deadline` is a moment of the monotonic clock."""

    def __init__(self, max_bytes: int, deadline: float) -> None:
        self._max_bytes = max_bytes
        self._deadline = deadline
        self._pieces: list[bytes] = []
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Take a piece. Raises ResponseTooLargeError or httpx.ReadTimeout."""
        self._size += len(piece)
        if self._size > self._max_bytes:
            self._pieces.clear()  # the exception's traceback keeps what its frames hold
            raise ResponseTooLargeError("too many bytes")
        if time.monotonic() > self._deadline:
            raise httpx.ReadTimeout("the deadline has passed")
        self._pieces.append(piece)

    def response(self, response: httpx.Response) -> ReadResponse:
        """Return the whole response, unpacked. Raises ResponseTooLargeError or httpx.DecodingError."""
        if response.is_stream_consumed and not self._pieces:  # a transport that reads, and unpacks, by itself
            content = response.content
        else:
            content = _unpacked(self._pieces, response.headers.get("content-encoding", ""), self._max_bytes)
        if len(content) > self._max_bytes:
            del content
            raise ResponseTooLargeError("too many bytes")
        return ReadResponse(response.status_code, response.headers, content)


def read_raw(status: int, raw: list[tuple[bytes, bytes]], pieces: list[bytes], max_bytes: int) -> ReadResponse:
    """Return a whole response of a leasing transport, unpacked; the pieces are gone then.

    Raises as `BodyReader.response` does.
    """
    headers = LazyHeaders(raw)
    content = _unpacked(pieces, headers.get("content-encoding", ""), max_bytes)
    if len(content) > max_bytes:
        del content
        raise ResponseTooLargeError("too many bytes")
    return ReadResponse(status, headers, content)


def _unpacked(pieces: list[bytes], encodings: str, max_bytes: int) -> bytes:
    """Join and unpack a body, of which nothing is left in memory if that fails."""
    content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    pieces.clear()
    if not encodings or not content:
        return content
    try:
        for encoding in reversed(encodings.lower().split(",")):
            content = _unpack(content, encoding.strip(), max_bytes)
    except httpx.RequestError as error:
        content = b""
        raise error.with_traceback(None) from None  # the frames of its traceback hold bodies
    return content


def _unpack(content: bytes, encoding: str, max_bytes: int) -> bytes:
    if encoding in {"gzip", "x-gzip"}:
        return _inflate(content, zlib.decompressobj(_GZIP_WINDOW), max_bytes)
    if encoding == "deflate":
        # Some servers leave out the header of zlib, whose first byte names the method 8 in four of its bits.
        window = zlib.MAX_WBITS if content[0] & 0x0F == 8 else -zlib.MAX_WBITS
        return _inflate(content, zlib.decompressobj(window), max_bytes)
    if encoding in {"", "identity"}:
        return content
    raise httpx.DecodingError("an encoding that was not asked for")


def _inflate(content: bytes, decompressor: _Decompressor, max_bytes: int) -> bytes:
    pieces: list[bytes] = []
    size = 0
    try:
        while content and not decompressor.eof:
            piece = decompressor.decompress(content, _PIECE_BYTES)
            size += len(piece)
            if size > max_bytes:
                raise ResponseTooLargeError("too many bytes after decompression")
            pieces.append(piece)
            content = decompressor.unconsumed_tail
            if not piece and not content:
                break
    except zlib.error:
        raise httpx.DecodingError("not what Content-Encoding says") from None
    if not decompressor.eof:
        raise httpx.DecodingError("the compressed body is not complete")
    return b"".join(pieces)
