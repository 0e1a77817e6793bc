"""The search for poison rows: rows at which the server itself breaks, so that every request with one fails. Pure.

A server that is down looks the same. So where other requests pass, what the server broke at is halved, and each half
is tried once, down to the row. Where none has passed yet, the two halves of one chunk are tried, and only if one passes
the other one is halved further. Rows keep their order: the first half is sent first.
"""

from __future__ import annotations

from typing import Final

from .attribution import ChunkState
from .batch import SubBatch
from .send_result import SendResult

__all__ = ["PoisonSearch"]

_MAX_BROKEN_REQUESTS: Final = 20
"""At so many requests in a row the server may break while a row is looked for: twice the halvings of a full batch."""


class PoisonSearch:
    """Decides what follows a request at which the server broke for good, and whether the server is up."""

    def __init__(self) -> None:
        self.had_success = False
        self._broken_streak = 0

    def on_success(self) -> None:
        """Note a response by which the server shows that it is up."""
        self.had_success, self._broken_streak = True, 0

    def take(self, chunk_state: ChunkState, sub_batch: SubBatch, result: SendResult) -> bool:
        """Take a sub-batch at which the server broke; false if it is not looked into, so that the server may be down.

        A lone row among others that pass is marked as unsent.
        """
        if not result.may_be_about_a_row:
            return False
        self._broken_streak += 1
        may_go_on = self._broken_streak <= _MAX_BROKEN_REQUESTS
        if self.had_success:
            return may_go_on and (chunk_state.halve(sub_batch) or self._mark_lone_row(chunk_state, sub_batch, result))
        if not sub_batch.is_half:
            return chunk_state.halve(sub_batch)
        if chunk_state.park(sub_batch):
            return True
        if chunk_state.pending:  # its rows must not come after those of the other half
            return may_go_on and chunk_state.halve(sub_batch)
        while chunk_state.parked:
            chunk_state.mark_unsent(chunk_state.parked.pop(), result.description)
        return False

    def resume(self, chunk_state: ChunkState) -> None:
        """Look into the half that was put aside, once the server is known to be up."""
        while self.had_success and chunk_state.parked:
            sub_batch = chunk_state.parked.pop()
            if not chunk_state.halve(sub_batch):
                chunk_state.mark_unsent(sub_batch, _LONE_ROW_TEXT)

    def _mark_lone_row(self, chunk_state: ChunkState, sub_batch: SubBatch, result: SendResult) -> bool:
        if not sub_batch.is_half:
            return False
        problem = f"{result.description}; {_LONE_ROW_TEXT}" if len(sub_batch.positions) == 1 else result.description
        chunk_state.mark_unsent(sub_batch, problem)
        return True


_LONE_ROW_TEXT: Final = "the server breaks at this row, and takes others"
