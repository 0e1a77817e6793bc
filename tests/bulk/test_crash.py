"""Runs that are killed with -9 at any moment and started again: nothing is lost, nothing stored twice."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import JournalError
from synerise_profiles.sandbox import Sandbox
from tests.bulk.crash_program import events
from tests.bulk.test_sandbox import Outcome, counted

PROGRAM = Path(__file__).with_name("crash_program.py")
COUNT = 30_000


def start(sandbox: Sandbox, journal: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(PROGRAM), sandbox.url, sandbox.api_key, str(journal), str(COUNT)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(sandbox: Sandbox, moment: float) -> None:
    """Wait for so many seconds, or, if the moment is an integer, until so many more batches have arrived."""
    if not isinstance(moment, int):
        time.sleep(moment)
        return
    until = len(sandbox.log) + moment
    while len(sandbox.log) < until:
        time.sleep(0.01)


def crash_and_resume(journal: Path, moments: Sequence[float]) -> int:
    """Kill a run at each of the moments, then let it end; return how many rows were resumed."""
    with Sandbox(log_size=1_000_000) as sandbox:
        sandbox.faults.delay(0.01, operation="events.send_batch")
        for moment in moments:
            process = start(sandbox, journal)
            wait_for(sandbox, moment)
            process.kill()
            process.communicate()
        process = start(sandbox, journal)
        out, error = process.communicate(timeout=120)
        assert process.returncode == 0, error
        accepted, resumed, complete = out.split()
        assert (int(accepted), complete) == (COUNT, "True")
        # Of each row one event is there, however often it arrived.
        assert counted(sandbox, "events.send_batch")[Outcome.APPLIED] == COUNT
        return int(resumed)


def test_killed_three_times(tmp_path: Path) -> None:
    """A run that is killed and started again, several times, ends as one that was not."""
    assert crash_and_resume(tmp_path / "night.db", [8, 13, 5]) > 0


def test_a_killed_run_that_another_process_goes_on_with(tmp_path: Path) -> None:
    """While that one holds the journal, a third is refused and sends nothing; the run goes on once it is killed too."""
    night = tmp_path / "night.db"
    with Sandbox(log_size=1_000_000) as sandbox:
        sandbox.faults.delay(1.0, operation="events.send_batch")
        for _ in range(2):
            process = start(sandbox, night)
            wait_for(sandbox, 5)
            with (
                Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client,
                pytest.raises(JournalError, match="the journal is in use by another process"),
            ):
                client.bulk.send_events(events(1), journal=night)
            process.kill()
            process.communicate()
        sandbox.faults.clear()
        out, error = start(sandbox, night).communicate(timeout=120)
        assert out.split()[::2] == [str(COUNT), "True"], error
        assert counted(sandbox, "events.send_batch")[Outcome.APPLIED] == COUNT


@pytest.mark.long
@pytest.mark.parametrize("round_", range(10))
def test_killed_a_hundred_times(tmp_path: Path, round_: int) -> None:
    """The same at ten times ten random moments."""
    chance = random.Random(round_)
    crash_and_resume(tmp_path / "night.db", [chance.uniform(0.0, 0.9) for _ in range(10)])
