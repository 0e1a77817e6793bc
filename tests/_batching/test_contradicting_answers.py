"""Answers that contradict their 2xx, at random: bulk and queue call nothing accepted that no answer confirmed."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from synerise_profiles import RetryPolicy, Synerise
from synerise_profiles.bulk import BulkStoppedError, read_dead_letter
from synerise_profiles.queue import UndeliveredWarning
from tests._core.test_confirmation import CONTRADICTING, HARMLESS
from tests.bulk.support import Clock

ROWS = 60
QUICK = RetryPolicy(base_delay=0.001, max_delay=0.002)


class Server:
    """Answers at random; what contradicts was applied or not, and keeps which rows were confirmed and never were."""

    def __init__(self, seed: int, share: float) -> None:
        self.confirmed: set[str] = set()
        self.requests = 0
        self._chance, self._share, self._lock = random.Random(seed), share, threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._lock:
            self.requests += 1
            if self._chance.random() < self._share:
                status, content = self._chance.choice(CONTRADICTING)
            else:
                status, content = self._chance.choice(HARMLESS)
                self.confirmed.update(ids(orjson.loads(request.content)))
        return httpx.Response(status, content=content)


def ids(rows: list[Any]) -> Iterator[str]:
    return (row["customId"] for row in rows)


def row(n: int) -> dict[str, Any]:
    return {"customId": f"c-{n}", "city": "x" * 90_000}  # ten to a batch


def check_bulk(seed: int, share: float, night: Path) -> None:
    """What is called accepted was confirmed, and the journal seals no more: the next run sends the rest."""
    server = Server(seed, share)
    options: dict[str, Any] = {"journal": night, "concurrency": 1 + seed % 3}
    arguments: dict[str, Any] = {"token": "t", "transport": httpx.MockTransport(server), "_timing": Clock().timing}
    with Synerise(**arguments, max_retries=seed % 4) as client:
        try:
            report = client.bulk.upsert_profiles(map(row, range(ROWS)), **options)
        except BulkStoppedError as error:
            report = error.report
    rejected = {item.index for item in report.rejected}
    accepted = {f"c-{n}" for n in set(range(report.read)) - rejected}
    assert report.accepted == len(accepted) == report.read - len(rejected)
    assert accepted <= server.confirmed
    assert all("may have been applied" in item.reason or "was not" in item.reason for item in report.rejected)
    before = set(server.confirmed)
    good = Server(seed, 0.0)
    with Synerise(token="t", transport=httpx.MockTransport(good)) as client:
        report = client.bulk.upsert_profiles(map(row, range(ROWS)), **options)
    assert (report.accepted, report.complete) == (ROWS, True)
    assert {f"c-{n}" for n in range(ROWS)} - good.confirmed <= before
    assert report.resumed <= len(before)


def check_queue(seed: int, share: float, spill: Path) -> None:
    """What is called delivered was confirmed; all else was refused, or is in the spill file."""
    server = Server(seed, share)
    arguments: dict[str, Any] = {"token": "t", "transport": httpx.MockTransport(server), "retry": QUICK}
    with Synerise(**arguments) as client:
        queue = client.queue(spill=spill, exit_timeout=0.2, flush_after=0.001)
        for n in range(ROWS):
            queue.profiles.put(row(n))
        if share == 1.0:
            with pytest.warns(UndeliveredWarning), queue:
                pass
        else:
            with queue:
                queue.flush(60)
    stats = queue.stats()
    left = set(ids([letter["row"] for letter in read_dead_letter(spill)])) if spill.exists() else set[str]()
    # A row whose 207 could not be read again and again, while others passed, is refused.
    assert stats.put == ROWS == stats.delivered + stats.rejected + len(left)
    assert len({f"c-{n}" for n in range(ROWS)} - left - server.confirmed) <= stats.rejected


@pytest.mark.parametrize("share", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_confirmed_that_was_not(seed: int, share: float, tmp_path: Path) -> None:
    """In some orders of answers."""
    check_bulk(seed, share, tmp_path / "night.db")
    check_queue(seed, share, tmp_path / "left.jsonl")


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4, 104))
def test_nothing_is_confirmed_that_was_not_at_length(seed: int, tmp_path: Path) -> None:
    """In many."""
    check_bulk(seed, random.Random(seed).random(), tmp_path / "night.db")
    check_queue(seed, random.Random(seed).random() * 0.8, tmp_path / "left.jsonl")
