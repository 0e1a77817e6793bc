"""The stateful test of `test_core` with the real driver: threads, sockets, the sandbox and its faults."""

from __future__ import annotations

import collections
import threading
import time
from typing import Any

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from synerise_profiles import Synerise
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles.queue import QueueFullError
from synerise_profiles.sandbox import Sandbox
from tests.queue.support import event, number

FAST_RETRY = RetryPolicy(base_delay=0.001, max_delay=0.01)
FAULTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("status", {"status": 429, "retry_after": 0.0}),
    ("status", {"status": 503}),
    ("status", {"status": 500, "processed": True}),
    ("html", {"status": 502}),
    ("close", {}),
    ("close", {"processed": True, "reset": True}),
    ("truncate", {}),
)


class QueueStates(RuleBasedStateMachine):
    """Puts by several threads, faults, flushes and a close, in any order; at the end the fate of each row is known."""

    sandbox: Sandbox

    @initialize(
        max_items=st.integers(5, 200),
        when_full=st.sampled_from(["block", "drop_oldest", "raise"]),
        flush_items=st.none() | st.integers(1, 20),
        flush_after=st.sampled_from([0.0, 0.01, 60.0]),
        concurrency=st.integers(1, 4),
    )
    def start(self, **options: Any) -> None:
        self.sandbox.faults.clear()
        self.sandbox.log.clear()
        self.client = Synerise(api_key=self.sandbox.api_key, base_url=self.sandbox.url, retry=FAST_RETRY)
        if options["when_full"] == "block":
            options["put_timeout"] = 0.01
        self.queue = self.client.queue(**options)
        self.is_closed = False
        self.put_rows: set[int] = set()
        self.n = 0

    @rule(count=st.integers(1, 60), threads=st.integers(1, 3))
    @precondition(lambda self: not self.is_closed)
    def put(self, count: int, threads: int) -> None:
        workers = [threading.Thread(target=self._put, args=(self.n + k * count, count)) for k in range(threads)]
        self.n += count * threads
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    def _put(self, first: int, count: int) -> None:
        for n in range(first, first + count):
            try:
                self.queue.events.put(event(n))
            except QueueFullError:
                continue
            self.put_rows.add(n)

    @rule(at=st.integers(0, len(FAULTS) - 1), times=st.integers(1, 4))
    def fail(self, at: int, times: int) -> None:
        name, more = FAULTS[at]
        getattr(self.sandbox.faults, name)(operation="events.send_batch", times=times, **more)

    @rule()
    def recover(self) -> None:
        self.sandbox.faults.clear()

    @rule(seconds=st.sampled_from([0.0, 0.02, 30.0]))
    def flush(self, seconds: float) -> None:
        result = self.queue.flush(seconds)
        assert result.complete is (result.left == 0)
        assert result.complete or seconds < 30 or self.is_closed

    @rule(seconds=st.sampled_from([0.0, 0.02, 30.0]))
    def close(self, seconds: float) -> None:
        result = self.queue.close(seconds)
        assert result.complete or seconds < 30 or self.is_closed
        self.is_closed = True

    @invariant()
    def the_counters_add_up(self) -> None:
        if hasattr(self, "queue"):
            stats = self.queue.stats()
            assert stats.put == len(self.put_rows)
            assert stats.put == stats.delivered + stats.rejected + stats.dropped + stats.held

    def teardown(self) -> None:
        if not hasattr(self, "queue"):
            return
        self.sandbox.faults.clear()
        result = self.queue.close(30)
        deadline = time.monotonic() + 30
        # A question for the time is no row, so the counters do not tell of it.
        while self.queue._core._requests_in_flight and time.monotonic() < deadline:
            time.sleep(0.005)
        self.client.close()
        stats = self.queue.stats()
        held = {number(orjson.loads(left.row)) for left in self.queue.undelivered()}
        stored: collections.Counter[int] = collections.Counter()
        keys = set()
        for exchange in self.sandbox.log:
            if exchange.operation == "events.send_batch" and exchange.outcomes:
                for row in orjson.loads(exchange.body or b"[]"):
                    key = (row["eventSalt"], row["time"], number(row))
                    stored[number(row)] += key not in keys
                    keys.add(key)
        # Nothing is there twice, nothing that was not put, and all that is neither left nor dropped.
        assert max(stored.values(), default=1) == 1
        assert stored.keys() <= self.put_rows
        # What was in flight when the queue was closed may have been delivered since.
        assert len(held) == stats.held <= result.left
        assert len(stored.keys() - held) == stats.delivered
        assert len(self.put_rows) == stats.delivered + stats.dropped + len(held)


def test_the_queue_with_threads_and_sockets(sandbox: Sandbox) -> None:
    """Every row is delivered once, counted as dropped, or still held."""

    class OverSockets(QueueStates):
        pass

    OverSockets.sandbox = sandbox
    case = OverSockets.TestCase
    case.settings = settings(
        max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
    )
    case().runTest()
