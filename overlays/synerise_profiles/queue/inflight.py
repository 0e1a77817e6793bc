"""A batch on its way: the bytes that are sent, the parts of it that are still open, and what answers mean for it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from synerise_profiles._batching.attribution import complaints_of
from synerise_profiles._batching.batch import Chunk, Part
from synerise_profiles._batching.bisection import Budget, Job, Refusal
from synerise_profiles._batching.encoding import with_fields
from synerise_profiles._batching.operations import Kind, clock_request
from synerise_profiles._batching.send_result import Outcome
from synerise_profiles._core.server_clock import ClockOffset
from synerise_profiles_api.types import Request

from .buffer import Batch, Entry
from .stats import Undelivered
from .timestamps import written

__all__ = ["Flight", "Send", "timed"]


class Flight:
    """A batch that was taken for sending, until the fate of all its rows is known.

    `open` are the positions whose fate is not; it changes with the queue's counters, hence under the same lock, while
    the job is its sender's own as long as a request is on its way.
    """

    def __init__(self, kind: Kind, batch: Batch, estimate: ClockOffset | None, budget: Budget) -> None:
        self.size = batch.size
        self.job = Job.of(Chunk(kind, indexes=[entry[0] for entry in batch.entries]), budget)
        self.open: list[Sequence[int]] = [range(len(batch.entries))]
        self.due = 0.0
        self.part: Part | None = None
        """What is on its way."""
        self.refused = 0
        """How many of the refused rows are counted."""
        self._kind = kind
        self._entries: Sequence[Entry] = batch.entries
        self._estimate = estimate

    @property
    def rows(self) -> int:
        """How many rows are open."""
        return sum(map(len, self.open))

    @property
    def first(self) -> int:
        """The number of the first row that is open."""
        return self.job.chunk.indexes[min(positions[0] for positions in self.open)]

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of the open rows."""
        indexes = self.job.chunk.indexes
        return (indexes[position] for positions in self.open for position in positions)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the open rows."""
        chunk, kind = self.job.chunk, self._kind
        maybe_applied = self.part is not None or any(part.maybe_applied for part in self.job.parts)
        # Taken before it is looked at: the sender lets go of the entries once the body is complete, and not before.
        entries = self._entries
        rows = timed(kind, entries, self._estimate)
        for positions in self.open:
            for position in positions:
                yield Undelivered(
                    index=chunk.indexes[position],
                    operation=kind.operation.name,
                    row=rows[position] if rows else chunk.item(position),
                    maybe_applied=maybe_applied,
                )

    def request(self, part: Part) -> Request[Any]:
        """Build the request of a part; of the first one with the times that are due. A second sending has the same."""
        if self._entries:
            chunk = self.job.chunk
            chunk.pieces[:] = timed(self._kind, self._entries, self._estimate)
            chunk.pack()
            self._entries = ()
        return self.job.chunk.request(None if part.whole else part.positions)

    def newly_refused(self) -> list[tuple[int, Refusal]]:
        """Return the rows that were refused since this was asked before, with their positions."""
        found = list(self.job.refused.items())[self.refused :]
        self.refused = len(self.job.refused)
        return found


@attrs.frozen(eq=False)
class Send:
    """Send a request once, `judge` what came of it and hand it back. Without a flight it asks for the server's time."""

    part: Part
    at: float
    flight: Flight | None = None

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done without holding a lock."""
        return clock_request() if self.flight is None else self.flight.request(self.part)

    def judge(self, outcome: Outcome) -> bool:
        """Find out what an answer means for the rows; false if it says nothing about them."""
        if self.flight is None:
            return outcome.is_success
        job = self.flight.job
        if outcome.is_success:
            if outcome.status == 207:
                job.accept_some(self.part, complaints_of(outcome.content) or [])
            else:
                job.accept(self.part)
        elif outcome.refuses_rows:
            job.refuse(self.part, outcome.content)
        return outcome.is_success or outcome.refuses_rows


def timed(kind: Kind, entries: Sequence[Entry], estimate: ClockOffset | None) -> list[bytes]:
    """Return the bytes of rows, those without a time with that of their put."""
    if kind.time_field is None or estimate is None:
        return [entry[2] for entry in entries]
    head, write = b'"%b":"' % kind.time_field.encode(), written()
    return [
        with_fields(item, head + write(estimate.earliest(put_at)) + b'"') if is_timeless else item
        for _, put_at, item, is_timeless in entries
    ]
