"""A signal's handler that raises at any moment of a run: the report exists, its sums are true, and it is resumable."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.bulk import Report, report_of
from synerise_profiles.bulk.settings import check_call
from tests._core.strikes import Count, PackageFiles, Strike, StruckError, shown_where_it_hangs, strike_twice
from tests.bulk.support import Clock

UNSTRUCK = (check_call.__name__, "rows_problem")
"""Functions that check arguments, before there is a run."""
ROWS, BAD = 24, {3, 17}
"""How many rows the runs have, and which of them the checks refuse."""
STRUCK = {"first", "second"}
"""The texts of what handlers raise."""


def row(n: int) -> dict[str, Any]:
    if n in BAD:
        return {"city": "nameless"}
    return {"customId": f"c{n}", "attributes": {"x": "x" * (60_000 if n % 2 else 3)}}


class Stored:
    """A transport that stores rows."""

    def __init__(self) -> None:
        self.rows: set[int] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.rows.update(int(item["customId"][1:]) for item in orjson.loads(request.content))
        return httpx.Response(202)


def given(kind: str) -> Any:
    """The rows, as a list, a generator, one that breaks off, or an async generator."""

    def rows(count: int) -> Iterator[dict[str, Any]]:
        yield from map(row, range(count))
        if count < ROWS:
            raise OSError("the cursor is lost")

    async def async_rows() -> AsyncIterator[dict[str, Any]]:
        for n in range(ROWS):
            yield row(n)
            if n % 4 == 0:
                await asyncio.sleep(0)

    if kind == "async generator":
        return async_rows()
    return [row(n) for n in range(ROWS)] if kind == "list" else rows(ROWS - 5 if kind == "broken" else ROWS)


def sync_run(server: Stored, kind: str, tracer: Any, **options: Any) -> Report:
    arguments: dict[str, Any] = {"token": "t", "transport": httpx.MockTransport(server), "_timing": Clock().timing}
    with Synerise(**arguments) as client:
        send, rows = client.bulk.upsert_profiles, given(kind)
        with tracer.active():
            return send(rows, concurrency=3, **options)


def async_run(server: Stored, kind: str, tracer: Any, **options: Any) -> Report:
    async def main() -> Report:
        arguments: dict[str, Any] = {"token": "t", "transport": httpx.MockTransport(server), "_timing": Clock().timing}
        async with AsyncSynerise(**arguments) as client:
            send, rows = client.bulk.upsert_profiles, given(kind)
            with tracer.active():
                return await send(rows, concurrency=3, **options)

    return asyncio.run(main())


@pytest.fixture(autouse=True)
def hang(request: pytest.FixtureRequest) -> Iterator[None]:
    is_long = request.node.get_closest_marker("long") is not None  # thousands of runs
    with shown_where_it_hangs(1200 if is_long else 240):
        yield


Case = tuple[Callable[..., Report], str, type[BaseException], bool]
CASES: dict[str, Case] = {
    "sync": (sync_run, "generator", StruckError, False),
    "sync, files": (sync_run, "list", KeyboardInterrupt, True),
    "sync, broken": (sync_run, "broken", SystemExit, True),
    "async": (async_run, "list", StruckError, False),
    "async, files": (async_run, "async generator", StruckError, True),
    "async, Ctrl-C": (async_run, "async generator", KeyboardInterrupt, False),
}


def options_of(folder: Path, name: object, *, with_files: bool) -> dict[str, Any]:
    if not with_files:
        return {"progress": lambda _: None, "on_settled": lambda _: None}
    return {"dead_letter": folder / f"{name}.jsonl", "journal": folder / f"{name}.db", "requests_per_second": 1e6}


def strike_everywhere(case: str, folder: Path, *, step: int, first: int = 0) -> int:
    """Run a case once for each moment, or for every so many, and strike it there; return how often it was hit.

    A strike at the end of a handler leaves its thread in that handler: no test after this one is to run there.
    """
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(_strike_each, case, folder, step, first).result()


def _strike_each(case: str, folder: Path, step: int, first: int) -> int:
    run, kind, error_type, with_files = CASES[case]
    with contextlib.suppress(OSError):  # loads what is loaded by the first run
        run(Stored(), kind, Count(()), **options_of(folder, "first", with_files=with_files))
    count = Count(PackageFiles())
    with contextlib.suppress(OSError):
        run(Stored(), kind, count, **options_of(folder, "count", with_files=with_files))
    targets = [target for target in count.targets() if not target[0][0].co_qualname.startswith(UNSTRUCK)]
    hits = 0
    for number, target in enumerate(itertools.islice(targets, first, None, step)):
        server = Stored()
        strike = Strike(PackageFiles(), target, error_type("first"))
        options = options_of(folder, number, with_files=with_files)
        try:
            run(server, kind, strike, **options)
        except (OSError, error_type) as caught:
            if strike.has_struck:
                hits += 1
                check_report(caught, server, kind, strike.where)
                if with_files:
                    check_files(run, server, kind, options, strike.where)
        else:
            assert not strike.has_struck or is_lost_by_python(strike.where), strike.where
    return hits


class Run:
    """A run of a case, and what it stored."""

    def __init__(self, case: str, folder: Path, number: int) -> None:
        self._run, self._kind, _, with_files = CASES[case]
        self._server = Stored()
        self._options = options_of(folder, f"twice {number}", with_files=with_files)

    def run(self, tracer: Any) -> None:
        self._run(self._server, self._kind, tracer, **self._options)

    def check(self, caught: BaseException | None, where: str) -> None:
        if caught is not None:
            check_report(caught, self._server, self._kind, where)
        if "journal" in self._options:
            check_files(self._run, self._server, self._kind, self._options, where)


def strike_case_twice(case: str, folder: Path, *, firsts: int, step: int, start: int = 0) -> int:
    """Run a case with a first strike at some moments, and a second one at one later moment after the other."""
    kind = CASES[case][2]
    make = partial(Run, case, folder)
    amount = {"firsts": firsts, "step": step, "start": start}
    return strike_twice(make, kind, PackageFiles(), unstruck=UNSTRUCK, given=(OSError,), **amount)


def is_lost_by_python(where: str) -> bool:
    """Whether the interpreter drops what is raised there: in a destructor, or in what only destructors call."""
    return where.endswith(("__del__", "._close_left"))


def check_report(caught: BaseException, server: Stored, kind: str, where: str) -> None:
    """The exception is a handler's own, or the source's if that came first, and its report tells each row truly."""
    assert caught.args[0] in STRUCK or (kind == "broken" and isinstance(caught, OSError)), where
    report = report_of(caught)
    assert report is not None or is_before_the_run(where), where
    if report is None:
        return
    rejected = {item.index: item for item in report.rejected}
    assert report.read == report.accepted + len(rejected), where
    assert report.rejected_count() == len(rejected), where
    assert set(range(report.read)) - set(rejected) <= server.rows, where
    assert not any("was not applied" in item.reason and n in server.rows for n, item in rejected.items()), where


def is_before_the_run(where: str) -> bool:
    """Whether a strike comes outside the run: in the method itself, and where its first helper begins.

    There the arguments are not accepted yet. An async method is resumed there too, before what it awaits is.
    """
    names = (".upsert_profiles", "Bulk._run", "Bulk.__init__", " profiles")
    return any(place.endswith(names) for place in where.split(" and "))


def check_files(run: Any, server: Stored, kind: str, options: dict[str, Any], where: str) -> None:
    """No row is lost: the same call goes on."""
    again = Stored()
    report = run(again, "generator" if kind == "broken" else kind, Count(()), **options)
    assert report.complete, where
    assert report.read == ROWS, where
    assert server.rows | again.rows == set(range(ROWS)) - BAD, where
    letters = options["dead_letter"].read_bytes().splitlines()
    assert sorted(orjson.loads(line)["index"] for line in letters) == sorted(BAD), where


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", list(CASES))
def test_a_handler_that_raises(case: str, tmp_path: Path) -> None:
    """At some hundred moments of a run, first and last, and whatever is opened, sent or closed there."""
    assert strike_everywhere(case, tmp_path, step=61) > 12


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("case", list(CASES))
def test_handlers_that_raise_one_after_the_other(case: str, tmp_path: Path) -> None:
    """The second one cuts into what the first one ended: a run is brought to its end all the same."""
    assert strike_case_twice(case, tmp_path, firsts=2, step=97, start=40) > 12


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("start", range(2))
@pytest.mark.parametrize("case", list(CASES))
def test_handlers_that_raise_one_after_the_other_at_length(case: str, start: int, tmp_path: Path) -> None:
    """After first strikes at some moments of a run, at many moments of its end."""
    assert strike_case_twice(case, tmp_path, firsts=4, step=13, start=start) > 50


@pytest.mark.skipif(sys.platform == "win32", reason="os.kill ends the process there")
@pytest.mark.parametrize("with_files", [False, True])
def test_an_impatient_user(tmp_path: Path, *, with_files: bool) -> None:
    """However often Ctrl-C comes, and whenever: the report is whole, and the letters are those that it names."""
    seen = 0
    for number in range(24):
        run, server = Impatient(count=2 + number % 5, spin=40 * number), Stored()
        options = options_of(tmp_path, number, with_files=with_files)
        error = run.interrupted(server, number % 2, options | {"on_settled": None})
        report = None if error is None else report_of(error)
        if report is not None:
            seen += 1
            rejected = {item.index: item.stage for item in report.rejected}
            assert report.read == report.accepted + len(rejected) == report.accepted + report.rejected_count()
            assert set(range(report.read)) - set(rejected) <= server.rows
            if with_files and report.read:
                letters = options["dead_letter"].read_bytes().splitlines()
                assert sorted(orjson.loads(line)["index"] for line in letters) == sorted(rejected)
    assert seen > 12


class Impatient:
    """Sends itself Ctrl-C some times, with a pause between, once a run has told its progress some times."""

    def __init__(self, count: int, spin: int) -> None:
        self._count, self._spin = count, spin
        self._thread = threading.Thread(target=self._strike)

    def _strike(self) -> None:
        for _ in range(self._count):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(self._spin):
                pass

    def interrupted(self, server: Stored, after: int, options: dict[str, Any]) -> BaseException | None:
        """Run, and return what ended it; None if it came to its end, or was struck again on its way out."""
        calls, caught = itertools.count(), list[BaseException]()

        def begin(_: object) -> None:
            if next(calls) == after:
                self._thread.start()

        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            sync_run(server, "generator", Count(()), **options | {"progress": begin})
        except KeyboardInterrupt as error:
            caught.append(error)
        finally:
            self._wait()
            signal.signal(signal.SIGINT, before)
        return caught[0] if caught else None

    def _wait(self) -> None:
        while self._thread.is_alive():
            with contextlib.suppress(KeyboardInterrupt):
                self._thread.join()


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("case", list(CASES))
def test_a_handler_that_raises_at_length(case: str, first: int, tmp_path: Path) -> None:
    """At each moment of a run."""
    assert strike_everywhere(case, tmp_path, step=4, first=first) > 100


def test_a_handler_that_raises_while_a_request_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a task of an event loop too: it is no fault of the rows, and ends the run as itself."""
    error = StruckError()

    def build(*_: object, **__: object) -> Any:
        raise error

    monkeypatch.setattr("synerise_profiles._batching.batch.Chunk.request", build)
    for run, kind in ((sync_run, "list"), (async_run, "list")):
        with pytest.raises(StruckError) as caught:
            run(Stored(), kind, Count(()))
        assert caught.value is error
        report = report_of(error)
        assert report is not None
        assert report.by_stage["unsent"] == ROWS - len(BAD)
        assert all("was not applied" in item.reason for item in report.rejected if item.stage == "unsent")


def test_a_journal_of_a_run_that_was_struck_before_it_began_is_not_finished(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same call sends all of it."""

    def fail(*_: object) -> Any:
        raise StruckError

    with monkeypatch.context() as patch:
        patch.setattr("synerise_profiles._batching.async_driver._source_of", fail)
        with pytest.raises(StruckError):
            async_run(Stored(), "list", Count(()), journal=tmp_path / "night.db")
    server = Stored()
    assert async_run(server, "list", Count(()), journal=tmp_path / "night.db").complete
    assert len(server.rows) == ROWS - len(BAD)
