"""What a queue raises, and what it warns of."""

from __future__ import annotations

from synerise_profiles_api.errors import SyneriseError

__all__ = ["QueueClosedError", "QueueFullError", "UndeliveredWarning"]


class QueueFullError(SyneriseError):
    """The queue had no room in time; the row was not put."""


class QueueClosedError(SyneriseError):
    """The queue is closed, or was not entered yet; the row was not put."""


class UndeliveredWarning(RuntimeWarning):
    """Rows were left in a queue that nobody closed, and the time for sending them was over. It counts them."""
