"""The dead-letter file of a run, and the store of rejections behind its report.

How rejections are kept. A run may reject millions of rows, and its report has to name each of them in bounded memory.
So a rejection store keeps up to 1,000 in a list; once there are more, all are read from a file of JSON Lines, as often
as the report is iterated. With a dead-letter file it is that file: every rejection is written to it as it comes, with
the row as it was given, so that rows can be mended and sent again. Without one it is a temporary file, which holds no
rows and is removed with the store. In the list, and in a dead-letter file of up to 8 MB that is replaced, they stand in
the order of the rows once the run has ended; else in that of the responses. What cannot be written, as the disk is
full, stays in memory: no rejection is lost. The file has what there was room for, and replaces none if that is nothing.
A rejection is counted and kept whole or not at all, whatever cuts in: an interpreter calls the handler of a signal at
calls alone, so what belongs together is stored without one in between, and what is left to do is done by the next call.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import weakref
from array import array
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs
import orjson

from synerise_profiles._batching.letters import (
    LetterHead,
    LetterRow,
    letter_line,
    letter_row,
)
from synerise_profiles._core.files import (
    AppendFile,
    FileId,
    PartFile,
    WrittenFile,
    file_id,
    lines_between,
    named_scratch_file,
)

__all__ = ["DeadLetterMode", "LetterFile", "RejectionStore", "open_letters"]

DeadLetterMode: TypeAlias = Literal["replace", "append"]
T = TypeVar("T", bound=attrs.AttrsInstance)
_MAX_MEMORY_ITEMS: Final = 1000
_BUFFER_BYTES: Final = 1 << 16
_MAX_SORTED_BYTES: Final = 1 << 23
_LEFT_TEXT: Final = "{} was left by a run that was killed, and is removed with its letters"
_REPLACED_TEXT: Final = (
    "the file of these rejections was replaced by a later run; a report that was pickled reads it by its name: read it "
    "before the next run, or give each run a file of its own"
)


class LetterFile:
    """Lines that are being written to a file, and can be read again; `head` is that of dead letters.

    `problem` says why lines could not be written; they are in memory then. What is appended meanwhile to the file that
    is replaced, behind its first `replaced_bytes`, is kept; None keeps nothing of it.
    """

    def __init__(self, file: WrittenFile, head: LetterHead | None = None) -> None:
        self.problem: OSError | None = None
        self.path = file.path if isinstance(file, PartFile) else file.target
        left_names = file.left_parts if isinstance(file, PartFile) else []
        self.notes = dict.fromkeys(map(_LEFT_TEXT.format, left_names), 1)
        """Notes about what a run that was killed has left beside the file; its letters are not in this one."""
        self.name, self.head = file.target.name, head
        self.replaced_bytes: int | None = None
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
            if is_kept and (self.problem is None or self._places or self._has_carried):
                self._sort(file)
                file.commit(self.replaced_bytes)
                self.path = file.target
            else:
                start = self._places[0] if len(self._places) == 2 and self._places[1] == file.size else None
                self._hold(file)
                file.take_back(start)
        except OSError as error:
            self.problem = self.problem or error
            self.left_in = f"; what was written is in {self.path.name}" if self.path.exists() else ""
        file.close()
        self._file = None

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


class RejectionStore(Generic[T]):
    """Keeps records and the lines of them. `letters` is the dead-letter file; None stands for a temporary file.

    `entering` is what is being kept: a record, and its row for the dead-letter file alone.
    """

    def __init__(self, letters: LetterFile | None = None, max_in_memory: int = _MAX_MEMORY_ITEMS) -> None:
        self.entering: tuple[T, LetterRow] | None = None
        self._max_in_memory = max_in_memory
        self._in_memory: list[T] = []
        self._is_all_in_memory = True
        self._file = letters

    def write_to(self, letters: LetterFile) -> None:
        """Write the records to a dead-letter file as well; called before the first one."""
        self._file = letters

    @property
    def error(self) -> OSError | None:
        """What the system said when the dead-letter file could not be written."""
        return None if self._file is None else self._file.problem

    @property
    def problem(self) -> str | None:
        """Why the dead-letter file could not be written."""
        error = self.error
        if self._file is None or error is None:
            return None
        return f"{self._file.name}, the file of dead letters, cannot be written: {error.strerror}{self._file.left_in}"

    def add(self, record: T, row: LetterRow) -> None:
        """Keep one record. `row` is its row, for the dead-letter file alone."""
        self.enter()
        self.entering = record, row
        self.enter()

    def enter(self) -> None:
        """Keep what is entering, if anything is, or was when an interruption cut in."""
        if self.entering is None:
            return
        record, row = self.entering
        if self._is_all_in_memory and len(self._in_memory) >= self._max_in_memory:
            spilled = self._file or self._open_temporary()
            self._file, self._is_all_in_memory = spilled, False
        file = self._file
        line = b"" if file is None else file.line_of(_data_of(record), row)
        size = len(line)
        # No call from here on, so that no signal's handler is called between.
        if self._is_all_in_memory:
            self._in_memory += (record,)
        if file is not None:
            file.waiting_lines += (line,)
            file.waiting_bytes += size
        self.entering = None
        if file is not None:
            file.flush_if_full()

    def read(self, parse: Callable[[Mapping[str, Any]], T]) -> Iterator[T]:
        """Yield every record; `parse` makes one from the data of a line of the file."""
        self.enter()
        if self._is_all_in_memory or self._file is None:
            yield from list(self._in_memory)
            return
        for line in self._file.lines():
            yield parse(orjson.loads(line))

    def flush(self) -> None:
        """Hand to the operating system what was written, so that it survives the process."""
        if self._file is not None:
            self._file.flush()

    def close(self, *, is_kept: bool = True) -> None:
        """Close the file; its records can still be read. With `is_kept` false the file that was there stays."""
        self.enter()
        if self._is_all_in_memory:
            self._in_memory.sort(key=lambda record: _data_of(record)["index"])
        if self._file is not None:
            self._file.close(is_kept=is_kept)
            if not self._is_all_in_memory:
                self._file.keep_open()

    def _open_temporary(self) -> LetterFile:
        file = named_scratch_file("synerise-bulk-")
        weakref.finalize(self, _remove, file.target)
        letters = LetterFile(file)
        letters.waiting_lines = [letters.line_of(_data_of(record), LetterRow(b"")) for record in self._in_memory]
        letters.waiting_bytes = sum(map(len, letters.waiting_lines))
        return letters


def open_letters(target: Path, mode: DeadLetterMode, head: LetterHead) -> LetterFile:
    """Open a dead-letter file, to be replaced at the end of a run or appended to as the run goes on."""
    file = AppendFile(target, "dead_letter", is_locked=False) if mode == "append" else PartFile(target, "dead_letter")
    try:
        letters = LetterFile(file, head)
    except BaseException:  # an interruption
        file.take_back(None)
        file.close()
        raise
    return letters


def _data_of(record: attrs.AttrsInstance) -> dict[str, Any]:
    return {key: value for key, value in attrs.asdict(record).items() if value is not None}


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
