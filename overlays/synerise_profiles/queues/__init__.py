"""A bounded queue for running services, which sends in the background. Reached by `client.queue()`."""

from __future__ import annotations

from .errors import QueueClosedError, QueueFullError, UndeliveredWarning
from .results import FlushResult, QueueStats, Undelivered
from .tasks import AsyncInlet, AsyncQueue
from .threads import Inlet, Queue

__all__ = [
    "AsyncInlet",
    "AsyncQueue",
    "FlushResult",
    "Inlet",
    "Queue",
    "QueueClosedError",
    "QueueFullError",
    "QueueStats",
    "Undelivered",
    "UndeliveredWarning",
]
