"""Two handlers of signals that raise, one after the other, in an export: its id is told, and its file is whole."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.error_chain import related_errors
from tests._core.cancellations import WAYS, awaited, cancel_twice
from tests._core.strikes import Count, PackageFiles, StruckError, is_of_the_test, let_go, strike_twice
from tests.exports.support import Clock, Server, numbered, order

OLD = b"what was there before\n"
UNSTRUCK = ("_check_order", "ExportRequest", "ExportSettings", "order_export", "_check_fields")
"""What is done before anything is sent."""


class Exporting:
    """An export that is ordered, waited for and written to a file, by one of the writers."""

    def __init__(self, folder: Path, number: int, form: str, *, is_async: bool) -> None:
        # The second page brings a column, for which the file is rewritten.
        self._records = [record | ({"late": "x"} if n > 3 else {}) for n, record in enumerate(numbered(6))]
        self._server = Server(self._records, statuses=("RUNNING", "COMPLETED"), cap=3)
        self._form, self._is_async = form, is_async
        transport = httpx.MockTransport(self._server)
        self._options: dict[str, Any] = {"token": "t", "transport": transport, "_timing": Clock().timing}
        self._path = folder / f"{number}" / "records"
        self._path.parent.mkdir()
        self._path.write_bytes(OLD)
        self._export: Any = None

    def run(self, tracer: Any) -> None:
        if self._is_async:
            return asyncio.run(self._run_async(tracer))
        with Synerise(**self._options) as client:
            start = client.exports.run
            with tracer.active():
                export = self._export = start(order())
                getattr(export, f"write_{self._form}")(self._path)
        return None

    async def work(self) -> None:
        await self._run_async(Count(()), transport=awaited(self._server))

    async def _run_async(self, tracer: Any, **options: Any) -> None:
        async with AsyncSynerise(**self._options | options) as client:
            start = client.exports.run
            with tracer.active():
                export = self._export = await start(order())
                await getattr(export, f"write_{self._form}")(self._path)

    def check(self, caught: BaseException | None, where: str) -> None:
        assert caught is None or is_of_the_test(caught), where
        seen = self._server.seen
        assert sum(line.startswith("POST") for line in seen) <= 1, where
        if caught is not None and any("status" in line for line in seen) and self._export is None:
            notes = [note for error in related_errors(caught) for note in getattr(error, "__notes__", ())]
            assert any("t-1" in note for note in notes), where
        let_go(caught)
        if self._path.read_bytes() != OLD:
            self._check_file(where)
        assert [name.name for name in self._path.parent.iterdir()] == ["records"], where
        self._server.statuses = ["COMPLETED"]
        self.run(Count(()))
        self._check_file(where)

    def _check_file(self, where: str) -> None:
        lines = self._path.read_bytes().splitlines()
        if self._form == "jsonl":
            assert [orjson.loads(line) for line in lines] == self._records, where
        else:
            assert (len(lines), lines[0].split(b",")[-1], lines[-1].split(b",")[-1]) == (7, b"late", b"x"), where
            assert len({line.count(b",") for line in lines}) == 1, where


CASES = pytest.mark.parametrize(
    ("form", "is_async"), [("csv", False), ("jsonl", False), ("csv", True)], ids=["csv", "jsonl", "async"]
)


def strikes(folder: Path, kind: type[BaseException], form: str, *, is_async: bool, firsts: int, step: int) -> int:
    def make(number: int) -> Exporting:
        return Exporting(folder, number, form, is_async=is_async)

    return strike_twice(make, kind, PackageFiles(), firsts=firsts, step=step, unstruck=UNSTRUCK)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@CASES
def test_handlers_that_raise_one_after_the_other(tmp_path: Path, form: str, *, is_async: bool) -> None:
    """The file is the old one or the whole new one, nothing stands beside it, and the id of the task is told."""
    assert strikes(tmp_path, KeyboardInterrupt, form, is_async=is_async, firsts=30, step=37) > 20


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, StruckError])
@CASES
def test_handlers_that_raise_one_after_the_other_at_length(
    tmp_path: Path, kind: type[BaseException], form: str, *, is_async: bool
) -> None:
    assert strikes(tmp_path, kind, form, is_async=is_async, firsts=150, step=11) > 500


@pytest.mark.parametrize("way", WAYS)
def test_cancelled_twice(tmp_path: Path, way: str) -> None:
    """The file is the old one or the whole new one, nothing stands beside it, and the id of the task is told."""
    assert cancel_twice(lambda number: Exporting(tmp_path, number, "csv", is_async=True), way, step=3) > 6
