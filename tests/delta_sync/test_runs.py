"""Runs and plans of delta sync against the sandbox, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, NotFoundError, Synerise
from synerise_profiles.delta_sync import DeltaReport, DeltaStateError, DeltaStateMismatchError
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv
from synerise_profiles.sources import field as sources_field


def rows(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [{"customId": f"c-{n}", "firstName": "Anna", **fields} for n in range(count)]


def sync(client: Synerise, table: Any, state: Path, **options: Any) -> DeltaReport:
    return client.delta_sync.profiles(table, key="customId", state=state, **options)


def counts(report: Any) -> tuple[int, int, int, int]:
    return report.new, report.changed, report.unchanged, report.requests


def test_only_what_changed_is_sent(client: Synerise, state: Path) -> None:
    """The second night sends the rows that are new or other, and the third nothing."""
    table = rows(1500)
    assert counts(sync(client, table, state)) == (1500, 0, 0, 2)
    table[7] = table[7] | {"firstName": "Ewa"}
    table.append({"customId": "new"})
    assert counts(sync(client, table, state)) == (1, 1, 1499, 1)
    assert counts(sync(client, table, state)) == (0, 0, 1501, 0)
    assert client.profiles.find("by-custom-id", "c-7").first_name == "Ewa"


def test_the_order_of_keys_is_no_change(client: Synerise, state: Path) -> None:
    """A row is its content, in whatever order its fields come."""
    sync(client, [{"customId": "a", "firstName": "x", "attributes": {"p": 1, "q": 2}}], state)
    assert sync(client, [{"attributes": {"q": 2, "p": 1}, "firstName": "x", "customId": "a"}], state).unchanged == 1


def test_a_plan_says_what_a_run_does(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """A plan counts rows, bytes and requests as the run does, sends nothing and leaves the state as it is."""
    table = [*rows(1200), {"customId": "c-3", "firstName": "Ola"}, {"firstName": "nobody"}]
    planned = client.delta_sync.plan(table, key="customId", state=state)
    done = sync(client, table, state)
    names = ("read", "new", "changed", "unchanged", "invalid", "repeated", "bytes", "requests")
    assert [getattr(planned, name) for name in names] == [getattr(done, name) for name in names]
    assert (done.new, done.changed, done.invalid, done.repeated) == (1200, 1, 1, 1)
    assert "1,200 new" in planned.summary()
    assert planned.to_dict()["repeated"] == 1


def test_the_last_row_of_a_key_wins(client: Synerise, state: Path) -> None:
    """A key that comes twice holds what its last row says, and the next night finds it so."""
    sync(client, [{"customId": "a", "firstName": "x"}, {"customId": "a", "firstName": "y"}], state)
    assert client.profiles.find("by-custom-id", "a").first_name == "y"
    assert sync(client, [{"customId": "a", "firstName": "y"}], state).unchanged == 1


def test_refused_rows_come_again(client: Synerise, state: Path) -> None:
    """A row that the server refused comes each night, until it was refused `max_attempts` times or changes."""
    bad = [{"customId": "a", "birthDate": "1990-13-45"}]
    for expected in (0, 0, 1):
        report = sync(client, bad, state, max_attempts=2, checks="off")
        assert (report.held, report.sent.by_stage["server"]) == (expected, 1 - expected)
    assert sync(client, [{"customId": "a", "firstName": "x"}], state, max_attempts=2).sent.accepted == 1


def test_gone_profiles_are_deleted(client: Synerise, state: Path) -> None:
    """What is not in the source any more is deleted, and is then known no longer."""
    table, options = rows(100), {"keep_keys": True, "gone": "delete"}
    sync(client, table, state, **options)
    report = sync(client, table[1:], state, **options)
    assert (report.gone, report.gone_sent is not None and report.gone_sent.accepted) == (1, 1)
    with pytest.raises(NotFoundError):
        client.profiles.find("by-custom-id", "c-0")
    assert sync(client, table[1:], state, **options).gone == 0


def test_gone_profiles_get_an_attribute(client: Synerise, state: Path) -> None:
    """Instead of a deletion, a field of those that are gone can be set."""
    table, options = rows(100), {"keep_keys": True, "gone": {"attributes.active": False}}
    sync(client, table, state, **options)
    sync(client, table[1:], state, **options)
    assert client.profiles.find("by-custom-id", "c-0").to_dict()["attributes"]["active"] is False


def test_gone_profiles_get_a_tag(client: Synerise, state: Path) -> None:
    """Profiles that are known by their clientId can be tagged; each once, and then known no longer."""
    tag_id = client.tags.create({"name": "gone"}).id
    assert tag_id is not None
    client.bulk.upsert_profiles(rows(100)).raise_for_rejected()
    ids = [client.profiles.find("by-custom-id", f"c-{n}").client_id for n in range(100)]
    table = [{"clientId": number, "firstName": "Ewa"} for number in ids]
    options: dict[str, Any] = {"key": "clientId", "state": state, "keep_keys": True, "gone": {"tag": tag_id}}
    assert client.delta_sync.profiles(table, **options).sent.accepted == 100
    report = client.delta_sync.profiles(table[2:], **options)
    assert (report.gone, report.gone_sent is not None and report.gone_sent.accepted) == (2, 2)
    assert [tag.name for tag in client.tags.list_for_profile(ids[0] or 0)] == ["gone"]
    assert client.tags.list_for_profile(ids[2] or 0) == []
    assert client.delta_sync.profiles(table[2:], **options).gone == 0


@pytest.mark.parametrize("order", ["shuffled", "some left out", "some put in", "back to front"])
def test_a_table_in_another_order(client: Synerise, state: Path, order: str) -> None:
    """Rows that come in another order, or with others between or without some, are unchanged and all seen."""
    table = rows(6000)
    sync(client, table, state, keep_keys=True)
    chance = random.Random(1)
    changed = {
        "shuffled": chance.sample(table, len(table)),
        "some left out": [row for n, row in enumerate(table) if n % 7 and not 1000 < n < 3500],
        "some put in": [
            part for n, row in enumerate(table) for part in (row, {"customId": f"n-{n}"})[: 1 + (n % 5 == 0)]
        ],
        "back to front": table[::-1],
    }[order]
    plan = client.delta_sync.plan(changed, key="customId", state=state, keep_keys=True)
    kept = [row for row in changed if row["customId"].startswith("c-")]
    assert (plan.unchanged, plan.new, plan.changed) == (len(kept), len(changed) - len(kept), 0)
    assert (plan.gone, plan.repeated) == (len(table) - len(kept), 0)


@pytest.mark.long
def test_slots_are_given_anew(client: Synerise, state: Path) -> None:
    """Where many profiles went and others came, the state holds no room for those that went, and still knows all."""
    options: dict[str, Any] = {"keep_keys": True, "gone": {"attributes.active": False}, "max_gone_rate": 1.0}
    table = rows(13_500)
    sync(client, table, state, **options)
    with closing(sqlite3.connect(state)) as database, database:
        before = database.execute("SELECT count(*) FROM digests").fetchone()
    database.close()
    sync(client, table[3400:], state, **options)
    with closing(sqlite3.connect(state)) as database, database:
        after = database.execute("SELECT count(*) FROM digests").fetchone()
    database.close()
    assert (before, after) == ((40,), (30,))
    changed = [*table[3400:], {"customId": "new"}]
    assert counts(sync(client, changed, state, **options))[:3] == (1, 0, 10_100)
    plan = client.delta_sync.plan(changed, key="customId", state=state, keep_keys=True)
    assert (plan.unchanged, plan.gone) == (10_101, 0)


def test_too_many_gone_profiles_are_left_alone(client: Synerise, state: Path) -> None:
    """Half a table is more likely a broken export than half of the customers: nothing is done, and it is told."""
    table, options = rows(100), {"keep_keys": True, "gone": "delete"}
    sync(client, table, state, **options)
    report = sync(client, table[:50], state, **options)
    assert report.gone == 50
    assert report.gone_sent is None
    assert "max_gone_rate" in str(report.gone_problem)
    assert client.profiles.find("by-custom-id", "c-99").first_name == "Anna"


def test_a_source_that_breaks_off_leaves_gone_profiles_alone(client: Synerise, sandbox: Sandbox, state: Path) -> None:
    """Only a source that was read to its end says what is gone."""
    table, options = rows(100), {"keep_keys": True, "gone": "delete", "max_gone_rate": 1.0}
    sync(client, table, state, **options)

    def broken() -> Iterator[dict[str, Any]]:
        yield from table[:50]
        raise OSError("the connection was lost")

    with pytest.raises(OSError, match="lost"):
        sync(client, broken(), state, **options)
    assert client.profiles.find("by-custom-id", "c-99").first_name == "Anna"


def test_gone_needs_the_keys(client: Synerise, state: Path) -> None:
    """Without keys nobody knows who is gone, and an operation works by the identifiers that it takes."""
    with pytest.raises(InvalidRequestError, match="keep_keys"):
        sync(client, [], state, gone="delete")
    with pytest.raises(InvalidRequestError, match="clientId"):
        sync(client, [], state, gone={"tag": 1}, keep_keys=True)
    assert not state.exists()


def test_cleared_cells_are_told_or_sent_as_null(client: Synerise, state: Path) -> None:
    """An empty cell that was filled once is counted each night, and removed where nulls are asked for and allowed."""
    sync(client, [{"customId": "a", "firstName": "x", "city": "Gdynia"}], state)
    without = [{"customId": "a", "firstName": "x"}]
    for _ in range(2):
        report = sync(client, without, state)
        assert (report.cleared, report.cleared_references) == ({"city": 1}, [0])
    assert client.profiles.find("by-custom-id", "a").city == "Gdynia"
    assert sync(client, without, state, cleared="null").cleared == {"city": 1}
    assert sync(client, without, state, cleared="null", allow_null={"city"}).changed == 1
    assert not client.profiles.find("by-custom-id", "a").city
    assert counts(sync(client, without, state, cleared="null", allow_null={"city"})) == (0, 0, 1, 0)


def test_changes_are_counted_by_the_field(client: Synerise, state: Path) -> None:
    """With digests of fields a plan and a run say which of them changed, came or became empty; a new row has none."""
    table: list[dict[str, Any]] = [
        {"customId": f"c-{n}", "firstName": "Anna", "city": "Gdynia", "attributes": {"points": n}} for n in range(30)
    ]
    sync(client, table, state, fields=True)
    for n in range(5):
        table[n] = table[n] | {"attributes": {"points": 100 + n}}
    table[7] = table[7] | {"firstName": "Ewa", "lastName": "Nowak"}
    table[8] = {name: value for name, value in table[8].items() if name != "city"}
    table.append({"customId": "new", "firstName": "Ola"})
    plan = client.delta_sync.plan(table, key="customId", state=state, fields=True)
    report = sync(client, table, state, fields=True)
    expected = {"attributes.points": 5, "firstName": 1, "lastName": 1, "city": 1}
    assert plan.changed_fields == report.changed_fields == expected
    assert "attributes.points changed in 5 rows" in plan.to_text()
    assert (report.changed, report.new) == (7, 1)
    assert sync(client, table, state, fields=True).changed_fields == {}
    table[8] = table[8] | {"firstName": "Iga"}
    assert sync(client, table, state, fields=True).changed_fields == {"firstName": 1}
    with pytest.raises(DeltaStateMismatchError, match="fields"):
        sync(client, table, state)


def test_another_input_is_refused(client: Synerise, state: Path, tmp_path: Path) -> None:
    """A state of another key field or mapping is refused, unless `full` begins anew."""
    sync(client, rows(3), state)
    with pytest.raises(DeltaStateMismatchError, match="key field"):
        client.delta_sync.profiles([], key="email", state=state)
    path = tmp_path / "customers.csv"
    path.write_text("id\n1\n")
    mapped = read_csv(path, RowMapping.for_profiles({"id": "customId"}))
    with pytest.raises(DeltaStateMismatchError, match="mapping"):
        sync(client, mapped, state)
    assert counts(sync(client, mapped, state, full=True)) == (1, 0, 0, 1)


def test_another_secret_is_refused(client: Synerise, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Digests of one secret say nothing about those of another."""
    monkeypatch.setenv("SYNERISE_STATE_KEY", "one")
    sync(client, rows(1), state)
    assert b"one" not in state.read_bytes()
    monkeypatch.setenv("SYNERISE_STATE_KEY", "two")
    with pytest.raises(DeltaStateMismatchError, match=r"another secret.*SYNERISE_STATE_KEY"):
        sync(client, rows(1), state)


def test_the_file_is_private_and_holds_no_data(client: Synerise, state: Path) -> None:
    """The state is for its owner alone, and without keys it holds nothing of a person."""
    sync(client, [{"customId": "customer-0815", "firstName": "Anna-Maria"}], state)
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert b"customer-0815" not in state.read_bytes()
    assert b"Anna-Maria" not in state.read_bytes()


def test_two_runs_on_one_state(client: Synerise, state: Path) -> None:
    """The second run is refused while the first one goes on."""

    def nested() -> Iterator[dict[str, Any]]:
        with pytest.raises(DeltaStateError, match="in use"):
            sync(client, [], state)
        yield {"customId": "a"}

    assert sync(client, nested(), state).new == 1


@pytest.mark.parametrize("content", [b"no database at all", b"SQLite format 3\0" + bytes(2000)])
def test_a_file_that_is_no_state_is_refused(client: Synerise, state: Path, content: bytes) -> None:
    """Neither a foreign file nor a damaged one is believed, or touched."""
    state.write_bytes(content)
    with pytest.raises(DeltaStateError):
        sync(client, rows(1), state)
    assert state.read_bytes() == content


def test_a_damaged_state_is_refused(client: Synerise, state: Path) -> None:
    """A page that was overwritten is found when the state is opened."""
    sync(client, rows(3000), state)
    size = state.stat().st_size
    with state.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(DeltaStateError, match="damaged"):
        sync(client, rows(1), state)


def test_a_key_that_was_changed_in_the_file_is_not_deleted(client: Synerise, state: Path) -> None:
    """A kept key is believed only where it is the one that its entry was made for; the state is refused else."""
    options = {"keep_keys": True, "gone": "delete"}
    sync(client, rows(100), state, **options)
    with closing(sqlite3.connect(state)) as database, database:
        database.execute("UPDATE keys SET key = '\"c-99\"'")
    database.close()
    with pytest.raises(DeltaStateError, match="damaged"):
        sync(client, rows(100)[1:], state, **options)
    assert client.profiles.find("by-custom-id", "c-99").first_name == "Anna"


def test_a_flipped_bit_of_an_entry_lets_no_profile_pass_for_gone(client: Synerise, state: Path, tmp_path: Path) -> None:
    """Whatever bit of an entry flips: the state is refused, or what flipped is not needed."""
    options: dict[str, Any] = {"key": "customId", "keep_keys": True, "gone": "delete", "max_gone_rate": 1.0}
    table, refused = rows(60), 0
    client.delta_sync.profiles(table, state=state, **options)
    with contextlib.closing(sqlite3.connect(state)) as database:
        entries = database.execute("SELECT id, value FROM entries LIMIT 1").fetchall()
    for number, value in entries:
        for bit in range(8 * len(value)):
            changed, copy = bytearray(value), tmp_path / "copy.state"
            changed[bit // 8] ^= 1 << bit % 8
            shutil.copy(state, copy)
            with contextlib.closing(sqlite3.connect(copy)) as database:
                database.execute("UPDATE entries SET value = ? WHERE id = ?", (bytes(changed), number))
                database.commit()
            try:
                plan = client.delta_sync.plan(table[:-1], state=copy, **options)
            except DeltaStateError:
                refused += 1
            else:
                assert (plan.gone <= 1, plan.changed) == (True, 0)
    assert refused >= 6  # the bits of a slot that are another's or nobody's, at least


def test_a_gone_profile_is_found_beside_new_ones(client: Synerise, state: Path) -> None:
    """As many rows come anew as are gone: the gone ones are deleted in this night."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 0.5}
    sync(client, rows(10), state, **options)
    report = sync(client, [*rows(10)[:9], {"customId": "new"}], state, **options)
    assert (report.new, report.gone) == (1, 1)
    with pytest.raises(NotFoundError):
        client.profiles.find("by-custom-id", "c-9")


def table_of(path: Path, lines: Iterable[str]) -> Iterable[Any]:
    """A table of profiles with a whole number each."""
    path.write_text("\n".join(("id,n", *lines, "")))
    return read_csv(path, RowMapping.for_profiles({"id": "customId", "n": sources_field("attributes.n", "integer")}))


def test_a_row_without_a_readable_key_lets_nobody_be_deleted(client: Synerise, state: Path, tmp_path: Path) -> None:
    """Its key is not known, so it may be one of the profiles that seem to be gone; the run says so."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 0.5}
    lines = [f"c-{n},{n}" for n in range(10)]
    sync(client, table_of(tmp_path / "table.csv", lines), state, **options)
    report = sync(client, table_of(tmp_path / "table.csv", [*lines[1:], "c-0,0,0"]), state, **options)
    assert (report.invalid, report.gone, report.gone_sent) == (1, 1, None)
    assert "could not be read" in (report.gone_problem or "")
    assert client.profiles.find("by-custom-id", "c-0").client_id


def test_a_row_whose_key_is_readable_is_not_gone(client: Synerise, state: Path, tmp_path: Path) -> None:
    """Another cell of it is bad: its profile stays, it is sent once it is mended, and what is gone is deleted."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 0.5}
    lines = [f"c-{n},{n}" for n in range(10)]
    sync(client, table_of(tmp_path / "table.csv", lines), state, **options)
    report = sync(client, table_of(tmp_path / "table.csv", ["c-0,zero", *lines[1:9]]), state, **options)
    assert (report.invalid, report.unchanged, report.gone, report.gone_problem) == (1, 8, 1, None)
    assert client.profiles.find("by-custom-id", "c-0").client_id
    with pytest.raises(NotFoundError):
        client.profiles.find("by-custom-id", "c-9")

    report = sync(client, table_of(tmp_path / "table.csv", ["c-0,100", *lines[1:9]]), state, **options)
    assert (report.changed, report.unchanged, report.gone) == (1, 8, 0)


def test_a_row_that_is_no_json_is_not_gone(client: Synerise, state: Path) -> None:
    """Its key is known though a value of it cannot be sent; a key that cannot be sent itself is not."""
    options: dict[str, Any] = {"keep_keys": True, "gone": "delete", "max_gone_rate": 0.5}
    sync(client, rows(10), state, **options)
    report = sync(client, [*rows(9), {"customId": "c-9", "attributes": {"n": object()}}], state, **options)
    assert (report.invalid, report.unchanged, report.gone) == (1, 9, 0)

    first = (row for row in ({"customId": "c-9", "attributes": {"n": threading.Lock()}}, *rows(9)))
    report = sync(client, first, state, **options)  # and cannot be copied
    assert (report.invalid, report.unchanged, report.gone) == (1, 9, 0)

    report = sync(client, [*rows(9), {"customId": "c-9\ud800"}], state, **options)
    assert (report.invalid, report.gone, report.gone_sent) == (1, 1, None)
    assert "could not be read" in (report.gone_problem or "")


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("is_nested", [False, True])
def test_a_reused_object(sandbox: Sandbox, state: Path, kind: str, *, is_nested: bool) -> None:
    """A source may fill one object anew for each row, or one within it: rows are taken as they were yielded."""

    def reused() -> Iterator[dict[str, Any]]:
        row: dict[str, Any] = {}
        inner: dict[str, Any] = {}
        for n in range(3000):
            inner["n"] = n
            row = {} if is_nested else row
            row |= {"customId": f"c-{n}", "attributes": inner}
            yield row

    async def awaited() -> DeltaReport:
        async def generated() -> AsyncIterator[dict[str, Any]]:
            for row in reused():
                yield row

        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.delta_sync.profiles(generated(), key="customId", state=state)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for expected in ((3000, 0, 0, 3), (0, 0, 3000, 0)):
            found = asyncio.run(awaited()) if kind == "async" else sync(client, reused(), state)
            assert counts(found) == expected
        for n in (0, 1, 2999):
            assert client.profiles.find("by-custom-id", f"c-{n}").to_dict()["attributes"] == {"n": n}


def test_an_object_that_is_reused_later_is_refused(client: Synerise, state: Path) -> None:
    """Where the first rows do not show it, other content than was compared would be sent."""

    def reused() -> Iterator[dict[str, Any]]:
        yield from rows(20)
        row: dict[str, Any] = {}
        for n in range(10):
            row["customId"] = f"d-{n}"
            yield row

    with pytest.raises(InvalidRequestError, match="dict"):
        sync(client, reused(), state)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("size", [2, 17, 65, 129, 300, 1500])
def test_objects_that_are_filled_in_turn(sandbox: Sandbox, client: Synerise, state: Path, kind: str, size: int) -> None:
    """Rows that changed wait for the others of their block: they are sent as they were yielded, as by a bulk run."""

    def reused() -> Iterator[dict[str, Any]]:
        few: list[dict[str, Any]] = [{} for _ in range(size)]
        for n in range(4000):
            few[n % size].update(customId=f"d-{n}", attributes={"n": n})
            yield few[n % size]

    async def generated() -> AsyncIterator[dict[str, Any]]:
        for row in reused():
            yield row

    async def awaited() -> DeltaReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
            return await opened.delta_sync.profiles(generated(), key="customId", state=state)

    for expected in ((4000, 0, 0, 4), (0, 0, 4000, 0)):
        assert counts(asyncio.run(awaited()) if kind == "async" else sync(client, reused(), state)) == expected
    for n in (0, size - 1, size, 2 * size + 1, 3999):
        assert client.profiles.find("by-custom-id", f"d-{n}").to_dict()["attributes"] == {"n": n}


def test_a_full_disk_ends_the_run(sandbox: Sandbox, client: Synerise, tmp_path: Path) -> None:
    """Where the state cannot grow, the run ends with the reason; the next one sends what was not confirmed."""
    state = tmp_path / "customers.state"
    code = (
        "import resource, signal, sys\n"
        "from synerise_profiles import Synerise\n"
        "from synerise_profiles.delta_sync import DeltaStateError\n"
        "rows = [{'customId': f'c-{n}', 'firstName': 'Anna'} for n in range(6000)]\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "with Synerise(api_key=sys.argv[2], base_url=sys.argv[1]) as client:\n"
        "    before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (120_000, before[1]))\n"
        "    try:\n"
        "        client.delta_sync.profiles(rows, key='customId', state=sys.argv[3])\n"
        "    except DeltaStateError as error:\n"
        "        print('make room' in str(error))\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, before)\n"  # what coverage measured is written at the end
    )
    command = [sys.executable, "-c", code, sandbox.url, sandbox.api_key, str(state)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr
    table = rows(6000)
    report = sync(client, table, state)
    assert report.read == 6000
    assert client.delta_sync.plan(table, key="customId", state=state).unchanged == 6000
    for n in (0, 3000, 5999):
        assert client.profiles.find("by-custom-id", f"c-{n}").first_name == "Anna"


@pytest.mark.parametrize("kind", ["list", "generator"])
def test_the_async_client(sandbox: Sandbox, state: Path, kind: str) -> None:
    """Awaited, it does the same, with a list or an async generator."""

    async def generated() -> AsyncIterator[dict[str, Any]]:
        for row in rows(2500):
            yield row

    async def run() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            for expected in ((2500, 0, 0, 3), (0, 0, 2500, 0)):
                table = generated() if kind == "generator" else rows(2500)
                plan = await client.delta_sync.plan(table, key="customId", state=state)
                table = generated() if kind == "generator" else rows(2500)
                report = await client.delta_sync.profiles(table, key="customId", state=state)
                assert counts(plan) == counts(report) == expected

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_a_key_that_comes_back_to_what_was_confirmed(sandbox: Sandbox, state: Path, kind: str) -> None:
    """Where the first row of a key differs and the last is as confirmed, both are sent: the last wins on the server."""
    other = {"customId": "c-1", "firstName": "Ewa"}
    table = [*rows(2), other, *rows(2)]

    async def generated() -> AsyncIterator[dict[str, Any]]:
        for row in table:
            yield row

    async def run() -> DeltaReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
            return await client.delta_sync.profiles(generated(), key="customId", state=state)

    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        sync(client, rows(2), state)
        report = asyncio.run(run()) if kind == "async" else sync(client, table, state)
        assert (report.read, report.changed, report.unchanged, report.repeated) == (5, 2, 3, 3)
        assert client.profiles.find("by-custom-id", "c-1").first_name == "Anna"


def test_rejections_name_the_row_of_the_source(client: Synerise, state: Path, tmp_path: Path) -> None:
    """A row of a file is known by its line, though only some are sent."""
    path = tmp_path / "customers.csv"
    mapping = RowMapping.for_profiles({"id": "customId", "born": "birthDate"})
    path.write_text("id,born\na,1990-01-01\nb,1990-01-01\n")
    sync(client, read_csv(path, mapping), state)
    path.write_text("id,born\na,1990-01-01\nb,tomorrow\n,1990-01-01\n")
    report = sync(client, read_csv(path, mapping), state)
    assert sorted(rejection.reference for rejection in report.sent.rejected) == [3, 4]
    assert (report.unchanged, report.invalid) == (1, 2)
