"""Writes that were accepted with 202 and dropped afterwards: visible here and nowhere in the API."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from .bundle import Json


@dataclass(frozen=True, slots=True)
class Dropped:
    """One item that did not take effect: `index` is its place in the request, `time` in ISO 8601."""

    time: str
    operation: str
    index: int
    reason: str
    item: Json


class Journal:
    """The last dropped items, newest last. Adding and copying are safe from any thread."""

    def __init__(self, size: int = 100_000) -> None:
        self._entries: deque[Dropped] = deque(maxlen=size)

    def add(self, entry: Dropped) -> None:
        """Note one item; beyond the size the oldest goes."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all items."""
        self._entries.clear()

    def __iter__(self) -> Iterator[Dropped]:
        return iter(self._entries.copy())

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Dropped:
        return self._entries[index]
