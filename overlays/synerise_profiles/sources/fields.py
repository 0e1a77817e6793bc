"""The publisher's paths against an operation's schema: which field a path means, and what may go there. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import attrs

from synerise_profiles._validation.schema import Schema

from .errors import HIDDEN_NAME, printable_name

__all__ = ["PathStep", "ResolvedField", "UnknownFieldError", "close_names", "find_field", "format_path", "parse_path"]

_ENTRY_SUFFIX = "[]"
_OBJECT_TYPES = frozenset({"object"})


class UnknownFieldError(ValueError):
    """A path leads nowhere. The text says what is wrong with it."""


@attrs.frozen
class PathStep:
    """One name of a path; `is_entry` says that it is a list of objects, of which the row tells one."""

    name: str
    is_entry: bool = False

    def __str__(self) -> str:
        return self.name + _ENTRY_SUFFIX * self.is_entry


@attrs.frozen
class ResolvedField:
    """Where a path leads: its steps, the schema of each object on the way, the body's first, and its own schema.

    A schema is None where anything goes.
    """

    steps: tuple[PathStep, ...]
    parents: tuple[Schema | None, ...]
    schema: Schema | None

    @property
    def path(self) -> str:
        """The path as it is written."""
        return format_path(self.steps)


def parse_path(path: str) -> tuple[PathStep, ...]:
    """Take a path apart."""
    return tuple(PathStep(part.removesuffix(_ENTRY_SUFFIX), part.endswith(_ENTRY_SUFFIX)) for part in path.split("."))


def format_path(steps: Iterable[PathStep]) -> str:
    """Write a path."""
    return ".".join(map(str, steps))


def find_field(body: Schema, steps: tuple[PathStep, ...]) -> ResolvedField:
    """Follow a path; raises UnknownFieldError."""
    holders: list[Schema | None] = []
    here: Schema | None = body
    for place, step in enumerate(steps):
        if not step.name:
            raise UnknownFieldError("has an empty name in its path")
        holders.append(here)
        here = _follow_step(body, here, steps[: place + 1], is_last=place == len(steps) - 1)
    return ResolvedField(steps, tuple(holders), here)


def _follow_step(body: Schema, here: Schema | None, way: tuple[PathStep, ...], *, is_last: bool) -> Schema | None:
    """Take the last step of the way so far."""
    step, path = way[-1], format_path(way)
    if step.is_entry and is_last:
        raise UnknownFieldError(f"ends in {_ENTRY_SUFFIX}, which stands for an object; name a field of it")
    if here is None:
        return None
    if not here.properties and not here.allows_additional and here.types != _OBJECT_TYPES:
        raise UnknownFieldError(f"leads into {format_path(way[:-1])}, which is no object")
    found = here.properties.get(step.name)
    if found is None:
        if not here.allows_additional:
            raise UnknownFieldError(_unknown_field_problem(body, path))
        if step.name in here.reserved_names:
            raise UnknownFieldError("is a reserved name, which the server ignores; give it another name")
        if not all(re.search(pattern, step.name) for pattern in here.name_patterns):
            raise UnknownFieldError("has a name with characters that are refused in names")
        return None
    is_list = found.items is not None and bool(found.items.properties)
    if step.is_entry:
        if not is_list:
            raise UnknownFieldError(f"{path} is no list of objects, which {_ENTRY_SUFFIX} stands for")
        return found.items
    if is_list and not is_last:
        raise UnknownFieldError(f"{path} is a list; {path}{_ENTRY_SUFFIX} is its one entry, of which the row tells")
    return found


def _unknown_field_problem(body: Schema, path: str) -> str:
    close = close_names(path, _paths(body, ""))
    hint = f"; did you mean {close}?" if close else ""
    free = [name for name, inner in body.properties.items() if inner.allows_additional and not inner.properties]
    own = f"; what is your own goes below {' or '.join(free)}" if free and not close else ""
    return f"is no field of this operation{hint}{own}"


def _paths(schema: Schema, before: str) -> Iterable[str]:
    for name, inner in schema.properties.items():
        yield before + name
        entry = inner.items if inner.items is not None and inner.items.properties else None
        yield from _paths(entry or inner, f"{before}{name}{_ENTRY_SUFFIX if entry else ''}.")


def close_names(name: str, names: Iterable[str]) -> str:
    """Return names that are close to this one, quoted; a name that looks like somebody's data is not shown."""
    by_key = {known.casefold(): known for known in reversed(list(names)) if printable_name(known) != HIDDEN_NAME}
    found = difflib.get_close_matches(name.casefold(), by_key, n=3, cutoff=0.65)
    return " or ".join(repr(by_key[key]) for key in found)
