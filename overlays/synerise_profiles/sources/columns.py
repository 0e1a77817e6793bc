"""Which columns of a file a mapping means: by name, or by a pattern with one star: {"attr_*": "attributes.*"}."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from synerise_profiles._readers.csv_reader import delimiter_hint

from .errors import MappingIssue
from .fields import PathStep, close_names, parse_path
from .targets import Target

__all__ = ["Column", "is_pattern", "match_columns"]

_WILDCARD = "*"
_INDEX_NAME = re.compile(r"__index_level_\d+__")
"""How a DataFrame's index comes along, unnamed."""


@attrs.frozen
class Column:
    """A column of a file or table: its name, the kind of its cells, and what the table calls that."""

    name: str
    kind: str = "text"
    type_text: str = "text"


def is_pattern(name: str, targets: Sequence[Target]) -> bool:
    """Whether a name stands for many columns: it has one star, and so have its fields."""
    return name.count(_WILDCARD) == 1 and any(target.field.count(_WILDCARD) == 1 for target in targets)


def match_columns(
    columns: Sequence[Column], wanted: Mapping[str, tuple[Target, ...]], issues: list[MappingIssue]
) -> Iterator[tuple[int, Column, Target, tuple[PathStep, ...]]]:
    """Yield the place of each column that is mapped, its target and the way there; add to the mistakes."""
    patterns = {name: targets for name, targets in wanted.items() if is_pattern(name, targets)}
    places: dict[str, int] = {}
    twice: set[str] = set()
    for place, column in enumerate(columns):
        if places.setdefault(column.name, place) != place:
            twice.add(column.name)
    for name in (name for name in wanted if name not in patterns and name not in places):
        if not all(target.optional for target in wanted[name]):
            any_there = not places.keys().isdisjoint(wanted)
            issues.append(MappingIssue(name, "", _missing_column(name, columns, any_there=any_there)))
    for name, place in places.items():
        found = [(target, parse_path(target.field)) for target in wanted.get(name, ())]
        if name not in wanted and not _INDEX_NAME.fullmatch(name):
            found = list(_by_pattern(name, patterns))
        if found and name in twice:
            issues.append(MappingIssue(name, "", "is there twice, so that it is not clear which one is meant"))
        for target, steps in found:
            yield place, columns[place], target, steps


def _by_pattern(name: str, patterns: Mapping[str, tuple[Target, ...]]) -> Iterator[tuple[Target, tuple[PathStep, ...]]]:
    """The targets by the longest pattern that fits."""
    for pattern in sorted(patterns, key=len, reverse=True):
        head, _, tail = pattern.partition(_WILDCARD)
        if len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            rest = name[len(head) : len(name) - len(tail)]
            for target in patterns[pattern]:
                # A name is one step, whatever dots it has.
                steps = parse_path(target.field)
                yield target, tuple(PathStep(step.name.replace(_WILDCARD, rest), step.is_entry) for step in steps)
            return


def _missing_column(name: str, columns: Sequence[Column], *, any_there: bool) -> str:
    if hint := delimiter_hint([column.name for column in columns]):
        return f"is not there: {hint}"
    close = close_names(name, (column.name for column in columns))
    if close:
        return f"is not there; did you mean {close}?"
    if not any_there:
        return f"is not there, nor is any other of the mapping, among {len(columns)} columns; is the header missing?"
    return f"is not there, among {len(columns)} columns; an optional one is mapped with optional=True"
