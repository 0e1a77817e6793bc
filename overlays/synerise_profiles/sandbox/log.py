"""What the sandbox received and answered, and what came of it; newest last, bounded."""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass


class Outcome(enum.Enum):
    """What became of one item of a request."""

    APPLIED = "applied"
    OVERWROTE = "overwrote"
    DROPPED = "dropped"
    REFUSED = "refused"


@dataclass(slots=True)
class Exchange:
    """One request and its answer.

    `path` is the template. `outcomes` has one entry an item, in the request's order; it is empty while the work still
    waits, and for what changes nothing. `fault` names the fault that was played, `body` is kept when asked for.
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

    @property
    def applied(self) -> int:
        """How many items changed the state."""
        return sum(outcome in (Outcome.APPLIED, Outcome.OVERWROTE) for outcome in self.outcomes)


class Log:
    """The last exchanges. Appending and copying are safe from any thread."""

    def __init__(self, size: int = 10_000) -> None:
        self._entries: deque[Exchange] = deque(maxlen=size)

    def add(self, exchange: Exchange) -> None:
        """Note one exchange; beyond the size the oldest goes."""
        self._entries.append(exchange)

    def clear(self) -> None:
        """Forget all exchanges."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Exchange]:
        return iter(self._entries.copy())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Exchange:
        return self._entries[index]
