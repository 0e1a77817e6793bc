"""The lines that bulk runs, queues, merges and exports log: at their start, their end and when the host is away."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from synerise_profiles import APIConnectionError, AsyncSynerise, RetryPolicy, Synerise
from synerise_profiles._core.logging import Outage
from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles.bulk import BulkStoppedError, UnreadableRow
from synerise_profiles.merges import MergeStoppedError
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv
from synerise_profiles_api.api.profiles import upsert_batch
from tests.exports.support import order

PERSONAL = ("jan.kowalski", "example.com", "Kowalski", "600700800", "1990-02-31")
AWAY = httpx.ConnectError("nobody")


@pytest.fixture(scope="module")
def _running() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    _running.faults.clear()
    _running.reset()
    return _running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    timing = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None)
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=timing) as client:
        yield client


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "synerise_profiles")
    return caplog


def lines(log: pytest.LogCaptureFixture, level: int = logging.INFO) -> list[str]:
    return [item.getMessage() for item in log.records if item.levelno == level and item.name == "synerise_profiles"]


def assert_nothing_personal(log: pytest.LogCaptureFixture) -> None:
    text = " ".join(f"{item.getMessage()} {item.__dict__}" for item in log.records)
    assert [word for word in PERSONAL if word in text] == []


def profile(n: int, **more: Any) -> dict[str, Any]:
    return {"customId": f"c-{n}", "email": f"jan.kowalski{n}@example.com", "lastName": "Kowalski", **more}


def test_a_bulk_run_says_when_it_begins_and_ends(client: Synerise, log: pytest.LogCaptureFixture) -> None:
    """Two INFO lines: counts, rate, requests, and why the checks refused the first rows; nothing of the rows."""
    rows = [profile(n) for n in range(20)]
    rows += [profile(20, firstName=float("nan")), {"lastName": "Kowalski"}, profile(22, birthDate="1990-02-31")]

    report = client.bulk.upsert_profiles(rows)

    start, end = lines(log)
    assert start == "profiles.upsert_batch: bulk run started, up to 8 requests at a time"
    assert end.startswith("profiles.upsert_batch: bulk run ended: 23 rows read, 20 accepted, ")
    assert "rows/s)" in end
    assert "; 1 request, 0 of them retries" in end
    assert "the checks say: firstName " in end
    assert len(report.rejected) == 3
    assert_nothing_personal(log)


def test_what_a_server_or_a_caller_says_is_not_logged(client: Synerise, log: pytest.LogCaptureFixture) -> None:
    """The reason of a row that the caller could not read, and an unknown name, may hold anything: they are left out."""
    rows: list[Any] = [
        UnreadableRow("jan.kowalski@example.com", "Kowalski is no name"),
        profile(1, birthDate="1990-02-31"),
        {**profile(2), "jan.kowalski@example.com": float("nan")},
    ]

    report = client.bulk.upsert_profiles(rows)

    assert report.rejected_count() == 3
    assert "3 rows read, 0 accepted" in lines(log)[-1]
    assert_nothing_personal(log)


def test_fields_that_the_server_refused_are_logged(log: pytest.LogCaptureFixture) -> None:
    """By their first names alone, since below these a key may be the caller's own."""
    rows = [profile(0, city="!"), profile(1, attributes={"Kowalski": "?"}), profile(2)]
    errors = [
        {"field": "city", "message": "is bad", "rejectedValue": "!"},
        {"field": "attributes.Kowalski", "message": "is bad", "rejectedValue": "?"},
    ]
    with Synerise(token="a.b.c", transport=httpx.MockTransport(lambda _: httpx.Response(207, json=errors))) as client:
        report = client.bulk.upsert_profiles(rows)

    assert report.by_stage["server"] == 2
    assert lines(log)[-1].endswith("; the server refused: city, attributes")


def test_a_queue_warns_once_of_a_key_that_is_refused(log: pytest.LogCaptureFixture) -> None:
    """However often it tries: one WARNING, since nothing but another key ends it."""
    sent: list[int] = []

    def answer(_: httpx.Request) -> httpx.Response:
        sent.append(1)
        return httpx.Response(401 if len(sent) < 6 else 202, json={})

    transport, policy = httpx.MockTransport(answer), RetryPolicy(base_delay=0.001)
    with Synerise(token="a.b.c", transport=transport, retry=policy) as client, client.queue() as queue:
        queue.profiles.put(profile(1))
        assert queue.flush(10)
    (warning,) = lines(log, logging.WARNING)
    assert warning.startswith("profiles.upsert_batch: status 401; ")


def test_the_reasons_of_a_file_are_logged(client: Synerise, log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """A source of the library says what it could not read in its own words."""
    path = tmp_path / "rows.csv"
    path.write_text("Id,Mail\n1,a@example.com\n2,a@example.com,Kowalski\n", encoding="utf-8")

    client.bulk.upsert_profiles(read_csv(path, RowMapping.for_profiles({"Id": "customId", "Mail": "email"})))

    assert "the checks say: " in lines(log)[-1]
    assert_nothing_personal(log)


def test_a_run_that_goes_on_says_so(client: Synerise, log: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """With a journal, the second run tells how many rows were settled before."""
    rows = [profile(n) for n in range(5)]
    for _ in range(2):
        client.bulk.upsert_profiles(rows, journal=tmp_path / "jan.kowalski.journal")

    assert lines(log)[0].endswith(", with journal")
    assert "5 rows settled by an earlier run" in lines(log)[-1]
    assert_nothing_personal(log)


def test_a_run_that_stops_says_why(sandbox: Sandbox, log: pytest.LogCaptureFixture) -> None:
    """A missing permission ends a run; the line names it."""
    key = sandbox.add_key([]).key
    with Synerise(api_key=key, base_url=sandbox.url) as client, pytest.raises(BulkStoppedError):
        client.bulk.upsert_profiles([profile(1)])

    assert "bulk run stopped (the server takes none of these requests: status 403" in lines(log)[-1]
    assert "API_BATCH_CLIENT_CREATE" in lines(log)[-1]


def test_a_run_that_an_exception_ends(client: Synerise, log: pytest.LogCaptureFixture) -> None:
    """The type of the exception is named, its text is not."""

    def rows() -> Iterator[dict[str, Any]]:
        yield profile(1)
        raise LookupError("jan.kowalski@example.com")

    with pytest.raises(LookupError):
        client.bulk.upsert_profiles(rows())

    assert "bulk run stopped (LookupError was raised): 1 row read" in lines(log)[-1]
    assert_nothing_personal(log)


def flaky(failures: int) -> httpx.MockTransport:
    """A host that is away for so many requests, and then there."""
    numbers = itertools.count(1)

    def answer(_: httpx.Request) -> httpx.Response:
        if next(numbers) <= failures:
            raise AWAY
        return httpx.Response(202)

    return httpx.MockTransport(answer)


def test_a_bulk_run_warns_once_of_a_host_that_is_away(log: pytest.LogCaptureFixture) -> None:
    """Thirty requests fail: one warning, and one line when it answers again."""
    timing = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None, monotonic=itertools.count(1.0).__next__)
    retry = RetryPolicy(max_retries=100, deadline=1e9)
    with Synerise(token="a.b.c", transport=flaky(30), retry=retry, _timing=timing) as client:
        report = client.bulk.upsert_profiles([profile(n) for n in range(5000)])

    assert report.accepted == 5000
    assert report.retries == 30
    (warning,) = lines(log, logging.WARNING)
    assert warning.startswith("profiles.upsert_batch: no connection to ")
    assert len([line for line in lines(log) if "answers again" in line]) == 1


def away_at_first(failures: int) -> httpx.MockTransport:
    """A host that is away for so many requests; then it logs in and takes rows."""
    numbers = itertools.count(1)

    def answer(request: httpx.Request) -> httpx.Response:
        if next(numbers) <= failures:
            raise AWAY
        return httpx.Response(200, json={"token": "a.b.c"}) if "auth" in request.url.path else httpx.Response(202)

    return httpx.MockTransport(answer)


@pytest.mark.parametrize("run", ["bulk", "queue", "calls"])
def test_a_login_that_waits_for_the_host_warns_with_what_waits_for_it(run: str, log: pytest.LogCaptureFixture) -> None:
    """The login before the rows, the run and calls of the same client: one warning for all of them, one line after."""
    timing = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None)
    policy = RetryPolicy(base_delay=0.001)
    with Synerise(api_key="key", transport=away_at_first(9), retry=policy, _timing=timing) as client:
        if run == "bulk":
            assert client.bulk.upsert_profiles([profile(n) for n in range(5000)]).accepted == 5000
        elif run == "queue":
            with client.queue() as queue:
                queue.profiles.put(profile(1))
        else:
            for _ in range(2):
                with pytest.raises(APIConnectionError):
                    client.profiles.upsert(profile(1))
            client.profiles.upsert(profile(1))

    (warning,) = lines(log, logging.WARNING)
    assert warning.startswith("auth.login: no connection to ")
    (back,) = [line for line in lines(log) if "answers again" in line]
    assert back.startswith("auth.login: ")


def test_calls_one_after_another_warn_once_of_a_host_that_is_away(log: pytest.LogCaptureFixture) -> None:
    """Twenty calls with three retries each: one warning, since who calls gets an error each time."""
    timing = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None)
    with Synerise(token="a.b.c", transport=flaky(10**6), _timing=timing) as client:
        for _ in range(20):
            with pytest.raises(APIConnectionError):
                client.profiles.upsert(profile(1))

    assert len(lines(log, logging.WARNING)) == 1


def test_a_request_from_before_the_server_answered_again_begins_no_other_outage(log: pytest.LogCaptureFixture) -> None:
    """Three were sent and fail, one of them after the answer that ends the outage; a fourth, sent later, begins one."""
    clock, operation = itertools.count(10.0).__next__, upsert_batch.OPERATION
    outage = Outage(clock)  # begins at 10 s
    outage.log_retry(operation, None, "no connection", 0.5, 1, 8.0)
    outage.log_retry(operation, None, "no connection", 0.5, 1, 8.5)
    outage.end(operation)  # at 11 s
    outage.log_retry(operation, None, "no connection", 0.5, 1, 9.0)
    assert len(lines(log, logging.WARNING)) == 1
    assert not outage.is_on
    assert "after 1.0 s and 2 failed requests" in lines(log)[-1]

    outage.log_retry(operation, None, "no connection", 0.5, 1, 11.5)
    assert len(lines(log, logging.WARNING)) == 2
    assert outage.is_on


def test_a_queue_warns_once_of_a_host_that_is_away(log: pytest.LogCaptureFixture) -> None:
    """The queue goes on trying: one warning, one line when the host is back, and its counts at the end."""
    retry = RetryPolicy(base_delay=0.001)
    with (
        Synerise(token="a.b.c", transport=flaky(5), retry=retry) as client,
        client.queue(concurrency=1) as queue,
    ):
        queue.profiles.put(profile(1))
        assert queue.flush(timeout=30).complete

    (warning,) = lines(log, logging.WARNING)
    assert warning.startswith("profiles.upsert_batch: no connection to ")
    start, back, end = lines(log)
    assert start.startswith("queue started: up to ")
    assert "the server answers again" in back
    assert "1 row put, 1 delivered" in end
    assert "0 left" in end
    assert_nothing_personal(log)


@pytest.mark.anyio
async def test_the_async_clients_log_the_same(sandbox: Sandbox, log: pytest.LogCaptureFixture) -> None:
    """A bulk run and a queue of the async client: a line at each start and end."""
    async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        await client.bulk.upsert_profiles([profile(1)])
        async with client.queue() as queue:
            await queue.profiles.put(profile(2))

    starts = [line.split(":")[0] if "bulk" not in line else "bulk" for line in lines(log)]
    assert starts == ["bulk", "bulk", "queue started", lines(log)[-1].split(":")[0]]
    assert "1 row put, 1 delivered" in lines(log)[-1]


def test_a_merge_logs_its_counts(client: Synerise, log: pytest.LogCaptureFixture) -> None:
    """The start, and the end with what is merged; no id."""
    client.bulk.upsert_profiles([{"customId": "jan.kowalski"}, {"customId": "Kowalski-2"}])
    plan = client.merges.plan(into="jan.kowalski", sources=["Kowalski-2"], by="custom_id")
    log.clear()

    client.merges.apply(plan, audit=None, actor="me")

    start, end = lines(log)
    assert start == "merge: started"
    assert "1 merged" in end
    assert "profiles/s" in end
    assert_nothing_personal(log)


def test_a_merge_that_stops_names_the_kind_of_error_alone(
    sandbox: Sandbox, client: Synerise, log: pytest.LogCaptureFixture
) -> None:
    """The text of the error may name profiles, so it stays out."""
    client.bulk.upsert_profiles([{"customId": "jan.kowalski"}, {"customId": "Kowalski-2"}])
    plan = client.merges.plan(into="jan.kowalski", sources=["Kowalski-2"], by="custom_id")
    sandbox.faults.status(400, operation="profiles.merge_by_custom_id")

    with pytest.raises(MergeStoppedError):
        client.merges.apply(plan, audit=None, actor="me")

    assert lines(log)[-1].endswith("by MergeStoppedError")
    assert_nothing_personal(log)


def test_an_export_logs_when_it_is_ready_and_read(client: Synerise, log: pytest.LogCaptureFixture) -> None:
    """The start, the moment its records can be read, and how many were read."""
    client.bulk.upsert_profiles([profile(n) for n in range(3)])
    log.clear()

    records = list(client.exports.run(order()))

    assert lines(log)[0] == "export: started"
    assert "its records can be read" in lines(log)[1]
    assert f"export: {len(records)} records read in " in lines(log)[-1]
    assert_nothing_personal(log)
