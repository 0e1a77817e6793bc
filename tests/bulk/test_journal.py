"""The journal: a run that was cut off goes on where it stopped, and never with another input."""

from __future__ import annotations

import itertools
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles._batching import operations
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles.bulk import BulkStoppedError, JournalError, JournalMismatchError, Report, report_of
from synerise_profiles.bulk.journal import Journal
from synerise_profiles.bulk.journal_protocol import JournalEntry
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sandbox.storage.store import StateStore
from tests.bulk.support import Clock, Run, Server, fates
from tests.bulk.test_engine import STYLES, is_bad, number, profile, small, trouble

CALL = {"operation": "x"}


def keyed(n: int, *, time: bool) -> dict[str, Any]:
    moment = {"time": "2026-01-01T00:00:00Z"} if time else {}
    client = {"customId": "c"} if n % 3 else {"email": "a@example.com"}
    return {"label": "x", "action": "a.b", "client": client, "params": {"n": n}, **moment}


@settings(max_examples=80, deadline=None)
@given(
    cities=st.lists(st.sampled_from(["a", "b", "c!", "x" * 300]), max_size=60),
    style=st.sampled_from(STYLES),
    stops=st.lists(st.integers(0, 8), max_size=4),
    draws=st.lists(st.integers(0, 7), max_size=15),
    seed=st.integers(0, 1000),
)
def test_a_run_that_was_cut_off_goes_on(
    cities: list[str], style: str, stops: list[int], draws: list[int], seed: int
) -> None:
    """Wherever a run is cut off: in the end the report is that of a run in one go, and no confirmed row goes again."""
    rows = [profile(n, city) for n, city in enumerate(cities)]
    batch_operation = small(7, 350)
    expected = fates(Run(batch_operation, rows, Server(is_bad, style)).finish())
    server = Server(is_bad, style, trouble(draws))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "night.db"
        settled: set[int] = set()
        for stop in (*stops, None):
            journal = Journal(path, CALL)
            run = Run(batch_operation, rows, server, seed=seed, journal=journal, concurrency=3)
            before = len(server.stored)
            for _ in itertools.islice(run.steps(), stop):
                pass
            again = {number(row) for row in server.stored[before:]}
            assert not again & settled
            settled |= confirmed_rows(journal)
            journal.close()
    report = run.report
    assert report.complete
    assert report.read == len(rows) == report.accepted + report.rejected_count()
    assert fates(report) == expected


def confirmed_rows(journal: Journal) -> set[int]:
    found = journal._database.execute("SELECT first, last FROM chunks").fetchall()
    return {n for first, last in found for n in range(first, last + 1)}


@settings(max_examples=40, deadline=None)
@given(
    count=st.integers(0, 40),
    stops=st.lists(st.integers(0, 8), max_size=4),
    has_time=st.sampled_from([True, False]),
    draws=st.lists(st.integers(0, 7), max_size=15),
)
def test_no_event_is_stored_twice(count: int, stops: list[int], has_time: bool, draws: list[int]) -> None:  # noqa: FBT001
    """Salts and times are the same when a row goes again, so the server overwrites: one event a row."""
    rows = [keyed(n, time=has_time) for n in range(count)]
    server = Server(fault=trouble(draws))
    with tempfile.TemporaryDirectory() as folder:
        for stop in (*stops, None):
            journal = Journal(Path(folder) / "night.db", CALL)
            run = Run(small(5, 10_000, operations.events()), rows, server, journal=journal, concurrency=3)
            for _ in itertools.islice(run.steps(), stop):
                run.clock.now += 10
            journal.close()
    assert run.report.accepted == count
    keys = {(row["eventSalt"], row["time"], str(row["client"])) for row in server.stored}
    assert len(keys) == count == len({row["params"]["n"] for row in server.stored})


@pytest.fixture
def night(tmp_path: Path) -> Path:
    return tmp_path / "night.db"


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server) -> Iterator[Synerise]:
    with Synerise(token="t", transport=server.transport(), max_retries=0, _timing=Clock().timing) as client:
        yield client


def test_a_finished_run_sends_nothing_again(client: Synerise, server: Server, night: Path) -> None:
    """The same call after its end only reads the input, and reports the same."""
    rows = [profile(n) for n in range(2500)]
    first = client.bulk.upsert_profiles(rows, journal=night)
    sent = len(server.bodies)
    second = client.bulk.upsert_profiles(rows, journal=night)
    assert (first.resumed, second.resumed, second.requests) == (0, 2500, 0)
    assert first.accepted == second.accepted == 2500
    assert len(server.bodies) == sent == 3


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ([profile(n, "other" if n == 2400 else "Kraków") for n in range(2500)], "rows 2000 to 2499 differ"),
        ([profile(n) for n in range(1, 2501)], "rows 0 to 999 differ"),
        ([profile(n) for n in range(1500)], "differ"),
        ([profile(n) for n in range(2000)], "fewer rows"),
        ([profile(n) for n in range(2501)], "differ"),
        ([], "fewer rows"),
    ],
    ids=["changed", "shifted", "cut", "cut at a chunk", "longer", "empty"],
)
def test_another_input_is_refused(client: Synerise, server: Server, night: Path, other: list[Any], words: str) -> None:
    """Nothing of an input that is not the same is sent."""
    client.bulk.upsert_profiles([profile(n) for n in range(2500)], journal=night)
    server.bodies.clear()
    with pytest.raises(JournalMismatchError, match=words):
        client.bulk.upsert_profiles(other, journal=night)
    assert server.bodies == []


def test_nothing_is_sent_before_all_is_verified(client: Synerise, server: Server, night: Path) -> None:
    """A chunk that was not confirmed waits until those after it were found to be the same."""
    down = SendResult(status=429, failure=AttemptFailure(status_code=429))
    server.fault = lambda: (False, down) if b'"c-0"' in server.bodies[-1] else None
    rows = [profile(n) for n in range(3000)]
    report = client.bulk.upsert_profiles(rows, journal=night, concurrency=2)
    assert fates(report) == {"unsent": list(range(1000))}
    assert not report.complete
    server.bodies.clear()
    server.fault = lambda: None
    with pytest.raises(JournalMismatchError, match=r"rows 2000 to 2999 differ.*\. The file is .*\.db"):
        client.bulk.upsert_profiles([*rows[:2999], profile(7)], journal=night)
    assert server.bodies == []
    again = client.bulk.upsert_profiles(rows, journal=night)
    assert (again.accepted, again.resumed, again.requests, again.complete) == (3000, 2000, 1, True)


def test_other_arguments_are_refused(client: Synerise, night: Path) -> None:
    """With other checks other rows would go together, so the journal says no."""
    client.bulk.upsert_profiles([profile(0)], journal=night)
    with pytest.raises(JournalMismatchError, match=r'another checks: "basic".*\. The file is .*\.db'):
        client.bulk.upsert_profiles([profile(0)], journal=night, checks="strict")
    with pytest.raises(JournalMismatchError, match="another operation"):
        client.bulk.send_events([keyed(0, time=True)], journal=night)


def test_a_file_that_is_no_journal(client: Synerise, night: Path) -> None:
    """A wrong file name is refused, and the file stays as it is."""
    night.write_text("my novel, which is much longer than the header of a database would be" * 10)
    with pytest.raises(JournalError, match="no journal"):
        client.bulk.upsert_profiles([profile(0)], journal=night)
    assert night.read_text().startswith("my novel")
    with pytest.raises(InvalidRequestError, match="journal: is in a folder that does not exist"):
        client.bulk.upsert_profiles([profile(0)], journal=night.parent / "nowhere" / "night.db")


def test_one_run_at_a_time(client: Synerise, night: Path) -> None:
    """A journal that another run has open is refused."""
    client.bulk.upsert_profiles([profile(0)], journal=night)
    program = "import sqlite3, sys\nother = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
    program += "other.execute('BEGIN IMMEDIATE')\nprint('ready', flush=True)\nsys.stdin.read()"
    command = [sys.executable, "-c", program, str(night)]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert other.stdout is not None
    assert other.stdout.readline() == b"ready\n"
    with pytest.raises(JournalError, match="another run may have it open"):
        client.bulk.upsert_profiles([profile(0)], journal=night)
    other.communicate()
    assert client.bulk.upsert_profiles([profile(0)], journal=night).resumed == 1


def test_one_run_of_this_process_at_a_time(client: Synerise, tmp_path: Path) -> None:
    """Nor is it shared by two runs of one program, whatever it is called."""
    path = tmp_path / "other.db"
    (tmp_path / "link.db").symlink_to(path)
    with closing(Journal(path, CALL)), pytest.raises(JournalError, match="another run may have it open"):
        client.bulk.upsert_profiles([profile(0)], journal=tmp_path / "link.db")


def test_an_interruption_leaves_a_journal(client: Synerise, server: Server, night: Path) -> None:
    """After Ctrl-C the same call goes on; what was confirmed does not go again."""
    rows = [profile(n) for n in range(5000)]

    def interrupted() -> Iterator[Any]:
        yield from rows[:3500]
        while len(server.bodies) < 3:
            pass
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        client.bulk.upsert_profiles(interrupted(), journal=night, concurrency=1)
    report = client.bulk.upsert_profiles(rows, journal=night)
    assert report.resumed >= 2000
    assert report.accepted == 5000


def test_a_stopped_run_can_go_on(client: Synerise, server: Server, night: Path) -> None:
    """A run that the server's failure ended goes on as well."""
    down = SendResult(status=503, failure=AttemptFailure(status_code=503))
    server.fault = lambda: (False, down) if len(server.bodies) > 2 else None
    rows = [profile(n) for n in range(5000)]
    with pytest.raises(BulkStoppedError):
        client.bulk.upsert_profiles(rows, journal=night, concurrency=1)
    server.fault = lambda: None
    report = client.bulk.upsert_profiles(rows, journal=night)
    assert (report.resumed, report.accepted, report.complete) == (2000, 5000, True)


def test_the_journal_holds_no_rows(client: Synerise, server: Server, night: Path) -> None:
    """Personal data stays out of the journal."""
    server.bad, server.style = is_bad, "400"
    client.bulk.upsert_profiles([profile(n, "secret!" if n == 3 else "x") for n in range(10)], journal=night)
    content = night.read_bytes()
    assert b"c-3" not in content
    assert b"secret" not in content


@pytest.mark.parametrize("path", ["", ":memory:", ".", os.devnull, "missing/night.db", "new/"])
def test_a_journal_that_would_keep_nothing_is_refused(
    client: Synerise, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """By the name of the argument, before anything is made or sent."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequestError, match=r"^journal: "):
        client.bulk.upsert_profiles([profile(0)], journal=path)
    assert (server.bodies, list(tmp_path.iterdir())) == ([], [])


@pytest.mark.parametrize(
    "kind", ["another database", "tables of the same names", "state of a sandbox", "text", "short"]
)
def test_a_file_of_another_program_stays_as_it_is(client: Synerise, server: Server, night: Path, kind: str) -> None:
    """Also one that would pass for a journal by its tables."""
    if kind == "state of a sandbox":
        StateStore(night).close()
    elif kind in ("text", "short"):
        night.write_text("x" if kind == "short" else "my novel\n" * 1000)
    else:
        with closing(sqlite3.connect(night)) as database:
            names = ["users"] if kind == "another database" else ["run", "times", "sent", "chunks"]
            for name in names:
                database.execute(f"CREATE TABLE {name} (name TEXT PRIMARY KEY, value TEXT)")
    before = night.read_bytes()
    with pytest.raises(JournalError, match="is no journal"):
        client.bulk.upsert_profiles([profile(0)], journal=night)
    assert (server.bodies, night.read_bytes(), len(list(night.parent.iterdir()))) == ([], before, 1)


def test_a_journal_of_another_version_is_refused(client: Synerise, server: Server, night: Path) -> None:
    """With what to do."""
    client.bulk.upsert_profiles([profile(0)], journal=night)
    with closing(sqlite3.connect(night)) as database:
        database.execute("PRAGMA user_version = 99")
    server.bodies.clear()
    with pytest.raises(JournalError, match=r"version 99.*end the run with the release that began it, or give"):
        client.bulk.upsert_profiles([profile(0)], journal=night)
    assert server.bodies == []


CHANGES = [
    "UPDATE chunks SET accepted = accepted + 1",
    "UPDATE chunks SET accepted = 0",
    "UPDATE chunks SET refused = NULL",
    "UPDATE chunks SET first = first + 1",
    "UPDATE chunks SET last = last - 1",
    "UPDATE chunks SET digest = x'00'",
    "UPDATE chunks SET checksum = x'00'",
    "UPDATE chunks SET number = 7 WHERE number = 2",
    "UPDATE chunks SET refused = (SELECT refused FROM chunks WHERE number = 1) WHERE number = 0",
    "UPDATE chunks SET accepted = 'many'",
    "DELETE FROM run WHERE name = 'checks'",
    "DELETE FROM run",
    "UPDATE run SET value = '\"off\"' WHERE name = 'checks'",
]


@pytest.mark.parametrize("change", CHANGES)
def test_an_altered_journal_gives_no_count(client: Synerise, server: Server, night: Path, change: str) -> None:
    """Whatever was altered, the run ends with one kind of error, and nothing is sent."""
    server.bad, server.style = is_bad, "400"
    rows = [profile(n, f"x{'!' * (n % 700 == 1)}") for n in range(2500)]
    first = client.bulk.upsert_profiles(rows, journal=night)
    assert first.rejected_count()
    with closing(sqlite3.connect(night)) as database:
        database.execute(change)
        database.commit()
    server.bodies.clear()
    with pytest.raises(JournalError):
        client.bulk.upsert_profiles(rows, journal=night)
    assert server.bodies == []


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.999])
def test_a_journal_that_was_cut_gives_no_count(client: Synerise, server: Server, night: Path, share: float) -> None:
    """A part of a file is none."""
    rows = [profile(n) for n in range(2500)]
    client.bulk.upsert_profiles(rows, journal=night)
    whole = night.read_bytes()
    night.write_bytes(whole[: int(len(whole) * share)])
    server.bodies.clear()
    with pytest.raises(JournalError, match=f"damaged.*{night.name}"):
        client.bulk.upsert_profiles(rows, journal=night)
    assert server.bodies == []


@pytest.mark.parametrize("seed", range(30))
def test_a_journal_with_a_flipped_bit_gives_no_wrong_count(client: Synerise, night: Path, seed: int) -> None:
    """Either the run ends with an error, or its report is that of a journal as it was."""
    rows = [profile(n) for n in range(2500)]
    client.bulk.upsert_profiles(rows, journal=night)
    content, chance = bytearray(night.read_bytes()), random.Random(seed)
    for _ in range(1 + seed // 3):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    night.write_bytes(content)
    try:
        report = client.bulk.upsert_profiles(rows, journal=night)
    except JournalError:
        return
    assert (report.accepted, report.rejected_count(), report.complete) == (2500, 0, True)


def deletions(server: Server, gone: set[int]) -> Callable[[httpx.Request], httpx.Response]:
    """A server of profiles; those that are gone are not found."""

    def answer(request: httpx.Request) -> httpx.Response:
        server.bodies.append(request.url.path.encode())
        number = int(request.url.path.rpartition("-")[2])
        if number in gone:
            return httpx.Response(404)
        gone.add(number)
        fault = server.fault()
        if fault is None:
            return httpx.Response(202)
        if fault[1].status is None:
            raise httpx.ReadError("lost", request=request)
        if not fault[0]:
            gone.discard(number)
        return httpx.Response(fault[1].status)

    return answer


LOST = SendResult(failure=AttemptFailure(maybe_received=True))
AWAY = SendResult(status=503, failure=AttemptFailure(status_code=503))


def delete(answer: Callable[[httpx.Request], httpx.Response], rows: Iterable[Any], night: Path, **options: Any) -> Any:
    transport = httpx.MockTransport(answer)
    with Synerise(token="t", transport=transport, max_retries=0, _timing=Clock().timing) as client:
        try:
            return client.bulk.delete_profiles(rows, journal=night, concurrency=1, **options)
        except BulkStoppedError as error:
            return error.report


@pytest.mark.parametrize(("fault", "is_sent"), [(LOST, True), (AWAY, False)], ids=["lost answer", "not carried out"])
def test_a_deletion_that_was_on_its_way(server: Server, night: Path, fault: SendResult, is_sent: bool) -> None:  # noqa: FBT001
    """Not found is what was wanted where an earlier run may have deleted it, and a refusal where it surely did not."""
    gone = {1, 2}
    answer = deletions(server, gone)
    rows = [{"customId": f"c-{n}"} for n in range(8)]
    server.fault = lambda: (is_sent, fault) if int(server.bodies[-1][-1:]) >= 4 else None
    first = delete(answer, rows, night)
    assert 4 in {item.index for item in first.rejected if item.stage == "unsent"}
    server.fault = lambda: None
    if not is_sent:
        gone.add(4)  # by somebody else, or it never was there: this library did not delete it
    report = delete(answer, rows, night)
    refused = sorted(item.index for item in report.rejected)
    assert refused == ([1, 2] if is_sent else [1, 2, 4])
    assert report.accepted == 8 - len(refused)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE sent SET digest = x'00'",
        "UPDATE sent SET number = number + 1000",
        "UPDATE sent SET number = number + 1000 WHERE number >= 0",
        "DELETE FROM sent",
        "DELETE FROM sent WHERE number = 4",
        "DELETE FROM sent WHERE number < 0",
        "DELETE FROM sent WHERE number >= 0",
        "UPDATE sent SET checksum = x'0000000000000000'",
        "UPDATE sent SET checksum = 7",
        "INSERT INTO sent SELECT 9, digest, checksum FROM sent WHERE number = 4",
        "INSERT OR REPLACE INTO run VALUES ('finished', 'yes')",
    ],
)
def test_an_altered_record_of_deletions_gives_no_count(server: Server, night: Path, change: str) -> None:
    """Else a deletion whose answer was lost would be told as refused, since the profile is gone."""
    answer = deletions(server, {1, 2})
    rows = [{"customId": f"c-{n}"} for n in range(8)]
    server.fault = lambda: (True, LOST) if int(server.bodies[-1][-1:]) >= 4 else None
    delete(answer, rows, night)
    server.fault = lambda: None
    with closing(sqlite3.connect(night)) as database:
        assert database.execute(change).rowcount
        database.commit()
    sent = len(server.bodies)
    with pytest.raises(JournalError, match="the journal is damaged"):
        delete(answer, rows, night)
    assert len(server.bodies) == sent


def test_another_deletion_in_its_place_was_not_on_its_way(server: Server, night: Path) -> None:
    """What was sent is known by its content, not by its place alone."""
    answer = deletions(server, {9})
    server.fault = lambda: (True, LOST)
    delete(answer, [{"customId": "c-1"}], night)
    server.fault = lambda: None
    report = delete(answer, [{"customId": "c-9"}], night)
    assert [item.stage for item in report.rejected] == ["server"]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such limit there")
def test_a_full_disk_ends_the_run_and_it_goes_on(tmp_path: Path) -> None:
    """With one error that says what to do; the next run finishes, and no deletion is refused for having been done."""
    with Sandbox(log_size=100_000) as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        rows = [{"customId": f"c-{n}"} for n in range(3000)]
        client.bulk.upsert_profiles(rows)
        program = Path(__file__).with_name("files_program.py")
        command = [sys.executable, str(program), sandbox.url, sandbox.api_key, "journal", str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        assert "the journal cannot be read or written" in done.stdout, done
        assert "make room, and repeat the call with the same input and journal" in done.stdout
        deleted = sum(entry.operation == "profiles.delete_by_custom_id" for entry in sandbox.log)
        assert 0 < deleted < 3000
        report = client.bulk.delete_profiles(rows, journal=tmp_path / "night.db")
    assert (report.accepted, report.rejected_count(), report.complete) == (3000, 0, True)
    assert report.resumed > 0


@pytest.mark.skipif(sys.platform == "win32", reason="files have no such mode there")
def test_a_journal_is_for_its_owner(client: Synerise, night: Path) -> None:
    """One that is there keeps its mode."""
    client.bulk.upsert_profiles([profile(0)], journal=night)
    assert stat.S_IMODE(night.stat().st_mode) == 0o600
    night.chmod(0o640)
    client.bulk.upsert_profiles([profile(0)], journal=night)
    assert stat.S_IMODE(night.stat().st_mode) == 0o640


@pytest.mark.skipif(sys.platform != "linux", reason="a folder of the kernel, which takes no file")
def test_a_journal_that_cannot_be_made_asks_for_another_name(client: Synerise) -> None:
    """Room would not help where no file can be made."""
    with pytest.raises(JournalError, match=r"cannot be made \(.*\); give the name of a file in a folder"):
        client.bulk.upsert_profiles([profile(0)], journal="/sys/night.db")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE chunks RENAME COLUMN accepted TO acceptee",
        "ALTER TABLE run RENAME COLUMN value TO valve",
        "ALTER TABLE chunks ADD COLUMN z; DELETE FROM chunks",
        "DROP TABLE sent; CREATE TABLE sent (x)",
    ],
)
def test_a_journal_of_other_columns_is_damaged(tmp_path: Path, statement: str) -> None:
    """No room mends it: the advice is to give the name of a new file."""
    path = tmp_path / "night.db"
    events = [{"label": "l", "action": "a.b", "client": {"customId": f"c-{n}"}} for n in range(3)]
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.send_events(events, journal=path)
        database = sqlite3.connect(path)
        database.executescript(statement + "; DELETE FROM run WHERE name = 'finished'")
        database.close()
        with pytest.raises(JournalError, match=r"the journal is damaged; .* a file that is not there yet"):
            client.bulk.send_events(events, journal=path, concurrency=1)


@pytest.mark.parametrize("how", ["removed", "replaced"])
@pytest.mark.parametrize("when", ["at once", "at the end"])
def test_a_journal_that_is_taken_away_is_told(
    client: Synerise, night: Path, how: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next call would send all again, and nothing would say why; a run that takes longer ends by it."""
    if when == "at once":
        monkeypatch.setattr("synerise_profiles.bulk.journal._FLUSH_SECONDS", 0)
    read: list[int] = []

    def rows() -> Iterator[Any]:
        for index in range(30_000):
            read.append(index)
            yield {"customId": f"c-{index}"}
            if index == 3000:
                night.with_name("other").touch()
                night.unlink() if how == "removed" else night.with_name("other").replace(night)

    with pytest.raises(JournalError, match="the journal was removed, or replaced by another file") as caught:
        client.bulk.upsert_profiles(rows(), journal=night)
    report = report_of(caught.value)
    assert isinstance(report, Report)
    assert (report.accepted == 30_000) == (when == "at the end")
    assert (len(read) == 30_000) == (when == "at the end")


@pytest.mark.parametrize("place", [0.5, 1.0])
@pytest.mark.parametrize("how", ["emptied", "overwritten"])
def test_what_a_journal_lacks_is_told_at_the_end(
    client: Synerise, night: Path, monkeypatch: pytest.MonkeyPatch, place: float, how: str
) -> None:
    """Where somebody cuts the file that SQLite keeps beside it: the next run would refuse it, or send rows again."""
    monkeypatch.setattr("synerise_profiles.bulk.journal._FLUSH_SECONDS", 1e9)  # all of it is in that file

    def rows() -> Iterator[Any]:
        for index in range(5000):
            if index == int(4999 * place):
                log = night.with_name(f"{night.name}-wal")
                log.write_bytes(b"" if how == "emptied" else b"x" * log.stat().st_size)
            yield {"customId": f"c{index}"}

    with pytest.raises(JournalError, match=r"the journal lacks what was written to it.*nothing is resumed") as caught:
        client.bulk.upsert_profiles(rows(), journal=night, concurrency=1)
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.accepted) == (5000, 5000)


def test_a_journal_that_the_next_run_has_is_left_to_it(night: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole as it is: it is looked at where nobody has it yet."""
    one, later = Journal(night, CALL), list[Journal]()
    one.record(0, JournalEntry(first_index=0, last_index=4, digest=b"x", accepted=5, refused={}))
    close = one._close

    def close_and_open() -> None:
        close()
        later.append(Journal(night, CALL))

    monkeypatch.setattr(one, "_close", close_and_open)
    one.close()
    assert later[0].last_number == 0
    later[0].close()


def test_an_entry_that_was_cut_off_behind_its_statement_is_counted_once(
    night: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that comes when the file has the entry leaves no count that the end of the run takes for a loss."""
    journal = Journal(night, CALL)
    entries = [
        JournalEntry(first_index=5 * n, last_index=5 * n + 4, digest=b"x", accepted=5, refused={}) for n in range(3)
    ]
    journal.record(0, entries[0])
    execute = journal._execute

    def struck(sql: str, *values: Any) -> list[Any]:
        found = execute(sql, *values)
        if sql.startswith("INSERT"):
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(journal, "_execute", struck)
    with pytest.raises(KeyboardInterrupt):
        journal.record(1, entries[1])
    monkeypatch.undo()
    journal.record(2, entries[2])
    journal.close()
    with closing(Journal(night, CALL)) as again:
        assert [again.entry(n) for n in range(3)] == entries
