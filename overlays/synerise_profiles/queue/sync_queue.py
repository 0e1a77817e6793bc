"""The driver of a queue by threads: daemon threads that send, one lock, and waits that end in time.

It decides nothing; `QueueCore` does. What is hard here is who may interrupt whom: a put may be cut off by Ctrl-C, by a
signal's handler that puts by itself, or by a fork, and the lock and the counters have to be right all the same.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self, TypeVar, Unpack

from synerise_profiles._batching.machine import DONE
from synerise_profiles._core.connections import warm_up
from synerise_profiles._core.signal_hold import SignalHold
from synerise_profiles._core.telemetry import feature_span
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.names import HintsNames

from .buffer import EncodedRow
from .callbacks import Callbacks, log_raised, report_end
from .channels import Channel
from .inflight import AnswerResult, QueueTask, TaskOutcome
from .producers import QueueClosedError, QueueFullError, QueueParts, QueueProducer
from .settings import QueueArguments, queue_settings
from .shutdown import register
from .stats import FlushResult, QueueStats, Undelivered

if TYPE_CHECKING:
    from synerise_profiles._core.protocols import ClientProtocol
    from synerise_profiles_api.built import BuiltEvent
    from synerise_profiles_api.models import BatchEvent, ProfileBatchItem, Transaction

__all__ = ["Queue"]

T = TypeVar("T")
_MAX_IDLE_SECONDS: Final = 30.0
"""Seconds after which a thread without work ends; the next row starts another one."""
_PAUSE_SECONDS: Final = 1.0
"""Seconds that a thread pauses after what should not happen."""


class Queue(HintsNames):
    """Takes rows without waiting for the server, and sends them in documented batches from threads of its own.

    `events`, `profiles` and `transactions` take rows. Any number of threads may use a queue. It is flushed when it is
    closed, when its client is, and at the end of the program. In a child of fork it is empty: what it held is sent by
    the parent. `QueueArguments` says what can be chosen.
    """

    def __init__(self, client: ClientProtocol, timing: Timing, **options: Unpack[QueueArguments]) -> None:
        self._settings = queue_settings(options, is_async=False)
        self._client = client.with_options(max_retries=0)
        self._now = timing.monotonic
        parts = QueueParts(self._settings, client.options, timing)
        self._core, self._notes = parts.core, parts.notes
        self.events: QueueProducer[BuiltEvent | BatchEvent] = QueueProducer(self, *parts.events)
        """Events (POST /v4/events/batch, API_BATCH_EVENTS_CREATE). One without `eventSalt` or `time` gets it."""
        self.profiles: QueueProducer[ProfileBatchItem] = QueueProducer(self, *parts.profiles)
        """Profiles (POST /v4/clients/batch, API_BATCH_CLIENT_CREATE). They arrive in the order of puts."""
        self.transactions: QueueProducer[Transaction] = QueueProducer(self, *parts.transactions)
        """Purchases (POST /v4/transactions/batch, API_BATCH_TRANSACTION_CREATE). Keyed as events are."""
        self._init_threading()
        register(self)

    def _init_threading(self) -> None:
        # Looked up now: gevent may have replaced them since this module was loaded.
        self._lock = threading.Lock()
        self._work_available = threading.Condition(self._lock)
        self._waiters: set[threading.Lock] = set()
        self._threads: set[threading.Thread] = set()
        self._idle_threads = 0
        # The thread that has the lock. A signal's handler or a finalizer that runs in it would wait for itself.
        self._lock_owner = 0
        self._callback_threads: set[int] = set()
        self._is_reported, self._pid = False, os.getpid()

    def enqueue(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:
        """Hold a row that was checked and encoded: what a producer's `put` calls."""
        me = threading.get_ident()
        if self._pid != os.getpid():
            self.after_fork()
        if self._lock_owner == me:
            raise QueueFullError("the queue is busy: a signal's handler interrupted a put, and puts by itself")
        # Unlike acquire and release, `with` leaves no gap in which an interruption could keep the lock.
        with self._lock:
            self._lock_owner = me
            try:
                is_due = self._put(channel, encoded_row)
                is_needed = (is_due is not False or not self._threads) and self._wake_thread()
            finally:
                self._lock_owner = 0
        if is_needed:
            self._start_thread()
        if is_due is None:
            self._enqueue_when_free(channel, encoded_row, timeout)

    def _enqueue_when_free(self, channel: Channel, encoded_row: EncodedRow, timeout: float | None) -> None:
        """Hold a row for which there is no room yet."""
        core, settings = self._core, self._settings
        seconds = settings.put_timeout if timeout is None else timeout
        deadline = self._now() + (0.0 if settings.when_full == "raise" else seconds)

        def is_put() -> bool:
            is_due = self._put(channel, encoded_row)
            if is_due:
                self._wake_thread()
            return is_due is not None

        if not self._wait_for(is_put, deadline):
            raise QueueFullError(self._with_lock(core.count_rejected_put))

    def _put(self, channel: Channel, encoded_row: EncodedRow) -> bool | None:
        if self._core.is_closed:
            raise QueueClosedError("the queue is closed; the row was not put")
        return self._core.put(channel, encoded_row)

    def _wait_for(self, condition: Callable[[], bool], deadline: float) -> bool:
        """Wait, without the lock, until a condition holds, which is evaluated with it; false if it does not in time.

        Waiters are bare locks: unlike conditions and events, they are intact after a wait that was interrupted.
        """
        waiter = threading.Lock()

        def is_met() -> bool:
            if condition():
                return True
            waiter.acquire(blocking=False)
            self._waiters.add(waiter)
            return False

        while not self._with_lock(is_met):
            left = deadline - self._now()
            if left <= 0:
                self._waiters.discard(waiter)
                return False
            waiter.acquire(timeout=left)
            self._waiters.discard(waiter)
        return True

    def _with_lock(self, function: Callable[[], T]) -> T:
        """Call something with the lock."""
        me = threading.get_ident()
        with self._lock:
            self._lock_owner = me
            try:
                return function()
            finally:
                self._lock_owner = 0

    def _notify_waiters(self) -> None:
        """Let those who wait evaluate their conditions again; with the lock."""
        waiters, self._waiters = self._waiters, set()
        for waiter in list(waiters):
            waiter.release()

    def flush(self, timeout: float = 10.0) -> FlushResult:
        """Send what was put until now without waiting for more; return after `timeout` seconds at the latest.

        Rows that other threads put meanwhile are not waited for. For the others, `on_rejected` and `on_error` have
        been called when it returns.
        """
        if self._lock_owner == threading.get_ident():  # a signal's handler interrupted a put, which goes on after it
            return FlushResult(left=self._core.held, stats=self._stats())
        return self._wait_until_settled(self._with_lock(self._core.flush), self._now() + timeout)

    def close(self, timeout: float | None = None) -> FlushResult:
        """Take no further rows, flush, and send no more; return after `timeout` seconds, `exit_timeout` by default.

        What is left then is not sent any more, except what is in flight: `result.left` counts it, `undelivered()`
        yields it, and the `spill` file gets it. A signal's handler that interrupted a put cannot wait for that put, so
        there it only refuses further rows; what is held is sent in the background, or at the end of the program.
        """
        return self._close(self._settings.exit_timeout if timeout is None else timeout, warn=False)

    def _close(self, timeout: float, *, warn: bool) -> FlushResult:
        core, deadline = self._core, self._now() + timeout
        if self._lock_owner == threading.get_ident():  # as above; what is held is delivered at the end of the program
            core.is_closed = True
            return FlushResult(left=core.held, stats=self._stats())
        mark = self._with_lock(core.close)
        self._with_lock(self._notify_waiters)
        result = self._wait_until_settled(mark, deadline)
        self._with_lock(self._stop)
        if not self._is_reported:
            with SignalHold():  # what is written to the spill file is written once
                self._is_reported, rows = True, list(self.undelivered())
                report_end(result.stats, self._now() - core.started_at, rows, self._settings, warn=warn)
        return result

    def _stop(self) -> None:
        self._core.is_stopped = True
        self._work_available.notify_all()
        self._notify_waiters()

    def _wait_until_settled(self, mark: int, deadline: float) -> FlushResult:
        """Wait until no row before this index is held; where no thread can be started, send them here."""
        core = self._core
        if core.held and not core.is_stopped and self._with_lock(self._wake_thread) and not self._start_thread():
            self._with_lock(lambda: self._send_loop(deadline))
        with feature_span("queue.flush", is_shown=core.held > 0):
            self._wait_for(lambda: core.is_stopped or self._is_settled(mark), deadline)
        return self._with_lock(lambda: FlushResult(left=core.held_before(mark), stats=self._stats()))

    def _is_settled(self, mark: int) -> bool:
        """Whether no row before this index is held, and no callback runs, but for the one that asks."""
        return self._core.is_settled(mark) and not self._callback_threads - {threading.get_ident()}

    def stats(self) -> QueueStats:
        """Return the counters of this moment."""
        return self._stats() if self._lock_owner == threading.get_ident() else self._with_lock(self._stats)

    def _stats(self) -> QueueStats:
        return self._core.stats(self._notes)

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held now, as they are sent. They stay held."""
        return iter(self._with_lock(lambda: list(self._core.undelivered())))

    def start_shutdown(self) -> float:
        """Start to send what is held, since the program ends; return the seconds that it may take."""
        self._with_lock(self._core.flush)
        self._with_lock(self._wake_thread)
        return self._settings.exit_timeout

    def finish_shutdown(self, seconds: float) -> None:
        """Close, since the program ends."""
        if not self._core.is_stopped:
            self._close(seconds, warn=True)

    def finish(self) -> None:
        """Close, since the client is closed."""
        self.finish_shutdown(self._settings.exit_timeout)

    def after_fork(self) -> None:
        """Forget what is the parent's, in a child of fork."""
        self._core.reset()
        self._init_threading()

    def _wake_thread(self) -> bool:
        """Wake an idle thread, with the lock; true if one has to be started instead, once the lock is released."""
        if self._idle_threads:
            self._work_available.notify_all()
            return False
        return len(self._threads) < self._settings.concurrency

    def _start_thread(self) -> bool:
        """Start a thread, without the lock; false if there can be none. One too many would find nothing to do."""
        # A daemon: the end of the program waits for what is held, as long as was chosen, and not for a server.
        thread = threading.Thread(target=self._thread_main, name="synerise-queue", daemon=True)
        try:
            self._threads.add(thread)
            thread.start()
        except RuntimeError:  # there are too many, or the program ends
            self._threads.discard(thread)
            return False
        except BaseException:  # an interruption; if it runs all the same, it counts itself
            self._threads.discard(thread)
            raise
        register(self)
        return True

    def _thread_main(self) -> None:
        with suppress(BaseException):  # a token callable's: the first request tells it
            warm_up(self._client, self._settings.requests_per_second)
        with self._lock:
            thread = threading.current_thread()
            self._threads.add(thread)
            while True:
                self._lock_owner = threading.get_ident()
                try:
                    self._send_loop(None)
                    break
                except BaseException as error:  # noqa: BLE001 - nobody would hear of it, nor of the rows
                    self._core.callback_errors += 1
                    log_raised(error)
                finally:
                    self._lock_owner = 0
                self._work_available.wait(_PAUSE_SECONDS)
            self._threads.discard(thread)

    def _send_loop(self, deadline: float | None) -> None:
        """Do what the core says, holding the lock except while sending; until the deadline, or until idle for long."""
        while (step := self._core.next()) is not DONE:
            left = _MAX_IDLE_SECONDS if deadline is None else deadline - self._now()
            if deadline is not None and (left <= 0 or not self._core.held):
                return
            if isinstance(step, QueueTask):
                self._send(step, None if deadline is None else left)
                continue
            self._idle_threads += 1
            try:
                self._lock_owner = 0
                was_woken = self._work_available.wait(left if step.seconds is None else min(step.seconds, left))
            finally:
                self._lock_owner = threading.get_ident()
                self._idle_threads -= 1
            if not was_woken and not self._core.held:
                return

    def _send(self, task: QueueTask, left: float | None) -> None:
        """Send one request, which may take `left` seconds, without the lock; then call the caller's functions."""
        # Another thread has to see to what becomes due while this one is busy.
        is_needed = left is None and self._wake_thread()
        sent = TaskOutcome(task)
        self._release()
        try:
            if is_needed:
                self._start_thread()
            client = self._client if left is None else self._client.with_options(timeout=left, deadline=left)
            sent.send(client.send, self._notes)
        except BaseException as error:  # noqa: BLE001 - it is told as a hook's is
            sent.error = error if sent.error is None else sent.error
        self._acquire()
        answer_result = self._core.on_result(task, sent.result, is_conclusive=sent.is_conclusive, hook_error=sent.error)
        self._notify_waiters()
        if answer_result.needs_callbacks:
            self._run_callbacks(answer_result, is_background=left is None)
            self._notify_waiters()

    def _run_callbacks(self, answer_result: AnswerResult, *, is_background: bool) -> None:
        """Call the caller's functions; the lock, which is held here, is released while they run."""
        me, callbacks = threading.get_ident(), Callbacks(self._settings, answer_result, is_background=is_background)
        self._callback_threads.add(me)
        try:
            self._release()
            callbacks.call_all()
        finally:
            self._acquire()
            self._core.callback_errors += callbacks.errors
            self._callback_threads.discard(me)

    def _release(self) -> None:
        self._lock_owner = 0
        self._lock.release()

    def _acquire(self) -> None:
        self._lock.acquire()
        self._lock_owner = threading.get_ident()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} holding {self._core.held:,} of {self._settings.max_items:,} rows>"
