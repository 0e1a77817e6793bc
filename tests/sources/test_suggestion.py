"""A first mapping file from header and sample: what is guessed, with which comment, and that it can be loaded."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.sources import RowMapping, read_csv, suggest_mapping

REAL = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"


def suggest(tmp_path, text, **options):
    path = tmp_path / "rows.csv"
    path.write_bytes(text.encode(options.get("encoding", "utf-8")))
    found = suggest_mapping(path, **options)
    (tmp_path / "map.toml").write_text(found, encoding="utf-8")
    return path, dict(line.split(" = ", 1) for line in found.splitlines() if " = " in line)


def test_a_file_of_customers(tmp_path):
    """Names near to fields, dates, decimal commas, phones, words for nothing and the delimiter are guessed."""
    path, lines = suggest(
        tmp_path,
        "Nr klienta;E-mail;Imię;Data urodzenia;Rabat;Obrót;Ostatnio;Punkty;Karta;Kom;Frist name\n"
        "17850;a@example.com;Żaneta;24.10.1987;2,5;1 234,50;2026-05-01 12:30;7;00012345;+48 600 100 200;x\n"
        "17851;b@example.com;brak;01.02.1990;0,0;12,00;2026-05-02 08:00;12;00012346;+48 600 100 201;y\n",
        encoding="cp1250",
    )
    assert lines["null_values"].startswith('["brak"]')
    assert lines['"Nr klienta"'].startswith('"customId"  # ')
    assert lines["E-mail"].startswith('"email"')
    assert lines['"Imię"'].startswith('"firstName"')
    assert lines['"Data urodzenia"'].startswith('{ field = "birthDate", format = "%d.%m.%Y" }')
    assert lines["Rabat"].startswith('{ field = "attributes.Rabat", type = "number", decimal = "," }')
    assert 'thousands = " \\U000000A0"' in lines['"Obrót"']
    assert 'type = "datetime", format = "%Y-%m-%d %H:%M", zone = "UTC"' in lines["Ostatnio"]
    assert "say which one it is" in lines["Ostatnio"]
    assert lines["Punkty"].startswith('{ field = "attributes.Punkty", type = "integer" }')
    assert lines["Karta"].startswith('"attributes.Karta"')
    assert lines["Kom"].startswith('"phone"')
    assert "the name is near to firstName" in lines['"Frist name"'] or "attributes" in lines['"Frist name"']
    mapping = RowMapping.load(tmp_path / "map.toml")
    first, second = read_csv(path, mapping, encoding="cp1250", delimiter=";")
    assert first["attributes"]["Obrot"] == 1234.5
    assert (first["birthDate"], first["phone"], "firstName" in second) == ("1987-10-24", "+48 600 100 200", False)


def test_order_lines_are_grouped(tmp_path):
    """An order that comes again has several lines; what no column gives is an example, or missing."""
    path, lines = suggest(
        tmp_path,
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
        "1,A,Tea,2,13/12/2010 08:26,2.55,17850\n1,B,Cup,1,13/12/2010 08:26,1.25,17850\n",
        for_="transactions",
    )
    assert lines["group_by"].startswith('"InvoiceNo"')
    assert lines["InvoiceDate"].startswith('{ field = "recordedAt", format = "%d/%m/%Y %H:%M", zone = "UTC" }')
    assert lines["UnitPrice"].startswith('{ field = "products[].finalUnitPrice.amount", type = "decimal" }')
    (row,) = read_csv(path, RowMapping.load(tmp_path / "map.toml"))
    assert (row["revenue"]["amount"], len(row["products"])) == (6.35, 2)
    _, lines = suggest(tmp_path, "a,b\n1,x\n", for_="transactions")
    text = (tmp_path / "map.toml").read_text()
    assert "# MISSING: orderId is required" in text
    assert "# MISSING: products[].sku" in text


def test_cancellations_among_order_lines_are_asked_about(tmp_path):
    """Negative quantities and marked orders get a `where` to uncomment, and the order its salt; both can be loaded."""
    header = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID\n"
    lines = [
        f"{number},A,Tea,{{}},13/12/2010 08:26,2.55,17850\n" for number in ("536365", "536365", "536366", "C536379")
    ]
    path, _ = suggest(tmp_path, header + "".join(map(str.format, lines, (2, 3, 1, -1))), for_="transactions")
    text = (tmp_path / "map.toml").read_text(encoding="utf-8")
    assert "lines with a negative Quantity: 1; with C before the number in InvoiceNo: 1" in text
    chosen = text.replace('\nInvoiceNo = "orderId"', "\n# was", 1)
    chosen = chosen.replace("# InvoiceNo = [", "InvoiceNo = [").replace("# [where]\n# ", "[where]\n")
    (tmp_path / "map.toml").write_text(chosen, encoding="utf-8")
    rows = list(read_csv(path, RowMapping.load(tmp_path / "map.toml")))
    assert [row["orderId"] for row in rows] == ["536365", "536366"]
    assert [row["eventSalt"] for row in rows] == ["order-536365", "order-536366"]
    for quantities in ((2, 3, 1, 4), (2, 3, 1, -1)):
        plain = [line.replace("C", "") for line in lines]
        suggest(tmp_path, header + "".join(map(str.format, plain, quantities)), for_="transactions")
        text = (tmp_path / "map.toml").read_text(encoding="utf-8")
        assert ('# Quantity = { matches = "[^-].*" }' in text) == (-1 in quantities)
        assert ("[where]" in text) == (-1 in quantities)


def test_numbers_with_a_word_among_them_are_asked_about(tmp_path):
    """Most cells are numbers: the column stays a text, and its line says how many cells are none."""
    _, lines = suggest(tmp_path, "customId,Visits,Note\na1,12,x\nb2,7,1\nc3,many,y\n")
    assert lines["Visits"].startswith('"attributes.Visits"  # most cells are whole numbers, and 1 not')
    assert lines["Note"] == '"attributes.Note"'


def test_a_date_that_two_formats_read_says_so(tmp_path):
    """Day or month first: both fit, and a person has to look."""
    _, lines = suggest(tmp_path, "id,born\n7,01/02/1990\n8,03/04/1991\n")
    assert "is the day first, or the month?" in lines["born"]
    assert lines["id"].startswith('{ field = "attributes.id"') or lines["id"].startswith('"customId"')


def test_events_files_of_another_kind_and_odd_headers(tmp_path):
    """Events get their label and action as examples; names with quotes and line ends survive; a workbook is refused."""
    _, lines = suggest(
        tmp_path, 'email,When,"a ""b""\nc",x y,x-y\nq@example.com,2026-01-01T00:00:00Z,1,2,3\n', for_="events"
    )
    assert lines["email"].startswith('"client.email"')
    assert lines["When"].startswith('"time"')
    mapping = RowMapping.load(tmp_path / "map.toml")
    assert mapping.kind == "events"
    (row,) = read_csv(tmp_path / "rows.csv", mapping)
    assert row["params"] == {"a_b_c": 1, "x_y": 2, "x_y_2": 3}
    with pytest.raises(InvalidRequestError):
        suggest_mapping(tmp_path / "rows.csv", for_="tags")
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04" + bytes(100))
    with pytest.raises(InvalidRequestError):
        suggest_mapping(tmp_path / "book.csv")


def test_a_column_that_is_called_user_names_the_person(tmp_path):
    """Without it no event would name a profile."""
    _, lines = suggest(
        tmp_path, "user,when,what\nu-1,2026-01-01T00:00:00Z,a\nu-1,2026-01-02T00:00:00Z,b\n", for_="events"
    )
    assert lines["user"].startswith('"client.customId"')


def test_no_cell_gets_into_the_file(tmp_path):
    """A mapping file is reviewed and kept: it holds names of columns, and nothing of the people."""
    out = io.StringIO()
    csv.writer(out).writerows(
        [["id", "email", "note"], *([f"secret{n}", f"secret{n}@example.com", "secret"] for n in range(9))]
    )
    suggest(tmp_path, out.getvalue())
    assert "secret" not in (tmp_path / "map.toml").read_text()


def test_the_real_set(tmp_path):
    """The draft for real order lines can be loaded as it is, and reads the file."""
    if not REAL.exists():
        pytest.skip("the real set is not beside this checkout")
    (tmp_path / "map.toml").write_text(suggest_mapping(REAL, for_="transactions"), encoding="utf-8")
    mapping = RowMapping.load(tmp_path / "map.toml")
    assert mapping.lines.group_by == ("InvoiceNo",)
    assert next(iter(read_csv(REAL, mapping)))["orderId"] == "536365"


@pytest.mark.parametrize("text", ["", "\n\n", "\ufeff", ",,\n"])
def test_an_empty_file_is_refused(tmp_path, text):
    """Nothing can be drafted from a file without a header."""
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="file: is empty: it has no header"):
        suggest_mapping(path)


def test_lines_above_the_header(tmp_path):
    """What stands above the header makes no draft; the error says what tells how many lines that are."""
    path = tmp_path / "rows.csv"
    path.write_text("Report 2026\nby me\n\nid,email\n1,a@example.com\n2,b@example.com\n", encoding="utf-8")
    with pytest.raises(InvalidRequestError, match="in most of its lines than in its header, of 1; say by skip_lines"):
        suggest_mapping(path)
    assert 'email = "email"' in suggest_mapping(path, skip_lines=3)


@pytest.mark.parametrize(
    "text",
    [
        "jan@example.com,17,Hel\nola@example.com,18,Gd\n",
        "Jan,+48 600 100 200\nOla,+48 600 100 201\n",
        "17850,Hel,2\n17851,Gd,3\n",
        "Hel,24.10.1987\nGd,01.02.1990\n",
        "1,2\n3,4\n",
    ],
)
def test_a_file_without_a_header_is_refused(tmp_path, text):
    """Its first row would stand in the draft; the error says what to do, and holds no cell."""
    with pytest.raises(InvalidRequestError, match="file: has no header: its first line looks like a row") as caught:
        suggest(tmp_path, text)
    assert not any(cell in str(caught.value) for cell in ("jan", "600", "17850", "1987"))


def test_names_that_are_numbers_are_asked_about(tmp_path):
    """Years may be names; then the draft is made, with a question."""
    suggest(tmp_path, "id,2024,2025\na,3,4\nb,5,6\n")
    assert "# Names of columns are numbers: is the first line a header?" in (tmp_path / "map.toml").read_text()
    suggest(tmp_path, "id,month\na,3\nb,5\n")
    assert "is the first line a header?" not in (tmp_path / "map.toml").read_text()


def test_a_line_above_the_header_is_no_column(tmp_path):
    """Several cells below one, or cells below no name: the first is refused, and the second asked about."""
    with pytest.raises(InvalidRequestError, match=r"one column in its first line, and several .* say by skip_lines"):
        suggest(tmp_path, "Report of May\n\nid;town\n1;Hel\n2;Gd\n")
    suggest(tmp_path, "Report of May,\n\nid,town\n1,Hel\n2,Gd\n")
    assert "# Columns without a name, which are left out: 1." in (tmp_path / "map.toml").read_text()
    suggest(tmp_path, 'place\n"Polna 1, Hel"\n"Polna 2, Hel"\n')


def test_another_encoding_is_told_by_its_name(tmp_path):
    """Neither the delimiter nor lines above the header are blamed; a few such lines are asked about."""
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id;town\n" + "1;Łódź\n".encode("cp1250") * 9)
    with pytest.raises(InvalidRequestError, match=r"^file: has bytes that are not utf-8 in most .* such as cp1250$"):
        suggest_mapping(path)
    path.write_bytes(b"id;town\n" + "1;Łódź\n".encode("cp1250") + b"2;Hel\n" * 9)
    assert "# Lines with bytes that are not of the encoding: 1." in suggest_mapping(path)


def test_a_name_that_is_not_free_has_a_comment(tmp_path):
    """`id` beside an address: it is no attribute, and may be what names the person."""
    _, lines = suggest(tmp_path, "id,email\nc-1,a@example.com\nc-2,b@example.com\n")
    assert lines["id"].startswith('"attributes.own_id"  # no name for a field of one\'s own; if it names the person')


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_the_delimiter_of_a_header_in_quotes_is_guessed_too(tmp_path, mark):
    """Exports put all cells in quotes; a header that no delimiter reads is refused as before."""
    _, lines = suggest(tmp_path, f'"id"{mark}"town"\n"1"{mark}"Hel"\n"2"{mark}"Gd"\n')
    assert lines["town"].startswith('"city"')
    assert f"delimiter={mark!r}" in (tmp_path / "map.toml").read_text()
    with pytest.raises(InvalidRequestError, match="the header cannot be read as CSV"):
        suggest(tmp_path, '"id"x"town"\n1,2\n')


def test_a_column_that_is_there_twice(tmp_path):
    """A mapping that names it would open no file: it is left out, with a comment."""
    path, lines = suggest(tmp_path, "number,email,email\nc-1,a@example.com,b@example.com\nc-2,c@example.com,\n")
    assert "email" not in lines
    assert "# email is there twice: rename one in the header" in (tmp_path / "map.toml").read_text()
    assert len(list(read_csv(path, RowMapping.load(tmp_path / "map.toml")))) == 2


def test_invisible_characters_of_a_header_can_be_seen(tmp_path):
    """A no-break space in a column's name is written by its code point, and read back."""
    path, lines = suggest(tmp_path, "e-mail,number\u00a0x\na@example.com,1\n")
    assert '"number\\U000000A0x"' in lines
    assert len(list(read_csv(path, RowMapping.load(tmp_path / "map.toml")))) == 1


def test_drafts_are_read_once_what_is_missing_is_filled_in(tmp_path):
    """A header named like the object of one's own fields, and a price that only its currency stands for."""
    suggest(tmp_path, "customId,attributes,tags\n1,x,a\n2,y,b\n")
    assert RowMapping.load(tmp_path / "map.toml").targets["attributes"][0].field == "attributes.attributes"
    path, lines = suggest(tmp_path, "Order,Customer,sku,name,qty\n1,7,2,a,1\n1,7,3,b,1\n", for_="transactions")
    assert lines["name"].startswith('"products[].name"')
    text = (tmp_path / "map.toml").read_text(encoding="utf-8")
    missing = [line.split()[2] for line in text.splitlines() if line.startswith("# MISSING: ")]
    assert missing == ["products[].finalUnitPrice.amount"]
    filled = '"products[].finalUnitPrice.amount" = 2.5\n'
    (tmp_path / "map.toml").write_text(text + filled, encoding="utf-8")
    (row,) = read_csv(path, RowMapping.load(tmp_path / "map.toml"))
    assert (row["revenue"]["amount"], len(row["products"])) == (5, 2)


def test_a_name_that_no_template_can_hold_is_told(tmp_path):
    """No line to uncomment is refused when it is."""
    suggest(tmp_path, "Order{no},Customer\n1,7\n1,7\n", for_="transactions")
    text = (tmp_path / "map.toml").read_text(encoding="utf-8")
    assert "a template cannot name" in text
    assert "template =" not in text


@pytest.mark.parametrize(
    ("cells", "comment"),
    [
        (('"1,234"', '"5,678"'), "does it stand between thousands?"),
        (("1.234", "5.678"), "does it stand between thousands?"),
        (("0.234", "5.678"), "before the decimals"),
        (('"1,23"', '"5,678"'), "before the decimals"),
        (("1 234", "567"), "with the blank as thousands"),
    ],
)
def test_marks_that_may_stand_between_thousands_are_asked_about(tmp_path, cells, comment):
    """By the digits after them; what a point or a comma means is not sure."""
    rows = "".join(f"c{number},{cell}\n" for number, cell in enumerate(cells))
    _, lines = suggest(tmp_path, f"customId,amount\n{rows}")
    assert lines["amount"].endswith(comment)
