"""What waits and flies of one kind of rows."""

from __future__ import annotations

from collections.abc import Iterator

from synerise_profiles._batching.operations import Kind
from synerise_profiles._batching.throttle import Pace

from .buffer import Line
from .encoding import Group, room_of_time
from .inflight import Flight
from .settings import QueueSettings

__all__ = ["Lane"]


class Lane:
    """The rows of one kind. Kinds without a time are sent one request at a time, so that the last put wins."""

    def __init__(self, kind: Kind, settings: QueueSettings) -> None:
        self.kind = kind
        self.most = 1 if kind.time_field is None else settings.concurrency
        self.pace = Pace(self.most, None)
        self.flights: list[Flight] = []
        self.in_flight = 0
        self.failing: str | None = None
        # A batch is at most half of the queue, so that dropping always finds something that is not on its way.
        self._items = min(kind.max_items, settings.flush_items or max(1, settings.max_items // 2))
        self._bytes = min(kind.max_bytes, settings.flush_bytes or max(2, settings.max_bytes // 2))
        self._lines: dict[Group, Line] = {}

    def line(self, group: Group) -> Line:
        """Return the line of a group."""
        line = self._lines.get(group)
        if line is None:
            line = self._lines[group] = Line(self._items, self._bytes, room_of_time(self.kind))
        return line

    def lines(self) -> Iterator[Line]:
        """Yield the lines in which something waits."""
        return filter(None, self._lines.values())
