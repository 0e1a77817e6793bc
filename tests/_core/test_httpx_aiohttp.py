"""The transport of the package httpx-aiohttp, as a caller gives it: what holds for our connections holds there too."""

from __future__ import annotations

import gzip
import traceback
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise
from synerise_profiles._core.config import AttemptResult
from synerise_profiles.errors import APIConnectionError, APIStatusError, APITimeoutError, RateLimitError
from synerise_profiles_api.types import Request, Response
from tests._core.support import (
    ONCE,
    Act,
    Clock,
    Server,
    answer,
    hang_up,
    operation,
    request,
    reset,
    silence,
    truncated,
    unused_url,
)

httpx_aiohttp: Any = pytest.importorskip("httpx_aiohttp")

pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("anyio_backend", ["asyncio"])]


async def send(url: str, *sent: Request[bytes], **arguments: Any) -> list[Response[bytes]]:
    """Send requests over one transport."""
    given: dict[str, Any] = {"token": "t", "base_url": url, "_timing": Clock().timing, **arguments}
    async with AsyncSynerise(**given, transport=httpx_aiohttp.AiohttpTransport()) as client:
        return [await client.send(each) for each in sent]


async def test_requests_and_answers_arrive_as_they_are() -> None:
    """Targets byte for byte, headers once, contents whole; the connection is kept."""
    post = operation(http_method="POST", headers=(("Api-Version", "4.4"),))
    body = '{"name":"Żółć"}'.encode()
    packed = answer(200, gzip.compress(b"[1]"), "Content-Encoding: gzip")
    targets = ["/v4/x/a%2Fb%20c%25d%C5%82%3F%23", "/v4/clients/by-email/a%2Bb@example.com"]
    with Server([answer(), packed, answer(202, b"")]) as server:
        sent = [request(path=path) for path in targets]
        answers = await send(server.url, *sent, request(operation=post, content=body))
        assert [200, 200, 202] == [each.status_code for each in answers]
        assert [b"{}", b"[1]", b""] == [each.content for each in answers]
        assert [f"GET {path} HTTP/1.1" for path in targets] == [
            head.split(b"\r\n")[0].decode() for head in server.heads[:2]
        ]
        names = [line.split(b":")[0].lower() for line in server.heads[2].split(b"\r\n")[1:]]
        assert len(names) == len(set(names))
        assert {b"api-version", b"authorization", b"content-type", b"content-length"} <= set(names)
        assert (body, 1) == (server.bodies[2], server.connections)


@pytest.mark.parametrize("act", [hang_up, reset, truncated(), b"HTTP/1.1 202 A\r\nConte"])
@pytest.mark.parametrize("is_kept", [False, True])
async def test_what_must_not_be_sent_twice_is_sent_once(act: Act | bytes, *, is_kept: bool) -> None:
    """The server has read it, and breaks off: it may have been applied."""

    def half(connection: Any) -> None:
        connection.sendall(act)
        reset(connection)

    acts: list[Act | bytes] = [*([answer()] if is_kept else []), half if isinstance(act, bytes) else act, answer()]
    once = request(operation=ONCE, repeatable=False, content=b"{}")
    with Server(acts) as server:
        with pytest.raises(APIConnectionError) as caught:
            await send(server.url, *([request()] if is_kept else []), once)
        assert (True, 1) == (caught.value.maybe_applied, caught.value.attempts)
        assert 1 == sum(head.startswith(b"POST") for head in server.heads)


async def test_what_may_be_repeated_is_repeated() -> None:
    """After a broken connection, and after a server that asks to wait."""
    with Server([hang_up, answer(503), answer(429, b"{}", "Retry-After: 1"), answer()]) as server:
        (response,) = await send(server.url, request())
    assert (200, 4) == (response.status_code, len(server.heads))  # aiohttp repeats a GET by itself too


async def test_a_refused_connection_is_retried_for_every_operation() -> None:
    """Nothing can have been sent."""
    with pytest.raises(APIConnectionError, match="refused, nothing listens there") as caught:
        await send(unused_url(), request(operation=ONCE, repeatable=False), max_retries=2)
    assert (False, 3) == (caught.value.maybe_applied, caught.value.attempts)


async def test_a_slow_answer_is_a_timeout() -> None:
    """It may have been applied."""
    with Server([silence]) as server, pytest.raises(APITimeoutError) as caught:
        await send(server.url, request(operation=ONCE, repeatable=False), timeout=0.2)
    assert (True, 1) == (caught.value.maybe_applied, caught.value.attempts)


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        b"HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_an_answer_that_is_no_http_shows_nothing(wire: bytes) -> None:
    """The errors of aiohttp quote the URL, in which an e-mail address may stand."""
    sent = request(path="/v4/clients/by-email/jan.secret@example.com", repeatable=False)
    with Server([wire]) as server, pytest.raises(APIConnectionError) as caught:
        await send(server.url, sent)
    assert caught.value.maybe_applied
    assert "secret" not in "".join(traceback.format_exception(caught.value))


async def test_errors_and_hooks_are_as_with_our_connections() -> None:
    """Statuses become the same typed errors."""
    results: list[AttemptResult] = []
    with Server([answer(429), answer(413)]) as server:
        with pytest.raises(RateLimitError):
            await send(server.url, request(), max_retries=0, on_response=results.append)
        with pytest.raises(APIStatusError, match="413"):
            await send(server.url, request(), on_response=results.append)
    assert [429, 413] == [result.status_code for result in results]


async def test_an_answer_that_is_too_large_is_refused() -> None:
    """Also if that shows only as it is unpacked, by aiohttp or here."""
    bomb = answer(200, gzip.compress(b" " * 300_000), "Content-Encoding: gzip")
    for wire in (answer(200, bytes(300_000)), bomb):
        with Server([wire]) as server, pytest.raises(APIConnectionError, match="max_response_bytes"):
            await send(server.url, request(), max_response_bytes=100_000)


async def test_a_bulk_run_is_done() -> None:
    """Of batches beside each other."""
    with Server([answer(202, b"{}")]) as server:
        given: dict[str, Any] = {"token": "t", "base_url": server.url}
        async with AsyncSynerise(**given, transport=httpx_aiohttp.AiohttpTransport()) as client:
            report = await client.bulk.upsert_profiles([{"customId": f"c{n}"} for n in range(3000)])
    assert (3000, 3000) == (report.read, report.accepted)
