"""The JSON Lines reader that sources and the command line share; tests of the sources hold the rest."""

from __future__ import annotations

import io

from synerise_profiles._readers.jsonl_reader import JsonLinesReader


def test_a_value_comes_with_its_line():
    """The line of the newest value is known while it is at hand; a bad line is handed over with its text."""
    reader = JsonLinesReader(io.BytesIO(b'\xef\xbb\xbf{"a": 1}\n\n[2\n3\n'))
    found = [(reader.lines.locate(index), value) for index, value in enumerate(reader.records(None, lambda *bad: bad))]
    assert found == [(1, {"a": 1}), (3, ("is not JSON, at character 3 of the line", "[2")), (4, 3)]


def test_keys_are_those_of_the_first_objects():
    """They are read only on demand, and the lines in which they stand are read all the same."""
    content = b'{"a": 1}\n[]\n{"c": 1, "a": 2}\n'
    reader = JsonLinesReader(io.BytesIO(content), with_keys=True)
    assert reader.keys == ("a", "c")
    assert len(list(reader.records(None, lambda *bad: bad))) == 3
    assert JsonLinesReader(io.BytesIO(content)).keys == ()
