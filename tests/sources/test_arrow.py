"""Tables by the Arrow and the dataframe protocol: types are checked at once, cells one by one."""

from __future__ import annotations

import csv
import datetime
import io
import sys
import warnings
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import MappingError, RowMapping, field, read_arrow, read_csv

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
MOMENT = datetime.datetime(2010, 12, 1, 8, 26, tzinfo=datetime.UTC)


MAP32 = pa.map_(pa.string(), pa.float32())
INSIDE = {"a": [123456792.0, 0.1], "b": 5}
FLOATS_INSIDE = pa.struct([("a", pa.large_list(pa.float32())), ("b", pa.int64())])


def table(**columns):
    return pa.table({"id": pa.array(["1"] * len(next(iter(columns.values())))), **columns})


def rows(data, targets, **options):
    return list(read_arrow(data, RowMapping.for_profiles({"id": "customId", **targets}, **options)))


@pytest.mark.parametrize(
    ("column", "target"),
    [
        (pa.array([0], pa.timestamp("us")), {}),
        (pa.array([datetime.time(12)]), {}),
        (pa.array([b"AB"]), {}),
        (pa.array([datetime.timedelta(days=1)]), {}),
        (pa.array([1]), {"type": "datetime"}),
        (pa.array([[1]]), {"type": "number"}),
    ],
    ids=["local datetime", "time", "bytes", "duration", "number of what", "list"],
)
@pytest.mark.parametrize("own", [pa.null(), pa.string(), None], ids=["null", "text", "same type"])
def test_columns_to_fall_back_on_are_judged_as_those_that_are_mapped(column, target, own):
    """With the same words, before any row is read."""
    typed = pa.table({"id": ["1"], "own": pa.array([None], own or column.type), "x": column})
    problems = []
    for columns in (
        {"x": field("attributes.x", **target)},
        {"own": field("attributes.x", **target, fallback="x")},
    ):
        with pytest.raises(MappingError) as caught:
            rows(typed, columns)
        problems.append({issue.problem for issue in caught.value.issues if issue.column == "x"})
    assert len(problems[0]) == 1
    assert problems[0] == problems[1]


@pytest.mark.parametrize("cells", [[b"AB"], [[1]], [{"a": 1}], [datetime.time(12)]], ids=repr)
def test_what_a_template_cannot_hold_is_refused_before_a_row_is_read(cells):
    """A text is made of texts, numbers and dates."""
    with pytest.raises(MappingError, match=r"'x'.*holds"):
        rows(table(x=pa.array(cells)), {"x": field("attributes.x", template="a {x}")})


def values(column, target="attributes.x"):
    """What a column becomes in the attributes."""
    return [row.get("attributes", {}).get("x", "missing") for row in rows(table(x=column), {"x": target})]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pa.array([6, None, 0]), [6, "missing", 0]),
        (pa.array([2.55, None, float("nan"), 0.0]), [2.55, "missing", "missing", 0.0]),
        (pa.array([123456792.0, 16777218.0], pa.float32()), [123456792.0, 16777218.0]),
        (pa.array([0.1, None, 16777216], pa.float32()), [0.1, "missing", 16777216.0]),
        (pa.array([[123456792.0, None, 0.1], None], pa.list_(pa.float32())), [[123456792.0, None, 0.1], "missing"]),
        (pa.array([[[20000002.0, 0.3]], []], pa.large_list(pa.list_(pa.float32(), 2))), [[[20000002.0, 0.3]], []]),
        (pa.array([[("a", 123456792.0), ("b", 0.1)]], MAP32), [{"a": 123456792.0, "b": 0.1}]),
        (pa.array([{"a": [123456792.0, 0.1], "b": 5}, None], FLOATS_INSIDE), [INSIDE, "missing"]),
        (pa.array([[9.0]] + [[20000002.0]] * 2, pa.list_(pa.float32())).slice(1), [[20000002.0]] * 2),
        (pa.array([123456792.0, 0.1], pa.float32()).dictionary_encode(), [123456792.0, 0.1]),
        (pa.array([65504, 0.1, 2050, None], pa.float16()), [65504.0, 0.1, 2050.0, "missing"]),
        (pa.array([[65504, 0.1, None], None], pa.list_(pa.float16())), [[65504.0, 0.1, None], "missing"]),
        (pa.array([[0.1, None], None], pa.list_(pa.float32())), [[0.1, None], "missing"]),
        (pa.array([[0.1, 0.3]], pa.list_(pa.float32(), 2)), [[0.1, 0.3]]),
        (pa.array([{"a": [0.1], "b": 2**53 + 1}], FLOATS_INSIDE), [{"a": [0.1], "b": 2**53 + 1}]),
        (pa.array([[("a", 0.1)]], pa.map_(pa.string(), pa.float32())), [{"a": 0.1}]),
        (pa.array([True, False, None]), [True, False, "missing"]),
        (pa.array(["ł", "", None]), ["ł", "missing", "missing"]),
        (pa.array(["ł", None], pa.large_string()), ["ł", "missing"]),
        (pa.array(["ł", None]).dictionary_encode(), ["ł", "missing"]),
        (pa.array([Decimal("2.55"), Decimal("3.00"), None]), [2.55, 3, "missing"]),
        (pa.array([datetime.date(2010, 12, 1), None]), ["2010-12-01", "missing"]),
        (pa.array([MOMENT], pa.timestamp("s", "UTC")), ["2010-12-01T08:26:00+00:00"]),
        (pa.array([MOMENT], pa.timestamp("ns", "Europe/Warsaw")), ["2010-12-01T09:26:00+01:00"]),
        (pa.array([["a", "b"], [], None]), [["a", "b"], [], "missing"]),
        (pa.array([{"a": 1, "b": None}, None]), [{"a": 1}, "missing"]),
        (pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int64())), [{"a": 1}, "missing"]),
        (pa.nulls(2), ["missing", "missing"]),
        (pa.chunked_array([["a"], [], ["b"]]), ["a", "b"]),
    ],
    ids=lambda value: str(getattr(value, "type", "")),
)
def test_cells_keep_their_types(column, expected):
    """Where anything goes a typed cell stays what it is; null and NaN are empty cells."""
    assert values(column) == expected


@pytest.mark.parametrize(
    ("column", "target", "expected"),
    [
        (pa.array([17850.0, None]), field("attributes.x", "text"), ["17850", "missing"]),
        (pa.array([17850]), field("attributes.x", "text"), ["17850"]),
        (pa.array([6.0, None]), field("attributes.x", "integer"), [6, "missing"]),
        (pa.array(["6"]), field("attributes.x", "integer"), [6]),
        (pa.array([1, 0]), field("attributes.x", "boolean"), [True, False]),
        (pa.array([1291191960]), field("attributes.x", "datetime", format="unix"), ["2010-12-01T08:26:00+00:00"]),
        (
            pa.array([datetime.datetime(2010, 12, 1, 8, 26)]),  # noqa: DTZ001
            field("attributes.x", zone="Europe/Warsaw"),
            ["2010-12-01T08:26:00+01:00"],
        ),
        (pa.array([MOMENT]), field("attributes.x", "date"), ["2010-12-01"]),
        (pa.array(["a;b"]), field("attributes.x", "list", separator=";"), [["a", "b"]]),
        (pa.array([["a"]]), field("attributes.x", "list", separator=";"), [["a"]]),
        (pa.array(['{"a":1}']), field("attributes.x", "json"), [{"a": 1}]),
        (pa.array(["M"]), field("attributes.x", values={"M": "MALE"}), ["MALE"]),
    ],
)
def test_a_type_may_be_named(column, target, expected):
    """One mapping reads a column whether a file brought it as text or a DataFrame made a number of it."""
    assert values(column, target) == expected


@pytest.mark.parametrize(
    ("column", "target", "problem"),
    [
        (pa.array([17850.0]), "city", "holds double, and the field takes a text; say that it is one by type 'text'"),
        (pa.array([True]), "city", "holds bool, and the field takes a text"),
        (pa.array([True]), field("attributes.x", "integer"), "holds bool, which cannot be read as integer"),
        (pa.array([["a"]]), "city", "cannot be read as text"),
        (pa.array(["a"]), "tags", "takes a list"),
        (pa.array(["a"]), "agreements", "is an object"),
        (pa.array([1.5]), "agreements.email", "name a type"),
        (pa.array([datetime.datetime(2010, 12, 1)]), "attributes.x", "has no zone; add zone="),  # noqa: DTZ001
        (pa.array([20101201]), field("attributes.x", "date"), "say what the numbers count"),
        (pa.array([b"a"]), "attributes.x", "holds binary, which JSON cannot carry"),
        (pa.array([datetime.timedelta(1)]), "attributes.x", "holds duration[us], which JSON cannot carry"),
        (pa.array([[b"a"]]), "attributes.x", "which JSON cannot carry"),
        (pa.array([MOMENT]), "city", "cannot be read as text"),
    ],
)
def test_a_type_that_does_not_fit_is_one_error(column, target, problem):
    """Before a row is read, with the column, its type and what to do."""
    with pytest.raises(MappingError) as caught:
        rows(table(x=column), {"x": target})
    (issue,) = caught.value.issues
    assert issue.column == "x"
    assert problem in issue.problem


def test_a_map_with_a_key_twice_is_a_row_that_cannot_be_read():
    """As in JSON: one of the values would be lost; the rows beside it are read, and the key is not told."""
    column = pa.array(
        [[("a", 1)], [("jan@example.com", 1), ("jan@example.com", 2)], None], pa.map_(pa.string(), pa.int64())
    )
    first, bad, last = rows(table(x=column), {"x": "attributes.x"})
    assert first["attributes"] == {"x": {"a": 1}}
    assert last == {"customId": "1"}
    assert bad.field == "attributes.x"
    assert bad.reason.startswith("column 'x' has a key or a name twice in one object, so that one value would be lost")
    assert "jan" not in bad.reason


def test_a_struct_with_a_name_twice_is_told_by_that():
    """At once where the mapping names the column, and by the row where a function sees all cells; at any depth."""
    twice = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["n", "n"])
    for column in (twice, pa.ListArray.from_arrays([0, 1], twice)):
        with pytest.raises(MappingError, match=r"with one name twice \(rename one\), which JSON cannot carry"):
            rows(table(x=column), {"x": "attributes.x"})
        assert rows(table(x=column), {}) == [{"customId": "1"}]
        (bad,) = rows(table(x=column), {}, prepare=dict)
        assert "column 'x' has a key or a name twice" in bad.reason


def test_a_column_of_polars_that_arrow_has_no_type_for_is_named():
    """Not only that the frame cannot be read; lazy frames likewise."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    if not hasattr(polars, "Int128"):
        pytest.skip("this polars has no Int128")
    frame = polars.DataFrame({"id": ["1"], "m": polars.Series([2**70], dtype=polars.Int128)})
    for given_ in (frame, frame.lazy()):
        with pytest.raises(
            InvalidRequestError, match=r"^table: column 'm' is of the type Int128, which pyarrow does not"
        ):
            read_arrow(given_, RowMapping.for_profiles({"id": "customId"}))


def test_a_documented_list_and_object_take_typed_columns():
    """Tags as a list, agreements as a struct."""
    data = table(tags=pa.array([["vip"]]), agr=pa.array([{"email": True, "sms": None}]))
    (row,) = rows(data, {"tags": "tags", "agr": "agreements"})
    assert row == {"customId": "1", "tags": ["vip"], "agreements": {"email": True}}


def test_a_bad_cell_is_one_row_with_its_number():
    """A text that is not UTF-8, or a datetime that Python does not know, refuses its row and no other."""
    text = pa.array([b"ok", b"\xff", b"ok"], pa.binary()).view(pa.string())
    late = pa.array([0, 0, 10**15], pa.timestamp("s", "UTC"))
    source = read_arrow(table(x=text, y=late), RowMapping.for_profiles({"id": "customId", "*": "attributes.*"}))
    one, two, three = source
    assert one == {"customId": "1", "attributes": {"x": "ok", "y": "1970-01-01T00:00:00+00:00"}}
    assert isinstance(two, UnreadableRow)
    assert isinstance(three, UnreadableRow)
    assert (two.field, three.field) == ("attributes.x", "attributes.y")
    assert "cannot be read" in two.reason
    assert source.locate(1) == 1
    (bad,) = rows(table(x=pa.array([6.5])), {"x": field("attributes.x", "integer")})
    assert bad.reason == "column 'x' is not a whole number"


def test_tables_batches_streams_and_their_likes():
    """Whatever speaks one of the protocols is read; a table as often as wanted, a stream once."""
    data = pa.table({"id": ["1", "2"], "x": [6, 7]})
    expected = [{"customId": "1", "attributes": {"x": 6}}, {"customId": "2", "attributes": {"x": 7}}]
    mapping = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"})
    for one in (data, data.to_batches()[0], data.to_reader(), Stream(data), Array(data.to_batches()[0])):
        assert list(read_arrow(one, mapping)) == expected
    source = read_arrow(data, mapping)
    assert list(source) == list(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the old protocol is on its way out
        assert list(read_arrow(Frame(data), mapping)) == expected


class Stream:
    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


class Array:
    def __init__(self, batch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema=None):
        return self.batch.__arrow_c_array__(requested_schema)


class Frame:
    def __init__(self, table):
        self.table = table

    def __dataframe__(self, **options):
        return self.table.__dataframe__(**options)


# At the beginning of a line of a file, the mark of UTF-8 is that of a file that was appended.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda text: text[:1] != "\ufeff")
COLUMNS = {
    "text": (TEXTS, pa.string()),
    "integer": (st.integers(-(2**63), 2**63 - 1), pa.int64()),
    "number": (st.floats(allow_infinity=False), pa.float64()),
    "boolean": (st.booleans(), pa.bool_()),
    "date": (st.dates(), pa.date32()),
    "datetime": (st.datetimes(timezones=st.just(datetime.UTC)), pa.timestamp("us", "UTC")),
    "decimal": (st.decimals(-(10**6), 10**6, places=2), pa.decimal128(12, 2)),
}
NAMES = {name: field(f"attributes.{name}", name) for name in COLUMNS}


def _shown(cell):
    return None if cell != cell else cell  # noqa: PLR0124 - NaN


@given(st.lists(st.tuples(*(st.none() | cells for cells, _ in COLUMNS.values())), max_size=5))
def test_files_and_tables_give_the_same_rows(cells):
    """One mapping that names its types makes the same rows of a CSV file and of a typed table.

    A row without any cell, or with blanks alone, is a blank line of a file, and no row.
    """
    cells = [row for row in cells if row[0] is None or row[0].strip() or not {None}.issuperset(map(_shown, row[1:]))]
    columns = list(zip(*cells, strict=True)) or [()] * len(COLUMNS)
    arrays = [pa.array(values, kind) for values, (_, kind) in zip(columns, COLUMNS.values(), strict=True)]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(COLUMNS)
    for row in cells:
        writer.writerow("" if cell is None or cell != cell else str(cell) for cell in row)  # noqa: PLR0124 - NaN
    out.seek(0)
    mapping = RowMapping.for_profiles({**NAMES, "text": ["customId", "attributes.text"]})
    assert list(read_csv(out, mapping)) == [row for row in read_arrow(pa.table(arrays, list(COLUMNS)), mapping) if row]


def test_large_batches_become_rows_a_slice_at_a_time():
    """However many rows a batch has, and where they begin."""
    count = 10_000
    data = pa.table({"id": [str(n) for n in range(count)], "x": range(count)}).slice(5)
    found = rows(data, {"x": "attributes.x"})
    assert [row["attributes"]["x"] for row in found] == list(range(5, count))


def test_what_is_no_table_is_refused():
    """The error says what was expected; and what to install where pyarrow is missing."""
    mapping = RowMapping.for_profiles({"id": "customId"})
    for other in ([{"id": 1}], {"id": [1]}, "people.parquet", 5):
        with pytest.raises(InvalidRequestError, match="with the Arrow or the dataframe protocol, got"):
            read_arrow(other, mapping)
    with pytest.raises(InvalidRequestError, match="table: has no batch, so that its columns are not known"):
        read_arrow([], mapping)
    with pytest.raises(InvalidRequestError, match=r"cannot be read as a table|got ChunkedArray"):  # as pyarrow has it
        read_arrow(pa.chunked_array([["a"]]), mapping)


def test_without_pyarrow_the_error_says_what_to_install(monkeypatch):
    """The extra is named."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'synerise-profiles\[arrow\]'"):
        read_arrow(object(), RowMapping.for_profiles({"id": "customId"}))


def test_floats_of_16_bits():
    """They have their own shortest digits, and whole ones stay as they are, as a scalar of numpy in a row has."""
    numpy = pytest.importorskip("numpy", reason="numpy is not installed")
    column = pa.array([numpy.float16(value) for value in (0.1, 65504, -6e-8, 0)] + [None], pa.float16())
    mapping = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"})
    table = pa.table({"id": list("abcde"), "x": column})
    found = [row.get("attributes", {}).get("x") for row in read_arrow(table, mapping)]
    assert found == [0.1, 65504.0, -6e-8, 0.0, None]


def test_a_dataframe_with_a_number_that_arrow_does_not_hold():
    """It is refused with what helps, and by no bare error of a library."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    mapping = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"})
    with pytest.raises(InvalidRequestError, match=r"beyond 64 bits; make the column text, such as by \.astype\(str\)"):
        list(read_arrow(pandas.DataFrame({"id": ["a"], "x": [2**70]}), mapping))


def test_dataframes_of_pandas():
    """An id that pandas made a number of, because some are missing, is the id; the index is no column."""
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    frame = pandas.DataFrame(
        {
            "id": [17850, None],
            "kind": pandas.Categorical(["a", "b"]),
            "at": pandas.to_datetime(["2010-12-01 08:26", None]),
            "n": pandas.array([1, None], "Int64"),
        },
        index=["x", "y"],
    )
    targets = {"id": field("customId", "text"), "at": field("attributes.at", zone="Europe/Warsaw"), "*": "attributes.*"}
    one, two = read_arrow(frame, RowMapping.for_profiles(targets))
    assert one == {"customId": "17850", "attributes": {"at": "2010-12-01T08:26:00+01:00", "kind": "a", "n": 1}}
    assert two == {"attributes": {"kind": "b"}}
    twice = pandas.DataFrame([["a", 1, 2]], columns=["id", "kind", "kind"])
    with pytest.raises(InvalidRequestError, match="table: has two columns of one name"):
        read_arrow(twice, RowMapping.for_profiles(targets))
    mixed = pandas.DataFrame({"id": [1, "x@example.com"]})
    with pytest.raises(InvalidRequestError, match="column 'id' holds values of several types") as caught:
        read_arrow(mixed, RowMapping.for_profiles(targets))
    assert "example" not in str(caught.value)


def test_dataframes_of_polars():
    """Another library, the same protocol."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.DataFrame({"id": ["1", None], "n": [1, None], "f": [float("nan"), 2.5]})
    one, two = read_arrow(frame, RowMapping.for_profiles({"id": "customId", "*": "attributes.*"}))
    assert one == {"customId": "1", "attributes": {"n": 1}}
    assert two == {"attributes": {"f": 2.5}}
