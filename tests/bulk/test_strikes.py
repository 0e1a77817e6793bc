"""A signal's handler that raises at any moment of a run: the report exists, its sums are true, and it is resumable."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

import synerise_profiles
from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles.bulk import Report, report_of
from synerise_profiles.bulk.settings import check_call
from tests._core.strikes import Count, Strike
from tests.bulk.support import Clock

PACKAGE = str(Path(synerise_profiles.__file__).parent)
ROWS, BAD = 24, {3, 17}
"""How many rows the runs have, and which of them the checks refuse."""


class _Files:
    """All modules of the package, and the one that holds context managers; but not those that check arguments."""

    def __contains__(self, name: str) -> bool:
        is_checked_first = name.endswith(("_core/arguments.py", "_features.py"))
        return (name.startswith(PACKAGE) and not is_checked_first) or name == contextlib.__file__


class StruckError(Exception):
    """What the handler of a signal raises."""


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
    """Show where a run hangs, and let no callback of the collector be struck, whose exceptions reach nobody."""
    gc.disable()
    is_long = request.node.get_closest_marker("long") is not None  # thousands of runs
    faulthandler.dump_traceback_later(1200 if is_long else 240, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()
    gc.enable()


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
    """Run a case once for each moment, or for every so many, and strike it there; return how often it was hit."""
    run, kind, error_type, with_files = CASES[case]
    with contextlib.suppress(OSError):  # loads what is loaded by the first run
        run(Stored(), kind, Count(()), **options_of(folder, "first", with_files=with_files))
    count = Count(_Files())
    with contextlib.suppress(OSError):
        run(Stored(), kind, count, **options_of(folder, "count", with_files=with_files))
    checks = {code for code, _ in count.found if code.co_qualname.startswith((check_call.__name__, "rows_problem"))}
    targets = [target for target in count.targets() if target[0][0] not in checks]
    hits = 0
    for number, target in enumerate(itertools.islice(targets, first, None, step)):
        server, error = Stored(), error_type("struck")
        strike = Strike(_Files(), target, error)
        options = options_of(folder, number, with_files=with_files)
        try:
            run(server, kind, strike, **options)
        except (OSError, error_type) as caught:
            if strike.has_struck:
                hits += 1
                check_report(caught, error, server, kind, strike.where)
                if with_files:
                    check_files(run, server, kind, options, strike.where)
        else:
            assert not strike.has_struck or is_lost_by_python(strike.where), strike.where
    return hits


def is_lost_by_python(where: str) -> bool:
    """Whether the interpreter drops what is raised there: in a destructor."""
    return where.endswith("__del__")


def check_report(caught: BaseException, error: BaseException, server: Stored, kind: str, where: str) -> None:
    """The exception is the handler's own, or the source's if that came first, and its report tells each row truly."""
    assert caught is error or (kind == "broken" and isinstance(caught, OSError)), where
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
    """Whether the arguments are not accepted yet: in the method itself, and where its first helper begins."""
    return where.endswith((".upsert_profiles", "Bulk._run", "Bulk.__init__", " profiles"))


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
