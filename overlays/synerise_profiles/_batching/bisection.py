"""Bisection: how far a chunk is, and how its refused rows are found where the server's words do not tell them.

Suspects are bisected: halved, and each half is sent by itself, until a refused request has a single row. That costs
about twice the logarithm of the chunk in requests for each refused row, so a run has a `BisectBudget`; where it is
spent, the suspects are reported together as `ambiguous`, with a number that their group shares.

A server may also break at a row, and answer every request that has it with a 500. A server that is down looks the same.
So where other requests pass, what it broke at is halved within the same budget, and each half is tried once, down to
the row, which is tried twice. If another request has passed since the server broke at it first, the row is why: it is
refused, and else unsent. Where none has passed yet, one half of a chunk is halved only if the other passes.

Rows keep their order: the first half is sent first, and rows that were accepted are sent again behind suspects of the
same profile or event.

Nothing here sends: a `ChunkState` keeps what is still to be sent of a chunk, and takes what came of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from synerise_profiles._core.instruments import is_traced
from synerise_profiles._core.telemetry import describe_batch
from synerise_profiles_api.types import Request

from .attribution import (
    Attribution,
    ErrorEntry,
    Refusal,
    attribute_by_index,
    attribute_by_value,
    first_unattributed,
    parse_error_entries,
)
from .batch import Chunk, SubBatch
from .row_keys import keys_of_sent_row
from .send_result import SendResult

__all__ = ["BisectBudget", "ChunkState", "PoisonSearch", "SubBatchTask"]


@attrs.define
class BisectBudget:
    """How many more requests may be spent on finding refused rows, and the number of the last group of suspects."""

    requests_left: int
    last_group: int = 0

    def spend(self) -> bool:
        """Take one request; false if there is none left."""
        if self.requests_left <= 0:
            return False
        self.requests_left -= 1
        return True


@attrs.define(eq=False)
class ChunkState:
    """How far one chunk is: `pending` sub-batches are still to be sent, `refused` and `accepted` rows are settled.

    A chunk has one request in flight at a time, `sent`, so that its rows keep their order. `accepted_parts` hold
    positions, `parked` halves at which the server broke, until it is known whether it is up.
    """

    chunk: Chunk
    budget: BisectBudget
    pending: list[SubBatch] = attrs.field(factory=list[SubBatch])
    refused: dict[int, Refusal] = attrs.field(factory=dict[int, Refusal])
    accepted_parts: list[Sequence[int]] = attrs.field(factory=list[Sequence[int]])
    parked: list[SubBatch] = attrs.field(factory=list[SubBatch])
    due: float = 0.0
    sent: SubBatch | None = None
    last_result: SendResult | None = None
    is_recorded: bool = False

    @classmethod
    def of(cls, chunk: Chunk, budget: BisectBudget) -> ChunkState:
        """Begin with the whole chunk as the only sub-batch."""
        return cls(chunk, budget, [SubBatch(range(len(chunk)), is_whole=True)])

    @property
    def in_flight(self) -> bool:
        """Whether a request of it is in flight."""
        return self.sent is not None

    @property
    def accepted(self) -> int:
        """How many rows were accepted."""
        return sum(map(len, self.accepted_parts))

    @property
    def has_unsent(self) -> bool:
        """Whether a row of it is unsent, so that a later run has to send the chunk again."""
        return any(refusal.stage == "unsent" for refusal in self.refused.values())

    def take_next(self) -> SubBatch:
        """Return the sub-batch that is sent next; from now on it is in flight."""
        sub_batch = self.sent = self.pending[-1]
        del self.pending[-1]
        if sub_batch.is_whole:
            self.chunk.build_body()
        return sub_batch

    def accept(self, sub_batch: SubBatch) -> None:
        """All rows of a sub-batch were accepted."""
        self.accepted_parts.append(sub_batch.positions)

    def accept_partially(self, sub_batch: SubBatch, content: bytes) -> None:
        """Rows of a sub-batch were accepted and others refused, by the list in the body of a 207."""
        entries = parse_error_entries(content) or []
        rows = {position: self.chunk.row(position) for position in sub_batch.positions}
        attribution = attribute_by_value(entries, rows)
        self._mark_refused(attribution.refused)
        suspects = attribution.suspects
        doubtful = {*attribution.refused, *suspects}
        # Something was refused, so a lone suspect is what was, even if other rows were in the request.
        if self._bisect(suspects, first_unattributed(entries, attribution.refused)):
            followers = self._followers(sub_batch.positions, attribution)
            if followers:
                doubtful.update(followers)
                self.pending.insert(0, SubBatch(followers, maybe_applied=True))
        self.accepted_parts.append([position for position in sub_batch.positions if position not in doubtful])

    def refuse(self, sub_batch: SubBatch, content: bytes) -> None:
        """A sub-batch was refused as a whole, with this body."""
        entries = parse_error_entries(content) or []
        found = attribute_by_index(entries, len(sub_batch.positions))
        if not found:
            self._bisect(sub_batch.positions, first_unattributed(entries, {}))
            return
        refused = {sub_batch.positions[place]: entry for place, entry in found.items()}
        rest = [position for position in sub_batch.positions if position not in refused]
        if rest and not self.budget.spend():
            self._mark_ambiguous(sub_batch.positions, first_unattributed(entries, {}))
            return
        self._mark_refused(refused)
        if rest:
            self.pending.append(SubBatch(rest))

    def halve(self, sub_batch: SubBatch) -> bool:
        """Send the halves of a sub-batch at which the server broke; false for a lone row, and beyond the budget."""
        positions = sub_batch.positions
        if len(positions) < 2 or self.budget.requests_left < 2:
            return False
        self.budget.requests_left -= 2
        middle = len(positions) // 2
        self.pending += [
            SubBatch(half, is_half=True, maybe_applied=sub_batch.maybe_applied, broken_since=sub_batch.broken_since)
            for half in (positions[middle:], positions[:middle])
        ]
        return True

    def park(self, sub_batch: SubBatch) -> bool:
        """Put a half aside until its other half was sent; false if that is sent, or if they would change their order.

        They would where both have rows of one profile, or of one event.
        """
        if len(self.pending) != 1 or self.parked:
            return False
        if not self._keys_of(sub_batch.positions).isdisjoint(self._keys_of(self.pending[-1].positions)):
            return False
        self.parked.append(sub_batch)
        return True

    def mark_broken(self, sub_batch: SubBatch) -> None:
        """The server breaks at the only row of a sub-batch, and takes others."""
        effect = "it may have been applied" if sub_batch.maybe_applied else "it was not applied"
        refusal = Refusal("server", f"{sub_batch.problem}; the server breaks at this row, and takes others; {effect}")
        for position in sub_batch.positions:
            self.refused[position] = refusal

    def mark_unsent(self, sub_batch: SubBatch, problem: str) -> None:
        """No response confirms a sub-batch, and it is not sent again."""
        refusal = _unsent(problem, maybe_applied=sub_batch.maybe_applied)
        for position in sub_batch.positions:
            self.refused[position] = refusal

    def mark_rest_unsent(self, problem: str) -> None:
        """Nothing more of this chunk is sent: whatever has no fate yet is unsent, even if this was cut off midway."""
        settled = set(self.refused)
        settled.update(*self.accepted_parts)
        doubtful: set[int] = set() if self.sent is None else set(self.sent.positions)
        doubtful.update(*(part.positions for part in (*self.pending, *self.parked) if part.maybe_applied))
        for position in range(len(self.chunk)):
            if position not in settled:
                self.refused[position] = _unsent(problem, maybe_applied=position in doubtful)
        self.pending.clear()
        self.parked.clear()
        self.sent = None

    def _keys_of(self, positions: Iterable[int]) -> set[Hashable]:
        """What names the profiles of rows, or their events."""
        rows = (self.chunk.row(position) for position in positions)
        return {key for row in rows for key in keys_of_sent_row(self.chunk.batch_operation, row)}

    def _followers(self, positions: Iterable[int], attribution: Attribution) -> list[int]:
        """Return accepted rows behind a suspect of the same profile or event: they are sent behind it once more."""
        suspects, found = set(attribution.suspects), list[int]()
        waiting = set[Hashable]()
        for position in positions:
            if position in suspects:
                waiting |= self._keys_of((position,))
            elif waiting and position not in attribution.refused:
                keys = self._keys_of((position,))
                if not waiting.isdisjoint(keys):
                    found.append(position)
                    waiting |= keys
        return found

    def _bisect(self, suspects: Sequence[int], entry: ErrorEntry) -> bool:
        """Send the halves of suspects; false if they are settled by what is known."""
        if len(suspects) == 1:
            self._mark_refused({suspects[0]: entry})
        elif suspects and self.budget.requests_left < 2:
            self._mark_ambiguous(suspects, entry)
        elif suspects:
            self.budget.requests_left -= 2
            middle = len(suspects) // 2
            # The last sub-batch is sent first, so that rows keep their order.
            self.pending += [SubBatch(suspects[middle:]), SubBatch(suspects[:middle])]
            return True
        return False

    def _mark_refused(self, found: Mapping[int, ErrorEntry]) -> None:
        for position, entry in found.items():
            self.refused[position] = Refusal("server", entry.message, entry.field)

    def _mark_ambiguous(self, positions: Sequence[int], entry: ErrorEntry) -> None:
        self.budget.last_group += 1
        reason = f"one of these {len(positions)} rows was refused: {entry.message}"
        for position in positions:
            self.refused[position] = Refusal("ambiguous", reason, entry.field, self.budget.last_group)


def _unsent(problem: str, *, maybe_applied: bool) -> Refusal:
    effect = "it may have been applied, and can be sent again" if maybe_applied else "it was not applied"
    return Refusal("unsent", f"{problem}; {effect}")


@attrs.frozen(eq=False)
class SubBatchTask:
    """A request with rows of a chunk, to be sent once; `on_result` takes what came of it."""

    sub_batch: SubBatch
    sent_at: float
    chunk_state: ChunkState
    with_digest: bool = False

    def request(self) -> Request[Any]:
        """Build the request. It takes long enough to be done beside the main thread."""
        sub_batch = self.sub_batch
        positions = None if sub_batch.is_whole else sub_batch.positions
        request = self.chunk_state.chunk.request(positions, with_digest=self.with_digest)
        if is_traced():
            describe_batch(request, len(sub_batch.positions), sub_batch.attempts - 1)
        return request


_MAX_BROKEN_REQUESTS: Final = 20
"""At so many requests in a row the server may break while a row is looked for: twice the halvings of a full batch."""


class PoisonSearch:
    """Decides what follows a request at which the server broke for good, and whether the server is up."""

    def __init__(self) -> None:
        self._passed = 0
        self._broken_streak = 0

    @property
    def had_success(self) -> bool:
        """Whether a request has passed."""
        return self._passed > 0

    def on_success(self) -> None:
        """Note a response by which the server shows that it is up."""
        self._passed += 1
        self._broken_streak = 0

    def on_failure(self, sub_batch: SubBatch, result: SendResult) -> None:
        """Note a request that failed, whether it is sent again or not."""
        sub_batch.problem = result.description
        if sub_batch.broken_since is None and result.may_be_about_a_row:
            sub_batch.broken_since = self._passed

    def take(self, chunk_state: ChunkState, sub_batch: SubBatch, result: SendResult) -> bool:
        """Take a sub-batch at which the server broke; false if it is not looked into, so that the server may be down.

        A lone row is why, if others have passed since the server broke at it first.
        """
        if not result.may_be_about_a_row:
            return False
        self._broken_streak += 1
        may_go_on = self._broken_streak <= _MAX_BROKEN_REQUESTS
        if sub_batch.is_half and len(sub_batch.positions) == 1 and sub_batch.attempts < 2 and may_go_on:
            chunk_state.pending.append(sub_batch)  # once more: what broke once may have been the network
            return True
        if self._is_why(sub_batch):
            chunk_state.mark_broken(sub_batch)
            return True
        if self.had_success:
            return may_go_on and (chunk_state.halve(sub_batch) or self._set_aside(chunk_state, sub_batch))
        if not sub_batch.is_half:
            return chunk_state.halve(sub_batch)
        if chunk_state.park(sub_batch):
            return True
        if chunk_state.pending:  # its rows must not come after those of the other half
            return may_go_on and chunk_state.halve(sub_batch)
        return False

    def resume(self, chunk_state: ChunkState) -> None:
        """Look into what was put aside of a chunk, once the server is known to be up; what is left last is unsent."""
        for sub_batch in list(chunk_state.parked) if self.had_success else ():
            if self._is_why(sub_batch):
                chunk_state.parked.remove(sub_batch)
                chunk_state.mark_broken(sub_batch)
            elif len(sub_batch.positions) > 1 or not chunk_state.pending:
                chunk_state.parked.remove(sub_batch)
                if not chunk_state.halve(sub_batch):
                    chunk_state.mark_unsent(sub_batch, sub_batch.problem)
        while chunk_state.parked and not chunk_state.pending and not chunk_state.in_flight:
            parked = chunk_state.parked.pop()
            chunk_state.mark_unsent(parked, parked.problem)

    def unsent_problem(self, sub_batch: SubBatch) -> str:
        """Say why a sub-batch is unsent: of a lone row too that nothing passed by which it would be known for it."""
        is_open = sub_batch.broken_since is not None and len(sub_batch.positions) == 1 and not self.had_success
        return f"{sub_batch.problem}; {_OPEN_TEXT}" if is_open else sub_batch.problem

    def _is_why(self, sub_batch: SubBatch) -> bool:
        since = sub_batch.broken_since
        return len(sub_batch.positions) == 1 and since is not None and self._passed > since

    def _set_aside(self, chunk_state: ChunkState, sub_batch: SubBatch) -> bool:
        """Keep a lone row until it is known whether others pass; what is beyond the budget is unsent."""
        if not sub_batch.is_half:
            return False
        if len(sub_batch.positions) == 1 and chunk_state.pending:
            chunk_state.parked.append(sub_batch)
        else:
            chunk_state.mark_unsent(sub_batch, sub_batch.problem)
        return True


_OPEN_TEXT: Final = "no other request passed, so the server may break at this row, or be down"
