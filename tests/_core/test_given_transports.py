"""Transports of a caller's own: what they raise is told without its text, and counts as sent unless it is proven."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import traceback
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.async_connection_pool import AsyncLeasingTransport
from synerise_profiles._core.connection_pool import LeasingTransport
from synerise_profiles._core.response_reading import UnsentRequestError
from synerise_profiles.errors import APIConnectionError, APITimeoutError, ConfigurationError, InvalidRequestError
from synerise_profiles_api.types import Request
from tests._core.support import ONCE, Clock, Server, answer, operation, request

SECRET = "http://127.0.0.1/v4/clients/by-email/jan.secret@example.com"
KINDS = pytest.mark.parametrize("kind", ["sync", "async"])


class ClientConnectionError(Exception):
    """Named as the error of aiohttp that may come at any time."""


class ServerDisconnectedError(ClientConnectionError):
    """Named as the error of aiohttp of a server that has closed the connection."""


class ClientConnectorError(ClientConnectionError, OSError):
    """Named as the error of aiohttp of a connection that could not be made."""


class ClientConnectorCertificateError(ClientConnectorError):
    """Named as one of its kinds."""


class ServerTimeoutError(ClientConnectionError, TimeoutError):
    """Named as the error of aiohttp of a step that took too long."""


class Raising(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Raises an error from its cause, before the answer or in the midst of its body, and counts the requests."""

    def __init__(self, error: BaseException, cause: BaseException | None = None, *, in_body: bool = False) -> None:
        self.requests = 0
        self._error, self._cause, self._in_body = error, cause, in_body

    def _fail(self) -> None:
        raise self._error from self._cause

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if not self._in_body:
            self._fail()
        return httpx.Response(200, stream=Body(self._fail))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


class Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that breaks off."""

    def __init__(self, fail: Callable[[], None]) -> None:
        self._fail = fail

    def __iter__(self) -> Iterator[bytes]:
        yield b"{"
        self._fail()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"{"
        self._fail()


def error_of(kind: str, transport: Raising | None, sent: Request[bytes], **arguments: Any) -> BaseException:
    """Send by a client of a kind; return what it raises."""
    given: dict[str, Any] = {"token": "t", "transport": transport, "_timing": Clock().timing, **arguments}

    async def run() -> None:
        async with AsyncSynerise(**given) as client:
            await client.send(sent)

    def run_sync() -> None:
        with Synerise(**given) as client:
            client.send(sent)

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - each test says which
        run_sync() if kind == "sync" else anyio.run(run)
    return caught.value


@KINDS
@pytest.mark.parametrize("error", [httpx.ConnectTimeout(SECRET), httpx.ConnectError(SECRET)])
@pytest.mark.parametrize(
    "cause",
    [None, ServerDisconnectedError(SECRET), ConnectionResetError(SECRET), ServerTimeoutError(SECRET), ssl.SSLError()],
)
def test_what_is_not_proven_may_have_been_sent(kind: str, error: Exception, cause: Exception | None) -> None:
    """So what must not be sent twice is sent once."""
    transport = Raising(error, cause)
    raised = error_of(kind, transport, request(operation=ONCE, repeatable=False))
    assert isinstance(raised, APIConnectionError)
    assert (True, 1, 1) == (raised.maybe_applied, raised.attempts, transport.requests)
    is_timeout = isinstance(error, httpx.ConnectTimeout) if cause is None else isinstance(cause, TimeoutError)
    assert isinstance(raised, APITimeoutError) == is_timeout
    assert "no connection" not in str(raised)


@KINDS
@pytest.mark.parametrize(
    "cause",
    [
        httpcore.ConnectError(),
        httpcore.ConnectTimeout(),
        ClientConnectorError(SECRET),
        ClientConnectorCertificateError(SECRET),
        ConnectionRefusedError(),
        socket.gaierror(-2, "x"),
        ExceptionGroup("x", [ConnectionRefusedError(), ConnectionRefusedError()]),
    ],
)
def test_what_its_cause_proves_is_sent_again(kind: str, cause: Exception) -> None:
    """No connection was made, so that nothing can have been applied."""
    transport = Raising(httpx.ConnectError(SECRET), cause)
    raised = error_of(kind, transport, request(operation=ONCE, repeatable=False), max_retries=2)
    assert isinstance(raised, APIConnectionError)
    assert (False, 3, 3) == (raised.maybe_applied, raised.attempts, transport.requests)
    assert "no connection" in str(raised)


@KINDS
@pytest.mark.parametrize("method", ["DELETE", "PUT"])
def test_what_a_transport_may_have_sent_before_by_itself(kind: str, method: str) -> None:
    """Such as aiohttp, which sends again what changes nothing: the connection that could not be made was its second."""
    transport = Raising(httpx.ConnectError(SECRET), ClientConnectorError(SECRET))
    sent = request(operation=operation(http_method=method), repeatable=False)
    raised = error_of(kind, transport, sent, max_retries=0)
    assert isinstance(raised, APIConnectionError)
    assert (raised.maybe_applied, "no connection" in str(raised)) == (True, True)


def test_errors_that_are_causes_of_each_other() -> None:
    """They prove nothing."""
    error, cause = httpx.ConnectError("x"), RuntimeError()
    cause.__cause__ = error
    raised = error_of("sync", Raising(error, cause), request(operation=ONCE, repeatable=False))
    assert isinstance(raised, APIConnectionError)
    assert raised.maybe_applied


def test_an_error_that_was_handled_before_proves_nothing() -> None:
    """The first address refused, the second took the request and broke off: that is the context, no cause."""
    error = httpx.ConnectError("x")
    error.__cause__ = ConnectionResetError()
    error.__cause__.__context__ = ConnectionRefusedError()
    group = ExceptionGroup("x", [ConnectionRefusedError(), ConnectionResetError()])
    for transport in (Raising(error, error.__cause__), Raising(httpx.ConnectError("x"), group)):
        raised = error_of("sync", transport, request(operation=ONCE, repeatable=False))
        assert isinstance(raised, APIConnectionError)
        assert (True, 1) == (raised.maybe_applied, transport.requests)


@KINDS
@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        ValueError(SECRET),
        ServerDisconnectedError(SECRET),
        ExceptionGroup(SECRET, [ValueError(SECRET)]),
        httpx.HTTPStatusError(SECRET, request=httpx.Request("GET", SECRET), response=httpx.Response(500)),
        httpx.ReadError(SECRET),
        httpx.ConnectError(SECRET),
    ],
)
def test_what_it_raises_is_told_without_its_text(kind: str, error: Exception, *, in_body: bool) -> None:
    """By its type, as a broken connection; its text, which may quote the URL, is nowhere in the chain."""
    transport = Raising(error, RuntimeError(SECRET), in_body=in_body)
    raised = error_of(kind, transport, request(operation=ONCE, repeatable=False))
    assert isinstance(raised, APIConnectionError)
    assert (True, 1) == (raised.maybe_applied, transport.requests)
    if not isinstance(error, httpx.RequestError):
        assert f"the given transport raised {type(error).__name__} " in str(raised)
    assert "secret" not in "".join(traceback.format_exception(raised))
    assert (None, None) == (raised.__cause__, raised.__context__)


@KINDS
def test_what_ends_a_program_passes_through(kind: str) -> None:
    """Nothing of it is the transport's."""
    for error in (KeyboardInterrupt(), SystemExit(1), MemoryError()):
        assert error is error_of(kind, Raising(error), request())


def test_what_the_handler_of_a_signal_raises_passes_through() -> None:
    """It runs in the midst of whatever is done."""

    class Signalled(Raising):
        def _fail(self) -> None:
            os.kill(os.getpid(), signal.SIGUSR1)

    def handle(_number: int, _frame: object) -> None:
        raise ZeroDivisionError

    before = signal.signal(signal.SIGUSR1, handle)
    try:
        for in_body in (False, True):
            raised = error_of("sync", Signalled(ValueError(), in_body=in_body), request())
            assert isinstance(raised, ZeroDivisionError)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_an_exception_of_a_hook_stays_the_callers() -> None:
    """Also with a transport of theirs."""

    def hook(*_: object) -> None:
        raise ZeroDivisionError

    for name in ("on_request", "on_response"):
        assert isinstance(error_of("sync", Raising(ValueError()), request(), **{name: hook}), ZeroDivisionError)


def test_a_bulk_run_ends_with_its_report() -> None:
    """The batches may have been applied, and the rows are counted."""
    rows = [{"customId": f"c{n}"} for n in range(3)]
    with Synerise(token="t", transport=Raising(ValueError(SECRET)), max_retries=0, _timing=Clock().timing) as client:
        report = client.bulk.upsert_profiles(rows)
    assert (3, 0) == (report.read, report.accepted)
    assert "secret" not in report.summary()


# What is refused before anything is sent


@KINDS
@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"path": "/a b"}, "white space"),
        ({"path": "/a\nb"}, "white space"),
        ({"query": "a=b c"}, "white space"),
        ({"content": "text"}, "content: expected bytes, got str"),
        ({"content": [1]}, "content: expected bytes, got list"),
    ],
)
@pytest.mark.parametrize("is_given", [False, True])
def test_a_request_that_cannot_be_sent_is_refused(kind: str, parts: Any, words: str, *, is_given: bool) -> None:
    """Whoever made it by hand is told, and no transport sees it."""
    transport = Raising(ValueError())
    raised = error_of(kind, transport if is_given else None, request(**parts), base_url="http://127.0.0.1:1")
    assert isinstance(raised, InvalidRequestError)
    assert words in str(raised)
    assert 0 == transport.requests


def test_content_is_counted_in_bytes() -> None:
    """A memoryview counts in items, which may be wider; the header says what is sent."""
    wide = memoryview(array("I", [1, 2, 3]))
    with Server([answer()]) as server, Synerise(token="t", base_url=server.url) as client:
        for content in (wide, bytearray(b"[1]"), wide):
            client.send(request(operation=ONCE, content=content))
        assert [bytes(wide), b"[1]", bytes(wide)] == server.bodies
        assert 1 == server.connections


def test_a_header_of_an_operation_that_cannot_be_sent_is_refused() -> None:
    """Of one that was made by hand: nothing has left, and no connection is opened."""
    for header in (("X-Bad", "a\nb"), ("X-Bad", "ż"), ("Transfer-Encoding", "chunked"), ("a b", "c")):
        sent = request(operation=operation(headers=(header,)))
        raised = error_of("sync", None, sent, base_url="http://127.0.0.1:1")
        assert isinstance(raised, InvalidRequestError)
        assert "one of its own headers cannot be sent" in str(raised)


@pytest.mark.anyio
async def test_what_is_no_valid_http_leaves_nothing() -> None:
    """What h11 refuses before it writes anything was not sent."""
    bounds: dict[str, Any] = {"max_connections": 1, "max_response_bytes": 1000}
    with Server([answer()]) as server:
        bad = httpx.Request("POST", server.url, headers={"X-Bad": "a\n"}, content=b"{}")
        with LeasingTransport(server.url, None, **bounds) as transport, pytest.raises(UnsentRequestError) as caught:
            transport.handle_request(bad)
        async with AsyncLeasingTransport(server.url, None, **bounds) as asynchronous:
            with pytest.raises(UnsentRequestError):
                await asynchronous.handle_async_request(bad)
        assert not server.heads
    raised = error_of("sync", Raising(caught.value), request(operation=ONCE, repeatable=False))
    assert isinstance(raised, APIConnectionError)
    assert ("the request is not valid HTTP", False) == (raised.problem, raised.maybe_applied)


@pytest.mark.parametrize("value", ["a ", " a", "\ta", "a\n"])
def test_a_user_agent_with_white_space_around_it_is_refused(value: str) -> None:
    """As a header of the caller's is."""
    with pytest.raises(ConfigurationError, match=r"^user_agent: "):
        Synerise(token="t", user_agent=value)


def test_an_unwritable_key_log_is_told_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has nothing to do with the certificates."""
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/at/all")
    with (
        Synerise(token="t", base_url="https://127.0.0.1:1") as client,
        pytest.raises(ConfigurationError, match=r"^SSLKEYLOGFILE: "),
    ):
        client.tags.list()


def test_a_header_of_a_proxys_connection_is_refused() -> None:
    """As the others of the connection are."""
    with (
        Synerise(token="t") as client,
        pytest.raises(ConfigurationError, match="Proxy-Connection is set by the client"),
    ):
        client.with_options(headers={"Proxy-Connection": "close"})
