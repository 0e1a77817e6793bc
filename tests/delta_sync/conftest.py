"""A sandbox, a client of it, and the name of a state that is not there yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
        yield opened


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "customers.state"
