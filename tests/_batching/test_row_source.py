"""A row is taken as it was when it was yielded, also of a source that fills one object again and again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._batching.row_source import rows_are_fixed
from synerise_profiles.bulk import Report, read_dead_letter
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.models import ProfileBatchItem
from tests.bulk.support import Clock, Server

COUNT = 1500


def one_dict() -> Iterator[Any]:
    row: dict[str, Any] = {}
    for n in range(COUNT):
        row["customId"] = f"c{n}"
        row["birthDate"] = 17 if n % 500 == 3 else "1987-10-24"
        row["attributes"] = {"n": n}
        yield row


def one_mapping() -> Iterator[Any]:
    row: OrderedDict[str, Any] = OrderedDict()
    for source in one_dict():
        row.update(source)
        yield row


def one_model() -> Iterator[Any]:
    row = ProfileBatchItem()
    for source in one_dict():
        row.custom_id, row.birth_date = source["customId"], source["birthDate"]
        row.attributes = source["attributes"]
        yield row


def two_in_turn() -> Iterator[Any]:
    rows: list[dict[str, Any]] = [{}, {}]
    for n, source in enumerate(one_dict()):
        rows[n % 2].update(source)
        yield rows[n % 2]


def marked_afterwards() -> Iterator[Any]:
    for source in one_dict():
        row = dict(source)
        yield row
        row["city"] = "sent"


async def as_async(rows: Iterable[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


def run(rows: Iterable[Any], server: Server, driver: str, **options: Any) -> Report:
    def client(kind: Any) -> Any:
        return kind(token="t", transport=server.transport(), _timing=Clock().timing)

    async def run_async() -> Report:
        async with client(AsyncSynerise) as opened:
            report: Report = await opened.bulk.upsert_profiles(
                as_async(rows) if driver == "async source" else rows, **options
            )
            return report

    if driver != "sync":
        return asyncio.run(run_async())
    with client(Synerise) as opened:
        report: Report = opened.bulk.upsert_profiles(rows, **options)
        return report


DRIVERS = ["sync", "async", "async source"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("source", [one_dict, one_mapping, one_model, two_in_turn, marked_afterwards])
@pytest.mark.parametrize("checks", ["strict", "off"])
def test_each_row_is_taken_when_it_is_yielded(
    source: Callable[[], Iterator[Any]], driver: str, checks: str, tmp_path: Path
) -> None:
    """What is sent, what is reported and what is written to the dead letters is each row as it was."""
    server = Server()
    letters = tmp_path / "letters.jsonl"
    bad = [3, 503, 1003] if checks == "strict" else []

    def reference(row: Any) -> Any:
        return row.custom_id if isinstance(row, ProfileBatchItem) else row["customId"]

    report = run(source(), server, driver, checks=checks, dead_letter=letters, reference=reference)
    stored = {row["customId"]: row["attributes"]["n"] for row in server.stored}
    assert stored == {f"c{n}": n for n in range(COUNT) if n not in bad}
    assert not any("city" in row for row in server.stored)
    assert [(item.index, item.reference) for item in report.rejected] == [(n, f"c{n}") for n in bad]
    assert [letter["row"]["customId"] for letter in read_dead_letter(letters)] == [f"c{n}" for n in bad]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_row_stops_the_run(driver: str) -> None:
    """Where a source begins to fill one object only later, nothing of the block with the lost row is sent."""

    def rows() -> Iterator[Any]:
        for n in range(40):
            yield {"customId": f"first-{n}"}
        yield from one_dict()

    server = Server()
    with pytest.raises(InvalidRequestError, match=r"rows 40 and 41 are one object.*such as dict\(row\)"):
        run(rows(), server, driver)
    assert server.stored == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_lost_row_at_the_end_stops_the_run(driver: str) -> None:
    """So it does where the source ends before it can be seen to change."""

    def rows() -> Iterator[Any]:
        for n in range(40):
            yield {"customId": f"first-{n}"}
        row: dict[str, Any] = {}
        for n in range(5):
            row["customId"] = f"c{n}"
            yield row

    server = Server()
    with pytest.raises(InvalidRequestError, match="rows 40 and 41 are one object"):
        run(rows(), server, driver)
    assert server.stored == []


@pytest.mark.parametrize("driver", DRIVERS)
def test_an_object_that_stays_the_same_may_come_again(driver: str) -> None:
    """Rows that are taken from a few objects which nobody changes are sent as often as they come."""
    few = [{"customId": f"c{n}"} for n in range(30)]
    server = Server()
    report = run((few[n % 7 if n < 100 else n % 30] for n in range(400)), server, driver, ordered=False)
    assert report.accepted == len(server.stored) == 400
    again = run([few[0]] * 50 + few * 3, Server(), "sync" if driver == "async source" else driver)
    assert again.accepted == 140


class _Fixed:
    """A source that says that its rows are fixed, so that they are read in blocks from the first one on."""

    def __init__(self, *, rows_are_fixed: Any) -> None:
        self.rows_are_fixed = rows_are_fixed

    def check(self, operation: Any) -> None: ...

    def locate(self, index: int) -> Any: ...

    def __iter__(self) -> Iterator[Any]:
        return one_dict()


def test_who_says_that_rows_are_fixed() -> None:
    """A list and a tuple are; a source that says so is taken at its word; anything else is looked at."""
    assert all(map(rows_are_fixed, ([], (), _Fixed(rows_are_fixed=True))))
    assert not any(map(rows_are_fixed, (iter([]), {}, "text", _Fixed(rows_are_fixed=False), _Fixed(rows_are_fixed=1))))
