"""How the lines of an order are put together: sums, totals and currencies that do not fit, and many orders at once."""

from __future__ import annotations

import datetime
import io
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synerise_profiles import Synerise
from synerise_profiles.bulk import UnreadableRow, read_dead_letter
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import (
    MappingError,
    RowMapping,
    assembly,
    field,
    line_store,
    read_arrow,
    read_csv,
    read_jsonl,
    read_parquet,
)
from tests.sources.test_orders import COLUMNS, CONSTANTS, HEADER, LINES, brief, mapping, orders, text_of

LINE = {"No": "1", "Sku": "tea", "Name": "Tea", "Qty": 1, "Price": 0.1, "When": "2026-01-01T08:00:00Z", "Who": "anna"}
NO_CURRENCY = {name: value for name, value in CONSTANTS.items() if "currency" not in name}


def order(columns, *changes, **options):
    """The one order that lines make, each like LINE but for what is changed."""
    text = "".join(json.dumps(LINE | change) + "\n" for change in changes)
    (row,) = read_jsonl(io.StringIO(text), mapping({**COLUMNS, **columns}, **options))
    return row


@pytest.mark.parametrize(
    ("fees", "problem"),
    [
        (("x", 1), "is no number, and cannot be summed"),
        ((True, 1), "is no number, and cannot be summed"),
        ((1e300, 1e-300), "has more digits than a JSON number keeps; round it first"),
        ((1.7e308, 1.7e308), "is beyond what a JSON number holds; send it as text"),
    ],
)
def test_what_cannot_be_summed_refuses_the_order(fees, problem):
    """By its field, and with all its lines."""
    row = order({"Fee": "metadata.fee"}, *({"Fee": fee} for fee in fees), combine={"metadata.fee": "sum"})
    assert (row.field, row.reason, len(row.row)) == ("metadata.fee", problem, 2)


@pytest.mark.parametrize(
    "target",
    [
        "metadata.fee",
        field("metadata.fee", "text"),
        field("metadata.fee", template="{Fee}"),
        field("metadata.fee", "list", separator=";"),
    ],
    ids=["text of a file", "text", "template", "list"],
)
def test_what_is_text_for_sure_is_not_summed(target):
    """All orders would be refused; the mapping is, and says what to do."""
    source = io.StringIO(f"{HEADER.strip()},Fee\n1,tea,1,1,2\n")
    with pytest.raises(MappingError, match=r"column 'Fee', field metadata.fee: .*combine='sum'.* the type 'number'"):
        read_csv(source, mapping({**COLUMNS, "Fee": target}, combine={"metadata.fee": "sum"}))


def test_a_field_that_a_pattern_gives_is_combined_as_the_refusal_advises():
    """By the field that it names; the name of a column is one step, whatever dots it has."""
    text = f"{HEADER.strip()},note,a.b\n" + "".join(f"1,tea,Tea,1,1,,anna,x{n},y{n}\n" for n in range(2))
    columns = {**COLUMNS, "*": "metadata.*"}
    combine = {}
    for _ in range(2):
        (row,) = read_csv(io.StringIO(text), mapping(columns, combine=combine))
        assert "combine=" in row.reason
        combine[row.field] = "last"
    assert sorted(combine) == ["metadata.a.b", "metadata.note"]
    (row,) = read_csv(io.StringIO(text), mapping(columns, combine=combine))
    assert row["metadata"] == {"note": "x1", "a.b": "y1"}
    with pytest.raises(MappingError, match="names a field that no column gives"):
        mapping(columns, combine={"attributes.note": "last"})
    with pytest.raises(MappingError, match=r"field metadata.note: .*the type 'number'"):
        read_csv(io.StringIO(text), mapping(columns, combine={"metadata.note": "sum"}))


@pytest.mark.parametrize(("how", "fee"), [("first", 2), ("last", 3), ("sum", 5)])
def test_a_line_that_gives_nothing_leaves_what_others_gave(how, fee):
    """An empty cell is no value to choose or to add."""
    fees = ({"Fee": given} for given in (None, 2, None, 3, None))
    assert order({"Fee": "metadata.fee"}, *fees, combine={"metadata.fee": how})["metadata"] == {"fee": fee}


def test_objects_of_several_lines_are_one_object():
    """A field that only one line gives is the order's; one that differs is named by its whole path."""
    columns = {"Till": "metadata.till", "Gift": "metadata.gift"}
    assert order(columns, {"Till": 7, "Gift": None}, {"Till": 7, "Gift": "yes"})["metadata"] == {
        "till": 7,
        "gift": "yes",
    }
    refused = order(columns, {"Till": 7, "Gift": "yes"}, {"Till": 8, "Gift": "yes"})
    assert isinstance(refused, UnreadableRow)
    assert refused.field == "metadata.till"


@pytest.mark.parametrize(
    ("changes", "field", "problem"),
    [
        (
            [{"Cur": "GBP"}, {"Cur": "EUR"}],
            "products[1].finalUnitPrice",
            "is in another currency than products[0].finalUnitPrice; a transaction has one currency",
        ),
        ([{"Cur": "GBP"}, {"Cur": None}], "products[1].finalUnitPrice.currency", "is required"),
        ([{"Cur": "GBP", "Qty": None}], "products[0].quantity", "is required"),
        (
            [{"Cur": "GBP", "Price": 1.234567890123, "Qty": 1.2345678901}],
            "revenue.amount",
            "has more digits than a JSON number keeps; round it first",
        ),
    ],
)
def test_products_that_have_no_total_refuse_the_order(changes, field, problem):
    """They are in two currencies, lack a price, or their sum is no number of JSON."""
    row = order({"Cur": "products[].finalUnitPrice.currency"}, *changes, constants=NO_CURRENCY)
    assert (row.field, row.reason) == (field, problem)


@pytest.mark.parametrize("name", ["revenue", "value"])
def test_a_currency_that_is_not_that_of_the_products_refuses_the_order(name):
    """Also where the amount is left out, to be computed: what the line says is not put aside."""
    columns = {"Total": f"{name}.currency"}
    refused = order(columns, {"Total": "EUR"}, {"Total": "EUR"})
    assert (refused.field, refused.reason) == (
        f"{name}.currency",
        "is another currency than that of the products; a transaction has one currency",
    )
    money = {"amount": 0.2, "currency": "GBP"}
    row = order(columns, {"Total": "GBP"}, {"Total": "GBP"})
    assert (row["revenue"], row["value"]) == (money, money)


def test_a_discount_makes_the_value_less_than_the_revenue():
    """Both are as they were given, and the revenue that was left out is the sum."""
    row = order(
        {"Off": "discountAmount.amount", "Paid": "value.amount"},
        {"Price": 10, "Off": 1, "Paid": 9},
        constants={**CONSTANTS, "discountAmount.currency": "GBP", "value.currency": "GBP"},
    )
    assert (row["revenue"]["amount"], row["value"]["amount"]) == (10, 9)


def test_an_order_that_comes_again_is_known_among_many(monkeypatch):
    """The numbers of orders that were seen do not all stay in memory."""
    monkeypatch.setattr(line_store, "_MAX_KEYS_IN_MEMORY", 3)
    lines = [(str(number), *LINES[0][1:]) for number in (*range(10), 2, 9, 10)]
    found = orders(lines)
    assert [brief(row)[0] for row in found if not isinstance(row, UnreadableRow)] == [*map(str, range(10)), "10"]
    again = [row for row in found if isinstance(row, UnreadableRow)]
    assert [row.row[0]["No"] for row in again] == ["2", "9"]
    assert all(row.part_of_order for row in again)


def test_sorted_orders_that_are_refused_are_told_by_their_first_lines(monkeypatch):
    """Wherever they stand in the file, and however many there are."""
    monkeypatch.setattr(line_store, "_BUFFERED_POSITIONS", 4)
    numbers = [7, 3, 9, 1, 7, 5, 8, 3, 2, 6, 4]
    lines = [(str(number), *LINES[0][1:3], "one" if number % 2 else 1, *LINES[0][4:]) for number in numbers]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.create_transactions(read_csv(io.StringIO(text_of(lines)), mapping(), sort=True))
        assert (report.read, report.accepted) == (9, 4)
        firsts = {number: numbers.index(number) + 2 for number in (1, 3, 5, 7, 9)}
        assert [item.reference for item in report.rejected] == list(firsts.values())


def test_a_letter_does_not_hold_lines_without_end(monkeypatch):
    """It says how many it holds, and is a part; an order that is good has all its lines."""
    monkeypatch.setattr(assembly, "_MAX_LETTER_LINES", 2)
    good, bad = LINES[0], (*LINES[0][:3], "one", *LINES[0][4:])
    (row,) = orders([good] * 4)
    assert len(row["products"]) == 4
    (row,) = orders([good, good, good, bad])
    assert (len(row.row), row.part_of_order) == (2, True)
    assert row.reason.endswith("; its letter holds the first 2 lines")


def test_an_order_does_not_wait_for_ever_for_what_stands_between_its_lines(monkeypatch):
    """After so many lines without a key it has ended; what comes of it later was not adjacent."""
    monkeypatch.setattr(assembly, "_MAX_BAD_LINES", 2)
    keyless = ("", *LINES[0][1:])
    found = orders([LINES[0], keyless, LINES[1], keyless, keyless, LINES[2], LINES[3]], bad_line="refuse_line")
    assert [brief(row) if isinstance(row, dict) else row.part_of_order for row in found] == [
        ("1", ["tea", "cup"], 0.3),
        True,
        True,
        True,
        ("2", ["jug"], 3.15),
        True,
    ]
    assert "they are not adjacent" in found[-1].reason


def test_letters_of_lines_are_read_as_their_mapping_says(tmp_path):
    """What is still bad keeps all its lines; what is left out by now says so; without orders a line is a row."""
    letters = tmp_path / "letters.jsonl"
    bad = (*LINES[0][:3], "one", *LINES[0][4:])
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.create_transactions(read_csv(io.StringIO(text_of([bad, LINES[1]])), mapping()), dead_letter=letters)
        (letter,) = read_dead_letter(letters, mapping())
        assert isinstance(letter["row"], UnreadableRow)
        assert [cells["Sku"] for cells in letter["row"].row] == ["tea", "cup"]
        (letter,) = read_dead_letter(letters, mapping(prepare=lambda cells: None))
        assert letter["row"].reason == "is left out by prepare="
        (letter,) = read_dead_letter(letters, mapping(prepare=lambda cells: cells if cells["Sku"] == "cup" else None))
        assert brief(letter["row"]) == ("1", ["cup"], 0.2)


NAMED = {"No": [field("orderId", "text", trim=True), field("eventSalt", template="order-{No}", trim=True)]}


@pytest.mark.parametrize("sort", [False, True], ids=["adjacent", "sorted"])
def test_the_key_of_an_order_is_what_is_written_as_its_name(sort, tmp_path):
    """One form on every reader: 100 and 100.0 are one order, and so are texts that differ by blanks that go."""
    named = mapping({**COLUMNS, **NAMED})
    lines = [LINE | {"No": no, "Sku": sku} for no, sku in ((100, "a"), (100.0, "b"), ("100 ", "c"), ("100", "d"))]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for number, line in enumerate([lines[0], lines[1]]):
        pq.write_table(pa.Table.from_pylist([line | {"Price": "0.1"}]), tmp_path / f"{number}.parquet")
    cells = text_of([("1", *LINES[0][1:]), ("1 ", *LINES[1][1:]), (" 1", *LINES[3][1:])])
    for source, skus in (
        (read_jsonl(io.StringIO(text), named, sort=sort), ["a", "b", "c", "d"]),
        (read_parquet(tmp_path, named, sort=sort), ["a", "b"]),
        (read_csv(io.StringIO(cells), named, sort=sort), ["tea", "cup", "mug"]),
    ):
        (row,) = source
        assert [item["sku"] for item in row["products"]] == skus
        assert row["eventSalt"] == f"order-{row['orderId']}"


def test_words_that_are_written_alike_are_one_order():
    """By values=, and by a type; what neither reads is a key as it stands."""
    words = mapping({**COLUMNS, "No": [field("orderId", values={"one": "1", "uno": "1"})]})
    source = read_csv(
        io.StringIO(text_of([("one", *LINES[0][1:]), ("uno", *LINES[1][1:]), ("x", *LINES[0][1:])])), words
    )
    first, second = map(brief, source)
    assert first == ("1", ["tea", "cup"], 0.3)
    assert "is none of the words" in second


def test_a_key_that_comes_again_in_another_form_is_refused():
    """It would overwrite the order above."""
    named = mapping({**COLUMNS, **NAMED})
    text = text_of([("1", *LINES[0][1:]), ("2", *LINES[2][1:]), ("1 ", *LINES[1][1:])])
    assert "came before, at line 2, and" in list(map(brief, read_csv(io.StringIO(text), named)))[2]


def test_letters_of_orders_keep_times_and_decimals_as_their_lines_have_them(tmp_path):
    """Mended by hand they are sent: a time and a number of many digits are read as they were."""
    letters = tmp_path / "letters.jsonl"
    times = {"When": field("recordedAt", zone="Europe/Warsaw"), "Till": field("metadata.till", "text")}
    table = pa.table(
        {
            "No": ["1", "1"],
            "Sku": ["tea", "cup"],
            "Name": ["Tea", None],
            "Qty": ["many", "2"],
            "Price": pa.array([Decimal("0.10"), Decimal("0.20")]),
            "When": [datetime.datetime(2026, 5, 1, 12)] * 2,  # noqa: DTZ001 - a column without a zone
            "Who": ["anna", "anna"],
            "Till": pa.array([Decimal(2**100)] * 2, pa.decimal128(38, 0)),
        }
    )
    named = mapping({**COLUMNS, **times, "Qty": field("products[].quantity", "integer")})
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.create_transactions(read_arrow(table, named), dead_letter=letters)
        (letter,) = read_dead_letter(letters)
        assert "problems" not in letter
        assert letter["decimals"] == ["Price", "Till"]
        letters.write_text(letters.read_text().replace('"many"', '"3"'))
        (mended,) = read_dead_letter(letters, named)
        report = client.bulk.replay(letters, mapping=named, dead_letter=letters)
        assert (report.accepted, list(report.rejected)) == (1, [])
    row = mended["row"]
    assert (row["recordedAt"], row["revenue"]["amount"]) == ("2026-05-01T12:00:00+02:00", 0.7)
    assert row["metadata"]["till"] == str(2**100)


def test_totals_of_cancellations_are_those_of_events_that_say_so():
    """Whether the type is a constant or stands in a column; another event beside them has none."""
    columns = {
        "No": ["params.orderId", "eventSalt"],
        "Sku": ["params.products[].sku", "params.products[].name"],
        "Qty": field("params.products[].quantity", "integer"),
        "Price": field("params.products[].finalUnitPrice.amount", "decimal"),
        "When": "time",
        "Who": "client.customId",
        "Type": "type",
        "Paid": field("params.revenue.amount", "decimal"),
    }
    constants = {f"params.{name}.currency": "PLN" for name in ("products[].finalUnitPrice", "revenue")}
    named = RowMapping.for_events(columns, constants=constants | {"label": "x"}, group_by="No")
    lines = [
        LINE | {"No": no, "Type": kind, "Paid": paid}
        for no, kind, paid in (
            ("1", "cancelled-transaction", None),
            ("1", "cancelled-transaction", None),
            ("2", "cancelled-transaction", 9),
            ("3", "shared", 9),
        )
    ]
    computed, refused, other = read_jsonl(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), named)
    assert computed["params"]["revenue"] == computed["params"]["value"] == {"amount": 0.2, "currency": "PLN"}
    assert refused.field == "params.revenue"
    assert other["params"]["revenue"] == {"amount": 9, "currency": "PLN"}
    assert "value" not in other["params"]
