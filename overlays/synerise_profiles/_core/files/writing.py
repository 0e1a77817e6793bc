"""Files while they are written: what all of them have in common, and those that are written whole, beside their target.

How a file is replaced to which others may append (`commit` with `tail_from`): under the lock by which each of them
writes, what came to it since is copied, and the part takes its name. Whoever waited for that lock finds that the name
is another file's by now, and opens that one.

Each ending here is done once more where an interruption cuts into it, and does then what is left of it.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import IO, Final, Self

from .descriptors import OPEN_FLAGS, close_all, close_first, close_in_children, close_last, open_into, sync_folder
from .locks import WRITER, NoLocksError, release, take, tell_no_locks, wait_for
from .parts import kept_path, part_path, refuse_appenders, refuse_live_part, remove_left_parts
from .targets import FileId, file_id, refuse_same_files, refused, target_of

__all__ = [
    "CHANGED_TEXT",
    "KeptFile",
    "PartFile",
    "WrittenFile",
    "replaced_file",
]

CHANGED_TEXT: Final = "it was changed by somebody else while the run went on, and stays as it is"
_COPIED_BYTES: Final = 1 << 20


class WrittenFile:
    """A file that is open for writing: additions are whole or not there, whatever a full disk does.

    It has its descriptors from the moment at which they are opened, so that none, and no lock, outlives it. A child of
    fork has none of them. `has_locks` is false where it could not be locked.
    """

    def __init__(self, target: Path, descriptor: int = -1) -> None:
        self._opened: list[FileIO] = [] if descriptor < 0 else [FileIO(descriptor)]
        self._descriptor = descriptor
        self.target = target
        self.has_locks = True
        self._pid = os.getpid()

    def _open(self, path: Path, flags: int) -> None:
        """Open a file of this name for this object. Raises OSError."""
        close_in_children(self)
        open_into(self._opened, path, os.O_RDWR | flags | OPEN_FLAGS)
        self._descriptor = self._opened[-1].fileno()

    def _take(self, byte: int = WRITER, *, is_shared: bool = False) -> bool:
        """Lock the file; false if another one has. Where there are no locks, nobody is known to have."""
        try:
            return take(self._descriptor, byte, is_shared=is_shared)
        except NoLocksError:
            tell_no_locks()
            self.has_locks = False
            return True

    @property
    def descriptor(self) -> int | None:
        """That of the open file, from which it can be read; None once it is closed."""
        return self._descriptor if self._descriptor >= 0 else None

    @property
    def id(self) -> FileId | None:
        """What tells the file apart, whatever becomes of its name."""
        return file_id(self._descriptor)

    @property
    def size(self) -> int:
        """How many bytes it has."""
        return os.fstat(self._descriptor).st_size

    def write(self, content: bytes | bytearray) -> int:
        """Write at the end, and return where that is then.

        Raises OSError, and leaves the file as it was, if not all of it can be written.
        """
        start, left = self.size, memoryview(content)
        try:
            while left:
                left = left[os.write(self._descriptor, left) :]
        except OSError:
            with contextlib.suppress(OSError):
                self.cut_to(start)
            raise
        return start + len(content)

    def cut_to(self, end: int) -> None:
        """Cut off what is behind, as an interruption may have left it there. Raises OSError."""
        if self.size > end:
            os.ftruncate(self._descriptor, end)
            os.lseek(self._descriptor, end, os.SEEK_SET)

    def commit(self, tail_from: Callable[[], int | None] | None = None) -> None:
        """Say that what was written is to stay."""

    def keep(self) -> None:
        """Leave what was written where it is, as it could not be committed."""

    def take_back(self, start: int | None, end: int = 0) -> None:
        """Undo what was written: from `start` to `end`, or what can be undone if it is not in one piece."""

    def sync(self) -> None:
        """Write it to the disk."""
        os.fsync(self._descriptor)

    def unlock(self) -> None:
        """Let others write it; it can be read still."""
        if self._descriptor >= 0 and os.getpid() == self._pid:
            release(self._descriptor)

    def close(self) -> None:
        """Close it, which unlocks it; does nothing the second time."""
        self.unlock()
        self._descriptor = -1
        close_all(self._opened)
        close_in_children(self, is_open=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.close()
        finally:
            self.close()

    def __del__(self) -> None:
        try:
            self._close_left()
        finally:
            self._close_left()

    def _close_left(self) -> None:
        if getattr(self, "_opened", None):  # an interruption may have come before there was a list
            self.close()


class PartFile(WrittenFile):
    """A file that is written beside its target: `commit` puts it in the target's place, `discard` removes it.

    What an earlier process left of such a file, as it was killed, is named in the log and removed; `left_parts` are
    the names. Raises
    InvalidRequestError if another run writes the same file, or if it cannot be made. A process that was forked from the
    one that opened it neither commits nor discards.
    """

    def __init__(self, target: Path, argument: str) -> None:
        super().__init__(target)
        self.path = part_path(target)
        self._own_end: int | None = None
        self._locked_target: list[FileIO] = []
        self._is_target_new = False
        is_ours = False
        try:
            self.left_parts = remove_left_parts(target, argument)
            self._open(self.path, os.O_CREAT | os.O_EXCL | os.O_APPEND)
            if self._take() and file_id(self.path) == self.id:
                refuse_live_part(target, argument, own=self.path)
                refuse_appenders(target, argument)
                is_ours = True
        except FileExistsError:  # of a run that began just then
            pass
        except OSError as error:
            raise refused(argument, f"cannot be written: {error.strerror}") from None
        finally:
            if not is_ours:  # also where an interruption cut in
                try:
                    self.discard()
                finally:
                    self.discard()
        if not is_ours:
            raise refused(argument, "is being written by another run")

    def stream(self) -> IO[bytes]:
        """Return the file as a file object that can be read and sought too; it is to be closed before `commit`."""
        return self.path.open("r+b")

    def rewrite(self, content: bytes) -> None:
        """Hold this content instead; until all of it is written, what was there stays. Raises OSError."""
        if sys.platform == "win32":
            raise OSError(errno.EACCES, "no open file is replaced there")
        path = self.path.with_name(f"{self.path.name.removesuffix('.part')}.next.part")
        try:
            self._open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND)
            self._take()
            self.write(content)
            path.replace(self.path)
        finally:
            try:
                self._keep_one(path)
            finally:
                self._keep_one(path)

    def _keep_one(self, path: Path) -> None:
        """Of two files that are open, keep the one that has the name of the part; the other one may have `path`."""
        if len(self._opened) > 1 and file_id(self._opened[1].fileno()) != file_id(self.path):
            with contextlib.suppress(OSError):
                path.unlink()
            self._descriptor = self._opened[0].fileno()
            close_last(self._opened)
        close_first(self._opened, len(self._opened) - 1)
        self._descriptor = self._opened[0].fileno()

    def commit(self, tail_from: Callable[[], int | None] | None = None) -> None:
        """Put the file in the place of its target, whole and on the disk. It can be read still, until it is closed.

        `tail_from` says from where on the target holds what was appended to it, which goes to the end of the file
        first; None for nothing. It is asked while nobody appends, and may raise OSError.
        """
        if self._descriptor < 0 or os.getpid() != self._pid:
            return
        self.sync()
        if file_id(self.target) != self.id:  # else an interruption came behind it
            try:
                if tail_from is not None:
                    self._lock_target()
                    self._add_tail(tail_from())
                self._put_in_place()
            finally:
                try:
                    self._unlock_target()
                finally:
                    self._unlock_target()
        self.unlock()
        sync_folder(self.target)

    def _lock_target(self) -> None:
        """Let nobody append to the target. It is made if it is not there, so that none can come to the name.

        Raises OSError, also where it is a folder or a link by now.
        """
        while True:
            close_all(self._locked_target)
            if self.target.is_symlink():
                raise OSError(errno.ESTALE, CHANGED_TEXT)
            self._is_target_new = self._is_target_new or not self.target.exists()
            open_into(self._locked_target, self.target, os.O_RDWR | os.O_CREAT | OPEN_FLAGS)
            wait_for(self._locked_target[0].fileno())
            if file_id(self.target) == file_id(self._locked_target[0].fileno()):
                return

    def _unlock_target(self) -> None:
        for locked in map(FileIO.fileno, self._locked_target):
            is_there = file_id(self.target) == file_id(locked)
            if is_there and self._is_target_new and not os.fstat(locked).st_size:
                self.target.unlink()
            release(locked, WRITER)
        close_all(self._locked_target)

    def close(self) -> None:
        """Close it, and what it locked; does nothing the second time."""
        close_all(self._locked_target)
        super().close()

    def _put_in_place(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            _keep_mode(self._descriptor, self.target.stat())
        if sys.platform == "win32":  # there, no open file is renamed
            self.close()
        self.path.replace(self.target)

    def _add_tail(self, start: int | None) -> None:
        """Add what the target holds from there on, once, wherever an interruption cut in."""
        self._own_end = self.size if self._own_end is None else self._own_end
        self.cut_to(self._own_end)
        if start is not None:
            with self.target.open("rb") as old:
                old.seek(start)
                while tail := old.read(_COPIED_BYTES):
                    self.write(tail)
            self.sync()

    def keep(self) -> None:
        """Leave the file beside its target, under a name by which no later run removes it."""
        if os.getpid() == self._pid:
            with contextlib.suppress(OSError):  # then it is there by the name that it had
                kept = kept_path(self.path)
                self.path.replace(kept)
                self.path = kept

    def take_back(self, start: int | None, end: int = 0) -> None:  # noqa: ARG002 - all of it goes
        """Undo all of it."""
        if self._opened and os.getpid() == self._pid and file_id(self.path) == file_id(self._opened[0].fileno()):
            with contextlib.suppress(OSError):
                self.path.unlink()

    def discard(self) -> None:
        """Remove the file; the target stays as it was."""
        if self._opened and os.getpid() == self._pid:
            self.take_back(None)
            self.close()


@contextmanager
def replaced_file(
    path: object, argument: str = "path", *, kept: Mapping[str, FileId | None] | None = None
) -> Generator[IO[bytes]]:
    """Open a file that takes the place of `path` when the block ends well; else `path` stays as it was.

    `kept` are files that are needed, by what they are called: none of them is replaced.
    """
    target = target_of(path, argument)
    if kept:
        refuse_same_files({argument: target}, kept)
    part = PartFile(target, argument)
    try:
        with part.stream() as file:
            yield file
        part.commit()
    finally:
        try:
            part.discard()
        finally:
            try:
                part.discard()
            finally:  # as one may cut into each of them
                part.discard()


class KeptFile(WrittenFile):
    """A new file beside a target, for what has lost its place; no later run removes it. Raises OSError."""

    def __init__(self, target: Path) -> None:
        super().__init__(kept_path(part_path(target)))
        self._open(self.target, os.O_APPEND)


def _keep_mode(descriptor: int, old: os.stat_result) -> None:
    """Give a file the group and the mode of the one that it replaces."""
    mode = stat.S_IMODE(old.st_mode)
    if sys.platform != "win32":
        for owner in (old.st_uid, -1):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, owner, old.st_gid)
                break
        if os.fstat(descriptor).st_gid != old.st_gid:  # the rights of that group are not those of this one
            mode &= ~stat.S_IRWXG
        os.fchmod(descriptor, mode)
