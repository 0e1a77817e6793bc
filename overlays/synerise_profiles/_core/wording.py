"""Words that messages of all features share."""

from __future__ import annotations

__all__ = ["counted"]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s but for one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
