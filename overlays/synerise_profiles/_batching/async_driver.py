"""The async driver, for asyncio and trio: reads rows, sends requests from a window of tasks, waits. Decides nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request, Response

from .machine import DONE, Machine, Read, Signal, Task, Wait
from .send_result import SendResult, send_result_of

__all__ = ["drive"]

_MAX_FETCH_ROWS = 250
"""So many rows of an async source are handed over together."""
T = TypeVar("T", bound=Task)
_AsyncSendFunction = Callable[[Request[Any]], Awaitable[Response[Any]]]


async def drive(
    machine: Machine[T], rows: Iterable[Any] | AsyncIterable[Any], send: _AsyncSendFunction, timing: Timing
) -> None:
    """Run to the end. An error of the rows themselves waits for the answers on their way, a cancellation does not."""
    # Raised after the group has ended, which would wrap it otherwise.
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        window = _TaskPool[T](send, group)
        source = _ReadyRows(rows) if isinstance(rows, Iterable) else _FetchedRows(rows, group, window.notify)
        try:
            while (step := machine.next()) is not DONE:
                if isinstance(step, Read):
                    if source.is_waiting:  # answers are taken meanwhile, and what is due is sent
                        await window.deliver(machine, step.seconds)
                    elif not machine.read(source.rows) and not source.request_more():
                        machine.end()
                    # A checkpoint: reading takes a few milliseconds, in which nobody else can run.
                    await checkpoint()
                elif not isinstance(step, Wait | Signal):
                    window.start(step)
                elif window.in_flight:
                    await window.deliver(machine, step.seconds)
                else:
                    await timing.sleep_async(step.seconds or 0.0)
                window.deliver_now(machine)
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
            while window.in_flight:
                await window.deliver(machine, None)
        finally:
            source.close()
    if failure is not None:
        raise failure


class _ReadyRows:
    """Rows that are all at hand."""

    is_waiting = False

    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows: Iterator[Any] = iter(rows)

    def request_more(self) -> bool:
        """Ask for further rows; false if there are none."""
        return False

    def close(self) -> None:
        """Read nothing more."""


class _FetchedRows(_ReadyRows):
    """Rows that are waited for, by one task from the first to the last, since they may come from a context of it."""

    def __init__(self, rows: AsyncIterable[Any], group: TaskGroup, notify: Callable[[], None]) -> None:
        super().__init__(())
        self._iterator = aiter(rows)
        self._notify = notify
        self._more_requested = anyio.Event()
        self._scope = anyio.CancelScope()
        self._ended = False
        self._failure: Exception | None = None
        group.start_soon(self._fetch_all)

    def request_more(self) -> bool:
        """Ask for further rows. What the source gave before it failed has been handed over by then."""
        if self._failure is not None:
            raise self._failure
        if self._ended:
            return False
        self.is_waiting = True
        self._more_requested.set()
        return True

    def close(self) -> None:
        """Read nothing more."""
        self._scope.cancel()

    async def _fetch_all(self) -> None:
        with self._scope:
            while not self._ended:
                await self._more_requested.wait()
                self._more_requested = anyio.Event()
                self.rows = iter(await self._fetch(self._iterator))
                self.is_waiting = False
                self._notify()

    async def _fetch(self, rows: AsyncIterator[Any]) -> list[Any]:
        fetched: list[Any] = []
        try:
            while len(fetched) < _MAX_FETCH_ROWS:
                fetched.append(await anext(rows))
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - raised when it is asked for more
            self._ended, self._failure = True, error
        return fetched


class _TaskPool(Generic[T]):
    """Tasks that send one request each."""

    def __init__(self, send: _AsyncSendFunction, group: TaskGroup) -> None:
        self.in_flight = 0
        self._send = send
        self._group = group
        self._results: deque[tuple[T, SendResult]] = deque()
        self._wakeup = anyio.Event()

    def start(self, task: T) -> None:
        """Send a request."""
        self.in_flight += 1
        self._group.start_soon(self._work, task)

    def notify(self) -> None:
        """End the wait for an answer."""
        self._wakeup.set()

    async def deliver(self, machine: Machine[T], seconds: float | None) -> None:
        """Hand over the answers that are there; wait for the first one, or for a ring, as long as told."""
        if not self._results:
            with anyio.move_on_after(seconds):
                await self._wakeup.wait()
            self._wakeup = anyio.Event()
        self.deliver_now(machine)

    def deliver_now(self, machine: Machine[T]) -> None:
        """Hand over the answers that are there."""
        while self._results:
            self.in_flight -= 1
            machine.on_result(*self._results.popleft())

    async def _work(self, task: T) -> None:
        try:
            outcome = send_result_of(await self._send(task.request()))
        except Exception as error:  # noqa: BLE001 - the core knows what it means
            outcome = send_result_of(error)
        self._results.append((task, outcome))
        self.notify()
