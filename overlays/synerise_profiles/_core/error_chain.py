"""Which exceptions belong to one that ended a run: those that it came of, and those that an event loop made of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

__all__ = ["endings", "related_errors"]


def related_errors(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, what it groups, its causes and its contexts, each once, the nearest first."""
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting:
        found = waiting.pop(0)
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        if isinstance(found, BaseExceptionGroup):
            waiting += cast("BaseExceptionGroup[BaseException]", found).exceptions
        waiting += [found.__cause__, found.__context__]


def endings(error: BaseException, handled: BaseException | None) -> Iterator[BaseException]:
    """Yield the exceptions by which a caller may see that `error` ended a run; `handled` was there before the run.

    What a signal's handler raises while a loop waits ends the loop, and reaches the run as a cancellation alone.
    """
    yield error
    is_cancellation = not isinstance(error, Exception | KeyboardInterrupt | SystemExit | GeneratorExit)
    cause = error.__context__
    if is_cancellation and cause is not None and cause is not handled:
        yield cause
