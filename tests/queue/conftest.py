"""One sandbox for all tests of queues, which keeps what it receives and forgets it between two tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synerise_profiles.sandbox import Sandbox, SandboxOptions


@pytest.fixture(scope="session")
def _running() -> Iterator[Sandbox]:
    with Sandbox(options=SandboxOptions(keep_bodies=True), log_size=100_000) as running:
        yield running


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    _running.drain()
    _running.faults.clear()
    _running.log.clear()
    return _running
