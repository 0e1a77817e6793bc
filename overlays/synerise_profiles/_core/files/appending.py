"""Files that grow at their end, line by line: audits, which a run has alone, and files that several processes share.

How a file is shared. Each addition is written under the lock `WRITER`, by which nobody else adds to the file, cuts it
or puts another one in its place meanwhile. Under it a writer looks whether the name is still that of the file that it
has open, and whether what it left there is as it left it. So nothing is written to a file that has lost its name.

    a run that appends                              a run that replaces
    opens the file, takes APPENDER (with others)    makes its part, takes WRITER of the part
    no live part? else it is refused                nobody has APPENDER of the file? else it is refused
    still the file of that name? else again         notes size and digest of the file
    each addition: WRITER, same name, writes        (short additions, as of a spill, go on as on the left)
    end: WRITER, same name, lets go                 end: WRITER of the file, copies what came, takes its name, lets go

Each takes its own lock before it looks for the other's, so that of two that begin at once one or both are refused.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from .descriptors import sync_folder
from .lines import first_line, last_line, lines_between, read_at
from .locks import APPENDER, held
from .parts import refuse_live_part
from .targets import file_id, refused
from .writing import CHANGED_TEXT, WrittenFile

__all__ = ["AppendFile", "MayHold", "append_once"]

_GONE_TEXT: Final = "it was removed, or replaced by another file, while it was written"
_MARK_BYTES: Final = 64
_MAX_TRIES: Final = 100
MayHold: TypeAlias = Callable[[Sequence[bytes]], bool]
"""Says of lines, the last of which may be cut off, whether a file may hold them."""


class AppendFile(WrittenFile):
    """A file that grows at its end, made if it is not there. Raises InvalidRequestError if that cannot be done.

    With `is_locked` no other run may open it so until it is closed; without, each addition is locked by itself, so that
    several processes can share a file. With `is_joined` no run may replace it until it is closed. `may_hold` is asked
    of the first and of the last line that others wrote since.
    """

    def __init__(
        self, target: Path, argument: str, *, is_locked: bool, is_joined: bool = False, may_hold: MayHold | None = None
    ) -> None:
        super().__init__(target)
        self._is_locked, self._is_joined, self._may_hold = is_locked, is_joined, may_hold
        self._end, self._mark = 0, b""
        self.is_in_use = is_open = False
        try:
            while not self._is_opened(argument):
                self.close()
            with contextlib.suppress(OSError):
                sync_folder(target)
            is_open = True
        except OSError as error:
            raise refused(argument, f"cannot be written: {error.strerror}") from None
        finally:
            if not is_open:  # also where an interruption cut in
                try:
                    self.close()
                finally:
                    self.close()

    def _is_opened(self, argument: str) -> bool:
        """Open the file; false where its name is that of another one by then."""
        if self._is_joined:
            refuse_live_part(self.target, argument)
        self._open(self.target, os.O_CREAT | os.O_APPEND)
        if self._is_locked or self._is_joined:
            self.is_in_use = not self._take(APPENDER, is_shared=self._is_joined)
        if self._is_joined:
            refuse_live_part(self.target, argument)
        return self.is_in_use or file_id(self.target) == self.id

    def write(self, content: bytes | bytearray) -> int:
        """Add whole lines, behind a new line where a crash cut the last one off.

        Raises OSError, with ESTALE where the file has lost its name, or was changed.
        """
        with contextlib.nullcontext() if self._is_locked else held(self._descriptor):
            size = self._check()
            is_cut = size not in (0, self._end) and read_at(self._descriptor, 1, size - 1) != b"\n"
            end = super().write(b"\n" * is_cut + content)
            mark = bytes(content[-_MARK_BYTES:])
            self._end, self._mark = end, mark
            return end

    def write_once(self, content: bytes, start: int) -> None:
        """Add whole lines to a file that is locked, unless an interruption came behind that.

        `start` is the size that the file had before; of what an interruption cut off, all is written again.
        """
        found = read_at(self._descriptor, max(0, self.size - start), start)
        line = found.removeprefix(b"\n")
        if line != content:
            if found and content.startswith(line):
                self.cut_to(start)
            self.write(content)

    def commit(self, tail_from: Callable[[], int | None] | None = None) -> None:  # noqa: ARG002 - all of it is there
        """Raise OSError if what was written has no name any more, or was changed."""
        with contextlib.nullcontext() if self._is_locked else held(self._descriptor):
            self._check_place()
            self._check()

    def sync(self) -> None:
        """Write it to the disk. Raises OSError, also if it has no name any more."""
        self._check_place()
        super().sync()

    def take_back(self, start: int | None, end: int = 0) -> None:
        """Cut off what was added from `start` to `end`, unless somebody has written behind it."""
        if start is not None:
            with held(self._descriptor):
                if self.size == end:
                    self.cut_to(start)
                    self._end, self._mark = 0, b""

    def lines(self) -> Iterator[bytes]:
        """Return the lines that are there."""
        return lines_between(self._descriptor, 0, self.size)

    def _check(self) -> int:
        """Return the size; raise OSError unless the file is the one of that name, with what was written to it."""
        if not (self._is_joined and self._was_moved_along):
            self._check_place()
        size, end, mark = self.size, self._end, self._mark
        is_there = size >= end and read_at(self._descriptor, len(mark), end - len(mark)) == mark
        if is_there and size > end and self._may_hold is not None:
            lines = [first_line(self._descriptor, end, size), last_line(self._descriptor, end, size)]
            is_there = self._may_hold(lines)
        if not is_there:
            raise OSError(errno.ESTALE, CHANGED_TEXT)
        return size

    @property
    def _was_moved_along(self) -> bool:
        """Whether the file has a name still, in a folder that was moved."""
        return not self.target.parent.exists() and os.fstat(self._descriptor).st_nlink > 0

    def _check_place(self) -> None:
        if file_id(self.target) != self.id:
            raise OSError(errno.ESTALE, _GONE_TEXT)


def append_once(
    target: Callable[[], Path], argument: str, lines: Sequence[bytes], may_hold: MayHold | None = None
) -> tuple[int, OSError | None]:
    """Add lines to a file that others share, which may be replaced just then; all in one piece, if there is room.

    `target` returns the file, after it has looked at what that holds. Returns how many lines fitted, and why the others
    did not. Raises OSError where the file cannot be found, InvalidRequestError.
    """
    for tries_left in reversed(range(_MAX_TRIES)):
        with AppendFile(target(), argument, is_locked=False, may_hold=may_hold) as file:
            try:
                file.write(b"".join(lines))
            except OSError as error:
                if error.errno == errno.ESTALE and tries_left:
                    continue
                return _append_one_by_one(file, lines), error
            break
    return len(lines), None


def _append_one_by_one(file: AppendFile, lines: Sequence[bytes]) -> int:
    """Add the first lines, as many as there is room for."""
    count = 0
    with contextlib.suppress(OSError):
        for line in lines:
            file.write(line)
            count += 1
    return count
