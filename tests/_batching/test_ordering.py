"""The order guard by itself: what it remembers, and what it finds without remembering."""

from __future__ import annotations

import enum
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import PreparedRow
from synerise_profiles._batching.ordering import HOLD_DISTANCE, IdentifierKeys, OrderGuard
from synerise_profiles._batching.row_keys import are_free, free_rows, keys_of_sent_row


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
    assert not guard._known.has_chunks


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
    assert keys.of_rows(rows) == [["0@example.com", "1@example.com", "2@example.com"]]


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


NAME = st.sampled_from(["a", "a ", "b", "c", "", 1, 2, None])
PROFILE = st.dictionaries(st.sampled_from(["customId", "email", "clientId", "phone", "city"]), NAME)
EVENT = st.fixed_dictionaries(
    {"eventSalt": st.sampled_from(["s", "t"]), "client": st.fixed_dictionaries({"customId": st.sampled_from("ab")})},
    optional={"time": st.just("2026-01-01T00:00:00Z")},
)


@given(st.data(), st.sampled_from([(operations.profiles(), PROFILE), (operations.events(), EVENT)]))
def test_rows_that_are_free_together_are_free_one_by_one(data: st.DataObject, kind: Any) -> None:
    """A chunk that is cleared by a look at all of its rows has no row with a blocked key."""
    operation, row = kind
    held, rows = data.draw(st.lists(row, min_size=1, max_size=2)), data.draw(st.lists(row, min_size=1, max_size=4))
    blocked = {key for each in held for key in keys_of_sent_row(operation, each)}
    free = free_rows(((place, keys_of_sent_row(operation, each)) for place, each in enumerate(rows)), set(blocked))
    if are_free(operation, rows, blocked):
        assert len(free) == len(rows)


def test_rows_of_other_profiles_are_free_together() -> None:
    """Where nothing is shared, no row has to be looked at by itself, whichever fields the rows have."""
    rows = [{"customId": f"c-{n}", **({"city": "x"} if n % 2 else {"email": f"{n}@example.com"})} for n in range(9)]
    assert are_free(operations.profiles(), rows, {"c-10"})
    assert not are_free(operations.profiles(), rows, {"3@example.com", "4@example.com"})


def test_a_uuid_object_is_the_key_that_its_text_is() -> None:
    """What is written as the same text names the same profile, by rows and by columns."""
    keys = IdentifierKeys(("uuid", "customId"))
    found = uuid.uuid4()
    assert keys.of_row({"uuid": found}) == keys.of_row({"uuid": str(found)}) == [str(found)]
    assert keys.of_row({"uuid": None, "customId": Letter.A}) == ["a"]
    assert keys.of_columns({"uuid": [found] * 3}) is None


class Letter(enum.Enum):
    A = "a"
