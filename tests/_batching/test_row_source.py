"""A row is taken as it was when it was yielded, also of a source that fills one object again and again."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain, islice
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


def filled_in_turn(size: int) -> Iterator[Any]:
    """Rows of so many objects, each of which is filled anew once all others were yielded."""
    rows: list[Any] = [{} if n % 2 else OrderedDict() for n in range(size)]
    for n, source in enumerate(one_dict()):
        rows[n % size].update(source)
        yield rows[n % size]


def filled_together(size: int) -> Iterator[Any]:
    """Rows of so many objects that are filled anew together, once the last one was yielded: the buffer of a driver."""
    rows: list[dict[str, Any]] = [{} for _ in range(size)]
    filled = one_dict()
    while batch := list(map(dict, islice(filled, size))):
        for row, source in zip(rows, batch, strict=False):
            row.update(source)
        yield from rows[: len(batch)]


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


@pytest.mark.parametrize("driver", ["sync", "async source"])
@pytest.mark.parametrize("size", [2, 16, 17, 31, 64, 65, 100, 128, 241, 249, 250, 251, 600])
def test_objects_that_are_filled_in_turn_lose_nothing(driver: str, size: int) -> None:
    """However many objects a source fills in turn, each row is sent as it was."""
    server = Server()
    report = run(filled_in_turn(size), server, driver, checks="off")
    assert report.accepted == COUNT
    assert {row["customId"]: row["attributes"]["n"] for row in server.stored} == {f"c{n}": n for n in range(COUNT)}


@pytest.mark.parametrize("driver", ["sync", "async source"])
@pytest.mark.parametrize("size", [16, 31, 64, 100, 200, 250, 500])
@pytest.mark.parametrize("fresh", [0, 7, 600])
def test_objects_that_are_filled_together_lose_nothing_unseen(driver: str, size: int, fresh: int) -> None:
    """Where many objects are filled anew at once, each row is sent as it was, or the run stops before it sends."""
    server, problem = Server(), ""
    rows = chain(({"customId": f"first-{n}"} for n in range(fresh)), filled_together(size))
    try:
        run(rows, server, driver, checks="off")
    except InvalidRequestError as error:
        problem = error.problem
    assert "yield a new mapping for each row" in problem or len(server.stored) == COUNT + fresh
    stored = [(row["customId"], row["attributes"]["n"]) for row in server.stored if "attributes" in row]
    assert stored == [(f"c{n}", n) for n in range(len(stored))]


@pytest.mark.parametrize("driver", ["sync", "async source"])
@pytest.mark.parametrize("size", [2, 100, 249])
def test_objects_that_are_filled_in_turn_later_stop_the_run(driver: str, size: int) -> None:
    """Where a source begins only later to fill a few objects, one of them comes twice in a block, and is lost."""
    server = Server()
    rows = chain(({"customId": f"first-{n}"} for n in range(260)), filled_in_turn(size))
    with pytest.raises(InvalidRequestError, match=r"(are one object|was changed after).*such as dict\(row\)"):
        run(rows, server, driver, checks="off")
    assert server.stored == []


@pytest.mark.parametrize("driver", ["sync", "async source"])
@pytest.mark.parametrize("fresh", [15, 16, 20, 31, 100])
def test_rows_that_are_changed_later_stop_the_run(driver: str, fresh: int) -> None:
    """Where a source begins only later to change rows after it has yielded them, nothing of what is lost is sent."""

    def rows() -> Iterator[Any]:
        yield from ({"customId": f"first-{n}"} for n in range(fresh))
        for n in range(700):
            row: dict[str, Any] = {"customId": f"c{n}", "attributes": {"n": n}}
            yield row
            row["attributes"] = {"n": -1}

    server = Server()
    with pytest.raises(InvalidRequestError, match="was changed after it was yielded, by its source or as it was read"):
        run(rows(), server, driver)
    assert server.stored == []


@pytest.mark.parametrize("late", [filled_in_turn(50), filled_in_turn(240), filled_together(40), filled_together(260)])
def test_letters_of_lost_rows_do_not_hold_what_came_later(late: Iterator[Any], tmp_path: Path) -> None:
    """A row of which the content is lost, or may be, has a dead letter that says so, and not that of another row."""
    letters = tmp_path / "letters.jsonl"
    rows = chain(({"customId": f"first-{n}"} for n in range(300)), late)
    with pytest.raises(InvalidRequestError):
        run(rows, Server(), "sync", checks="off", dead_letter=letters)
    found = list(read_dead_letter(letters))
    names = [letter["row"]["customId"] for letter in found if "customId" in letter["row"]]
    assert sorted(set(names)) == sorted(names)
    assert sum("lost, since the source" in letter["reason"] for letter in found) == len(found) - len(names) > 0


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
