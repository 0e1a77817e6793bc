"""Injected faults: which requests meet them, what is sent and how the connection ends, what the log says."""

from __future__ import annotations

import asyncio
import email.utils
import itertools
import math
import time
from collections.abc import Callable

import httpx
import orjson
import pytest

from synerise_profiles.sandbox import Fault, Outcome, Sandbox, create_app
from synerise_profiles.sandbox.admin.faults import FaultKind, Faults
from tests.sandbox.conftest import client_of
from tests.sandbox.raw import connect, request, send

LOGIN = "/uauth/v2/auth/login/profile"


def upsert(api: httpx.Client, custom_id: str = "a") -> httpx.Response:
    return api.post("/v4/clients", json={"customId": custom_id})


def names(sandbox: Sandbox) -> list[str]:
    return [logged.fault for logged in sandbox.log]


# --- which requests meet a fault


def test_the_next_n(sandbox: Sandbox, api: httpx.Client) -> None:
    """A fault is played as often as asked for, and then no more."""
    injected = sandbox.faults.status(503, times=2)
    assert [upsert(api).status_code for _ in range(3)] == [503, 503, 202]
    assert (injected.matched, injected.played, injected.active) == (2, 2, False)
    assert repr(injected) == "<InjectedFault 1: status 503, played 2 times>"
    assert len(sandbox.faults) == 0


def test_until_it_is_removed(sandbox: Sandbox, api: httpx.Client) -> None:
    """Without a number it is played until it is removed."""
    injected = sandbox.faults.status(500)
    assert [upsert(api).status_code for _ in range(3)] == [500] * 3
    assert injected.remove()
    assert not injected.remove()
    assert upsert(api).status_code == 202


def test_clear(sandbox: Sandbox, api: httpx.Client) -> None:
    """All faults can be removed at once."""
    injected = sandbox.faults.status(500)
    sandbox.faults.close()
    sandbox.faults.clear()
    assert (len(sandbox.faults), list(sandbox.faults), injected.active) == (0, [], False)
    assert upsert(api).status_code == 202


def struck(seed: int, rate: float = 0.3, count: int = 200) -> list[bool]:
    faults = Faults([("tags.list", "GET", "/v4/clients/tags")])
    faults.status(500, rate=rate, seed=seed)
    return [faults.pick("tags.list") is not None for _ in range(count)]


def test_a_rate_is_reproducible() -> None:
    """The same seed chooses the same requests, another seed others, and about as many as the rate says."""
    assert struck(1) == struck(1) != struck(2)
    assert 35 < sum(struck(1)) < 85
    assert all(struck(1, rate=1.0))


def test_a_rate_and_a_number(sandbox: Sandbox, api: httpx.Client) -> None:
    """Both together: some of the requests, until it was played so often."""
    injected = sandbox.faults.status(500, rate=0.5, seed=3, times=2)
    statuses = [upsert(api).status_code for _ in range(20)]
    assert statuses.count(500) == injected.played == 2
    assert injected.matched > 2 or statuses[:2] == [500, 500]


@pytest.mark.parametrize(
    ("when", "met"),
    [
        ({}, {"POST /v4/clients", "GET /v4/clients/tags", "POST " + LOGIN, "GET /v4/nowhere"}),
        ({"operation": "profiles.upsert"}, {"POST /v4/clients"}),
        ({"operation": "tags.*"}, {"GET /v4/clients/tags"}),
        ({"operation": "login"}, {"POST " + LOGIN}),
        ({"method": "get"}, {"GET /v4/clients/tags"}),
        ({"path": "/v4/clients"}, {"POST /v4/clients"}),
        ({"path": "/v4/clients*", "method": "POST"}, {"POST /v4/clients"}),
    ],
    ids=["all", "name", "glob", "login", "method", "path", "path and method"],
)
def test_matching(sandbox: Sandbox, api: httpx.Client, when: dict[str, str], met: set[str]) -> None:
    """By operation, pattern of operations, method, path template; by default every request, an unknown one too."""
    sandbox.faults.status(520, **when)
    calls = {
        "POST /v4/clients": upsert(api),
        "GET /v4/clients/tags": api.get("/v4/clients/tags"),
        "POST " + LOGIN: api.post(LOGIN, json={"apiKey": sandbox.api_key}),
        "GET /v4/nowhere": api.get("/v4/nowhere"),
    }
    assert {name for name, answer in calls.items() if answer.status_code == 520} == met


def test_the_path_is_the_template(sandbox: Sandbox, api: httpx.Client) -> None:
    """A fault names the template of a path, not its values."""
    sandbox.faults.status(520, path="/v4/clients/{clientId}", method="GET")
    assert api.get("/v4/clients/17").status_code == 520
    assert api.get("/v4/clients/17/tags").status_code != 520


@pytest.mark.parametrize("when", [{"operation": "evnts.*"}, {"path": "/v5/*"}, {"operation": "login", "method": "GET"}])
def test_a_fault_that_nothing_meets_is_refused(sandbox: Sandbox, when: dict[str, str]) -> None:
    """A misspelt name is an error where it is written: a test that waits for it would prove nothing."""
    with pytest.raises(ValueError, match="no request can meet this fault"):
        sandbox.faults.status(500, **when)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"kind": FaultKind.STATUS, "status": 100}, "status"),
        ({"kind": FaultKind.STATUS, "status": 600}, "status"),
        ({"kind": FaultKind.CLOSE, "times": 0}, "times"),
        ({"kind": FaultKind.CLOSE, "rate": 0.0}, "rate"),
        ({"kind": FaultKind.CLOSE, "rate": 1.5}, "rate"),
        ({"kind": FaultKind.DELAY, "seconds": -1.0}, "seconds"),
        ({"kind": FaultKind.DELAY, "seconds": math.nan}, "seconds"),
        ({"kind": FaultKind.DRIP, "size": 0}, "size"),
        ({"kind": FaultKind.STATUS, "retry_after": -1.0}, "retry_after"),
        ({"kind": FaultKind.CONTENT_TYPE, "media_type": "a\r\nb"}, "media_type"),
    ],
)
def test_a_senseless_fault_is_refused(wrong: dict[str, object], message: str) -> None:
    """Each number has its bounds, and what goes into a header stays on its line."""
    with pytest.raises(ValueError, match=message):
        Fault(**wrong)


def test_the_first_that_strikes_is_played_alone(sandbox: Sandbox, api: httpx.Client) -> None:
    """Of several faults one is played; the next has its turn with the next request."""
    first, second = sandbox.faults.status(500, times=1), sandbox.faults.status(502, times=1)
    assert [upsert(api).status_code for _ in range(3)] == [500, 502, 202]
    assert (first.matched, second.matched) == (1, 1)


# --- answers


@pytest.mark.parametrize("status", [429, 499, 500, 502, 503, 504, 520, 404])
def test_a_status_instead_of_processing(sandbox: Sandbox, api: httpx.Client, status: int) -> None:
    """The request is not carried out, and the answer has the error body of the API."""
    sandbox.faults.status(status, times=1)
    answer = upsert(api)
    assert answer.status_code == status
    assert status == 404 or answer.json()["status"] == status
    logged = sandbox.log[-1]
    assert (logged.status, logged.fault, logged.outcomes) == (status, f"status {status}", ())
    assert len(sandbox.store.profiles) == 0


def test_a_status_after_processing(sandbox: Sandbox, api: httpx.Client) -> None:
    """The request is carried out all the same: the log says both."""
    sandbox.faults.status(504, processed=True, times=1)
    assert upsert(api).status_code == 504
    logged = sandbox.log[-1]
    assert (logged.status, logged.fault) == (504, "status 504 after processing")
    assert logged.outcomes == (Outcome.APPLIED,)
    assert len(sandbox.store.profiles) == 1


def test_a_successful_status_instead_of_processing(sandbox: Sandbox, api: httpx.Client) -> None:
    """A write can be swallowed with a status of success."""
    sandbox.faults.status(202, times=1)
    answer = upsert(api)
    assert (answer.status_code, answer.content) == (202, b"")
    assert len(sandbox.store.profiles) == 0


def test_retry_after_in_seconds(sandbox: Sandbox, api: httpx.Client) -> None:
    """Retry-After is a number of seconds."""
    sandbox.faults.status(429, retry_after=2, times=1)
    answer = upsert(api)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_retry_after_as_a_date(sandbox: Sandbox, api: httpx.Client) -> None:
    """Or a date, counted from the sandbox's clock, which Date tells."""
    sandbox.clock.stop()
    sandbox.clock.advance(86_400)
    sandbox.faults.status(503, retry_after=30, retry_after_date=True, times=1)
    headers = upsert(api).headers
    date = email.utils.parsedate_to_datetime(headers["retry-after"])
    assert date.timestamp() == math.ceil(sandbox.clock() + 30)
    sent = email.utils.parsedate_to_datetime(headers["date"])
    assert sent.timestamp() == int(sandbox.clock())


def test_html(sandbox: Sandbox, api: httpx.Client) -> None:
    """A gateway answers with a page, before or after processing."""
    sandbox.faults.html(502, times=1)
    sandbox.faults.html(503, processed=True, retry_after=1, times=1)
    first, second = upsert(api), upsert(api)
    assert first.headers["content-type"].startswith("text/html")
    assert first.text.startswith("<!DOCTYPE html>")
    assert (first.status_code, second.status_code, second.headers["retry-after"]) == (502, 503, "1")
    assert [logged.applied for logged in sandbox.log] == [0, 1]


def test_a_wrong_content_type(sandbox: Sandbox, api: httpx.Client) -> None:
    """The body is that of the answer, its type is not."""
    sandbox.faults.content_type("text/csv", operation="tags.list", times=1)
    wrong, right = api.get("/v4/clients/tags"), api.get("/v4/clients/tags")
    assert (wrong.headers["content-type"], right.headers["content-type"]) == ("text/csv", "application/json")
    assert wrong.content == right.content
    assert names(sandbox) == ["content type text/csv", ""]


def test_an_expired_token(sandbox: Sandbox, api: httpx.Client) -> None:
    """401 "Token expired.", and this token is refused from then on; another one is not."""
    other = sandbox.token()
    sandbox.faults.expire_token(times=1)
    first, second = api.get("/v4/clients/1"), api.get("/v4/clients/1")
    assert [answer.status_code for answer in (first, second)] == [401, 401]
    assert (first.json()["error"], second.json()["error"]) == ("Token expired.", "Token expired.")
    assert names(sandbox) == ["token expired", ""]
    with client_of(sandbox, other) as renewed:
        assert renewed.get("/v4/clients/1").status_code == 404


def test_an_expired_token_is_not_processed(sandbox: Sandbox, api: httpx.Client) -> None:
    """What came with the token is not carried out."""
    sandbox.faults.expire_token(times=1)
    assert upsert(api).status_code == 401
    assert len(sandbox.store.profiles) == 0


def test_only_tokens_expire(sandbox: Sandbox, api: httpx.Client) -> None:
    """A login and Basic carry no token, so they neither meet this fault nor use it up."""
    injected = sandbox.faults.expire_token(times=1)
    assert api.post(LOGIN, json={"apiKey": sandbox.api_key}, headers={"Authorization": ""}).status_code == 200
    basic = httpx.BasicAuth(sandbox.workspace_guid, sandbox.api_key)
    assert api.get("/v4/clients/tags", auth=basic).status_code == 200
    assert injected.matched == 0


def test_a_lost_207(sandbox: Sandbox, api: httpx.Client) -> None:
    """The batch is processed, but the refused entries are kept from the caller; an ordinary 202 does not use it up."""
    injected = sandbox.faults.lose_207(times=1)
    assert upsert(api).status_code == 202
    batch = [{"customId": "good"}, {"customId": "bad", "birthDate": "24.10.1987"}]
    lost, answered = api.post("/v4/clients/batch", json=batch), api.post("/v4/clients/batch", json=batch)
    assert (lost.status_code, lost.content, answered.status_code) == (202, b"", 207)
    assert (injected.matched, injected.played) == (1, 1)
    logged = sandbox.log[1]
    assert (logged.status, logged.fault, logged.applied) == (202, "lost 207", 1)


# --- time


@pytest.mark.parametrize("processed", [False, True])
def test_a_delay(sandbox: Sandbox, api: httpx.Client, *, processed: bool) -> None:
    """The answer comes late; the request is carried out in either case."""
    sandbox.faults.delay(0.05, processed=processed, times=1)
    begin = time.perf_counter()
    assert upsert(api).status_code == 202
    assert time.perf_counter() - begin >= 0.05
    assert len(sandbox.store.profiles) == 1


@pytest.mark.parametrize("processed", [False, True])
def test_others_do_not_wait(sandbox: Sandbox, api: httpx.Client, *, processed: bool) -> None:
    """While one request is delayed, others are answered: before its work is done, or after."""
    sandbox.faults.delay(30, processed=processed, operation="profiles.upsert", times=1)
    with connect(sandbox) as slow:
        slow.sendall(request(sandbox, "POST", "/v4/clients", {"customId": "a"}))
        injected = next(iter(sandbox.faults))
        wait_for(lambda: injected.played == 1)
        expected = 200 if processed else 404
        wait_for(lambda: api.get("/v4/clients/by-custom-id/a").status_code == expected)


def test_a_delayed_request_outlives_its_client(sandbox: Sandbox) -> None:
    """The client that gave up does not know that its request was carried out; the log does."""
    sandbox.faults.delay(30, times=1)
    with connect(sandbox) as slow:
        slow.sendall(request(sandbox, "POST", "/v4/clients", {"customId": "a"}))
        injected = next(iter(sandbox.faults))
        wait_for(lambda: injected.played == 1)
    wait_for(lambda: len(sandbox.log) == 1)
    assert sandbox.log[0].applied == 1


def test_a_slow_drip(sandbox: Sandbox) -> None:
    """The answer arrives whole, but in pieces with pauses."""
    sandbox.faults.drip(0.002, size=20, operation="events.server_time", times=1)
    received = send(sandbox, "GET", "/v4/server/time")
    assert len(received.pieces) > 5
    assert max(map(len, received.pieces)) < len(received.all)
    assert received.head.startswith(b"http/1.1 200 ok\r\n")
    assert "serverTime" in orjson.loads(received.body)
    assert sandbox.log[0].fault == "drip"


def test_a_drip_of_an_answer_without_a_body(sandbox: Sandbox, api: httpx.Client) -> None:
    """The head drips too; a client that is patient gets a good answer."""
    sandbox.faults.drip(0.001, size=20, times=1)
    assert upsert(api).status_code == 202


# --- the connection


@pytest.mark.parametrize("processed", [False, True])
@pytest.mark.parametrize("reset", [False, True])
def test_a_closed_connection(sandbox: Sandbox, *, processed: bool, reset: bool) -> None:
    """Nothing arrives; the connection is closed or reset, before or after processing."""
    sandbox.faults.close(processed=processed, reset=reset, times=1)
    received = send(sandbox, "POST", "/v4/clients", {"customId": "a"})
    assert (received.all, received.end) == (b"", "reset" if reset else "closed")
    wait_for(lambda: len(sandbox.log) == 1)
    logged = sandbox.log[0]
    assert logged.fault == f"{'reset' if reset else 'closed'} {'after' if processed else 'before'} processing"
    assert (logged.status, logged.bytes_sent, logged.applied) == (0, 0, int(processed))
    assert len(sandbox.store.profiles) == int(processed)


def test_a_truncated_body(sandbox: Sandbox, api: httpx.Client) -> None:
    """Content-Length announces the whole body, half of it arrives."""
    upsert(api)
    sandbox.faults.truncate(operation="profiles.find", times=1)
    received = send(sandbox, "GET", "/v4/clients/by-custom-id/a")
    announced = int(received.head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert received.end == "closed"
    assert len(received.body) == announced // 2 == sandbox.log[-1].bytes_sent
    assert (sandbox.log[-1].status, sandbox.log[-1].fault) == (200, "truncated")


@pytest.mark.parametrize(("size", "arrives"), [(0, 0), (3, 3), (10_000, -1)])
def test_a_body_truncated_at_a_size(sandbox: Sandbox, size: int, arrives: int) -> None:
    """As much of the body arrives as asked for, and never all of it."""
    sandbox.faults.truncate(size=size, times=1)
    received = send(sandbox, "GET", "/v4/server/time")
    whole = len(b'{"serverTime":"2026-01-01T00:00:00.000Z"}')
    assert len(received.body) == (arrives if arrives >= 0 else whole - 1)


def test_a_truncated_answer_without_a_body(sandbox: Sandbox) -> None:
    """It breaks off within its head; the request was carried out."""
    sandbox.faults.truncate(times=1)
    received = send(sandbox, "POST", "/v4/clients", {"customId": "a"})
    assert (received.all, received.end) == (b"HTTP/1.1 202", "closed")
    assert sandbox.log[0].applied == 1


def test_other_connections_stay(sandbox: Sandbox, api: httpx.Client) -> None:
    """One broken connection leaves the others and the server as they are."""
    upsert(api)
    sandbox.faults.close(reset=True, operation="tags.list", times=1)
    assert send(sandbox, "GET", "/v4/clients/tags").end == "reset"
    assert upsert(api).status_code == 202


def test_stopping_does_not_wait_for_a_delay() -> None:
    """A request that is still delayed does not hold the sandbox; it is carried out before the state is closed."""
    with Sandbox() as sandbox:
        injected = sandbox.faults.delay(30)
        connection = connect(sandbox)
        connection.sendall(request(sandbox, "POST", "/v4/clients", {"customId": "a"}))
        wait_for(lambda: injected.played == 1)
        begin = time.perf_counter()
    assert time.perf_counter() - begin < 5
    assert sandbox.log[0].applied == 1
    connection.close()


def test_another_server_cannot_break_connections() -> None:
    """Under another ASGI server the fault is an exception, not an answer."""

    async def ask() -> None:
        app = create_app()
        app.faults.close()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://sandbox", trust_env=False) as client:
            try:
                await client.get("/v4/server/time")
            finally:
                app.store.close()

    with pytest.raises(ConnectionAbortedError, match="closed before processing"):
        asyncio.run(ask())


# --- the proof


def test_nothing_is_lost_and_nothing_applied_twice(sandbox: Sandbox, api: httpx.Client) -> None:
    """From the log: an event sent twice with its salt is applied once, and then overwritten."""
    sandbox.faults.status(503, processed=True, times=1)
    event = {
        "action": "newsletter.open",
        "label": "opened",
        "client": {"customId": "a"},
        "time": "2026-01-01T12:00:00Z",
        "eventSalt": "salt",
    }
    assert [api.post("/v4/events/custom", json=event).status_code for _ in range(2)] == [503, 202]
    outcomes = list(itertools.chain.from_iterable(logged.outcomes for logged in sandbox.log))
    assert outcomes == [Outcome.APPLIED, Outcome.OVERWROTE]
    assert len(sandbox.store.events) == 1


def wait_for(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for what happens in the server's thread."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass in time"
        time.sleep(0.001)
