"""The async driver, for asyncio and trio: runs a machine with tasks that send. It decides nothing; see `machine`.

Rows may come from an async iterable. One task of its own fetches them, so that a slow source holds up no response.
"""

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

T = TypeVar("T", bound=Task)
_AsyncSendFunction = Callable[[Request[Any]], Awaitable[Response[Any]]]


async def drive(
    machine: Machine[T], rows: Iterable[Any] | AsyncIterable[Any], send: _AsyncSendFunction, timing: Timing
) -> None:
    """Run a machine to its end.

    An error that the rows raise is raised once the requests in flight are answered; a cancellation waits for nothing.
    """
    # Raised after the group has ended, which would wrap it otherwise.
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        pool = _TaskPool[T](send, group)
        source = _ReadyRows(rows) if isinstance(rows, Iterable) else _FetchedRows(rows, group, pool.notify)
        try:
            while (step := machine.next()) is not DONE:
                if isinstance(step, Read):
                    if source.is_waiting:  # meanwhile results are taken, and what is due is sent
                        await pool.deliver(machine, step.seconds)
                    elif not machine.read(source.rows) and not source.request_more(machine.max_ready_rows):
                        machine.end()
                    # Reading takes a few milliseconds, in which no other task can run.
                    await checkpoint()
                elif not isinstance(step, Wait | Signal):
                    pool.start(step)
                elif pool.in_flight:
                    await pool.deliver(machine, step.seconds)
                else:
                    await timing.sleep_async(step.seconds or 0.0)
                pool.deliver_now(machine)
        except Exception as error:  # noqa: BLE001 - raised below
            failure = error
            while pool.in_flight:
                await pool.deliver(machine, None)
        finally:
            source.close()
    if failure is not None:
        raise failure


class _ReadyRows:
    """Rows of an ordinary iterable, which never have to be waited for."""

    is_waiting = False

    def __init__(self, rows: Iterable[Any]) -> None:
        self.rows: Iterator[Any] = iter(rows)

    def request_more(self, max_rows: int) -> bool:  # noqa: ARG002 - the iterable is read by the machine itself
        """Ask for so many further rows at most; false if there are none."""
        return False

    def close(self) -> None:
        """Read nothing more."""


class _FetchedRows(_ReadyRows):
    """Rows of an async iterable.

    One task fetches them all, from the first to the last: a source may hold a cancel scope, which belongs to its task.
    """

    def __init__(self, rows: AsyncIterable[Any], group: TaskGroup, notify: Callable[[], None]) -> None:
        super().__init__(())
        self._iterator = aiter(rows)
        self._notify = notify
        self._more_requested = anyio.Event()
        self._max_rows = 0
        self._scope = anyio.CancelScope()
        self._ended = False
        self._failure: Exception | None = None
        group.start_soon(self._fetch_all)

    def request_more(self, max_rows: int) -> bool:
        """Ask for so many further rows at most; raise the error of the source, after all that it gave before."""
        if self._failure is not None:
            raise self._failure
        if self._ended:
            return False
        self.is_waiting = True
        self._max_rows = max_rows
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
            while len(fetched) < self._max_rows:
                fetched.append(await anext(rows))
        except StopAsyncIteration:
            self._ended = True
        except Exception as error:  # noqa: BLE001 - raised when it is asked for more
            self._ended, self._failure = True, error
        return fetched


class _TaskPool(Generic[T]):
    """Tasks that send one request each, and their results."""

    def __init__(self, send: _AsyncSendFunction, group: TaskGroup) -> None:
        self.in_flight = 0
        self._send = send
        self._group = group
        self._results: deque[tuple[T, SendResult]] = deque()
        self._wakeup = anyio.Event()

    def start(self, task: T) -> None:
        """Send a request in a task."""
        self.in_flight += 1
        self._group.start_soon(self._work, task)

    def notify(self) -> None:
        """End the wait of `deliver`."""
        self._wakeup.set()

    async def deliver(self, machine: Machine[T], seconds: float | None) -> None:
        """Pass the results that are there to the machine; wait for the first one, or for `notify`, so many seconds."""
        if not self._results:
            with anyio.move_on_after(seconds):
                await self._wakeup.wait()
            self._wakeup = anyio.Event()
        self.deliver_now(machine)

    def deliver_now(self, machine: Machine[T]) -> None:
        """Pass the results that are there to the machine."""
        while self._results:
            self.in_flight -= 1
            machine.on_result(*self._results.popleft())

    async def _work(self, task: T) -> None:
        try:
            result = send_result_of(await self._send(task.request()))
        except Exception as error:  # noqa: BLE001 - the machine knows what it means
            result = send_result_of(error)
        self._results.append((task, result))
        self.notify()
