"""A gigabyte of CSV through a run, in the memory of a small one."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "source_speed.py"


@pytest.mark.long
def test_a_gigabyte_of_csv_is_imported_in_flat_memory():
    """A file eight times as large takes no more memory, multi-line cells and their line numbers included."""
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--memory", "1000"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    small, large = (int(found) for found in re.findall(r"(\d+) MB over the client", done.stdout))
    assert large <= small + 20, done.stdout
