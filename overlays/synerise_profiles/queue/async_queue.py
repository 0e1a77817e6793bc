"""The driver of a queue by tasks, for asyncio and trio. It decides nothing; `QueueCore` does.

There is no lock, since no other task runs between two awaits. What is hard here is cancellation: the tasks that send
live in the caller's block, and a block that is cancelled must still deliver what it holds.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

import anyio
from anyio.abc import TaskGroup
from anyio.lowlevel import cancel_shielded_checkpoint

from synerise_profiles._batching.machine import DONE
from synerise_profiles._batching.send_result import SendResult, result_of_exception, send_result_of
from synerise_profiles._core.connections import warm_up_async
from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.retry import AttemptFailure
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.signatures import shows_options
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.names import HintsNames

from .buffer import EncodedRow
from .callbacks import Callbacks, report_end
from .channels import Channel
from .inflight import AnswerResult, QueueTask
from .producers import AsyncQueueProducer, QueueClosedError, QueueFullError, QueueParts
from .settings import QueueArguments, QueueSettings, queue_settings
from .shutdown import register
from .stats import FlushResult, QueueStats, Undelivered

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import AsyncClientProtocol
    from synerise_profiles_api.built import BuiltEvent
    from synerise_profiles_api.models import BatchEvent, ProfileBatchItem, Transaction

__all__ = ["AsyncQueue"]


class AsyncQueue(HintsNames):
    """Takes rows without waiting for the server, and sends them in documented batches from tasks of its own.

    Use it by `async with`: the tasks live within the block, whose end flushes for `exit_timeout` seconds at most, even
    if it is cancelled. `events`, `profiles` and `transactions` take rows. It belongs to one event loop.
    `QueueArguments` says what can be chosen; here `on_rejected` and `on_error` may be coroutine functions.
    """

    @shows_options(lambda: (QueueArguments, QueueSettings))
    def __init__(self, client: AsyncClientProtocol, timing: Timing, **options: Unpack[QueueArguments]) -> None:
        self._settings = queue_settings(options, is_async=True)
        self._client = client.with_options(max_retries=0)
        self._now = timing.monotonic
        parts = QueueParts(self._settings, client.options, timing)
        self._core, self._notes = parts.core, parts.notes
        self.events: AsyncQueueProducer[BuiltEvent | BatchEvent] = AsyncQueueProducer(self, *parts.events)
        """Events (POST /v4/events/batch, API_BATCH_EVENTS_CREATE). One without `eventSalt` or `time` gets it."""
        self.profiles: AsyncQueueProducer[ProfileBatchItem] = AsyncQueueProducer(self, *parts.profiles)
        """Profiles (POST /v4/clients/batch, API_BATCH_CLIENT_CREATE). They arrive in the order of puts."""
        self.transactions: AsyncQueueProducer[Transaction] = AsyncQueueProducer(self, *parts.transactions)
        """Purchases (POST /v4/transactions/batch, API_BATCH_TRANSACTION_CREATE). Keyed as events are."""
        self._task_group: TaskGroup | None = None
        self._interruption: BaseException | None = None
        self._work_available: anyio.Event
        self._state_changed: anyio.Event
        self._callback_tasks: set[int] = set()
        self._is_reported = False
        register(self)

    async def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:  # noqa: ASYNC109
        """Hold a row that was checked and encoded: what a producer's `put` calls."""
        self._require_open()
        is_due = self._core.put(channel, encoded_row)
        if is_due is None:
            is_due = await self._enqueue_when_free(channel, encoded_row, timeout)
        if is_due:
            self._work_available.set()
            # A producer that never waits would let no other task send. The row is put, so it is too late to cancel.
            await cancel_shielded_checkpoint()

    def enqueue_nowait(self, channel: Channel, encoded_row: EncodedRow) -> None:
        """Hold a row that was checked and encoded, without waiting for room."""
        self._require_open()
        is_due = self._core.put(channel, encoded_row)
        if is_due is None:
            raise self._queue_full_error()
        if is_due:
            self._work_available.set()

    async def _enqueue_when_free(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> bool:  # noqa: ASYNC109
        settings = self._settings
        seconds = settings.put_timeout if timeout is None else timeout
        if settings.when_full != "raise":
            with anyio.move_on_after(seconds):
                while True:
                    await self._state_changed.wait()
                    self._require_open()
                    is_due = self._core.put(channel, encoded_row)
                    if is_due is not None:
                        return is_due
        raise self._queue_full_error()

    async def flush(self, timeout: float = 10.0) -> FlushResult:  # noqa: ASYNC109
        """Send what was put until now without waiting for more; return after `timeout` seconds at the latest.

        Rows that other tasks put meanwhile are not waited for.
        """
        return await self._wait_until_settled(self._core.flush(), timeout)

    async def close(self, timeout: float | None = None) -> FlushResult:  # noqa: ASYNC109
        """Take no further rows, flush, and send no more; return after `timeout` seconds, `exit_timeout` by default.

        What is left then is not sent any more: `result.left` counts it, `undelivered()` yields it, and the `spill` file
        gets it.
        """
        return await self._close(self._settings.exit_timeout if timeout is None else timeout, warn=False)

    async def _close(self, timeout: float, *, warn: bool) -> FlushResult:  # noqa: ASYNC109
        core = self._core
        mark = core.close()
        if self._task_group is not None:
            self._notify_waiters()
        result = await self._wait_until_settled(mark, timeout)
        self._stop(warn=warn)
        if self._task_group is not None:
            self._work_available.set()
        return result

    def _stop(self, *, warn: bool) -> None:
        self._core.is_stopped = True
        if not self._is_reported:
            seconds = self._now() - self._core.started_at
            with SignalHold():  # what is written to the spill file is written once
                self._is_reported = True
                report_end(self.stats(), seconds, list(self._core.undelivered()), self._settings, warn=warn)

    async def _wait_until_settled(self, mark: int, timeout: float) -> FlushResult:  # noqa: ASYNC109
        core = self._core
        if self._task_group is not None and not core.is_stopped:
            self._work_available.set()
            with feature_span("queue.flush", is_shown=core.held > 0), anyio.move_on_after(timeout):
                # A callback may wait here, but not for itself.
                while not core.is_settled(mark) or self._callback_tasks - {anyio.get_current_task().id}:
                    await self._state_changed.wait()
        return FlushResult(left=core.held_before(mark), stats=self.stats())

    def stats(self) -> QueueStats:
        """Return the counters of this moment."""
        return self._core.stats(self._notes)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held now, as they are sent. They stay held."""
        return iter(list(self._core.undelivered()))

    async def finish(self) -> None:
        """Close, since the client is closed."""
        if not self._core.is_stopped:
            await self._close(self._settings.exit_timeout, warn=True)

    def start_shutdown(self) -> float:
        """Start nothing: at the end of the program there is no event loop any more."""
        return 0.0

    def finish_shutdown(self, _seconds: float) -> None:
        """Warn of what is left, since the program ends without having left the block."""
        if not self._core.is_stopped:
            self._stop(warn=True)

    def after_fork(self) -> None:
        """Forget what is the parent's, its event loop included, in a child of fork."""
        self._core.reset()
        self._task_group = None

    def _require_open(self) -> None:
        if self._task_group is None:
            raise QueueClosedError("the queue runs within `async with client.queue() as queue:` only")
        if self._core.is_closed:
            raise QueueClosedError("the queue is closed")

    def _queue_full_error(self) -> QueueFullError:
        return QueueFullError(self._core.count_rejected_put())

    def _notify_waiters(self) -> None:
        self._state_changed.set()
        self._state_changed = anyio.Event()

    async def _send_loop(self, group: TaskGroup) -> None:
        try:
            await warm_up_async(self._client, self._settings.requests_per_second)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - a token callable's; as below
            self._interrupt(error)
        while (step := self._core.next()) is not DONE:
            if isinstance(step, QueueTask):
                group.start_soon(self._work, step)
                continue
            self._work_available = anyio.Event()
            with anyio.move_on_after(step.seconds):
                await self._work_available.wait()

    async def _work(self, task: QueueTask) -> None:
        try:
            await self._send(task)
        except anyio.get_cancelled_exc_class():
            raise
        except BaseException as error:  # noqa: BLE001 - the block raises it as it is, where the group would wrap it
            self._interrupt(error)

    def _interrupt(self, error: BaseException) -> None:
        self._interruption = first_error(self._interruption, error)
        if self._task_group is not None:
            self._task_group.cancel_scope.cancel()

    async def _send(self, task: QueueTask) -> None:
        result, is_conclusive = SendResult(failure=AttemptFailure(), error=InterruptedError()), False
        hook_error: BaseException | None = None
        try:
            request = task.request()
            try:
                result = send_result_of(await self._client.send(request))
            except BaseException as error:  # noqa: BLE001 - the core knows what it means; an interruption is raised below
                result, hook_error = result_of_exception(request, error)
            is_conclusive = task.apply_response(result)
            task.count(result, self._notes)
        finally:  # even if it is cancelled, what was to be sent stays held
            answer_result = self._core.on_result(task, result, is_conclusive=is_conclusive, hook_error=hook_error)
            self._work_available.set()
            self._notify_waiters()
        if answer_result.needs_callbacks and not isinstance(hook_error, anyio.get_cancelled_exc_class()):
            await self._run_callbacks(answer_result)
        if hook_error is not None and not isinstance(hook_error, Exception):
            raise hook_error

    async def _run_callbacks(self, answer_result: AnswerResult) -> None:
        me, callbacks = anyio.get_current_task().id, Callbacks(self._settings, answer_result)
        self._callback_tasks.add(me)
        try:
            for call in callbacks:
                try:
                    result = call()
                    if inspect.isawaitable(result):
                        await result
                except anyio.get_cancelled_exc_class():
                    raise
                except BaseException as error:  # noqa: BLE001 - it is the caller's
                    callbacks.after_error(call, error)
            callbacks.raise_interruption()
        finally:
            self._core.callback_errors += callbacks.errors
            self._callback_tasks.discard(me)
            self._notify_waiters()

    async def __aenter__(self) -> Self:
        if self._task_group is not None or self._core.is_closed:
            raise QueueClosedError("a queue is entered once; make another one by client.queue()")
        self._work_available, self._state_changed = anyio.Event(), anyio.Event()
        group = anyio.create_task_group()
        self._task_group = await group.__aenter__()
        group.start_soon(self._send_loop, group)
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        group = self._task_group
        if group is None:  # in a child of fork
            return
        deadline = anyio.current_time() + self._settings.exit_timeout
        try:
            await self.finish()
        finally:
            group.cancel_scope.cancel()
            try:
                # The group does not get the exception, which it would wrap in a group of exceptions.
                await group.__aexit__(None, None, None)
            finally:
                if not self._core.is_stopped:
                    await self._drain_shielded(deadline)
                if self._interruption is not None:
                    raise self._interruption

    async def _drain_shielded(self, deadline: float) -> None:
        """Deliver what a cancelled block holds: its tasks were cancelled with it, so new ones send it, shielded."""
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as group:
                group.start_soon(self._send_loop, group)
                await self._close(deadline - anyio.current_time(), warn=True)
                group.cancel_scope.cancel()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} holding {self._core.held:,} of {self._settings.max_items:,} rows>"
