"""The sync driver: runs a machine with a pool of threads that send. It decides nothing; see `machine`.

Rows are read in the caller's thread, so a source need not be thread-safe; only sending happens beside it. Where a
machine wants rows as they come, a thread of its own drives it while the caller's thread waits for the next one.
"""

from __future__ import annotations

import contextlib
import contextvars
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, TypeVar

from synerise_profiles._core.callables import closed_coroutine, is_awaitable
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.types import Request, Response

from .machine import DONE, Call, Machine, Read, Signal, Task, Wait
from .send_result import SendResult, result_of_exception, result_of_unbuilt, send_result_of

__all__ = ["drive"]

T = TypeVar("T", bound=Task)
_MAX_JOIN_SECONDS: Final = 1.0
"""An idle thread ends at once. One that sends, though an interruption hid that, is not waited for."""
_END: Final = object()
_FORKED_TEXT: Final = "a run goes on only in the process that began it: read none of its rows in a child of fork"
_SendFunction = Callable[[Request[Any]], Response[Any]]


def drive(machine: Machine[T], rows: Iterable[Any], send: _SendFunction, timing: Timing) -> None:
    """Run a machine to its end.

    What the rows, or a function of the caller, raise is raised as it is, once the requests in flight are answered;
    Ctrl-C waits for nothing, nor does what else comes from outside and is no Exception.
    """
    pool = _ThreadPool[T](send)
    watch = _SourceWatch(machine, pool) if machine.wants_rows_at_once else None

    def stop() -> None:
        if watch is not None:
            watch.stop()
        pool.end()
        pool.deliver(machine, 0.0)

    machine.stop_driver = stop
    try:
        try:
            _run(machine, rows if watch is None else watch.watched(rows), pool, timing)
        finally:
            if watch is not None:
                watch.stop()
        if watch is not None:  # a row may have come since the end
            _finish(machine, watch)
    except BaseException as error:
        machine.fail(error)
        try:
            # Ctrl-C waits for nothing; results that are there count.
            if isinstance(error, Exception) and not pool.is_of_parent:
                pool.deliver_all(machine)
        finally:
            _finish(machine, watch)
        raise
    finally:
        pool.close()
    machine.stop_driver = tuple
    if machine.failure is not None:
        raise machine.failure


def _run(machine: Machine[T], rows: Iterable[Any], pool: _ThreadPool[T], timing: Timing) -> None:
    iterator: Iterator[Any] = iter(())
    try:
        iterator = iter(rows)
    except Exception as error:  # noqa: BLE001 - raised in the end
        machine.fail(error)
    while (step := machine.next()) is not DONE:
        if pool.is_of_parent:
            raise RuntimeError(_FORKED_TEXT) if machine.failure is None else machine.failure
        if isinstance(step, Read):
            try:
                if not machine.read(iterator):
                    machine.end()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # noqa: BLE001 - raised in the end
                machine.fail(error)
        elif isinstance(step, Call):
            _call(machine, step)
        elif not isinstance(step, Wait | Signal):
            pool.start(step)
        elif pool.open_tasks:
            pool.deliver(machine, step.seconds)
            continue
        else:
            timing.sleep(step.seconds or 0.0)
        if pool.open_tasks:
            pool.deliver(machine, 0.0)


def _finish(machine: Machine[T], watch: _SourceWatch[T] | None) -> None:
    """End a machine, and make the calls that are due then."""
    with SignalHold():
        machine.close()
    if watch is not None:
        watch.make_calls()
    while isinstance(step := machine.next(), Call):
        _call(machine, step)


def _call(machine: Machine[Any], call: Call) -> bool:
    """Call a function of the caller's; false if it has raised."""
    try:
        result = call.function(call.argument)
    except KeyboardInterrupt:
        call.on_failure()
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the end
        call.on_failure()
        machine.fail(error)
        return False
    if result is not None and is_awaitable(result):
        closed_coroutine(result)
        problem = "a coroutine function is for AsyncSynerise; give a function that returns when it is done"
        call.on_failure()
        machine.fail(InvalidRequestError(problem, field="on_settled"))
        return False
    return True


class _SourceWatch(Generic[T]):
    """Drives a machine in a thread of its own while the caller's thread waits for a row of a slow source.

    The lock is with the caller's thread, but for the time in which it waits for a row. Calls of the caller's functions
    that fall due meanwhile are made by the caller's thread, as soon as it has the row.
    """

    def __init__(self, machine: Machine[T], pool: _ThreadPool[T]) -> None:
        self._machine = machine
        self._pool = pool
        self._lock = threading.RLock()  # which knows whose it is, also where an interruption came behind `acquire`
        self._wakeup = threading.Event()
        self._delay: float | None = None
        self._unread: list[Any] = []
        machine.unread_rows = lambda: self._unread
        self._calls: list[Call] = []
        self._is_over = self._is_done = False
        self._failure: BaseException | None = None
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._work,), name="synerise-bulk-flush", daemon=True)
        pool.on_result = self._wakeup.set

    def watched(self, rows: Iterable[Any]) -> Iterator[Any]:
        """Yield the rows; ends early where the machine has come to its end meanwhile."""
        iterator = iter(rows)
        self._thread.start()
        while True:
            if self._delay is None:  # else it looks by itself in time
                self._wakeup.set()
            self._unlock()
            try:
                row = next(iterator, _END)
            finally:
                if self._pool.is_of_parent:  # whose thread may have the lock
                    self._lock = threading.RLock()
                self._lock.acquire()
            self.make_calls()
            if row is _END:
                return
            self._unread.append(row)
            if self._ends_early():
                return
            yield self._unread.pop()

    def stop(self) -> None:
        """End the thread; from then on the machine is with the caller's thread alone."""
        self._is_over = True
        self._wakeup.set()
        self._unlock()
        if self._thread.ident is not None:
            self._thread.join()

    def make_calls(self) -> None:
        """Make the calls that have fallen due; after one that raises, no other."""
        calls, self._calls = self._calls, []
        all(_call(self._machine, call) for call in calls)

    def _unlock(self) -> None:
        with contextlib.suppress(RuntimeError):  # it is not with this thread
            self._lock.release()

    def _ends_early(self) -> bool:
        if self._failure is not None:
            raise self._failure
        return self._is_done or self._machine.failure is not None

    def _work(self) -> None:
        while not self._is_over:
            self._wakeup.wait(self._delay)
            self._wakeup.clear()
            with self._lock:
                self._delay = self._drive()

    def _drive(self) -> float | None:
        """Send what is due, and take what came; return for how many seconds there is nothing more to do."""
        if self._is_over or self._is_done:
            return None
        try:
            self._pool.deliver(self._machine, 0.0)
            while (step := self._machine.next()) is not DONE:
                if isinstance(step, Read | Wait):
                    return step.seconds
                if isinstance(step, Call):
                    self._calls.append(step)
                elif not isinstance(step, Signal):
                    self._pool.start(step)
                self._pool.deliver(self._machine, 0.0)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._failure = error
        self._is_done = True
        return None


class _ThreadPool(Generic[T]):
    """Threads that send one request at a time each; another one is started when all are busy.

    A result is taken out only once the machine has it, so that none is lost where an interruption cuts in between.
    """

    def __init__(self, send: _SendFunction) -> None:
        self.on_result: Callable[[], None] | None = None
        self._send = send
        self._tasks: SimpleQueue[T | None] = SimpleQueue()
        self._results: deque[tuple[T, SendResult, BaseException | None]] = deque()
        self._wakeups: SimpleQueue[None] = SimpleQueue()
        self.open_tasks: set[int] = set()
        """The requests that have no result yet that the machine has, by their ids."""
        self._threads: list[threading.Thread] = []
        # As in a task: what the caller's functions and its traces know of the run, they know in each thread.
        self._context = contextvars.copy_context()
        self._pid = os.getpid()

    @property
    def is_of_parent(self) -> bool:
        """Whether this is a child of fork, which has none of the threads: nothing is answered there."""
        return os.getpid() != self._pid

    def start(self, task: T) -> None:
        """Send a request in a thread."""
        if len(self.open_tasks) >= len(self._threads):
            # Daemons: the end of the program, or an interruption, does not wait for a server.
            run = self._context.copy().run
            thread = threading.Thread(target=run, args=(self._work,), name="synerise-bulk", daemon=True)
            thread.start()
            self._threads.append(thread)
        self._tasks.put(task)
        self.open_tasks.add(id(task))  # last: what is not sent would be waited for in vain

    def deliver(self, machine: Machine[T], seconds: float | None) -> None:
        """Pass the results that are there to the machine; wait for the first one so many seconds, None without end."""
        with contextlib.suppress(Empty):
            if seconds != 0.0 and not self._results:
                self._wakeups.get(timeout=seconds)
            while True:
                self._wakeups.get_nowait()
        while self._results:
            task, result, failure = self._results[0]
            if failure is not None:
                machine.fail(failure)
            machine.on_result(task, result)
            self.open_tasks.discard(id(task))
            self._results.popleft()

    def deliver_all(self, machine: Machine[T]) -> None:
        """Wait for all that is in flight, and pass its results to the machine."""
        while self.open_tasks:
            self.deliver(machine, None)

    def end(self) -> None:
        """Let the threads end."""
        self._tasks.put(None)

    def close(self) -> None:
        """Let the threads end; wait a little for them unless one is still sending."""
        self.end()
        if not self.open_tasks:
            for thread in self._threads:
                thread.join(_MAX_JOIN_SECONDS)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            self._results.append((task, *self._result_of(task)))
            self._wakeups.put(None)
            if self.on_result is not None:
                self.on_result()
            # Or a thread that waits would keep its last chunk in memory.
            del task
        # For the next one. They are not counted: an interruption may come between the start of one and its count.
        self._tasks.put(None)

    def _result_of(self, task: T) -> tuple[SendResult, BaseException | None]:
        try:
            request = task.request()
        except BaseException as error:  # noqa: BLE001 - likewise
            return result_of_unbuilt(error)
        try:
            return send_result_of(self._send(request)), None
        except BaseException as error:  # noqa: BLE001 - the caller's is raised in the end; the machine knows the others
            return result_of_exception(request, error)
