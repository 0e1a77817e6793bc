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
BOUNDS = {"row": (30, 100), "answer": (17, 40)}
# What it is as long as it is over the bounds; it may not become more.
STANDS = {"row": (30, 96), "answer": (17, 33)}


@pytest.fixture(scope="module")
def walk() -> dict[str, dict[str, int]]:
    # A program of its own: a tracer of coverage would take the place of this one.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("COV")}
    done = subprocess.run([sys.executable, PROGRAM], env=environ, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


_REACHED = {("row", "changes"), ("answer", "files"), ("answer", "changes")}
# About 25 of a row's files are those of the client, the transport, the sources and the rules, each a subject of its own
# within the house's size of a module. To meet fewer, unrelated subjects would have to share a file.
_NOT_YET = pytest.mark.xfail(reason="more is met than asked, each file of a subject of its own", strict=True)


@pytest.mark.parametrize(
    ("way", "measure"),
    [
        pytest.param(way, measure, marks=() if (way, measure) in _REACHED else _NOT_YET)
        for way in BOUNDS
        for measure in ("files", "changes")
    ],
)
def test_a_row_meets_few_files(walk: dict[str, dict[str, int]], way: str, measure: str) -> None:
    """The way of a row can be read in one sitting."""
    bound = dict(zip(("files", "changes"), BOUNDS[way], strict=True))[measure]

    assert 0 < walk[way][measure] <= bound


@pytest.mark.parametrize("way", STANDS)
def test_the_way_becomes_no_longer(walk: dict[str, dict[str, int]], way: str) -> None:
    """Over its bounds, it may only become shorter."""
    files, changes = STANDS[way]

    assert walk[way]["files"] <= files
    assert walk[way]["changes"] <= changes
