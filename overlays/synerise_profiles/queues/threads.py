"""The queue of the sync client: daemon threads that send, locks, and waits that end in time. It decides nothing."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, Unpack

from synerise_profiles.bulk import kinds
from synerise_profiles.bulk.outcomes import Outcome, outcome_of
from synerise_profiles.retry import Failure
from synerise_profiles.timing import Timing

from .core import Core, Lane, Settled
from .errors import QueueClosedError, QueueFullError
from .flights import Done, Send
from .notes import Notes
from .registry import register
from .results import FlushResult, QueueStats, Undelivered
from .rows import Writer, Written
from .settings import QueueArguments, QueueSettings
from .telling import calls, log_raised, report_left

if TYPE_CHECKING:
    from synerise_profiles.client import Synerise
    from synerise_profiles_api.models import BatchEvent, ProfileBatchItem, Transaction

__all__ = ["Inlet", "Queue"]

T = TypeVar("T")
_MOMENT: Final = 0.25
"""How long the lock is awaited at least. It is held for microseconds: longer only by the very thread that waits for it,
in a signal's handler that interrupted a put."""
_IDLE: Final = 30.0
"""Seconds after which a thread without work ends; the next row starts another one."""


class Inlet(Generic[T]):
    """Where rows of one kind are put."""

    def __init__(self, queue: Queue, lane: Lane, writer: Writer) -> None:
        self._queue = queue
        self._lane = lane
        self._write = writer.write

    def put(self, row: T | Mapping[str, Any], *, timeout: float | None = None) -> None:
        """Check a row, write it as JSON and hold it; it is sent in the background.

        `row` is a model or a mapping with the publisher's keys; changing it afterwards changes nothing. If there is no
        room, it waits for `timeout` seconds at most, by default the queue's `put_timeout`; then QueueFullError is
        raised. InvalidRequestError says what is wrong with a row, QueueClosedError that the queue is closed.
        """
        self._queue.hold(self._lane, self._write(row), timeout)


class Queue:
    """Takes rows without waiting for the server, and sends them in documented batches from threads of its own.

    `events`, `profiles` and `transactions` take rows. Any number of threads may use a queue. It is flushed when it is
    closed, when its client is, and at the end of the program. In a child of fork it is empty: what it held is sent by
    the parent. All options may be left out:

    - `max_items` (100,000) and `max_bytes` (64 MB): how much is held, what is on its way included.
    - `when_full`: `block` waits for room, as long as `put_timeout` (0.1 s) or the put's own `timeout` says, and raises
      QueueFullError then; `raise` does so at once; `drop_oldest` drops what has waited longest, and counts it.
    - `flush_items`, `flush_bytes`, `flush_after` (1 s): what is sent at once; by default a whole batch, as large as is
      documented and half of the queue at most, or what has waited for so many seconds.
    - `concurrency`: requests in flight (4). Profiles are sent one request after the other, in the order of puts.
    - `checks`, `allow_null`: as in `client.bulk`. `salt`: `random` for each put, `content`, or a function of the row.
    - `on_rejected(rejection, row)` is called for each row that the server refuses, `on_error(error)` for each request
      that did not succeed and is tried again.
    - `exit_timeout`: seconds for flushing when the queue is left, its client closed or the program ended (10).
    - `spill`: a file to which rows are appended that could not be delivered by then, personal data included.

    Rows are kept and tried again for as long as the server is away, after the waits of the client's retry policy. Where
    it refuses every request, as with a bad API key, the waits grow to a minute.
    """

    def __init__(self, client: Synerise, timing: Timing, **options: Unpack[QueueArguments]) -> None:
        self._settings = QueueSettings(**options)
        self._client = client.with_options(max_retries=0)
        self._now = timing.monotonic
        self._notes = Notes()
        known = (kinds.events(), kinds.profiles(), kinds.transactions())
        self._core = Core(known, self._settings, client.options.retry, timing)
        writers = [Writer(kind, self._settings, self._notes.add) for kind in known]
        events, profiles, transactions = zip(self._core.lanes, writers, strict=True)
        self.events: Inlet[BatchEvent] = Inlet(self, *events)
        """Events of any type (POST /v4/events/batch). One without `eventSalt` and `time` gets both."""
        self.profiles: Inlet[ProfileBatchItem] = Inlet(self, *profiles)
        """Profiles to create or update (POST /v4/clients/batch), in the order in which they were put."""
        self.transactions: Inlet[Transaction] = Inlet(self, *transactions)
        """Purchases (POST /v4/transactions/batch). One without `eventSalt` and `recordedAt` gets both."""
        self._begin()
        register(self)

    def _begin(self) -> None:
        # Looked up now: gevent may have replaced them since this module was loaded.
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._calm = threading.Condition(self._lock)
        self._threads = self._idle = 0
        self._telling: set[int] = set()
        self._is_reported = False
        self._pid = os.getpid()

    def hold(self, lane: Lane, written: Written, timeout: float | None) -> None:
        """Hold a row that was checked and written."""
        if self._pid != os.getpid():
            self.after_fork()
        core, lock = self._core, self._lock
        if not (lock.acquire(False) or lock.acquire(timeout=_MOMENT)):  # noqa: FBT003 - that is its name
            raise QueueFullError("the queue is busy: put was called from within put, by a signal's handler")
        is_needed = False
        try:
            if core.is_closed:
                raise QueueClosedError("the queue is closed")
            is_due = core.put(lane, written)
            if is_due is None:
                is_due = self._hold_later(lane, written, timeout)
            if is_due or not self._threads:
                is_needed = self._call_thread()
        finally:
            lock.release()
        if is_needed:
            self._start()

    def _hold_later(self, lane: Lane, written: Written, timeout: float | None) -> bool:
        core, settings = self._core, self._settings
        patience = settings.put_timeout if timeout is None else timeout
        until = self._now() + (0.0 if settings.when_full == "raise" else patience)
        while (left := until - self._now()) > 0:
            self._room.wait(left)
            if core.is_closed:
                raise QueueClosedError("the queue was closed while it was full; the row was not put")
            is_due = core.put(lane, written)
            if is_due is not None:
                return is_due
        core.full += 1
        raise QueueFullError(f"the queue is full: it holds {core.held:,} rows, {core.held_bytes:,} bytes")

    def flush(self, timeout: float = 10.0) -> FlushResult:
        """Send what was put until now without waiting for more; return after `timeout` seconds at the latest.

        Rows that other threads put meanwhile are not waited for.
        """
        until = self._now() + timeout
        if not self._lock.acquire(timeout=max(timeout, _MOMENT)):
            return self._result()
        try:
            return self._settle(self._core.flush(), until)
        finally:
            self._lock.release()

    def close(self, timeout: float | None = None) -> FlushResult:
        """Take no further rows, flush, and send no more; return after `timeout` seconds, `exit_timeout` by default.

        What is left then is not sent any more, except what is on its way: `result.left` counts it, `undelivered()`
        yields it, and the `spill` file gets it.
        """
        return self._close(self._settings.exit_timeout if timeout is None else timeout, warn=False)

    def _close(self, timeout: float, *, warn: bool) -> FlushResult:
        until = self._now() + timeout
        if not self._lock.acquire(timeout=max(timeout, _MOMENT)):
            self._core.is_closed = True
            return self._result()
        try:
            core = self._core
            mark = core.close()
            self._room.notify_all()
            result = self._settle(mark, until)
            core.is_stopped = True
            self._work.notify_all()
            if not self._is_reported:
                self._is_reported = True
                report_left(core, self._settings, warn=warn)
            return result
        finally:
            self._lock.release()

    def _settle(self, mark: int, until: float) -> FlushResult:
        """Wait with the lock until all rows before a mark are settled."""
        core = self._core
        if core.held and not core.is_stopped:
            self._work.notify_all()
            if self._call_thread():
                self._lock.release()
                try:
                    has_thread = self._start()
                finally:
                    self._lock.acquire()
                if not has_thread:
                    self._run(until)
            while not self._is_settled(mark) and (left := until - self._now()) > 0:
                self._calm.wait(left)
        return self._result(core.left(mark))

    def _is_settled(self, mark: int) -> bool:
        """Whether all rows before a mark are settled, and the caller's functions told; one of them may ask this."""
        return self._core.is_settled(mark) and not self._telling - {threading.get_ident()}

    def stats(self) -> QueueStats:
        """Return the counters of this moment."""
        is_mine = self._lock.acquire(timeout=_MOMENT)
        try:
            return self._core.stats(self._notes.counts)
        finally:
            if is_mine:
                self._lock.release()

    def _result(self, left: int | None = None) -> FlushResult:
        core = self._core
        return FlushResult(left=core.held if left is None else left, stats=core.stats(self._notes.counts))

    def undelivered(self) -> Iterator[Undelivered]:
        """Yield the rows that are held now, as they are sent. They stay held."""
        with self._lock:
            rows = list(self._core.undelivered())
        return iter(rows)

    def begin_exit(self) -> float:
        """Begin to send what is held, since the program ends; return the seconds that it may take."""
        if self._lock.acquire(timeout=_MOMENT):
            self._core.flush()
            self._work.notify_all()
            self._lock.release()
        return self._settings.exit_timeout

    def finish_exit(self, seconds: float) -> None:
        """Close, since the program ends."""
        self._finish(seconds)

    def finish(self) -> None:
        """Close, since the client is closed."""
        self._finish(self._settings.exit_timeout)

    def _finish(self, seconds: float) -> None:
        if not self._core.is_stopped:
            self._close(seconds, warn=True)

    def after_fork(self) -> None:
        """Forget what is the parent's."""
        self._core.reset()
        self._begin()

    def _call_thread(self) -> bool:
        """Wake a thread, with the lock; true if one has to be started instead, once the lock is released."""
        if self._idle:
            self._work.notify()
            return False
        if self._threads >= self._settings.concurrency:
            return False
        self._threads += 1
        return True

    def _start(self) -> bool:
        """Start a thread that was counted already; false if there can be none."""
        try:
            # A daemon: the end of the program waits for what is held, as long as was chosen, and not for a server.
            threading.Thread(target=self._live, name="synerise-queue", daemon=True).start()
        except RuntimeError:  # there are too many, or the program ends
            with self._lock:
                self._threads -= 1
            return False
        register(self)
        return True

    def _live(self) -> None:
        with self._lock:
            try:
                self._run(None)
            finally:
                self._threads -= 1

    def _run(self, until: float | None) -> None:
        """Send what there is to send, with the lock but while sending; until that moment, or until idle for long."""
        while not isinstance(step := self._core.next(), Done):
            left = _IDLE if until is None else until - self._now()
            if until is not None and (left <= 0 or not self._core.held):
                return
            if isinstance(step, Send):
                self._send(step, None if until is None else left)
                continue
            self._idle += 1
            try:
                was_woken = self._work.wait(left if step.seconds is None else min(step.seconds, left))
            finally:
                self._idle -= 1
            if not was_woken and not self._core.held:
                return

    def _send(self, send: Send, left: float | None) -> None:
        # Somebody has to look after what becomes due while this thread is busy.
        is_needed = left is None and self._call_thread()
        outcome, is_judged = Outcome(failure=Failure(), error=InterruptedError()), False
        self._lock.release()
        try:
            if is_needed:
                self._start()
            client = self._client if left is None else self._client.with_options(timeout=left, deadline=left)
            try:
                outcome = outcome_of(client.send(send.request()))
            except Exception as error:  # noqa: BLE001 - the core knows what it means
                outcome = outcome_of(error)
            is_judged = send.judge(outcome)
        finally:  # even if this thread is ended from outside, what it was to send stays held and is sent by another
            self._lock.acquire()
            settled = self._core.answered(send, outcome, is_judged=is_judged)
            self._room.notify_all()
            self._calm.notify_all()
            if settled.has_news:
                self._tell(settled)

    def _tell(self, settled: Settled) -> None:
        """Call the caller's functions, with the lock but while they run."""
        me = threading.get_ident()
        self._telling.add(me)
        self._lock.release()
        try:
            for call in calls(self._settings, settled):
                try:
                    call()
                except Exception as error:  # noqa: BLE001 - it is the caller's
                    log_raised(error)
        finally:
            self._lock.acquire()
            self._telling.discard(me)
            self._calm.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.finish()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} holding {self._core.held:,} of {self._settings.max_items:,} rows>"
