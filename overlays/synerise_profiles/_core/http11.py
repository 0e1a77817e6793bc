"""HTTP/1.1 on one connection, without I/O: h11 keeps the protocol, and here each exchange is bounded.

The transports, `connection_pool` and `async_connection_pool`, send what `HttpConnection.start` returns and give what
arrives to `HttpConnection.feed`, until that has the whole response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
import h11
import httpcore

from .response_reading import CUT_SHORT, ResponseTooLargeError, UnsentRequestError, is_success
from .step_timeouts import step_seconds

__all__ = ["EARLY_ANSWER_SECONDS", "HttpConnection", "HttpRequest"]

_MAX_HEAD_BYTES: Final = 1_000_000
"""What may arrive before the headers of a response are complete, answers 1xx included."""
EARLY_ANSWER_SECONDS: Final = 0.05
"""How long an answer is looked for once a request could not be sent in time: the server may have refused it."""
_MAX_EVENT_BYTES: Final = 100_000
"""How long one head, or one line between chunks, may be."""
_MAX_JOINED_BYTES: Final = 64_000
_END: Final = h11.EndOfMessage()


@attrs.define(repr=False, eq=False)
class HttpRequest:
    """A request to the host of a connection, and how long it may take.

    `headers` are those that h11 acts on, and `header_lines` the others as they are sent, which have been checked.
    `timeouts` are the seconds of each step, and `deadline` is a moment of the monotonic clock.
    """

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    header_lines: bytes
    content: Sequence[bytes]
    timeouts: Mapping[str, float | None]
    deadline: float | None
    is_repeatable: bool

    def seconds_of(self, step: str, error: type[httpcore.TimeoutException]) -> float | None:
        """Return the seconds that a step may take, as `step_seconds` does."""
        return step_seconds(self.timeouts.get(step), self.deadline, error)


class HttpConnection:
    """The protocol of one connection: what one request and its response have done on it, and how large they may get."""

    __slots__ = (
        "_body",
        "_h11",
        "_is_cut",
        "_max_bytes",
        "_max_response_bytes",
        "has_sent",
        "headers",
        "is_complete",
        "received",
        "status",
    )

    def __init__(self, max_response_bytes: int) -> None:
        self._max_response_bytes = max_response_bytes
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_EVENT_BYTES)
        self._reset()

    def _reset(self) -> None:
        self._max_bytes = _MAX_HEAD_BYTES
        self._body = bytearray()
        self.has_sent = self._is_cut = self.is_complete = False
        self.received = 0
        self.status = 0  # until the headers of the response are there
        self.headers: list[tuple[bytes, bytes]] = []

    def start(self, request: HttpRequest) -> Sequence[bytes]:
        """Begin an exchange: return what to send. Raises UnsentRequestError for what is not valid HTTP."""
        self._reset()
        protocol = self._h11
        try:
            head = protocol.send(h11.Request(method=request.method, target=request.target, headers=request.headers))
            if request.header_lines:
                head = b"%s%s\r\n" % (head[:-2], request.header_lines)
            if not request.content:
                return (head + protocol.send(_END),)
            pieces = [head]
            for piece in request.content:
                pieces += protocol.send_with_data_passthrough(h11.Data(data=piece)) or ()
            pieces.append(protocol.send(_END))
        except h11.LocalProtocolError as error:
            raise UnsentRequestError(str(error)) from None
        # The headers of a request with a small body leave with it at once.
        return (b"".join(pieces),) if sum(map(len, pieces)) <= _MAX_JOINED_BYTES else pieces

    def feed(self, data: bytes) -> None:
        """Take what has arrived, b"" at the end. Raises ResponseTooLargeError or httpcore.RemoteProtocolError.

        For the success of a request that could not be sent whole it raises httpcore.WriteError.
        """
        self.received += len(data)
        if self.received > self._max_bytes:
            raise ResponseTooLargeError("too many bytes")
        protocol = self._h11
        try:
            protocol.receive_data(data)
            while (event := protocol.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Data):
                    self._body += event.data
                elif isinstance(event, h11.Response):
                    self._handle_head(event)
                elif isinstance(event, h11.EndOfMessage):
                    self.is_complete = True
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    raise httpcore.RemoteProtocolError("the server speaks another protocol from here on")
        except h11.RemoteProtocolError as error:
            raise httpcore.RemoteProtocolError(str(error)) from error

    def _handle_head(self, response: h11.Response) -> None:
        """The headers of the response are complete; what follows is its body.

        An error may come before the request is sent whole, and ends it; a success then confirms what cannot be there.
        """
        self.status = response.status_code
        self.headers = response.headers.raw_items()
        if self._is_cut and is_success(response.status_code):
            raise httpcore.WriteError(CUT_SHORT)
        self._max_bytes = self.received + self._max_response_bytes + _MAX_HEAD_BYTES

    @property
    def is_refused(self) -> bool:
        """Whether an error has been answered, be the request sent whole or not."""
        return self.status != 0 and not is_success(self.status)

    def send_failed(self) -> None:
        """Note that the request could not be sent whole, so that the connection ends with this exchange.

        The server may have said why before it stopped reading; a success would confirm what cannot be there.
        """
        self._is_cut = True
        self._h11.send_failed()

    def take_body(self) -> bytes:
        """Hand over what has arrived of the body; nothing of it is kept."""
        body, self._body = self._body, bytearray()
        return bytes(body)

    def end(self) -> bool:
        """End the exchange; return whether the connection can be used for another one.

        It can if the request was sent whole and the response read to its end, and nothing came behind that: such bytes,
        as of a 408 at once, would be taken for the answer to the next request.
        """
        protocol = self._h11
        if not self.is_complete or protocol.trailing_data[0]:
            return False
        if protocol.our_state is not h11.DONE or protocol.their_state is not h11.DONE:
            return False
        protocol.start_next_cycle()
        return True
