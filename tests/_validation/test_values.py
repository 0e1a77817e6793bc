"""Values that the document refuses are refused before they are sent, one by one and in blocks."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from synerise_profiles._batching import operations
from synerise_profiles._batching.row_encoder import row_rule

ROW: dict[str, Any] = {"customId": "c-1", "agreements": {"sms": True}, "attributes": {"a": "x", "b": 1}}


def problems(name: str, row: dict[str, Any]) -> list[str]:
    """The fields that are refused, by `check`; a block of such rows has them all as suspects, or none of them."""
    rule = row_rule(getattr(operations, name)(), "strict", lambda _: None)
    assert rule is not None
    found = rule.check(row)
    for _ in range(2):  # names of attributes are learnt from the first rows
        suspects = set[int]()
        rule.check_block([row] * 9, range(9), suspects)
    assert suspects == (set() if found is None else set(range(9)))
    return [] if found is None else [found[0]]


@pytest.mark.parametrize("value", [True, False, "true", "TRUE", "False", 0, 1])
def test_agreements_are_booleans_in_three_ways(value: object) -> None:
    """A boolean, one of the documented texts, 0 or 1."""
    assert problems("profiles", ROW | {"agreements": {"sms": value, "push": value}}) == []


@pytest.mark.parametrize("value", ["yes", "", "tRUE", 2, -1, 1.5, []])
def test_other_agreements_are_refused(value: object) -> None:
    """Any other value has no meaning; the field is named."""
    assert problems("profiles", ROW | {"agreements": {"sms": value}}) == ["agreements.sms"]


@pytest.mark.parametrize("value", ["a\0b", "\ufe0f", "\ufe00\ufe0f"])
def test_texts_of_attributes_follow_the_rule_of_native_fields(value: str) -> None:
    """A null character, and variation selectors alone, are refused; among other characters these are none."""
    assert problems("profiles", ROW | {"attributes": {"a": value, "b": 1}}) == ["attributes.a"]
    assert problems("profiles", ROW | {"attributes": {"a": f"x{value}".replace("\0", ""), "b": [value]}}) == []


@pytest.mark.parametrize("born", ["1900-01-02", "1900-12-31", "1999-09-09", "2024-02-29", datetime.date(1900, 1, 2)])
def test_birth_dates_are_later_than_the_first_day_of_1900(born: object) -> None:
    """That is the earliest that the document allows, as text and as a date."""
    assert problems("profiles", ROW | {"birthDate": born}) == []


@pytest.mark.parametrize(
    "born", ["1900-01-01", "1899-12-31", "0001-01-01", datetime.date(1900, 1, 1), datetime.date(87, 1, 1)]
)
def test_earlier_birth_dates_are_refused(born: object) -> None:
    """A year of two digits, read as it stands, is refused too."""
    assert problems("profiles", ROW | {"birthDate": born}) == ["birthDate"]


@pytest.mark.parametrize("client", [{}, {"email": ""}, {"customId": None}, {"phone": "+48111222333"}])
def test_an_event_names_its_profile(client: dict[str, Any]) -> None:
    """At least one identifier that events take, and not an empty one."""
    event = {"label": "x", "client": client, "type": "custom", "action": "my.action"}
    assert problems("events", event) == ["client"]


def test_a_birth_date_lies_in_the_past() -> None:
    """A birthday to come is most often a century that was guessed wrong; one before 1900 is refused too."""
    today = datetime.datetime.now(datetime.UTC).date()
    for days, found in ((-1, []), (2, ["birthDate"]), (20000, ["birthDate"])):
        day = today + datetime.timedelta(days)
        assert problems("profiles", ROW | {"birthDate": day}) == found
        assert problems("profiles", ROW | {"birthDate": day.isoformat()}) == found
    assert problems("profiles", ROW | {"birthDate": "1900-01-01"}) == ["birthDate"]
