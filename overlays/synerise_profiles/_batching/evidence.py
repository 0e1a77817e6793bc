"""What broken and passed requests prove of a row.

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
"""

from __future__ import annotations

from math import inf, lgamma, log
from typing import Final

import attrs

from .batch import SubBatch, Trail
from .bisection import ChunkState

__all__ = ["Evidence"]

_MIN_RATIO: Final = 1e6
"""How many times likelier what was seen has to be if the server breaks at the row."""


@attrs.define
class Evidence:
    """Numbers the requests of one run, or of one operation of a queue, and keeps what became of them.

    Who sends a sub-batch writes into it what `next_number` returns: its number, and that of the newest request that had
    passed before, 0 if none had. Of one that broke it is kept how many had been sent when it broke last
    (`broken_after`), whether it broke again after another one had passed (`broke_again`), and the trail of a lone row.
    `last_passed` is the number of the newest request that passed, `last_accepted` the chunk whose row was accepted
    last; `passed` and `broken` count requests but those with a row that broke alone before.
    """

    sent: int = 0
    last_passed: int = 0
    passed: int = 0
    broken: int = 0
    last_accepted: ChunkState | None = None

    def next_number(self) -> tuple[int, int]:
        """Number a request that is about to be sent; return the number, and that of the newest one that has passed."""
        self.sent += 1
        return self.sent, self.last_passed

    def on_passed(self, sub_batch: SubBatch) -> None:
        """Note that the server took a request, or refused its rows."""
        self.last_passed = max(self.last_passed, sub_batch.number)
        self.passed += not sub_batch.was_parked

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


def _log_ratio(breaks: int, passed: int, broken: int) -> float:
    """Return the logarithm of how many times likelier the requests are if the server breaks at the row."""
    if not passed:
        return -inf
    total, all_broken = breaks + passed + broken, breaks + broken
    if_poisoned = lgamma(broken + 1) + lgamma(passed + 1) - lgamma(broken + passed + 2)
    if_healthy = all_broken * log(all_broken / total) + passed * log(passed / total)
    return if_poisoned - if_healthy
