"""Time as the sandbox sees it: milliseconds since 1970 and back."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], float]
"""Seconds since 1970; every moment in the sandbox comes from one such function, so that it can be moved."""

system_clock: Clock = time.time


def moment(seconds: float) -> datetime:
    """A moment in UTC."""
    return datetime.fromtimestamp(seconds, UTC)


def millis_of(text: str) -> int:
    """Read ISO 8601; what has no zone counts as UTC."""
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return round(value.timestamp() * 1000)


def iso_of(millis: int) -> str:
    """Write ISO 8601 in UTC with milliseconds."""
    return datetime.fromtimestamp(millis // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{millis % 1000:03d}Z"
