"""The CSV reader that sources, merges' pairs and the command line share; tests of the sources hold the rest."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._readers import block_reader, packed
from synerise_profiles._readers.csv_pass import CsvHeaderError
from synerise_profiles._readers.csv_reader import CsvFormat, CsvReader, delimiter_hint


def records(reader, used=(), **options):
    """Each record, or what is wrong with it, with its line."""
    made = reader.records(tuple, lambda bad: bad.reason, used=used, **options)
    return [(reader.lines.locate(index), record) for index, record in enumerate(made)]


@pytest.mark.parametrize(
    "again",
    [
        *("id,Town", "ID,TOWN", "Id,town", "\ufeffid,Town", '"id","Town"', '"ID","town"'),
        *("id,Town,", "id,Town,,, ", " id , Town ", "\tid,\xa0Town", "\u3000ID,town,,", "id,Town\t"),
    ],
)
@pytest.mark.parametrize("ragged", ["refuse", "pad"])
def test_a_header_that_comes_again_in_another_dress_is_no_row(again, ragged):
    """Neither blanks around its names, nor empty cells behind them, nor the case of letters make a row of it."""
    reader = CsvReader(io.StringIO(f"id,Town\n1,x\n{again}\nid,y\nI,Town\n"), CsvFormat(ragged=ragged))
    notes = []
    assert records(reader, note=notes.append) == [(2, ("1", "x")), (4, ("id", "y")), (5, ("I", "Town"))]
    assert notes == ["the header of the file came again, and is no row"]


def test_surplus_cells_of_blanks_are_cut_where_rows_are_padded():
    """What cannot be seen in a spreadsheet is no cell; anything else is."""
    reader = CsvReader(io.StringIO("id,Town\n1,x, \n2\n3,x,\t,\xa0\n4,x,y\n"), CsvFormat(ragged="pad"))
    *padded, refused = [record for _, record in records(reader)]
    assert padded == [("1", "x"), ("2", ""), ("3", "x")]
    assert refused.startswith("has 3 cells")


def test_one_column_may_hold_its_name_in_other_letters():
    """A word that differs from the name of the only column by its case is a value."""
    reader = CsvReader(io.StringIO("tag\nTag\ntag\n tag \nTAG,\n"), CsvFormat(ragged="pad"))
    assert records(reader) == [(2, ("Tag",)), (5, ("TAG",))]


@pytest.mark.parametrize("header", ["id,Town,", ",id", "id,,Town,,"])
def test_a_header_with_empty_names_comes_again(header):
    """With as many delimiters at its end, or fewer."""
    width = header.count(",")
    text = f"{header}\n{header}\n{header.rstrip(',')}\n{header}{',' * 3}\n1{',x' * width}\n"
    assert records(CsvReader(io.StringIO(text))) == [(5, ("1", *["x"] * width))]


def test_a_record_comes_with_the_line_on_which_it_begins():
    """The line of the newest record is known while it is at hand; blank lines are no records, but they count."""
    reader = CsvReader(io.StringIO('\na,b\n1,2\n\n"3\n3",4\n5,6\n'))
    assert reader.columns == ("a", "b")
    assert records(reader) == [(3, ("1", "2")), (5, ("3\n3", "4")), (7, ("5", "6"))]


def test_reading_goes_on_below_a_bad_record():
    """Each is named with its line: a stray quote, a wrong number of cells, bytes of another encoding."""
    data = b'a,b\n1,2\n"3"3,4\n5\n6,\xff\n\xff,7\n8,9\n'
    assert records(CsvReader(io.BytesIO(data)), used=[1]) == [
        (2, ("1", "2")),
        (3, "has a quote in the wrong place"),
        (4, "has 1 cell, and there are 2 columns; is a cell with the delimiter not quoted?"),
        (5, "column 'b' has bytes that are not utf-8-sig; give the file's encoding"),
        (6, ("\udcff", "7")),
        (7, ("8", "9")),
    ]


def test_a_ragged_file_has_records_of_any_width():
    """Damage is looked for all the same, where the cell is there."""
    data = b"a,b\n1\n1,2,3\n1,\xff\n"
    assert records(CsvReader(io.BytesIO(data)), used=[1], is_ragged=True) == [
        (2, ("1",)),
        (3, ("1", "2", "3")),
        (4, "column 'b' has bytes that are not utf-8-sig; give the file's encoding"),
    ]


def test_lines_are_counted_across_one_that_is_too_long(monkeypatch):
    """It is one bad record, and the next has its own line."""
    monkeypatch.setattr(block_reader, "MAX_LINE_CHARS", 100)
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", 32)
    monkeypatch.setattr(block_reader, "_MIN_HEAD", 1)
    found = records(CsvReader(io.StringIO("a\n1\n" + "x" * 500 + "\n2\n3\n")))
    assert [line for line, _ in found] == [2, 3, 4, 5]
    assert found[1][1].startswith("is longer than ")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'"a', "the header cannot be read as CSV"),
        (b"\xff\n", "the header is not utf-8-sig; give the file's encoding"),
    ],
)
def test_a_header_that_cannot_be_read_is_an_error(content, problem):
    """Without it no column is known; an empty file has none."""
    with pytest.raises(CsvHeaderError, match=problem):
        CsvReader(io.BytesIO(content))
    assert CsvReader(io.BytesIO(b"")).columns == ()


def test_a_path_is_closed_in_between_and_read_again(tmp_path):
    """Every pass compares the header with the one that was promised."""
    path = tmp_path / "rows.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    reader = CsvReader(path)
    assert records(reader) == records(reader) == [(2, ("1",))]
    for other in (b"b\n1\n", b'"a'):
        path.write_bytes(other)
        with pytest.raises(InvalidRequestError, match="another header"):
            records(reader)


def test_the_delimiter_is_guessed_in_a_hint_alone():
    """Where a header is one name with a usual delimiter in it."""
    assert delimiter_hint(["a;b"]) == "the header is one column, in which ';' may be the delimiter"
    assert delimiter_hint(["a", "b;c"]) == delimiter_hint(["a"]) == delimiter_hint([]) == ""


def test_the_first_bytes_of_a_file_are_seen_unpacked_and_stay(tmp_path):
    """The command line tells formats apart by them."""
    path = tmp_path / "file"
    for content in (b'{"a": 1}\n', gzip.compress(b'{"a": 1}\n')):
        path.write_bytes(content)
        with path.open("rb") as file:
            assert packed.peek(file).startswith(b'{"a"')
            assert file.read() == content


def test_who_reads_no_file_loads_no_reader():
    """Neither a client nor its bulk runs, queue and merges import the readers before there is a file."""
    code = (
        "import sys\nfrom synerise_profiles import Synerise\nimport synerise_profiles.cli\n"
        "client = Synerise(token='t', base_url='http://127.0.0.1:9')\nclient.bulk, client.queue, client.merges\n"
        "print(*sys.modules, sep='\\n')"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert not [name for name in loaded if name.startswith(("synerise_profiles._readers", "synerise_profiles.sources"))]
    assert "synerise_profiles.merges.pairs" in done.stdout
