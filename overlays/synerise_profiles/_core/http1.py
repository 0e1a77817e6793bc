"""HTTP/1.1 without I/O, for the leasing transports: a request as bytes, and its response from the bytes that arrive.

An `Exchange` reads one response. Most are plain: they come with a Content-Length, on a connection that stays. Those are
read by one expression, which takes less than h11 does and nothing that it would read otherwise. Whatever else arrives
is left to h11, from its first byte on.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Final

import attrs
import h11
import httpcore

from .response_reading import LazyHeaders, ReadResponse, ResponseTooLargeError, unpacked

__all__ = ["READ_BYTES", "Exchange", "LeasedRequest"]

READ_BYTES: Final = 64 * 1024
"""How much is received at a time."""
_MAX_JOINED_BYTES: Final = 64_000
"""A body up to this size leaves together with the headers of its request."""
_MAX_HEAD_BYTES: Final = 1_000_000
"""What may arrive before the headers of a response are complete, answers 1xx included."""
_MAX_EVENT_BYTES: Final = 100_000
"""How long the headers of one response may be."""
_TOKEN: Final = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_REQUEST: Final = re.compile(
    rb"[A-Z]+ [!-~]+ HTTP/1\.1\r\n(?:" + _TOKEN + rb": (?:[!-~](?:[ -~]*[!-~])?)?\r\n)+\r\n",
)
"""What the headers of a request may be: no value of theirs may end them."""
_PLAIN_HEAD: Final = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [ -~]*)?\r\n((?:" + _TOKEN + rb":[\t -~]*\r\n)*)\r\n")
_FRAMING: Final = re.compile(rb"(?im)^(content-length|transfer-encoding|connection|upgrade):([\t -~]*)")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_BLANKS: Final = b" \t"
_BODILESS: Final = frozenset({204, 304})


@attrs.frozen(eq=False, repr=False)
class LeasedRequest:
    """A request as it is sent on a leased connection: `head` ends with an empty line.

    `timeouts` are the seconds of each step, `deadline` is a moment of the monotonic clock.
    """

    method: str
    head: bytes
    content: bytes | None
    timeouts: Mapping[str, float | None]
    deadline: float | None
    repeatable: bool

    def seconds(self, step: str, error: type[httpcore.TimeoutException]) -> float | None:
        """Return the seconds that a step may take: its own, or what is left of the deadline."""
        timeout = self.timeouts.get(step)
        if self.deadline is None:
            return timeout
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise error("the deadline has passed")
        return left if timeout is None or left < timeout else timeout


class Exchange:
    """One request and its response on one connection; the body may have so many bytes.

    `has_sent` says that something was sent, `is_sent` that everything was, `received` how many bytes came, and
    `is_reusable` that the connection stands where another exchange may begin.
    """

    __slots__ = (
        "_h11",
        "_headers",
        "_length",
        "_max_bytes",
        "_max_response_bytes",
        "_pieces",
        "_status",
        "has_sent",
        "is_reusable",
        "is_sent",
        "received",
        "request",
    )

    def __init__(self, request: LeasedRequest, max_response_bytes: int) -> None:
        self.request = request
        self.has_sent = self.is_sent = self.is_reusable = False
        self.received = 0
        self._max_response_bytes = max_response_bytes
        self._max_bytes = _MAX_HEAD_BYTES
        self._h11: h11.Connection | None = None
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self._length = -1
        """How many bytes of a plain body are missing; -1 until its headers were read."""

    def to_send(self) -> tuple[bytes, ...]:
        """Return what to send, a small body together with the headers. Raises LocalProtocolError for bad headers."""
        head, content = self.request.head, self.request.content
        if not _REQUEST.fullmatch(head):
            raise httpcore.LocalProtocolError("a header or the path of the request cannot be sent")
        if not content:
            return (head,)
        return (head + content,) if len(content) <= _MAX_JOINED_BYTES else (head, content)

    def feed(self, data: bytes) -> bool:
        """Take what has arrived, nothing at the end of the connection; true if the response is complete.

        Raises RemoteProtocolError for what is no response, and ResponseTooLargeError.
        """
        self.received += len(data)
        if self.received > self._max_bytes:
            raise ResponseTooLargeError("too many bytes")
        if self._h11 is not None:
            return self._feed_h11(self._h11, data)
        if self._length >= 0:
            return self._feed_plain(data)
        if not data:
            raise httpcore.RemoteProtocolError("the server closed the connection without a response")
        end = self._read_plain_head(data)
        if end < 0:
            self._h11 = _h11_connection(self.request)
            return self._feed_h11(self._h11, data)
        self._max_bytes = self.received + self._max_response_bytes + _MAX_HEAD_BYTES
        return self._feed_plain(data[end:]) if end < len(data) else self._is_complete()

    def response(self) -> ReadResponse:
        """Return the complete response, unpacked. Raises ResponseTooLargeError or httpx.DecodingError."""
        pieces = self._pieces
        content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        headers = LazyHeaders(self._headers)
        if content and any(name.lower() == b"content-encoding" for name, _ in self._headers):
            content = unpacked(content, headers.get("content-encoding", ""), self._max_response_bytes)
        if len(content) > self._max_response_bytes:
            raise ResponseTooLargeError("too many bytes")
        return ReadResponse(self._status, headers, content)

    def _read_plain_head(self, data: bytes) -> int:
        """Read the headers of a plain response; return where its body begins, -1 if it is another kind of response."""
        found = _PLAIN_HEAD.match(data)
        if found is None or found.end() > _MAX_EVENT_BYTES or self.request.method == "HEAD":
            return -1
        status, lines = int(found[1]), found[2]
        length = 0 if status in _BODILESS else -1
        for name, value in _FRAMING.findall(lines):
            kind, text = name.lower(), value.strip(_BLANKS)
            if kind == b"content-length" and length < 0 and _LENGTH.fullmatch(text):
                length = int(text)
            elif kind != b"connection" or text.lower() != b"keep-alive":
                return -1
        if length < 0:
            return -1
        self._status, self._length = status, length
        for line in lines.split(b"\r\n")[:-1]:
            name, _, value = line.partition(b":")
            self._headers.append((name, value.strip(_BLANKS)))
        return found.end()

    def _feed_plain(self, data: bytes) -> bool:
        if not data:
            raise httpcore.RemoteProtocolError("the server closed the connection within a response")
        excess = len(data) - self._length
        self._pieces.append(data[: self._length] if excess > 0 else data)
        self._length -= len(self._pieces[-1])
        return self._is_complete(excess)

    def _is_complete(self, excess: int = 0) -> bool:
        self.is_reusable = not self._length and excess <= 0
        return not self._length

    def _feed_h11(self, connection: h11.Connection, data: bytes) -> bool:
        if not data and connection.their_state is h11.SEND_RESPONSE:
            raise httpcore.RemoteProtocolError("the server closed the connection without a response")
        try:
            connection.receive_data(data)
            while (event := connection.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._status, self._headers = event.status_code, event.headers.raw_items()
                    self._max_bytes = self.received + self._max_response_bytes + _MAX_HEAD_BYTES
                elif isinstance(event, h11.Data):
                    self._pieces.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    is_done = connection.our_state is h11.DONE and connection.their_state is h11.DONE
                    self.is_reusable = is_done and not connection.trailing_data[0]
                    return True
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error
        return False


def _h11_connection(request: LeasedRequest) -> h11.Connection:
    """Return a connection of h11 on which a request was sent."""
    connection = h11.Connection(h11.CLIENT, _MAX_EVENT_BYTES)
    first, *lines = request.head[:-4].split(b"\r\n")
    method, target, _ = first.split(b" ")
    headers = [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
    connection.send(h11.Request(method=method, target=target, headers=headers))
    if request.content:
        connection.send(h11.Data(request.content))
    connection.send(h11.EndOfMessage())
    return connection
