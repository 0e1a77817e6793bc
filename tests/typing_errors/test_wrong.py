"""The types are tight: mypy finds each mistake of wrong.py on its line, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import synerise_profiles
import synerise_profiles_api

WRONG = Path(__file__).with_name("wrong.py")
CONFIG = """
[mypy]
strict = true
python_version = 3.11
follow_imports = silent
enable_error_code = deprecated
"""


def _expected():
    lines = WRONG.read_text(encoding="utf-8").splitlines()
    marked = {number: re.search(r"# E: (.*)$", line) for number, line in enumerate(lines, 1)}
    return {number: set(found[1].split()) for number, found in marked.items() if found and number > 1}


def test_each_mistake_is_found_on_its_line(tmp_path):
    """Wrong argument types, enum values, fields, bodies and a forgotten await are errors of the documented kind."""
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG, encoding="utf-8")
    sources = {Path(module.__file__).parent.parent for module in (synerise_profiles, synerise_profiles_api)}
    environ = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, sources))}
    arguments = ("--config-file", str(config), "--cache-dir", str(tmp_path / "cache"), "--no-error-summary")

    command = [sys.executable, "-m", "mypy", *arguments, str(WRONG)]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)

    found = defaultdict(set)
    for line in done.stdout.splitlines():
        matched = re.fullmatch(r".*wrong\.py:(\d+): error: .*(\[[a-z-]+\])", line)
        if matched:
            found[int(matched[1])].add(matched[2])
    assert found == _expected(), done.stdout + done.stderr
