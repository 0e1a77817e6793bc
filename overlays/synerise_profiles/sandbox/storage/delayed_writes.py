"""The queue of delayed writes: accepted with 202, and applied when the sandbox's clock has reached their time.

No thread waits for that time. Due writes are applied when somebody asks: by the next request, or by a test that reads
the state. So a moved clock works at once, and tests never sleep.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DelayedWrite:
    """One write; `due` is in seconds of the sandbox's clock."""

    due: float
    apply: Callable[[], None]


class DelayedWriteQueue:
    """First in, first out: what was accepted earlier becomes visible earlier, even if the delay was changed since."""

    def __init__(self) -> None:
        self._waiting: deque[DelayedWrite] = deque()

    def add(self, due: float, apply: Callable[[], None]) -> None:
        """Append a write."""
        self._waiting.append(DelayedWrite(due, apply))

    def run_due(self, now: float) -> int:
        """Apply the writes that are due at `now`; how many."""
        applied = 0
        while self._waiting and self._waiting[0].due <= now:
            self._waiting.popleft().apply()
            applied += 1
        return applied

    def drain(self) -> int:
        """Apply all writes, whenever they are due; how many."""
        return self.run_due(float("inf"))

    def clear(self) -> None:
        """Forget all writes: they are never applied."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)
