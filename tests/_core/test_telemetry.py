"""Spans and metrics of OpenTelemetry, read from its exporters in memory, of calls to the sandbox over real sockets."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import attrs
import httpx
import pytest

from synerise_profiles import (
    APIConnectionError,
    AsyncSynerise,
    InvalidRequestError,
    NotFoundError,
    RetryPolicy,
    Synerise,
)
from synerise_profiles._core.instruments import is_traced
from synerise_profiles._core.timing import SYSTEM_TIMING
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.sandbox import Sandbox
from tests._core.support import unused_url
from tests._core.traces import Telemetry, traced
from tests.exports.support import order

pytest.importorskip("opentelemetry.sdk", reason="the SDK of OpenTelemetry is not installed")
sys.modules.pop("opentelemetry.trace", None)  # for the tests of other modules

BRISK = RetryPolicy(max_retries=3, base_delay=0.001, max_delay=0.002)


async def _no_sleep(_seconds: float) -> None:
    await anyio.lowlevel.checkpoint()


TIMING = attrs.evolve(SYSTEM_TIMING, sleep=lambda _seconds: None, sleep_async=_no_sleep)


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
    with Synerise(token=sandbox.token(), base_url=sandbox.url, retry=BRISK, _timing=TIMING) as client:
        yield client


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    with traced() as found:
        yield found


def in_async(sandbox: Sandbox, work: Any) -> Any:
    """Call a coroutine function with an async client, and return its result."""

    async def main() -> Any:
        options: dict[str, Any] = {"token": sandbox.token(), "base_url": sandbox.url, "retry": BRISK}
        async with AsyncSynerise(**options, _timing=TIMING) as client:
            return await work(client)

    return asyncio.run(main())


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, sandbox: Sandbox, client: Synerise) -> Any:
    """Call a method by its path, of either client."""

    def do(path: str, *args: Any, **kwargs: Any) -> Any:
        def find(found: Any) -> Any:
            for part in path.split("."):
                found = getattr(found, part)
            return found

        if request.param == "sync":
            return find(client)(*args, **kwargs)
        return in_async(sandbox, lambda other: find(other)(*args, **kwargs))

    return do


def errors(telemetry: Telemetry) -> dict[str, Any]:
    """The error type of each span that has one, by its name."""
    return {span.name: span.attributes["error.type"] for span in telemetry.spans if "error.type" in span.attributes}


def test_a_call_with_two_retries(telemetry: Telemetry, sandbox: Sandbox, call: Any) -> None:
    """One span of the operation with three attempts below it, which are numbered from the first repetition on."""
    sandbox.faults.status(503, retry_after=2.0, times=2, operation="profiles.upsert")

    call("profiles.upsert", {"customId": "c-1", "email": "jan@example.com"})

    (operation,) = telemetry.named("profiles.upsert")
    attempts = telemetry.children(operation)
    assert telemetry.tree() == ["profiles.upsert", *["  POST /v4/clients"] * 3]
    assert operation.kind.name == "INTERNAL"
    assert {span.kind.name for span in attempts} == {"CLIENT"}
    assert [span.attributes.get("http.request.resend_count") for span in attempts] == [None, 1, 2]
    assert [span.attributes["http.response.status_code"] for span in attempts] == [503, 503, 202]
    assert [span.attributes.get("error.type") for span in attempts] == ["503", "503", None]
    assert [span.status.status_code.name for span in attempts] == ["ERROR", "ERROR", "UNSET"]
    assert operation.attributes["http.response.status_code"] == 202
    assert operation.status.status_code.name == "UNSET"
    assert telemetry.sums("synerise.client.retries", "synerise.operation") == {("profiles.upsert",): 2}
    assert telemetry.sums("synerise.client.throttled.duration") == {(): 4.0}
    counts = {point.attributes["http.response.status_code"]: point.count for point in durations(telemetry)}
    assert counts == {503: 2, 202: 1}


def durations(telemetry: Telemetry) -> list[Any]:
    return telemetry.metrics()["http.client.request.duration"]


def test_attributes_follow_the_conventions(telemetry: Telemetry, sandbox: Sandbox, client: Synerise) -> None:
    """A CLIENT span has what the conventions of HTTP require; the template stands for the path, in the URL too."""
    with pytest.raises(NotFoundError):
        client.profiles.find("by-email", "jan.kowalski@example.com")

    attempt = telemetry.named("GET /v4/clients/{identifierType}/{identifierValue}")[0]
    port = int(sandbox.url.rsplit(":", 1)[1])
    assert dict(attempt.attributes) == {
        "server.address": "127.0.0.1",
        "server.port": port,
        "http.request.method": "GET",
        "url.template": "/v4/clients/{identifierType}/{identifierValue}",
        "url.full": sandbox.url + "/v4/clients/{identifierType}/{identifierValue}",
        "http.response.status_code": 404,
        "error.type": "404",
    }
    assert attempt.instrumentation_scope.name == "synerise_profiles"
    assert attempt.instrumentation_scope.schema_url.startswith("https://opentelemetry.io/schemas/1.")
    assert errors(telemetry)["profiles.find"] == "NotFoundError"
    assert not attempt.events  # an exception's text may quote a row


def test_a_login_is_below_the_call_that_needs_it(telemetry: Telemetry, sandbox: Sandbox) -> None:
    """The time that signing in takes is seen where it is spent."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.tags.list()

    login = ["  auth.login", "    POST /uauth/v2/auth/login/profile"]
    assert telemetry.tree() == ["tags.list", *login, "  GET " + telemetry.spans[0].attributes["url.template"]]


def test_a_connection_error_has_its_type(telemetry: Telemetry) -> None:
    """An attempt without an answer has the type of what happened, and no status."""
    with (
        Synerise(token="a.b.c", base_url=unused_url(), max_retries=0) as client,
        pytest.raises(APIConnectionError),
    ):
        client.tags.list()

    operation, attempt = telemetry.spans
    assert (operation.attributes["error.type"], attempt.attributes["error.type"]) == (
        "APIConnectionError",
        "ConnectError",
    )
    assert "http.response.status_code" not in attempt.attributes
    assert durations(telemetry)[0].attributes["error.type"] == "ConnectError"


def test_what_is_refused_before_sending_makes_no_span(telemetry: Telemetry, client: Synerise) -> None:
    """Where nothing is sent there is nothing to trace."""
    with pytest.raises(InvalidRequestError):
        client.profiles.upsert({"custmId": "a"})

    assert telemetry.spans == []


def test_a_cancelled_call_ends_its_spans(telemetry: Telemetry) -> None:
    """A cancellation is seen in both spans."""

    class Silent(httpx.AsyncBaseTransport):
        """Answers nothing, and says when it is asked."""

        def __init__(self) -> None:
            self.asked = asyncio.Event()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.asked.set()
            await asyncio.Event().wait()
            raise AssertionError

    async def main() -> None:
        transport = Silent()
        async with AsyncSynerise(token="a.b.c", transport=transport) as client:
            task = asyncio.create_task(client.tags.list())
            await transport.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())

    operation, attempt = telemetry.spans
    assert (operation.attributes["error.type"], attempt.attributes["error.type"]) == ("CancelledError",) * 2


def people(count: int) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}", "birthDate": "no date" if n % 500 == 7 else "1990-01-02"} for n in range(count)]


def test_a_bulk_run_with_refused_rows(telemetry: Telemetry, sandbox: Sandbox, call: Any) -> None:
    """The batches of a run are below its span, from threads and tasks too; rows are counted by their fate."""
    sandbox.faults.status(429, retry_after=0.2, times=1, operation="profiles.upsert_batch")
    rows = [*people(2500), {"firstName": "nobody"}]

    call("bulk.upsert_profiles", rows, concurrency=3)

    (run,) = [span for span in telemetry.spans if span.parent is None]
    batches = telemetry.children(run)
    assert run.name == "bulk.upsert_profiles"
    assert {key: value for key, value in run.attributes.items() if key.startswith("synerise.")} == {
        "synerise.operation": "profiles.upsert_batch",
        "synerise.requests": 4,
        "synerise.retries": 1,
        "synerise.rows.read": 2501,
        "synerise.rows.accepted": 2495,
        "synerise.rows.resumed": 0,
        "synerise.rows.check": 1,
        "synerise.rows.server": 5,
    }
    assert {span.name for span in batches} == {"profiles.upsert_batch"}
    again = [
        (span.attributes.get("http.request.resend_count", 0), batch)
        for batch in batches
        for span in telemetry.children(batch)
    ]
    assert sorted(count for count, _ in again) == [0, 0, 0, 1]
    sent_again = next(
        batch.attributes["synerise.batch.rows"] for count, batch in again if count
    )  # any may meet the 429
    sizes = sorted(span.attributes["synerise.batch.rows"] for span in batches)
    assert sizes == sorted([500, 1000, 1000, sent_again])
    assert telemetry.sums("synerise.client.rows", "synerise.row.fate") == {
        ("accepted",): 2495,
        ("check",): 1,
        ("server",): 5,
    }
    assert telemetry.sums("synerise.client.throttled.duration")[()] == pytest.approx(0.2, abs=0.2)


def test_a_run_below_a_span_of_the_program(telemetry: Telemetry, sandbox: Sandbox, call: Any) -> None:
    """A run is part of the trace that it is called in, and nothing of it stays in the context of the caller."""
    from opentelemetry import trace  # noqa: PLC0415 - only here

    with trace.get_tracer("program").start_as_current_span("night"):
        call("bulk.upsert_profiles", people(10))
        call("tags.list")

    assert telemetry.tree()[:4] == [
        "night",
        "  bulk.upsert_profiles",
        "    profiles.upsert_batch",
        *telemetry.tree()[3:4],
    ]
    assert "  tags.list" in telemetry.tree()


def test_a_run_that_ends_early_says_by_what(telemetry: Telemetry, client: Synerise) -> None:
    """The span of a run has the type of what it raised, and its counters all the same."""
    with pytest.raises(BulkStoppedError):
        client.bulk.upsert_profiles([{"firstName": "nobody"}] * 10, max_errors=3)

    (run,) = telemetry.named("bulk.upsert_profiles")
    assert run.attributes["error.type"] == "BulkStoppedError"
    assert run.attributes["synerise.rows.check"] == 10


def test_rows_that_an_earlier_run_settled_are_not_counted_again(
    telemetry: Telemetry, client: Synerise, tmp_path: Path
) -> None:
    """A run that goes on by its journal counts what it settles itself."""
    for _ in range(2):
        client.bulk.upsert_profiles(people(1500), journal=tmp_path / "journal")

    assert telemetry.sums("synerise.client.rows", "synerise.row.fate") == {("accepted",): 1497, ("server",): 3}
    assert telemetry.named("bulk.upsert_profiles")[1].attributes["synerise.rows.resumed"] == 1500


def test_a_replay(telemetry: Telemetry, client: Synerise, tmp_path: Path) -> None:
    """A replay is a run of its own name."""
    client.bulk.upsert_profiles(people(20), dead_letter=tmp_path / "letters.jsonl")
    client.bulk.replay(
        tmp_path / "letters.jsonl", transform=lambda letter: {**letter["row"], "birthDate": "1990-01-01"}
    )

    (run,) = telemetry.named("bulk.replay")
    assert run.attributes["synerise.rows.accepted"] == 1
    assert telemetry.sums("synerise.client.rows", "synerise.row.fate") == {("accepted",): 20, ("server",): 1}


def test_a_queue(telemetry: Telemetry, sandbox: Sandbox, client: Synerise) -> None:
    """Its depth is measured while it holds rows; its batches are traces of their own, and a flush has a span."""
    sandbox.faults.status(500, times=1, operation="profiles.upsert_batch")
    with client.queue(flush_after=60.0) as queue:
        for row in people(20):
            queue.profiles.put(row)
        assert telemetry.sums("synerise.client.queue.rows") == {(): 20}
        size = queue.stats().held_bytes
        assert telemetry.sums("synerise.client.queue.size") == {(): size}
        assert queue.flush().complete

    assert telemetry.sums("synerise.client.queue.rows") == {(): 0}
    assert telemetry.sums("synerise.client.rows", "synerise.row.fate") == {("accepted",): 19, ("server",): 1}
    assert telemetry.sums("synerise.client.retries") == {(): 1}
    first, again = telemetry.named("profiles.upsert_batch")
    assert (first.parent, again.parent) == (None, None)
    assert first.attributes["synerise.batch.rows"] == again.attributes["synerise.batch.rows"] == 20
    assert telemetry.children(again)[0].attributes["http.request.resend_count"] == 1
    assert len(telemetry.named("queue.flush")) == 1


def test_an_async_queue(telemetry: Telemetry, sandbox: Sandbox) -> None:
    """The same of the queue by tasks; rows that it drops are counted."""

    async def work(client: AsyncSynerise) -> None:
        async with client.queue(flush_after=60.0, max_items=10, when_full="drop_oldest") as queue:
            for row in people(7) + people(7):
                await queue.profiles.put(row)
            stats = queue.stats()  # how many are dropped depends on what was sent meanwhile
            assert stats.dropped > 0
            assert telemetry.sums("synerise.client.queue.rows") == {(): stats.held}
            assert telemetry.sums("synerise.client.queue.dropped") == {(): stats.dropped}
            assert (await queue.flush()).complete
            dropped.append(stats.dropped)

    dropped = list[int]()
    in_async(sandbox, work)

    accepted = 14 - dropped[0]
    assert telemetry.sums("synerise.client.rows", "synerise.row.fate")[("accepted",)] == accepted
    assert len(telemetry.named("queue.flush")) == 1


def test_a_merge(telemetry: Telemetry, sandbox: Sandbox, client: Synerise, call: Any) -> None:
    """Planning and applying are spans, with the requests of several threads below them; no id is in a path."""
    client.bulk.upsert_profiles([{"customId": f"anna-{n}"} for n in range(12)])
    sandbox.drain()

    plan = client.merges.plan(into="anna-0", sources=[f"anna-{n}" for n in range(1, 12)], by="custom_id")
    call("merges.apply", plan, audit=None, actor="me")

    (planned,), (applied,) = telemetry.named("merges.plan"), telemetry.named("merges.apply")
    assert len(telemetry.children(planned)) == 12
    below = {span.name for span in telemetry.children(applied)}
    assert below == {"profiles.find", "profiles.merge_by_custom_id"}
    template = "/v4/clients/merge/from/custom-ids/{sourceCustomIDs}/to/custom-id/{targetCustomID}"
    assert telemetry.named(f"POST {template}")


def test_an_export(telemetry: Telemetry, sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Ordering with its waiting, and reading, are spans."""
    client.bulk.upsert_profiles(people(3))
    sandbox.drain()
    sandbox.clock.stop()

    export = client.exports.run(order(), progress=lambda _: sandbox.clock.advance(60))
    export.write_jsonl(tmp_path / "all.jsonl")

    run, read = telemetry.named("exports.run")[0], telemetry.named("exports.read")[0]
    assert [span.name for span in telemetry.children(run)][:2] == ["exports.create", "exports.get_status"]
    assert {span.name for span in telemetry.children(read)} == {"exports.get_data"}


def test_a_delta_sync(telemetry: Telemetry, call: Any, tmp_path: Path) -> None:
    """A delta sync has its bulk run below it; a plan counts no rows, since it sends none."""
    options: dict[str, Any] = {"key": "customId", "state": tmp_path / "state"}

    call("delta_sync.plan", [{"customId": "a"}], **options)
    assert telemetry.sums("synerise.client.rows") == {}
    call("delta_sync.profiles", [{"customId": "a"}], **options)

    assert telemetry.tree()[-4:-1] == ["delta_sync.profiles", "  bulk.upsert_profiles", "    profiles.upsert_batch"]
    assert telemetry.sums("synerise.client.rows") == {(): 1}


def test_a_doctor(telemetry: Telemetry, call: Any) -> None:
    """What the doctor asks is below its span."""
    call("doctor")

    (span,) = telemetry.named("doctor")
    assert {child.name for child in telemetry.children(span)} == {"events.server_time", "auth.check_permissions"}


def test_many_threads(telemetry: Telemetry, client: Synerise) -> None:
    """Calls of several threads are traces of their own."""
    threads = [threading.Thread(target=client.tags.list) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len([span for span in telemetry.spans if span.parent is None]) == 8


def test_no_header_is_added(telemetry: Telemetry) -> None:
    """Trace ids and baggage stay with the caller: the server is another company's."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[])

    with Synerise(token="a.b.c", transport=httpx.MockTransport(handle)) as client:
        client.tags.list()

    assert not {"traceparent", "tracestate", "baggage"} & set(seen[0].headers)
    assert telemetry.spans


def test_nothing_is_loaded_by_a_program_that_does_not_use_it(sandbox: Sandbox, client: Synerise) -> None:
    """That the package is installed costs neither time nor memory."""
    client.tags.list()

    assert not is_traced()
