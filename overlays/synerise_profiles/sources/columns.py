"""Which columns of a file a mapping means: by name, or by a pattern with one star: {"attr_*": "attributes.*"}."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import attrs

from .errors import Mistake
from .fields import Step, near, steps_of
from .targets import Target

__all__ = ["Column", "chosen", "is_pattern"]

_STAR = "*"
_INDEX = re.compile(r"__index_level_\d+__")
"""How a DataFrame's index comes along, unnamed."""


@attrs.frozen
class Column:
    """A column of a file or table: its name, the kind of its cells, and what the table calls that."""

    name: str
    kind: str = "text"
    words: str = "text"


def is_pattern(name: str, targets: Sequence[Target]) -> bool:
    """Whether a name stands for many columns: it has one star, and so have its fields."""
    return name.count(_STAR) == 1 and any(target.field.count(_STAR) == 1 for target in targets)


def chosen(
    columns: Sequence[Column], wanted: Mapping[str, tuple[Target, ...]], mistakes: list[Mistake]
) -> Iterator[tuple[int, Column, Target, tuple[Step, ...]]]:
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
            mistakes.append(Mistake(name, "", _not_there(name, columns, any_there=any_there)))
    for name, place in places.items():
        found = [(target, steps_of(target.field)) for target in wanted.get(name, ())]
        if name not in wanted and not _INDEX.fullmatch(name):
            found = list(_by_pattern(name, patterns))
        if found and name in twice:
            mistakes.append(Mistake(name, "", "is there twice, so that it is not clear which one is meant"))
        for target, steps in found:
            yield place, columns[place], target, steps


def _by_pattern(name: str, patterns: Mapping[str, tuple[Target, ...]]) -> Iterator[tuple[Target, tuple[Step, ...]]]:
    """The targets by the longest pattern that fits."""
    for pattern in sorted(patterns, key=len, reverse=True):
        head, _, tail = pattern.partition(_STAR)
        if len(name) >= len(head) + len(tail) and name.startswith(head) and name.endswith(tail):
            rest = name[len(head) : len(name) - len(tail)]
            for target in patterns[pattern]:
                # A name is one step, whatever dots it has.
                steps = steps_of(target.field)
                yield target, tuple(Step(step.name.replace(_STAR, rest), step.is_entry) for step in steps)
            return


def _not_there(name: str, columns: Sequence[Column], *, any_there: bool) -> str:
    if len(columns) == 1 and (mark := re.search(r"[;\t|,]", columns[0].name)) is not None:
        return f"is not there: the header is one column, in which {mark[0]!r} may be the delimiter"
    close = near(name, (column.name for column in columns))
    if close:
        return f"is not there; did you mean {close}?"
    if not any_there:
        return f"is not there, nor is any other of the mapping, among {len(columns)} columns; is the header missing?"
    return f"is not there, among {len(columns)} columns; an optional one is mapped with optional=True"
