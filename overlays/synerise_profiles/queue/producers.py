"""Where rows are put: an inlet for each kind, sync and async, and the core behind them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from synerise_profiles._batching import operations
from synerise_profiles._batching.rejection import count_note
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing

from .channels import Channel
from .core import QueueCore
from .encoding import EncodedRow, QueueRowEncoder
from .settings import QueueSettings

__all__ = ["AsyncQueueProducer", "QueueParts", "QueueProducer"]

T = TypeVar("T")


class QueueParts:
    """What both queues are made of: the core, and what writes the rows of each of its lanes."""

    def __init__(self, settings: QueueSettings, policy: RetryPolicy, timing: Timing) -> None:
        known = (operations.events(), operations.profiles(), operations.transactions())
        self.notes: dict[str, int] = {}
        note = partial(count_note, self.notes)
        self.core = QueueCore(known, settings, policy, timing)
        writers = [QueueRowEncoder(kind, settings, note) for kind in known]
        self.events, self.profiles, self.transactions = zip(self.core.channels, writers, strict=True)


class QueueLike(Protocol):
    """A queue, seen from an inlet."""

    def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:
        """Hold a row that was checked and written."""
        ...


class AsyncQueueLike(Protocol):
    """An async queue, seen from an inlet."""

    async def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:  # noqa: ASYNC109 - as the sync one
        """Hold a row that was checked and written."""
        ...

    def enqueue_nowait(self, channel: Channel, encoded_row: EncodedRow) -> None:
        """Hold a row that was checked and written, without waiting."""
        ...


class QueueProducer(Generic[T]):
    """Where rows of one kind are put."""

    def __init__(self, queue: QueueLike, channel: Channel, encoder: QueueRowEncoder) -> None:
        self._queue = queue
        self._channel = channel
        self._encode = encoder.encode

    def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None) -> None:
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        self._queue.enqueue(self._channel, self._encode(row), timeout)


class AsyncQueueProducer(Generic[T]):
    """Where rows of one kind are put."""

    def __init__(self, queue: AsyncQueueLike, channel: Channel, encoder: QueueRowEncoder) -> None:
        self._queue = queue
        self._channel = channel
        self._encode = encoder.encode

    async def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as the sync one
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        await self._queue.enqueue(self._channel, self._encode(row), timeout)

    def put_nowait(self, row: T | Mapping[str, Any]) -> None:
        """Put a row without waiting for room; raises as `put` does."""
        self._queue.enqueue_nowait(self._channel, self._encode(row))
