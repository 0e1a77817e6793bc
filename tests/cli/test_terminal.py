"""Commands on a terminal: tables are drawn, what cannot be undone is asked, a run shows a bar, words are completed."""

from __future__ import annotations

import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from synerise_profiles import NotFoundError, Synerise
from synerise_profiles.cli import main
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import PROGRAM, call, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such terminal there")

WITHOUT_RICH = "import sys; sys.modules['rich'] = None; from synerise_profiles.cli import main; sys.exit(main())"
DELETE = ("delete", "leavers.csv", "--set", "customId=id")
_SECONDS = 60.0


def on_terminal(
    folder: Path, *words: str, env: dict[str, str], answer: bytes = b"", program: list[str] = PROGRAM
) -> tuple[int, str]:
    """Run a command on a terminal of its own, answer its question; return its status and what was shown."""
    ours, its = os.openpty()
    env = {**env, "TERM": "xterm"}
    streams = {"stdin": its, "stdout": its, "stderr": its}
    with subprocess.Popen([*program, *words], cwd=folder, env=env, start_new_session=True, **streams) as process:
        os.close(its)
        shown = b""
        try:
            while select.select([ours], [], [], _SECONDS)[0]:
                part = os.read(ours, 10_000)
                if not part:
                    break
                shown += part
                if answer and b"Go on?" in shown:
                    os.write(ours, answer)
                    answer = b""
        except OSError:  # so Linux says that nobody has the other end open any more
            pass
        finally:
            os.close(ours)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.decode())


def exists(client: Synerise, custom_id: str) -> bool:
    try:
        client.profiles.find("by-custom-id", custom_id)
    except NotFoundError:
        return False
    return True


def test_a_table_is_drawn_on_a_terminal_alone(tmp_path: Path) -> None:
    """With lines around it; for other programs, and without rich, a line a row with tabs."""
    status, shown = on_terminal(tmp_path, "call", "--list", env=environment())
    assert status == 0
    (row,) = [line for line in shown.splitlines() if " profiles.upsert " in line]
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == ["profiles.upsert", "Create or update a profile"]
    plain = call(tmp_path, "call", "--list", env=environment()).stdout.decode().splitlines()
    assert "profiles.upsert\tCreate or update a profile" in plain
    program = [sys.executable, "-c", WITHOUT_RICH]
    status, shown = on_terminal(tmp_path, "call", "--list", env=environment(COLUMNS="200"), program=program)
    assert status == 0
    assert [re.sub(r" {2,}", "\t", line) for line in shown.splitlines()] == plain or shown.splitlines() == plain


@pytest.mark.parametrize(
    ("answer", "status", "said"),
    [
        (b"y\n", 0, "1 row read, 1 accepted"),
        (b"n\n", 2, "nothing was done"),
        (b"\x04", 2, "synerise-profiles: the question was not answered"),
    ],
)
def test_what_cannot_be_undone_is_asked(
    tmp_path: Path, sandbox: Sandbox, client: Synerise, answer: bytes, status: int, said: str
) -> None:
    """Yes does it; no, or the end of the input, does nothing, and says which it was."""
    client.profiles.upsert({"customId": "leaver"})
    (tmp_path / "leavers.csv").write_text("id\nleaver\n")
    found, shown = on_terminal(tmp_path, *DELETE, env=environment(sandbox), answer=answer)
    assert (found, said in shown) == (status, True), shown
    assert exists(client, "leaver") is (status != 0)


@pytest.mark.parametrize(
    ("number", "status", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_a_signal_at_a_question_is_told(
    tmp_path: Path,
    sandbox: Sandbox,
    client: Synerise,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: int,
    status: int,
    said: str,
) -> None:
    """By its name and its own status, and nothing is done."""
    client.profiles.upsert({"customId": "leaver"})
    (tmp_path / "leavers.csv").write_text("id\nleaver\n")
    monkeypatch.chdir(tmp_path)
    for name, value in environment(sandbox).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: signal.raise_signal(number))
    assert main(DELETE) == status
    assert capsys.readouterr().err.endswith(f"synerise-profiles: {said}\n")
    assert exists(client, "leaver")


@pytest.mark.parametrize("has_rich", [True, False])
def test_a_run_shows_how_far_it_is(tmp_path: Path, sandbox: Sandbox, *, has_rich: bool) -> None:
    """By a bar with the count of rows, where rich is installed; then the report."""
    (tmp_path / "c.csv").write_text("customId,city\n" + "".join(f"c-{number},\n" for number in range(50)) + ",x\n")
    program = PROGRAM if has_rich else [sys.executable, "-c", WITHOUT_RICH]
    words = ("import", "profiles", "c.csv")
    status, shown = on_terminal(tmp_path, *words, env=environment(sandbox), program=program)
    assert status == 1
    assert "51 rows read, 50 accepted, 1 refused by the checks" in shown
    assert ("51 rows, 1 rejected" in shown) is has_rich


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("comp", {"completion"}),
        ("call profiles.update_by", {"profiles.update_by_email", "profiles.update_by_custom_id"}),
        ("call nothing", set()),
    ],
)
def test_words_are_completed(tmp_path: Path, typed: str, found: set[str]) -> None:
    """Commands and names of operations, by what the shell asks."""
    words = ["synerise-profiles", *typed.split()]
    asked = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    done = call(tmp_path, env=environment(_SYNERISE_PROFILES_COMPLETE="bash_complete", **asked))
    assert {line.partition(",")[2] for line in done.stdout.decode().split()} == found
