"""Reads the body of a response: bounded in bytes and time, before and after decompression.

httpx would unpack whatever arrives, at once and without an end: some kilobytes can stand for gigabytes. So the body is
taken as it arrives and unpacked here, piece by piece, up to `max_response_bytes`.
"""

from __future__ import annotations

import inspect
import time
import zlib
from collections.abc import Iterator, Mapping
from typing import Final, Protocol

import attrs
import httpx

from synerise_profiles.errors import ConfigurationError

__all__ = ["BodyReader", "LazyHeaders", "ReadResponse", "ResponseTooLargeError", "checked_response", "read_raw"]

_PIECE_BYTES: Final = 256 * 1024
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16


class ResponseTooLargeError(httpx.RequestError):
    """The body of a response is larger than the client takes, as it arrived or unpacked."""


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

    __slots__ = ("_parsed", "_raw")

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._parsed: httpx.Headers | None = None

    def _headers(self) -> httpx.Headers:
        if self._parsed is None:
            self._parsed = httpx.Headers(self._raw)
        return self._parsed

    def __getitem__(self, name: str) -> str:
        if self._parsed is None:
            wanted = name.lower().encode("utf-8", "surrogatepass")
            found = b", ".join([value for other, value in self._raw if other.lower() == wanted])
            if found.isascii() and found:
                return found.decode("ascii")
        return self._headers()[name]

    def __contains__(self, name: object) -> bool:
        return name in self._headers()

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
    is_packed = b"content-encoding" in [name.lower() for name, _ in raw]
    content = _unpacked(pieces, headers["content-encoding"] if is_packed else "", max_bytes)
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
