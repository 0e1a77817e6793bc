"""Ctrl-C in the midst of a command: the journal that is left resumes, and nothing is stored twice."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from synerise_profiles.sandbox import Sandbox
from tests.bulk.test_sandbox import Outcome, counted
from tests.cli.support import PROGRAM, environment

ROWS = 8_000
COMMAND = (
    *("import", "events", "rows.csv", "--mapping", "events.toml", "--journal", "night.journal"),
    *("--concurrency", "2", "--requests-per-second", "6"),
)
MAPPING = """
for = "events"

[columns]
id = ["client.customId", { field = "eventSalt", template = "visit-{id}" }]
at = { field = "time", type = "datetime" }

[constants]
label = "Visit"
action = "shop.visit"
"""


def start(folder: Path, sandbox: Sandbox) -> subprocess.Popen[bytes]:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([*PROGRAM, *COMMAND], cwd=folder, env=environment(sandbox), **pipes)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(20))
def test_interrupted_at_a_random_moment(tmp_path: Path, seed: int) -> None:
    """Status 130, or 0 where all was sent; the same command goes on, and each event is stored once."""
    (tmp_path / "events.toml").write_text(MAPPING, encoding="utf-8")
    lines = [f"c-{number},2026-03-01T08:00:00Z" for number in range(ROWS)]
    (tmp_path / "rows.csv").write_text("\n".join(["id,at", *lines, ""]), encoding="utf-8")
    with Sandbox(log_size=1_000_000) as sandbox:
        process = start(tmp_path, sandbox)
        time.sleep(random.Random(seed).uniform(0.1, 2.5))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode in (0, 130, -signal.SIGINT), said  # the last while Python itself begins
        again = start(tmp_path, sandbox)
        out, said = again.communicate(timeout=120)
        assert (again.returncode, said) == (0, b"")
        assert f"{ROWS:,} rows read, {ROWS:,} accepted" in out.decode()
        assert counted(sandbox, "events.send_batch")[Outcome.APPLIED] == ROWS
