"""What was answered to a request whose call ended by an exception of the caller's own: of a hook, or a token callable.

The exception reaches the caller as itself, so it cannot carry the answer. But who sends many requests (a bulk run, a
queue, a workflow) has to know what became of each. So the transport keeps the answer by its request, and the sender
takes it from here.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs

from synerise_profiles_api.errors import SyneriseError
from synerise_profiles_api.types import Request, Response

__all__ = ["CallersError", "Outcome", "callers_error"]

Outcome = Response[Any] | SyneriseError
"""The response to a request, or the typed error of one that failed."""


@attrs.frozen
class _Kept:
    outcome: Outcome | None


_KEPT: Final[WeakKeyDictionary[Request[Any], _Kept]] = WeakKeyDictionary()


class CallersError:
    """A `with` block around a function of the caller's: if it raises, the answer to the request is kept.

    `outcome` returns that answer. `is_ours` says that the block may raise a typed error of this library too, which is
    no error of the caller's.
    """

    __slots__ = ("_is_ours", "_outcome", "_request")

    def __init__(self, request: Request[Any], outcome: Callable[[], Outcome | None], *, is_ours: bool = False) -> None:
        self._request = request
        self._outcome = outcome
        self._is_ours = is_ours

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if exc is not None and not (self._is_ours and isinstance(exc, SyneriseError)):
            _KEPT[self._request] = _Kept(self._outcome())


def callers_error(request: Request[Any]) -> tuple[bool, Outcome | None]:
    """Return whether the exception that a call just ended by is the caller's own, and what was answered before it.

    The answer is None if the attempt was not sent.
    """
    kept = _KEPT.pop(request, None)
    return kept is not None, None if kept is None else kept.outcome
