"""Writes that were answered with 202 and wait for their time. Work is done when it is looked for: no thread waits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], None]


@dataclass(frozen=True, slots=True)
class DelayedWrite:
    """One piece of work, due at a moment of the sandbox's clock."""

    due: float
    work: Work


class DelayedWriteQueue:
    """First in, first out: what was accepted earlier becomes visible earlier, even if the delay was changed since."""

    def __init__(self) -> None:
        self._waiting: deque[DelayedWrite] = deque()

    def add(self, due: float, work: Work) -> None:
        """Put work at the end."""
        self._waiting.append(DelayedWrite(due, work))

    def run_due(self, now: float) -> int:
        """Do the work whose time has come; how much that was."""
        done = 0
        while self._waiting and self._waiting[0].due <= now:
            self._waiting.popleft().work()
            done += 1
        return done

    def drain(self) -> int:
        """Do all the work, whenever it is due; how much that was."""
        return self.run_due(float("inf"))

    def clear(self) -> None:
        """Forget all the work: it is never done."""
        self._waiting.clear()

    def __len__(self) -> int:
        return len(self._waiting)
