"""The queue of the sync client over real sockets: many threads, faults, dead and stalled servers, deadlines."""

from __future__ import annotations

import collections
import gc
import logging
import os
import signal
import stat
import sys
import threading
import time
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from synerise_profiles import AuthenticationError, InvalidRequestError, Synerise
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles.bulk import Rejection, read_dead_letter
from synerise_profiles.models import BatchEvent, ClientIdentifier
from synerise_profiles.queue import Queue, QueueClosedError, QueueFullError, UndeliveredWarning, sync_queue
from synerise_profiles.sandbox import Outcome, Sandbox
from tests._core.support import Server, silence, unused_url
from tests.queue.support import event, number, profile

FAST_RETRY = RetryPolicy(base_delay=0.001, max_delay=0.01)
MAX_WAIT_SECONDS = 10.0
"""Seconds in which everything ends that has a deadline, on a busy machine too; what has none takes longer."""


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, retry=FAST_RETRY) as client:
        yield client


@pytest.fixture
def stalled() -> Iterator[Queue]:
    """A queue whose server takes requests and never answers."""
    with Server([silence]) as server, Synerise(token="t", base_url=server.url) as client:
        queue = client.queue(max_items=10, flush_after=0.0, exit_timeout=0.05)
        yield queue
        queue.close(0.0)


_start = threading.Thread.start


def refuse_queue_threads(thread: threading.Thread) -> None:
    """Start a thread, unless it is the queue's: there are too many of those."""
    if thread.name.startswith("synerise-queue"):
        raise RuntimeError("can't start new thread")
    _start(thread)


def queue_to_dead_server(**options: Any) -> Queue:
    return Synerise(token="t", base_url=unused_url(), retry=FAST_RETRY).queue(**options)


def arrived(sandbox: Sandbox, operation: str = "events.send_batch") -> collections.Counter[int]:
    found: collections.Counter[int] = collections.Counter()
    for exchange in sandbox.log:
        if exchange.operation == operation and exchange.status == 202:
            found.update(number(row) for row in orjson.loads(exchange.body or b"[]"))
    return found


def fill(queue: Queue, count: int) -> None:
    for n in range(count):
        queue.events.put(event(n), timeout=5)


def wait_until(is_so: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


class Stopwatch:
    """How long a block took."""

    def __enter__(self) -> Self:
        self.begun = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self.begun


def test_many_threads_put(sandbox: Sandbox, client: Synerise) -> None:
    """Each row arrives once, with a salt of its own, whoever put it."""
    queue = client.queue(flush_after=0.01)

    def work(first: int) -> None:
        for n in range(first, first + 1000):
            queue.events.put(event(n))

    workers = [threading.Thread(target=work, args=(k * 1000,)) for k in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    result = queue.flush(20)
    assert result.complete
    assert (result.stats.put, result.stats.delivered, result.stats.held) == (8000, 8000, 0)
    assert arrived(sandbox) == dict.fromkeys(range(8000), 1)
    rows = [row for exchange in sandbox.log if exchange.body for row in orjson.loads(exchange.body) if "label" in row]
    assert len({row["eventSalt"] for row in rows}) == 8000


def test_each_operation_has_a_producer(sandbox: Sandbox, client: Synerise) -> None:
    """Events, profiles and transactions, as models or mappings; what a caller changes afterwards changes nothing."""
    money = {"amount": 3.5, "currency": "PLN"}
    purchase = {
        "client": {"customId": "c-1"},
        "orderId": "order-1",
        "products": [{"sku": "s", "name": "Tea", "quantity": 1, "finalUnitPrice": money}],
        "revenue": money,
        "value": money,
        "paymentInfo": {"method": "CARD"},
        "source": "POS",
    }
    with client.queue() as queue:
        queue.events.put(BatchEvent(label="Visit", action="shop.visit", client=ClientIdentifier(custom_id="c-1")))
        row = profile(1)
        queue.profiles.put(row)
        row["customId"] = 5
        queue.transactions.put(purchase)
        assert queue.flush().complete
    sandbox.drain()
    found = {exchange.operation: exchange for exchange in sandbox.log if exchange.outcomes}
    assert {name: exchange.outcomes for name, exchange in found.items()} == {
        "events.send_batch": (Outcome.APPLIED,),
        "profiles.upsert_batch": (Outcome.APPLIED,),
        "transactions.create_batch": (Outcome.APPLIED,),
    }
    sent = orjson.loads(found["transactions.create_batch"].body or b"")[0]
    assert sent.keys() == {*purchase, "eventSalt", "recordedAt"}


def test_through_faults(sandbox: Sandbox, client: Synerise) -> None:
    """Nothing is lost and nothing stored twice, whatever goes wrong before or after a request was carried out."""
    for at, name in enumerate(("status", "status", "status", "html", "close", "close", "truncate", "expire_token")):
        arguments: dict[str, Any] = [
            {"status": 429, "retry_after": 0.0},
            {"status": 503},
            {"status": 500, "processed": True},
            {"status": 502},
            {},
            {"processed": True, "reset": True},
            {},
            {},
        ][at]
        getattr(sandbox.faults, name)(operation="events.send_batch", rate=0.1, seed=at, **arguments)
    queue = client.queue(flush_items=50)
    for n in range(1500):
        queue.events.put(event(n))
    result = queue.flush(30)
    assert result.complete
    assert result.stats.delivered == 1500
    assert result.stats.retries > 0
    sandbox.faults.clear()
    sandbox.drain()
    outcomes = [outcome for exchange in sandbox.log for outcome in exchange.outcomes]
    assert outcomes.count(Outcome.APPLIED) == 1500


def test_refused_rows_are_reported(sandbox: Sandbox, client: Synerise, caplog: pytest.LogCaptureFixture) -> None:
    """With the row, its number and the reason; a function that raises stops nothing, and no value is logged."""
    reported: list[tuple[Rejection, Any]] = []

    def on_rejected(rejection: Rejection, row: Any) -> None:
        time.sleep(0.05)  # a flush waits for it
        reported.append((rejection, row))
        raise RuntimeError("c-7 is nobody")

    queue = client.queue(on_rejected=on_rejected)
    with caplog.at_level(logging.DEBUG, "synerise_profiles"):
        for n in range(20):
            queue.profiles.put(profile(n, **({"birthDate": "24.10."} if n in (7, 13) else {})))
        result = queue.flush()
    assert (result.stats.delivered, result.stats.rejected) == (18, 2)
    assert [(rejection.index, rejection.stage, rejection.field) for rejection, _ in reported] == [
        (7, "server", "birthDate"),
        (13, "server", "birthDate"),
    ]
    assert [row["customId"] for _, row in reported] == ["c-7", "c-13"]
    assert "profiles.upsert_batch: 2 rows were refused" in caplog.text
    assert "on_rejected or on_error) raised RuntimeError" in caplog.text
    assert not any(secret in caplog.text for secret in ("24.10.", "c-7", "c-13"))


def test_a_mended_row_may_be_put_by_the_callback(sandbox: Sandbox, client: Synerise) -> None:
    """The function that is called for a refusal may use the queue."""
    queue = client.queue(on_rejected=lambda _, row: queue.profiles.put({"customId": row["customId"]}))
    queue.profiles.put(profile(1, birthDate="24.10."))
    queue.flush()
    assert queue.flush().complete
    stats = queue.stats()
    assert (stats.put, stats.delivered, stats.rejected) == (2, 1, 1)


def test_a_bad_key_is_reported_and_loses_nothing(sandbox: Sandbox) -> None:
    """The error reaches the caller's function, the counters say what fails, and the rows stay."""
    errors: list[Exception] = []
    with Synerise(api_key="wrong", base_url=sandbox.url) as client:
        queue = client.queue(on_error=errors.append)
        queue.profiles.put(profile(1))
        result = queue.flush(0.3)
        assert (result.left, result.stats.held) == (1, 1)
        assert [type(error) for error in errors] == [AuthenticationError]
        assert result.stats.failing["profiles.upsert_batch"].startswith("status 401; the login was refused")
        assert queue.close(0).left == 1


@pytest.mark.parametrize("when_full", ["block", "raise"])
def test_a_put_into_a_full_queue_waits_as_long_as_asked(stalled: Queue, when_full: str) -> None:
    """Not longer, not shorter; then the row was not put, and that is counted."""
    for n in range(10):
        stalled.events.put(event(n))
    with Stopwatch() as watch, pytest.raises(QueueFullError, match=r"it holds 10 rows"):
        stalled.events.put(event(10), timeout=0.2 if when_full == "block" else 0.0)
    assert (0.2 if when_full == "block" else 0.0) <= watch.seconds < MAX_WAIT_SECONDS
    with Stopwatch() as watch, pytest.raises(QueueFullError):
        stalled.events.put(event(10))
    assert 0.1 <= watch.seconds < MAX_WAIT_SECONDS
    stats = stalled.stats()
    assert (stats.put, stats.held, stats.full, stats.dropped) == (10, 10, 2, 0)


def test_a_queue_that_raises_does_not_wait() -> None:
    """`when_full="raise"` needs no timeout."""
    queue = queue_to_dead_server(max_items=1, when_full="raise")
    queue.profiles.put(profile(1))
    with Stopwatch() as watch, pytest.raises(QueueFullError):
        queue.profiles.put(profile(2), timeout=60)
    assert watch.seconds < MAX_WAIT_SECONDS
    queue.close(0)


def test_a_waiting_put_gets_the_first_room(sandbox: Sandbox, client: Synerise) -> None:
    """As soon as the server takes rows again."""
    sandbox.faults.status(503, retry_after=0.3, operation="events.send_batch", times=1)
    queue = client.queue(max_items=5, flush_after=0.0)
    with Stopwatch() as watch:
        for n in range(50):
            queue.events.put(event(n), timeout=5)
    assert watch.seconds < MAX_WAIT_SECONDS
    assert queue.flush().complete
    assert arrived(sandbox) == dict.fromkeys(range(50), 1)


def test_a_dead_server_costs_bounded_memory_and_the_count_is_exact() -> None:
    """However many are put: what is held keeps to its bounds, and the rest is counted as dropped."""
    queue = queue_to_dead_server(max_items=2000, max_bytes=200_000, when_full="drop_oldest")
    tracemalloc.start()
    try:
        for n in range(3000):
            queue.profiles.put(profile(n))
        first, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for n in range(3000, 12_000):
            queue.profiles.put(profile(n))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < first + 1_500_000
    result = queue.close(0.0)
    with pytest.raises(QueueClosedError):
        queue.profiles.put(profile(0))
    stats = result.stats
    assert stats.put == 12_000 == stats.dropped + stats.held
    assert stats.held == result.left == len(list(queue.undelivered())) <= 2000
    assert stats.held_bytes <= 200_000
    kept = sorted(left.index for left in queue.undelivered())
    # The newest are kept, beside the batch that is tried again and again.
    assert kept[-1000:] == list(range(11_000, 12_000))


def test_flush_and_close_return_in_time_and_say_what_is_left(stalled: Queue, tmp_path: Path) -> None:
    """With a request that is never answered: after the time that was given, with the number of rows and the rows."""
    for n in range(3):
        stalled.events.put(event(n, time="2020-01-01T00:00:00Z"))
    with Stopwatch() as watch:
        assert stalled.flush(0.2).left == 3
    assert 0.2 <= watch.seconds < MAX_WAIT_SECONDS
    with Stopwatch() as watch:
        result = stalled.close(0.2)
    assert 0.2 <= watch.seconds < MAX_WAIT_SECONDS
    assert (result.left, result.complete, result.stats.held) == (3, False, 3)
    assert sorted(number(orjson.loads(left.row)) for left in stalled.undelivered()) == [0, 1, 2]
    with Stopwatch() as watch:
        assert stalled.close(60).left == 3
    assert watch.seconds < MAX_WAIT_SECONDS
    with pytest.raises(QueueClosedError):
        stalled.events.put(event(4))


def test_what_could_not_be_delivered_is_written_down_and_can_be_sent(tmp_path: Path, sandbox: Sandbox) -> None:
    """The spill file is a dead-letter file, complete with salts; reading it and sending it loses nothing."""
    path = tmp_path / "left.jsonl"
    queue = queue_to_dead_server(spill=path, exit_timeout=0.1)
    for n in range(3):
        queue.events.put(event(n, time="2020-01-01T00:00:00Z"))
    with pytest.warns(UndeliveredWarning, match="3 of 3 rows were left in the queue; they were written"), queue:
        pass
    letters = list(read_dead_letter(path))
    assert all(letter["row"]["eventSalt"] for letter in letters)
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.send_events(letter["row"] for letter in letters)
    assert report.accepted == 3


def test_a_spill_says_what_it_takes_to_send_its_rows(tmp_path: Path) -> None:
    """It is for its owner, holds rows of several operations, and further queues append to it."""
    path = tmp_path / "left.jsonl"
    for _ in range(2):
        queue = queue_to_dead_server(spill=path, exit_timeout=0.1)
        queue.events.put(event(1))
        queue.profiles.put({"customId": "c"})
        with pytest.warns(UndeliveredWarning, match="2 of 2 rows were left in the queue; they were written"), queue:
            pass
    letters = list(read_dead_letter(path))
    assert len(letters) == 4
    assert {(letter["version"], letter["operation"], letter["row_holds"]) for letter in letters} == {
        (1, "events.send_batch", "fields"),
        (1, "profiles.upsert_batch", "fields"),
    }
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_spill_that_cannot_be_written_is_refused_when_the_queue_is_made(tmp_path: Path) -> None:
    """By name; a file of something else stays as it is, also if it came later."""
    other = tmp_path / "notes.txt"
    other.write_text("keep me")
    unwritable = ["/proc/left.jsonl"] if sys.platform == "linux" else []
    for path in ("", tmp_path, os.devnull, tmp_path / "missing" / "left.jsonl", other, *unwritable):
        with pytest.raises(InvalidRequestError, match=r"^spill: "):
            queue_to_dead_server(spill=path)
    late = tmp_path / "late"
    queue = queue_to_dead_server(spill=late, exit_timeout=0.1)
    queue.profiles.put({"customId": "c"})
    late.write_text("keep me")
    with pytest.warns(UndeliveredWarning, match="could not be written to the spill file"):
        queue.close()
    assert late.read_text() == other.read_text() == "keep me"


def test_flush_does_not_wait_for_what_is_put_meanwhile(sandbox: Sandbox, client: Synerise) -> None:
    """A producer that never stops does not keep it."""
    queue = client.queue(flush_after=60.0)
    is_over = threading.Event()

    def work() -> None:
        n = 0
        while not is_over.wait(0.0005):
            queue.events.put(event(n), timeout=5)
            n += 1

    producer = threading.Thread(target=work)
    producer.start()
    try:
        for _ in range(5):
            time.sleep(0.02)
            put = queue.stats().put
            result = queue.flush(5)
            assert result.complete
            assert result.stats.delivered >= put
    finally:
        is_over.set()
        producer.join()


def test_a_spill_is_no_file_of_another_role(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows would be written into the record of the rate; nothing is made."""
    monkeypatch.chdir(tmp_path)
    for spill, budget in (("left", "left"), ("left-wal", "./left")):
        with pytest.raises(InvalidRequestError, match=r"^spill: is the same file as rate_budget"):
            queue_to_dead_server(spill=spill, rate_budget=budget, requests_per_second=5)
    assert not list(tmp_path.iterdir())


def test_closing_the_client_flushes_its_queues(sandbox: Sandbox) -> None:
    """Those of its copies too; the connections are closed last."""
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        queues = [client.queue(flush_after=60), client.with_options(timeout=5.0).queue(flush_after=60)]
        for n, queue in enumerate(queues):
            queue.events.put(event(n))
    assert arrived(sandbox) == {0: 1, 1: 1}
    with pytest.raises(QueueClosedError):
        queues[0].events.put(event(3))
    with pytest.raises(InvalidRequestError, match="the client is closed"):
        client.queue()


def test_a_thread_without_work_ends_and_another_one_begins(
    sandbox: Sandbox, client: Synerise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So a queue that is forgotten goes, once it is empty; and one that is used again works again."""
    monkeypatch.setattr(sync_queue, "_MAX_IDLE_SECONDS", 0.05)
    queue = client.queue(flush_after=0.0)
    found: Any = weakref.ref(queue)
    for n in range(3):
        queue.events.put(event(n))
        assert queue.flush().complete
        wait_until(lambda: not found()._threads)
    del queue
    wait_until(lambda: gc.collect() >= 0 and found() is None)
    assert arrived(sandbox) == {0: 1, 1: 1, 2: 1}


def test_where_no_thread_can_be_started_the_caller_of_flush_sends(
    sandbox: Sandbox, client: Synerise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the end of a program, or at a limit of the system: a put loses nothing, and a flush delivers."""
    queue = client.queue(flush_items=2)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse_queue_threads)
        for n in range(9):
            queue.events.put(event(n))
        assert queue.stats().held == 9
        assert queue.flush(5).complete
    assert arrived(sandbox) == dict.fromkeys(range(9), 1)
    queue.events.put(event(9))
    assert queue.flush().complete


def test_where_no_thread_can_be_started_a_stalled_server_still_keeps_nobody(
    stalled: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller's own request ends in time too."""
    monkeypatch.setattr(threading.Thread, "start", refuse_queue_threads)
    stalled.events.put(event(1, time="2020-01-01T00:00:00Z"))
    with Stopwatch() as watch:
        assert stalled.flush(0.3).left == 1
    assert watch.seconds < MAX_WAIT_SECONDS


def test_a_put_from_within_a_put_does_not_hang(sandbox: Sandbox, client: Synerise) -> None:
    """A signal's handler may interrupt a put, which goes on only after it: nothing in it waits for that put."""
    queue = client.queue()
    queue.events.put(event(1))
    with queue._lock:
        queue._lock_owner = threading.get_ident()
        with pytest.raises(QueueFullError, match="busy"):
            queue.events.put(event(2))
        assert queue.flush(10).left == 1
        assert queue.close(10).left == 1
        assert queue.stats().put == 1
        queue._lock_owner = 0
    with pytest.raises(QueueClosedError):
        queue.events.put(event(3))
    assert queue.flush().complete


def test_a_handler_of_a_signal_may_close(sandbox: Sandbox, client: Synerise) -> None:
    """While the main thread waits for room, say; within a put it can only refuse further rows."""
    sandbox.faults.delay(0.2, operation="events.send_batch", times=1)
    queue = client.queue(max_items=3, flush_after=0.0)
    results = []
    before = signal.signal(signal.SIGALRM, lambda *_: results.append(queue.close(5)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(QueueClosedError):
            fill(queue, 1_000_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    assert len(results) == 1
    assert queue.close(5).complete
    stats = queue.stats()
    assert stats.put == stats.delivered == len(arrived(sandbox))


def test_a_queue_says_how_it_is_and_nothing_of_its_rows(client: Synerise) -> None:
    """Neither repr nor the rows' own show values."""
    queue = client.queue(flush_after=60)
    queue.events.put(event(1))
    (left,) = queue.undelivered()
    assert repr(queue) == "<Queue holding 1 of 100,000 rows>"
    assert "c-1" not in repr(left)


def test_remarks_of_the_strict_checks_are_counted(client: Synerise) -> None:
    """Rows with names that nobody documents are put, and the remark is in the counters."""
    queue = client.queue(checks="strict")
    for n in range(3):
        queue.profiles.put(profile(n, favouriteColor="red"))
    with pytest.raises(InvalidRequestError, match="birthDate"):
        queue.profiles.put(profile(1, birthDate="24.10."))
    assert queue.stats().notes == {"favouriteColor: not in the documentation": 3}


def test_closing_without_loss_warns_of_nothing(sandbox: Sandbox, client: Synerise) -> None:
    """A queue that delivered everything is closed in silence."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with client.queue() as queue:
            queue.events.put(event(1))
    assert arrived(sandbox) == {1: 1}


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_an_interruption_of_a_hook_sends_nothing_twice(sandbox: Sandbox, kind: type[BaseException]) -> None:
    """It is told to `on_error`, and the queue goes on; what was answered before it counts."""
    raised: list[BaseException] = []
    told: list[BaseException] = []

    def interrupt(result: Any) -> None:
        if result.operation.name == "events.send_batch" and not raised:
            raised.append(kind())
            raise raised[0]

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, on_response=interrupt) as client:
        with client.queue(flush_after=0, on_error=told.append) as queue:
            queue.events.put(event(1))
            assert queue.flush().complete
            queue.events.put(event(2))
            assert queue.flush().complete
        stats = queue.stats()
    sent = [exchange for exchange in sandbox.log if exchange.operation == "events.send_batch"]
    assert (stats.delivered, stats.callback_errors, len(sent)) == (2, 1, 2)
    assert told == raised


class _Handler(logging.Handler):
    """One that raises."""

    def __init__(self, fail: Callable[..., object]) -> None:
        super().__init__()
        self.emit = fail


@pytest.mark.parametrize("kind", [KeyError, SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration])
@pytest.mark.parametrize("place", ["on_rejected", "on_error", "on_request", "on_response", "token", "logger"])
def test_nothing_that_is_raised_in_the_background_stops_a_queue(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, place: str, kind: type[BaseException]
) -> None:
    """Whatever a function of the caller raises, all that the server takes is delivered, and each row has its fate."""
    ended: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", ended.append)
    failures = [kind(), kind()]

    def fail(*_: Any) -> str:
        if failures:
            raise failures.pop()
        return sandbox.token()

    if place == "on_error":
        sandbox.faults.status(500, operation="profiles.upsert_batch", times=2)
    hooks: dict[str, Any] = {place: fail} if place in ("on_request", "on_response", "token") else {}
    credentials = {} if place == "token" else {"api_key": sandbox.api_key}
    callbacks: dict[str, Any] = {place: fail} if place in ("on_rejected", "on_error") else {}
    handler = _Handler(fail)
    if place == "logger":
        logging.getLogger("synerise_profiles").addHandler(handler)
    try:
        with Synerise(base_url=sandbox.url, retry=FAST_RETRY, **credentials, **hooks) as client:
            queue = client.queue(flush_items=20, flush_after=0.01, requests_per_second=500, **callbacks)
            for n in range(60):
                queue.profiles.put(profile(n, **({} if n % 10 else {"birthDate": "24.10."})))
            result = queue.close()
    finally:
        logging.getLogger("synerise_profiles").removeHandler(handler)
    stats = result.stats
    assert (stats.put, stats.delivered, stats.rejected, result.left) == (60, 54, 6, 0)
    assert not failures
    assert stats.callback_errors > 0 or place == "token"  # what is raised before the first request is asked for again
    assert ended == []
