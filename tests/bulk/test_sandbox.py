"""Whole runs against the sandbox: every method, faults of every kind, and the sandbox's own log as the judge."""

from __future__ import annotations

import asyncio
import collections
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing
from synerise_profiles.bulk import Report, read_dead_letter
from synerise_profiles.sandbox import Outcome, Sandbox
from tests.bulk.support import fates

# Faults come often, so retries are many and waits are short: what is tested is what arrives, not how long it takes.
BRISK = RetryPolicy(max_retries=25, base_delay=0.001, max_delay=0.01)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(log_size=100_000) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, retry=BRISK) as client:
        yield client


def people(count: int, bad: int = 997) -> Iterator[dict[str, Any]]:
    for n in range(count):
        row: dict[str, Any] = {"customId": f"customer-{n}", "firstName": "Łucja", "attributes": {"n": n}}
        if n % bad == bad - 1:
            row["birthDate"] = f"no date {n}" if n % 2 else "no date"
        yield row


def visits(count: int) -> Iterator[dict[str, Any]]:
    for n in range(count):
        client = {"customId": f"customer-{n % 500}"} if n % 5 else {"email": f"guest{n % 70}@example.com"}
        yield {"label": "Visit", "action": "shop.visit", "client": client, "params": {"n": n}}


def purchases(count: int) -> Iterator[dict[str, Any]]:
    for n in range(count):
        money = {"amount": n % 90, "currency": "PLN"}
        product = {"sku": f"sku-{n % 40}", "name": "Tea", "quantity": 1, "finalUnitPrice": money}
        yield {
            "client": {"customId": f"customer-{n % 500}"},
            "orderId": f"order-{n}",
            "products": [product],
            "revenue": money,
            "value": money,
            "paymentInfo": {"method": "CARD"},
            "source": "POS",
            "recordedAt": "2026-01-01T12:00:00Z",
        }


def counted(sandbox: Sandbox, operation: str) -> collections.Counter[Outcome]:
    """What became of all items of an operation, by the sandbox's log."""
    sandbox.drain()
    found: collections.Counter[Outcome] = collections.Counter()
    for exchange in sandbox.log:
        if exchange.operation == operation:
            found.update(exchange.outcomes)
    return found


def trouble(sandbox: Sandbox, operation: str, rate: float) -> None:
    """A bit of everything that goes wrong, before and after the request was carried out."""
    faults = sandbox.faults
    faults.status(429, retry_after=0.0, operation=operation, rate=rate, seed=1)
    faults.status(503, operation=operation, rate=rate, seed=2)
    faults.status(500, processed=True, operation=operation, rate=rate, seed=3)
    faults.html(502, operation=operation, rate=rate, seed=4)
    faults.close(operation=operation, rate=rate, seed=5)
    faults.close(processed=True, reset=True, operation=operation, rate=rate, seed=6)
    faults.truncate(operation=operation, rate=rate, seed=7)
    faults.expire_token(operation=operation, rate=rate, seed=8)
    faults.delay(1.5, processed=True, operation=operation, rate=rate / 4, seed=9)


def check(report: Report, count: int) -> None:
    assert report.read == count == report.accepted + report.rejected_count()
    assert report.complete
    assert report.by_stage["unsent"] == report.by_stage["ambiguous"] == 0


def through_faults(sandbox: Sandbox, client: Synerise, count: int, rate: float) -> None:
    client = client.with_options(timeout=1.0)  # less than a delay takes
    trouble(sandbox, "profiles.upsert_batch", rate)
    report = client.bulk.upsert_profiles(people(count))
    check(report, count)
    bad = [n for n in range(count) if n % 997 == 996]
    assert fates(report) == ({"server": bad} if bad else {})
    assert report.retries > 0

    trouble(sandbox, "events.send_batch", rate)
    report = client.bulk.send_events(visits(count))
    check(report, count)
    assert report.accepted == count == counted(sandbox, "events.send_batch")[Outcome.APPLIED]

    trouble(sandbox, "transactions.create_batch", rate)
    report = client.bulk.create_transactions(purchases(count))
    check(report, count)
    assert report.accepted == count == counted(sandbox, "transactions.create_batch")[Outcome.APPLIED]


def test_through_faults(sandbox: Sandbox, client: Synerise) -> None:
    """No row is lost, no event or transaction stored twice, and the report is exact, whatever goes wrong."""
    through_faults(sandbox, client, 4000, 0.1)


@pytest.mark.long
def test_a_hundred_thousand_through_faults(sandbox: Sandbox, client: Synerise) -> None:
    """The same at length."""
    through_faults(sandbox, client, 100_000, 0.04)


def test_async_through_faults(sandbox: Sandbox) -> None:
    """The async client keeps the same promise."""

    async def main() -> Report:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, retry=BRISK, timeout=1.0) as client:
            return await client.bulk.send_events(visits(3000))

    trouble(sandbox, "events.send_batch", 0.1)
    check(asyncio.run(main()), 3000)
    assert counted(sandbox, "events.send_batch")[Outcome.APPLIED] == 3000


def test_an_unreadable_207_is_asked_again(sandbox: Sandbox, client: Synerise) -> None:
    """A page in place of the answer says nothing about rows, whatever its status: the request goes again."""
    sandbox.faults.html(200, processed=True, operation="profiles.upsert_batch", times=1)
    report = client.bulk.upsert_profiles(people(1000))
    assert fates(report) == {"server": [996]}
    assert (report.requests, report.retries) == (2, 1)


def test_the_tag_and_the_end(sandbox: Sandbox, client: Synerise) -> None:
    """Tags and deletions go one by one in the same window; a row that fails does not stop the others."""
    client.bulk.upsert_profiles(people(50))
    sandbox.drain()
    ids = [client.profiles.find("by-custom-id", f"customer-{n}").client_id or 0 for n in range(50)]
    tag = client.tags.create({"name": "vip"})
    sandbox.faults.close(processed=True, rate=0.3, seed=5, method="POST", path="/v4/clients/*")
    report = client.bulk.assign_tag([*ids, 987654, "text"], tag.id or 0)
    assert fates(report) == {"check": [51], "server": [50]}
    assert report.accepted == 50
    sandbox.faults.clear()

    sandbox.faults.close(processed=True, rate=0.3, seed=5, method="DELETE")
    rows = [*ids[:40], {"customId": "customer-40"}, {"clientId": ids[41]}]
    report = client.bulk.delete_profiles(rows)
    sandbox.drain()
    # Whoever asks again after an answer was lost finds the profile gone, which is what was wanted.
    assert (report.accepted, report.rejected_count(), report.retries > 0) == (42, 0, True)
    sandbox.faults.clear()
    assert fates(client.bulk.delete_profiles([987654])) == {"server": [0]}
    assert sandbox.store.profile(ids[0]) is None
    assert sandbox.store.profile(ids[42]) is not None


def test_dead_letters_can_be_mended(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """The dead-letter file has the rows as they were given, with index, reference and reason."""
    path = tmp_path / "dead.jsonl"
    rows = [{**row, "line": n + 2} for n, row in enumerate(people(2500))]
    rows[3] = {"firstName": "nobody"}
    report = client.bulk.upsert_profiles(rows, dead_letter=path, reference=lambda row: row.get("line"), checks="basic")
    assert report.rejected_count() == 3
    letters = sorted(read_dead_letter(path), key=lambda letter: letter["index"])
    assert [(letter["index"], letter["stage"], letter.get("reference")) for letter in letters] == [
        (3, "check", None),
        (996, "server", 998),
        (1993, "server", 1995),
    ]
    assert letters[1]["field"] == "birthDate"
    assert letters[1]["identifier"] == "customId c…6"
    assert letters[1]["row"] == rows[996]
    mended = [{**letter["row"], "birthDate": "1990-01-01"} for letter in letters[1:]]
    assert client.bulk.upsert_profiles(mended).accepted == 2


def test_many_rejections_stay_out_of_the_memory(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """However many rows are rejected, each can be read from the report, again and again; no rows are kept for that."""
    rows = [{"firstName": "nobody"} for _ in range(3000)]
    for dead_letter in (None, tmp_path / "dead.jsonl"):
        report = client.bulk.upsert_profiles(rows, dead_letter=dead_letter)
        assert len(report.rejection_store._in_memory) == 1000
        assert len(report.rejected) == 3000
        assert [item.index for item in report.rejected] == [item.index for item in report.rejected] == list(range(3000))
    assert report.rejection_store._file.path == tmp_path / "dead.jsonl"
    assert all(orjson.loads(line)["row"] == rows[0] for line in (tmp_path / "dead.jsonl").read_bytes().splitlines())


def test_nothing_sleeps_without_need() -> None:
    """A run without trouble waits for answers alone."""

    def refuse(_: float) -> None:
        raise AssertionError("slept")

    with (
        Sandbox() as sandbox,
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=Timing(sleep=refuse)) as client,
    ):
        assert client.bulk.upsert_profiles(people(990)).accepted == 990


def test_a_batch_of_transactions_that_is_taken_in_part_tells_its_rows(sandbox: Sandbox, client: Synerise) -> None:
    """A 207 names field and value: exactly these rows are rejected, and every other one is stored once."""
    rows = list(purchases(60))
    rows[7]["revenue"] = {"amount": 5, "currency": "EUR"}
    rows[20]["value"] = {"amount": -20, "currency": "PLN"}
    rows[41].pop("paymentInfo")
    report = client.bulk.create_transactions(rows, checks="off")
    assert [(item.index, item.stage) for item in report.rejected] == [(7, "server"), (20, "server"), (41, "server")]
    assert sandbox.store.counts.transactions() == report.accepted == 57


@pytest.mark.parametrize("road", ["bulk", "queue"])
def test_a_refusal_names_the_characters_that_nobody_sees(client: Synerise, road: str) -> None:
    """The server says that an address is not as documented, which to the eye it is; other fields add nothing."""
    hidden = {"email": "b@x.pl\u00a0"}, {"phone": "+48\u200b600100200"}, {"customId": "a\u200b", "birthDate": "no date"}
    rows = [*hidden, {"customId": "d\u00ad"}, {"email": "ł@"}]
    found: list[str] = []
    if road == "bulk":
        found += [rejection.reason for rejection in client.bulk.upsert_profiles(rows).rejected]
    else:
        with client.queue(on_rejected=lambda rejection, _: found.append(rejection.reason)) as queue:
            for row in rows:
                queue.profiles.put(row)
    assert [reason.partition("; it has ")[2][:6] for reason in found] == ["U+00A0", "U+200B", "", "U+00AD", ""]
