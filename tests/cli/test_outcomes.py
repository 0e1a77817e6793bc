"""What commands end with: programs that are read, plans as JSON, journals of others, exports that take long."""

from __future__ import annotations

import json
import sqlite3
import sys
import warnings
from contextlib import closing
from importlib.abc import MetaPathFinder
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.cli import main
from synerise_profiles.sandbox import Sandbox, SandboxOptions

PROGRAM = """
from synerise_profiles import Synerise
client = Synerise()
client.profiles.delete(7)
client.account.get()
"""
NESTED = f"x = {'-' * 900}1\n"
ORDER = {
    "name": "all",
    "fields": ["id", "email"],
    "agreementFilter": "EMAIL",
    "segmentationHash": "07243772-008a-42e1-ba37-c3807cebde8f",
    "excludedIds": [],
}


pytestmark = pytest.mark.usefixtures("environment")


def told(capsys: pytest.CaptureFixture[str], status: int, *words: str) -> tuple[str, str]:
    capsys.readouterr()
    found = main(words)
    output, error = capsys.readouterr()
    assert found == status, (output, error)
    return output, error


def test_programs_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 1, since more may be needed; what an API key cannot do is told beside what it needs."""
    monkeypatch.chdir(tmp_path)
    Path("src").mkdir()
    Path("src/good.py").write_text(PROGRAM)
    out, err = told(capsys, 0, "permissions", "src")
    assert "src/good.py:4" in out
    assert "account.get cannot be called with an API key" in err
    Path("src/nested.py").write_text(NESTED)
    Path("src/gone.py").symlink_to("nowhere.py")
    out, err = told(capsys, 1, "permissions", "src")
    assert "src/good.py:4" in out
    assert any("gone.py" in line and "No such file" in line for line in err.splitlines()), err
    assert "src/nested.py:1: " in err  # where it is too deep depends on the version of Python
    out, _ = told(capsys, 1, "permissions", "src", "--json")
    document = json.loads(out)
    assert document["files"] == 3
    assert len(document["unread"]) == 2
    out, err = told(capsys, 1, "deprecations", "src")
    assert "src/gone.py:1: No such file or directory" in err
    assert "src/nested.py:1: " in err


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("check c.csv --mapping m.toml", "--mapping and the checks of rows go with --for"),
        ("check c.csv --sort", "--sort goes with --for and a --mapping"),
        ("merge plan --by custom_id --into a b --deadline 0", "--deadline"),
    ],
)
def test_flags_that_go_with_others(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    """Are refused without them."""
    Path("c.csv").write_text("id\n1\n")
    Path("m.toml").write_text('for = "profiles"\n[columns]\nid = "customId"\n')
    _, err = told(capsys, 2, *line.split())
    assert message in err


def test_a_salt_that_is_no_list_is_refused(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """With how one is written."""
    Path("e.jsonl").write_text("{}\n")
    _, err = told(capsys, 2, "import", "events", "e.jsonl", "--salt", '["params')
    assert err.splitlines()[-1].endswith('--salt: no JSON list of fields, such as ["params.orderId"]')


def test_a_plan_of_a_delta_as_json(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """It says what would be done, and how long it would take; a value of a field may be text or JSON."""
    Path("c.csv").write_text("customId,city\nc-1,Hel\nc-2,Hel\n")
    words = ("delta-sync", "c.csv", "--key", "customId", "--state", "s.state", "--keep-keys")
    told(capsys, 0, *words)
    Path("c.csv").write_text("customId,city\nc-1,Gdynia\nc-2,Hel\nc-3,Hel\n")
    out, _ = told(capsys, 0, *words, "--dry-run", "--json", "--requests-per-second", "10")
    document = json.loads(out)
    assert (document["dry_run"], document["new"], document["changed"], document["unchanged"]) == (True, 1, 1, 1)
    assert [item["requests_per_second"] for item in document["durations"]] == [10.0]
    Path("c.csv").write_text("customId,city\nc-1,Gdynia\n")
    for gone, city in (("city=gone away", "gone away"), ('city="quoted"', "quoted")):
        told(capsys, 0, *words, "--gone", gone, "--max-gone-rate", "1")
        assert client.profiles.find("by-custom-id", "c-2").city == city
        Path("c.csv").write_text("customId,city\nc-1,Gdynia\nc-2,Hel\n")
        told(capsys, 0, *words)
        Path("c.csv").write_text("customId,city\nc-1,Gdynia\n")


def test_a_journal_of_something_else_is_refused(sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    """By its flag, with status 2, and it is left as it was."""
    Path("c.csv").write_text("customId\nc-1\n")
    with closing(sqlite3.connect("other.db")) as database, database:
        database.execute("CREATE TABLE rows (id TEXT)")
    before = Path("other.db").read_bytes()
    _, err = told(capsys, 2, "import", "profiles", "c.csv", "--journal", "other.db")
    assert err.startswith("synerise-profiles: --journal: ")
    assert Path("other.db").read_bytes() == before


def test_an_export_that_takes_too_long_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 4 and the command that waits for it again; no file is written."""
    monkeypatch.chdir(tmp_path)
    Path("order.json").write_text(json.dumps(ORDER))
    with Sandbox(options=SandboxOptions(export_time=1e6)) as slow:
        monkeypatch.setenv("SYNERISE_API_KEY", slow.api_key)
        monkeypatch.setenv("SYNERISE_BASE_URL", slow.url)
        words = ("export", "run", "--body", "order.json", "--output", "x.csv", "--deadline", "2")
        _, err = told(capsys, 4, *words)
    ordered, problem = err.splitlines()
    task = ordered.removeprefix("ordered: ")
    assert f"`synerise-profiles export resume {task} --output FILE` waits for it again" in problem
    assert not Path("x.csv").exists()


def test_what_is_deprecated_is_said_in_one_line(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """Without where in this library it comes from."""
    client.profiles.upsert({"customId": "c-1"})
    number = client.profiles.find("by-custom-id", "c-1").client_id
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        out, err = told(capsys, 0, "call", "events.list_for_profile", f"client_id={number}")
    assert json.loads(out) == []
    (line,) = err.splitlines()
    assert line.startswith("synerise-profiles: events.list_for_profile is deprecated")


def test_merges_are_told_as_json(client: Synerise, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether all of them were made, and why some were not."""
    for name in ("a", "b"):
        client.profiles.upsert({"customId": name})
    told(capsys, 0, "merge", "plan", "--by", "custom_id", "--into", "a", "b", "--save", "plans.jsonl")
    words = ("merge", "apply", "plans.jsonl", "--actor", "e.nowak", "--audit", "merges.jsonl", "--yes", "--json")
    out, _ = told(capsys, 0, *words)
    document = json.loads(out)
    assert (document["complete"], document["refused"]) == (True, [])
    _, err = told(capsys, 2, "merge", "plan", "--by", "custom_id", "--into", "a", "")
    assert err.startswith("synerise-profiles: ID: ")


def test_a_defect_is_seen_whole(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no message describes is raised, with its traceback."""

    def fail(**_: object) -> Synerise:
        raise ZeroDivisionError

    monkeypatch.setattr(Synerise, "from_env", fail)
    with pytest.raises(ZeroDivisionError):
        main(["tags"])


class Interrupting(MetaPathFinder):
    """Ctrl-C in the midst of loading a module."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "synerise_profiles.cli.app":
            raise KeyboardInterrupt


def test_what_ends_a_command_before_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C is told in a line; a module that is missing is a defect, unless it is click."""
    monkeypatch.delitem(sys.modules, "synerise_profiles.cli.app")
    with monkeypatch.context() as interrupted:
        interrupted.setattr(sys, "meta_path", [Interrupting(), *sys.meta_path])
        assert main(["tags"]) == 130
    assert capsys.readouterr() == ("", "synerise-profiles: interrupted\n")
    monkeypatch.setitem(sys.modules, "synerise_profiles.cli.app", None)
    with pytest.raises(ModuleNotFoundError, match=r"synerise_profiles\.cli\.app"):
        main(["tags"])
