"""What the sandbox received and answered, newest last, bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer; `path` is the template, `applied` the number of items that changed the state."""

    method: str
    path: str
    operation: str
    status: int
    bytes_received: int
    bytes_sent: int
    applied: int


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
