"""The limits of a call bind the login that it needs, also where calls with other limits wait for the same login."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from synerise_profiles import AsyncSynerise, RetryPolicy, Synerise
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.errors import APIConnectionError, APITimeoutError
from synerise_profiles_api import settings
from tests._core.support import Clock, Server, answer, mock, request, silence, unused_url

KEY = "0c0ffee0-key"
TOKEN = json.dumps({settings.LOGIN_TOKEN_FIELD: "t1"}).encode()


def client(transport: httpx.BaseTransport | None, clock: Clock, **arguments: Any) -> Synerise:
    return Synerise(api_key=KEY, transport=transport, _timing=clock.timing, **arguments)


# Alone


def test_copy_without_retries_logs_in_once() -> None:
    """`max_retries=0` of a copy counts for its login, while the client itself goes on trying."""
    clock = Clock()
    transport, seen = mock(httpx.ConnectError("refused"))
    synerise = client(transport, clock)
    with pytest.raises(APIConnectionError, match=r"^auth\.login: .*tried once"):
        synerise.with_options(max_retries=0).send(request())
    assert (1, []) == (len(seen), clock.slept)
    with pytest.raises(APIConnectionError, match="tried 4 times"):
        synerise.send(request())


def test_deadline_of_a_copy_ends_its_login() -> None:
    """No wait that would pass the deadline is begun, and the text names the deadline of the copy."""
    clock = Clock()
    transport, seen = mock(httpx.ConnectError("refused"))
    with pytest.raises(APIConnectionError, match=r"would pass the deadline of 1 s") as caught:
        client(transport, clock).with_options(deadline=1).send(request())
    assert ("auth.login", 2, 2, [0.5]) == (caught.value.operation, caught.value.attempts, len(seen), clock.slept)


def test_timeout_of_a_copy_is_that_of_its_login() -> None:
    """The login's steps take no longer than the call's own."""
    transport, seen = mock(httpx.Response(200, content=TOKEN))
    client(transport, Clock()).with_options(timeout=2.5).send(request())
    assert [[2.5] * 4] * 2 == [list(sent.extensions["timeout"].values()) for sent in seen]


def test_login_of_a_renewal_has_what_is_left_of_the_deadline() -> None:
    """A refused token after 7 of 10 seconds leaves 3 to the login."""
    clock = Clock()
    timeouts: list[float] = []

    def handle(received: httpx.Request) -> httpx.Response:
        if received.url.path == settings.LOGIN_PATH:
            timeouts.append(received.extensions["timeout"]["read"])
            return httpx.Response(200, content=TOKEN)
        clock.now += 7 if len(timeouts) == 1 else 0
        return httpx.Response(401 if len(timeouts) == 1 else 200, content=b"{}")

    client(httpx.MockTransport(handle), clock, deadline=10).send(request())
    assert [10, 3] == timeouts


def test_login_gets_no_headers_of_a_copy() -> None:
    """Headers of the caller's are for the calls of the copy, not for its login."""
    transport, seen = mock(httpx.Response(200, content=TOKEN))
    client(transport, Clock()).with_options(headers={"X-Request-Id": "r-1"}).send(request())
    assert [None, "r-1"] == [sent.headers.get("x-request-id") for sent in seen]


def test_dead_port_costs_no_more_than_the_deadline() -> None:
    """Where nobody listens, the login is tried for as long as the call may take, on a clock that only sleeps move."""
    clock = Clock()
    with Synerise(api_key=KEY, base_url=unused_url(), _timing=clock.timing) as synerise:
        with pytest.raises(APIConnectionError, match=r"deadline of 1 s"):
            synerise.with_options(deadline=1).send(request())
        with pytest.raises(APIConnectionError, match=r"tried once"):
            synerise.with_options(max_retries=0).send(request())
    assert [0.5] == clock.slept


def test_hung_port_costs_no_more_than_the_deadline() -> None:
    """A host that takes the login and never answers ends the call in time."""
    with Server([silence]) as server, Synerise(api_key=KEY, base_url=server.url, max_retries=0) as synerise:
        with pytest.raises(APITimeoutError, match=r"^auth\.login"):
            synerise.with_options(deadline=0.05).send(request())
        with pytest.raises(APITimeoutError, match=r"^auth\.login"):
            synerise.with_options(timeout=0.05).send(request())
        assert 2 == len(server.heads)


@pytest.mark.anyio
async def test_async_copy_binds_its_login() -> None:
    """The async client keeps the same limits, on a dead and on a hung port."""
    clock = Clock()
    async with AsyncSynerise(api_key=KEY, base_url=unused_url(), _timing=clock.timing) as synerise:
        with pytest.raises(APIConnectionError, match=r"deadline of 1 s"):
            await synerise.with_options(deadline=1).send(request())
    assert [0.5] == clock.slept
    with Server([silence]) as server:
        async with AsyncSynerise(api_key=KEY, base_url=server.url, max_retries=0) as synerise:
            with pytest.raises(APITimeoutError, match=r"^auth\.login"):
                await synerise.with_options(deadline=0.05).send(request())


# Together


class GatedLogin:
    """Logins wait at a gate each, then end as they are told; other requests succeed."""

    def __init__(self, *ends: Callable[[], httpx.Response]) -> None:
        self.ends = ends
        self.logins = 0
        self.arrived = [threading.Event() for _ in ends]
        self.gates = [threading.Event() for _ in ends]
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, received: httpx.Request) -> httpx.Response:
        if received.url.path != settings.LOGIN_PATH:
            return httpx.Response(200, content=b"{}")
        number = self.logins
        self.logins += 1
        self.arrived[number].set()
        assert self.gates[number].wait(10)
        return self.ends[number]()


def token() -> httpx.Response:
    return httpx.Response(200, content=TOKEN)


def timed_out() -> httpx.Response:
    raise httpx.ReadTimeout("late")


def start(call: Callable[[], object], outcomes: list[object]) -> threading.Thread:
    def work() -> None:
        try:
            outcomes.append(call())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            outcomes.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def waits_for_login(synerise: Synerise) -> Callable[[], bool]:
    """Note who waits for another's login; return whether anybody has."""
    transport: Any = synerise._connections._transport
    done = transport.auth._coordinator._pending.done
    waited, wait = threading.Event(), done.wait

    def noted(seconds: float) -> None:
        waited.set()
        wait(seconds)

    done.wait = noted
    return lambda: waited.wait(10)


def test_short_call_stops_waiting_while_the_login_goes_on_for_the_long_one() -> None:
    """A call whose deadline ends meanwhile leaves another's login with a typed error; that login then succeeds."""
    clock, login = Clock(), GatedLogin(token)
    synerise = client(login.transport, clock)
    long: list[object] = []
    short: list[object] = []
    leader = start(lambda: synerise.send(request()).status_code, long)
    assert login.arrived[0].wait(10)
    has_waited = waits_for_login(synerise)
    follower = start(lambda: synerise.with_options(deadline=2).send(request()), short)
    assert has_waited()
    clock.now += 2
    follower.join(10)
    login.gates[0].set()
    leader.join(10)
    assert ([200], 1) == (long, login.logins)
    assert isinstance(short[0], APITimeoutError)
    text = "auth.login: the deadline of 2 s has passed while another call was logging in; not sent"
    assert text in str(short[0])


def test_impatient_call_waits_no_longer_than_its_own_login_would_take() -> None:
    """A step of a second and no retry bound a wait for another's login, whatever the deadline."""
    clock, login = Clock(), GatedLogin(token)
    synerise = client(login.transport, clock)
    outcomes: list[object] = []
    leader = start(lambda: synerise.send(request()), [])
    assert login.arrived[0].wait(10)
    has_waited = waits_for_login(synerise)
    follower = start(lambda: synerise.with_options(timeout=1, max_retries=0).send(request()), outcomes)
    assert has_waited()
    clock.now += 4
    follower.join(10)
    login.gates[0].set()
    leader.join(10)
    assert "another call was logging in for more than 4 s" in str(outcomes[0])


@pytest.mark.parametrize("narrow", [{"max_retries": 0}, {"deadline": 3, "max_retries": 0}, {"timeout": 0.5}])
def test_long_call_logs_in_itself_where_a_short_one_gave_up(narrow: dict[str, Any]) -> None:
    """The failure of a login with narrower limits does not fail a call that allows more."""
    clock = Clock()
    ends = [timed_out] * (1 if "max_retries" in narrow else 4)
    login = GatedLogin(*ends, token)
    synerise = client(login.transport, clock)
    short: list[object] = []
    long: list[object] = []
    leader = start(lambda: synerise.with_options(**narrow).send(request()), short)
    assert login.arrived[0].wait(10)
    has_waited = waits_for_login(synerise)
    follower = start(lambda: synerise.send(request()).status_code, long)
    assert has_waited()
    for gate in login.gates:
        gate.set()
    for thread in (leader, follower):
        thread.join(10)
    assert isinstance(short[0], APITimeoutError)
    assert ([200], len(ends) + 1) == (long, login.logins)


@pytest.mark.anyio
async def test_async_calls_share_a_login_within_their_own_limits() -> None:
    """The short one stops at its deadline, the long one gets the token; a login that failed is taken over."""
    gate = anyio.Event()
    logins: list[float] = []

    async def handle(received: httpx.Request) -> httpx.Response:
        if received.url.path != settings.LOGIN_PATH:
            return httpx.Response(200, content=b"{}")
        logins.append(received.extensions["timeout"]["read"])
        if len(logins) == 1:
            await gate.wait()
            raise httpx.ReadTimeout("late")
        return token()

    outcomes: dict[str, object] = {}

    async def call(name: str, synerise: AsyncSynerise) -> None:
        try:
            outcomes[name] = (await synerise.send(request())).status_code
        except APIConnectionError as error:
            outcomes[name] = error
        if name == "short":
            gate.set()

    async with (
        AsyncSynerise(api_key=KEY, transport=httpx.MockTransport(handle)) as synerise,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(call, "first", synerise.with_options(max_retries=0, deadline=100))
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(call, "long", synerise)
        tasks.start_soon(call, "short", synerise.with_options(deadline=0.02))
    assert "has passed while another call was logging in" in str(outcomes["short"])
    assert isinstance(outcomes["first"], APITimeoutError)
    assert (200, 2) == (outcomes["long"], len(logins))


def test_refused_key_is_told_once_whatever_the_limits() -> None:
    """A key that is refused is no matter of limits: who waits gets the same error and does not log in."""
    login = GatedLogin(lambda: httpx.Response(401))
    synerise = client(login.transport, Clock())
    outcomes: list[object] = []
    leader = start(lambda: synerise.with_options(max_retries=0).send(request()), outcomes)
    assert login.arrived[0].wait(10)
    has_waited = waits_for_login(synerise)
    follower = start(lambda: synerise.send(request()), outcomes)
    assert has_waited()
    login.gates[0].set()
    for thread in (leader, follower):
        thread.join(10)
    assert (1, 1) == (login.logins, len(set(map(id, outcomes))))


# In runs


@pytest.mark.parametrize("status", [400, 500, 503, None])
@pytest.mark.parametrize("options", [{}, {"requests_per_second": 1000.0}])
def test_run_whose_login_fails_sends_no_row_and_doubts_none(status: int | None, options: dict[str, Any]) -> None:
    """A login that fails says nothing about rows: the run's retries are for it, none is halved, none in doubt."""
    clock = Clock()
    transport, seen = mock(httpx.ConnectError("refused") if status is None else httpx.Response(status))
    synerise = client(transport, clock).with_options(max_retries=1)
    with pytest.raises(BulkStoppedError, match="login") as caught:
        synerise.bulk.upsert_profiles([{"clientId": number} for number in range(1, 9)], concurrency=1, **options)
    most = (1 if status == 400 else 2) * (2 if options else 1)
    assert {settings.LOGIN_PATH} == {sent.url.path for sent in seen}
    assert len(seen) <= most
    report = caught.value.report
    assert {"unsent": 8} == {stage: count for stage, count in report.by_stage.items() if count}
    assert (0, 0, 0) == (report.requests, report.retries, report.bytes_sent)


@pytest.mark.parametrize("name", ["bulk", "queue"])
def test_first_request_after_a_login_that_failed_at_first_is_no_retry(name: str) -> None:
    """What is counted as sent reached the server, however often the login failed before it."""
    transport, _ = mock(httpx.Response(500), httpx.Response(500), httpx.Response(200, content=TOKEN))
    policy = RetryPolicy(base_delay=0.001)
    with Synerise(api_key=KEY, transport=transport, retry=policy) as synerise:
        if name == "bulk":
            counts: Any = synerise.bulk.upsert_profiles([{"clientId": 1}])
            assert counts.bytes_sent == len(b'[{"clientId":1}]')
        else:
            with synerise.queue() as queue:
                queue.profiles.put({"clientId": 1})
            counts = queue.stats()
    assert (1, 0) == (counts.requests, counts.retries)


def test_server_that_answers_late_is_used_all_the_same() -> None:
    """Limits that are not reached change nothing."""
    with Server([answer(body=TOKEN), answer()]) as server, Synerise(api_key=KEY, base_url=server.url) as synerise:
        assert 200 == synerise.with_options(deadline=30, timeout=20, max_retries=0).send(request()).status_code
