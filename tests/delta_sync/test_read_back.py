"""`verify_sample`: what is not stored as it should be is told, taken out of the state, and sent by the next run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.delta_sync import DeltaReport
from synerise_profiles.sandbox import Sandbox

TABLE = [{"customId": f"c-{n}", "firstName": "Anna", "attributes": {"points": n}} for n in range(200)]


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    return client.delta_sync.profiles(table, key="customId", state=state, verify_within=0, **options)


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


def test_a_sample_is_drawn_from_all_unchanged_rows(client: Synerise, state: Path) -> None:
    """Wherever a row stands in the table, and in whatever order that comes, it may be drawn."""
    table = TABLE[::-1]
    sync(client, TABLE, state)
    change(client, "c-5")
    drawn = 0
    for _ in range(4):
        report = sync(client, table, state, verify_sample=100)
        assert report.known_verification is not None
        drawn += report.distrusted
        assert report.known_verification.sample in (99, 100)
        if drawn:
            break
    assert drawn == 1  # by chance not in one of 16 runs, which is told apart by the next assertion
    assert sync(client, table, state).changed == 1


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
