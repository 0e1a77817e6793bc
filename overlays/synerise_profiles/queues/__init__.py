"""A bounded queue for running services, which sends in the background. Reached by `client.queue()`."""

from __future__ import annotations

from .errors import QueueClosedError, QueueFullError, UndeliveredWarning
from .inlets import AsyncInlet, Inlet
from .results import FlushResult, QueueStats, Undelivered
from .settings import QueueArguments
from .tasks import AsyncQueue
from .threads import Queue

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
