"""The file of dead letters while a run writes it: it replaces the one that is there, or grows at its end."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from array import array
from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import orjson

from synerise_profiles._batching.letter_lines import letter_target, may_hold_letters
from synerise_profiles._batching.letters import LETTER_START, LetterHead, LetterRow, letter_line, letter_row
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.files import (
    CHANGED_TEXT,
    AppendFile,
    FileId,
    KeptFile,
    PartFile,
    WrittenFile,
    file_id,
    lines_between,
    unnamed_scratch_file,
)
from synerise_profiles._core.wording import counted

from .replaced_letters import KnownBytes, ReplacedLetters

__all__ = ["DeadLetterMode", "LetterFile", "open_letters"]

DeadLetterMode: TypeAlias = Literal["replace", "append"]
_BUFFER_BYTES: Final = 1 << 16
_MAX_SORTED_BYTES: Final = 1 << 23
_LEFT_TEXT: Final = "{} was left by a run that was killed, and is removed with its letters"
_CARRIED_TEXT: Final = "letters that came to the file while the run went on stand behind those of the run"
_NO_LOCKS_TEXT: Final = "{} cannot be locked, as the system has no locks there: only one run may write it at a time"
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
        if not file.has_locks:
            self.notes[_NO_LOCKS_TEXT.format(self.name)] = 1
        self._replaced = replaced
        self._file: WrittenFile | None = file
        self.left_in, self._has_carried, self._lost = "", False, 0
        self._id: FileId | None = file.id
        self._is_held = False
        self._reader: WrittenFile | None = None
        self._pid = os.getpid()
        # Where the lines are in the file: starts and ends in turn, since others may append to it too.
        self._places: array[int] = array("Q")
        self._count = 0
        self._end = 0 if isinstance(file, AppendFile) else file.size
        self._spare: WrittenFile | None = None
        """The lines once more, of `_spare_end` bytes, where somebody else may cut the file to which they are added."""
        self._spare_end = 0
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
            elif self._spare is not None or not self._places:
                self._write_spare(content)
            end = file.write(content)
        except OSError as error:
            self.problem = first_error(self.problem, error)
            return False
        start, size = end - len(content), sum(map(len, rest))
        segment, is_next = array("Q", (start, end)), bool(self._places) and self._places[-1] == start
        written, spare_end = self._count + count, self._spare_end + len(content)
        # No call from here on, so that no signal's handler is called between.
        if is_next:
            self._places[-1] = end
        else:
            self._places += segment
        self._end, self._count, self.waiting_lines, self.waiting_bytes = end, written, rest, size
        self._spare_end = spare_end
        return True

    def _write_spare(self, content: bytes) -> None:
        try:
            spare = self._spare = self._spare or unnamed_scratch_file()
            spare.cut_to(self._spare_end)
            spare.write(content)
        except OSError:  # then they are in the file alone
            self._spare = None

    def _kept_lines(self) -> Iterator[bytes]:
        """Yield the lines that were written, whatever became of the file."""
        spare = self._spare
        if spare is None or spare.descriptor is None:
            with contextlib.suppress(OSError):  # what somebody else has taken away
                yield from self._written()
        else:
            yield from lines_between(spare.descriptor, 0, self._spare_end)

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

        Raises OSError if the file is another one by now and is read by its name, as in another process, or was changed.
        """
        self.flush()
        yield from self._written()
        yield from list(self.waiting_lines)

    def _written(self) -> Iterator[bytes]:
        if not self._places:  # then there may be no file
            return
        count = 0
        with self._opened() as descriptor:
            for start, end in zip(self._places[::2], self._places[1::2], strict=True):
                for line in lines_between(descriptor, start, end):
                    if self.head is not None and not line.startswith(LETTER_START):
                        break
                    yield line
                    count += 1
        if count != self._count:
            raise OSError(errno.ESTALE, CHANGED_TEXT, str(self.path))

    def keep_open(self) -> None:
        """Hold the file open when it is closed, so that its lines can be read whatever becomes of its name."""
        self._is_held = sys.platform != "win32"  # nothing could be put in the place of a file that is open

    @contextlib.contextmanager
    def _opened(self) -> Generator[int]:
        file = self._file or self._reader
        if file is not None and file.descriptor is not None:
            yield file.descriptor
            return
        with self.path.open("rb") as by_name:
            if file_id(by_name.fileno()) != self._id:
                raise OSError(errno.ESTALE, _REPLACED_TEXT, str(self.path))
            yield by_name.fileno()

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
            if is_kept and self._has_lost_place:
                self._leave(file)
            elif is_kept and (self.problem is None or not (is_empty or self._has_replaced)):
                self._sort(file)
                file.commit(None if self._replaced is None else self._replaced.tail_from)
                self.path = file.target
            elif is_kept and not is_empty:  # cut short, it takes no place of whole ones
                self._leave(file)
            else:
                start, end = self._places if len(self._places) == 2 else (None, 0)
                self._hold(file)
                file.take_back(start, end)
        except OSError as error:
            self.problem = first_error(self.problem, error)
            self._leave(file)
        if self.problem is not None and isinstance(file, AppendFile) and not self.left_in:
            self.left_in = f"; {self._count:,} letters of the run are in it{self._waiting_text}"
        file = self._file or file  # what was left may be in another one
        if self._is_held:
            file.unlock()
            self._reader = file
        else:
            file.close()
        self._file = self._spare = None

    @property
    def _waiting_text(self) -> str:
        return f", the other {len(self.waiting_lines):,} are in the report alone (report.rejected)"

    @property
    def end_notes(self) -> dict[str, int]:
        """Notes about what came to the file meanwhile, once it is closed."""
        carried = 0 if self._replaced is None else self._replaced.carried
        return {_CARRIED_TEXT: carried} if carried else {}

    @property
    def _has_replaced(self) -> bool:
        return self._replaced is not None and self._replaced.size > 0

    @property
    def _has_lost_place(self) -> bool:
        """Whether the file has another name by now, or other content: what was written is not where it was to be."""
        return self.problem is not None and self.problem.errno == errno.ESTALE

    def _leave(self, file: WrittenFile) -> None:
        """Leave what was written beside the file, and say where."""
        if isinstance(file, PartFile) and file_id(file.path) == file.id:
            file.keep()
            self.path = file.path
        elif isinstance(file, PartFile) or self._has_lost_place:
            with contextlib.suppress(OSError):  # then it is in the report alone
                self._copy(file.target)
        if self.path != file.target and self.path.exists():
            lost = f", without {counted(self._lost, 'letter')} that nobody has any more" if self._lost else ""
            self.left_in = f"; what was written is in {self.path.name}{lost}"
        elif not file.target.parent.exists():
            self.left_in = f"; its folder was moved or removed, with {self._count:,} letters in {self.path.name}"
            self.left_in += self._waiting_text if self.waiting_lines else ""

    def _copy(self, target: Path) -> None:
        """Write the lines to a file beside the one that has lost its name, or what was written to it."""
        if not self._places and not self.waiting_lines:
            return
        copy = KeptFile(target)
        try:
            found, _ = _write_lines(copy, self._kept_lines())
            _, end = _write_lines(copy, self.waiting_lines)
            copy.sync()
        except BaseException:
            copy.target.unlink(missing_ok=True)
            copy.close()
            raise
        self._lost += self._count - found
        count, segment = self._count + len(self.waiting_lines), array("Q", (0, end))
        self.path, self._id, self._file, self._end, self._count = copy.target, copy.id, copy, end, count
        self._places, self.waiting_lines, self.waiting_bytes, self._spare = segment, [], 0, None

    def _hold(self, file: WrittenFile) -> None:
        """Keep readable what is taken back: in the part that loses its name, where a system allows it, or in memory."""
        if isinstance(file, PartFile):
            self.keep_open()
        if not (self._is_held and isinstance(file, PartFile)):
            self.waiting_lines = [*self._written(), *self.waiting_lines]
            self._places, self._count = array("Q"), 0

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
        return {**self.__dict__, "_file": None, "_reader": None, "_spare": None}


def _write_lines(file: WrittenFile, lines: Iterable[bytes]) -> tuple[int, int]:
    """Write lines in pieces; return how many they are, and where they end."""
    content, count = bytearray(), 0
    for count, line in enumerate(lines, 1):  # noqa: B007 - the last one is their number
        content += line
        if len(content) >= _BUFFER_BYTES:
            file.write(content)
            content.clear()
    return count, file.write(content)


def open_letters(target: Path, mode: DeadLetterMode, head: LetterHead, known: KnownBytes | None = None) -> LetterFile:
    """Open a dead-letter file, to be replaced at the end of a run or appended to as the run goes on.

    Of a file that is replaced, what stands behind the bytes that are `known` is kept, as is what is appended meanwhile.
    Raises InvalidRequestError while another run is about to replace it, and while one appends to what is replaced.
    """
    file: WrittenFile | None = None
    try:
        if mode == "append":
            file = AppendFile(target, "dead_letter", is_locked=False, is_joined=True, may_hold=may_hold_letters)
        else:
            file = PartFile(target, "dead_letter")
        replaced = None if mode == "append" else ReplacedLetters(target, known)
        letter_target(target, "dead_letter", is_appended=True)  # it may be another one since it was looked at
        letters = LetterFile(file, head, replaced)
    except BaseException:  # an interruption too
        if file is not None:
            try:
                _undo(file)
            finally:
                _undo(file)
        raise
    return letters


def _undo(file: WrittenFile) -> None:
    file.take_back(None)
    file.close()
