"""What the tests on a real Spark share: one sandbox, since Java keeps the environment with which it was started."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from synerise_profiles.sandbox import Sandbox


@pytest.fixture(scope="session")
def shared_sandbox() -> Iterator[Sandbox]:
    """A sandbox for all sessions of Spark of a run."""
    with Sandbox() as running:
        yield running


@pytest.fixture
def empty_sandbox(shared_sandbox: Sandbox) -> Sandbox:
    """The same, without what a test before has left in it."""
    shared_sandbox.store.clear()
    shared_sandbox.log.clear()
    return shared_sandbox
