"""Every row that a source gave has its fate in the report, also those that a run had read and not come to."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError
from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles.bulk import BulkStoppedError, report_of
from tests.bulk.support import fates
from tests.bulk.test_endings import Stored, async_run, ended_by, sync_run, trio_run
from tests.bulk.test_engine import number, profile


class RaisedError(Exception):
    """What a caller's function raises."""


class Given:
    """A source that counts its rows; `broken` of them the checks refuse."""

    def __init__(self, count: int, broken: Callable[[int], bool] = lambda _: False) -> None:
        self.given = 0
        self._count, self._broken = count, broken

    def row(self, n: int) -> Any:
        self.given += 1
        return {"city": "nameless"} if self._broken(n) else profile(n)

    def __iter__(self) -> Iterator[Any]:
        return map(self.row, range(self._count))

    async def slowly(self) -> AsyncIterator[Any]:
        for n in range(self._count):
            yield self.row(n)


def raising(kind: type[BaseException], at: int) -> Callable[[Any], Any]:
    def reference(row: Any) -> Any:
        if "customId" in row and number(row) == at:
            raise kind
        return row.get("customId")

    return reference


RUNS = {"threads": sync_run, "asyncio": async_run, "trio": trio_run}


@pytest.mark.parametrize("kind", [RaisedError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("at", [0, 5, 700])
@pytest.mark.parametrize("driver", ["threads", "asyncio", "trio"])
def test_a_reference_that_raises(driver: str, at: int, kind: type[BaseException], tmp_path: Path) -> None:
    """The rest of the block has its fate, each row its letter, and the run is resumable."""
    source, server = Given(3000, lambda n: n % 50 == 49), Stored()
    letters, night = tmp_path / "letters.jsonl", tmp_path / "night.db"
    options: dict[str, Any] = {"dead_letter": letters, "journal": night}
    rows = source if driver == "threads" else source.slowly()
    with pytest.raises(kind) as caught:
        RUNS[driver](server, rows, reference=raising(kind, at), **options)
    report = ended_by(caught.value, server)
    assert report.read == source.given > at
    assert sorted(index for found in fates(report).values() for index in found) == sorted(
        set(range(source.given)) - server.rows
    )
    assert len(letters.read_bytes().splitlines()) == report.rejected_count()
    assert report.rejected[0].reference is not None or at < 50
    again = sync_run(server, Given(3000, lambda n: n % 50 == 49), **options)
    assert (again.read, again.by_stage["check"], again.by_stage["unsent"]) == (3000, 60, 0)


@pytest.mark.parametrize("at", [3, 400])
def test_rows_that_were_fetched_when_the_run_is_cancelled(at: int) -> None:
    """What an async source gave before a cancellation is told of, also where it waits for the next row."""
    source, server, all_given = Given(at), Stored(), asyncio.Event()

    async def rows() -> AsyncIterator[Any]:
        async for row in source.slowly():
            yield row
        all_given.set()
        await asyncio.sleep(3600)

    async def main() -> None:
        async with AsyncSynerise(token="t", transport=server.transport) as client:
            run = asyncio.create_task(client.bulk.upsert_profiles(rows()))
            await all_given.wait()
            run.cancel()
            await run

    with pytest.raises(asyncio.CancelledError) as caught:
        asyncio.run(main())
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.by_stage["unsent"]) == (at, at)


def test_a_row_that_comes_when_the_run_has_ended() -> None:
    """Where rows are sent as they come, one that a slow source gives after the end of the run is told of too."""
    source, answered = Given(3), 0

    def refuse(_: list[Any]) -> httpx.Response:
        nonlocal answered
        answered += 1
        return httpx.Response(403)

    def rows() -> Iterator[Any]:
        for row in source:
            yield row
            deadline = time.monotonic() + 5
            while not answered and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(0.05)

    with pytest.raises(BulkStoppedError) as caught:
        sync_run(Stored(refuse), rows(), flush_after=0.01, client={"_timing": SYSTEM_TIMING})
    report = caught.value.report
    assert (report.read, report.by_stage["unsent"]) == (source.given, source.given)
    assert source.given > 1


def test_a_row_whose_content_is_lost() -> None:
    """Rows of an object that was filled anew are told of, without what they held."""
    row: dict[str, Any] = {}

    def rows() -> Iterator[Any]:
        yield from map(profile, range(20))
        for n in (20, 20, 21):
            row.clear()
            row.update(profile(n))
            yield row

    with pytest.raises(InvalidRequestError, match="one object") as caught:
        sync_run(Stored(), rows())
    report = report_of(caught.value)
    assert report is not None
    assert report.read == 23
    assert [rejection.index for rejection in report.rejected if "is lost" in rejection.reason] == [20, 21, 22]
