"""The async driver, for asyncio and trio: reads rows, sends requests from a window of tasks, waits. Decides nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from synerise_profiles.timing import Timing
from synerise_profiles_api.types import Request, Response

from .outcomes import Outcome, outcome_of
from .steps import DONE, Course, Signal, Task, Wait

__all__ = ["drive"]

_FETCHED = 250
"""So many rows of an async source are handed over together."""
T = TypeVar("T", bound=Task)
_Sender = Callable[[Request[Any]], Awaitable[Response[Any]]]


async def drive(course: Course[T], rows: Iterable[Any] | AsyncIterable[Any], send: _Sender, timing: Timing) -> None:
    """Run to the end. An error of the rows themselves waits for the answers on their way, a cancellation does not."""
    source = _Source(rows)
    # Raised after the group has ended, which would wrap it otherwise.
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        window = _Window[T](send, group)
        try:
            while (step := course.next()) is not DONE:
                if isinstance(step, Signal):
                    await source.read_into(course)
                elif not isinstance(step, Wait):
                    window.begin(step)
                elif window.in_flight:
                    await window.tell(course, step.seconds)
                else:
                    await timing.asleep(step.seconds or 0.0)
                window.tell_now(course)
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
            while window.in_flight:
                await window.tell(course, None)
    if failure is not None:
        raise failure


class _Source:
    """Rows of either kind. Those of an async source are fetched some at a time, since they are read together."""

    def __init__(self, rows: Iterable[Any] | AsyncIterable[Any]) -> None:
        self._later = aiter(rows) if isinstance(rows, AsyncIterable) else None
        self._at_hand: Iterator[Any] = iter(()) if isinstance(rows, AsyncIterable) else iter(rows)
        self._failure: Exception | None = None

    async def read_into(self, course: Course[Any]) -> None:
        """Give rows to the core until it has enough, or they end."""
        while not course.read(self._at_hand):
            fetched = [] if self._later is None else await self._fetch(self._later)
            if not fetched:
                course.end()
                break
            self._at_hand = iter(fetched)
        # A checkpoint: reading takes a few milliseconds, in which nobody else can run.
        await checkpoint()

    async def _fetch(self, rows: AsyncIterator[Any]) -> list[Any]:
        """Wait for the next rows. What a source gave before it failed is handed over first."""
        if self._failure is not None:
            raise self._failure
        fetched: list[Any] = []
        try:
            while len(fetched) < _FETCHED:
                fetched.append(await anext(rows))
        except StopAsyncIteration:
            pass
        except Exception as error:
            if not fetched:
                raise
            self._failure = error
        return fetched


class _Window(Generic[T]):
    """Tasks that send one request each."""

    def __init__(self, send: _Sender, group: TaskGroup) -> None:
        self.in_flight = 0
        self._send = send
        self._group = group
        self._answers: deque[tuple[T, Outcome]] = deque()
        self._bell = anyio.Event()

    def begin(self, task: T) -> None:
        """Send a request."""
        self.in_flight += 1
        self._group.start_soon(self._work, task)

    async def tell(self, course: Course[T], seconds: float | None) -> None:
        """Hand over the answers that are there; wait for the first one as long as told."""
        if not self._answers:
            self._bell = anyio.Event()
            with anyio.move_on_after(seconds):
                await self._bell.wait()
        self.tell_now(course)

    def tell_now(self, course: Course[T]) -> None:
        """Hand over the answers that are there."""
        while self._answers:
            self.in_flight -= 1
            course.answered(*self._answers.popleft())

    async def _work(self, task: T) -> None:
        try:
            outcome = outcome_of(await self._send(task.request()))
        except Exception as error:  # noqa: BLE001 - the core knows what it means
            outcome = outcome_of(error)
        self._answers.append((task, outcome))
        self._bell.set()
