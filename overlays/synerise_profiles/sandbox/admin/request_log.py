"""The request log: a bounded list of what the sandbox received and answered, newest last."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from synerise_profiles.sandbox.responses import Outcome


@dataclass(slots=True)
class LoggedRequest:
    """One request and its answer.

    `path` is the template. `status` and `bytes_sent` (of the body) are those of what was sent; `status` is 0 if the
    connection was closed without an answer. `outcomes` has one entry an item, in the request's order; it is empty for
    a request that changes nothing, and while its write is `waiting`. `fault` is the label of the fault that was played.
    `body` is kept with the option `keep_bodies`. `time` is the moment of receipt in seconds of the sandbox's clock.
    """

    method: str
    path: str
    operation: str
    status: int
    bytes_received: int
    bytes_sent: int
    outcomes: tuple[Outcome, ...] = ()
    fault: str = ""
    body: bytes | None = None
    time: float = 0.0
    waiting: bool = False

    @property
    def applied(self) -> int:
        """How many items changed the state."""
        return sum(outcome in (Outcome.APPLIED, Outcome.OVERWROTE) for outcome in self.outcomes)


_interned_outcomes: dict[tuple[str, int], tuple[Outcome, ...]] = {}


def interned(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """The outcomes as a tuple; equal ones of one length share it, so that a log of large batches stays small."""
    if not outcomes or outcomes.count(outcomes[0]) != len(outcomes):
        return tuple(outcomes)
    key = (outcomes[0].value, len(outcomes))
    found = _interned_outcomes.get(key)
    if found is None:
        if len(_interned_outcomes) >= 1000:
            _interned_outcomes.clear()
        found = _interned_outcomes[key] = tuple(outcomes)
    return found


class RequestLog:
    """The last `max_requests` requests, and of kept bodies the last `max_body_bytes`; safe from any thread.

    `total` counts all since the last `clear`, so that each has a number: the newest is `total - 1`.
    `changes` grows with every change, so that a reader can tell whether there is news.
    """

    def __init__(self, max_requests: int = 10_000, max_body_bytes: int = 64_000_000) -> None:
        self.total = 0
        self.changes = 0
        self._max_body_bytes = max_body_bytes
        self._entries: deque[LoggedRequest] = deque(maxlen=max_requests)
        self._bodies: deque[LoggedRequest] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, logged: LoggedRequest) -> None:
        """Append one request; beyond the bound the oldest goes."""
        with self._lock:
            if self._bodies and self._bodies[0] is self._entries[0] and len(self._entries) == self._entries.maxlen:
                self._bytes -= len(self._bodies.popleft().body or b"")
            self._entries.append(logged)
            self.total += 1
            self.changes += 1
            if logged.body is not None:
                self._bodies.append(logged)
                self._bytes += len(logged.body)
                while self._bytes > self._max_body_bytes:
                    oldest = self._bodies.popleft()
                    self._bytes -= len(oldest.body or b"")
                    oldest.body = None

    def clear(self) -> None:
        """Forget all requests and count from 0 again."""
        with self._lock:
            self.total = 0
            self.changes += 1
            self._entries.clear()
            self._bodies.clear()
            self._bytes = 0

    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, LoggedRequest]]:
        """The last `limit` requests, or the last before a number, each with its number; newest first."""
        with self._lock:
            entries, total = self._entries.copy(), self.total
        skipped = 0 if before is None else max(0, total - before)
        numbers = range(total - 1 - skipped, -1, -1)
        return list(zip(numbers, islice(reversed(entries), skipped, skipped + limit), strict=False))

    def __iter__(self) -> Iterator[LoggedRequest]:
        return iter(self._entries.copy())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} entries>"

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> LoggedRequest:
        return self._entries[index]
