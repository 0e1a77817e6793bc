"""What a run measures of the server, in bounded memory: its rate over time, the slowest requests, the throttling."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import attrs

__all__ = ["FIRST_GAP", "MAX_SLOWEST", "RatePoint", "RunTimings", "SlowBatch"]

FIRST_GAP: Final = 0.05
"""Seconds to the first moment of the rate."""
MAX_SLOWEST: Final = 10
_MAX_POINTS: Final = 240


class RatePoint(NamedTuple):
    """How far a run was after so many `seconds`: rows with a fate, and responses that were throttled."""

    seconds: float
    settled: int
    throttled: int


class SlowBatch(NamedTuple):
    """A request that took long: its seconds, its number in the run, its rows, and how it ended.

    `first` and `last` are indexes of rows in the input, of which `rows` were sent. `attempt` counts the sendings of
    these rows, and `status` is None where no response came.
    """

    seconds: float
    request: int
    first: int
    last: int
    rows: int
    attempt: int
    status: int | None


@attrs.define(kw_only=True)
class RunTimings:
    """What a run measured: `rate_points` at up to 240 moments, and up to 10 `slowest` requests, a heap.

    `throttled` counts responses of a server that was too busy (429 and 503), and for `held_seconds` in all requests
    were held back because of them.
    """

    rate_points: list[RatePoint] = attrs.field(factory=list[RatePoint])
    slowest: list[SlowBatch] = attrs.field(factory=list[SlowBatch])
    throttled: int = 0
    held_seconds: float = 0.0

    def add_point(self, seconds: float, settled: int) -> float:
        """Note how many rows have their fate, and return when to note it next. At 240 moments every other one goes."""
        points = self.rate_points
        points.append(RatePoint(seconds, settled, self.throttled))
        if len(points) >= _MAX_POINTS:
            del points[::2]
        return seconds + max(FIRST_GAP, 2 * seconds / _MAX_POINTS)

    def to_dict(self) -> dict[str, Any]:
        """Return the throttling and the slowest requests, the slowest first, as JSON has them."""
        return {
            "throttling": {"responses": self.throttled, "held_seconds": self.held_seconds},
            "slowest": [batch._asdict() for batch in sorted(self.slowest, reverse=True)],
        }
