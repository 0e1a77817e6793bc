"""The lines of a file of dead letters: what is a letter and of which version, and reading them one by one."""

from __future__ import annotations

import os
import re
from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final, cast, get_args

import attrs
import orjson

from synerise_profiles._core.files import last_line, refused, target_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_list, is_object
from synerise_profiles_api.settings import OPERATIONS as NAMES

from .attribution import Stage
from .letters import LETTER_START, LETTER_VERSION, RowHolds, letter_row

__all__ = ["LetterLine", "are_letters", "letter_target", "load_letter", "may_hold_letters", "scan_letters"]

_LETTER_PATTERN: Final = re.compile(rb'\{"version":(\d+),"operation":"([\w.]*)","row_holds":"')
_MARKS: Final = frozenset({"version", "operation", "row_holds", "index", "stage", "reason", "row"})
"""What every letter has, whatever its version."""
_OPERATION: Final = re.compile(rf"(?:{'|'.join(sorted({resource for resource, _ in NAMES}))})\.\w+")
"""Of another release too, whose methods may be others."""
_TELLING_START: Final = b'{"version":'
"""What other JSON hardly begins with, let alone ends with."""


def letter_target(path: object, argument: str, *, is_appended: bool) -> Path:
    """Return the file for letters; nothing is touched.

    Raises InvalidRequestError, by the name of the argument, for what cannot be written, and for a file that is there
    and is neither empty nor of dead letters of this version. Where it is replaced, every line counts, so that no other
    content goes; where it is appended to, the first one and the last one.
    """
    target = target_of(path, argument, is_appended=is_appended)
    try:
        with target.open("rb") as lines:
            version = _version_in(_outer_lines(lines) if is_appended else lines)
    except FileNotFoundError:
        return target
    except OSError as error:
        raise refused(argument, f"cannot be read: {error.strerror}") from None
    except _NoLettersError:
        raise refused(argument, "is a file of something else than dead letters; give the name of another one") from None
    if version not in (None, LETTER_VERSION):
        problem = f"has dead letters of version {version}, and this release writes version {LETTER_VERSION}"
        raise refused(
            argument, f"{problem}; send them by the release that wrote them, or give the name of another file"
        )
    return target


def are_letters(lines: Iterable[bytes]) -> bool:
    """Whether all lines that are not blank are letters of this version."""
    try:
        return _version_in(lines) in (None, LETTER_VERSION)
    except _NoLettersError:
        return False


def may_hold_letters(lines: Iterable[bytes]) -> bool:
    """Whether lines may stand among letters of this version: they are letters too, also such as a crash cut off."""
    try:
        return _version_in(lines, is_known=True) in (None, LETTER_VERSION)
    except _NoLettersError:
        return False


def _outer_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines up to the first one that says what the file is, and the last one."""
    for line in file:
        yield line
        if _version_of(line) is not None or _is_beginning(line):
            break
    yield last_line(file.fileno(), 0, file.seek(0, os.SEEK_END))


class _NoLettersError(Exception):
    """A file has other lines than letters."""


def _version_in(lines: Iterable[bytes], *, is_known: bool = False) -> int | None:
    """Return the version of the letters, whole or cut off by a crash; None if all lines are blank.

    Where they have several, it is one that is not of this release.

    Raises _NoLettersError for a line that is neither. One too short to be told from other JSON, such as a lone brace,
    may be the rest of a letter only where there is another letter, as with `is_known`.
    """
    version, is_in_doubt = None, False
    for line in lines:
        if not line.strip():
            continue
        found = _version_of(line)
        if found is not None or _is_beginning(line):
            version = found if version in (None, LETTER_VERSION) and found is not None else version
            is_known = True
        elif not LETTER_START.startswith(line.rstrip(b"\n")):
            raise _NoLettersError
        else:
            is_in_doubt = is_in_doubt or not line.startswith(_TELLING_START) or line.endswith(b"\n")
    if is_in_doubt and not is_known:
        raise _NoLettersError
    return version


@attrs.frozen
class LetterLine:
    """A line of a file of dead letters: its number, counted from 1, where it begins, how it stands, and its letter.

    The letter is None where a crash cut the line off, or it is damaged.
    """

    number: int
    offset: int
    content: bytes = attrs.field(repr=False)
    letter: dict[str, Any] | None = attrs.field(repr=False)

    @property
    def is_damaged(self) -> bool:
        """Whether it is no letter, and was not the end of the file at a crash: what is behind it was written."""
        return self.letter is None and self.content.endswith(b"\n")

    @property
    def operation(self) -> str:
        """The operation that a line without a letter still names, if any."""
        head = _LETTER_PATTERN.match(self.content)
        return "" if head is None else head[2].decode()


def scan_letters(lines: Iterable[bytes]) -> Iterator[LetterLine]:
    """Yield the lines of a file of dead letters that are not blank.

    Raises InvalidRequestError for one that is no dead letter of this version.
    """
    offset = 0
    for number, content in enumerate(lines, 1):
        if content.strip():
            yield LetterLine(number, offset, content, _letter_of(content, number))
        offset += len(content)


def load_letter(line: bytes) -> Any:
    """Parse the line of a letter. Numbers in its row that would lose digits stand as text, among its problems."""
    from synerise_profiles._readers.exact_json import (  # noqa: PLC0415 - most read none
        LostDigitsError,
        load_all_digits,
        load_exactly,
    )

    line = line.removeprefix(BOM_UTF8)  # of an editor, in which letters were mended
    try:
        return load_exactly(line, holds_row=True)
    except LostDigitsError:
        letter = orjson.loads(line)
    if not is_object(letter) or "row" not in letter:
        return letter
    row = letter_row(load_all_digits(line)["row"])
    known = letter.get("problems")
    return {**letter, "row": orjson.loads(row.json), "problems": [*(known if is_list(known) else ()), *row.problems]}


def _letter_of(line: bytes, number: int) -> dict[str, Any] | None:
    from synerise_profiles._readers.exact_json import LossyJsonError  # noqa: PLC0415 - as in `load_letter`
    from synerise_profiles._readers.packed import GZIP_MAGIC  # noqa: PLC0415 - likewise

    if number == 1 and line.startswith(GZIP_MAGIC):
        raise InvalidRequestError("is a gzip file, in which no letters are read; unpack it first", field="path")
    try:
        letter: Any = load_letter(line)
    except LossyJsonError as error:
        raise InvalidRequestError(f"line {number} {error}", field="path") from None
    except orjson.JSONDecodeError:
        is_rest = _version_of(line) == LETTER_VERSION or LETTER_START.startswith(line.rstrip(b"\n"))
        if is_rest or _is_beginning(line):
            return None
        letter = None
    version = _version_of(line, letter)
    if version == LETTER_VERSION:
        return cast("dict[str, Any]", letter)
    problem = "is no dead letter" if version is None else f"is a dead letter of version {version}"
    advice = "" if version is None else "; send it by the release that wrote it"
    text = f"line {number} {problem}; this release reads version {LETTER_VERSION}{advice}"
    raise InvalidRequestError(text, field="path")


def _version_of(line: bytes, letter: Any = None) -> int | None:
    """Return the version of a letter; None if a line is none."""
    try:
        letter = orjson.loads(line.removeprefix(BOM_UTF8)) if letter is None else letter
    except orjson.JSONDecodeError:
        head = _LETTER_PATTERN.match(line)
        is_letter = head is not None and (int(head[1]) != LETTER_VERSION or _OPERATION.fullmatch(head[2].decode()))
        return int(head[1]) if head is not None and is_letter else None
    if not is_object(letter) or not letter.keys() >= _MARKS or type(letter["version"]) is not int:
        return None
    is_letter = letter["version"] != LETTER_VERSION or _is_of_this_version(letter)
    return letter["version"] if is_letter else None


def _is_of_this_version(letter: Mapping[str, Any]) -> bool:
    """Whether what every letter has is what this release writes there."""
    is_known = _OPERATION.fullmatch(str(letter["operation"])) and letter["row_holds"] in get_args(RowHolds)
    return bool(is_known) and letter["stage"] in get_args(Stage) and isinstance(letter["reason"], str)


def _is_beginning(line: bytes) -> bool:
    """Whether a crash may have cut a letter off within the name of its operation, or shortly behind it."""
    rest = line.rstrip(b"\n")
    heads = (LETTER_START + ".".join(name).encode() + b'","row_holds":"' for name in NAMES)
    return rest.startswith(LETTER_START) and any(head.startswith(rest) for head in heads)
