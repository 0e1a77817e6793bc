"""The two drivers over a client: the same decisions, threads and tasks that end, errors of the caller's own."""

from __future__ import annotations

import asyncio
import inspect
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, PermissionDeniedError, Synerise
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy
from synerise_profiles.bulk import AsyncBulk, Bulk, BulkStoppedError, Progress, RejectedRowsError, Report, progress_bar
from synerise_profiles.models import BatchEvent, ClientIdentifier, ProfileBatchItem
from tests.bulk.support import Clock, Server, fates
from tests.bulk.test_engine import STYLES, is_bad, profile


def sync_client(server: Server) -> Synerise:
    return Synerise(token="t", transport=server.transport(), max_retries=30, _timing=Clock().timing)


def async_client(server: Server) -> AsyncSynerise:
    return AsyncSynerise(token="t", transport=server.transport(), max_retries=30, _timing=Clock().timing)


async def as_source(rows: list[Any]) -> AsyncIterator[Any]:
    for row in rows:
        yield row


def counts_and_rejections(report: Report) -> tuple[Any, ...]:
    rejections = [(item.index, item.stage, item.field, item.reason, item.group) for item in report.rejected]
    counts = (report.read, report.accepted, report.requests, report.retries, report.bytes_sent, report.complete)
    return counts, rejections, report.notes


@settings(max_examples=25, deadline=None)
@given(
    cities=st.lists(st.sampled_from(["a", "b!", "ł", "c!", "x" * 5000]), max_size=400),
    style=st.sampled_from(STYLES),
    statuses=st.lists(st.sampled_from([None, 429, 500, 503]), max_size=10),
    source=st.sampled_from(["async", "sync"]),
)
def test_sync_equals_async(cities: list[str], style: str, statuses: list[int | None], source: str) -> None:
    """The same rows against the same server: the same requests, the same report."""
    rows = [profile(n, city) for n, city in enumerate(cities)]

    def server() -> Server:
        left = iter(statuses)

        def fault() -> tuple[bool, SendResult] | None:
            status = next(left, None)
            return (
                None
                if status is None
                else (False, SendResult(status=status, failure=AttemptFailure(status_code=status)))
            )

        return Server(is_bad, style, fault)

    first, second = server(), server()
    with sync_client(first) as client:
        sync_report = client.bulk.upsert_profiles(rows, concurrency=1)

    async def main() -> Report:
        async with async_client(second) as client:
            given = as_source(rows) if source == "async" else rows
            return await client.bulk.upsert_profiles(given, concurrency=1)

    async_report = asyncio.run(main())
    assert first.bodies == second.bodies
    assert counts_and_rejections(sync_report) == counts_and_rejections(async_report)


def test_trio() -> None:
    """The async driver runs under trio too."""
    server = Server()

    async def main() -> Report:
        async with async_client(server) as client:
            return await client.bulk.upsert_profiles(as_source([profile(n) for n in range(2500)]))

    assert trio.run(main).accepted == 2500
    assert sorted(body.count(b"customId") for body in server.bodies) == [500, 1000, 1000]


def test_threads_end_with_the_run() -> None:
    """No thread stays behind."""
    before = threading.active_count()
    with sync_client(Server()) as client:
        assert client.bulk.upsert_profiles([profile(n) for n in range(5000)]).accepted == 5000
    assert threading.active_count() <= before


def test_models_and_mappings() -> None:
    """Rows may be models; what is sent is the same."""
    with sync_client(server := Server()) as client:
        rows = [ProfileBatchItem(custom_id="c", city="Łódź", attributes={"n": 1}), {"customId": "d"}]
        assert client.bulk.upsert_profiles(rows, checks="strict").accepted == 2
        event = BatchEvent(label="x", action="a.b", client=ClientIdentifier(custom_id="c"), event_salt="s")
        assert client.bulk.send_events([event], checks="strict").accepted == 1
    assert server.stored[:2] == [{"customId": "c", "city": "Łódź", "attributes": {"n": 1}}, {"customId": "d"}]
    assert server.stored[2]["eventSalt"] == "s"


def test_an_error_of_the_rows_waits_for_the_answers() -> None:
    """What a generator raises reaches the caller, after what was sent has been answered; the error says how far."""

    def rows() -> Iterator[Any]:
        yield from (profile(n) for n in range(2500))
        raise RuntimeError("the warehouse is closed")

    with sync_client(server := Server()) as client, pytest.raises(RuntimeError, match="warehouse") as caught:
        client.bulk.upsert_profiles(rows())
    assert len(server.bodies) == 2
    (note,) = caught.value.__notes__
    assert note == "The run ended early: profiles.upsert_batch: 2,500 rows read, 2,000 accepted, 500 unsent"


def test_a_stopped_run_keeps_its_report() -> None:
    """The error has the report and what caused it; neither shows a row."""
    refused = SendResult(status=403, failure=AttemptFailure(status_code=403))
    with sync_client(Server(fault=lambda: (False, refused))) as client, pytest.raises(BulkStoppedError) as caught:
        client.bulk.upsert_profiles([profile(n) for n in range(10)])
    assert isinstance(caught.value.__cause__, PermissionDeniedError)
    assert caught.value.report.by_stage["unsent"] == 10
    assert "c-1" not in str(caught.value) + repr(caught.value.report) + repr(list(caught.value.report.rejected))


def test_progress_and_raise_for_rejected() -> None:
    """The callback is called after each chunk; a report with rejections can raise."""
    seen: list[Progress] = []
    with sync_client(Server(is_bad)) as client:
        rows = [profile(n, "bad!" if n == 1500 else "x") for n in range(3000)]
        report = client.bulk.upsert_profiles(rows, progress=seen.append)
    assert [item.accepted for item in seen] == sorted(item.accepted for item in seen)
    assert (seen[-1].read, seen[-1].accepted, seen[-1].rejected, seen[-1].in_flight) == (3000, 2999, 1, 0)
    with pytest.raises(RejectedRowsError, match="1 refused by the server"):
        report.raise_for_rejected()
    assert fates(report) == {"server": [1500]}


def test_a_progress_callback_that_raises_ends_the_run() -> None:
    """An error of the caller's own function is not swallowed."""

    def fail(_: Progress) -> None:
        raise ValueError("enough")

    with sync_client(Server()) as client, pytest.raises(ValueError, match="enough"):
        client.bulk.upsert_profiles([profile(0)], progress=fail)


@pytest.mark.parametrize(
    "wrong",
    [{"concurrency": 0}, {"max_errors": -1}, {"checks": "some"}, {"allow_null": "city"}, {"requests_per_second": 0}],
    ids=str,
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """An argument that cannot work is refused before anything is read."""
    with sync_client(Server()) as client, pytest.raises(ValueError, match=next(iter(wrong))):
        client.bulk.upsert_profiles([profile(0)], **wrong)


def test_both_clients_have_the_same_methods() -> None:
    """Names, arguments and defaults are the same; async rows may come from an async iterable."""

    def surface(client_class: type[Any]) -> dict[str, list[str]]:
        methods = {name: method for name, method in vars(client_class).items() if not name.startswith("_")}
        return {name: list(inspect.signature(method).parameters) for name, method in methods.items()}

    assert surface(Bulk) == surface(AsyncBulk)
    assert set(surface(Bulk)) == {
        "assign_tag",
        "create_transactions",
        "delete_profiles",
        "send_events",
        "upsert_profiles",
    }


def test_the_progress_bar(capsys: pytest.CaptureFixture[str]) -> None:
    """The ready bar counts rows on the standard error stream."""
    pytest.importorskip("rich")
    with sync_client(Server(is_bad)) as client, progress_bar(total=1500) as progress:
        client.bulk.upsert_profiles([profile(n, "bad!" if n == 7 else "x") for n in range(1500)], progress=progress)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "1,500 rows, 1 rejected" in printed.err


def test_a_retry_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """A request that is sent again leaves a line in the log, without anything of its rows."""
    answers = iter([(False, SendResult(status=500, failure=AttemptFailure(status_code=500)))])
    with sync_client(Server(fault=lambda: next(answers, None))) as client, caplog.at_level("WARNING"):
        client.bulk.upsert_profiles([profile(7)])
    (record,) = caplog.records
    assert record.getMessage() == "profiles.upsert_batch: status 500; attempt 2 follows in 0.25 s"


def test_a_cancelled_run_ends_at_once() -> None:
    """A cancellation does not wait for a server that says nothing; no more than the window and a chunk were read."""
    taken = 0

    async def silent(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(3600)
        raise AssertionError

    async def endless() -> AsyncIterator[Any]:
        nonlocal taken
        for n in itertools.count():
            taken += 1
            yield profile(n)

    async def main() -> None:
        async with AsyncSynerise(token="t", transport=httpx.MockTransport(silent)) as client:
            run = asyncio.create_task(client.bulk.upsert_profiles(endless(), concurrency=3))
            before = -1
            while before != taken:
                before = taken
                await asyncio.sleep(0.05)
            run.cancel()
            with pytest.raises(asyncio.CancelledError):
                await run

    asyncio.run(main())
    assert taken == 4000


def test_a_slow_source_holds_nothing_up() -> None:
    """While rows are slow to come, responses are taken and what was refused for a moment is sent again."""
    answered: list[int] = []
    moments = itertools.count()

    def answer(request: httpx.Request) -> httpx.Response:
        status = 503 if next(moments) == 0 else 202
        answered.append(status)
        return httpx.Response(status)

    async def main() -> Report:
        again = asyncio.Event()

        async def source() -> AsyncIterator[Any]:
            for n in range(1000):
                yield {"customId": f"c{n}"}
            await again.wait()  # for ever, unless the first chunk is sent again meanwhile
            yield {"customId": "last"}

        def resume(progress: Progress) -> None:
            if progress.accepted == 1000:
                again.set()

        quick = RetryPolicy(base_delay=0.001)
        async with AsyncSynerise(token="t", transport=httpx.MockTransport(answer), retry=quick) as client:
            return await asyncio.wait_for(client.bulk.upsert_profiles(source(), progress=resume), 30)

    report = asyncio.run(main())
    assert (report.accepted, report.retries, answered) == (1001, 1, [503, 202, 202])


def test_an_error_of_an_async_source_is_raised_last() -> None:
    """What a source gave before it failed is sent; then its error is raised, as it is."""
    server = Server()

    async def source() -> AsyncIterator[Any]:
        for n in range(1500):
            yield {"customId": f"c{n}"}
        raise OSError("the disk is gone")

    async def main() -> None:
        async with async_client(server) as client:
            await client.bulk.upsert_profiles(source())

    with pytest.raises(OSError, match="the disk is gone") as caught:
        asyncio.run(main())
    assert "1,500 rows read" in caught.value.__notes__[0]
    assert len(server.stored) == 1000
