"""JSON arrays, element by element: in parts of any size, and what is broken in them."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles._readers import block_reader
from synerise_profiles._readers.json_reader import JsonArrayReader
from synerise_profiles.sources import RowMapping, read_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.sampled_from('a"[]{}\\,')), inner, max_size=3)
    ),
    max_leaves=12,
)


def values(file):
    """Each value, or what is wrong."""
    return list(JsonArrayReader(file).records(None, lambda reason, _: f"! {reason}"))


@settings(deadline=None)
@given(st.lists(VALUES, max_size=6), st.sampled_from([None, 2]), st.booleans(), st.integers(1, 40))
def test_elements_are_those_of_the_array(elements, indent, is_packed, block):
    """Whatever is in them, written in one line or many, in blocks of any size."""
    data = json.dumps(elements, indent=indent, ensure_ascii=False).encode()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_reader, "_BLOCK_BYTES", block)
        patch.setattr(block_reader, "_MIN_HEAD", 1)
        assert values(io.BytesIO(gzip.compress(data) if is_packed else data)) == elements


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[{"a":1},{"a":},{"a":3}]', [{"a": 1}, "! is not JSON, at character 6 of the element", {"a": 3}]),
        ('[{"a":1},{"a":2', [{"a": 1}, "! is cut off: the file ends within the array"]),
        ('[{"a":1},', [{"a": 1}, "! is cut off: the file ends within the array"]),
        ('[{"a":1}', [{"a": 1}, "! is cut off: the file ends within the array"]),
        ('[{"a":1} {"a":2}]', [{"a": 1}, "! is not followed by a comma in its array"]),
        ('[{"a":1}]\n[{"a":2}]', [{"a": 1}, "! stands below the end of the array; a file holds one array"]),
        ("[1,]", [1, "! is not JSON, at character 1 of the element"]),
        ("", []),
        ("\ufeff[ ]\n", []),
    ],
)
def test_what_is_broken_is_never_passed_over(text, expected):
    """A bad element is one; below a place where the array is broken nothing is read."""
    assert values(io.BytesIO(text.encode())) == expected


def test_an_array_through_a_mapping(tmp_path):
    """As JSON Lines; the place of a row is the number of its element."""
    path = tmp_path / "rows.json"
    path.write_text('[\n {"id": "a", "n": 1},\n 7,\n {"id": "b", "later": true}\n]')
    source = read_json(path, RowMapping.for_profiles({"id": "customId", "*": "attributes.*"}))
    for _ in range(2):
        first, second, third = source
        assert first == {"customId": "a", "attributes": {"n": 1}}
        assert second.reason == "is JSON, but no object"
        assert third == {"customId": "b", "attributes": {"later": True}}
    assert source.locate(2) == 2
    assert next(iter(read_json(path))) == {"id": "a", "n": 1}
    broken = read_json(io.BytesIO(b'[{"id": "a"}, {"id"'), RowMapping.for_profiles({"id": "customId"}))
    assert [getattr(row, "reason", row) for row in broken] == [
        {"customId": "a"},
        "is cut off: the file ends within the array",
    ]
