"""Parquet files: found by paths, folders, patterns and addresses; read in the order of their names."""

from __future__ import annotations

import io
import socket
import subprocess
import sys
import tracemalloc
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import MappingError, RowMapping, field, read_csv, read_parquet

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow has no Parquet")
fs = pytest.importorskip("pyarrow.fs", reason="pyarrow has no file systems")
MAPPING = RowMapping.for_profiles({"id": field("customId", "text"), "*": "attributes.*"})


def write(path, **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "lake"
    write(folder / "day=2024-06-02" / "a.parquet", id=[3, 4], y=["u", "v"])
    write(folder / "day=2024-06-01" / "b.parquet", id=[2], x=[7])
    write(folder / "day=2024-06-01" / "a.parquet", id=[1], x=[6])
    (folder / "_SUCCESS").write_bytes(b"")
    (folder / "day=2024-06-01" / ".a.parquet.crc").write_bytes(b"crc")
    return folder


# A process of its own: pyarrow holds Python's lock while it opens a file.
EMULATOR = """
import sys
from gcp_storage_emulator.server import create_server
create_server("127.0.0.1", int(sys.argv[1]), in_memory=True, default_bucket="lake").start()
print("ready", flush=True)
"""


@pytest.fixture
def google():
    """A store that speaks Google's protocol, by the port of its server."""
    pytest.importorskip("gcp_storage_emulator", reason="gcp-storage-emulator is not installed")
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        port = opened.getsockname()[1]
    command = [sys.executable, "-c", EMULATOR, str(port)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as emulator:
        assert emulator.stdout is not None
        assert emulator.stdout.readline() == b"ready\n"
        yield port
        emulator.kill()


def test_addresses_of_google_cloud_storage(google):
    """By an address with a pattern, or with a file system; both read what stands there, in its order."""
    limit = {"retry_time_limit": timedelta(seconds=5)}
    system = fs.GcsFileSystem(anonymous=True, scheme="http", endpoint_override=f"127.0.0.1:{google}", **limit)
    for day in ("2024-06-02", "2024-06-01"):
        names = [f"{day}-{number}" for number in range(3)]
        content = io.BytesIO()
        pq.write_table(pa.table({"id": names}), content)
        upload = f"/upload/storage/v1/b/lake/o?uploadType=media&name=people/day={day}/a.parquet"
        headers = {"Content-Type": "application/octet-stream"}
        assert httpx.post(f"http://127.0.0.1:{google}{upload}", content=content.getvalue(), headers=headers).is_success
    expected = [f"2024-06-0{day}-{number}" for day in (1, 2) for number in range(3)]
    options = f"scheme=http&endpoint_override=127.0.0.1%3A{google}&retry_limit_seconds=5"
    for path in ("people/day=*/*.parquet", "people", "people/day=2024-06-01/a.parquet"):
        wanted = expected[:3] if path.endswith("01/a.parquet") else expected
        by_address = read_parquet(f"gs://anonymous@lake/{path}?{options}", MAPPING)
        assert ids(by_address) == ids(read_parquet(f"gs://lake/{path}", MAPPING, filesystem=system)) == wanted
        assert [row["attributes"]["day"] for row in by_address] == [name[:10] for name in wanted]
    with pytest.raises(FileNotFoundError):
        read_parquet(f"gs://anonymous@lake/nothing.parquet?{options}", MAPPING)


def ids(source):
    return [row["customId"] for row in source]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", "1234"),
        ("day=2024-06-01", "12"),
        ("day=2024-06-01/b.parquet", "2"),
        ("*/a.parquet", "134"),
        ("**/*.parquet", "1234"),
        ("day=2024-06-0[2-9]/*", "34"),
        ("*/?.parquet", "1234"),
    ],
)
@pytest.mark.parametrize("kind", ["text", "path", "address", "filesystem"])
def test_paths_folders_and_patterns(folder, pattern, expected, kind):
    """Files come in the order of their names, whatever way they are named; hidden files are none."""
    path = folder / pattern if pattern else folder
    if kind == "address" and "?" in pattern:
        pytest.skip("a question mark begins the options of an address")
    options = {"filesystem": fs.LocalFileSystem()} if kind == "filesystem" else {}
    given = {"text": str(path), "path": path, "address": f"file://{path}", "filesystem": str(path)}[kind]
    source = read_parquet(given, MAPPING, **options)
    assert "".join(ids(source)) == expected
    assert "".join(ids(source)) == expected


def test_what_is_no_parquet_file_in_a_folder_is_passed_over(folder):
    """By its name and its content, with a note; a damaged file, and one that is named, are refused."""
    path = folder / "day=2024-06-01"
    names = ["README.md", "day=2024-06-01/a.parquet.crc", "day=2024-06-01/data.csv", "manifest"]
    for name in names:
        (folder / name).write_text("a;b\n" * 9)
    (folder / "empty").write_bytes(b"")
    (path / "a.parquet").rename(path / "part-00000")  # as Hive names its files
    source = read_parquet(folder, MAPPING)
    assert "".join(ids(source)) == "2134"
    told = {note for note in source.notes if "is no Parquet file, and is not read" in note}
    assert {note.split()[0] for note in told} == {*names, "empty"}
    for given in (folder / "README.md", folder / "*", [path, folder / "manifest"]):
        with pytest.raises(InvalidRequestError, match="paths: "):
            read_parquet(given, MAPPING)
    (path / "c.parquet").write_bytes(b"PAR1")
    with pytest.raises(InvalidRequestError, match=r"c\.parquet is damaged"):
        read_parquet(folder, MAPPING)
    (folder / "text").mkdir()
    (folder / "text" / "a.csv").write_text("a;b\n" * 9)
    with pytest.raises(InvalidRequestError, match=r"a\.csv"):
        read_parquet(folder / "text", MAPPING)


def test_an_address_is_a_path_within_a_file_system(folder):
    """Its store is the one that is given; what stands before the path otherwise is no part of it."""
    local = fs.LocalFileSystem()
    assert "".join(ids(read_parquet(f"file://{folder}", MAPPING, filesystem=local))) == "1234"
    with pytest.raises(
        InvalidRequestError, match="paths: begin with hdfs://, and with filesystem= a path is one within"
    ):
        read_parquet("hdfs://host/lake", MAPPING, filesystem=local)


def test_several_paths_keep_their_order(folder):
    """As given; a file that is named twice would be sent twice."""
    second, first = (folder / f"day=2024-06-0{day}" / "a.parquet" for day in (2, 1))
    assert ids(read_parquet([second, first], MAPPING)) == ["3", "4", "1"]
    with pytest.raises(InvalidRequestError, match="paths: name a file twice"):
        read_parquet([first, folder], MAPPING)


def test_columns_of_all_files(folder):
    """The names of folders are columns; what some files lack is empty there, and counted; a row knows its file."""
    source = read_parquet(folder, MAPPING)
    assert list(source)[:3] == [
        {"customId": "1", "attributes": {"x": 6, "day": "2024-06-01"}},
        {"customId": "2", "attributes": {"x": 7, "day": "2024-06-01"}},
        {"customId": "3", "attributes": {"y": "u", "day": "2024-06-02"}},
    ]
    assert source.notes == {
        "column 'x' is not in all files; its cells are empty there": 1,
        "column 'y' is not in all files; its cells are empty there": 2,
    }
    assert source.locate(3) == "day=2024-06-02/a.parquet, row 1"
    assert source.file_names == ("day=2024-06-01/a.parquet", "day=2024-06-01/b.parquet", "day=2024-06-02/a.parquet")
    assert read_parquet(folder / "day=2024-06-02" / "a.parquet", MAPPING).locate(1) == 1


def test_types_that_differ_between_files(tmp_path):
    """Numbers are read as they are; other types that differ are an error before a row is read, if they are mapped."""
    write(tmp_path / "a.parquet", id=pa.array([1], pa.int32()), x=[1], z=[1])
    write(tmp_path / "b.parquet", id=pa.array([2], pa.int64()), x=["one"], z=[1.5])
    only = RowMapping.for_profiles({"id": field("customId", "text"), "z": "attributes.z"})
    assert list(read_parquet(tmp_path, only)) == [
        {"customId": "1", "attributes": {"z": 1.0}},
        {"customId": "2", "attributes": {"z": 1.5}},
    ]
    with pytest.raises(MappingError, match=r"column 'x': is int64 in a\.parquet, and string in b\.parquet; read"):
        read_parquet(tmp_path, MAPPING)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([2**53 + 1, 3]), pa.array([5.5, float("nan")]), [2**53 + 1, 3, 5.5]),
        (pa.array([5.5]), pa.array([2**63 - 1]), [5.5, 2**63 - 1]),
        (pa.array([2**63 - 1]), pa.array([2**64 - 1], pa.uint64()), [2**63 - 1, 2**64 - 1]),
        (pa.array([0.1], pa.float32()), pa.array([0.1, 1e-7]), [0.1, 0.1, 1e-7]),
        (pa.array([Decimal("0.12345678901234567")]), pa.array([0.5]), [Decimal("0.12345678901234567"), 0.5]),
        (pa.array([2**53 + 1]), pa.array([Decimal("1.10")]), [2**53 + 1, 1.1]),
        (pa.array([[2**53 + 1]]), pa.array([[0.5]]), [[2**53 + 1], [0.5]]),
        (pa.array([{"a": 2**53 + 1}]), pa.array([{"a": 0.5, "b": 1}]), [{"a": 2**53 + 1}, {"a": 0.5, "b": 1}]),
        (pa.array(["a"]).dictionary_encode(), pa.array(["b"]), ["a", "b"]),
        (
            pa.array([datetime(2024, 6, 1, tzinfo=UTC)], pa.timestamp("us", "UTC")),
            pa.array([datetime(2600, 1, 1, tzinfo=UTC)], pa.timestamp("s", "Europe/Warsaw")),
            ["2024-06-01T00:00:00+00:00", "2600-01-01T01:00:00+01:00"],
        ),
    ],
)
def test_values_of_other_types_keep_their_digits(tmp_path, first, second, expected):
    """What is an integer in one file and a double in another is read by the type of its own file, digit by digit."""
    pairs = (("a", first), ("b", second), ("c", first))
    for name, cells in pairs:
        write(tmp_path / f"{name}.parquet", id=[name] * len(cells), n=cells)
    mapping = RowMapping.for_profiles({"id": "customId", "n": "attributes.n"})
    source = read_parquet(tmp_path, mapping)
    found = [row["attributes"]["n"] for row in source if "attributes" in row]
    assert [(value, type(value)) for value in found[: len(expected)]] == [(value, type(value)) for value in expected]
    assert found[len(expected) :] == found[: len(found) - len(expected)]
    assert source.locate(len(first) + len(second)) == "c.parquet, row 0"


def test_floats_of_other_types_are_texts_row_by_row(tmp_path):
    """A double that has lost digits is refused by itself where a text is made of it."""
    write(tmp_path / "a.parquet", id=[2**53 + 1])
    write(tmp_path / "b.parquet", id=[5.0, 2.0**60])
    found = list(read_parquet(tmp_path, RowMapping.for_profiles({"id": field("customId", "text")})))
    assert found[:2] == [{"customId": "9007199254740993"}, {"customId": "5"}]
    assert "has lost digits" in found[2].reason


def test_folders_as_columns_where_types_differ(tmp_path):
    """The names of folders keep the type that they have together, whichever files are read at a time."""
    write(tmp_path / "day=1" / "a.parquet", id=["a"], n=[1])
    write(tmp_path / "day=x" / "a.parquet", id=["b"], n=[1.5])
    assert [row["attributes"] for row in read_parquet(tmp_path, MAPPING)] == [
        {"day": "1", "n": 1},
        {"day": "x", "n": 1.5},
    ]


def test_names_with_dots_and_nested_columns(tmp_path):
    """A dot in a name is no way into a struct."""
    write(tmp_path / "a.parquet", id=["1"], **{"a.b": [1], "a": [{"b": 2, "c": None}]})
    expected = [{"customId": "1", "attributes": {"a": {"b": 2}, "a.b": 1}}]
    assert list(read_parquet(tmp_path, MAPPING)) == expected


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("", "is empty; give the path of a file"),
        ([], "is empty; give the path of a file"),
        (5, "expected a path or a list of paths, got int"),
        (b"x", "expected a path or a list of paths, got bytes"),
        ("q*.parquet", "lead to no file"),
        ("s9://user:secret-key@bucket/x", r"is an address s9:// that pyarrow cannot open \(ArrowInvalid\)"),
    ],
)
def test_paths_that_lead_nowhere(tmp_path, monkeypatch, given, problem):
    """One error, which never shows the password of an address."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match=f"paths: {problem}") as caught:
        read_parquet(given, MAPPING)
    assert "secret" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match=r"nobody\.parquet"):
        read_parquet("nobody.parquet", MAPPING)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"id,x\n1,2\n", "is no Parquet; read CSV by read_csv"),
        (b"PK\x03\x04....", "is a zip file, such as xlsx"),
        (b"<!doctype html><title>Sign in</title>", "is HTML or XML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS"),
        (b"PAR1 cut off", "is damaged or cut off"),
    ],
)
def test_files_of_another_form(folder, content, problem):
    """One error that names the file and says what to do, before anything is sent."""
    (folder / "day=2024-06-01" / "c.parquet").write_bytes(content)
    with pytest.raises(InvalidRequestError, match=rf"paths: day=2024-06-01/c\.parquet {problem}"):
        read_parquet(folder, MAPPING)


@pytest.mark.parametrize(
    "pattern", ["", "*", "data", "data/*.parquet", "data/day=1", "data/**/*.parquet", "../*/data/*"]
)
@pytest.mark.parametrize(
    ("mark", "advice"),
    [
        ("_delta_log/00000000000000000000.json", r"Delta, .* read it by read_arrow\(deltalake\.DeltaTable\(path\)"),
        ("metadata/v1.metadata.json", r"Iceberg, .* read it by read_arrow\(table\.scan\(\)"),
    ],
)
def test_the_folder_of_a_table_is_refused(tmp_path, pattern, mark, advice):
    """Its files hold rows that were deleted; files that are named one by one, and neighbours, are read."""
    table = tmp_path / "table"
    write(table / "a.parquet", id=[1])
    write(table / "data" / "b.parquet", id=[2])
    write(table / "data" / "day=1" / "c.parquet", id=[3])
    (table / mark).parent.mkdir()
    (table / mark).write_text("{}")
    with pytest.raises(InvalidRequestError, match=f"paths: lead into a table of {advice}"):
        read_parquet(table / pattern, MAPPING)
    assert ids(read_parquet([table / "a.parquet", table / "data" / "b.parquet"], MAPPING)) == ["1", "2"]
    write(tmp_path / "plain" / "metadata" / "a.parquet", id=[4])
    assert ids(read_parquet(tmp_path / "plain", MAPPING)) == ["4"]
    assert ids(read_parquet(f"{tmp_path}/p*/**/*.parquet", MAPPING)) == ["4"]


def test_a_file_system_of_fsspec(folder):
    """Where it is installed, its file systems are taken as they are."""
    fsspec = pytest.importorskip("fsspec", reason="fsspec is not installed")
    found = read_parquet(str(folder), MAPPING, filesystem=fsspec.filesystem("file"))
    assert ids(found) == ["1", "2", "3", "4"]


def test_csv_readers_send_parquet_here(folder):
    """Read as CSV, it is one error that names this reader."""
    path = folder / "day=2024-06-01" / "a.parquet"
    with pytest.raises(InvalidRequestError, match="is a Parquet file; read it by read_parquet"):
        read_csv(path, RowMapping.for_profiles({"id": "customId"}))


def test_a_run_names_the_file_of_a_refused_row(folder, tmp_path):
    """The report says in which file a row stands."""
    write(folder / "day=2024-06-02" / "b.parquet", id=[5, None])
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.upsert_profiles(read_parquet(folder, MAPPING), dead_letter=tmp_path / "letters.jsonl")
        assert (report.accepted, report.rejected_count()) == (5, 1)
        assert next(iter(report.rejected)).reference == "day=2024-06-02/b.parquet, row 1"
        assert client.profiles.find("by-custom-id", "3").attributes["y"] == "u"


def test_memory_is_that_of_a_part(tmp_path):
    """Python's memory does not grow with the number of rows."""
    peaks = []
    for rows in (20_000, 200_000):
        write(tmp_path / "a.parquet", id=[f"customer-{n}" for n in range(rows)])
        tracemalloc.start()
        count = sum(1 for _ in read_parquet(tmp_path / "a.parquet", MAPPING))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count == rows
    assert peaks[1] < 1.2 * peaks[0] + 1_000_000


def test_a_damaged_page_is_told_with_the_name_of_its_file(tmp_path):
    """The footer is whole, so that it is found amid the rows."""
    names = [str(number) * 40 for number in range(50_000)]
    for name in ("a.parquet", "b.parquet"):
        pq.write_table(pa.table({"id": names}), tmp_path / name, use_dictionary=False, compression="snappy")
    content = bytearray((tmp_path / "b.parquet").read_bytes())
    content[1000:60_000] = b"\xff" * 59_000
    (tmp_path / "b.parquet").write_bytes(content)
    for paths, words in ((tmp_path, r"[ab]\.parquet(, or a file after it,)?"), (tmp_path / "b.parquet", r"b\.parquet")):
        with pytest.raises(InvalidRequestError, match=f"^{words} cannot be read to its end"):
            list(read_parquet(paths, RowMapping.for_profiles({"id": "customId"})))


@pytest.mark.parametrize("folders", [("007", "012"), ("1", "1.0"), ("1", "x"), ("1e3", "0x1")])
def test_names_of_folders_are_texts(tmp_path, folders):
    """No zero goes, whatever the names beside it are; a type makes numbers of them."""
    for name in folders:
        write(tmp_path / f"customer={name}" / "a.parquet", city=["Hel"])
    as_text = RowMapping.for_profiles({"customer": ["customId", field("attributes.shop", template="shop-{customer}")]})
    found = {row["customId"]: row["attributes"]["shop"] for row in read_parquet(tmp_path, as_text)}
    assert found == {name: f"shop-{name}" for name in folders}
    if folders == ("007", "012"):
        as_number = RowMapping.for_profiles({"customer": ["customId", field("attributes.n", "integer")]})
        assert [row["attributes"]["n"] for row in read_parquet(tmp_path, as_number)] == [7, 12]


@pytest.mark.parametrize(
    ("folder", "cell"),
    [
        ("2026-01-02", "2026-01-02"),
        ("2026-01-02", date(2026, 1, 2)),
        ("2026-01-02 08%3A30%3A00", datetime(2026, 1, 2, 8, 30)),  # noqa: DTZ001
        ("007", 7),
        ("7.50", 7.5),
        ("True", True),
        ("2026-01-02", None),
    ],
    ids=repr,
)
def test_a_column_of_the_files_that_a_folder_hides_is_noted(tmp_path, folder, cell):
    """Whatever its type, the name of the folder is read, and the report says so."""
    write(tmp_path / f"day={folder}" / "a.parquet", id=["a", "b"], day=[cell, cell])
    source = read_parquet(tmp_path, MAPPING)
    assert {row["attributes"]["day"] for row in source} == {folder.replace("%3A", ":")}
    assert source.notes == {"column 'day' is in files too; the name of the folder is read": 1}


@pytest.mark.parametrize("cell", ["2026-01-01", 5, {"a": 1}, b"x", float("nan")], ids=repr)
def test_a_column_of_the_files_that_a_folder_would_lose_is_refused(tmp_path, cell):
    """Where it holds another value; a column that is not mapped is none of the rows' business."""
    write(tmp_path / "day=2026-01-02" / "a.parquet", id=["a", "b"], day=[cell, cell])
    with pytest.raises(MappingError, match=r"'day': in day=2026-01-02/a\.parquet holds other values than the name"):
        read_parquet(tmp_path, MAPPING)
    assert len(list(read_parquet(tmp_path, RowMapping.for_profiles({"id": "customId"})))) == 2


def test_a_file_beside_the_folders_keeps_its_column(tmp_path):
    """It has no name of a folder, so that its value would be lost."""
    write(tmp_path / "day=2026-01-02" / "a.parquet", id=["a"])
    write(tmp_path / "b.parquet", id=["b"], day=["2026-01-03"])
    with pytest.raises(MappingError, match=r"'day': in b\.parquet holds other values"):
        read_parquet(tmp_path, MAPPING)


def test_one_column_of_two_folders_is_refused(tmp_path):
    """Of a folder within another one, pyarrow reads the outer alone; names are decoded first."""
    for number, inner in enumerate(("day=2", "%64ay=2", "x/day=1")):
        write(tmp_path / str(number) / "day=1" / inner / "a.parquet", id=["a"])
        with pytest.raises(InvalidRequestError, match="two folders of the column 'day', one within the other"):
            read_parquet(tmp_path / str(number), MAPPING)


def test_names_of_folders_are_decoded(tmp_path):
    """As pyarrow reads them: the column and its value, and the word for null."""
    write(tmp_path / "%64ay=1%2F2" / "a.parquet", id=["a"])
    write(tmp_path / "day=__HIVE_DEFAULT_PARTITION__" / "b.parquet", id=["b"])
    rows = list(read_parquet(tmp_path, MAPPING))
    assert rows == [{"customId": "a", "attributes": {"day": "1/2"}}, {"customId": "b"}]


def test_a_column_of_no_one_kind_is_told_by_the_types_of_its_files(tmp_path):
    """As they stand there, whatever kind the numbers of other files have together."""
    for name, cell in (("a", 1), ("b", 1.5), ("c", "x")):
        write(tmp_path / f"{name}.parquet", id=["1"], n=[cell])
    with pytest.raises(MappingError, match=r"is int64 in a\.parquet, and string in c\.parquet"):
        read_parquet(tmp_path, MAPPING)
