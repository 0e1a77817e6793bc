"""`full=True` begins anew: the old state stays until a row is sent, and what is left is always consistent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.delta_sync import DeltaStateMismatchError
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv

TABLE = [{"customId": f"c-{n}", "firstName": "Anna"} for n in range(30)]


def known(client: Synerise, state: Path) -> int:
    """How many rows of the table the state knows as they are."""
    return client.delta_sync.plan(TABLE, key="customId", state=state).unchanged


def broken(rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from rows
    raise OSError("the source broke off")


def file_of_identifiers(folder: Path) -> Any:
    path = folder / "customers.csv"
    path.write_text("id\n1\n")
    return read_csv(path, RowMapping.for_identifiers({"id": "customId"}))


@pytest.mark.parametrize(
    ("source", "options"),
    [
        (TABLE, {"concurrency": 0}),
        (TABLE, {"dead_letter": "no/such/folder/letters.jsonl"}),
        (TABLE, {"allow_null": 7}),
        (TABLE, {"audit": "deletions.jsonl"}),
        (12, {}),
        (broken([]), {}),
        ("a file of another operation", {}),
    ],
)
def test_a_call_that_is_refused_leaves_the_old_state(
    client: Synerise, state: Path, tmp_path: Path, source: Any, options: dict[str, Any]
) -> None:
    """Arguments, source and file are accepted before anything of the state is touched."""
    client.delta_sync.profiles(TABLE, key="customId", state=state)
    if isinstance(source, str):
        source = file_of_identifiers(tmp_path)
    with pytest.raises((InvalidRequestError, OSError, ValueError)):
        client.delta_sync.profiles(source, key="customId", state=state, full=True, **options)
    assert known(client, state) == 30


@pytest.mark.parametrize(
    "other",
    [
        {"dead_letter": "state.db-wal"},
        {"dead_letter": "state.db"},
        {"rate_budget": "state.db-shm", "requests_per_second": 5},
        {
            "rate_budget": "gone.jsonl",
            "requests_per_second": 5,
            "audit": "gone.jsonl",
            "gone": "delete",
            "keep_keys": True,
        },
    ],
)
def test_one_file_has_one_role(
    client: Synerise, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: dict[str, Any]
) -> None:
    """No two files of a run are one, a file that SQLite keeps beside the state included; nothing is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match="is the same file as"):
        client.delta_sync.profiles(TABLE, key="customId", state="state.db", **other)
    assert not list(tmp_path.iterdir())


def test_a_run_that_breaks_off_knows_what_was_confirmed(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """Once rows are sent, the state knows those that the server took, and nothing of what it knew before."""
    client.delta_sync.profiles(TABLE, key="customId", state=state)
    sandbox.faults.close(processed=False, operation="profiles.upsert_batch")
    with (
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as once,
        pytest.raises(BulkStoppedError),
    ):
        once.delta_sync.profiles(TABLE[:20], key="customId", state=state, full=True)
    sandbox.faults.clear()
    assert known(client, state) == 0
    assert client.delta_sync.profiles(TABLE, key="customId", state=state).requests == 1
    assert known(client, state) == 30


def test_a_source_that_breaks_off_before_rows_are_sent(client: Synerise, state: Path) -> None:
    """A source that ends with an error while its first rows are read leaves what was known."""
    client.delta_sync.profiles(TABLE, key="customId", state=state)
    with pytest.raises(OSError, match="broke off"):
        client.delta_sync.profiles(broken(TABLE[:5]), key="customId", state=state, full=True)
    assert known(client, state) == 30


def test_a_full_run_of_nothing_knows_nothing(client: Synerise, state: Path) -> None:
    """A run that came to its end has begun anew, also where there was nothing to send."""
    client.delta_sync.profiles(TABLE, key="customId", state=state)
    assert client.delta_sync.profiles([], key="customId", state=state, full=True).known == 0
    assert known(client, state) == 0


def test_a_full_plan_touches_nothing(client: Synerise, state: Path) -> None:
    """A plan of a full run counts all rows as new, and the state is as it was."""
    client.delta_sync.profiles(TABLE, key="customId", state=state)
    before = state.read_bytes()
    assert client.delta_sync.plan(TABLE, key="customId", state=state, full=True, fields=True).new == 30
    assert state.read_bytes() == before
    assert known(client, state) == 30


def test_a_first_run_that_failed_binds_to_nothing(client: Synerise, state: Path, tmp_path: Path) -> None:
    """A state that knows no row yet fits every mapping, key field and option."""
    with pytest.raises((OSError, ValueError)):
        client.delta_sync.profiles(file_of_identifiers(tmp_path), key="customId", state=state)
    assert client.delta_sync.profiles(TABLE, key="customId", state=state, fields=True).new == 30


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ({"fields": True}, {}, "was made with fields=True, and this call is without.*give fields=True too"),
        ({}, {"keep_keys": True}, "was made without keep_keys=True, and this call has it.*leave keep_keys=True out"),
        ({}, {"key": "email"}, 'for the key field "customId".*give that key field'),
    ],
)
def test_a_state_of_other_options_says_how_it_was_made(
    client: Synerise, state: Path, before: dict[str, Any], after: dict[str, Any], words: str
) -> None:
    """The error names what differs, on which side, and every way on."""
    client.delta_sync.profiles(TABLE[:1], **{"key": "customId", "state": state, **before})
    with pytest.raises(DeltaStateMismatchError, match=f"{words}, name another file, or give full=True"):
        client.delta_sync.profiles([], **{"key": "customId", "state": state, **after})
