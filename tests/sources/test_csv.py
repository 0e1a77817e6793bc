"""CSV as files have it: quotes, lines, encodings, gzip; and what cannot be read is one row with its line."""

from __future__ import annotations

import csv
import gzip
import io
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError
from synerise_profiles._readers import block_reader, csv_pass
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, field, read_csv

LOST_BYTES = "a dead letter has U+FFFD in their place"
PLAIN_CODES = RowMapping.for_profiles({"pl": "customId", "eur": "attributes.note"})
PLAIN = RowMapping.for_profiles({"id": "customId", "note": "attributes.note"})
TYPED = RowMapping.for_profiles({"id": "customId", "n": field("attributes.n", "integer")})


def rows_with_lines(source):
    """Each row, or the reason why it is none, with its line."""
    return [
        (source.locate(index), row.reason if isinstance(row, UnreadableRow) else row)
        for index, row in enumerate(list(source))
    ]


def cells():
    return st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from('",\n\r x'), max_size=8)


@settings(deadline=None)
@given(
    st.lists(st.tuples(cells(), cells()), max_size=12),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from(["utf-8-sig", "utf-8", "utf-16"]),
    st.sampled_from(["path", "binary", "text", "gzip"]),
    st.integers(1, 40),
)
def test_what_a_csv_writer_writes_is_read_back_with_its_lines(tmp_path_factory, rows, newline, encoding, form, block):
    """Any cells, line ends and encodings, in blocks of any size: the same rows, each on the line where it begins."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator=newline, quoting=csv.QUOTE_ALL)
    writer.writerow(("id", "note"))
    expected = []
    for one, two in rows:
        begin = len(list(io.StringIO(out.getvalue(), newline=""))) + 1
        writer.writerow((one, two))
        row = {"customId": one} if one else {}
        if one.strip() or two.strip():  # a line of blanks and delimiters alone is no row
            expected.append((begin, {**row, "attributes": {"note": two}} if two else row))
    data = out.getvalue().encode(encoding)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_reader, "_BLOCK_BYTES", block)
        source = read_csv(file_of(form, data, encoding, tmp_path_factory), PLAIN, encoding=encoding)
        assert rows_with_lines(source) == expected


def file_of(form, data, encoding, factory):
    if form == "binary":
        return io.BytesIO(data)
    if form == "text":
        return io.TextIOWrapper(io.BytesIO(data), encoding=encoding, newline="")
    path = factory.mktemp("csv") / "rows.txt"
    path.write_bytes(gzip.compress(data) if form == "gzip" else data)
    return path


def test_a_bad_row_is_one_row_with_its_line():
    """A cell that is no number, a wrong number of cells, a stray quote: each is refused alone, on its line."""
    text = 'id,n\na,1\nb,one\n\nc\nd,1,2\n"e"x,1\n"f\ng",2\nh,3\n'
    assert rows_with_lines(read_csv(io.StringIO(text), TYPED)) == [
        (2, {"customId": "a", "attributes": {"n": 1}}),
        (3, "column 'n' is not a whole number"),
        (5, "has 1 cell, and there are 2 columns; is a cell with the delimiter not quoted?"),
        (6, "has 3 cells, and there are 2 columns; is a cell with the delimiter not quoted?"),
        (7, "has a quote in the wrong place"),
        (8, {"customId": "f\ng", "attributes": {"n": 2}}),
        (10, {"customId": "h", "attributes": {"n": 3}}),
    ]


def test_a_quote_that_is_never_closed_is_no_row():
    """It costs its own row: reading goes on at the next line that fits, and the lines that it swallowed are counted."""
    rows = [(4, {"customId": "c", "attributes": {"note": "3"}}), (5, {"customId": "d", "attributes": {"note": "4"}})]
    text = 'id,note\na,1\nb,"2\nc,3\nd,4\n'
    assert rows_with_lines(read_csv(io.StringIO(text), PLAIN))[1:] == [(3, "has a quote that is not closed"), *rows]
    closed = 'id,note\na,1\nb,"2\nc,3\nd,"4"\n'  # it is closed by the next quote that opens
    assert rows_with_lines(read_csv(io.StringIO(closed), PLAIN))[1:] == [(3, "has a quote in the wrong place"), *rows]
    text = 'id,note\nb,"2\nnothing\nthat fits\nc,3\n'
    assert rows_with_lines(read_csv(io.StringIO(text), PLAIN)) == [
        (2, "has a quote that is not closed (lines 2 to 4: 2 below it are lost with it)"),
        (5, {"customId": "c", "attributes": {"note": "3"}}),
    ]
    long = f'id,note\nb,"2\n{"c,3" + chr(10)}' + "x" * csv.field_size_limit() + "\nd,4\n"
    found = rows_with_lines(read_csv(io.StringIO(long), PLAIN))
    assert [line for line, _ in found] == [2, 3, 4, 5]
    assert found[0][1] == "has a cell of more than 131,072 characters; is a quote not closed?"
    assert "has 1 cell, and there are 2 columns" in found[2][1]
    assert found[3][1] == {"customId": "d", "attributes": {"note": "4"}}


def test_a_stray_quote_at_the_end_of_a_long_cell_gives_no_rows_of_its_lines():
    """The last line is broken by itself, so those above it are one cell, though they look like rows."""
    text = 'id,note\na,"Dear all,\nhello, world\nbye"x\nb,1\n'
    assert rows_with_lines(read_csv(io.StringIO(text), PLAIN)) == [
        (2, "has a quote in the wrong place (lines 2 to 4: 2 below it are lost with it)"),
        (5, {"customId": "b", "attributes": {"note": "1"}}),
    ]


@pytest.mark.parametrize("between", [1, 5000])
@pytest.mark.parametrize(
    "cell",
    ['"multi\nline"', '"a, ""b""\nc"', '"1, 2\n\n3"', '"multi\r\nline"'],
    ids=["plain", "doubled", "comma", "crlf"],
)
def test_one_open_quote_costs_one_row_where_a_cell_of_several_lines_comes_below(between, cell):
    """The quote that seems to close it opens a cell that goes on, so the lines above are rows."""
    text = 'id,note,n\na,"open,1\n' + "".join(f"b{number},x,2\n" for number in range(between))
    found = rows_with_lines(read_csv(io.StringIO(f"{text}c,{cell},3\nd,y,4\n", newline=""), PLAIN))
    assert [line for line, row in found if not isinstance(row, dict)] == [2]
    assert found[0][1] == "has a quote in the wrong place"
    assert [row["customId"] for _, row in found[1:]] == [*(f"b{number}" for number in range(between)), "c", "d"]
    assert found[-2][1]["attributes"]["note"] == cell[1:-1].replace('""', '"')


@settings(deadline=None, max_examples=60)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 29), st.sampled_from([16, 64, 1 << 18]))
def test_one_open_quote_costs_one_row(quoted, bad, block):
    """Wherever it stands, in blocks of any size, among rows with quotes and lines in them and without."""
    bad %= len(quoted)
    lines, expected, line = [], [], 2
    for number, is_quoted in enumerate(quoted):
        note = f"x, {number}" if is_quoted else f"{number}"
        expected.append((line, {"customId": f"c{number}", "attributes": {"note": note}}))
        lines.append(f'c{number},"{note}"' if is_quoted else f"c{number},{note}")
        line += 1
    lines[bad] = f'c{bad},"open'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(block_reader, "_BLOCK_BYTES", block)
        patch.setattr(block_reader, "_MIN_HEAD", 1)
        found = rows_with_lines(read_csv(io.BytesIO("\n".join(["id,note", *lines]).encode()), PLAIN))
    assert [item for number, item in enumerate(found) if number != bad] == expected[:bad] + expected[bad + 1 :]
    assert "quote" in found[bad][1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('a,the "big, red" one', "has a quote in the wrong place: within a cell that does not begin with one"),
        ('a,he said "hi', "has a quote in the wrong place: within a cell that does not begin with one"),
        ('a, "x"', "has a quote after a blank; skipinitialspace=True reads such cells"),
        ('a,\t"x"', "has a quote after a blank; skipinitialspace=True reads such cells"),
        (' "a",x', "has a quote after a blank; skipinitialspace=True reads such cells"),
    ],
)
def test_a_bare_quote_that_moves_cells_is_refused(line, problem):
    """Where it stands within a cell that does not begin with one, what comes after it may be another cell."""
    width = line.count(",")
    header = "id,note" + ",x" * (width - 1)
    found = rows_with_lines(read_csv(io.StringIO(f"{header}\n{line}\nb,ok{',' * (width - 1)}\n"), PLAIN))
    assert found == [(2, problem), (3, {"customId": "b", "attributes": {"note": "ok"}})]


def test_the_line_in_which_a_bare_quote_is_closed_is_refused_too():
    """It is the rest of a cell that began a line above."""
    found = rows_with_lines(read_csv(io.StringIO('id,note\na,he said "hi\nthere",x\nb,12" wide\n'), PLAIN))
    assert [isinstance(row, dict) for _, row in found] == [False, False, True]


@pytest.mark.parametrize("bad", [b'x,rura 12" stal,1\n', b"x,\xa3,1\n"])
def test_a_doubtful_record_costs_no_more_than_its_block(monkeypatch, bad):
    """Where records lie across blocks, the lines below a bare quote or a bad byte are split a few times at most."""
    split, kept = [], []

    def count(text, newline):
        split.append(len(text))
        return io.StringIO(text, newline=newline)

    def keep(reading, begin, end):
        kept.append(len(reading._kept))
        return lines_between(reading, begin, end)

    lines_between = csv_pass.CsvPass._lines_between
    monkeypatch.setattr(csv_pass, "io", SimpleNamespace(StringIO=count))
    monkeypatch.setattr(csv_pass.CsvPass, "_lines_between", keep)
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", 400)
    data = b"id,note,n\n" + bad + b"".join(b'c-%d,"ul. Dluga\n81-000\nPolska",1\n' % n for n in range(1000))
    assert len(list(read_csv(io.BytesIO(data), PLAIN))) == 1001
    assert sum(split) < 3 * len(data)
    assert max(kept) <= 2
    if b'"' in bad:
        assert len(kept) < 40  # no further records are looked at than those of the first block


@pytest.mark.parametrize("block", [12, 16, 1 << 18])
def test_a_bare_quote_is_closed_in_the_next_block_too(monkeypatch, block):
    """What is refused does not depend on where the blocks end."""
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", block)
    data = b'id,note\na,he said "hi\nthere",x\nb,12" wide\nc,3\nd,5" x\n'
    found = rows_with_lines(read_csv(io.BytesIO(data), PLAIN))
    assert [line for line, row in found if not isinstance(row, dict)] == [2, 3]


@pytest.mark.parametrize("note", ['12" pipe', 'the "big" one', '5" x 7"', 'say ""hi""', "it's", '12"'])
def test_a_bare_quote_that_moves_nothing_is_a_letter(note):
    """An inch is no reason to refuse a row."""
    assert rows_with_lines(read_csv(io.StringIO(f"id,note\na,{note}\n"), PLAIN)) == [
        (2, {"customId": "a", "attributes": {"note": note}})
    ]


def test_a_blank_after_the_delimiter():
    """It is passed over on demand, in the header too; and else it is part of a cell."""
    text = 'id, note\n"17", "Hel"\n"18", "x ""y"" z"\n19, 5"\n'
    assert [row for _, row in rows_with_lines(read_csv(io.StringIO(text), PLAIN, skipinitialspace=True))] == [
        {"customId": "17", "attributes": {"note": "Hel"}},
        {"customId": "18", "attributes": {"note": 'x "y" z'}},
        {"customId": "19", "attributes": {"note": '5"'}},
    ]
    with pytest.raises(MappingError, match="the header has a quote after a blank; skipinitialspace=True"):
        read_csv(io.StringIO('id, "note"\n'), PLAIN)


@pytest.mark.parametrize(
    ("above", "options", "line"),
    [
        ("sep=,\n", {}, 3),
        ('"sep=,"\n', {}, 3),
        ("\ufeffsep=,\n", {}, 3),
        ("Customers of May\n\n", {"skip_lines": 2}, 4),
        ('a "title", with a quote"\n', {"skip_lines": 1}, 3),
        ("sep=,\nCustomers\n", {"skip_lines": 2}, 4),
        ("\n \nsep=,\n", {}, 5),
        ("\ufeff# made by crm\n\nsep=,\n", {"comment": "#"}, 5),
        ("sep=,\n\n# made by crm\n", {"comment": "#"}, 5),
        ("Customers\n\nsep=,\n", {"skip_lines": 1}, 5),
        ("Customers\nsep=,\n", {"skip_lines": 1}, 4),
        ('# made by "crm\n#\n', {"comment": "#"}, 4),
        (",,,\n\n", {}, 4),
        ("", {}, 2),
    ],
)
@pytest.mark.parametrize("block", [7, 1 << 18])
def test_what_stands_above_the_header(monkeypatch, above, options, line, block):
    """Lines are counted from the top of the file, whatever stands there."""
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", block)
    monkeypatch.setattr(block_reader, "_MIN_HEAD", 1)
    for end in ("\n", "\r\n"):
        data = f"{above}id,note\na,1\n".replace("\n", end).encode()
        source = read_csv(io.BytesIO(data), PLAIN, **options)
        assert rows_with_lines(source) == [(line, {"customId": "a", "attributes": {"note": "1"}})]


def test_the_line_sep_names_the_delimiter_unless_one_is_given():
    """As spreadsheets write it; the line is no header either way."""
    expected = [(3, {"customId": "a", "attributes": {"note": "1"}})]
    assert rows_with_lines(read_csv(io.StringIO("sep=;\r\nid;note\r\na;1\r\n"), PLAIN)) == expected
    below = "# made by crm\nsep=;\nid;note\na;1\n"
    assert rows_with_lines(read_csv(io.StringIO(below), PLAIN, comment="#")) == [(4, expected[0][1])]
    assert rows_with_lines(read_csv(io.StringIO("\n" + below[14:]), PLAIN)) == [(4, expected[0][1])]
    assert rows_with_lines(read_csv(io.StringIO("sep=\t\nid\tnote\na\t1\n"), PLAIN)) == expected
    assert rows_with_lines(read_csv(io.StringIO("sep=;\nid,note\na,1\n"), PLAIN, delimiter=",")) == expected


def test_comments_are_lines_and_not_cells():
    """Not within a cell, nor where the mark is quoted."""
    text = 'id,note\n#a,1\n"#b",2\nc,"x\n# y"\n# "z\nd,4#\n'
    assert rows_with_lines(read_csv(io.StringIO(text), PLAIN, comment="#")) == [
        (3, {"customId": "#b", "attributes": {"note": "2"}}),
        (4, {"customId": "c", "attributes": {"note": "x\n# y"}}),
        (7, {"customId": "d", "attributes": {"note": "4#"}}),
    ]


@pytest.mark.parametrize("header", ["id,note", "\ufeffid,note", '\ufeff"id","note"', '"id","note"'])
def test_a_header_that_comes_again_is_no_row_and_is_counted(header):
    """Files were put together; the lines are counted all the same."""
    source = read_csv(io.StringIO(f"id,note\na,1\n{header}\nb,2\n{header}\nid,other\n"), PLAIN)
    assert rows_with_lines(source) == [
        (2, {"customId": "a", "attributes": {"note": "1"}}),
        (4, {"customId": "b", "attributes": {"note": "2"}}),
        (6, {"customId": "id", "attributes": {"note": "other"}}),
    ]
    assert source.notes == {"the header of the file came again, and is no row": 2}


@pytest.mark.parametrize("block", [1, 16, 1 << 18])
@pytest.mark.parametrize("sep", ["sep=;", "\ufeffsep=;", '"sep=;"', "SEP=;;"])
@pytest.mark.parametrize("options", [{}, {"ragged": "pad"}])
def test_a_line_sep_that_comes_again_with_the_header_is_no_row(monkeypatch, sep, block, options):
    """Files of a spreadsheet were put together; one that stands above no header is a row as any other."""
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", block)
    monkeypatch.setattr(block_reader, "_MIN_HEAD", 1)
    text = f"{sep}\nid;note\na;1\n{sep}\n\ufeffid;note\nb;2\nsep=;\nid;other\nsep=;\n"
    source = read_csv(io.BytesIO(text.encode()), PLAIN, **options)
    assert [(line, row["customId"]) for line, row in rows_with_lines(source)] == [
        (3, "a"),
        (6, "b"),
        (7, "sep="),
        (8, "id"),
        (9, "sep="),
    ]
    assert source.notes == {"the header of the file came again, and is no row": 1}


def test_lines_of_delimiters_alone_are_no_rows():
    """Spreadsheets write them below a table."""
    assert rows_with_lines(read_csv(io.StringIO('id,note\n,\na,1\n"",""\n,,,,\n\n'), PLAIN)) == [
        (3, {"customId": "a", "attributes": {"note": "1"}})
    ]


def test_ragged_rows_are_filled_and_cut_on_demand():
    """Cells that are missing at the end are empty, and what is over is cut if it is empty; else the row is refused."""
    text = "id,note,x\na\nb,1\nc,2,,,\nd,3,4,5\n"
    found = rows_with_lines(read_csv(io.StringIO(text), PLAIN, ragged="pad"))
    assert found == [
        (2, {"customId": "a"}),
        (3, {"customId": "b", "attributes": {"note": "1"}}),
        (4, {"customId": "c", "attributes": {"note": "2"}}),
        (5, "has 4 cells, and there are 3 columns; is a cell with the delimiter not quoted?"),
    ]
    assert not any(isinstance(row, dict) for _, row in rows_with_lines(read_csv(io.StringIO(text), PLAIN)))


@pytest.mark.parametrize(
    ("header", "line", "column"), [("id,note,", "a,1,x", 3), (",id,note", "0,a,1", 1), ("id, ,note", "a,,1", 2)]
)
def test_a_column_without_a_name_is_passed_over_with_a_note(header, line, column):
    """A header may end with its delimiter, and the index of a DataFrame has no name."""
    star = RowMapping.for_profiles({"id": "customId", "*": "attributes.*"})
    source = read_csv(io.StringIO(f"{header}\n{line}\n"), star)
    assert list(source) == [{"customId": "a", "attributes": {"note": "1"}}]
    assert source.notes == {f"column {column} has no name, and is not read": 1}
    named = read_csv(io.StringIO("id,\na,1\n"), RowMapping.for_profiles({"id": "customId", "": "attributes.x"}))
    assert list(named) == [{"customId": "a", "attributes": {"x": "1"}}]
    assert named.notes == {}


def test_bytes_of_another_encoding_are_one_row_each():
    """The rows before and after are read; what is damaged in a column that is not used does no harm."""
    data = "id,note,x\na,Łódź,\n".encode() + b"b,Gda\xf1sk,\nc,ok,\xb3\n" + "d,Kraków,\n".encode()
    source = read_csv(io.BytesIO(data), PLAIN)
    assert rows_with_lines(source) == [
        (2, {"customId": "a", "attributes": {"note": "Łódź"}}),
        (3, f"column 'note' has bytes that are not utf-8-sig; give the file's encoding; {LOST_BYTES}"),
        (4, {"customId": "c", "attributes": {"note": "ok"}}),
        (5, {"customId": "d", "attributes": {"note": "Kraków"}}),
    ]
    (bad,) = (row for row in read_csv(io.BytesIO(data), PLAIN) if isinstance(row, UnreadableRow))
    assert (bad.field, bad.row) == ("attributes.note", {"id": "b", "note": "Gda\ufffdsk", "x": ""})


@pytest.mark.parametrize("encoding", ["cp1250", "iso8859-2", "utf-16-le"])
def test_a_file_in_another_encoding_is_read_by_its_name(encoding):
    """Files of spreadsheets and mainframes are not UTF-8."""
    data = "id,note\na,Żółć\n".encode(encoding)
    assert rows_with_lines(read_csv(io.BytesIO(data), PLAIN, encoding=encoding)) == [
        (2, {"customId": "a", "attributes": {"note": "Żółć"}})
    ]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_wide_text_without_its_mark_is_told_whatever_letters_it_has(encoding):
    """Letters beyond Latin-1 in its first lines hide nothing."""
    data = "id,town\n1,Łódź\n".encode(encoding)
    with pytest.raises(InvalidRequestError, match=f"is UTF-16 without its mark; read it by encoding='{encoding}'"):
        read_csv(io.BytesIO(data), PLAIN)


def test_a_wide_encoding_without_its_mark_is_one_error():
    """Which byte comes first is not guessed."""
    with pytest.raises(InvalidRequestError, match="does not begin with a mark of its byte order"):
        read_csv(io.BytesIO(b"id,note\n"), PLAIN, encoding="utf-16")


def test_damage_in_a_wide_encoding_is_found_too():
    """Half a character at the end of a UTF-16 file is no text."""
    data = "id,note\na,ok\nb,x".encode("utf-16") + b"\xd8"
    found = rows_with_lines(read_csv(io.BytesIO(data), PLAIN, encoding="utf-16"))
    assert found[1] == (3, f"column 'note' has bytes that are not utf-16; give the file's encoding; {LOST_BYTES}")


def test_a_line_without_an_end_does_not_fill_the_memory(monkeypatch):
    """A line that is too long is dropped as it is read, and is one refused row."""
    monkeypatch.setattr(block_reader, "MAX_LINE_CHARS", 100)
    monkeypatch.setattr(block_reader, "_BLOCK_BYTES", 32)
    text = "id,note\na,1\n" + "b," + "x," * 500 + "\nc,3\n"
    found = rows_with_lines(read_csv(io.StringIO(text), PLAIN))
    assert [line for line, _ in found] == [2, 3, 4]
    assert "is longer than" in found[1][1]
    assert found[2][1] == {"customId": "c", "attributes": {"note": "3"}}
    assert len(rows_with_lines(read_csv(io.StringIO(text.rstrip("3\nc,")), PLAIN))) == 2


def test_a_row_like_the_names_that_were_given_is_a_row() -> None:
    """A file without a header cannot repeat it: only the names as they are given are taken for one."""
    source = read_csv(io.StringIO("PL,EUR\n pl,eur\npl,x\n"), PLAIN_CODES, names=["pl", "eur"])
    assert rows_with_lines(source) == [
        (1, {"customId": "PL", "attributes": {"note": "EUR"}}),
        (3, {"customId": "pl", "attributes": {"note": "x"}}),
    ]


def test_dialects():
    """Another delimiter, another quote, none at all, and a file without a header."""
    expected = [{"customId": "a", "attributes": {"note": "x,y"}}]
    assert list(read_csv(io.StringIO("id;note\na;x,y\n"), PLAIN, delimiter=";")) == expected
    assert list(read_csv(io.StringIO("id,note\na,'x,y'\n"), PLAIN, quotechar="'")) == expected
    assert list(read_csv(io.StringIO("id\tnote\na\tx,y\n"), PLAIN, delimiter="\t", quotechar=None)) == expected
    assert list(read_csv(io.StringIO("a,x\\,y\n"), PLAIN, escapechar="\\", names=["id", "note"])) == expected
    source = read_csv(io.StringIO("a,1\nb\n"), PLAIN, names=["id", "note"])
    assert [line for line, _ in rows_with_lines(source)] == [1, 2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"delimiter": ";;"}, "delimiter"),
        ({"encoding": "utf-9"}, "utf-9"),
        ({"quotechar": "''"}, "quotechar"),
        ({"skip_lines": -1}, "skip_lines=-1 is no number of lines"),
        ({"skip_lines": "1"}, "skip_lines='1' is no number of lines"),
        ({"comment": ""}, "comment='' cannot begin a comment"),
        ({"ragged": "cut"}, "ragged='cut' is none of refuse, pad"),
    ],
)
def test_an_impossible_dialect_is_refused(options, problem):
    """Before the file is opened."""
    with pytest.raises(InvalidRequestError, match=problem):
        read_csv(io.StringIO("id\n"), PLAIN, **options)


@pytest.mark.parametrize(
    "mapping",
    [
        RowMapping.for_profiles({"id": "customId"}, null_values=["NULL", "\\N"]),
        RowMapping.for_profiles({"id": "customId", "note": field("attributes.note", null_values=["\\N"])}),
    ],
)
def test_a_word_for_nothing_that_escapes_would_hide_is_refused(mapping):
    """It is read as the letter behind the mark, and must not be sent as one."""
    text = "id\tnote\n1\t\\N\n"
    with pytest.raises(InvalidRequestError, match=r"null_values has '\\\\N', which is never found with escapechar"):
        read_csv(io.StringIO(text), mapping, delimiter="\t", escapechar="\\")
    assert list(read_csv(io.StringIO(text), mapping, delimiter="\t")) == [{"customId": "1"}]
    assert list(read_csv(io.StringIO(text), mapping, delimiter="\t", escapechar="^")) == [{"customId": "1"}]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "the file is empty: it has no header"),
        (b"\n\n", "the file is empty: it has no header"),
        ("id,treść\n".encode("cp1250"), "the header is not utf-8-sig; give the file's encoding"),
        (b'id,"note\n', "the header cannot be read as CSV"),
    ],
)
def test_a_header_that_cannot_be_read_is_one_error(data, problem):
    """Without it no column is known."""
    with pytest.raises(MappingError, match=problem):
        read_csv(io.BytesIO(data), PLAIN)


def test_what_is_no_file_is_refused(tmp_path):
    """A path that does not exist is the system's own error; a list is no file."""
    with pytest.raises(FileNotFoundError):
        read_csv(tmp_path / "none.csv", PLAIN)
    with pytest.raises(InvalidRequestError, match="expected a path or a file object, got list"):
        read_csv([], PLAIN)


def test_a_path_is_read_again_and_a_file_object_once(tmp_path):
    """A source of a path can be given to a second run; that of a file object says why it cannot."""
    path = tmp_path / "rows.csv"
    path.write_text("id,note\na,1\n")
    source = read_csv(path, PLAIN)
    assert list(source) == list(source) != []
    with path.open("rb") as file:
        source = read_csv(file, PLAIN)
        assert len(list(source)) == 1
        with pytest.raises(InvalidRequestError, match="was read before; give a path"):
            list(source)
        assert not file.closed


def test_a_file_that_changes_its_header_is_not_read(tmp_path):
    """The mapping was checked against other columns."""
    path = tmp_path / "rows.csv"
    path.write_text("id,note\na,1\n")
    source = read_csv(path, PLAIN)
    path.write_text("note,id\n1,a\n")
    with pytest.raises(InvalidRequestError, match="another header"):
        list(source)


def test_gzip_is_known_by_its_first_bytes(tmp_path):
    """Whatever the name says; several members are one file; one that is cut off is no end of the input."""
    path = tmp_path / "rows.csv"
    path.write_bytes(gzip.compress(b"id,note\na,1\n") + gzip.compress(b"b,2\n"))
    assert [row["customId"] for row in read_csv(path, PLAIN)] == ["a", "b"]
    with path.open("rb") as file:
        assert len(list(read_csv(file, PLAIN))) == 2
    path.write_bytes(gzip.compress(b"id,note\n" + b"a,1\n" * 10_000)[:-20])
    with pytest.raises(InvalidRequestError, match="is cut off"):
        list(read_csv(path, PLAIN))


@pytest.mark.parametrize(
    ("text", "kept"),
    [('"a" \nb,2\n', '"a" '), ('a,"5\nline two\nb,2\n', 'a,"5\nline two'), ('a,"x"y\r\nb,2\n', 'a,"x"y')],
)
def test_lines_that_are_no_record_keep_their_text(text, kept):
    """The letter of a line with a wrong quote holds it as it stands, and the lines that went with it."""
    bad, good = list(read_csv(io.StringIO(f"id,note\n{text}"), PLAIN))
    assert (bad.row, good["customId"]) == (kept, "b")


def test_lines_of_blanks_and_headers_with_blanks_are_no_rows():
    """A blank is no identifier, and a header that comes again is one with blanks after its delimiters too."""
    mapping = RowMapping.for_profiles({"id": "customId", "a": "attributes.a"})
    source = read_csv(io.StringIO("id,a\n1,x\n ,  \n,\t\n\u00a0,\nid, a\nid,b\n"), mapping)
    assert [row["customId"] for row in source] == ["1", "id"]
    assert [source.locate(index) for index in range(2)] == [2, 7]
    assert list(source.notes.values()) == [1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"encoding": "rot13"}, "rot13"),
        ({"encoding": "hex"}, "hex"),
        ({"encoding": 3}, "cannot be read like this"),
        ({"names": 3}, "names= is a list of texts, not int"),
        ({"names": "id"}, "names= is a list of texts, not str"),
        ({"comment": 3}, "comment=3 cannot begin a comment"),
    ],
)
def test_options_of_a_wrong_type_are_refused_by_name(options, words):
    """Before anything is read."""
    with pytest.raises(InvalidRequestError, match=words):
        read_csv(io.BytesIO(b"id\n1\n"), RowMapping.for_profiles({"id": "customId"}), **options)
