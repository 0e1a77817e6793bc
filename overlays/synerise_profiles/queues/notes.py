"""Remarks about rows, counted; there are never too many."""

from __future__ import annotations

__all__ = ["Notes"]

_MOST = 1000


class Notes:
    """Counts remarks by their text."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def add(self, text: str) -> None:
        """Count a remark."""
        if text in self.counts or len(self.counts) < _MOST:
            self.counts[text] = self.counts.get(text, 0) + 1
