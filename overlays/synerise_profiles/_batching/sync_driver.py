"""The sync driver: reads rows, sends requests from a window of threads, waits. It decides nothing."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request, Response

from .machine import DONE, Course, Read, Signal, Task, Wait
from .send_result import Outcome, outcome_of

__all__ = ["drive"]

T = TypeVar("T", bound=Task)
_Sender = Callable[[Request[Any]], Response[Any]]


def drive(course: Course[T], rows: Iterable[Any], send: _Sender, timing: Timing) -> None:
    """Run to the end. An error of the rows themselves waits for the answers on their way, an interruption does not."""
    iterator = iter(rows)
    window = _Window[T](send)
    try:
        while (step := course.next()) is not DONE:
            if isinstance(step, Read):
                if not course.read(iterator):
                    course.end()
            elif not isinstance(step, Wait | Signal):
                window.begin(step)
            elif window.in_flight:
                window.tell(course, step.seconds)
            else:
                timing.sleep(step.seconds or 0.0)
            window.tell(course, 0.0)
    except Exception:  # from the rows or a stopped run: what is in flight was sent, so its answers are still counted
        while window.in_flight:
            window.tell(course, None)
        raise
    except BaseException:  # Ctrl-C waits for nothing; what has been answered by now is counted
        window.tell(course, 0.0)
        raise
    finally:
        window.close()


class _Window(Generic[T]):
    """Threads that send one request at a time each; started when they are first needed."""

    def __init__(self, send: _Sender) -> None:
        self.in_flight = 0
        self._send = send
        self._tasks: SimpleQueue[T | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[T, Outcome]] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def begin(self, task: T) -> None:
        """Send a request."""
        self.in_flight += 1
        if self.in_flight > len(self._threads):
            # Daemons: the end of the program, or an interruption, does not wait for a server.
            thread = threading.Thread(target=self._work, name="synerise-bulk", daemon=True)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def tell(self, course: Course[T], seconds: float | None) -> None:
        """Hand over the answers that are there; wait for the first one as long as told."""
        for task, outcome in self._arrived(seconds):
            self.in_flight -= 1
            course.answered(task, outcome)

    def close(self) -> None:
        """Let the threads end; wait for those that have nothing to do."""
        for _ in self._threads:
            self._tasks.put(None)
        if not self.in_flight:
            for thread in self._threads:
                thread.join()

    def _arrived(self, seconds: float | None) -> Iterator[tuple[T, Outcome]]:
        with contextlib.suppress(Empty):
            if seconds != 0.0:
                yield self._answers.get(timeout=seconds)
            while True:
                yield self._answers.get_nowait()

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            try:
                outcome = outcome_of(self._send(task.request()))
            except Exception as error:  # noqa: BLE001 - the core knows what it means
                outcome = outcome_of(error)
            self._answers.put((task, outcome))
            # Or a thread that waits would keep its last chunk.
            del task, outcome
