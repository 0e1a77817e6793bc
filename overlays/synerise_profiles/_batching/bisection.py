"""The fate of one chunk: which part of it is sent next, and what an answer says about the rows of that part. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .attribution import Complaint, by_index, by_value, complaints_of
from .batch import Chunk, Part
from .rejection import Stage

__all__ = ["Budget", "Job", "Refusal"]


@attrs.frozen
class Refusal:
    """Why a row of a chunk was not accepted."""

    stage: Stage
    reason: str
    field: str | None = None
    group: int | None = None


@attrs.define
class Budget:
    """How many more requests a run may spend on finding refused rows, and the number of the next group of suspects."""

    requests: int
    group: int = 0

    def spend(self) -> bool:
        """Take one request; false if there is none left."""
        if self.requests <= 0:
            return False
        self.requests -= 1
        return True


@attrs.define(eq=False)
class Job:
    """One chunk on its way. It has one request in flight at a time; `parts` are those that are still to be sent."""

    chunk: Chunk
    budget: Budget
    parts: list[Part] = attrs.field(factory=list[Part])
    refused: dict[int, Refusal] = attrs.field(factory=dict[int, Refusal])
    accepted: int = 0
    due: float = 0.0
    in_flight: bool = False

    @classmethod
    def of(cls, chunk: Chunk, budget: Budget) -> Job:
        """Begin with the whole chunk."""
        return cls(chunk, budget, [Part(range(len(chunk)), whole=True)])

    @property
    def is_unsent(self) -> bool:
        """Whether a row of it is unsent, so that the chunk has to be sent again by a later run."""
        return any(refusal.stage == "unsent" for refusal in self.refused.values())

    def accept(self, part: Part) -> None:
        """All rows of a part were accepted."""
        self.accepted += len(part.positions)

    def accept_some(self, part: Part, complaints: Sequence[Complaint]) -> None:
        """Rows of a part were accepted, and others refused without saying which."""
        rows = {position: self.chunk.row(position) for position in part.positions}
        verdict = by_value(complaints, rows)
        self._refuse(verdict.refused)
        suspects = verdict.suspects
        self.accepted += len(part.positions) - len(verdict.refused) - len(suspects)
        # A lone suspect is guilty, and so is the only row of a request.
        self._search(suspects, _first(complaints, verdict.refused), guilty=len(suspects) == 1)

    def refuse(self, part: Part, content: bytes) -> None:
        """A part was refused as a whole."""
        complaints = complaints_of(content) or []
        found = by_index(complaints, len(part.positions))
        if not found:
            self._search(part.positions, _first(complaints, {}), guilty=len(part.positions) == 1)
            return
        refused = {part.positions[place]: complaint for place, complaint in found.items()}
        rest = [position for position in part.positions if position not in refused]
        if rest and not self.budget.spend():
            self._suspect(part.positions, _first(complaints, {}))
            return
        self._refuse(refused)
        if rest:
            self.parts.append(Part(rest))

    def give_up(self, part: Part, reason: str) -> None:
        """No answer confirms a part."""
        for position in part.positions:
            self.refused[position] = Refusal("unsent", reason)

    def give_up_rest(self, reason: str) -> None:
        """Nothing more of this chunk is sent."""
        for part in self.parts:
            self.give_up(part, reason)
        self.parts.clear()

    def _search(self, suspects: Sequence[int], complaint: Complaint, *, guilty: bool) -> None:
        if guilty:
            self._refuse({suspects[0]: complaint})
        elif suspects:
            if self.budget.requests < 2:
                self._suspect(suspects, complaint)
                return
            self.budget.requests -= 2
            middle = len(suspects) // 2
            # The last part is sent first, so that rows keep their order.
            self.parts += [Part(suspects[middle:]), Part(suspects[:middle])]

    def _refuse(self, found: Mapping[int, Complaint]) -> None:
        for position, complaint in found.items():
            self.refused[position] = Refusal("server", complaint.message, complaint.field)

    def _suspect(self, positions: Sequence[int], complaint: Complaint) -> None:
        self.budget.group += 1
        reason = f"one of these {len(positions)} rows was refused: {complaint.message}"
        for position in positions:
            self.refused[position] = Refusal("ambiguous", reason, complaint.field, self.budget.group)


def _first(complaints: Sequence[Complaint], known: Mapping[int, Complaint]) -> Complaint:
    """A complaint to tell of rows that no entry names."""
    taken = {id(complaint) for complaint in known.values()}
    left = [complaint for complaint in complaints if id(complaint) not in taken]
    return next(iter(left or complaints), Complaint(None, "refused without a reason"))
