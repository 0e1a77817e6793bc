"""Programs of others that read the bundle. One is Prism, a mock server, started by npx; without npx it is skipped."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PRISM = "@stoplight/prism-cli@5.14.2"  # later ones need node 24
BUNDLE = Path(__file__).resolve().parents[2] / "generated" / "openapi.yaml"
PATIENCE = 180.0
"""Seconds to start; the first time it is downloaded."""


def pytest_configure(config: pytest.Config) -> None:
    """Make the mark known: it is of this folder alone."""
    config.addinivalue_line("markers", "peer: needs npx, and the network the first time; run by `make peer`")


_SAID = pytest.StashKey[list[str]]()


@pytest.fixture
def said(pytestconfig: pytest.Config) -> Callable[[str, str], None]:
    """Note what a tool said of the bundle; it is listed at the end of the run."""
    lines = pytestconfig.stash.setdefault(_SAID, [])

    def note(tool: str, counts: str) -> None:
        lines.append(f"{tool}: {counts}")

    return note


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List what each tool said."""
    for line in config.stash.get(_SAID, []):
        terminalreporter.write_line(line)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave these tests out where they are not asked for by `-m peer`."""
    if "peer" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("peer")]
    items[:] = [item for item in items if not item.get_closest_marker("peer")]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its address. With --errors it refuses what the bundle does not allow."""
    npx = shutil.which("npx")
    if npx is None:
        pytest.skip("there is no npx here")
    log = tmp_path_factory.mktemp("prism") / "log.txt"
    command = [npx, "--yes", PRISM, "mock", "--port", "0", "--errors", "--multiprocess", "false", str(BUNDLE)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        yield _address(process, log)
    finally:
        # npx has a child of its own; the group is of these two alone.
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE)


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    begun = time.monotonic()
    while time.monotonic() - begun < PATIENCE and process.poll() is None:
        found = re.search(r"listening on (http://[0-9.:]+)", log.read_text(encoding="utf-8"))
        if found is not None:
            return found[1]
        time.sleep(0.2)
    pytest.fail(f"Prism did not start:\n{log.read_text(encoding='utf-8')[-2000:]}")
