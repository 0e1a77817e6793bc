"""What commands read, as a user types it: mapping files, Parquet, queries; and what is said where one is wrong."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from synerise_profiles import Synerise
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import call, environment
from tests.sources.postgres import find_server, serve

MAPPING = 'for = "profiles"\n[columns]\nid = "customId"\ntown = "city"\n'
SECRET = "geheim-9471"


@pytest.fixture
def env(sandbox: Sandbox) -> dict[str, str]:
    return environment(sandbox)


def refused(folder: Path, *words: str, **more: str) -> list[str]:
    """Run a command that is refused before anything is sent; return the lines that it says."""
    done = call(folder, *words, env=environment(**more))
    assert (done.returncode, done.stdout) == (2, b""), (words, done.stderr)
    assert b"Traceback" not in done.stderr
    lines = done.stderr.decode().splitlines()
    assert all(line.startswith("synerise-profiles: ") for line in lines)
    return [line.removeprefix("synerise-profiles: ") for line in lines]


# --- mapping files


def test_an_import_by_a_mapping_file(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """The columns are those of the file; a check takes it too."""
    (tmp_path / "map.toml").write_text(MAPPING)
    (tmp_path / "c.csv").write_text("id,town,more\nc-1,Gdynia,x\n")
    done = call(tmp_path, "import", "profiles", "c.csv", "--mapping", "map.toml", env=env)
    assert done.returncode == 0, done.stderr
    assert client.profiles.find("by-custom-id", "c-1").city == "Gdynia"
    checked = call(tmp_path, "check", "c.csv", "--for", "profiles", "--mapping", "map.toml", env=environment())
    assert b"1 row read, 1 would be sent" in checked.stdout


def test_order_lines_by_a_mapping_file(tmp_path: Path, env: dict[str, str]) -> None:
    """Lines of an order become one purchase; `--sort` brings together those that stand apart."""
    (tmp_path / "orders.toml").write_text(
        'for = "transactions"\ngroup_by = "order"\n[columns]\norder = "orderId"\nid = "client.customId"\n'
        'when = "recordedAt"\nsku = "products[].sku"\nqty = "products[].quantity"\n'
        'price = "products[].finalUnitPrice.amount"\n[constants]\n"products[].finalUnitPrice.currency" = "EUR"\n'
        '"paymentInfo.method" = "CARD"\nsource = "WEB_DESKTOP"\n"products[].name" = "thing"\n'
    )
    line = "{},c-1,2026-03-01T00:00:00Z,{},1,2.50\n"
    text = "order,id,when,sku,qty,price\n" + "".join(line.format(*cells) for cells in ("1a", "2b", "1c"))
    (tmp_path / "orders.csv").write_text(text)
    words = ["import", "transactions", "orders.csv", "--mapping", "orders.toml", "--json"]
    done = call(tmp_path, *words, "--sort", env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["accepted"] == 2
    (tmp_path / "map.toml").write_text(MAPPING)
    (tmp_path / "c.csv").write_text("id,town\nc-1,Gdynia\n")
    (line,) = refused(tmp_path, "import", "profiles", "c.csv", "--mapping", "map.toml", "--sort")
    assert line.startswith("--sort: ")


ORDERS = """for = "transactions"
group_by = "order"
[columns]
order = ["orderId", "eventSalt"]
sku = ["products[].sku", "products[].name"]
qty = "products[].quantity"
[constants]
"client.customId" = "c-1"
"products[].finalUnitPrice.amount" = 2
"products[].finalUnitPrice.currency" = "EUR"
"paymentInfo.method" = "CARD"
recordedAt = "2026-03-01T00:00:00Z"
source = "WEB_DESKTOP"
"""


@pytest.mark.parametrize("flags", [[], ["--sort"]])
@pytest.mark.parametrize("quantity", ["1", "z"])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_an_order_is_one_whatever_files_its_lines_stand_in(
    tmp_path: Path, sandbox: Sandbox, client: Synerise, env: dict[str, str], flags: list[str], quantity: str, form: str
) -> None:
    """Keys are known over all files; a letter of the later lines is not sent as the order, once it is mended."""
    (tmp_path / "m.toml").write_text(ORDERS)
    contents = {"a": ["1,tea,1", "2,cup,1"], "b": ["2,mug,1", f"1,jug,{quantity}", "3,pot,1"]}
    for name, lines in contents.items():
        rows = [dict(zip(("order", "sku", "qty"), line.split(","), strict=True)) for line in lines]
        text = "\n".join(map(json.dumps, rows)) if form == "jsonl" else "\n".join(["order,sku,qty", *lines])
        (tmp_path / f"{name}.{form}").write_text(text + "\n")
    words = ["import", "transactions", f"a.{form}", f"b.{form}", "--mapping", "m.toml", "--dead-letter", "l"]
    done = call(tmp_path, *words, *flags, env=env)
    is_whole = bool(flags) and quantity == "1"
    assert done.returncode == (0 if is_whole else 1), done.stderr
    if not flags:
        assert b"(b.%b:" % form.encode() in done.stdout
        assert b"came before, at a.%b:" % form.encode() in done.stdout
    letters = tmp_path / "l"
    if letters.exists():
        letters.write_text(letters.read_text().replace('"z"', '"1"'))
        call(tmp_path, "replay", "l", "--mapping", "m.toml", "--dead-letter", "l", env=env)
    known = client.profiles.find("by-custom-id", "c-1").client_id
    orders = sandbox.store.transactions.of_profile(known)
    goods = {order["orderId"]: [item["sku"] for item in order["products"]] for order in orders}
    assert goods == {"1": ["tea", "jug"] if flags else ["tea"], "2": ["cup", "mug"], "3": ["pot"]}


def test_what_is_wrong_with_a_mapping_file_is_told_by_line(tmp_path: Path) -> None:
    """A line for each issue with file and line: of its words, its fields, and columns that are not there."""
    (tmp_path / "c.csv").write_text("id,town\nc-1,Gdynia\n")
    words = ["import", "profiles", "c.csv", "--dry-run", "--mapping"]
    for text, places in (
        ('for = "profiles"\n[columns]\nid = "customIdd"\ntown = "citty"\n', ["map.toml:3: ", "map.toml:4: "]),
        ('for = "profiles"\n[columns]\nid = "customId"\nteown = "city"\n', ["map.toml:4: "]),
        ('for = "profiles"\n[columns\n', ["map.toml:2: "]),
        ('for = "profilez"\n[columns]\nid = "customId"\n', ["map.toml:1: "]),
    ):
        (tmp_path / "map.toml").write_text(text)
        lines = refused(tmp_path, *words, "map.toml")
        assert len(lines) == len(places), lines
        for line, place in zip(lines, places, strict=True):
            assert line.startswith(place)
    assert refused(tmp_path, *words, "nowhere.toml") == ["nowhere.toml: No such file or directory"]


@pytest.mark.parametrize(
    "words",
    [["import", "profiles", "c.csv"], ["delete", "c.csv", "--yes"], ["check", "c.csv", "--for", "transactions"]],
)
def test_a_mapping_of_another_kind_is_refused(tmp_path: Path, words: list[str]) -> None:
    """It says for what it is, and what is read; together with `--set` it is refused too."""
    (tmp_path / "map.toml").write_text(
        'for = "events"\n[columns]\nid = "client.customId"\nwhat = "action"\n[constants]\nlabel = "Visit"\n'
    )
    (tmp_path / "c.csv").write_text("id,what\nc-1,shop.visit\n")
    (line,) = refused(tmp_path, *words, "--mapping", "map.toml")
    assert line.startswith("map.toml: is a mapping for events")
    (line,) = refused(tmp_path, *words, "--mapping", "map.toml", "--set", "customId=id")
    assert "give one of them" in line


def test_what_is_wrong_with_a_file_names_it(tmp_path: Path) -> None:
    """Also a column that is not there, without a mapping file."""
    (tmp_path / "a.csv").write_text("customId\nc-1\n")
    (tmp_path / "b.csv").write_text('{"customId": "c-2"}\n')
    (tmp_path / "c.csv").write_text("other\nc-3\n")
    (line,) = refused(tmp_path, "import", "profiles", "a.csv", "b.csv")
    assert line.startswith("b.csv: is JSON, not CSV")
    (line,) = refused(tmp_path, "import", "profiles", "c.csv", "--set", "customId=id")
    assert line.startswith("c.csv: column 'id'")
    assert refused(tmp_path, "import", "profiles") == [
        "name a file, or `-` for standard input; --sql with --db reads a database"
    ]
    assert refused(tmp_path, "import", "profiles", "-") == ["standard input is empty"]


# --- suggestions


def test_a_suggested_mapping_is_read(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """To standard output or to a file, which is never replaced; what it writes can be imported by."""
    (tmp_path / "c.csv").write_text("Nr klienta;E-Mail;id;born\n17;jan@example.com;x;1987-10-24\n18;;y;\n")
    words = ["suggest-mapping", "c.csv", "--for", "profiles"]
    shown = call(tmp_path, *words, env=environment())
    assert (shown.returncode, shown.stderr) == (0, b"")
    written = call(tmp_path, *words, "--output", "map.toml", env=environment())
    assert (written.returncode, written.stdout) == (0, b"")
    assert (tmp_path / "map.toml").read_bytes() == shown.stdout
    done = call(tmp_path, "import", "profiles", "c.csv", "--mapping", "map.toml", "--delimiter", ";", env=env)
    assert done.returncode == 0, done.stderr
    assert client.profiles.find("by-custom-id", "17").email == "jan@example.com"
    (line,) = refused(tmp_path, *words, "--output", "map.toml")
    assert line.startswith("--output: map.toml is there already")
    (tmp_path / "d.csv").write_text("Customers\nof May;2026\n" + (tmp_path / "c.csv").read_text())
    below = call(tmp_path, words[0], "d.csv", *words[2:], "--skip-lines", "2", env=environment())
    assert below.stdout == shown.stdout


def test_what_has_no_suggestion(tmp_path: Path) -> None:
    """A file that is not there, or is no CSV; a use that is not named."""
    (tmp_path / "c.jsonl").write_text('{"customId": "c"}\n')
    (line,) = refused(tmp_path, "suggest-mapping", "c.jsonl", "--for", "profiles")
    assert line.startswith("c.jsonl: is JSON, not CSV")
    assert "No such file" in refused(tmp_path, "suggest-mapping", "n.csv", "--for", "events")[0]
    assert call(tmp_path, "suggest-mapping", "c.jsonl", env=environment()).returncode == 2


# --- Parquet


def write_parquet(path: Path, **columns: list[str | None]) -> None:
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(columns), path)


def test_parquet_is_known_by_name_and_content(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """Beside CSV, by columns with the publisher's names, by a mapping, and as a folder."""
    (tmp_path / "parts").mkdir()
    write_parquet(tmp_path / "a.parquet", customId=["c-1", "c-2"], city=["Gdynia", None])
    write_parquet(tmp_path / "b", customId=["c-3"])
    write_parquet(tmp_path / "parts" / "p.parquet", customId=["c-4", None])
    (tmp_path / "d.csv").write_text("customId\nc-5\n")
    done = call(tmp_path, "import", "profiles", "a.parquet", "b", "parts", "d.csv", "--json", env=env)
    document = json.loads(done.stdout)
    assert (document["read"], document["accepted"], document["reasons"][0]["first"]) == (6, 5, ["parts:1"])
    assert client.profiles.find("by-custom-id", "c-1").city == "Gdynia"
    (tmp_path / "map.toml").write_text(MAPPING)
    write_parquet(tmp_path / "m.parquet", id=["c-6"], town=["Sopot"])
    assert call(tmp_path, "import", "profiles", "m.parquet", "--mapping", "map.toml", env=env).returncode == 0
    assert client.profiles.find("by-custom-id", "c-6").city == "Sopot"


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    """Cut off, of another form, not there, from standard input, with flags of CSV."""
    write_parquet(tmp_path / "a.parquet", customId=["c-1"])
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:50])
    (tmp_path / "text.parquet").write_text("customId\nc-1\n")
    words = ["import", "profiles", "--dry-run"]
    assert refused(tmp_path, *words, "cut.parquet")[0].startswith("cut.parquet: is damaged or cut off")
    assert refused(tmp_path, *words, "text.parquet")[0].startswith("text.parquet: is no Parquet")
    assert "No such file" in refused(tmp_path, *words, "nowhere.parquet")[0]
    assert "no --delimiter" in refused(tmp_path, *words, "a.parquet", "--delimiter", ";")[0]
    assert "standard input" in refused(tmp_path, *words, "-", "--format", "parquet")[0]
    assert "--for" in refused(tmp_path, "check", "a.parquet")[0]


# --- queries


def test_queries_of_sqlite_and_duckdb(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """By columns with the publisher's names, `--set` or a mapping; nothing is written to the database."""
    duckdb = pytest.importorskip("duckdb")
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE customers AS SELECT 'c-1' AS id, 'Gdynia' AS town UNION SELECT 'c-2', NULL")
    with duckdb.connect(tmp_path / "crm.duckdb") as other:
        other.execute("CREATE TABLE customers AS SELECT 'c-3' AS id, 'Sopot' AS town")
    (tmp_path / "map.toml").write_text(MAPPING)
    query = "SELECT id, town FROM customers ORDER BY id"
    for words in (
        ["--sql", 'SELECT id AS "customId", town AS city FROM customers ORDER BY id; ', "--db", "crm.db"],
        ["--sql", query, "--db", "crm.db", "--set", "customId=id"],
        ["--sql", query, "--db", "duckdb:crm.duckdb", "--mapping", "map.toml"],
    ):
        done = call(tmp_path, "import", "profiles", *words, env=env)
        assert done.returncode == 0, done.stderr
    assert [client.profiles.find("by-custom-id", name).city for name in ("c-1", "c-3")] == ["Gdynia", "Sopot"]
    leavers = ["delete", "--sql", query, "--db", "crm.db", "--set", "customId=id"]
    assert "profiles of the query" in refused(tmp_path, *leavers)[0]
    assert call(tmp_path, *leavers, "--yes", env=env).returncode == 0
    assert call(tmp_path, "get", "c-1", env=env).returncode == 1
    for statement, problem in (("DROP TABLE customers", "begins with DROP"), ("PRAGMA user_version = 5", "no rows")):
        assert problem in refused(tmp_path, *leavers[:2], statement, *leavers[3:])[0]
    with contextlib.closing(sqlite3.connect(tmp_path / "crm.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM customers").fetchone() == (2,)


def test_queries_that_cannot_be_read(tmp_path: Path) -> None:
    """Each in one line; a database is never made by asking for it."""
    sqlite3.connect(tmp_path / "crm.db").close()
    (tmp_path / "c.csv").write_text("customId\nc-1\n")
    (tmp_path / "m.toml").write_text('for = "profiles"\n[columns]\ncustomId = "customId"\n')
    words = ["import", "profiles", "--dry-run"]
    for more, problem in (
        (["--sql", "SELECT 1"], "--sql needs --db, or SYNERISE_DB"),
        (["--db", "crm.db"], "--db goes with --sql"),
        (["--db", "crm.db", "--sql", "SELECT 1", "c.csv"], "give one of them"),
        (["--db", "crm.db", "--sql", "SELECT id FROM none"], "no such table: none"),
        (["--db", "nowhere.db", "--sql", "SELECT 1"], "no file nowhere.db"),
        (["--db", "duckdb:nowhere.db", "--sql", "SELECT 1"], "no file nowhere.db"),
        (["--db", "mysql://host/name", "--sql", "SELECT 1"], "mysql:// is not known"),
        (["--db", "crm.db", "--sql", "SELECT 1", "--delimiter", ";"], "no --delimiter"),
        (["--db", "crm.db", "--sql", "VACUUM INTO 'copy.db'"], "syntax error"),
        (["--db", "crm.db", "--sql", "VACUUM INTO 'copy.db'", "--mapping", "m.toml"], "--sql: begins with VACUUM"),
        (["--db", "crm.db", "--sql", "ATTACH 'copy.db' AS x", "--mapping", "m.toml"], "--sql: begins with ATTACH"),
    ):
        (line,) = refused(tmp_path, *words, *more)
        assert problem in line
    assert {path.name for path in tmp_path.iterdir()} == {"crm.db", "c.csv", "m.toml"}


@pytest.mark.parametrize("address", ["postgresql://u:{}@127.0.0.1:9/x", "postgresql://u:a@b:{}@h:{}/x"])
def test_a_password_is_never_shown(tmp_path: Path, address: str) -> None:
    """It is no argument; in the environment it stands in no line, not even where the address cannot be parsed."""
    pytest.importorskip("psycopg")
    found = address.replace("{}", SECRET)
    words = ["import", "profiles", "--dry-run", "--sql", "SELECT 1"]
    (line,) = refused(tmp_path, *words, "--db", found)
    assert "PGPASSWORD" in line
    assert SECRET not in line
    (line,) = refused(tmp_path, *words, SYNERISE_DB=found)
    assert "no connection to PostgreSQL" in line
    assert SECRET not in line
    (line,) = refused(tmp_path, *words, "--db", "postgresql://u@127.0.0.1:9/x", PGPASSWORD=SECRET)
    assert "127.0.0.1" in line
    assert SECRET not in line


@pytest.mark.skipif(find_server() is None, reason="there is no PostgreSQL")
def test_queries_of_postgresql(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """Read by a cursor on the server; the address may stand in the environment."""
    pytest.importorskip("psycopg")
    programs = find_server()
    assert programs is not None
    query = "SELECT 'c-' || n AS \"customId\" FROM generate_series(1, 5000) AS n ORDER BY n"
    words = ["import", "profiles", "--json", "--sql"]
    with serve(programs) as folder:
        address = f"postgresql://tester@/postgres?host={folder}"
        done = call(tmp_path, *words, query, "--db", address, env=env)
        assert (done.returncode, json.loads(done.stdout)["accepted"]) == (0, 5000), done.stderr
        done = call(tmp_path, *words, query, env={**env, "SYNERISE_DB": address})
        assert done.returncode == 0, done.stderr
        assert "no_table" in refused(tmp_path, *words, "SELECT * FROM no_table", "--db", address)[0]
        late = "SELECT 'c-' || n AS \"customId\", 1 / (4000 - n) AS z FROM generate_series(1, 5000) AS n"
        done = call(tmp_path, *words, late, "--db", address, "--set", "customId=customId", env=env)
        assert (done.returncode, b"Traceback" in done.stderr) == (1, False), done.stderr
        assert b"--sql: division by zero" in done.stderr
    assert client.profiles.find("by-custom-id", "c-5000").custom_id == "c-5000"


# --- dead letters


def test_letters_are_mended_and_replayed(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """Cells go through the mapping; what is not accepted is a letter again, in the same file."""
    born = 'born = {field = "birthDate", type = "date", format = "%d.%m.%Y"}\n'
    (tmp_path / "map.toml").write_text(MAPPING + born)
    (tmp_path / "c.csv").write_text("id,town,born\nc-1,Hel,24.13.1987\nc-2,Hel,x\nc-3,Hel,24.10.1987\n")
    words = ["import", "profiles", "c.csv", "--mapping", "map.toml", "--dead-letter", "rejected.jsonl"]
    assert call(tmp_path, *words, env=env).returncode == 1
    letters = tmp_path / "rejected.jsonl"
    letters.write_text(letters.read_text().replace("24.13.1987", "24.12.1987"))
    before = letters.read_bytes()
    replay = ["replay", "rejected.jsonl", "--mapping", "map.toml"]
    kept = call(tmp_path, *replay, "--json", env=env)
    document = json.loads(kept.stdout)
    assert (kept.returncode, document["read"], document["accepted"]) == (1, 2, 1), kept.stderr
    assert document["by_operation"] == {"profiles.upsert_batch": {"read": 2, "accepted": 1, "rejected": 1}}
    assert letters.read_bytes() == before
    assert call(tmp_path, *replay, "--dead-letter", "rejected.jsonl", env=env).returncode == 1
    assert [json.loads(line)["reference"] for line in letters.read_text().splitlines()] == [3]
    assert client.profiles.find("by-custom-id", "c-1").birth_date is not None


def test_letters_that_delete_are_asked_for(tmp_path: Path, client: Synerise, env: dict[str, str]) -> None:
    """Without a terminal `--yes` has to be said; a file of something else is refused."""
    client.profiles.upsert({"customId": "leaver"})
    client.bulk.delete_profiles([{"customId": ["leaver"]}], dead_letter=tmp_path / "rejected.jsonl")
    letters = tmp_path / "rejected.jsonl"
    letters.write_text(letters.read_text().replace('["leaver"]', '"leaver"'))
    (line,) = refused(tmp_path, "replay", "rejected.jsonl")
    assert line.startswith("1 letter of rejected.jsonl would delete profiles")
    assert call(tmp_path, "replay", "rejected.jsonl", "--yes", env=env).returncode == 0
    assert call(tmp_path, "get", "leaver", env=env).returncode == 1
    (tmp_path / "c.csv").write_text("id\nc-1\n")
    (line,) = refused(tmp_path, "replay", "c.csv")
    assert line.startswith("c.csv: ")
    assert "No such file" in refused(tmp_path, "replay", "nowhere.jsonl")[0]
