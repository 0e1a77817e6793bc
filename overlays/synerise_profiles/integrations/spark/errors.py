"""The error that a write to Spark's sink ends with."""

from __future__ import annotations

from synerise_profiles.errors import SyneriseError

__all__ = ["SparkWriteError"]


class SparkWriteError(SyneriseError):
    """A write whose tasks are done did not go well: too many rows were refused, or rows of a profile were torn apart.

    Its text holds the summary. Spark raises it from `save()`, and from a streaming query, as the text of its own error.
    """
