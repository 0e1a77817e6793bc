"""The core of a queue: what is held, what to send and when, what answers mean. It neither sends, waits nor locks."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.attribution import BisectBudget, Refusal
from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.machine import DONE, Signal, Wait
from synerise_profiles._batching.operations import BatchOperation, parse_server_time
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Throttle
from synerise_profiles._core.logging import log_retry
from synerise_profiles._core.retry import AttemptFailure, RetryPolicy, decide_retry
from synerise_profiles._core.timing import Timing

from .buffer import Buffer, QueuedBatch
from .channels import Channel
from .encoding import EncodedRow
from .inflight import InflightBatch, QueueTask, with_timestamps
from .settings import QueueSettings
from .stats import QueueStats, Undelivered
from .timestamps import QueueClock

__all__ = ["AnswerResult", "QueueCore", "QueueStep"]

QueueStep: TypeAlias = QueueTask | Wait | Signal
_MAX_BISECT_REQUESTS: Final = 100
"""How many requests may be spent on finding the refused rows of one batch."""
_MAX_BACKOFF_SECONDS: Final = 60.0
"""Seconds to which the waits grow where nothing can succeed as things are: they may be mended."""
_MIN_RETRY_SECONDS: Final = 0.05
"""Seconds between two attempts at least, whatever the policy says: they go on for as long as the server is away."""
_MAX_RETRY_AFTER_SECONDS: Final = 3600.0
"""So many seconds a server may ask to wait for."""


@attrs.frozen
class AnswerResult:
    """What an answer brought, to be told to the caller: refused rows, and the error after which it is tried again."""

    inflight_batch: InflightBatch | None
    refused: Sequence[tuple[int, Refusal]] = ()
    error: Exception | None = None

    @property
    def needs_callbacks(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.refused) or self.error is not None


class QueueCore:
    """One queue. `put` rows; ask `next` what to do; hand what came of a `Send` to `answered`. The counters are exact.

    `urgent` is the number of the first row that may take its time: those before it are sent without waiting for more.
    """

    def __init__(
        self, batch_operations: Sequence[BatchOperation], settings: QueueSettings, policy: RetryPolicy, timing: Timing
    ) -> None:
        self.channels = [Channel(kind, settings) for kind in batch_operations]
        self.clock = QueueClock(timing)
        self.put_count = self.delivered = self.rejected = self.dropped = self.full = 0
        self.held = self.held_bytes = self.in_flight = self.requests = self.retries = 0
        self.is_closed = self.is_stopped = False
        self.flush_mark = 0
        self._settings = settings
        # Rows are kept for as long as the server is away, so neither a number of attempts nor a deadline ends them.
        self._policy = attrs.evolve(
            policy, max_retries=2**62, deadline=math.inf, retry_after_cap=_MAX_RETRY_AFTER_SECONDS
        )
        self._timing = timing
        self._now = timing.monotonic
        self._clock_sub_batch = SubBatch(())
        self._requests_in_flight = 0
        self._round_robin = 0
        self._sealed_rows = self._sealed_bytes = self._last_group = 0

    def put(self, channel: Channel, encoded_row: EncodedRow) -> bool | None:
        """Hold a row; None if there is no room, else whether something may be due earlier than it was before."""
        settings = self._settings
        item, group, is_timeless = encoded_row
        line = channel.buffer_for(group)
        size = line.size_of(item, is_timeless=is_timeless)
        if self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            if settings.when_full != "drop_oldest":
                return None
            if not self._make_room(size):
                self.put_count += 1
                self.dropped += 1
                return False
        entry = (self.put_count, self._now(), item, is_timeless)
        batch = line.batch_for(size)
        is_due = batch is None or line.fills(batch, size)
        grows: deque[Any] = line.batches if batch is None else batch.entries
        grown = QueuedBatch(entry, size) if batch is None else entry
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

    def count_rejected_put(self) -> None:
        """Count a row for which there was no room in time."""
        self.full += 1

    def next(self) -> QueueStep:
        """Say what to do next."""
        if self.is_stopped or (self.is_closed and not self.held):
            return DONE
        now = self._now()
        if self._requests_in_flight >= self._settings.concurrency:
            return Wait(None)
        self._round_robin += 1
        for offset in range(len(self.channels)):
            send = self._next_task(self.channels[(self._round_robin + offset) % len(self.channels)], now)
            if send is not None:
                self._requests_in_flight += 1
                send.sub_batch.attempts += 1
                return send
        dues = [due for lane in self.channels for due in self._due_times(lane, now)]
        return Wait(max(0.0, min(dues) - now) if dues else None)

    def on_result(self, task: QueueTask, result: SendResult, *, is_conclusive: bool) -> AnswerResult:
        """Take what came of a request, and what `judge` said to it."""
        now, flight = self._now(), task.inflight_batch
        self._requests_in_flight -= 1
        self.requests += 1
        self.retries += task.sub_batch.attempts > 1
        if flight is None:
            return self._on_clock_result(task, result, now)
        lane = next(lane for lane in self.channels if flight in lane.inflight_batches)
        lane.requests_in_flight -= 1
        self.in_flight -= len(task.sub_batch.positions)
        flight.sub_batch = None
        error = None
        if is_conclusive:
            lane.throttle.on_success()
            lane.failing = None
        else:
            delay = self._retry_delay(task, result, lane.throttle, now)
            flight.chunk_state.pending.append(task.sub_batch)
            flight.due_at = now + delay
            lane.failing, error = result.description, result.error
            log_retry(lane.batch_operation.operation, result.description, delay, task.sub_batch.attempts)
        before = flight.open_row_count
        flight.open_positions = [part.positions for part in flight.chunk_state.pending]
        refused = flight.pop_refused()
        settled = before - flight.open_row_count
        self.rejected += len(refused)
        self.delivered += settled - len(refused)
        self.held -= settled
        self._sealed_rows -= settled
        if not flight.open_positions:
            lane.inflight_batches.remove(flight)
            # The brackets of the body were never counted.
            self.held_bytes -= flight.size - 1
            self._sealed_bytes -= flight.size - 1
        return AnswerResult(flight, refused, error)

    def flush(self) -> int:
        """Let all that is held be sent as soon as possible; return the number that the next row will have.

        What waits for another attempt waits no longer, unless a server that is too busy asked for it.
        """
        self.flush_mark = self.put_count
        for lane in self.channels:
            for flight in lane.inflight_batches:
                flight.due_at = 0.0
        self.clock.next_request_at = 0.0
        return self.flush_mark

    def close(self) -> int:
        """Take no rows any more, and let what is held be sent; it is the driver that refuses further ones."""
        self.is_closed = True
        return self.flush()

    def reset(self) -> None:
        """Forget all that is held and was counted: in a child of fork all of it belongs to the parent."""
        fresh = QueueCore([lane.batch_operation for lane in self.channels], self._settings, self._policy, self._timing)
        fresh.is_closed, fresh.is_stopped = self.is_closed, self.is_stopped
        fresh.clock.state = self.clock.state
        # The lanes stay the ones that they are, since whoever puts knows them.
        for lane, other in zip(self.channels, fresh.channels, strict=True):
            lane.__dict__.update(other.__dict__)
        fresh.channels = self.channels
        self.__dict__.update(fresh.__dict__)

    def is_settled(self, mark: int) -> bool:
        """Whether no row before this number is held."""
        return all(first >= mark for first in self._first_indexes())

    def held_before(self, mark: int) -> int:
        """How many rows before this number are held."""
        waiting = (entry[0] for lane in self.channels for line in lane.nonempty_buffers() for entry in line)
        flying = (
            number for lane in self.channels for flight in lane.inflight_batches for number in flight.open_indexes()
        )
        return sum(number < mark for numbers in (waiting, flying) for number in numbers)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held, those on their way first."""
        for lane in self.channels:
            for flight in lane.inflight_batches:
                yield from flight.undelivered()
        # Where the server's clock is not known, the one here has to do: these rows are not sent from here any more.
        estimate = self.clock.offset or self.clock.local_offset()
        for lane in self.channels:
            name = lane.batch_operation.operation.name
            for line in lane.nonempty_buffers():
                for entry in line:
                    row = with_timestamps(lane.batch_operation, (entry,), estimate)[0]
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
            failing={
                lane.batch_operation.operation.name: lane.failing for lane in self.channels if lane.failing is not None
            },
            notes=dict(notes),
        )

    def _first_indexes(self) -> Iterator[int]:
        for lane in self.channels:
            yield from (line.head[0] for line in lane.nonempty_buffers())
            yield from (flight.first_index for flight in lane.inflight_batches)

    def _make_room(self, size: int) -> bool:
        """Drop the oldest rows that were not taken for sending, as many as it needs; none if that would not help."""
        settings = self._settings
        if self._sealed_rows >= settings.max_items or self._sealed_bytes + size > settings.max_bytes:
            return False
        while self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            oldest = min(
                (line for lane in self.channels for line in lane.nonempty_buffers()), key=lambda line: line.head[0]
            )
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

    def _next_task(self, channel: Channel, now: float) -> QueueTask | None:
        if channel.requests_in_flight >= channel.throttle.window or channel.throttle.delay(now) > 0:
            return None
        flight = next(
            (flight for flight in channel.inflight_batches if flight.sub_batch is None and flight.due_at <= now), None
        )
        if flight is None:
            line = self._due_buffer(channel, now)
            if line is None:
                return None
            if line.batches[0].is_timeless:
                if self.clock.is_due(now):
                    self.clock.is_request_pending = True
                    return QueueTask(self._clock_sub_batch, now)
                if self.clock.offset is None:
                    return None
            flight = self._seal_batch(channel, line)
        part = flight.sub_batch = flight.chunk_state.pending.pop()
        channel.requests_in_flight += 1
        self.in_flight += len(part.positions)
        return QueueTask(part, now, flight)

    def _due_buffer(self, channel: Channel, now: float) -> Buffer | None:
        """Of the lines that have something to send, the one with the oldest row."""
        if len(channel.inflight_batches) >= channel.max_inflight_batches:
            return None
        due = [line for line in channel.nonempty_buffers() if self._due_time(line) <= now]
        return min(due, key=lambda line: line.head[0], default=None)

    def _due_time(self, buffer: Buffer) -> float:
        if buffer.is_full or buffer.head[0] < self.flush_mark:
            return 0.0
        return buffer.head[1] + self._settings.flush_after

    def _seal_batch(self, channel: Channel, buffer: Buffer) -> InflightBatch:
        batch = buffer.pop_batch()
        self._sealed_rows += len(batch.entries)
        self._sealed_bytes += batch.size - 1
        # There are no more groups of suspects than rows, so that no two batches use the same numbers.
        budget = BisectBudget(_MAX_BISECT_REQUESTS, self._last_group)
        self._last_group += len(batch.entries)
        flight = InflightBatch(channel.batch_operation, batch, self.clock.offset, budget)
        channel.inflight_batches.append(flight)
        return flight

    def _due_times(self, channel: Channel, now: float) -> Iterator[float]:
        """Moments at which this lane may have something to send, other than by an answer."""
        if channel.requests_in_flight >= channel.throttle.window:
            return
        earliest = now + channel.throttle.delay(now)
        for flight in channel.inflight_batches:
            if flight.sub_batch is None:
                yield max(flight.due_at, earliest)
        if len(channel.inflight_batches) < channel.max_inflight_batches:
            for line in channel.nonempty_buffers():
                waits_for_clock = line.batches[0].is_timeless and self.clock.offset is None
                if not (waits_for_clock and self.clock.is_request_pending):
                    yield max(self._due_time(line), earliest, self.clock.next_request_at if waits_for_clock else 0.0)

    def _retry_delay(self, task: QueueTask, result: SendResult, throttle: Throttle | None, now: float) -> float:
        """Seconds until it is tried again. A server that is too busy gets nothing else of this kind meanwhile."""
        part, failure = task.sub_batch, result.failure
        if result.is_unreadable:
            failure = AttemptFailure()
        if failure is None or (result.is_final and not result.is_unreadable):
            return self._backoff_delay(part)
        is_throttled = result.status in (429, 503)
        part.maybe_applied = part.maybe_applied or (failure.maybe_received and not is_throttled)
        attempt = throttle.on_throttled(now, task.sent_at) if is_throttled and throttle is not None else part.attempts
        decision = decide_retry(
            self._policy, failure, repeatable=True, attempt=attempt, elapsed=0.0, random=self._timing.random
        )
        delay = self._backoff_delay(part) if decision.delay is None else max(decision.delay, _MIN_RETRY_SECONDS)
        if is_throttled and throttle is not None:
            throttle.hold_until(now + delay)
        return delay

    def _backoff_delay(self, sub_batch: SubBatch) -> float:
        return min(
            _MAX_BACKOFF_SECONDS,
            max(self._policy.base_delay, _MIN_RETRY_SECONDS) * 2.0 ** min(sub_batch.attempts - 1, 60),
        )

    def _on_clock_result(self, task: QueueTask, result: SendResult, now: float) -> AnswerResult:
        moment = parse_server_time(result.content) if result.is_success else None
        if moment is not None:
            self.clock.record_measurement(task.sent_at, moment)
            task.sub_batch.attempts = 0
            return AnswerResult(None)
        delay = self._backoff_delay(task.sub_batch) if result.is_success else self._retry_delay(task, result, None, now)
        self.clock.record_failure(now + delay)
        return AnswerResult(None, error=result.error)
