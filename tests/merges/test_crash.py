"""Processes that are killed with -9 between any two steps, or while a merge is on its way: the plan goes on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles.merges import read_audit
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import merges, numbered, put, stored

PROGRAM = Path(__file__).with_name("crash_program.py")
MERGE = "profiles.merge_by_custom_id"


class Crashes:
    """A plan of six sources in groups of two, applied by processes."""

    def __init__(self, sandbox: Sandbox, client: Synerise, folder: Path) -> None:
        put(client, {"customId": "jan", "attributes": {"own-5": "kept"}})
        self.sources = numbered(client, 6, shared="x")
        self.plan = client.merges.plan(into="jan", sources=self.sources, by="custom_id")
        self.audit = folder / "merges.jsonl"
        self._sandbox = sandbox
        self._file = folder / "plan.json"
        self._file.write_text(json.dumps(self.plan.to_dict()), encoding="utf-8")

    def start(self, entry: str = "-", count: int = 1, when: str = "after") -> subprocess.Popen[str]:
        url, key = self._sandbox.url, self._sandbox.api_key
        command = [sys.executable, str(PROGRAM), url, key, str(self._file), str(self.audit), entry, str(count), when]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self) -> dict[str, Any]:
        process = self.start()
        out, error = process.communicate(timeout=60)
        assert process.returncode == 0, error
        result: dict[str, Any] = json.loads(out.partition("\n")[2])
        return result


@pytest.fixture
def crashes(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> Crashes:
    return Crashes(sandbox, client, tmp_path)


@pytest.mark.parametrize(
    ("entry", "count", "when", "merged"),
    [
        pytest.param("started", 1, "after", 0, marks=pytest.mark.long),
        ("group-sent", 2, "before", 2),  # between two groups
        pytest.param("group-sent", 2, "after", 2, marks=pytest.mark.long),  # written down, not yet sent
        ("group-answered", 2, "before", 4),  # carried out, and nobody wrote it down
        pytest.param("group-answered", 3, "after", 6, marks=pytest.mark.long),
        pytest.param("finished", 1, "after", 6, marks=pytest.mark.long),
    ],
)
def test_killed_between_two_steps(
    sandbox: Sandbox, client: Synerise, crashes: Crashes, entry: str, count: int, when: str, merged: int
) -> None:
    """The same plan, applied again, merges the rest; no group that was carried out is sent again."""
    process = crashes.start(entry, count, when)
    process.communicate(timeout=60)
    assert process.returncode == -9
    assert len(sandbox.store.profiles) == 7 - merged
    result = crashes.finish()
    assert result["resumed"] == merged
    assert dict(result["merged"]) == dict.fromkeys(crashes.sources, "jan")
    assert (result["complete"], result["unexpected"]) == (True, [])
    assert merges(sandbox) == [200, 200, 200]
    assert stored(client, "jan") == crashes.plan.after
    assert len({item["run"] for item in read_audit(crashes.audit)}) == 2


def test_killed_while_a_merge_is_on_its_way(sandbox: Sandbox, client: Synerise, crashes: Crashes) -> None:
    """The server carries it out all the same; the next run reads the profiles and sees that it did."""
    fault = sandbox.faults.delay(60.0, processed=True, operation=MERGE, times=1)
    process = crashes.start()
    deadline = time.monotonic() + 30
    while not (fault.played and len(sandbox.store.profiles) == 5) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    result = crashes.finish()
    assert (result["resumed"], result["complete"]) == (2, True)
    assert len(sandbox.store.profiles) == 1
    assert stored(client, "jan") == crashes.plan.after


@pytest.mark.long
@pytest.mark.parametrize("round_", range(10))
def test_killed_at_random_moments(sandbox: Sandbox, client: Synerise, crashes: Crashes, round_: int) -> None:
    """Wherever it is killed, and however often: each source ends up in the target, and the plan comes true."""
    chance = random.Random(round_)
    sandbox.faults.delay(0.1, processed=True, operation=MERGE)
    for _ in range(4):
        process = crashes.start()
        assert process.stdout is not None
        if process.stdout.readline() == "ready\n":
            time.sleep(chance.uniform(0.0, 0.5))
        process.kill()
        process.communicate()
    sandbox.faults.clear()
    result = crashes.finish()
    assert dict(result["merged"]) == dict.fromkeys(crashes.sources, "jan")
    assert result["complete"] is True
    assert stored(client, "jan") == crashes.plan.after
