"""A key whose spelling changed is not gone: the server may take both spellings for one profile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import NotFoundError, Synerise

UUID = "aaaaaaaa-0000-4000-8000-000000000001"
SPELLINGS = [
    ("email", "Anna@ex.pl", "anna@ex.pl"),
    ("customId", "ANNA-1", "anna-1"),
    ("customId", "anna-1", "anna-1 "),
    ("customId", "e\u0301", "é"),
    ("phone", "+48 600 100 200", "+48600100200"),
    ("phone", "0048600100200", "(48) 600-100-200"),
    ("uuid", UUID.upper(), UUID),
]


def options(key: str, state: Path) -> dict[str, Any]:
    gone: Any = "delete" if key == "customId" else {"attributes.active": False}
    return {"key": key, "state": state, "keep_keys": True, "gone": gone, "max_gone_rate": 1.0, "checks": "off"}


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(("key", "one", "other"), SPELLINGS)
def test_a_key_of_another_spelling_is_not_gone(
    client: Synerise, state: Path, key: str, one: Any, other: Any, *, is_turned: bool
) -> None:
    """Neither on the night of the change nor later; it is counted and told, by a plan and a run."""
    before, after = ({key: each, "city": "Hel"} for each in ((other, one) if is_turned else (one, other)))
    given = options(key, state)
    client.delta_sync.profiles([before], **given)
    plan = client.delta_sync.plan([after], **given)
    for found in (plan, client.delta_sync.profiles([after], **given), client.delta_sync.profiles([after], **given)):
        assert (found.gone, found.respelled) == (0, 1)
        assert "the spelling of 1 key changed" in found.summary()
        assert "the spelling of 1 key changed" in found.to_text()
    assert client.delta_sync.profiles([before, after], **given).respelled == 0


@pytest.mark.parametrize("left", [0, 1])
def test_one_of_two_spellings_is_left_out(client: Synerise, state: Path, left: int) -> None:
    """Where both were known, the one that is missing is not gone."""
    table = [{"customId": each, "city": "Hel"} for each in ("Anna-1", "ANNA-1", "anna-2")]
    given = options("customId", state)
    client.delta_sync.profiles(table, **given)
    found = client.delta_sync.profiles([table[left], table[2]], **given)
    assert (found.gone, found.respelled, found.unchanged) == (0, 1, 2)


@pytest.mark.parametrize("bad", [{"birthDate": "1990-13-45"}, {"attributes": {"n": object()}}, {"customId": 5}])
def test_a_new_spelling_that_is_refused(client: Synerise, state: Path, bad: dict[str, Any]) -> None:
    """The row was seen all the same, whether the server or the check refused it."""
    given = options("customId", state)
    client.delta_sync.profiles([{"customId": "5" if "customId" in bad else "Anna-1"}], **given)
    found = client.delta_sync.profiles([{"customId": "anna-1", **bad}], **given)
    assert (found.sent.accepted, found.gone, found.respelled) == (0, 0, 1)


def test_all_spellings_are_gone(client: Synerise, state: Path) -> None:
    """A key of which no spelling was seen is gone, and what was kept of it with it."""
    given = options("customId", state)
    client.delta_sync.profiles([{"customId": each} for each in ("Anna-1", "ANNA-1", "b")], **given)
    found = client.delta_sync.profiles([{"customId": "b"}], **given)
    assert (found.gone, found.respelled) == (2, 0)
    with pytest.raises(NotFoundError):
        client.profiles.find("by-custom-id", "Anna-1")
