"""Files that several processes write at once, each writer paused at each step while another one makes a whole one."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._core.files import (
    AppendFile,
    PartFile,
    SharedRecord,
    append_once,
    locks,
    replaced_file,
    settled_size,
)
from tests._core.strikes import At

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="locks that belong to an opening are there alone")
FILES = frozenset(str(path) for path in Path(str(locks.__file__)).parent.glob("*.py"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "letters"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except InvalidRequestError as error:
        if "being written by another run" not in str(error):
            raise
        return True
    return False


def replace(path: Path, replaced: bytearray | None = None) -> None:
    """As a run that replaces what the file holds at its beginning, and keeps what comes meanwhile."""
    part = PartFile(path, "path")
    try:
        size = settled_size(path) if path.exists() else 0
        if replaced is not None:
            replaced += path.read_bytes()[:size] if size else b""
        part.write(b"new\n")
        part.commit(lambda: size if path.stat().st_size > size else None)
    finally:
        part.discard()


def add(path: Path, line: bytes = b"late\n") -> None:
    append_once(lambda: path, "path", [line])


def join(path: Path, line: bytes = b"joined\n") -> None:
    with AppendFile(path, "path", is_locked=False, is_joined=True) as file:
        file.write(line)
        file.commit()


JOBS: dict[str, Callable[[Path], None]] = {"replace": replace, "add": add, "join": join}
LINES = {"replace": b"new\n", "add": b"late\n", "join": b"joined\n"}


class Pause:
    """Lets a job go on to its n-th moment, and wait there for another one's end, or until that waits for it."""

    def __init__(self, n: int) -> None:
        self.has_come, self.may_go = threading.Event(), threading.Event()
        self.at = At(n, FILES, self.wait)

    def wait(self) -> None:
        self.has_come.set()
        assert self.may_go.wait(30)

    def run(self, job: Callable[[Path], None], path: Path) -> bool:
        try:
            with self.at.active():
                return is_refused(lambda: job(path))
        finally:
            self.has_come.set()


def pair_at(n: int, first: str, second: str, path: Path) -> bool:
    """Pause one job at a moment while another one makes all of its own; return whether the first one was over by then.

    Each line of both is there once, or its run was refused; only what was whole as one began that replaces is not.
    """
    before, replaced, pause = path.read_bytes() if path.exists() else b"", bytearray(), Pause(n)
    jobs: dict[str, Callable[[Path], None]] = {**JOBS, "replace": partial(replace, replaced=replaced)}
    with ThreadPoolExecutor(2) as threads:
        one = threads.submit(pause.run, jobs[first], path)
        assert pause.has_come.wait(30)
        is_over = pause.at.left > 0
        other = threads.submit(is_refused, lambda: jobs[second](path))
        with suppress(TimeoutError):
            other.result(0.01)  # longer where it waits for the lock of the first
        pause.may_go.set()
        refused = [one.result(30), other.result(30)]
    written = [LINES[name] for name, is_out in zip((first, second), refused, strict=True) if not is_out]
    found = path.read_bytes() if path.exists() else b""
    for line in {before, *written} - {b""}:
        was_replaced = bytes(replaced).count(line)
        expected = written.count(line) + (line == before) - was_replaced
        assert found.count(line) == expected, (n, line, found, refused)
    assert names(path.parent) == (["letters"] if path.exists() else []), n
    return is_over


def every_pair(tmp_path: Path, first: str, second: str, step: int, *, is_there: bool) -> int:
    """Pause at one moment after the other; return the last one."""
    n = 1
    while True:
        path = tmp_path / str(n) / "letters"
        path.parent.mkdir()
        if is_there:
            path.write_bytes(b"old\n")
        if pair_at(n, first, second, path):
            return n
        n += step


PAIRS = [(first, second) for first in JOBS for second in JOBS]


@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_writer_that_pauses_loses_nothing(tmp_path: Path, first: str, second: str, *, is_there: bool) -> None:
    """At some of its steps."""
    assert every_pair(tmp_path, first, second, 11, is_there=is_there) > 50


@pytest.mark.long
@pytest.mark.parametrize("is_there", [True, False])
@pytest.mark.parametrize(("first", "second"), PAIRS)
def test_a_writer_that_pauses_anywhere_loses_nothing(
    tmp_path: Path, first: str, second: str, *, is_there: bool
) -> None:
    """At each of its steps."""
    assert every_pair(tmp_path, first, second, 1, is_there=is_there) > 50


def test_a_run_that_appends_keeps_off_what_replaces(path: Path) -> None:
    """From its beginning to its end, whatever would replace the file; several append together, and so do spills."""
    with AppendFile(path, "path", is_locked=False, is_joined=True) as one:
        one.write(b"1\n")
        with AppendFile(path, "path", is_locked=False, is_joined=True) as two:
            two.write(b"2\n")
        add(path, b"3\n")
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match="path: is being written by another run, which appends to it"):
                replace(path)
        one.write(b"4\n")
    with AppendFile(path, "audit", is_locked=True) as audit:
        assert not audit.is_in_use
        with pytest.raises(InvalidRequestError, match="which appends to it"), replaced_file(path):
            pass
        with AppendFile(path, "audit", is_locked=True) as another:
            assert another.is_in_use
    assert path.read_bytes() == b"1\n2\n3\n4\n"
    replace(path)
    assert (path.read_bytes(), names(path.parent)) == (b"new\n", ["letters"])


def test_a_name_that_is_another_file_is_opened_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once or often: what comes once has nowhere else to go."""
    turns = 5
    real = AppendFile.write

    def write(self: AppendFile, content: bytes) -> int:
        nonlocal turns
        if turns:
            turns -= 1
            replace(path)
        return real(self, content)

    monkeypatch.setattr(AppendFile, "write", write)
    add(path)
    assert (path.read_bytes(), turns) == (b"new\nlate\n", 0)


def letters_only(lines: Any) -> bool:
    return all(not line.strip() or line.startswith(b"letter") for line in lines)


CHANGES: dict[str, Callable[[Path], object]] = {
    "emptied": lambda path: path.write_bytes(b""),
    "cut": lambda path: os.truncate(path, path.stat().st_size - 1),
    "overwritten": lambda path: path.write_bytes(b"my notes, which are as long as what was there before, and longer\n"),
    "overwritten in place": lambda path: path.write_bytes(b"x" * path.stat().st_size),
    "other lines behind": lambda path: path.write_bytes(path.read_bytes() + b"notes\n"),
    "other lines between": lambda path: path.write_bytes(path.read_bytes() + b"notes\nletter 9\n"),
    "other last line": lambda path: path.write_bytes(path.read_bytes() + b"letter 9\nnotes\n"),
    "removed": Path.unlink,
    "replaced": lambda path: path.with_name("other").replace(path),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("at_end", [True, False])
def test_a_file_that_somebody_else_changed_is_written_no_more(path: Path, change: str, *, at_end: bool) -> None:
    """It is told at the next addition, or at the end."""
    path.write_bytes(b"letter 1\n")
    path.with_name("other").touch()
    with AppendFile(path, "path", is_locked=False, is_joined=True, may_hold=letters_only) as file:
        file.write(b"letter 2\n")
        CHANGES[change](path)
        before = path.read_bytes() if path.exists() else None
        with pytest.raises(OSError, match="while") as caught:
            file.commit() if at_end else file.write(b"letter 3\n")
        assert caught.value.errno == errno.ESTALE
    assert (path.read_bytes() if path.exists() else None) == before


def test_what_others_append_is_no_change(path: Path) -> None:
    """Nor is a line that a crash cut off, or what is taken back by who has written it."""
    path.write_bytes(b"letter 1\n")
    with (
        AppendFile(path, "path", is_locked=False, is_joined=True, may_hold=letters_only) as one,
        AppendFile(path, "path", is_locked=False, is_joined=True, may_hold=letters_only) as two,
    ):
        one.write(b"letter 2\n")
        start = two.size
        end = two.write(b"letter 3\nletter 4\n")
        one.write(b"letter 5\n")
        two.take_back(start, end)  # somebody has written behind it
        end = two.write(b"letter 6\n")
        two.take_back(end - 9, end)
        one.commit()
        two.commit()
    assert path.read_bytes() == b"".join(b"letter %d\n" % n for n in range(1, 6))


@contextmanager
def child(act: Callable[[], object]) -> Iterator[None]:
    """A child of fork that does something, and lives until the end of the block."""
    reading, writing = os.pipe()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writing)
        act()
        os.write(told, b"x")
        os.read(reading, 1)
        os._exit(0)
    os.close(told)
    os.read(ready, 1)
    try:
        yield
    finally:
        os.close(writing)
        os.close(reading)
        os.close(ready)
        assert os.waitpid(pid, 0)[1] == 0


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_child_of_fork_holds_no_lock(path: Path) -> None:
    """It lives on, as a worker does, and the file can be written, replaced and written again."""
    part = PartFile(path, "path")
    with child(part.discard):
        part.write(b"1\n")
        part.commit()
        part.close()
        add(path)
        with AppendFile(path, "path", is_locked=False, is_joined=True) as file, child(file.close):
            file.write(b"2\n")
            file.close()
            replace(path)
    assert path.read_bytes() == b"new\n"


def test_a_part_is_removed_by_nobody_while_its_run_makes_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds it before it is locked removes it under its lock: the run finds out, and neither loses anything."""
    real, others = PartFile._take, list[BaseException]()

    def take(self: PartFile, *args: Any, **options: Any) -> bool:
        monkeypatch.setattr(PartFile, "_take", real)
        replace(path)
        return real(self, *args, **options)

    monkeypatch.setattr(PartFile, "_take", take)
    with pytest.raises(InvalidRequestError, match="is being written by another run"):
        PartFile(path, "path")
    assert (path.read_bytes(), names(path.parent), others) == (b"new\n", ["letters"], [])


def test_a_left_part_is_no_other_runs(path: Path) -> None:
    """One with the number of this process, in another container, is live as long as it is locked."""
    script = "import sys, pathlib; from synerise_profiles._core.files import PartFile, parts\n"
    script += f"parts.os.getpid = lambda: {os.getpid()}\n"
    script += "part = PartFile(pathlib.Path(sys.argv[1]), 'path'); print('ready', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"ready\n"
        for act in (replace, join):
            assert is_refused(lambda: act(path))  # noqa: B023 - done in this turn
        running.kill()
    replace(path)
    assert names(path.parent) == ["letters"]


def no_locks(*_: Any) -> None:
    raise OSError(errno.ENOTSUP, "Operation not supported")


def test_where_there_are_no_locks(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Files are written all the same, and it is told once; what needs locks says so, and no part is taken for left."""
    monkeypatch.setattr("fcntl.fcntl", no_locks)
    monkeypatch.setattr(locks, "_told", set())
    replace(path)
    add(path)
    join(path)
    with AppendFile(path, "audit", is_locked=True) as audit:
        assert (audit.is_in_use, audit.has_locks) == (False, False)
    assert path.read_bytes() == b"new\nlate\njoined\n"
    assert [record.message for record in caplog.records] == [
        "the system has no locks of files there: no two runs may write one file at once"
    ]
    with pytest.raises(InvalidRequestError, match="rate_budget: needs locks of files that this system does not have"):
        SharedRecord(path.with_name("budget"), "rate_budget", b"head")
    part = path.with_name(".letters.1.part")
    part.touch()
    for act in (replace, join):
        with pytest.raises(InvalidRequestError, match="or was left by a run that was killed, which cannot be told"):
            act(path)
    part.unlink()
