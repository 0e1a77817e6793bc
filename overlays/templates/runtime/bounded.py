"""What callers iterate over, read within bounds: it may come to no end, or have other items when it is read again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from itertools import islice
from typing import Any, Final, TypeVar

from .json_values import InvalidValueError

__all__ = ["READ_ONCE", "TOO_MANY", "items_of", "pairs_of"]

T = TypeVar("T")
_MAX_ITEMS: Final = 1_000_000
TOO_MANY: Final = "has more than {:,} items; no request carries so many"
_ENDLESS: Final = "yields more items than its length says; give a list of them"
READ_ONCE: Final = "can be read only once, or yields other items than its length says; give a dict"


def items_of(values: Iterable[T], most: int = _MAX_ITEMS) -> list[T]:
    """Return the items of something; raise InvalidValueError for more than its length says, or than so many."""
    try:
        count = len(values) if isinstance(values, Sized) else None
    except OverflowError:
        count = most + 1
    found = [] if count is not None and count > most else list(islice(values, (most if count is None else count) + 1))
    if len(found) > most or (count or 0) > most:
        raise InvalidValueError(TOO_MANY.format(most))
    if count is not None and len(found) > count:
        raise InvalidValueError(_ENDLESS)
    return found


def pairs_of(values: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    """Return the items of a mapping, whose values are read once.

    Raises InvalidValueError where it has not so many items as its length says, or no longer has them once it was read.
    """
    count = len(values)
    found = list(islice(values.items(), count + 1))
    if not len(found) == count == len(values) == len(list(islice(values, count + 1))):
        raise InvalidValueError(READ_ONCE)
    return found
