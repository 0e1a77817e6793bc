"""A signal's handler that raises at any moment of a run of deletions: the audit has one line for each row it took."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.bulk import Report, UnreadableRow, report_of
from synerise_profiles.bulk.settings import check_call
from tests._core.strikes import Count, PackageFiles, Strike, StruckError, shown_where_it_hangs, strike_twice
from tests.bulk.support import Clock
from tests.bulk.test_strikes import is_before_the_run, is_lost_by_python

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
UNSTRUCK = (check_call.__name__, "rows_problem")
ROWS, BAD, UNREADABLE, ABSENT = 10, 2, 6, 4
"""How many rows a run has; which one the checks refuse, which one cannot be read, and which one is not found."""


def rows() -> Iterator[Any]:
    for n in range(ROWS):
        if n == BAD:
            yield {"email": "nobody"}
        elif n == UNREADABLE:
            yield UnreadableRow("customId", "is torn")
        else:
            yield {"customId": f"c-{n}"}


class Deleting:
    """A transport that deletes profiles; those that are gone are not found."""

    def __init__(self) -> None:
        self.sent: list[int] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        n = int(request.url.path.rpartition("-")[2])
        self.sent.append(n)
        return httpx.Response(404 if n == ABSENT or self.sent.count(n) > 1 else 202)


def sync_run(server: Deleting, tracer: Any, **options: Any) -> Report:
    transport = httpx.MockTransport(server)
    with Synerise(token="t", transport=transport, _timing=Clock().timing) as client:
        delete = client.bulk.delete_profiles
        with tracer.active():
            return delete(rows(), concurrency=3, **options)


def async_run(server: Deleting, tracer: Any, **options: Any) -> Report:
    async def main() -> Report:
        transport = httpx.MockTransport(server)
        async with AsyncSynerise(token="t", transport=transport, _timing=Clock().timing) as client:
            delete = client.bulk.delete_profiles
            with tracer.active():
                return await delete(rows(), concurrency=3, **options)

    return asyncio.run(main())


Case = tuple[Callable[..., Report], type[BaseException], bool]
CASES: dict[str, Case] = {
    "sync": (sync_run, KeyboardInterrupt, False),
    "sync, journal": (sync_run, StruckError, True),
    "async": (async_run, StruckError, False),
    "async, journal": (async_run, KeyboardInterrupt, True),
}


def unstruck(case: str) -> tuple[str, ...]:
    """Return the functions that are left alone; Python 3.11 does not tell what orjson hides from its own errors."""
    return UNSTRUCK if issubclass(CASES[case][1], KeyboardInterrupt) else (*UNSTRUCK, "exact_default")


class Deletions:
    """A run of a case, with its audit."""

    def __init__(self, case: str, folder: Path, number: object) -> None:
        self._run, _, with_journal = CASES[case]
        self._server = Deleting()
        self._options: dict[str, Any] = {"audit": folder / f"{number}.jsonl"}
        if with_journal:
            self._options["journal"] = folder / f"{number}.db"

    def run(self, tracer: Any) -> None:
        self._run(self._server, tracer, **self._options)

    def check(self, caught: BaseException | None, where: str) -> None:
        """Each row that the report counts has one line, with its fate there; what has one is not deleted again."""
        report = None if caught is None else report_of(caught)
        if report is None:
            assert caught is None or is_before_the_run(where.replace("delete_profiles", "upsert_profiles")), where
            return
        rejected = {item.index: item.stage for item in report.rejected}
        assert self._lines() == {(n, rejected.get(n, "deleted")): 1 for n in range(report.read)}, where
        assert report.read == report.accepted + len(rejected), where
        if "journal" in self._options:
            self._check_journal(set(range(report.read)) - set(rejected), where)

    def _check_journal(self, accepted: set[int], where: str) -> None:
        before = len(self._server.sent)
        again = self._run(self._server, Count(()), **self._options)
        assert again.complete, where
        assert accepted.isdisjoint(self._server.sent[before:]), where
        deleted = {n: count for (n, fate), count in self._lines().items() if fate == "deleted"}
        assert set(deleted.values()) == {1}, where
        # What is not found when it is sent again counts as deleted: the answer before is not known.
        assert deleted.keys() | {ABSENT} == set(range(ROWS)) - {BAD, UNREADABLE}, where

    def _lines(self) -> Counter[tuple[int, str]]:
        audit = self._options["audit"]
        lines = audit.read_bytes().splitlines(keepends=True) if audit.exists() else []
        assert all(line.endswith(b"}\n") for line in lines)
        entries = map(orjson.loads, lines)
        return Counter((entry["row"], entry["fate"]) for entry in entries)


def strike_each(case: str, folder: Path, *, step: int, first: int = 0, function: str = "") -> int:
    """Strike a run at each moment, or at every so many, of one function or of all; return how often one was hit."""

    def strike_all() -> int:
        kind, count, hits = CASES[case][1], Count(PackageFiles()), 0
        for name, tracer in (("first", Count(())), ("count", count)):  # the first one loads what is loaded then
            Deletions(case, folder, name).run(tracer)
        targets = [target for target in count.targets() if not target[0][0].co_qualname.startswith(unstruck(case))]
        targets = [target for target in targets if target[0][0].co_qualname.startswith(function)]
        for number, target in enumerate(itertools.islice(targets, first, None, step)):
            deletions, strike = Deletions(case, folder, number), Strike(PackageFiles(), target, kind("first"))
            try:
                deletions.run(strike)
            except kind as caught:
                hits += strike.has_struck
                deletions.check(caught, strike.where)
            else:
                assert not strike.has_struck or is_lost_by_python(strike.where), strike.where
        return hits

    with shown_where_it_hangs(1200), ThreadPoolExecutor(1) as thread:
        return thread.submit(strike_all).result()


@pytest.mark.parametrize("case", list(CASES))
def test_a_handler_that_raises(case: str, tmp_path: Path) -> None:
    """At some of the moments of a run."""
    assert strike_each(case, tmp_path, step=23) > 30


@pytest.mark.parametrize(
    ("case", "function"),
    [
        ("sync", "exact_default"),
        ("sync, journal", "DeletionAudit"),
        ("sync", "AppendFile.write"),
        ("async, journal", "OutcomeRecorder._record"),
    ],
)
def test_a_handler_that_raises_in_what_writes_a_line(case: str, function: str, tmp_path: Path) -> None:
    """At each moment of it, also where orjson calls it, and where the audit is opened."""
    assert strike_each(case, tmp_path, step=1, function=function) > 3


@pytest.mark.parametrize("case", list(CASES))
def test_handlers_that_raise_one_after_the_other(case: str, tmp_path: Path) -> None:
    """The second one cuts into what the first one ended."""
    make = partial(Deletions, case, tmp_path)
    amount = {"firsts": 3, "step": 61, "start": 40}
    assert strike_twice(make, CASES[case][1], PackageFiles(), unstruck=unstruck(case), **amount) > 12


@pytest.mark.long
@pytest.mark.parametrize("first", range(2))
@pytest.mark.parametrize("case", list(CASES))
def test_a_handler_that_raises_at_length(case: str, first: int, tmp_path: Path) -> None:
    """At each moment of a run."""
    assert strike_each(case, tmp_path, step=2, first=first) > 100


@pytest.mark.long
@pytest.mark.parametrize("start", range(2))
@pytest.mark.parametrize("case", list(CASES))
def test_handlers_that_raise_one_after_the_other_at_length(case: str, start: int, tmp_path: Path) -> None:
    """After first strikes at some moments of a run, at many moments of its end."""
    make = partial(Deletions, case, tmp_path)
    amount = {"firsts": 12, "step": 13, "start": start}
    assert strike_twice(make, CASES[case][1], PackageFiles(), unstruck=unstruck(case), **amount) > 50
