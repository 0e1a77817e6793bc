"""Where rows are put: an inlet for each kind, sync and async, and the core behind them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from synerise_profiles._batching import operations
from synerise_profiles._batching.rejection import count_note
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles._core.timing import Timing

from .channels import Lane
from .core import Core
from .encoding import Writer, Written
from .settings import QueueSettings

__all__ = ["AsyncInlet", "Inlet", "Works"]

T = TypeVar("T")


class Works:
    """What both queues are made of: the core, and what writes the rows of each of its lanes."""

    def __init__(self, settings: QueueSettings, policy: RetryPolicy, timing: Timing) -> None:
        known = (operations.events(), operations.profiles(), operations.transactions())
        self.notes: dict[str, int] = {}
        note = partial(count_note, self.notes)
        self.core = Core(known, settings, policy, timing)
        writers = [Writer(kind, settings, note) for kind in known]
        self.events, self.profiles, self.transactions = zip(self.core.lanes, writers, strict=True)


class Holds(Protocol):
    """A queue, seen from an inlet."""

    def hold(self, lane: Lane, written: Written, timeout: float | None) -> None:
        """Hold a row that was checked and written."""
        ...


class AsyncHolds(Protocol):
    """An async queue, seen from an inlet."""

    async def hold(self, lane: Lane, written: Written, timeout: float | None) -> None:  # noqa: ASYNC109 - as the sync one
        """Hold a row that was checked and written."""
        ...

    def hold_now(self, lane: Lane, written: Written) -> None:
        """Hold a row that was checked and written, without waiting."""
        ...


class Inlet(Generic[T]):
    """Where rows of one kind are put."""

    def __init__(self, queue: Holds, lane: Lane, writer: Writer) -> None:
        self._queue = queue
        self._lane = lane
        self._write = writer.write

    def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None) -> None:
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        self._queue.hold(self._lane, self._write(row), timeout)


class AsyncInlet(Generic[T]):
    """Where rows of one kind are put."""

    def __init__(self, queue: AsyncHolds, lane: Lane, writer: Writer) -> None:
        self._queue = queue
        self._lane = lane
        self._write = writer.write

    async def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as the sync one
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        await self._queue.hold(self._lane, self._write(row), timeout)

    def put_nowait(self, row: T | Mapping[str, Any]) -> None:
        """Put a row without waiting for room; raises as `put` does."""
        self._queue.hold_now(self._lane, self._write(row))
