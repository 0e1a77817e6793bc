"""TOML with the lines on which keys stand, read past what cannot be parsed, so that all of that is told at once.

`tomllib` gives no lines of keys. So where something is wrong, the text is cut into statements, each of which is a key
with its value or the header of a table, and is parsed by itself: that tells on which lines each key stands. And it ends
at the first error. So a line that cannot be parsed is left out, and the text is parsed again.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import isfinite
from typing import Any, Final

import attrs

from synerise_profiles._readers.exact_json import loses_digits
from synerise_profiles_api.json_values import is_list, is_object

from .mapping_schema import KeyPath

__all__ = ["TomlText", "key_places", "read_toml"]

_match_syntax_error: Final = re.compile(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", re.DOTALL).fullmatch
_LOSES_DIGITS: Final = "has a number with more digits than JSON's doubles keep; write it as text, in quotes"
_MAX_PROBLEMS: Final = 20
_MAX_DEPTH: Final = 50
_TOO_DEEP: Final = f"is nested deeper than {_MAX_DEPTH} tables and lists"
_IS_TWICE: Final = "is not TOML: Cannot "


class _TooDeepError(Exception):
    """Values stand in each other more deeply than is read."""


@attrs.frozen(kw_only=True)
class TomlText:
    """What was read: `problems` with the lines of what cannot be parsed, and the text and the content without that.

    `content` is None where no more can be known; `lost` are the lines that were left out, by what stands before their
    equals sign.
    """

    text: str = attrs.field(repr=False)
    content: dict[str, Any] | None = attrs.field(repr=False)
    problems: list[tuple[int, str]]
    lost: Mapping[str, str] = attrs.field(repr=False)


def read_toml(text: str) -> TomlText:
    """Parse TOML, without the lines that cannot be parsed."""
    lines, problems, lost = text.split("\n"), list[tuple[int, str]](), dict[str, str]()
    content: dict[str, Any] | None = None
    while content is None:
        try:
            content = _parsed("\n".join(lines))
        except _TooDeepError:
            problems.append((next((number for number, line in enumerate(lines, 1) if _is_deep(line)), 0), _TOO_DEEP))
            break
        except tomllib.TOMLDecodeError as error:
            number, problem = _syntax_problem(error)
            line = lines[number - 1] if number else ""
            is_alone = _is_alone(line, problem)
            # Another one may follow from what was left out.
            if is_alone or not problems or problem.startswith(_IS_TWICE):
                problems.append((number, problem))
            if not is_alone or len(problems) >= _MAX_PROBLEMS:
                break
            lines[number - 1] = ""
            lost[line.partition("=")[0].strip()] = line
    problems += _lossy_numbers(lines) if content is not None else ()
    return TomlText(text="\n".join(lines), content=content, problems=problems, lost=lost)


def _parsed(text: str) -> dict[str, Any]:
    """Parse TOML; raises _TooDeepError for what is nested deeper than anything that a mapping means."""
    try:
        content = tomllib.loads(text)
    except RecursionError:
        raise _TooDeepError from None
    inner: list[object] = [content]
    for _ in range(_MAX_DEPTH):
        inner = [child for value in inner for child in _children(value)]
    if inner:
        raise _TooDeepError
    return content


def _is_deep(line: str) -> bool:
    """Whether a line is nested too deeply by itself."""
    try:
        _parsed(line)
    except _TooDeepError:
        return True
    except tomllib.TOMLDecodeError:
        return False
    return False


def _children(value: object) -> Iterable[object]:
    return value.values() if is_object(value) else value if is_list(value) else ()


def _lossy_numbers(lines: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines of numbers with a fraction or an exponent that would become other ones."""
    lossy: list[str] = []

    def look(text: str) -> float:
        written = text.replace("_", "")
        number = float(written)
        if isfinite(number) and loses_digits(written):
            lossy.append(text)
        return number

    tomllib.loads("\n".join(lines), parse_float=look)
    for text in dict.fromkeys(lossy):
        yield next(number for number, line in enumerate(lines, 1) if text in line), _LOSES_DIGITS


def _is_alone(line: str, problem: str) -> bool:
    """Whether what is wrong stands in this one line, and nothing below depends on it."""
    if not line.strip() or line.lstrip().startswith("["):
        return False
    try:
        tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return True
    return problem.startswith(_IS_TWICE)


def _syntax_problem(error: tomllib.TOMLDecodeError) -> tuple[int, str]:
    """Return the line of an error, 0 where it is not known, and what is wrong."""
    found = _match_syntax_error(str(error))
    problem, line = (found[1], int(found[2] or 0)) if found else ("cannot be parsed", 0)
    hint = "; a name with blanks, or with letters beyond ASCII, stands in quotes" if "after a key" in problem else ""
    return line, f"is not TOML: {problem}{hint}"


def key_places(text: str) -> dict[KeyPath, tuple[int, int]]:
    """Return the lines of each key; of a table, those of its header."""
    places: dict[KeyPath, tuple[int, int]] = {}
    for path, lines in _key_lines(text):
        if len(path) > 1 or path not in places:
            places[path] = lines
    return places


def _key_lines(text: str) -> Iterator[tuple[KeyPath, tuple[int, int]]]:
    """Yield each path of keys with the first and the last line of its statement."""
    header, begun, start = "", "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not begun:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            start = number
            if line.lstrip().startswith("["):
                header = ""
        begun += f"{line}\n"
        try:
            found = tomllib.loads(header + begun)
        except tomllib.TOMLDecodeError:
            continue
        if not header and begun.lstrip().startswith("["):
            header = begun
        for path in _paths(found, ()):
            yield path, (start, number)
        begun = ""


def _paths(value: object, path: KeyPath) -> Iterator[KeyPath]:
    """Yield the paths of all that is inside a value."""
    items: Iterable[tuple[str | int, object]] = ()
    if is_object(value):
        items = value.items()
    elif is_list(value):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))
