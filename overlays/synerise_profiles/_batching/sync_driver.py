"""The sync driver: reads rows, sends requests from a window of threads, waits. It decides nothing."""

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
    """Run to the end. An error of the rows themselves waits for the answers on their way, an interruption does not."""
    iterator = iter(rows)
    window = _ThreadPool[T](send)
    try:
        while (step := machine.next()) is not DONE:
            if isinstance(step, Read):
                if not machine.read(iterator):
                    machine.end()
            elif not isinstance(step, Wait | Signal):
                window.start(step)
            elif window.in_flight:
                window.deliver(machine, step.seconds)
            else:
                timing.sleep(step.seconds or 0.0)
            window.deliver(machine, 0.0)
    except Exception:  # from the rows or a stopped run: what is in flight was sent, so its answers are still counted
        while window.in_flight:
            window.deliver(machine, None)
        raise
    except BaseException:  # Ctrl-C waits for nothing; what has been answered by now is counted
        window.deliver(machine, 0.0)
        raise
    finally:
        window.close()


class _ThreadPool(Generic[T]):
    """Threads that send one request at a time each; started when they are first needed."""

    def __init__(self, send: _SendFunction) -> None:
        self.in_flight = 0
        self._send = send
        self._tasks: SimpleQueue[T | None] = SimpleQueue()
        self._results: SimpleQueue[tuple[T, SendResult]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def start(self, task: T) -> None:
        """Send a request."""
        self.in_flight += 1
        if self.in_flight > len(self._threads):
            # Daemons: the end of the program, or an interruption, does not wait for a server.
            thread = threading.Thread(target=self._work, name="synerise-bulk", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def deliver(self, machine: Machine[T], seconds: float | None) -> None:
        """Hand over the answers that are there; wait for the first one as long as told."""
        for task, outcome in self._take_results(seconds):
            self.in_flight -= 1
            machine.on_result(task, outcome)

    def close(self) -> None:
        """Let the threads end; wait for those that have nothing to do."""
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
                outcome = send_result_of(self._send(task.request()))
            except Exception as error:  # noqa: BLE001 - the core knows what it means
                outcome = send_result_of(error)
            self._results.put((task, outcome))
            # Or a thread that waits would keep its last chunk.
            del task, outcome
