"""One change between two states of the project, and what it asks of callers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum


class Impact(IntEnum):
    """What a change does to programs that worked before; the larger, the worse."""

    TEXT = 0
    ADDITIVE = 1
    BREAKING = 2


class Side(IntEnum):
    """Where a change is seen: in requests and answers, or in a program's source."""

    WIRE = 0
    PYTHON = 1


@dataclass(frozen=True, slots=True, order=True)
class Change:
    """One change. `place` is an operation, a schema or a public name; `text` says what became of it."""

    side: Side
    place: str
    text: str
    impact: Impact

    def __str__(self) -> str:
        return f"`{self.place}`: {self.text}"


def worst(changes: Iterable[Change]) -> Impact:
    """The impact of all of them together."""
    return max((change.impact for change in changes), default=Impact.TEXT)
