"""Keys that come twice in each night's table: the last row wins, and what did not change is not sent again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.delta_sync import DeltaReport
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv


def row(key: str, name: str, **fields: Any) -> dict[str, Any]:
    return {"customId": key, "firstName": name, **fields}


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    return client.delta_sync.profiles(table, key="customId", state=state, **options)


def counts(report: Any) -> tuple[int, ...]:
    assert report.read == report.new + report.changed + report.unchanged + report.held + report.invalid
    return report.new, report.changed, report.unchanged, report.repeated, report.requests


def between(count: int) -> list[dict[str, Any]]:
    return [row(f"between-{n}", "Iga") for n in range(count)]


@pytest.mark.parametrize("distance", [0, 3, 2500])
@pytest.mark.parametrize("kind", ["sync", "async"])
def test_the_second_night_sends_nothing(sandbox: Sandbox, state: Path, distance: int, kind: str) -> None:
    """Whether the rows of a key stand together or far apart, a table that did not change is not sent again."""
    table = [row("a", "Anna"), row("b", "Ola"), *between(distance), row("a", "Ewa"), row("c", "Ola")]

    async def generated() -> AsyncIterator[dict[str, Any]]:
        for each in table:
            yield each

    async def awaited() -> DeltaReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.delta_sync.profiles(generated(), key="customId", state=state)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        assert sync(client, table, state).sent.read == distance + 4
        for _ in range(2):
            plan = client.delta_sync.plan(table, key="customId", state=state)
            report = asyncio.run(awaited()) if kind == "async" else sync(client, table, state)
            assert counts(plan) == counts(report) == (0, 0, distance + 4, 1, 0)
            assert plan.repeated_references == report.repeated_references == [distance + 2]
        assert client.profiles.find("by-custom-id", "a").first_name == "Ewa"


def test_repeated_rows_are_named(client: Synerise, state: Path) -> None:
    """The first rows that replace an earlier one are named, known or not; ten of them."""
    table = [row(f"k-{n}", name) for name in ("Anna", "Ewa") for n in range(12)]
    for _ in range(2):
        report = sync(client, table, state)
        assert (report.repeated, report.repeated_references) == (12, list(range(12, 22)))
        assert "12 rows with the key of an earlier row, in place of that one: index 12, 13" in report.to_text()
    again = [*table[12:], *table[12:14]]
    assert sync(client, again, state).repeated_references == [12, 13]


def test_rows_of_a_file_are_named_by_their_lines(client: Synerise, state: Path, tmp_path: Path) -> None:
    """Repeated rows and empty cells are known as refused rows are: by the line."""
    path = tmp_path / "table.csv"
    mapping = RowMapping.for_profiles({"id": "customId", "town": "city"})
    for town in ("Hel", ""):
        path.write_text(f"id,town\na,Hel\nb,{town}\na,Hel\n,Hel\n")
        plan = client.delta_sync.plan(read_csv(path, mapping), key="customId", state=state)
        report = sync(client, read_csv(path, mapping), state)
        for found in (plan, report):
            assert found.repeated_references == [4]
            assert "in place of that one: line 4" in found.to_text()
            assert found.cleared_references == ([] if town else [3])
            assert [rejection.reference for rejection in found.sent.rejected] == [5]


def test_the_last_row_changes(client: Synerise, state: Path) -> None:
    """Where the last row of a key changes it is sent alone, as it replaces the others."""
    table = [row("a", "Anna"), row("a", "Ola"), row("a", "Ewa")]
    sync(client, table, state)
    table[2] = row("a", "Iga")
    assert counts(sync(client, table, state)) == (0, 1, 2, 2, 1)
    assert client.profiles.find("by-custom-id", "a").first_name == "Iga"
    assert counts(sync(client, table, state)) == (0, 0, 3, 2, 0)


def test_an_earlier_row_changes(client: Synerise, state: Path) -> None:
    """Where the last row of a key is as confirmed, nothing is sent for it, whatever stands before."""
    sync(client, [row("a", "Anna"), row("a", "Ewa")], state)
    assert counts(sync(client, [row("a", "Iga"), row("a", "Ewa")], state)) == (0, 0, 2, 1, 0)
    assert client.profiles.find("by-custom-id", "a").first_name == "Ewa"


def test_the_order_is_turned(client: Synerise, state: Path) -> None:
    """Where the row that was confirmed comes first, the other one is the last, and is sent."""
    sync(client, [row("a", "Anna"), row("a", "Ewa")], state)
    assert counts(sync(client, [row("a", "Ewa"), row("a", "Anna")], state)) == (0, 1, 1, 1, 1)
    assert client.profiles.find("by-custom-id", "a").first_name == "Anna"


def test_the_last_row_is_left_out(client: Synerise, state: Path) -> None:
    """A key that came twice and comes once is sent as it is."""
    sync(client, [row("a", "Anna"), row("a", "Ewa")], state)
    assert counts(sync(client, [row("a", "Anna")], state)) == (0, 1, 0, 0, 1)
    assert client.profiles.find("by-custom-id", "a").first_name == "Anna"
    assert counts(sync(client, [row("a", "Anna")], state)) == (0, 0, 1, 0, 0)


def test_a_source_that_breaks_off(client: Synerise, state: Path) -> None:
    """A row that waits for the last one of its key when the source breaks off changes nothing."""
    table = [row("a", "Anna"), *between(2500), row("a", "Ewa")]
    sync(client, table, state)

    def broken() -> Iterator[dict[str, Any]]:
        yield row("a", "Iga")
        yield from between(2500)
        raise OSError("the connection was lost")

    with pytest.raises(OSError, match="lost"):
        sync(client, broken(), state)
    assert client.profiles.find("by-custom-id", "a").first_name == "Ewa"
    assert counts(sync(client, table, state)) == (0, 0, 2502, 1, 0)


def test_a_refused_row_before_the_last_one(client: Synerise, state: Path) -> None:
    """Where the server refuses an earlier row, the last one is known, and none is sent again."""
    table = [row("a", "Anna", birthDate="1990-13-45"), row("a", "Ewa")]
    assert sync(client, table, state, checks="off").sent.by_stage["server"] == 1
    assert counts(sync(client, table, state, checks="off")) == (0, 0, 2, 1, 0)


def test_a_field_that_the_last_row_has_not(client: Synerise, state: Path) -> None:
    """The last row wins as a whole: what an earlier one says beside it is told as an empty cell each night."""
    table = [row("a", "Anna", city="Gdynia"), row("a", "Ewa")]
    for _ in range(2):
        assert sync(client, table, state).cleared == {"city": 1}
    report = sync(client, table, state, cleared="null", allow_null={"city"})
    assert (report.sent.read, client.profiles.find("by-custom-id", "a").city) == (1, None)
    assert sync(client, table, state, cleared="null", allow_null={"city"}).requests == 0


def test_known_gone_and_repeated(client: Synerise, state: Path) -> None:
    """A key of which a row waits is there; one that is gone is forgotten with what is known of its rows."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 1.0}
    sync(client, [row("a", "Anna"), row("a", "Ewa"), row("b", "Ola")], state, **options)
    report = sync(client, [row("a", "Iga")], state, **options)
    assert (report.changed, report.gone) == (1, 1)
    assert sync(client, [row("b", "Ola")], state, **options).gone == 1
    assert counts(sync(client, [row("b", "Ola")], state, **options)) == (0, 0, 1, 0, 0)
