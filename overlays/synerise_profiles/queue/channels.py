"""A channel: the rows of one operation, those that wait and those in flight, and which of them are due.

Each operation has a channel of its own, so that one whose key lacks a permission, or whose server asks for a pause,
does not hold up the others.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator
from typing import Final, NamedTuple

import orjson

from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.ordering import Keys
from synerise_profiles._batching.poison_search import MAX_PROBE_AGE_SECONDS
from synerise_profiles._batching.row_encoder import IdentifierGroup, timestamp_reserve
from synerise_profiles._batching.row_keys import free_rows, keys_of_sent_row
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._batching.throttle import Pace, Throttle

from .buffer import Buffer, QueuedBatch
from .inflight import InflightBatch, QueueTask
from .limits import InflightLimits
from .poison import PoisonedRowSearch
from .settings import QueueSettings
from .timestamps import QueueClock

__all__ = ["Channel", "Selection"]

_MAX_STUCK_BATCHES: Final = 32
"""So many batches that are stuck do not keep others from being sent."""
_MAX_SCANNED_ROWS: Final = 10_000
"""So many rows that wait are searched for those that may overtake stuck ones."""
_MAX_PARSED_ROWS: Final = 500
"""So many rows are parsed by one search, which holds the queue's lock; the next one, soon after, goes on from there."""
_NEXT_PARSE_SECONDS: Final = 0.01
_SCAN_SECONDS: Final = 1.0
"""Seconds from one search that finds none to the next."""

_BUSY_FACTOR: Final = 1.5
"""So much longer waits what the server is too busy for than all else: others go first, and tell whether it is."""


class Selection(NamedTuple):
    """A batch of a buffer that is to be sealed; if `indexes` is given, only its rows with these."""

    buffer: Buffer
    batch: QueuedBatch
    indexes: frozenset[int] | None = None

    def take(self) -> QueuedBatch:
        """Remove it from its buffer."""
        return self.buffer.take(self.batch, self.indexes)


class Channel:
    """A buffer for each group of rows that may share a request, and the batches in flight.

    Where rows have no time (profiles), one request follows the other, so that the last put wins; else a batch waits for
    those in flight that have a row with the same key. `failing` is the reason of the last failure, None after a
    success. Times are monotonic seconds.
    """

    def __init__(
        self,
        batch_operation: BatchOperation,
        settings: QueueSettings,
        limits: InflightLimits,
        max_retries: int,
        pace: Pace | None = None,
    ) -> None:
        self.batch_operation = batch_operation
        self.max_inflight_batches = 1 if batch_operation.time_field is None else settings.concurrency
        self.throttle = Throttle(self.max_inflight_batches, None, pace)
        self.inflight_batches: list[InflightBatch] = []
        self.requests_in_flight = 0
        self.failing: str | None = None
        self._search = PoisonedRowSearch(max_retries)
        self._last_accepted: InflightBatch | None = None
        self._accepted_at = 0.0
        self._probe: SubBatch | None = None
        self._failed_probes = 0
        self._next_probe_at = 0.0
        self._limits = limits
        self._next_stuck_at = self._next_scan_at = 0.0
        self._scanned_keys: dict[int, Keys] = {}
        self._flush_after = settings.flush_after
        self._buffers: dict[IdentifierGroup, Buffer] = {}

    def buffer_for(self, group: IdentifierGroup) -> Buffer:
        """Return the buffer of a group."""
        buffer = self._buffers.get(group)
        if buffer is None:
            buffer = self._buffers[group] = Buffer(
                self._limits.batch_rows(self.batch_operation),
                self._limits.batch_bytes(self.batch_operation),
                timestamp_reserve(self.batch_operation),
            )
        return buffer

    def nonempty_buffers(self) -> Iterator[Buffer]:
        """Yield the buffers that hold rows."""
        return filter(None, self._buffers.values())

    def may_send(self, now: float) -> bool:
        """Whether the AIMD window has room for a request, and the server has not asked for a pause."""
        has_room = self._probe is None and self.requests_in_flight < self.throttle.window
        return has_room and self.throttle.delay(now) <= 0

    def due_inflight_batch(self, now: float) -> InflightBatch | None:
        """Return the batch in flight that is to be sent again, or of which another part is; stuck ones in turn."""
        due = [batch for batch in self.inflight_batches if batch.sub_batch is None and batch.due_at <= now]
        stuck = [batch for batch in due if batch.is_stuck]
        if len(stuck) < len(due):
            return next(batch for batch in due if not batch.is_stuck)
        return min(stuck, key=lambda batch: batch.due_at, default=None) if now >= self._next_stuck_at else None

    def select(self, now: float, flush_mark: int) -> Selection | None:
        """Return what is to be sealed and sent: the oldest batch of the buffer with the oldest row, of what is due."""
        if not self._may_seal():
            return None
        if any(batch.is_stuck for batch in self.inflight_batches):
            return self._select_free(now, flush_mark)
        due = [
            buffer
            for buffer in self.nonempty_buffers()
            if self._due_time(buffer, buffer.batches[0], flush_mark) <= now and not self._must_wait(buffer)
        ]
        oldest = min(due, key=lambda buffer: buffer.head[0], default=None)
        return None if oldest is None else Selection(oldest, oldest.batches[0])

    def due_times(self, now: float, flush_mark: int, clock: QueueClock) -> Iterator[float]:
        """Yield the times at which there may be something to send, other than because of an answer."""
        if self._probe is not None or self.requests_in_flight >= self.throttle.window:
            return
        earliest, is_stuck = now + self.throttle.delay(now), False
        for batch in self.inflight_batches:
            is_stuck = is_stuck or batch.is_stuck
            if batch.sub_batch is None:
                yield max(batch.due_at, earliest, self._next_stuck_at if batch.is_stuck else 0.0)
        if self._may_probe(now):
            yield max(self._next_probe_at, earliest)
        if self._may_seal():
            for buffer in self.nonempty_buffers():
                if not is_stuck and self._must_wait(buffer):
                    continue
                for waiting in buffer.batches if is_stuck else (buffer.batches[0],):
                    waits_for_clock = waiting.is_untimed and clock.offset is None
                    if not (waits_for_clock and clock.is_request_pending):
                        due = max(clock.next_request_at if waits_for_clock else 0.0, self._next_scan_at)
                        yield max(self._due_time(buffer, waiting, flush_mark), earliest, due)

    def take_probe(self, now: float) -> QueueTask | None:
        """Return what shows whether the server is up, where all in flight is stuck and nothing else can be sent.

        It is the row that was accepted last, once more, if that was a moment ago: nothing else is sent meanwhile.
        """
        last = self._last_accepted
        if last is None or not self._may_probe(now) or now < self._next_probe_at:
            return None
        part = next((part for part in reversed(last.chunk_state.accepted_parts) if part), None)
        if part is None or not self.throttle.take(now):
            return None
        self._probe = SubBatch((part[-1],), is_probe=True, attempts=self._failed_probes)
        self.on_sent(self._probe)
        return QueueTask(self._probe, now, last)

    def on_sent(self, sub_batch: SubBatch) -> None:
        """Take note that a request is sent."""
        self.requests_in_flight += 1
        self._search.on_sent(sub_batch)

    def on_success(self, batch: InflightBatch, sub_batch: SubBatch, now: float) -> None:
        """Take note that a request passed."""
        self.throttle.on_success()
        self.failing, self._probe = None, None
        self._next_scan_at = self._next_probe_at = 0.0
        self._failed_probes = 0
        if batch.chunk_state.last_answer_accepts:
            self._last_accepted, self._accepted_at = batch, now
        self._search.on_success(sub_batch, self.inflight_batches)

    def on_failure(
        self, batch: InflightBatch, sub_batch: SubBatch, result: SendResult, now: float, delay: float
    ) -> None:
        """Take a request that said nothing of its rows; it is sent again after so many seconds, if not in parts."""
        self.failing = result.description
        if sub_batch.is_probe:
            self._probe, self._next_probe_at = None, now + delay
            self._failed_probes += 1
            self._search.on_probe_failure(sub_batch, result)
            return
        if not (result.may_be_about_a_row or result.is_busy or result.is_unreadable_partial):
            batch.chunk_state.pending.append(sub_batch)
        elif self._search.take(batch, sub_batch, result):
            delay = 0.0
        elif result.is_busy and batch.is_stuck:
            delay *= _BUSY_FACTOR
        batch.due_at = now + delay
        if batch.is_stuck:
            self._next_stuck_at = now + delay

    def end_waits(self) -> None:
        """Let what waits be sent at once, unless a server that is too busy asked for a pause."""
        self._next_scan_at = self._next_stuck_at = self._next_probe_at = 0.0
        for batch in self.inflight_batches:
            batch.due_at = 0.0

    def defer_scan(self, now: float) -> None:
        """Look for rows that may overtake stuck ones later again; what is searched through is not little."""
        if any(batch.is_stuck for batch in self.inflight_batches):
            self._next_scan_at = now + _SCAN_SECONDS

    def first_indexes(self) -> Iterator[int]:
        """Yield the index of the oldest row of each buffer and each batch in flight."""
        yield from (buffer.head[0] for buffer in self.nonempty_buffers())
        yield from (batch.first_index for batch in self.inflight_batches)

    def held_indexes(self) -> Iterator[int]:
        """Yield the indexes of all rows that are held."""
        yield from (row[0] for buffer in self.nonempty_buffers() for row in buffer)
        yield from (index for batch in self.inflight_batches for index in batch.open_indexes())

    def _may_probe(self, now: float) -> bool:
        """Whether all in flight is stuck, so that only a row that was accepted can show whether the server is up."""
        is_stuck = bool(self.inflight_batches) and all(batch.is_stuck for batch in self.inflight_batches)
        is_recent = self._last_accepted is not None and now - self._accepted_at <= MAX_PROBE_AGE_SECONDS
        return is_stuck and is_recent and not self.requests_in_flight

    def _must_wait(self, buffer: Buffer) -> bool:
        """Whether there is no room in flight for the oldest batch, or it has a row that would overwrite one in flight.

        Such a row could be overtaken by that one.
        """
        batch = buffer.batches[0]
        if not self._limits.allows(batch, self.inflight_batches):
            return True
        keys = batch.keys
        if not keys:
            return False
        is_elsewhere = self.is_elsewhere(keys, buffer, buffer.head[0])
        return is_elsewhere or any(not keys.isdisjoint(other.keys) for other in self.inflight_batches)

    def is_elsewhere(self, keys: Collection[Hashable], buffer: Buffer, before: int) -> bool:
        """Whether an older row with one of these keys waits in another buffer: this one's then begins a batch.

        So of two batches of two groups that share a key, the one that was begun first has the older rows of both.
        """
        others = self._buffers.values() if len(self._buffers) > 1 else ()
        return any(other is not buffer and other.has_keys(keys, before) for other in others)

    def _may_seal(self) -> bool:
        """Whether another batch may be sealed. Stuck ones leave room for others, by which the server is seen."""
        stuck = sum(batch.is_stuck for batch in self.inflight_batches)
        return len(self.inflight_batches) - min(stuck, _MAX_STUCK_BATCHES) < self.max_inflight_batches

    def _select_free(self, now: float, flush_mark: int) -> Selection | None:
        """Return the first rows that are due and may overtake those in flight, and what is left behind for these."""
        if now < self._next_scan_at:
            return None
        known, self._scanned_keys = self._scanned_keys, {}
        left, parsed = _MAX_SCANNED_ROWS, 0
        blocked = {key for batch in self.inflight_batches for key in batch.open_keys()}
        waiting = ((buffer, batch) for buffer in self.nonempty_buffers() for batch in buffer.batches)
        for buffer, batch in sorted(waiting, key=lambda found: found[1].rows[0][0]):
            if left <= 0:
                break
            if self._due_time(buffer, batch, flush_mark) > now:
                blocked |= batch.keys
                continue
            rows: list[tuple[int, Keys]] = []
            for index, _, item, _ in batch.rows:
                keys = known.get(index)
                if keys is None and parsed == _MAX_PARSED_ROWS:
                    break
                if keys is None:
                    parsed += 1
                    keys = keys_of_sent_row(self.batch_operation, orjson.loads(item))
                self._scanned_keys[index] = keys
                rows.append((index, keys))
            free, left = free_rows(rows, blocked), left - len(rows)
            if free and self._limits.allows(batch, self.inflight_batches):
                return Selection(buffer, batch, frozenset(free))
            if len(rows) < len(batch.rows):
                self._next_scan_at = now + _NEXT_PARSE_SECONDS
                return None
            blocked.update(key for _, keys in rows for key in keys)
        self.defer_scan(now)
        return None

    def _due_time(self, buffer: Buffer, batch: QueuedBatch, flush_mark: int) -> float:
        index, put_at = batch.rows[0][:2]
        if index < flush_mark or buffer.is_complete(batch):
            return 0.0
        return put_at + self._flush_after
