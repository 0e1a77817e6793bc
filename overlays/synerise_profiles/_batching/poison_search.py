"""The search for poisoned rows, at which the server breaks (5xx), and what failed and other requests prove of one.

A server that breaks at a row answers each request that has it with a 5xx. A server that is down looks the same, and so
does one that fails now and then. They are told apart by the other requests alone, in two steps.

First, an outage breaks all requests for a time. So of the breaks of a row only those count between which another
request passed: the row broke, after that another request was sent and passed, and after that the row was sent again and
broke once more. Answers arrive in any order, so each has to be known before the next request is sent.

Second, a server may break at any request, with some chance, and a healthy row may be out of luck. How often it breaks
at requests without the row is seen beside. Let `k` be the breaks of the row that count, `P` and `F` the other requests
that passed and broke meanwhile. If the row is healthy, all of them broke with one chance `f`, so that this had at most
the likelihood `max f**(k+F) * (1-f)**P`; if it is not, the average of `f**F * (1-f)**P` over all `f`. Their ratio
exceeds `_MIN_RATIO` for a healthy row with a chance of less than 1 in `_MIN_RATIO`, whatever `f` is and whenever one
looks (Ville's inequality). On a server that takes all else this needs about a dozen breaks if one request passes
between each two of them, seven if five do.

Requests with a row that broke alone before do not count as others: many poisoned rows would hide each other. That
leaves no luck in: it is settled before they are sent.

What the server broke at is halved, and each half is tried once, down to the row. A row that broke alone is parked until
another request has passed, and is then sent once more, again and again until it passes, or until it is proven that the
server breaks at it: then it is refused. Rows of its profile wait behind it. Where nothing else is left that could pass,
the row that was accepted last is sent once more; where there is none, it breaks, or the budget is spent, the parked row
is unsent. A deletion is never sent again for that. Each sending of a lone row after its first is of the budget too.

Where nothing has passed yet, one half of a chunk is parked until the other was tried. If that breaks too, it is halved
all the same, since both may have such a row; a server that is down costs `_MAX_BROKEN_REQUESTS` this way. What the
server is too busy for, or has no such operation for, is parked as it is: if others pass before and after it is sent
once more, it is halved like the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf, lgamma, log
from typing import Final

import attrs

from .batch import SubBatch, Trail
from .bisection import BisectBudget, ChunkState
from .send_result import SendResult

__all__ = ["MAX_PROBE_AGE_SECONDS", "Evidence", "PoisonSearch"]

_MAX_BROKEN_REQUESTS: Final = 20
"""At so many requests in a row the server may break while a row is looked for: twice the halvings of a full batch."""
MAX_PROBE_AGE_SECONDS: Final = 30.0
"""A row that was accepted longer ago is not sent once more: others may have written its profile since."""
_MIN_RATIO: Final = 1e6
"""How many times likelier what was seen has to be if the server breaks at the row."""


@attrs.define
class Evidence:
    """Numbers the requests of one run, or of one operation of a queue, and keeps what became of them.

    Who sends a sub-batch counts it in `sent`, and writes into it its number, and that of the newest request that had
    passed before, `last_passed`; 0 if none had. Who takes its answer counts it in `passed` unless it is of a lone row
    that broke before, or calls `on_broken`. Of one that broke it is kept how many had been sent when it broke last
    (`broken_after`), whether it broke again after another one had passed (`broke_again`), and the trail of a lone row.
    `last_accepted` is the chunk whose row was accepted last, at `accepted_at`.
    """

    sent: int = 0
    last_passed: int = 0
    passed: int = 0
    broken: int = 0
    last_accepted: ChunkState | None = None
    accepted_at: float = 0.0

    def on_broken(self, sub_batch: SubBatch) -> None:
        """Note that the server broke at a request, whether it is sent again or not."""
        is_other = not sub_batch.was_parked
        self.broken += is_other
        if sub_batch.broken_after is not None and sub_batch.passed_before > sub_batch.broken_after:
            sub_batch.broke_again = True
        sub_batch.broken_after = self.sent
        if len(sub_batch.positions) == 1:
            trail = sub_batch.trail
            if trail is None:
                trail = Trail(1, self.sent, self.passed, self.broken)
            else:  # to itself it is no other request
                trail = attrs.evolve(trail, broken_before=trail.broken_before + is_other)
                if sub_batch.passed_before > trail.broken_after:
                    trail = attrs.evolve(trail, breaks=trail.breaks + 1, broken_after=self.sent)
            sub_batch.trail = trail

    def has_passed_since(self, sub_batch: SubBatch) -> bool:
        """Whether a request passed that was sent after the server broke at this one."""
        return sub_batch.broken_after is not None and self.last_passed > sub_batch.broken_after

    def proves(self, sub_batch: SubBatch) -> bool:
        """Whether it is proven that the server breaks at the only row of a sub-batch."""
        trail = sub_batch.trail
        if trail is None:
            return False
        passed, broken = self.passed - trail.passed_before, self.broken - trail.broken_before
        return _log_ratio(trail.breaks, passed, broken) >= log(_MIN_RATIO)


@attrs.define
class PoisonSearch:
    """Decides what follows a request at which the server broke for good; `is_on` once it broke at one."""

    _evidence: Evidence
    is_on: bool = False
    _broken_streak: int = 0
    _probe_failed: bool = False

    def on_success(self, states: Iterable[ChunkState]) -> None:
        """Take note that the server is up: what of these chunks waits for that goes on."""
        self._probe_failed = False
        self._broken_streak = 0
        for state in states:
            if state.is_waiting:
                self.resume(state)

    def on_failure(self, sub_batch: SubBatch, result: SendResult) -> None:
        """Note a request that failed, whether it is sent again or not."""
        sub_batch.problem, sub_batch.is_busy = result.description, result.is_busy
        if result.may_be_about_a_row or result.is_busy:
            self._evidence.on_broken(sub_batch)

    def take(self, chunk_state: ChunkState, sub_batch: SubBatch, result: SendResult) -> bool:
        """Take a sub-batch that is not sent again as it is; false if the server may be down."""
        self.is_on = True
        if sub_batch.is_probe:
            self._probe_failed = True
            return False
        if not result.may_be_about(sub_batch):
            if result.is_busy:
                chunk_state.park(sub_batch)
            else:
                chunk_state.mark_unsent(sub_batch, sub_batch.problem)
            return False
        is_lone, has_passed = len(sub_batch.positions) == 1, self._evidence.last_passed > 0
        if is_lone and self._evidence.proves(sub_batch):
            chunk_state.mark_broken(sub_batch)
            return True
        # One that was parked was sent since something passed.
        self._broken_streak += not sub_batch.was_parked
        if not self._may_go_on:
            chunk_state.mark_unsent(sub_batch, self._unsent_problem(sub_batch))
            return False
        if is_lone:
            is_known, sub_batch.was_parked = sub_batch.is_half or sub_batch.was_parked, True
            chunk_state.park(sub_batch)
            return is_known
        if sub_batch.is_half and not has_passed and chunk_state.pending and not chunk_state.parked:
            chunk_state.park(sub_batch)
            return True
        return self._halve(chunk_state, sub_batch) or has_passed

    def resume(self, chunk_state: ChunkState) -> None:
        """Go on with what is parked: if another request has passed, or if nothing else of the chunk is left."""
        if chunk_state.parked:
            self._send(chunk_state, chunk_state.unpark(self._evidence.has_passed_since))
            if chunk_state.is_waiting and self._may_go_on:
                self._send(chunk_state, chunk_state.unpark(lambda part: len(part.positions) > 1 and not part.is_busy))

    def probe(self, budget: BisectBudget, now: float) -> ChunkState | None:
        """Return what shows whether the server is up: the row that was accepted last; None if that cannot be sent.

        Sent once more it overwrites nothing newer of this run.
        """
        last_accepted, age = self._evidence.last_accepted, now - self._evidence.accepted_at
        if last_accepted is None or last_accepted.chunk.requests is not None or age > MAX_PROBE_AGE_SECONDS:
            return None
        part = next((part for part in reversed(last_accepted.accepted_parts) if part), None)
        if part is None or self._probe_failed or not budget.spend():
            return None
        position = part[-1]
        # What became of its chunk was recorded.
        return ChunkState(last_accepted.chunk, budget, [SubBatch((position,), is_probe=True)], is_recorded=True)

    def give_up(self, chunk_state: ChunkState) -> None:
        """Leave unsent what the server broke at; what waits behind it is to be sent."""
        for part in reversed(chunk_state.unpark(lambda _: True)):
            if part.broken_after is None:
                chunk_state.pending.append(part)
            else:
                chunk_state.mark_unsent(part, self._unsent_problem(part))

    @property
    def _may_go_on(self) -> bool:
        return self._broken_streak <= _MAX_BROKEN_REQUESTS

    def _send(self, chunk_state: ChunkState, parts: list[SubBatch]) -> None:
        for part in reversed(parts):
            part.others_pass = part.others_pass or self._evidence.has_passed_since(part)
            is_lone = len(part.positions) == 1
            if part.broken_after is None or part.is_busy or (is_lone and chunk_state.budget.spend()):
                chunk_state.pending.append(part)
            elif is_lone:
                chunk_state.mark_unsent(part, f"{self._unsent_problem(part)}; {_NO_MORE_TEXT}")
            else:
                self._halve(chunk_state, part)

    def _halve(self, chunk_state: ChunkState, sub_batch: SubBatch) -> bool:
        if chunk_state.halve(sub_batch):
            return True
        chunk_state.mark_unsent(sub_batch, f"{sub_batch.problem}; {_SPENT_TEXT}")
        return False

    def _unsent_problem(self, sub_batch: SubBatch) -> str:
        """Say why a sub-batch is unsent: of a lone row too that too little passed by which it would be known for it."""
        if len(sub_batch.positions) > 1:
            return sub_batch.problem
        if self._evidence.has_passed_since(sub_batch) or (sub_batch.trail is not None and sub_batch.trail.breaks > 1):
            return f"{sub_batch.problem}; too few other requests passed to tell it apart, {_OPEN_TEXT}"
        since = " since" if self._evidence.last_passed else ""
        return f"{sub_batch.problem}; no other request passed{since}, {_OPEN_TEXT}"


_OPEN_TEXT: Final = "so the server may break at this row, or be down"
_NO_MORE_TEXT: Final = "it was not sent once more, since max_bisect_requests is spent"
_SPENT_TEXT: Final = "which of these rows it broke at was not looked for, since max_bisect_requests is spent"


def _log_ratio(breaks: int, passed: int, broken: int) -> float:
    """Return the logarithm of how many times likelier the requests are if the server breaks at the row."""
    if not passed:
        return -inf
    total, all_broken = breaks + passed + broken, breaks + broken
    if_poisoned = lgamma(broken + 1) + lgamma(passed + 1) - lgamma(broken + passed + 2)
    if_healthy = all_broken * log(all_broken / total) + passed * log(passed / total)
    return if_poisoned - if_healthy
