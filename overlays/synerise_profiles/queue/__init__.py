"""A bounded queue for running services, which sends in the background. Reached by `client.queue()`."""

from __future__ import annotations

from .async_queue import AsyncQueue
from .errors import QueueClosedError, QueueFullError, UndeliveredWarning
from .producers import AsyncInlet, Inlet
from .settings import QueueArguments
from .stats import FlushResult, QueueStats, Undelivered
from .sync_queue import Queue

__all__ = [
    "AsyncInlet",
    "AsyncQueue",
    "FlushResult",
    "Inlet",
    "Queue",
    "QueueArguments",
    "QueueClosedError",
    "QueueFullError",
    "QueueStats",
    "Undelivered",
    "UndeliveredWarning",
]
