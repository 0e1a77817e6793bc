"""What the pure core asks of a driver, and gets back: profiles to read, one merge to send, a pause."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from typing import Any, TypeAlias, TypeVar

import attrs

from synerise_profiles.errors import NotFoundError
from synerise_profiles_api.models import Profile
from synerise_profiles_api.types import Request, Response

from .snapshots import Snapshot, snapshot_of

__all__ = ["Outcome", "Pause", "Reads", "Send", "Step", "Steps", "found", "read"]

T = TypeVar("T")
Outcome: TypeAlias = Response[Profile] | Exception
"""The answer, or what came instead of one."""


@attrs.frozen
class Reads:
    """Profiles to read, several at a time; answered with a list of outcomes in the same order."""

    requests: tuple[Request[Profile], ...]


@attrs.frozen
class Send:
    """A merge to send once; answered with its outcome."""

    request: Request[Profile]


@attrs.frozen
class Pause:
    """Seconds to wait."""

    seconds: float


Step: TypeAlias = Reads | Send | Pause
Steps: TypeAlias = Generator[Step, Any, T]
"""A core as a generator: it yields steps, is sent their outcomes, and returns its result."""


def read(requests: Iterable[Request[Profile]]) -> Steps[list[Outcome]]:
    """Read profiles; none where there is nothing to read."""
    wanted = tuple(requests)
    outcomes: list[Outcome] = (yield Reads(wanted)) if wanted else []
    return outcomes


def found(outcome: Outcome) -> Snapshot | None:
    """Return what was read; None where it is not found. Raises any other failure."""
    if isinstance(outcome, NotFoundError):
        return None
    if isinstance(outcome, Exception):
        raise outcome
    return snapshot_of(outcome.body)
