"""Where a deprecated operation is called: the caller's own line, through this library and what runs it."""

from __future__ import annotations

import functools
import inspect
import sys
import warnings
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from types import FrameType
from typing import Any, NamedTuple, TypeVar, cast

__all__ = ["Site", "caller", "remembers_caller"]

M = TypeVar("M", bound=Callable[..., Coroutine[Any, Any, Any]])
R = TypeVar("R")

_OURS = frozenset({"synerise_profiles", "synerise_profiles_api"})
# What runs coroutines and threads, or stands between a call and what is called, is nobody's own line either.
_PLUMBING = frozenset(
    {"anyio", "asyncio", "concurrent", "contextlib", "functools", "outcome", "threading", "trio", "uvloop"}
)


class Site(NamedTuple):
    """A line of somebody's program, with what its module remembers of warnings."""

    filename: str
    line: int
    module: str
    registry: dict[Any, Any]

    def warn(self, warning: Warning) -> None:
        """Warn at this line, once: again only after the filters of warnings were changed."""
        warnings.warn_explicit(warning, None, self.filename, self.line, self.module, self.registry)
        # Python does not keep this for the filter "always"; it looks it up before any filter, and forgets it when
        # filters change, so that `catch_warnings` and `pytest.warns` see every line anew.
        self.registry[str(warning), type(warning), self.line] = True


_SITE: ContextVar[Site | None] = ContextVar("synerise_profiles_call_site", default=None)


def caller() -> Site:
    """Return the nearest line outside this library; that of a coroutine which was made elsewhere is remembered."""
    # What `inspect.currentframe` would return, one frame further out.
    frame = sys._getframe(1)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
    return _SITE.get() or _nearest(frame)


def remembers_caller(method: M) -> M:
    """Make an async method whose coroutine knows where it was called: a task runs it without that frame."""

    @functools.wraps(method)
    def begin(*args: Any, **kwargs: Any) -> Any:
        begun: Any = _run(caller(), method, args, kwargs)
        begun.__qualname__, begun.__name__ = method.__qualname__, method.__name__  # for "was never awaited"
        return begun

    mark = getattr(inspect, "markcoroutinefunction", None)  # since Python 3.12
    return cast("M", begin if mark is None else mark(begin))


async def _run(
    site: Site, method: Callable[..., Coroutine[Any, Any, R]], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> R:
    token = _SITE.set(site)
    try:
        return await method(*args, **kwargs)
    finally:
        _SITE.reset(token)


def _nearest(frame: FrameType) -> Site:
    """Walk outwards to the first frame that is the caller's; failing that, to the first one that is not ours."""
    found: FrameType | None = None
    at: FrameType | None = frame
    while at is not None:
        top = str(at.f_globals.get("__name__", "")).partition(".")[0]
        if top not in _OURS:
            if top not in _PLUMBING:
                return _site(at)
            found = found or at
        frame, at = at, at.f_back
    return _site(found or frame)


def _site(frame: FrameType) -> Site:
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    module = str(frame.f_globals.get("__name__") or "<unknown>")
    return Site(frame.f_code.co_filename, frame.f_lineno, module, registry)
