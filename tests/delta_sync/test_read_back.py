"""`verify_sample`: what is not stored as it should be is told, taken out of the state, and sent by the next run."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, NotFoundError, Synerise
from synerise_profiles._core.timing import Timing
from synerise_profiles.delta_sync import DeltaReport
from synerise_profiles.sandbox import Sandbox

TABLE = [{"customId": f"c-{n}", "firstName": "Anna", "attributes": {"points": n}} for n in range(200)]

DELETE: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 1.0, "verify_sample": 200}


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    within = {"verify_within": 0} if options.get("verify_sample") else {}
    return client.delta_sync.profiles(table, key="customId", state=state, **within, **options)


def change(client: Synerise, key: str) -> None:
    """Do what another writer may do: the profile is not as the state knows it."""
    client.bulk.upsert_profiles([{"customId": key, "firstName": "Other"}]).raise_for_rejected()


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_what_is_thought_to_be_known_is_read_back(sandbox: Sandbox, state: Path, kind: str) -> None:
    """Profiles that another writer changed or that are not there are found, named, and sent by the next run."""

    async def awaited(**options: Any) -> DeltaReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.delta_sync.profiles(TABLE, key="customId", state=state, verify_within=0, **options)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sync(client, TABLE, state)
        change(client, "c-7")
        client.bulk.delete_profiles([{"customId": "c-9"}]).raise_for_rejected()
        sandbox.drain()
        options = {"verify_sample": 200}
        report = asyncio.run(awaited(**options)) if kind == "async" else sync(client, TABLE, state, **options)
        found = report.known_verification
        assert found is not None
        assert [(item.index, item.fields) for item in found.missing] == [(7, ("firstName",)), (9, ())]
        assert (report.requests, report.unchanged, report.distrusted, found.arrived) == (0, 200, 2, 198)
        assert "200 profiles were read back, 2 of them are not as they should be" in report.to_text()
        assert report.to_dict()["known_verification"]["missing"][0]["index"] == 7
        again = sync(client, TABLE, state, verify_sample=200)
        assert (again.changed, again.unchanged, again.distrusted) == (2, 198, 0)
        sandbox.drain()
        assert client.profiles.find("by-custom-id", "c-7").first_name == "Anna"
        assert sync(client, TABLE, state).requests == 0


def test_what_was_sent_is_read_back(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """Rows that were accepted and did not arrive are sent again by the next run; the others are known."""
    sync(client, TABLE[:150], state)
    sandbox.faults.status(202, operation="profiles.upsert_batch")  # and nothing is written
    report = sync(client, TABLE, state, verify_sample=50)
    sandbox.faults.clear()
    assert report.sent.verification is not None
    assert (len(report.sent.verification.missing), report.distrusted) == (50, 50)
    assert report.known_verification is not None
    assert report.known_verification.arrived == 50
    assert sync(client, TABLE, state).changed == 50
    assert sync(client, TABLE, state).requests == 0


def test_a_sample_is_drawn_from_all_unchanged_rows(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """Wherever a row stands in the table, and in whatever order that comes, it may be drawn."""
    rows = TABLE[:40]
    sync(client, rows, state)
    client.bulk.upsert_profiles({**row, "firstName": "Other"} for row in rows).raise_for_rejected()
    sandbox.drain()
    timing = Timing(random=random.Random(3).random)
    drawn: set[str] = set()
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=timing) as chosen:
        for number, table in enumerate((rows, rows[::-1]) * 5):
            copied = shutil.copy(state, state.with_suffix(f".{number}"))
            report = sync(chosen, table, Path(copied), verify_sample=20)
            assert report.known_verification is not None
            assert (report.known_verification.sample, report.distrusted) == (20, 20)
            drawn |= {table[missing.index]["customId"] for missing in report.known_verification.missing}
        assert sync(chosen, rows, Path(copied)).changed == 20
    assert drawn == {row["customId"] for row in rows}


def test_a_row_that_is_sent_after_all_is_not_read_back_as_known(client: Synerise, state: Path) -> None:
    """Where a later row of its key is sent, an unchanged row is not what the profile should be."""
    sync(client, TABLE, state)
    report = sync(client, [*TABLE, {"customId": "c-3", "firstName": "Ewa"}], state, verify_sample=1000)
    assert report.known_verification is not None
    assert (report.known_verification.sample, report.distrusted) == (199, 0)


def test_a_sample_of_nothing(client: Synerise, state: Path) -> None:
    """A first night has nothing that is known, and a night without changes nothing that was sent."""
    first = sync(client, TABLE[:20], state, verify_sample=5)
    assert first.known_verification is not None
    assert (first.known_verification.sample, first.distrusted) == (0, 0)
    second = sync(client, TABLE[:20], state, verify_sample=5)
    assert second.known_verification is not None
    assert (second.known_verification.sample, second.known_verification.arrived, second.distrusted) == (5, 5, 0)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_deleted_profile_that_is_still_there_is_deleted_again(
    sandbox: Sandbox, state: Path, tmp_path: Path, kind: str
) -> None:
    """It is known again, with the fields that were sent; where it is in the source again, its row is sent."""
    options = {**DELETE, "audit": tmp_path / "audit.jsonl"}

    async def awaited(table: Any) -> DeltaReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
            return await opened.delta_sync.profiles(table, key="customId", state=state, verify_within=0, **options)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sync(client, TABLE[:20], state, **options)
        sandbox.faults.status(202, operation="profiles.delete_by_custom_id")  # and nothing is deleted
        report = asyncio.run(awaited(TABLE[3:20])) if kind == "async" else sync(client, TABLE[3:20], state, **options)
        sandbox.faults.clear()
        assert (report.gone, report.not_deleted) == (3, 3)
        assert "3 deleted profiles still there when looked for" in report.to_text()
        back = {"customId": "c-0", "firstName": "Anna"}
        again = sync(client, [back, *TABLE[3:20]], state, **options)
        assert (again.known, again.changed, again.cleared, again.gone) == (20, 1, {"attributes.points": 1}, 2)
        assert (again.not_deleted, again.gone_sent and again.gone_sent.accepted) == (0, 2)
        sandbox.drain()
        for key in ("c-1", "c-2"):
            with pytest.raises(NotFoundError):
                client.profiles.find("by-custom-id", key)
        assert sync(client, [back, *TABLE[3:20]], state, **options).known == 18


def test_the_page_shows_what_was_read_back(client: Synerise, sandbox: Sandbox, state: Path, tmp_path: Path) -> None:
    """Unchanged rows that are not as they should be, and deleted profiles that are still there."""
    options = {**DELETE, "audit": tmp_path / "audit.jsonl"}
    sync(client, TABLE[:20], state, **options)
    change(client, "c-7")
    sandbox.drain()
    sandbox.faults.status(202, operation="profiles.delete_by_custom_id")
    report = sync(client, TABLE[1:20], state, **options)
    report.state_problem = "the disk is <full>"
    report.write_html(tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for text in (
        "Read back: unchanged rows",
        "<dt>stored as sent</dt><dd>18</dd>",
        "<dt>sent again by the next run</dt><dd>1</dd>",
        "<dt>deleted again by the next run</dt><dd>1</dd>",
        "the disk is &lt;full&gt;",
    ):
        assert text in page
