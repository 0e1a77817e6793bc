"""The settings of an export, checked before anything is sent, and the keyword arguments that they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypedDict, get_args

import attrs
from attrs.validators import deep_mapping, optional

from synerise_profiles._core.arguments import (
    checks_init,
    instance_of,
    number,
    one_of,
    optional_function,
    positive_seconds,
    whole_number,
)
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.names import HintsNames

from .status import ExportProgress, StatusMeaning

__all__ = ["Backoff", "ExportArguments", "ExportSettings"]


def _refused_poll(name: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(problem, field=f"poll.{name}")


def _at_least_first(backoff: Backoff, attribute: attrs.Attribute[float], value: float) -> None:
    number("seconds, at least `first`", backoff.first, error=_refused_poll).check(attribute.name, value)


@checks_init
@attrs.frozen(kw_only=True)
class Backoff(HintsNames):
    """How long to wait between two polls of the status, in seconds: exponential backoff with full jitter.

    The n-th wait (from 0) is drawn at random between `first` and `first` * `factor`^n, or `most` if that is less, so
    that many programs do not ask at once. It is never less than `first`.
    """

    first: float = attrs.field(
        default=1.0, validator=number("a positive number of seconds", positive=True, error=_refused_poll)
    )
    factor: float = attrs.field(default=2.0, validator=number("a number from 1", 1, error=_refused_poll))
    most: float = attrs.field(default=30.0, validator=_at_least_first)

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
    """The choices of one export, checked when it is made."""

    poll: Backoff = attrs.field(
        factory=Backoff,
        validator=instance_of(Backoff, expected="a Backoff, such as Backoff(first=1, factor=2, most=30)"),
    )
    deadline: float = attrs.field(default=3600.0, validator=positive_seconds())
    progress: Callable[[ExportProgress], object] | None = attrs.field(
        default=None, validator=optional_function("progress")
    )
    page_size: int | None = attrs.field(default=None, validator=optional(whole_number(1, of="records")))
    statuses: Mapping[str, StatusMeaning] = attrs.field(
        factory=dict[str, StatusMeaning],
        validator=deep_mapping(instance_of(str, expected="texts as states"), one_of(*get_args(StatusMeaning))),
    )
