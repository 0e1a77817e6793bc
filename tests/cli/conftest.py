"""What tests of the command line share."""

from __future__ import annotations

from pathlib import Path

import pytest

from synerise_profiles.sandbox import Sandbox


@pytest.fixture
def environment(sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run in a folder of their own, and find the sandbox by the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SYNERISE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("SYNERISE_BASE_URL", sandbox.url)
    monkeypatch.delenv("SYNERISE_ENV", raising=False)
