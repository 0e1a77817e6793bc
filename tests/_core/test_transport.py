"""What goes over the wire, and what follows each end that a call can have. Real sockets where the wire matters."""

from __future__ import annotations

import gzip
import math
import os
import re
import socket
import ssl
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.config import AttemptResult
from synerise_profiles._core.opening import find_proxy
from synerise_profiles.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    BadRequestError,
    ConfigurationError,
    InvalidRequestError,
    RateLimitError,
    ResponseDecodingError,
    ServerError,
    SyneriseError,
)
from synerise_profiles_api.types import Request, Response
from tests._core.support import (
    ONCE,
    Act,
    Clock,
    Server,
    answer,
    hang_up,
    mock,
    operation,
    request,
    reset,
    silence,
    truncated,
    unused_url,
)

OK = httpx.Response(200, content=b"{}")


def client(clock: Clock | None = None, **arguments: Any) -> Synerise:
    given: dict[str, Any] = {"token": "t", **arguments}
    return Synerise(**given, _timing=(clock or Clock()).timing)


async def both(
    acts: Sequence[bytes | Act], sent: Request[bytes], **arguments: Any
) -> list[tuple[Response[bytes] | SyneriseError, list[float], int]]:
    """Send over a real socket by both clients; return how each ended, its waits and the number of requests."""
    results: list[tuple[Response[bytes] | SyneriseError, list[float], int]] = []
    with Server(acts) as server:
        clock = Clock()
        with client(clock, base_url=server.url, **arguments) as synerise:
            try:
                outcome: Response[bytes] | SyneriseError = synerise.send(sent)
            except SyneriseError as error:
                outcome = error
        results.append((outcome, clock.slept, len(server.heads)))
    with Server(acts) as server:
        clock = Clock()
        arguments = {"token": "t", "base_url": server.url, **arguments}
        async with AsyncSynerise(**arguments, _timing=clock.timing) as asynchronous:
            try:
                outcome = await asynchronous.send(sent)
            except SyneriseError as error:
                outcome = error
        results.append((outcome, clock.slept, len(server.heads)))
    return results


# What is sent


def test_path_and_query_are_sent_as_they_were_built() -> None:
    """Percent-encodings, commas and brackets arrive byte for byte."""
    targets = {
        "/v4/clients/merge/from/ids/1,2,3/to/id/4": "",
        "/v4/clients/by-email/a%2Bb%40example.com": "",
        "/v4/x/a%2Fb%20c%25d%C5%82%3F%23%2e": "",
        "/v4/events/by-client/1": "time%5Bfrom%5D=2026-01-01T00%3A00%3A00%2B02%3A00&limit=5",
        "/v4/x/(a)~!$&'*;=:@-._": "q=a,b;c/d?e",
    }
    with Server([answer()]) as server, client(base_url=server.url) as synerise:
        for path, query in targets.items():
            synerise.send(request(path=path, query=query))
        lines = [head.split(b"\r\n")[0].decode() for head in server.heads]
    expected = [f"GET {path}{f'?{query}' if query else ''} HTTP/1.1" for path, query in targets.items()]
    assert expected == lines


def test_path_prefix_of_the_base_url_is_kept() -> None:
    """A gateway's prefix stands before every path, with or without a slash at its end."""
    with Server([answer()]) as server:
        for prefix in ("/gateway/v1", "/gateway/v1/"):
            with client(base_url=server.url + prefix) as synerise:
                synerise.send(request())
        assert [b"GET /gateway/v1/v4/things/1 HTTP/1.1"] * 2 == [head.split(b"\r\n")[0] for head in server.heads]


def test_headers_of_a_request_with_a_body() -> None:
    """A request carries who sends it, what it holds and what is understood, and nothing twice."""
    body = '{"name":"Żółć"}'.encode()
    facts = operation(http_method="POST", headers=(("Api-Version", "4.4"),))
    with Server([answer()]) as server, client(base_url=server.url, user_agent="shop/2") as synerise:
        synerise.send(request(operation=facts, content=body))
        lines = server.heads[0].decode().split("\r\n")[1:]
        received = server.bodies[0]
    headers = {line.split(": ")[0].lower(): line.split(": ", 1)[1] for line in lines}
    agent = headers.pop("user-agent")
    assert {
        "host": server.url.removeprefix("http://"),
        "accept": "application/json",
        "accept-encoding": "gzip, deflate",
        "api-version": "4.4",
        "authorization": "Bearer t",
        "content-type": "application/json",
        "content-length": str(len(body)),
    } == headers
    assert len(lines) == len(headers) + 1
    assert agent.startswith("synerise-profiles/")
    assert agent.endswith(f" httpx/{httpx.__version__} shop/2")
    assert body == received


def test_headers_are_those_of_their_own_request() -> None:
    """A request has the headers of its operation, body, token and options, whatever was sent before on the client."""
    tokens = iter("abcdefg")
    post = operation(http_method="POST")
    versioned = operation(http_method="POST", headers=(("Api-Version", "4.4"),), accept="text/csv")
    with Server([answer()] * 7) as server, client(base_url=server.url, token=lambda: next(tokens)) as synerise:
        copy = synerise.with_options(headers={"X-Request-Id": "r-1"})
        for sender, facts, content in (
            (synerise, post, b"{}"),
            (synerise, post, b'{"a":1}'),
            (synerise, versioned, b"{}"),
            (copy, post, b"{}"),
            (synerise, post, None),
            (synerise, operation(), None),
            (synerise, post, b"{}"),
        ):
            sender.send(request(operation=facts, content=content))
        heads = [dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:]) for head in server.heads]
    names = ("Accept", "Api-Version", "Authorization", "Content-Length", "Content-Type", "X-Request-Id")
    json = "application/json"
    assert [tuple(head.get(name) for name in names) for head in heads] == [
        (json, None, "Bearer a", "2", json, None),
        (json, None, "Bearer b", "7", json, None),
        ("text/csv", "4.4", "Bearer c", "2", json, None),
        (json, None, "Bearer d", "2", json, "r-1"),
        (json, None, "Bearer e", "0", None, None),
        (json, None, "Bearer f", None, None, None),
        (json, None, "Bearer g", "2", json, None),
    ]


@pytest.mark.parametrize(("method", "length"), [("GET", None), ("DELETE", None), ("POST", "0"), ("PUT", "0")])
def test_request_without_a_body_has_no_content_type(method: str, length: str | None) -> None:
    """Without a body there is no Content-Type, and a length only where a server asks for one."""
    transport, seen = mock(OK)
    client(transport=transport).send(request(operation=operation(http_method=method)))
    assert (None, length) == (seen[0].headers.get("content-type"), seen[0].headers.get("content-length"))


def test_default_port_is_not_in_the_host_header() -> None:
    """The Host header names the host alone where the port is the scheme's own."""
    transport, seen = mock(OK)
    client(transport=transport, base_url="https://api.example.com:443").send(request())
    assert "api.example.com" == seen[0].headers["host"]


def test_path_beyond_any_url_is_refused_before_it_is_sent() -> None:
    """A path that no URL can hold is an invalid request, and its text does not show it."""
    transport, seen = mock(OK)
    with pytest.raises(InvalidRequestError, match=r"^things\.get: ") as caught:
        client(transport=transport).send(request(path="/" + "x" * 70_000))
    assert ([], True) == (seen, len(str(caught.value)) < 200)


def test_connection_is_kept() -> None:
    """Calls that follow each other share one connection."""
    with Server([answer(), answer(404), answer()]) as server, client(base_url=server.url) as synerise:
        synerise.send(request())
        with pytest.raises(APIStatusError):
            synerise.send(request())
        synerise.send(request())
        assert 1 == server.connections


def test_child_of_a_fork_opens_its_own_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a fork the parent's connection is not written to."""
    with Server([answer()]) as server, client(base_url=server.url) as synerise:
        synerise.send(request())
        parent = synerise._connections._transport
        monkeypatch.setattr(os, "getpid", lambda: -1)
        synerise.send(request())
        assert 2 == server.connections
        assert parent is not None
        parent.httpx_transport.close()


# How it ends


@pytest.mark.anyio
async def test_answer_is_read_and_handed_out() -> None:
    """Status, headers, content, parsed body and the number of attempts are in the response."""
    for outcome, _, _ in await both([answer(202, b'{"a":1}', "X-Request-Id: r1")], request()):
        assert isinstance(outcome, Response)
        got = (outcome.status_code, outcome.headers["x-request-id"], outcome.content, outcome.body, outcome.attempts)
        assert (202, "r1", b'{"a":1}', b'{"a":1}', 1) == got


@pytest.mark.anyio
async def test_compressed_answer_is_unpacked() -> None:
    """A gzip body is read."""
    packed = gzip.compress(b'{"a":1}')
    for outcome, _, _ in await both([answer(200, packed, "Content-Encoding: gzip")], request()):
        assert isinstance(outcome, Response)
        assert b'{"a":1}' == outcome.content


@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])  # on trio httpx leaves its own generators to the collector here
async def test_broken_compression_is_a_connection_error() -> None:
    """A body that cannot be unpacked counts as a broken answer."""
    sent = request(operation=ONCE, repeatable=False)
    for outcome, _, _ in await both([answer(200, b"no gzip", "Content-Encoding: gzip")], sent):
        assert isinstance(outcome, APIConnectionError)
        assert ("the answer cannot be decompressed", True) == (outcome.problem, outcome.maybe_applied)


@pytest.mark.parametrize("status", [200, 201, 202, 203, 204, 299])
def test_every_2xx_is_success(status: int) -> None:
    """Whatever the reference documents, a 2xx that nothing contradicts is an answer and not an error."""
    transport, _ = mock(httpx.Response(status, content=b""))
    assert status == client(transport=transport).send(request()).status_code


def test_redirect_is_not_followed() -> None:
    """A token is never carried to where a server points."""
    transport, seen = mock(httpx.Response(302, headers={"location": "https://evil.example"}))
    with pytest.raises(APIStatusError, match="302 Found"):
        client(transport=transport).send(request())
    assert 1 == len(seen)


def test_cookies_are_not_kept() -> None:
    """A cookie that the server sets is not sent back."""
    with Server([answer(200, b"{}", "Set-Cookie: a=b")]) as server, client(base_url=server.url) as synerise:
        synerise.send(request())
        synerise.send(request())
        assert b"cookie" not in server.heads[1].lower()


@pytest.mark.anyio
@pytest.mark.parametrize("act", [reset, hang_up, truncated()])
async def test_broken_connection_is_retried_where_that_is_safe(act: Act) -> None:
    """A reset, a connection closed early or a truncated body is retried for a repeatable request."""
    for outcome, slept, sent in await both([act, act, answer()], request()):
        assert isinstance(outcome, Response)
        assert (3, [0.5, 1.0], 3) == (outcome.attempts, slept, sent)


@pytest.mark.anyio
@pytest.mark.parametrize("act", [reset, hang_up, truncated()])
async def test_broken_connection_is_raised_where_a_second_sending_could_harm(act: Act) -> None:
    """For an operation that must not be sent twice, the error says that it may have been carried out."""
    for outcome, slept, sent in await both([act], request(operation=ONCE, repeatable=False)):
        assert isinstance(outcome, APIConnectionError)
        assert (True, 1, [], 1) == (outcome.maybe_applied, outcome.attempts, slept, sent)
        assert "could be applied twice" in str(outcome)


@pytest.mark.anyio
async def test_slow_answer_is_a_timeout() -> None:
    """An answer that takes too long is a timeout, and the request may have been carried out."""
    for outcome, _, sent in await both([silence], request(operation=ONCE, repeatable=False), timeout=(5, 0.1, 5, 5)):
        assert isinstance(outcome, APITimeoutError)
        assert outcome.problem.startswith("no answer from 127.0.0.1:")
        assert outcome.problem.endswith(" (base_url) in time")
        assert (True, 1) == (outcome.maybe_applied, sent)


@pytest.mark.anyio
async def test_refused_connection_is_retried_for_every_operation() -> None:
    """What was never sent is sent again, and in the end the error says that it did not arrive."""
    sent, clock = request(operation=ONCE, repeatable=False), Clock()
    with client(clock, base_url=unused_url()) as synerise, pytest.raises(APIConnectionError) as caught:
        synerise.send(sent)
    errors = [caught.value]
    async with AsyncSynerise(token="t", base_url=unused_url(), _timing=clock.timing) as asynchronous:
        with pytest.raises(APIConnectionError) as caught:
            await asynchronous.send(sent)
    errors.append(caught.value)
    assert [0.5, 1.0, 2.0] * 2 == clock.slept
    assert [(False, 4)] * 2 == [(error.maybe_applied, error.attempts) for error in errors]
    assert all(isinstance(error.__cause__, httpx.ConnectError) for error in errors)


@pytest.mark.anyio
@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9.6\r\n\r\n", b"HTTP/1.1 abc jan@example.com\r\n\r\n"])
async def test_answer_that_is_no_http_is_not_quoted(garbage: bytes) -> None:
    """What a stranger's server sends is neither in the error's text nor in what it was raised from."""
    for outcome, _, _ in await both([garbage], request(operation=ONCE, repeatable=False)):
        assert isinstance(outcome, APIConnectionError)
        assert (None, None) == (outcome.__cause__, outcome.__context__)
        assert "jan@" not in str(outcome)


@pytest.mark.anyio
async def test_rate_limit_is_waited_out() -> None:
    """A 429 is retried after the time that the server asks for, for every operation."""
    acts = [answer(429, b"{}", "Retry-After: 7"), answer()]
    for outcome, slept, _ in await both(acts, request(operation=ONCE, repeatable=False)):
        assert isinstance(outcome, Response)
        assert (2, [7.0]) == (outcome.attempts, slept)


@pytest.mark.anyio
async def test_rate_limit_beyond_the_cap_is_raised_at_once() -> None:
    """A wish beyond the cap ends the call; the error carries it."""
    for outcome, slept, _ in await both([answer(429, b"{}", "Retry-After: 3600")], request()):
        assert isinstance(outcome, RateLimitError)
        assert (3600.0, []) == (outcome.retry_after, slept)
        assert "beyond the cap of 60 s" in str(outcome)


@pytest.mark.anyio
async def test_server_error_is_raised_after_the_last_retry() -> None:
    """When the retries are used up, the error of the last answer is raised with the number of attempts."""
    for outcome, slept, sent in await both([answer(502, b'{"traceId": "z"}')], request()):
        assert isinstance(outcome, ServerError)
        assert "things.get: 502 Bad Gateway; trace id z; tried 4 times" == str(outcome)
        assert ([0.5, 1.0, 2.0], 4) == (slept, sent)


def test_earlier_attempt_that_may_have_arrived_is_not_forgotten() -> None:
    """If the first attempt timed out and the last could not connect, the request may have been carried out."""
    transport, _ = mock(httpx.ReadTimeout("late"), httpx.ConnectError("refused"))
    with pytest.raises(APIConnectionError) as caught:
        client(transport=transport).send(request())
    assert (True, 4) == (caught.value.maybe_applied, caught.value.attempts)


@pytest.mark.parametrize(
    ("error", "maybe_received", "timed_out"),
    [
        (httpx.ConnectTimeout("x"), False, True),
        (httpx.PoolTimeout("x"), False, True),
        (httpx.WriteTimeout("x"), True, True),
        (httpx.ReadTimeout("x"), True, True),
        (httpx.ConnectError("x"), False, False),
        (httpx.ProxyError("x"), False, False),
        (httpx.WriteError("x"), True, False),
        (httpx.ReadError("x"), True, False),
        (httpx.RemoteProtocolError("x"), True, False),
        (httpx.LocalProtocolError("x"), True, False),
        (httpx.UnsupportedProtocol("x"), False, False),
        (httpx.CloseError("x"), True, False),
    ],
)
def test_each_failure_of_the_network_is_distinguished(
    error: Exception, *, maybe_received: bool, timed_out: bool
) -> None:
    """Every exception of httpx becomes a typed error that knows whether the request may have maybe_received."""
    transport, _ = mock(error)
    with pytest.raises(APIConnectionError) as caught:
        client(transport=transport, max_retries=0).send(request())
    assert (maybe_received, timed_out) == (caught.value.maybe_applied, isinstance(caught.value, APITimeoutError))


@pytest.mark.parametrize(
    ("causes", "words"),
    [
        ([socket.gaierror(-2, "x")], "could be made: the name of the host was not found"),
        ([ssl.SSLCertVerificationError("x")], "could be made: the server's certificate was not accepted"),
        ([ConnectionRefusedError()], "could be made: it was refused"),
        ([TimeoutError()], "in time"),
        ([ConnectionRefusedError(), TimeoutError()], "in time"),
        ([], "in time"),
    ],
)
def test_cause_of_a_timeout_that_is_none_is_told(causes: list[OSError], words: str) -> None:
    """A given transport may call a host that is not found, or not trusted, a timeout."""
    error: Exception = httpx.ConnectTimeout("x")
    last = error
    for cause in causes:
        last.__cause__ = last = cause
    transport, _ = mock(error)
    with pytest.raises(APIConnectionError, match=words) as caught:
        client(transport=transport, max_retries=0).send(request())
    assert isinstance(caught.value, APITimeoutError) == (words == "in time")


def test_bad_certificate_is_not_retried() -> None:
    """A certificate that is not accepted will not be accepted a moment later."""
    error = httpx.ConnectError("bad")
    error.__cause__ = ssl.SSLCertVerificationError("bad")
    transport, seen = mock(error)
    with pytest.raises(APIConnectionError, match="certificate was not accepted"):
        client(transport=transport).send(request())
    assert 1 == len(seen)


def test_foreign_exception_is_not_dressed_up() -> None:
    """An exception that is not the network's reaches the caller as it is."""
    transport, _ = mock(ZeroDivisionError("bug"))
    with pytest.raises(ZeroDivisionError):
        client(transport=transport).send(request())


def test_unreadable_success_is_a_decoding_error_after_one_attempt() -> None:
    """A success whose body cannot be read is not retried, since the operation was carried out."""
    transport, seen = mock(OK)

    def parse(response: Any) -> bytes:
        raise ResponseDecodingError("no", operation="things.get", status_code=200, content=b"")

    with pytest.raises(ResponseDecodingError):
        client(transport=transport).send(Request(operation=operation(), path="/", parse=parse, repeatable=True))
    assert 1 == len(seen)


# Time


def timeouts(seen: list[httpx.Request]) -> list[dict[str, float | None]]:
    return [sent.extensions["timeout"] for sent in seen]


def test_timeout_has_a_shorter_limit_for_connecting() -> None:
    """Seconds hold for each step, but connecting takes five at most; a tuple says each by itself."""
    transport, seen = mock(OK)
    for timeout in (30.0, 2.0, (1.0, None, 3.0, 4.0)):
        client(transport=transport, timeout=timeout).send(request())
    assert [
        {"connect": 5.0, "read": 30.0, "write": 30.0, "pool": 30.0},
        {"connect": 2.0, "read": 2.0, "write": 2.0, "pool": 2.0},
        {"connect": 1.0, "read": 300.0, "write": 3.0, "pool": 4.0},
    ] == timeouts(seen)


def test_deadline_shortens_the_steps_of_the_last_attempts() -> None:
    """An attempt may not take longer than what is left of the deadline."""
    transport, seen = mock(httpx.Response(429, headers={"retry-after": "8"}), OK)
    client(transport=transport, deadline=10.0).send(request())
    assert [5.0, 2.0] == [limits["connect"] for limits in timeouts(seen)]


def test_no_limit_at_all_still_fits_into_a_socket() -> None:
    """Without timeout and deadline a call waits for days, over a real socket too."""
    with Server([answer()]) as server:
        limits: dict[str, Any] = {"timeout": (None, None, None, None), "deadline": math.inf}
        with client(base_url=server.url, **limits) as synerise:
            assert 200 == synerise.send(request()).status_code


def test_deadline_ends_the_retries() -> None:
    """A wait that would pass the deadline is not begun, and the error says so."""
    clock = Clock()
    transport, seen = mock(httpx.Response(429, headers={"retry-after": "8"}))
    with pytest.raises(RateLimitError, match="the deadline of 10 s"):
        client(clock, transport=transport, deadline=10.0).send(request())
    assert ([8.0], 2) == (clock.slept, len(seen))


def test_nothing_is_sent_after_the_deadline() -> None:
    """If signing in took all the time, the call ends before its request is sent."""
    clock = Clock()
    transport, seen = mock(OK)

    def slow_token() -> str:
        clock.now += 11
        return "t"

    with pytest.raises(APITimeoutError, match="the deadline of 10 s has passed") as caught:
        client(clock, transport=transport, token=slow_token, deadline=10.0).send(request())
    assert ([], False) == (seen, caught.value.maybe_applied)


# Hooks


def test_hooks_see_every_attempt() -> None:
    """on_request is called before each sending, on_response after it, with what came of it."""
    seen: list[tuple[str, int, object]] = []
    transport, _ = mock(httpx.ConnectError("refused"), httpx.Response(503), OK)

    def note(result: AttemptResult) -> None:
        seen.append((result.operation.name, result.attempt, result.failure or result.status_code))

    def announce(sent: Request[Any], attempt: int) -> None:
        seen.append((sent.operation.name, attempt, None))

    client(transport=transport, on_request=announce, on_response=note).send(request())
    outcomes = ["no connection to api.synerise.com (region azure-eu) could be made", 503, 200]
    expected: list[tuple[str, int, object]] = []
    for attempt, outcome in enumerate(outcomes, start=1):
        expected += [("things.get", attempt, None), ("things.get", attempt, outcome)]
    assert expected == seen


def test_result_for_a_hook_has_headers_and_duration() -> None:
    """A hook can read the headers and how long the attempt took."""
    clock, seen = Clock(), list[AttemptResult]()

    def handle(received: httpx.Request) -> httpx.Response:
        clock.now += 0.25
        return httpx.Response(200, headers={"x-request-id": "r"})

    client(clock, transport=httpx.MockTransport(handle), on_response=seen.append).send(request())
    headers = seen[0].headers
    assert headers is not None
    assert (0.25, "r") == (seen[0].seconds, headers["x-request-id"])


@pytest.mark.parametrize("hook", ["on_request", "on_response"])
def test_exception_of_a_hook_reaches_the_caller(hook: str) -> None:
    """A hook is the caller's code: what it raises ends the call."""

    def fail(*_: object) -> None:
        raise ZeroDivisionError("hook")

    transport, _ = mock(OK)
    arguments: dict[str, Any] = {hook: fail}
    with pytest.raises(ZeroDivisionError, match="hook"):
        client(transport=transport, **arguments).send(request())


@pytest.mark.anyio
async def test_async_client_takes_sync_and_async_hooks() -> None:
    """Coroutine functions are awaited, plain functions called."""
    seen: list[object] = []
    transport, _ = mock(httpx.Response(500), OK)

    async def before(sent: Request[Any], attempt: int) -> None:
        seen.append(attempt)

    clock = Clock()
    async with AsyncSynerise(
        token="t",
        transport=transport,
        on_request=before,
        on_response=lambda result: seen.append(result.status_code),
        _timing=clock.timing,
    ) as synerise:
        await synerise.send(request())
    assert [1, 500, 2, 200] == seen


# Closing, proxies


def test_closed_client_sends_nothing() -> None:
    """After close() a call is refused by name, and closing again does nothing."""
    transport, seen = mock(OK)
    synerise = client(transport=transport)
    synerise.send(request())
    synerise.close()
    synerise.close()
    with pytest.raises(InvalidRequestError, match=r"^things\.get: the client is closed"):
        synerise.send(request())
    assert 1 == len(seen)


@pytest.mark.anyio
async def test_closed_async_client_sends_nothing() -> None:
    """After aclose() a call is refused by name, and closing again does nothing."""
    transport, seen = mock(OK)
    synerise = AsyncSynerise(token="t", transport=transport)
    await synerise.send(request())
    await synerise.aclose()
    await synerise.aclose()
    with pytest.raises(InvalidRequestError, match=r"^things\.get: the client is closed"):
        await synerise.send(request())
    assert 1 == len(seen)


def test_answer_is_closed_even_if_it_breaks() -> None:
    """A connection goes back to the pool, or is closed, however the answer ends."""
    closed: list[bool] = []

    class Stream(httpx.SyncByteStream):
        def __iter__(self) -> Any:
            raise httpx.ReadError("gone")

        def close(self) -> None:
            closed.append(True)

    transport = httpx.MockTransport(lambda received: httpx.Response(200, stream=Stream()))
    with pytest.raises(APIConnectionError):
        client(transport=transport, max_retries=0).send(request())
    assert [True] == closed


def environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)


@pytest.mark.anyio
async def test_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """An https request asks the environment's proxy for a tunnel to the one host."""
    with Server([answer(403)]) as server:
        environment(monkeypatch, HTTPS_PROXY=server.url.replace("http://", "http://user:pass@"))
        synerise = client(base_url="https://api.example.com", max_retries=0)
        with synerise, pytest.raises(APIConnectionError, match="the proxy made no connection") as caught:
            synerise.send(request())
        async with AsyncSynerise(token="t", base_url="https://api.example.com", max_retries=0) as asynchronous:
            with pytest.raises(APIConnectionError, match="the proxy made no connection"):
                await asynchronous.send(request())
        assert [b"CONNECT api.example.com:443 HTTP/1.1"] * 2 == [head.split(b"\r\n")[0] for head in server.heads]
        assert "pass" not in f"{caught.value!r}{caught.value.__cause__!r}"
        assert b"Bearer" not in b"".join(server.heads)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("status", "words", "requests"),
    [(407, "it answered 407, so the credentials in the URL of the proxy", 1), (403, "it answered 403", 2)],
)
async def test_proxy_that_refuses_is_told_by_its_status(status: int, words: str, requests: int) -> None:
    """What the proxy answered is told, but nothing that it wrote; with wrong credentials it is not asked again."""
    with Server([answer(status)]) as server:
        arguments: dict[str, Any] = {"base_url": "https://api.example.com", "max_retries": 1, "proxy": server.url}
        with client(**arguments) as synerise, pytest.raises(APIConnectionError) as caught:
            synerise.send(request())
        assert f"the proxy made no connection to api.example.com (base_url): {words}" in caught.value.problem
        assert "Any" not in caught.value.problem
        assert requests == len(server.heads)
        async with AsyncSynerise(token="t", **arguments) as asynchronous:
            with pytest.raises(APIConnectionError, match=words):
                await asynchronous.send(request())


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("act", "limits", "words"),
    [
        (silence, {"timeout": 0.1}, "no connection to api.example.com (base_url) in time through the proxy"),
        (silence, {"deadline": 0.2}, "no connection to api.example.com (base_url) in time through the proxy"),
        (hang_up, {"max_retries": 1}, "the proxy made no connection to api.example.com (base_url)"),
        (reset, {"max_retries": 1}, "the proxy made no connection to api.example.com (base_url)"),
        (b"SSH-2.0-secret\r\n\r\n", {"max_retries": 1}, "the proxy made no connection to api.example.com (base_url)"),
    ],
)
async def test_proxy_that_does_not_answer_leaves_a_request_unsent(
    act: Act | bytes, limits: dict[str, Any], words: str
) -> None:
    """Only the proxy was asked, so that even what must not be sent twice is tried again."""
    given: dict[str, Any] = {"base_url": "https://api.example.com", "max_retries": 1, **limits}
    sent = request(operation=ONCE, repeatable=False)
    for is_async in (False, True):
        with Server([act]) as server:
            synerise = client(**given, proxy=server.url)
            asynchronous = AsyncSynerise(token="t", _timing=Clock().timing, **given, proxy=server.url)
            with synerise, pytest.raises(APIConnectionError) as caught:
                _ = (await asynchronous.send(sent)) if is_async else synerise.send(sent)
            await asynchronous.aclose()
            assert words == caught.value.problem
            assert not caught.value.maybe_applied
            assert len(server.heads) == (1 if "deadline" in limits else 2)
            assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.anyio
async def test_proxy_that_cannot_be_reached_is_not_taken_for_the_host() -> None:
    """Where the proxy's name is not found, or nothing listens at its address, the text says that it is the proxy's."""
    for proxy, words in (
        ("http://user:secret@proxy.invalid:9", "the name of the proxy was not found"),
        (unused_url(), "it was refused, nothing listens at the address of the proxy"),
    ):
        arguments: dict[str, Any] = {"base_url": "https://api.example.com", "max_retries": 0, "proxy": proxy}
        with client(**arguments) as synerise, pytest.raises(APIConnectionError) as caught:
            synerise.send(request())
        assert f"to api.example.com (base_url) could be made through the proxy: {words}" in caught.value.problem
        async with AsyncSynerise(token="t", **arguments) as asynchronous:
            with pytest.raises(APIConnectionError, match=words):
                await asynchronous.send(request())


@pytest.mark.anyio
@pytest.mark.parametrize("act", [reset, hang_up, silence])
async def test_error_after_connecting_names_the_host(act: Act) -> None:
    """Also where a connection was there, the text says to which host, and what led to it."""
    for outcome, _, _ in await both([act], request(operation=ONCE, repeatable=False), timeout=(5, 0.1, 5, 5)):
        assert isinstance(outcome, APIConnectionError)
        assert re.search(r"127\.0\.0\.1:\d+ \(base_url\)", outcome.problem)


def test_proxy_without_a_scheme_is_taken_as_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """ALL_PROXY=host:port works as in other tools."""
    with Server([answer(403)]) as server:
        environment(monkeypatch, ALL_PROXY=server.url.removeprefix("http://"))
        with client(base_url="https://api.example.com", max_retries=0) as synerise, pytest.raises(APIConnectionError):
            synerise.send(request())
        assert 1 == len(server.heads)


def test_no_proxy_and_this_machine_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host in NO_PROXY, and any loopback host, does without the proxy of the environment."""
    environment(monkeypatch, HTTPS_PROXY="http://proxy:1", NO_PROXY="internal.example.com")
    urls = ["https://internal.example.com", "https://localhost:8443", "https://api.example.com"]
    assert [None, None, "http://proxy:1"] == [find_proxy(client(base_url=url).options) for url in urls]


def test_given_proxy_wins() -> None:
    """The proxy argument is used even for this machine."""
    with Server([answer()]) as server:
        with client(base_url="http://localhost:1", proxy=server.url) as synerise:
            synerise.send(request())
        assert b"GET http://localhost:1/v4/things/1 HTTP/1.1" == server.heads[0].split(b"\r\n")[0]


@pytest.mark.parametrize("proxy", ["http://user:secret@[bad", "http://user:secret@h:99999999"])
def test_unusable_proxy_is_not_quoted(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """A proxy of the environment that is no URL is a configuration error without its password."""
    environment(monkeypatch, HTTPS_PROXY=proxy)
    with pytest.raises((ConfigurationError, APIConnectionError)) as caught:
        client(base_url="https://api.example.com", max_retries=0).send(request())
    assert "secret" not in f"{caught.value}{caught.value.__cause__}"


def test_error_body_is_parsed_from_the_wire() -> None:
    """A refusal over a real socket carries the publisher's body."""
    body = b'{"status":400,"message":"m","errors":[{"field":"email","rejectedValue":"x"}]}'
    with (
        Server([answer(400, body)]) as server,
        client(base_url=server.url) as synerise,
        pytest.raises(BadRequestError, match="refused fields: email") as caught,
    ):
        synerise.send(request())
    assert caught.value.body is not None
    assert "m" == caught.value.body["message"]


class Answering(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """A transport that answers by what a function returns."""

    def __init__(self, handle: Callable[[], Any]) -> None:
        self._handle = handle

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = self._handle()
        return response

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return self.handle_request(request)


async def _ok() -> httpx.Response:
    return httpx.Response(200)


@pytest.mark.anyio
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("handle", "kind"), [(_ok, "coroutine"), (lambda: {"a": 1}, "dict")])
async def test_a_transport_that_answers_by_no_response_is_told(handle: Callable[[], Any], kind: str) -> None:
    """Such as an async function in the transport of a sync client; nothing is left to be awaited."""
    given: dict[str, Any] = {"token": "t", "transport": Answering(handle)}
    text = f"^transport: expected that it answers by an httpx.Response, got {kind}$"
    with Synerise(**given) as synerise, pytest.raises(ConfigurationError, match=text):
        synerise.send(request())
    async with AsyncSynerise(**given) as asynchronous:
        with pytest.raises(ConfigurationError, match=text):
            await asynchronous.send(request())
