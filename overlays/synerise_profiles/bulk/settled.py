"""Which rows have their fate: the low watermark of a run, for those who acknowledge messages.

Fates become known out of order, as requests are answered and rows are held back. `through` is the index below which all
rows have theirs; what is settled above it is kept as ranges, of which there are no more than chunks on their way.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

__all__ = ["SettledRows"]


@attrs.define(eq=False)
class SettledRows:
    """The rows that have their fate; `told` is the watermark that the caller knows."""

    through: int = 0
    told: int = 0
    is_ended: bool = False
    """Nothing more is told, since the caller's function has raised."""
    _ends: dict[int, int] = attrs.field(init=False, factory=dict[int, int])
    _starts: dict[int, int] = attrs.field(init=False, factory=dict[int, int])

    @property
    def has_news(self) -> bool:
        """Whether there is something to tell."""
        return self.through > self.told and not self.is_ended

    def end(self) -> None:
        """Tell nothing more."""
        self.is_ended = True

    def add(self, indexes: Iterable[int]) -> None:
        """Take note that rows have their fate; each is given once."""
        start = end = -1
        for index in sorted(indexes):
            if index != end:
                self._add_range(start, end)
                start = index
            end = index + 1
        self._add_range(start, end)

    def _add_range(self, start: int, end: int) -> None:
        if start == end:
            return
        start = self._starts.pop(start, start)
        end = self._ends.pop(end, end)
        self._ends.pop(start, None)
        self._starts.pop(end, None)
        if start == self.through:
            self.through = end
        else:
            self._ends[start], self._starts[end] = end, start
