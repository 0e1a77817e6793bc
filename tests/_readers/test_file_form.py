"""Files of another form than they are read as: one error when they are opened, which says what to use."""

from __future__ import annotations

import gzip
import io

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.sources import RowMapping, read_csv, read_json, read_jsonl

MAPPING = RowMapping.for_profiles({"id": "customId", "*": "attributes.*"})
BINARY = {
    "a zip file, such as xlsx": b"PK\x03\x04\x14\x00\x06\x00x,y\n",
    "an older Office": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\x00\x00",
    "a Parquet file": b"PAR1\x15\x04\x15\x10",
    "an ORC file": b"ORC\x08\x03\x10",
    "an Arrow or Feather file": b"ARROW1\x00\x00\xff\xff",
    "an Avro file": b"Obj\x01\x04\x14",
    "an SQLite database": b"SQLite format 3\x00\x10\x00",
    "packed by bzip2": b"BZh91AY&SY\x1a\x03",
    "packed by xz": b"\xfd7zXZ\x00\x00\x04",
    "packed by zstd": b"\x28\xb5\x2f\xfd\x04\x00",
    "a PDF": b"%PDF-1.7\n",
    "a pointer of Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n",
    "a tar file": b"rows.csv".ljust(257, b"\0") + b"ustar\x0000",
    "packed by gzip twice": gzip.compress(b"id\n"),
    "HTML or XML": b"\r\n<!DOCTYPE html>\n<html><body>Sign in</body></html>",
}


def problem(reader, data, **options):
    with pytest.raises(InvalidRequestError) as caught:
        reader(io.BytesIO(data), MAPPING, **options)
    return caught.value.problem


@pytest.mark.parametrize("reader", [read_csv, read_jsonl, read_json])
@pytest.mark.parametrize("name", BINARY)
def test_what_is_no_text_is_named(reader, name):
    """By the first bytes, plain or unpacked; whatever it is called."""
    assert name in problem(reader, gzip.compress(BINARY[name]))
    if name != "packed by gzip twice":
        assert name in problem(reader, BINARY[name])


@pytest.mark.parametrize(
    "header", ["ORCID,id", "PAR1,id", "BZh,id", "Obj,id", "PK,id", "version,id", "<id>,id", "{x,id"]
)
def test_a_header_that_begins_likewise_is_a_header(header):
    """A column may be called so."""
    assert list(read_csv(io.StringIO(f"{header}\n1,a\n"), RowMapping.for_profiles({"id": "customId"})))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le"])
def test_wide_encodings_are_named_with_how_to_read_them(encoding):
    """By the mark, or by every second byte."""
    text = "\ufeffid,town\na,Hel\n"
    name = encoding[:6]
    assert problem(read_csv, text.encode(encoding)) == (
        f"begins with the mark of {name.upper()}; read it by encoding={name!r}"
    )
    assert f"open(path, encoding={name!r})" in problem(read_jsonl, text.encode(encoding))
    if name == "utf-16":
        assert problem(read_csv, text[1:].encode(encoding)) == (
            f"is UTF-16 without its mark; read it by encoding={encoding!r}"
        )
    assert list(read_csv(io.BytesIO(text.encode(encoding)), MAPPING, encoding=name))


@pytest.mark.parametrize(
    "text", ['[{"id":"a"}]', '[\n{"id":"a"}\n]', "[\n  {\n", '[{"id":"a"},\n{"id":"b"}]', "[]", ' [ {"id":1} ] \n', "["]
)
def test_an_array_is_no_json_lines_and_no_csv(text):
    """Each of its lines would be refused by itself, and the last might be sent."""
    assert problem(read_jsonl, text.encode()) == "is a JSON array, not JSON Lines; read it by read_json"
    assert (
        problem(read_csv, text.encode()) == "is JSON, not CSV; read it by read_jsonl, or by read_json if it is an array"
    )


def test_other_forms_of_text():
    """JSON over several lines, CSV read as JSON, JSON Lines read as CSV or as an array."""
    assert "is JSON over several lines" in problem(read_jsonl, b'{\n  "id": "a"\n}\n{\n  "id": "b"\n}\n')
    assert "read CSV by read_csv" in problem(read_jsonl, b"id,town\na,Hel\n")
    assert "read it by read_jsonl" in problem(read_csv, b'{"id": "a"}\n')
    assert "read JSON Lines by read_jsonl" in problem(read_json, b'{"id": "a"}\n')
    assert "read CSV by read_csv" in problem(read_json, b"id,town\na,Hel\n")


@pytest.mark.parametrize(
    "text", ['x\n{"id":"a"}\n', '[1]\n{"id":"a"}\n', '{"id":\n{"id":"a"}\n', '\ufeff{"id":"a"}\nx\n']
)
def test_one_bad_line_does_not_make_another_form(text):
    """It is one rejected row."""
    assert [row for row in read_jsonl(io.BytesIO(text.encode()), MAPPING) if row == {"customId": "a"}]


def test_a_file_object_of_text_in_another_encoding_is_one_error(tmp_path):
    """The reason is named without the bytes."""
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id,town\na,\xb3\n")
    with path.open(encoding="utf-8") as file, pytest.raises(InvalidRequestError, match="is not utf-8, as which it was"):
        read_csv(file, MAPPING)
