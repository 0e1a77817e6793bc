"""A signal's handler that raises at any moment while a file is opened, written, locked or closed."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import synerise_profiles._core.files as room
from synerise_profiles._batching.letters import LetterHead
from synerise_profiles._core.files import AppendFile, DatabaseFile, PartFile, SharedRecord, replaced_file, target_of
from synerise_profiles._core.files.locks import take
from synerise_profiles.bulk import journal, letter_file
from synerise_profiles.bulk.journal import Journal
from synerise_profiles.bulk.letter_file import open_letters
from tests._core.strikes import At, StruckError, strike_twice

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its open files are counted")
FILES = frozenset(str(path) for path in Path(str(room.__file__)).parent.glob("*.py")) | {
    str(module.__file__) for module in (journal, letter_file)
}
HEAD = LetterHead(operation="profiles.upsert_batch", arguments={}, mapping=None)


@pytest.fixture(autouse=True)
def fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of files are written: none is to survive a power cut."""
    monkeypatch.setattr(os, "fsync", os.fstat)


def strike() -> None:
    raise StruckError


def replace(path: Path) -> None:
    with replaced_file(path) as file:
        file.write(b"new\n")


def write_a_part(path: Path) -> None:
    part = PartFile(target_of(path, "path"), "path")
    try:
        part.write(b"2\n1\n")
        part.rewrite(b"1\n2\n")
        part.commit()
    finally:
        discarded(part)


def closed(file: Any) -> None:
    """Close it, again where that was cut into, as a run does."""
    try:
        file.close()
    finally:
        try:
            file.close()
        finally:
            file.close()


def carry_a_tail(path: Path) -> None:
    """Take the place of a file to whose end something came, and be ended again, as the end of a run is."""
    path.write_bytes(b"old\nt\n")
    part = PartFile(target_of(path, "path"), "path")
    try:
        try:
            part.write(b"new\n")
            part.commit(lambda: 4)
        finally:
            try:
                part.commit(lambda: 4)
            finally:
                part.commit(lambda: 4)
        assert path.read_bytes() == b"new\nt\n"
    finally:
        discarded(part)


def open_letters_in_vain(path: Path) -> None:
    letters = open_letters(target_of(path, "path"), "replace", HEAD)
    try:
        letters.close(is_kept=False)
    finally:
        try:
            letters.close(is_kept=False)
        finally:
            letters.close(is_kept=False)


def open_a_journal(path: Path) -> None:
    closed(Journal(path, {"operation": "x"}))


def discarded(part: PartFile) -> None:
    """Discard it, again where that was cut into."""
    try:
        part.discard()
    finally:
        try:
            part.discard()
        finally:
            part.discard()


def append(path: Path) -> None:
    file = AppendFile(target_of(path, "path"), "path", is_locked=True)
    try:
        assert not file.is_in_use
        file.write(b"line\n")
    finally:
        closed(file)


def share(path: Path) -> None:
    record = SharedRecord(path, "rate_budget", b"head")
    try:
        with record.locked() as is_locked:
            assert is_locked
            record.write(b"12345678")
    finally:
        closed(record)


def taken_record(path: Path) -> SharedRecord:
    record = SharedRecord(path, "rate_budget", b"head")
    assert take(record._descriptor)
    return record


def open_database(path: Path) -> None:
    file = DatabaseFile(path, "journal", application_id=77, version=1, is_exclusive=True)
    try:
        file.connection.execute("CREATE TABLE IF NOT EXISTS x (y)")
    finally:
        closed(file)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("job", [replace, write_a_part, carry_a_tail, append, share, open_database])
def test_no_lock_and_no_descriptor_is_lost(job: Callable[[Path], None], tmp_path: Path) -> None:
    """The next use works at once, while whoever was struck still holds the exception."""
    path = tmp_path / "file"
    job(path)
    gc.collect()  # or destructors of what other tests left are struck, which pass nothing on
    # A strike at the end of a handler leaves its thread in that handler: no test after this one is to run there.
    with ThreadPoolExecutor(1) as thread:
        n = thread.submit(strike_each, job, path).result()
    assert n > 30
    assert {name.name for name in tmp_path.iterdir()} == {"file"}


def strike_each(job: Callable[[Path], None], path: Path) -> int:
    """Strike a job at one moment after the other, each time done again at once; return how many there were."""
    n, errors = 0, list[BaseException]()
    while len(errors) == n and n < 2000:
        n += 1
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a descriptor of its own
        try:
            with At(n, FILES, strike).active():
                job(path)
        except StruckError as error:
            errors.append(error)
        job(path)
        if job is not open_database:  # SQLite closes some of its own later, as its locks go
            assert len(os.listdir("/proc/self/fd")) == before, n  # noqa: PTH208 - likewise
    return n


class Job:
    """A job, which is done again once it was struck, while whoever was struck still holds the exceptions."""

    def __init__(self, job: Callable[[Path], None], path: Path, errors: list[BaseException | None]) -> None:
        self._job, self._path, self._errors = job, path, errors

    def run(self, tracer: Any) -> None:
        with tracer.active():
            self._job(self._path)

    def check(self, caught: BaseException | None, where: str) -> None:
        self._errors.append(caught)
        if where.endswith("__del__"):  # what a destructor would have closed is left to the collector
            gc.collect()
        try:
            self._job(self._path)
        except Exception as error:
            error.add_note(where)
            raise


def strike_job_twice(job: Callable[[Path], None], path: Path, firsts: int, step: int) -> int:
    """Strike a job at some moments, and again so many moments later; return how often that was hit twice."""
    errors: list[BaseException | None] = []
    return strike_twice(lambda _: Job(job, path, errors), StruckError, FILES, firsts=firsts, step=step)


def test_what_is_in_place_is_not_put_there_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A strike right behind it keeps no lock, and the same call does what is left."""
    path = tmp_path / "file"
    path.write_bytes(b"old\nt\n")
    replace_file = Path.replace

    def struck(part: Path, target: Path) -> None:
        replace_file(part, target)
        raise StruckError

    part = PartFile(path, "path")
    part.write(b"new\n")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", struck)
        with pytest.raises(StruckError):
            part.commit(lambda: 4)
    part.commit(lambda: pytest.fail("it has its tail"))
    part.close()
    assert (path.read_bytes(), len(list(tmp_path.iterdir()))) == (b"new\nt\n", 1)


OPENED: dict[str, tuple[Callable[[Path], Any], Callable[[Path], None]]] = {
    "database": (lambda path: DatabaseFile(path, "journal", application_id=77, version=1), open_database),
    "part": (lambda path: PartFile(path, "path"), replace),
    "appended": (lambda path: AppendFile(path, "path", is_locked=True), append),
    "shared": (taken_record, share),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("make", "job"), OPENED.values(), ids=OPENED)
def test_a_file_whose_destructor_was_cut_off_can_be_opened(
    make: Callable[[Path], Any], job: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nobody has it, though nobody closed it."""

    def struck(_: object) -> None:
        raise StruckError

    path = tmp_path / "file"
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a descriptor of its own
    with monkeypatch.context() as patch:
        for kind in (DatabaseFile, PartFile, AppendFile, SharedRecord):
            patch.setattr(kind, "__del__", struck)
        patch.setattr(sys, "unraisablehook", lambda _: None)  # that of pytest keeps what it is told of
        make(path)
    gc.collect()  # a connection is part of a cycle, and closes there
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - likewise
    job(path)


JOBS = [replace, write_a_part, carry_a_tail, append, share, open_database, open_letters_in_vain, open_a_journal]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("job", JOBS)
def test_no_lock_is_lost_where_the_second_strike_cuts_into_what_the_first_one_ended(
    job: Callable[[Path], None], tmp_path: Path
) -> None:
    assert strike_job_twice(job, tmp_path / "file", 16, 17) > 12


@pytest.mark.long
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("job", JOBS)
def test_no_lock_is_lost_by_the_second_strike_at_length(job: Callable[[Path], None], tmp_path: Path) -> None:
    assert strike_job_twice(job, tmp_path / "file", 80, 3) > 500
