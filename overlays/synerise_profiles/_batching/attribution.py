"""Attribution: which rows of a chunk the server refused, by its own words, and by bisection where these do not tell.

A batch has one response for all its rows, so a refusal has to be brought back to the rows that it is about. The server
refuses in three ways. It names places in the list (`[3].client`): these rows are refused, and the rest of a request
that was refused whole is sent again without them. It answers 207, with a field and a value for each refused row, and
accepted the others: the rows with this value in the field are refused where each has an entry (a row may have several,
so the entries may be a multiple of the rows); where there are fewer entries, these rows are suspects. It says nothing
that can be traced: every row is a suspect.
Suspects are bisected: halved, and each half is sent by itself, until a refused request has a single row. That costs
about twice the logarithm of the chunk in requests for each refused row, so a run has a `BisectBudget`; where it is
spent, the suspects are reported together as `ambiguous`, with a number that their group shares.
A server may also break at a row, and answer every request that has it with a 500. Where others pass, such a sub-batch
is halved within the same budget, until it has one row, whose fate is that no response confirms it.

Nothing here sends: a `ChunkState` keeps what is still to be sent of a chunk, and takes what came of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import orjson

from synerise_profiles._core.json_types import is_list, is_object

from .batch import Chunk, SubBatch
from .rejection import Stage

__all__ = ["BisectBudget", "ChunkState", "Refusal"]

# A place in a list, as servers write it in a field's name: `[3].client`, `items[3].client`.
_INDEX_PATTERN = re.compile(r"^\w{0,40}\[(\d{1,6})\]\.?", re.ASCII)


@attrs.frozen
class Refusal:
    """Why a row of a chunk was not accepted."""

    stage: Stage
    reason: str
    field: str | None = None
    group: int | None = None


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

    A chunk has one request in flight at a time, so that its rows keep their order: that of `sent`. `accepted_parts`
    hold the positions of accepted rows, `parked` halves at which the server broke, until it is known whether it is up.
    """

    chunk: Chunk
    budget: BisectBudget
    pending: list[SubBatch] = attrs.field(factory=list[SubBatch])
    refused: dict[int, Refusal] = attrs.field(factory=dict[int, Refusal])
    accepted_parts: list[Sequence[int]] = attrs.field(factory=list[Sequence[int]])
    parked: list[SubBatch] = attrs.field(factory=list[SubBatch])
    due: float = 0.0
    sent: SubBatch | None = None
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
        entries = _parse_error_entries(content) or []
        rows = {position: self.chunk.row(position) for position in sub_batch.positions}
        attribution = _attribute_by_value(entries, rows)
        self._mark_refused(attribution.refused)
        suspects = attribution.suspects
        doubtful = {*attribution.refused, *suspects}
        self.accepted_parts.append([position for position in sub_batch.positions if position not in doubtful])
        # Something was refused, so a lone suspect is what was, even if other rows were in the request.
        self._bisect(suspects, _first_unattributed(entries, attribution.refused))

    def refuse(self, sub_batch: SubBatch, content: bytes) -> None:
        """A sub-batch was refused as a whole, with this body."""
        entries = _parse_error_entries(content) or []
        found = _attribute_by_index(entries, len(sub_batch.positions))
        if not found:
            self._bisect(sub_batch.positions, _first_unattributed(entries, {}))
            return
        refused = {sub_batch.positions[place]: entry for place, entry in found.items()}
        rest = [position for position in sub_batch.positions if position not in refused]
        if rest and not self.budget.spend():
            self._mark_ambiguous(sub_batch.positions, _first_unattributed(entries, {}))
            return
        self._mark_refused(refused)
        if rest:
            self.pending.append(SubBatch(rest))

    def halve(self, sub_batch: SubBatch) -> bool:
        """Send the halves of a sub-batch at which the server broke; false for a lone row, and beyond the budget."""
        positions, maybe_applied = sub_batch.positions, sub_batch.maybe_applied
        if len(positions) < 2 or self.budget.requests_left < 2:
            return False
        self.budget.requests_left -= 2
        middle = len(positions) // 2
        self.pending += [
            SubBatch(half, is_half=True, maybe_applied=maybe_applied)
            for half in (positions[middle:], positions[:middle])
        ]
        return True

    def park(self, sub_batch: SubBatch) -> bool:
        """Put a half aside until its other half was sent; false if that is sent, or if they would change their order.

        They would where both have rows of one profile, and the time of a row does not say which is the later one.
        """
        if len(self.pending) != 1 or self.parked:
            return False
        if self.chunk.batch_operation.time_field is None:
            names = [self._profiles_in(part.positions) for part in (sub_batch, self.pending[-1])]
            if not names[0].isdisjoint(names[1]):
                return False
        self.parked.append(sub_batch)
        return True

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

    def _profiles_in(self, positions: Sequence[int]) -> set[tuple[str, str]]:
        """What names the profiles of rows."""
        rows = (self.chunk.row(position) for position in positions)
        names = self.chunk.batch_operation.identifiers
        return {(name, str(row[name])) for row in rows for name in names if row.get(name) is not None}

    def _bisect(self, suspects: Sequence[int], entry: ErrorEntry) -> None:
        if len(suspects) == 1:
            self._mark_refused({suspects[0]: entry})
        elif suspects:
            if self.budget.requests_left < 2:
                self._mark_ambiguous(suspects, entry)
                return
            self.budget.requests_left -= 2
            middle = len(suspects) // 2
            # The last sub-batch is sent first, so that rows keep their order.
            self.pending += [SubBatch(suspects[middle:]), SubBatch(suspects[:middle])]

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


@attrs.frozen
class ErrorEntry:
    """One entry of a refusal: which field, what is wrong, and the refused value."""

    field: str | None
    message: str
    value: Any = None


@attrs.frozen
class Attribution:
    """Refused rows by position, and the positions among which the rest of the refused ones must be."""

    refused: Mapping[int, ErrorEntry]
    suspects: Sequence[int]


def _parse_error_entries(content: bytes) -> list[ErrorEntry] | None:
    """Read the entries of a 207's list or of an error body; None if it is neither."""
    try:
        data: Any = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    if is_object(data):
        message = str(data.get("message") or data.get("error") or "")
        data = data.get("errors") or [{"message": message}]
    if not is_list(data):
        return None
    return [_error_entry(entry) for entry in data if is_object(entry)]


def _error_entry(entry: Mapping[str, Any]) -> ErrorEntry:
    field = entry.get("field")
    message = entry.get("message") or entry.get("error") or "refused"
    return ErrorEntry(str(field) if field else None, str(message), entry.get("rejectedValue"))


def _attribute_by_index(entries: Sequence[ErrorEntry], size: int) -> dict[int, ErrorEntry]:
    """Find the refused rows where the server itself names their places; empty unless every entry does."""
    found: dict[int, ErrorEntry] = {}
    for entry in entries:
        match = _INDEX_PATTERN.match(entry.field or "")
        if match is None or int(match[1]) >= size:
            return {}
        field = (entry.field or "")[match.end() :]
        found.setdefault(int(match[1]), attrs.evolve(entry, field=field or None))
    return found


def _attribute_by_value(entries: Sequence[ErrorEntry], rows: Mapping[int, Any]) -> Attribution:
    """Find the refused rows of a partly accepted request, whose entries have a field and a value but no place.

    Where as many rows have the value as there are entries about it, or a single one has it, these are the rows. Where
    more have it, they are suspects; where none has it, every other row is.
    """
    groups: dict[tuple[str, str], list[ErrorEntry]] = {}
    for entry in entries:
        groups.setdefault((entry.field or "", _text(entry.value)), []).append(entry)
    refused: dict[int, ErrorEntry] = {}
    suspects: set[int] = set()
    are_all_suspect = not groups
    for (field, text), alike in groups.items():
        having = [position for position, row in rows.items() if text in _values_at(row, field)]
        if having and len(alike) % len(having) == 0:
            for position in having:
                refused.setdefault(position, alike[0])
        elif having:
            suspects.update(having)
        else:
            are_all_suspect = True
    candidates = rows.keys() if are_all_suspect else suspects
    return Attribution(refused, sorted(position for position in candidates if position not in refused))


def _values_at(row: Any, field: str) -> Iterator[str]:
    """Yield what a row has in a field, whose name may be a path with dots.

    A key that holds dots itself is found as well, so there may be several values.
    """
    if not is_object(row):
        return
    if field in row:
        yield _text(row[field])
    for key, value in row.items():
        if field.startswith(f"{key}."):
            rest = field[len(key) + 1 :]
            if is_list(value):
                head, _, tail = rest.partition(".")
                if head.isdecimal() and int(head) < len(value):
                    yield from _values_at(value[int(head)], tail) if tail else iter([_text(value[int(head)])])
            else:
                yield from _values_at(value, rest)


def _text(value: Any) -> str:
    """Bring both sides into one form: the server may write a number or a boolean as text."""
    return value if isinstance(value, str) else orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _first_unattributed(entries: Sequence[ErrorEntry], attributed: Mapping[int, ErrorEntry]) -> ErrorEntry:
    """Choose the entry that is reported for rows that no entry names."""
    taken = {id(entry) for entry in attributed.values()}
    left = [entry for entry in entries if id(entry) not in taken]
    return next(iter(left or entries), ErrorEntry(None, "refused without a reason"))
