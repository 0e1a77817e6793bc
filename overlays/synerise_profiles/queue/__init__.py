"""A bounded queue for running services, which sends in the background. Reached by `client.queue()`.

`put` never waits for the server, only for room, and for as long as was chosen.
"""

from __future__ import annotations

from .async_queue import AsyncQueue
from .callbacks import UndeliveredWarning
from .producers import AsyncQueueProducer, QueueClosedError, QueueFullError, QueueProducer
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
