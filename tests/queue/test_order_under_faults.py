"""Order and fates under faults: whatever the server does, rows of one identifier arrive in the order of their puts."""

from __future__ import annotations

import collections
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles._batching.machine import Wait
from synerise_profiles.queue.inflight import QueueTask
from tests.queue.support import FATES, event, profile
from tests.queue.test_core import Rig

NOON = "2020-01-01T12:00:00Z"
ROW_KINDS = ("good", "good", "good", "good", "bad", "poisoned", "garbled")
Row = tuple[tuple[int, ...], str]
"""Numbers of the identifiers of a row, and its kind."""


class Run:
    """A rig whose requests are watched: what is sent together, what arrives, and in which order."""

    def __init__(self, rows: list[Row], *, is_profiles: bool, **options: Any) -> None:
        self.rig = Rig(**options)
        self.rows = rows
        self.is_profiles = is_profiles
        self.sent: list[list[int]] = []
        """The numbers of the rows of each request."""
        self.broken: collections.Counter[int] = collections.Counter()
        """How many requests broke that had a row."""

    def put(self, number: int, names: tuple[int, ...], kind: str) -> None:
        more: dict[str, Any] = {} if kind == "good" else {kind: True}
        if self.is_profiles:
            more |= {"email": f"{names[1]}@example.com"} if len(names) > 1 else {}
            self.rig.put(profile(number, customId=f"id-{names[0]}", **more))
        else:
            row = event(number, eventSalt=f"id-{names[0]}", time=NOON, **more)
            self.rig.put({**row, "client": {"customId": "c-1"}})

    def step(self) -> QueueTask | Wait | Any:
        """Do what the core says; check that nothing overtakes."""
        step = self.rig.step()
        if isinstance(step, QueueTask) and step.inflight_batch is not None:
            indexes = step.inflight_batch.chunk_state.chunk.indexes
            sent = [indexes[position] for position in step.sub_batch.positions]
            assert sent == sorted(sent)
            open_rows = set(self.rig.held()) - set(sent)
            for index in sent:
                keys = self.keys(index)
                earlier = {other for other in open_rows if other < index and not keys.isdisjoint(self.keys(other))}
                assert not earlier, f"{index} is sent before {earlier} are settled"
            self.sent.append(sent)
        return step

    def keys(self, index: int) -> set[tuple[int, int]]:
        """What a row writes, by its identifiers of each kind."""
        names = self.rows[index][0] if index < len(self.rows) else (1000 + index,)
        return set(enumerate(names[: 2 if self.is_profiles else 1]))

    def answer(self, task: QueueTask, fate: str) -> None:
        self.rig.answer(task, fate)
        if task.inflight_batch is not None:
            indexes = task.inflight_batch.chunk_state.chunk.indexes
            unconfirmed = {*self.rig.held(), *self.rig.rejected}
            self.broken.update(unconfirmed & {indexes[position] for position in task.sub_batch.positions})

    def settle(self) -> None:
        """Let the server do what it does by itself, and put good rows of others now and then, until nothing is left."""
        rig = self.rig
        while rig.in_flight:
            self.answer(rig.in_flight[0], "well")
        for _ in range(60):
            rig.core.flush()
            for _ in range(60):
                step = self.step()
                if isinstance(step, QueueTask):
                    self.answer(step, "well")
                elif isinstance(step, Wait):
                    rig.clock.now += step.seconds or 0.0
                if not rig.core.held:
                    return
            self.put(rig.core.put_count, (1000 + rig.core.put_count,), "good")
        raise AssertionError("rows are never settled")

    def check(self) -> None:
        """Each row has one fate, and the accepted ones of an identifier arrived last in their order."""
        core, rejected = self.rig.core, self.rig.rejected
        assert core.put_count == core.delivered + core.rejected
        assert len(set(rejected)) == len(rejected) == core.rejected
        assert core.held_bytes == core.in_flight == 0
        wrong = {index for index, (_, kind) in enumerate(self.rows) if kind != "good"}
        assert wrong <= set(rejected)
        # A good row is given up only after it broke as often as a poisoned one.
        assert all(self.broken[index] >= 3 for index in set(rejected) - wrong)
        last = {index: place for place, index in enumerate(self.rig.server.order)}
        by_key = collections.defaultdict[tuple[int, int], list[int]](list)
        for index in range(len(self.rows)):
            for key in self.keys(index) if index not in rejected else ():
                by_key[key].append(last[index])
        for places in by_key.values():
            assert places == sorted(places)


def simulate(chance: random.Random) -> Run:
    """Put rows, send, answer in any order and with any faults; then let the server do what it does by itself."""
    names, count = chance.choice((1, 2, 7, 1000)), chance.randint(1, 40)
    kinds = chance.choice((ROW_KINDS, ("good", "poisoned"), ("good", "good", "garbled"), ("good",)))
    rows: list[Row] = [
        (tuple(chance.randrange(names) for _ in range(chance.choice((1, 1, 2)))), chance.choice(kinds))
        for _ in range(count)
    ]
    run = Run(
        rows,
        is_profiles=chance.random() < 0.6,
        items=chance.choice((1, 2, 4, 10, 100)),
        concurrency=chance.randint(1, 4),
        style=chance.choice(("207", "400 with positions", "400")),
    )
    fates = chance.choice((["well"], ["well", "well", "well", *FATES], [*FATES], ["500 after", "well"]))
    puts = list(enumerate(rows))
    for _ in range(chance.randrange(120)):
        action = chance.choice(("put", "put", "send", "send", "answer", "answer", "time", "flush"))
        if action == "put" and puts:
            index, row = puts.pop(0)
            run.put(index, *row)
        elif action == "send":
            run.step()
        elif action == "answer" and run.rig.in_flight:
            run.answer(chance.choice(run.rig.in_flight), chance.choice(fates))
        elif action == "time":
            run.rig.clock.now += 5.0
        elif action == "flush":
            run.rig.core.flush()
    for index, row in puts:
        run.put(index, *row)
    run.settle()
    return run


@settings(max_examples=50, deadline=None)
@given(chance=st.randoms(use_true_random=False))
def test_order_and_fates_under_faults(chance: random.Random) -> None:
    """Poisoned and refused rows, a 207 without its list, timeouts, 429: in any order, identifiers repeating."""
    simulate(chance).check()


@pytest.mark.long
def test_order_and_fates_under_faults_many_times() -> None:
    """The same with thousands of seeds."""
    for seed in range(2_000):
        simulate(random.Random(seed)).check()
