"""A value that can be read only once is refused with its field on every road, and none comes out empty."""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise, events
from synerise_profiles.sandbox import Sandbox


class Popped(Mapping[str, Any]):
    """A record whose values are gone once they were read."""

    def __init__(self) -> None:
        self._data = {"k": 1}

    def __getitem__(self, key: str) -> Any:
        return self._data.pop(key)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._data))

    def __len__(self) -> int:
        return len(self._data)


class Streamed(Mapping[str, Any]):
    """A record that can be iterated over once."""

    def __init__(self) -> None:
        self._keys = iter(["k"])

    def __getitem__(self, key: str) -> Any:
        return {"k": 1}[key]

    def __iter__(self) -> Iterator[str]:
        return self._keys

    def __len__(self) -> int:
        return 1


class Short(Streamed):
    """A record that says that it has more than it has."""

    def __iter__(self) -> Iterator[str]:
        return iter(["k"])

    def __len__(self) -> int:
        return 2


class Endless(Short):
    """A record that comes to no end."""

    def __iter__(self) -> Iterator[str]:
        while True:
            yield "k"


class Computed(Short):
    """A record whose values are made when they are read, each time other ones."""

    reads = 0

    def __len__(self) -> int:
        return 1

    def __getitem__(self, key: str) -> Any:
        self.reads += 1
        return self.reads


KINDS: dict[str, Callable[[], Any]] = {
    "popped": Popped,
    "streamed": Streamed,
    "short": Short,
    "endless": Endless,
    "generator": lambda: (n for n in range(2)),
    "iterator": lambda: iter([1]),
    "map": lambda: map(str, [1]),
    "zip": lambda: zip([1], [2], strict=True),
}
ROW = "odd"


def row(value: Any) -> dict[str, Any]:
    return {"customId": ROW, "attributes": {"v": value}}


def others(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"customId": f"c{n}", **more} for n in range(count)]


def source(make: Callable[[], Any], before: int) -> Iterator[dict[str, Any]]:
    yield from others(before)
    yield row(make())
    yield from others(9)


async def in_async(sandbox: Sandbox, rows: Iterable[Any]) -> Any:
    async def source() -> AsyncIterator[Any]:
        for item in rows:
            yield item

    async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        return await client.bulk.upsert_profiles(source())


def reports(client: Synerise, sandbox: Sandbox, make: Callable[[], Any], folder: Path) -> Iterator[Any]:
    """Yield the report of each kind of run, with fresh values."""
    send = client.bulk.upsert_profiles
    yield send([row(make())])
    yield send([*others(11), row(make())])
    yield send([*others(11), row(make()), {"customId": 5}, {"first_name": "slip"}])
    yield send([*others(11, attributes={"t": datetime.date(2026, 1, 1)}), row(make()), {"customId": "n", "city": None}])
    for checks in ("strict", "off"):
        yield send([*others(11), row(make())], checks=checks)
    for before in (0, 3, 20, 40):
        yield send(source(make, before))
        yield asyncio.run(in_async(sandbox, source(make, before)))
    yield send(source(make, 3), flush_after=60)
    for name, rows in (("list", list(source(make, 3))), ("generator", source(make, 300))):
        yield client.delta_sync.profiles(rows, key="customId", state=folder / name).sent


@pytest.mark.parametrize("kind", KINDS)
def test_runs(client: Synerise, sandbox: Sandbox, tmp_path: Path, kind: str) -> None:
    """It costs its row, wherever that stands, and ends no run."""
    for number, report in enumerate(reports(client, sandbox, KINDS[kind], tmp_path)):
        found = [(item.field, "only once" in item.reason) for item in report.rejected if item.field == "attributes.v"]
        assert found == [("attributes.v", True)], (number, report.rejected)


@pytest.mark.parametrize("kind", KINDS)
def test_calls(client: Synerise, kind: str) -> None:
    """A call, a queue and a builder refuse it likewise."""
    make, builder = KINDS[kind], client.builder()
    with client.queue() as queue:
        for send in (
            lambda: client.profiles.upsert(row(make())),
            lambda: client.profiles.upsert_batch([row(make())]),
            lambda: queue.profiles.put(row(make())),
            lambda: events.custom(client={"customId": "c"}, action="a.b", params={"v": make()}),
            lambda: builder.custom(client={"customId": "c"}, action="a.b", params={"v": make()}),
        ):
            with pytest.raises(InvalidRequestError, match="only once") as caught:
                send()
            assert caught.value.field.endswith(".v")


@pytest.mark.parametrize("make", [Popped, Streamed, Short, Endless])
@pytest.mark.parametrize("before", [0, 20, 40])
def test_a_row_itself(client: Synerise, make: Callable[[], Any], before: int) -> None:
    """A row that is such a mapping is refused too, from a list and from a generator."""
    for rows in ([*others(before), make()], iter([*others(before), make()])):
        report = client.bulk.upsert_profiles(rows, checks="off")
        assert ["only once" in item.reason for item in report.rejected] == [True]
        assert report.accepted == before


@pytest.mark.parametrize("before", [0, 3, 20, 40])
def test_what_is_computed_is_read_once(client: Synerise, sandbox: Sandbox, before: int) -> None:
    """A source that makes values as they are read is asked once, so that all roads send the same."""
    assert client.bulk.upsert_profiles(source(Computed, before)).accepted == before + 10
    sandbox.drain()
    assert client.profiles.find("by-custom-id", ROW).attributes["v"] == {"k": 1}  # how often it was asked
