"""What a caller may choose about an export, checked before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TypedDict, get_args

import attrs

from synerise_profiles_api.errors import InvalidRequestError

from .status import ExportProgress, StatusMeaning

__all__ = ["Backoff", "ExportArguments", "ExportSettings"]


@attrs.frozen(kw_only=True)
class Backoff:
    """How long to wait between two looks at the status, in seconds.

    The n-th wait (from 0) is drawn at random between `first` and `first` * `factor`^n, or `most` if that is less: full
    jitter, so that many programs do not ask at once, and never less than `first`.
    """

    first: float = 1.0
    factor: float = 2.0
    most: float = 30.0

    def __attrs_post_init__(self) -> None:
        """Refuse what would never wait, or wait for ever less."""
        _require("poll.first", _is_number(self.first) and 0 < self.first < math.inf, "a positive number of seconds")
        _require("poll.factor", _is_number(self.factor) and 1 <= self.factor < math.inf, "a number from 1")
        _require("poll.most", _is_number(self.most) and self.first <= self.most < math.inf, "seconds, at least `first`")

    def wait(self, number: int, random: Callable[[], float]) -> float:
        """Return the seconds of the wait with this number; `random` returns a number from 0 to 1."""
        try:
            longest = min(self.most, self.first * self.factor**number)
        except OverflowError:
            longest = self.most
        return self.first + random() * (longest - self.first)


class ExportArguments(TypedDict, total=False):
    """The keyword arguments of `run` and `resume`."""

    poll: Backoff
    deadline: float
    progress: Callable[[ExportProgress], object] | None
    page_size: int | None
    statuses: Mapping[str, StatusMeaning]


@attrs.frozen(kw_only=True)
class ExportSettings:
    """The choices of one export."""

    poll: Backoff = attrs.field(factory=Backoff)
    deadline: float = 3600.0
    progress: Callable[[ExportProgress], object] | None = None
    page_size: int | None = None
    statuses: Mapping[str, StatusMeaning] = attrs.field(factory=dict[str, StatusMeaning])

    def __attrs_post_init__(self) -> None:
        """Refuse what would not work."""
        _require("poll", _is_backoff(self.poll), "a Backoff, such as Backoff(first=1, factor=2, most=30)")
        wanted = "a positive number of seconds (math.inf for no limit)"
        _require("deadline", _is_number(self.deadline) and self.deadline > 0, wanted)
        size = self.page_size
        _require("page_size", size is None or (type(size) is int and size > 0), "a whole number of records from 1")
        _require("progress", self.progress is None or callable(self.progress), "a function")
        meanings = get_args(StatusMeaning)
        wanted = f"texts, each with one of {', '.join(meanings)}"
        for status, meaning in self.statuses.items():
            _require("statuses", _is_text(status) and meaning in meanings, wanted)


def _is_backoff(value: object) -> bool:
    return isinstance(value, Backoff)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _require(name: str, is_good: bool, expected: str) -> None:  # noqa: FBT001 - it is what is required
    if not is_good:
        raise InvalidRequestError(f"expected {expected}", field=name)
