"""Kill -9 at any moment at which a file is written or put in place: nothing is half there, and the next run goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("kill_program.py")
JOBS = ["export", "appended", "state", "bulk"]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no fork there")


def killed(what: str, folder: Path, step: int) -> int:
    """Kill a job at every so many of its moments; return how often it was killed."""
    command = [sys.executable, "-W", "ignore", str(PROGRAM), what, str(folder), str(step)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.parametrize("what", JOBS)
def test_killed_while_a_file_is_written(what: str, tmp_path: Path) -> None:
    """At some moments, the last ones of which put the file in its place."""
    assert killed(what, tmp_path, 17) > 4


@pytest.mark.long
@pytest.mark.parametrize("what", JOBS)
def test_killed_at_each_moment(what: str, tmp_path: Path) -> None:
    """At all of them."""
    assert killed(what, tmp_path, 1) > 68
