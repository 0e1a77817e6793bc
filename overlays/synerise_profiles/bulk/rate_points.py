"""How far a run was at a bounded number of moments, for the rate over time."""

from __future__ import annotations

from typing import Final

__all__ = ["FIRST_GAP", "add_point"]

FIRST_GAP: Final = 0.05
"""Seconds to the first moment."""
_MAX_POINTS: Final = 240


def add_point(points: list[tuple[float, int]], seconds: float, settled: int) -> float:
    """Note how many rows have their fate, and return when to note it next. At 240 moments every other one goes."""
    points.append((seconds, settled))
    if len(points) >= _MAX_POINTS:
        del points[::2]
    return seconds + max(FIRST_GAP, 2 * seconds / _MAX_POINTS)
