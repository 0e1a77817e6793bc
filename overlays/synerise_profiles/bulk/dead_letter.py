"""The dead-letter file of a run, which the store of its rejections reads again.

How rejections are kept. A run may reject millions of rows, and its report has to name each of them in bounded memory.
So a rejection store keeps up to 1,000 in a list; once there are more, all are read from a file of JSON Lines, as often
as the report is iterated. With a dead-letter file it is that file: every rejection is written to it as it comes, with
the row as it was given, so that rows can be mended and sent again. Without one it is a temporary file, which holds no
rows and is removed with the store. In the list, and in a dead-letter file of up to 8 MB that is replaced, they stand in
the order of the rows once the run has ended; else in that of the responses. What cannot be written, as the disk is
full, stays in memory: no rejection is lost. The file has what there was room for, and replaces none if that is nothing.
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
from typing import Any, Final, Literal, Protocol, TypeAlias

import orjson

from synerise_profiles._batching.letters import (
    LetterHead,
    LetterRow,
    cells_of,
    letter_line,
    letter_row,
    problem_of,
    read_letters,
)
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles._core.files import (
    AppendFile,
    FileId,
    PartFile,
    WrittenFile,
    file_id,
    lines_between,
)
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import checks_names

__all__ = ["DeadLetterMode", "LetterFile", "open_letters", "read_dead_letter"]

DeadLetterMode: TypeAlias = Literal["replace", "append"]
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


def open_letters(target: Path, mode: DeadLetterMode, head: LetterHead) -> LetterFile:
    """Open a dead-letter file, to be replaced at the end of a run or appended to as the run goes on."""
    file = AppendFile(target, "dead_letter", is_locked=False) if mode == "append" else PartFile(target, "dead_letter")
    try:
        return LetterFile(file, head)
    except BaseException:  # an interruption
        file.take_back(None)
        file.close()
        raise


class CellMapping(Protocol):
    """A mapping that reads rows of cells by the names of their columns, as `sources.RowMapping` does."""

    @property
    def operation_names(self) -> frozenset[str]:
        """The operations that its rows are made for."""
        ...

    @property
    def digest(self) -> str:
        """What tells mappings apart."""
        ...

    def cell_reader(self) -> Callable[[object], dict[str, Any] | UnreadableRow]:
        """Make a function of the cells that returns the row, or what stands for one that cannot be read."""
        ...


@checks_names
def read_dead_letter(path: str | os.PathLike[str], mapping: CellMapping | None = None) -> Iterator[dict[str, Any]]:
    """Yield the lines of a dead-letter file, or of a queue's spill, as mappings with the fields of a `Rejection`.

    `line["row"]` is the row as it was given; `client.bulk.replay` mends rows and sends each by the method of its
    `line["operation"]`. `line["row_holds"]` says whether these are the `fields` of the API or the cells of the source,
    of whose mapping `line["mapping"]` is the digest: the row is `{"cells": ...}` then, which no method sends. With a
    `mapping`, the one of the source or a better one, cells are read by it: `line["row"]` is what would have been sent,
    or an `UnreadableRow` where no row can be made of them, and `line["row_holds"]` is `cells` still.

    Raises OSError where there is no such file, InvalidRequestError for a line that is no dead letter, and for cells of
    an operation that the mapping is not made for.
    """
    read = None if mapping is None else mapping.cell_reader()
    for letter in read_letters(path):
        if mapping is None or read is None or letter["row_holds"] != "cells":
            yield letter
            continue
        if letter["operation"] not in mapping.operation_names:
            made = " or ".join(sorted(mapping.operation_names))
            text = f"the mapping is made for {made}, and a letter holds cells for {letter['operation']}"
            raise InvalidRequestError(text, field="mapping")
        cells, problem = cells_of(letter, letter["row"]), problem_of(letter)
        if problem is None:
            row = read(cells)
        else:
            is_part = bool(letter.get("part_of_order"))
            row = UnreadableRow("", problem, cells, mapping=letter.get("mapping"), part_of_order=is_part)
        yield {**letter, "row": row, "row_holds": "cells" if isinstance(row, UnreadableRow) else "fields"}
