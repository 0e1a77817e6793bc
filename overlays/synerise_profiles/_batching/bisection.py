"""Bisection: how far a chunk is, and how its refused rows are found where the server's words do not tell them.

Suspects are bisected: halved, and each half is sent by itself, until a refused request has a single row. That costs
about twice the logarithm of the chunk in requests for each refused row, so a run has a `BisectBudget`; where it is
spent, the suspects are reported together as `ambiguous`, with a number that their group shares.

What the server breaks at is halved within the same budget; `poison_search` says when, and what that proves of a row.

Rows keep their order: the first half is sent first, rows that were accepted are sent again behind suspects of the same
profile or event, and what is parked blocks those behind it that must not overtake it.

Nothing here sends: a `ChunkState` keeps what is still to be sent of a chunk, and takes what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from synerise_profiles._core.instruments import is_traced
from synerise_profiles._core.telemetry import describe_batch
from synerise_profiles_api.types import Request

from .attribution import (
    BREAKS_TEXT,
    Attribution,
    ErrorEntry,
    Refusal,
    attribute_by_index,
    attribute_by_value,
)
from .batch import Chunk, SubBatch
from .ordering import Keys
from .row_keys import free_rows, keys_of_sent_row
from .send_result import SendResult

__all__ = ["BisectBudget", "ChunkState", "SubBatchTask"]


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
    positions. `parked` is what the server broke at, until it is known whether it is up: each such part, and behind it
    those that must not overtake it.
    """

    chunk: Chunk
    budget: BisectBudget
    pending: list[SubBatch] = attrs.field(factory=list[SubBatch])
    refused: dict[int, Refusal] = attrs.field(factory=dict[int, Refusal])
    accepted_parts: list[Sequence[int]] = attrs.field(factory=list[Sequence[int]])
    last_answer_accepts: bool = False
    """Whether the last answer accepted a row that was not accepted before."""
    parked: list[SubBatch] = attrs.field(factory=list[SubBatch])
    taken: list[SubBatch] = attrs.field(factory=list[SubBatch], init=False)
    """What was taken out of `parked` last, since an exception may come before it goes on."""
    due: float = 0.0
    sent: SubBatch | None = None
    last_result: SendResult | None = None
    is_recorded: bool = False
    _keys: dict[int, Keys] = attrs.field(factory=dict[int, Keys], init=False)

    @classmethod
    def of(cls, chunk: Chunk, budget: BisectBudget) -> ChunkState:
        """Begin with the whole chunk as the only sub-batch."""
        return cls(chunk, budget, [SubBatch(range(len(chunk.indexes)), is_whole=True)])

    @property
    def is_waiting(self) -> bool:
        """Whether all that is left of it is parked."""
        return bool(self.parked) and not self.pending and self.sent is None

    @property
    def is_settled(self) -> bool:
        """Whether nothing is left of it."""
        return not self.pending and not self.parked and self.sent is None

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

    def take_answer(self, sub_batch: SubBatch, result: SendResult, *, is_accepted: bool) -> None:
        """Take a response that says what became of the rows. Of a row that goes once more that is known already."""
        self.last_answer_accepts, count = False, len(self.accepted_parts)
        if sub_batch.is_probe:
            return
        if not is_accepted:
            self.refuse(sub_batch, result.content)
        elif result.is_partial:
            self.accept_partially(sub_batch, result.content)
        else:
            self.accepted_parts.append(sub_batch.positions)
        self.last_answer_accepts = any(self.accepted_parts[count:])

    def accept_partially(self, sub_batch: SubBatch, content: bytes) -> None:
        """Rows of a sub-batch were accepted and others refused, by the list in the body of a 207."""
        rows = {position: self.chunk.row(position) for position in sub_batch.positions}
        attribution = attribute_by_value(content, rows)
        self._mark_refused(attribution.refused)
        suspects = attribution.suspects
        doubtful = {*attribution.refused, *suspects}
        # Something was refused, so a lone suspect is what was, even if other rows were in the request.
        if self._bisect(suspects, attribution.unnamed):
            followers = self._followers(sub_batch.positions, attribution)
            if followers:
                doubtful.update(followers)
                self.pending.insert(0, SubBatch(followers, maybe_applied=True))
        self.accepted_parts.append([position for position in sub_batch.positions if position not in doubtful])

    def refuse(self, sub_batch: SubBatch, content: bytes) -> None:
        """A sub-batch was refused as a whole, with this body."""
        attribution = attribute_by_index(content, sub_batch.positions)
        refused, rest = attribution.refused, attribution.suspects
        if not refused:
            self._bisect(sub_batch.positions, attribution.unnamed)
            return
        if rest and not self.budget.spend():
            self._mark_ambiguous(sub_batch.positions, attribution.unnamed)
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
        like = SubBatch((), is_half=True, maybe_applied=sub_batch.maybe_applied, others_pass=sub_batch.fails_alone)
        self.pending += [attrs.evolve(like, positions=half) for half in (positions[middle:], positions[:middle])]
        return True

    def park(self, sub_batch: SubBatch) -> None:
        """Put aside what the server broke at, with the rows that must not overtake it; the others stay pending."""
        blocked, pending, parked = self._keys_of(sub_batch.positions), list[SubBatch](), [*self.parked, sub_batch]
        for part in reversed(self.pending):
            free = free_rows(((position, self.row_keys(position)) for position in part.positions), blocked)
            if len(free) == len(part.positions):
                pending.append(part)
                continue
            chosen = set(free)
            rest = [position for position in part.positions if position not in chosen]
            parked.append(attrs.evolve(part, positions=rest, is_whole=False, broken_after=None))
            if free:
                pending.append(attrs.evolve(part, positions=free, is_whole=False))
        pending.reverse()
        # No call between these, so that no signal's handler is called there.
        self.pending, self.parked = pending, parked

    def unpark(self, is_ready: Callable[[SubBatch], bool]) -> list[SubBatch]:
        """Take out what the server broke at and is ready, with what waits behind it, in its order."""
        ready, parked, goes_on = list[SubBatch](), list[SubBatch](), False
        for part in self.parked:
            goes_on = is_ready(part) if part.broken_after is not None else goes_on
            (ready if goes_on else parked).append(part)
        # As above.
        self.taken, self.parked = ready, parked
        return ready

    def mark_broken(self, sub_batch: SubBatch) -> None:
        """The server breaks at the only row of a sub-batch, and takes others."""
        effect = "it may have been applied" if sub_batch.maybe_applied else "it was not applied"
        refusal = Refusal("server", f"{sub_batch.problem}; {BREAKS_TEXT}; {effect}")
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
        parts = (*self.pending, *self.parked, *self.taken)
        doubtful.update(*(part.positions for part in parts if part.maybe_applied))
        for position in range(len(self.chunk)):
            if position not in settled:
                self.refused[position] = _unsent(problem, maybe_applied=position in doubtful)
        self.pending.clear()
        self.parked.clear()
        self.sent = None

    def row_keys(self, position: int) -> Keys:
        """What names the profile of a row, or its event."""
        if position not in self._keys:
            self._keys[position] = keys_of_sent_row(self.chunk.batch_operation, self.chunk.row(position))
        return self._keys[position]

    def _keys_of(self, positions: Iterable[int]) -> set[Hashable]:
        return {key for position in positions for key in self.row_keys(position)}

    def _followers(self, positions: Iterable[int], attribution: Attribution) -> list[int]:
        """Return accepted rows behind a suspect of the same profile or event: they are sent behind it once more."""
        suspects, found = set(attribution.suspects), list[int]()
        waiting = set[Hashable]()
        for position in positions:
            if position in suspects:
                waiting.update(self.row_keys(position))
            elif waiting and position not in attribution.refused and not waiting.isdisjoint(self.row_keys(position)):
                found.append(position)
                waiting.update(self.row_keys(position))
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
