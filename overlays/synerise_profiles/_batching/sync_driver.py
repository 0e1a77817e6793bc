"""The sync driver: runs a machine with a pool of threads that send. It decides nothing; see `machine`.

Rows are read in the caller's thread, so a source need not be thread-safe; only sending happens beside it.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request, Response

from .machine import DONE, Machine, Read, Signal, Task, Wait
from .send_result import SendResult, send_result_of

__all__ = ["drive"]

T = TypeVar("T", bound=Task)
_SendFunction = Callable[[Request[Any]], Response[Any]]


def drive(machine: Machine[T], rows: Iterable[Any], send: _SendFunction, timing: Timing) -> None:
    """Run a machine to its end.

    An error that the rows raise is raised once the requests in flight are answered; Ctrl-C waits for nothing.
    """
    iterator = iter(rows)
    pool = _ThreadPool[T](send)
    try:
        while (step := machine.next()) is not DONE:
            if isinstance(step, Read):
                if not machine.read(iterator):
                    machine.end()
            elif not isinstance(step, Wait | Signal):
                pool.start(step)
            elif pool.in_flight:
                pool.deliver(machine, step.seconds)
            else:
                timing.sleep(step.seconds or 0.0)
            pool.deliver(machine, 0.0)
    except Exception:  # from the rows or a stopped run: what is in flight was sent, so its results still count
        while pool.in_flight:
            pool.deliver(machine, None)
        raise
    except BaseException:  # Ctrl-C waits for nothing; results that are there count
        pool.deliver(machine, 0.0)
        raise
    finally:
        pool.close()


class _ThreadPool(Generic[T]):
    """Threads that send one request at a time each; another one is started when all are busy."""

    def __init__(self, send: _SendFunction) -> None:
        self.in_flight = 0
        self._send = send
        self._tasks: SimpleQueue[T | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[T, SendResult]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, task: T) -> None:
        """Send a request in a thread."""
        self.in_flight += 1
        if self.in_flight > len(self._threads):
            # Daemons: the end of the program, or an interruption, does not wait for a server.
            thread = threading.Thread(target=self._work, name="synerise-bulk", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def deliver(self, machine: Machine[T], seconds: float | None) -> None:
        """Pass the results that are there to the machine; wait for the first one so many seconds, None without end."""
        for task, result in self._take_results(seconds):
            self.in_flight -= 1
            machine.on_result(task, result)

    def close(self) -> None:
        """Let the threads end; wait for them unless one is still sending."""
        for _ in self._threads:
            self._tasks.put(None)
        if not self.in_flight:
            for thread in self._threads:
                thread.join()

    def _take_results(self, seconds: float | None) -> Iterator[tuple[T, SendResult]]:
        with contextlib.suppress(Empty):
            if seconds != 0.0:
                yield self._results.get(timeout=seconds)
            while True:
                yield self._results.get_nowait()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                result = send_result_of(self._send(task.request()))
            except Exception as error:  # noqa: BLE001 - the machine knows what it means
                result = send_result_of(error)
            self._results.put((task, result))
            # Or a thread that waits would keep its last chunk in memory.
            del task, result
