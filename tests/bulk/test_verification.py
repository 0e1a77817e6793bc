"""Reading back: what is drawn, what counts as arrived, and who is named."""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Iterator
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.machine import DONE, Wait
from synerise_profiles._batching.read_back import ProfileLookup
from synerise_profiles._batching.sampling import Sample
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.verification import Verifier, differing_fields
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.sandbox import Sandbox, SandboxOptions
from tests.bulk.support import Clock

PROFILES = operations.profiles()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(log_size=10_000) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    clock = Clock()
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, _timing=clock.timing) as client:
        yield client


def people(count: int) -> list[dict[str, Any]]:
    return [
        {
            "customId": f"customer-{n}",
            "email": f"buyer{n}@example.com",
            "phone": f"+48 111 {n:06}",
            "firstName": "Łucja",
            "agreements": {"email": "true", "sms": 0},
            "tags": ["vip"],
            "attributes": {"n": n, "parts": [1, {"a": "ż"}], "email": "reserved, ignored by the server"},
        }
        for n in range(count)
    ]


def test_what_was_dropped_after_its_202_is_named(sandbox: Sandbox, client: Synerise) -> None:
    """A write that conflicts is accepted and dropped; reading back names it, and says how large the sample was."""
    client.profiles.upsert({"customId": "other", "email": "buyer3@example.com"})
    client.profiles.upsert({"customId": "customer-3"})
    rows = people(20)
    report = client.bulk.upsert_profiles(rows, verify_sample=1000, reference=lambda row: row["customId"])
    assert report.accepted == 20
    found = report.verification
    assert found is not None
    assert (found.sample, found.arrived, found.skipped, found.unread, found.problem) == (20, 19, 0, 0, None)
    (missing,) = found.missing
    assert (missing.index, missing.reference, missing.reason) == (3, "customer-3", "is not as it was sent")
    assert set(missing.fields) == {
        "email", "phone", "firstName", "agreements.email", "tags", "attributes.n", "attributes.parts"
    }  # fmt: skip
    assert missing.identifier == "customId c…3"
    assert "customer-3" not in repr(found)
    assert report.summary().endswith("20 accepted, 19 of 20 read back as sent")


def test_a_part_that_did_not_arrive_is_named_by_field(sandbox: Sandbox, client: Synerise) -> None:
    """A profile that is there, with other values than were sent, is named with the fields that differ."""
    client.profiles.upsert({"customId": "customer-1", "city": "Gdańsk", "attributes": {"a": 1}})
    client.profiles.upsert({"customId": "customer-2", "email": "a@example.com"})
    row = {"customId": "customer-1", "email": "a@example.com", "city": "Kraków", "attributes": {"a": 2}}
    report = client.bulk.upsert_profiles([row], verify_sample=1)
    assert sandbox.dropped_writes[-1].reason
    assert report.verification is not None
    assert [missing.fields for missing in report.verification.missing] == [("email", "city", "attributes.a")]


def test_what_is_queued_is_waited_for() -> None:
    """What arrives late has arrived: profiles are read until the time for it is up, and no longer."""
    with Sandbox(options=SandboxOptions(delay=1000)) as slow:
        clock = Clock()

        def sleep(seconds: float) -> None:
            clock.sleep(seconds)
            slow.clock.advance(100 * seconds)

        timing = attrs.evolve(clock.timing, sleep=sleep)
        with Synerise(api_key=slow.api_key, base_url=slow.url, _timing=timing) as client:
            found = client.bulk.upsert_profiles(people(2), verify_sample=2, verify_within=60).verification
            assert found is not None
            assert (found.sample, found.arrived) == (2, 2)
            assert sum(clock.slept) < 60
            clock.slept.clear()
            found = client.bulk.upsert_profiles([{"customId": "late"}], verify_sample=2, verify_within=5).verification
            assert found is not None
            assert [(missing.index, missing.fields, missing.reason) for missing in found.missing] == [
                (0, (), "was not found, or cannot be read with this key")
            ]
            assert sum(clock.slept) == pytest.approx(5)


@pytest.mark.parametrize(("ordered", "expected"), [(True, (10, 10, 0)), (False, (8, 8, 2))])
def test_the_last_row_of_a_profile_is_compared(
    client: Synerise, *, ordered: bool, expected: tuple[int, int, int]
) -> None:
    """With the order kept, the last row says what is stored; without, nobody knows which was applied last."""
    rows = [*people(10), {"customId": "customer-4", "city": "Sopot"}, {"email": "buyer5@example.com", "city": "Hel"}]
    for chunked in (rows, [rows[-2], rows[-1], *rows[:10]]):
        found = client.bulk.upsert_profiles(chunked, verify_sample=50, ordered=ordered).verification
        assert found is not None
        assert (found.sample, found.arrived, found.skipped) == expected


def test_a_table_of_few_profiles_and_many_rows_is_compared(client: Synerise) -> None:
    """As order lines are: 3,000 rows of 40 profiles give a whole sample, of what their last rows say."""
    rows = [{"customId": f"customer-{n * n % 40}", "city": f"Town {n}"} for n in range(3000)]
    found = client.bulk.upsert_profiles(rows, verify_sample=5).verification
    assert found is not None
    assert (found.sample, found.arrived, found.skipped) == (5, 5, 0)


def test_an_identifier_that_no_path_carries_is_skipped(client: Synerise) -> None:
    """A profile whose customId holds a backslash cannot be read by it."""
    found = client.bulk.upsert_profiles([{"customId": "a\\b"}, {"customId": "c"}], verify_sample=2).verification
    assert found is not None
    assert (found.sample, found.skipped) == (1, 1)


def test_refused_rows_are_not_in_the_sample(client: Synerise) -> None:
    """The sample is drawn from what was accepted: rows that the checks or the server refused are reported already."""
    rows = people(40)
    for row in rows[::4]:
        row["birthDate"] = f"no date {row['customId']}"
    rows[1] = {"city": "no identifier"}
    report = client.bulk.upsert_profiles(rows, verify_sample=10)
    assert report.verification is not None
    assert (report.accepted, report.verification.sample, report.verification.arrived) == (29, 10, 10)


def test_without_checks_anything_may_be_in_a_sample(client: Synerise) -> None:
    """What is no profile is refused by the server, not by the sample."""
    rows: list[Any] = [*people(10), "text", 5, None, {"customId": ["a"]}]
    report = client.bulk.upsert_profiles(rows, verify_sample=100, checks="off")
    assert report.verification is not None
    assert (report.accepted, report.verification.sample, report.verification.arrived) == (10, 10, 10)


def test_no_permission_to_read(sandbox: Sandbox) -> None:
    """Where profiles may be written and not read, the report says so, and that nothing was compared."""
    key = sandbox.add_key(permissions=["API_BATCH_CLIENT_CREATE"])
    with Synerise(api_key=key.key, base_url=sandbox.url) as writer:
        report = writer.bulk.upsert_profiles(people(5), verify_sample=3)
    assert report.accepted == 5
    found = report.verification
    assert found is not None
    assert (found.sample, found.unread) == (0, 3)
    assert found.problem is not None
    assert found.problem.startswith(
        "profiles cannot be read: status 403; an API key needs the permission: API_BY_IDENTIFIER_CLIENT_READ"
    )


def test_what_is_on_its_way_is_waited_for() -> None:
    """Once profiles cannot be read nothing more is asked, and an answer that comes later changes nothing."""
    rows = people(3)
    chunk, sample = Chunk(PROFILES), Sample(3, PROFILES.identifiers, random.random)
    for index in range(3):
        chunk.add(b"{}", index)
    sample.offer(chunk, rows)
    for _, entry in chunk.sampled:
        entry.is_accepted = True
    assert PROFILES.schema is not None
    core = Verifier(sample, PROFILES.schema, concurrency=2, within=30.0, timing=Clock().timing)
    first, second = core.next(), core.next()
    assert isinstance(first, ProfileLookup)
    assert isinstance(second, ProfileLookup)
    core.on_result(first, SendResult(status=403))
    assert core.next() == Wait(None)
    core.on_result(second, SendResult(status=200, content=orjson.dumps(rows[1])))
    assert core.next() is DONE
    assert (core.as_expected, core.unread) == (0, 3)


def test_the_async_client_reads_back_too(sandbox: Sandbox) -> None:
    """Sync and async read back by one core."""

    async def main() -> Any:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return (await client.bulk.upsert_profiles(people(30), verify_sample=7)).verification

    found = asyncio.run(main())
    assert (found.sample, found.arrived) == (7, 7)


def test_a_run_that_was_stopped_is_not_read_back(client: Synerise, sandbox: Sandbox) -> None:
    """A run that ended early raises, and nothing is read."""
    with pytest.raises(BulkStoppedError) as caught:
        client.bulk.upsert_profiles([{"city": "x"}] * 50, max_errors=1, verify_sample=5)
    assert caught.value.report.verification is None


def test_arguments() -> None:
    """A sample is a whole number of rows."""
    client = Synerise(token="t")
    for bad in (-1, 1.5, True):
        with pytest.raises(InvalidRequestError, match="verify"):
            client.bulk.upsert_profiles([], verify_sample=bad)  # type: ignore[arg-type]


def drawn(count: int, size: int, block: int, seed: int) -> list[int]:
    sample = Sample(size, PROFILES.identifiers, random.Random(seed).random)
    for first in range(0, count, block):
        chunk = Chunk(PROFILES)
        rows = [{"customId": f"c{n}"} for n in range(first, min(first + block, count))]
        for n in range(first, first + len(rows)):
            chunk.add(b"{}", n)
        sample.offer(chunk, rows)
        for _, entry in chunk.sampled:
            entry.is_accepted = True
    return [entry.index for entry in sample.accepted()]


@given(st.integers(0, 300), st.integers(1, 40), st.integers(1, 50), st.integers(0, 2**32))
def test_as_many_as_asked_for(count: int, size: int, block: int, seed: int) -> None:
    """A sample holds as many rows as were asked for, or all of them; in order, none twice."""
    found = drawn(count, size, block, seed)
    assert len(found) == min(size, count)
    assert found == sorted(set(found))
    assert all(0 <= index < count for index in found)


def test_every_row_has_the_same_chance() -> None:
    """Early and late rows are drawn equally often."""
    counts = collections.Counter(index // 50 for seed in range(3000) for index in drawn(500, 5, 37, seed))
    assert sum(counts.values()) == 15_000
    assert all(1350 < counts[tenth] < 1650 for tenth in range(10))


@given(
    st.dictionaries(
        st.sampled_from(["firstName", "city", "email", "phone", "customId", "sex"]), st.text(min_size=1), min_size=1
    ),
    st.data(),
)
def test_differences(sent: dict[str, Any], data: st.DataObject) -> None:
    """What is stored as it was sent does not differ, whatever else is stored; what was changed is named."""
    schema = PROFILES.schema
    assert schema is not None
    stored = {**sent, "clientId": 1, "lastActivityDate": "2026-01-01", "tags": ["x"]}
    assert list(differing_fields({**sent, "tags": ["x"]}, stored, schema)) == []
    field = data.draw(st.sampled_from(sorted(sent)))
    assert list(differing_fields(sent, {**stored, field: "another value"}, schema)) == [field]
    assert list(differing_fields(sent, {**stored, field: None}, schema)) == [field]
