"""The order guard by itself: what it remembers, and what it finds without remembering."""

from __future__ import annotations

import enum
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._batching.ordering import HOLD_DISTANCE, IdentifierKeys, OrderGuard, PreparedRow


def guard_with(chunks: int, *, singly: bool) -> OrderGuard:
    """A guard after some full chunks in which nothing comes twice."""
    guard = OrderGuard(window=12, max_items=10, max_bytes=1000)
    for number in range(chunks):
        keys = [f"{number}-{row}" for row in range(10)]
        if singly:
            for key in keys:
                assert guard.target((key,)) == guard.number
                guard.place((key,))
        else:
            assert guard.place_columns([keys])
        guard.close(number)
        guard.open_next()
    return guard


@pytest.mark.parametrize("singly", [False, True])
def test_where_nothing_repeats_the_chunk_of_a_key_is_not_remembered(singly: bool) -> None:  # noqa: FBT001
    """Rows that come one by one cost no more to remember than those that come in blocks."""
    guard = guard_with(40, singly=singly)
    assert guard._last_chunks is None


@pytest.mark.parametrize("singly", [False, True])
def test_the_first_key_that_repeats_is_found_however_it_was_put(singly: bool) -> None:  # noqa: FBT001
    """A key of one of the last chunks is held back for the chunk that stands so far behind that one."""
    guard = guard_with(5, singly=singly)
    assert guard.target(("3-7",)) == 3 + HOLD_DISTANCE
    guard.hold(PreparedRow(b"{}", 50, keys=("3-7",)))
    assert guard.target(("3-7",)) == 3 + HOLD_DISTANCE
    assert guard.target(("new",)) == guard.number


def test_an_identifier_that_is_two_is_one_key() -> None:
    """An e-mail address is often the customId too; that is no repetition."""
    keys = IdentifierKeys(("customId", "email"))
    rows = [{"customId": f"{n}@example.com", "email": f"{n}@example.com"} for n in range(3)]
    assert keys.of_row(rows[0]) == ["0@example.com"]
    columns = keys.columns_of(rows)
    assert columns is not None
    assert keys.of_columns(columns) == [["0@example.com", "1@example.com", "2@example.com"]]


VALUES = st.sampled_from(["a", "b", " a", "a\u2003", "b\x1f", "\v", "", "a,,b", ",", "a b", "Łódź", None])
COLUMN = st.lists(VALUES, min_size=4, max_size=4) | st.lists(st.integers(1, 3) | st.none(), min_size=4, max_size=4)


@given(st.fixed_dictionaries({"customId": COLUMN, "email": COLUMN}, optional={"phone": COLUMN}))
def test_columns_have_the_keys_of_their_rows(columns: dict[str, list[object]]) -> None:
    """A block that is looked at as a whole writes what its rows write one by one."""
    keys = IdentifierKeys(("customId", "email", "phone"))
    rows = [{name: column[place] for name, column in columns.items()} for place in range(4)]
    by_columns = keys.of_columns(columns)
    if by_columns is not None:
        assert {key for column in by_columns for key in column} == {key for row in rows for key in keys.of_row(row)}
    else:  # a phone number may be the only identifier of a row
        assert any(columns["phone"])


def test_a_uuid_object_is_the_key_that_its_text_is() -> None:
    """What is written as the same text names the same profile, by rows and by columns."""
    keys = IdentifierKeys(("uuid", "customId"))
    found = uuid.uuid4()
    assert keys.of_row({"uuid": found}) == keys.of_row({"uuid": str(found)}) == [str(found)]
    assert keys.of_row({"uuid": None, "customId": Letter.A}) == ["a"]
    assert keys.of_columns({"uuid": [found] * 3}) is None


class Letter(enum.Enum):
    A = "a"
