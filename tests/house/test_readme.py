"""The page of the tests names every room, and no other."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]


def test_the_page_names_every_room() -> None:
    """Each folder with tests, benchmarks or programs has its place in the table of rooms."""
    table = (TESTS / "README.md").read_text(encoding="utf-8").partition("## Run them")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    assert named == {folder.name for folder in TESTS.iterdir() if any(folder.glob("*.py"))}
