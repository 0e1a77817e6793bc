"""Deletions with an audit: a line for each row, whatever ends the run; and a sample that is looked for until gone."""

from __future__ import annotations

import asyncio
import errno
import itertools
import json
import resource
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._core.files import AppendFile
from synerise_profiles.bulk import BulkStoppedError, Report
from synerise_profiles.sandbox import Sandbox
from tests.bulk.support import Clock

KILLED = """
import os, sys
from synerise_profiles import Synerise
answers = [0]
def count(result):
    if result.operation.name.startswith("profiles.delete"):
        answers[0] += 1
        if answers[0] == 30:
            os._exit(9)
client = Synerise(api_key=sys.argv[1], base_url=sys.argv[2], on_response=count)
rows = [{"customId": f"c-{n}"} for n in range(60)]
client.bulk.delete_profiles(rows, audit=sys.argv[3], journal=sys.argv[4])
"""


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=Clock().timing) as client:
        yield client


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    return tmp_path / "deletions.jsonl"


def people(count: int) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}"} for n in range(count)]


def entries(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in audit.read_text().splitlines()]


def test_a_line_says_what_became_of_each_row(client: Synerise, sandbox: Sandbox, audit: Path) -> None:
    """Which profile, when, its fate, the status and the trace id, also where nothing was deleted or sent."""
    client.bulk.upsert_profiles(people(2))
    client_id = client.profiles.find("by-custom-id", "c-1").client_id
    assert client_id is not None
    rows: list[Any] = [{"customId": "c-0"}, client_id, {"customId": "nobody"}, {"email": "a@example.com"}]
    report = client.bulk.delete_profiles([*rows, {"customId": "c-0 "}], audit=audit, concurrency=1)
    assert report.accepted == 2
    found = sorted(entries(audit), key=lambda entry: entry["row"])
    assert [(entry["identifier"], entry["value"], entry["fate"], entry.get("status")) for entry in found] == [
        ("customId", "c-0", "deleted", 202),
        ("clientId", client_id, "deleted", 202),
        ("customId", "nobody", "server", 404),
        (None, None, "check", None),
        ("customId", "c-0 ", "server", 404),
    ]
    assert {entry["entry"] for entry in found} == {"deletion"}
    assert {entry["format"] for entry in found} == {1}
    assert len({entry["run"] for entry in found}) == 1
    assert found[0]["time"].startswith("20")
    assert found[3]["reason"].startswith("clientId: names no profile")
    assert stat.S_IMODE(audit.stat().st_mode) == 0o600


def test_the_ids_of_responses(audit: Path) -> None:
    """The publisher's trace id of a refusal, and else the id that a gateway gave to the request."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("c-0"):
            return httpx.Response(202, headers={"X-Request-Id": "r-0"})
        return httpx.Response(400, json={"message": "no", "traceId": "t-1"}, headers={"X-Request-Id": "r-1"})

    with Synerise(token="t", transport=httpx.MockTransport(answer)) as client:
        client.bulk.delete_profiles(people(2), audit=audit, concurrency=1)
    assert [(entry["fate"], entry["trace_id"]) for entry in entries(audit)] == [("deleted", "r-0"), ("server", "t-1")]


def test_another_run_adds_to_it(client: Synerise, audit: Path) -> None:
    """Its lines stand behind those of the first one, also behind one that a crash cut off, by the id of the run."""
    client.bulk.upsert_profiles(people(3))
    client.bulk.delete_profiles(people(2), audit=audit)
    whole = audit.read_bytes()
    audit.write_bytes(whole + b'{"entry":"deletion","for')
    client.bulk.delete_profiles([{"customId": "c-2"}], audit=audit)
    lines = audit.read_bytes().splitlines()
    assert audit.read_bytes().startswith(whole)
    assert json.loads(lines[-1])["value"] == "c-2"
    assert json.loads(lines[-1])["run"] != json.loads(lines[0])["run"]


def test_a_killed_run_is_continued(client: Synerise, sandbox: Sandbox, audit: Path, tmp_path: Path) -> None:
    """With a journal every row has its line in the end: also one whose answer was lost, and none is refused."""
    client.bulk.upsert_profiles(people(60))
    journal = tmp_path / "night.db"
    command = [sys.executable, "-c", KILLED, sandbox.api_key, sandbox.url, str(audit), str(journal)]
    assert subprocess.run(command, check=False, timeout=60).returncode == 9
    before = entries(audit)
    assert 0 < len(before) < 60
    report = client.bulk.delete_profiles(people(60), audit=audit, journal=journal)
    assert report.accepted == 60
    found = entries(audit)
    assert found[: len(before)] == before
    assert {entry["fate"] for entry in found} == {"deleted"}
    assert {entry["row"] for entry in found} == set(range(60))
    assert {entry["value"] for entry in found} == {f"c-{n}" for n in range(60)}
    assert len({entry["run"] for entry in found}) == 2
    again = client.bulk.delete_profiles(people(60), audit=audit, journal=journal)
    assert again.resumed == 60
    assert entries(audit) == found


def test_what_ends_a_run_leaves_a_line_for_each_row_that_was_read(client: Synerise, audit: Path) -> None:
    """What no response confirms is unsent, and the line says whether it may be deleted."""

    def rows() -> Iterator[dict[str, Any]]:
        yield from people(5)
        raise KeyboardInterrupt

    client.bulk.upsert_profiles(people(5))
    with pytest.raises(KeyboardInterrupt):
        client.bulk.delete_profiles(rows(), audit=audit, concurrency=1)
    found = entries(audit)
    assert sorted(entry["row"] for entry in found) == list(range(5))
    assert {entry["fate"] for entry in found} <= {"deleted", "unsent"}
    assert all("applied" in entry["reason"] for entry in found if entry["fate"] == "unsent")


@pytest.mark.parametrize(
    "content", ["customId\nc-0\n", '{"entry":"started","plan":"p"}\n', '{"customId":"c-0"}\n', "{", "{\n"]
)
def test_a_file_that_is_no_audit_is_left_alone(client: Synerise, audit: Path, content: str) -> None:
    """It is refused by the argument, the file stays as it is, and nothing is deleted."""
    client.profiles.upsert({"customId": "c-0"})
    audit.write_text(content)
    with pytest.raises(InvalidRequestError, match=r"audit: exists and is no audit of deletions"):
        client.bulk.delete_profiles(people(1), audit=audit)
    assert audit.read_text() == content
    assert client.profiles.find("by-custom-id", "c-0").custom_id == "c-0"


def test_what_an_audit_cannot_be(client: Synerise, audit: Path, tmp_path: Path) -> None:
    """A folder, "", another file of the run, a file that another run has open: nothing is deleted."""
    client.profiles.upsert({"customId": "c-0"})
    for path, words in ((tmp_path, "is a folder"), ("", "is empty"), (tmp_path / "no" / "a", "does not exist")):
        with pytest.raises(InvalidRequestError, match=f"audit: {words}|audit: is in a folder that {words}"):
            client.bulk.delete_profiles(people(1), audit=path)
    for other in ("dead_letter", "journal"):
        with pytest.raises(InvalidRequestError, match="is the same file as"):
            client.bulk.delete_profiles(people(1), audit=audit, **{other: audit})  # type: ignore[arg-type]

    def rows() -> Iterator[dict[str, Any]]:
        with pytest.raises(InvalidRequestError, match="audit: is in use by another run"):
            client.bulk.delete_profiles(people(1), audit=audit)
        yield from ()

    client.bulk.delete_profiles(rows(), audit=audit)
    assert client.profiles.find("by-custom-id", "c-0").custom_id == "c-0"


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_nothing_is_deleted_without_the_audit(client: Synerise, sandbox: Sandbox, audit: Path) -> None:
    """On a full disk the run ends: what was in flight is reported, and no further profile is deleted."""
    client.bulk.upsert_profiles(people(200))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(BulkStoppedError, match="the audit cannot be written: File too large") as caught:
            client.bulk.delete_profiles(people(200), audit=audit, concurrency=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    report, lines = caught.value.report, len(entries(audit))
    assert isinstance(caught.value.__cause__, OSError)
    assert lines <= report.accepted <= lines + 2
    assert report.read == report.accepted + report.rejected_count()
    left = sum(entry.operation == "profiles.delete_by_custom_id" for entry in sandbox.log)
    assert left == report.accepted


def test_deleted_profiles_are_looked_for(client: Synerise, audit: Path) -> None:
    """The report counts those that still exist, and names them by row; the summary says it."""
    client.bulk.upsert_profiles(people(20))
    back = iter([{"customId": "c-3"}, {"customId": "c-7"}])

    def bring_back(_: object) -> None:
        for row in back:
            client.profiles.upsert(row)

    report = client.bulk.delete_profiles(
        people(20), audit=audit, verify_sample=100, verify_within=2, reference=lambda row: row["customId"],
        progress=lambda now: bring_back(now) if now.accepted == 20 else None,
    )  # fmt: skip
    found = report.deletion_verification
    assert found is not None
    assert (found.sample, found.gone, found.skipped, found.unread, found.problem) == (20, 18, 0, 0, None)
    assert [(item.index, item.reference, item.identifier) for item in found.remaining] == [
        (3, "c-3", "customId …"),
        (7, "c-7", "customId …"),
    ]
    assert "c-3" not in repr(found)
    assert "2 of 20 looked for still exist" in report.summary()
    document = report.to_dict()["deletion_verification"]
    assert document["remaining"] == [
        {"index": 3, "identifier": "customId …", "reference": "c-3"},
        {"index": 7, "identifier": "customId …", "reference": "c-7"},
    ]
    page = audit.with_suffix(".html")
    report.write_html(page)
    assert "still there" in page.read_text()
    assert report.verification is None


def test_all_that_are_gone_are_counted_and_the_rest_is_told(client: Synerise, sandbox: Sandbox, audit: Path) -> None:
    """By clientId too; one that was refused is not looked for; who may not read profiles learns it."""
    client.bulk.upsert_profiles(people(4))
    ids = [client.profiles.find("by-custom-id", f"c-{n}").client_id or 0 for n in range(4)]
    report = client.bulk.delete_profiles([ids[0], {"clientId": ids[1]}, 99_999_999], audit=audit, verify_sample=10)
    found = report.deletion_verification
    assert found is not None
    assert (found.sample, found.gone, found.remaining) == (2, 2, ())
    sandbox.faults.status(403, operation="profiles.get")
    found = client.bulk.delete_profiles([ids[2]], audit=audit, verify_sample=10).deletion_verification
    assert found is not None
    assert (found.sample, found.unread) == (0, 1)
    assert (found.problem or "").startswith("profiles cannot be read: status 403")


def test_a_profile_that_comes_twice_is_looked_for_once(client: Synerise, audit: Path) -> None:
    """The first row deletes it, and its other row, which finds nothing, takes no place in the sample."""
    client.bulk.upsert_profiles(people(3))
    found = client.bulk.delete_profiles([*people(3), *people(2)], audit=audit, verify_sample=10).deletion_verification
    assert found is not None
    assert (found.sample, found.gone, found.skipped) == (3, 3, 0)


def test_the_async_client_does_the_same(client: Synerise, sandbox: Sandbox, audit: Path) -> None:
    """Its lines and its counts are those of the sync one."""
    client.bulk.upsert_profiles(people(3))

    async def run() -> Report:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as other:
            return await other.bulk.delete_profiles(people(3), audit=audit, verify_sample=2)

    report = asyncio.run(run())
    assert report.deletion_verification is not None
    assert report.deletion_verification.gone == 2
    assert {entry["fate"] for entry in entries(audit)} == {"deleted"}


@pytest.mark.parametrize(
    ("row", "field"),
    [
        (2**64, "clientId"),
        ({"clientId": 2**64}, "clientId"),
        ({"clientId": "7"}, "clientId"),
        ({"customId": " "}, "customId"),
        ({"customId": 7}, "customId"),
    ],
)
def test_a_row_that_names_nobody_is_refused_by_the_name_of_its_field(row: Any, field: str) -> None:
    """By the publisher's name, as everywhere in a report, not by that of an argument of a call."""
    with Synerise(token="t", transport=httpx.MockTransport(lambda _: httpx.Response(500))) as client:
        report = client.bulk.delete_profiles([row])
    assert [(item.stage, item.field) for item in report.rejected] == [("check", field)]


def test_a_uuid_names_a_profile() -> None:
    """An id that is a UUID object, or a member of an enum, is written as it is in a body."""
    paths: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200)

    with Synerise(token="t", transport=httpx.MockTransport(answer)) as client:
        report = client.bulk.delete_profiles([{"customId": uuid.UUID(int=7)}])
    assert (report.accepted, paths) == (1, [f"/v4/clients/by-custom-id/{uuid.UUID(int=7)}"])


def test_deletions_that_a_full_disk_left_without_a_line_are_named(audit: Path, tmp_path: Path) -> None:
    """By their indexes, in the error and in the notes; with a journal the next run writes their lines."""
    server, journal = Gone(), tmp_path / "night.db"
    with Synerise(token="t", transport=httpx.MockTransport(server), _timing=Clock().timing) as client:
        with full_from(40), pytest.raises(BulkStoppedError) as caught:
            client.bulk.delete_profiles(people(200), audit=audit, journal=journal, concurrency=4)
        report, lines = caught.value.report, {entry["row"] for entry in entries(audit) if entry["fate"] == "deleted"}
        rejected = {item.index for item in report.rejected}
        without = sorted(set(range(report.read)) - rejected - lines)
        assert without
        assert set(without) <= set(server.deleted)
        names = ", ".join(map(str, without))
        noun = "deleted row" if len(without) == 1 else "deleted rows"
        assert f"the audit has no line of {len(without)} {noun} ({names})" in caught.value.problem
        assert report.notes[f"deleted without a line in the audit, by row: {names}"] == len(without)
        assert client.bulk.delete_profiles(people(200), audit=audit, journal=journal).accepted == 200
    found = [entry["row"] for entry in entries(audit) if entry["fate"] == "deleted"]
    assert sorted(found) == list(range(200))


def test_lines_that_did_not_fit_are_written_once_there_is_room(
    audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the end of the run at the latest; their rows are in the journal then, and get no second line."""
    server, journal, write, calls = Gone(), tmp_path / "night.db", AppendFile.write, itertools.count()

    def fail_once(file: AppendFile, content: bytes) -> int:
        if next(calls) == 5:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content)

    monkeypatch.setattr(AppendFile, "write", fail_once)
    with Synerise(token="t", transport=httpx.MockTransport(server), _timing=Clock().timing) as client:
        with pytest.raises(BulkStoppedError, match="cannot be written: No space left on device; profiles") as caught:
            client.bulk.delete_profiles(people(20), audit=audit, journal=journal, concurrency=1)
        assert sum(entry["fate"] == "deleted" for entry in entries(audit)) == caught.value.report.accepted == 6
        assert not caught.value.report.notes
        assert client.bulk.delete_profiles(people(20), audit=audit, journal=journal).resumed == 6
    assert sorted(server.deleted) == list(range(20))
    assert sorted(entry["row"] for entry in entries(audit) if entry["fate"] == "deleted") == list(range(20))


def test_a_deletion_that_is_repeated_after_a_lost_answer_is_told_as_such(audit: Path) -> None:
    """It is no fault of the server's, and the documents list that status."""
    server, calls = Gone(), itertools.count()

    def lose_first(request: httpx.Request) -> httpx.Response:
        answer = server(request)
        if next(calls) == 0:
            raise httpx.ReadError("lost")
        return answer

    with Synerise(token="t", transport=httpx.MockTransport(lose_first), _timing=Clock().timing) as client:
        report = client.bulk.delete_profiles(people(3), audit=audit, concurrency=1)
    (note, count), *others = report.notes.items()
    assert (report.accepted, count, others) == (3, 1, [])
    assert note.startswith("the profile was not there any more (status 404) when its deletion was sent again")
    assert note.endswith("it counts as deleted")


class Gone:
    """A transport that deletes profiles; one that is gone is not found."""

    def __init__(self) -> None:
        self.deleted: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        n = int(request.url.path.rpartition("-")[2])
        if n in self.deleted:
            return httpx.Response(404)
        self.deleted.append(n)
        return httpx.Response(202)


@contextmanager
def full_from(lines: int) -> Iterator[None]:
    """Let the audit take so many lines and no more: the disk is full from then on."""
    write, calls = AppendFile.write, itertools.count()

    def fail(file: AppendFile, content: bytes) -> int:
        if next(calls) >= lines:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, content)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AppendFile, "write", fail)
        yield
