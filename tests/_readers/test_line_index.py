"""The line index: every row is found, by little memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles._readers.line_index import LineIndex


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 400)), max_size=2000), st.integers(1, 3))
def test_lines_are_found_whatever_the_steps(steps, first_line):
    """The line of every row is found from what is kept of some, whether it is the newest or an older one."""
    index, expected, line = LineIndex(first_line), [], first_line
    for row, (is_one_line, step) in enumerate(steps):
        before, line = line, line + (1 if is_one_line else step)
        expected.append(line)
        if row == 0 or line != before + 1:
            index.add(row, line)
        assert index.locate(row) == line
    assert [index.locate(row) for row in range(len(steps))] == expected


def test_rows_of_one_line_each_take_nothing():
    """Nothing is added for them: they are counted from the first line."""
    assert [LineIndex(2).locate(row) for row in (0, 1, 1_000_000)] == [2, 3, 1_000_002]


def test_other_rows_take_two_bytes():
    """A row of two lines takes two bytes, so that the lines of a large file can be kept whole."""
    index = LineIndex()
    for row in range(100_000):
        index.add(row, 2 * row + 1)
    assert len(index._deltas) <= 200_000
    assert len(index._lines) < 200
    assert index.locate(77_777) == 155_555
