"""Letters that somebody cuts, overwrites or rewrites while a replay reads them: each keeps a fate, and none is lost."""

from __future__ import annotations

import asyncio
import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import orjson
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError, Report, read_dead_letter, report_of
from synerise_profiles.bulk.replay_file import LetterGoneError, ReplayFile
from synerise_profiles.queue import Undelivered
from synerise_profiles.queue.callbacks import append_dead_letters
from synerise_profiles.sandbox import Sandbox

MANY = 2600
AT = 2200
"""The letter at which somebody does something: the first thousand that are sound are on their way by then."""
GONE = "not read, and no letter any more: its line is gone, as somebody has cut or changed the file"
UNREAD = "not read, and a letter still"
Act: TypeAlias = Callable[[Path], object]


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    server.options.keep_bodies = True
    return server


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    path = tmp_path / "letters.jsonl"
    path.write_bytes(content())
    return path


@functools.cache
def content(prefix: str = "c", count: int = MANY, **more: Any) -> bytes:
    """The lines of letters; each third holds a null, which the checks refuse."""
    head = {"version": 1, "operation": "profiles.upsert_batch", "row_holds": "fields", "stage": "unsent", "reason": "x"}
    lines: list[bytes] = []
    for number in range(count):
        row = {"customId": f"{prefix}{number:05d}"} | ({"city": None} if number % 3 == 0 else {})
        lines.append(orjson.dumps({**head, "index": number, "reference": f"row {number}", "row": row, **more}) + b"\n")
    return b"".join(lines)


def start_of(number: int) -> int:
    """Where a letter begins in the file."""
    return len(content(count=number))


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)


def cut_to(number: int) -> Act:
    return lambda path: os.truncate(path, start_of(number))


def acting(path: Path, act: Act) -> Callable[[dict[str, Any]], Any]:
    """A transform that does something at one letter."""

    def row_of(letter: dict[str, Any]) -> Any:
        if letter["index"] == AT:
            act(path)
        return letter["row"]

    return row_of


def customers(path: Path) -> list[str]:
    return [letter["row"]["customId"] for letter in read_dead_letter(path)]


def stored(sandbox: Sandbox) -> set[str]:
    """Of the profiles that arrived, whose they are."""
    bodies = [logged.body for logged in sandbox.log if logged.operation == "profiles.upsert_batch" and logged.body]
    return {row["customId"] for body in bodies for row in orjson.loads(body)}


def options_of(letters: Path, dead_letter: str) -> dict[str, Any]:
    targets = {"own": letters, "other": letters.with_name("other.jsonl"), "none": None}
    return {"dead_letter": targets[dead_letter]}


CHANGES: dict[str, Act] = {
    "cut to nothing": cut_to(0),
    "cut before the place": cut_to(1300),
    "cut at the place": cut_to(AT),
    "cut ahead": cut_to(2500),
    "cut within a line": lambda path: os.truncate(path, start_of(2500) + 40),
    "overwritten ahead": lambda path: overwrite(path, start_of(2500), b"#" * 300),
    "overwritten without a line end": lambda path: overwrite(path, start_of(2500), b"#" * 50_000),
    "other letters": lambda path: overwrite(path, 0, content("d")),
    "longer letters": lambda path: overwrite(path, 0, content("longer", MANY * 2)),
    "shorter letters": lambda path: (os.truncate(path, 0), overwrite(path, 0, content("d", MANY // 2))),
}


@pytest.mark.parametrize("dead_letter", ["own", "other", "none"])
@pytest.mark.parametrize("how", CHANGES)
def test_a_file_that_is_changed_while_it_is_read(
    sandbox: Sandbox, client: Synerise, letters: Path, how: str, dead_letter: str
) -> None:
    """What was read is sent or a letter, what was not is a letter or counted, and one error names the line."""
    check_change(sandbox, client.bulk.replay, letters, how, dead_letter)


@pytest.mark.parametrize(
    ("how", "dead_letter"), [("cut to nothing", "own"), ("cut ahead", "none"), ("other letters", "other")]
)
def test_a_file_that_is_changed_while_an_async_replay_reads_it(
    sandbox: Sandbox, letters: Path, how: str, dead_letter: str
) -> None:
    """The same."""

    async def run(path: Path, options: dict[str, Any]) -> Report:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.bulk.replay(path, **options)

    check_change(sandbox, lambda path, **options: asyncio.run(run(path, options)), letters, how, dead_letter)


def check_change(sandbox: Sandbox, replay: Callable[..., Report], letters: Path, how: str, dead_letter: str) -> None:
    reports: list[Report] = []
    options = options_of(letters, dead_letter)
    with pytest.raises(BulkStoppedError, match=r"^line 2,\d\d\d of letters\.jsonl (is gone|was changed)") as caught:
        replay(letters, transform=acting(letters, CHANGES[how]), on_finish=reports.append, **options)
    report = caught.value.report
    assert reports == [report]
    assert report_of(caught.value) is report
    assert not report.complete
    assert isinstance(caught.value.__cause__, LetterGoneError)
    arrived = stored(sandbox)
    assert report.accepted == len(arrived) > 1000
    assert report.read == report.accepted + report.rejected_count() > AT
    assert len(list(report.rejected)) == report.rejected_count() > AT / 3
    kept = letters_of_the_run(letters, dead_letter, is_replaced=how == "cut to nothing")
    carried = report.notes.get(UNREAD, 0)
    if dead_letter == "none":
        assert not kept
        assert 0 < report.notes[GONE] <= MANY - report.read
        return
    assert report.notes[GONE] + carried + report.read == MANY
    (path,) = kept
    ids = {*customers(path)}
    found = list(read_dead_letter(path))
    assert len(found) == len(ids) == report.rejected_count() + carried
    assert not ids & arrived
    assert all(letter["reference"] == f"row {letter['index']}" for letter in found)
    assert all(name.startswith("c") for name in ids | arrived)
    if path.name.endswith("part"):
        place = f"what was written is in {path.name}"
        assert any(place in note for note in report.notes)
        assert any(place in note for note in caught.value.__notes__)


def letters_of_the_run(letters: Path, dead_letter: str, *, is_replaced: bool) -> list[Path]:
    """The files that a run wrote; it takes the place of an empty file, but not of letters that somebody wrote."""
    is_own = is_replaced and dead_letter == "own"
    return [path for path in letters.parent.iterdir() if path != letters or is_own]


def test_a_cut_file_of_letters_that_cannot_be_sent(client: Synerise, letters: Path) -> None:
    """Those that were written again are counted, and so are those that are gone."""
    other = letters.with_name("other.jsonl")
    letters.write_bytes(content(count=AT + 1) + content("f", MANY, operation="profiles.merge"))
    with pytest.raises(BulkStoppedError, match=r"^line 3,001 of letters.jsonl is gone, as the file was cut") as caught:
        client.bulk.replay(
            letters,
            transform=acting(
                letters,
                lambda path: os.truncate(
                    path, len(content(count=AT + 1) + content("f", 799, operation="profiles.merge"))
                ),
            ),
            dead_letter=other,
        )
    report = caught.value.report
    assert (report.read, report.notes[GONE]) == (3000, AT + 1 + MANY - 3000)
    assert len(customers(other)) == report.rejected_count() == report.read - report.accepted


@pytest.mark.parametrize("how", ["more", "others", "nothing"])
def test_a_file_that_was_read_when_it_is_written(client: Synerise, letters: Path, how: str) -> None:
    """Its letters have their fates; a note says that others came to it."""
    acts: dict[str, Act] = {"more": add, "others": CHANGES["other letters"], "nothing": lambda _: None}

    def row_of(letter: dict[str, Any]) -> Any:
        if letter["index"] == MANY - 1:
            acts[how](letters)
        return letter["row"]

    note = "somebody wrote to the file while it was read: what came to it since was not read; replay it too"
    report = client.bulk.replay(letters, transform=row_of, dead_letter=letters.with_name("other.jsonl"))
    assert (report.read, note in report.notes) == (MANY, how != "nothing")


def add(letters: Path) -> None:
    row = Undelivered(index=7, operation="profiles.upsert_batch", row=b'{"customId":"late"}', maybe_applied=False)
    append_dead_letters(letters, [row])


@pytest.mark.parametrize("how", ["cut to nothing", "cut ahead", "other letters"])
def test_a_file_that_is_changed_before_the_first_row(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Between the look at all letters and the first of them; what somebody wrote is not replaced."""
    real = ReplayFile._survey

    def survey(self: ReplayFile) -> None:
        real(self)
        CHANGES[how](letters)

    monkeypatch.setattr(ReplayFile, "_survey", survey)
    with pytest.raises(BulkStoppedError, match=r"^line [\d,]+ of letters\.jsonl") as caught:
        client.bulk.replay(letters, dead_letter=letters)
    report = caught.value.report
    assert report.read == report.accepted + report.rejected_count()
    found = [name for path in letters.parent.iterdir() for name in customers(path)]
    if how == "other letters":
        assert found == [f"d{number:05d}" for number in range(MANY)]
    elif how == "cut ahead":
        (part,) = letters.parent.glob(".*.part")
        assert len(customers(part)) == report.rejected_count()
        assert len(customers(letters)) == 2500


def test_lines_that_a_crash_cut_off_stay_though_the_file_is_cut(client: Synerise, letters: Path) -> None:
    """They were read once, and are written as they stood."""
    rest = content(count=1)[:150]
    letters.write_bytes(content() + rest)
    with pytest.raises(BulkStoppedError):
        client.bulk.replay(letters, transform=acting(letters, cut_to(0)), dead_letter=letters)
    assert letters.read_bytes().endswith(rest)


def test_a_file_that_is_cut_when_the_server_takes_nothing(sandbox: Sandbox, letters: Path) -> None:
    """The error is that of the server; what is gone is counted all the same."""
    with (
        Synerise(api_key="wrong", base_url=sandbox.url, max_retries=0) as other,
        pytest.raises(BulkStoppedError) as caught,
    ):
        other.bulk.replay(letters, transform=acting(letters, cut_to(0)), dead_letter=letters.with_name("other.jsonl"))
    report = caught.value.report
    assert report.read + report.notes.get(GONE, 0) + report.notes.get(UNREAD, 0) == MANY
    assert len(customers(letters.with_name("other.jsonl"))) == report.read + report.notes.get(UNREAD, 0)


@pytest.mark.parametrize("how", ["cut to nothing", "cut before the place", "cut within a line", "shorter letters"])
def test_letters_that_are_read_by_hand_while_the_file_is_cut(letters: Path, how: str) -> None:
    """An error, not a quiet end."""
    reading = read_dead_letter(letters)
    while next(reading)["index"] < AT:
        pass
    CHANGES[how](letters)
    with pytest.raises(InvalidRequestError, match="path: was cut or changed by somebody else while it was read"):
        list(reading)


def test_letters_that_are_read_by_hand_while_others_come(letters: Path) -> None:
    """They are read too, as they come to the end."""
    found: list[str] = []
    for letter in read_dead_letter(letters):
        found.append(letter["row"]["customId"])
        if letter["index"] == AT:
            add(letters)
    assert found[-1] == "late"
