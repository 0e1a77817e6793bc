"""A disk that is full, by a limit to the size of files: what was there stays, and no fate is lost."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import BulkStoppedError, JournalError, read_dead_letter
from synerise_profiles.exports.writers import CsvWriter, JsonLinesWriter, atomic_writer
from synerise_profiles.merges import AuditError, MergeStoppedError
from synerise_profiles.queue import UndeliveredWarning
from synerise_profiles.sandbox import Sandbox
from tests._core.room import room_for
from tests.queue.test_sync_queue import queue_to_dead_server

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
SIZES = [0, 1, 100, 4_000, 5_000, 9_000, 20_000, 40_000, 70_000]
ROWS = 400
ADVICE = "make room, and repeat the call with the same input and journal"


@pytest.mark.parametrize("size", SIZES)
def test_a_journal(size: int, tmp_path: Path) -> None:
    """The run ends by the journal's error, or was done; the same call goes on, and each deletion is done once."""
    sent: list[str] = []

    def delete(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(404 if request.url.path in sent[:-1] else 202)

    rows, night = [{"customId": f"c-{n}"} for n in range(ROWS)], tmp_path / "night.db"
    problem = ADVICE
    with Synerise(token="t", transport=httpx.MockTransport(delete)) as client:
        with room_for(size):
            try:
                client.bulk.delete_profiles(rows, journal=night, concurrency=1)
            except JournalError as error:
                problem = str(error)
        report = client.bulk.delete_profiles(rows, journal=night, concurrency=1)
    assert ADVICE in problem
    assert (report.accepted, report.rejected_count(), report.complete) == (ROWS, 0, True)
    assert len(set(sent)) == ROWS
    assert len(sent) <= ROWS + 1


@pytest.mark.parametrize("size", SIZES)
def test_an_audit_of_deletions(size: int, tmp_path: Path) -> None:
    """Each line is whole, and at most one row was deleted without one."""
    audit, sent, problem = tmp_path / "audit.jsonl", list[str](), "the audit cannot be written"

    def delete(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(202)

    rows = [{"customId": f"c-{n}"} for n in range(ROWS)]
    with Synerise(token="t", transport=httpx.MockTransport(delete)) as client, room_for(size):
        try:
            report = client.bulk.delete_profiles(rows, audit=audit, concurrency=1)
        except BulkStoppedError as error:
            report, problem = error.report, error.problem
    assert "the audit cannot be written" in problem
    assert report.read == report.accepted + report.rejected_count()
    assert report.accepted == len(sent)
    lines = audit.read_bytes().splitlines(keepends=True)
    assert all(orjson.loads(line) and line.endswith(b"\n") for line in lines)
    assert len(lines) >= len(sent) - 1


@pytest.mark.parametrize("size", SIZES)
def test_a_spill(size: int, tmp_path: Path) -> None:
    """What does not fit is told of, and can still be had; lines that were there stay whole."""
    spill = tmp_path / "left.jsonl"
    for limit, first in ((None, 0), (size, 100)):
        queue = queue_to_dead_server(spill=spill, exit_timeout=0.05)
        for n in range(first, first + 50):
            queue.profiles.put({"customId": f"c-{n}", "city": "x" * 100})
        with pytest.warns(UndeliveredWarning) as told, room_for(limit), queue:
            pass
        assert len(list(queue.undelivered())) == 50
    letters = list(read_dead_letter(spill))
    ids = [letter["row"]["customId"] for letter in letters]
    assert ids[:50] == [f"c-{n}" for n in range(50)]
    assert spill.read_bytes().endswith(b"}\n")
    texts = [str(warning.message) for warning in told]
    is_told = any("could not be written to the spill file: File too large" in text for text in texts)
    assert is_told == (len(ids) < 100)
    assert ids[50:] == [f"c-{n}" for n in range(100, 100 + len(ids) - 50)]
    if 50 < len(ids) < 100:
        words = f"the first {len(ids) - 50} of them are in the spill file, the other {100 - len(ids)} could not"
        assert any(words in text for text in texts)


@pytest.mark.parametrize("size", SIZES)
def test_letters_that_are_appended(size: int, tmp_path: Path) -> None:
    """As many as there is room for; the error says how many these are, and the report has all."""
    path = tmp_path / "letters.jsonl"
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    rows = [{"customId": f"c-{n}", "firstName": None} for n in range(ROWS)]
    with Synerise(token="t", transport=transport) as client:
        client.bulk.upsert_profiles(rows[:1], dead_letter=path)
        problem = ""
        with room_for(size):
            try:
                report = client.bulk.upsert_profiles(rows, dead_letter=path, dead_letter_mode="append")
            except BulkStoppedError as error:
                report, problem = error.report, error.problem
            left = list(report.rejected)
    letters = list(read_dead_letter(path))
    assert path.read_bytes().endswith(b"}\n")
    assert [letter["row"]["customId"] for letter in letters[1:]] == [f"c-{n}" for n in range(len(letters) - 1)]
    assert len(left) == report.rejected_count() == report.read
    if len(letters) <= report.read:
        words = f"File too large; {len(letters) - 1} letters of the run are in it, the other "
        assert f"{words}{report.read - len(letters) + 1} are in the report alone" in problem


@pytest.mark.parametrize("make", [JsonLinesWriter, lambda file: CsvWriter(file, ["n"])])
@pytest.mark.parametrize("size", SIZES)
def test_an_export(size: int, make: Any, tmp_path: Path) -> None:
    """The file is the one before or the whole new one, and nothing is beside it."""
    path = tmp_path / "people"
    path.write_bytes(b"old")
    is_whole = False
    with room_for(size):
        try:
            with atomic_writer(path, make) as file:
                for n in range(2000):
                    file.add([{"n": n, f"more{n // 500}": "x"}])
                file.finish()
            is_whole = True
        except OSError:
            assert path.read_bytes() == b"old"
    assert not is_whole or len(path.read_bytes().splitlines()) >= 2000
    assert [path.name for path in tmp_path.iterdir()] == ["people"]


@pytest.mark.parametrize("size", SIZES)
def test_an_audit_of_merges(size: int, tmp_path: Path, sandbox: Sandbox, client: Synerise) -> None:
    """No group is sent that could not be written down, and the plan goes on afterwards."""
    people = [{"customId": "jan"}, *({"customId": f"c-{n}"} for n in range(6))]
    client.profiles.upsert_batch(people)
    plan = client.merges.plan(into="jan", sources=[f"c-{n}" for n in range(6)], by="custom_id")
    audit = tmp_path / "audit.jsonl"
    merged = 0
    with room_for(size):
        try:
            merged = len(plan.apply(audit=audit, actor="anna", group_size=1).merged)
        except AuditError:  # before the first group
            merged = 0
        except MergeStoppedError as error:
            merged = len(error.result.merged)
    assert len(sandbox.store.profiles) == 7 - merged
    if merged < 6:
        assert plan.apply(audit=audit, actor="anna", group_size=1).complete
    assert len(sandbox.store.profiles) == 1
    assert all(map(orjson.loads, audit.read_bytes().splitlines()))


@pytest.mark.parametrize("size", [60_000, 100_000, 200_000])
def test_the_state_of_a_sandbox(size: int, tmp_path: Path) -> None:
    """A write that has no room is answered 500, and not stored; what was answered 2xx is there after a new start."""
    state = tmp_path / "sandbox.db"
    good: list[int] = []
    with Sandbox(state=state) as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        once = client.with_options(max_retries=0)
        with room_for(size):
            for n in range(60):
                try:
                    once.profiles.upsert({"customId": f"c-{n}", "city": "x" * 4000})
                    good.append(n)
                except Exception as error:  # noqa: BLE001 - told of below
                    failure = error
                    break
        assert getattr(failure, "status_code", None) == 500
        once.profiles.upsert({"customId": "later"})
    with Sandbox(state=state) as sandbox:
        found = {profile.custom_id for profile in sandbox.store.profiles}
    assert found == {f"c-{n}" for n in good} | {"later"}
