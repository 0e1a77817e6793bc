"""The letters that a replay reads: checked as a whole first, then read operation by operation.

A file may mix operations, as the spill of a queue does. So it is read twice: the first time every line is looked at,
and it is kept where the letters of each operation begin, with a checksum (12 bytes a letter), so that the second time
each is read once, in the order of the lines. The file stays open, and is the same whatever takes its name meanwhile. A
line that is not as it was, since somebody has cut or changed the file, is no letter any more: LetterGoneError.
"""

from __future__ import annotations

import errno
import os
import stat
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

import attrs
import orjson

from synerise_profiles._batching.attribution import count_note
from synerise_profiles._batching.letter_lines import LetterLine, load_letter, scan_letters
from synerise_profiles._batching.letters import LETTER_START
from synerise_profiles._core.files import FileId, file_id, refused
from synerise_profiles_api.json_values import is_object

from .order_parts import OrderParts
from .replaced_letters import KnownBytes, new_digest

if TYPE_CHECKING:
    from synerise_profiles._readers.line_index import LineIndex

__all__ = ["LetterGoneError", "LetterGroup", "ReplayFile"]

_DAMAGED_TEXT: Final = "line {} is damaged, or was cut off by a crash: mend it by hand"


class LetterGoneError(OSError):
    """A letter is not in its file any more. `problem` names its line."""

    def __init__(self, problem: str, path: str) -> None:
        self.problem = problem
        super().__init__(errno.ESTALE, problem, path)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problem, self.filename)


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
    _checksums: array[int] = attrs.field(init=False, factory=partial(array, "I"))
    _next_line: int = attrs.field(init=False, default=0)

    def __len__(self) -> int:
        return len(self._offsets)

    def add(self, line: int, offset: int, checksum: int) -> None:
        """Take note of where a letter stands; lines grow."""
        if line != self._next_line:
            self._lines.add(len(self._offsets), line)
        self._next_line = line + 1
        self._offsets.append(offset)
        self._checksums.append(checksum)

    def line_of(self, number: int) -> int:
        """Return the line of a letter, counted from 1."""
        return self._lines.locate(number)

    def offset_of(self, number: int) -> int:
        """Return where a letter begins in the file."""
        return self._offsets[number]

    def has_checksum(self, number: int, checksum: int) -> bool:
        """Whether the line of a letter has this checksum."""
        return self._checksums[number] == checksum


class ReplayFile:
    """A file of dead letters that is open for reading. `notes` names the lines that hold no letter any more.

    `cut_lines` has the last one as it stood, if a crash cut it off and it was a letter: it cannot be sent, but mended
    by hand. `damaged_lines` are those that end as they should, and hold no letter all the same.
    `known` is what was read of the file, `has_lost_letters` whether some of that is not there any more.

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
        self.cut_lines: list[bytes] = []
        self.damaged_lines: list[LetterLine] = []
        self.known: KnownBytes = 0, b""
        self._has_lost_letters = False
        self._longest = 0
        self._parts = OrderParts()
        self._file: BinaryIO = open(name, "rb")  # noqa: SIM115, PTH123 - closed by `close`
        try:
            self._survey()
            self._changed_at = os.fstat(self._file.fileno()).st_mtime_ns
        except BaseException:
            self._file.close()
            raise

    @property
    def id(self) -> FileId | None:
        """What tells the file apart, whatever becomes of its name."""
        return file_id(self._file.fileno())

    @property
    def has_lost_letters(self) -> bool:
        """Whether a letter was not there any more, or the file is shorter than it was."""
        return self._has_lost_letters or self._is_cut

    @property
    def was_written(self) -> bool:
        """Whether somebody has written to the file since it was looked at."""
        return not self._file.closed and os.fstat(self._file.fileno()).st_mtime_ns != self._changed_at

    def line(self, group: LetterGroup, number: int) -> bytes:
        """Return the line of a letter as it stands, without its end. Raises LetterGoneError if it is another one."""
        try:
            self._file.seek(group.offset_of(number))
            content = self._file.readline(self._longest + 1).rstrip(b"\n")
        except OSError as error:
            self._has_lost_letters = True
            problem = f"line {group.line_of(number):,} of {self._name} cannot be read: {error.strerror}"
            raise LetterGoneError(problem, self.path) from error
        if not group.has_checksum(number, zlib.crc32(content)):
            self._has_lost_letters = True
            how = "is gone, as the file was cut" if self._is_cut else "was changed by somebody else"
            raise LetterGoneError(f"line {group.line_of(number):,} of {self._name} {how} while it was read", self.path)
        return content

    def letter_of(self, line: bytes) -> dict[str, Any]:
        """Return the letter of a line."""
        return self._parts.mark(load_letter(line))

    def lines(self, group: LetterGroup, first: int) -> Iterator[bytes | None]:
        """Yield the lines of a group as they stand, from the letter with this number on; None for one that is gone."""
        for number in range(first, len(group)):
            try:
                yield self.line(group, number) + b"\n"
            except LetterGoneError:
                yield None

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def _name(self) -> str:
        return os.path.basename(self.path)  # noqa: PTH119 - as above

    @property
    def _is_cut(self) -> bool:
        return not self._file.closed and os.fstat(self._file.fileno()).st_size < self.known[0]

    def _survey(self) -> None:
        found: dict[bytes, LetterGroup] = {}
        digest = new_digest()
        for line in scan_letters(_digested(self._file, digest.update)):
            letter, content = line.letter, line.content.rstrip(b"\n")
            self._longest = max(self._longest, len(content))
            if letter is None:
                self._take_unreadable(line)
                continue
            arguments: object = letter.get("arguments")
            arguments = arguments if is_object(arguments) else {}
            key = orjson.dumps([str(letter["operation"]), arguments], option=orjson.OPT_SORT_KEYS)
            if key not in found:
                found[key] = LetterGroup(str(letter["operation"]), arguments)
                self.groups.append(found[key])
            found[key].add(line.number, line.offset, zlib.crc32(content))
            self._parts.add(letter)
        self.known = self._file.tell(), digest.digest()

    def _take_unreadable(self, line: LetterLine) -> None:
        if line.is_damaged:
            count_note(self.notes, _DAMAGED_TEXT.format(line.number))
            self.damaged_lines.append(line)
            return
        count_note(self.notes, f"line {line.number} was cut off by a crash, and holds no letter any more")
        if line.content.startswith(LETTER_START):
            self.cut_lines.append(line.content)


def _digested(lines: Iterable[bytes], update: Callable[[bytes], None]) -> Iterator[bytes]:
    """Yield lines, of which each is taken into a digest."""
    for line in lines:
        update(line)
        yield line
