"""One file of dead letters and several runs and spills at once: each letter is there once, and each report is whole."""

from __future__ import annotations

import collections
import errno
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError, Report, read_dead_letter
from synerise_profiles.bulk.letter_file import LetterFile
from synerise_profiles.bulk.replay_file import ReplayFile
from synerise_profiles.queue import Undelivered
from synerise_profiles.queue.callbacks import append_dead_letters
from synerise_profiles.sandbox import Sandbox

PROGRAM = Path(__file__).with_name("letters_program.py")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks that belong to an opening are there alone")
BAD = {"city": "nobody"}
MANY = 2500
"""More than a report keeps in memory."""


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "letters.jsonl"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spill(letters: Path, count: int = 1) -> None:
    row = Undelivered(index=7, operation="profiles.upsert_batch", row=b'{"city":"late"}', maybe_applied=False)
    append_dead_letters(letters, [row] * count)


def cities(letters: Path) -> dict[str, int]:
    return dict(collections.Counter(letter["row"]["city"] for letter in read_dead_letter(letters)))


def rows_with(act: Callable[[], object], count: int = MANY) -> Iterator[dict[str, Any]]:
    """Rows that are refused; in their midst something is done."""
    for number in range(count):
        if number == count // 2:
            act()
        yield BAD


def whole(report: Report, count: int = MANY) -> bool:
    """Whether a report names all of its rows, again and again."""
    return all(len(list(report.rejected)) == report.rejected_count() == count for _ in range(2))


# --- several processes


def stress(sandbox: Sandbox, letters: Path, seconds: float, kinds: list[str]) -> collections.Counter[str]:
    """Let processes write for a while, and look that no letter is lost; return how much they did.

    A letter may be gone only where a run that replaced the file began when what had written it was over.
    """
    command = [sys.executable, str(PROGRAM), sandbox.url, sandbox.api_key, str(letters)]
    running = [
        subprocess.Popen([*command, str(seed), str(seconds), each], stdout=subprocess.PIPE, text=True)
        for seed, each in enumerate(kinds, 1)
    ]
    outputs = [process.communicate(timeout=120 + seconds)[0] for process in running]
    assert [process.returncode for process in running] == [0] * len(running)
    done = [json.loads(line) for output in outputs for line in output.splitlines()]
    begun = [each["first"] for each in done if each["kind"] == "r" and "first" in each]
    last = max(begun, default=0.0)
    found = collections.Counter(int(letter["row"]["city"][1:]) for letter in read_dead_letter(letters))
    assert set(found.values()) <= {1}
    for each in done:
        numbers = each["numbers"]
        is_there = sum(found[number] for number in numbers)
        assert is_there == len(numbers) or (is_there == 0 and each["last"] < last), each
    assert names(letters.parent) == [letters.name]
    return collections.Counter(each["kind"] + "-" * ("refused" in each) for each in done)


@pytest.mark.parametrize("kinds", [["a", "a", "s", "s"], ["r", "s", "s", "ar"]])
def test_no_letter_is_lost(sandbox: Sandbox, letters: Path, kinds: list[str]) -> None:
    """Four processes, for a moment."""
    assert stress(sandbox, letters, 1.0, kinds)["s"] > 2


@pytest.mark.long
@pytest.mark.parametrize("seconds", [20.0] * 3)
def test_no_letter_is_lost_in_a_while(sandbox: Sandbox, letters: Path, seconds: float) -> None:
    """Six processes that do all that there is."""
    done = stress(sandbox, letters, seconds, ["ars", "ars", "as", "rs", "s", "ar"])
    assert min(done["a"], done["r"], done["s"], done["a-"], done["r-"]) > 5


# --- one within another


def test_a_run_that_would_replace_waits_for_one_that_appends(client: Synerise, letters: Path) -> None:
    """It is refused, and so is a replay onto the file; a spill and another run that appends are not."""

    def act() -> None:
        with pytest.raises(InvalidRequestError, match="dead_letter: is being written by another run, which appends"):
            client.bulk.upsert_profiles([BAD], dead_letter=letters)
        spill(letters)
        with pytest.raises(InvalidRequestError, match="dead_letter: is being written by another run, which appends"):
            client.bulk.replay(letters, dead_letter=letters)
        client.bulk.upsert_profiles([{"city": "inner"}], dead_letter=letters, dead_letter_mode="append")

    report = client.bulk.upsert_profiles(rows_with(act), dead_letter=letters, dead_letter_mode="append")
    assert whole(report)
    assert cities(letters) == {"nobody": MANY, "late": 1, "inner": 1}
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    assert (cities(letters), names(letters.parent)) == ({"nobody": 1}, [letters.name])
    assert whole(report)


def test_a_file_that_is_made_while_it_is_put_in_place_is_kept(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at what came and the new name no letter can come to a file that was not there."""
    real, waiting = Path.replace, list[subprocess.Popen[bytes]]()
    code = "import sys; from pathlib import Path; from tests.bulk.test_shared_letters import spill; "

    def put(self: Path, target: Path) -> Path:
        command = [sys.executable, "-c", code + "print(1, flush=True); spill(Path(sys.argv[1]))", str(letters)]
        waiting.append(subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]))
        assert waiting[0].stdout is not None
        assert waiting[0].stdout.readline() == b"1\n"
        with pytest.raises(subprocess.TimeoutExpired):
            waiting[0].wait(0.3)
        return real(self, target)

    monkeypatch.setattr(Path, "replace", put)
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    assert waiting[0].communicate(timeout=30) == (b"", None)
    assert waiting[0].returncode == 0
    assert cities(letters) == {"nobody": 1, "late": 1}


def replace_it(path: Path) -> None:
    path.with_name("other").touch()
    path.with_name("other").replace(path)


def move_and_link_it(path: Path) -> None:
    path.replace(path.with_name("moved"))
    path.symlink_to(path.with_name("nowhere"))


TAKEN: dict[str, Callable[[Path], object]] = {
    "removed": Path.unlink,
    "replaced": replace_it,
    "moved and linked": move_and_link_it,
    "notes behind": lambda path: path.write_bytes(path.read_bytes() + b"notes\n"),
}
CUT: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: os.truncate(path, 0),
    "cut": lambda path: os.truncate(path, path.stat().st_size // 2),
    "rewritten": lambda path: path.write_bytes(b"# notes\n"),
    "overwritten in place": lambda path: path.write_bytes(b"n" * path.stat().st_size * 2),
}


@pytest.mark.parametrize(
    ("how", "count"), [*((how, n) for how in TAKEN for n in (30, MANY)), *((how, MANY) for how in CUT)]
)
def test_letters_that_lose_their_file_are_in_another_one(client: Synerise, letters: Path, how: str, count: int) -> None:
    """All of the run: the error says where, no later run removes it, and the report is read from there."""
    with pytest.raises(BulkStoppedError, match=r"; what was written is in \.letters\.jsonl\.") as caught:
        client.bulk.upsert_profiles(
            rows_with(lambda: (TAKEN | CUT)[how](letters), count), dead_letter=letters, dead_letter_mode="append"
        )
    report = caught.value.report
    (part,) = letters.parent.glob(".*.part")
    assert str(part.name) in str(caught.value)
    for found in (report, pickle.loads(pickle.dumps(report))):
        assert whole(found, report.read)
    assert len(list(read_dead_letter(part))) == report.read >= count // 2
    letters.unlink(missing_ok=True)
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    assert part.exists()
    part.unlink()
    assert whole(report, report.read)


def test_a_part_that_is_removed_is_written_again(client: Synerise, letters: Path) -> None:
    """By somebody who takes it for a file that was left."""
    with pytest.raises(BulkStoppedError, match=r"No such file.*; what was written is in \.letters") as caught:
        client.bulk.upsert_profiles(
            rows_with(lambda: next(letters.parent.glob(".*.part")).unlink()), dead_letter=letters
        )
    (part,) = letters.parent.glob(".*.part")
    assert len(list(read_dead_letter(part))) == MANY
    assert whole(caught.value.report)


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_folder_that_is_moved(client: Synerise, tmp_path: Path, mode: Any) -> None:
    """All letters are in it; the error says by which name, and how many."""
    folder = tmp_path / "night"
    folder.mkdir()
    with pytest.raises(BulkStoppedError, match=r"; its folder was moved or removed, with") as caught:
        client.bulk.upsert_profiles(
            rows_with(lambda: folder.rename(tmp_path / "moved")),
            dead_letter=folder / "letters.jsonl",
            dead_letter_mode=mode,
        )
    (left,) = (tmp_path / "moved").iterdir()
    letters = list(read_dead_letter(left))
    assert f"with {len(letters):,} letters in {left.name}" in str(caught.value)
    assert len(letters) == MANY
    assert whole(caught.value.report)


def test_letters_that_were_overwritten_are_told(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone is gone, where no disk had room for it twice; no report counts lines of somebody else as its own."""

    def act() -> None:
        letters.write_bytes(b"n" * letters.stat().st_size * 2)

    def make() -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("synerise_profiles.bulk.letter_file.unnamed_scratch_file", make)
    problem = r"was changed by somebody else.*; what was written is in \.letters.*, without \d+ letters that nobody has"
    with pytest.raises(BulkStoppedError, match=problem) as caught:
        client.bulk.upsert_profiles(rows_with(act), dead_letter=letters, dead_letter_mode="append")
    with pytest.raises(OSError, match="was changed by somebody else"):
        list(caught.value.report.rejected)


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_report_is_read_after_the_next_run_has_replaced_its_file(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """Also where that came between the end of the run and anything else."""
    real = LetterFile.close

    def close(self: Any, *, is_kept: bool) -> None:
        real(self, is_kept=is_kept)
        monkeypatch.setattr(LetterFile, "close", real)
        client.bulk.upsert_profiles([{"city": "next"}], dead_letter=letters)

    monkeypatch.setattr(LetterFile, "close", close)
    report = client.bulk.upsert_profiles([BAD] * MANY, dead_letter=letters, dead_letter_mode=mode)
    assert cities(letters) == {"next": 1}
    assert whole(report)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_child_of_fork_in_the_midst_of_a_run_holds_up_nobody(client: Synerise, letters: Path, mode: Any) -> None:
    """It lives on while the letters are put in place, and others write to them."""
    reading, writing = os.pipe()
    children: list[int] = []

    def act() -> None:
        children.append(os.fork())
        if not children[0]:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)

    report = client.bulk.upsert_profiles(rows_with(act), dead_letter=letters, dead_letter_mode=mode)
    code = "import sys; from pathlib import Path; from tests.bulk.test_shared_letters import spill; "
    command = [sys.executable, "-c", code + "spill(Path(sys.argv[1]))", str(letters)]
    subprocess.run(command, check=True, timeout=30, cwd=Path(__file__).parents[2])
    assert cities(letters) == {"nobody": MANY, "late": 1}
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    os.close(writing)
    os.close(reading)
    assert os.waitpid(children[0], 0)[1] == 0
    assert whole(report)


# --- what is looked at


@pytest.mark.parametrize("last", ["notes\n", "notes", '{"customId":"a"}\n', "later"])
def test_the_last_line_counts_too_where_letters_are_appended(client: Synerise, letters: Path, last: str) -> None:
    """Not only the first one: what another program, or another release, has written behind."""
    client.bulk.upsert_profiles([BAD] * 3, dead_letter=letters)
    content = letters.read_text()
    line = content.splitlines(keepends=True)[0]
    letters.write_text(content + (line.replace('"version":1', '"version":2') if last == "later" else last))
    before = letters.read_bytes()
    words = "version 2" if last == "later" else "is a file of something else"
    with pytest.raises(InvalidRequestError, match=f"dead_letter: .*{words}"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode="append")
    with pytest.raises(InvalidRequestError, match=f"spill: .*{words}"):
        spill(letters)
    assert letters.read_bytes() == before


@pytest.mark.parametrize("how", ["by name", "by a hard link"])
def test_a_replay_replaces_what_it_has_read(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Letters that came between its look and its beginning stay, and a file that is another one by then is refused."""
    client.bulk.upsert_profiles([BAD] * 3, dead_letter=letters)
    onto = letters
    if how == "by a hard link":
        onto = letters.with_name("hard")
        os.link(letters, onto)
    real = ReplayFile._survey

    def survey(self: ReplayFile) -> None:
        real(self)
        act()

    def act() -> None:
        spill(letters)

    monkeypatch.setattr(ReplayFile, "_survey", survey)
    client.bulk.replay(letters, dead_letter=onto)
    assert cities(onto) == {"nobody": 3, "late": 1}
    if how == "by name":

        def act() -> None:
            monkeypatch.setattr(ReplayFile, "_survey", real)
            client.bulk.upsert_profiles([{"city": "other"}] * 9, dead_letter=letters)

        with pytest.raises(InvalidRequestError, match="dead_letter: was replaced by another run since it was read"):
            client.bulk.replay(letters, dead_letter=letters)
        assert (cities(letters), names(letters.parent)) == ({"other": 9}, [letters.name])


def test_a_report_says_where_there_are_no_locks(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run goes on."""

    def fail(*_: Any) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.fcntl", fail)
    for mode in ("replace", "append"):
        report = client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode=mode)
        note = "letters.jsonl cannot be locked, as the system has no locks there: only one run may write it at a time"
        assert report.notes == {note: 1}
    assert cities(letters) == {"nobody": 2}
