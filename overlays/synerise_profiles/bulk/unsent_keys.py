"""The keys of unsent rows: later rows with one of them stay unsent too, so that none overtakes an earlier one.

What is unsent can be sent again, by the dead letters or by another run. Had a later row of the same profile arrived
before, the older value would then stay. With a journal the whole chunk of an unsent row is sent again, so there the
keys of all its rows count.
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs

from synerise_profiles._batching.bisection import ChunkState
from synerise_profiles._batching.row_keys import are_free, free_rows

__all__ = ["UnsentKeys"]

_PROBLEM = "an earlier row of the same profile or event is unsent, and this one must not overtake it"


@attrs.define
class UnsentKeys:
    """The `keys` of rows that are unsent while the run goes on."""

    has_journal: bool
    keys: set[Hashable] = attrs.field(factory=set[Hashable])

    def add(self, state: ChunkState) -> None:
        """Take note of the rows of a chunk that are unsent so far."""
        unsent = [position for position, refusal in state.refused.items() if refusal.stage == "unsent"]
        is_sent_again = self.has_journal and state.is_settled
        for position in range(len(state.chunk)) if unsent and is_sent_again else unsent:
            self.keys.update(state.row_keys(position))

    def _are_all_free(self, state: ChunkState) -> bool:
        """Whether no row of a chunk has a key of these, as far as is found without a look at each of them."""
        chunk = state.chunk
        return chunk.requests is None and are_free(chunk.batch_operation, chunk.rows(), self.keys)

    def hold_back(self, state: ChunkState) -> None:
        """Mark the rows of a chunk as unsent that are to be sent next, and would overtake another one."""
        while self.keys and state.pending:
            sub_batch = state.pending[-1]
            if sub_batch.is_probe or (sub_batch.is_whole and self._are_all_free(state)):
                return
            free = free_rows(((position, state.row_keys(position)) for position in sub_batch.positions), self.keys)
            if len(free) == len(sub_batch.positions):
                return
            state.pending.pop()
            chosen = set(free)
            held = [position for position in sub_batch.positions if position not in chosen]
            state.mark_unsent(attrs.evolve(sub_batch, positions=held), _PROBLEM)
            if free:
                state.pending.append(attrs.evolve(sub_batch, positions=free, is_whole=False))
                return
