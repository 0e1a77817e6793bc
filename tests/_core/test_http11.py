"""HTTP/1.1 without sockets: however a response arrives, it is the same one, and a request is what its parts say."""

from __future__ import annotations

import itertools
from typing import Any

import h11
import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._core.http11 import HttpConnection, HttpRequest
from synerise_profiles._core.response_reading import ResponseTooLargeError, UnsentRequestError

HOST = (b"Host", b"a.example")
BODIES = st.binary(max_size=300)
INTERIM = [b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"]


def request_of(*content: bytes, **facts: Any) -> HttpRequest:
    length = [(b"Content-Length", b"%d" % len(b"".join(content)))] if content else []
    given: dict[str, Any] = {
        "method": "POST" if content else "GET",
        "target": b"/v4/things?a=1",
        "headers": [HOST, *length],
        "header_lines": b"",
        "content": content,
        "timeouts": {},
        "deadline": None,
        "is_repeatable": False,
        **facts,
    }
    return HttpRequest(**given)


def feed(http: HttpConnection, *pieces: bytes) -> None:
    for piece in pieces:
        http.feed(piece)


def wire_of(body: bytes, sizes: list[int] | None) -> bytes:
    """A response with this body: with its length, or in chunks of these sizes."""
    if sizes is None:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    chunks, rest = [], body
    for size in sizes:
        piece, rest = rest[:size], rest[size:]
        chunks += [b"%x\r\n%s\r\n" % (len(piece), piece)] if piece else []
    chunks += [b"%x\r\n%s\r\n" % (len(rest), rest)] if rest else []
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % b"".join(chunks)


@given(
    body=BODIES,
    sizes=st.none() | st.lists(st.integers(1, 99), max_size=4),
    interim=st.lists(st.sampled_from(INTERIM), max_size=3),
    cuts=st.lists(st.integers(0, 800), max_size=8),
    behind=st.binary(max_size=3),
)
def test_a_response_is_the_same_in_any_pieces(
    body: bytes, sizes: list[int] | None, interim: list[bytes], cuts: list[int], behind: bytes
) -> None:
    """Its body is found whole; the connection is kept only if nothing came behind it, and serves the next request."""
    http = HttpConnection(1000)
    wire = b"".join(interim) + wire_of(body, sizes)
    for trailing in (b"", behind):
        http.start(request_of())
        received = b""
        marks = sorted({0, len(wire), *(cut for cut in cuts if cut < len(wire))})
        for start, end in itertools.pairwise(marks):
            assert not http.is_complete
            last = end == len(wire)
            http.feed(wire[start:end] + (trailing if last else b""))
            received += http.take_body()
        assert (http.is_complete, http.status, received) == (True, 200, body)
        assert http.end() is not bool(trailing)


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40_000), max_size=4),
    lines=st.sampled_from([b"", b"Accept: */*\r\nX-Id: 1\r\n"]),
    is_chunked=st.booleans(),
)
def test_a_request_is_sent_as_what_it_is(pieces: list[bytes], lines: bytes, *, is_chunked: bool) -> None:
    """A server reads the same method, target, headers and body, whether it leaves in one piece or in several."""
    facts: dict[str, Any] = {"header_lines": lines}
    if is_chunked:
        facts |= {"method": "PUT", "headers": [HOST, (b"Transfer-Encoding", b"chunked")]}
    sent = request_of(*pieces, **facts)
    server = h11.Connection(h11.SERVER)
    out = HttpConnection(1000).start(sent)
    server.receive_data(b"".join(out))
    head = server.next_event()
    assert isinstance(head, h11.Request)
    assert (sent.method.encode(), sent.target) == (head.method, head.target)
    names = [name for name, _ in head.headers]
    assert [name.lower() for name, _ in sent.headers] + [b"accept", b"x-id"] * bool(lines) == names
    body = b""
    while isinstance(event := server.next_event(), h11.Data):
        body += event.data
    assert isinstance(event, h11.EndOfMessage)
    assert b"".join(pieces) == body
    assert len(out) == 1 or sum(map(len, out)) > 64_000


def test_what_is_too_large_is_refused_as_it_arrives() -> None:
    """Headers without an end, interim answers without an end, and a body beyond its bound."""
    for piece in (b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 1000):
        http = HttpConnection(100_000)
        http.start(request_of())
        with pytest.raises(ResponseTooLargeError):
            feed(http, *[piece] * (2_000_000 // len(piece)))
        assert http.received < 1_200_000
    http = HttpConnection(100_000)
    http.start(request_of())
    with pytest.raises(httpcore.RemoteProtocolError):
        http.feed(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000)


@pytest.mark.parametrize("wire", [b"", b"HTTP/1.1 200", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab"])
def test_an_answer_that_is_cut_off_is_told(wire: bytes) -> None:
    """Before it begins, in its headers, and in its body."""
    http = HttpConnection(1000)
    http.start(request_of())
    with pytest.raises(httpcore.RemoteProtocolError):
        feed(http, *filter(None, [wire]), b"")
    assert not http.end()


@pytest.mark.parametrize(
    "facts",
    [
        {"target": b"/a b"},
        {"headers": []},
        {"headers": [HOST, (b"X", b"a\n")]},
        {"headers": [HOST, (b"Content-Length", b"9")]},
    ],
)
def test_what_is_no_http_is_not_sent(facts: dict[str, Any]) -> None:
    """A target with a space, no host, a value with a line break, and a length that is not that of the content."""
    with pytest.raises(UnsentRequestError):
        HttpConnection(1000).start(request_of(b"ab", **facts))


@pytest.mark.parametrize("headers", [[HOST], [HOST, (b"Upgrade", b"x"), (b"Connection", b"upgrade")]])
def test_a_switch_of_protocols_is_an_error(headers: list[tuple[bytes, bytes]]) -> None:
    """The connection would speak something else from there on, whether that was asked for or not."""
    http = HttpConnection(1000)
    http.start(request_of(headers=headers))
    with pytest.raises(httpcore.RemoteProtocolError):
        http.feed(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n")
    assert not http.is_complete


def test_a_request_that_could_not_be_sent_whole_ends_its_connection() -> None:
    """An error is read to its end, a success confirms nothing, and the next request is not taken for the rest."""
    http = HttpConnection(1000)
    http.start(request_of(b"abc"))
    http.send_failed()
    http.feed(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\n{}")
    assert (True, True, b"{}") == (http.is_complete, http.is_refused, http.take_body())
    assert not http.end()
    http = HttpConnection(1000)
    http.start(request_of(b"abc"))
    http.send_failed()
    with pytest.raises(httpcore.WriteError):
        http.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert not http.end()


def test_a_body_may_be_as_large_as_its_bound() -> None:
    """Which is counted from its head on, and is larger than what a head may be."""
    http = HttpConnection(5_000_000)
    http.start(request_of())
    http.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000\r\n\r\n")
    feed(http, *[bytes(50_000)] * 100)
    assert http.is_complete
    assert bytes(5_000_000) == http.take_body()
    assert not http.take_body()
    assert http.end()
    http.start(request_of())
    http.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n")
    with pytest.raises(ResponseTooLargeError):
        feed(http, *[bytes(50_000)] * 180)
