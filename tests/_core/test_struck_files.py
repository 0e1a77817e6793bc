"""A signal's handler that raises at any moment while a file is opened, written, locked or closed."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import synerise_profiles._core.files as room
from synerise_profiles._core.files import AppendFile, DatabaseFile, PartFile, SharedRecord, replaced_file, target_of
from tests._core.strikes import At

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="its open files are counted")
FILES = frozenset(str(path) for path in Path(str(room.__file__)).parent.glob("*.py"))


class StruckError(Exception):
    """What the handler of a signal raises."""


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
        try:
            part.discard()
        finally:
            part.discard()


def closed(file: Any) -> None:
    """Close it, again where that was cut into, as a run does."""
    try:
        file.close()
    finally:
        file.close()


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


def open_database(path: Path) -> None:
    file = DatabaseFile(path, "journal", application_id=77, version=1, is_exclusive=True)
    try:
        file.connection.execute("CREATE TABLE IF NOT EXISTS x (y)")
    finally:
        closed(file)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("job", [replace, write_a_part, append, share, open_database])
def test_no_lock_and_no_descriptor_is_lost(job: Callable[[Path], None], tmp_path: Path) -> None:
    """The next use works at once, while whoever was struck still holds the exception."""
    path = tmp_path / "file"
    job(path)
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
    assert n > 30
    assert {name.name for name in tmp_path.iterdir()} == {"file"}
