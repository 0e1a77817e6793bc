"""Runs that are killed with -9 at any moment: what is stored is what the last table says, and the state knows it."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests.delta_sync.crash_program import table

PROGRAM = Path(__file__).with_name("crash_program.py")
COUNT = 8000
pytestmark = pytest.mark.usefixtures("unmeasured")


def start(sandbox: Sandbox, state: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), sandbox.url, sandbox.api_key, str(state), str(seed), str(COUNT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def kill_and_check(state: Path, moments: Sequence[float]) -> None:
    """Kill a night at each moment; then bring the first table back, and compare all that is stored with it.

    A row that went out in a killed night and goes back to what it was is the hard one: the state knew its old content.
    """
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sandbox.faults.delay(0.02, processed=True, operation="profiles.upsert_batch")
        for seed, moment in enumerate(moments, 1):
            process = start(sandbox, state, seed)
            time.sleep(moment)
            process.kill()
            process.communicate()
        process = start(sandbox, state, 0)
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        assert out.split()[::2] == [str(COUNT), "True"]
        sandbox.drain()
        for row in random.Random(7).sample(table(0, COUNT), 300):
            assert client.profiles.find("by-custom-id", row["customId"]).first_name == row["firstName"]
        plan = client.delta_sync.plan(table(0, COUNT), key="customId", state=state)
        assert (plan.unchanged, plan.requests) == (COUNT, 0)


def test_killed_twice(tmp_path: Path) -> None:
    """After nights that were killed, a whole one leaves what its table says, and nothing to be sent."""
    chance = random.Random(1)
    kill_and_check(tmp_path / "customers.state", [chance.uniform(0.2, 1.5) for _ in range(2)])


@pytest.mark.long
@pytest.mark.parametrize("round_", range(10))
def test_killed_a_hundred_times(tmp_path: Path, round_: int) -> None:
    """The same at ten times ten random moments."""
    chance = random.Random(round_)
    kill_and_check(tmp_path / "customers.state", [chance.uniform(0.2, 1.5) for _ in range(10)])
