"""Reasons: the rejections of a run counted by who refused a row, in which field and why, in bounded memory."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from typing import Any, Final

import attrs

from synerise_profiles._batching.attribution import NOT_FOUND_TEXT, Rejection, Stage
from synerise_profiles_api.names import HintsNames

__all__ = ["ReasonCount", "ReasonTally"]

_MAX_REASONS: Final = 1000
_EXAMPLES: Final = 3
_MAX_REASON_CHARS: Final = 500
_FURTHER_TEXT: Final = "further reasons"
_HIDDEN_TEXT: Final = "refused (the server's words are not shown)"


@attrs.frozen(kw_only=True)
class ReasonCount(HintsNames):
    """How many rows were rejected for a reason, and the `first` of them: their lines, else their indexes."""

    stage: Stage
    field: str | None
    reason: str
    rows: int
    first: tuple[Any, ...]

    @property
    def is_hidden(self) -> bool:
        """Whether the server's words are left out of the reason."""
        return self.reason == _HIDDEN_TEXT


@attrs.define
class _Counted:
    rows: int = 0
    first: list[tuple[int, Any]] = attrs.field(factory=list[tuple[int, Any]])

    def add(self, rows: int, places: list[tuple[int, Any]]) -> None:
        self.rows += rows
        for place in places:
            bisect.insort(self.first, place, key=lambda item: item[0])
        del self.first[_EXAMPLES:]


_Key = tuple[Stage, str | None, str]


class ReasonTally:
    """Counts the reasons of rejections. Beyond 1,000 different ones the rest is counted as one for each stage."""

    def __init__(self, rejections: Iterable[Rejection]) -> None:
        self.rows = 0
        self._counted: dict[_Key, _Counted] = {}
        for rejection in rejections:
            self._add(rejection)

    def _add(self, rejection: Rejection) -> None:
        self.rows += 1
        key: _Key = (rejection.stage, rejection.field, rejection.reason[:_MAX_REASON_CHARS])
        if key not in self._counted and len(self._counted) >= _MAX_REASONS:
            key = (rejection.stage, None, _FURTHER_TEXT)
        self._counted.setdefault(key, _Counted()).add(1, [(rejection.index, rejection.reference)])

    def most_common(self, *, show_values: bool, show_references: bool) -> list[ReasonCount]:
        """Return the reasons, the most frequent first; without `show_values` those of the server without its words."""
        found: dict[_Key, _Counted] = {}
        for (stage, field, reason), counted in self._counted.items():
            is_shown = show_values or stage in ("check", "unsent") or reason == _FURTHER_TEXT
            hidden = NOT_FOUND_TEXT if reason.startswith(NOT_FOUND_TEXT) else _HIDDEN_TEXT
            key: _Key = (stage, field, reason if is_shown else hidden)
            found.setdefault(key, _Counted()).add(counted.rows, counted.first)
        ordered = sorted(found.items(), key=lambda item: -item[1].rows)
        return [
            ReasonCount(
                stage=stage,
                field=field,
                reason=reason,
                rows=counted.rows,
                first=tuple(_place(*place, show_references=show_values or show_references) for place in counted.first),
            )
            for (stage, field, reason), counted in ordered
        ]


def _place(index: int, reference: Any, *, show_references: bool) -> Any:
    """Return the reference of a row; where that is no number, as a line is, it may be somebody's data."""
    is_shown = reference is not None and (
        show_references or (isinstance(reference, int) and not isinstance(reference, bool))
    )
    return reference if is_shown else index
