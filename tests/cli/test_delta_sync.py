"""`synerise-profiles delta-sync` and `doctor`, typed as a user would, against the sandbox."""

from __future__ import annotations

import csv
import gzip
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from synerise_profiles import Synerise, cli
from synerise_profiles.sandbox import Sandbox
from tests.cli.support import call, environment

REAL = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
WORDS = ["delta-sync", "c.csv", "--set", "customId=id", "--set", "city=town", "--key", "customId", "--state", "c.state"]


Typed: TypeAlias = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Runs a command within this process; returns its status and what it printed, in one line."""
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SYNERISE_")]:
        monkeypatch.delenv(name)

    def run(*words: str, url: str = sandbox.url, key: str | None = sandbox.api_key) -> tuple[int, str]:
        monkeypatch.setenv("SYNERISE_BASE_URL", url)
        monkeypatch.delenv("SYNERISE_API_KEY", raising=False)
        if key is not None:
            monkeypatch.setenv("SYNERISE_API_KEY", key)
        status = cli.main(list(words))
        printed = capsys.readouterr()
        return status, " ".join((printed.out + printed.err).split())

    return run


def write(path: Path, count: int, **towns: str) -> None:
    lines = [f"c-{n},{towns.get(f'c{n}', 'Gdynia')}\n" for n in range(count)]
    path.write_text("id,town\n" + "".join(lines), encoding="utf-8")


def test_two_nights(tmp_path: Path, client: Synerise, sandbox: Sandbox) -> None:
    """A plan sends nothing; the first night sends all, the second what changed; as text, JSON and page."""
    env = environment(sandbox)
    write(tmp_path / "c.csv", 120)
    planned = call(tmp_path, *WORDS, "--dry-run", "--requests-per-second", "10", "--report", "plan.html", env=env)
    assert planned.returncode == 0, planned.stderr
    said = " ".join(planned.stdout.decode().split())
    assert "Dry run: nothing was sent. 120 rows read: 120 new, 0 changed, 0 unchanged" in said
    assert "at 10 requests a second" in said
    assert not [item for item in sandbox.log if item.operation == "profiles.upsert_batch"]
    assert "Plan of a delta sync" in (tmp_path / "plan.html").read_text(encoding="utf-8")
    assert call(tmp_path, *WORDS, env=env).returncode == 0
    write(tmp_path / "c.csv", 121, c5="Hel")
    sandbox.log.clear()
    done = call(tmp_path, *WORDS, "--json", "--report", "run.html", env=env)
    found = json.loads(done.stdout)
    assert (done.returncode, found["new"], found["changed"], found["unchanged"]) == (0, 1, 1, 119)
    assert (found["requests"], found["sent"]["accepted"], found["problem"]) == (1, 2, None)
    assert len([item for item in sandbox.log if item.operation == "profiles.upsert_batch"]) == 1
    assert client.profiles.find("by-custom-id", "c-5").city == "Hel"
    assert "<h1>Delta sync</h1>" in (tmp_path / "run.html").read_text(encoding="utf-8")


def test_every_source(tmp_path: Path, typed: Typed) -> None:
    """Parquet and a query are compared as a CSV file is: where a row comes from makes no difference."""
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"id": ["a", "b"], "town": ["Hel", None]}), tmp_path / "c.parquet")
    with closing(sqlite3.connect(tmp_path / "crm.db")) as database, database:
        database.execute("CREATE TABLE c AS SELECT 'a' AS id, 'Hel' AS town UNION SELECT 'b', 'Gdynia'")
    (tmp_path / "map.toml").write_text('for = "profiles"\n[columns]\nid = "customId"\ntown = "city"\n')
    words = ["--mapping", "map.toml", "--key", "customId", "--state", "c.state"]
    assert "2 new, 0 changed" in typed("delta-sync", "c.parquet", *words)[1]
    query = ["--sql", "SELECT * FROM c ORDER BY id", "--db", "crm.db"]
    assert "0 new, 1 changed, 1 unchanged" in typed("delta-sync", *query, *words)[1]


def test_what_was_sent_is_named(tmp_path: Path, typed: Typed) -> None:
    """Rows that changed and profiles that are gone are told apart, and a night without either says so."""
    words = [*WORDS, "--keep-keys", "--gone", "attributes.active=false", "--max-gone-rate", "1"]
    write(tmp_path / "c.csv", 4)
    assert "Rows that changed: profiles.upsert_batch: 4 rows read" in typed(*words)[1]
    said = typed(*words)[1]
    assert "Nothing had to be sent." in said
    assert "0 rows a second" not in said
    write(tmp_path / "c.csv", 3, c1="Hel")
    said = typed(*words)[1]
    assert "Rows that changed: profiles.upsert_batch: 1 row read" in said
    assert "Profiles that are gone: profiles.upsert_batch: 1 row read" in said


def test_statuses(tmp_path: Path, typed: Typed) -> None:
    """What a program that calls it can go by; each problem in a line that names its flag."""
    write(tmp_path / "c.csv", 3)
    (tmp_path / "bad.csv").write_text("id,town\n,Hel\na,Hel\n")
    (tmp_path / "no.state").write_text("no database at all, but long enough to be looked at\n" * 20)
    assert typed(*WORDS)[0] == 0
    bad = [word if word != "c.csv" else "bad.csv" for word in WORDS]
    for expected, words, text in (
        (1, bad, "1 refused by the checks"),
        (1, [*bad, "--dry-run"], "1 invalid"),
        (2, WORDS[:-4], "--key: is required"),
        (2, [*WORDS, "--gone", "delete"], "Say --yes"),
        (2, [*WORDS, "--gone", "tag=1"], "--gone: needs --keep-keys"),
        (2, [*WORDS, "--gone", "burn"], "--gone: expected"),
        (2, [*WORDS[:-3], "email", *WORDS[-2:]], "--state: the state was made for the key field"),
        (2, [*WORDS[:-1], "no.state"], "--state: "),
        (2, [*WORDS, "--report", "c.state"], "--report: is the same file as --state"),
        (2, [*WORDS, "--report", "c.csv"], "--report: is the same file as the file that the rows are read from"),
        (2, [*WORDS, "--keep-keys"], "give --full, which begins anew"),
        (4, [*bad, "--max-errors", "0", "--full"], "stopped"),
    ):
        status, said = typed(*words)
        assert status == expected, (words, said)
        assert text in said, (words, said)
    assert typed(*WORDS, "--full", key="wrong")[0] == 3


def test_deletions_that_end_early(tmp_path: Path, sandbox: Sandbox, typed: Typed) -> None:
    """What became of the rows and of the deletions until then is printed, as text and as JSON."""
    words = [*WORDS, "--keep-keys", "--gone", "delete", "--yes", "--max-gone-rate", "1", "--max-errors", "0"]
    write(tmp_path / "c.csv", 9)
    assert typed(*words)[0] == 0
    sandbox.faults.status(400, operation="profiles.delete_by_custom_id")
    write(tmp_path / "c.csv", 7, c1="Hel")
    status, said = typed(*words)
    assert status == 4
    for text in ("7 rows read: 0 new, 1 changed, 6 unchanged", "2 of 9 known profiles are gone", "The state is safe"):
        assert text in said
    assert "Profiles that are gone: profiles.delete: 2 rows read, 0 accepted" in said
    found, _ = json.JSONDecoder().raw_decode(typed(*words, "--json")[1])
    assert (found["unchanged"], found["gone"], found["gone_sent"]["by_stage"]["server"] > 0) == (7, 2, True)
    assert found["problem"] == "stopped: more than 0 rows were rejected"


def test_gone_profiles(tmp_path: Path, client: Synerise, typed: Typed) -> None:
    """A field of theirs is set, or they are deleted where that is said; too many are left alone, with status 1."""
    words = [*WORDS, "--keep-keys"]
    write(tmp_path / "c.csv", 100)
    assert typed(*words)[0] == 0
    write(tmp_path / "c.csv", 99)
    status, said = typed(*words, "--gone", "attributes.active=false")
    assert (status, "1 of 100 known profiles is gone" in said) == (0, True), said
    assert client.profiles.find("by-custom-id", "c-99").to_dict()["attributes"]["active"] is False
    write(tmp_path / "c.csv", 98)
    assert typed(*words, "--gone", "delete", "--yes")[0] == 0
    assert typed("get", "c-98")[0] == 1
    write(tmp_path / "c.csv", 20)
    status, said = typed(*words, "--gone", "delete", "--yes")
    assert (status, "--max-gone-rate 0.02" in said) == (1, True), said
    assert typed("get", "c-90")[0] == 0


@pytest.mark.skipif(not REAL.exists(), reason="the real data are not part of the project")
def test_real_customers_in_two_nights(tmp_path: Path, client: Synerise, sandbox: Sandbox, typed: Typed) -> None:
    """A shop's sales as a table of customers: what was edited is sent, and the customers hold it."""
    customers = read_customers()
    (tmp_path / "map.toml").write_text(
        'for = "profiles"\n[columns]\nid = "customId"\ncountry = "attributes.country"\n'
        'items = {field = "attributes.items", type = "integer"}\n'
        'last = {field = "attributes.lastPurchase", type = "date", format = "%d/%m/%Y %H:%M"}\n'
    )
    words = ["delta-sync", "shop.csv", "--mapping", "map.toml", "--key", "customId", "--state", "shop.state"]

    def night(*more: str) -> tuple[int, str]:
        with (tmp_path / "shop.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "country", "last", "items"])
            writer.writeheader()
            writer.writerows(customers.values())
        sandbox.log.clear()
        status, said = typed(*words, *more)
        assert status == 0, said
        return len([item for item in sandbox.log if item.operation == "profiles.upsert_batch"]), said

    requests, said = night()
    assert (requests, f"{len(customers):,} new, 0 changed, 0 unchanged" in said) == (1, True), said
    edited = [*customers][::100]
    for number, name in enumerate(edited):
        customers[name]["items"] = 1_000_000 + number
    customers["new"] = {"id": "new", "country": "Poland", "last": "20/12/2010 08:26", "items": 1}
    unchanged = len(customers) - 1 - len(edited)
    requests, said = night("--report", "night.html")
    assert (requests, f"1 new, {len(edited)} changed, {unchanged} unchanged" in said) == (1, True), said
    for number, name in enumerate(edited):
        stored: dict[str, Any] = client.profiles.find("by-custom-id", name).to_dict()
        assert stored["attributes"]["items"] == 1_000_000 + number
    assert night()[0] == 0


def read_customers() -> dict[str, dict[str, Any]]:
    """The customers of the sales by their numbers, with what they bought in all."""
    customers: dict[str, dict[str, Any]] = {}
    with gzip.open(REAL, "rt", encoding="utf-8", errors="replace", newline="") as file:
        for line in csv.DictReader(file):
            if line["CustomerID"]:
                found = customers.setdefault(line["CustomerID"], {"id": line["CustomerID"], "items": 0})
                found |= {"country": line["Country"], "last": line["InvoiceDate"]}
                found["items"] += int(line["Quantity"])
    return customers


def test_doctor(typed: Typed, sandbox: Sandbox) -> None:
    """Text or JSON; status 1 for a permission that is missing, 2 for no such method, 3 where there is no way in."""
    assert "all is well" in typed("doctor")[1]
    status, said = typed("doctor", "--methods", "profiles.upsert_batch", "--json")
    assert (status, json.loads(said)["ok"], sandbox.api_key in said) == (0, True, False)
    status, said = typed("doctor", "--methods", "profiles.upsertt")
    assert (status, "--methods: no method is called" in said) == (2, True)
    assert typed("doctor", key=None)[0] == 2
    status, said = typed("doctor", key="wrong")
    assert (status, "What to do" in said) == (3, True)
    assert typed("doctor", url="http://127.0.0.1:9")[0] == 3
    limited = sandbox.add_key(["API_CLIENT_READ"]).key
    status, said = typed("doctor", "--methods", "profiles.upsert_batch", key=limited)
    assert (status, "add them to the API key" in said) == (1, True), said
