"""What a driver is told to do next, and what it asks: the seam between the pure cores and the two drivers."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Any, Final, Protocol, TypeVar

import attrs

from synerise_profiles_api.types import Request

from .send_result import SendResult

__all__ = ["DONE", "Machine", "Read", "Signal", "Task", "Wait"]


class Signal(enum.Enum):
    """A step without particulars."""

    DONE = enum.auto()


DONE: Final = Signal.DONE
"""Nothing is left to do."""


@attrs.frozen
class Read:
    """Read rows: call `read`. Should they be slow to come, ask again after these seconds; None is as they come."""

    seconds: float | None


@attrs.frozen
class Wait:
    """Wait for an answer, but no longer than this; None is as long as it takes."""

    seconds: float | None


class Task(Protocol):
    """Something to send once; hand the outcome back by `answered`."""

    def request(self) -> Request[Any]:
        """Build the request. It may take long enough to be done beside the main thread."""
        ...


T = TypeVar("T", bound=Task)


class Machine(Protocol[T]):
    """What a driver drives. It neither sends, waits nor sleeps."""

    def next(self) -> T | Read | Wait | Signal:
        """Say what to do next. Asked again at once, it may say the same: only a task is said once."""
        ...

    def read(self, rows: Iterable[Any]) -> bool:
        """Read rows until there are enough; false if they end before. Then call `end`."""
        ...

    def end(self) -> None:
        """The input has ended."""
        ...

    def on_result(self, task: T, result: SendResult, /) -> None:
        """Take what came of a task."""
        ...
