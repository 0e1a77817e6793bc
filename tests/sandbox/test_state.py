"""The state on a file: the same after a crash; and bounded in memory."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.bulk.journal import Journal
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.storage.database import Database
from synerise_profiles.sandbox.storage.store import StateStore
from tests._core.room import room_for

KEY, GUID = "the-key", "the-guid"


@contextmanager
def process(state: Path) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    """A sandbox in a process of its own, and a client of it."""
    command = [sys.executable, "-m", "synerise_profiles.sandbox", "--state", str(state), "--port", "0"]
    credentials = ["--api-key", KEY, "--workspace-guid", GUID]
    with subprocess.Popen([*command, *credentials], stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            url = next(line for line in running.stdout if "_BASE_URL=" in line).strip().partition("=")[2]
            client = httpx.Client(base_url=url, headers={"Api-Version": "4.4"}, trust_env=False, verify=False)
            with client:
                token = client.post("/uauth/v2/auth/login/profile", json={"apiKey": KEY}).json()["token"]
                client.headers["Authorization"] = f"Bearer {token}"
                yield running, client
        finally:
            running.kill()


def everything(state: Path) -> dict[str, list[Any]]:
    """All rows of all tables, but for the count of sign-ins."""
    with closing(sqlite3.connect(state)) as database:
        database.execute("DELETE FROM counters WHERE name = 'session'")
        tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in tables}


def test_the_state_survives_a_kill(tmp_path: Path) -> None:
    """What was answered before the process was killed is there when it starts again, and goes on from there."""
    state = tmp_path / "sandbox.db"
    with process(state) as (running, api):
        items = [{"customId": f"c-{n}", "uuid": f"u-{n}", "tags": ["vip"], "attributes": {"n": n}} for n in range(500)]
        assert api.post("/v4/clients/batch", json=items).status_code == 202
        event = {"label": "x", "client": {"customId": "c-7"}, "action": "my.action"}
        assert api.post("/v4/events/custom", json=event).status_code == 202
        assert api.post("/v4/clients/merge/from/custom-ids/c-1,c-2/to/custom-id/c-0").status_code == 200
        assert api.delete("/v4/clients/by-custom-id/c-3").status_code == 202
        device = {"deviceId": "d-1", "registrationId": "r-1", "type": "ios"}
        assert api.post("/v4/clients/by-customId/c-4/linked-devices", json=device).status_code == 200
        profiles = [api.get(f"/v4/clients/by-custom-id/c-{n}").json() for n in (0, 4, 7, 499)]
        events = api.get(f"/v4/events/by-client/{profiles[2]['clientId']}").json()
        running.send_signal(signal.SIGKILL)
        running.wait(10)
    before = everything(state)
    with process(state) as (_, api):
        assert [api.get(f"/v4/clients/by-custom-id/c-{n}").json() for n in (0, 4, 7, 499)] == profiles
        assert api.get(f"/v4/events/by-client/{profiles[2]['clientId']}").json() == events
        assert api.get("/v4/clients/by-uuid/u-2").json()["clientId"] == profiles[0]["clientId"]
        assert api.get("/v4/clients/by-custom-id/c-3").status_code == 404
        assert everything(state) == before
        api.post("/v4/clients", json={"customId": "new"})
        assert api.get("/v4/clients/by-custom-id/new").json()["clientId"] == profiles[3]["clientId"] + 1


def test_a_file_of_another_version_is_refused(tmp_path: Path) -> None:
    """Rather than read as what it is not."""
    state = tmp_path / "sandbox.db"
    with closing(sqlite3.connect(state)) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(ValueError, match="version 99"):
        Sandbox(state=str(state))


@pytest.mark.parametrize("kind", ["database", "same tables", "journal", "text", "cut"])
def test_a_file_of_something_else_is_left_as_it_is(tmp_path: Path, kind: str) -> None:
    """Also one that has tables of the same names."""
    state = tmp_path / "other.db"
    if kind == "journal":
        Journal(state, {"operation": "x"}).close()
    elif kind == "text":
        state.write_text("my novel")
    elif kind == "cut":
        Sandbox(state=state).stop()
        state.write_bytes(state.read_bytes()[:5000])
    else:
        with closing(sqlite3.connect(state)) as database:
            database.execute(f"CREATE TABLE {'settings' if kind == 'same tables' else 'users'} (name, value)")
    before = state.read_bytes()
    with pytest.raises(InvalidRequestError, match=r"^state: the (file|state of a sandbox) is "):
        Sandbox(state=state)
    assert state.read_bytes() == before


@pytest.mark.parametrize("path", ["", ".", os.devnull, "missing/state.db"])
def test_what_is_no_file_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Before anything is made."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match=r"^state: "):
        Sandbox(state=path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such mode and lock there")
def test_one_process_uses_a_state(tmp_path: Path) -> None:
    """The second one is refused at start, in another process and in this one; it is for its owner alone."""
    state = tmp_path / "sandbox.db"
    with process(state):
        assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
        with pytest.raises(InvalidRequestError, match="in use by another process"):
            Sandbox(state=state)
        command = [sys.executable, "-m", "synerise_profiles.sandbox", "--state", str(state), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert (second.returncode, second.stdout) == (2, "")
        assert "in use by another process" in second.stderr
    with Sandbox(state=state), pytest.raises(InvalidRequestError, match="in use by this process"):
        Sandbox(state=state)
    Sandbox(state=state).stop()


def test_profiles_are_read_a_page_at_a_time(sandbox: Sandbox, api: httpx.Client) -> None:
    """Walking over all profiles holds no more than a page of them, and misses none."""
    for start in range(0, 2500, 500):
        api.post("/v4/clients/batch", json=[{"customId": str(number)} for number in range(start, start + 500)])
    walk = iter(sandbox.store.profiles)
    first = next(walk)
    api.post("/v4/clients", json={"customId": "late"})
    assert [first.custom_id, *(profile.custom_id for profile in walk)] == [*map(str, range(2500)), "late"]


def test_refused_and_repeated_writes_leave_nothing_behind(sandbox: Sandbox, api: httpx.Client) -> None:
    """The state grows with what is stored, not with what was sent."""
    for _ in range(20):
        api.post("/v4/clients/batch", json=[{"customId": "a", "tags": ["x", "y"], "uuid": "u"}, {"email": "no"}])
        api.post("/v4/clients", json={"customId": "a", "email": "a@example.com"})
    database = sandbox.store._database
    rows = {name: database.rows(f"SELECT count(*) FROM {name}")[0][0] for name in ("profiles", "tags", "aliases")}
    assert rows == {"profiles": 1, "tags": 2, "aliases": 0}
    assert database.rows("SELECT count(*) FROM tag_assignments") == [(2,)]


def test_transactions_inside_one_another(tmp_path: Path) -> None:
    """What is inside is stored or undone with what is around it, and the next one begins anew."""
    store = StateStore(str(tmp_path / "state"))

    def fail() -> None:
        with store.transaction():
            with store.transaction():
                store.records.put("kind", "inner", {})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert store.records.get("kind", "inner") is None
    with store.transaction(), store.transaction():
        store.records.put("kind", "kept", {})
    store.close()
    assert StateStore(str(tmp_path / "state")).records.get("kind", "kept") == {}


def test_numbers_go_on_in_a_file(tmp_path: Path) -> None:
    """What was counted is there when the file is opened again, also what was given and removed."""
    first = StateStore(str(tmp_path / "state"))
    with first.transaction():
        given = first.tags.create("a")["id"]
        first.tags.replace({1: ["b"]})
    first.tags.delete(given + 1)
    first.close()
    second = StateStore(str(tmp_path / "state"))
    assert second.tags.create("c")["id"] == given + 2
    second.close()


def test_a_full_disk_at_the_start(tmp_path: Path) -> None:
    """Whatever the size at which the disk is full: the sandbox is refused and says why, or starts; then it has room."""
    refused = 0
    for size in range(0, 320_000, 20_000):
        state = tmp_path / f"{size}.db"
        try:
            with room_for(size), Sandbox(state=state):
                pass
        except InvalidRequestError as error:
            refused += "make room, or give the name of another file" in str(error)
        with Sandbox(state=state):
            pass
    assert refused > 5


def test_a_full_disk_in_the_middle(tmp_path: Path) -> None:
    """What cannot be stored is stored as a whole or not at all, and the next write finds no open transaction."""
    database = Database(tmp_path / "sandbox.db")
    failed = rollbacks = 0
    for size in range(0, 500_000, 20_000):
        with room_for(size), contextlib.suppress(sqlite3.Error), database.transaction():
            for n in range(40):
                database.execute("INSERT INTO settings VALUES (?, ?)", (f"{size}-{n}", "x" * 9000))
        count = len(database.rows("SELECT 1 FROM settings WHERE name LIKE ?", (f"{size}-%",)))
        assert count in (0, 40)
        failed += not count
        rollbacks = database.rollbacks
        with database.transaction():
            database.execute("DELETE FROM settings")
    database.close()
    assert 0 < failed == rollbacks
