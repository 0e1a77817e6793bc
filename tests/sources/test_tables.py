"""Tables of many libraries: read by batches, no further than a run has come, and in the columns that are mapped."""

from __future__ import annotations

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.sources import RowMapping, read_arrow

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
datasets = pytest.importorskip("pyarrow.dataset", reason="pyarrow has no datasets")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow has no Parquet")
MAPPING = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"})
EXPECTED = [{"customId": "1", "attributes": {"x": 6}}, {"customId": "2", "attributes": {"x": 7}}]


@pytest.fixture
def table():
    return pa.table({"id": ["1", "2"], "unused": [b"", b""], "x": [6, 7]})


@pytest.fixture
def path(tmp_path, table):
    parquet.write_table(table, tmp_path / "rows.parquet")
    return tmp_path / "rows.parquet"


def test_what_pyarrow_reads(path):
    """A dataset, its scanner and a Parquet file; each as often as wanted."""
    for found in (datasets.dataset(path), datasets.dataset(path).scanner(), parquet.ParquetFile(path)):
        source = read_arrow(found, MAPPING)
        assert list(source) == list(source) == EXPECTED
        assert source.columns == ("id", "unused", "x")


def test_only_mapped_columns_are_read(path, monkeypatch):
    """Of a file with hundreds of columns a run reads those that it sends."""
    asked = []

    class Spy(parquet.ParquetFile):
        def iter_batches(self, *args, **options):
            asked.append(options["columns"])
            return super().iter_batches(*args, **options)

    Spy.__module__ = "pyarrow.parquet"
    assert list(read_arrow(Spy(path), MAPPING)) == EXPECTED
    assert asked == [["id", "x"]]


def test_batches_are_read_no_further_than_rows_are_taken(table):
    """An iterable of batches or tables: the first shows the columns, and each later one is asked for in its turn."""
    taken = []

    def batches():
        for number in range(5):
            taken.append(number)
            yield table if number % 2 else table.to_batches()[0]

    rows = iter(read_arrow(batches(), MAPPING))
    assert taken == [0]
    assert [next(rows) for _ in range(3)] == [*EXPECTED, EXPECTED[0]]
    assert taken == [0, 1]
    assert len(list(rows)) == 7
    source = read_arrow(table.to_batches() * 2, MAPPING)
    assert list(source) == list(source) == EXPECTED * 2


def test_batches_that_differ_end_the_reading(table):
    """A batch without the columns of the first would be empty cells; nothing says that they are."""
    other = pa.table({"id": ["3"]})
    rows = iter(read_arrow(iter([table, other]), MAPPING))
    assert [next(rows), next(rows)] == EXPECTED
    with pytest.raises(InvalidRequestError, match="table: batch 1, counted from 0, has other columns or types"):
        next(rows)


def test_what_breaks_off_amid_its_rows_is_told_without_values(tmp_path):
    """What a library says of a value stands in no error; the message says which way reads such files."""
    for name, cells in (("a", [1.5]), ("b", [2**53 + 1])):
        parquet.write_table(pa.table({"id": [name], "x": cells}), tmp_path / f"{name}.parquet")
    rows = iter(read_arrow(datasets.dataset(tmp_path), MAPPING))
    assert next(rows) == {"customId": "a", "attributes": {"x": 1.5}}
    with pytest.raises(
        InvalidRequestError, match=r"table: cannot be read to its end \(ArrowInvalid\).*read_parquet"
    ) as found:
        next(rows)
    assert "9007" not in str(found.value)


def test_a_computation_that_breaks_off_is_told_without_values():
    """A relation of DuckDB and a lazy frame of polars are computed as their rows are read."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    polars = pytest.importorskip("polars", reason="polars is not installed")
    if not hasattr(polars.LazyFrame, "collect_batches"):
        pytest.skip("this polars does not stream")
    relation = duckdb.sql("select i::varchar as id, if(i > 9000, 'Kowalska', '1')::int as x from range(9999) as t(i)")
    frame = polars.LazyFrame({"id": ["1"], "x": ["Kowalska"]}).with_columns(polars.col("x").cast(polars.Int64))
    for found in (relation, frame):
        with pytest.raises(
            InvalidRequestError, match=r"table: was not computed to its end \(\w+\); collect it"
        ) as told:
            list(read_arrow(found, MAPPING))
        assert "Kowalska" not in str(told.value)


def test_lazy_frames_of_polars(path):
    """They are computed as their rows are read, in their order, and only in the columns that are mapped."""
    polars = pytest.importorskip("polars", reason="polars is not installed")
    frame = polars.scan_parquet(path)
    source = read_arrow(frame, MAPPING)
    assert list(source) == list(source) == EXPECTED
    many = polars.LazyFrame({"id": [str(n) for n in range(30_000)], "x": range(30_000)}).filter(polars.col("x") >= 5)
    assert [row["attributes"]["x"] for row in read_arrow(many, MAPPING)] == list(range(5, 30_000))
    with pytest.raises(Exception, match="nope"):
        list(read_arrow(polars.LazyFrame({"id": ["1"]}).with_columns(x=polars.col("nope")), MAPPING))


def test_relations_of_duckdb():
    """A relation is computed as its rows are read."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    with duckdb.connect() as connection:
        relation = connection.sql("select i::text as id, i as x from range(20000) r(i) order by i")
        assert [row["attributes"]["x"] for row in read_arrow(relation, MAPPING)] == list(range(20_000))


@pytest.fixture(scope="module")
def many_rows(tmp_path_factory):
    path, rows = tmp_path_factory.mktemp("tables") / "rows.parquet", 5_000
    schema = pa.schema({"id": pa.string(), "x": pa.string()})
    with parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as writer:
        for group in range(80):
            numbers = range(group * rows, (group + 1) * rows)
            columns = {"id": [str(n) for n in numbers], "x": [f"{n:0200}" for n in numbers]}
            writer.write_table(pa.table(columns, schema))
    return path


def test_no_file_is_held_whole(many_rows):
    """Arrow keeps what one reading has read of a file of Parquet until its end; here it is a part at a time."""
    before, most = pa.total_allocated_bytes(), 0
    for count, row in enumerate(read_arrow(parquet.ParquetFile(many_rows), MAPPING)):
        assert row["customId"] == str(count)
        if count % 1000 == 0:
            most = max(most, pa.total_allocated_bytes() - before)
    assert count == 399_999
    assert 0 < most < many_rows.stat().st_size / 2


class DeltaTable:
    """As the tables of Delta offer themselves."""

    def __init__(self, path):
        self.path = path

    def to_pyarrow_dataset(self):
        return datasets.dataset(self.path)


class IcebergScan:
    """As the scans of Iceberg do."""

    def __init__(self, table):
        self.table = table

    def to_arrow_batch_reader(self):
        return self.table.to_reader()


def test_tables_of_lakes(path, table):
    """By the Arrow scans that they offer."""
    for found in (DeltaTable(path), IcebergScan(table)):
        source = read_arrow(found, MAPPING)
        assert list(source) == list(source) == EXPECTED


class MappedDelta(DeltaTable):
    """As a table whose columns have other names in its files: a dataset of those holds nothing else than nulls."""

    def metadata(self):
        return type("Metadata", (), {"configuration": {"delta.columnMapping.mode": "name"}})


class UnreadableDelta(DeltaTable):
    def to_pyarrow_dataset(self):
        raise RuntimeError("deletionVectors")


UnreadableDelta.__module__ = "deltalake.table"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(MappedDelta, "so that all cells would be empty"), (UnreadableDelta, r"no dataset of pyarrow \(RuntimeError\)")],
)
def test_a_table_of_delta_whose_dataset_is_not_its_rows_is_refused(kind, problem, path):
    """Columns with other names in the files, deletion vectors: what reads them is named."""
    with pytest.raises(InvalidRequestError, match=rf"{problem}.*delta_scan"):
        read_arrow(kind(path), MAPPING)


def test_a_stream_is_not_read_twice(table):
    """A second reading would find no row, and a dry run before the run would send nothing: it is told."""
    streams = [table.to_reader(), (batch for batch in table.to_batches())]
    for stream in streams:
        source = read_arrow(stream, MAPPING)
        assert list(source) == EXPECTED
        with pytest.raises(InvalidRequestError, match="table: is a stream, which was read before"):
            list(source)


def test_a_table_of_delta_itself(tmp_path):
    """Rows that were deleted are not read."""
    deltalake = pytest.importorskip("deltalake", reason="deltalake is not installed")
    rows = pa.table({"id": ["1", "2", "3"], "x": [1, 2, 3]})
    deltalake.write_deltalake(str(tmp_path / "delta"), rows)
    found = deltalake.DeltaTable(str(tmp_path / "delta"))
    found.delete("x < 2")
    assert [row["customId"] for row in read_arrow(found, MAPPING)] == ["2", "3"]


class OldLazyFrame:
    def collect_schema(self):
        raise AssertionError


def test_a_lazy_frame_that_cannot_stream_is_refused():
    """Computing all of it at once is the caller's choice."""
    with pytest.raises(InvalidRequestError, match=r"table: is a OldLazyFrame of a polars .* give \.collect\(\)"):
        read_arrow(OldLazyFrame(), MAPPING)
