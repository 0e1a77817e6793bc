"""Rows at which the server breaks: each costs itself, keeps no other row back, and is told from an outage."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._batching.machine import Wait
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles.bulk import Rejection
from synerise_profiles.queue import QueueStats
from synerise_profiles.queue.inflight import QueueTask
from synerise_profiles.sandbox import Sandbox
from tests.queue.support import event, number, profile
from tests.queue.test_core import Rig

FAST_RETRY = RetryPolicy(base_delay=0.001, max_delay=0.01)
REASON = "status 500; the server breaks at this row, and takes others; it may have been applied"


def settle(rig: Rig, first: int) -> int:
    """Send, and put another good row from time to time, until nothing is left; return how many there were."""
    for count in range(20):
        rig.core.flush()
        for _ in range(200):
            step = rig.step()
            if isinstance(step, QueueTask):
                rig.answer(step)
            elif isinstance(step, Wait):
                rig.clock.now += step.seconds or 0.0
            if not rig.core.held:
                return count
        rig.put(profile(first + count))
        rig.put(event(first + count))
    raise AssertionError("rows are never settled")


@pytest.mark.parametrize("items", [1, 3, 20, 100])
@pytest.mark.parametrize("profiles", [0, 3, 60])
def test_a_poisoned_row_costs_one_row(items: int, profiles: int) -> None:
    """All other rows arrive, each profile's in the order of puts; each poisoned row is rejected by itself."""
    for seed in range(5):
        chance = random.Random(seed)
        poison = set(chance.sample(range(60), chance.randint(1, 3)))
        rig = Rig(items=items, concurrency=chance.randint(1, 4))
        for n in range(60):
            more = {"customId": f"c-{n % profiles}"} if profiles else {}
            rig.put((profile if profiles else event)(n, poisoned=n in poison, **more))
        others = 2 * settle(rig, 100)
        assert sorted(rig.rejected) == sorted(poison)
        assert {n for n in rig.server.order if n < 60} == set(range(60)) - poison
        assert (rig.core.delivered, rig.core.held, rig.core.held_bytes) == (60 - len(poison) + others, 0, 0)
        for name in range(profiles):
            arrived = [n for n in rig.server.order if n % profiles == name and n < 60]
            assert arrived == sorted(arrived)


@pytest.mark.parametrize("items", [1, 5, 1000])
def test_a_server_that_is_down_costs_no_row(items: int) -> None:
    """However long it breaks at everything, no row is given up, and requests are as rare as in any outage."""
    rig = Rig(items=items)
    rig.put(profile(-1))
    rig.core.flush()
    rig.drain()  # it was up before
    for n in range(100):
        rig.put(profile(n))
    rig.core.flush()
    begun, requests = rig.clock.now, 0
    while requests < 300:
        step = rig.step()
        if isinstance(step, QueueTask):
            requests += 1
            rig.answer(step, "500 after")
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
    assert rig.rejected == []
    assert rig.core.held == 100
    assert rig.clock.now - begun > 60  # five batches at most, each about every four seconds
    rig.drain()
    assert rig.core.delivered == 101


def test_an_outage_in_the_middle_of_a_search_costs_no_row() -> None:
    """That a half passed before says nothing of a server that breaks at all that comes after it."""
    rig = Rig()
    for n in range(64):
        rig.put(profile(n, poisoned=n == 63))
    rig.core.flush()
    was_passed = False
    for _ in range(300):
        step = rig.step()
        if isinstance(step, QueueTask):
            rig.answer(step, "500 after" if was_passed else "well")
            was_passed = was_passed or rig.core.delivered > 0
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
    assert was_passed
    assert rig.rejected == []
    rig.drain()
    assert rig.rejected == [63]


@pytest.mark.parametrize("fate", ["503", "429", "403", "page before"])
def test_what_is_about_no_row_is_not_looked_into(fate: str) -> None:
    """The batch stays whole, however often it happens."""
    rig = Rig()
    for n in range(10):
        rig.put(profile(n))
    rig.core.flush()
    for _ in range(40):
        step = rig.step()
        if isinstance(step, QueueTask):
            assert step.sub_batch.is_whole
            rig.answer(step, fate)
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
    rig.drain()
    assert rig.rejected == []


def test_a_lone_poisoned_row_waits_until_others_pass() -> None:
    """By itself it is held, as in an outage; the next row that passes tells that it is the row."""
    rig = Rig()
    rig.put(profile(1, poisoned=True))
    rig.core.flush()
    for _ in range(60):
        step = rig.step()
        if isinstance(step, QueueTask):
            rig.answer(step)
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
    assert (rig.core.held, rig.rejected) == (1, [])
    later = {**profile(2), "customId": "c-1"}
    rig.put(later)
    rig.put(profile(3))
    rig.core.flush()
    rig.drain()
    assert rig.rejected == [0]
    # 2 is of the same profile, so it waited; 3 went again and again to see whether the server is up.
    assert list(dict.fromkeys(rig.server.order)) == [3, 2]
    assert rig.core.delivered == 2


def check_flaky_servers(rates: Iterable[float], seeds: Iterable[int]) -> None:
    """A server that breaks at random gets no healthy row refused, however often."""
    for rate, seed in itertools.product(rates, seeds):
        chance = random.Random(seed)
        poison = set(chance.sample(range(40), chance.choice((0, 0, 1, 3))))
        rig = Rig(items=chance.choice((1, 3, 10, 40)), concurrency=chance.randint(1, 4))
        make = chance.choice((profile, event))
        for n in range(40):
            rig.put(make(n, poisoned=n in poison))
        rig.core.flush()
        for _ in range(400):
            step = rig.step()
            if isinstance(step, Wait) and rig.in_flight:
                fate = chance.choice(("500 after", "lost before", "503")) if chance.random() < rate else "well"
                rig.answer(chance.choice(rig.in_flight), fate)
            elif isinstance(step, Wait):
                rig.clock.now += step.seconds or 0.0
        assert set(rig.rejected) <= poison, (rate, seed)
        while rig.in_flight:
            rig.answer(rig.in_flight[0])
        settle(rig, 100)
        assert sorted(rig.rejected) == sorted(poison)
        assert {n for n in rig.server.order if n < 100} >= set(range(40)) - poison


def test_no_flaky_server_convicts_a_healthy_row() -> None:
    """That a row broke a few times and others passed is chance, where the others break nearly as often."""
    check_flaky_servers((0.3, 0.6, 0.85), range(12))


@pytest.mark.parametrize("fate", ["500 after", "lost before"])
def test_probes_that_break_speak_for_the_row(fate: str) -> None:
    """Where the server breaks at most probes too, that it broke at a lone row as often as it passed is chance."""
    rig = Rig(items=1)
    rig.put(profile(0))
    rig.core.flush()
    rig.drain()
    rig.put(profile(1))
    rig.core.flush()
    probes = 0
    while probes < 60 and rig.core.held:
        step = rig.step()
        if isinstance(step, QueueTask):
            probes += step.sub_batch.is_probe
            rig.answer(step, "well" if step.sub_batch.is_probe and probes % 4 == 0 else fate)
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
            rig.core.flush()
    assert (rig.rejected, rig.core.held) == ([], 1)


@pytest.mark.parametrize(("age", "is_sent"), [(1.0, True), (3600.0, False)])
def test_a_row_of_long_ago_is_not_sent_once_more(age: float, is_sent: bool) -> None:  # noqa: FBT001
    """Others may have written its profile since: then a poisoned row is held until another one passes."""
    rig = Rig(items=1)
    rig.put(profile(0))
    rig.core.flush()
    rig.drain()
    rig.clock.now += age
    rig.put(profile(1, poisoned=True))
    rig.core.flush()
    for _ in range(60):
        step = rig.step()
        if isinstance(step, QueueTask):
            rig.answer(step)
        elif isinstance(step, Wait):
            rig.clock.now += min(step.seconds or 0.0, 0.1)
    assert (rig.server.order.count(0) > 1) is is_sent
    assert (rig.rejected == [1]) is is_sent


@pytest.mark.long
def test_no_flaky_server_convicts_a_healthy_row_at_length() -> None:
    """With all rates, many times."""
    check_flaky_servers((n / 20 for n in range(2, 20)), range(200))


@pytest.mark.parametrize("status", [408, 501, 503])
@pytest.mark.parametrize("make", [profile, event])
def test_a_server_too_busy_for_one_row_alone_breaks_at_it(make: Any, status: int) -> None:
    """It takes the others all the time, so the row is looked for, costs itself, and does not stall the queue."""
    for items, place in itertools.product((1, 10, 100), (0, 17, 99)):
        rig = Rig(items=items)
        rig.server.poison_status = status
        rig.put(make(1000))
        rig.core.flush()
        rig.drain()  # the server is known to be up
        for n in range(100):
            rig.put(make(n, poisoned=n == place))
        rig.core.flush()
        rig.drain()
        assert rig.rejected == [place + 1]
        assert (rig.core.delivered, rig.core.held, rig.core.held_bytes) == (100, 0, 0)


def test_a_row_that_goes_once_more_counts_nowhere() -> None:
    """It was delivered before, so that no counter has it twice, and what is put meanwhile waits for its answer."""
    rig = Rig()
    for n in (1, 2):
        rig.put(profile(n, poisoned=n == 2))
        rig.core.flush()
        rig.step()
    while not (isinstance(step := rig.step(), QueueTask) and step.sub_batch.is_probe):
        if isinstance(step, QueueTask):
            rig.answer(step)
        elif rig.in_flight:
            rig.answer(rig.in_flight[0])
        else:
            assert isinstance(step, Wait)
            rig.clock.now += step.seconds or 0.0
    assert (rig.core.delivered, rig.core.held, rig.core.in_flight) == (1, 1, 0)
    rig.put(profile(3, customId="c-1"))
    rig.core.flush()
    assert rig.step() == Wait(None)
    rig.answer(step)
    rig.drain()
    assert (rig.core.delivered, rig.core.held, rig.rejected) == (2, 0, [1])


def test_a_child_of_fork_looks_for_rows_too() -> None:
    """After a reset a batch is halved after as many attempts as before."""
    rig = Rig()
    rig.core.reset()
    for n in range(8):
        rig.put(profile(n, poisoned=n == 3))
    rig.core.flush()
    rig.drain()
    assert rig.rejected == [3]


_KEPT_HEADERS = {"Authorization", "Content-Type", "Api-Version"}


class _Gateway(BaseHTTPRequestHandler):
    """Stands before a sandbox: breaks at each body that holds a poisoned row, and answers a 207 without its list.

    It does that where there is a garbled row, the others of which it passes on.
    """

    sandbox_url: str

    def do_GET(self) -> None:
        self._pass_on(b"")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b'"?"' in body:
            self._answer(500, b"")
        elif b'"%"' in body:
            if rest := [row for row in orjson.loads(body) if row["city"] != "%"]:
                httpx.post(self.sandbox_url + self.path, content=orjson.dumps(rest), headers=self._kept_headers())
            self._answer(207, b"{}")
        else:
            self._pass_on(body)

    def _pass_on(self, body: bytes) -> None:
        url, headers = self.sandbox_url + self.path, self._kept_headers()
        try:
            response = httpx.request(self.command, url, content=body, headers=headers)
        except httpx.HTTPError:
            self.close_connection = True
            return
        self._answer(response.status_code, response.content)

    def _kept_headers(self) -> dict[str, str]:
        return {name: value for name, value in self.headers.items() if name.title() in _KEPT_HEADERS}

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def gateway(sandbox: Sandbox) -> Iterator[str]:
    """The URL of a gateway before a sandbox that has faults of its own."""
    for fault in (sandbox.faults.close, lambda **when: sandbox.faults.close(processed=True, **when)):
        fault(operation="profiles.upsert_batch", times=1)
    sandbox.faults.status(429, retry_after=0.0, operation="profiles.upsert_batch", times=2)
    sandbox.faults.html(503, operation="profiles.upsert_batch", times=2)
    handler = type("Gateway", (_Gateway,), {"sandbox_url": sandbox.url})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


ROWS = [profile(n, customId=f"poison-{n % 9}", poisoned=n == 17, garbled=n in (29, 53)) for n in range(60)]
Found = list[tuple[Rejection, Any]]


def check_over_sockets(sandbox: Sandbox, found: Found, stats: QueueStats) -> None:
    """Each wrong row is told by itself, and each profile holds what was put last of the others."""
    unreadable = "status 207, but a 207 without its list"
    assert {rejection.index: number(row) for rejection, row in found} == {17: 17, 29: 29, 53: 53}
    assert {rejection.index: rejection.stage for rejection, _ in found} == {17: "server", 29: "unsent", 53: "unsent"}
    reasons = {rejection.index: rejection.reason for rejection, _ in found}
    assert reasons[17] == REASON
    assert reasons[29] == reasons[53] == f"{unreadable}; it may have been applied, and can be sent again"
    assert (stats.put, stats.delivered, stats.rejected, stats.held) == (60, 57, 3, 0)
    sandbox.drain()
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for k in range(9):
            attributes = client.profiles.find("by-custom-id", f"poison-{k}").attributes
            assert attributes is not None
            assert attributes["n"] == max(n for n in range(60) if n % 9 == k and n not in (17, 29, 53))


def test_poisoned_rows_over_sockets(sandbox: Sandbox, gateway: str) -> None:
    """A row at which the server breaks, and rows whose 207 cannot be read, cost themselves alone."""
    found: Found = []
    with Synerise(api_key=sandbox.api_key, base_url=gateway, retry=FAST_RETRY) as client:
        queue = client.queue(on_rejected=lambda rejection, row: found.append((rejection, row)))
        for row in ROWS:
            queue.profiles.put(row)
        assert queue.close(20).complete
    check_over_sockets(sandbox, found, queue.stats())


def test_poisoned_rows_over_sockets_async(sandbox: Sandbox, gateway: str) -> None:
    """The same by tasks, in several batches."""
    found: Found = []

    async def main() -> QueueStats:
        async with (
            AsyncSynerise(api_key=sandbox.api_key, base_url=gateway, retry=FAST_RETRY) as client,
            client.queue(flush_items=7, on_rejected=lambda rejection, row: found.append((rejection, row))) as queue,
        ):
            for row in ROWS:
                await queue.profiles.put(row)
            assert (await queue.close(20)).complete
        return queue.stats()

    check_over_sockets(sandbox, found, anyio.run(main))


def test_a_poisoned_row_does_not_hold_up_the_end(sandbox: Sandbox, gateway: str, tmp_path: Path) -> None:
    """By itself it is what an outage looks like: closing ends in time, and the row goes to the spill file."""
    spill = tmp_path / "left.jsonl"
    with Synerise(api_key=sandbox.api_key, base_url=gateway, retry=FAST_RETRY) as client:
        queue = client.queue(spill=spill)
        queue.profiles.put(profile(1, poisoned=True))
        started_at = time.monotonic()
        result = queue.close(0.5)
        assert time.monotonic() - started_at < 5
        (left,) = queue.undelivered()
    assert (result.left, left.maybe_applied, spill.exists()) == (1, True, True)


def outage_cases(starts: Iterable[int], lengths: Iterable[int], repeats: int) -> Iterator[tuple[random.Random, range]]:
    for start, length, repeat in itertools.product(starts, lengths, range(repeats)):
        yield random.Random(f"{start} {length} {repeat}"), range(start, start + length)


def check_outages(all_cases: Iterable[tuple[random.Random, range]]) -> None:
    """Break at all requests of a range, and at poisoned rows; then put good rows until nothing is left."""
    for chance, down in all_cases:
        poison = set(chance.sample(range(16), chance.choice((0, 1, 1, 2, 3))))
        rig = Rig(items=chance.choice((1, 2, 3, 16)), concurrency=chance.randint(1, 3))
        people, make = chance.choice((3, 1000)), chance.choice((profile, event))
        fate, requests = chance.choice(("500 after", "lost before")), 0
        for n in range(16):
            more = {"customId": f"c-{n % people}"} if make is profile else {}
            rig.put(make(n, poisoned=n in poison, **more))
        for count in range(40):
            rig.core.flush()
            for _ in range(80):
                step = rig.step()
                if isinstance(step, Wait) and rig.in_flight:
                    rig.answer(chance.choice(rig.in_flight), fate if requests in down else "well")
                    requests += 1
                elif isinstance(step, Wait):
                    rig.clock.now += step.seconds or 0.0
            if not rig.core.held:
                break
            rig.put(profile(100 + count))
            rig.put(event(100 + count))
        assert sorted(rig.rejected) == sorted(poison), (down, poison)
        assert not rig.core.held
        assert {n for n in rig.server.order if n < 100} >= set(range(16)) - poison


def test_no_outage_convicts_a_healthy_row() -> None:
    """However long the server is down, and from which request on: only rows at which it breaks are given up."""
    check_outages(outage_cases((0, 3, 6, 9), (0, 1, 2, 3, 5, 12), 1))


@pytest.mark.long
def test_no_outage_convicts_a_healthy_row_at_length() -> None:
    """The same from every request on, with every length."""
    check_outages(outage_cases(range(30), range(31), 3))


def test_retry_after_is_kept_for_rows_in_doubt_too() -> None:
    """No request follows a 503 before the time that it asks for is over, also where it is about one row alone."""
    rig = Rig(items=8)
    rig.server.poison_status, rig.server.retry_after = 503, 30.0
    rig.put(profile(1000))
    rig.core.flush()
    rig.drain()  # the server is known to be up
    for n in range(16):
        rig.put(profile(n, poisoned=n == 3))
    rig.core.flush()
    held_until, answers = 0.0, 0
    for _ in range(2000):
        step = rig.step()
        if isinstance(step, QueueTask):
            assert rig.clock.now >= held_until
            if rig.answer(step).status == 503:
                held_until, answers = rig.clock.now + 30.0, answers + 1
        elif isinstance(step, Wait):
            if not rig.core.held:
                break
            if step.seconds is None or step.seconds > 30.0:  # nothing is left by which the server could be seen
                rig.put(profile(2000 + answers))
                rig.core.flush()
            rig.clock.now += step.seconds or 0.0
    assert answers > 3
    assert (rig.core.held, rig.rejected) == (0, [4])
