"""The file of dead letters while a run writes it: it replaces the one that is there, or grows at its end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import weakref
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson

from synerise_profiles._batching.letters import LetterHead, LetterRow, letter_line, letter_row
from synerise_profiles._core.files import (
    AppendFile,
    FileId,
    PartFile,
    WrittenFile,
    file_id,
    lines_between,
    refuse_live_part,
)

from .replaced_letters import ReplacedLetters

__all__ = ["DeadLetterMode", "LetterFile", "open_letters"]

DeadLetterMode: TypeAlias = Literal["replace", "append"]
_BUFFER_BYTES: Final = 1 << 16
_MAX_SORTED_BYTES: Final = 1 << 23
_LEFT_TEXT: Final = "{} was left by a run that was killed, and is removed with its letters"
_CARRIED_TEXT: Final = "letters that came to the file while the run went on stand behind those of the run"
_REPLACED_TEXT: Final = (
    "the file of these rejections was replaced by a later run; a report that was pickled reads it by its name: read it "
    "before the next run, or give each run a file of its own"
)


class LetterFile:
    """Lines that are being written to a file, and can be read again; `head` is that of dead letters.

    `problem` says why lines could not be written; they are in memory then. `replaced` is what the file holds that is
    replaced: letters that are appended to it meanwhile are kept.
    """

    def __init__(
        self, file: WrittenFile, head: LetterHead | None = None, replaced: ReplacedLetters | None = None
    ) -> None:
        self.problem: OSError | None = None
        self.path = file.path if isinstance(file, PartFile) else file.target
        left_names = file.left_parts if isinstance(file, PartFile) else []
        self.notes = dict.fromkeys(map(_LEFT_TEXT.format, left_names), 1)
        """Notes about what a run that was killed has left beside the file; its letters are not in this one."""
        self.name, self.head = file.target.name, head
        self._replaced = replaced
        self._file: WrittenFile | None = file
        self.left_in, self._has_carried = "", False
        self._id: FileId | None = file.id
        self._descriptor: int | None = None
        self._pid = os.getpid()
        # Where the lines are in the file: starts and ends in turn, since others may append to it too.
        self._places: array[int] = array("Q")
        self._end = 0 if isinstance(file, AppendFile) else file.size
        self.waiting_lines: list[bytes] = []
        """Lines that were added and are not in the file yet, of `waiting_bytes` together."""
        self.waiting_bytes = 0

    def line_of(self, record: Mapping[str, Any], row: LetterRow) -> bytes:
        """Write the line of a record."""
        return letter_row(record).json + b"\n" if self.head is None else letter_line(self.head, record, row)

    def flush_if_full(self) -> None:
        """Write what was added to the file, once it is enough."""
        if self.waiting_bytes >= _BUFFER_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was added to the file."""
        if self._file is None or not self.waiting_lines or self.problem is not None or os.getpid() != self._pid:
            return
        if not self._write(self._file, len(self.waiting_lines)):  # what still fits
            while self.waiting_lines and self._write(self._file, 1):
                pass

    def _write(self, file: WrittenFile, count: int) -> bool:
        """Write the first lines; false if that fails. An interruption leaves them as written once, or as waiting."""
        content, rest = b"".join(self.waiting_lines[:count]), self.waiting_lines[count:]
        try:
            if not isinstance(file, AppendFile):  # that one is written by others too
                file.cut_to(self._end)
            end = file.write(content)
        except OSError as error:
            self.problem = self.problem or error
            return False
        start, size = end - len(content), sum(map(len, rest))
        segment, is_next = array("Q", (start, end)), bool(self._places) and self._places[-1] == start
        # No call from here on, so that no signal's handler is called between.
        if is_next:
            self._places[-1] = end
        else:
            self._places += segment
        self._end, self.waiting_lines, self.waiting_bytes = end, rest, size
        return True

    def carry(self, lines: Iterable[bytes]) -> int:
        """Write lines of another file as they stand, which are not among those that were added; return their number."""
        self.flush()
        file, count, self._has_carried = self._file, 0, True
        for line in lines:
            if file is None or self.problem is not None:
                break
            try:
                self._end = file.write(line)
            except OSError as error:
                self.problem = error
            count += 1
        return count

    def lines(self) -> Iterator[bytes]:
        """Yield the lines that were added.

        Raises OSError if the file is another one by now and `keep_open` was not called in this process.
        """
        self.flush()
        yield from self._written()
        yield from list(self.waiting_lines)

    def _written(self) -> Iterator[bytes]:
        if not self._places:  # then there may be no file
            return
        with self._opened() as descriptor:
            for start, end in zip(self._places[::2], self._places[1::2], strict=True):
                yield from lines_between(descriptor, start, end)

    def keep_open(self) -> None:
        """Hold the file open, so that its lines can be read after a later run has put another one in its place."""
        if sys.platform == "win32":  # nothing could be put in the place of a file that is open
            return
        with contextlib.suppress(OSError):  # then they can be read as long as the file is there
            file = self.path.open("rb", buffering=0)
            weakref.finalize(self, file.close)
            if file_id(file.fileno()) == self._id:
                self._descriptor = file.fileno()

    @contextlib.contextmanager
    def _opened(self) -> Generator[int]:
        if self._descriptor is not None:
            yield self._descriptor
            return
        with self.path.open("rb") as file:
            if file_id(file.fileno()) != self._id:
                raise OSError(errno.ESTALE, _REPLACED_TEXT, str(self.path))
            yield file.fileno()

    def close(self, *, is_kept: bool) -> None:
        """Write what is left and close the file, or leave the file that was there as it was.

        Where an interruption cut in, a second call does the rest.
        """
        file = self._file
        if file is None:
            return
        try:
            if is_kept:
                self.flush()
            is_empty = not self._places and not self._has_carried
            if is_kept and (self.problem is None or not (is_empty or self._has_replaced)):
                self._sort(file)
                file.commit(None if self._replaced is None else self._replaced.tail_from)
                self.path = file.target
            elif is_kept and not is_empty:  # cut short, it takes no place of whole ones
                self._leave(file)
            else:
                start = self._places[0] if len(self._places) == 2 and self._places[1] == file.size else None
                self._hold(file)
                file.take_back(start)
        except OSError as error:
            self.problem = self.problem or error
            self._leave(file)
        file.close()
        self._file = None

    @property
    def end_notes(self) -> dict[str, int]:
        """Notes about what came to the file meanwhile, once it is closed."""
        carried = 0 if self._replaced is None else self._replaced.carried
        return {_CARRIED_TEXT: carried} if carried else {}

    @property
    def _has_replaced(self) -> bool:
        return self._replaced is not None and self._replaced.size > 0

    def _leave(self, file: WrittenFile) -> None:
        """Leave what was written beside the file, and say where."""
        if isinstance(file, PartFile) and file.path.exists():
            file.keep()
            self.path = file.path
            self.left_in = f"; what was written is in {self.path.name}"

    def _hold(self, file: WrittenFile) -> None:
        """Keep readable what is taken back: in the part that loses its name, where a system allows it, or in memory."""
        if isinstance(file, PartFile):
            self.keep_open()
        if self._descriptor is None:
            self.waiting_lines = [*self._written(), *self.waiting_lines]
            self._places = array("Q")

    def _sort(self, file: WrittenFile) -> None:
        """Put the lines in the order of the rows, which that of the responses is not, if they are not too many."""
        if self._has_carried or not isinstance(file, PartFile) or os.getpid() != self._pid:
            return
        if not self._places or self._places[-1] > _MAX_SORTED_BYTES:
            return
        lines = list(self.lines())
        ordered = sorted(lines, key=lambda line: orjson.loads(line)["index"])
        if ordered == lines:
            return
        with contextlib.suppress(OSError):  # then they are all there, in the order in which they came
            file.rewrite(b"".join(ordered))
        self._id = file.id

    def __getstate__(self) -> dict[str, Any]:
        self.flush()
        return {**self.__dict__, "_file": None, "_descriptor": None}


def open_letters(target: Path, mode: DeadLetterMode, head: LetterHead, replaced_bytes: int | None = None) -> LetterFile:
    """Open a dead-letter file, to be replaced at the end of a run or appended to as the run goes on.

    What stands behind the first `replaced_bytes` of a file that is replaced is kept, as is what is appended meanwhile.
    Raises InvalidRequestError while another run is about to replace it.
    """
    file: WrittenFile
    if mode == "append":
        refuse_live_part(target, "dead_letter")
        file = AppendFile(target, "dead_letter", is_locked=False)
    else:
        file = PartFile(target, "dead_letter")
    try:
        letters = LetterFile(file, head, None if mode == "append" else ReplacedLetters(target, replaced_bytes))
    except BaseException:  # an interruption
        file.take_back(None)
        file.close()
        raise
    return letters
