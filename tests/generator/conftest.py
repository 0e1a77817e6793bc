"""Fixtures: a copy of the sample specification that a test may spoil, and the sample document."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.generator.sample import DATA, Spec


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    shutil.copytree(DATA / "spec", tmp_path / "spec")
    return Spec(tmp_path / "spec")


@pytest.fixture
def document() -> str:
    return (DATA / "reference.txt").read_text(encoding="utf-8")
