"""The bytes of a request and of a response on a leased connection, beside what h11 makes of them."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import h11
import httpcore
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import Synerise
from synerise_profiles._core import http1
from synerise_profiles._core.http1 import Exchange, LeasedRequest
from synerise_profiles._core.transport import RequestBuilder
from synerise_profiles.errors import APIConnectionError
from synerise_profiles_api.types import Request
from tests._core.support import Server, answer, operation, request

GET = LeasedRequest("GET", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", None, {}, None, repeatable=True)
HEADERS = st.sampled_from(
    [
        *(
            b"Content-Length: 3",
            b"content-length:  3 ",
            b"Content-Length: 5",
            b"Content-Length: 3, 3",
            b"CONTENT-LENGTH:0",
        ),
        *(
            b"Content-Length: 3 3",
            b"Content-Length: +3",
            b"Content-Length:",
            b"Content-Length : 3",
            b"Content-Length: -1",
        ),
        *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Transfer-Encoding: identity"),
        *(b"Connection: close", b"Connection: keep-alive", b"connection: Keep-Alive, x", b"Connection: x, close"),
        *(
            b"Upgrade: h2c",
            b"X: \t a b \t",
            b"X: \xc5\x82",
            b"X: \x01",
            b"X: \x00",
            b" folded",
            b"X",
            b": x",
            b"X Y: z",
        ),
        *(
            b"Date: Sun, 29 Nov 2026 08:00:00 GMT",
            b"X-A:b",
            b"Set-Cookie: a=b",
            b"set-cookie: c=d",
            b"X: \x7f",
            b"X: a\nY: b",
        ),
    ]
)
STATUS_LINES = st.sampled_from(
    [
        *(b"HTTP/1.1 200 OK", b"HTTP/1.1 200", b"HTTP/1.1 200 ", b"HTTP/1.1 204 No Content", b"HTTP/1.1 304 x"),
        *(b"HTTP/1.0 200 OK", b"HTTP/1.1 100 Continue", b"HTTP/1.1 101 x", b"HTTP/1.1 503 \xc5", b"HTTP/1.1 999 x"),
        *(b"HTTP/1.1  200 OK", b"HTTP/2 200", b"http/1.1 200 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 099 x", b"x"),
    ]
)
BODIES = st.sampled_from([b"", b"abc", b"abcde", b"3\r\nabc\r\n0\r\n\r\n", b"abcHTTP/1.1 200 OK\r\n\r\n", b"ab"])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\r\n", b"\n"])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    lines = [draw(STATUS_LINES), *draw(st.lists(HEADERS, max_size=4)), b""]
    return b"".join(line + draw(ENDS) for line in lines) + draw(BODIES)


def outcome(exchange: Exchange, pieces: list[bytes]) -> Any:
    """Feed pieces, and then the end; return what became of it."""
    exchange.is_sent = True
    try:
        for count, piece in enumerate([*pieces, b""]):
            if exchange.feed(piece):
                got = exchange.response()
                return count, got.status_code, list(got.headers.items()), got.content, exchange.is_reusable
    except httpcore.RemoteProtocolError:
        return "refused"
    raise AssertionError("neither an answer nor an error")


@given(responses(), st.lists(st.integers(0, 150), max_size=3))
@settings(max_examples=400, deadline=None)
def test_reads_what_h11_reads(data: bytes, places: list[int]) -> None:
    """Whatever arrives, in whatever pieces, is read, refused and kept as by h11."""
    cuts = [0, *sorted(place for place in places if 0 < place < len(data)), len(data)]
    pieces = [piece for begin, end in pairwise(cuts) if (piece := data[begin:end])]
    by_h11 = Exchange(GET, 1000)
    by_h11._h11 = http1._h11_connection(GET)
    assert outcome(by_h11, pieces) == outcome(Exchange(GET, 1000), pieces)


def test_plain_responses_need_no_h11() -> None:
    """A response with a Content-Length, and a 204 without, is read without h11."""
    for data in (answer(200, b'{"n":1}'), b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"):
        exchange = Exchange(GET, 1000)
        assert exchange.feed(data)
        assert exchange._h11 is None


@given(
    st.sampled_from(["GET", "POST", "DELETE"]),
    st.none() | st.binary(max_size=20) | st.just(b"x" * 70_000),
    st.dictionaries(st.sampled_from(["X-Request-Id", "x-b"]), st.sampled_from(["1", "a b", ""])),
)
@settings(max_examples=60, deadline=None)
def test_writes_what_h11_writes(method: str, content: bytes | None, further: dict[str, str]) -> None:
    """The bytes of a request are those of h11."""
    with Synerise(token="t", base_url="http://localhost:1/base", user_agent="app/1") as client:
        builder = RequestBuilder(client.options)
    sent: Request[Any] = request(
        operation=operation(http_method=method, headers=(("Api-Version", "4.4"),)), content=content
    )
    leased = builder.lease(sent, None, {}, 0.0, further)
    plain = builder.build(sent, None, {}, 0.0, further)
    connection = h11.Connection(h11.CLIENT)
    expected = (
        connection.send(h11.Request(method=method, target=plain.url.raw_path, headers=list(plain.headers.raw))) or b""
    )
    expected += connection.send(h11.Data(content or b"")) or b""
    expected += connection.send(h11.EndOfMessage()) or b""
    assert expected == b"".join(Exchange(leased, 1000).to_send())


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX-Evil: 1", "/a\x00", "/a\n\nb", ""])
def test_path_that_would_end_the_headers_is_not_sent(path: str) -> None:
    """A path with white space or control characters, made by hand, never reaches the server."""
    with Server([answer()]) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="not valid HTTP"):
            client.send(request(path=path))
        assert [] == server.heads
