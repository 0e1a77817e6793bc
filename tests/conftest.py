"""Settings of Hypothesis, which a property takes when it is defined, and what tests of every room share."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox

# No time limits: a busy machine is no defect.
settings.register_profile("house", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("house")

# A shell's job in the background ignores Ctrl-C, one of nohup the end of its terminal, and so would the programs that
# tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that the test starts run without coverage, which would load modules of its own (sqlite3) in them."""
    monkeypatch.delenv("COVERAGE_PROCESS_CONFIG", raising=False)


@pytest.fixture(scope="module")
def server() -> Iterator[Sandbox]:
    """A sandbox that the tests of a module share; each resets it."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox that a test has for itself."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    """A client of that sandbox."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
        yield opened


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name packed bytes by their argument: gzip writes the time into them, and the workers compare their lists."""
    return argname if isinstance(val, bytes) and b"\x1f\x8b" in val else None
