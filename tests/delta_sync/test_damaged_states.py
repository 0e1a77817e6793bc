"""States that are damaged, or not there yet: one error says so, and a plan writes nothing."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles._core.files import DatabaseFile
from synerise_profiles.delta_sync import DeltaStateError

TABLE = [{"customId": f"k{n}", "city": "Hel", "firstName": "Anna"} for n in range(400)]
DAMAGED = "nothing of it is believed; give the name of a file that is not there yet, with which all rows are sent"
OPTIONS: dict[str, Any] = {"key": "customId", "keep_keys": True, "fields": True}


def plan(client: Synerise, state: Path, table: Any = TABLE) -> Any:
    return client.delta_sync.plan(table, state=state, **OPTIONS)


@pytest.fixture
def good(client: Synerise, state: Path) -> bytes:
    client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
    return state.read_bytes()


def test_a_plan_makes_no_file(client: Synerise, state: Path) -> None:
    """Neither where there is none, nor with rows that are refused, nor in place of an empty one."""
    assert plan(client, state).new == 400
    assert client.delta_sync.plan(TABLE, key="email", state=state).invalid == 400
    assert [*state.parent.iterdir()] == []
    state.write_bytes(b"")
    assert plan(client, state).new == 400
    assert state.read_bytes() == b""
    with pytest.raises(InvalidRequestError, match="does not exist"):
        plan(client, state.parent / "nowhere" / "customers.state")


def test_a_plan_binds_to_nothing(client: Synerise, state: Path) -> None:
    """A run after a plan may have another key field."""
    client.delta_sync.plan(TABLE, key="email", state=state)
    assert plan(client, state).new == 400
    assert client.delta_sync.profiles(TABLE, state=state, **OPTIONS).new == 400


@pytest.mark.parametrize("cut", [1, 511, 512, 4095, 4096])
def test_a_state_that_is_cut(client: Synerise, state: Path, good: bytes, cut: int) -> None:
    """A file that lacks its end is refused, and is left as it is."""
    state.write_bytes(good[:-cut])
    with pytest.raises(DeltaStateError, match="damaged; nothing of it is believed"):
        plan(client, state)
    assert state.read_bytes() == good[:-cut]


def test_swapped_pages(client: Synerise, state: Path, good: bytes) -> None:
    """Whatever two pages change places: the state is refused, or says the same as before."""
    size, refused, said = 4096, 0, set[str]()
    pages = [good[at : at + size] for at in range(0, len(good), size)]
    for one in range(len(pages)):
        for other in range(one + 1, len(pages)):
            swapped = [*pages]
            swapped[one], swapped[other] = pages[other], pages[one]
            state.write_bytes(b"".join(swapped))
            try:
                found = plan(client, state, TABLE[:380])
            except DeltaStateError as error:
                said.add(str(error).partition("; ")[2])
                refused += 1
            else:
                assert (found.gone, found.unchanged) == (20, 380), (one, other)
    assert refused > len(pages)
    assert said == {DAMAGED, "give the name of another file"}  # the latter where the first page is another


def test_flipped_bits_of_the_schema_and_the_header(client: Synerise, state: Path, good: bytes) -> None:
    """Whatever bit flips of what says how the file is made: the state is refused as damaged, or nothing is lost."""
    with contextlib.closing(sqlite3.connect(state)) as database:
        root = database.execute("SELECT rootpage FROM sqlite_master WHERE name = 'header'").fetchone()[0]
    said = set[str]()
    at_header = [at for at in range((root - 1) * 4096, root * 4096) if good[at]]
    for at in [*range(96, 4096, 3), *at_header]:
        if not good[at]:
            continue
        flipped = bytearray(good)
        flipped[at] ^= 1 << at % 8
        state.write_bytes(flipped)
        try:
            found = plan(client, state, TABLE[:380])
        except DeltaStateError as error:
            said.add(str(error).partition("; ")[2])
        else:
            assert (found.gone, found.unchanged) == (20, 380), at
    assert said == {DAMAGED}


@pytest.mark.parametrize("kind", ["removed", "replaced"])
def test_a_state_that_goes_away_during_a_run(client: Synerise, state: Path, kind: str) -> None:
    """The report says so, and nothing is done to profiles that seem to be gone."""
    options: dict[str, Any] = {**OPTIONS, "state": state, "gone": "delete", "max_gone_rate": 1.0}
    client.delta_sync.profiles(TABLE, **options)

    def source() -> Iterator[dict[str, Any]]:
        state.unlink()
        if kind == "replaced":
            state.write_bytes(b"another file")
        yield from TABLE[1:]

    report = client.delta_sync.profiles(source(), **options)
    assert (report.gone, report.gone_sent) == (1, None)
    for problem in (report.gone_problem, report.state_problem):
        assert "was removed or replaced during the run" in str(problem)
    assert str(report.state_problem) in report.to_text()
    assert client.profiles.find("by-custom-id", "k0").city == "Hel"


def test_threads_of_one_process(client: Synerise, state: Path) -> None:
    """Of threads that begin a run of one state at once, one has it; the others are told that this process does."""
    start, said = threading.Barrier(4), list[str]()

    def run() -> None:
        start.wait()
        try:
            client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
        except DeltaStateError as error:
            said.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) < 4
    assert {text.partition(";")[0] for text in said} <= {"the state is in use by this process"}


@pytest.mark.parametrize("when", ["at the start", "in the middle", "behind the last"])
@pytest.mark.parametrize("left", [0, 5000, 8192])
def test_a_state_that_is_cut_during_a_run(client: Synerise, state: Path, when: str, left: int) -> None:
    """The report says so, or the run ends where it reads the file; nothing is done to profiles that seem gone."""
    options: dict[str, Any] = {**OPTIONS, "state": state, "gone": "delete", "max_gone_rate": 1.0}
    table = [{"customId": f"k{n}", "city": "Hel"} for n in range(9000)]
    client.delta_sync.profiles(table, **options)
    at = {"at the start": 0, "in the middle": 5000, "behind the last": 8998}[when]

    def source() -> Iterator[dict[str, Any]]:
        for n, row in enumerate(table[1:]):
            if n == at:
                os.truncate(state, left)
            yield row | {"city": "Gdynia"}

    if when == "at the start":
        with pytest.raises(DeltaStateError, match="the state is damaged"):
            client.delta_sync.profiles(source(), **options)
    else:
        report = client.delta_sync.profiles(source(), **options)
        assert (report.gone, report.gone_sent, report.sent.complete) == (1, None, True)
        for problem in (report.gone_problem, report.state_problem):
            assert "the state was cut by somebody else during the run" in str(problem)
    assert client.profiles.find("by-custom-id", "k0").city == "Hel"


def test_a_state_that_is_cut_when_all_was_written(
    client: Synerise, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is seen when the file is closed."""
    close = DatabaseFile.close

    def close_and_cut(file: DatabaseFile) -> None:
        close(file)
        os.truncate(state, 4096)

    monkeypatch.setattr(DatabaseFile, "close", close_and_cut)
    report = client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
    assert "the state was cut by somebody else during the run" in str(report.state_problem)


def test_an_empty_file_as_a_state_is_told(client: Synerise, state: Path) -> None:
    """It may be a first one, or what is left of one: the report says that all rows count as new."""
    first = client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
    assert first.sent.notes == {}
    state.write_bytes(b"")
    again = client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
    assert (again.new, again.state_problem) == (400, None)
    assert again.sent.notes == {"rows count as new, since the state was an empty file, as one that was cut": 400}
    third = client.delta_sync.profiles(TABLE, state=state, **OPTIONS)
    assert (third.unchanged, third.sent.notes) == (400, {})


@pytest.mark.parametrize("left", [0, 5000, 8192])
def test_a_state_that_is_cut_while_nothing_is_written(client: Synerise, state: Path, left: int) -> None:
    """It is seen at the end, where all rows are as they were."""
    client.delta_sync.profiles(TABLE, state=state, **OPTIONS)

    def source() -> Iterator[dict[str, Any]]:
        os.truncate(state, left)
        yield from TABLE

    report = client.delta_sync.profiles(source(), state=state, **OPTIONS)
    assert report.unchanged == 400
    assert "the state was cut by somebody else during the run" in str(report.state_problem)
