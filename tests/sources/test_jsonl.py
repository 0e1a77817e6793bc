"""JSON Lines: rows as they stand, or through a mapping of their keys."""

from __future__ import annotations

import gzip
import io

import orjson
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._readers import block_reader
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, field, read_json, read_jsonl

MAPPING = RowMapping.for_profiles(
    {"id": field("customId", "text"), "born": field("birthDate", optional=True), "*": "attributes.*"}
)


def lines(*rows):
    return io.BytesIO(b"".join(row if isinstance(row, bytes) else orjson.dumps(row) + b"\n" for row in rows))


def rows_with_lines(source):
    return [
        (source.locate(index), row.reason if isinstance(row, UnreadableRow) else row)
        for index, row in enumerate(list(source))
    ]


def test_without_a_mapping_a_line_is_a_row():
    """The row is what the line says, nulls included, which the run's checks look at."""
    rows = [{"customId": "a", "firstName": None}, {"customId": "b"}]
    assert list(read_jsonl(lines(*rows))) == rows


@pytest.mark.parametrize("block", [5, 1 << 18])
@pytest.mark.parametrize("form", ["path", "gzip", "text"])
def test_a_bad_line_is_one_row_with_its_number(tmp_path, monkeypatch, form, block):
    """Broken JSON, bytes that are not UTF-8 and no object are refused alone; blank lines are no rows."""
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", block)
    data = b'\xef\xbb\xbf{"id":1}\r\n\n{"id":\n \n[1]\n{"id":"\xf1"}\n{"id":"\xc5\x82"}'
    if form == "text":
        file = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="surrogateescape", newline="")
    else:
        file = tmp_path / "rows"
        file.write_bytes(gzip.compress(data) if form == "gzip" else data)
    assert rows_with_lines(read_jsonl(file, MAPPING)) == [
        (1, {"customId": "1"}),
        (3, "is not JSON, at character 7 of the line"),
        (5, "is JSON, but no object"),
        (6, "is not UTF-8, in which JSON is written; a dead letter has U+FFFD in place of such bytes"),
        (7, {"customId": "ł"}),
    ]


ICCID = b"89480000000000012345"


@pytest.mark.parametrize("mapping", [None, MAPPING], ids=["as it is", "mapped"])
def test_a_number_of_too_many_digits_costs_its_line(mapping):
    """A whole number beyond 64 bits is refused with its line and its key, and not rounded; as text it is kept."""
    key = "customId" if mapping is None else "id"
    file = lines(*(b'{"%b":"a","iccid":%b}\n' % (key.encode(), value) for value in (b'"%b"' % ICCID, ICCID, b"17")))
    found = rows_with_lines(read_jsonl(file, mapping))
    problem = "has a whole number beyond 64 bits in iccid, which would lose digits; write it as text, in quotes"
    assert found[1] == (2, problem)
    assert ICCID.decode() in str(found[0])
    assert "17" in str(found[2])


@pytest.mark.parametrize("mapping", [None, MAPPING], ids=["as it is", "mapped"])
def test_a_key_twice_costs_its_line(mapping):
    """One of the values would be lost; the line is refused, and the letter holds it."""
    key = "customId" if mapping is None else "id"
    file = lines(b'{"%b":"a","note":"x","note":"y"}\n' % key.encode(), {key: "b", "x": {"note": "z"}})
    (_, refused), (_, row) = zip((1, 2), read_jsonl(file, mapping), strict=True)
    assert refused.reason == "has the key 'note' twice in one object, so that one value would be lost; leave one"
    assert refused.row.count("note") == 2
    assert row["customId"] == "b"


def test_a_mapping_reads_typed_values():
    """Numbers keep their type where anything goes; null and the empty text are empty cells."""
    rows = [
        {"id": 17, "born": "1987-10-24", "visits": 3, "vip": True, "likes": ["a"], "gone": None, "none": ""},
        {"id": "18", "born": "24.10.1987"},
        {"id": [1]},
    ]
    found = rows_with_lines(read_jsonl(lines(*rows), MAPPING))
    attributes = {"visits": 3, "vip": True, "likes": ["a"]}
    assert found == [
        (1, {"customId": "17", "birthDate": "1987-10-24", "attributes": attributes}),
        (2, "column 'born' is not a date in ISO 8601; say what it is by format="),
        (3, "column 'id' is no text but a list"),
    ]


def test_a_column_that_no_row_has_is_an_issue():
    """It is found in the first rows, before any is given out; an optional one is none, and an empty file has none."""
    mapping = RowMapping.for_profiles({"id": "customId", "cty": "city", "x": field("company", optional=True)})
    with pytest.raises(MappingError, match="column 'cty': is not there; did you mean 'city'"):
        read_jsonl(lines({"id": "1"}, {"id": "2", "city": "Hel"}), mapping)
    assert list(read_jsonl(lines(b""), mapping)) == []
    assert rows_with_lines(read_jsonl(lines(b"{\n"), mapping)) == [(1, "is not JSON, at character 2 of the line")]


def test_keys_that_come_late_are_taken_by_a_star():
    """A key that the first rows lack is a column all the same; one that cannot be sent refuses its own row alone."""
    rows = [{"id": str(n)} for n in range(1500)]
    rows += [{"id": "x", "late": 1}, {"id": "y", "email": "a@example.com"}, {"id": "z", "late": 2}]
    found = rows_with_lines(read_jsonl(lines(*rows), MAPPING))
    assert found[1500] == (1501, {"customId": "x", "attributes": {"late": 1}})
    assert found[1501][1] == "column 'email' is a reserved name, which the server ignores; give it another name"
    assert found[1502] == (1503, {"customId": "z", "attributes": {"late": 2}})


def test_keys_without_end_do_not_fill_the_memory():
    """A file whose keys are data is refused row by row from some number of keys on."""
    rows = [{"id": "a", **{f"k{n}-{m}": 1 for m in range(500)}} for n in range(12)]
    found = rows_with_lines(read_jsonl(lines(*[{"id": "0"}] * 1001, *rows), MAPPING))
    assert isinstance(found[1001][1], dict)
    assert "has new keys, after" in found[-1][1]


def test_a_line_that_is_too_long_is_one_row(monkeypatch):
    """It is dropped as it is read."""
    monkeypatch.setattr(block_reader, "MAX_LINE_CHARS", 100)
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", 32)
    found = rows_with_lines(read_jsonl(lines({"id": "a"}, {"id": "x" * 1000}, {"id": "b"}), MAPPING))
    assert [line for line, _ in found] == [1, 2, 3]
    assert "is longer than" in found[1][1]


@pytest.mark.parametrize("number", ["1.23456789012345678901", "123456789012345678.9", "900719925474099.3", "1.5e400"])
@pytest.mark.parametrize("is_array", [False, True])
def test_a_decimal_is_refused_rather_than_rounded(number, is_array):
    """As in CSV: the digits are those of the file, in the refusal's row too; a float that keeps them passes."""
    mapping = RowMapping.for_profiles({"id": "customId", "v": field("attributes.v", "decimal")})
    text = f'{{"id":"a","v":{number}}}', '{"id":"b","v":0.1234567890123456}', '{"id":"c","v":0.30000000000000004}'
    file = io.BytesIO(f"[{','.join(text)}]".encode() if is_array else "\n".join(text).encode())
    bad, *good = read_json(file, mapping) if is_array else read_jsonl(file, mapping)
    assert isinstance(bad, UnreadableRow)
    assert number in str(bad.row)
    assert [row["attributes"]["v"] for row in good] == [0.1234567890123456, 0.30000000000000004]


def test_carriage_returns_alone_are_told():
    """A file whose lines end in them would be one line; those of Windows, and JSON with one inside, are read."""
    with pytest.raises(InvalidRequestError, match="carriage returns alone"):
        read_jsonl(io.BytesIO(b'{"customId":"1"}\r{"customId":"2"}\r'))
    rows = list(read_jsonl(io.BytesIO(b'{"customId":"1"}\r\n{"customId":\r"2"}\r\n')))
    assert [row["customId"] for row in rows] == ["1", "2"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1e400", "has a number that is too large"),
        ("[" * 1100 + "]" * 1100, "is nested too deep"),
        ("[" * 100_000 + "]" * 100_000, "is nested too deep"),
        (r'"\ud800"', "has half a character"),
        ("NaN", "is not JSON, at character"),
        (r'"\x"', "is not JSON, at character"),
    ],
)
def test_json_that_no_reader_takes_is_told_from_what_is_none(value, words):
    """By what it holds, in lines and in arrays; the rows below are read."""
    text = f'{{"id": "1", "a": {value}}}'
    for source in (read_jsonl(io.StringIO(f'{text}\n{{"id": "2"}}\n'), MAPPING), read_json(io.StringIO(f"[{text}]"))):
        assert next(iter(source)).reason.startswith(words)


@pytest.mark.parametrize("value", ["true", "false", "1e3", "1.0", "1.5", "-0.0"])
def test_what_has_several_spellings_is_no_text(value):
    """A truth value or a decimal number is no identifier, as in a table; a mapping may say that it is a text."""
    line = b'{"id":%b}\n' % value.encode()
    plain, named = (
        RowMapping.for_profiles({"id": "customId"}),
        RowMapping.for_profiles({"id": field("customId", "text")}),
    )
    for read, data in ((read_jsonl, line), (read_json, b"[%b]" % line)):
        (row,) = read(io.BytesIO(data), plain)
        assert isinstance(row, UnreadableRow)
        assert (row.field, "say that it is a text by type 'text'" in row.reason) == ("customId", True)
        (row,) = read(io.BytesIO(data), named)
        assert isinstance(row, dict)
    (row,) = read_jsonl(io.BytesIO(b'{"id":17}\n'), plain)
    assert row == {"customId": "17"}
