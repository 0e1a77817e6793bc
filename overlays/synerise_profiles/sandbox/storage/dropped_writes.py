"""Dropped writes: items that were accepted with 202 and had no effect.

The API does not show them, so tests look here.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import orjson

from synerise_profiles.sandbox.schemas import Json


@dataclass(frozen=True, slots=True)
class DroppedWrite:
    """One item that did not take effect: `index` is its place in the request, `time` in ISO 8601."""

    time: str
    operation: str
    index: int
    reason: str
    item: Json


class DroppedWrites:
    """The last dropped items, newest last: `max_items` and `max_bytes` of JSON at most. Safe from any thread.

    `total` counts all since the last `clear`, so that each has a number: the newest is `total - 1`.
    `changes` grows with every change.
    """

    def __init__(self, max_items: int = 100_000, max_bytes: int = 32_000_000) -> None:
        self.total = 0
        self.changes = 0
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._entries: deque[DroppedWrite] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, entry: DroppedWrite) -> None:
        """Append one item; beyond the bounds the oldest go."""
        size = len(orjson.dumps(entry.item))
        with self._lock:
            self.total += 1
            self.changes += 1
            self._entries.append(entry)
            self._sizes.append(size)
            self._bytes += size
            while len(self._entries) > self._max_items or (self._bytes > self._max_bytes and len(self._entries) > 1):
                self._entries.popleft()
                self._bytes -= self._sizes.popleft()

    def clear(self) -> None:
        """Forget all items and count from 0 again."""
        with self._lock:
            self.total = 0
            self.changes += 1
            self._entries.clear()
            self._sizes.clear()
            self._bytes = 0

    def newest(self, limit: int, before: int | None = None) -> list[tuple[int, DroppedWrite]]:
        """The last `limit` items, or the last before a number, each with its number; newest first."""
        with self._lock:
            total = self.total
            skipped = 0 if before is None else max(0, total - before)
            found = list(islice(reversed(self._entries), skipped, skipped + limit))
        return list(zip(range(total - 1 - skipped, -1, -1), found, strict=False))

    def __iter__(self) -> Iterator[DroppedWrite]:
        return iter(self._entries.copy())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} items>"

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> DroppedWrite:
        return self._entries[index]
