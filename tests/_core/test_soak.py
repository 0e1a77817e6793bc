"""Two minutes of calls that fail, expire and are cancelled: the client is afterwards what it was before."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import random
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import pytest

from synerise_profiles import AsyncSynerise
from synerise_profiles.errors import SyneriseError
from synerise_profiles.sandbox import Sandbox, SandboxOptions
from tests._core.test_connection_pool import sockets

pytestmark = [pytest.mark.long, pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")]

TASKS = 100
ROUNDS = 8
ROUND_SECONDS = 15.0
MEASURED_CALLS = 300
MAX_GROWTH_BYTES = 8_000_000
MAX_GROWTH_BLOCKS = 5_000
# The machine is shared: a pool that grows dearer with what was cancelled costs many times as much.
MAX_SLOWER = 2.0


@attrs.frozen
class Sample:
    """What the process holds between two rounds, in bytes and in blocks of Python; a call's median time in seconds."""

    sockets: int
    blocks: int
    memory: int
    call: float


def _serve(pipe: Connection) -> None:
    """A sandbox whose answers break in every way, and whose tokens last three seconds."""
    with Sandbox(log_size=100, options=SandboxOptions(token_lifetime=3.0)) as sandbox:
        faults = sandbox.faults
        seeds = iter(range(100))
        for add in (
            lambda **when: faults.status(503, **when),
            lambda **when: faults.status(429, retry_after=0.01, **when),
            lambda **when: faults.delay(0.02, **when),
            faults.close,
            lambda **when: faults.close(reset=True, processed=True, **when),
            lambda **when: faults.truncate(size=3, **when),
            lambda **when: faults.drip(0.001, **when),
            lambda **when: faults.html(502, **when),
            faults.expire_token,
        ):
            add(rate=0.01, seed=next(seeds))
        pipe.send((sandbox.url, sandbox.api_key))
        pipe.recv()


@pytest.fixture
def server() -> Iterator[tuple[str, str]]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs,))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("end")
        process.join(20)
        process.close()
        ours.close()
        theirs.close()


async def _work(client: AsyncSynerise, chance: random.Random, until: float) -> int:
    """Call until the round ends; three calls in ten are cancelled after up to ten milliseconds."""
    answered = 0
    while time.monotonic() < until:
        limit = chance.uniform(0, 0.01) if chance.random() < 0.3 else None
        with contextlib.suppress(SyneriseError, TimeoutError):
            async with asyncio.timeout(limit):
                if chance.random() < 0.7:
                    await client.tags.list()
                else:
                    await client.profiles.upsert({"customId": f"c{chance.randrange(50)}", "city": "Hel"})
                answered += 1
    return answered


def _held(call: float) -> Sample:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    gc.collect()
    return Sample(
        sockets=sockets(), blocks=sys.getallocatedblocks(), memory=pages * os.sysconf("SC_PAGE_SIZE"), call=call
    )


async def _sample(client: AsyncSynerise) -> Sample:
    spent = list[float]()
    while len(spent) < MEASURED_CALLS:
        begun = time.perf_counter()
        with contextlib.suppress(SyneriseError):
            await client.tags.list()
            spent.append(time.perf_counter() - begun)
    return _held(statistics.median(spent))


async def _soak(url: str, api_key: str) -> tuple[list[Sample], int]:
    samples, answered = list[Sample](), 0
    arguments: dict[str, Any] = {"api_key": api_key, "base_url": url, "timeout": 2.0, "deadline": 3.0}
    async with AsyncSynerise(**arguments) as client:
        for number in range(ROUNDS):
            until = time.monotonic() + ROUND_SECONDS
            calls = [_work(client, random.Random(number * TASKS + task), until) for task in range(TASKS)]
            answered += sum(await asyncio.gather(*calls))
            samples.append(await _sample(client))
    return samples, answered


def test_two_minutes_of_faults_and_cancellations_leave_nothing_behind(
    server: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    """After the first round neither sockets, nor memory, nor the time of a call grow."""
    caplog.set_level(logging.CRITICAL, "synerise_profiles")  # the test runner keeps every record
    samples, answered = asyncio.run(_soak(*server))
    first, last = samples[0], samples[-1]
    assert answered > 1_000
    assert last.sockets <= TASKS + 10
    assert last.blocks - first.blocks < MAX_GROWTH_BLOCKS
    assert last.memory - first.memory < MAX_GROWTH_BYTES
    assert min(sample.call for sample in samples[-3:]) < MAX_SLOWER * first.call
