"""Patterns of a mapping, which stand for many columns: {"attr_*": "attributes.*"}."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from synerise_profiles._validation.schema import Schema

from .errors import MappingIssue
from .fields import PathStep, UnknownFieldError, find_field, find_target_field, parse_path
from .targets import Target

__all__ = ["WILDCARD", "is_pattern", "is_unnamed", "pattern_issues", "pattern_steps"]

WILDCARD: Final = "*"
_match_no_name: Final = re.compile(r"\s*|__index_level_\d+__").fullmatch
"""A header may end with its delimiter; and a DataFrame's index comes along under a name of its own."""


def is_pattern(name: str, targets: Sequence[Target]) -> bool:
    """Whether a name stands for many columns: it has one star, and so have its fields."""
    return name.count(WILDCARD) == 1 and any(target.field.count(WILDCARD) == 1 for target in targets)


def pattern_steps(pattern: str, path: str) -> tuple[str, ...] | None:
    """Return the names of the steps by which a column goes to a field by the field of a pattern; None if none can.

    The name of a column is one step, whatever dots it has.
    """
    head, _, tail = pattern.partition(WILDCARD)
    steps = parse_path(pattern)
    is_one = len(path) > len(head) + len(tail) and path.startswith(head) and path.endswith(tail)
    if not is_one or any(step.is_entry for step in steps):
        return None
    rest = path[len(head) : len(path) - len(tail)]
    return tuple(step.name.replace(WILDCARD, rest) for step in steps)


def pattern_issues(name: str, targets: Sequence[Target], schema: Schema) -> list[MappingIssue]:
    """Find what is wrong with the targets of a pattern whatever columns it takes."""
    issues: list[MappingIssue] = []
    for target in targets:
        path = parse_path(target.field)
        place = next((place for place, step in enumerate(path) if WILDCARD in step.name), None)
        first: list[MappingIssue] | None = None
        for step_name in _starred_names(path, place, schema):
            steps = tuple(PathStep(step_name, step.is_entry) if at == place else step for at, step in enumerate(path))
            found: list[MappingIssue] = []
            find_target_field(name, target, steps, schema, found)
            if not found:
                break
            first = first or found
        else:
            issues += [attrs.evolve(issue, field=target.field) for issue in first or ()]
    return issues


def _starred_names(path: Sequence[PathStep], place: int | None, schema: Schema) -> Iterator[str]:
    """Yield the names that the step with the star may become, some name of the caller's own first; then itself."""
    if place is None:
        return
    head, _, tail = path[place].name.partition(WILDCARD)
    holder: Schema | None = schema
    if place:
        *above, last = path[:place]
        try:
            holder = find_field(schema, (*above, PathStep(last.name))).schema
        except UnknownFieldError:  # told of the path itself
            holder = None
        holder = holder.items if holder is not None and last.is_entry else holder
    if holder is not None and not holder.allows_additional:
        yield from (name for name in holder.properties if name.startswith(head) and name.endswith(tail))
        yield path[place].name
    else:
        yield f"{head}x{tail}"


def is_unnamed(name: str) -> bool:
    """Whether a column has no name, so that no pattern means it."""
    return _match_no_name(name) is not None
