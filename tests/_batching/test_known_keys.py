"""What the order guard remembers: the same whether keys are put into sets or each with its chunk, over any window."""

from __future__ import annotations

from collections.abc import Hashable

from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles._batching.ordering import KnownKeys

KEYS = st.integers(0, 40)
ROUND = st.tuples(
    st.sampled_from(["fresh", "fresh", "fresh", "columns", "row", "ask", "next", "next", "next"]),
    st.lists(KEYS, max_size=4),
)


@settings(max_examples=300, deadline=None)
@given(window=st.sampled_from([8, 9, 12, 21]), rounds=st.lists(ROUND, max_size=150), keeps=st.booleans())
def test_the_last_chunk_of_each_key_of_a_window_is_known(
    window: int,
    rounds: list[tuple[str, list[int]]],
    keeps: bool,  # noqa: FBT001
) -> None:
    """Keys that come again in the same block, the same chunk, a chunk within the window, at its end and beyond it."""
    known, number, fresh = KnownKeys(window), 0, 1000
    chunks: dict[Hashable, int] = {}

    def remembered() -> set[Hashable]:
        return {key for key, last in chunks.items() if last >= known.first_number}

    for what, keys in rounds:
        added: list[Hashable] = []
        if what == "next":
            number += 1
            known.begin_chunk(number, keeps_chunks=keeps)
            assert known.first_number <= max(0, number - window)
        elif what == "fresh":
            added = list(range(fresh, fresh + 6))
            fresh += 6
            assert known.add_columns([added[:3], added[3:]], number, {})
        elif what == "columns":
            is_added = known.add_columns([keys, keys[:1]], number, {})
            assert is_added == remembered().isdisjoint(keys)
            added = list(keys) if is_added else []
        elif what == "row":
            if not known.add_unknown(keys, number):
                known.set_chunk(keys, number)
            added = list(keys)
        else:
            assert all(known.last(key) == (chunks[key] if key in remembered() else None) for key in keys)
        chunks.update(dict.fromkeys(added, number))
    assert all(known.last(key) == chunks[key] for key in remembered())


def test_what_is_held_back_is_no_new_key() -> None:
    """None of a block is added where one of its keys is held back for a later chunk."""
    known = KnownKeys(12)
    known.set_chunk(["a"], 0)
    assert not known.add_columns([["b", "held"]], 1, {"held": 9})
    assert known.last("b") is None
    assert known.add_columns([["b"]], 1, {"held": 9})


def test_once_nothing_repeats_any_more_only_sets_are_kept() -> None:
    """Half a window without a repetition is enough; until then the chunk of each key is kept, and no key is lost."""
    known = KnownKeys(12)
    assert known.add_columns([["a", "b"]], 0, {})
    assert not known.add_columns([["b", "c"]], 0, {})
    for number in range(1, 30):
        assert known.has_chunks == (number <= 12)
        known.begin_chunk(number, keeps_chunks=False)
        assert known.add_columns([[f"{number}-a", f"{number}-b"]], number, {})
    assert [known.last(f"{number}-b") for number in (29, 17, 5)] == [29, 17, None]
