"""Any tables, edits, faults and crashes: the sandbox holds what the last table says, and only what changed is sent."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import NotFoundError, Synerise
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.sandbox import Sandbox

COUNTER = itertools.count()
VALUE = st.sampled_from(["a", "b", "c"])
NESTED: st.SearchStrategy[Any] = st.fixed_dictionaries({"n": VALUE})
ROW: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"firstName": VALUE}, optional={"city": VALUE, "attributes": NESTED}
)
TABLE = st.lists(st.tuples(st.integers(0, 6), ROW), max_size=12)
FATE = st.sampled_from(["well", "well", "lost answer", "refused", "crash", "breaks off"])
NIGHT = st.tuples(TABLE, FATE, st.sampled_from([False, False, True]))
MARK = {"attributes.active": False}


class CrashError(BaseException):
    """As Ctrl-C: what is in flight is given up."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as started:
        yield started


@pytest.fixture(scope="module")
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as opened:
        yield opened


def source(rows: list[dict[str, Any]], fate: str) -> Iterator[dict[str, Any]]:
    yield from rows
    if fate == "crash":
        raise CrashError
    if fate == "breaks off":
        raise OSError("the source broke off")


OPTIONS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "fields": st.booleans(),
        "gone": st.sampled_from(["ignore", "delete", MARK]),
        "cleared": st.sampled_from(["report", "null"]),
    }
)


def run(
    sandbox: Sandbox, client: Synerise, rows: list[dict[str, Any]], fate: str, state: Path, options: dict[str, Any]
) -> Any:
    """Run one night; None where it did not come to its end."""
    if fate == "lost answer":
        sandbox.faults.close(processed=True, times=1, operation="profiles.upsert_batch")
    if fate == "refused":
        sandbox.faults.status(503, times=1, operation="profiles.upsert_batch")
    try:
        return client.delta_sync.profiles(source(rows, fate), key="customId", state=state, **options)
    except (CrashError, OSError, BulkStoppedError):
        return None
    finally:
        sandbox.faults.clear()


NIGHTS = st.lists(NIGHT, min_size=1, max_size=5)


@settings(max_examples=8)
@given(nights=NIGHTS, chosen=OPTIONS)
def test_any_nights(
    sandbox: Sandbox, client: Synerise, nights: list[tuple[Any, str, bool]], chosen: dict[str, Any]
) -> None:
    """Whatever happened before, a whole night leaves what its table says."""
    check_nights(sandbox, client, nights, chosen)


@pytest.mark.long
@settings(max_examples=100)
@given(nights=NIGHTS, chosen=OPTIONS)
def test_any_nights_at_length(
    sandbox: Sandbox, client: Synerise, nights: list[tuple[Any, str, bool]], chosen: dict[str, Any]
) -> None:
    """The same for a hundred histories."""
    check_nights(sandbox, client, nights, chosen)


def check_nights(
    sandbox: Sandbox, client: Synerise, nights: list[tuple[Any, str, bool]], chosen: dict[str, Any]
) -> None:
    """Whatever happened before, a whole night leaves what its table says, counts that add up, and nothing to send.

    Profiles that are gone are not there any more where they are deleted, and have the mark where they get one. Empty
    fields are not there where they are sent as null, nor is the mark of a profile that is back.
    """
    options = {**chosen, "keep_keys": True, "allow_null": {"city", "attributes.active"}}
    if chosen["gone"] != "ignore":
        options["max_gone_rate"] = 1.0
    prefix = f"p{next(COUNTER)}-"
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        believed: dict[str, Any] = {}
        for table, fate, full in [*nights, (nights[0][0], "well", False)]:
            rows: list[dict[str, Any]] = [{"customId": f"{prefix}{n}", **row} for n, row in table]
            last = {row["customId"]: row for row in rows}
            before = {} if full else dict(believed)
            report = run(sandbox, client, rows, fate, state, {**options, "full": full})
            if report is None:
                believed = {}
                continue
            parts = (report.new, report.changed, report.unchanged, report.held, report.invalid)
            assert sum(parts) == report.read == len(rows)
            assert report.repeated == len(rows) - len(last)
            assert report.sent.read == report.new + report.changed
            assert report.back <= report.new
            if not report.repeated and last.keys() <= before.keys():
                assert report.sent.read == sum(before[key] != row for key, row in last.items())
            for key, row in last.items():
                stored: dict[str, Any] = client.profiles.find("by-custom-id", key).to_dict()
                sent = {name: value for name, value in row.items() if name != "attributes"}
                assert {name: stored.get(name) for name in sent} == sent
                nested: dict[str, Any] = row.get("attributes", {})
                held: dict[str, Any] = stored.get("attributes") or {}
                assert {name: held.get(name) for name in nested} == nested
                if options["cleared"] == "null":
                    assert (stored.get("city"), held.get("active")) == (row.get("city"), None)
            for key in before.keys() - last.keys() if options["gone"] != "ignore" else ():
                if options["gone"] == "delete":
                    with pytest.raises(NotFoundError):
                        client.profiles.find("by-custom-id", key)
                else:
                    assert client.profiles.find("by-custom-id", key).to_dict()["attributes"]["active"] is False
                del before[key]
            for table_again in (rows, [*last.values()]):
                plan = client.delta_sync.plan(table_again, key="customId", state=state, **options)
                assert (plan.requests, plan.unchanged) == (0, plan.read)
            believed = {**before, **last} if before else dict(last)
