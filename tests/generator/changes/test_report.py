"""The report of `python -m generator diff`: against a folder and a git revision, with its exit status."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from generator.changes.base import BUNDLE_FILE, PROJECT_FILE
from generator.cli import main
from generator.surface.listing import FILE as SURFACE_FILE

GONE = "synerise_profiles_api.resources.books.Books.get: def (book_id: int) -> Book"
KEPT = "synerise_profiles_api.resources.books.Books: class"
OPERATION: dict[str, Any] = {
    "x-sdk": {"resource": "books", "method": "get"},
    "description": "Gets it.",
    "responses": {"200": {"description": "It."}},
}


def write(folder: Path, operation: dict[str, Any] | None, surface: str, version: str, removed: list[Any]) -> Path:
    paths = {"/books": {"get": operation}} if operation else {}
    document = {"openapi": "3.1.0", "info": {"x-removed-names": removed}, "paths": paths}
    texts = {
        BUNDLE_FILE: json.dumps(document),
        SURFACE_FILE: surface,
        PROJECT_FILE: f'[project]\nversion = "{version}"\n',
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write(tmp_path / "base", OPERATION, f"{KEPT}\n{GONE}\n", "0.3.1", [])


def report(root: Path, base: str | Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    status = main(["--root", str(root), "diff", str(base)])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def test_nothing_changed(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same state is no change and asks for no version."""
    status, text = report(base, base, capsys)

    assert (status, text) == (0, f"# Changes since {base}\n\nNothing that a caller can see.\n")


def test_a_removal(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is breaking, asks for the next second number, has a line for the changelog and must be told to users."""
    status, text = report(write(tmp_path / "now", None, KEPT, "0.3.1", []), base, capsys)

    assert status == 1
    assert "2 breaking, 0 additive, 0 text." in text
    assert "It asks for version 0.4.0 or higher. This is 0.3.1; it was 0.3.1." in text
    assert "- `GET /books`: operation is gone\n" in text
    assert "- Breaking: `books.get`: is gone." in text
    assert "tell users by `x-removed-names` in spec/openapi.yaml" in text
    assert "take away its handler in overlays/synerise_profiles/sandbox/handlers/" in text


def test_a_removal_that_is_told(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the version raised and users told, a breaking change is in order."""
    removed = [{"name": "books.get", "version": "0.4.0", "instead": "books.list"}]

    assert report(write(tmp_path / "now", None, KEPT, "0.4.0", removed), base, capsys)[0] == 0
    assert report(write(tmp_path / "now", None, KEPT, "0.3.9", removed), base, capsys)[0] == 1
    assert report(write(tmp_path / "now", None, KEPT, "0.4.0", []), base, capsys)[0] == 1


@pytest.mark.parametrize(
    ("version", "change", "needed"),
    [
        ("0.3.1", {"description": "Gets one."}, "0.3.2"),
        ("1.3.1", {"description": "Gets one."}, "1.3.2"),
        ("0.3.1", {"x-sunset": "2027-01-01"}, "0.3.2"),
        ("1.3.1", {"x-sunset": "2027-01-01"}, "1.4.0"),
        ("1.3.1", {"x-synerise-permission": "BOOKS_READ"}, "2.0.0"),
    ],
)
def test_the_version_that_it_asks_for(
    tmp_path: Path, version: str, change: dict[str, Any], needed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text raises the last number, an addition the second, a break the first; below 1.0 each a place lower."""
    old = write(tmp_path / "old", OPERATION, KEPT, version, [])
    _, text = report(write(tmp_path / "now", OPERATION | change, KEPT, version, []), old, capsys)

    assert f"It asks for version {needed} or higher." in text


def test_a_git_revision(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The committed files of the revision are compared with those of the folder."""
    for command in (
        ["init", "-q"],
        ["add", "-A"],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "A"],
    ):
        subprocess.run(["git", "-C", str(base), *command], check=True)
    write(base, OPERATION | {"description": "Gets one."}, f"{KEPT}\n{GONE}\n", "0.3.1", [])

    status, text = report(base, "HEAD", capsys)
    assert status == 0
    assert text.endswith("## Text\n\n- `GET /books`: description\n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("no-such-revision", "name a git revision or a folder"),
        ("--output=x", "name a git revision or a folder"),
        ("", "is empty"),
    ],
)
def test_what_is_no_base(base: Path, given: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown revision is one line that says what to name."""
    status = main(["--root", str(base), "diff", "--", given])
    text = capsys.readouterr().err

    assert status == 1
    assert len(text.splitlines()) == 1
    assert words in text


def test_a_folder_without_the_files(base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first file that is missing is named."""
    status, text = report(base, tmp_path, capsys)

    assert status == 1
    assert f"{BUNDLE_FILE}:1: [changes] cannot be read: FileNotFoundError" in text
