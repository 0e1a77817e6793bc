"""What stands against a release: the newest part of the changelog, and a version that tells too little."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from generator.cli import main
from tests.generator.changes.test_report import GONE, KEPT, OPERATION, write


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write(tmp_path, OPERATION, f"{KEPT}\n{GONE}\n", "0.3.1", [])


def release(root: Path, changelog: str | None, *base: str) -> int:
    if changelog is not None:
        (root / "CHANGELOG.md").write_text(
            f"# Changelog\n\n{changelog}\n\n- Something.\n\n## 0.3.0 (2026-01-01)\n", "utf-8"
        )
    return main(["--root", str(root), "release", *base])


def test_a_changelog_with_version_and_date(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing stands against a first release whose newest part is its own."""
    assert release(project, "## 0.3.1 (2026-11-30)") == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("changelog", "told"),
    [
        ("## 0.3.1 (unreleased)", "CHANGELOG.md:3: [release] 'unreleased' is no date"),
        ("## 0.3.1 (2026-02-30)", "CHANGELOG.md:3: [release] '2026-02-30' is no date"),
        ("## 0.3.2 (2026-11-30)", "CHANGELOG.md:3: [release] the newest part must be headed `## 0.3.1 (date)`"),
        ("## 0.3.1", "CHANGELOG.md:3: [release] the newest part must be headed"),
        ("", "CHANGELOG.md:7: [release] the newest part must be headed"),
        (None, "CHANGELOG.md:1: [release] the newest part must be headed"),
    ],
)
def test_another_heading(project: Path, changelog: str | None, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It is told at its line."""
    assert release(project, changelog) == 1
    assert capsys.readouterr().out.startswith(told)


def test_a_version_that_tells_too_little(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A breaking change since the last release asks for more than the third number."""
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "A"],
    ):
        subprocess.run(["git", "-C", str(project), *command], check=True)
    write(project, None, KEPT, "0.3.2", [])

    assert release(project, "## 0.3.2 (2026-11-30)", "HEAD") == 1
    assert "version 0.3.2 does not tell what changed since HEAD" in capsys.readouterr().out
