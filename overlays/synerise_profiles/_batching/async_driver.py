"""The async driver, for asyncio and trio: runs a machine with tasks that send. It decides nothing; see `machine`.

Rows may come from an async iterable. One task of its own fetches them, so that a slow source holds up no response.
"""

from __future__ import annotations

import copy
import inspect
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, Final, Generic, TypeVar, cast

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import checkpoint

from synerise_profiles._core.attempts import callers_error
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.types import Request, Response

from .machine import DONE, Call, Machine, Read, Signal, Task, Wait
from .send_result import SendResult, result_of_exception, result_of_unbuilt, send_result_of

__all__ = ["drive"]

T = TypeVar("T", bound=Task)
_MAX_CALL_SECONDS: Final = 1.0
"""For so long a function of the caller's is awaited at the end of a run that was ended from outside."""
_AsyncSendFunction = Callable[[Request[Any]], Awaitable[Response[Any]]]


async def drive(
    machine: Machine[T], rows: Iterable[Any] | AsyncIterable[Any], send: _AsyncSendFunction, timing: Timing
) -> None:
    """Run a machine to its end.

    What the rows, or a function of the caller, raise is raised as it is, once the requests in flight are answered;
    a cancellation and Ctrl-C wait for nothing.
    """
    cancelled = anyio.get_cancelled_exc_class()
    # Raised after the group has ended, which would wrap it otherwise.
    failure: BaseException | None = None
    try:
        async with anyio.create_task_group() as group:
            pool = _TaskPool[T](send, group)
            source = _source_of(rows, group, pool.notify)
            machine.unread_rows, machine.stop_driver = source.unread, lambda: pool.deliver_now(machine)
            try:
                await _run(machine, source, pool, timing)
            except BaseException as error:
                machine.fail(error)
                try:
                    # Nothing else waits; results that are there count.
                    if isinstance(error, Exception) and not isinstance(error, cancelled):
                        await pool.deliver_all(machine)
                finally:
                    _close(machine)  # before the group waits for tasks that it cancels
                if isinstance(error, cancelled):
                    raise
                failure = error
                group.cancel_scope.cancel()
            finally:
                source.close()
    except BaseExceptionGroup as struck:  # a signal's handler raised within a task
        failure = _first_of(struck) if failure is None else failure
        machine.fail(failure)
    except BaseException as error:  # one that raised before anything ran, among others
        machine.fail(error)
        raise
    finally:
        await _finish(machine)
    failure = first_error(failure, machine.failure)
    if failure is not None:
        raise failure


def _first_of(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = cast("BaseExceptionGroup[BaseException]", error).exceptions[0]
    return error


async def _run(machine: Machine[T], source: _ReadyRows, pool: _TaskPool[T], timing: Timing) -> None:
    cancelled = anyio.get_cancelled_exc_class()
    while (step := machine.next()) is not DONE:
        if isinstance(step, Read):
            if source.is_waiting:  # meanwhile results are taken, and what is due is sent
                await pool.deliver(machine, step.seconds)
            else:
                try:
                    if not machine.read(source.rows()) and not source.request_more(machine.max_ready_rows):
                        machine.end()
                except (KeyboardInterrupt, cancelled):
                    raise
                except BaseException as error:  # noqa: BLE001 - raised in the end
                    machine.fail(error)
            # Reading takes a few milliseconds, in which no other task can run.
            await checkpoint()
        elif isinstance(step, Call):
            await _call(machine, step)
        elif not isinstance(step, Wait | Signal):
            pool.start(step)
        elif pool.in_flight:
            await pool.deliver(machine, step.seconds)
            continue
        else:
            await timing.sleep_async(step.seconds or 0.0)
        pool.deliver_now(machine)


async def _finish(machine: Machine[Any]) -> None:
    """End a machine, and make the calls that are due then, also where it was cancelled."""
    _close(machine)
    while isinstance(step := machine.next(), Call):
        await _call(machine, step)


def _close(machine: Machine[Any]) -> None:
    with SignalHold():
        machine.close()


async def _call(machine: Machine[Any], call: Call) -> None:
    """Call a function of the caller's, which may be a coroutine function; of a run that fails it is not cancelled."""
    try:
        with anyio.move_on_after(_MAX_CALL_SECONDS, shield=True) if machine.failure is not None else nullcontext():
            result = call.function(call.argument)
            if inspect.isawaitable(result):
                await result
    except (KeyboardInterrupt, anyio.get_cancelled_exc_class()):
        call.on_failure()
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the end
        call.on_failure()
        machine.fail(error)


class _ReadyRows:
    """Rows of an ordinary iterable, which never have to be waited for."""

    is_waiting = False

    def __init__(self, rows: Iterable[Any]) -> None:
        self._given = rows
        self._rows: Iterator[Any] | None = None

    def rows(self) -> Iterator[Any]:
        """Return the rows that are there, as one iterator."""
        if self._rows is None:
            self._rows = iter(self._given)
        return self._rows

    def request_more(self, max_rows: int) -> bool:  # noqa: ARG002 - the iterable is read by the machine itself
        """Ask for so many further rows at most; false if there are none."""
        return False

    def unread(self) -> list[Any]:
        """Return the rows that came from an async iterable and were not read."""
        return []

    def close(self) -> None:
        """Read nothing more."""


class _FetchedRows(_ReadyRows):
    """Rows of an async iterable.

    One task fetches them all, from the first to the last: a source may hold a cancel scope, which belongs to its task.
    """

    def __init__(self, rows: AsyncIterable[Any], group: TaskGroup, notify: Callable[[], None]) -> None:
        super().__init__(())
        self._source = rows
        self._iterator: AsyncIterator[Any] | None = None
        self._notify = notify
        self._more_requested = anyio.Event()
        self._max_rows = 0
        self._fetched: list[Any] = []
        self._scope = anyio.CancelScope()
        self._ended = False
        self._failure: BaseException | None = None
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

    def unread(self) -> list[Any]:
        """Return the rows that were fetched and not read."""
        return [*copy.copy(self.rows()), *self._fetched]

    def close(self) -> None:
        """Read nothing more."""
        self._scope.cancel()

    async def _fetch_all(self) -> None:
        with self._scope:
            while not self._ended:
                await self._more_requested.wait()
                self._more_requested = anyio.Event()
                await self._fetch()
                self._rows, self._fetched = iter(self._fetched), []
                self.is_waiting = False
                self._notify()

    async def _fetch(self) -> None:
        try:
            if self._iterator is None:
                self._iterator = aiter(self._source)
            while len(self._fetched) < self._max_rows:
                self._fetched.append(await anext(self._iterator))
        except StopAsyncIteration:
            self._ended = True
        except anyio.get_cancelled_exc_class() as error:
            if self._scope.cancel_called:
                raise
            self._ended, self._failure = True, error  # the source itself was cancelled
        except BaseException as error:  # noqa: BLE001 - raised when it is asked for more
            self._ended, self._failure = True, error


def _source_of(rows: Iterable[Any] | AsyncIterable[Any], group: TaskGroup, notify: Callable[[], None]) -> _ReadyRows:
    return _ReadyRows(rows) if isinstance(rows, Iterable) else _FetchedRows(rows, group, notify)


class _TaskPool(Generic[T]):
    """Tasks that send one request each, and their results."""

    def __init__(self, send: _AsyncSendFunction, group: TaskGroup) -> None:
        self._send = send
        self._group = group
        self._results: deque[tuple[T, SendResult, BaseException | None]] = deque()
        self._open: set[int] = set()
        self._wakeup = anyio.Event()

    @property
    def in_flight(self) -> int:
        """How many requests have no result yet that the machine has."""
        return len(self._open)

    def start(self, task: T) -> None:
        """Send a request in a task."""
        self._group.start_soon(self._work, task)
        self._open.add(id(task))

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

    async def deliver_all(self, machine: Machine[T]) -> None:
        """Wait for all that is in flight, and pass its results to the machine."""
        while self._open:
            await self.deliver(machine, None)

    def deliver_now(self, machine: Machine[T]) -> None:
        """Pass the results that are there to the machine."""
        while self._results:
            task, result, failure = self._results[0]
            if failure is not None:
                machine.fail(failure)
            machine.on_result(task, result)
            self._open.discard(id(task))
            self._results.popleft()

    async def _work(self, task: T) -> None:
        self._results.append((task, *await self._result_of(task)))
        self.notify()

    async def _result_of(self, task: T) -> tuple[SendResult, BaseException | None]:
        try:
            request = task.request()
        except BaseException as error:  # noqa: BLE001 - likewise
            return result_of_unbuilt(error)
        try:
            return send_result_of(await self._send(request)), None
        except anyio.get_cancelled_exc_class():
            _, outcome = callers_error(request)
            if outcome is not None:  # it came while a hook ran, after the answer
                self._results.append((task, send_result_of(outcome), None))
            raise
        except BaseException as error:  # noqa: BLE001 - the caller's is raised in the end; the machine knows the others
            return result_of_exception(request, error)
