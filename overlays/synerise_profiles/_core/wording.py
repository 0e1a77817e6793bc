"""Words that messages of all features share."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["counted", "looks_like_a_name", "raised_text", "were"]

_NAME: Final = re.compile(r"(?!.*\d{5})[^\W\d][\w .:-]{0,79}")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun, which takes an s but for one."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def were(count: int, noun: str) -> str:
    """Return a count with its noun and was, or were."""
    return f"{counted(count, noun)} {'was' if count == 1 else 'were'}"


def raised_text(error: BaseException) -> str:
    """Return what ended a run that an exception ended."""
    return "interrupted" if isinstance(error, KeyboardInterrupt) else f"{type(error).__name__} was raised"


def looks_like_a_name(key: str) -> bool:
    """Whether a key of somebody's data may be told: where objects are keyed by people it is an address or a number."""
    return _NAME.fullmatch(key) is not None
