"""The server's clock: its bounds always hold, it is measured once, and no local clock can spoil it."""

from __future__ import annotations

import asyncio
import datetime
import math
import os
import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import APIConnectionError, AsyncSynerise, ResponseDecodingError, ServerError, Synerise
from synerise_profiles._core.server_clock import (
    COARSE_ERROR_SECONDS,
    FAILURE_PAUSE_SECONDS,
    MAX_AGE_SECONDS,
    MAX_DRIFT_RATE,
    MAX_SAMPLES,
    ClockState,
)
from synerise_profiles.sandbox import Outcome, Sandbox
from tests._core.support import JWT_EPOCH, Clock
from tests.events.conftest import JAN
from tests.events.support import stored, was_asked_once

EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class Server:
    """A server whose clock runs a little fast or slow, and which takes its time to answer."""

    def __init__(self, clock: Clock, ahead: float = 0.0, rate: float = 0.0) -> None:
        self.clock = clock
        self.ahead = ahead
        self.rate = rate
        self.way_there = self.way_back = 0.01
        self.requests = 0
        self.status = 200
        self.text: str | None = None

    def time(self) -> float:
        return JWT_EPOCH + self.ahead + (1 + self.rate) * (self.clock.now - 50.0)

    def __call__(self, _: httpx.Request) -> httpx.Response:
        self.requests += 1
        self.clock.now += self.way_there
        shown = datetime.datetime.fromtimestamp(math.floor(self.time() * 1000) / 1000, datetime.UTC)
        self.clock.now += self.way_back
        text = shown.isoformat(timespec="milliseconds") if self.text is None else self.text
        return httpx.Response(self.status, json={"serverTime": text})

    def lag(self, client: Synerise) -> float:
        """How many seconds the client is behind."""
        now = client.clock.now()
        return (moment(self.time()) - now).total_seconds()

    def client(self, **more: Any) -> Synerise:
        transport = httpx.MockTransport(self)
        return Synerise(token="t", transport=transport, max_retries=0, _timing=self.clock.timing, **more)


@pytest.fixture
def server() -> Server:
    return Server(Clock(), ahead=-3600.0)


def moment(seconds: float) -> datetime.datetime:
    return EPOCH + datetime.timedelta(seconds=seconds)


SECONDS = st.floats(0, 3, allow_nan=False)


@given(
    ahead=st.floats(-1e8, 1e8),
    rate=st.floats(-MAX_DRIFT_RATE * 0.99, MAX_DRIFT_RATE * 0.99),
    trips=st.lists(st.tuples(SECONDS, SECONDS, st.floats(0, 3000)), min_size=1, max_size=6),
    step=st.sampled_from([1.0, 1e-3, 1e-6]),
)
def test_the_bounds_hold(ahead: float, rate: float, trips: list[tuple[float, float, float]], step: float) -> None:
    """However long requests take and however clocks drift, the server's time is within; `earliest` never goes back."""
    state, now, last = ClockState(), 1000.0, -math.inf

    def server_time() -> float:
        return 1.7e9 + ahead + (1 + rate) * (now - 1000.0)

    for there, back, pause in trips:
        began = now
        now += there
        shown = EPOCH + datetime.timedelta(microseconds=math.floor(server_time() / step) * round(step * 1e6))
        now += back
        state.record_measurement(began, now, 5e8 + now, shown)
        for wait in (0.0, pause):
            now += wait
            assert state.offset is not None
            assert state.offset.earliest(now) <= server_time() + 1e-6
            assert state.offset.latest(now) >= server_time() - 1e-6
            assert state.offset.earliest(now) >= last - 1e-6
            last = state.offset.earliest(now)
            assert state.offset.uncertainty(now) <= state.offset.high - state.offset.low + 2 * MAX_DRIFT_RATE * 3010


def test_it_is_asked_once_and_again_after_its_age(server: Server) -> None:
    """One request serves ten minutes; what is read is behind the server's time by at most the error that it states."""
    with server.client() as client:
        assert client.clock.error is None
        assert client.clock.known() is None
        for _ in range(50):
            behind = server.lag(client)
            assert client.clock.error is not None
            assert 0 <= behind <= client.clock.error + 0.021
            server.clock.now += MAX_AGE_SECONDS / 51
        assert server.requests == 1
        assert client.clock.error < COARSE_ERROR_SECONDS + 2 * MAX_DRIFT_RATE * MAX_AGE_SECONDS
        server.clock.now += MAX_AGE_SECONDS / 50
        client.clock.now()
        assert server.requests == 2


def test_a_slow_answer_is_asked_for_again(server: Server) -> None:
    """The first request has to connect: a coarse answer is followed by others, but by no more than a few."""
    server.way_there = COARSE_ERROR_SECONDS
    with server.client() as client:
        client.clock.now()
        assert server.requests == MAX_SAMPLES
        assert client.clock.now() <= moment(server.time())
        assert server.requests == MAX_SAMPLES


def test_the_local_clock_does_not_matter(server: Server) -> None:
    """A wall clock that is a year wrong changes nothing; when it jumps, the server is asked again."""
    server.clock.skew = 3e7
    with server.client() as client:
        assert 0 <= server.lag(client) < 0.05
        server.clock.skew = -5.0
        assert 0 <= server.lag(client) < 0.05
        assert server.requests == 2
        server.clock.skew -= 0.5
        client.clock.now()
        assert server.requests == 2


def test_a_sleep_of_the_machine_is_noticed(server: Server) -> None:
    """A monotonic clock that stood still while the wall clock went on is no longer trusted."""
    with server.client() as client:
        client.clock.now()
        server.ahead += 7200.0
        server.clock.skew += 7200.0
        assert 0 <= server.lag(client) < 0.05


def test_a_server_that_is_set_is_followed(server: Server) -> None:
    """Where an answer contradicts the last one, the new one counts."""
    with server.client() as client:
        client.clock.now()
        server.ahead -= 60.0
        server.clock.now += MAX_AGE_SECONDS + 1
        assert 0 <= server.lag(client) < 0.05


def test_a_failed_renewal_keeps_what_is_known(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Its bounds still hold, since drift is counted: it is used, with a warning, and asked for again a minute later."""
    with server.client() as client:
        client.clock.now()
        server.clock.now += MAX_AGE_SECONDS + 1
        server.status = 503
        for _ in range(5):
            assert client.clock.now() <= moment(server.time())
        assert server.requests == 2
        assert "events.server_time: ServerError" in caplog.text
        server.clock.now += FAILURE_PAUSE_SECONDS + 1
        client.clock.now()
        assert server.requests == 3


@pytest.mark.parametrize(
    ("break_it", "error"),
    [
        (lambda server: setattr(server, "status", 500), ServerError),
        (lambda server: setattr(server, "text", "soon"), ResponseDecodingError),
        (lambda server: setattr(server, "text", "2024-01-01T00:00:00"), ResponseDecodingError),
    ],
)
def test_a_first_failure_is_raised(server: Server, break_it: Callable[[Server], None], error: type[Exception]) -> None:
    """Without any measurement there is no time; with one that no longer holds there is none either."""
    with server.client() as client:
        break_it(server)
        with pytest.raises(error):
            client.clock.now()
        server.status, server.text = 200, None
        client.clock.now()
        break_it(server)
        server.clock.skew += 100.0
        with pytest.raises(error):
            client.clock.now()


def test_copies_share_the_clock(server: Server) -> None:
    """A copy of a client talks to the same server."""
    with server.client() as client:
        client.clock.now()
        client.with_options(timeout=1.0).clock.now()
        assert server.requests == 1


@pytest.mark.anyio
async def test_a_copy_asks_by_its_own_options() -> None:
    """Its deadline and its headers are those of the question; what was told is known to the client too."""
    asked: list[httpx.Request] = []

    def tell(http_request: httpx.Request) -> httpx.Response:
        asked.append(http_request)
        return httpx.Response(200, json={"serverTime": "2026-03-01T00:00:00.001Z"})

    arguments: dict[str, Any] = {"token": "t", "transport": httpx.MockTransport(tell)}
    own: dict[str, Any] = {"timeout": 7.0, "headers": {"X-Request-Id": "copy"}}
    with Synerise(**arguments) as client:
        client.with_options(**own).clock.now()
        client.clock.now()
    async with AsyncSynerise(**arguments) as asynchronous:
        await asynchronous.with_options(**own).clock.now()
        await asynchronous.clock.now()
    assert len(asked) == 2
    for http_request in asked:
        assert http_request.headers["X-Request-Id"] == "copy"
        assert http_request.extensions["timeout"]["read"] == 7.0


def test_threads_share_one_request(client: Synerise, sandbox: Sandbox) -> None:
    """However many threads read it first, the server is asked once."""
    barrier, moments = threading.Barrier(16), list[datetime.datetime]()

    def read() -> None:
        barrier.wait()
        moments.append(client.clock.now())

    threads = [threading.Thread(target=read) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(moments) == 16
    assert was_asked_once(sandbox)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_tasks_share_one_request(sandbox: Sandbox, backend: str) -> None:
    """Nor is it asked twice by tasks."""

    async def main() -> None:
        async with (
            AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client,
            anyio.create_task_group() as group,
        ):
            for _ in range(16):
                group.start_soon(client.clock.now)

    anyio.run(main, backend=backend)
    assert was_asked_once(sandbox)


def test_several_event_loops_share_what_is_known(server: Server) -> None:
    """What one loop measured serves the next one."""
    client = AsyncSynerise(token="t", transport=httpx.MockTransport(server), _timing=server.clock.timing)

    async def read() -> None:
        await client.clock.now()

    for _ in range(3):
        asyncio.run(read())
    assert server.requests == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_fork_does_not_wait_for_its_parent(server: Server) -> None:
    """A lock that a thread of the parent held is not waited for."""
    with server.client() as client:
        clock = client.clock
        clock._lock.acquire()  # pyright: ignore[reportPrivateUsage]
        clock._pid = -1  # pyright: ignore[reportPrivateUsage]  # as in the child
        assert clock.now() <= moment(server.time())


@pytest.mark.parametrize("days", [-400, -1, 0, 1, 400])
def test_an_event_now_is_never_in_the_future(client: Synerise, sandbox: Sandbox, days: int) -> None:
    """Wherever the two clocks stand, the time of a built event is kept, and its salt has its effect."""
    sandbox.clock.advance(days * 86400)
    build = client.builder(salt="content")
    for _ in range(20):
        event = build.searched(client=JAN, params={"query": "tea"})
        client.events.searched(event)
        client.events.searched(event)
    written = [
        exchange.outcomes[0]
        for exchange in sandbox.log
        if exchange.operation == "events.searched" and exchange.status == 202
    ]
    assert written[::2].count(Outcome.APPLIED) == len(stored(sandbox, "client.search"))
    assert set(written[1::2]) == {Outcome.OVERWROTE}
    assert len(written) == 40


def test_an_unreachable_server_is_told(sandbox: Sandbox) -> None:
    """The builder of a client without a server raises what any call raises."""
    with Synerise(token="t", base_url=sandbox.url, max_retries=0) as client:
        sandbox.faults.close(operation="events.server_time")
        with pytest.raises(APIConnectionError):
            client.builder().searched(client=JAN)
