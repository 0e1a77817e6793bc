"""The queues of this process, for the two moments at which nobody calls them: atexit and fork.

At the end of the program every queue starts to send what it holds, and then each is waited for, up to its own
`exit_timeout`; what is left is written to the spill file and counted in a warning. Ctrl-C ends the waiting, and not
that. The threads are daemons, so a server that is away cannot keep the program alive. A child of fork has a copy of the
rows but none of the threads, and its locks may be held by threads that it does not have; so a queue forgets everything
in the child (the parent sends its rows) and gets new locks. With gevent the locks and threads are greenlets' ones, as
soon as it has patched them: they are looked up when a queue is made, and no wait is longer than its deadline. A process
that is killed runs none of this.
"""

from __future__ import annotations

import atexit
import os
import sys
import time
from typing import Any, Protocol
from weakref import WeakSet

from synerise_profiles._core.error_chain import first_error

__all__ = ["ShutdownHook", "register"]


class ShutdownHook(Protocol):
    """What a queue does at these moments."""

    def start_shutdown(self) -> float:
        """Start to send what is held; return the seconds that it may take."""
        ...

    def finish_shutdown(self, seconds: float, /) -> None:
        """Wait for so many seconds at most, close, and warn of what is left."""
        ...

    def after_fork(self) -> None:
        """Forget all that is the parent's: rows, counters, locks and threads."""
        ...


# Weak, so that a queue that was forgotten can go. One that holds rows is kept alive by its threads, so it is in here.
_queues: WeakSet[ShutdownHook] = WeakSet()
_installed_hooks: set[str] = set()


def register(queue: ShutdownHook) -> None:
    """Let a queue take part; the hooks are installed for the first one."""
    _queues.add(queue)
    if "exit" not in _installed_hooks:
        _installed_hooks.add("exit")
        atexit.register(_at_exit)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    _watch_worker_process()


def _watch_worker_process() -> None:
    """Install a finalizer in a process of multiprocessing: it ends without atexit, but runs finalizers of its own."""
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
    started_at = time.monotonic()
    # All of them start first, so that none waits for another.
    timeouts = [(queue, queue.start_shutdown()) for queue in list(_queues)]
    problem: BaseException | None = None
    while timeouts:
        queue, seconds = timeouts[0]
        is_interrupted = problem is not None and not isinstance(problem, Exception)
        try:
            queue.finish_shutdown(0.0 if is_interrupted else max(0.0, started_at + seconds - time.monotonic()))
        except Exception as error:  # noqa: BLE001 - a warning that is an error; the other queues come first
            problem = first_error(problem, error)
        except BaseException as error:  # noqa: BLE001 - Ctrl-C, or what another handler raises, once for each queue
            is_second, problem = is_interrupted, error
            if not is_second:
                continue
        timeouts.pop(0)
    if problem is not None:
        raise problem


def _after_fork() -> None:
    for queue in list(_queues):
        queue.after_fork()
