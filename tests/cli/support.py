"""The real program as a subprocess, against a sandbox."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from synerise_profiles.sandbox import Sandbox

PROGRAM = [sys.executable, "-m", "synerise_profiles"]


def environment(sandbox: Sandbox | None = None, **more: str) -> dict[str, str]:
    """The environment of a command: the sandbox, and no settings of the person who runs the tests."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SYNERISE_")}
    found = {**kept, "PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "80"}
    if sandbox is not None:
        found |= {"SYNERISE_API_KEY": sandbox.api_key, "SYNERISE_BASE_URL": sandbox.url}
    return found | more


def call(folder: Path, *arguments: str, env: dict[str, str], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run a command in a folder."""
    return subprocess.run([*PROGRAM, *arguments], cwd=folder, env=env, input=stdin, capture_output=True, check=False)
