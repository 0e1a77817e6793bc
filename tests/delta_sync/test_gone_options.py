"""What a run takes for its requests and rejected rows applies to profiles that are gone too."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError, Progress, read_dead_letter
from synerise_profiles.delta_sync import DeltaReport, DeltaStateError, report_of
from synerise_profiles.delta_sync.state import DeltaState
from synerise_profiles.sandbox import Sandbox

TABLE = [{"customId": f"c-{n}", "firstName": "Anna"} for n in range(40)]
DELETE: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 1.0}


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    return client.delta_sync.profiles(table, key="customId", state=state, **{**DELETE, **options})


def test_deletions_keep_the_pace(client: Synerise, state: Path) -> None:
    """They begin no faster than `requests_per_second` allows."""
    sync(client, TABLE, state)
    begun = time.monotonic()
    report = sync(client, TABLE[12:], state, requests_per_second=20)
    assert report.gone_sent is not None
    assert report.gone_sent.accepted == 12
    assert time.monotonic() - begun > 0.4
    assert report.gone_sent.settings["requests_per_second"] == 20


def deletions(sandbox: Sandbox) -> int:
    """How many requests of deletions the server saw."""
    return sum(item.operation == "profiles.delete_by_custom_id" for item in sandbox.log)


def test_deletions_share_a_rate_budget(client: Synerise, sandbox: Sandbox, state: Path, tmp_path: Path) -> None:
    """The file of a shared rate is used by them too: two deletions take their places in it, and both go out."""
    rate = tmp_path / "rate"
    options: dict[str, Any] = {"requests_per_second": 100, "rate_budget": rate, "concurrency": 3}
    sync(client, TABLE, state, **options)
    before = rate.read_bytes()
    assert sync(client, TABLE, state, **options).gone == 0
    assert rate.read_bytes() == before  # a run that sends nothing takes nothing of it
    report = sync(client, TABLE[2:], state, **options)
    assert report.gone_sent is not None
    assert (report.requests, report.gone_sent.accepted, deletions(sandbox)) == (0, 2, 2)
    assert report.gone_sent.settings["concurrency"] == 3
    assert rate.read_bytes() != before


@pytest.mark.parametrize("gone", ["delete", {"attributes.active": False}])
def test_their_dead_letters_follow_those_of_the_rows(
    client: Synerise, sandbox: Sandbox, state: Path, tmp_path: Path, gone: Any
) -> None:
    """Rejected rows of both runs stand in one file, each with its operation."""
    letters = tmp_path / "letters.jsonl"
    sync(client, TABLE, state, gone=gone)
    name = "profiles.delete_by_custom_id" if gone == "delete" else "profiles.upsert_batch"
    rows = [*TABLE[1:], {"customId": "c-new", "firstName": None}]
    if gone == "delete":
        sandbox.faults.status(400, operation=name, times=1)
    else:
        gone = {"birthDate": "tomorrow"}
    report = sync(client, rows, state, gone=gone, dead_letter=letters)
    sandbox.faults.clear()
    assert report.gone_sent is not None
    assert (report.sent.rejected_count(), report.gone_sent.rejected_count()) == (1, 1)
    assert len([*read_dead_letter(letters)]) == 2


def test_deletions_end_with_too_many_errors(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """`max_errors` ends them after the third refusal; what was not deleted is still known, and gone the next night."""
    sync(client, TABLE, state)
    sandbox.faults.status(400, operation="profiles.delete_by_custom_id")
    with pytest.raises(BulkStoppedError):
        sync(client, TABLE[10:], state, max_errors=2, concurrency=1)
    assert deletions(sandbox) == 3
    sandbox.faults.clear()
    report = sync(client, TABLE[10:], state)
    assert (report.gone, report.gone_sent and report.gone_sent.accepted) == (10, 10)
    assert deletions(sandbox) == 13


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_report_of_a_run_that_ended_in_its_deletions(sandbox: Sandbox, state: Path, kind: str) -> None:
    """Whatever ended them, the whole report is found by the exception: of the rows, and of the deletions until then."""
    options: dict[str, Any] = {**DELETE, "key": "customId", "state": state, "max_errors": 2, "concurrency": 1}
    table = [*TABLE[10:], {"customId": "c-new", "firstName": "Ewa"}]

    async def awaited() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
            await opened.delta_sync.profiles(table, **options)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sync(client, TABLE, state)
        sandbox.faults.status(400, operation="profiles.delete_by_custom_id")
        with pytest.raises(BulkStoppedError) as caught:
            asyncio.run(awaited()) if kind == "async" else client.delta_sync.profiles(table, **options)
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.new, report.unchanged, report.gone, report.requests) == (31, 1, 30, 10, 1)
    assert (report.sent.accepted, report.sent.complete) == (1, True)
    assert report.gone_sent is caught.value.report
    assert (report.gone_sent.accepted, report.gone_sent.by_stage["server"], report.gone_sent.complete) == (0, 3, False)
    assert any("31 rows read: 1 new, 0 changed, 30 unchanged" in note for note in caught.value.__notes__)
    copied = pickle.loads(pickle.dumps(caught.value))
    assert report_of(copied) is None


def test_the_report_of_a_run_that_ended_in_its_rows(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """It holds what was compared until then; an error before anything was read has none, and no other run's."""
    sandbox.faults.status(400, operation="profiles.upsert_batch")
    with pytest.raises(BulkStoppedError) as caught:
        sync(client, TABLE, state, max_errors=2)
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.new, report.sent, report.gone_sent) == (40, 40, caught.value.report, None)
    with pytest.raises(InvalidRequestError) as refused:
        sync(client, TABLE, state, verify_sample=-1)
    assert report_of(refused.value) is None

    def broken() -> Iterator[Any]:
        yield TABLE[0]
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off") as other:
        sync(client, broken(), state)
    ended = report_of(other.value)
    assert ended is not None
    assert (ended.sent.complete, ended.gone_sent) == (False, None)


def test_progress_goes_on_in_deletions(client: Synerise, state: Path) -> None:
    """What is told of rows that changed and of profiles that are gone counts on, and never back."""
    told: list[Progress] = []
    sync(client, TABLE, state)
    changed = [{**row, "firstName": "Ewa"} for row in TABLE[5:]]
    report = sync(client, changed, state, progress=told.append)
    assert report.gone_sent is not None
    accepted = [progress.accepted for progress in told]
    assert accepted == sorted(accepted)
    assert (told[-1].read, told[-1].accepted, told[-1].requests) == (40, 40, report.requests + 5)
    assert told[-1].seconds >= report.sent.seconds


def test_deletions_are_audited(client: Synerise, state: Path, tmp_path: Path) -> None:
    """Each deletion has its line in the audit, and with a sample the deleted profiles are looked for."""
    audit = tmp_path / "deletions.jsonl"
    sync(client, TABLE, state)
    report = sync(client, TABLE[3:], state, audit=audit, verify_sample=2)
    assert report.gone_sent is not None
    assert report.gone_sent.deletion_verification is not None
    assert report.gone_sent.deletion_verification.gone == 2
    lines = [orjson.loads(line) for line in audit.read_bytes().splitlines()]
    assert sorted((line["value"], line["fate"]) for line in lines) == [(f"c-{n}", "deleted") for n in range(3)]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"audit": "a.jsonl", "gone": "ignore"}, "audit.*gone='delete'"),
        ({"audit": "a.jsonl", "gone": {"attributes.active": False}}, "audit.*gone='delete'"),
        ({"audit": "customers.state"}, "customers.state|audit"),
        ({"journal": "j"}, "journal"),
        ({"ordered": False}, "ordered"),
        ({"on_settled": print}, "on_settled"),
        ({"verify_sample": -1}, "verify_sample"),
    ],
)
def test_options_that_cannot_apply_are_refused_by_name(
    client: Synerise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str
) -> None:
    """Before anything is read, sent or opened."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match=words):
        sync(client, TABLE, Path("customers.state"), **options)
    assert [*tmp_path.iterdir()] == []


def test_a_state_that_cannot_be_packed_costs_no_report(
    client: Synerise, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full at the very end is told by the report, which is there; what was confirmed is known."""

    def full(_: DeltaState) -> None:
        raise DeltaStateError("the disk is full; make room")

    with monkeypatch.context() as patched:
        patched.setattr(DeltaState, "pack", full)
        patched.setattr(DeltaState, "close", lambda state, close=DeltaState.close: (close(state), full(state)))
        report = sync(client, TABLE, state)
    assert report.sent.accepted == 40
    assert "the disk is full" in (report.state_problem or "")
    assert "the run is complete, but the state could not be packed: the disk is full" in report.to_text()
    assert sync(client, TABLE, state).unchanged == 40
