"""Sources in bulk runs, over real sockets to the sandbox: what is sent, what is refused, and where it stood."""

from __future__ import annotations

import asyncio
import collections
import csv
import gzip
import json
import re
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError, RowSource, UnreadableRow, read_dead_letter
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import MappingError, RowMapping, field, read_arrow, read_csv, read_json, read_jsonl

REAL = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
EVENT = {"action": "shop.visit", "label": "Visit", "time": "2026-01-01T00:00:00Z"}
COLUMNS = RowMapping.for_profiles({"id": "customId", "city": "city", "n": field("attributes.n", "integer")})


@pytest.fixture(scope="module")
def server():
    with Sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(server):
    server.reset()
    return server


@pytest.fixture
def client(sandbox):
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        yield client


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text('id,city,n\na,Łódź,1\nb,Hel,one\n"c","Nowy\nTarg",3\n,Gdynia,4\ne,Sopot,5,6\nf,Reda,7\n', "utf-8")
    return path


def rejections_of(report):
    return [(found.index, found.reference, found.stage, found.field, found.reason) for found in report.rejected]


@pytest.mark.parametrize("options", [{}, {"checks": "strict"}, {"checks": "off"}, {"concurrency": 1}])
def test_a_bad_cell_is_one_rejected_row_with_its_line(client, path, options):
    """The run goes on; the report and the dead-letter file say which line, which field and why, under any checks."""
    letters = path.with_name("letters.jsonl")
    report = client.bulk.upsert_profiles(read_csv(path, COLUMNS), dead_letter=letters, **options)
    assert report.complete
    bad = (1, 3, "check", "attributes.n", "column 'n' is not a whole number")
    ragged = (4, 7, "check", None, "has 4 cells, and there are 3 columns; is a cell with the delimiter not quoted?")
    found = rejections_of(report)
    assert bad in found
    assert ragged in found
    assert {line for _, line, *_ in found} == {3, 6, 7}
    assert (report.read, report.accepted) == (6, 3)
    letter = next(letter for letter in read_dead_letter(letters) if letter["reference"] == 3)
    assert letter["row"] == {"cells": {"id": "b", "city": "Hel", "n": "one"}}
    assert client.profiles.find("by-custom-id", "c").city == "Nowy\nTarg"


def test_each_row_of_a_source_is_an_object_of_its_own(path, tmp_path):
    """As `rows_are_fixed` says, of which a run takes a block at once: none is filled anew."""
    lines, array = tmp_path / "rows.jsonl", tmp_path / "rows.json"
    lines.write_text('{"id": "a"}\n' * 40)
    array.write_text(json.dumps([{"id": "a"}] * 40))
    by_id = RowMapping.for_profiles({"id": "customId"}, constants={"attributes.from": "shop"})
    by_order = RowMapping.for_events({"id": "client.customId", "n": "params.n"}, constants=EVENT, group_by="id")
    table = {"id": ["a"] * 40}
    files = [read_csv(path, by_order), read_csv(path, COLUMNS), read_jsonl(lines, by_id), read_json(array, by_id)]
    for source in [*files, read_jsonl(lines), read_json(array), read_arrow(pa.table(table), by_id)]:
        assert source.rows_are_fixed
        rows = list(source)
        assert len(set(map(id, rows))) == len(rows) > 3


def test_what_a_source_passed_over_is_in_the_notes_of_the_report(sandbox, client, tmp_path):
    """A header that comes again, a column without a name; sync and async, also where the run ends early."""
    path = tmp_path / "rows.csv"
    path.write_text("id,city,n,\na,Hel,1,\nid,city,n,\nb,Reda,2,\n")
    mapping = RowMapping.for_profiles({"id": "customId", "city": "city", "*": "attributes.*"})
    expected = {"the header of the file came again, and is no row": 1, "column 4 has no name, and is not read": 1}
    source = read_csv(path, mapping)
    for _ in range(2):
        report = client.bulk.upsert_profiles(source)
        assert report.accepted == 2
        assert expected.items() <= report.notes.items()

    async def send():
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as other:
            return await other.bulk.upsert_profiles(read_csv(path, mapping))

    assert expected.items() <= asyncio.run(send()).notes.items()
    path.write_text(path.read_text() + "c,Hel\n" * 3)
    with pytest.raises(BulkStoppedError) as caught:
        client.bulk.upsert_profiles(read_csv(path, mapping), max_errors=0)
    assert expected.items() <= caught.value.report.notes.items()


def test_a_servers_refusal_has_the_line_too(client, tmp_path):
    """A row that passes the checks and is refused by the server is found in the file."""
    path = tmp_path / "rows.csv"
    path.write_text("id,born\na,1987-10-24\nb,24.10.1987\n")
    mapping = RowMapping.for_profiles({"id": "customId", "born": field("birthDate", "text")})
    report = client.bulk.upsert_profiles(read_csv(path, mapping))
    assert [(line, stage) for _, line, stage, *_ in rejections_of(report)] == [(3, "server")]


def test_the_callers_own_reference_comes_first(client, path):
    """Where the caller knows rows by something else, that is repeated; a row that could not be read has its line."""
    report = client.bulk.upsert_profiles(read_csv(path, COLUMNS), reference=lambda row: row.get("city"))
    assert {reference for _, reference, *_ in rejections_of(report)} == {3, "Gdynia", 7}


def test_a_profile_that_did_not_arrive_has_its_line(client, tmp_path):
    """What was accepted and dropped without a word is read back, and found in the file."""
    client.bulk.upsert_profiles([{"customId": "a", "email": "a@example.com"}, {"customId": "b"}])
    path = tmp_path / "rows.csv"
    path.write_text("id,mail\n\nb,a@example.com\n")
    mapping = RowMapping.for_profiles({"id": "customId", "mail": "email"})
    report = client.bulk.upsert_profiles(read_csv(path, mapping), verify_sample=1, verify_within=0)
    assert [missing.reference for missing in report.verification.missing] == [3]


def test_nothing_is_sent_for_an_issue_of_the_mapping(sandbox, client, path):
    """A mapping for another method, an unknown column, a bad field: one error, and not one request for rows."""
    with pytest.raises(MappingError, match="did you mean 'city'"):
        client.bulk.upsert_profiles(read_csv(path, RowMapping.for_profiles({"id": "customId", "ctiy": "city"})))
    events = RowMapping.for_events({"id": "client.customId"}, constants={"label": "l", "action": "a.b"})
    for call in (client.bulk.upsert_profiles, client.bulk.delete_profiles):
        with pytest.raises(InvalidRequestError, match=r"the mapping of these rows is made for events\.send_batch"):
            call(read_csv(path, events))
    assert not [exchange for exchange in sandbox.log if exchange.operation.startswith(("profiles", "events"))]


def test_too_many_bad_cells_end_the_run(client, path):
    """They count as what any rejected row counts."""
    with pytest.raises(BulkStoppedError, match="more than 0 rows were rejected"):
        client.bulk.upsert_profiles(read_csv(path, COLUMNS), max_errors=0)


def test_a_journal_goes_on_in_the_same_file(client, path):
    """The second run sends nothing, and tells of the same lines."""
    journal = path.with_name("journal.db")
    first = client.bulk.upsert_profiles(read_csv(path, COLUMNS), journal=journal)
    second = client.bulk.upsert_profiles(read_csv(path, COLUMNS), journal=journal)
    assert (second.resumed, second.requests) == (first.accepted, 0)
    assert rejections_of(second) == rejections_of(first) != []


@pytest.mark.parametrize("method", ["delete_profiles", "assign_tag"])
def test_identifiers_from_a_file(client, tmp_path, method):
    """Deletions and tags take files too, one request a row."""
    client.bulk.upsert_profiles([{"customId": "a"}, {"customId": "b"}])
    known = [client.profiles.find("by-custom-id", name).client_id for name in "ab"]
    path = tmp_path / "rows.csv"
    path.write_text(f"id\n{known[0]}\nno number\n{known[1]}\n")
    source = read_csv(path, RowMapping.for_identifiers({"id": "clientId"}))
    options = {"tag_id": client.tags.create({"name": "vip"}).id} if method == "assign_tag" else {}
    report = getattr(client.bulk, method)(source, **options)
    assert (report.read, report.accepted) == (3, 2)
    assert rejections_of(report) == [(1, 3, "check", "clientId", "column 'id' is not a whole number")]


def test_events_of_json_lines_async(sandbox, tmp_path):
    """The async client reads the same sources."""
    path = tmp_path / "rows.jsonl"
    path.write_text('{"who":"a","n":1}\n{"who":"b","n":"x"}\nnot json\n{"who":"c","n":3}\n')
    mapping = RowMapping.for_events(
        {"who": "client.customId", "n": field("params.n", "integer")},
        constants={"label": "Visit", "action": "shop.visit"},
    )

    async def send():
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.bulk.send_events(read_jsonl(path, mapping))

    report = asyncio.run(send())
    assert [(line, reason) for _, line, _, _, reason in rejections_of(report)] == [
        (2, "column 'n' is not a whole number"),
        (3, "is not JSON, at character 1 of the line"),
    ]
    assert (report.read, report.accepted) == (4, 2)


def test_a_row_source_of_ones_own(client):
    """What the package's sources can do, a caller's can: reject a row, and say where it stood."""

    class Query:
        def __iter__(self):
            yield {"customId": "a"}
            yield UnreadableRow("city", "is no city", {"id": 7})

        def check(self, operation):
            assert operation.name == "profiles.upsert_batch"

        def locate(self, index):
            return f"record {index}"

    assert isinstance(Query(), RowSource)
    report = client.bulk.upsert_profiles(Query())
    assert rejections_of(report) == [(1, "record 1", "check", "city", "is no city")]


# --- the real set


RETAIL = {
    "CustomerID": field("customId", "text"),
    "Country": "attributes.country",
    "InvoiceNo": field("attributes.lastInvoice", "text"),
    "InvoiceDate": field("attributes.lastSeen", "datetime", format="%d/%m/%Y %H:%M", zone="Europe/London"),
    "Quantity": field("attributes.lastQuantity", "integer"),
    "UnitPrice": field("attributes.lastPrice", "decimal"),
}


@pytest.fixture
def real():
    if not REAL.exists():
        pytest.skip("the real set is not beside this checkout")
    return REAL


def test_the_real_set_is_read_the_same_from_a_file_and_from_tables(real):
    """One mapping makes the same 39,529 rows of the CSV, of an Arrow table with types, and of a DataFrame."""
    mapping = RowMapping.for_profiles(RETAIL)
    rows = list(read_csv(real, mapping))
    assert len(rows) == 39_529
    assert not [row for row in rows if isinstance(row, UnreadableRow)]
    arrow = pytest.importorskip("pyarrow.csv", reason="pyarrow is not installed")
    options = arrow.ConvertOptions(strings_can_be_null=True)
    assert list(read_arrow(arrow.read_csv(real, convert_options=options), mapping)) == rows
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    assert list(read_arrow(pandas.read_csv(real), mapping)) == rows


def test_the_real_set_arrives_from_a_file(real, client, tmp_path):
    """Every line has its fate: lines without a customer are refused with their numbers, spoilt ones with their cell."""
    broken = tmp_path / "sales.csv.gz"
    lines = gzip.decompress(real.read_bytes()).split(b"\n")
    lines[100] = lines[100].replace(b"/12/2010", b"/13/2010")
    place = next(place for place in range(200, 900) if re.search(rb",\d+,United Kingdom", lines[place]))
    lines[place] = lines[place].replace(b"United Kingdom", b"United King\xe9om")
    broken.write_bytes(gzip.compress(b"\n".join(lines)))
    report = client.bulk.upsert_profiles(read_csv(broken, RowMapping.for_profiles(RETAIL)), checks="strict")
    nameless = nameless_lines(real)
    assert report.complete
    assert report.read == 39_529
    by_line = {found.reference: found for found in report.rejected}
    assert by_line.keys() == nameless | {101, place + 1}
    assert by_line[101].field == "attributes.lastSeen"
    assert by_line[place + 1].field == "attributes.country"
    assert report.accepted == 39_529 - len(by_line)
    assert client.profiles.find("by-custom-id", "17850").attributes["country"] == "United Kingdom"


def nameless_lines(path):
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        place = next(reader).index("CustomerID")
        return {reader.line_num for row in reader if not row[place]}


def test_the_real_set_arrives_from_a_table(real, client):
    """Each of the first sold items is an event, from an Arrow table; two equal lines are two events on request."""
    arrow = pytest.importorskip("pyarrow.csv", reason="pyarrow is not installed")
    mapping = RowMapping.for_events(
        {
            "CustomerID": field("client.customId", "text"),
            "InvoiceDate": field("time", format="%d/%m/%Y %H:%M", zone="Europe/London"),
            "StockCode": "params.sku",
            "Quantity": "params.quantity",
            "UnitPrice": "params.price",
        },
        constants={"label": "Item sold", "action": "item.sold", "params.currency": "GBP"},
    )
    table = arrow.read_csv(real).slice(0, 3000)
    report = client.bulk.send_events(read_arrow(table, mapping), keep_duplicates=True)
    stages = collections.Counter(found.field for found in report.rejected)
    assert stages == {"client": table.column("CustomerID").null_count}
    assert report.accepted == 3000 - stages["client"]


LETTERS = RowMapping.for_profiles(
    {"id": "customId", "Town": "city", "Mail": "email", "Born": field("birthDate", "date", format="%d.%m.%Y")}
)


def test_letters_of_cells_and_of_fields_are_read_as_what_would_have_been_sent(client, tmp_path):
    """One row refused as it is read and one refused later come as fields of the API; what is mended arrives whole."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_text("id,Town,Born,Mail\na,Gdynia,1987-10-24,a@example.com\nb,Hel,24.10.1987,no-address\n")
    report = client.bulk.upsert_profiles(read_csv(path, LETTERS), dead_letter=letters)
    assert len(report.rejected) == 2
    assert [letter["row_holds"] for letter in read_dead_letter(letters)] == ["cells", "fields"]
    still_bad, later = read_dead_letter(letters, LETTERS)
    assert isinstance(still_bad["row"], UnreadableRow)
    assert (still_bad["row"].field, still_bad["row_holds"]) == ("birthDate", "cells")
    assert later["row"] == {"customId": "b", "city": "Hel", "birthDate": "1987-10-24", "email": "no-address"}
    better = RowMapping.for_profiles(
        {"id": "customId", "Town": "city", "Mail": "email", "Born": field("birthDate", "date", format="%Y-%m-%d")}
    )
    rows = [
        {**letter["row"], "email": f"{n}@example.com"} for n, letter in enumerate(read_dead_letter(letters, better))
    ]
    assert client.bulk.upsert_profiles(rows).accepted == 2
    assert [client.profiles.find("by-custom-id", key).city for key in "ab"] == ["Gdynia", "Hel"]


def test_a_ragged_row_stays_unreadable_in_letters(client, tmp_path):
    """A row with a cell too few has no columns to read it by: it is not sent with what happens to be there."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_text("id,Town,Born,Mail\na,Gdynia\n")
    client.bulk.upsert_profiles(read_csv(path, LETTERS), dead_letter=letters)
    (letter,) = read_dead_letter(letters, LETTERS)
    assert isinstance(letter["row"], UnreadableRow)


def test_cells_for_another_operation_than_that_of_the_mapping_are_refused(client, tmp_path):
    """Cells of profiles are not read by a mapping of events; the error names both operations."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_text("id,Town,Born,Mail\na,Gdynia,1987-10-24,a@example.com\n")
    client.bulk.upsert_profiles(read_csv(path, LETTERS), dead_letter=letters)
    events = RowMapping.for_events({"id": "client.customId", "Town": "label"}, constants={"action": "shop.visit"})
    with pytest.raises(InvalidRequestError, match=r"profiles\.upsert_batch"):
        list(read_dead_letter(letters, events))


def test_cells_are_no_fields_whoever_sends_them(client, tmp_path):
    """The row of a letter of cells is refused by every method, mended or not, with what to do; nothing is stored."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_text("customId,Town,Born,Mail\na,Gdynia,24.13.1987,a@example.com\n")
    mapping = RowMapping.for_profiles(
        {"customId": "customId", "Town": "city", "Born": field("birthDate", "date", format="%d.%m.%Y")}
    )
    client.bulk.upsert_profiles(read_csv(path, mapping), dead_letter=letters)
    (letter,) = read_dead_letter(letters)
    assert letter["mapping"] == mapping.digest
    for row in (letter["row"], {**letter["row"], "birthDate": "1987-10-24"}, {**letter["row"], "customId": "a"}):
        for checks in ("basic", "strict"):
            (rejection,) = client.bulk.upsert_profiles([row], checks=checks).rejected
            assert rejection.stage == "check"
    assert rejection.field == "cells"
    assert "client.bulk.replay" in rejection.reason


def test_a_generator_between_a_source_and_a_run_keeps_the_mapping_of_cells(client, tmp_path):
    """The letters of rows that pass through a generator say by which mapping their cells were read."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_text("id,Town,Born,Mail\na,Gdynia,never,a@example.com\nb,Hel\n")
    client.bulk.upsert_profiles((row for row in read_csv(path, LETTERS)), dead_letter=letters)
    assert [letter["mapping"] for letter in read_dead_letter(letters)] == [LETTERS.digest] * 2


def test_a_cell_that_lost_bytes_is_not_sent_without_them(client, tmp_path):
    """Bytes that are no text stay a reason to refuse the row, from files and tables alike, until the cell is mended."""
    path, letters = tmp_path / "rows.csv", tmp_path / "rejected.jsonl"
    path.write_bytes(b"id,Town\na,Gda\xf1sk\n")
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"id": ["a"], "Town": pa.array([b"Gda\xf1sk"], pa.binary()).view(pa.string())})
    mapping = RowMapping.for_profiles({"id": "customId", "Town": "city"})
    for source in (read_csv(path, mapping), read_arrow(table, mapping)):
        client.bulk.upsert_profiles(source, dead_letter=letters)
        (letter,) = read_dead_letter(letters, mapping)
        assert isinstance(letter["row"], UnreadableRow)
        assert (letter["row"].field, "lost bytes" in letter["row"].reason) == ("city", True)


@pytest.mark.parametrize("target", [None, "text", "number", "decimal"])
def test_decimals_in_letters_are_read_as_those_of_the_table(client, tmp_path, target):
    """What a decimal column gives does not change on the way through a letter."""
    letters = tmp_path / "rejected.jsonl"
    pa = pytest.importorskip("pyarrow")
    amounts = pa.array([Decimal("1.50"), Decimal("12345678901234567890.12")], pa.decimal128(30, 2))
    table = pa.table({"id": ["a", "b"], "d": amounts, "n": ["what", "ever"]})
    bad = RowMapping.for_profiles({"id": "customId", "d": "attributes.d", "n": field("attributes.n", "boolean")})
    to_d = "attributes.d" if target is None else field("attributes.d", target)
    good = RowMapping.for_profiles({"id": "customId", "d": to_d, "n": "attributes.n"})
    client.bulk.upsert_profiles(read_arrow(table, bad), dead_letter=letters)
    again = [letter["row"] for letter in read_dead_letter(letters, good)]
    for row, expected in zip(again, read_arrow(table, good), strict=True):
        assert row == expected or (row.reason, row.field) == (expected.reason, expected.field)
