"""Poisoned rows: rows at which the server breaks, so that each request that has one is answered with a 5xx.

A server that is down looks the same, and a queue may live through many outages. So what passed long ago says nothing: a
row is given up only if requests with it broke before and after another request of its operation passed. Until then
it is held and tried again, and while the server breaks at everything, nothing is given up.

How the row is found. A batch at which the server broke as often as a call is tried is halved, and each half is tried
once without a pause. Where something passed since the last break, the half is halved further. Where nothing did, it is
parked and another part of the batch is tried, of rows that may overtake the parked ones. If nothing passes, the batch
is stuck: its parts are tried in turn, with the pauses that a batch has in an outage, and halved to a few parts at most.
Then the next rows may be sent that may overtake the stuck ones; the others stay in the buffer.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, TypeAlias

import attrs
import orjson

from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.ordering import IdentifierKeys
from synerise_profiles._batching.salting import moment_of
from synerise_profiles._batching.send_result import SendResult

from .inflight import InflightBatch

__all__ = ["FindKeys", "PoisonedRowSearch", "free_rows", "key_finder"]

_MAX_STUCK_PARTS: Final = 8
"""Into so many parts a batch is divided while nothing passes: they are requests of their own after an outage."""
_MIN_ATTEMPTS: Final = 3
"""So often the server has to break at a batch before a row of it is looked for, whatever the policy of retries says."""


class PoisonedRowSearch:
    """Looks for the rows of one channel at which the server breaks. `max_retries` is that of the client's policy."""

    def __init__(self, max_retries: int) -> None:
        self._passed = 0
        self._min_attempts = max(max_retries + 1, _MIN_ATTEMPTS)

    def on_success(self, batches: Iterable[InflightBatch]) -> None:
        """Take note that the server is up: what is parked or stuck is tried again at once."""
        self._passed += 1
        for batch in batches:
            if batch.sub_batch is None:  # else its sender has it
                _restore(batch.chunk_state)
                if batch.is_stuck:
                    batch.is_stuck, batch.due_at = False, 0.0

    def take(self, batch: InflightBatch, sub_batch: SubBatch, result: SendResult) -> bool:
        """Take a sub-batch at which the server broke; return whether the batch goes on without a pause."""
        state = batch.chunk_state
        has_passed = sub_batch.broken_since is not None and sub_batch.broken_since < self._passed
        sub_batch.broken_since, sub_batch.problem = self._passed, result.description
        if not sub_batch.is_half and sub_batch.attempts < self._min_attempts:
            state.pending.append(sub_batch)
            return False
        if has_passed:
            batch.is_stuck = False
            _restore(state)
            if not _halve(state, sub_batch):
                _give_up(state, sub_batch, result)
            return True
        if not sub_batch.is_half and _halve(state, sub_batch):
            return True
        part_count = 1 + len(state.pending) + len(state.parked)
        if batch.is_stuck and part_count < _MAX_STUCK_PARTS and _halve(state, sub_batch):
            return False
        state.parked.append(sub_batch)
        if _raise_probe(state):
            return not batch.is_stuck
        _restore(state)
        batch.is_stuck = True
        return False


FindKeys: TypeAlias = Callable[[bytes], Sequence[Hashable]]


def key_finder(batch_operation: BatchOperation) -> FindKeys:
    """Return the function that says what a row writes: a profile, or where a time orders the rows an event's key."""
    if batch_operation.time_field is None:
        keys = IdentifierKeys(batch_operation.identifiers)
        return lambda row: keys.of_row(orjson.loads(row))
    salt_field, time_field = batch_operation.salt_field or "", batch_operation.time_field

    def find(row: bytes) -> Sequence[Hashable]:
        fields = orjson.loads(row)
        time = fields.get(time_field)
        return () if time is None else ((str(fields.get(salt_field)), moment_of(time)),)

    return find


def free_rows(rows: Iterable[tuple[int, Sequence[Hashable]]], blocked: set[Hashable]) -> list[int]:
    """Return the numbers of the rows that may overtake what has the blocked keys; those of the others are added."""
    free: list[int] = []
    for number, keys in rows:
        if blocked.isdisjoint(keys):
            free.append(number)
        else:
            blocked.update(keys)
    return free


def _halve(state: ChunkState, sub_batch: SubBatch) -> bool:
    if not state.halve(sub_batch):
        return False
    for half in state.pending[-2:]:
        half.attempts = sub_batch.attempts
    return True


def _give_up(state: ChunkState, sub_batch: SubBatch, result: SendResult) -> None:
    if len(sub_batch.positions) == 1 and result.may_be_about_a_row:
        state.mark_broken(sub_batch)
    else:  # beyond the budget, or a response that nobody can read
        state.mark_unsent(sub_batch, sub_batch.problem)


def _restore(state: ChunkState) -> None:
    """Put what is parked before all that is pending: there it was."""
    state.pending += reversed(state.parked)
    state.parked.clear()


def _raise_probe(state: ChunkState) -> bool:
    """Let the first rows that may overtake what is parked, and what they pass over, come next; false if none may."""
    chunk, pending, find_keys = state.chunk, state.pending, key_finder(state.chunk.batch_operation)
    blocked = {
        key for part in state.parked for position in part.positions for key in find_keys(chunk.row_bytes(position))
    }
    for place in reversed(range(len(pending))):
        part = pending[place]
        free = free_rows(((position, find_keys(chunk.row_bytes(position))) for position in part.positions), blocked)
        if free:
            pending.pop(place)
            chosen = set(free)
            if rest := [position for position in part.positions if position not in chosen]:
                pending.insert(place, attrs.evolve(part, positions=rest, is_whole=False))
                part = attrs.evolve(part, positions=free, is_whole=False)
            pending.append(part)
            return True
    return False
