"""Orders from lines: adjacent or sorted, from every reader, with their totals; what is refused, and its letters."""

from __future__ import annotations

import contextlib
import csv
import errno
import io
import json
import signal
import sqlite3
import sys
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import UnreadableRow, read_dead_letter
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import (
    MappingError,
    RowMapping,
    field,
    read_arrow,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
    read_sql,
)

COLUMNS = {
    "No": ["orderId", "eventSalt"],
    "Sku": ["products[].sku", field("products[].name", fallback="Name")],
    "Name": None,
    "Qty": "products[].quantity",
    "Price": "products[].finalUnitPrice.amount",
    "When": "recordedAt",
    "Who": "client.customId",
}
CONSTANTS = {"products[].finalUnitPrice.currency": "GBP", "paymentInfo.method": "CARD", "source": "POS"}
HEADER = "No,Sku,Name,Qty,Price,When,Who\n"
LINES = [
    ("1", "tea", "Tea", 1, "0.10", "2026-01-01T08:00:00Z", "anna"),
    ("1", "cup", "Cup", 2, "0.10", "2026-01-01T08:00:00Z", "anna"),
    ("2", "jug", "Jug", 1, "3.15", "2026-01-01T09:00:00Z", "jan"),
    ("1", "mug", "Mug", 3, "2.55", "2026-01-01T08:00:00Z", "anna"),
]


def mapping(columns=COLUMNS, **options):
    return RowMapping.for_transactions(columns, **{"constants": CONSTANTS, "group_by": "No", **options})


def plain_mapping(columns=(), **options):
    """Each line a purchase: its price is its revenue."""
    prices = {"Price": ["products[].finalUnitPrice.amount", "revenue.amount", "value.amount"]}
    constants = {**CONSTANTS, "revenue.currency": "GBP", "value.currency": "GBP"}
    return mapping({**COLUMNS, **prices, **dict(columns)}, constants=constants, group_by=None, **options)


def text_of(lines):
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(lines)
    return HEADER + out.getvalue()


def orders(lines, *, sort=False, **options):
    return list(read_csv(io.StringIO(text_of(lines)), mapping(**options), sort=sort))


def brief(row):
    if isinstance(row, UnreadableRow):
        return row.reason
    return row["orderId"], [item["sku"] for item in row["products"]], row["revenue"]["amount"]


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files")
def test_a_full_folder_of_temporary_files_is_told_with_its_variable(monkeypatch):
    """SQLite's own words are a disk I/O error, of which nobody knows what to do."""
    import resource  # noqa: PLC0415 - POSIX has it

    monkeypatch.setattr("synerise_profiles.sources.line_store._CACHE_KILOBYTES", 100)
    lines = io.StringIO(text_of((n % 5000, "tea", "Tea" * 50, 1, "1", "", "") for n in range(20_000)))
    source = read_csv(lines, mapping(), sort=True)
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"folder of temporary files is full.*TMPDIR.*SQLITE_TMPDIR") as caught:
            next(iter(source))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert caught.value.errno == errno.ENOSPC


def test_an_error_of_the_callers_own_database_stays_itself_while_its_lines_are_sorted():
    """It is not that of the temporary files."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = "SQLITE_IOERR_READ"

    def prepare(cells):
        raise error

    with pytest.raises(sqlite3.OperationalError) as caught:
        orders(LINES, sort=True, prepare=prepare)
    assert caught.value is error


def test_adjacent_lines_become_one_purchase_with_its_exact_totals():
    """Items are collected in their order; revenue and value are their exact sum, in their currency."""
    (first, second) = orders(LINES[:3])
    assert first == {
        "orderId": "1",
        "eventSalt": "1",
        "client": {"customId": "anna"},
        "recordedAt": "2026-01-01T08:00:00+00:00",
        "paymentInfo": {"method": "CARD"},
        "source": "POS",
        "products": [
            {"sku": "tea", "name": "tea", "quantity": 1, "finalUnitPrice": {"amount": 0.1, "currency": "GBP"}},
            {"sku": "cup", "name": "cup", "quantity": 2, "finalUnitPrice": {"amount": 0.1, "currency": "GBP"}},
        ],
        "revenue": {"amount": 0.3, "currency": "GBP"},
        "value": {"amount": 0.3, "currency": "GBP"},
    }
    assert brief(second) == ("2", ["jug"], 3.15)


@pytest.mark.parametrize("where", [None, {"Sku": {"empty": False}}])
def test_lines_of_an_order_that_are_not_grouped_are_told(where, tmp_path):
    """Each reader counts the purchases with the order and the profile of one above, and names the option."""
    plain = plain_mapping(where=where)
    lines = [*LINES, ("1", "mug", "Mug", 3, "2.55", "2026-01-01T08:00:00Z", "jan")]
    objects = [dict(zip(HEADER.strip().split(","), line, strict=True)) for line in lines]
    table = pa.Table.from_pylist(objects)
    pq.write_table(table, tmp_path / "lines.parquet")
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute('create table lines (No, Sku, Name, Qty, Price, "When", Who)')
        database.executemany("insert into lines values (?,?,?,?,?,?,?)", lines)
        for source in (
            read_csv(io.StringIO(text_of(lines)), plain),
            read_jsonl(io.StringIO("\n".join(map(json.dumps, objects))), plain),
            read_json(io.StringIO(json.dumps(objects)), plain),
            read_arrow(table, plain),
            read_parquet(tmp_path / "lines.parquet", plain),
            read_sql("select * from lines", database, plain),
        ):
            assert [row["orderId"] for row in source] == ["1", "1", "2", "1", "1"]
            assert [count for note, count in source.notes.items() if "group_by" in note] == [2]


def test_purchases_that_are_not_well_formed_are_not_counted():
    """A client that is no object, or holds lists, is a row as it stands: the run refuses it, and the note is silent."""
    lines = [(*LINES[0][:6], who) for who in ('"x"', '"x"', '{"customId": []}', '{"customId": []}')]
    source = read_csv(io.StringIO(text_of(lines)), plain_mapping({"Who": field("client", "json")}))
    assert len(list(source)) == len(lines)
    assert not source.notes


def test_what_is_remembered_of_purchases_is_bounded(monkeypatch):
    """A purchase whose order came long before is not told: memory does not grow with the file."""
    monkeypatch.setattr("synerise_profiles.sources.source._REMEMBERED_PURCHASES", 2)
    lines = [(number, *LINES[0][1:]) for number in "1231451"]
    source = read_csv(io.StringIO(text_of(lines)), plain_mapping())
    assert len(list(source)) == 7
    assert [count for note, count in source.notes.items() if "group_by" in note] == [1]


def test_lines_that_are_not_adjacent_are_refused_or_sorted():
    """A key that comes again is refused with its lines; sorted, all lines of an order are together."""
    *sent, again = orders(LINES)
    assert [brief(row)[0] for row in sent] == ["1", "2"]
    assert "sort=True" in again.reason
    assert [cells["Sku"] for cells in again.row] == ["mug"]
    assert [brief(row) for row in orders(LINES, sort=True)] == [
        ("1", ["tea", "cup", "mug"], 7.95),
        ("2", ["jug"], 3.15),
    ]


@pytest.mark.parametrize("sort", [False, True])
def test_every_reader_groups(sort, tmp_path):
    """Files, tables, frames and queries give the same orders, and say where each begins."""
    duckdb = pytest.importorskip("duckdb")
    lines = LINES if sort else [LINES[0], LINES[1], LINES[3], LINES[2]]
    names = HEADER.strip().split(",")
    objects = [dict(zip(names, line, strict=True)) for line in lines]
    data = "\n".join(map(json.dumps, objects))
    table = pa.table({name: [found[name] for found in objects] for name in names})
    pq.write_table(table, tmp_path / "lines.parquet", row_group_size=1)
    database = sqlite3.connect(":memory:")
    opened = duckdb.connect()
    connections = [contextlib.closing(database), contextlib.closing(opened)]
    database.execute('create table lines (No, Sku, Name, Qty, Price, "When", Who)')
    database.executemany("insert into lines values (?,?,?,?,?,?,?)", lines)
    opened.register("lines", table)
    sources = [
        read_csv(io.StringIO(text_of(lines)), mapping(), sort=sort),
        read_jsonl(io.StringIO(data), mapping(), sort=sort),
        read_json(io.StringIO(f"[{data.replace(chr(10), ',')}]"), mapping(), sort=sort),
        read_arrow(table, mapping(), sort=sort),
        read_arrow(table.to_pandas(), mapping(), sort=sort),
        read_parquet(tmp_path / "lines.parquet", mapping(), sort=sort),
        read_sql("select * from lines", database, mapping(), sort=sort),
        read_sql("select * from lines", opened, mapping(), sort=sort),
    ]
    with connections[0], connections[1]:
        found = [list(source) for source in sources]
    assert [brief(row) for row in found[0]] == [("1", ["tea", "cup", "mug"], 7.95), ("2", ["jug"], 3.15)]
    assert all(rows == found[0] for rows in found)
    second = 2 if sort else 3
    assert [(source.locate(0), source.locate(1)) for source in sources] == [
        (2, second + 2),
        (1, second + 1),
        *[(0, second)] * 6,
    ]


def test_fields_have_to_agree_unless_it_is_said_what_is_meant():
    """A field that differs refuses the order; an empty cell says nothing; first, last and sum choose."""
    lines = [(*LINES[0][:5], "2026-01-01T08:00:00Z", "anna"), (*LINES[1][:5], "2026-01-01T08:01:00Z", "")]
    (refused,) = orders(lines)
    assert (refused.field, "combine=" in refused.reason) == ("recordedAt", True)
    assert [cells["Sku"] for cells in refused.row] == ["tea", "cup"]
    for how, minute in (("first", "00"), ("last", "01")):
        (row,) = orders(lines, combine={"recordedAt": how})
        assert row["recordedAt"] == f"2026-01-01T08:{minute}:00+00:00"
        assert row["client"] == {"customId": "anna"}
    columns = {**COLUMNS, "Fee": "metadata.fee"}
    text = "".join(
        f"{line},{fee}\n" for line, fee in zip(text_of(LINES[:2]).split("\n"), ("Fee", 0.1, 0.2), strict=False)
    )
    columns["Fee"] = field("metadata.fee", "decimal")
    (row,) = read_csv(io.StringIO(text), mapping(columns, combine={"metadata.fee": "sum"}))
    assert row["metadata"] == {"fee": 0.3}


def test_totals_that_are_given_are_checked():
    """A revenue of the order has to be its sum; that of the lines can be summed; a lower value is allowed."""
    columns = {**COLUMNS, "Price": ["products[].finalUnitPrice.amount", "revenue.amount"]}
    constants = {**CONSTANTS, "revenue.currency": "GBP"}
    (row,) = orders(LINES[:2], columns=columns, constants=constants)
    assert (row.field, row.reason) == (
        "revenue",
        "is not the sum of finalUnitPrice times quantity; mend it, or leave it out",
    )
    (row,) = orders(
        [LINES[0], ("1", *LINES[1][1:3], 1, *LINES[1][4:])],
        columns=columns,
        constants=constants,
        combine={"revenue.amount": "sum"},
    )
    assert row["revenue"] == row["value"] == {"amount": 0.2, "currency": "GBP"}


def test_a_bad_line_refuses_its_order_or_only_itself():
    """The reason names the line; the letter holds all lines; asked for, the order goes without it."""
    lines = [LINES[0], (*LINES[1][:3], "two", *LINES[1][4:]), LINES[2]]
    refused, other = orders(lines)
    assert refused.field == "products[].quantity"
    assert refused.reason == "line 3: column 'Qty' is not a number"
    assert [cells["Sku"] for cells in refused.row] == ["tea", "cup"]
    assert brief(other)[0] == "2"
    kept, alone, other = orders(lines, bad_line="refuse_line")
    assert brief(kept) == ("1", ["tea"], 0.1)
    assert alone.reason == "column 'Qty' is not a number"
    assert alone.row["Sku"] == "cup"


def test_a_line_whose_key_cannot_be_read_refuses_the_orders_beside_it():
    """It may be of either; where the order goes on below, it is of that one alone; sorted, it stands by itself."""
    text = text_of(LINES[:2])
    source = read_csv(io.StringIO(text + 'x"y",z\n' + text_of(LINES[2:3]).partition("\n")[2]), mapping())
    above, bad, below = list(source)
    assert "line 4 beside it cannot be read" in above.reason
    assert "line 4 beside it cannot be read" in below.reason
    assert isinstance(bad, UnreadableRow)
    assert [source.locate(index) for index in range(3)] == [2, 4, 5]
    inside = HEADER + '1,tea,,1,1,2026-01-01T08:00:00Z,a\nx"y",z\n1,cup,,1,1,2026-01-01T08:00:00Z,a\n'
    inside += "2,jug,,1,1,2026-01-01T08:00:00Z,a\n"
    order, bad, other = list(read_csv(io.StringIO(inside), mapping()))
    assert "line 3 beside it" in order.reason
    assert len(order.row) == 2
    assert brief(other) == ("2", ["jug"], 1)
    kept, bad, other = list(read_csv(io.StringIO(inside), mapping(bad_line="refuse_line")))
    assert brief(kept) == ("1", ["tea", "cup"], 2)


@pytest.mark.parametrize("bad", [b"1,cup\n", b"1\xff,cup,Cup,2,0.10,2026-01-01T08:00:00Z,anna\n", b'1,"cup" x,\n'])
@pytest.mark.parametrize("sort", [False, True])
def test_no_order_goes_out_without_a_line_that_may_be_of_it(bad, sort):
    """A line that is cut, or whose key has lost bytes: the orders beside it are refused, sorted or not."""
    texts = [text_of([line]).removeprefix(HEADER).encode() for line in LINES]
    far = b"9,pot,Pot,1,1.00,2026-01-01T08:00:00Z,ola\n"
    lines = [texts[0], bad, texts[1], texts[2], far]
    rows = list(read_csv(io.BytesIO(HEADER.encode() + b"".join(lines)), mapping(), sort=sort))
    sent = [brief(row)[0] for row in rows if isinstance(row, dict)]
    assert "1" not in sent
    assert "9" in sent
    assert sum(isinstance(row, UnreadableRow) for row in rows) >= 2


SHORT = "o,s,q,p\n"
SHORT_COLUMNS = {
    "o": ["orderId", "eventSalt"],
    "s": ["products[].sku", "products[].name"],
    "q": "products[].quantity",
    "p": "products[].finalUnitPrice.amount",
}
SHORT_CONSTANTS = {**CONSTANTS, "client.customId": "7", "recordedAt": "2026-05-01T12:00:00Z"}


def short_orders(text, read=read_csv, *, sort=True, columns=SHORT_COLUMNS, **options):
    options = {"constants": SHORT_CONSTANTS, "group_by": "o", **options}
    content = text if isinstance(text, bytes) else text.encode()
    return list(read(io.BytesIO(content), RowMapping.for_transactions(columns, **options), sort=sort))


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        (b"8,b,1", "789"),  # one cell is lost: the key is the first one, or is lost
        (b"5,6,b,1,1", "5679"),  # one cell too many: the key is the first one, or the second
        (b'8,"b"x,1,1', "789"),
        (b'1,"b"x,1,1', "179"),
        (b'"8"x,b,1,6', "16789"),  # which cell is which is not known
        (b"\xff8,b,1,1", "79"),
        (b",b,1,1", "79"),
    ],
)
def test_a_line_that_cannot_be_read_refuses_what_may_be_its_order_alone(bad, refused):
    """Orders beside it, and those whose key may stand in it: no other, though their key is a quantity of it."""
    lines = [b"o,s,q,p", b"1,a,1,1", b"6,a,1,1", b"4,a,1,1", b"7,a,1,1", bad, b"9,a,1,1", b"8,a,1,1", b"5,a,1,1"]
    rows = short_orders(b"\n".join(lines))
    sent = {row["orderId"] for row in rows if isinstance(row, dict)}
    assert {*"1456789"} - sent == {*refused}
    reasons = [row.reason for row in rows if isinstance(row, UnreadableRow) and "of this order" in row.reason]
    assert len(reasons) == len(refused)
    assert all(reason.startswith("line 6 cannot be read") for reason in reasons)


def test_a_line_of_json_that_cannot_be_read_may_be_of_the_order_that_it_names():
    """By the name of its key, if that can be read; else by any cell."""
    lines = [f'{{"o": "{key}", "s": "a", "q": 1, "p": 1}}' for key in "164798"]
    for bad, refused in (('{"o": "8", "s": "1', "478"), ('{"o: "8", "s": "1', "1478")):
        rows = short_orders("\n".join([*lines[:3], bad, *lines[3:]]), read_jsonl)
        assert {*"164798"} - {row["orderId"] for row in rows if isinstance(row, dict)} == {*refused}


def test_the_key_of_several_columns_may_stand_in_a_line_that_cannot_be_read():
    """Only cells of one line make a key."""
    columns = {**SHORT_COLUMNS, "o": "orderId", "shop": field("eventSalt", template="{shop}-{o}")}
    lines = ["o,s,q,p,shop", *(f"{key},a,1,1,{shop}" for key in "123" for shop in "xyz")]
    lines[4:4] = ["3,a,1,z", "2,a,1,1,1,y"]
    rows = short_orders("\n".join(lines), columns=columns, group_by=["shop", "o"])
    sent = {row["eventSalt"] for row in rows if isinstance(row, dict)}
    assert {f"{shop}-{key}" for key in "123" for shop in "xyz"} - sent == {"z-1", "x-2", "z-3", "y-2"}


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("is_above", [False, True])
def test_a_bad_cell_and_a_doubt_are_both_told(sort, is_above):
    """Each with its line, so that both can be mended."""
    lines = ["1,a,1,1", "1,b,x,1"]
    lines.insert(0 if is_above else 2, ",c,1,1")
    rows = short_orders("\n".join(["o,s,q,p", *lines, "2,a,1,1"]), sort=sort)
    (reason,) = (row.reason for row in rows if isinstance(row, UnreadableRow) and "column 'q'" in row.reason)
    assert f"line {4 if is_above else 3}: column 'q' is not a number" in reason
    assert f"; line {2 if is_above else 4} " in reason


@pytest.mark.parametrize("sort", [False, True])
def test_a_line_without_a_key_may_be_of_the_orders_beside_it(sort):
    """As in merged cells: no order goes without it, unless lines are refused alone or the line is left out."""
    merged = [LINES[0], ("", *LINES[1][1:]), LINES[2], ("9", *LINES[3][1:])]
    rows = orders(merged, sort=sort)
    assert [brief(row)[0] for row in rows if isinstance(row, dict)] == ["9"]
    bad = [row for row in rows if isinstance(row, UnreadableRow)]
    assert len(bad) == 3
    assert all(row.part_of_order for row in bad)
    assert any("column 'No', by which lines are grouped, is empty; leave out by where=" in row.reason for row in bad)
    assert sum("may be of this order" in row.reason for row in bad) == 2
    sums = [LINES[0], ("", "SUM", "", 1, "9", "", ""), LINES[1]]
    kept = [row for row in orders(sums, sort=sort, bad_line="refuse_line") if isinstance(row, dict)]
    assert kept == orders(sums, sort=sort, where={"No": {"empty": False}})
    assert [brief(row) for row in kept] == [("1", ["tea", "cup"], 0.3)]


@pytest.mark.parametrize("sort", [False, True])
@pytest.mark.parametrize("key", [1.5, True, ["1"]])
def test_a_line_whose_key_has_a_wrong_type_may_be_of_the_orders_beside_it(sort, key):
    """It is mended to any key: its letter is a part of an order, and the orders beside it do not go without it."""
    names = HEADER.strip().split(",")
    lines = [LINES[0], LINES[1], (key, *LINES[3][1:]), LINES[2], ("9", *LINES[3][1:])]
    text = "\n".join(json.dumps(dict(zip(names, line, strict=True))) for line in lines)
    rows = list(read_jsonl(io.StringIO(text), mapping(), sort=sort))
    assert [brief(row)[0] for row in rows if isinstance(row, dict)] == ["9"]
    bad = [row for row in rows if isinstance(row, UnreadableRow)]
    assert len(bad) == 3
    assert all(row.part_of_order for row in bad)
    assert sum("column 'No' " in row.reason for row in bad) == 1


def test_an_order_over_the_limits_is_refused_with_its_size():
    """Its lines are counted, not collected without end."""
    many = [("1", "x" * 100, "n", 1, "1.00", "2026-01-01T08:00:00Z", "anna")] * 8000
    refused, other = orders([*many, LINES[2]])
    assert "has 8,000 lines of" in refused.reason
    assert "one request carries 1,000,000" in refused.reason
    assert len(refused.row) == 8000
    assert brief(other)[0] == "2"


def test_the_key_may_be_several_columns():
    """Orders are numbered by shop: the same number in another shop is another order."""
    lines = [LINES[0], ("1", *LINES[1][1:5], "2026-01-01T08:00:00Z", "jan"), LINES[2]]
    assert [brief(row)[1] for row in orders(lines, group_by=["No", "Who"])] == [["tea"], ["cup"], ["jug"]]


@pytest.mark.parametrize("as_", [{"type": "text"}, {"template": "n{o}"}], ids=["text", "template"])
@pytest.mark.parametrize(
    ("other", "is_refused"),
    [(Decimal("100.00"), True), (Decimal("100.0"), True), (100.0, False), (Decimal(100), False)],
    ids=repr,
)
def test_a_key_that_two_files_write_in_two_ways_is_refused(tmp_path, as_, other, is_refused):
    """It would be two orders, each with a part of the lines."""
    for name, key in (("a", 100), ("b", other)):
        pq.write_table(pa.table({"o": [key], "s": ["tea"], "q": [1], "p": [1.0]}), tmp_path / f"{name}.parquet")
    columns = {**SHORT_COLUMNS, "o": [field("orderId", **as_), field("eventSalt", **as_)]}
    grouped = RowMapping.for_transactions(columns, constants=SHORT_CONSTANTS, group_by="o")
    if is_refused:
        with pytest.raises(MappingError, match=r"column 'o': is int64 in a.parquet, and decimal.* in b.parquet"):
            read_parquet(tmp_path, grouped, sort=True)
    else:
        (row,) = read_parquet(tmp_path, grouped, sort=True)
        assert len(row["products"]) == 2


@given(
    keys=st.lists(st.sampled_from(["1", "2", "a b", "ż", "10"]), min_size=1, max_size=60),
    cents=st.lists(st.integers(0, 10**7), min_size=60, max_size=60),
)
@settings(max_examples=60, deadline=None)
def test_sorted_orders_hold_every_line_once_with_exact_sums(keys, cents):
    """Whatever the order of lines: each is in its order, in the order of the file, and sums have no error."""
    lines = [
        (key, f"s{place}", "", place % 7 + 1, f"{cents[place] / 100:.2f}", "2026-01-01T08:00:00Z", "anna")
        for place, key in enumerate(keys)
    ]
    found = {row["orderId"]: row for row in orders(lines, sort=True)}
    assert found.keys() == set(keys)
    for key, row in found.items():
        own = [line for line in lines if line[0] == key]
        assert [item["sku"] for item in row["products"]] == [line[1] for line in own]
        total = sum(Decimal(line[4]) * line[3] for line in own)
        assert Decimal(repr(row["revenue"]["amount"])) == total


# --- conditions, derived cells, prepare


def test_lines_are_chosen_by_their_cells():
    """Equal, one of, a regular expression, empty and a function; what is left out is counted."""
    lines = [("1", "A", "", 1, "1", "", "x"), ("C2", "A", "n", 1, "1", "", "x"), ("3", "B", "NULL", 5, "1", "", "x")]
    for where, wanted in [
        ({"Sku": "A"}, ["1", "C2"]),
        ({"Qty": [1, 5], "Sku": ["B", "D"]}, ["3"]),
        ({"No": {"matches": "C.*"}}, ["C2"]),
        ({"No": {"matches": "[0-9]"}, "Qty": 1}, ["1"]),
        ({"Name": {"empty": True}}, ["1", "3"]),
        ({"Name": {"empty": False}}, ["C2"]),
        ({"Qty": lambda cell: int(cell) > 4}, ["3"]),
    ]:
        columns = RowMapping.for_profiles({"No": "customId"}, where=where, null_values=["NULL"])
        source = read_csv(io.StringIO(text_of(lines)), columns)
        assert [row["customId"] for row in source] == wanted, where
        assert source.notes == {"left out by where=": 3 - len(wanted)}
        assert [source.locate(index) for index in range(len(wanted))] == [
            next(place for place, line in enumerate(lines, 2) if line[0] == key) for key in wanted
        ]


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ("v", "45"),
        (" v", "45"),
        (["v", "w"], "45"),
        ("brak", "123"),
        (["brak", "v"], "12345"),
        ({"matches": "v"}, "45"),
        ({"matches": ".+"}, "45"),
        ({"empty": True}, "123"),
        ({"empty": False}, "45"),
        (lambda cell: cell == "", "123"),
        (lambda cell: cell == "v", "45"),
    ],
)
@pytest.mark.parametrize("read", ["csv", "jsonl", "arrow"])
def test_each_kind_of_condition_sees_a_cell_as_the_mapping_reads_it(where, wanted, read):
    """Without its blanks, and empty where it is a word for nothing."""
    objects = [{"id": str(n), "a": cell} for n, cell in enumerate(("brak", " ", "", "v", "v "), 1)]
    chosen = RowMapping.for_profiles({"id": "customId"}, where={"a": where}, trim=True, null_values=["brak"])
    if read == "csv":
        text = "id,a\n" + "".join(f"{row['id']},{row['a']}\n" for row in objects)
        source = read_csv(io.StringIO(text), chosen)
    elif read == "jsonl":
        objects[2]["a"] = None
        source = read_jsonl(io.StringIO("".join(json.dumps(row) + "\n" for row in objects)), chosen)
    else:
        objects[2]["a"] = None
        source = read_arrow(pa.Table.from_pylist(objects), chosen)
    assert "".join(row["customId"] for row in source) == wanted


@pytest.mark.parametrize("wanted", [5, 5.0, "5", "5.00", [5, 7]], ids=repr)
@pytest.mark.parametrize("cell", [5, 5.0, Decimal("5.00"), Decimal(5)], ids=repr)
def test_numbers_are_chosen_by_their_value(cell, wanted):
    """Whatever type a table has for them, and however many places."""
    table = pa.table({"No": ["1", "2"], "Status": pa.array([cell, cell + 1])})
    columns = RowMapping.for_profiles({"No": "customId"}, where={"Status": wanted})
    assert list(read_arrow(table, columns)) == [{"customId": "1"}]


def test_any_function_chooses_and_prepares():
    """Those of built-in types too, which have no module."""
    where = RowMapping.for_profiles({"No": "customId"}, where={"No": str.isdigit})
    assert [row["customId"] for row in read_csv(io.StringIO("No\n1\nx\n"), where)] == ["1"]
    prepare = RowMapping.for_profiles({"No": "customId"}, prepare=dict.copy)
    assert [row["customId"] for row in read_csv(io.StringIO("No\n1\n"), prepare)] == ["1"]
    assert where.digest != RowMapping.for_profiles({"No": "customId"}, where={"No": str.isalpha}).digest


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"where": {"No": {"matchs": "x"}}}, "matches, a regular expression"),
        ({"where": {"No": {"matches": "["}}}, "no regular expression: unterminated"),
        ({"where": {"No": {"empty": "yes"}}}, "true or false"),
        ({"where": {"No": []}}, "is a value"),
        ({"prepare": "x"}, "is a function"),
        ({"group_by": None, "combine": {"recordedAt": "first"}}, "give group_by"),
        ({"combine": {"recordedAT": "first"}}, "did you mean 'recordedAt'"),
        ({"combine": {"products[].sku": "first"}}, "stands in a list"),
        ({"combine": {"recordedAt": "sum"}}, "takes a date and time, and combine='sum' adds numbers"),
        ({"combine": {"client.customId": "sum"}}, "takes a text, and combine='sum' adds numbers"),
        ({"combine": {"recordedAt": "frist"}}, "none of agree, first, last, sum"),
        ({"bad_line": "skip"}, "none of refuse_order, refuse_line"),
        ({"group_by": []}, "the name of a column"),
        ({"group_by": [""]}, "the name of a column"),
    ],
)
def test_wrong_options_are_issues_of_the_mapping(options, problem):
    """They are found when the mapping is made."""
    with pytest.raises(MappingError, match=problem.replace("[", r"\[")):
        mapping(constants={**CONSTANTS, "revenue.amount": 1, "value.amount": 1}, **options)


def test_columns_that_options_name_have_to_be_there():
    """A misspelt column of where=, group_by, a template or a fallback is told with the near miss, before any row."""
    for options, columns in [
        ({"where": {"Nmae": "x"}}, COLUMNS),
        ({"group_by": "NO"}, COLUMNS),
        ({}, {**COLUMNS, "Who": field("client.customId", template="shop-{Whoo}")}),
        ({}, {**COLUMNS, "Who": field("client.customId", fallback=["Whoo"])}),
    ]:
        for read in (read_csv, read_jsonl):
            text = text_of(LINES) if read is read_csv else json.dumps(dict.fromkeys(HEADER.strip().split(","), "1"))
            with pytest.raises(MappingError, match="not there; did you mean"):
                read(io.StringIO(text), mapping(columns, **options))
    with pytest.raises(InvalidRequestError, match="no group_by"):
        read_csv(io.StringIO("id\n1\n"), RowMapping.for_profiles({"id": "customId"}), sort=True)
    with pytest.raises(MappingError, match="group_by is for transactions and events"):
        RowMapping.for_profiles({"id": "customId"}, group_by="id")


def test_cells_are_derived_from_others():
    """A template, cells to fall back on, a number without its sign or with the other one; empty stays empty."""
    columns = RowMapping.for_profiles(
        {
            "id": field("customId", template="shop-{id}-{no}"),
            "name": field("attributes.name", fallback=["nick", "no"]),
            "n": [field("attributes.n", "integer", absolute=True), field("attributes.m", "decimal", negate=True)],
            "t": field("attributes.t", template="{{{no}}}", fallback="nick"),
        },
        trim=True,
        null_values=["-"],
    )
    text = "id,no,name,nick,n,t\n1,7, ,Al,-5,x\n2,8,Bo,,0,\n3,9,-,-,2.0,\n4,,,q,,\n"
    expected = [
        {"customId": "shop-1-7", "attributes": {"name": "Al", "n": 5, "m": 5, "t": "{7}"}},
        {"customId": "shop-2-8", "attributes": {"name": "Bo", "n": 0, "m": 0, "t": "{8}"}},
        {"customId": "shop-3-9", "attributes": {"name": "9", "n": 2, "m": -2, "t": "{9}"}},
        {"attributes": {"name": "q", "t": "q"}},
    ]
    assert list(read_csv(io.StringIO(text), columns)) == expected
    names, *lines = csv.reader(io.StringIO(text))
    data = [dict(zip(names, line, strict=True)) for line in lines]
    assert list(read_jsonl(io.StringIO("\n".join(map(json.dumps, data))), columns)) == expected
    table = pa.table({name: [line[name] or None for line in data] for name in names})
    assert list(read_arrow(table, columns)) == expected


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: field("customId", template="shop"), "names no column"),
        (lambda: field("customId", template="{}"), "names of columns in braces"),
        (lambda: field("customId", template="{a!r}"), "names of columns in braces"),
        (lambda: field("customId", template="{a"), "names of columns in braces"),
        (lambda: field("customId", fallback=[]), "a list of names"),
        (lambda: field("customId", "text", absolute=True), "are for numbers"),
        (lambda: RowMapping.for_profiles({"id": field("customId", negate=True)}), None),
    ],
)
def test_derived_cells_that_make_no_sense_are_refused(make, problem):
    """Where they are written, or when the kind of the cells is known."""
    if problem is None:
        with pytest.raises(MappingError, match="is no number here"):
            read_csv(io.StringIO("id\n1\n"), make())
        return
    with pytest.raises(MappingError, match=problem):
        make()


@pytest.mark.parametrize("column", ["Qty", "Price", "Name"])
@pytest.mark.parametrize("group_by", ["No", None])
def test_what_prepare_gives_that_is_no_number_is_told_with_its_column(column, group_by):
    """NaN is no empty cell where a function gives it, nor the text `nan`: the field and the reason are told."""
    make = plain_mapping if group_by is None else mapping
    columns = {"Name": field("products[].name", "text"), "Sku": "products[].sku"}
    made = make(
        columns if group_by is None else {**COLUMNS, **columns}, prepare=lambda cells: {**cells, column: float("nan")}
    )
    (bad,) = read_csv(io.StringIO(text_of(LINES[:1])), made)
    assert bad.reason.removeprefix("line 2: ") == f"column {column!r} is not finite"
    assert bad.field


@pytest.mark.parametrize("group_by", ["No", None])
def test_a_line_that_cannot_be_read_is_a_row_where_cells_are_prepared_too(group_by):
    """It never comes to the function, and the letter has its cells."""
    make = plain_mapping if group_by is None else mapping
    bad, good = read_csv(io.StringIO(HEADER + "1,tea\n" + text_of(LINES[2:3]).split("\n", 1)[1]), make(prepare=dict))
    if group_by is None:
        assert good["orderId"] == "2"
    assert bad.reason.startswith("has 2 cells, and there are 7 columns")
    assert bad.row == ["1", "tea"]


@pytest.mark.parametrize("option", ["where", "prepare"])
def test_what_a_function_raises_has_a_note_with_the_line(option):
    """The exception stays itself, and the note says which line it was, without a cell of it."""
    functions = {"where": {"No": lambda cell: int(cell) > 0}, "prepare": lambda cells: {**cells, "x": int(cells["No"])}}
    lines = [LINES[0], ("secret", *LINES[1][1:])]
    with pytest.raises(ValueError, match="invalid literal for int") as caught:
        list(read_csv(io.StringIO(text_of(lines)), mapping(**{option: functions[option]})))
    assert caught.value.__notes__ == [f"raised by {option}= of the mapping at line 3"]


def test_prepare_gives_cells_or_leaves_a_line_out():
    """A function over a line's cells: others, None, or an UnreadableRow; letters hold what stands in the file."""

    def prepare(cells):
        if cells["Sku"] == "POST":
            return None
        if cells["Sku"] == "BAD":
            return UnreadableRow("client.customId", "has no owner", {"Key": cells["No"]})
        return {**cells, "Who": f"shop-{cells['Who']}", "Key": cells["No"].lstrip("C")}

    lines = [
        ("C1", *LINES[0][1:]),
        ("1", "POST", *LINES[0][2:]),
        ("C1", "cup", *LINES[1][2:]),
        ("2", "BAD", *LINES[2][2:]),
    ]
    source = read_csv(
        io.StringIO(text_of(lines)), mapping({**COLUMNS, "Key": "metadata.key"}, group_by="Key", prepare=prepare)
    )
    order, bad = list(source)
    assert brief(order) == ("C1", ["tea", "cup"], 0.3)
    assert order["client"] == {"customId": "shop-anna"}
    assert source.notes == {"left out by prepare=": 1}
    assert (bad.reason, bad.row[0]["Who"]) == ("line 5: has no owner", "jan")
    with pytest.raises(InvalidRequestError, match="returned a list"):
        list(read_csv(io.StringIO(text_of(lines)), mapping(prepare=list)))
    (bad,) = read_csv(io.StringIO(text_of(LINES[:1])), mapping(prepare=lambda cells: {"No": "1"}))
    assert "is not there" in bad.reason


def test_options_of_lines_are_part_of_the_digest_and_of_the_file(tmp_path):
    """A mapping that groups otherwise is another one; TOML carries all but functions."""
    whole = mapping(
        where={"Sku": {"matches": "[^P].*", "empty": False}, "Qty": (1, 2, 3), "Who": "anna"},
        combine={"recordedAt": "first"},
        bad_line="refuse_line",
        group_by=["No", "Who"],
    )
    whole.write_toml(tmp_path / "map.toml")
    again = RowMapping.load(tmp_path / "map.toml")
    assert again == whole
    assert again.digest == whole.digest
    assert len({whole.digest, mapping().digest, mapping(group_by=["No", "Who"]).digest}) == 3
    text = text_of(LINES[:2])
    assert list(read_csv(io.StringIO(text), again)) == list(read_csv(io.StringIO(text), whole))
    for options in ({"where": {"No": str}}, {"prepare": dict}):
        with pytest.raises(InvalidRequestError, match=r"is a function|holds a type"):
            mapping(**options).write_toml(tmp_path / "other.toml")
    bad = (tmp_path / "map.toml").read_text().replace('recordedAt = "first"', 'recordetAt = "first"')
    (tmp_path / "map.toml").write_text(bad)
    with pytest.raises(MappingError) as caught:
        RowMapping.load(tmp_path / "map.toml")
    line = bad.split("\n").index('recordetAt = "first"') + 1
    assert f"line {line}, field recordetAt" in str(caught.value)


# --- over real sockets


def test_orders_arrive_and_letters_give_them_back(tmp_path):
    """A refused order is one rejection at its first line; its letter, mended, is the order again."""
    path, letters = tmp_path / "lines.csv", tmp_path / "letters.jsonl"
    lines = [LINES[2], (*LINES[0][:3], "one", *LINES[0][4:]), LINES[1]]
    path.write_text(text_of(lines))
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(path, mapping()), dead_letter=letters)
        assert (report.read, report.accepted) == (2, 1)
        (rejection,) = report.rejected
        assert (rejection.reference, rejection.field) == (3, "products[].quantity")
        (letter,) = read_dead_letter(letters)
        assert [cells["Qty"] for cells in letter["row"]["cells"]] == ["one", "2"]
        letters.write_text(letters.read_text().replace('"one"', '"1"'))
        (mended,) = read_dead_letter(letters, mapping())
        assert brief(mended["row"]) == ("1", ["tea", "cup"], 0.3)
        assert client.bulk.replay(letters, mapping=mapping()).accepted == 1


@pytest.mark.parametrize("kind", ["again", "beside", "bad line", "no key"])
def test_a_part_of_an_order_is_not_sent_again_as_the_order(kind, tmp_path):
    """It stays a letter with its mark, as often as it is replayed; a transform that takes the mark off sends it."""
    letters, columns = tmp_path / "letters.jsonl", mapping()
    texts = [text_of([line]).removeprefix(HEADER) for line in LINES]
    content = {
        "again": [texts[0], texts[2], texts[1]],
        "beside": [texts[0], 'x"y",z\n', texts[2]],
        "bad line": [texts[0], texts[1].replace("1,cup,Cup,2", "1,cup,Cup,two"), texts[2]],
        "no key": [texts[0], texts[1].replace("1,", ",", 1), texts[2]],
    }[kind]
    if kind == "bad line":
        columns = mapping(bad_line="refuse_line")
    whole = [dict(zip(HEADER.strip().split(","), map(str, line), strict=True)) for line in LINES[:2]]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(
            read_csv(io.StringIO(HEADER + "".join(content)), columns), dead_letter=letters
        )
        found = list(read_dead_letter(letters))
        assert found
        assert [letter["part_of_order"] for letter in found] == [True] * report.rejected_count()
        lines = [letter["row"]["cells"] for letter in found]
        for better in (columns, mapping({**COLUMNS, "Qty": None}, constants={**CONSTANTS, "products[].quantity": 1})):
            report = client.bulk.replay(letters, mapping=better, dead_letter=letters)
            assert (report.accepted, report.rejected_count()) == (0, len(found))
            again = list(read_dead_letter(letters))
            assert [letter["row"]["cells"] for letter in again] == lines
            assert all(letter["part_of_order"] for letter in again)
            assert "is a part of an order" in again[0]["reason"]
            assert "transform=" in again[0]["reason"]
            assert "sort=True" in again[0]["reason"]
        read = [letter["row"] for letter in read_dead_letter(letters, columns)]
        assert all(isinstance(row, UnreadableRow) and row.part_of_order for row in read)
        assert client.bulk.create_transactions(read, dead_letter=letters).accepted == 0
        assert all(letter["part_of_order"] for letter in read_dead_letter(letters))
        report = client.bulk.replay(letters, mapping=columns, transform=lambda _: {"cells": whole}, dead_letter=letters)
        assert (report.accepted, report.rejected_count()) == (0, len(found))

        def all_lines(letter):
            assert letter.pop("part_of_order")
            return {"cells": whole}

        report = client.bulk.replay(letters, mapping=columns, transform=all_lines, dead_letter=letters)
        assert report.accepted == len(found)
        assert not letters.read_text()


def test_letters_of_whole_orders_have_no_mark(tmp_path):
    """All lines stand together, one of them is bad: that is no part."""
    letters = tmp_path / "letters.jsonl"
    lines = [LINES[0], (*LINES[1][:3], "two", *LINES[1][4:]), LINES[2]]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.create_transactions(read_csv(io.StringIO(text_of(lines)), mapping()), dead_letter=letters)
    (letter,) = read_dead_letter(letters)
    assert "part_of_order" not in letter


@pytest.mark.parametrize("fate", ["read badly", "refused"])
def test_the_first_lines_of_an_order_that_came_apart_are_not_sent_as_the_order(fate, tmp_path):
    """Their letter is written before the key comes again: it is a part all the same, until it is whole."""
    letters, by = tmp_path / "letters.jsonl", mapping()
    owner = '"client":{"customId":"anna"},'
    wrong, right = {"read badly": ('"one"', '"1"'), "refused": ('"orderId"', f'{owner}"orderId"')}[fate]
    first = {"read badly": (*LINES[0][:3], "one", *LINES[0][4:]), "refused": (*LINES[0][:6], "")}[fate]
    text = text_of([first, LINES[2], LINES[1], ("3", *LINES[3][1:]), LINES[3]])
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(io.StringIO(text), by), dead_letter=letters)
        assert (report.read, report.accepted) == (5, 2)
        letters.write_text(letters.read_text().replace(wrong, right))
        found = list(read_dead_letter(letters))
        assert [letter.get("part_of_order") for letter in found] == [True] * 3
        assert len({letter["order_digest"] for letter in found}) == 1
        assert found[0]["row_holds"] == ("cells" if fate == "read badly" else "fields")
        report = client.bulk.replay(letters, mapping=by, dead_letter=letters)
        assert (report.accepted, report.rejected_count()) == (0, 3)
        assert all("with sort=True" in rejection.reason for rejection in report.rejected)
        assert letters.read_text().count('"part_of_order":true') == 3
        whole, *_ = letters.read_text().replace('"part_of_order":true,', "").splitlines(keepends=True)
        letters.write_text(whole)
        assert client.bulk.replay(letters, mapping=by).accepted == 1
        client.bulk.create_transactions(read_csv(io.StringIO(text), by, sort=True), dead_letter=letters)
        assert "order_digest" not in letters.read_text()


@pytest.mark.parametrize("way", ["completed", "named", "in its order"])
def test_a_line_with_too_few_cells_is_completed_in_its_letter(way, tmp_path):
    """Its cells are a list, and the names of the columns stand beside it; in the letter of an order they may too."""
    letters, cut = tmp_path / "letters.jsonl", [*map(str, LINES[1][:6])]
    by = mapping() if way == "in its order" else plain_mapping()
    text = text_of([LINES[0], LINES[2]]).replace("2,jug", ",".join(cut) + "\n2,jug")
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(io.StringIO(text), by), dead_letter=letters)
        found = list(read_dead_letter(letters))
        (bad,) = (letter for letter in found if "columns" in letter)
        assert bad["columns"] == HEADER.strip().split(",")
        assert bad["row"] == {"cells": cut}
        report = client.bulk.replay(letters, mapping=by, dead_letter=letters)
        assert report.accepted == 0
        reasons = [rejection.reason for rejection in report.rejected]
        if way == "in its order":
            above, (_, *others) = found[0], found
            assert all("remove its mark 'part_of_order'" in reason for reason in reasons)
            above["row"]["cells"].append([*cut, "anna"])
            whole = [{**letter, "part_of_order": False} for letter in (above, others[1])]
            letters.write_text("".join(json.dumps(letter) + "\n" for letter in whole))
            assert next(brief(letter["row"]) for letter in read_dead_letter(letters, by)) == ("1", ["tea", "cup"], 0.3)
            assert client.bulk.replay(letters, mapping=by).accepted == 2
        else:
            assert "as a list of 7 in the order of columns (there are 6)" in reasons[0]
            cells = [*cut, "anna"]
            bad["row"] = {"cells": dict(zip(bad["columns"], cells, strict=True)) if way == "named" else cells}
            letters.write_text(json.dumps(bad) + "\n")
            (mended,) = read_dead_letter(letters, by)
            assert brief(mended["row"])[:2] == ("1", ["cup"])
            assert client.bulk.replay(letters, mapping=by).accepted == 1
