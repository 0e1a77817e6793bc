"""The times of rows that have none: those of the server's clock, which is asked for once a run.

An event or a transaction is stored once however often it is sent, if its salt and its time stay the same. So rows
without a time get one before they are first sent, the same for all of a chunk, and the journal has it before the server
does. The server replaces a time in the future by that of the arrival, and then a second sending would be stored beside
the first; so the time that is set here is the earliest that the server's clock can show.
"""

from __future__ import annotations

import math
from typing import Any

import attrs

from synerise_profiles._batching.batch import Chunk, SubBatch
from synerise_profiles._batching.operations import parse_server_time, server_time_request
from synerise_profiles._core.server_clock import ClockState
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request

from .journal_protocol import JournalProtocol

__all__ = ["ServerTimeTask", "TimestampAssigner"]


class TimestampAssigner:
    """Sets the time of chunks, and says when to ask the server for its own: at `due`, at most one request at a time."""

    def __init__(self, timing: Timing, journal: JournalProtocol | None) -> None:
        self.due = 0.0
        self._timing = timing
        self._journal = journal
        self._clock = ClockState()
        # The attempts of all requests count together, as those of a sub-batch do.
        self._sub_batch = SubBatch(())

    def assign(self, chunk: Chunk) -> bool:
        """Set the time of the rows that have none; false while the server's clock is not known."""
        if not chunk.untimed_positions or chunk.time is not None:
            return True
        time = None if self._journal is None else self._journal.time_of(chunk.number)
        if time is None:
            bounds = self._clock.bounds(self._timing.monotonic())
            if bounds is None:
                return False
            time = bounds.earliest.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._journal is not None:
            chunk.digest()
            self._journal.record_time(chunk.number, time)
        chunk.set_time(time)
        return True

    def next_task(self, now: float) -> ServerTimeTask:
        """Ask for the server's time, which is due."""
        self.due = math.inf
        return ServerTimeTask(self, self._sub_batch, now)

    def record(self, task: ServerTimeTask, now: float, content: bytes) -> bool:
        """Take the body of a response; false if it does not tell the time."""
        server_time = parse_server_time(content)
        if server_time is None:
            return False
        self._clock.record_measurement(task.sent_at, now, self._timing.wall(), server_time)
        return True


@attrs.frozen(eq=False)
class ServerTimeTask:
    """A request for the server's time, to be sent once."""

    assigner: TimestampAssigner
    sub_batch: SubBatch
    sent_at: float

    def request(self) -> Request[Any]:
        """Build the request."""
        return server_time_request()
