"""The stream of an event loop: it takes no more than it may, waits for a slow server, and tells what went wrong."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Iterator

import httpcore
import pytest

from synerise_profiles._core import asyncio_stream
from synerise_profiles._core.asyncio_stream import AsyncioStream, connect_asyncio
from synerise_profiles._core.leases import IdleConnections
from synerise_profiles._core.socket_io import is_silent
from synerise_profiles._core.tls_stream import start_tls

SIZE = 32_000_000
"""More than the buffers of a socket hold."""


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as found:
        yield found


@contextlib.asynccontextmanager
async def opened(listener: socket.socket) -> AsyncIterator[tuple[AsyncioStream, socket.socket]]:
    """A stream, and the server's end of it."""
    host, port = listener.getsockname()
    stream = await connect_asyncio(host, port, 30)
    server, _ = await asyncio.to_thread(listener.accept)
    try:
        with server:
            yield stream, server
    finally:
        await stream.aclose()


def in_thread(function: object, *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=function, args=arguments, daemon=True)  # type: ignore[arg-type]
    thread.start()
    return thread


def test_what_nobody_reads_stays_with_the_server(listener: socket.socket) -> None:
    """The buffer is bounded; read on, all comes in its order."""
    content = bytes(range(256)) * (SIZE // 256)

    async def run() -> None:
        async with opened(listener) as (stream, server):
            sender = in_thread(server.sendall, content)
            while not stream._is_paused:  # noqa: ASYNC110 - the stream tells nobody
                await asyncio.sleep(0)
            for _ in range(100):
                await asyncio.sleep(0)
            assert len(stream._buffer) < asyncio_stream._MAX_BUFFERED_BYTES + 1_000_000
            assert not stream.is_quiet
            got = bytearray()
            while len(got) < len(content):
                got += await stream.read(1_000_000, 30)
            assert got == content
            sender.join()
            assert stream.is_quiet

    asyncio.run(run())


def test_a_server_that_does_not_read_is_waited_for(listener: socket.socket) -> None:
    """As long as the timeout says; if it reads, all arrives."""
    content = bytes(SIZE)

    async def run() -> None:
        async with opened(listener) as (stream, _):
            with pytest.raises(httpcore.WriteTimeout):
                await stream.write(content, 0.01)
        async with opened(listener) as (stream, server):
            got: list[int] = []

            def read_all() -> None:
                while part := server.recv(1_000_000):
                    got.append(len(part))

            reader = in_thread(read_all)
            await stream.write(content, 30)
            await stream.write(b"", 30)  # nothing is nothing to wait for
            await stream.write(b"end", 30)
            while sum(got) < SIZE:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
            stream._transport.write_eof()
            await asyncio.to_thread(reader.join)
            assert sum(got) == SIZE + 3

    asyncio.run(run())


def test_bytes_that_arrive_give_a_write_no_more_time(listener: socket.socket) -> None:
    """The timeout is that of the whole write, however often something arrives."""

    async def run() -> None:
        async with opened(listener) as (stream, server):
            stop = threading.Event()

            def drip() -> None:
                while not stop.wait(0.02):
                    server.sendall(b"x")

            dripping = in_thread(drip)
            try:
                with pytest.raises(httpcore.WriteTimeout):
                    await asyncio.wait_for(stream.write(bytes(SIZE), 0.2), 10)
            finally:
                stop.set()
                await asyncio.to_thread(dripping.join)

    asyncio.run(run())


def test_a_connection_that_ends_in_a_write_is_an_error_of_it(listener: socket.socket) -> None:
    """Whether it ends before or while it is written."""

    async def run() -> None:
        async with opened(listener) as (stream, server):
            writing = asyncio.ensure_future(stream.write(bytes(SIZE), 30))
            await asyncio.sleep(0)
            server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            server.close()
            with pytest.raises(httpcore.WriteError):
                await writing
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"more", 30)
        async with opened(listener) as (stream, _):
            await stream.aclose()
            with pytest.raises(httpcore.WriteError):
                await stream.write(b"more", 30)

    asyncio.run(run())


def test_a_host_that_does_not_answer_in_time_is_a_timeout(listener: socket.socket) -> None:
    """Before the connection, and in the handshake of TLS."""

    async def run() -> None:
        host, port = listener.getsockname()
        with pytest.raises(httpcore.ConnectTimeout):
            await connect_asyncio(host, port, 0.0)
        stream = await connect_asyncio(host, port, 30)
        with pytest.raises(httpcore.ConnectTimeout):
            await start_tls(stream, ssl.create_default_context(), host, 0.05)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"more")

    asyncio.run(run())


class Idle:
    """Stands in for a connection that nobody uses."""

    is_quiet = True
    idle_since = 0.0


def test_the_connection_that_was_idle_longest_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever one is put back and that one is too old; after the end all are."""
    now = 1000.0
    monkeypatch.setattr("synerise_profiles._core.leases.time.monotonic", lambda: now)
    idle: IdleConnections[Idle] = IdleConnections()
    old, young, last = Idle(), Idle(), Idle()
    assert idle.put(old) == []
    now += 3600.0
    assert idle.put(young) == [old]
    assert idle.take() is young
    assert idle.take() is None
    assert idle.put(young) == []
    assert idle.close() == [young]
    assert idle.put(last) == [last]


def test_a_socket_that_is_closed_is_not_silent() -> None:
    """Nor is what never was one; an open one is, until something comes."""
    ours, other = socket.socketpair()
    with other:
        assert is_silent(ours)
        other.send(b"x")
        assert not is_silent(ours)
        ours.close()
    assert not is_silent(ours)
    assert not is_silent(None)


def test_an_answer_that_comes_before_a_large_body_is_sent_is_told(listener: socket.socket) -> None:
    """The server has answered and closes lingering, and the rest of the body goes in one piece: the transport ends."""

    def serve(server: socket.socket) -> None:
        server.recv(1000)
        server.sendall(b"too large")
        server.shutdown(socket.SHUT_WR)
        while server.recv(8_000_000):
            pass

    async def run() -> bytes:
        async with opened(listener) as (stream, server):
            sender = in_thread(serve, server)
            with contextlib.suppress(httpcore.WriteError):
                await stream.write(bytes(5_000_000), 30)
            answer = await stream.read(100, 30)
            stream.abort()  # the server reads until then, unless the transport has ended by itself
            await asyncio.to_thread(sender.join, 30)
            assert not sender.is_alive()
            return answer

    assert asyncio.run(run()) == b"too large"


class TermError(Exception):
    """What the handler of a signal raises."""


class StruckSocket:
    """A socket at whose sending a signal comes."""

    def __init__(self, inner: socket.socket) -> None:
        self._inner = inner

    def send(self, data: bytes) -> int:
        signal.raise_signal(signal.SIGTERM)
        return self._inner.send(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


@pytest.mark.parametrize("place", ["write", "read"])
def test_what_the_handler_of_a_signal_raises_is_no_fault_of_the_connection(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Though the event loop closes that, and takes it for one."""

    def handle(_number: int, _frame: object) -> None:
        raise TermError

    def strike(_stream: AsyncioStream, _data: bytes) -> None:
        signal.raise_signal(signal.SIGTERM)

    async def run() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        async with opened(listener) as (stream, server):
            if place == "write":
                transport: object = stream._transport
                transport._sock = StruckSocket(transport._sock)  # type: ignore[attr-defined]
                with contextlib.suppress(TermError):
                    await stream.write(b"x", 5)  # the loop says it at the next step
                with pytest.raises(TermError):
                    await stream.read(1, 5)
            else:
                monkeypatch.setattr(AsyncioStream, "data_received", strike)
                server.sendall(b"x")
                with pytest.raises(TermError):
                    await stream.read(1, 5)

    before = signal.signal(signal.SIGTERM, handle)
    try:
        asyncio.run(run())
    finally:
        signal.signal(signal.SIGTERM, before)
