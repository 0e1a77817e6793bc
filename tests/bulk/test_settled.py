"""`on_settled` and `flush_after`: what a consumer of messages may acknowledge, and rows that do not wait for others."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._batching import operations
from synerise_profiles._batching.machine import DONE, Call, Read
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles.bulk import BulkStoppedError, Report, report_of
from synerise_profiles.bulk.settled import SettledRows
from synerise_profiles.sandbox import Sandbox
from tests.bulk.support import Run, Server
from tests.bulk.test_engine import STYLES, is_bad, profile

Upsert = Callable[..., Report]


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as client:
        yield client


@pytest.fixture(params=["sync", "async"])
def upsert(request: pytest.FixtureRequest, sandbox: Sandbox, client: Synerise) -> Upsert:
    if request.param == "sync":
        return client.bulk.upsert_profiles

    async def awaited(rows: Any) -> AsyncIterator[Any]:
        for row in rows:
            yield row

    async def run(rows: Any, options: dict[str, Any]) -> Report:
        rows = awaited(rows) if "flush_after" in options else rows
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as async_client:
            return await async_client.bulk.upsert_profiles(rows, **options)

    return lambda rows, **options: asyncio.run(run(rows, options))


@given(st.integers(0, 40), st.randoms(use_true_random=False))
def test_the_watermark_is_below_the_first_row_without_a_fate(count: int, random: Any) -> None:
    """Whatever the order in which fates come, and however many at a time."""
    left = list(range(count))
    random.shuffle(left)
    settled, known = SettledRows(), set[int]()
    while left:
        size = random.randint(1, 5)
        part, left = left[:size], left[size:]
        settled.add(part)
        known.update(part)
        assert settled.through == next(n for n in itertools.count() if n not in known)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("seed", range(6))
def test_every_row_before_the_watermark_has_its_fate(style: str, seed: int) -> None:
    """Rows are refused, held back and answered in any order: the calls go up, and the last one names all rows."""
    server = Server(is_bad, style)
    rows = [profile(n % 700) if n % 50 else {} for n in range(3000)]
    told: list[int] = []

    def check(through: int) -> None:
        report = run.report
        assert through > max(told, default=0)
        assert through <= report.accepted + report.rejected_count()
        told.append(through)

    run = Run(operations.profiles(), rows, server, seed=seed, on_settled=check)
    run.finish()
    assert told[-1] == 3000
    assert len(told) > 1


def test_the_caller_is_told_in_order(upsert: Upsert) -> None:
    """Of rows that the checks refuse too, also where none is sent."""
    told: list[int] = []
    rows = [{"customId": f"c{n}"} if n % 3 else {} for n in range(2500)]
    assert upsert(rows, on_settled=told.append).read == 2500
    assert told == sorted(set(told))
    assert told[-1] == 2500
    told.clear()
    upsert([{}] * 40, on_settled=told.append)
    assert told[-1] == 40
    told.clear()
    upsert([], on_settled=told.append)
    assert told == []


def test_a_coroutine_function_is_awaited_by_the_async_client_alone(sandbox: Sandbox, client: Synerise) -> None:
    """The sync one refuses it as what it is, before anything is sent."""
    told: list[int] = []

    async def commit(through: int) -> None:
        await asyncio.sleep(0)
        told.append(through)

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as async_client:
            await async_client.bulk.upsert_profiles([{"customId": "a"}], on_settled=commit)

    asyncio.run(main())
    assert told == [1]
    with pytest.raises(
        InvalidRequestError, match="on_settled: is a coroutine function; only AsyncSynerise can await it"
    ) as caught:
        client.bulk.upsert_profiles([{"customId": "b"}], on_settled=commit)
    assert report_of(caught.value) is None
    assert len(sandbox.store.profiles) == 1


def test_what_the_function_raises_reaches_the_caller_as_itself(upsert: Upsert) -> None:
    """It ends the run, changes no fate, and is called no more."""
    told: list[int] = []

    def fail(through: int) -> None:
        told.append(through)
        raise LookupError("the broker is gone")

    with pytest.raises(LookupError, match="the broker is gone") as caught:
        upsert(({"customId": f"c{n}"} for n in range(20_000)), on_settled=fail)
    report = report_of(caught.value)
    assert report is not None
    assert len(told) == 1
    assert report.accepted >= told[0]
    assert report.read == report.accepted + report.rejected_count()


def test_a_fate_is_in_the_journal_before_it_is_told(upsert: Upsert, tmp_path: Path) -> None:
    """On the disk, without what SQLite keeps beside its file; a second run tells of what the first one settled."""
    journal, copy = tmp_path / "night.db", tmp_path / "copy.db"
    rows = [{"customId": f"c{n}"} for n in range(2500)]
    told: list[int] = []

    def check(through: int) -> None:
        told.append(through)
        shutil.copy(journal, copy)
        with closing(sqlite3.connect(copy)) as database, database:
            (last,) = database.execute("SELECT max(last) FROM chunks").fetchone()
        assert last >= through - 1

    upsert(rows, journal=journal, on_settled=check, concurrency=1)
    assert told[-1] == 2500
    assert len(told) > 1
    told.clear()
    upsert(rows, journal=journal, on_settled=told.append)
    assert told[-1] == 2500


@pytest.mark.parametrize("mode", ["none", "replace", "append"])
def test_rows_that_are_unsent_hold_the_watermark_unless_a_letter_keeps_it(
    sandbox: Sandbox, client: Synerise, upsert: Upsert, tmp_path: Path, mode: Any
) -> None:
    """What nothing confirms must come again; a letter that is appended at once is a place to come from."""
    result = SendResult(status=500, content=b"", failure=AttemptFailure(status_code=500))
    broken = [False]

    def fault() -> tuple[bool, SendResult] | None:
        broken[0] = b'"c1003"' in server.bodies[-1]
        return (False, result) if broken[0] else None

    server = Server(fault=fault)
    told: list[int] = []
    letters = tmp_path / "letters.jsonl"
    options: dict[str, Any] = {} if mode == "none" else {"dead_letter": letters, "dead_letter_mode": mode}
    with Synerise(token="t", transport=server.transport(), max_retries=0) as other:
        rows = [{"customId": f"c{n}"} for n in range(5000)]
        report = other.bulk.upsert_profiles(
            rows, on_settled=told.append, concurrency=2, max_bisect_requests=0, **options
        )
    assert report.by_stage["unsent"] == 1000
    assert told[-1] == (5000 if mode == "append" else 1000)


def test_rows_that_the_end_of_a_run_leaves_unsent_are_not_told(
    upsert: Upsert, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The server takes nothing more: the watermark stays where it was."""
    told: list[int] = []

    def rows() -> Iterator[Any]:
        for n in range(20_000):
            if n == 5000:
                sandbox.faults.status(403, operation="profiles.upsert_batch")
            yield {"customId": f"c{n}"}

    with pytest.raises(BulkStoppedError) as caught:
        upsert(rows(), on_settled=told.append, dead_letter=tmp_path / "letters", dead_letter_mode="append")
    assert max(told, default=0) <= caught.value.report.accepted


@pytest.mark.parametrize(("name", "value"), [("on_settled", "f"), ("flush_after", 0), ("flush_after", "1")])
def test_values_that_cannot_work_are_refused(client: Synerise, name: Any, value: Any) -> None:
    """By name, before anything is sent."""
    with pytest.raises(InvalidRequestError, match=name):
        client.bulk.upsert_profiles([], **{name: value})


def test_the_async_client_takes_no_source_that_it_cannot_wait_for_with_flush_after(sandbox: Sandbox) -> None:
    """It is refused before a row is read, with what to give; a list is never waited for."""
    read: list[int] = []

    def rows() -> Iterator[Any]:
        read.append(1)
        yield {"customId": "a"}

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            with pytest.raises(InvalidRequestError, match="flush_after: needs rows from an async iterable, such as"):
                await client.bulk.upsert_profiles(rows(), flush_after=1.0)
            assert (await client.bulk.upsert_profiles([{"customId": "a"}], flush_after=1.0)).accepted == 1

    asyncio.run(main())
    assert read == []


def test_flush_after_does_not_go_with_a_journal(client: Synerise, tmp_path: Path) -> None:
    """The reason is told, and no file is made."""
    with pytest.raises(InvalidRequestError, match="flush_after: does not go together with journal=: the journal knows"):
        client.bulk.upsert_profiles([], flush_after=1.0, journal=tmp_path / "night.db")
    assert list(tmp_path.iterdir()) == []


def test_a_part_chunk_is_sent_when_its_time_has_come() -> None:
    """Without I/O: not before, and not while full chunks wait."""
    run = Run(operations.profiles(), [], Server(), flush_after=5.0)
    engine, clock = run.engine, run.clock
    assert engine.next() == Read(None)
    engine.read(iter([profile(0)]))
    assert engine.next() == Read(5.0)
    clock.now += 2.0
    engine.read(iter([profile(1)]))
    assert engine.next() == Read(3.0)
    clock.now += 3.0
    task = engine.next()
    assert not isinstance(task, Read | Call)
    content = task.request().content  # type: ignore[union-attr]
    assert content is not None
    assert content.count(b"customId") == 2
    assert engine.next() == Read(None)
    engine.end()
    engine.on_result(task, SendResult(status=202, failure=AttemptFailure()))  # type: ignore[arg-type]
    assert engine.next() is DONE


@pytest.mark.parametrize("one_object", [False, True])
def test_rows_of_a_slow_source_are_sent_while_the_next_one_is_waited_for(sandbox: Sandbox, *, one_object: bool) -> None:
    """The caller's thread reads and is told; each row is sent as it was, though the source fills one object anew."""
    answers, threads, told = threading.Semaphore(0), set[int](), list[int]()

    def rows() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        for n in range(6):
            threads.add(threading.get_ident())
            row = row if one_object else {}
            row.update(customId=f"c{n}", city=f"town {n}")
            yield row
            assert answers.acquire(timeout=30)

    def tell(through: int) -> None:
        threads.add(threading.get_ident())
        told.append(through)

    def on_response(result: Any) -> None:
        if result.operation.batch is not None:
            answers.release()

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, on_response=on_response) as client:
        report = client.bulk.upsert_profiles(rows(), flush_after=0.001, on_settled=tell)
        assert (report.accepted, report.requests) == (6, 6)
        assert [client.profiles.find("by-custom-id", f"c{n}").city for n in range(6)] == [f"town {n}" for n in range(6)]
    assert threads == {threading.get_ident()}
    assert told == [*range(1, 7)]
    assert "synerise-bulk-flush" not in {thread.name for thread in threading.enumerate()}


def test_an_async_source_does_not_hold_its_rows_up(sandbox: Sandbox) -> None:
    """They are sent while the next one is awaited, and told in a task of the run."""
    told: list[int] = []

    async def main() -> None:
        answers = asyncio.Semaphore(0)

        async def rows() -> AsyncIterator[dict[str, Any]]:
            for n in range(6):
                yield {"customId": f"c{n}"}
                async with asyncio.timeout(30):
                    await answers.acquire()

        async def commit(through: int) -> None:
            told.append(through)
            answers.release()

        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            report = await client.bulk.upsert_profiles(rows(), flush_after=0.001, on_settled=commit)
        assert (report.accepted, report.requests) == (6, 6)

    asyncio.run(main())
    assert told == [*range(1, 7)]


def test_a_fast_source_fills_its_batches_though_it_may_be_slow(client: Synerise, upsert: Upsert) -> None:
    """Only the last one is smaller, where no row is waited for."""
    report = upsert(({"customId": f"c{n}"} for n in range(2100)), flush_after=60.0)
    assert (report.accepted, report.requests) == (2100, 3)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_an_error_of_a_slow_source_ends_the_run(upsert: Upsert, error: type[BaseException]) -> None:
    """It reaches the caller as itself, and no thread is left."""

    def rows() -> Iterator[Any]:
        yield {"customId": "a"}
        raise error("stop")

    with pytest.raises(error, match="stop") as caught:
        upsert(rows(), flush_after=0.001)
    report = report_of(caught.value)
    assert report is not None
    assert report.read == 1
    assert "synerise-bulk-flush" not in {thread.name for thread in threading.enumerate()}


def test_a_slow_source_is_left_when_the_server_takes_nothing_more(sandbox: Sandbox) -> None:
    """The run ends at the next row, which is not read; the report accounts for all before it."""
    answered = threading.Event()

    def rows() -> Iterator[Any]:
        for n in itertools.count():
            yield {"customId": f"c{n}"}
            assert answered.wait(30)

    def on_response(result: Any) -> None:
        if result.operation.authenticated:
            answered.set()

    with (
        Synerise(token="a.b.c", base_url=sandbox.url, on_response=on_response, max_retries=0) as client,
        pytest.raises(BulkStoppedError) as caught,
    ):
        client.bulk.upsert_profiles(rows(), flush_after=0.001)
    report = caught.value.report
    assert report.read == report.by_stage["unsent"] >= 1
    assert "synerise-bulk-flush" not in {thread.name for thread in threading.enumerate()}


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=60), st.integers(0, 3))
def test_rows_of_one_profile_keep_their_order_when_chunks_are_sent_in_part(steps: list[Any], seed: int) -> None:
    """Whenever time passes between rows: each is stored once, and the last one of a profile wins."""
    server = Server()
    rows = [{**profile(key), "attributes": {"n": n}} for n, (key, _) in enumerate(steps)]

    def source() -> Iterator[Any]:
        for row, (_, is_slow) in zip(rows, steps, strict=True):
            yield row
            run.clock.now += 6.0 if is_slow else 0.0

    run = Run(operations.profiles(), source(), server, seed=seed, flush_after=5.0)
    run.finish()
    assert sorted(row["attributes"]["n"] for row in server.stored) == [*range(len(rows))]
    for key in {row["customId"] for row in rows}:
        numbers = [row["attributes"]["n"] for row in server.stored if row["customId"] == key]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
@pytest.mark.parametrize("options", [{}, {"flush_after": 60.0}, {"dead_letter": "a"}, {"journal": "b"}], ids=str)
def test_what_is_settled_is_told_before_an_error_of_the_source_leaves(
    upsert: Upsert, tmp_path: Path, error: type[BaseException], options: dict[str, Any]
) -> None:
    """The last call names all rows that were accepted or refused before the first that was not sent."""
    told: list[int] = []
    files = {name: tmp_path / value if isinstance(value, str) else value for name, value in options.items()}

    def rows() -> Iterator[Any]:
        for n in range(5500):
            yield {"customId": f"c{n}"} if n % 1000 != 7 else {}
        raise error("the broker is away")

    with pytest.raises(error, match="the broker is away") as caught:
        upsert(rows(), on_settled=told.append, concurrency=1, **files)
    report = report_of(caught.value)
    assert report is not None
    first_unsent = min(item.index for item in report.rejected if item.stage == "unsent")
    assert told == sorted(set(told))
    assert told[-1] == first_unsent >= report.accepted


@pytest.mark.parametrize("by", ["progress", "stop", "max_errors"])
def test_what_is_settled_is_told_however_a_run_ends(upsert: Upsert, sandbox: Sandbox, by: str) -> None:
    """A function that raises, a server that takes nothing more, too many errors: never beyond an unsent row."""
    told: list[int] = []
    options: dict[str, Any] = {"max_errors": 3} if by == "max_errors" else {"concurrency": 1}

    def stop(progress: Any) -> None:
        if progress.accepted >= 3000:
            raise LookupError

    def rows() -> Iterator[Any]:
        for n in range(20_000):
            if n == 5000 and by == "stop":
                sandbox.faults.status(403, operation="profiles.upsert_batch")
            yield {} if by == "max_errors" and n > 4000 else {"customId": f"c{n}"}

    if by == "progress":
        options["progress"] = stop
    with pytest.raises((LookupError, BulkStoppedError)) as caught:
        upsert(rows(), on_settled=told.append, **options)
    report = report_of(caught.value)
    assert report is not None
    unsent = {item.index for item in report.rejected if item.stage == "unsent"}
    assert told[-1] == min(unsent, default=report.read) >= 3000


@pytest.mark.parametrize("options", [{}, {"flush_after": 60.0}], ids=str)
def test_an_interruption_does_not_keep_what_was_settled_from_being_told(upsert: Upsert, options: Any) -> None:
    """Ctrl-C comes when an answer was taken, and before it is told."""
    told: list[int] = []

    def interrupt(progress: Any) -> None:
        if progress.accepted == 2000 and not progress.rejected:
            raise KeyboardInterrupt

    rows = ({"customId": f"c{n}"} for n in range(20_000))
    with pytest.raises(KeyboardInterrupt):
        upsert(rows, on_settled=told.append, concurrency=1, progress=interrupt, **options)
    assert told[-1] == 2000


def test_a_coroutine_function_is_awaited_at_the_end_though_the_run_is_cancelled(sandbox: Sandbox) -> None:
    """What it awaits is not cancelled with the run."""
    told: list[int] = []
    ended: list[object] = []

    async def commit(through: int) -> None:
        await asyncio.sleep(0)
        told.append(through)

    async def main() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            # The scope takes what it has cancelled for itself, if that has reached the run.
            with suppress(asyncio.CancelledError), anyio.CancelScope() as scope:

                def cancel(progress: Any) -> None:
                    if progress.accepted == 2000 and not progress.rejected:
                        scope.cancel()
                        raise asyncio.CancelledError

                rows = ({"customId": f"c{n}"} for n in range(20_000))
                ended.append(await client.bulk.upsert_profiles(rows, on_settled=commit, concurrency=1, progress=cancel))
            assert scope.cancel_called

    asyncio.run(main())
    assert ended == []
    assert told[-1] == 2000


@pytest.mark.parametrize("error", [LookupError, KeyboardInterrupt])
def test_a_function_that_has_raised_is_called_no_more(
    upsert: Upsert, sandbox: Sandbox, error: type[BaseException]
) -> None:
    """Also where rows of a slow source are settled meanwhile, and where it is Ctrl-C that came within it."""
    told: list[int] = []

    def fail(through: int) -> None:
        told.append(through)
        raise error("away")

    def rows() -> Iterator[Any]:
        for n in range(3000):
            yield {"customId": f"c{n}"}

    for options in ({}, {"flush_after": 0.001}):
        told.clear()
        with pytest.raises(error, match="away"):
            upsert(rows(), on_settled=fail, **options)
        assert len(told) == 1
