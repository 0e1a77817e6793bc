"""Format rendered Python with the pinned ruff under a configuration of its own, in a folder that is thrown away."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from generator.errors import Finding, GeneratorFailure

_PLACE = re.compile(r"generator-[^/\\]+[/\\](?P<file>\S+?):(?P<line>\d+):\d+: (?:[\w-]+: )?(?P<problem>.*)")
# Unused imports go, so that a template may name all that it could need.
_CONFIG = """\
line-length = 120
target-version = "py311"
[lint]
select = ["F401", "I"]
[lint.isort]
known-first-party = ["synerise_profiles_api"]
split-on-trailing-comma = false
[format]
skip-magic-trailing-comma = true
"""


def ruff_version() -> str:
    """The version that formats, such as `0.17.6`."""
    return _ruff("--version").split()[-1]


def format_python(files: Mapping[str, str]) -> dict[str, str]:
    """Return the files with their Python formatted; what is no Python stays as it is."""
    with tempfile.TemporaryDirectory(prefix="generator-") as folder:
        root = Path(folder)
        (root / "ruff.toml").write_text(_CONFIG, encoding="utf-8")
        modules = [name for name in files if name.endswith(".py")]
        for name in modules:
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(files[name], encoding="utf-8", newline="\n")
        config = ("--config", str(root / "ruff.toml"), "--no-cache")
        _ruff("check", "--fix", "--unsafe-fixes", "--quiet", "--output-format=concise", *config, folder)
        _ruff("format", "--quiet", *config, folder)
        return {**files, **{name: (root / name).read_text(encoding="utf-8") for name in modules}}


def _ruff(*arguments: str) -> str:
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "ruff", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", env=environ, check=False)  # noqa: S603  # a fixed program and our own arguments
    if done.returncode != 0:
        raise GeneratorFailure(_findings(done.stdout + done.stderr))
    return done.stdout


def _findings(said: str) -> list[Finding]:
    """What ruff says, at the generated file and line that it names: no Python came out of a template there."""
    found: list[Finding] = []
    for match in _PLACE.finditer(said):
        message = f"{match['problem']}: look at the template of this file, which was not written"
        found.append(Finding(f"generated/{match['file']}", int(match["line"]), "format", message))
    return sorted(set(found)) or [Finding("overlays/templates", 1, "format", said.strip())]
