"""Queries over open connections: SQLite, DuckDB, ADBC and a real PostgreSQL, read as a run takes their rows."""

from __future__ import annotations

import contextlib
import gc
import sqlite3
import traceback
import uuid
from collections import deque
from struct import pack, unpack

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles.bulk import UnreadableRow, report_of
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import MappingError, RowMapping, field, read_sql
from tests.sources import postgres

MAPPING = RowMapping.for_profiles({"id": field("customId", "text"), "*": "attributes.*"})
BIG = 123456789012345678901234567890


@pytest.fixture
def lite():
    connection = sqlite3.connect(":memory:")
    connection.execute("create table people (id, x)")
    connection.executemany("insert into people values (?, ?)", [(1, "a"), ("b", 2.5), ("c", None)])
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def socket():
    pytest.importorskip("psycopg", reason="psycopg is not installed")
    programs = postgres.find_server()
    if programs is None:
        pytest.skip("there is no PostgreSQL server; Debian has it as the package postgresql")
    with postgres.serve(programs) as folder:
        yield folder


@pytest.fixture
def server(socket):
    psycopg = pytest.importorskip("psycopg")
    with psycopg.connect(host=str(socket), user="tester", dbname="postgres") as connection:
        yield connection
        connection.rollback()


# Columns of every type that people have, as PostgreSQL writes them.
WIDE = f"""
    select 'customer-1' as id, 2.50::numeric(10,2) as price, 7::bigint as count, true as active,
           date '2024-06-01' as day, timestamptz '2024-06-01 12:00:00+02' as at,
           '{{"big": {2**60}, "none": null}}'::jsonb as extra, array['a', 'b'] as words, null as nothing,
           '6f1f9d05-6b8c-4f0c-9f0e-3b5a6d9e2c11'::uuid as token
    where %s
"""
EXPECTED = {
    "price": 2.5,
    "count": 7,
    "active": True,
    "day": "2024-06-01",
    "at": "2024-06-01T10:00:00+00:00",
    "extra": {"big": 2**60},
    "words": ["a", "b"],
    "token": "6f1f9d05-6b8c-4f0c-9f0e-3b5a6d9e2c11",
}


def test_rows_of_sqlite(lite):
    """Cells of one column may have several types; each is read by itself, and null is an empty cell."""
    source = read_sql("select * from people where id != ?", lite, MAPPING, params=["z"])
    expected = [
        {"customId": "1", "attributes": {"x": "a"}},
        {"customId": "b", "attributes": {"x": 2.5}},
        {"customId": "c"},
    ]
    assert list(source) == expected
    assert list(source) == expected  # executed again
    assert (source.columns, source.locate(1)) == (("id", "x"), 1)


@pytest.mark.parametrize(
    "factory", [sqlite3.Row, lambda cursor, row: {c[0]: v for c, v in zip(cursor.description, row, strict=True)}]
)
def test_rows_may_be_of_another_kind(lite, factory):
    """Connections are often set up to give rows by name."""
    lite.row_factory = factory
    assert [row["customId"] for row in read_sql("select * from people", lite, MAPPING)] == ["1", "b", "c"]


def test_more_rows_than_are_fetched_at_once(lite):
    """The types are those of the first rows; the others are fetched as they are read."""
    query = "with recursive n(id) as (select 1 union all select id + 1 from n where id < 5000) select id from n"
    assert [row["customId"] for row in read_sql(query, lite, MAPPING)] == [str(n) for n in range(1, 5001)]


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        ("vacuum into 'copy'", "VACUUM"),
        (" -- a copy\n/* of\nit */ ; VACUUM INTO 'copy'", "VACUUM"),
        ("attach 'copy' as other", "ATTACH"),
        ("create table other (x)", "CREATE"),
        ("insert into people values (9, 1, null) returning id, x", "INSERT"),
        ("delete from people", "DELETE"),
        ("explain select 1", "EXPLAIN"),
        ("# note\nDelete from people", "DELETE"),
        ("\ufeffdelete from people", "DELETE"),
    ],
)
def test_a_statement_that_writes_is_refused_before_it_does(lite, tmp_path, monkeypatch, statement, word):
    """Nothing is written, neither to the database nor to a file beside it."""
    monkeypatch.chdir(tmp_path)
    before = lite.total_changes, list(lite.execute("select * from sqlite_master"))
    with pytest.raises(InvalidRequestError, match=f"query: begins with {word}, and is no query; give a SELECT"):
        read_sql(statement, lite, MAPPING)
    assert (lite.total_changes, list(lite.execute("select * from sqlite_master"))) == before
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "with old as (select 1 as i) delete from people where id in (select i from old) returning id, x",
        "/* a note */ ; With a(x) as (values (?)) Insert into people (id) select x from a returning id",
        "with a as (select 1) update people set x = 'z' returning id, x",
        "with a as (select 1) replace into people select 5, 6 returning id",
    ],
)
@pytest.mark.parametrize("text_factory", [str, bytes])
def test_sqlite_says_itself_what_writes(lite, statement, text_factory):
    """Whatever a statement begins with; the connection stays as it was made."""
    lite.text_factory = text_factory
    lite.row_factory = lambda cursor, row: {
        column[0]: cell for column, cell in zip(cursor.description, row, strict=True)
    }
    lite.commit()
    before = lite.total_changes
    with pytest.raises(InvalidRequestError, match="query: writes to the database, and is no query; give a SELECT"):
        read_sql(statement, lite, MAPPING, params=[9] if "?" in statement else None)
    assert (lite.total_changes, lite.in_transaction) == (before, False)
    lite.execute("delete from people")


def test_a_pragma_of_sqlite_takes_no_effect(lite):
    """SQLite sets some when it only looks at them."""
    for statement in ("pragma user_version = 5", "pragma user_version(5)", "pragma foreign_keys = on"):
        with pytest.raises(InvalidRequestError, match="query: has no rows"):
            read_sql(statement, lite, MAPPING)
    assert lite.execute("pragma user_version").fetchone() == (0,)
    assert lite.execute("pragma foreign_keys").fetchone() == (0,)


@pytest.mark.parametrize("begin", ["/* step */ " * 60, "-- step\n" * 60, "/* step " * 60, "/**/" * 60])
def test_a_query_behind_many_comments_is_looked_at_at_once(lite, begin):
    """Each of them is looked at once, and one without an end too."""
    with pytest.raises((sqlite3.OperationalError, InvalidRequestError)):
        read_sql(begin + '"quoted', lite, MAPPING)


@pytest.mark.parametrize("text", ['/* a */ "x" /* b */ delete', "/* a */ $$ /* */ drop", "/* 1 */ [x] /* */ update"])
def test_what_stands_in_quotes_is_no_first_word(lite, text):
    """The database says what is wrong with such a text."""
    with pytest.raises(sqlite3.OperationalError):
        read_sql(text, lite, MAPPING)


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("copy (select 1) to 'copy.csv'", "begins with COPY"),
        ("export database 'copy'", "begins with EXPORT"),
        ("select 1 as id; copy (select 1) to 'copy.csv'", "is several statements"),
        ("with x as (select 1) insert into people select * from x", "is a statement of INSERT"),
        ("with a as (insert into people values ($1) returning id) select id from a", "writes to the database"),
        ("with a as (copy people to 'copy.csv') select 1 as id", "writes to the database"),
        ("set threads = 1", "is a statement of SET"),
        ("pragma enable_profiling", "is a statement of PRAGMA"),
        ("begin", "is a statement of TRANSACTION"),
        ("", "has no rows"),
    ],
)
def test_duckdb_executes_no_other_statement_than_a_query(tmp_path, monkeypatch, statement, problem):
    """It would execute all that it is given, and each kind of statement."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    monkeypatch.chdir(tmp_path)
    with duckdb.connect() as connection:
        connection.sql("create table people (id int)")
        with pytest.raises(InvalidRequestError, match=f"query: {problem}"):
            read_sql(statement, connection, MAPPING, params=[1] if "$1" in statement else None)
        assert connection.sql("from people").fetchall() == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "query",
    [
        "from (values ('1', 6)) as t(id, x)",
        "values ('1', 6)",
        "select '1' as id, 6 as x where 'delete' != 'update \"name\": \"INSERT'",
        "(select '1' as id, 6 as x)",
        "/* c */ with t as (select '1' as id, 6 as x) table t",
        "pivot (select '1' as id, 'x' as k, 6 as v) on k using sum(v)",
        "call repeat_row('1', 6, num_rows=1)",
    ],
)
def test_each_form_of_a_query_has_rows(query):
    """A select is not the only one."""
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    with duckdb.connect() as connection:
        mapping = RowMapping.for_profiles(
            {"id": "customId", "x": "attributes.x"},
            prepare=lambda cells: dict(zip(("id", "x"), cells.values(), strict=True)),
        )
        assert list(read_sql(query, connection, mapping)) == [{"customId": "1", "attributes": {"x": 6}}]


def test_a_query_without_rows_of_its_own(lite):
    """An empty result is no rows; a statement that selects nothing is an error, and so is what fits no mapping."""
    assert list(read_sql("select * from people where 0", lite, MAPPING)) == []
    with pytest.raises(InvalidRequestError, match="query: has no rows; give a query that selects some"):
        read_sql("pragma case_sensitive_like = 1", lite, MAPPING)
    with pytest.raises(MappingError, match="column 'id': is there twice"):
        read_sql("select id, x as id from people", lite, MAPPING)
    with pytest.raises(MappingError, match="column 'id': is not there"):
        read_sql("select x from people", lite, MAPPING)
    with pytest.raises(MappingError, match=r"attributes\.blob: holds bytes, which JSON cannot carry"):
        read_sql("select id, x'00' as blob from people", lite, MAPPING)
    with pytest.raises(sqlite3.OperationalError, match="no such column"):
        read_sql("select nobody from people", lite, MAPPING)


Engine = type("Engine", (), {"__module__": "sqlalchemy.engine.base"})


class Cursor:
    async def execute(self, query):
        raise NotImplementedError


class AsyncConnection:
    def cursor(self):
        return Cursor()


@pytest.mark.parametrize(
    ("connection", "problem"),
    [
        ("people.db", "expected an open connection of a database, got str"),
        (None, "expected an open connection of a database, got NoneType"),
        (Engine(), r".*got Engine; give engine.raw_connection\(\)"),
        (AsyncConnection(), "is asynchronous; give one whose calls return at once"),
    ],
)
def test_what_is_no_connection(connection, problem):
    """The error says what to give."""
    with pytest.raises(InvalidRequestError, match=f"connection: {problem}"):
        read_sql("select 1", connection, MAPPING)


def test_rows_of_postgres(server):
    """Every type arrives as it is written, by a cursor on the server."""
    source = read_sql(WIDE, server, MAPPING, params=[True])
    assert list(source) == [{"customId": "customer-1", "attributes": EXPECTED}]
    assert list(source) == [{"customId": "customer-1", "attributes": EXPECTED}]


@pytest.mark.parametrize(
    "statement",
    [
        "with a as (delete from pg_temp.people returning id) select id from a",
        "select id into pg_temp.others from pg_temp.people",
        "do $$ begin delete from pg_temp.people; end $$",
        "call pg_temp.empty()",
    ],
)
def test_postgres_writes_nothing(server, statement):
    """A cursor on the server takes queries alone."""
    server.autocommit = True
    server.execute("create temporary table if not exists people as select 'a' as id")
    with pytest.raises(Exception, match=r"no query|syntax|INTO|data-modifying"):
        read_sql(statement, server, MAPPING)
    assert server.execute("select id from pg_temp.people").fetchall() == [("a",)]


def test_postgres_is_read_without_a_transaction_too(server):
    """The cursor then outlives the statement."""
    server.autocommit = True
    source = read_sql("select n::text as id from generate_series(1, 5000) n order by n", server, MAPPING)
    assert [row["customId"] for row in source] == [str(n) for n in range(1, 5001)]


def test_the_server_keeps_what_was_not_fetched(server):
    """A query of any size is begun at once, and dropped without reading its rest; its cursor is closed."""
    source = read_sql(
        "select a::text as id from generate_series(1, 99999) a, generate_series(1, 99999) b", server, MAPPING
    )
    rows = iter(source)
    assert next(rows) == {"customId": "1"}
    assert server.execute("select count(*) from pg_cursors").fetchone() == (1,)
    del rows, source
    gc.collect()
    assert server.execute("select count(*) from pg_cursors").fetchone() == (0,)


def test_a_source_that_is_never_read_leaves_no_cursor(server):
    """As when a run is refused."""
    read_sql("select 'a' as id", server, MAPPING)
    with pytest.raises(MappingError):
        read_sql("select 'a' as other", server, MAPPING)
    gc.collect()
    assert server.execute("select count(*) from pg_cursors").fetchone() == (0,)


# Types of which Arrow says less than PostgreSQL does.
BY_ANY_DRIVER = """
    select id, price, prices, extra, plain, token, ratio from (values
        ('a', 1.50, array[1.5, null, 2], '{"x": 1.10, "y": 9007199254740993, "z": null}'::jsonb, '"text"'::json,
         '6f1f9d05-6b8c-4f0c-9f0e-3b5a6d9e2c11'::uuid, 0.5::float8),
        ('b', null, null, 'null', ' null ', null, 'NaN'),
        ('c', 1e30, '{}', '{"y": [{"x": null}, 2]}', '7', null, 1),
        ('d', 'NaN', null, null, '[]', null, null)
    ) as rows(id, price, prices, extra, plain, token, ratio) order by id
"""


@pytest.fixture
def by_adbc(socket):
    adbc = pytest.importorskip("adbc_driver_postgresql.dbapi", reason="adbc-driver-postgresql is not installed")
    with adbc.connect(f"postgresql:///postgres?host={socket}&user=tester") as connection:
        yield connection


def test_rows_of_postgres_by_adbc(by_adbc):
    """As by a cursor."""
    source = read_sql(WIDE.replace("%s", "$1"), by_adbc, MAPPING, params=[True])
    assert list(source) == [{"customId": "customer-1", "attributes": EXPECTED}]
    assert len(list(source)) == 1


@pytest.mark.parametrize("price", ["attributes.price", field("attributes.price", "text")])
def test_the_driver_changes_no_row(server, by_adbc, price):
    """Numbers, JSON and UUIDs are the same by ADBC, which gives them as texts, as by psycopg's cursor."""
    mapping = RowMapping.for_profiles({"id": "customId", "price": price, "*": "attributes.*"})
    rows, others = (list(read_sql(BY_ANY_DRIVER, connection, mapping)) for connection in (server, by_adbc))
    assert [str(row) for row in rows] == [str(row) for row in others]
    assert rows[0]["attributes"]["extra"] == {"x": 1.1, "y": 9007199254740993}
    assert rows[1] == {"customId": "b"}


REALS = [123456792, 20000002, 0.1, 0.30000001, 5, 1.5e38, 1e-40]


def test_reals_of_postgres_have_their_own_digits_and_whole_ones_are_as_they_are(by_each):
    """Whichever driver reads them: written with few digits, a whole number would be another one."""
    values = ", ".join(f"({number}, {value}::real)" for number, value in enumerate(REALS))
    mapping = RowMapping.for_profiles({"id": field("customId", "text"), "n": "attributes.n"})
    rows = list(read_sql(f"select * from (values {values}) as rows(id, n) order by id", by_each, mapping))
    assert [row["attributes"]["n"] for row in rows[:5]] == [*REALS[:3], 0.3, 5]
    assert [row["attributes"]["n"] for row in rows[5:]] == [unpack("<f", pack("<f", 1.5e38))[0], 1e-40]
    mapping = RowMapping.for_profiles({"n": field("customId", template="c{n}")})
    rows = list(read_sql("select 123456792::real as n", by_each, mapping))
    assert rows == [{"customId": "c123456792"}]


def test_money_by_adbc_is_refused(by_adbc):
    """It is given as a count of cents, which would be a hundred times too much."""
    with pytest.raises(MappingError, match=r"holds money of PostgreSQL as a count of its smallest unit, .*; cast it"):
        read_sql("select 'a' as id, 1.50::money as price", by_adbc, MAPPING)


@pytest.mark.parametrize(
    "options",
    [
        {"columns": {"other": field("attributes.x", fallback="price")}},
        {"columns": {"other": field("attributes.x", template="{price} PLN")}},
        {"columns": {"price": field("attributes.x", values={500: "x"})}},
        {"where": {"price": 5}},
        {"where": {"price": bool}},
        {"prepare": dict},
    ],
    ids=["fallback", "template", "values", "where", "where by a function", "prepare"],
)
@pytest.mark.parametrize("price", ["5.00::money", "array[5.00::money]"])
def test_money_by_adbc_is_refused_whatever_it_is_used_for(by_adbc, options, price):
    """A count of cents reaches no field by another way."""
    options = dict(options)
    mapping = RowMapping.for_profiles({"id": "customId", **options.pop("columns", {})}, **options)
    with pytest.raises(MappingError, match=r"'price'.*: holds money of PostgreSQL as a count"):
        read_sql(f"select 'a' as id, ''::text as other, {price} as price", by_adbc, mapping)


def test_money_that_nothing_uses_is_passed_over(by_adbc):
    """Only what is read is judged."""
    mapping = RowMapping.for_profiles({"id": "customId"})
    assert list(read_sql("select 'a' as id, 5.00::money as price", by_adbc, mapping)) == [{"customId": "a"}]


@pytest.mark.parametrize(
    "targets",
    [
        {"price": "attributes.x"},
        {"other": field("attributes.x", fallback="price")},
        {"other": field("attributes.x", "text", fallback="price")},
        {"other": field("attributes.x", template="{price} PLN")},
    ],
    ids=["plain", "fallback", "fallback as text", "template"],
)
@pytest.mark.parametrize("driver", ["by_adbc", "server"])
def test_a_decimal_that_is_no_number_is_refused_wherever_it_goes(request, driver, targets):
    """PostgreSQL's numeric has a NaN of its own, which is no empty cell."""
    mapping = RowMapping.for_profiles({"id": "customId", **targets})
    query = "select 'a' as id, null::text as other, 'NaN'::numeric as price"
    source = read_sql(query, request.getfixturevalue(driver), mapping)
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.upsert_profiles(source)
    assert report.accepted == 0
    assert "finite" in report.rejected[0].reason


@pytest.fixture
def by_psycopg2(socket):
    psycopg2 = pytest.importorskip("psycopg2", reason="psycopg2 is not installed")
    with contextlib.closing(psycopg2.connect(host=str(socket), user="tester", dbname="postgres")) as connection:
        yield connection


@pytest.fixture(params=["by_adbc", "server", "by_psycopg2"])
def by_each(request):
    return request.getfixturevalue(request.param)


LOSSY = [
    (f'{{"n": {10 * BIG}}}', "has a whole number beyond 64 bits in n"),
    ('{"n": [1234567.12345678901234567]}', "has a number with more digits than JSON's doubles keep in n[0]"),
    ('{"n": 1e-400}', "has a number with more digits than JSON's doubles keep"),
    ('{"n": 1, "n": 2}', "has the key 'n' twice in one object"),
]


@pytest.mark.parametrize(("text", "problem"), LOSSY)
@pytest.mark.parametrize("prepare", [None, lambda cells: cells])
def test_json_of_postgres_that_would_lose_digits_is_one_bad_row(by_each, text, problem, prepare):
    """It names the number; the other rows are read, whatever reads them."""
    query = f"select 'a' as id, '{text}'::json as x union all select 'b', '1' union all select 'c', '[1.50]'"
    mapping = RowMapping.for_profiles({"id": "customId", "x": "attributes.x"}, prepare=prepare)
    bad, row, other = read_sql(query, by_each, mapping)
    assert isinstance(bad, UnreadableRow)
    assert (row, other["attributes"]) == ({"customId": "b", "attributes": {"x": 1}}, {"x": [1.5]})
    assert problem in bad.reason
    assert bad.row == {"id": "a", "x": "\ufffd"}
    assert bad.field == ("" if prepare else "attributes.x")


def test_json_in_a_list_of_postgres_is_looked_at_too(server):
    """It is refused alike; a list without such a number is read."""
    lists = "array['[0.12345678901234567]']::jsonb[]", "array['{\"n\": 0.5}', null]::jsonb[]"
    bad, row = read_sql(f"select 'a' as id, {lists[0]} as x union all select 'b', {lists[1]}", server, MAPPING)
    assert isinstance(bad, UnreadableRow)
    assert "more digits" in bad.reason
    assert row["attributes"]["x"] == [{"n": 0.5}, None]


def test_the_connection_keeps_its_own_reading_of_json(server):
    """Only the source's cursor reads exactly; and what the caller has chosen, stays."""
    query = "select 'a' as id, '{\"n\": 0.12345678901234567891}'::jsonb as x"
    assert isinstance(next(iter(read_sql(query, server, MAPPING))), UnreadableRow)
    assert server.execute(query).fetchone()[1] == {"n": 0.12345678901234567891}
    set_json_loads = pytest.importorskip("psycopg.types.json").set_json_loads
    set_json_loads(lambda text: "own" if text else "", server)
    assert list(read_sql(query, server, MAPPING)) == [{"customId": "a", "attributes": {"x": "own"}}]


def test_rows_of_duckdb():
    """Typed as in a table: whole numbers of any size are texts where a text is wanted, and JSON keeps its digits."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    query = f"select {BIG}::hugeint as id, '{{\"a\": {BIG}}}'::json as j, uuid() as u, 1.50::decimal(9,2) as d where $1"
    with duckdb.connect() as connection:
        source = read_sql(query, connection, MAPPING, params=[True])
        for _ in range(2):
            (row,) = source
            assert row["customId"] == str(BIG)
            assert row["attributes"] | {"u": ""} == {"j": f'{{"a": {BIG}}}', "d": 1.5, "u": ""}
            assert uuid.UUID(row["attributes"]["u"]).version == 4


def test_a_whole_number_beyond_64_bits_is_refused_where_a_number_goes():
    """It would lose digits."""
    duckdb = pytest.importorskip("duckdb", reason="duckdb is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with duckdb.connect() as connection:
        (row,) = read_sql(f"select 'a' as id, {BIG}::hugeint as n", connection, MAPPING)
    assert isinstance(row, UnreadableRow)
    assert row.reason == "column 'n' has more digits than a JSON number keeps"


def test_rows_by_adbc_of_sqlite():
    """A driver that speaks Arrow is read by it; its cursor is closed, so the connection closes without a warning."""
    adbc = pytest.importorskip("adbc_driver_sqlite.dbapi", reason="adbc-driver-sqlite is not installed")
    pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    with adbc.connect() as connection:
        source = read_sql("select 1 as id, 'x' as y where 1 = ?", connection, MAPPING, params=[1])
        assert list(source) == [{"customId": "1", "attributes": {"y": "x"}}]
        read_sql("select 1 as id", connection, MAPPING)


class _AwayError(Exception):
    pass


def test_a_query_that_breaks_off_goes_on_by_the_journal(tmp_path, lite):
    """The report counts what was sent; the next run sends the rest, and each row arrives once."""
    numbers = "with recursive n(id) as (select 1 union all select id + 1 from n where id < 9000)"
    query = f"{numbers} select id, away(id) as x from n"

    def away(number):
        if broken and number > 5000:
            raise _AwayError
        return "here"

    lite.create_function("away", 1, away)
    broken, journal = True, tmp_path / "night.journal"
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        with pytest.raises(sqlite3.OperationalError) as caught:
            client.bulk.upsert_profiles(read_sql(query, lite, MAPPING), journal=journal)
        first = report_of(caught.value)
        assert first is not None
        assert 0 < first.accepted <= 5000
        broken = False
        second = client.bulk.upsert_profiles(read_sql(query, lite, MAPPING), journal=journal)
        assert (second.accepted, second.resumed) == (9000, first.accepted)
        assert client.profiles.find("by-custom-id", "9000").attributes["x"] == "here"


def test_an_error_amid_the_rows_of_duckdb_is_told_without_its_words():
    """They may hold a value of a row: the error names the query, and what it was."""
    cell = "case when i > 300000 then error('jan@example.com') else 'x' end a"
    query = f"select i::varchar id, {cell} from range(600000) t(i)"
    with contextlib.closing(pytest.importorskip("duckdb").connect()) as database:
        source = read_sql(query, database, RowMapping.for_profiles({"id": "customId", "a": "attributes.a"}))
        with pytest.raises(InvalidRequestError, match="query: was ended by the database amid its rows") as caught:
            deque(source, 0)
    assert "jan@" not in "".join(traceback.format_exception(caught.value))


def test_no_number_is_an_empty_cell_whatever_the_driver():
    """As in a table; it is neither sent nor is its row refused."""

    class Cursor:
        description = (("id",), ("x",))

        def __init__(self):
            self._rows = [("a", float("nan")), ("b", 1.5)]

        def execute(self, query):
            assert query

        def fetchmany(self, count):
            found, self._rows = self._rows[:count], self._rows[count:]
            return found

        def close(self):
            self._rows = []

    class Connection:
        cursor = Cursor

    mapping = RowMapping.for_profiles({"id": "customId", "x": field("attributes.x", empty="null")})
    rows = list(read_sql("select id, x from t", Connection(), mapping))
    assert rows == [
        {"customId": "a", "attributes": {"x": None}},
        {"customId": "b", "attributes": {"x": 1.5}},
    ]


@pytest.mark.parametrize("query", [None, 7])
def test_what_is_no_query_is_refused(query):
    """By its argument, and not by the driver's own error."""
    with (
        contextlib.closing(sqlite3.connect(":memory:")) as connection,
        pytest.raises(InvalidRequestError, match="query: expected"),
    ):
        read_sql(query, connection, MAPPING)


@pytest.mark.parametrize("make", [lambda _, row: row[0], lambda _, row: str(row[0]), lambda _, row: iter(row)])
def test_rows_that_are_no_cells_are_refused(make):
    """As a row factory makes them."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.row_factory = make
        with pytest.raises(InvalidRequestError, match=r"connection: makes a .* of a row"):
            read_sql("select 12345 as id", connection, RowMapping.for_profiles({"id": "customId"}))
