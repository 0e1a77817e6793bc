"""A state from which many profiles went: it is written anew, smaller, and says the same as before."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.delta_sync import DeltaStateError
from synerise_profiles.delta_sync import packing as states

OPTIONS: dict[str, Any] = {"key": "customId", "keep_keys": True, "fields": True}
GONE: dict[str, Any] = {**OPTIONS, "gone": "delete", "max_gone_rate": 1.0}


@pytest.fixture(autouse=True)
def early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state is packed from so few entries on."""
    monkeypatch.setattr(states, "_MIN_PACKED_ENTRIES", 100)
    monkeypatch.setattr(states, "_RENUMBERED_AT_ONCE", 64)


def table(numbers: range, **changes: str) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}", "city": "Hel", "firstName": f"Anna {n}"} | changes for n in numbers]


def counts(found: Any) -> tuple[int, ...]:
    return found.new, found.changed, found.unchanged, found.gone


def test_a_state_is_packed_where_many_are_gone(client: Synerise, state: Path) -> None:
    """It is smaller by then, and each profile that stays is known with its fields."""
    client.delta_sync.profiles(table(range(3000)), state=state, **GONE)
    before = state.stat().st_size
    report = client.delta_sync.profiles(table(range(0, 3000, 3)), state=state, **GONE)
    assert counts(report) == (0, 0, 1000, 2000)
    assert state.stat().st_size < before * 0.6
    assert counts(client.delta_sync.plan(table(range(0, 3000, 3)), state=state, **OPTIONS)) == (0, 0, 1000, 0)
    moved = table(range(0, 300, 3), city="Gdynia") + table(range(300, 3000, 3))
    plan = client.delta_sync.plan(moved, state=state, **OPTIONS)
    assert (counts(plan), dict(plan.changed_fields)) == ((0, 100, 900, 0), {"city": 100})
    # What is new takes the places behind those that were given anew.
    more = client.delta_sync.profiles(moved + table(range(3000, 3500)), state=state, **OPTIONS)
    assert counts(more) == (500, 100, 900, 0)
    assert counts(client.delta_sync.plan(moved + table(range(3000, 3500)), state=state, **OPTIONS)) == (0, 0, 1500, 0)


def test_a_state_that_did_not_grow_is_not_packed_again(
    client: Synerise, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that changes little writes little."""
    client.delta_sync.profiles(table(range(500)), state=state, **OPTIONS)
    packed: list[str] = []
    real: Callable[..., Any] = states.StateFile.execute

    def execute(file: Any, sql: str, *values: Any) -> Any:
        packed.extend([sql] if sql == "VACUUM" else [])
        return real(file, sql, *values)

    monkeypatch.setattr(states.StateFile, "execute", execute)
    client.delta_sync.profiles(table(range(500), city="Gdynia"), state=state, **OPTIONS)
    assert packed == []
    client.delta_sync.profiles(table(range(3000), city="Gdynia"), state=state, **OPTIONS)
    client.delta_sync.profiles(table(range(300)), state=state, **GONE)
    assert packed == ["VACUUM"]


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE digests SET block = x'00' WHERE number = 0",
        "UPDATE digests SET number = 7 WHERE number = 1",
        "DELETE FROM digests WHERE number = 1",
        "DELETE FROM digests",
    ],
)
def test_digests_that_are_not_all_there(client: Synerise, state: Path, harm: str) -> None:
    """Nothing of such a state is believed, and nothing is sent."""
    client.delta_sync.profiles(table(range(500)), state=state, **OPTIONS)
    with contextlib.closing(sqlite3.connect(state)) as database, database:
        database.execute(harm)
    for call in (client.delta_sync.plan, client.delta_sync.profiles):
        with pytest.raises(DeltaStateError, match="the state is damaged; nothing of it is believed"):
            call(table(range(500)), state=state, **OPTIONS)


def test_a_key_that_is_not_that_of_its_entry(client: Synerise, state: Path) -> None:
    """No other profile is deleted in place of one that is gone."""
    client.delta_sync.profiles(table(range(300)), state=state, **OPTIONS)
    with contextlib.closing(sqlite3.connect(state)) as database, database:
        database.execute("UPDATE keys SET key = ?", (b'"c-1"',))
    with pytest.raises(DeltaStateError, match="the state is damaged; nothing of it is believed"):
        client.delta_sync.profiles(table(range(1, 300)), state=state, **GONE)
    for n in (0, 1):
        assert client.profiles.find("by-custom-id", f"c-{n}").city == "Hel"


def test_a_state_that_would_keep_nothing_is_refused(client: Synerise) -> None:
    """As `:memory:` would."""
    with pytest.raises(InvalidRequestError, match="is no file and would keep nothing; give the name of one"):
        client.delta_sync.profiles(table(range(1)), state=":memory:", **OPTIONS)
