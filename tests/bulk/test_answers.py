"""What answers mean for rows: those that contradict, rows at which the server breaks, a 207 without its list."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import Synerise
from synerise_profiles._batching.send_result import SendResult, send_result_of
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.errors import APIConnectionError, APITimeoutError, UnconfirmedResponseError
from synerise_profiles.sandbox import Sandbox
from tests.bulk.support import Clock, Run, Server, fates
from tests.bulk.test_engine import PROFILES, number, profile, small
from tests.queue.support import event

BROKEN = SendResult(status=500, failure=AttemptFailure(status_code=500))
RESET = send_result_of(APIConnectionError("broke", operation="x", maybe_applied=True))
ONCE = RetryPolicy(max_retries=1)


class PoisonedServer(Server):
    """Breaks at each request that holds one of these rows."""

    def __init__(self, poison: set[int], result: SendResult = BROKEN) -> None:
        super().__init__()
        self.poison = poison
        self._result = result

    def _store(self, rows: Any) -> tuple[SendResult, list[Any]]:
        if self.poison & set(map(number, rows)):
            return self._result, []
        return super()._store(rows)


@settings(max_examples=60, deadline=None)
@given(
    poison=st.sets(st.integers(0, 99), max_size=4),
    items=st.sampled_from([1, 7, 20]),
    concurrency=st.integers(1, 4),
    seed=st.integers(0, 100),
    result=st.sampled_from([BROKEN, RESET, SendResult(status=502, failure=AttemptFailure(status_code=502))]),
)
def test_a_poisoned_row_costs_one_row(
    poison: set[int], items: int, concurrency: int, seed: int, result: SendResult
) -> None:
    """Where others pass, all rows but those at which the server breaks arrive; each of these is a rejection by itself.

    It is one of the server if others passed since the server broke at it, which is so for a part of a batch.
    """
    poison = {n for n in poison if n >= items and (items > 1 or not n % 4)}  # the first batch shows that it is up
    server = PoisonedServer(poison, result)
    run = Run(
        small(items, 10**6), [profile(n) for n in range(100)], server, concurrency=concurrency, seed=seed, policy=ONCE
    )
    report = run.finish()
    found = fates(report)
    assert set(found) <= {"server", "unsent"}
    assert sorted(index for indexes in found.values() for index in indexes) == sorted(poison)
    if items > 1 and not {98, 99} <= poison:  # the last two rows may be a batch by themselves
        assert "unsent" not in found
    assert {number(row) for row in server.stored} == set(range(100)) - poison
    assert run.engine.problem is None


class Scripted(Server):
    """Gives these results one after the other, and then takes everything."""

    def __init__(self, *results: SendResult) -> None:
        super().__init__()
        self._results = list(results)

    def _store(self, rows: Any) -> tuple[SendResult, list[Any]]:
        return (self._results.pop(0), []) if self._results else super()._store(rows)


FORBIDDEN = SendResult(status=403, failure=AttemptFailure(status_code=403))


@pytest.mark.parametrize("last", [FORBIDDEN, SendResult(status=429, failure=AttemptFailure(status_code=429)), BROKEN])
@pytest.mark.parametrize("first", [BROKEN, RESET])
def test_a_half_that_was_put_aside_is_never_lost(first: SendResult, last: SendResult) -> None:
    """The server breaks at a batch and its first half, and then answers otherwise: each row has its fate."""
    server = Scripted(first, BROKEN, *[last] * 10)
    report = Run(PROFILES, [profile(n) for n in range(5)], server, policy=RetryPolicy(max_retries=0)).finish()
    assert (report.read, report.accepted, fates(report)) == (5, 0, {"unsent": [0, 1, 2, 3, 4]})


@pytest.mark.parametrize("blip", [BROKEN, RESET])
def test_a_row_is_not_blamed_for_what_happens_once(blip: SendResult) -> None:
    """While a row is looked for, the request of another one fails a single time: that is sent again."""

    class Unlucky(PoisonedServer):
        is_spent = False

        def _store(self, rows: Any) -> tuple[SendResult, list[Any]]:
            if not self.is_spent and [number(row) for row in rows] == [2]:
                self.is_spent = True
                return blip, []
            return super()._store(rows)

    server = Unlucky({3})
    report = Run(PROFILES, [profile(n) for n in range(8)], server, policy=ONCE).finish()
    assert server.is_spent
    assert fates(report) == {"server": [3]}
    assert report.accepted == 7


def test_a_run_of_one_batch() -> None:
    """The two halves are tried once each; if one passes, the row is found, and else the server is down."""
    server = PoisonedServer({7})
    report = Run(PROFILES, [profile(n) for n in range(100)], server, policy=ONCE).finish()
    assert fates(report) == {"server": [7]}
    assert report.accepted == 99
    assert report.complete
    (rejection,) = report.rejected
    assert rejection.reason == "status 500; the server breaks at this row, and takes others; it may have been applied"
    down = Server(fault=lambda: (False, BROKEN))
    run = Run(PROFILES, [profile(n) for n in range(100)], down, policy=ONCE)
    report = run.finish()
    assert [body.count(b"customId") for body in down.bodies][:9] == [100, 100, 50, 50, 25, 12, 6, 3, 1]
    assert len(down.bodies) == 22  # either half may have such a row
    assert run.engine.problem == "the server takes nothing more: status 500"
    assert report.by_stage["unsent"] == 100


def test_a_run_of_one_row() -> None:
    """Whether the server breaks at it, or is down, nothing says: it is unsent, and the reason says why."""
    run = Run(PROFILES, [profile(0)], PoisonedServer({0}), policy=ONCE)
    report = run.finish()
    (rejection,) = report.rejected
    assert rejection.stage == "unsent"
    assert rejection.reason == (
        "status 500; no other request passed, so the server may break at this row, or be down; "
        "it may have been applied, and can be sent again"
    )
    assert run.engine.problem == "the server takes nothing more: status 500"


@pytest.mark.parametrize("items", [1, 2])
@pytest.mark.parametrize("place", [0, 1, 5])
def test_a_row_that_fails_while_all_others_pass(items: int, place: int) -> None:
    """Its fate is its own, wherever it stands: the run is complete, and a journal would seal its batch."""
    rows = [profile(n) for n in range(6)]
    run = Run(small(items, 10**6), rows, PoisonedServer({place}), policy=RetryPolicy(max_retries=3), concurrency=3)
    report = run.finish()
    assert fates(report) == {"server": [place]}
    assert report.accepted == 5
    assert report.complete


def test_an_outage_convicts_no_row() -> None:
    """Where nothing passes any more, no row is told to be why, also of a batch that is halved."""
    server = Server()
    server.fault = lambda: None if len(server.bodies) <= 3 else (False, BROKEN)
    report = Run(small(4, 10**6), [profile(n) for n in range(100)], server, policy=ONCE, concurrency=1).finish()
    assert report.by_stage["server"] == 0
    assert report.accepted == 12


def test_halving_keeps_the_order_of_a_profile() -> None:
    """A half that waits never comes after later rows of its profiles."""
    rows = [{**profile(n), "customId": f"c-{n % 10}"} for n in range(40)]
    server = PoisonedServer({3})
    report = Run(PROFILES, rows, server, policy=ONCE, concurrency=1).finish()
    assert fates(report) == {"server": [3]}
    for name in range(10):
        arrived = [number(row) for row in server.stored if row["customId"] == f"c-{name}"]
        assert arrived == sorted(arrived)


def test_a_server_that_goes_down_is_not_bisected() -> None:
    """An outage in the middle of a run costs a bounded number of requests, and ends it."""
    server = Server()
    server.fault = lambda: None if len(server.bodies) <= 3 else (False, BROKEN)
    run = Run(small(100, 10**6), [profile(n) for n in range(100_000)], server, policy=ONCE)
    report = run.finish()
    assert run.engine.problem == "the server takes nothing more: status 500"
    assert report.accepted == 300
    assert len(server.bodies) < 80


def test_the_budget_bounds_the_search() -> None:
    """Without a budget the whole batch is unsent, and the run goes on."""
    server = PoisonedServer({150})
    rows = [profile(n) for n in range(300)]
    report = Run(small(100, 10**6), rows, server, policy=ONCE, max_bisect_requests=0, concurrency=1).finish()
    assert fates(report) == {"unsent": list(range(100, 200))}
    assert report.accepted == 200


def test_what_is_not_halved() -> None:
    """Too busy, unknown to the server, unanswered in time: none of these is about a row."""
    timeout = send_result_of(APITimeoutError("late", operation="x", maybe_applied=True))
    for result in (timeout, *(SendResult(status=status, failure=AttemptFailure()) for status in (501, 503, 505))):
        assert not result.may_be_about_a_row


def test_a_207_without_its_list_is_the_fate_of_its_batch() -> None:
    """The batch is unsent after its retries, and all others are sent."""
    unreadable = UnconfirmedResponseError("a 207 without its list", operation="x", status_code=207, content=b"{}")
    server = Server()
    server.fault = lambda: (True, send_result_of(unreadable)) if b'"c-1' in server.bodies[-1][:20] else None
    run = Run(small(10, 10**6), [profile(n) for n in range(20, 200)], server, policy=ONCE)
    report = run.finish()
    assert run.engine.problem is None
    assert report.by_stage["unsent"] == 100
    assert {item.reason for item in report.rejected} == {
        "status 207, but a 207 without its list; it may have been applied, and can be sent again"
    }
    assert report.accepted == 80


def test_what_contradicts_is_not_sealed(tmp_path: Path) -> None:
    """A journal does not seal what a page answered; the same call sends it again."""
    page = True

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"<html>sign in</html>") if page else httpx.Response(202)

    rows, night = [profile(n) for n in range(10)], tmp_path / "night.db"
    transport = httpx.MockTransport(answer)
    with Synerise(token="t", transport=transport, max_retries=1, _timing=Clock().timing) as client:
        with pytest.raises(BulkStoppedError, match="but the body is not JSON") as caught:
            client.bulk.upsert_profiles(rows, journal=night)
        assert isinstance(caught.value.__cause__, UnconfirmedResponseError)
        page = False
        report = client.bulk.upsert_profiles(rows, journal=night)
    assert (report.accepted, report.resumed) == (10, 0)


def test_unlisted_answers_are_noted() -> None:
    """What is not documented confirms, and is counted; a list of refusals is read as that of a 207."""
    answers = iter([httpx.Response(203), httpx.Response(202, content=b'{"at":1}'), httpx.Response(202)])
    with Synerise(token="t", transport=httpx.MockTransport(lambda _: next(answers))) as client:
        report = client.bulk.delete_profiles([1, 2, 3], concurrency=1)
    assert report.accepted == 3
    assert {text[:24]: count for text, count in report.notes.items()} == {
        "answered with status 203": 1,
        "answered with status 202": 1,
    }
    body = b'[{"field":"city","message":"is bad","rejectedValue":"b"}]'
    with Synerise(token="t", transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body))) as client:
        report = client.bulk.upsert_profiles([profile(0, "a"), profile(1, "b")])
    assert (report.accepted, fates(report)) == (1, {"server": [1]})


def test_a_403_names_the_permission() -> None:
    """The end of a run says which permission is missing, as the error of a call does."""
    with (
        Sandbox() as sandbox,
        Synerise(api_key=sandbox.add_key(permissions=["API_BY_ID_CLIENT_READ"]).key, base_url=sandbox.url) as client,
        pytest.raises(BulkStoppedError, match="status 403; an API key needs the permission: API_BATCH_CLIENT_CREATE"),
    ):
        client.bulk.upsert_profiles([{"customId": "a"}])


def test_a_queue_outlives_the_callers_functions() -> None:
    """What hooks and `on_rejected` raise goes to `on_error`, is counted, and changes no counter of rows."""
    errors: list[Exception] = []

    def hook(result: Any) -> None:
        if result.operation.name == "events.send_batch":
            raise KeyError("metrics")

    def on_rejected(*_: Any) -> None:
        raise LookupError("nobody")

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("time"):
            return httpx.Response(200, json={"serverTime": "2026-11-22T07:00:00Z"})
        refusal = [{"field": "label", "message": "is bad", "rejectedValue": "!"}]
        return httpx.Response(207, json=refusal) if b'"!"' in request.content else httpx.Response(202)

    transport = httpx.MockTransport(answer)
    with Synerise(token="t", transport=transport, on_response=hook) as client:
        queue = client.queue(on_error=errors.append, on_rejected=on_rejected)
        for n in range(3):
            queue.events.put(event(n, bad=n == 1))
        assert queue.flush(5).complete
        stats = queue.stats()
    assert (stats.put, stats.delivered, stats.rejected, stats.callback_errors) == (3, 2, 1, 2)
    assert sorted(type(error).__name__ for error in errors) == ["KeyError", "LookupError"]
