"""Two handlers of signals that raise, one after the other, at a queue: no row that was put is lost."""

from __future__ import annotations

import collections
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import Synerise
from synerise_profiles.queue import Queue, core, sync_queue
from tests._core.strikes import At, PackageFiles, StruckError, Unstruck, is_of_the_test, let_go, strike_twice
from tests.queue.support import number, profile

ROWS, LATE = 12, 2
"""How many rows are put; the server takes no more once so many batches came."""
UNSTRUCK = ("QueueProducer", "RowEncoder", "queue_settings", "QueueParts", "Queue.__init__", "Queue._init")
"""Before there is a row, or a queue."""


class Stored:
    """A transport that stores some batches of rows, and breaks at later ones."""

    def __init__(self) -> None:
        self.rows: collections.Counter[int] = collections.Counter()
        self.requests = 0
        self.is_mended = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        if self.requests > LATE and not self.is_mended:
            return httpx.Response(503)
        self.rows.update(number(row) for row in orjson.loads(request.content))
        return httpx.Response(202)


class Putting:
    """Rows that are put, flushed, and closed with what is left for the spill file."""

    def __init__(self, folder: Path, number: int) -> None:
        self._server, self._put = Stored(), list[int]()
        self._spill = folder / f"{number}.jsonl"
        transport = httpx.MockTransport(self._server)
        self._client = Synerise(token="t", transport=transport)
        self._queue: Queue = self._client.queue(flush_items=3, flush_after=60, concurrency=1, spill=self._spill)

    def run(self, tracer: Any) -> None:
        put, flush, close = self._queue.profiles.put, self._queue.flush, self._queue.close
        with tracer.active():
            try:
                for n in range(ROWS):
                    put(profile(n))
                    self._put.append(n)
                flush(0.01)
            finally:
                close(0.01)

    def check(self, caught: BaseException | None, where: str) -> None:
        assert caught is None or is_of_the_test(caught), where
        let_go(caught)
        self._queue.close(0.01)
        for thread in tuple(self._queue._threads):  # what was in flight then is answered
            if thread.is_alive():
                thread.join(60)
        stats = self._queue.stats()
        assert stats.put == stats.delivered + stats.rejected + stats.dropped + stats.held, where
        assert len(self._put) <= stats.put <= len(self._put) + 1, where
        held = [number(orjson.loads(item.row)) for item in self._queue.undelivered()]
        lines = self._spill.read_bytes().splitlines() if self._spill.exists() else []
        spilled = {number(letter["row"]): letter["reason"] for letter in map(orjson.loads, lines)}
        assert len(lines) == len(spilled), where
        assert set(held) <= set(spilled), where
        delivered = {n: reason for n, reason in spilled.items() if n not in held}  # they were in flight at the end
        assert set(delivered) <= set(self._server.rows), where
        assert all("may have been applied" in reason for reason in delivered.values()), where
        assert set(self._put) <= set(self._server.rows) | set(held), where
        assert len(held) == stats.held, where
        assert sum(self._server.rows.values()) == stats.delivered, where
        self._client.close()


@pytest.fixture(autouse=True)
def held_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sync_queue, "SignalHold", Unstruck)


def strikes(folder: Path, kind: type[BaseException], *, firsts: int, step: int) -> int:
    def make(number: int) -> Putting:
        return Putting(folder, number)

    return strike_twice(make, kind, PackageFiles(), firsts=firsts, step=step, unstruck=UNSTRUCK)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_handlers_that_raise_one_after_the_other(tmp_path: Path) -> None:
    """The counters add up, and what was not delivered is in the spill file, each row once."""
    assert strikes(tmp_path, KeyboardInterrupt, firsts=16, step=41) > 12


def strike() -> None:
    raise StruckError


def test_a_row_is_held_and_counted_or_neither() -> None:
    """Wherever a handler that raises cuts into a put."""
    client = Synerise(token="t", transport=httpx.MockTransport(Stored()))
    with client, client.queue(flush_items=1000, flush_after=60) as queue:
        put, n, is_over = queue.profiles.put, 0, False
        while not is_over:
            n += 1
            at = At(n, {core.__file__}, strike)
            with suppress(StruckError), at.active():
                put(profile(1))
            stats, is_over = queue.stats(), at.left > 0
            assert stats.put == stats.held == len(list(queue.undelivered())), n
    assert n > 10


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("kind", [KeyboardInterrupt, StruckError])
def test_handlers_that_raise_one_after_the_other_at_length(tmp_path: Path, kind: type[BaseException]) -> None:
    assert strikes(tmp_path, kind, firsts=150, step=7) > 500
