"""Words that messages of all features share."""

from __future__ import annotations

__all__ = ["counted", "raised_text", "were"]


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s but for one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def were(count: int, noun: str) -> str:
    """Return a count with its noun and was, or were."""
    return f"{counted(count, noun)} {'was' if count == 1 else 'were'}"


def raised_text(error: BaseException) -> str:
    """Return what ended a run that an exception ended."""
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__} was raised"
