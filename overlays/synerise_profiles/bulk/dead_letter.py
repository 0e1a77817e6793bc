"""The store of rejections behind the report of a run, with its dead-letter file.

How rejections are kept. A run may reject millions of rows, and its report has to name each of them in bounded memory.
So a rejection store keeps up to 1,000 in a list; once there are more, all are read from a file of JSON Lines, as often
as the report is iterated. With a dead-letter file it is that file: every rejection is written to it as it comes, with
the row as it was given, so that rows can be mended and sent again. Without one it is a temporary file, which holds no
rows and is removed with the store. In the list, and in a dead-letter file of up to 8 MB that is replaced, they stand in
the order of the rows once the run has ended; else in that of the responses. What cannot be written, as the disk is
full, stays in memory: no rejection is lost. A new file has what there was room for, and letters that were there are
replaced by whole ones alone. Where the file loses its name, or is changed by another program, the rejections go to a
file beside it. The file stays open as long as the report needs it.
A rejection is counted and kept whole or not at all, whatever cuts in: an interpreter calls the handler of a signal at
calls alone, so what belongs together is stored without one in between, and what is left to do is done by the next call.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from synerise_profiles._batching.attribution import Rejection, Stage
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles._core.error_chain import add_note
from synerise_profiles._core.files import named_scratch_file

from .letter_file import LetterFile

__all__ = ["RejectionStore"]

_MAX_MEMORY_ITEMS: Final = 1000


@attrs.define(eq=False, repr=False)
class RejectionStore:
    """Keeps rejections and the lines of them. `file` is the dead-letter file; None stands for a temporary file.

    `entering` is what is being kept: a rejection, and its row for the dead-letter file alone.
    """

    _file: LetterFile | None = None
    _max_in_memory: int = _MAX_MEMORY_ITEMS
    entering: tuple[Rejection, LetterRow] | None = attrs.field(default=None, init=False)
    _in_memory: list[Rejection] = attrs.field(factory=list[Rejection], init=False)
    _without_line: list[Rejection] = attrs.field(factory=list[Rejection], init=False)
    _is_all_in_memory: bool = attrs.field(default=True, init=False)

    def write_to(self, letters: LetterFile) -> None:
        """Write the rejections to a dead-letter file as well; called before the first one."""
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

    def tell_problem(self, error: BaseException) -> None:
        """Add to the text of what ended a run that the dead-letter file could not be written, unless it says so."""
        if self.problem is not None and self.problem not in str(error):
            add_note(error, self.problem)

    def add(self, rejection: Rejection, row: LetterRow, counts: dict[Stage, int]) -> None:
        """Keep one rejection, and count it by its stage. `row` is its row, for the dead-letter file alone."""
        if self.entering is not None:  # an interruption cut in
            self.enter()
        stage = rejection.stage
        self.entering = rejection, row
        counts[stage] += 1  # with the line before, as there is no call between
        self.enter()

    def add_without_line(self, rejection: Rejection, counts: dict[Stage, int]) -> None:
        """Keep and count a rejection of which no line is written, as that of its letter stands for it."""
        self._without_line += (rejection,)
        counts[rejection.stage] += 1

    def enter(self) -> None:
        """Keep what is entering, if anything is, or was when an interruption cut in."""
        if self.entering is None:
            return
        rejection, row = self.entering
        if self._is_all_in_memory and len(self._in_memory) >= self._max_in_memory:
            spilled = self._file or self._open_temporary()
            self._file, self._is_all_in_memory = spilled, False
        file = self._file
        line = b"" if file is None else file.line_of(_data_of(rejection), row)
        size = len(line)
        # No call from here on, so that no signal's handler is called between.
        if self._is_all_in_memory:
            self._in_memory += (rejection,)
        if file is not None:
            file.waiting_lines += (line,)
            file.waiting_bytes += size
        self.entering = None
        if file is not None:
            file.flush_if_full()

    def read(self, parse: Callable[[Mapping[str, Any]], Rejection]) -> Iterator[Rejection]:
        """Yield every rejection; `parse` makes one from the data of a line of the file."""
        self.enter()
        if self._is_all_in_memory or self._file is None:
            yield from list(self._in_memory)
        else:
            for line in self._file.lines():
                yield parse(orjson.loads(line))
        yield from list(self._without_line)

    def flush(self) -> None:
        """Hand to the operating system what was written, so that it survives the process."""
        if self._file is not None:
            self._file.flush()

    def close(self, *, is_kept: bool = True) -> None:
        """Close the file; the rejections can still be read. With `is_kept` false the file that was there stays."""
        self.enter()
        if self._is_all_in_memory:
            self._in_memory.sort(key=lambda rejection: rejection.index)
        if self._file is not None:
            if not self._is_all_in_memory:
                self._file.keep_open()
            self._file.close(is_kept=is_kept)

    def _open_temporary(self) -> LetterFile:
        file = named_scratch_file("synerise-bulk-")
        weakref.finalize(self, _remove, file.target)
        letters = LetterFile(file)
        letters.waiting_lines = [letters.line_of(_data_of(rejection), LetterRow(b"")) for rejection in self._in_memory]
        letters.waiting_bytes = sum(map(len, letters.waiting_lines))
        return letters


def _data_of(rejection: Rejection) -> dict[str, Any]:
    return {key: value for key, value in attrs.asdict(rejection).items() if value is not None}


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
