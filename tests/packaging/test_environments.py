"""The environments that the targets of the Makefile make for themselves."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PYTHON = """#!/bin/sh
# python3 -m venv FOLDER, in no time
mkdir -p "$3/bin"
for name in python pip synerise-profiles; do printf '#!/bin/sh\\n' > "$3/bin/$name"; chmod +x "$3/bin/$name"; done
"""


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")
@pytest.mark.parametrize(("target", "folder"), [("demo", ".venv-try"), ("sandbox", ".venv-try"), ("surface", ".venv")])
def test_an_environment_without_pip_is_completed(target: str, folder: str, tmp_path: Path) -> None:
    """A folder of an environment that could not be made, as where the package python3-venv is missing, is mended."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, tmp_path)
    python = tmp_path / "python3"
    python.write_text(PYTHON, encoding="utf-8")
    python.chmod(0o755)
    (tmp_path / folder / "bin").mkdir(parents=True)

    made = subprocess.run(
        ["make", f"PYTHON={python}", "VENV=.venv", target], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert made.returncode == 0, made.stderr
    assert (tmp_path / folder / "bin" / "pip").exists()
