"""From Python values to segments of a path, each percent-encoded by itself. Refuses what would be misread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeGuard
from urllib.parse import quote

from .errors import InvalidRequestError
from .invisible import control_problem, invisible_text, is_blank
from .json_values import MAX_INTEGER, MIN_INTEGER, TOO_LARGE, as_written
from .names import closest_name
from .types import UNSET, Operation

__all__ = ["path_integer", "path_list", "path_text"]

_ID_HINT = "send it by an operation that takes it in the body"


def path_text(operation: Operation, name: str, value: object, *, choices: tuple[str, ...] = ()) -> str:
    """Percent-encode one text value of a path; refuse what a server or a proxy could read as another path.

    With `choices` the value is one of them.

    A slash is encoded, but for what cannot be undone: many servers refuse it, and one that decodes it first may take
    the rest for another segment.
    """
    text = as_written(value)
    if type(text) is not str:
        raise InvalidRequestError(f"expected text, got {type(value).__name__}", operation=operation.name, field=name)
    problem = ""
    if choices and text not in choices:
        near = closest_name(text, choices)
        hint = "" if near is None else f"; did you mean {near!r}?"
        problem = f"expected one of {', '.join(map(repr, choices))}{hint}"
    elif not text:
        problem = "is empty; an empty id would address another resource"
    elif is_blank(text):
        problem = f"is blank, so that it names nothing{invisible_text(text)}"
    elif any(part in (".", "..") for part in text.split("/")):
        problem = "is a relative path segment and cannot be sent in a path; " + _ID_HINT
    elif "\\" in text:
        problem = "holds a backslash, which servers take for a path separator; " + _ID_HINT
    elif "/" in text and operation.irreversible:
        problem = "holds a slash, which servers may take for a path separator; name it by another kind of id"
    else:
        problem = control_problem(text)
    if problem:
        raise InvalidRequestError(problem, operation=operation.name, field=name)
    try:
        return quote(text, safe="")
    except UnicodeEncodeError:
        problem = "is not valid Unicode (it holds half of a surrogate pair); mend the text where it was decoded"
        raise InvalidRequestError(problem, operation=operation.name, field=name) from None


def path_integer(operation: Operation, name: str, value: object) -> str:
    """Write one integer of a path."""
    kind, value = type(value).__name__, as_written(value)
    problem = ""
    if type(value) is not int:
        problem = f"expected an integer, got {kind}; convert it with int() where it is read"
    elif not MIN_INTEGER <= value <= MAX_INTEGER:
        problem = TOO_LARGE
    if problem:
        raise InvalidRequestError(problem, operation=operation.name, field=name)
    return str(value)


def path_list(
    operation: Operation,
    name: str,
    values: object,
    *,
    integers: bool,
    most: int | None = None,
    target: object = UNSET,
) -> str:
    """Join ids with literal commas, each percent-encoded by itself; an id with a comma is refused.

    `target` is the id of the profile that those of the list are merged into: it is none of them.
    """
    if issubclass(type(values), str) or not _is_iterable(values):
        kind = type(values).__name__
        raise InvalidRequestError(f"expected a sequence of ids, got {kind}", operation=operation.name, field=name)
    parts: list[str] = []
    target = _trimmed(as_written(target))
    for index, given in enumerate(values):
        at = f"{name}[{index}]"
        value = as_written(given)
        if type(value) is str and "," in value:
            problem = "holds a comma, which separates ids in this path; merge by another kind of id"
            raise InvalidRequestError(problem, operation=operation.name, field=at)
        if type(value) is type(target) and type(value) in (str, int) and _trimmed(value) == target:
            problem = "is the target too: a profile cannot be merged into itself; leave it out of the sources"
            raise InvalidRequestError(problem, operation=operation.name, field=at)
        parts.append(path_integer(operation, at, given) if integers else path_text(operation, at, given))
    if not parts:
        raise InvalidRequestError("holds no id", operation=operation.name, field=name)
    if most is not None and len(parts) > most:
        problem = f"holds {len(parts)} ids, at most {most} are allowed in one request; split them into groups"
        raise InvalidRequestError(problem, operation=operation.name, field=name)
    return ",".join(parts)


def _trimmed(value: object) -> object:
    """Return a text without white space at its ends, which tells no profiles apart; other values as they are."""
    return value.strip() if type(value) is str else value


def _is_iterable(value: object) -> TypeGuard[Iterable[Any]]:
    return issubclass(type(value), Iterable)
