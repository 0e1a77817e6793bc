"""The protocol between state machines and drivers: steps one way, results the other. Sans-I/O.

What a machine and its drivers are. All that decides is written once, as a state machine that does no I/O: it neither
sends, waits nor sleeps, and reads rows only when it is handed them. A driver asks it in a loop what to do next, does
it, and hands back what came of it: it calls `read` with the rows for `Read`, sends a task and passes the response to
`on_result`, waits for the next response for `Wait`, and ends at `DONE`. What the rows or a function of the caller
raise it passes to `fail`: then the machine starts nothing more, takes what is still in flight, and ends; the driver
raises it in the end, as it is. What interrupts the driver itself (Ctrl-C, a cancellation) it passes to `fail` too,
waits for nothing, and calls `close`; should that be cut off, whoever made the machine calls both again. There are two
drivers that decide nothing, `sync_driver` with threads and `async_driver` with tasks, so sync and async behave alike,
and a test drives a machine without either, in any order of responses. Two machines use them: the engine of a bulk run
and its verifier.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, TypeVar

import attrs

from synerise_profiles_api.types import Request

from .send_result import SendResult

__all__ = ["DONE", "Call", "Machine", "Read", "Signal", "Task", "Wait"]


class Signal(enum.Enum):
    """A step without arguments."""

    DONE = enum.auto()


DONE: Final = Signal.DONE
"""Nothing is left to do."""


@attrs.frozen
class Read:
    """Read rows: call `read`. If none come for so many seconds, ask for the next step again; None waits for them."""

    seconds: float | None


@attrs.frozen
class Wait:
    """Wait for a response, but no more than so many seconds; None waits as long as it takes."""

    seconds: float | None


@attrs.frozen
class Call:
    """Call a function of the caller's, in the thread or the task that reads; what it raises goes to `fail`.

    `on_failure` is called first then: the machine says no such step again.
    """

    function: Callable[[Any], object]
    argument: Any
    on_failure: Callable[[], None]


class Task(Protocol):
    """A request to send once; what came of it goes to `on_result`."""

    def request(self) -> Request[Any]:
        """Build the request. It may take long enough to be done beside the main thread."""
        ...


T = TypeVar("T", bound=Task)


class Machine(Protocol[T]):
    """A state machine that a driver drives."""

    @property
    def max_ready_rows(self) -> int:
        """How many rows may be taken from the source before `read` gets them: reading on may change a row."""
        ...

    unread_rows: Callable[[], Iterable[Any]] = tuple
    """Set by a driver: returns the rows that it has from the source and that `read` did not get, in their order."""

    stop_driver: Callable[[], object] = tuple
    """Set by a driver: ends what it does beside, and passes the results that are there. `close` begins with it."""

    wants_rows_at_once: bool = False
    """Whether `read` is to get each row as it comes, and `next` to be asked while the next one is waited for."""

    failure: BaseException | None
    """What was passed to `fail` first, or raised by a function of the caller that the machine called."""

    def next(self) -> T | Call | Read | Wait | Signal:
        """Say what to do next. Asked again at once, it may say the same: only a task is said once."""
        ...

    def read(self, rows: Iterable[Any]) -> bool:
        """Read rows until there are enough; false if they end before. Then call `end`."""
        ...

    def end(self) -> None:
        """Take note that the input has ended."""
        ...

    def on_result(self, task: T, result: SendResult, /) -> None:
        """Take what came of sending a task. A second call for the same task does nothing."""
        ...

    def fail(self, error: BaseException, /) -> None:
        """Take note of what ends the run: nothing more is started."""
        ...

    def close(self) -> None:
        """End now, whatever is in flight. At the end it only takes note of unread rows.

        The calls that `next` says then, if any, are still to be made. Where an exception cut in, a second call does
        the rest.
        """
        ...
