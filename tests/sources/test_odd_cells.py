"""Cells that no usual file has: numbers that JSON would change, half floats, maps, names that come twice."""

from __future__ import annotations

import datetime
import enum
import io
import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from uuid import UUID

import pyarrow as pa
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.bulk import UnreadableRow
from synerise_profiles.sources import RowMapping, field, read_arrow, read_csv, read_jsonl, read_sql
from synerise_profiles.sources.converters import convert_json, convert_nested, convert_text
from synerise_profiles.sources.errors import BadCellError
from synerise_profiles.sources.toml_writer import NotTomlError, toml_value
from synerise_profiles.sources.value_guesses import guess_values


class Level(enum.IntEnum):
    HIGH = 3


class Name(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        (Level.HIGH, "3"),
        (Name("Ann"), "Ann"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (datetime.datetime(2026, 3, 1, 8, tzinfo=datetime.UTC), "2026-03-01T08:00:00+00:00"),
        (Decimal("1E+3"), "1000"),
    ],
)
def test_what_has_one_spelling_is_a_text(cell, text):
    """A text is a plain one whatever class it had."""
    found = convert_text(cell)
    assert (found, type(found)) == (text, str)


def test_what_has_none_is_refused():
    """By its kind, never with its value."""
    with pytest.raises(BadCellError, match="is no text but a list"):
        convert_text(["secret"])
    for cell in (7, "text"):
        with pytest.raises(BadCellError, match="is neither a list nor an object"):
            convert_nested(cell)


@pytest.mark.parametrize(
    "cell", ['{"n": 1e400}', "[123456789012345678901234567890]", '{"a": 1, "a": 2}', "[1.12345678901234567890123]"]
)
def test_json_that_would_be_changed_is_refused(cell):
    """No number is rounded and no name lost in silence; the row is one bad line."""
    with pytest.raises(BadCellError) as caught:
        convert_json(cell)
    mapping = RowMapping.for_profiles({"id": "customId", "more": field("attributes.more", "json")})
    table = pa.table({"id": ["c-1", "c-2"], "more": [cell, "[1]"]})
    refused, row = read_arrow(table, mapping)
    assert isinstance(refused, UnreadableRow)
    assert str(caught.value) in refused.reason
    assert row == {"customId": "c-2", "attributes": {"more": [1]}}


def test_half_floats_have_their_own_digits():
    """As floats of 32 bits, also in lists."""
    np = pytest.importorskip("numpy", reason="numpy is not installed")  # older pyarrow makes half floats of it alone
    table = pa.table(
        {"id": ["c-1"], "n": pa.array([np.float16(0.5)], pa.float16()), "f": pa.array([0.1], pa.float32())}
    )
    mapping = RowMapping.for_profiles({"id": "customId", "n": "attributes.n", "f": "attributes.f"})
    (row,) = read_arrow(table, mapping)
    assert row["attributes"] == {"n": 0.5, "f": 0.1}


def test_a_map_whose_keys_are_no_texts_is_refused():
    """JSON has no other names."""
    table = pa.table({"id": ["c-1"], "m": pa.array([[(1, "a")]], pa.map_(pa.int64(), pa.string()))})
    with pytest.raises(InvalidRequestError, match=r"map<int64"):
        list(read_arrow(table, RowMapping.for_profiles({"id": "customId", "m": "attributes.m"})))


def test_a_query_that_names_a_column_twice_is_refused_where_rows_are_mappings():
    """One of the cells would be lost."""
    with closing(sqlite3.connect(":memory:")) as database:
        database.row_factory = lambda cursor, row: dict(
            zip([column[0] for column in cursor.description], row, strict=True)
        )
        mapping = RowMapping.for_profiles({"id": "customId"})
        (row,) = read_sql("SELECT 'c-1' AS id, 2 AS n", database, mapping)
        assert row == {"customId": "c-1"}
        with pytest.raises(InvalidRequestError, match="names a column twice, and the connection's rows are mappings"):
            list(read_sql("SELECT 'c-1' AS id, 2 AS id", database, mapping))


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("SELECT 1 AS id; SELECT 2 AS id", "is several statements; give one that selects rows"),
        ("CREATE TABLE t (id INTEGER)", "begins with CREATE, and is no query; give a SELECT"),
    ],
)
def test_duckdb_executes_one_query_alone(query, problem):
    """What else it would do is refused before."""
    duckdb = pytest.importorskip("duckdb")
    with closing(duckdb.connect()) as database:
        with pytest.raises(InvalidRequestError, match=problem):
            list(read_sql(query, database, RowMapping.for_profiles({"id": "customId"})))
        assert database.execute("SELECT count(*) FROM duckdb_tables()").fetchone() == (0,)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([], "empty"), (["20260301", "20260401"], "date"), (["1", "2"], "integer"), (["12345678901"], "digits")],
)
def test_a_guess_says_what_a_column_seems_to_hold(values, kind):
    """Digits of eight that are days are days; an empty column is nothing."""
    found = guess_values(values)
    assert kind in (found.kind, found.options.get("type", ""))


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ({1: "a"}, "a table whose key is a int"),
        (
            {"at": datetime.datetime(1900, 1, 1, tzinfo=datetime.timezone(datetime.timedelta(hours=1, seconds=24)))},
            "a time whose offset has seconds",
        ),
        ({"a": "\ud800"}, "a text with half a character"),
    ],
)
def test_what_toml_cannot_hold_is_said(value, problem):
    """Where a mapping file would have to hold it."""
    with pytest.raises(NotTomlError, match=problem):
        toml_value(value)


def test_a_line_with_a_number_that_is_too_large_is_one_bad_line():
    """Of JSON Lines as of CSV."""
    lines = [{"id": "c-1", "n": 1}, {"id": "c-2", "n": 10**30}, {"id": "c-3", "n": 3}]
    mapping = RowMapping.for_profiles({"id": "customId", "n": "attributes.n"})
    found = list(read_jsonl(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), mapping))
    assert [isinstance(row, UnreadableRow) for row in found] == [False, True, False]
    found = list(read_csv(io.StringIO("id,n\nc-1,1\n"), mapping))
    assert [row["customId"] for row in found] == ["c-1"]


@pytest.mark.parametrize(
    ("target", "at_fault"),
    [
        (field("attributes.x", "integer", fallback=["empty", "bad"]), "bad"),
        (field("attributes.x", "text", template="n{id}{bad}"), "bad"),
        (field("attributes.x", "text", template="n{empty}", fallback="bad"), "bad"),
        (field("attributes.x", "integer", template="n{id}"), "own"),
    ],
)
@pytest.mark.parametrize("own", [None, 1.0])
def test_a_derived_cell_that_cannot_be_read_is_told_by_the_column_that_it_came_from(target, at_fault, own):
    """Not by the column that had none, or whose template is right."""
    if own is not None and target.template is None:
        at_fault = None
    numbers = {"own": [own], "empty": [None], "bad": [float("inf")]}
    table = pa.table({"id": ["a"], **{name: pa.array(cells, pa.float64()) for name, cells in numbers.items()}})
    (row,) = read_arrow(table, RowMapping.for_profiles({"id": "customId", "own": target}))
    if at_fault is None:
        assert row["attributes"]["x"] == 1
    else:
        assert row.reason.startswith(f"column {at_fault!r} ")
