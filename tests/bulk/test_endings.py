"""However a run ends, its report tells the fate of every row: hooks, callbacks and sources that raise, signals."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import os
import pickle
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import orjson
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, AttemptResult, InvalidRequestError, Synerise
from synerise_profiles._batching import async_driver
from synerise_profiles.bulk import BulkStoppedError, Progress, Report, report_of
from synerise_profiles.sources import RowMapping, read_csv
from tests.bulk.support import Clock, fates
from tests.bulk.test_engine import number, profile

BATCH = "profiles.upsert_batch"


class Stored:
    """A transport that stores rows; `answer` may say something else than 202."""

    def __init__(self, answer: Callable[[list[Any]], httpx.Response | None] = lambda _: None) -> None:
        self.rows: set[int] = set()
        self.requests = 0
        self._answer = answer
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        rows: list[Any] = orjson.loads(request.content)
        with self._lock:
            self.requests += 1
            response = self._answer(rows)
            if response is not None:
                return response
            self.rows.update(map(number, rows))
        return httpx.Response(202)

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self)


def sync_run(server: Stored, rows: Any, *, client: dict[str, Any] | None = None, **options: Any) -> Report:
    arguments = {"token": "t", "_timing": Clock().timing, **(client or {})}
    with Synerise(transport=server.transport, **arguments) as given_client:
        return given_client.bulk.upsert_profiles(rows, **options)


def async_run(server: Stored, rows: Any, *, client: dict[str, Any] | None = None, **options: Any) -> Report:
    async def main() -> Report:
        arguments = {"token": "t", "_timing": Clock().timing, "transport": server.transport, **(client or {})}
        async with AsyncSynerise(**arguments) as given_client:
            return await given_client.bulk.upsert_profiles(rows, **options)

    return asyncio.run(main())


def trio_run(server: Stored, rows: Any, *, client: dict[str, Any] | None = None, **options: Any) -> Report:
    async def main() -> Report:
        arguments = {"token": "t", "_timing": Clock().timing, "transport": server.transport, **(client or {})}
        async with AsyncSynerise(**arguments) as given_client:
            return await given_client.bulk.upsert_profiles(rows, **options)

    return trio.run(main)


RUNS = [sync_run, async_run, trio_run]


def ended_by(error: BaseException, server: Stored) -> Report:
    """The report of an exception; checks that it adds up, and that no fate in it is false."""
    report = report_of(error)
    assert report is not None
    rejected = {item.index: item for item in report.rejected}
    assert report.read == report.accepted + len(rejected)
    for index, item in rejected.items():
        if "was not applied" in item.reason:
            assert index not in server.rows
    accepted = set(range(report.read)) - set(rejected)
    assert accepted <= server.rows
    return report


class RaisedError(Exception):
    """What a function of the caller raises."""


class FalseError(RaisedError):
    """One that is false."""

    def __bool__(self) -> bool:
        return False


class EmptyError(RaisedError):
    """One that is false, as it holds nothing."""

    def __len__(self) -> int:
        return 0


class NeitherError(RaisedError):
    """One that has no truth."""

    def __bool__(self) -> bool:
        raise TypeError("is neither true nor false")


class NoEqualsError(RaisedError):
    """One that cannot be compared."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise TypeError("is not compared")


class FalseInterrupt(KeyboardInterrupt):
    """An interruption that is false."""

    def __bool__(self) -> bool:
        return False


ODD_KINDS: list[type[BaseException]] = [FalseError, EmptyError, NeitherError, NoEqualsError, FalseInterrupt]
PLACES = ["on_request", "on_response", "progress", "reference", "source", "on_settled", "on_finish"]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("kind", [KeyError, RaisedError, SystemExit, KeyboardInterrupt, asyncio.CancelledError])
def test_a_hook_that_raises_after_the_answer(run: Any, kind: type[BaseException]) -> None:
    """The rows were accepted, and so it says; the exception is the hook's own, in no group."""

    def hook(result: AttemptResult) -> None:
        assert result.status_code == 202
        raise kind("metrics")

    server = Stored()
    with pytest.raises(kind) as caught:
        run(server, [profile(n) for n in range(10)], client={"on_response": hook})
    assert type(caught.value) is kind
    report = ended_by(caught.value, server)
    assert (report.accepted, report.rejected_count(), server.rows) == (10, 0, set(range(10)))


@pytest.mark.parametrize("run", RUNS)
def test_a_hook_that_raises_before_the_sending(run: Any) -> None:
    """Nothing was sent, and so it says."""

    def hook(*_: Any) -> None:
        raise RaisedError

    server = Stored()
    with pytest.raises(RaisedError) as caught:
        run(server, [profile(n) for n in range(10)], client={"on_request": hook})
    report = ended_by(caught.value, server)
    assert (report.accepted, server.requests) == (0, 0)
    assert {item.reason for item in report.rejected} == {"the run ended: RaisedError was raised; it was not applied"}


@pytest.mark.parametrize("run", RUNS)
def test_a_token_callable_that_raises(run: Any) -> None:
    """What it raises reaches the caller as itself; nothing was sent."""

    def token() -> str:
        raise RaisedError

    server = Stored()
    with pytest.raises(RaisedError) as caught:
        run(server, [profile(n) for n in range(10)], client={"token": token})
    assert {"it was not applied" in item.reason for item in ended_by(caught.value, server).rejected} == {True}


@pytest.mark.parametrize("run", RUNS)
def test_answers_that_come_later_are_counted(run: Any) -> None:
    """The first answer makes a function of the caller raise; those of the requests in flight count all the same."""
    calls: list[int] = []

    def progress(now: Progress) -> None:
        calls.append(now.accepted)
        raise RaisedError

    server = Stored()
    rows = [profile(n, "x" * 90_000) for n in range(80)]  # ten to a batch
    with pytest.raises(RaisedError) as caught:
        run(server, rows, progress=progress, concurrency=4)
    report = ended_by(caught.value, server)
    assert report.accepted == len(server.rows) > 0
    assert calls == sorted(calls)


def exit_group() -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("all", [SystemExit(3)])


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("make", [SystemExit, GeneratorExit, exit_group])
@pytest.mark.parametrize("place", ["progress", "on_settled", "reference", "source"])
def test_what_is_in_flight_is_awaited_whatever_is_raised(run: Any, make: Any, place: str) -> None:
    """A function of the caller that wants to end the program leaves no row in doubt."""
    failure = make()
    count = itertools.count()

    def fail(*_: Any) -> Any:
        if place != "reference" or next(count) == 75:
            raise failure

    def rows() -> Iterator[Any]:
        yield from (profile(n, "x" * 90_000) for n in range(80))  # ten to a batch
        if place == "source":
            fail()

    async def slow(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.01)
        return server(request)

    server = Stored((lambda _: time.sleep(0.01)) if run is sync_run else (lambda _: None))
    options: dict[str, Any] = {} if place == "source" else {place: fail}
    client = {} if run is sync_run else {"transport": httpx.MockTransport(slow)}
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - each kind
        run(server, rows(), client=client, concurrency=4, **options)
    assert caught.value is failure
    report = ended_by(caught.value, server)
    assert report.accepted == len(server.rows) > 0


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    at=st.integers(1, 40),
    run=st.sampled_from([sync_run, async_run]),
    concurrency=st.integers(1, 5),
    wide=st.booleans(),
)
def test_what_raises_in_any_place(place: str, at: int, run: Any, concurrency: int, *, wide: bool) -> None:
    """Whatever function of the caller raises, and whenever: it is raised as itself, and the report is true."""
    raise_in(place, RaisedError, at, run, concurrency, wide=wide)


@pytest.mark.parametrize("run", [sync_run, async_run])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ODD_KINDS)
def test_exceptions_without_truth(kind: type[BaseException], place: str, run: Any) -> None:
    """One that is false, or can be neither tested nor compared, is raised as itself too."""
    assert raise_in(place, kind, 1, run, 2, wide=True)


def raise_in(place: str, kind: type[BaseException], at: int, run: Any, concurrency: int, *, wide: bool) -> bool:
    """Let a function of the caller raise, and check the end of the run; return whether it was called so often."""
    count = iter(range(1, 10_000))
    lock = threading.Lock()

    def fail(*_: Any) -> Any:
        with lock:
            now = next(count)
        if now == at:
            raise kind
        return f"r{now}"

    def rows() -> Iterator[Any]:
        for n in range(50):
            if place == "source":
                fail()
            yield profile(n, "x" * 190_000 if wide else "x")

    server = Stored()
    hooks: dict[str, Any] = {place: fail} if place in ("on_request", "on_response") else {}
    of_run = ("progress", "reference", "on_settled", "on_finish")
    options: dict[str, Any] = {place: fail} if place in of_run else {}
    try:
        report = run(server, rows(), client=hooks, concurrency=concurrency, **options)
    except (RaisedError, KeyboardInterrupt) as error:
        is_itself, report = type(error) is kind, ended_by(error, server)
        is_interrupt = isinstance(error, KeyboardInterrupt)  # which waits for no answer
    else:
        assert (report.complete, report.accepted) == (True, 50)
        return False
    assert is_itself
    assert is_interrupt or report.accepted == len(server.rows)
    return True


def test_a_salt_that_raises() -> None:
    """The row has its fate, as those before it."""

    def salt(row: Any) -> str:
        if row["params"]["n"] == 7:
            raise RaisedError
        return "s"

    def answer(request: httpx.Request) -> httpx.Response:
        is_time = request.url.path.endswith("time")
        return httpx.Response(200, json={"serverTime": "2026-11-22T07:00:00Z"}) if is_time else httpx.Response(202)

    rows = [{"label": "x", "action": "a.b", "client": {"customId": "c"}, "params": {"n": n}} for n in range(20)]
    with Synerise(token="t", transport=httpx.MockTransport(answer)) as client, pytest.raises(RaisedError) as caught:
        client.bulk.send_events(iter(rows), salt=salt)
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.by_stage["unsent"]) == (8, 8)


@settings(max_examples=40, deadline=None)
@given(
    at=st.integers(0, 60),
    bad=st.sets(st.integers(0, 60), max_size=6),
    source=st.sampled_from(["sync", "async"]),
    kind=st.sampled_from([OSError, RaisedError, KeyboardInterrupt, SystemExit]),
)
def test_a_source_that_breaks_off_at_any_row(at: int, bad: set[int], source: str, kind: type[BaseException]) -> None:
    """All rows that it gave are told of, those that the checks refused among them."""

    def row(n: int) -> Any:
        return {"city": "nameless"} if n in bad else profile(n, "x" * 90_000)

    def rows() -> Iterator[Any]:
        yield from map(row, range(at))
        raise kind("the cursor is lost")

    async def async_rows() -> AsyncIterator[Any]:
        for n in range(at):
            yield row(n)
        raise kind("the cursor is lost")

    server = Stored()
    with pytest.raises(kind) as caught:
        sync_run(server, rows()) if source == "sync" else async_run(server, async_rows())
    assert type(caught.value) is kind
    report = ended_by(caught.value, server)
    assert report.read == at
    assert fates(report).get("check", []) == sorted(n for n in bad if n < at)


def test_a_gzip_that_is_cut_off(tmp_path: Path) -> None:
    """A file that ends too early: what was read of it is told of, and the run is resumable."""
    path, count = tmp_path / "customers.csv.gz", 60_000
    text = "id\n" + "".join(f"c{n}-{n * 7919 % 10007}\n" for n in range(count))
    whole = gzip.compress(text.encode())
    path.write_bytes(whole[: len(whole) // 2])
    mapping, night = RowMapping.for_profiles({"id": "customId"}), tmp_path / "night.db"
    with Synerise(token="t", transport=httpx.MockTransport(lambda _: httpx.Response(202))) as client:
        source = read_csv(path, mapping)
        with pytest.raises(InvalidRequestError, match="is cut off: its end is missing") as caught:
            client.bulk.upsert_profiles(source, journal=night)
        assert "generator" not in str(caught.value.__notes__)
        report = report_of(caught.value)
        assert report is not None
        assert report.read == report.accepted + report.rejected_count() > 0
        path.write_bytes(whole)
        again = client.bulk.upsert_profiles(read_csv(path, mapping), journal=night)
    assert (again.accepted, again.complete, again.resumed) == (count, True, report.accepted)


class TerminatedError(Exception):
    """What a program's handler of SIGTERM raises."""


def raise_terminated(*_: Any) -> None:
    raise TerminatedError


@pytest.fixture
def sigterm() -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, raise_terminated)
    gc.disable()  # what is raised within its callbacks, which the test tools have, reaches nobody
    yield
    gc.enable()
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("sigterm")
@pytest.mark.parametrize("delay", [0.0, 0.01, 0.03, 0.06])
def test_sigterm_while_it_runs(delay: float) -> None:
    """A handler that raises ends the run by its own exception wherever it cuts in, and the report adds up."""
    server = Stored()
    started, ended = threading.Event(), threading.Event()

    def kill() -> None:
        started.wait()
        ended.wait(delay)
        # Python drops what a handler raises within a callback of a weak reference: then it is sent again.
        while not ended.is_set():
            os.kill(os.getpid(), signal.SIGTERM)
            ended.wait(5.0)

    def rows() -> Iterator[Any]:
        started.set()
        for n in range(10**9):
            yield profile(n)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(TerminatedError) as caught:
        sync_run(server, rows())
    ended.set()
    killer.join()
    ended_by(caught.value, server)


@pytest.mark.usefixtures("sigterm")
def test_sigterm_while_the_loop_is_idle() -> None:
    """What the handler raises ends the loop beside the run, and has the report of the run that it cancelled."""

    async def run() -> None:
        sent = asyncio.Event()

        async def answer(_: httpx.Request) -> httpx.Response:
            sent.set()
            await asyncio.sleep(60)
            return httpx.Response(202)

        async with AsyncSynerise(token="t", transport=httpx.MockTransport(answer)) as client:
            sending = asyncio.create_task(client.bulk.upsert_profiles([{"customId": "a"}]))
            await sent.wait()
            asyncio.get_running_loop().call_soon(killer.start)
            await sending

    killer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM))
    with pytest.raises(TerminatedError) as caught:
        asyncio.run(run())
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.by_stage["unsent"]) == (1, 1)
    assert "The run ended early" in caught.value.__notes__[0]


@pytest.mark.parametrize("kind", [TerminatedError, SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("name", ["_FetchedRows._fetch", "_TaskPool._work", "_TaskPool.notify"])
def test_a_handler_that_cuts_into_a_task_of_the_run(
    monkeypatch: pytest.MonkeyPatch, name: str, kind: type[BaseException]
) -> None:
    """What it raises there ends the run as itself, in no group, and has the report."""
    owner, method = name.split(".")
    failure, calls = kind(), itertools.count()
    before = getattr(getattr(async_driver, owner), method)

    def struck(*arguments: Any) -> Any:
        if next(calls) == 0:
            raise failure
        return before(*arguments)

    async def rows() -> AsyncIterator[Any]:
        for n in range(30):
            yield profile(n, "x" * 90_000)

    monkeypatch.setattr(getattr(async_driver, owner), method, struck)
    server = Stored()
    with pytest.raises(kind) as caught:
        async_run(server, rows())
    assert caught.value is failure
    assert report_of(caught.value) is not None


def test_an_error_that_was_handled_before_has_no_report() -> None:
    """A run that is cancelled within an `except` leaves what is handled there as it was."""
    before = ValueError("before")

    async def run() -> None:
        async def answer(_: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            return httpx.Response(202)

        async with AsyncSynerise(token="t", transport=httpx.MockTransport(answer)) as client:
            try:
                raise before
            except ValueError:
                async with asyncio.timeout(0.05):
                    await client.bulk.upsert_profiles([{"customId": "a"}])

    with pytest.raises(TimeoutError) as caught:
        asyncio.run(run())
    assert report_of(caught.value) is not None
    assert not hasattr(before, "__notes__")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_cancelled_run_has_a_report(backend: str) -> None:
    """A cancellation waits for nothing: what is in flight may have been applied, the rest was not."""
    found: list[Report | None] = []
    stalled = itertools.count(1)

    async def stall(_: httpx.Request) -> httpx.Response:
        if next(stalled) == 2:  # both requests are in flight
            cancel[0]()
        await anyio.sleep(60)
        return httpx.Response(202)

    cancel: list[Callable[[], object]] = []

    async def run() -> None:
        async with AsyncSynerise(token="t", transport=httpx.MockTransport(stall)) as client:
            try:
                await client.bulk.upsert_profiles([profile(n) for n in range(2500)], concurrency=2)
            except BaseException as error:
                found.append(report_of(error))
                raise

    async def on_asyncio() -> None:
        timeout = asyncio.timeout(None)
        cancel.append(lambda: timeout.reschedule(0.0))
        with pytest.raises(TimeoutError) as caught:
            async with timeout:
                await run()
        assert report_of(caught.value) is found[0]

    async def on_trio() -> None:
        with trio.CancelScope() as scope:
            cancel.append(scope.cancel)
            await run()

    asyncio.run(on_asyncio()) if backend == "asyncio" else trio.run(on_trio)
    (report,) = found
    assert report is not None
    reasons = [item.reason for item in report.rejected]
    assert report.read == len(reasons) >= 2000
    assert sum("may have been applied" in reason for reason in reasons) == 2000
    assert sum("was not applied" in reason for reason in reasons) == report.read - 2000


@pytest.mark.parametrize("times", [1, 2, 3])
def test_a_run_that_is_cancelled_again_while_it_ends(times: int) -> None:
    """Also while it waits for what is in flight, after an error of the source, and while the caller is told."""
    told: list[int] = []
    all_stalled, calls = asyncio.Event(), itertools.count(1)

    async def stall(_: httpx.Request) -> httpx.Response:
        if next(calls) == 2:
            all_stalled.set()
        await asyncio.sleep(60)
        return httpx.Response(202)

    def rows() -> Iterator[dict[str, Any]]:
        yield from (profile(n) for n in range(2500))
        raise OSError("the cursor is lost")

    async def on_finish(report: Report) -> None:
        told.append(report.read)
        await asyncio.sleep(60)

    async def main() -> BaseException:
        async with AsyncSynerise(token="t", transport=httpx.MockTransport(stall)) as client:
            options: dict[str, Any] = {"concurrency": 3, "on_finish": on_finish}
            task = asyncio.create_task(client.bulk.upsert_profiles(rows(), **options))
            await all_stalled.wait()
            for _ in range(times):
                task.cancel()
                for _ in range(20):
                    await asyncio.sleep(0)
            if times == 1:  # the caller's function is awaited
                task.cancel()
            with pytest.raises(asyncio.CancelledError) as caught:
                await task
            return caught.value

    report = report_of(asyncio.run(main()))
    assert report is not None
    assert told == [2500]
    assert report.read == report.rejected_count() == len(report.rejected) == 2500


def test_the_report_of_any_exception() -> None:
    """It is found in causes, contexts and groups; a copy by pickle leaves it behind; others have none."""
    server = Stored(lambda _: httpx.Response(403))
    with pytest.raises(BulkStoppedError) as stopped:
        sync_run(server, [profile(0)])
    with pytest.raises(RaisedError) as caught:
        sync_run(Stored(), iter([profile(0)]), reference=raise_raised)
    error = caught.value
    report = report_of(error)
    assert report_of(stopped.value) is stopped.value.report
    assert report is not None
    wrapped = ValueError("night run")
    wrapped.__cause__ = error
    assert report_of(wrapped) is report
    assert report_of(ExceptionGroup("all", [ValueError(), error])) is report
    assert report_of(pickle.loads(pickle.dumps(error))) is None
    assert report_of(ValueError()) is None


def test_the_error_says_whether_a_limit_ended_the_run() -> None:
    """Whatever share was refused before: a server that takes none of the rest is none; copies say the same."""
    rows = [profile(n) if n % 2 else {"city": "x"} for n in range(900)]
    with pytest.raises(BulkStoppedError) as stopped:
        sync_run(Stored(lambda _: httpx.Response(403)), rows, max_error_rate=0.1)
    with pytest.raises(BulkStoppedError) as limited:
        sync_run(Stored(), rows, max_errors=3)
    assert [error.value.too_many_rejected for error in (stopped, limited)] == [False, True]
    assert [pickle.loads(pickle.dumps(error.value)).too_many_rejected for error in (stopped, limited)] == [False, True]


def raise_raised(*_: Any) -> Any:
    raise RaisedError


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork there")
@pytest.mark.parametrize("flush_after", [None, 60.0])
@pytest.mark.parametrize("ending", ["raises", "goes on"])
def test_a_child_of_fork_does_not_wait_for_the_threads_of_its_parent(ending: str, flush_after: float | None) -> None:
    """What its rows raise ends it at once, and so does a run that it would go on with; the parent's run is whole."""
    parent, all_asked = os.getpid(), threading.Event()

    def answer(_: httpx.Request) -> httpx.Response:
        all_asked.wait(10)
        return httpx.Response(202)

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(3000):
            yield {"customId": f"c{n}"}
            if n == 1500:
                if (child := os.fork()) == 0:
                    signal.alarm(20)  # ends it where it hangs
                    if ending == "raises":
                        raise LookupError
                else:
                    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                    all_asked.set()

    with Synerise(token="t", transport=httpx.MockTransport(answer)) as client:
        try:
            report = client.bulk.upsert_profiles(rows(), concurrency=3, flush_after=flush_after)
        except BaseException as error:
            if os.getpid() != parent:
                expected = LookupError if ending == "raises" else RuntimeError
                os._exit(7 if isinstance(error, expected) and report_of(error) else 8)
            raise
        finally:
            if os.getpid() != parent:
                os._exit(9)
    assert (report.read, report.accepted) == (3000, 3000)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork there")
@pytest.mark.parametrize("leaves_by", ["raising", "an ordinary exit"])
def test_a_child_of_fork_leaves_the_journal_to_its_parent(leaves_by: str, tmp_path: Path) -> None:
    """Closing the database there would take away the log that the parent writes to."""
    parent, journal, log = os.getpid(), tmp_path / "run.journal", tmp_path / "run.journal-wal"
    log_ids: list[int] = []

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(4000):
            yield {"customId": f"c{n}"}
            if n == 2500:
                log_ids.append(log.stat().st_ino)
                if (child := os.fork()) == 0:
                    raise LookupError
                assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
                log_ids.append(log.stat().st_ino)

    with Synerise(token="t", transport=httpx.MockTransport(lambda _: httpx.Response(202))) as client:
        try:
            client.bulk.upsert_profiles(rows(), concurrency=1, journal=journal)
        except LookupError as error:
            assert os.getpid() != parent
            if leaves_by == "raising":
                os._exit(7 if report_of(error) else 8)
            error.__traceback__ = None  # what holds the run is gone, and is finalized
            del error
            gc.collect()
            os._exit(7)
        finally:
            if os.getpid() != parent:
                os._exit(9)
        assert log_ids[0] == log_ids[1]
        again = client.bulk.upsert_profiles(({"customId": f"c{n}"} for n in range(4000)), journal=journal)
    assert (again.read, again.resumed) == (4000, 4000)
