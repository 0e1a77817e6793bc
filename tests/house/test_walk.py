"""A reader who follows one row opens few files: a row from its file to the socket, an answer back to a rejection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("walk.py")
# At most so many files, and so many changes from one to another.
BOUNDS = {"row": (30, 100), "answer": (17, 34)}


@pytest.fixture(scope="module")
def walk() -> dict[str, dict[str, int]]:
    # A program of its own: a tracer of coverage would take the place of this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, PROGRAM], env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("way", BOUNDS)
def test_a_row_meets_few_files(walk: dict[str, dict[str, int]], way: str) -> None:
    """The way of a row can be read in one sitting."""
    files, changes = BOUNDS[way]

    assert 0 < walk[way]["files"] <= files
    assert 0 < walk[way]["changes"] <= changes
