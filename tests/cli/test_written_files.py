"""Pages and saved plans: they take the place of a file of their kind alone, and never of one of the run's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import call, environment

COLUMNS = ["--set", "customId=id"]


@pytest.fixture(scope="module")
def env() -> Iterator[dict[str, str]]:
    with Sandbox() as running:
        yield environment(running)


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "rows.csv"
    path.write_text("id\n1\n2\n")
    return path


@pytest.mark.parametrize(
    "options",
    [
        ["--dead-letter", "x"],
        ["--journal", "x"],
        ["--journal", "x-wal"],
        ["--mapping", "x"],
        ["--dead-letter", "sub/../x"],
    ],
)
def test_a_page_is_no_other_file_of_the_run(
    tmp_path: Path, rows: Path, env: dict[str, str], options: list[str]
) -> None:
    """By whatever name it is given, and before anything is sent."""
    (tmp_path / "sub").mkdir()
    if "--mapping" in options:
        (tmp_path / "x").write_text('for = "profiles"\n[columns]\nid = "customId"\n')
    else:
        options = [*options, *COLUMNS]
    before = (tmp_path / "x").read_bytes() if (tmp_path / "x").exists() else None
    done = call(tmp_path, "import", "profiles", rows.name, *options, "--report", "x", env=env)
    assert (done.returncode, done.stdout) == (2, b"")
    assert f"--report: is the same file as {options[0]}" in done.stderr.decode()
    assert (tmp_path / "x").read_bytes() == before if before else not (tmp_path / "x").exists()


def test_a_page_replaces_a_page_alone(tmp_path: Path, rows: Path, env: dict[str, str]) -> None:
    """Another file would be lost; the page of the last night, or an empty file, is replaced."""
    words = ["import", "profiles", rows.name, *COLUMNS, "--report", "run.html"]
    (tmp_path / "run.html").write_text("precious\n")
    done = call(tmp_path, *words, env=env)
    assert (done.returncode, (tmp_path / "run.html").read_text()) == (2, "precious\n")
    assert "--report: is a file that does not hold a page, and would be lost" in done.stderr.decode()
    for text in ("", None):
        if text is not None:
            (tmp_path / "run.html").write_text(text)
        assert call(tmp_path, *words, env=env).returncode == 0
        assert (tmp_path / "run.html").read_text().startswith("<!DOCTYPE html")


def test_a_page_that_cannot_be_made_is_refused_at_once(tmp_path: Path, rows: Path, env: dict[str, str]) -> None:
    """In a folder where no file can be made, root included."""
    done = call(tmp_path, "import", "profiles", rows.name, *COLUMNS, "--report", "/proc/run.html", env=env)
    assert (done.returncode, done.stdout) == (2, b"")
    assert "--report: cannot be written" in done.stderr.decode()


@pytest.mark.parametrize("flag", ["--save", "--html"])
def test_plans_of_merges_replace_no_other_file(tmp_path: Path, env: dict[str, str], flag: str) -> None:
    """What is in the way of a saved plan, or of its page, is refused before anything is read."""
    (tmp_path / "customers.csv").write_text("id\n1\n")
    words = ["merge", "plan", "--by", "custom_id", "--into", "c3", "c4", flag, "customers.csv"]
    done = call(tmp_path, *words, env=env)
    assert (done.returncode, (tmp_path / "customers.csv").read_text()) == (2, "id\n1\n")
    assert f"{flag}: is a file that does not hold" in done.stderr.decode()


def test_plans_and_their_page_are_written_anew(tmp_path: Path, env: dict[str, str]) -> None:
    """What an earlier plan saved is replaced."""
    with Synerise(api_key=env["SYNERISE_API_KEY"], base_url=env["SYNERISE_BASE_URL"]) as client:
        for name in ("c3", "c4"):
            client.profiles.upsert({"customId": name})
    words = ["merge", "plan", "--by", "custom_id", "--into", "c3", "c4", "--save", "p.jsonl", "--html", "p.html"]
    for _ in range(2):
        done = call(tmp_path, *words, env=env)
        assert done.returncode == 0, done.stderr
