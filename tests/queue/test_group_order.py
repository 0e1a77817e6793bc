"""Rows of a queue that go in different requests, as their profiles are named by other identifiers, keep their order."""

from __future__ import annotations

import random
from typing import Any

import pytest

from synerise_profiles._batching.machine import DONE, Wait
from synerise_profiles.queue.inflight import QueueTask
from tests.bulk.test_order import event_keys, keyed_events
from tests.queue.test_core import Rig


def keys_in(task: QueueTask) -> set[Any]:
    assert task.inflight_batch is not None
    chunk = task.inflight_batch.chunk_state.chunk
    return {key for position in task.sub_batch.positions for key in event_keys(chunk.row(position))}


@pytest.mark.parametrize("items", [2, 7, 30])
@pytest.mark.parametrize("stretch", [1, 4, 30])
def test_groups_of_identifiers_keep_the_order_together(items: int, stretch: int) -> None:
    """An event whose profile is named with and without its e-mail address goes in two requests, one after the other."""
    for seed in range(6):
        chance = random.Random(seed)
        rig = Rig(items=items, concurrency=chance.randint(1, 5))
        rows, sent = iter(keyed_events(chance, 150, chance.choice((2, 20, 300)), stretch)), dict[int, set[Any]]()
        row = next(rows, None)
        while row is not None or rig.core.held:
            for _ in range(chance.randint(0, 20)):
                if row is not None:
                    rig.put(row)
                    row = next(rows, None)
            if row is None:
                rig.core.flush()
            step = rig.step()
            if isinstance(step, QueueTask):
                step.request()
                keys = keys_in(step)
                assert all(keys.isdisjoint(others) for others in sent.values())
                sent[id(step)] = keys
            elif rig.in_flight:
                task = chance.choice(rig.in_flight)
                del sent[id(task)]
                rig.answer(task, chance.choice(("well", "well", "503", "lost before")))
            elif isinstance(step, Wait):
                rig.clock.now += 0.01 if step.seconds is None else step.seconds
            else:
                assert step is DONE
        numbers: dict[Any, list[int]] = {}
        for stored in rig.server.arrived:
            for key in event_keys(stored):
                numbers.setdefault(key, []).append(stored["params"]["n"])
        assert all(found == sorted(found) for found in numbers.values())
        assert rig.core.delivered == rig.core.put_count
