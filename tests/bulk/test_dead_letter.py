"""The file of dead letters: it replaces letters alone, whatever ends the run, and each line can be read and sent."""

from __future__ import annotations

import asyncio
import datetime
import enum
import errno
import gc
import logging
import os
import pickle
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._batching.attribution import Rejection, Stage
from synerise_profiles._batching.letters import LetterHead, LetterRow
from synerise_profiles.bulk import BulkStoppedError, JournalMismatchError, UnreadableRow, read_dead_letter
from synerise_profiles.bulk.dead_letter import RejectionStore
from synerise_profiles.bulk.letter_file import LetterFile, open_letters
from synerise_profiles.bulk.report import parse_rejection
from synerise_profiles.queue import Undelivered
from synerise_profiles.queue.callbacks import append_dead_letters
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, field, read_csv, read_jsonl

PROGRAM = Path(__file__).with_name("files_program.py")
BAD = {"city": "nobody"}
MAPPING = {"id": "customId", "town": "city"}


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "rejected.jsonl"


@pytest.fixture
def night(client: Synerise, letters: Path) -> bytes:
    """Last night's letters."""
    client.bulk.upsert_profiles(
        [{"customId": f"c{n}", "birthDate": "24.10.1987"} for n in range(50)], dead_letter=letters
    )
    assert len(list(read_dead_letter(letters))) == 50
    return letters.read_bytes()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.usefixtures("night")
def test_letters_are_sent_again_onto_their_own_file(client: Synerise, letters: Path) -> None:
    """They are read while the new ones are written, and what is accepted is gone in the end."""
    mended = ({**letter["row"], "birthDate": "1987-10-24"} for letter in read_dead_letter(letters))
    report = client.bulk.upsert_profiles(mended, dead_letter=letters)
    assert (report.accepted, letters.read_bytes(), names(letters.parent)) == (50, b"", [letters.name])


def fail_at_once() -> Iterator[Any]:
    raise OSError("no such table")
    yield


def test_a_run_that_is_refused_leaves_the_letters(
    client: Synerise, letters: Path, night: bytes, tmp_path: Path
) -> None:
    """For its arguments, its source, its journal, or as its input cannot be opened."""
    table = tmp_path / "in.csv"
    table.write_text("id,town\nc1,Gdynia\n")
    journal = tmp_path / "night.db"
    client.bulk.upsert_profiles([{"customId": "a"}], journal=journal)
    before = names(tmp_path)
    events = RowMapping.for_events({"id": "client.customId"}, constants={"action": "a.b", "label": "x"})
    calls: list[tuple[type[Exception], Any, dict[str, Any]]] = [
        (InvalidRequestError, [BAD], {"checks": "none"}),
        (InvalidRequestError, [BAD], {"dead_letter_mode": "add"}),
        (InvalidRequestError, [BAD], {"journal": ""}),
        (InvalidRequestError, [BAD], {"journal": tmp_path}),
        (InvalidRequestError, [BAD], {"journal": letters}),
        (InvalidRequestError, read_csv(table, events), {}),
        (JournalMismatchError, [BAD], {"journal": journal, "checks": "strict"}),
        (JournalMismatchError, [BAD, {"customId": "b"}], {"journal": journal}),
        (JournalMismatchError, [], {"journal": journal}),
        (OSError, fail_at_once, {}),
    ]
    for error, rows, options in calls:
        for mode in {options.get("dead_letter_mode", "replace"), options.get("dead_letter_mode", "append")}:
            given = rows() if callable(rows) else rows
            with pytest.raises(error):
                client.bulk.upsert_profiles(given, **{"dead_letter": letters, "dead_letter_mode": mode, **options})
            assert letters.read_bytes() == night
    assert names(tmp_path) == before


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize(
    "content",
    [
        "keep me",
        "id,town\nc1,Gdynia\n",
        '{"customId": "c1"}\n',
        '{"row": {}, "stage": "check", "operation": "x"}\n',
        "[]",
        '{"version":1,"operation":"insert","table":"users","id":5}\n' * 3,
        '{"version":1,"operation":"insert","row_holds":"fields","index":0,"stage":"check","reason":"x","row":{}}\n',
        '{"version":1,"operation":"profiles.upsert_batch","index":0,"stage":"check","reason":"x","row":{}}\n',
        '{"version":1,"operation":["x"],"row_holds":"fields","index":0,"stage":"check","reason":"x","row":{}}\n',
        '{"version":1,"operation":"insert","tab',
    ],
    ids=[
        "text",
        "csv",
        "rows",
        "letters without a version",
        "json",
        "change log",
        "unknown operation",
        "no row_holds",
        "operation that is no text",
        "change log that was cut off",
    ],
)
def test_no_other_file_is_replaced(client: Synerise, letters: Path, mode: Any, content: str) -> None:
    """A file of something else is refused by name, and stays."""
    letters.write_text(content)
    with pytest.raises(InvalidRequestError, match="dead_letter: is a file of something else"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode=mode)
    with pytest.raises(InvalidRequestError, match=r"line 1 .*dead letter"):
        client.bulk.replay(letters)
    assert letters.read_text() == content


def test_the_file_that_is_read_is_not_written(client: Synerise, letters: Path, night: bytes, tmp_path: Path) -> None:
    """By no name of it, and not as the journal."""
    (tmp_path / "link").symlink_to(letters)
    os.link(letters, tmp_path / "hard")
    for role in ("dead_letter", "journal"):
        for name in (letters, tmp_path / "link", tmp_path / "hard"):
            with pytest.raises(InvalidRequestError, match=f"{role}: is the same file as the file that the rows are"):
                client.bulk.upsert_profiles(read_jsonl(letters), **{role: name})  # type: ignore[arg-type]
            with letters.open("rb") as file, pytest.raises(InvalidRequestError, match=role):
                client.bulk.upsert_profiles(read_jsonl(file), **{role: name})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match="is the same file as dead_letter"):
        client.bulk.upsert_profiles([], dead_letter=tmp_path / "new", journal=tmp_path / "new")
    assert letters.read_bytes() == night


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"journal": "a.db"}, {"dead_letter": "a.db-wal"}),
        ({"journal": "a.db-journal"}, {"dead_letter": "a.db"}),
        ({"rate_budget": "a", "requests_per_second": 5}, {"dead_letter": "a"}),
        ({"rate_budget": "a.db-wal", "requests_per_second": 5}, {"journal": "a.db"}),
    ],
)
def test_one_file_has_one_role(
    client: Synerise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one: Any, other: Any
) -> None:
    """No two files of a run are one, a file that SQLite keeps beside a journal included; nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match="is the same file as"):
        client.bulk.upsert_profiles([], **one, **other)
    assert not list(tmp_path.iterdir())


def test_an_empty_file_and_a_new_one_are_taken(client: Synerise, letters: Path) -> None:
    """A new one is for its owner; one that is there keeps its mode."""
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    if os.name != "nt":
        assert stat.S_IMODE(letters.stat().st_mode) == 0o600
    letters.write_bytes(b"")
    letters.chmod(0o640)
    client.bulk.upsert_profiles([BAD, BAD], dead_letter=str(letters))
    assert len(list(read_dead_letter(letters))) == 2
    assert stat.S_IMODE(letters.stat().st_mode) == 0o640 or os.name == "nt"


@pytest.mark.usefixtures("night")
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_the_letters_are_there_however_a_run_ends(client: Synerise, letters: Path, error: type[BaseException]) -> None:
    """Those of the rows that were read."""

    def rows() -> Iterator[Any]:
        yield from [BAD] * 64
        raise error

    with pytest.raises(error):
        client.bulk.upsert_profiles(rows(), dead_letter=letters)
    rejected = [letter["row"] for letter in read_dead_letter(letters)]
    assert len(rejected) >= 16
    assert all(row == BAD for row in rejected)
    assert names(letters.parent) == [letters.name]


def test_the_letters_of_a_cancelled_run_are_there(sandbox: Sandbox, letters: Path) -> None:
    """Of an async one too."""

    async def main() -> None:
        has_read = asyncio.Event()

        async def rows() -> AsyncIterator[Any]:
            for _ in range(3000):
                yield BAD
            has_read.set()
            await asyncio.Event().wait()

        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            task = asyncio.create_task(client.bulk.upsert_profiles(rows(), dead_letter=letters))
            await has_read.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())
    assert BAD in [letter["row"] for letter in read_dead_letter(letters)]
    assert names(letters.parent) == [letters.name]


def test_letters_can_be_appended(client: Synerise, letters: Path, night: bytes) -> None:
    """Run after run; each report has its own."""
    reports = [
        client.bulk.upsert_profiles([BAD] * count, dead_letter=letters, dead_letter_mode="append")
        for count in (3, 1500, 1100)
    ]
    assert letters.read_bytes().startswith(night)
    assert len(list(read_dead_letter(letters))) == 50 + 3 + 1500 + 1100
    assert [len(list(report.rejected)) for report in reports] == [3, 1500, 1100]


@pytest.mark.usefixtures("night")
def test_letters_of_another_version_are_neither_written_nor_read(client: Synerise, letters: Path) -> None:
    """They are of a release that knows more, or less."""
    letters.write_bytes(letters.read_bytes().replace(b'"version":1', b'"version":9'))
    with pytest.raises(InvalidRequestError, match="version 9"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode="append")
    with pytest.raises(InvalidRequestError, match="line 1 is a dead letter of version 9"):
        list(read_dead_letter(letters))
    with pytest.raises(InvalidRequestError, match="version 9"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters)


@pytest.mark.usefixtures("night")
def test_a_line_that_was_cut_off_is_told(client: Synerise, letters: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It costs one row; another line that is no letter is an error with its number."""
    letters.write_bytes(letters.read_bytes()[:-20])
    client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode="append")
    with caplog.at_level(logging.WARNING):
        assert len(list(read_dead_letter(letters))) == 50
    assert "line 50 of the dead letters was cut off" in caplog.text
    for wrong in ("no letter\n", '{"row": 1}\n', "5\n"):
        letters.write_text(wrong)
        with pytest.raises(InvalidRequestError, match="line 1 is no dead letter"):
            list(read_dead_letter(letters))


def no_counts() -> dict[Stage, int]:
    return dict.fromkeys(get_args(Stage), 0)


@pytest.mark.parametrize("with_file", [True, False])
def test_rejections_stand_in_the_order_of_the_rows(letters: Path, with_file: bool) -> None:  # noqa: FBT001
    """Whichever response came first; once the run has ended, in the report and in the file."""
    file = open_letters(letters, "replace", LetterHead(operation="profiles.upsert_batch")) if with_file else None
    store = RejectionStore(file)
    for index in (1003, 3, 503):
        store.add(
            Rejection(index=index, stage="server", reason="no"),
            LetterRow(b'{"n":%d}' % index),
            no_counts(),
        )
    store.close()

    assert [rejection.index for rejection in store.read(lambda data: Rejection(**data))] == [3, 503, 1003]
    if with_file:
        assert [letter["row"] for letter in read_dead_letter(letters)] == [{"n": 3}, {"n": 503}, {"n": 1003}]
        assert names(letters.parent) == [letters.name]


def test_a_disk_that_is_full_leaves_the_letters_as_they_came(letters: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be put in order is all there."""
    store = RejectionStore(open_letters(letters, "replace", LetterHead(operation="profiles.upsert_batch")))
    for index in (1003, 3, 503):
        store.add(
            Rejection(index=index, stage="server", reason="no"),
            LetterRow(b'{"n":%d}' % index),
            no_counts(),
        )
    store.flush()

    def fail(*_: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    store.close()
    monkeypatch.undo()

    assert store.problem is None
    assert sorted(rejection.index for rejection in store.read(lambda data: Rejection(**data))) == [3, 503, 1003]
    assert [letter["index"] for letter in read_dead_letter(letters)] == [1003, 3, 503]


def test_a_line_says_what_it_takes_to_send_its_row(client: Synerise, letters: Path, tmp_path: Path) -> None:
    """Version, operation and its arguments, what the row holds, and by which mapping."""
    table = tmp_path / "in.csv"
    table.write_text("id,town,born\nc1,Gdynia,24.10.1987\nc2,Hel,never\n,Hel,\n")
    mapping = RowMapping.for_profiles({**MAPPING, "born": field("birthDate", "date", format="%d.%m.%Y")})
    client.bulk.upsert_profiles(read_csv(table, mapping), dead_letter=letters)
    cells, fields = read_dead_letter(letters)
    assert cells["row"] == {"cells": {"id": "c2", "town": "Hel", "born": "never"}}
    assert fields["row"] == {"city": "Hel"}
    assert (cells["row_holds"], fields["row_holds"]) == ("cells", "fields")
    assert {(line["version"], line["operation"], line["mapping"]) for line in (cells, fields)} == {
        (1, "profiles.upsert_batch", mapping.digest)
    }
    client.bulk.assign_tag([{"city": "x"}], 7, dead_letter=letters)
    (letter,) = read_dead_letter(letters)
    assert (letter["operation"], letter["arguments"], letter["row_holds"]) == ("tags.assign", {"tag_id": 7}, "fields")


def test_the_digest_of_a_mapping(tmp_path: Path) -> None:
    """It is the same for the same mapping in any process, and another one for another mapping."""
    given: list[tuple[dict[str, Any], dict[str, Any]]] = [
        (MAPPING, {}),
        ({"id": "customId"}, {}),
        ({"id": "customId", "town": "firstName"}, {}),
        (MAPPING, {"trim": True}),
        (MAPPING, {"empty": "null"}),
        (MAPPING, {"constants": {"firstName": "x"}}),
        ({"id": "customId", "town": field("city", "text", optional=True)}, {}),
        ({"id": "customId", "at": field("attributes.at", "datetime", zone="Europe/Warsaw")}, {}),
        ({"id": "customId", "at": field("attributes.at", "datetime", zone=datetime.UTC)}, {}),
    ]
    digests = [RowMapping.for_profiles(columns, **options).digest for columns, options in given]
    assert len(set(digests)) == len(given)
    assert RowMapping.for_profiles(dict(reversed(MAPPING.items()))).digest == digests[0]
    made = "RowMapping.for_profiles({'town': 'city', 'id': 'customId'})"
    code = f"from synerise_profiles.sources import RowMapping\nprint({made}.digest)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.strip() == digests[0]


class Name(str, enum.Enum):  # noqa: UP042 - whose text is another than its value
    CITY = "city"


class Shown(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "another name"


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("secret")


def cycle() -> dict[str, Any]:
    found: dict[str, Any] = {"customId": "c"}
    found["attributes"] = {"me": found}
    return found


def nested(depth: int) -> dict[str, Any]:
    found: Any = "deep"
    for _ in range(depth):
        found = {"x": found}
    return {"customId": "c", "attributes": found}


ODD_ROWS: list[tuple[Any, Any, str]] = [
    ({"customId": "x\ud83d"}, {"customId": "x\\ud83d"}, "customId: it holds half a character"),
    ({"a\udc00": 1}, {"a\\udc00": 1}, "half a character"),
    ({"customId": 2**70}, {"customId": str(2**70)}, "customId: it is a whole number beyond 64 bits"),
    ({"customId": 10**5000}, None, "beyond 64 bits"),
    ({"customId": -(2**64)}, {"customId": str(-(2**64))}, "beyond 64 bits"),
    (
        cycle(),
        {"customId": "c", "attributes": {"me": "(the value around it)"}},
        "attributes.me: it is a value that holds",
    ),
    (nested(300), None, "nested"),
    (nested(5000), None, "nested"),
    ({"a": float("nan"), "b": [float("inf")]}, {"a": "nan", "b": ["inf"]}, "b[0]: it is no finite number"),
    ({"a": b"\xff"}, {"a": "b'\\xff'"}, "a: it is no value of JSON (bytes)"),
    ({"a": Unprintable()}, {"a": "Unprintable"}, "no value of JSON"),
    ({"a": {1, "b"}}, {"a": [1, "b"]}, "a: it is a set of values that have no order of their own"),
    ({1: 2}, {"1": 2}, "its key is no text"),
    ({Name.CITY: "x", "phone": float("nan")}, {"city": "x", "phone": "nan"}, "phone: it is no finite number"),
    ({Shown("city"): "x", "phone": 5}, {"city": "x", "phone": 5}, ""),
    (None, "", "nothing of it could be kept"),
    ("a text", "a text", ""),
    (Unprintable(), "Unprintable", "the row: it is no value of JSON"),
    ([None], [None], ""),
    ({"city": None}, {"city": None}, ""),
    (UnreadableRow("", "bad"), {"cells": ""}, "nothing of it could be kept"),
    (UnreadableRow("", "bad", cycle()), None, "holds itself"),
]


@pytest.mark.parametrize("checks", ["basic", "strict"])
@pytest.mark.parametrize(("row", "expected", "problem"), ODD_ROWS)
def test_a_row_can_be_read_whatever_is_wrong_with_it(
    client: Synerise, letters: Path, row: Any, expected: Any, problem: str, checks: Any
) -> None:
    """As text where JSON cannot carry it, with what was wrong; it is never null, and the run goes on."""
    good = {"customId": "good"}
    report = client.bulk.upsert_profiles([good, row, good], dead_letter=letters, checks=checks)
    assert (report.accepted, report.rejected_count()) == (2, 1)
    (letter,) = read_dead_letter(letters)
    assert letter["row"] is not None
    assert expected is None or letter["row"] == expected
    assert any(problem in text for text in letter.get("problems", [""]))


def test_a_reference_that_cannot_be_written_stops_nothing(client: Synerise, letters: Path) -> None:
    """It stands as text."""
    for reference in ("x\ud83d", 2**80, {1: Unprintable()}, object()):
        report = client.bulk.upsert_profiles(
            [BAD] * 1200, dead_letter=letters, reference=lambda _, found=reference: found
        )
        assert len(list(report.rejected)) == 1200
        assert (
            client.bulk.upsert_profiles([BAD] * 1200, reference=lambda _, found=reference: found).rejected_count()
            == 1200
        )


def test_a_report_can_be_read_after_its_letters_were_replaced(client: Synerise, letters: Path) -> None:
    """Each report holds the file of its own run; two readers at once do not disturb each other."""
    old = client.bulk.upsert_profiles([BAD] * 1200, dead_letter=letters)
    new = client.bulk.upsert_profiles([BAD] * 1300, dead_letter=letters)
    letters.unlink()
    for report, count in ((old, 1200), (new, 1300)):
        pairs = list(zip(report.rejected, report.rejected, strict=True))
        assert [(left.index, right.index) for left, right in pairs] == [(n, n) for n in range(count)]


def test_a_report_holds_no_file_for_longer_than_it_lives(client: Synerise, letters: Path) -> None:
    """Its descriptor goes with it; few rejections need none, since they are in memory."""

    def count() -> int:
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    reports = [client.bulk.upsert_profiles([BAD] * rows, dead_letter=letters) for rows in (1200, 3)]
    assert count() == before + 1
    reports.clear()
    assert count() == before


def test_a_pickled_report_does_not_read_the_letters_of_another_run(client: Synerise, letters: Path) -> None:
    """It knows its file by its name alone, and says so where that is another one by now."""
    old = pickle.loads(pickle.dumps(client.bulk.upsert_profiles([BAD] * 1200, dead_letter=letters)))
    assert len(list(old.rejected)) == 1200
    client.bulk.upsert_profiles([BAD] * 1300, dead_letter=letters)
    with pytest.raises(OSError, match="replaced by a later run; a report that was pickled"):
        list(old.rejected)


def run_program(sandbox: Sandbox, what: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), sandbox.url, sandbox.api_key, what, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_after_a_kill_the_letters_are_those_of_the_run_before(
    sandbox: Sandbox, client: Synerise, letters: Path, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """What the killed run wrote stands beside them, until the next run names and removes it."""
    path = tmp_path / "letters.jsonl"
    client.bulk.upsert_profiles([BAD], dead_letter=path)
    before = path.read_bytes()
    assert run_program(sandbox, "killed", tmp_path).returncode == -9
    (part,) = tmp_path.glob(".letters.jsonl.*.part")
    assert path.read_bytes() == before
    assert len(list(read_dead_letter(part))) > 500
    with caplog.at_level(logging.WARNING):
        client.bulk.upsert_profiles([BAD, BAD], dead_letter=path)
    assert part.name in caplog.text
    assert names(tmp_path) == [path.name]
    assert not letters.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
@pytest.mark.parametrize("what", ["replace", "append", "small"])
def test_a_full_disk_ends_the_run_and_loses_no_rejection(sandbox: Sandbox, tmp_path: Path, what: str) -> None:
    """The report counts and names all, and the file has whole lines as far as there was room."""
    done = run_program(sandbox, what, tmp_path)
    problem, adds_up, lists_all = done.stdout.splitlines()
    assert "letters.jsonl, the file of dead letters, cannot be written: File too large" in problem
    assert (adds_up, lists_all, done.stderr) == ("True", "True", "")
    content = (tmp_path / "letters.jsonl").read_bytes()
    assert 0 < len(content) <= 100_000
    assert content.endswith(b"}\n")
    assert len(list(read_dead_letter(tmp_path / "letters.jsonl"))) == content.count(b"\n")
    assert names(tmp_path) == ["letters.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_a_full_disk_takes_no_letters_of_the_night_before(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Where there is no room for a single letter, the file that was there stays."""
    client.bulk.upsert_profiles([BAD], dead_letter=tmp_path / "letters.jsonl")
    before = (tmp_path / "letters.jsonl").read_bytes()
    assert "File too large" in run_program(sandbox, "tiny", tmp_path).stdout
    assert (tmp_path / "letters.jsonl").read_bytes() == before
    assert names(tmp_path) == ["letters.jsonl"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_letters_that_were_cut_short_replace_no_whole_ones(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """What there was room for stays beside them, and the error says where."""
    client.bulk.upsert_profiles([BAD] * 3, dead_letter=tmp_path / "letters.jsonl")
    before = (tmp_path / "letters.jsonl").read_bytes()
    problem = run_program(sandbox, "replace", tmp_path).stdout.splitlines()[0]
    assert (tmp_path / "letters.jsonl").read_bytes() == before
    (part,) = tmp_path.glob(".*.part")
    assert problem.endswith(f"cannot be written: File too large; what was written is in {part.name}")
    assert len(list(read_dead_letter(part))) > 3


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_disk_that_is_full_from_the_first_letter_on_leaves_a_report(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch, mode: Any
) -> None:
    """Not a single letter could be written, and each rejection is read from the report, again and again."""
    real_write = os.write

    def fail(descriptor: int, content: Any) -> int:
        if b'"reason"' in bytes(content):
            raise OSError(errno.ENOSPC, "No space left on device")
        return real_write(descriptor, content)

    rows = [{"customId": f"c{n}", "attributes": {"a": "x" * 50}} if n % 4 else BAD for n in range(3000)]
    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(BulkStoppedError, match="No space left on device") as caught:
        client.bulk.upsert_profiles(rows, dead_letter=letters, dead_letter_mode=mode)
    monkeypatch.undo()
    report = caught.value.report
    for _ in range(2):
        assert len(list(report.rejected)) == len(report.rejected) > 1000
    assert report.to_dict()["rejected"]
    assert "refused" in report.summary()
    report.write_html(letters.with_suffix(".html"))
    assert len(list(pickle.loads(pickle.dumps(report)).rejected)) == len(report.rejected)


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize("can_hold", [True, False])
def test_letters_that_are_taken_back_can_still_be_read(
    letters: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: Any,
    can_hold: bool,  # noqa: FBT001 - of the table
) -> None:
    """A run that was refused leaves the file as it was, and its report names each row that it rejected."""
    if not can_hold:  # as where no file that is open loses its name
        monkeypatch.setattr(LetterFile, "keep_open", lambda _: None)
    store = RejectionStore(open_letters(letters, mode, LetterHead(operation="profiles.upsert_batch")), max_in_memory=2)
    for index in range(2000):
        store.add(Rejection(index=index, stage="check", reason="no" * 40), LetterRow(b"{}"), no_counts())
    store.flush()
    store.close(is_kept=False)
    for _ in range(2):
        assert [each.index for each in store.read(parse_rejection)] == list(range(2000))
    assert not letters.exists() or letters.read_bytes() == b""


def test_letters_that_cannot_be_put_in_place_stay_beside_it(
    client: Synerise, letters: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says where they are."""

    def fail(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BulkStoppedError, match=r"No space left on device; what was written is in \.rejected.*\.part"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters)
    monkeypatch.undo()
    (part,) = letters.parent.glob(".*.part")
    assert [letter["index"] for letter in read_dead_letter(part)] == [0]


@pytest.mark.parametrize("place", ["alone", "behind", "between"])
@pytest.mark.parametrize("other", [b"\n", b"my thesis\n", b'{"customId":"a"}\n', b"\xff\n"])
def test_what_is_not_all_letters_is_not_replaced(client: Synerise, letters: Path, place: str, other: bytes) -> None:
    """Every line is looked at; blank ones are nothing."""
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    line = letters.read_bytes()
    content = {"alone": other, "behind": line + other, "between": line + other + line}[place]
    letters.write_bytes(content)
    if other == b"\n":
        client.bulk.upsert_profiles([BAD], dead_letter=letters)
        assert letters.read_bytes() == line
        return
    with pytest.raises(InvalidRequestError, match="dead_letter: is a file of something else than dead letters"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters)
    assert letters.read_bytes() == content


@pytest.mark.parametrize("mode", ["replace", "append"])
@pytest.mark.parametrize(
    "content", [b'{\n  "shop": 1\n}\n', b"{\n}\n", b"{\n", b"{", b'{"', b'{"version":\n', b"\n\nmine\n"]
)
def test_the_beginning_of_other_json_is_no_letter(client: Synerise, letters: Path, content: bytes, mode: Any) -> None:
    """A brace alone begins all that is JSON: nobody's settings are replaced, and no row is written behind them."""
    letters.write_bytes(content)
    with pytest.raises(InvalidRequestError, match="dead_letter: is a file of something else than dead letters"):
        client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode=mode)
    with pytest.raises(InvalidRequestError, match="spill: is a file of something else than dead letters"):
        client.queue(spill=letters)
    assert letters.read_bytes() == content


def test_letters_are_appended_behind_one_that_was_cut_off(client: Synerise, letters: Path) -> None:
    """Wherever it was, as long as it or another one tells that the file is of letters."""
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    line = letters.read_bytes()
    for content in (line[:11], line[:30], line[:60], line + line[:1], line[:1] + b"\n" + line, b"\n" + line[:20]):
        letters.write_bytes(content)
        client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode="append")
        found = letters.read_bytes()
        assert found.startswith(content)
        assert len(list(read_dead_letter(letters))) == content.count(line) + 1


def test_a_folder_that_goes_away_is_told(client: Synerise, tmp_path: Path) -> None:
    """The run is over, so its report comes with the error."""
    folder = tmp_path / "folder"
    folder.mkdir()

    def rows() -> Iterator[Any]:
        yield BAD
        folder.rename(tmp_path / "elsewhere")

    with pytest.raises(BulkStoppedError, match="the file of dead letters, cannot be written") as caught:
        client.bulk.upsert_profiles(rows(), dead_letter=folder / "letters.jsonl")
    assert caught.value.report.rejected_count() == len(list(caught.value.report.rejected)) == 1


def test_what_a_killed_run_left_is_told_in_the_report(client: Synerise, letters: Path) -> None:
    """By its name, in the notes of the next run and of a replay, and not in the log alone."""
    left = letters.with_name(f".{letters.name}.999999999.part")
    client.bulk.upsert_profiles([BAD], dead_letter=letters)
    for run in (
        lambda: client.bulk.upsert_profiles([BAD], dead_letter=letters),
        lambda: client.bulk.replay(letters, dead_letter=letters),
    ):
        left.write_bytes(b"{}\n")
        notes = run().notes
        assert notes == {f"{left.name} was left by a run that was killed, and is removed with its letters": 1}
        assert names(letters.parent) == [letters.name]


def run_meanwhile(client: Synerise, letters: Path, act: Callable[[], object]) -> Any:
    """Run with one row that is refused, and do something to the letters while the run goes on."""

    def rows() -> Iterator[Any]:
        yield BAD
        act()

    return client.bulk.upsert_profiles(rows(), dead_letter=letters)


@pytest.mark.parametrize("is_there", [True, False])
def test_letters_that_come_while_they_are_replaced_are_kept(client: Synerise, letters: Path, *, is_there: bool) -> None:
    """A spill of a queue has nowhere else to go; a run that would append is refused, as one that would replace is."""
    if is_there:
        client.bulk.upsert_profiles([BAD] * 2, dead_letter=letters)

    def act() -> None:
        for mode in ("append", "replace"):
            with pytest.raises(InvalidRequestError, match="dead_letter: is being written by another run"):
                client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode=mode)
        row = Undelivered(index=7, operation="profiles.upsert_batch", row=b'{"customId":"late"}', maybe_applied=False)
        append_dead_letters(letters, [row])

    report = run_meanwhile(client, letters, act)
    assert [letter["index"] for letter in read_dead_letter(letters)] == [0, 7]
    assert report.notes == {"letters that came to the file while the run went on stand behind those of the run": 1}
    assert [each.index for each in report.rejected] == [0]
    assert names(letters.parent) == [letters.name]


@pytest.mark.parametrize("change", ["notes", "notes behind", "mended", "another file", "a later version"])
def test_what_came_to_the_name_meanwhile_is_not_replaced(
    client: Synerise, letters: Path, night: bytes, change: str
) -> None:
    """The new letters stay beside it, also when another run starts, and the error says where."""
    other = letters.with_name("other")
    contents = {"notes": b"my notes\n", "notes behind": night + b"my notes\n", "a later version": night * 2}
    contents["a later version"] = contents["a later version"][:-60].replace(b'"version":1', b'"version":2')
    content = contents.get(change, night.replace(b"24.10.1987", b"1987-10-24"))

    def act() -> None:
        other.write_bytes(content)
        if change == "another file":
            other.replace(letters)
        else:
            letters.write_bytes(other.read_bytes())
            other.unlink()

    with pytest.raises(
        BulkStoppedError, match=r"was changed by somebody else.*what was written is in \.rejected"
    ) as caught:
        run_meanwhile(client, letters, act)
    assert letters.read_bytes() == content
    (part,) = letters.parent.glob(".*.part")
    assert [each.index for each in caught.value.report.rejected] == [0]
    letters.unlink()
    assert client.bulk.upsert_profiles([BAD], dead_letter=letters).notes == {}
    assert [letter["index"] for letter in read_dead_letter(part)] == [0]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_letters_that_are_taken_away_while_they_are_appended_are_told(
    client: Synerise, letters: Path, how: str
) -> None:
    """What was written has no name any more, so the report has it."""
    act = letters.unlink if how == "removed" else lambda: letters.with_name("a").replace(letters)
    letters.with_name("a").touch()

    def rows() -> Iterator[Any]:
        yield BAD
        act()

    with pytest.raises(BulkStoppedError, match="was removed, or replaced by another file") as caught:
        client.bulk.upsert_profiles(rows(), dead_letter=letters, dead_letter_mode="append")
    assert [each.index for each in caught.value.report.rejected] == [0]


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_letters_of_a_later_version_are_left_as_they_are(client: Synerise, letters: Path, mode: Any) -> None:
    """The refusal says what to do."""
    client.bulk.upsert_profiles([BAD] * 2, dead_letter=letters)
    first, second = letters.read_bytes().splitlines(keepends=True)
    for content in (
        second.replace(b'"version":1', b'"version":2'),
        second.replace(b'"version":1', b'"version":2')[:-9],
    ):
        whole = content if mode == "append" else first + content
        letters.write_bytes(whole)
        with pytest.raises(
            InvalidRequestError, match=r"of version 2.*send them by the release that wrote them, or give"
        ):
            client.bulk.upsert_profiles([BAD], dead_letter=letters, dead_letter_mode=mode)
        assert letters.read_bytes() == whole


def test_a_row_that_was_not_checked_is_never_null(client: Synerise, letters: Path) -> None:
    """As with the checks, where nothing of it could be kept."""
    client.bulk.upsert_profiles([None, {"customId": "a"}], checks="off", dead_letter=letters)
    found = {letter["index"]: letter for letter in read_dead_letter(letters)}[0]
    assert (found["row"], found["problems"]) == ("", ["the row: nothing of it could be kept"])


class Lazy(Mapping[str, Any]):
    """A row whose values are read as they are asked for, from what is gone."""

    def __getitem__(self, key: str) -> Any:
        raise OSError(errno.EIO, f"{key} is gone")

    def __iter__(self) -> Iterator[str]:
        yield "customId"

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize("checks", ["basic", "off"])
def test_a_row_that_raises_as_it_is_read_is_told(client: Synerise, letters: Path, checks: Any) -> None:
    """It alone is refused, by what it raised and without its words; it has a letter, and the run goes on."""
    rows = [{"customId": "a"}, Lazy(), {"customId": "b"}]
    report = client.bulk.upsert_profiles(rows, dead_letter=letters, checks=checks)
    (letter,) = read_dead_letter(letters)
    assert letter["index"] == 1
    assert letter["problems"] == ["the row: it is a value that raised OSError when it was read"]
    assert "raised OSError when it was read" in letter["reason"]
    assert "is gone" not in str(letter)
    assert (report.read, report.accepted, report.rejected_count()) == (3, 2, 1)


@pytest.mark.parametrize("values", [range(10**9), range(10**30)])
@pytest.mark.parametrize("checks", ["basic", "off", "strict"])
def test_a_range_that_no_request_carries_is_refused_unread(
    client: Synerise, letters: Path, values: range, checks: Any
) -> None:
    """By its length: to write it out would take all memory."""
    rows = [{"customId": "a", "attributes": {"all": values}}, {"customId": "b"}]
    report = client.bulk.upsert_profiles(rows, dead_letter=letters, checks=checks)
    assert (report.accepted, report.rejected_count()) == (1, 1)
    (letter,) = read_dead_letter(letters)
    assert letter["row"]["attributes"]["all"] == str(values)
    assert "has more than 1,000,000 items" in letter["reason"]
    with pytest.raises(InvalidRequestError, match="has more than 1,000,000 items"):
        client.profiles.upsert({"customId": "a", "attributes": {"all": values}})
