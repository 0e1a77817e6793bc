"""Rows after an unsent one: those with an identifier or an event key of it share its fate, so that none overtakes it.

What is unsent can be sent again, by the dead letters or by another run. Had a later row of the same profile arrived
before, the older value would then stay. With a journal the whole chunk of an unsent row is sent again, so there the
keys of all its rows count.
"""

from __future__ import annotations

from collections.abc import Hashable

from synerise_profiles._batching.batch import SubBatch
from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._batching.operations import BatchOperation
from synerise_profiles._batching.row_keys import keys_of_sent_row

__all__ = ["UnsentKeys"]

_PROBLEM = "an earlier row of the same profile or event is unsent, and this one must not overtake it"


class UnsentKeys:
    """The keys of rows that are unsent while the run goes on."""

    def __init__(self, batch_operation: BatchOperation, *, has_journal: bool) -> None:
        self._batch_operation = batch_operation
        self._has_journal = has_journal
        self._keys: set[Hashable] = set()

    def add(self, state: ChunkState) -> None:
        """Take note of the rows of a chunk that are unsent so far."""
        unsent = [position for position, refusal in state.refused.items() if refusal.stage == "unsent"]
        is_sent_again = self._has_journal and not state.pending and not state.in_flight
        for position in range(len(state.chunk)) if unsent and is_sent_again else unsent:
            self._keys.update(keys_of_sent_row(self._batch_operation, state.chunk.row(position)))

    def hold_back(self, state: ChunkState) -> None:
        """Mark the rows of a chunk as unsent that are to be sent next, and would overtake another one."""
        while state.pending and (held := self._held_positions(state)):
            sub_batch = state.pending.pop()
            state.mark_unsent(SubBatch(held, maybe_applied=sub_batch.maybe_applied), _PROBLEM)
            left = [position for position in sub_batch.positions if position not in held]
            if left:
                rest = SubBatch(left, is_half=sub_batch.is_half, maybe_applied=sub_batch.maybe_applied)
                state.pending.append(rest)

    def _held_positions(self, state: ChunkState) -> list[int]:
        held: list[int] = []
        for position in state.pending[-1].positions:
            keys = keys_of_sent_row(self._batch_operation, state.chunk.row(position))
            if not self._keys.isdisjoint(keys):
                held.append(position)
                self._keys.update(keys)
        return held
