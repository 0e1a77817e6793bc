"""Poisoned rows: rows at which the server breaks, so that each request that has one is answered with a 5xx.

A server that is down looks the same, and a queue may live through many outages. So what passed long ago says nothing: a
row is given up only on proof by requests from its first break on (see `Evidence`). Until then it is held and tried
again, each time that another request has passed, and while the server breaks at everything, nothing is given up.

How the row is found. A batch at which the server broke as often as a call is tried is halved, and each half is tried
once without a pause. Where something passed between its last break and its sending, the half is halved further. Where
nothing did, it is parked and another part of the batch is tried, of rows that may overtake the parked ones. If nothing
passes, the batch is stuck: its parts are tried in turn, with the pauses that a batch has in an outage, and halved to a
few parts at most. Then the next rows may be sent that may overtake the stuck ones; the others stay in the buffer. Where
there are none, the row that was accepted last is sent once more, to see whether the server is up, if that was a moment
ago: later, others may have written its profile.

A batch that the server is too busy for is stuck too, as a whole; only if it takes others meanwhile, and again not this
one, it is halved.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._batching.poison_search import Evidence
from synerise_profiles._batching.row_keys import free_rows
from synerise_profiles._batching.send_result import SendResult

from .inflight import InflightBatch

__all__ = ["PoisonedRowSearch"]

_MAX_STUCK_PARTS: Final = 8
"""Into so many parts a batch is divided while nothing passes: they are requests of their own after an outage."""
_MIN_ATTEMPTS: Final = 3
"""So often the server has to break at a batch before a row of it is looked for, whatever the policy of retries says."""


class PoisonedRowSearch:
    """Looks for the rows of one channel at which the server breaks. `max_retries` is that of the client's policy."""

    def __init__(self, max_retries: int) -> None:
        self._evidence = Evidence()
        self._min_attempts = max(max_retries + 1, _MIN_ATTEMPTS)

    def on_sent(self, sub_batch: SubBatch) -> None:
        """Number a request that is sent."""
        self._evidence.sent += 1
        sub_batch.number, sub_batch.passed_before = self._evidence.sent, self._evidence.last_passed

    def on_success(self, sub_batch: SubBatch, batches: Iterable[InflightBatch]) -> None:
        """Take note that the server is up: what is parked or stuck is tried again at once."""
        self._evidence.last_passed = max(self._evidence.last_passed, sub_batch.number)
        self._evidence.passed += not sub_batch.was_parked
        for batch in batches:
            if batch.sub_batch is None:  # else its sender has it
                _restore(batch.chunk_state)
                if batch.is_stuck:
                    batch.is_stuck, batch.due_at = False, 0.0

    def on_probe_failure(self, sub_batch: SubBatch, result: SendResult) -> None:
        """Take note that a probe failed: where the server broke at it, it breaks at others too."""
        if result.may_be_about_a_row or result.is_busy:
            self._evidence.on_broken(sub_batch)

    def take(self, batch: InflightBatch, sub_batch: SubBatch, result: SendResult) -> bool:
        """Take a sub-batch at which the server broke; return whether the batch goes on without a pause."""
        state = batch.chunk_state
        sub_batch.problem = result.description
        self._evidence.on_broken(sub_batch)
        for part in batch.unsettled():
            if len(part.positions) == 1 and not part.number:
                part.broken_after = None  # it was not alone in what broke
        if not sub_batch.is_half and sub_batch.attempts < self._min_attempts:
            state.pending.append(sub_batch)
            return False
        if result.is_busy and not result.may_be_about(sub_batch):
            state.pending.append(sub_batch)
            batch.is_stuck = True
            return False
        is_lone = len(sub_batch.positions) == 1
        is_settled = is_lone and (result.is_unreadable_partial or self._evidence.proves(sub_batch))
        if sub_batch.broke_again and (is_settled or not is_lone):
            batch.is_stuck = False
            _restore(state)
            if not _halve(state, sub_batch):
                _give_up(state, sub_batch, result)
            return True
        sub_batch.was_parked = sub_batch.was_parked or is_lone
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


def _halve(state: ChunkState, sub_batch: SubBatch) -> bool:
    if not state.halve(sub_batch):
        return False
    second, first = state.pending[-2:]
    for half in (second, first):
        half.attempts = sub_batch.attempts
    if len(first.positions) > 1:
        first.broken_after = sub_batch.broken_after
    second.broken_after = sub_batch.broken_after  # a lone one too: it is sent when the first one has passed
    return True


def _give_up(state: ChunkState, sub_batch: SubBatch, result: SendResult) -> None:
    if len(sub_batch.positions) == 1 and not result.is_unreadable_partial:
        state.mark_broken(sub_batch)
    else:  # beyond the budget, or a response that nobody can read
        state.mark_unsent(sub_batch, sub_batch.problem)


def _restore(state: ChunkState) -> None:
    """Put what is parked before all that is pending: there it was."""
    state.pending += reversed(state.parked)
    state.parked.clear()


def _raise_probe(state: ChunkState) -> bool:
    """Let the first rows that may overtake what is parked, and what they pass over, come next; false if none may."""
    pending = state.pending
    blocked = {key for part in state.parked for position in part.positions for key in state.row_keys(position)}
    for place in reversed(range(len(pending))):
        part = pending[place]
        free = free_rows(((position, state.row_keys(position)) for position in part.positions), blocked)
        if free:
            pending.pop(place)
            chosen = set(free)
            if rest := [position for position in part.positions if position not in chosen]:
                pending.insert(place, attrs.evolve(part, positions=rest, is_whole=False))
                part = attrs.evolve(part, positions=free, is_whole=False)
            pending.append(part)
            return True
    return False
