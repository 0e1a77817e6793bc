"""The state machine of a queue: what is held, what is sent next and when, and what an answer means. Sans I/O.

It neither sends, waits nor locks: `sync_queue` drives it by threads and `async_queue` by tasks, and both only do what
`next` says. So there is one place where rows can be lost, and it can be tested without time or sockets.

How a bounded queue works: `max_items` and `max_bytes` bound the rows that are *held*, from the put of a row until its
fate is known. A held row waits in a buffer, or its batch is in flight. The oldest batch of a buffer is sealed and sent
when it is full, when its oldest row is `flush_after` seconds old, or when a flush asks for it. Then an answer says of
each row that it is *delivered* or *rejected*. An answer that says nothing about the rows (429, 5xx, a refused key), or
none at all, leaves the batch in flight: it is sent again after a delay, for as long as the server is away. A full queue
refuses the put, or makes room by *dropping* the oldest rows that wait; what is in flight is never dropped, since it may
have been applied. So `put` is always `delivered + rejected + dropped + held`. The queue itself is open; then closed: it
takes no rows, and sends what it holds; then stopped: it sends no more, and what it holds is undelivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias

import attrs

from synerise_profiles._batching.attribution import Refusal
from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.bisection import BisectBudget
from synerise_profiles._batching.machine import DONE, Signal, Wait
from synerise_profiles._batching.operations import BatchOperation, parse_server_time
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Pace
from synerise_profiles._core.logging import Outage
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing
from synerise_profiles._core.wording import counted

from .backoff import QueueBackoff
from .buffer import EncodedRow, QueuedBatch
from .channels import Channel
from .inflight import AnswerResult, InflightBatch, QueueTask
from .limits import InflightLimits
from .settings import QueueSettings
from .stats import QueueStats, Undelivered
from .timestamps import QueueClock, with_timestamps

__all__ = ["QueueCore", "QueueStep"]

QueueStep: TypeAlias = QueueTask | Wait | Signal
_MAX_BISECT_REQUESTS: Final = 100
"""How many requests may be spent on finding the refused rows of one batch."""


class QueueCore:
    """One queue. `put` rows, ask `next` what to do, and pass what came of a task to `on_result`.

    The counters are exact, and are public for the drivers and `stats` alone. `flush_mark` is the index of the first row
    that may wait for more: those before it are sent at once. Times are monotonic seconds.
    """

    def __init__(
        self,
        batch_operations: Sequence[BatchOperation],
        settings: QueueSettings,
        policy: RetryPolicy,
        timing: Timing,
        pace: Pace | None = None,
        outage: Outage | None = None,
    ) -> None:
        self._inflight = InflightLimits(settings, len(batch_operations))
        retries = policy.max_retries
        self.channels = [Channel(each, settings, self._inflight, retries, pace) for each in batch_operations]
        self.clock = QueueClock(timing)
        self.put_count = self.delivered = self.rejected = self.dropped = self.full = 0
        self.held = self.held_bytes = self.in_flight = self.requests = self.retries = self.callback_errors = 0
        self.is_closed = self.is_stopped = False
        self.flush_mark = 0
        self._settings, self._pace, self._client_policy = settings, pace, policy
        self._timing, self._backoff = timing, QueueBackoff(policy, timing)
        self._now, self.started_at = timing.monotonic, timing.monotonic()
        self._outage = outage or Outage(timing.monotonic)
        self._clock_sub_batch = SubBatch(())
        self._requests_in_flight = 0
        self._round_robin = self._last_group = 0

    def put(self, channel: Channel, encoded_row: EncodedRow) -> bool | None:
        """Hold a row; None if there is no room, else whether something may be due earlier than it was before."""
        settings = self._settings
        item, group, is_untimed, keys = encoded_row
        buffer = channel.buffer_for(group)
        size = buffer.size_of(item, is_untimed=is_untimed)
        if self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            if settings.when_full != "drop_oldest":
                return None
            if not self._make_room(size):
                self.put_count += 1
                self.dropped += 1
                return False
        row = (self.put_count, self._now(), item, is_untimed)
        batch = None if keys and channel.is_elsewhere(keys, buffer, self.put_count) else buffer.batch_for(size)
        is_due = batch is None or buffer.fills(batch, size)
        target: deque[Any] = buffer.batches if batch is None else batch.rows
        new_batch = QueuedBatch(row, size) if batch is None else batch
        if keys:
            new_batch.keys.update(keys)
        addition = new_batch if batch is None else row
        # Below there is no call. Python looks for signals at calls, so Ctrl-C, or a signal's handler that raises, finds
        # the row held and counted, or neither.
        if batch is not None:
            batch.size += size
            batch.is_untimed = batch.is_untimed or is_untimed
        self.put_count += 1
        self.held += 1
        self.held_bytes += size
        target += (addition,)
        return is_due

    def count_rejected_put(self) -> str:
        """Count a row for which there was no room in time, and say what the queue holds."""
        self.full += 1
        return f"the queue is full: it holds {counted(self.held, 'row')}, {counted(self.held_bytes, 'byte')}"

    def next(self) -> QueueStep:
        """Return what to do next: a task to send, a wait, or DONE."""
        if self.is_stopped or (self.is_closed and not self.held):
            return DONE
        now = self._now()
        if self._requests_in_flight >= self._settings.concurrency:
            return Wait(None)
        self._round_robin += 1
        for offset in range(len(self.channels)):
            task = self._next_task(self.channels[(self._round_robin + offset) % len(self.channels)], now)
            if task is not None:
                self._requests_in_flight += 1
                task.sub_batch.attempts += 1
                return task
        due_times = [due for channel in self.channels for due in channel.due_times(now, self.flush_mark, self.clock)]
        return Wait(max(0.0, min(due_times) - now) if due_times else None)

    def on_result(
        self, task: QueueTask, result: SendResult, *, is_conclusive: bool, hook_error: BaseException | None = None
    ) -> AnswerResult:
        """Take the outcome of a task.

        `is_conclusive` is what its `apply_response` returned, `hook_error` what a hook of the client raised.
        """
        now, batch = self._now(), task.inflight_batch
        self._requests_in_flight -= 1
        if result.is_of_login:
            task.sub_batch.failed_logins += 1
        else:
            self.requests += 1
            self.retries += task.sub_batch.is_repeated
        if batch is None:
            return attrs.evolve(self._on_clock_result(task, result, now), hook_error=hook_error)
        channel = next(channel for channel in self.channels if batch.is_of(channel.batch_operation))
        channel.requests_in_flight -= 1
        if not task.sub_batch.is_probe:
            self.in_flight -= len(task.sub_batch.positions)
            batch.sub_batch = None
        error = None
        if is_conclusive:
            channel.on_success(batch, task.sub_batch, now)
            if self._outage.is_on:
                self._outage.end(channel.batch_operation.operation)
        else:
            delay = self._backoff.delay(task, result, channel.throttle, now)
            was_told = result.is_final and any(each.failing == result.description for each in self.channels)
            channel.on_failure(batch, task.sub_batch, result, now, delay)
            error, operation = result.error, result.operation_of(channel.batch_operation.operation)
            attempts = task.sub_batch.attempts
            told = (operation, result.status, result.problem, delay, attempts, task.sent_at)
            self._outage.log_retry(*told, was_told=was_told)
        if task.sub_batch.is_probe:
            return AnswerResult(None, error=error, hook_error=hook_error)
        refused = self._count_settled(batch)
        if not batch.open_positions:
            channel.inflight_batches.remove(batch)
            # The brackets of the body were never counted.
            self.held_bytes -= batch.size - 1
            self._inflight.size -= batch.size - 1
        return AnswerResult(batch.chunk_state.chunk, refused, error, hook_error)

    def flush(self) -> int:
        """Let all that is held be sent as soon as possible; return the index that the next row will have.

        What waits for another attempt waits no longer, unless a server that is too busy asked for it.
        """
        self.flush_mark = self.put_count
        for channel in self.channels:
            channel.end_waits()
        self.clock.next_request_at = 0.0
        return self.flush_mark

    def close(self) -> int:
        """Take no rows any more, and let what is held be sent; it is the driver that refuses further ones."""
        self.is_closed = True
        return self.flush()

    def reset(self) -> None:
        """Forget all that is held and was counted: in a child of fork all of it belongs to the parent."""
        operations = [channel.batch_operation for channel in self.channels]
        fresh = QueueCore(operations, self._settings, self._client_policy, self._timing, self._pace)
        fresh.is_closed, fresh.is_stopped = self.is_closed, self.is_stopped
        fresh.clock.state = self.clock.state
        # The channels stay the same objects, since the producers hold them.
        for channel, other in zip(self.channels, fresh.channels, strict=True):
            channel.__dict__.update(other.__dict__)
        fresh.channels = self.channels
        self.__dict__.update(fresh.__dict__)

    def is_settled(self, mark: int) -> bool:
        """Whether no row before this index is held."""
        return all(first >= mark for channel in self.channels for first in channel.first_indexes())

    def held_before(self, mark: int) -> int:
        """How many rows before this index are held."""
        return sum(index < mark for channel in self.channels for index in channel.held_indexes())

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held, those in flight first."""
        for batch in (batch for channel in self.channels for batch in channel.inflight_batches):
            yield from batch.undelivered()
        # Where the server's clock is not known, the one here has to do: these rows are not sent from here any more.
        clock_offset = self.clock.offset or self.clock.local_offset()
        for channel in self.channels:
            name = channel.batch_operation.operation.name
            for buffer in channel.nonempty_buffers():
                for queued_row in buffer:
                    row = with_timestamps(channel.batch_operation, (queued_row,), clock_offset)[0]
                    yield Undelivered(index=queued_row[0], operation=name, row=row, maybe_applied=False)

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
                each.batch_operation.operation.name: each.failing for each in self.channels if each.failing is not None
            },
            callback_errors=self.callback_errors,
            notes=dict(notes),
        )

    def _make_room(self, size: int) -> bool:
        """Drop the oldest rows that wait, as many as it needs; none if that would not make enough room."""
        settings = self._settings
        if not self._inflight.has_room(size):
            return False
        while self.held >= settings.max_items or self.held_bytes + size > settings.max_bytes:
            oldest = min(
                (buffer for channel in self.channels for buffer in channel.nonempty_buffers()),
                key=lambda buffer: buffer.head[0],
            )
            batch = oldest.batches[0]
            _, _, item, is_untimed = oldest.head
            freed = oldest.size_of(item, is_untimed=is_untimed)
            source: deque[Any] = batch.rows if len(batch.rows) > 1 else oldest.batches
            # As in `put`: the one call comes last.
            batch.size -= freed
            self.held_bytes -= freed
            self.held -= 1
            self.dropped += 1
            source.popleft()
        return True

    def _next_task(self, channel: Channel, now: float) -> QueueTask | None:
        if not channel.may_send(now):
            return None
        batch = channel.due_inflight_batch(now)
        if batch is None:
            selection = channel.select(now, self.flush_mark)
            is_untimed = selection is not None and selection.batch.is_untimed
            asks_time = is_untimed and self.clock.is_due(now)
            if is_untimed and not asks_time and self.clock.offset is None:
                channel.defer_scan(now)
                return channel.take_probe(now)
            if selection is None:
                return channel.take_probe(now)
            if not channel.throttle.take(now):
                return None
            if asks_time:
                self.clock.is_request_pending = True
                return QueueTask(self._clock_sub_batch, now)
            batch = self._seal_batch(channel, selection.take())
        elif not channel.throttle.take(now):
            return None
        sub_batch = batch.sub_batch = batch.chunk_state.pending.pop()
        channel.on_sent(sub_batch)
        self.in_flight += len(sub_batch.positions)
        return QueueTask(sub_batch, now, batch)

    def _seal_batch(self, channel: Channel, batch: QueuedBatch) -> InflightBatch:
        """Take a batch for sending."""
        self._inflight.rows += len(batch.rows)
        self._inflight.size += batch.size - 1
        # There are no more groups of suspects than rows, so that no two batches use the same numbers.
        budget = BisectBudget(_MAX_BISECT_REQUESTS, self._last_group)
        self._last_group += len(batch.rows)
        inflight_batch = InflightBatch(channel.batch_operation, batch, self.clock.offset, budget)
        channel.inflight_batches.append(inflight_batch)
        return inflight_batch

    def _count_settled(self, batch: InflightBatch) -> Sequence[tuple[int, Refusal]]:
        """Count the rows that the last answer delivered or refused; return the refused ones."""
        before = batch.open_row_count
        batch.open_positions = [sub_batch.positions for sub_batch in batch.unsettled()]
        refused = batch.pop_refused()
        settled = before - batch.open_row_count
        self.rejected += len(refused)
        self.delivered += settled - len(refused)
        self.held -= settled
        self._inflight.rows -= settled
        return refused

    def _on_clock_result(self, task: QueueTask, result: SendResult, now: float) -> AnswerResult:
        server_time = parse_server_time(result.content) if result.is_success else None
        if server_time is not None:
            self.clock.record_measurement(task.sent_at, server_time)
            task.sub_batch.attempts = 0
            return AnswerResult(None)
        delay = self._backoff.growing_delay(task) if result.is_success else self._backoff.delay(task, result, None, now)
        self.clock.record_failure(now + delay)
        return AnswerResult(None, error=result.error)
