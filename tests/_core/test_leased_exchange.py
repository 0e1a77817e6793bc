"""What one exchange on a leased connection gives: to the client, and to whoever uses the transport in httpx's terms."""

from __future__ import annotations

import contextlib
import copy
import gc
import gzip
import pickle
import socket
import threading
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest

from synerise_profiles import AsyncSynerise
from synerise_profiles._core.async_connection_pool import AsyncLeasingTransport
from synerise_profiles._core.connection_pool import LeasingTransport
from synerise_profiles._core.response_reading import LazyHeaders
from synerise_profiles.errors import APIConnectionError, APIStatusError
from tests._core.support import ONCE, Act, Server, answer, hang_up, operation, request
from tests._core.test_transport import client

BOUNDS: dict[str, Any] = {"max_connections": 1, "max_response_bytes": 1_000_000}
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
BOMB = answer(200, gzip.compress(gzip.compress(b" " * 2_000_000, 0)), "Content-Encoding: gzip, gzip")
CUT = answer(200, gzip.compress(b"[%s]" % (b"1," * 40_000), 0)[:-20], "Content-Encoding: gzip")
RAW = [(b"Content-Type", b"application/json"), (b"X-Twice", b"1"), (b"x-twice", b"2")]


@pytest.mark.parametrize(
    ("wire", "status", "body"),
    [
        (CHUNKED + b"2;name=value\r\n[1\r\n1\r\n]\r\n0\r\nX-Sum: 9\r\n\r\n", 200, b"[1]"),
        (
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(200, b"[1]"),
            200,
            b"[1]",
        ),
        (b"HTTP/1.1 204 None\r\n\r\n", 204, b""),
        (b"HTTP/1.1 204 None\r\nContent-Encoding: gzip\r\n\r\n", 204, b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Encoding: gzip\r\n\r\n", 200, b""),
        (answer(200, gzip.compress(b"[1]"), "CONTENT-ENCODING: GZip"), 200, b"[1]"),
        (
            answer(200, gzip.compress(gzip.compress(b"[1]")), "Content-Encoding: gzip", "Content-Encoding: gzip"),
            200,
            b"[1]",
        ),
        (b"HTTP/1.1 304 Same\r\nContent-Length: 99\r\n\r\n", 304, b""),
    ],
)
def test_each_form_of_a_response_is_read_to_its_end(wire: bytes, status: int, body: bytes) -> None:
    """Chunks with trailers, interim answers, and statuses without a body are read whole, and the connection is kept."""
    with Server([wire]) as server, client(base_url=server.url) as synerise:
        for _ in range(2):
            if status == 304:
                with pytest.raises(APIStatusError) as caught:
                    synerise.send(request())
                assert 304 == caught.value.status_code
            else:
                response = synerise.send(request())
                assert (status, body) == (response.status_code, response.content)
        assert 1 == server.connections


def test_response_to_head_has_no_body() -> None:
    """The length that a response to HEAD announces is not waited for."""
    head = operation(http_method="HEAD")
    with Server([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n"]) as server, client(base_url=server.url) as synerise:
        assert [b"", b""] == [synerise.send(request(operation=head)).content for _ in range(2)]
        assert 1 == server.connections


SENT = [
    request(),
    request(operation=ONCE, repeatable=False, content=b'{"a": 1}'),
    request(operation=ONCE, repeatable=False, content=b" " * 100_000),
    request(operation=ONCE, repeatable=False),
    request(operation=operation(http_method="DELETE", accept="text/plain", headers=(("Api-Version", "4.4"),))),
]
FURTHER = {"X-Request-Id": "r-1", "X-Other": "a: b"}


@pytest.mark.parametrize("transport", ["httpx", "leased", "leased async"])
def test_each_header_goes_out_once(transport: str) -> None:
    """With the first request of its kind, with those after it, and with one that is sent again on a new connection."""
    wires: list[bytes | Act] = [answer(200, b"[1]")] * 11
    with Server([*wires, hang_up, answer(200, b"[1]")]) as server:
        given = httpx.HTTPTransport() if transport == "httpx" else None
        sent = [*SENT, *SENT, SENT[0], SENT[0]]
        if transport == "leased async":

            async def run() -> None:
                async with AsyncSynerise(token="t", base_url=server.url) as synerise:
                    for each in sent:
                        await synerise.with_options(headers=FURTHER).send(each)

            anyio.run(run)
        else:
            with client(base_url=server.url, transport=given) as synerise:
                for each in sent:
                    synerise.with_options(headers=FURTHER).send(each)
        for each, head, body in zip([*sent, SENT[0]], server.heads, server.bodies, strict=True):
            operation, content = each.operation, each.content or b""
            first, *lines = head.decode().split("\r\n")
            assert f"{operation.http_method} /v4/things/1 HTTP/1.1" == first
            assert content == body
            names = ["Host", "User-Agent", "Accept-Encoding", "Accept", "Authorization", *FURTHER]
            names += [name for name, _ in operation.headers] + ["Content-Type"] * bool(content)
            names += ["Content-Length"] * (operation.http_method == "POST")
            values = dict(line.split(": ", 1) for line in lines)
            assert sorted(names) == sorted(line.partition(":")[0] for line in lines)
            assert FURTHER == {name: values[name] for name in FURTHER}
            assert (operation.accept, "Bearer t") == (values["Accept"], values["Authorization"])
            assert lines[0] == f"Host: {server.url.removeprefix('http://')}"


def close_after(wire: bytes) -> Act:
    def act(connection: Any) -> None:
        connection.sendall(wire)
        connection.close()

    return act


@pytest.mark.parametrize(
    "act",
    [
        answer(200, b"[1]", "Connection: close"),
        close_after(b"HTTP/1.0 200 OK\r\n\r\n[1]"),
        close_after(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n[1]"),
    ],
)
def test_connection_that_ends_with_its_response_is_not_used_again(act: Act | bytes) -> None:
    """With `Connection: close`, and without a length, each call has a connection of its own."""
    with Server([act]) as server, client(base_url=server.url) as synerise:
        assert [b"[1]"] * 3 == [synerise.send(request()).content for _ in range(3)]
        assert 3 == server.connections


def pieces() -> Iterator[bytes]:
    yield b"a" * 10
    yield b"b" * 10


def test_transport_serves_a_client_of_httpx() -> None:
    """In httpx's terms it sends any request, streams the response, and takes the connection back when it is closed."""
    short = answer(200, b'{"a": 1}', "Set-Cookie: a=1", "Set-Cookie: b=2")
    with Server([short, short, short, answer(200, bytes(1_000_000)), short]) as server:
        transport = LeasingTransport(server.url, None, **BOUNDS)
        with httpx.Client(transport=transport, base_url=server.url) as plain:
            assert {"a": 1} == plain.get("/x", params={"q": "ł"}).json()
            assert 200 == plain.post("/x", content=b"body").status_code
            with plain.stream("GET", "/y") as response:
                assert ["a=1", "b=2"] == response.headers.get_list("set-cookie")
                assert b'{"a": 1}' == b"".join(response.iter_raw())
            with plain.stream("GET", "/left"):
                pass  # without reading it
            assert 200 == plain.get("/z").status_code
            assert 2 == server.connections
        lines = [head.split(b"\r\n")[0] for head in server.heads]
        assert b"GET /x?q=%C5%82 HTTP/1.1" == lines[0]
        assert b"body" == server.bodies[1]


def test_a_stream_that_was_closed_gives_nothing_of_the_next_exchange() -> None:
    """Its connection may serve another call by then."""
    with (
        Server([answer(200, bytes(200_000)), answer(200, b"[2]")]) as server,
        httpx.Client(transport=LeasingTransport(server.url, None, **BOUNDS), base_url=server.url) as plain,
    ):
        with plain.stream("GET", "/") as response:
            pieces = iter(response.stream)  # type: ignore[arg-type]
            assert next(pieces)
        with pytest.raises(httpx.StreamClosed):
            next(pieces)
        assert [2] == plain.get("/").json()


@pytest.mark.anyio
async def test_so_does_an_async_one() -> None:
    """As above."""
    with Server([answer(200, bytes(200_000)), answer(200, b"[2]")]) as server:
        transport = AsyncLeasingTransport(server.url, None, **BOUNDS)
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as plain:
            async with plain.stream("GET", "/") as response:
                pieces = aiter(response.stream)  # type: ignore[arg-type]
                assert await anext(pieces)
            with pytest.raises(httpx.StreamClosed):
                await anext(pieces)
            assert [2] == (await plain.get("/")).json()


def test_transport_in_terms_of_httpx_raises_its_errors() -> None:
    """Errors of the connection are httpx's, also in the midst of a body."""
    broken = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"
    with (
        Server([close_after(broken)]) as server,
        httpx.Client(transport=LeasingTransport(server.url, None, **BOUNDS), base_url=server.url) as plain,
    ):
        for _ in range(2):
            with pytest.raises(httpx.RemoteProtocolError):
                plain.get("/")
    with (
        httpx.Client(transport=LeasingTransport(server.url, None, **BOUNDS), base_url=server.url) as plain,
        pytest.raises(httpx.ConnectError),
    ):
        plain.get("/")


@pytest.mark.anyio
async def test_async_transport_serves_a_client_of_httpx() -> None:
    """The async one does the same, with bodies of a known length and in chunks."""
    with Server([answer(200, b"[1]")]) as server:
        transport = AsyncLeasingTransport(server.url, None, **BOUNDS)
        async with httpx.AsyncClient(transport=transport, base_url=server.url) as plain:
            assert [1] == (await plain.post("/x", content=b"body")).json()
            async with plain.stream("GET", "/y") as response:
                assert b"[1]" == b"".join([piece async for piece in response.aiter_raw()])
            assert 1 == server.connections
        assert [b"body", b""] == server.bodies


def test_body_of_unknown_length_goes_out_in_chunks() -> None:
    """A request whose length nobody knows, which httpx sends in chunks, arrives whole."""
    received = b""

    def serve() -> None:
        nonlocal received
        connection, _ = listener.accept()
        with connection:
            while not received.endswith(b"0\r\n\r\n"):
                received += connection.recv(65536)
            connection.sendall(answer())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with httpx.Client(transport=LeasingTransport(url, None, **BOUNDS), base_url=url) as plain:
            assert 200 == plain.post("/x", content=pieces()).status_code
        thread.join(5)
    chunks = [b"a", b"a" * 10, b"a", b"b" * 10, b"0", b"", b""]
    assert b"\r\n".join(chunks) == received.partition(b"\r\n\r\n")[2]


def test_headers_of_a_response_are_a_mapping_of_any_case() -> None:
    """Headers that are read late are found, compared, listed, copied and pickled as httpx's are."""
    lazy, known = LazyHeaders(RAW), httpx.Headers(RAW)
    assert "application/json" == lazy["CONTENT-type"]
    assert "1, 2" == lazy.get("X-Twice")
    assert ("content-TYPE" in lazy, "other" in lazy, lazy.get("other")) == (True, False, None)
    assert (list(known), len(known), repr(known), dict(known)) == (list(lazy), len(lazy), repr(lazy), dict(lazy))
    assert lazy == LazyHeaders(RAW)
    assert lazy == known
    for same in (copy.copy(lazy), copy.deepcopy(lazy), pickle.loads(pickle.dumps(lazy))):
        assert lazy == same


@pytest.mark.parametrize("how", ["leased", "given"])
@pytest.mark.parametrize("wire", [BOMB, CUT, answer(503), answer(400)])
def test_failed_call_leaves_nothing_to_the_garbage_collector(wire: bytes, how: str) -> None:
    """What a call that failed had in memory is gone with its error: nothing waits for a search for cycles."""
    with Server([wire]) as server:
        given = None if how == "leased" else httpx.HTTPTransport()
        with client(base_url=server.url, max_response_bytes=100_000, max_retries=0, transport=given) as synerise:
            with pytest.raises((APIStatusError, APIConnectionError)) as caught:
                synerise.send(request())
            assert largest_body(caught.value) <= 65_536  # one piece
            gc.collect()
            gc.disable()
            found: weakref.ref[BaseException] | None = None
            try:
                synerise.send(request())
            except (APIStatusError, APIConnectionError) as error:
                found = weakref.ref(error)
            finally:
                gc.enable()
            assert found is not None
            assert found() is None


def test_failed_connection_leaves_nothing_to_the_garbage_collector() -> None:
    """Nor does a host at which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with client(base_url=url, max_retries=0) as synerise:
        gc.collect()
        gc.disable()
        before = refusals()
        try:
            with contextlib.suppress(APIConnectionError):
                synerise.send(request())
            assert before == refusals()
        finally:
            gc.enable()


def refusals() -> int:
    """How many exceptions of refused connections are in memory."""
    return sum(1 for each in gc.get_objects() if type(each) is ConnectionRefusedError)


def largest_body(error: BaseException) -> int:
    """The size of the largest bytes that the frames of an exception, and of what it came of, hold, or their leases."""
    sizes = [0]
    each: BaseException | None = error
    while each is not None:
        for frame, _ in traceback.walk_tb(each.__traceback__):
            values = [value for value in frame.f_locals.values() if frame.f_code.co_filename != __file__]
            parts = [part for value in values for part in (value if isinstance(value, list) else [value])]
            sizes += [len(part) for part in parts if isinstance(part, bytes)]
            sizes += [len(value.http.take_body()) for value in values if hasattr(value, "http")]
        each = each.__cause__ or each.__context__
    return max(sizes)


def test_headers_are_asked_for_by_any_key() -> None:
    """One that is no text is not there, as in any mapping."""
    headers: Any = LazyHeaders(RAW)
    assert 5 not in headers
    assert headers.get(None) is None
    assert "x-twice" in headers
