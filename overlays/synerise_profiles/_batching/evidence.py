"""What broken and passed requests prove: whether a row is why the server broke at its request, or the server was down.

A server that breaks at a row answers each request that has it with a 500. A server that is down looks the same. They
are told apart by the order of requests alone: a request with the row broke, after that another one was sent and passed,
and after that the row was sent again and broke once more. Between two breaks the server was up, so that no outage
explains both. Answers arrive in any order, so what counts is that each was known before the next one was sent.

An outage that ends and begins again between two requests looks like such a row. Nothing tells these apart.
"""

from __future__ import annotations

from .batch import SubBatch

__all__ = ["Evidence"]


class Evidence:
    """Numbers the requests of one run, or of one operation of a queue, and keeps which of them passed last.

    It writes into each sub-batch the `number` of its last request, and that of the newest request that had passed
    before (`passed_before`); how many requests had been sent when the server broke at it last (`broken_after`); and
    whether it broke at it again after another one had passed (`broke_again`).
    """

    def __init__(self) -> None:
        self._sent = self._last_passed = 0

    @property
    def has_passed(self) -> bool:
        """Whether any request passed."""
        return self._last_passed > 0

    def on_sent(self, sub_batch: SubBatch) -> None:
        """Number a request that is sent."""
        self._sent += 1
        sub_batch.number, sub_batch.passed_before = self._sent, self._last_passed

    def on_success(self, sub_batch: SubBatch) -> None:
        """Note a response by which the server shows that it is up."""
        self._last_passed = max(self._last_passed, sub_batch.number)

    def on_broken(self, sub_batch: SubBatch) -> None:
        """Note that the server broke at a request, whether it is sent again or not."""
        if sub_batch.broken_after is not None and sub_batch.passed_before > sub_batch.broken_after:
            sub_batch.broke_again = True
        sub_batch.broken_after = self._sent

    def has_passed_since(self, sub_batch: SubBatch) -> bool:
        """Whether a request passed that was sent after the server broke at this one."""
        return sub_batch.broken_after is not None and self._last_passed > sub_batch.broken_after
