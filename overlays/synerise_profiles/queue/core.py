"""The core of a queue: what is held, what to send and when, what answers mean. It neither sends, waits nor locks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.batch import Part
from synerise_profiles._batching.bisection import Budget, Refusal
from synerise_profiles._batching.machine import DONE, Signal, Wait
from synerise_profiles._batching.operations import Kind, told_time
from synerise_profiles._batching.send_result import Outcome
from synerise_profiles._batching.throttle import Pace
from synerise_profiles._core.logging import log_retry
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy, decide_retry
from synerise_profiles._core.timing import Timing

from .buffer import Batch, Line
from .channels import Lane
from .encoding import Written
from .inflight import Flight, Send, timed
from .settings import QueueSettings
from .stats import QueueStats, Undelivered
from .timestamps import QueueClock

__all__ = ["Core", "Settled", "Step"]

Step: TypeAlias = Send | Wait | Signal
_SEARCHES: Final = 100
"""How many requests may be spent on finding the refused rows of one batch."""
_SLOW: Final = 60.0
"""Seconds to which the waits grow where nothing can succeed as things are: they may be mended."""
_LEAST: Final = 0.05
"""Seconds between two attempts at least, whatever the policy says: they go on for as long as the server is away."""
_LONGEST: Final = 3600.0
"""So many seconds a server may ask to wait for."""


@attrs.frozen
class Settled:
    """What an answer brought, to be told to the caller: refused rows, and the error after which it is tried again."""

    flight: Flight | None
    refused: Sequence[tuple[int, Refusal]] = ()
    error: Exception | None = None

    @property
    def has_news(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.refused) or self.error is not None


class Core:
    """One queue. `put` rows; ask `next` what to do; hand what came of a `Send` to `answered`. The counters are exact.

    `urgent` is the number of the first row that may take its time: those before it are sent without waiting for more.
    """

    def __init__(self, kinds: Sequence[Kind], settings: QueueSettings, policy: RetryPolicy, timing: Timing) -> None:
        self.lanes = [Lane(kind, settings) for kind in kinds]
        self.clock = QueueClock(timing)
        self.put_count = self.delivered = self.rejected = self.dropped = self.full = 0
        self.held = self.held_bytes = self.in_flight = self.requests = self.retries = 0
        self.is_closed = self.is_stopped = False
        self.urgent = 0
        self._settings = settings
        # Rows are kept for as long as the server is away, so neither a number of attempts nor a deadline ends them.
        self._policy = attrs.evolve(policy, max_retries=2**62, deadline=math.inf, retry_after_cap=_LONGEST)
        self._timing = timing
        self._now = timing.monotonic
        self._clock_part = Part(())
        self._requests_in_flight = 0
        self._turn = 0
        self._sealed = self._sealed_bytes = self._groups = 0

    def put(self, lane: Lane, written: Written) -> bool | None:
        """Hold a row; None if there is no room, else whether something may be due earlier than it was before."""
        settings = self._settings
        item, group, is_timeless = written
        line = lane.line(group)
        size = line.size_of(item, is_timeless=is_timeless)
        if self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            if settings.when_full != "drop_oldest":
                return None
            if not self._make_room(size):
                self.put_count += 1
                self.dropped += 1
                return False
        entry = (self.put_count, self._now(), item, is_timeless)
        batch = line.place(size)
        is_due = batch is None or line.fills(batch, size)
        grows: deque[Any] = line.batches if batch is None else batch.entries
        grown = Batch(entry, size) if batch is None else entry
        # Below, the one call comes last. Python looks for signals after calls, so Ctrl-C, or a signal's handler that
        # raises, finds the row held and counted, or neither.
        if batch is not None:
            batch.size += size
            batch.is_timeless = batch.is_timeless or is_timeless
        self.put_count += 1
        self.held += 1
        self.held_bytes += size
        grows.append(grown)
        return is_due

    def turn_away(self) -> None:
        """Count a row for which there was no room in time."""
        self.full += 1

    def next(self) -> Step:
        """Say what to do next."""
        if self.is_stopped or (self.is_closed and not self.held):
            return DONE
        now = self._now()
        if self._requests_in_flight >= self._settings.concurrency:
            return Wait(None)
        self._turn += 1
        for offset in range(len(self.lanes)):
            send = self._next_of(self.lanes[(self._turn + offset) % len(self.lanes)], now)
            if send is not None:
                self._requests_in_flight += 1
                send.part.attempts += 1
                return send
        dues = [due for lane in self.lanes for due in self._dues(lane, now)]
        return Wait(max(0.0, min(dues) - now) if dues else None)

    def answered(self, send: Send, outcome: Outcome, *, is_judged: bool) -> Settled:
        """Take what came of a request, and what `judge` said to it."""
        now, flight = self._now(), send.flight
        self._requests_in_flight -= 1
        self.requests += 1
        self.retries += send.part.attempts > 1
        if flight is None:
            return self._clock_answered(send, outcome, now)
        lane = next(lane for lane in self.lanes if flight in lane.flights)
        lane.in_flight -= 1
        self.in_flight -= len(send.part.positions)
        flight.part = None
        error = None
        if is_judged:
            lane.pace.went_well()
            lane.failing = None
        else:
            delay = self._delay(send, outcome, lane.pace, now)
            flight.job.parts.append(send.part)
            flight.due = now + delay
            lane.failing, error = outcome.words, outcome.error
            log_retry(lane.kind.operation, outcome.words, delay, send.part.attempts)
        before = flight.rows
        flight.open = [part.positions for part in flight.job.parts]
        refused = flight.newly_refused()
        settled = before - flight.rows
        self.rejected += len(refused)
        self.delivered += settled - len(refused)
        self.held -= settled
        self._sealed -= settled
        if not flight.open:
            lane.flights.remove(flight)
            # The brackets of the body were never counted.
            self.held_bytes -= flight.size - 1
            self._sealed_bytes -= flight.size - 1
        return Settled(flight, refused, error)

    def flush(self) -> int:
        """Let all that is held be sent as soon as possible; return the number that the next row will have.

        What waits for another attempt waits no longer, unless a server that is too busy asked for it.
        """
        self.urgent = self.put_count
        for lane in self.lanes:
            for flight in lane.flights:
                flight.due = 0.0
        self.clock.due = 0.0
        return self.urgent

    def close(self) -> int:
        """Take no rows any more, and let what is held be sent; it is the driver that refuses further ones."""
        self.is_closed = True
        return self.flush()

    def reset(self) -> None:
        """Forget all that is held and was counted: in a child of fork all of it belongs to the parent."""
        fresh = Core([lane.kind for lane in self.lanes], self._settings, self._policy, self._timing)
        fresh.is_closed, fresh.is_stopped = self.is_closed, self.is_stopped
        fresh.clock.state = self.clock.state
        # The lanes stay the ones that they are, since whoever puts knows them.
        for lane, other in zip(self.lanes, fresh.lanes, strict=True):
            lane.__dict__.update(other.__dict__)
        fresh.lanes = self.lanes
        self.__dict__.update(fresh.__dict__)

    def is_settled(self, mark: int) -> bool:
        """Whether no row before this number is held."""
        return all(first >= mark for first in self._firsts())

    def left(self, mark: int) -> int:
        """How many rows before this number are held."""
        waiting = (entry[0] for lane in self.lanes for line in lane.lines() for entry in line)
        flying = (number for lane in self.lanes for flight in lane.flights for number in flight.numbers())
        return sum(number < mark for numbers in (waiting, flying) for number in numbers)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held, those on their way first."""
        for lane in self.lanes:
            for flight in lane.flights:
                yield from flight.undelivered()
        # Where the server's clock is not known, the one here has to do: these rows are not sent from here any more.
        estimate = self.clock.estimate or self.clock.own()
        for lane in self.lanes:
            name = lane.kind.operation.name
            for line in lane.lines():
                for entry in line:
                    row = timed(lane.kind, (entry,), estimate)[0]
                    yield Undelivered(index=entry[0], operation=name, row=row, maybe_applied=False)

    def stats(self, notes: dict[str, int]) -> QueueStats:
        """Return the counters of this moment."""
        return QueueStats(
            put=self.put_count,
            delivered=self.delivered,
            rejected=self.rejected,
            dropped=self.dropped,
            held=self.held,
            held_bytes=self.held_bytes,
            in_flight=self.in_flight,
            full=self.full,
            requests=self.requests,
            retries=self.retries,
            failing={lane.kind.operation.name: lane.failing for lane in self.lanes if lane.failing is not None},
            notes=dict(notes),
        )

    def _firsts(self) -> Iterator[int]:
        for lane in self.lanes:
            yield from (line.head[0] for line in lane.lines())
            yield from (flight.first for flight in lane.flights)

    def _make_room(self, size: int) -> bool:
        """Drop the oldest rows that were not taken for sending, as many as it needs; none if that would not help."""
        settings = self._settings
        if self._sealed >= settings.max_items or self._sealed_bytes + size > settings.max_bytes:
            return False
        while self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            oldest = min((line for lane in self.lanes for line in lane.lines()), key=lambda line: line.head[0])
            batch = oldest.batches[0]
            _, _, item, is_timeless = oldest.head
            gone = oldest.size_of(item, is_timeless=is_timeless)
            shrinks: deque[Any] = batch.entries if len(batch.entries) > 1 else oldest.batches
            # As in `put`: the one call comes last.
            batch.size -= gone
            self.held_bytes -= gone
            self.held -= 1
            self.dropped += 1
            shrinks.popleft()
        return True

    def _next_of(self, lane: Lane, now: float) -> Send | None:
        if lane.in_flight >= lane.pace.window or lane.pace.wait(now) > 0:
            return None
        flight = next((flight for flight in lane.flights if flight.part is None and flight.due <= now), None)
        if flight is None:
            line = self._line_of(lane, now)
            if line is None:
                return None
            if line.batches[0].is_timeless:
                if self.clock.wants_asking(now):
                    self.clock.is_asked = True
                    return Send(self._clock_part, now)
                if self.clock.estimate is None:
                    return None
            flight = self._sealed_of(lane, line)
        part = flight.part = flight.job.parts.pop()
        lane.in_flight += 1
        self.in_flight += len(part.positions)
        return Send(part, now, flight)

    def _line_of(self, lane: Lane, now: float) -> Line | None:
        """Of the lines that have something to send, the one with the oldest row."""
        if len(lane.flights) >= lane.most:
            return None
        due = [line for line in lane.lines() if self._due_of(line) <= now]
        return min(due, key=lambda line: line.head[0], default=None)

    def _due_of(self, line: Line) -> float:
        if line.is_full or line.head[0] < self.urgent:
            return 0.0
        return line.head[1] + self._settings.flush_after

    def _sealed_of(self, lane: Lane, line: Line) -> Flight:
        batch = line.take()
        self._sealed += len(batch.entries)
        self._sealed_bytes += batch.size - 1
        # There are no more groups of suspects than rows, so that no two batches use the same numbers.
        budget = Budget(_SEARCHES, self._groups)
        self._groups += len(batch.entries)
        flight = Flight(lane.kind, batch, self.clock.estimate, budget)
        lane.flights.append(flight)
        return flight

    def _dues(self, lane: Lane, now: float) -> Iterator[float]:
        """Moments at which this lane may have something to send, other than by an answer."""
        if lane.in_flight >= lane.pace.window:
            return
        earliest = now + lane.pace.wait(now)
        for flight in lane.flights:
            if flight.part is None:
                yield max(flight.due, earliest)
        if len(lane.flights) < lane.most:
            for line in lane.lines():
                waits_for_clock = line.batches[0].is_timeless and self.clock.estimate is None
                if not (waits_for_clock and self.clock.is_asked):
                    yield max(self._due_of(line), earliest, self.clock.due if waits_for_clock else 0.0)

    def _delay(self, send: Send, outcome: Outcome, pace: Pace | None, now: float) -> float:
        """Seconds until it is tried again. A server that is too busy gets nothing else of this kind meanwhile."""
        part, failure = send.part, outcome.failure
        if outcome.is_unreadable:
            failure = AttemptFailure()
        if failure is None or (outcome.is_final and not outcome.is_unreadable):
            return self._slower(part)
        is_throttled = outcome.status in (429, 503)
        part.maybe_applied = part.maybe_applied or (failure.maybe_received and not is_throttled)
        attempt = pace.throttled(now, send.at) if is_throttled and pace is not None else part.attempts
        decision = decide_retry(
            self._policy, failure, repeatable=True, attempt=attempt, elapsed=0.0, random=self._timing.random
        )
        delay = self._slower(part) if decision.delay is None else max(decision.delay, _LEAST)
        if is_throttled and pace is not None:
            pace.hold(now + delay)
        return delay

    def _slower(self, part: Part) -> float:
        return min(_SLOW, max(self._policy.base_delay, _LEAST) * 2.0 ** min(part.attempts - 1, 60))

    def _clock_answered(self, send: Send, outcome: Outcome, now: float) -> Settled:
        moment = told_time(outcome.content) if outcome.is_success else None
        if moment is not None:
            self.clock.told(send.at, moment)
            send.part.attempts = 0
            return Settled(None)
        delay = self._slower(send.part) if outcome.is_success else self._delay(send, outcome, None, now)
        self.clock.failed(now + delay)
        return Settled(None, error=outcome.error)
