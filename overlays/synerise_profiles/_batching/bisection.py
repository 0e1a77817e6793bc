"""The fate of one chunk: which part of it is sent next, and what an answer says about the rows of that part. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .attribution import ErrorEntry, attribute_by_index, attribute_by_value, parse_error_entries
from .batch import Chunk, SubBatch
from .rejection import Stage

__all__ = ["BisectBudget", "ChunkState", "Refusal"]


@attrs.frozen
class Refusal:
    """Why a row of a chunk was not accepted."""

    stage: Stage
    reason: str
    field: str | None = None
    group: int | None = None


@attrs.define
class BisectBudget:
    """How many more requests a run may spend on finding refused rows, and the number of the next group of suspects."""

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
    """One chunk on its way. It has one request in flight at a time; `parts` are those that are still to be sent."""

    chunk: Chunk
    budget: BisectBudget
    pending: list[SubBatch] = attrs.field(factory=list[SubBatch])
    refused: dict[int, Refusal] = attrs.field(factory=dict[int, Refusal])
    accepted: int = 0
    due: float = 0.0
    in_flight: bool = False

    @classmethod
    def of(cls, chunk: Chunk, budget: BisectBudget) -> ChunkState:
        """Begin with the whole chunk."""
        return cls(chunk, budget, [SubBatch(range(len(chunk)), is_whole=True)])

    @property
    def has_unsent(self) -> bool:
        """Whether a row of it is unsent, so that the chunk has to be sent again by a later run."""
        return any(refusal.stage == "unsent" for refusal in self.refused.values())

    def accept(self, sub_batch: SubBatch) -> None:
        """All rows of a part were accepted."""
        self.accepted += len(sub_batch.positions)

    def accept_partially(self, sub_batch: SubBatch, error_entries: Sequence[ErrorEntry]) -> None:
        """Rows of a part were accepted, and others refused without saying which."""
        rows = {position: self.chunk.row(position) for position in sub_batch.positions}
        verdict = attribute_by_value(error_entries, rows)
        self._mark_refused(verdict.refused)
        suspects = verdict.suspects
        self.accepted += len(sub_batch.positions) - len(verdict.refused) - len(suspects)
        # A lone suspect is guilty, and so is the only row of a request.
        self._bisect(suspects, _first_unattributed(error_entries, verdict.refused), is_single=len(suspects) == 1)

    def refuse(self, sub_batch: SubBatch, content: bytes) -> None:
        """A part was refused as a whole."""
        complaints = parse_error_entries(content) or []
        found = attribute_by_index(complaints, len(sub_batch.positions))
        if not found:
            self._bisect(
                sub_batch.positions, _first_unattributed(complaints, {}), is_single=len(sub_batch.positions) == 1
            )
            return
        refused = {sub_batch.positions[place]: complaint for place, complaint in found.items()}
        rest = [position for position in sub_batch.positions if position not in refused]
        if rest and not self.budget.spend():
            self._mark_ambiguous(sub_batch.positions, _first_unattributed(complaints, {}))
            return
        self._mark_refused(refused)
        if rest:
            self.pending.append(SubBatch(rest))

    def mark_unsent(self, sub_batch: SubBatch, reason: str) -> None:
        """No answer confirms a part."""
        for position in sub_batch.positions:
            self.refused[position] = Refusal("unsent", reason)

    def mark_rest_unsent(self, reason: str) -> None:
        """Nothing more of this chunk is sent."""
        for part in self.pending:
            self.mark_unsent(part, reason)
        self.pending.clear()

    def _bisect(self, suspects: Sequence[int], error_entry: ErrorEntry, *, is_single: bool) -> None:
        if is_single:
            self._mark_refused({suspects[0]: error_entry})
        elif suspects:
            if self.budget.requests_left < 2:
                self._mark_ambiguous(suspects, error_entry)
                return
            self.budget.requests_left -= 2
            middle = len(suspects) // 2
            # The last part is sent first, so that rows keep their order.
            self.pending += [SubBatch(suspects[middle:]), SubBatch(suspects[:middle])]

    def _mark_refused(self, found: Mapping[int, ErrorEntry]) -> None:
        for position, complaint in found.items():
            self.refused[position] = Refusal("server", complaint.message, complaint.field)

    def _mark_ambiguous(self, positions: Sequence[int], error_entry: ErrorEntry) -> None:
        self.budget.last_group += 1
        reason = f"one of these {len(positions)} rows was refused: {error_entry.message}"
        for position in positions:
            self.refused[position] = Refusal("ambiguous", reason, error_entry.field, self.budget.last_group)


def _first_unattributed(error_entries: Sequence[ErrorEntry], known: Mapping[int, ErrorEntry]) -> ErrorEntry:
    """A complaint to tell of rows that no entry names."""
    taken = {id(complaint) for complaint in known.values()}
    left = [complaint for complaint in error_entries if id(complaint) not in taken]
    return next(iter(left or error_entries), ErrorEntry(None, "refused without a reason"))
