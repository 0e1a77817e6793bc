"""A server that answers before it has read the whole request: what counts, and what becomes of the rest."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.asyncio_stream import AsyncioStream, connect_asyncio
from synerise_profiles._core.socket_io import MAX_PIECE_BYTES
from synerise_profiles._core.tls_stream import start_tls
from synerise_profiles.errors import APIConnectionError, APIStatusError, APITimeoutError
from synerise_profiles_api.types import Response
from tests._core.support import ONCE, answer, request
from tests._core.tls import make_certificate

SIZE = 12_000_000
"""More than the buffers of two sockets hold."""
KINDS = pytest.mark.parametrize("kind", ["sync", "asyncio", "trio"])
Serve = Callable[[socket.socket], None]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    if made is None:
        pytest.skip("there is no openssl program")
    return made


@pytest.fixture(params=[False, True], ids=["plain", "tls"])
def wrapping(request: pytest.FixtureRequest, certificate: Path) -> tuple[ssl.SSLContext | None, Any]:
    """The server's context, if it speaks TLS, and what the client verifies it by."""
    if not request.param:
        return None, True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context, ssl.create_default_context(cafile=certificate)


@contextlib.contextmanager
def serving(serve: Serve, context: ssl.SSLContext | None) -> Iterator[str]:
    """Call `serve` for each connection once the headers of its request are there."""
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # an answer leaves before a close discards it
        with contextlib.suppress(OSError):
            speaker = connection if context is None else context.wrap_socket(connection, server_side=True)
            with speaker:
                data = b""
                while b"\r\n\r\n" not in data and (piece := speaker.recv(1000)):
                    data += piece
                serve(speaker)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=one, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield f"http{'' if context is None else 's'}://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for thread in threads:
        thread.join(10)


@contextlib.contextmanager
def set_at_end(event: threading.Event) -> Iterator[None]:
    try:
        yield
    finally:
        event.set()


def send(kind: str, url: str, verify: Any, **arguments: Any) -> Response[bytes]:
    """Send a large request that must not be sent twice, and close the client."""
    given: dict[str, Any] = {"token": "t", "base_url": url, "verify": verify, "timeout": 10.0, **arguments}
    sent = request(operation=ONCE, repeatable=False, content=bytes(SIZE))
    if kind == "sync":
        with Synerise(**given) as client:
            return client.send(sent)

    async def run() -> Response[bytes]:
        async with AsyncSynerise(**given) as client:
            return await client.send(sent)

    return anyio.run(run, backend=kind)


@KINDS
def test_a_success_that_comes_early_loses_nothing(kind: str, wrapping: tuple[Any, Any]) -> None:
    """The call ends once all of the request has left, however slowly the server reads it."""
    context, verify = wrapping
    ended, got = threading.Event(), [0]

    def serve(connection: socket.socket) -> None:
        connection.sendall(answer(202, b""))
        ended.wait(0.1)
        while piece := connection.recv(500_000):
            got[0] += len(piece)

    with serving(serve, context) as url:
        assert 202 == send(kind, url, verify).status_code
        ended.set()
    assert got[0] >= SIZE - 1000  # some may have come with the headers


@KINDS
def test_an_error_that_comes_early_is_told(kind: str, wrapping: tuple[Any, Any]) -> None:
    """The server closes the connection without reading on, and its answer says why."""
    context, verify = wrapping
    with (
        serving(lambda connection: connection.sendall(answer(413)), context) as url,
        pytest.raises(APIStatusError, match="413"),
    ):
        send(kind, url, verify)


@KINDS
def test_an_error_is_told_though_the_server_neither_reads_on_nor_closes(kind: str, wrapping: tuple[Any, Any]) -> None:
    """Once the request could not be sent in time, also where its head comes in pieces and behind an interim answer."""
    context, verify = wrapping
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 413 Too")
        connection.sendall(b" Large\r\nContent-Length: 2\r\n\r\n{}")
        ended.wait(10)

    with serving(serve, context) as url, set_at_end(ended), pytest.raises(APIStatusError, match="413"):
        send(kind, url, verify, timeout=(10, 10, 0.1, 10), max_retries=0)


@KINDS
def test_a_request_that_was_refused_early_is_the_last_one_of_its_connection(
    kind: str, wrapping: tuple[Any, Any]
) -> None:
    """The server would take the next one for the rest of it."""
    context, verify = wrapping
    ended, served = threading.Event(), [0]

    def serve(connection: socket.socket) -> None:
        served[0] += 1
        if served[0] == 1:
            connection.sendall(answer(413))
            ended.wait(10)
        else:
            connection.sendall(answer(200, b"[1]"))

    large = request(operation=ONCE, repeatable=False, content=bytes(SIZE))
    given: dict[str, Any] = {"token": "t", "verify": verify, "timeout": (10, 10, 0.1, 10), "max_retries": 0}

    async def run(url: str) -> bytes:
        async with AsyncSynerise(base_url=url, **given) as client:
            with pytest.raises(APIStatusError, match="413"):
                await client.send(large)
            return (await client.send(request())).content

    with serving(serve, context) as url, set_at_end(ended):
        if kind == "sync":
            with Synerise(base_url=url, **given) as client:
                with pytest.raises(APIStatusError, match="413"):
                    client.send(large)
                content = client.send(request()).content
        else:
            content = anyio.run(run, url, backend=kind)
    assert (b"[1]", 2) == (content, served[0])


@KINDS
def test_a_success_is_not_believed_where_the_server_does_not_read_on(kind: str, wrapping: tuple[Any, Any]) -> None:
    """The request could not be sent in time, so what the answer confirms cannot be there; nor is it waited for."""
    context, verify = wrapping
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(answer(202, b""))
        ended.wait(10)

    with (
        serving(serve, context) as url,
        set_at_end(ended),
        pytest.raises(APITimeoutError, match="the request could not be sent to") as caught,
    ):
        send(kind, url, verify, timeout=(10, 10, 0.1, 10), max_retries=0)
    assert caught.value.maybe_applied


@KINDS
def test_a_success_of_what_was_not_sent_whole_confirms_nothing(kind: str, wrapping: tuple[Any, Any]) -> None:
    """The server closes the connection without reading on: the rest cannot be there."""
    context, verify = wrapping
    with (
        serving(lambda connection: connection.sendall(answer(202, b"")), context) as url,
        pytest.raises(APIConnectionError, match=r"the connection to .* broke") as caught,
    ):
        send(kind, url, verify)
    assert (True, 1) == (caught.value.maybe_applied, caught.value.attempts)


@KINDS
def test_so_it_is_with_the_connections_of_httpx(kind: str) -> None:
    """Those through a proxy, which httpcore reads on after it could not write."""
    with (
        serving(lambda connection: connection.sendall(answer(202, b"")), None) as url,
        pytest.raises(APIConnectionError, match=r"the connection to .* broke") as caught,
    ):
        send(kind, url, verify=True, proxy=url)
    assert (True, 1) == (caught.value.maybe_applied, caught.value.attempts)


@KINDS
def test_a_request_that_nobody_reads_is_told_as_such(kind: str, wrapping: tuple[Any, Any]) -> None:
    """It is the sending that took too long, and the time of an answer does not count."""
    context, verify = wrapping
    ended = threading.Event()

    def serve(_: socket.socket) -> None:
        ended.wait(10)

    with (
        serving(serve, context) as url,
        set_at_end(ended),
        pytest.raises(APITimeoutError, match="the request could not be sent to"),
    ):
        send(kind, url, verify, timeout=(10, 10, 0.1, 10), max_retries=0)


def test_a_large_request_is_encrypted_in_pieces(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it at once would be in memory twice."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    sizes: list[int] = []
    write = AsyncioStream.write

    async def noted(self: AsyncioStream, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        sizes.append(len(buffer))
        await write(self, buffer, timeout)

    def serve(connection: socket.socket) -> None:
        left = SIZE
        while left > 0:
            left -= len(connection.recv(500_000))
        connection.sendall(answer(202, b""))

    monkeypatch.setattr(AsyncioStream, "write", noted)
    with serving(serve, context) as url:
        assert 202 == send("asyncio", url, ssl.create_default_context(cafile=certificate)).status_code
    assert sum(sizes) > SIZE
    assert max(sizes) < 1.1 * MAX_PIECE_BYTES


def test_what_tls_has_not_given_out_is_not_quiet(certificate: Path) -> None:
    """It would be taken for the answer to the next request; what TLS sends for itself is nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    done = threading.Event()

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"ab")
        done.wait(10)

    async def run(url: str) -> None:
        host, port = "127.0.0.1", int(url.rpartition(":")[2])
        lower = await connect_asyncio(host, port, 10)
        stream = await start_tls(lower, ssl.create_default_context(cafile=certificate), host, 10)
        assert stream.is_quiet
        await stream.write(b"GET / HTTP/1.1\r\n\r\n", 10)
        assert b"a" == await stream.read(1, 10)
        assert not stream.is_quiet
        assert b"b" == await stream.read(1, 10)
        assert stream.is_quiet
        assert stream.get_extra_info("ssl_object").version() is not None
        done.set()
        assert b"" == await stream.read(1, 10)
        await stream.aclose()

    with serving(serve, context) as url:
        anyio.run(partial(run, url))
