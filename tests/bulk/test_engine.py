"""The engine without I/O: limits, the fate of every row, order, throttle, backpressure."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles._batching import operations
from synerise_profiles._batching.send_result import SendResult, send_result_of
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy
from synerise_profiles.errors import APIConnectionError, UnconfirmedResponseError
from tests.bulk.support import Run, Server, fates

PROFILES = operations.profiles()
EVENTS = operations.events()
STYLES = ["207", "207 without values", "400 with places", "400"]
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), max_size=30)


def small(items: int, size: int, batch_operation: operations.BatchOperation = PROFILES) -> operations.BatchOperation:
    return attrs.evolve(batch_operation, max_items=items, max_bytes=size)


def profile(n: int, city: str = "Kraków", **more: Any) -> dict[str, Any]:
    return {"customId": f"c-{n}", "city": city, "attributes": {"n": n}, **more}


def number(row: Any) -> int:
    found: int = row["attributes"]["n"]
    return found


def is_bad(row: Any) -> bool:
    return "!" in row["city"]


def trouble(draws: list[int]) -> Callable[[], tuple[bool, SendResult] | None]:
    """What happens to each request in turn: nothing, or one of the faults that pass."""
    left = iter(draws)
    broken = SendResult(
        failure=AttemptFailure(maybe_received=True),
        error=APIConnectionError("broke", operation="x", maybe_applied=True),
    )
    busy = SendResult(status=429, failure=AttemptFailure(status_code=429, retry_after=1.0))
    down = SendResult(status=502, failure=AttemptFailure(status_code=502))
    page = send_result_of(UnconfirmedResponseError("a page", operation="x", status_code=200, content=b"<html>"))
    faults = [None, None, (False, broken), (True, broken), (False, busy), (True, down), (False, page), (True, page)]
    return lambda: faults[next(left, 0)]


@settings(max_examples=150, deadline=None)
@given(
    cities=st.lists(st.one_of(TEXTS, TEXTS.map(lambda text: text + "!")), max_size=60),
    items=st.integers(1, 9),
    size=st.integers(60, 600),
    style=st.sampled_from(STYLES),
    concurrency=st.integers(1, 4),
    draws=st.lists(st.integers(0, 7), max_size=30),
    budget=st.sampled_from([0, 3, 1000]),
    seed=st.integers(0, 1000),
)
def test_every_row_has_one_fate(
    cities: list[str],
    items: int,
    size: int,
    style: str,
    concurrency: int,
    draws: list[int],
    budget: int,
    seed: int,
) -> None:
    """For any rows, limits and troubles: no body over the limits, each row accepted or rejected once, none lost."""
    rows = [profile(n, city) for n, city in enumerate(cities)]
    server = Server(is_bad, style, trouble(draws))
    batch_operation = small(items, size)
    run = Run(batch_operation, rows, server, seed=seed, concurrency=concurrency, max_bisect_requests=budget)
    report = run.finish()

    assert all(len(body) <= size for body in server.bodies)
    assert all(len(orjson.loads(body)) <= items for body in server.bodies)
    assert run.most_in_flight <= concurrency
    rejected = [rejection.index for rejection in report.rejected]
    assert len(rejected) == len(set(rejected))
    assert report.read == len(rows) == report.accepted + len(rejected)
    stored = {number(row) for row in server.stored}
    assert set(range(len(rows))) - set(rejected) <= stored
    by_stage = fates(report)
    too_large = [n for n, row in enumerate(rows) if len(orjson.dumps([row])) > size]
    assert too_large == by_stage.get("check", [])
    assert all(is_bad(rows[n]) for n in by_stage.get("server", []))
    assert "unsent" not in by_stage
    assert report.complete
    if budget == 1000:
        bad = [n for n, row in enumerate(rows) if is_bad(row) and n not in too_large]
        assert bad == by_stage.get("server", [])
        assert "ambiguous" not in by_stage


@settings(max_examples=60, deadline=None)
@given(
    cities=st.lists(TEXTS, max_size=60),
    items=st.integers(1, 9),
    size=st.integers(60, 400),
    draws=st.lists(st.integers(0, 7), max_size=20),
)
def test_one_at_a_time_keeps_the_order(cities: list[str], items: int, size: int, draws: list[int]) -> None:
    """With one request in flight the rows arrive in the order of the input, whatever has to be sent again."""
    rows = [profile(n, city) for n, city in enumerate(cities)]
    server = Server(fault=trouble(draws))
    Run(small(items, size), rows, server, concurrency=1).finish()

    seen = [number(row) for row in server.stored]
    assert sorted(set(seen)) == list(dict.fromkeys(seen))


@settings(max_examples=60, deadline=None)
@given(
    names=st.lists(st.sampled_from(["customId", "email", "uuid", "both"]), max_size=80),
    items=st.integers(1, 9),
    seed=st.integers(0, 1000),
)
def test_events_are_grouped_by_identifier(names: list[str], items: int, seed: int) -> None:
    """Each request has one identifier group, the order within a group is kept, and nothing is lost."""
    rows = []
    for n, name in enumerate(names):
        value = f"a{n}@example.com" if name == "email" else f"id-{n}"
        client = {"customId": "c", "uuid": "u"} if name == "both" else {name: value}
        rows.append({"label": "x", "action": "a.b", "client": client, "params": {"n": n}, "attributes": {"n": n}})
    server = Server()
    report = Run(small(items, 100_000, EVENTS), rows, server, seed=seed, concurrency=1).finish()

    assert report.accepted == len(rows)
    sent: dict[tuple[str, ...], list[int]] = {}
    for body in server.bodies:
        events = orjson.loads(body)
        groups = {tuple(sorted(event["client"])) for event in events}
        assert len(groups) == 1
        sent.setdefault(groups.pop(), []).extend(number(event) for event in events)
    assert all(numbers == sorted(numbers) for numbers in sent.values())
    assert sorted(itertools.chain(*sent.values())) == list(range(len(rows)))


@pytest.mark.parametrize("concurrency", [1, 3, 8])
def test_a_stalled_server_stops_the_reading(concurrency: int) -> None:
    """No more than the window and one chunk are read ahead of the answers, of a source without end."""
    run = Run(small(10, 100_000), (profile(n) for n in itertools.count()), Server(), concurrency=concurrency)
    in_flight = next(run.steps())

    assert len(in_flight) == concurrency
    assert run.rows_taken == 10 * (concurrency + 1)


def test_one_429_slows_the_whole_window() -> None:
    """After a 429 nothing is sent before its Retry-After has passed, and fewer requests are in flight afterwards."""
    busy = SendResult(status=429, failure=AttemptFailure(status_code=429, retry_after=7.0))
    answers = iter([(False, busy)])
    server = Server(fault=lambda: next(answers, None))
    run = Run(small(1, 1000), [profile(n) for n in range(40)], server, concurrency=8)
    steps = run.steps()
    assert len(next(steps)) == 8
    started_at = run.clock.now
    observed = []
    for in_flight in steps:
        observed.append((run.clock.now, len(in_flight)))
        assert all(task.sent_at == started_at or task.sent_at >= started_at + 7.0 for task in in_flight)
    assert max(count for now, count in observed if started_at + 7.0 <= now) <= 8
    assert min(count for now, count in observed[:12]) <= 4
    assert run.report.accepted == 40
    assert run.report.retries == 1


def test_requests_per_second() -> None:
    """With a limit, requests keep their distance."""
    server = Server()
    run = Run(small(1, 1000), [profile(n) for n in range(10)], server, requests_per_second=2.0)
    started_at = run.clock.now
    run.finish()
    assert run.clock.now - started_at == pytest.approx(4.5)


def test_a_server_that_is_down_ends_the_run() -> None:
    """When retries are spent and nothing was taken meanwhile, what was read is unsent, and nothing more is read."""
    down = SendResult(status=503, failure=AttemptFailure(status_code=503))
    run = Run(
        small(10, 10_000),
        (profile(n) for n in itertools.count()),
        Server(fault=lambda: (False, down)),
        concurrency=2,
        policy=RetryPolicy(max_retries=2),
    )
    report = run.finish()
    assert run.engine.problem == "the server takes nothing more: status 503"
    assert fates(report) == {"unsent": list(range(report.read))}
    assert report.read == run.rows_taken < 50
    assert not report.complete


def test_a_refused_caller_ends_the_run() -> None:
    """A 403 is not about the rows: no other request is tried."""
    refused = SendResult(status=403, failure=AttemptFailure(status_code=403))
    server = Server(fault=lambda: (False, refused))
    run = Run(small(5, 10_000), [profile(n) for n in range(100)], server, concurrency=1)
    report = run.finish()
    assert len(server.bodies) == 1
    assert report.by_stage["unsent"] == report.read > 0
    assert run.engine.problem == "the server takes none of these requests: status 403"


def test_a_token_that_expires_again_does_not_end_the_run() -> None:
    """A 401 after the renewal is tried again where requests were accepted before; at the start it ends the run."""
    refused = SendResult(status=401, failure=AttemptFailure(status_code=401))
    rows = [profile(n) for n in range(30)]
    answers = iter([None, (False, refused), (False, refused)])
    run = Run(small(5, 10_000), rows, Server(fault=lambda: next(answers, None)), concurrency=1)
    report = run.finish()
    assert (report.accepted, report.retries) == (30, 2)
    run = Run(small(5, 10_000), rows, Server(fault=lambda: (False, refused)), concurrency=1)
    run.finish()
    assert run.engine.problem == "the server takes none of these requests: status 401"


def test_max_errors() -> None:
    """A run that is all wrong ends, even if the checks refuse every row of a source without end."""
    rows = ({"city": "no identifier"} for _ in itertools.count())
    run = Run(PROFILES, rows, Server(), max_errors=10)
    report = run.finish()
    assert 10 < report.by_stage["check"] == report.read < 100
    assert run.engine.problem == "more than 10 rows were rejected"


def test_max_error_rate() -> None:
    """The rate counts once enough rows are settled to say anything."""
    rows = (profile(n) if n % 2 else {"city": "x"} for n in itertools.count())
    run = Run(small(100, 100_000), rows, Server(), max_error_rate=0.1)
    report = run.finish()
    assert run.engine.problem == "more than 10.0% of the rows were rejected"
    assert report.rejected_count() >= 500


def test_a_row_that_cannot_fit() -> None:
    """One item above the limit is refused with its size, and the rest goes on."""
    rows = [profile(0), profile(1, "x" * 2000), profile(2)]
    run = Run(small(10, 1000), rows, Server())
    report = run.finish()
    (rejection,) = report.rejected
    size = len(orjson.dumps([rows[1]]))
    assert (rejection.index, rejection.stage) == (1, "check")
    assert rejection.reason == f"is {size:,} bytes with its brackets; one request carries 1,000"
    assert report.accepted == 2


def test_a_row_that_just_fits() -> None:
    """The limit itself is allowed: bytes are counted as they are sent."""
    row = profile(0, "ż" * 100)
    size = len(orjson.dumps([row]))
    server = Server()
    assert Run(small(10, size), [row], server).finish().accepted == 1
    assert [len(body) for body in server.bodies] == [size]
    assert Run(small(10, size - 1), [row], Server()).finish().by_stage["check"] == 1


def test_what_was_accepted_is_not_sent_again() -> None:
    """Of a batch that was refused whole, a half that is accepted goes once; only the search is repeated."""
    server = Server(is_bad, "400")
    rows = [profile(n, "bad!" if n == 77 else "good") for n in range(100)]
    report = Run(PROFILES, rows, server).finish()
    assert fates(report) == {"server": [77]}
    sent = [number(row) for row in server.confirmed]
    assert sorted(sent) == [n for n in range(100) if n != 77]
    assert len(server.bodies) <= 15


def test_ambiguous_rows_share_a_group() -> None:
    """Without a budget for the search the candidates are reported together, and the rest is accepted."""
    rows = [profile(n, "same!" if n in (3, 4) else "good") for n in range(10)]
    one = b'[{"field":"city","message":"is bad","rejectedValue":"same!"}]'
    server = Server(fault=lambda: (True, SendResult(status=207, content=one, failure=AttemptFailure())))
    report = Run(PROFILES, rows, server, max_bisect_requests=0).finish()
    assert report.accepted == 8
    assert [(3, "ambiguous", 1), (4, "ambiguous", 1)] == [
        (item.index, item.stage, item.group) for item in report.rejected
    ]
    assert {item.reason for item in report.rejected} == {"one of these 2 rows was refused: is bad"}
