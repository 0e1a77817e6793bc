"""Which queues there are, for the two moments that nobody calls: the end of the program, and the child of a fork."""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Protocol
from weakref import WeakSet

__all__ = ["ShutdownHook", "register"]


class ShutdownHook(Protocol):
    """A queue, seen from here."""

    def start_shutdown(self) -> float:
        """Begin to send what is held; return the seconds that it may take."""
        ...

    def finish_shutdown(self, seconds: float, /) -> None:
        """Wait so long, close, and warn of what is left."""
        ...

    def after_fork(self) -> None:
        """Forget all that is the parent's: rows, counters, locks and threads."""
        ...


# A queue that holds something is held by its threads, so it is here even if the program forgot it.
_queues: WeakSet[ShutdownHook] = WeakSet()
_installed_hooks: set[str] = set()


def register(queue: ShutdownHook) -> None:
    """Let a queue take part."""
    _queues.add(queue)
    if "exit" not in _installed_hooks:
        _installed_hooks.add("exit")
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _watch_worker_process()


def _watch_worker_process() -> None:
    """A process of multiprocessing ends without atexit, but with finalizers of its own, set in that process."""
    key = f"finalizer {os.getpid()}"
    loaded = sys.modules.get("multiprocessing.util")
    if loaded is None or key in _installed_hooks:
        return
    from multiprocessing import parent_process, util  # noqa: PLC0415 - loaded already, or of no interest

    if parent_process() is not None:
        _installed_hooks.add(key)
        finalize: Any = util.Finalize
        finalize(None, _at_exit, exitpriority=100)


def _at_exit() -> None:
    begun = time.monotonic()
    # All of them first, so that none waits for another.
    waits = [(queue, queue.start_shutdown()) for queue in list(_queues)]
    problem: Warning | None = None
    for queue, seconds in waits:
        try:
            queue.finish_shutdown(max(0.0, begun + seconds - time.monotonic()))
        except Warning as warning:  # where warnings are errors; the other queues come first
            problem = warning
    if problem is not None:
        raise problem


def _after_fork() -> None:
    for queue in list(_queues):
        queue.after_fork()
