"""Leased connections: each end of a call gives its connection and its place back. Real sockets throughout."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import gc
import gzip
import itertools
import os
import pickle
import random
import socket
import ssl
import sys
import threading
import time
import warnings
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.async_connection_pool import AsyncLeasingTransport
from synerise_profiles._core.connection_pool import LeasingTransport
from synerise_profiles.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ConfigurationError,
    SyneriseError,
)
from tests._core.support import (
    ONCE,
    Act,
    Server,
    answer,
    hang_up,
    mock,
    request,
    reset,
    silence,
    truncated,
    unused_url,
)
from tests._core.test_transport import both
from tests._core.tls import make_certificate

MERGE = request(operation=ONCE, repeatable=False, content=b"{}")
OK_BYTES = answer(200, b"[]")
BACKENDS = ["asyncio", "trio"]


def answer_and_close(connection: Any) -> None:
    connection.sendall(answer())
    connection.close()


def then_repeat(head: bytes, piece: bytes, pause: float = 0.0) -> Act:
    """Send a beginning, and the same piece for ever."""

    def act(connection: Any) -> None:
        stop = threading.Event()
        with contextlib.suppress(OSError):
            connection.sendall(head)
            while not stop.wait(pause):
                connection.sendall(piece)
        connection.close()

    return act


def sockets() -> int:
    """Count the sockets of this process."""
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(path.readlink()).startswith("socket")
    return found


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_certificate(tmp_path_factory.mktemp("tls"))
    if made is None:
        pytest.skip("there is no openssl program")
    return made


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@contextlib.asynccontextmanager
async def answering(context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve from a thread with an event loop of its own, so that it works whatever the test runs on."""
    ready, stop, urls = threading.Event(), asyncio.Event(), list[str]()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                writer.write(OK_BYTES)
                await writer.drain()
        writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        loops.append(asyncio.get_running_loop())
        scheme = "http" if context is None else "https"
        urls.append(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        ready.set()
        await stop.wait()
        server.close()

    def ignore(loop: asyncio.AbstractEventLoop, problem: dict[str, Any]) -> None:
        """A connection that breaks during the handshake is what these tests make."""

    async def quiet() -> None:
        asyncio.get_running_loop().set_exception_handler(ignore)
        await run()

    thread = threading.Thread(target=lambda: asyncio.run(quiet()))
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


# What a call leaves behind


@pytest.mark.anyio
@pytest.mark.parametrize("act", [reset, hang_up, truncated(), silence, b"SSH-2.0-OpenSSH\r\n\r\n"])
async def test_each_end_of_a_call_gives_its_place_back(act: Act | bytes) -> None:
    """With one connection at most, a call works after another one failed in any way, and their number never grows."""
    acts = [act, answer()] * 3
    for is_async in (False, True):
        with Server(acts) as server:
            arguments: dict[str, Any] = {"token": "t", "base_url": server.url, "max_connections": 1, "max_retries": 0}
            arguments["timeout"] = (5, 0.1, 5, 0.5)
            done = 0
            async with AsyncSynerise(**arguments) as asynchronous:
                with Synerise(**arguments) as client:
                    for _ in range(6):
                        with contextlib.suppress(APIConnectionError):
                            _ = (await asynchronous.send(MERGE)) if is_async else client.send(MERGE)
                            done += 1
            assert 3 == done


async def cancel_calls(client: AsyncSynerise, calls: int, tasks: int) -> None:
    """Cancel calls by scopes, after numbers of rounds of the event loop that reach each of their steps."""
    rounds = itertools.cycle(range(16))

    async def one() -> None:
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(client.tags.list)
                for _ in range(next(rounds)):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()

    for _ in range(calls // tasks):
        async with anyio.create_task_group() as group:
            for _ in range(tasks):
                group.start_soon(one)


@pytest.mark.anyio
@pytest.mark.parametrize("is_tls", [False, True])
async def test_cancelled_calls_leave_nothing_behind(certificate: Path, *, is_tls: bool) -> None:
    """After hundreds of cancelled calls as many connections as before can be made, and no socket is left over."""
    context = server_context(certificate) if is_tls else None
    async with answering(context) as url:
        trusting = ssl.create_default_context(cafile=certificate)
        async with AsyncSynerise(
            token="t", base_url=url, max_connections=4, max_retries=0, timeout=5.0, verify=trusting
        ) as client:
            await client.tags.list()
            before = sockets()
            await cancel_calls(client, 640, 8)
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(client.tags.list)
            transport = next(iter(client._connections._transports.values())).httpx_transport
            assert isinstance(transport, AsyncLeasingTransport)
            assert 4 == transport._places.value
            with anyio.fail_after(5):  # the server's ends close in its own thread
                while sockets() > before + 2 * 3:
                    await anyio.lowlevel.checkpoint()


async def cut_short(client: AsyncSynerise, how: str, chance: random.Random) -> None:
    """Begin a call, and cancel it at a random moment in one of asyncio's ways."""
    if how == "timeout":
        async with asyncio.timeout(chance.uniform(0, 0.004)):
            await client.tags.list()
    elif how == "group":
        async with asyncio.TaskGroup() as group:
            group.create_task(client.tags.list())
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            raise ZeroDivisionError
    else:
        task = asyncio.create_task(client.tags.list())
        for _ in range(2):
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            task.cancel()
        await task


async def cancel_by_asyncio(client: AsyncSynerise, how: str, calls: int, tasks: int) -> None:
    """Cancel calls in one of asyncio's ways, so many tasks at the same time."""
    chance = random.Random(1)
    for _ in range(calls // tasks):
        begun = [asyncio.create_task(cut_short(client, how, chance)) for _ in range(tasks)]
        await asyncio.gather(*begun, return_exceptions=True)


@pytest.mark.parametrize("how", ["timeout", "group", "cancel"])
def test_asyncio_cancels_in_its_own_ways(how: str) -> None:
    """Timeouts, failing task groups and `Task.cancel`, twice too, leave a client that works."""

    async def main() -> None:
        arguments: dict[str, Any] = {"token": "t", "max_connections": 3, "max_retries": 0}
        async with answering() as url, AsyncSynerise(base_url=url, **arguments) as client:
            await cancel_by_asyncio(client, how, 480, 8)
            await asyncio.gather(*(client.tags.list() for _ in range(20)))
            transport = next(iter(client._connections._transports.values())).httpx_transport
            assert isinstance(transport, AsyncLeasingTransport)
            assert 3 == transport._places.value

    asyncio.run(main())


async def time_of_a_call(client: AsyncSynerise) -> float:
    """Return the least seconds of many calls, one after the other: the machine is shared."""
    spent = list[float]()
    for _ in range(300):
        begun = time.perf_counter()
        await client.tags.list()
        spent.append(time.perf_counter() - begun)
    return min(spent)


@pytest.mark.long
@pytest.mark.parametrize(
    ("how", "backend"),
    [("timeout", "asyncio"), ("group", "asyncio"), ("cancel", "asyncio"), *(("scope", each) for each in BACKENDS)],
)
def test_ten_thousand_cancelled_calls(how: str, backend: str) -> None:
    """200 tasks that cancel 10,000 calls leave sockets, memory and the time of a call as before; 100 calls work."""

    async def cancel(client: AsyncSynerise, calls: int) -> None:
        await (cancel_calls(client, calls, 200) if how == "scope" else cancel_by_asyncio(client, how, calls, 200))

    async def main() -> None:
        async with answering() as url, AsyncSynerise(token="t", base_url=url, max_retries=0) as client:
            await cancel(client, 1_000)
            gc.collect()
            blocks, seconds = sys.getallocatedblocks(), await time_of_a_call(client)
            await cancel(client, 10_000)
            async with anyio.create_task_group() as group:
                for _ in range(100):
                    group.start_soon(client.tags.list)
            gc.collect()
            open_sockets, blocks_after = sockets(), sys.getallocatedblocks()
            seconds_after = await time_of_a_call(client)
            assert open_sockets <= 2 * 100 + 20
            assert blocks_after - blocks < 20_000
            assert seconds_after < 2 * seconds

    anyio.run(main, backend=backend)


# Limits


def test_threads_wait_for_a_free_connection() -> None:
    """Eight threads share two connections; no more are made."""
    with Server([answer()]) as server, Synerise(token="t", base_url=server.url, max_connections=2) as client:

        def work() -> None:
            for _ in range(10):
                client.send(request())

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (80, True) == (len(server.heads), server.connections <= 2)


@pytest.mark.anyio
async def test_no_free_connection_in_time_is_a_timeout() -> None:
    """A call that gets no connection in time was not carried out, and says which option bounds them."""
    entered, release = threading.Event(), threading.Event()

    def hold(connection: Any) -> None:
        entered.set()
        release.wait()
        answer_and_close(connection)

    arguments: dict[str, Any] = {"token": "t", "max_connections": 1, "max_retries": 0, "timeout": (5, 5, 5, 0.05)}
    with Server([hold]) as server, Synerise(base_url=server.url, **arguments) as client:
        thread = threading.Thread(target=lambda: client.send(request()))
        thread.start()
        entered.wait()
        with pytest.raises(APITimeoutError, match="max_connections") as caught:
            client.send(request())
        release.set()
        thread.join()
    errors = [caught.value]
    release.clear()
    with Server([hold]) as server:
        async with AsyncSynerise(base_url=server.url, **arguments) as asynchronous, anyio.create_task_group() as group:
            group.start_soon(asynchronous.send, request())
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(APITimeoutError, match="max_connections") as caught:
                await asynchronous.send(request())
            release.set()
    errors.append(caught.value)
    assert [False, False] == [error.maybe_applied for error in errors]


@pytest.mark.parametrize("name", ["max_connections", "max_response_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9"])
def test_bad_bound_is_a_configuration_error(name: str, value: Any) -> None:
    """A bound is a whole number from 1."""
    with pytest.raises(ConfigurationError, match=name):
        Synerise(token="t", **{name: value})


# Connections that end while nobody uses them


@pytest.mark.anyio
async def test_connection_that_the_server_closed_is_not_used() -> None:
    """A server that closes after each response is asked on a new connection each time, without a retry."""
    with Server([answer_and_close]) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
        for _ in range(5):
            client.send(MERGE)
            # The end of the connection is there once the server's thread has ended.
            server._threads[-1].join()
        assert 5 == server.connections
    with Server([answer_and_close]) as server:
        async with AsyncSynerise(token="t", base_url=server.url, max_retries=0) as asynchronous:
            for _ in range(5):
                await asynchronous.send(MERGE)
                server._threads[-1].join()
            assert 5 == server.connections


@pytest.mark.anyio
async def test_unasked_bytes_are_not_taken_for_an_answer() -> None:
    """What a server sends between two calls does not answer the second one."""
    twice = answer(200, b'{"n":1}') + answer(200, b'{"n":2}')
    with Server([twice, answer(200, b'{"n":3}')]) as server:
        async with AsyncSynerise(token="t", base_url=server.url) as asynchronous:
            got = [(await asynchronous.send(request())).content for _ in range(2)]
    assert [b'{"n":1}', b'{"n":3}'] == got
    with Server([twice, answer(200, b'{"n":3}')]) as server, Synerise(token="t", base_url=server.url) as client:
        assert got == [client.send(request()).content for _ in range(2)]


@pytest.mark.anyio
@pytest.mark.parametrize("act", [hang_up, reset])
async def test_kept_connection_that_breaks_is_replaced_where_that_is_safe(act: Act) -> None:
    """A read goes out once more, on a new connection, in the same attempt; what changes something never does."""
    acts = [answer(), act, answer()]
    for is_repeatable in (True, False):
        sent = request() if is_repeatable else MERGE
        with Server(acts) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
            client.send(request())
            if is_repeatable:
                assert 1 == client.send(sent).attempts
            else:
                with pytest.raises(APIConnectionError) as caught:
                    client.send(sent)
                assert caught.value.maybe_applied
        with Server(acts) as server:
            async with AsyncSynerise(token="t", base_url=server.url, max_retries=0) as asynchronous:
                await asynchronous.send(request())
                if is_repeatable:
                    assert 1 == (await asynchronous.send(sent)).attempts
                else:
                    with pytest.raises(APIConnectionError) as caught:
                        await asynchronous.send(sent)
                    assert caught.value.maybe_applied


@pytest.mark.anyio
@pytest.mark.parametrize("surplus", [answer(408, b"", "Connection: close"), answer(), b"\r\n"])
async def test_connection_with_bytes_behind_a_response_is_not_used_again(surplus: bytes) -> None:
    """A request that must not be sent twice goes out on a new connection, and does not fail as maybe applied."""
    acts = [answer() + surplus, answer(200, b'{"n":2}')]
    with Server(acts) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
        client.send(request())
        assert b'{"n":2}' == client.send(MERGE).content
        assert 2 == server.connections
    with Server(acts) as server:
        async with AsyncSynerise(token="t", base_url=server.url, max_retries=0) as asynchronous:
            await asynchronous.send(request())
            assert b'{"n":2}' == (await asynchronous.send(MERGE)).content
            assert 2 == server.connections


@pytest.mark.anyio
async def test_farewell_to_an_idle_connection_is_no_answer() -> None:
    """A 408 that crosses a read on a kept connection costs a new connection; one to a first request is its answer."""
    acts = [answer(), answer(408, b"", "Connection: close"), answer(200, b'{"n":3}'), answer(408, b"")]
    with Server(acts) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
        client.send(request())
        got = client.send(request())
        assert (1, b'{"n":3}') == (got.attempts, got.content)
    with Server(acts) as server:
        async with AsyncSynerise(token="t", base_url=server.url, max_retries=0) as asynchronous:
            await asynchronous.send(request())
            again = await asynchronous.send(request())
            assert (1, b'{"n":3}') == (again.attempts, again.content)
    for acts, sent in (([answer(408, b"")], request()), ([answer(), answer(408, b"")], MERGE)):
        with Server(acts) as server, Synerise(token="t", base_url=server.url, max_retries=0) as client:
            if len(acts) > 1:
                client.send(request())
            with pytest.raises(APIStatusError) as caught:
                client.send(sent)
            assert (408, len(acts)) == (caught.value.status_code, len(server.heads))


def test_old_connections_are_closed_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for too long is not used, and the oldest is closed when another is put back."""
    now = [100.0]
    monkeypatch.setattr("synerise_profiles._core.leases.time.monotonic", lambda: now[0])
    with Server([answer()]) as server, Synerise(token="t", base_url=server.url) as client:
        client.send(request())
        now[0] += 4
        client.send(request())
        assert 1 == server.connections
        now[0] += 6
        client.send(request())
        assert 2 == server.connections


def test_closing_lets_calls_in_flight_end() -> None:
    """A call that is under way when the client is closed gets its answer; its connection is closed then."""
    entered, release, got = threading.Event(), threading.Event(), list[int]()

    def hold(connection: Any) -> None:
        entered.set()
        release.wait()
        connection.sendall(answer())
        assert b"" == connection.recv(1)
        got.append(0)
        connection.close()

    with Server([hold]) as server:
        client = Synerise(token="t", base_url=server.url)
        thread = threading.Thread(target=lambda: got.append(client.send(request()).status_code))
        thread.start()
        entered.wait()
        client.close()
        release.set()
        thread.join()
        server._threads[-1].join()
    assert [0, 200] == sorted(got)


# Bounds of a response


def bounded(acts: list[bytes | Act], **arguments: Any) -> Callable[[], Any]:
    return lambda: both(acts, MERGE, **arguments)


LARGE = b'"' + b"x" * 4998 + b'"'


@pytest.mark.anyio
@pytest.mark.parametrize(
    "packed",
    [
        answer(200, LARGE),
        answer(200, gzip.compress(LARGE), "Content-Encoding: gzip"),
        answer(200, gzip.compress(gzip.compress(b"x" * 500_000)), "Content-Encoding: gzip, gzip"),
        answer(200, zlib.compress(LARGE), "Content-Encoding: deflate"),
        answer(200, zlib.compress(LARGE)[2:-4], "Content-Encoding: deflate"),
    ],
)
async def test_body_beyond_the_limit_is_refused(packed: bytes) -> None:
    """A body that is too large, as it is or unpacked, ends the call without a retry; it may have been carried out."""
    for outcome, slept, sent in await both([packed], request(), max_response_bytes=4999):
        assert isinstance(outcome, APIConnectionError)
        assert (True, [], 1) == (outcome.maybe_applied, slept, sent)
        assert "max_response_bytes" in str(outcome)
    for outcome, _, _ in await both([packed], request(), max_response_bytes=5_000):
        if b"gzip, gzip" not in packed:
            assert not isinstance(outcome, SyneriseError)
            assert LARGE == outcome.content


@pytest.mark.anyio
async def test_bound_holds_for_a_given_transport() -> None:
    """A transport of the caller's is bounded as well, whether it reads by itself or not."""
    for response in (
        httpx.Response(200, content=b"x" * 11),
        httpx.Response(200, stream=httpx.ByteStream(b"x" * 11)),
    ):
        transport = httpx.MockTransport(lambda received, response=response: response)
        with pytest.raises(APIConnectionError, match="max_response_bytes"):
            Synerise(token="t", transport=transport, max_response_bytes=10).send(request())
        asynchronous = AsyncSynerise(token="t", transport=transport, max_response_bytes=10)
        with pytest.raises(APIConnectionError, match="max_response_bytes"):
            await asynchronous.send(request())


ENDLESS = {
    "body": then_repeat(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"400\r\n" + b"x" * 1024 + b"\r\n"),
    "headers": then_repeat(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000),
    "1xx": then_repeat(b"", b"HTTP/1.1 102 Processing\r\n\r\n" * 100),
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", ENDLESS)
async def test_endless_answer_ends(what: str) -> None:
    """A body, headers or interim answers without an end are an error once they are too many, and nothing is kept."""
    for outcome, _, _ in await both([ENDLESS[what]], MERGE, max_response_bytes=2_000_000, timeout=20.0):
        assert isinstance(outcome, APIConnectionError)
        assert outcome.maybe_applied


DRIPS = {
    "headers": then_repeat(b"HTTP/1.1 200 OK\r\nA: ", b"b", 0.02),
    "1xx": then_repeat(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "body": then_repeat(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"b", 0.02),
}


@pytest.mark.anyio
@pytest.mark.parametrize("what", DRIPS)
async def test_deadline_ends_an_answer_that_drips(what: str) -> None:
    """Bytes that arrive now and then do not put off the deadline."""
    for outcome, _, _ in await both([DRIPS[what]], MERGE, deadline=0.3):
        assert isinstance(outcome, APITimeoutError)


TRICKLES = {**DRIPS, "chunk": then_repeat(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", 0.02)}


@pytest.mark.parametrize("what", [*TRICKLES])
def test_deadline_ends_an_answer_that_drips_through_a_proxy(what: str) -> None:
    """In both clients; so it does in an async client with any transport of httpx, for a task can be cancelled."""
    given: dict[str, Any] = {"token": "t", "max_retries": 0, "deadline": 0.3}

    async def send(**way: Any) -> None:
        async with AsyncSynerise(**given, **way) as asynchronous:
            with anyio.fail_after(20):
                await asynchronous.send(request())

    with Server([TRICKLES[what]]) as server:
        given["base_url"] = server.url
        with pytest.raises(APITimeoutError, match="no answer"), Synerise(**given, proxy=server.url) as synerise:
            synerise.send(request())
        for backend in BACKENDS:
            with pytest.raises(APITimeoutError, match="no answer"):
                anyio.run(partial(send, proxy=server.url), backend=backend)
            with pytest.raises(APITimeoutError, match="no answer"):
                anyio.run(partial(send, transport=httpx.AsyncHTTPTransport()), backend=backend)


LARGE_BYTES = 40_000_000
"""More than the buffers of two sockets hold."""


@contextlib.contextmanager
def reading_slowly(*, and_dripping: bool) -> Iterator[str]:
    """A server that reads a little of a request now and then; it may send as little of an answer meanwhile."""
    stop = threading.Event()

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while not stop.wait(0.005):
                    connection.recv(65_536)
                    if and_dripping:
                        connection.sendall(b"H")

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stop.set()
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)


@pytest.mark.parametrize("backend", ["sync", *BACKENDS])
@pytest.mark.parametrize("and_dripping", [False, True])
def test_deadline_ends_a_request_that_is_read_slowly(backend: str, *, and_dripping: bool) -> None:
    """What the server takes or sends meanwhile does not put it off."""
    large = request(operation=ONCE, repeatable=False, content=bytes(LARGE_BYTES))
    with reading_slowly(and_dripping=and_dripping) as url:
        given: dict[str, Any] = {"token": "t", "base_url": url, "max_retries": 0, "timeout": 5.0, "deadline": 0.5}

        async def send_async() -> None:
            async with AsyncSynerise(**given) as asynchronous:
                await asynchronous.send(large)

        def send() -> None:
            with Synerise(**given) as synerise:
                synerise.send(large)

        began = time.monotonic()
        with pytest.raises(APITimeoutError) as caught:
            send() if backend == "sync" else anyio.run(send_async, backend=backend)
        assert time.monotonic() - began < 5.0
        assert "could not be sent" in str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("limits", [{"deadline": 0.2}, {"timeout": 0.2}], ids=["deadline", "timeout"])
def test_a_request_that_breaks_off_in_a_proxy_leaves_nothing_open(backend: str, limits: dict[str, Any]) -> None:
    """Trio warns of a generator that is left before its end, as the content of a request of httpx is one."""
    large = request(operation=ONCE, repeatable=False, content=bytes(LARGE_BYTES))

    async def send(url: str) -> None:
        async with AsyncSynerise(token="t", base_url=url, proxy=url, max_retries=0, **limits) as asynchronous:
            await asynchronous.send(large)

    with reading_slowly(and_dripping=False) as url, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(APITimeoutError):
            anyio.run(send, url, backend=backend)
        gc.collect()
    assert [] == [warning.message for warning in caught if issubclass(warning.category, ResourceWarning)]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "header"),
    [(gzip.compress(b"x" * 5000, mtime=0)[:-9], "gzip"), (b"no zlib", "deflate"), (b"x", "br"), (b"no gzip", "gzip")],
)
async def test_body_that_cannot_be_unpacked_is_no_answer(body: bytes, header: str) -> None:
    """A compressed body that is broken, cut short or of an unknown kind is a connection error, on each event loop."""
    for outcome, _, _ in await both([answer(200, body, f"Content-Encoding: {header}")], MERGE):
        assert isinstance(outcome, APIConnectionError)
        assert ("the answer cannot be decompressed", True) == (outcome.problem, outcome.maybe_applied)


# TLS, and errors that say what to do


@pytest.mark.anyio
async def test_tls_with_a_context_and_with_a_variable(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate is trusted by a context or by SSL_CERT_FILE; connections are kept with TLS too."""
    async with answering(server_context(certificate)) as url:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        for verify in (True, False, ssl.create_default_context(cafile=certificate)):
            with Synerise(token="t", base_url=url, verify=verify) as client:
                client.tags.list()
                client.tags.list()
            async with AsyncSynerise(token="t", base_url=url, verify=verify) as asynchronous:
                await asynchronous.tags.list()
                await asynchronous.tags.list()


async def connection_errors(url: str) -> list[str]:
    arguments: dict[str, Any] = {"token": "t", "base_url": url, "max_retries": 0}
    texts: list[str] = []
    with Synerise(**arguments) as client, pytest.raises(APIConnectionError) as caught:
        client.tags.list()
    texts.append(caught.value.problem)
    async with AsyncSynerise(**arguments) as asynchronous:
        with pytest.raises(APIConnectionError) as caught:
            await asynchronous.tags.list()
    return [*texts, caught.value.problem]


@pytest.mark.anyio
async def test_untrusted_certificate_names_the_variables(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The text says why the certificate was not accepted, and how one is trusted."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    async with answering(server_context(certificate)) as url:
        for problem in await connection_errors(url):
            assert problem.startswith(f"no connection to {url.removeprefix('https://')} (base_url) could be made: ")
            assert "certificate was not accepted (self-signed certificate)" in problem
            assert "SSL_CERT_FILE" in problem


@pytest.mark.anyio
async def test_refused_and_unknown_hosts_are_named() -> None:
    """The text names the host and the cause."""
    url = unused_url()
    start = f"no connection to {url.removeprefix('http://')} (base_url) could be made: "
    assert [start + "it was refused, nothing listens there"] * 2 == await connection_errors(url)
    for problem in await connection_errors("https://no-such-host.invalid"):
        assert "no connection to no-such-host.invalid (base_url) could be made: " in problem
        assert "the name of the host was not found" in problem


def test_region_is_named() -> None:
    """Where a region led to the host, the text says so."""
    transport, _ = mock(httpx.ConnectError("x"))
    with pytest.raises(APIConnectionError, match=r"api\.synerise\.com \(region azure-eu\)"):
        Synerise(token="t", transport=transport, max_retries=0).tags.list()


@pytest.mark.anyio
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
async def test_missing_certificate_file_is_a_configuration_error(
    variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The variable is named, its value is not."""
    monkeypatch.setenv(variable, str(tmp_path / "absent"))
    with Synerise(token="t") as client, pytest.raises(ConfigurationError, match=variable) as caught:
        client.tags.list()
    assert "absent" not in str(caught.value)
    async with AsyncSynerise(token="t") as asynchronous:
        with pytest.raises(ConfigurationError, match=variable):
            await asynchronous.tags.list()


def test_variable_for_certificates_that_names_another_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A folder in the place of a file, or a file in that of a folder, is told from one that is missing."""
    (tmp_path / "file").write_text("x")
    for variable, named, kind in (("SSL_CERT_FILE", tmp_path, "file"), ("SSL_CERT_DIR", tmp_path / "file", "folder")):
        with monkeypatch.context() as patch, Synerise(token="t", base_url="https://127.0.0.1:9") as client:
            patch.setenv(variable, str(named))
            with pytest.raises(ConfigurationError, match=f"{variable}: what it names is no {kind};"):
                client.send(request())


def test_several_folders_of_certificates_are_looked_at_each(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """OpenSSL takes a list of them; and a name that is too long is told as such."""
    with Synerise(token="t", base_url="https://127.0.0.1:9", max_retries=0) as client:
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(tmp_path / "absent"), str(tmp_path)]))
        with pytest.raises(APIConnectionError, match="nothing listens"):
            client.send(request())
    with Synerise(token="t", base_url="https://127.0.0.1:9") as client:
        monkeypatch.setenv("SSL_CERT_DIR", os.pathsep.join([str(tmp_path / "absent"), str(tmp_path / "absent")]))
        with pytest.raises(ConfigurationError, match="SSL_CERT_DIR: what it names is not there"):
            client.send(request())
        monkeypatch.setenv("SSL_CERT_FILE", "a" * 5000)
        with pytest.raises(ConfigurationError, match="SSL_CERT_FILE: what it names cannot be looked at") as caught:
            client.send(request())
        assert "aaa" not in str(caught.value)


@pytest.mark.anyio
async def test_a_context_for_servers_is_refused() -> None:
    """Before anything is connected."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with Synerise(token="t", verify=context) as client, pytest.raises(ConfigurationError, match=r"verify: .*servers"):
        client.tags.list()
    async with AsyncSynerise(token="t", verify=context) as asynchronous:
        with pytest.raises(ConfigurationError, match=r"verify: .*servers"):
            await asynchronous.tags.list()


def test_file_without_certificates_is_a_configuration_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file that is not PEM is refused by the variable's name."""
    path = tmp_path / "certificates.pem"
    path.write_text("none")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with Synerise(token="t") as client, pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        client.tags.list()


# Event loops, processes


def test_each_event_loop_has_its_own_connections() -> None:
    """A client works in one event loop after another, on asyncio and on trio."""
    with Server([answer(200, b"[]")]) as server:
        client = AsyncSynerise(token="t", base_url=server.url)

        async def call(is_last: bool) -> int:  # noqa: FBT001 - anyio.run passes it by position
            status = (await client.send(request())).status_code
            transports = [each.httpx_transport for each in client._connections._transports.values()]
            for transport in transports:
                await transport.aclose()
            if is_last:
                await client.aclose()
            return status

        runs = [("asyncio", False), ("trio", False), ("asyncio", True)]
        assert [200] * 3 == [anyio.run(call, is_last, backend=backend) for backend, is_last in runs]
        assert 3 == server.connections


async def call_four_times(client: AsyncSynerise) -> None:
    """Make four calls at once."""
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(client.tags.list)


@pytest.mark.parametrize("is_tls", [False, True])
def test_connections_of_ended_event_loops_are_closed(certificate: Path, *, is_tls: bool) -> None:
    """One client for many `asyncio.run`: the next one, or `aclose`, closes the sockets of those before."""
    context = ssl.create_default_context(cafile=certificate) if is_tls else False

    async def serve_and_run() -> None:
        async with answering(server_context(certificate) if is_tls else None) as url:
            client = AsyncSynerise(token="t", base_url=url, verify=context, timeout=10.0)
            before = own_connections(url)
            for _ in range(5):
                await asyncio.to_thread(asyncio.run, call_four_times(client))
                assert before < own_connections(url) <= before + 4
            await asyncio.to_thread(asyncio.run, client.aclose())
            assert before == own_connections(url)

    gc.collect()
    gc.disable()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ResourceWarning)
            asyncio.run(serve_and_run())
    finally:
        gc.enable()
    assert not [each for each in caught if issubclass(each.category, ResourceWarning)]


@pytest.mark.parametrize("is_tls", [False, True])
def test_connections_of_ended_runs_of_trio_are_closed(certificate: Path, *, is_tls: bool) -> None:
    """One client for many `trio.run`: each closes its sockets, without a warning."""
    context = ssl.create_default_context(cafile=certificate) if is_tls else False

    async def serve_and_run() -> None:
        async with answering(server_context(certificate) if is_tls else None) as url:
            client = AsyncSynerise(token="t", base_url=url, verify=context, timeout=10.0)
            before = own_connections(url)
            for _ in range(3):
                await asyncio.to_thread(anyio.run, call_four_times, client, backend="trio")
                gc.collect()
                assert before == own_connections(url)

    assert not warned_of_resources(lambda: asyncio.run(serve_and_run()))


@pytest.mark.parametrize("is_used", [False, True])
def test_child_of_a_fork_closes_its_copies_of_sockets(monkeypatch: pytest.MonkeyPatch, *, is_used: bool) -> None:
    """Without a warning, whether it uses the client or only closes it."""

    def act() -> None:
        with Server([answer()]) as server, Synerise(token="t", base_url=server.url) as synerise:
            before = own_connections(server.url)
            synerise.send(request())
            monkeypatch.setattr("os.getpid", lambda: -1)
            if is_used:
                synerise.send(request())
            synerise.close()
            gc.collect()
            assert before == own_connections(server.url)
            assert server.connections == 1 + is_used

    assert not warned_of_resources(act)


def warned_of_resources(act: Callable[[], object]) -> list[warnings.WarningMessage]:
    """Do something, and return the warnings of what it did not close."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        act()
        gc.collect()
    return [each for each in caught if issubclass(each.category, ResourceWarning)]


def own_connections(url: str) -> int:
    """How many connections of this process to a port of this machine are open."""
    port = int(url.rpartition(":")[2])
    lines = Path("/proc/self/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    inodes = {line.split()[9] for line in lines if line.split()[2].endswith(f":{port:04X}")}
    found = 0
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(path.readlink())[8:-1] in inodes
    return found


def test_transports_are_leased_unless_there_is_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The default leases connections; a proxy is left to httpx's own transport."""
    with Server([answer()]) as server:
        with Synerise(token="t", base_url=server.url) as client:
            client.send(request())
            transport = client._connections._transport
            assert transport is not None
            assert isinstance(transport.httpx_transport, LeasingTransport)
        with Synerise(token="t", base_url="http://localhost:1", proxy=server.url) as client:
            client.send(request())
            transport = client._connections._transport
            assert transport is not None
            assert isinstance(transport.httpx_transport, httpx.HTTPTransport)


@pytest.mark.parametrize("act", [pickle.dumps, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", [Synerise, AsyncSynerise])
def test_client_says_what_to_do_instead_of_pickling_it(act: Callable[[object], object], kind: Any) -> None:
    """A client, and what hangs on it, is not handed to another process: the text says to make one there."""
    client = kind(token="secret")
    for each in (client, client.profiles, client.bulk, client.merges, client.exports, [client]):
        if each.__class__ is list and act is copy.copy:
            continue
        if each is not client and act is copy.copy:
            continue
        with pytest.raises(TypeError, match="make one in each process") as caught:
            act(each)
        assert "secret" not in str(caught.value)
    assert 200 == kind(token="t").with_options(timeout=200).options.timeouts["read"]
