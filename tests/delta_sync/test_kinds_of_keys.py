"""A key is what is written as JSON: of whatever type it is given, its row is learned and found again."""

from __future__ import annotations

import asyncio
import enum
import uuid
from collections import UserString
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.delta_sync import DeltaReport
from synerise_profiles.sandbox import Sandbox

FOUND = ("new", "changed", "unchanged", "gone")
KINDS: dict[str, tuple[str, Callable[[int], Any]]] = {
    "uuid": ("customId", lambda n: uuid.UUID(int=n)),
    "enum": ("customId", lambda n: enum.Enum(f"Key{n}", {"A": f"v{n}"})["A"]),
    "enum of a uuid": ("customId", lambda n: enum.Enum(f"Key{n}", {"A": uuid.UUID(int=n)})["A"]),
    "str enum": ("customId", lambda n: enum.StrEnum(f"Key{n}", {"A": f"v{n}"})["A"]),
    "int enum": ("clientId", lambda n: enum.IntEnum(f"Key{n}", {"A": n + 1})["A"]),
    "user string": ("customId", lambda n: UserString(f"v{n}")),
}


def counts(report: DeltaReport) -> tuple[int, ...]:
    return tuple(getattr(report, name) or 0 for name in FOUND)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_are_learned(client: Synerise, state: Path, kind: str) -> None:
    """Rows that did not change are not sent again, those that did are counted, and who is gone is found."""
    key, make = KINDS[kind]

    def night(city: str, count: int) -> DeltaReport:
        table = [{key: make(n), "city": city} for n in range(count)]
        gone = {"attributes.active": False}
        return client.delta_sync.profiles(table, key=key, state=state, keep_keys=True, gone=gone, max_gone_rate=1.0)

    assert counts(night("x", 20)) == (20, 0, 0, 0)
    assert counts(night("x", 20)) == (0, 0, 20, 0)
    assert counts(night("y", 20)) == (0, 20, 0, 0)
    assert counts(night("y", 10)) == (0, 0, 10, 10)


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_and_what_is_written_of_it_are_one(client: Synerise, state: Path, kind: str) -> None:
    """A row of a key as text or number replaces that of the key of another type, in one table and from night to night.

    What the state says of the profile is what the server has.
    """
    key, make = KINDS[kind]
    written = orjson.loads(orjson.dumps(make(0), str))

    def night(*table: dict[str, Any]) -> DeltaReport:
        return client.delta_sync.profiles(table, key=key, state=state)

    assert counts(night({key: written, "city": "x"})) == (1, 0, 0, 0)
    assert counts(night({key: make(0), "city": "y"})) == (0, 1, 0, 0)
    assert counts(night({key: written, "city": "x"})) == (0, 1, 0, 0)
    report = night({key: make(0), "city": "a"}, {key: written, "city": "b"}, {key: make(0), "city": "c"})
    assert report.repeated == 2
    assert counts(night({key: written, "city": "b"})) == (0, 1, 0, 0)
    assert counts(night({key: written, "city": "b"})) == (0, 0, 1, 0)


def test_the_async_client(sandbox: Sandbox, state: Path) -> None:
    """The async client learns such keys too."""

    async def nights() -> list[tuple[int, ...]]:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            table = [{"customId": uuid.UUID(int=n), "city": "x"} for n in range(20)]
            found = [await client.delta_sync.profiles(table, key="customId", state=state) for _ in range(2)]
            return [counts(report) for report in found]

    assert asyncio.run(nights()) == [(20, 0, 0, 0), (0, 0, 20, 0)]
