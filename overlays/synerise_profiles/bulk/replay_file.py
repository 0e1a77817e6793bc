"""The letters that a replay reads: checked as a whole first, then read operation by operation.

A file may mix operations, as the spill of a queue does. So it is read twice: the first time every line is looked at,
and it is kept where the letters of each operation begin (8 bytes a letter), so that the second time each is read once,
in the order of the lines. The file stays open, and is the same whatever takes its name meanwhile.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import attrs
import orjson

from synerise_profiles._batching.attribution import count_note
from synerise_profiles._batching.letter_lines import load_letter, scan_letters
from synerise_profiles._batching.letters import LETTER_START
from synerise_profiles._core.files import FileId, file_id, refused
from synerise_profiles_api.json_values import is_object

from .order_parts import OrderParts

if TYPE_CHECKING:
    from synerise_profiles._readers.line_index import LineIndex

__all__ = ["LetterGroup", "ReplayFile"]


def _new_line_index() -> LineIndex:
    from synerise_profiles._readers.line_index import LineIndex  # noqa: PLC0415 - most programs replay nothing

    return LineIndex()


@attrs.define(eq=False)
class LetterGroup:
    """The letters that one call sends: of one operation, with the same further arguments."""

    operation: str
    arguments: Mapping[str, Any]
    _lines: LineIndex = attrs.field(init=False, factory=_new_line_index)
    _offsets: array[int] = attrs.field(init=False, factory=partial(array, "Q"))
    _next_line: int = attrs.field(init=False, default=0)

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, line: int, offset: int) -> None:
        """Take note of where a letter stands; lines grow."""
        if line != self._next_line:
            self._lines.add(len(self._offsets), line)
        self._next_line = line + 1
        self._offsets.append(offset)

    def line_of(self, number: int) -> int:
        """Return the line of a letter, counted from 1."""
        return self._lines.locate(number)

    def offset_of(self, number: int) -> int:
        """Return where a letter begins in the file."""
        return self._offsets[number]


class ReplayFile:
    """A file of dead letters that is open for reading. `notes` names the lines that a crash cut off.

    Raises OSError where there is no such file, InvalidRequestError for what is no file of dead letters of this version.
    """

    def __init__(self, path: object) -> None:
        name: object = None
        if isinstance(path, str | os.PathLike):
            name = os.fspath(cast("str | os.PathLike[str]", path))
        if not isinstance(name, str):
            raise refused("path", "expected the path of a file of dead letters")
        mode = os.stat(name).st_mode  # noqa: PTH116 - a text as it was given
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise refused("path", "is a pipe or a device, and is read twice; write the letters to a file first")
        self.path = os.path.realpath(name)
        self.groups: list[LetterGroup] = []
        self.notes: dict[str, int] = {}
        self.size = 0
        self._cut_offsets: list[int] = []
        self._parts = OrderParts()
        self._file: BinaryIO = open(name, "rb")  # noqa: SIM115, PTH123 - closed by `close`
        try:
            self._survey()
        except BaseException:
            self._file.close()
            raise

    @property
    def id(self) -> FileId | None:
        """What tells the file apart, whatever becomes of its name."""
        return file_id(self._file.fileno())

    def letter(self, group: LetterGroup, number: int) -> dict[str, Any]:
        """Return a letter of a group."""
        self._file.seek(group.offset_of(number))
        return self._parts.mark(load_letter(self._file.readline()))

    def lines(self, group: LetterGroup, first: int) -> Iterator[bytes]:
        """Yield the lines of a group as they stand, from the letter with this number on."""
        for number in range(first, len(group)):
            self._file.seek(group.offset_of(number))
            yield self._file.readline().rstrip(b"\n") + b"\n"

    def cut_lines(self) -> Iterator[bytes]:
        """Yield the lines that a crash cut off, as they stand: they cannot be sent, but mended by hand."""
        for offset in self._cut_offsets:
            self._file.seek(offset)
            line = self._file.readline().rstrip(b"\n")
            if line.startswith(LETTER_START):
                yield line + b"\n"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _survey(self) -> None:
        found: dict[bytes, LetterGroup] = {}
        for line in scan_letters(self._file):
            letter = line.letter
            if letter is None:
                count_note(self.notes, f"line {line.number} was cut off by a crash, and holds no letter any more")
                self._cut_offsets.append(line.offset)
                continue
            arguments: object = letter.get("arguments")
            arguments = arguments if is_object(arguments) else {}
            key = orjson.dumps([str(letter["operation"]), arguments], option=orjson.OPT_SORT_KEYS)
            if key not in found:
                found[key] = LetterGroup(str(letter["operation"]), arguments)
                self.groups.append(found[key])
            found[key].add(line.number, line.offset)
            self._parts.add(letter)
        self.size = self._file.tell()
