"""JSON arrays, element by element: in parts of any size, and what is broken in them."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles._readers import block_reader
from synerise_profiles._readers.block_reader import MAX_LINE_CHARS
from synerise_profiles._readers.json_reader import JsonArrayReader
from synerise_profiles._readers.packed import DamagedFileError
from synerise_profiles.sources import RowMapping, read_json
from synerise_profiles_api.errors import InvalidRequestError

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


def ended(records):
    """Each value, or what is wrong, and last the error that ends them."""
    found = []
    with pytest.raises(DamagedFileError) as caught:
        found.extend(iter(lambda: next(records), None))
    return [*found, str(caught.value)]


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
        ("[1,]", [1, "! is not JSON, at character 1 of the element"]),
        ('[{"a":1},{"a":2],{"a":3}]', [{"a": 1}, "! is not JSON, at character 7 of the element", {"a": 3}]),
        ('[{"a":1},oops,{"a":3}]', [{"a": 1}, "! is not JSON, at character 1 of the element", {"a": 3}]),
        ("\ufeff[ ]\n", []),
    ],
)
def test_a_bad_element_costs_itself_alone(text, expected):
    """Those beside it are read."""
    assert values(io.BytesIO(text.encode())) == expected


ONE = {"a": 1}
CUT = "the JSON array is cut off {}: its end is missing; fetch it again"
UNREAD = "and nothing below it can be read; mend it"
UNCLOSED = f"a quote or a bracket is wrong there, {UNREAD}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[", [CUT.format("at its beginning")]),
        ('[{"a":1},{"a":2', [ONE, CUT.format("within element 1")]),
        ('[{"a":1},{"a":"ą', [ONE, CUT.format("within element 1")]),
        ('[{"a":1},7', [ONE, CUT.format("within element 1")]),
        ('[{"a":1},', [ONE, CUT.format("after element 0")]),
        ('[{"a":1}\n', [ONE, CUT.format("after element 0")]),
        ('[{"a":1},{oops,{"a":3}]', [ONE, f"the JSON array is broken in element 1, at character 2 of it: {UNCLOSED}"]),
        (
            '[{"a":1},{"a":[2},{"a":3}]',
            [ONE, f"the JSON array is broken in element 1, at character 8 of it: {UNCLOSED}"],
        ),
        (
            '[{"a":1},{"a":"x},{"a":3}]',
            [ONE, f"the JSON array is broken in element 1, at character 12 of it: {UNCLOSED}"],
        ),
        (
            '[{"a":1} {"a":2}]',
            [ONE, f"the JSON array is broken after element 0: no comma follows it, {UNREAD}"],
        ),
        (
            '[{"a":1}]\n[{"a":2}]',
            [ONE, "the JSON array has something else below its end, which is not read; a file holds one array"],
        ),
    ],
)
@pytest.mark.parametrize("with_keys", [False, True])
def test_an_array_that_is_cut_off_or_broken_is_an_error_of_the_file(text, expected, with_keys):
    """After what stands above: what is below is unknown, and is no row that was refused."""
    data = text.encode()[:-1] if text.endswith("ą") else text.encode()  # within a character too
    reader = JsonArrayReader(io.BytesIO(data), with_keys=with_keys)
    assert ended(reader.records(None, lambda reason, _: f"! {reason}")) == expected


@pytest.mark.parametrize("begin", [b"{oops,", b'{"a":"', b'{"a":['], ids=["no text", "quote", "bracket"])
def test_a_break_in_front_of_megabytes(begin):
    """It is not the row that is too long: what stands below the break was taken for the rest of an element."""
    data = b'[{"a":1},' + begin + b'{"a":2},' * (MAX_LINE_CHARS // 7) + b'{"a":2}]'
    found = ended(JsonArrayReader(io.BytesIO(data)).records(None, lambda reason, _: f"! {reason}"))
    assert found == [ONE, f"the JSON array is broken in element 1: {UNCLOSED}"]


def test_the_error_names_the_file(tmp_path):
    """As that of a gzip file does."""
    path = tmp_path / "rows.json"
    path.write_text('[{"a":1},')
    with pytest.raises(DamagedFileError) as caught:
        values(path)
    assert str(caught.value) == f"the JSON array {path} is cut off after element 0: its end is missing; fetch it again"
    assert caught.value.field == "file"
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


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
    assert ended(iter(broken)) == [{"customId": "a"}, CUT.format("within element 1")]


@pytest.mark.parametrize("text", ["", "\ufeff", " \n" * 1000], ids=["nothing", "a mark", "blanks"])
def test_an_empty_file_is_no_array(text):
    """It is refused when it is opened: an export that failed is not one without rows."""
    with pytest.raises(InvalidRequestError, match="is empty: it holds no JSON array"):
        JsonArrayReader(io.BytesIO(text.encode()))


@pytest.mark.parametrize(
    "long",
    [
        b'{"a":"' + b"x" * MAX_LINE_CHARS + b'"}',
        b'"' + b"x" * MAX_LINE_CHARS + b'"',
        b'["' + b"\\\\" * (MAX_LINE_CHARS // 2) + b'"]',
        b"9" * (MAX_LINE_CHARS + 1),
        b'{"a":[' + (b"[" + b"1" * 96 + b"],") * (MAX_LINE_CHARS // 99) + b"2]}",
    ],
    ids=["object", "text", "escapes", "number", "lists"],
)
@pytest.mark.parametrize("with_keys", [False, True])
def test_an_element_that_is_too_long_costs_itself_alone(long, with_keys):
    """Whatever it is, first or last; those beside it are read."""
    reader = JsonArrayReader(io.BytesIO(b'[{"id":1},' + long + b',{"id":2},' + long + b"]"), with_keys=with_keys)
    found = list(reader.records(None, lambda reason, _: f"! {reason}"))
    assert found == [{"id": 1}, "! is longer than 8,000,000 bytes", {"id": 2}, "! is longer than 8,000,000 bytes"]
    assert reader.keys == ("id",) * with_keys


@pytest.mark.parametrize(
    "data",
    [b"[" + b"[" * 4_000_000, b'["' + b"\\\\" * 2_000_000 + b'"', b"[" + b"[" * 2_000_000 + b"]" * 2_000_000],
    ids=["brackets", "escapes", "nested"],
)
def test_each_byte_is_looked_at_once(data, monkeypatch):
    """The time grows with the file and not with its square, in blocks of any size."""
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", 20_000)
    began = time.process_time()
    records = JsonArrayReader(io.BytesIO(data)).records(None, lambda reason, _: f"! {reason}")
    assert ended(records)[-1].startswith("the JSON array is ")
    assert time.process_time() - began < 2
