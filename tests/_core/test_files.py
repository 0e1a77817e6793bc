"""Files that the library writes: whole or as they were, private, refused by name, and found again after a kill."""

from __future__ import annotations

import errno
import logging
import os
import random
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._core.files import (
    AppendFile,
    DatabaseFile,
    DatabaseFileError,
    PartFile,
    file_id,
    refuse_same_files,
    replaced_file,
    target_of,
)

PROGRAM = Path(__file__).with_name("files_program.py")
POSIX = pytest.mark.skipif(sys.platform == "win32", reason="files have no such modes, links and locks there")
pytestmark = POSIX


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@contextmanager
def program(what: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, str(PROGRAM), what, str(path)], stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        yield running
        running.kill()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_a_new_file_is_for_its_owner(tmp_path: Path, umask: int) -> None:
    """Whatever the program lets others do with its files."""
    before = os.umask(umask)
    try:
        with replaced_file(tmp_path / "whole") as file:
            assert [mode_of(path) for path in tmp_path.iterdir()] == [0o600]
            file.write(b"x")
        AppendFile(tmp_path / "appended", "path", is_locked=True).close()
        database = DatabaseFile(tmp_path / "database", "thing", application_id=7, version=1)
        database.connection.execute("CREATE TABLE t (x)")
        assert {mode_of(path) for path in tmp_path.iterdir()} == {0o600}
        database.close()
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o666])
def test_a_file_that_is_there_keeps_its_mode_and_group(tmp_path: Path, mode: int) -> None:
    """Through a link too, which stays one."""
    target, link = tmp_path / "real", tmp_path / "link"
    target.write_text("old")
    groups = [*os.getgroups(), os.getgid()]
    if os.geteuid() == 0:
        groups.append(12345)
    os.chown(target, -1, groups[-1])
    target.chmod(mode)
    link.symlink_to(target)
    with replaced_file(link) as file:
        file.write(b"new")
    assert (target.read_bytes(), mode_of(target), target.stat().st_gid) == (b"new", mode, groups[-1])
    assert link.is_symlink()
    with AppendFile(target_of(link, "path", is_appended=True), "path", is_locked=False) as appended:
        appended.write(b"er\n")
    assert (target.read_bytes(), mode_of(target)) == (b"new\ner\n", mode)


def test_a_link_to_nothing_is_followed(tmp_path: Path) -> None:
    """Its target is made."""
    (tmp_path / "link").symlink_to("real")
    with replaced_file(tmp_path / "link") as file:
        file.write(b"x")
    assert (names(tmp_path), (tmp_path / "link").is_symlink()) == (["link", "real"], True)


def test_what_cannot_be_written_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is wrong with it; nothing is touched."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "to_folder").symlink_to(".")
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
    before = names(tmp_path)
    cases = {
        "": "is empty",
        ".": "is a folder",
        "new/": "names a folder",
        "to_folder": "is a folder",
        "file/below": "",
        "missing/file": "folder that does not exist",
        "loop": "cannot be used",
        "a\0b": "cannot be used",
        "x" * 300: "cannot be used",
        "pipe": "is a device, a pipe or a socket",
        "socket": "is a device, a pipe or a socket",
        os.devnull: "is a device",
        5: "expected a path",
        b"bytes": "expected a path",
        None: "expected a path",
    }
    for path, words in cases.items():
        for is_appended in (False, True):
            with pytest.raises(InvalidRequestError, match=f"^there: .*{words}"):
                target_of(path, "there", is_appended=is_appended)
    assert names(tmp_path) == before


@pytest.mark.skipif(hasattr(os, "geteuid") and os.geteuid() == 0, reason="nothing is forbidden to root")
def test_what_may_not_be_written_is_refused_by_name(tmp_path: Path) -> None:
    """A folder and a file that are protected stay so, though a file could be renamed over."""
    (tmp_path / "file").touch(0o400)
    with pytest.raises(InvalidRequestError, match="path: is a file that may not be written"):
        target_of(tmp_path / "file", "path")
    tmp_path.chmod(0o500)
    with pytest.raises(InvalidRequestError, match="path: is in a folder that cannot be written"):
        target_of(tmp_path / "new", "path")
    tmp_path.chmod(0o700)


def test_two_roles_of_one_file_are_refused(tmp_path: Path) -> None:
    """By another name, by a link of either kind, and where one is a side file of the other's database."""
    file, new = tmp_path / "file", tmp_path / "new"
    file.touch()
    (tmp_path / "soft").symlink_to(file)
    os.link(file, tmp_path / "hard")
    for other in ("file", "soft", "hard"):
        with pytest.raises(InvalidRequestError, match="b: is the same file as a"):
            refuse_same_files({"a": target_of(file, "a"), "b": target_of(tmp_path / other, "b")}, {})
        with pytest.raises(InvalidRequestError, match="b: is the same file as the input"):
            refuse_same_files({"b": target_of(tmp_path / other, "b")}, {"the input": file_id(file)})
    for other in ("new", "./new", "new-wal"):
        with pytest.raises(InvalidRequestError, match="b: is the same file as a"):
            refuse_same_files({"a": target_of(new, "a"), "b": target_of(tmp_path / other, "b")}, {})
    with pytest.raises(InvalidRequestError, match="b: is the same file as a"):
        refuse_same_files({"a": target_of(tmp_path / "new-wal", "a"), "b": target_of(new, "b")}, {})
    (tmp_path / "new-shm").touch()
    with pytest.raises(InvalidRequestError, match="b: is the same file as the input"):
        refuse_same_files({"b": target_of(new, "b")}, {"the input": file_id(tmp_path / "new-shm")})
    refuse_same_files({"a": target_of(file, "a"), "b": target_of(new, "b"), "c": None}, {"the input": None})


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_no_file_that_a_database_keeps_is_written(tmp_path: Path, suffix: str) -> None:
    """Whoever opens the database would take it for its own, or remove it."""
    with closing(sqlite3.connect(tmp_path / "any.db")) as database:
        database.execute("CREATE TABLE t (a)")
    (tmp_path / "text").write_text("no database")
    with pytest.raises(InvalidRequestError, match=r"role: is a file that the database any\.db keeps; give the name"):
        target_of(tmp_path / f"any.db{suffix}", "role")
    for other in ("text", "none", "", "any.db-copy"):
        assert target_of(tmp_path / f"{other}{suffix}", "role").name == f"{other}{suffix}"


def test_after_a_failure_the_file_is_as_it_was(tmp_path: Path) -> None:
    """And nothing stands beside it."""
    path = tmp_path / "file"
    path.write_text("old")

    def fail() -> None:
        with replaced_file(path) as file:
            file.write(b"new")
            assert path.read_text() == "old"
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (path.read_text(), names(tmp_path)) == ("old", ["file"])


def test_what_a_killed_process_left_is_named_and_removed(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The next run removes it, and only it; while the process lives, its file is not taken away."""
    path = tmp_path / "file"
    path.write_text("old")
    (tmp_path / ".file.x.part").touch()
    (tmp_path / ".files.1.part").touch()
    with program("killed_while_writing", path) as running:
        part = tmp_path / f".file.{running.pid}.part"
        assert (part.read_bytes()[:4], mode_of(part)) == (b"new\n", 0o600)
        with pytest.raises(InvalidRequestError, match="path: is being written by another run"), replaced_file(path):
            pass
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert (part.exists(), path.read_text()) == (True, "old")
    with caplog.at_level(logging.WARNING), replaced_file(path) as file:
        file.write(b"newer")
    assert part.name in caplog.text
    assert (path.read_text(), names(tmp_path)) == ("newer", [".file.x.part", ".files.1.part", "file"])


def test_a_part_with_the_number_of_this_process_is_one_that_was_left(tmp_path: Path) -> None:
    """In a container a program that starts again has the number of the one that was killed."""
    (tmp_path / f".file.{os.getpid()}.part").write_text("left")
    with replaced_file(tmp_path / "file") as file:
        file.write(b"new")
        with pytest.raises(InvalidRequestError, match="another run"), replaced_file(tmp_path / "file"):
            pass
    assert ((tmp_path / "file").read_text(), names(tmp_path)) == ("new", ["file"])


def test_a_long_name_has_a_part_too(tmp_path: Path) -> None:
    """As long as a file system allows."""
    path = tmp_path / ("n" * 255)
    for _ in range(2):
        with replaced_file(path) as file:
            file.write(b"x")
    assert names(tmp_path) == [path.name]


@pytest.mark.parametrize("seed", range(3))
def test_a_kill_at_any_moment_leaves_a_whole_file(tmp_path: Path, seed: int) -> None:
    """The one before or the one after, never a mixture; and the next run goes on."""
    path, chance = tmp_path / "file", random.Random(seed)
    path.write_bytes(b"0\n" * 20_000)
    for _ in range(8):
        with program("replaces_again_and_again", path) as running:
            time.sleep(chance.uniform(0, 0.05))
            running.kill()
        lines = path.read_bytes().splitlines()
        assert len(lines) == 20_000
        assert len(set(lines)) == 1
    with replaced_file(path) as file:
        file.write(b"last")
    assert names(tmp_path) == ["file"]


def test_a_full_disk_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """The error is the system's own, and names the file; nothing is left beside."""
    (tmp_path / "file").write_text("old")
    command = [sys.executable, str(PROGRAM), "full_disk", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, (tmp_path / "file").read_text(), names(tmp_path)) == ("OSError True\n", "old", ["file"])


def test_an_addition_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk had no room for is taken back; a line that a crash cut off is ended before the next one."""
    path, real = tmp_path / "file", os.write
    path.write_bytes(b"cut o")
    with AppendFile(path, "path", is_locked=False) as file:
        file.write(b"one\n")

        def write(descriptor: int, content: bytes) -> int:
            if len(content) <= 3:
                raise OSError(28, "No space left on device")
            return real(descriptor, content[: len(content) - 3])

        monkeypatch.setattr(os, "write", write)
        with pytest.raises(OSError, match="No space"):
            file.write(b"two three\n")
        monkeypatch.undo()
        file.write(b"four\n")
        assert list(file.lines()) == [b"cut o\n", b"one\n", b"four\n"]


def test_several_processes_append_whole_lines(tmp_path: Path) -> None:
    """However long they are."""
    path = tmp_path / "file"
    code = (
        "import sys\nfrom pathlib import Path\nfrom synerise_profiles._core.files import AppendFile\n"
        "with AppendFile(Path(sys.argv[1]), 'path', is_locked=False) as file:\n"
        "    for n in range(50): file.write((sys.argv[2] * 100_000 + '\\n').encode())\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, str(path), mark]) for mark in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    lines = path.read_bytes().splitlines()
    assert sorted({(line[:1], len(set(line)), len(line)) for line in lines}) == [
        (mark, 1, 100_000) for mark in (b"a", b"b", b"c")
    ]
    assert len(lines) == 150


def test_a_forked_child_puts_nothing_in_place(tmp_path: Path) -> None:
    """The file is the parent's, however the child ends."""
    path = tmp_path / "file"
    part = PartFile(path, "path")
    part.write(b"whole\n")
    child = os.fork()
    if child == 0:
        part.commit()
        part.discard()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not path.exists()
    part.commit()
    assert (path.read_text(), names(tmp_path)) == ("whole\n", ["file"])


def test_a_database_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    """Of another program, another version, no database, one that is in use; by the number in its header."""
    path = tmp_path / "base"
    made = DatabaseFile(path, "thing", application_id=7, version=2)
    made.connection.execute("CREATE TABLE t (x)")
    with pytest.raises(DatabaseFileError, match="in use by this process"):
        DatabaseFile(path, "thing", application_id=7, version=2)
    made.close()
    before = path.read_bytes()
    for number, version, kind in ((8, 2, "foreign"), (7, 1, "version")):
        with pytest.raises(DatabaseFileError) as caught:
            DatabaseFile(path, "thing", application_id=number, version=version)
        assert caught.value.kind == kind
    for content, kind in ((b"text", "foreign"), (before[:60], "foreign"), (before[:4000], "damaged")):
        path.write_bytes(content)
        with pytest.raises(DatabaseFileError) as caught:
            DatabaseFile(path, "thing", application_id=7, version=2)
        assert (caught.value.kind, path.read_bytes()) == (kind, content)
    path.write_bytes(b"")
    DatabaseFile(path, "thing", application_id=7, version=2).close()


def test_a_database_that_may_not_be_made_is_forbidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One cause has one kind: missing rights, whether the file is there or is to be made."""

    def deny(path: Any, flags: int, *_: Any) -> int:
        raise PermissionError(errno.EACCES, "Permission denied", path)

    monkeypatch.setattr(os, "open", deny)
    with pytest.raises(DatabaseFileError) as caught:
        DatabaseFile(tmp_path / "night.db", "journal", application_id=1, version=1)
    assert caught.value.kind == "forbidden"
