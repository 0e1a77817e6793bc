"""One table is judged alike whatever holds it: which lines are chosen, what agrees, and which word a cell is."""

from __future__ import annotations

import contextlib
import enum
import io
import json
import sqlite3
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import (
    RowMapping,
    field,
    read_arrow,
    read_csv,
    read_jsonl,
    read_parquet,
    read_sql,
)
from tests.sources.test_grouping import order


class Word(enum.StrEnum):
    ID = "id"
    A = "a"
    FIRST = "first"


class Mixed(str, enum.Enum):  # noqa: UP042 - the older form, whose str() is another text
    ID = "id"
    A = "a"
    FIRST = "first"


class Code(enum.IntEnum):
    ONE = 1


def chosen(source):
    return [row["customId"] for row in source]


def every_source(cells, mapping, folder):
    """Sources of a table of two columns, of which `cells` are decimals: as text, decimal, double and integer."""
    ids = [str(number) for number in range(len(cells))]
    yield (
        "csv",
        read_csv(io.StringIO("id,n\n" + "".join(f"{i},{c}\n" for i, c in zip(ids, cells, strict=True))), mapping),
    )
    for name, kind in (("decimal", pa.decimal128(12, 4)), ("double", pa.float64()), ("int", pa.int64())):
        values = [cell if name == "decimal" else float(cell) if name == "double" else int(cell) for cell in cells]
        table = pa.table({"id": ids, "n": pa.array(values, kind)})
        yield f"arrow {name}", read_arrow(table, mapping)
        pq.write_table(table, folder / f"{name}.parquet")
        yield f"parquet {name}", read_parquet(folder / f"{name}.parquet", mapping)
    lines = [json.dumps({"id": i, "n": float(c)}) for i, c in zip(ids, cells, strict=True)]
    yield "jsonl", read_jsonl(io.StringIO("\n".join(lines)), mapping)


def check_that_zero_is_chosen(wanted, zero, folder):
    mapping = RowMapping.for_profiles({"id": "customId"}, where={"n": wanted})
    for name, source in every_source([Decimal(zero), Decimal("10.00"), Decimal("0.01")], mapping, folder):
        found = ["0", "2"] if name.endswith("int") else ["0"]  # an integer has no 0.01
        assert chosen(source) == found, name
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table t (id, n)")
        database.executemany(
            "insert into t values (?, ?)", [("0", 0), ("1", 0.0), ("2", "0.00"), ("3", 1), ("4", None)]
        )
        assert chosen(read_sql("select * from t", database, mapping)) == ["0", "1", "2"]


in_every_way = pytest.mark.parametrize("zero", ["0", "0.0", "0.00", "-0.00"])


@pytest.mark.parametrize("wanted", [0, 0.0, Decimal("0.00"), -0.0, [7, 0], (0, "x")], ids=repr)
@in_every_way
def test_a_number_is_chosen_by_its_value_in_every_source(wanted, zero, tmp_path):
    """Whatever places a file or a type writes it with."""
    check_that_zero_is_chosen(wanted, zero, tmp_path)


@in_every_way
def test_a_number_of_numpy_is_chosen_by_its_value_in_every_source(zero, tmp_path):
    np = pytest.importorskip("numpy", reason="numpy is not installed")
    check_that_zero_is_chosen(np.int64(0), zero, tmp_path)


@pytest.mark.parametrize(
    ("wanted", "cell", "fits"),
    [
        ("0.00", 0, True),
        ("0.00", Decimal("0.0"), True),
        ("0.00", "0", False),
        ("1.10", "1.1", False),
        ("1.10", 1.1, True),
        (1.1, "1.10", True),
        (5, "05", False),
        (5, "5e0", False),
        (5, "5,0", False),
        (1, True, False),
        (True, 1, False),
        (True, True, True),
        (True, "true", True),
        ("007", 7, False),
        (1e-5, "0.00001", True),
        (1e-5, Decimal("0.00001000"), True),
        (2**64, Decimal(2**64), True),
        (100, Decimal("1E+2"), True),
        (5, None, False),
        (5, [5], False),
        (5, "9" * 5000, False),
    ],
    ids=repr,
)
def test_a_text_is_that_text_and_a_number_any_that_is_equal(wanted, cell, fits):
    """A text of a file may be a code, so only numbers are equal by their value."""

    def prepare(cells):
        return cells

    mapping = RowMapping.for_profiles({"id": "customId"}, where={"n": wanted}, prepare=prepare)
    plan = mapping.line_plan(None, None)
    assert plan.chooses({"id": "1", "n": cell}) is fits


@pytest.mark.parametrize(
    ("first", "second"),
    [(1, True), (0, False), ([1], [True]), ({"a": 1}, {"a": True}), ({"a": [0, "x"]}, {"a": [False, "x"]}), (1, "1")],
)
def test_true_does_not_agree_with_one(first, second):
    """At any depth; JSON has two values there."""
    for one, other in ((first, second), (second, first)):
        row = order({"Till": "metadata.till"}, {"Till": one}, {"Till": other})
        assert isinstance(row, UnreadableRow)
        assert row.field.startswith("metadata.till")


@pytest.mark.parametrize("both", [(1, 1.0), (True, True), (2.5, 2.50), ({"a": [1]}, {"a": [1.0]})])
def test_equal_numbers_agree(both):
    """1 and 1.0 are one amount; the first is sent."""
    row = order({"Till": "metadata.till"}, *({"Till": cell} for cell in both))
    assert row["metadata"]["till"] == both[0]


@pytest.mark.parametrize("word", [1, True])
@pytest.mark.parametrize("cell", [1, 1.0, True, "1"], ids=repr)
def test_true_is_no_word_for_one(word, cell):
    """Of `values=`; a database without truth values has 1 for true."""
    mapping = RowMapping.for_profiles({"id": "customId", "n": field("attributes.n", values={word: "A"})})
    (row,) = read_jsonl(io.StringIO(json.dumps({"id": "x", "n": cell})), mapping)
    is_word = word is True if cell is True else cell != "1"
    assert isinstance(row, dict) is is_word


@pytest.mark.parametrize("number", ["1e-400", " -1e-400 ", f"0.{'0' * 400}1", "-.1e-0400"])
@pytest.mark.parametrize("type_name", ["number", "decimal", "json"])
def test_a_number_too_near_to_zero_is_no_zero(number, type_name):
    """It is refused, as one that is too large is."""
    if type_name == "json":
        number = f"[{number.replace('-.', '-0.')}]"
    mapping = RowMapping.for_profiles({"id": "customId", "n": field("attributes.n", type_name)})
    (row,) = read_csv(io.StringIO(f"id,n\nx,{number}\n"), mapping)
    assert isinstance(row, UnreadableRow)
    (zero,) = read_csv(io.StringIO("id,n\nx,0e-400\n"), mapping)
    assert zero["attributes"] == {"n": 0}


@pytest.mark.parametrize("words", [Word, Mixed])
def test_members_of_an_enum_are_their_values(words, tmp_path):
    """A mapping of them is that of its file."""
    mapping = RowMapping.for_transactions(
        {
            words.ID: ["orderId", field("eventSalt", template="{id}")],
            "who": field("client.customId", values={words.A: words.FIRST, Code.ONE: "one"}, null_values=[words.FIRST]),
            "at": "recordedAt",
            "sku": ["products[].sku", "products[].name"],
            "n": ["products[].quantity", field("products[].finalUnitPrice.amount", fallback=[words.ID])],
        },
        where={"who": [words.A, Code.ONE], "sku": {"matches": words.A}, "n": Code.ONE, "at": words.A},
        group_by=[words.ID],
        combine={"recordedAt": words.FIRST},
        null_values={words.A},
        constants={
            "products[].finalUnitPrice.currency": "PLN",
            "paymentInfo.method": words.A,
            "source": "POS",
        },
    )
    path = tmp_path / "mapping.toml"
    mapping.write_toml(path)
    loaded = RowMapping.load(path)
    assert loaded.digest == mapping.digest
    assert loaded == mapping
    assert [*loaded.lines.where] == [*mapping.lines.where]
    line = {"id": "1", "who": "a", "at": "a", "sku": "a", "n": 1}
    assert loaded.line_plan(None, None).chooses(line) == mapping.line_plan(None, None).chooses(line)


class Plain(enum.Enum):
    A = "a"
    ONE = 1


def test_members_of_a_plain_enum_are_their_values_too(tmp_path):
    """They are no texts in Python, and are written like them."""
    mapping = RowMapping.for_profiles(
        {"id": "customId", "n": field("attributes.n", values={Plain.A: Plain.ONE, 2: (1, 2)})},
        where={"n": [Plain.A, 2], "id": Plain.ONE},
    )
    mapping.write_toml(tmp_path / "mapping.toml")
    loaded = RowMapping.load(tmp_path / "mapping.toml")
    assert loaded.digest == mapping.digest
    for each in (mapping, loaded):
        assert list(read_csv(io.StringIO("id,n\n1,a\n2,a\n"), each)) == [{"customId": "1", "attributes": {"n": 1}}]


def test_a_word_that_stands_twice_in_a_file_is_told(tmp_path):
    """Its line, since one of the two would be lost."""
    path = tmp_path / "mapping.toml"
    pairs = '[[1, "a"], [true, "b"]]'
    path.write_text(
        f'for = "profiles"\n[columns]\nid = "customId"\nn = {{ field = "attributes.n", values = {pairs} }}\n'
    )
    with pytest.raises(ValueError, match="line 4, column 'n': values gives a word twice"):
        RowMapping.load(path)


@pytest.mark.parametrize("number", ["0.12345678901234567890", "1e-400", "1_000.000_000_000_000_000_1"])
def test_a_number_of_a_mapping_file_that_would_lose_digits_is_told(number, tmp_path):
    """Its line; what a float keeps is read, however it is written."""
    path = tmp_path / "mapping.toml"
    text = 'for = "profiles"\n[columns]\nid = "customId"\n[constants]\n"attributes.n" = {}\n'
    path.write_text(text.format(number))
    with pytest.raises(ValueError, match="line 5: has a number with more digits than JSON's doubles keep"):
        RowMapping.load(path)
    for kept in ("0.1000000000000000055511151231257827", "1_000.50", "0e-400"):
        path.write_text(text.format(kept))
        RowMapping.load(path)


def test_what_prepare_gets_of_a_table_is_what_a_field_gets():
    """Nulls in structs are nothing, whether a function sees them or not."""
    table = pa.table(
        {
            "id": ["a", "b"],
            "l": [[{"x": None, "y": 1}], []],
            "s": [{"x": None, "y": 1}, {"x": 2, "y": None}],
            "m": pa.array([[("k", 1)], [("k", None)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    columns = {"id": "customId", "*": "attributes.*"}
    plain = list(read_arrow(table, RowMapping.for_profiles(columns)))
    prepared = list(read_arrow(table, RowMapping.for_profiles(columns, prepare=dict)))
    assert prepared == plain
    assert plain[0] == {"customId": "a", "attributes": {"l": [{"y": 1}], "s": {"y": 1}, "m": {"k": 1}}}


def test_cells_of_prepare_have_names_that_are_texts():
    """Anything else is the caller's mistake, told by its argument."""
    mapping = RowMapping.for_profiles({"id": "customId"}, prepare=lambda cells: {**cells, 1: 2})
    with pytest.raises(ValueError, match="prepare: returned cells by names of which one is no text"):
        list(read_csv(io.StringIO("id\n1\n"), mapping))
