"""The window of a run: the chunks that are on their way, and those that are ready to be.

A chunk that waits for nothing but to learn whether the server is up takes no place in it, so that others may show that.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.bisection import BisectBudget, ChunkState

__all__ = ["ChunkWindow"]


class ChunkWindow:
    """At most `concurrency` chunks are sent at once. Times are monotonic seconds."""

    def __init__(self, concurrency: int) -> None:
        self.states: list[ChunkState] = []
        self.ready: deque[Chunk] = deque()
        self._concurrency = concurrency

    def __bool__(self) -> bool:
        return bool(self.states or self.ready)

    @property
    def can_start(self) -> bool:
        """Whether the next chunk may be sent: there is room, and those it must not overtake are settled."""
        if not self.ready or sum(not state.is_waiting for state in self.states) >= self._concurrency:
            return False
        after = self.ready[0].after
        return after < 0 or all(after < state.chunk.number for state in self.states)

    @property
    def only_waits(self) -> bool:
        """Whether there are chunks, and all that is left of them is parked."""
        return bool(self.states) and all(state.is_waiting for state in self.states)

    def start(self, budget: BisectBudget) -> ChunkState:
        """Begin the next chunk. At each moment it is in one of the two, or in both, so that an interrupt loses none."""
        state = ChunkState.of(self.ready[0], budget)
        self.states.append(state)
        self.ready.popleft()
        return state

    def sendable(self, now: float) -> ChunkState | None:
        """Return a chunk of which something is to be sent by this time."""
        return next((state for state in self._open_states() if state.due <= now), None)

    def due(self) -> float:
        """Return when something of a chunk is to be sent; infinity if that depends on an answer."""
        return min((state.due for state in self._open_states()), default=math.inf)

    def is_last(self, chunk_state: ChunkState) -> bool:
        """Whether nothing is to be sent but of this chunk."""
        return not self.ready and all(state is chunk_state or state.is_waiting for state in self.states)

    def unsettled(self, waiting: Iterable[Chunk], budget: BisectBudget) -> list[ChunkState]:
        """Return what has rows without a fate, with the chunks that are ready, and others that wait; each once."""
        states = {id(chunk): ChunkState.of(chunk, budget) for chunk in (*self.ready, *waiting)}
        states |= {id(state.chunk): state for state in self.states if not state.is_recorded}
        return list(states.values())

    def _open_states(self) -> Iterator[ChunkState]:
        return (state for state in self.states if state.pending and not state.in_flight)
