"""Poisoned rows and outages: a row is blamed for a broken request only by proof, and every poisoned row is found."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import Synerise
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy
from synerise_profiles.bulk import Report
from synerise_profiles.bulk.journal import Journal
from tests.bulk.support import Run, fates
from tests.bulk.test_answers import BROKEN, FORBIDDEN, ONCE, RESET, PoisonedServer
from tests.bulk.test_engine import PROFILES, number, profile, small


def busy(status: int) -> SendResult:
    """What a server says that is too busy, or does not know the operation."""
    return SendResult(status=status, failure=AttemptFailure(status_code=status))


TWICE = RetryPolicy(max_retries=2)
FAST_RETRY = RetryPolicy(max_retries=1, base_delay=0.001, max_delay=0.01)


class Outage(PoisonedServer):
    """Breaks at poisoned rows, and at `length` requests in a row from the one with the number `start` on."""

    def __init__(self, poison: set[int], start: int, length: int, *, is_applied: bool = False) -> None:
        super().__init__(poison)
        down = range(start, start + length)
        self.fault = lambda: (is_applied, BROKEN) if len(self.bodies) - 1 in down else None


def drive(
    server: Outage,
    rows: list[dict[str, Any]],
    path: Path,
    items: int,
    concurrency: int,
    seed: int,
    budget: int = 1000,
) -> Report:
    """Run with a journal, and again while a row is unsent that is not poisoned; no healthy row is ever rejected."""
    for _ in range(4):
        journal = Journal(path, {})
        try:
            run = Run(
                small(items, 10**6),
                rows,
                server,
                seed=seed,
                journal=journal,
                policy=TWICE,
                concurrency=concurrency,
                max_bisect_requests=budget,
            )
            report = run.finish()
        finally:
            journal.close()
        found = fates(report)
        assert set(found) <= {"server", "unsent"}
        assert set(found.get("server", ())) <= server.poison, "a healthy row is blamed"
        if set(found.get("unsent", ())) <= server.poison and report.read == len(rows):
            break
    return report


def cases(starts: Iterable[int], lengths: Iterable[int], repeats: int) -> Iterable[tuple[Outage, int, int, int]]:
    """Servers with outages, and the rows of a batch, the requests at once and the seed of a run."""
    for start, length, repeat in itertools.product(starts, lengths, range(repeats)):
        chance = random.Random(f"{start} {length} {repeat}")
        poison = set(chance.sample(range(24), chance.choice((0, 1, 1, 2, 3))))
        server = Outage(poison, start, length, is_applied=chance.random() < 0.3)
        yield server, chance.choice((1, 2, 3, 8, 24)), chance.choice((1, 2, 3)), chance.randrange(1000)


def people_of(seed: int) -> int:
    """How many profiles the rows of a case are of."""
    return random.Random(seed).choice((4, 1000))


def check_blame(
    path: Path, all_cases: Iterable[tuple[Outage, int, int, int]]
) -> Iterator[tuple[Outage, int, int, Report]]:
    """Do the runs of each case, in which no healthy row may be blamed; yield what became of it."""
    for count, (server, items, concurrency, seed) in enumerate(all_cases):
        people = people_of(seed)
        rows = [profile(n, customId=f"c-{n % people}") for n in range(24)]
        yield server, items, people, drive(server, rows, path / f"{count}.db", items, concurrency, seed)


def check_outages(path: Path, all_cases: Iterable[tuple[Outage, int, int, int]]) -> None:
    """No healthy row is blamed, and all arrive in the end but those that wait behind an unsent one."""
    for server, items, people, report in check_blame(path, all_cases):
        found = fates(report)
        told = {*found.get("server", ()), *found.get("unsent", ())}
        waiting = {n % people for n in found.get("unsent", ())}  # rows of a profile wait behind an unsent one
        assert server.poison <= told <= {n for n in range(24) if n in server.poison or n % people in waiting}
        assert {number(row) for row in server.stored} == set(range(24)) - told
        if 3 <= items < 24 and people > 24:  # a batch has a healthy row, by which the server is seen
            alone = [set(range(at, at + items)) & server.poison for at in range(0, 24, items)]
            if all(len(poison) < items for poison in alone):
                assert "unsent" not in found, (items, found, server.poison)


def test_no_outage_convicts_a_healthy_row(tmp_path: Path) -> None:
    """However long the server is down, and whenever: whom it breaks at is told, and all others arrive in the end."""
    check_outages(tmp_path, cases((0, 2, 5, 9), (0, 1, 2, 3, 4, 6, 9, 14, 30), 1))


@pytest.mark.long
def test_no_outage_convicts_a_healthy_row_at_length(tmp_path: Path) -> None:
    """From every request on, with every length."""
    assert sum(1 for _ in check_blame(tmp_path, cases(range(40), range(31), 4))) == 40 * 31 * 4


# An outage may begin while only a row that broke is left to be proven: it is unsent then, and not refused, although its
# batch had healthy rows. To mend it, the row that was accepted last has to be sent again until the outage is over.
@pytest.mark.xfail(reason="an outage at the end of a run leaves a row unsent at which the server breaks", strict=True)
@pytest.mark.long
def test_all_others_arrive_at_length(tmp_path: Path) -> None:
    """The reruns end with all rows stored that neither broke nor wait for one."""
    check_outages(tmp_path, cases(range(40), range(31), 4))


class FlakyServer(PoisonedServer):
    """Takes few requests, whatever is in them: it breaks at the others, one as likely as the next."""

    def __init__(self, poison: set[int], rate: float, seed: int) -> None:
        super().__init__(poison)
        chance = random.Random(seed)
        results = (BROKEN, RESET, busy(503))
        self.fault = lambda: (chance.random() < 0.2, chance.choice(results)) if chance.random() < rate else None


def check_flaky_servers(rates: Iterable[float], seeds: Iterable[int]) -> None:
    """No healthy row is blamed, whatever a server does at random."""
    for rate, seed in itertools.product(rates, seeds):
        chance = random.Random(seed)
        server = FlakyServer(set(chance.sample(range(60), chance.choice((0, 0, 1, 3)))), rate, seed)
        items, policy = chance.choice((1, 3, 20, 60)), RetryPolicy(max_retries=chance.choice((0, 1, 3)))
        rows = [profile(n, customId=f"c-{n % chance.choice((20, 1000))}") for n in range(60)]
        concurrency = chance.choice((1, 2, 8))
        run = Run(small(items, 10**6), rows, server, seed=seed, policy=policy, concurrency=concurrency)
        report = run.finish()
        assert set(fates(report).get("server", ())) <= server.poison, (rate, seed)


def test_no_flaky_server_convicts_a_healthy_row() -> None:
    """That a row broke a few times and others passed is chance, where the others break nearly as often."""
    check_flaky_servers((0.3, 0.5, 0.7, 0.85), range(40))


@pytest.mark.long
def test_no_flaky_server_convicts_a_healthy_row_at_length() -> None:
    """With all rates, many times."""
    check_flaky_servers((n / 20 for n in range(1, 20)), range(600))


@pytest.mark.parametrize("status", [408, 501, 503, 505])
@pytest.mark.parametrize("place", [0, 3, 9, 10, 59])
def test_a_server_too_busy_for_one_row_alone_breaks_at_it(status: int, place: int) -> None:
    """It takes the other batches all the time, so the row is looked for, and costs itself."""
    for concurrency in (1, 3):
        server = PoisonedServer({place}, busy(status))
        rows = [profile(n) for n in range(60)]
        report = Run(small(10, 10**6), rows, server, policy=ONCE, concurrency=concurrency, seed=place).finish()
        assert (report.accepted, fates(report)) == (59, {"server": [place]})
        assert {number(row) for row in server.stored} == set(range(60)) - {place}


@pytest.mark.parametrize("status", [501, 503])
def test_a_server_too_busy_for_all_is_not_searched(status: int) -> None:
    """No batch is halved while nothing passes, and what is left is unsent."""
    server = PoisonedServer(set(range(60)), busy(status))
    report = Run(small(10, 10**6), [profile(n) for n in range(60)], server, policy=ONCE).finish()
    assert fates(report) == {"unsent": list(range(report.read))}
    assert {len(orjson.loads(body)) for body in server.bodies} == {10}


def test_a_parked_row_is_sent_again_once_the_server_is_up(tmp_path: Path) -> None:
    """That it broke while the server was down proves nothing: after the first request that passes it is tried again."""
    for length in range(31):
        server = Outage(set(), 0, length)
        rows = [profile(n) for n in range(4)]
        report = drive(server, rows, tmp_path / f"{length}.db", 4, 1, 0)
        assert (report.read, fates(report)) == (4, {})
        assert {number(row) for row in server.stored} == {0, 1, 2, 3}


@pytest.mark.parametrize("count", [4, 7, 100])
def test_a_run_of_one_batch_finds_each_poisoned_row(count: int) -> None:
    """Wherever two of them are, also where both halves break at first, and where none is left behind them."""
    pairs = list(itertools.combinations(range(count), 2))
    for poison in map(set, pairs if count < 10 else random.Random(0).sample(pairs, 40)):
        server = PoisonedServer(poison)
        report = Run(PROFILES, [profile(n) for n in range(count)], server, policy=ONCE).finish()
        assert fates(report) == {"server": sorted(poison)}
        assert report.accepted == count - 2
        assert {number(row) for row in server.stored} == set(range(count)) - poison
        assert report.complete


def test_a_lone_row_waits_for_the_next_batch() -> None:
    """With one request at a time nothing passes while it is tried; what passes after it tells, and it goes on."""
    rows = [profile(n) for n in range(6)]
    for place in range(6):
        report = Run(small(1, 10**6), rows, PoisonedServer({place}), policy=ONCE, concurrency=1).finish()
        assert (report.accepted, fates(report)) == (5, {"server": [place]})


def test_rows_of_a_parked_one_wait_for_it() -> None:
    """Until its fate is known nothing of its profile is sent, also where other rows of the batch are tried."""
    for poison, start in itertools.product(({0}, {1}, {0, 1}, {0, 7}), range(12)):
        rows = [profile(n, customId=f"c-{n % 2}") for n in range(8)]
        server = Outage(poison, start, 3)
        Run(PROFILES, rows, server, policy=RetryPolicy(max_retries=0)).finish()
        for name in ("c-0", "c-1"):
            arrived = [number(row) for row in server.confirmed if row["customId"] == name]
            fresh = list(dict.fromkeys(arrived))
            assert fresh == sorted(fresh)


def test_a_replay_says_that_it_may_overwrite_later_rows(tmp_path: Path) -> None:
    """Later rows of a profile arrive without the one at which the server breaks, so this comes last when it is sent."""
    letters, is_mended = tmp_path / "letters.jsonl", False

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(500 if b'"city":"?"' in request.content and not is_mended else 202)

    rows = [{"customId": f"c-{n % 15}", "city": "?" if n == 7 else str(n)} for n in range(30)]
    transport = httpx.MockTransport(answer)
    with Synerise(token="t", base_url="https://x", transport=transport, retry=FAST_RETRY) as client:
        client.bulk.upsert_profiles(rows, dead_letter=letters)
        is_mended = True
        report = client.bulk.replay(letters)
    assert (report.accepted, list(report.notes.values())) == (1, [1])
    assert "it overwrites later rows of its profile" in next(iter(report.notes))


def test_the_server_is_shown_to_be_up_by_a_row_that_was_accepted() -> None:
    """Behind the last row nothing is left that could pass: what was accepted last goes once more, counted once."""
    server = PoisonedServer({3})
    report = Run(PROFILES, [profile(n) for n in range(4)], server, policy=ONCE).finish()
    sent = [[number(row) for row in orjson.loads(body)] for body in server.bodies]
    assert sent[-3:] == [[3], [2], [3]]
    assert (report.accepted, fates(report)) == (3, {"server": [3]})
    server = Outage(set(), 0, 0)
    server.fault = lambda: (False, BROKEN) if len(server.bodies) in {1, 2, 5, 6, 7, 8, 9} else None
    report = Run(PROFILES, [profile(n) for n in range(4)], server, policy=ONCE).finish()
    assert not report.by_stage["server"]
    assert report.accepted + report.by_stage["unsent"] == 4


@pytest.mark.parametrize("answer", [FORBIDDEN, BROKEN, SendResult(status=400, content=b"{}", failure=AttemptFailure())])
def test_what_is_answered_to_a_row_that_goes_once_more_is_not_its_fate(answer: SendResult) -> None:
    """It stays accepted. A refusal shows that the server is up, and what ends the run leaves the parked row unsent."""

    class Changed(PoisonedServer):
        def _store(self, rows: Any) -> tuple[SendResult, list[Any]]:
            is_repeated = len(self.bodies) > 6 and [number(row) for row in rows] == [2]
            return (answer, []) if is_repeated else super()._store(rows)

    server = Changed({3})
    report = Run(PROFILES, [profile(n) for n in range(4)], server, policy=ONCE).finish()
    assert (report.read, report.accepted) == (4, 3)
    assert fates(report) == {"server" if answer.status == 400 else "unsent": [3]}
    (rejection,) = report.rejected
    since = "no other request passed since, so the server may break at this row, or be down"
    assert answer.status == 400 or since in rejection.reason


def test_a_deletion_is_never_sent_again_to_see_whether_the_server_is_up() -> None:
    """What was deleted may have been made anew meanwhile."""
    sent: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(500 if request.url.path.endswith("3") else 202)

    with Synerise(token="t", base_url="https://x", transport=httpx.MockTransport(answer), retry=FAST_RETRY) as client:
        report = client.bulk.delete_profiles([1, 2, 3])
    assert report.by_stage["unsent"] == 1
    assert sorted(map(sent.count, set(sent))) == [1, 1, 2]


def pleading(seconds: float) -> SendResult:
    """A server that is too busy, and says for how long."""
    return SendResult(status=503, failure=AttemptFailure(status_code=503, retry_after=seconds))


@pytest.mark.parametrize("asked", [60.0, 500.0])
def test_retry_after_is_kept_for_rows_in_doubt_too(asked: float) -> None:
    """No request follows a 503 before the time that it asks for is over, or the cap, also where it is about one row."""
    times: list[tuple[float, bool]] = []

    class Timed(PoisonedServer):
        def __call__(self, content: bytes | None) -> SendResult:
            result = super().__call__(content)
            times.append((run.clock.now, result.status == 503))
            return result

    policy = RetryPolicy(max_retries=1, retry_after_cap=100.0)
    server = Timed({3}, pleading(asked))
    run = Run(small(8, 10**6), [profile(n) for n in range(120)], server, policy=policy, concurrency=1)
    report = run.finish()
    assert fates(report) == {"server": [3]} if asked < 100 else {} != fates(report)
    waits = [after - before for (before, is_busy), (after, _) in itertools.pairwise(times) if is_busy]
    assert len(waits) > 2
    assert min(waits) >= min(asked, 100.0)


@pytest.mark.parametrize("fails", [{1}, {1, 3}, {2}])
def test_what_a_server_was_too_busy_for_is_sent_once_more_as_it_was(fails: set[int]) -> None:
    """A batch that met a busy moment is not taken apart, but sent again whole when another one has passed."""
    server = PoisonedServer(set())
    server.fault = lambda: (False, busy(503)) if len(server.bodies) in fails else None
    rows, policy = [profile(n) for n in range(64)], RetryPolicy(max_retries=0)
    report = Run(small(8, 10**6), rows, server, policy=policy, concurrency=2, max_bisect_requests=0).finish()
    assert (report.accepted, fates(report)) == (64, {})
    assert {len(orjson.loads(body)) for body in server.bodies} == {8}


@pytest.mark.parametrize(("age", "is_found"), [(1.0, True), (3600.0, False)])
def test_no_row_of_long_ago_is_sent_once_more(*, age: float, is_found: bool) -> None:
    """The row that was accepted last shows whether the server is up only if that was moments ago."""
    server = PoisonedServer({9})

    def answer_late() -> None:
        if len(server.bodies) == 10:
            run.clock.now += age

    server.fault = answer_late
    run = Run(small(1, 10**6), [profile(n) for n in range(10)], server, policy=ONCE, concurrency=1)
    assert fates(run.finish()) == ({"server": [9]} if is_found else {"unsent": [9]})
    assert (len(server.stored) > 9) == is_found


@pytest.mark.parametrize("budget", [0, 20, 400, 5000])
def test_the_budget_bounds_the_search(budget: int) -> None:
    """Halves, lone rows that are sent once more, and the row that was accepted last are all requests of the budget."""
    poison = set(range(7, 900, 9))
    server = PoisonedServer(poison)
    rows, policy = [profile(n) for n in range(2000)], RetryPolicy(max_retries=0)
    run = Run(small(10, 10**6), rows, server, policy=policy, concurrency=4, max_bisect_requests=budget)
    report = run.finish()
    assert len(server.bodies) <= 200 + budget
    found = fates(report)
    assert set(found.get("server", ())) <= poison
    assert poison & set(range(report.read)) <= {*found.get("server", ()), *found.get("unsent", ())}
    assert budget < 5000 or found == {"server": sorted(poison)}


@pytest.mark.parametrize(("count", "most", "cost"), [(1, 13, 40), (3, 13, 100), (10, 35, 400), (30, 35, 1000)])
@pytest.mark.parametrize("concurrency", [1, 4, 8])
def test_what_poisoned_rows_cost(count: int, most: int, cost: int, concurrency: int) -> None:
    """How often a row is sent alone, and how many requests all of them cost, is what the guide says."""
    poison = {2000 // (count + 1) * n for n in range(1, count + 1)}
    server = PoisonedServer(poison)
    rows, policy = [profile(n) for n in range(2000)], RetryPolicy(max_retries=0)
    report = Run(small(10, 10**6), rows, server, policy=policy, concurrency=concurrency).finish()
    assert fates(report) == {"server": sorted(poison)}
    sent = [orjson.loads(body) for body in server.bodies]
    alone = Counter(found[0]["attributes"]["n"] for found in sent if len(found) == 1)
    assert max(alone[n] for n in poison) <= most
    assert len(sent) - 200 <= cost


def test_a_hundred_poisoned_rows_spend_the_budget() -> None:
    """Those that are not found are unsent, with all rows of the batch or half that was not searched, and say why."""
    poison = {19 * n for n in range(1, 101)}
    server = PoisonedServer(poison)
    rows, policy = [profile(n) for n in range(2000)], RetryPolicy(max_retries=0)
    report = Run(small(10, 10**6), rows, server, policy=policy, concurrency=4).finish()
    found = fates(report)
    assert 15 <= len(found["server"]) <= 40
    assert poison <= {*found["server"], *found["unsent"]}
    assert len(found["unsent"]) > 100
    assert any("max_bisect_requests" in rejection.reason for rejection in report.rejected)
