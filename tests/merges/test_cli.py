"""The commands merge plan and merge apply against the sandbox."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise, cli
from synerise_profiles.merges import read_audit
from synerise_profiles.merges.plan_set import _PlanStore
from synerise_profiles.sandbox import Sandbox
from tests.merges.support import ids, merges, put

pytestmark = pytest.mark.usefixtures("family", "environment")
FIND = "profiles.find"
MERGE = "profiles.merge_by_custom_id"


@pytest.fixture
def environment(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNERISE_API_KEY", sandbox.api_key)
    monkeypatch.setenv("SYNERISE_BASE_URL", sandbox.url)


def test_a_plan_is_shown_saved_and_applied(
    sandbox: Sandbox, client: Synerise, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is merged until it is said; then all is, once."""
    plans, page, audit = (str(tmp_path / name) for name in ("plans.jsonl", "page.html", "audit.jsonl"))
    plan = ["merge", "plan", "--by", "custom_id", "--into", "jan", "janek", "jasiek", "--save", plans, "--html", page]
    assert cli.main(plan) == 0
    shown = capsys.readouterr().out
    assert "1 plan by custom_id: 2 profiles to merge, 2 attributes copied, 2 values lost" in shown
    assert "janek" not in shown + Path(page).read_text(encoding="utf-8")
    assert cli.main([*plan, "--show-values"]) == 0
    assert "janek@example.com" in capsys.readouterr().out
    assert "janek@example.com" in Path(page).read_text(encoding="utf-8")

    apply = ["merge", "apply", plans, "--actor", "anna", "--audit", audit]
    assert cli.main(apply) == 2
    assert "Merging is irreversible. Say --yes" in capsys.readouterr().err
    assert merges(sandbox) == []
    assert cli.main([*apply, "--yes"]) == 0
    assert capsys.readouterr().out == "1 of 1 plan applied: 2 merged\n"
    assert cli.main([*apply, "--yes"]) == 0
    assert capsys.readouterr().out == "1 of 1 plan applied: 2 merged (2 of them by an earlier call)\n"
    assert merges(sandbox) == [200]
    assert {entry["actor"] for entry in read_audit(audit)} == {"anna"}


def test_a_plan_that_cannot_be_applied_is_told_with_its_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """A target that is not there is no success, and its table fits into a terminal."""
    assert cli.main(["merge", "plan", "--by", "custom_id", "--into", "nobody", "janek"]) == 1
    shown = capsys.readouterr()
    assert "cannot be applied: the target was not found (or is not readable with this key)" in shown.err
    table = shown.out.splitlines()[2:]
    assert len(table) == 2
    assert max(map(len, table)) <= 80


def test_no_file_is_two_things(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is one written that is read; nothing is asked for."""
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").write_text("duplicate,survivor\njanek,jan\n")
    Path("link").symlink_to("pairs.csv")
    sandbox.log.clear()
    plan = ["merge", "plan", "--by", "custom_id", "--pairs", "pairs.csv"]
    apply = ["merge", "apply", "pairs.csv", "--actor", "anna", "--yes"]
    for arguments, words in (
        ([*plan, "--save", "pairs.csv"], "--save: is the same file as --pairs"),
        ([*plan, "--html", "link"], "--html: is the same file as --pairs"),
        ([*plan, "--save", "x", "--html", "./x"], "--save: is the same file as --html"),
        ([*plan, "--save", "missing/x"], "--save: is in a folder that does not exist"),
        ([*plan, "--html", "."], "--html: is a folder"),
        ([*apply, "--audit", "link"], "--audit: is the same file as the plans"),
    ):
        assert cli.main(arguments) == 2
        assert words in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pairs.csv"]
    assert Path("pairs.csv").read_text() == "duplicate,survivor\njanek,jan\n"
    assert len(sandbox.log) == 0


def test_pairs(sandbox: Sandbox, client: Synerise, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A CSV file of clientIds; a refused plan is named by its reason, and the status says that not all is done."""
    jan, janek = ids(sandbox, ("jan", "janek"))
    pairs, plans = tmp_path / "pairs.csv", str(tmp_path / "plans.jsonl")
    pairs.write_text(f"old;new\n{janek};{jan}\n", encoding="utf-16")
    plan = ["merge", "plan", "--by", "id", "--pairs", str(pairs), "--delimiter", ";", "--encoding", "utf-16"]
    assert cli.main([*plan, "--duplicate-column", "old", "--survivor-column", "new", "--save", plans]) == 0
    put(client, {"customId": "jan", "city": "Sopot"})
    apply = ["merge", "apply", plans, "--actor", "anna", "--audit", str(tmp_path / "audit.jsonl"), "--yes"]
    assert cli.main(apply) == 1
    assert "plan 1: target: city has changed" in capsys.readouterr().err
    assert cli.main([*apply, "--skip-refused"]) == 1
    assert capsys.readouterr().err == "refused: target: city has changed\n"
    *_, entry = read_audit(tmp_path / "audit.jsonl")
    assert (entry["entry"], entry["target"], entry["sources"]) == ("refused", jan, [janek])
    assert entry["problems"] == ["target: city has changed"]
    assert cli.main([*apply, "--allow-changes", "--group-size", "1"]) == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["merge", "plan", "--by", "id"], "give --into ID and the ids to merge, or --pairs CSV"),
        (["merge", "plan", "--by", "id", "--into", "1"], "give --into ID"),
        (["merge", "plan", "--by", "id", "1"], "give --into ID"),
        (["merge", "plan", "--by", "id", "--into", "1", "jan"], "every id is a number"),
        (["merge", "plan", "--by", "custom_id", "--into", "jan", "jan"], "is among those to merge"),
        (["merge", "plan", "--by", "custom_id", "--pairs", "nowhere.csv"], "No such file"),
        (["merge", "apply", "nowhere.jsonl", "--actor", "a", "--audit", "b"], "No such file"),
    ],
)
def test_problems_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], problem: str) -> None:
    """Without a traceback."""
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert problem in error
    assert error.count("\n") == 1


def applying(client: Synerise, folder: Path) -> list[str]:
    """The command that applies two plans, of which the first one takes in `jasiek`."""
    put(client, {"customId": "ola"})
    plans = client.merges.plan_many({"jasiek": "jan", "ola": "janek"}, by="custom_id")
    plans.write_jsonl(folder / "plans.jsonl")
    return ["merge", "apply", str(folder / "plans.jsonl"), "--actor", "anna", "--audit", str(folder / "a"), "--yes"]


def before_the(count: int, operation: str, monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Do something before a request is sent: the one of an operation that makes so many of them."""
    send, sent = Synerise.send, []

    def sending(client: Synerise, request: Any) -> Any:
        if request.operation.name == operation:
            sent.append(request)
            if len(sent) == count:
                act()
        return send(client, request)

    monkeypatch.setattr(Synerise, "send", sending)


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_an_interrupted_command_says_first_what_is_merged(
    client: Synerise,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
    status: int,
    word: str,
    *,
    as_json: bool,
) -> None:
    """And the same command goes on."""
    apply = applying(client, tmp_path)
    summary = "1 of 2 plans applied: 1 merged, 1 of unknown fate"
    with monkeypatch.context() as patched:
        before_the(2, MERGE, patched, lambda: signal.raise_signal(number))
        assert cli.main([*apply, *(["--json"] if as_json else [])]) == status
    shown = capsys.readouterr()
    if as_json:
        assert json.loads(shown.out) == {"summary": summary, "complete": False, "refused": []}
    else:
        assert shown.out == f"{summary}\n"
        assert "The same command goes on" in shown.err
    assert shown.err.endswith(f"synerise-profiles: {word}\n")
    assert cli.main(apply) == 0
    assert "2 of 2 plans applied: 2 merged (1 of them by an earlier call)" in capsys.readouterr().out


def test_a_look_up_that_fails_ends_with_what_is_merged(
    sandbox: Sandbox,
    client: Synerise,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With status 1 where something was merged, else with that of the error: no connection."""
    apply = [*applying(client, tmp_path), "--max-retries", "0"]
    sandbox.faults.status(500, operation=FIND)
    assert cli.main(apply) == 3
    shown = capsys.readouterr()
    assert shown.out == "0 of 2 plans applied: 0 merged, 2 not sent\n"
    assert "500" in shown.err
    sandbox.faults.clear()
    # The two profiles of the first plan are read before its merge, and its target after it.
    with monkeypatch.context() as patched:
        before_the(4, FIND, patched, lambda: sandbox.faults.status(500, operation=FIND))
        assert cli.main(apply) == 1
    shown = capsys.readouterr()
    assert shown.out == "1 of 2 plans applied: 1 merged, 1 not sent\n"
    assert "plan 2: profiles.find: 500" in shown.err
    assert "run it again to go on" in shown.err
    sandbox.faults.clear()
    assert cli.main(apply) == 0


def test_a_file_that_cannot_be_read_amid_the_merges(
    client: Synerise, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not with the status that says that nothing was sent."""
    apply = applying(client, tmp_path)
    read, has_failed = _PlanStore.__getitem__, []

    def reading(store: _PlanStore, index: int) -> dict[str, Any]:
        if index == 1 and not has_failed:
            has_failed.append(index)
            raise OSError(5, "Input/output error")
        return read(store, index)

    monkeypatch.setattr(_PlanStore, "__getitem__", reading)
    assert cli.main(apply) == 1
    shown = capsys.readouterr()
    assert shown.out == "1 of 2 plans applied: 1 merged, 1 not sent\n"
    assert "Input/output error" in shown.err
