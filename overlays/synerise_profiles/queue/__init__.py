"""A bounded queue for running services, which sends in the background. Reached by `client.queue()`."""

from __future__ import annotations

from .async_queue import AsyncQueue
from .errors import QueueClosedError, QueueFullError, UndeliveredWarning
from .producers import AsyncQueueProducer, QueueProducer
from .settings import QueueArguments
from .stats import FlushResult, QueueStats, Undelivered
from .sync_queue import Queue

__all__ = [
    "AsyncQueue",
    "AsyncQueueProducer",
    "FlushResult",
    "Queue",
    "QueueArguments",
    "QueueClosedError",
    "QueueFullError",
    "QueueProducer",
    "QueueStats",
    "Undelivered",
    "UndeliveredWarning",
]
