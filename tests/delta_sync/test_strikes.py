"""Two handlers of signals that raise, one after the other, in a delta sync: the state is true, and it goes on."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.delta_sync import DeltaReport, report_of
from tests._core.cancellations import WAYS, awaited, cancel_twice
from tests._core.strikes import Count, PackageFiles, StruckError, is_of_the_test, let_go, strike_twice
from tests.bulk.support import Clock

BEFORE = [{"customId": f"c{n}", "attributes": {"x": n}} for n in range(12)]
AFTER = [
    *({"customId": f"c{n}", "attributes": {"x": n if n % 3 else "x" * 60_000}} for n in range(1, 10)),
    {"customId": "bad", "attributes": {"x": float("nan")}},
    {"customId": "new", "attributes": {"x": 1}},
]
GONE = {"c0", "c10", "c11"}
UNSTRUCK = ("check_call", "rows_problem", "DeltaRun.open", "_check_files", "refuse_", "state_target")
"""Functions that check arguments, before there is a run."""


class Stored(dict[str, Any]):
    """A transport that stores rows."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        for item in orjson.loads(request.content):
            self.setdefault(item["customId"], {}).update(item["attributes"])
        return httpx.Response(202)


def arguments_of(server: Stored, state: Path, options: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the arguments of a client, and those of a run."""
    client = {"token": "t", "transport": httpx.MockTransport(server), "_timing": Clock().timing}
    given = {"key": "customId", "state": state, "gone": {"attributes.active": False}, "max_gone_rate": 1.0}
    return client, given | {"keep_keys": True, "fields": True} | options


def sync(
    server: Stored, state: Path, rows: list[dict[str, Any]], tracer: Any, *, is_async: bool, **options: Any
) -> DeltaReport:
    if is_async:
        return asyncio.run(sync_async(server, state, rows, tracer, **options))
    of_client, of_run = arguments_of(server, state, options)
    with Synerise(**of_client) as client:
        profiles = client.delta_sync.profiles
        with tracer.active():
            return profiles(rows, **of_run)


async def sync_async(
    server: Stored, state: Path, rows: list[dict[str, Any]], tracer: Any, transport: Any = None, **options: Any
) -> DeltaReport:
    of_client, of_run = arguments_of(server, state, options)
    async with AsyncSynerise(**of_client | ({} if transport is None else {"transport": transport})) as client:
        profiles = client.delta_sync.profiles
        with tracer.active():
            return await profiles(rows, **of_run)


class Syncing:
    """The second night of a table."""

    def __init__(self, folder: Path, number: int, *, is_async: bool) -> None:
        self._folder, self._is_async = folder / str(number), is_async
        self._folder.mkdir()
        first, self._server = folder / "first.state", Stored()
        if not first.exists():
            sync(self._server, first, BEFORE, Count(()), is_async=False)
        self._server.update({row["customId"]: dict(row["attributes"]) for row in BEFORE})
        self._state = shutil.copy(first, self._folder / "customers.state")
        self._options = {"dead_letter": self._folder / "letters.jsonl"}

    def run(self, tracer: Any) -> None:
        sync(self._server, self._state, AFTER, tracer, is_async=self._is_async, **self._options)

    async def work(self) -> None:
        transport = awaited(self._server)
        await sync_async(self._server, self._state, AFTER, Count(()), transport, **self._options)

    def check(self, caught: BaseException | None, where: str) -> None:
        assert caught is None or is_of_the_test(caught), where
        if caught is not None:
            self._check_report(report_of(caught), where)
        let_go(caught)
        again = sync(self._server, self._state, AFTER, Count(()), is_async=self._is_async, **self._options)
        assert (again.sent.complete, again.state_problem, again.gone_problem) == (True, None, None), where
        expected = {row["customId"]: row["attributes"] for row in (*BEFORE, *AFTER)}
        expected |= {key: expected[key] | {"active": False} for key in GONE}
        expected.pop("bad")
        assert self._server == expected, where
        third = sync(self._server, self._state, AFTER, Count(()), is_async=self._is_async, **self._options)
        assert (third.new, third.changed, third.unchanged, third.requests) == (0, 0, 10, 0), where
        letters = self._options["dead_letter"].read_bytes().splitlines()
        assert [orjson.loads(line)["reference"] for line in letters] == [9], where
        assert {path.name for path in self._folder.iterdir()} <= {"customers.state", "letters.jsonl"}, where

    def _check_report(self, report: DeltaReport | None, where: str) -> None:
        if report is None:  # it came before the first row
            assert "active" not in self._server["c0"], where
            assert "new" not in self._server, where
            return
        found = report.new + report.changed + report.unchanged + report.held + report.invalid
        assert found <= report.read, where  # the others were not compared yet
        for sent in (report.sent, report.gone_sent):
            if sent is not None:
                assert sent.read == sent.accepted + sent.rejected_count() == sent.accepted + len(sent.rejected), where


CASES = pytest.mark.parametrize("is_async", [False, True], ids=["sync", "async"])


def strikes(folder: Path, kind: type[BaseException], *, is_async: bool, firsts: int, step: int) -> int:
    def make(number: int) -> Syncing:
        return Syncing(folder, number, is_async=is_async)

    return strike_twice(make, kind, PackageFiles(), firsts=firsts, step=step, unstruck=UNSTRUCK)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@CASES
def test_handlers_that_raise_one_after_the_other(tmp_path: Path, *, is_async: bool) -> None:
    """The state knows no row that was not confirmed, and the next run sends what is left."""
    assert strikes(tmp_path, KeyboardInterrupt, is_async=is_async, firsts=3, step=301) > 6


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, StruckError])
@CASES
def test_handlers_that_raise_one_after_the_other_at_length(
    tmp_path: Path, kind: type[BaseException], *, is_async: bool
) -> None:
    assert strikes(tmp_path, kind, is_async=is_async, firsts=60, step=29) > 500


@pytest.mark.parametrize("way", WAYS)
def test_cancelled_twice(tmp_path: Path, way: str) -> None:
    """The state knows no row that was not confirmed, and the next run sends what is left."""
    assert cancel_twice(lambda number: Syncing(tmp_path, number, is_async=True), way, step=5) > 6
