"""Read-back: profiles of a sample are read again and again until they are as expected, or time is up. Without I/O.

202 says that a write was queued, not that it was carried out; so what was sent is looked for after the run. What is
expected of a profile is said by the subclasses of `ReadBack`, in `verification`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Final, get_args

import attrs

from synerise_profiles._core.error_chain import first_error
from synerise_profiles._core.timing import Timing
from synerise_profiles.identifiers import first_identifier, mask
from synerise_profiles_api.api.profiles import find, get
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.models.profile_identifier_type import ProfileIdentifierType
from synerise_profiles_api.types import Request

from .batch import SampledRow
from .machine import DONE, Machine, Signal, Wait
from .send_result import SendResult

__all__ = ["ProfileLookup", "ReadBack"]

_FIRST_DELAY_SECONDS: Final = 0.25
_MAX_DELAY_SECONDS: Final = 8.0


@attrs.define(eq=False)
class ProfileLookup:
    """A task: one profile that is read again and again until it is as it was sent, or time is up."""

    sampled_row: SampledRow
    name: str
    value: Any
    due: float = 0.0
    attempts: int = 0
    in_flight: bool = False

    @property
    def masked(self) -> str:
        """The identifier that it is looked for by, masked."""
        return f"{self.name} {mask(self.value)}"

    def request(self) -> Request[Any]:
        """Build the request."""
        if self.name == get.OPERATION.path.partition("{")[2].rstrip("}"):
            return get.request(self.value)
        return find.request(_identifier_type(self.name), self.value)


class ReadBack(Machine[ProfileLookup]):
    """Reads the profiles of rows back, within seconds. A `Machine` that reads no rows.

    `identifiers` are the fields that may name a profile, in the order in which they are taken. Of what was looked for,
    `as_expected` profiles are so; `skipped` cannot be looked for, of `unread` no response came, `problem` says why.
    """

    def __init__(
        self,
        rows: Iterable[SampledRow],
        identifiers: Sequence[str],
        *,
        concurrency: int,
        within: float,
        timing: Timing,
    ) -> None:
        self.failure: BaseException | None = None
        self.as_expected = 0
        self.skipped = 0
        self.unread = 0
        self.problem: str | None = None
        self._concurrency, self._timing = concurrency, timing
        self._deadline = timing.monotonic() + within
        self._pending: list[ProfileLookup] = []
        self._in_flight = 0
        for entry in rows:
            lookup = _lookup_of(entry, identifiers)
            if lookup is None:
                self.skipped += 1
            else:
                self._pending.append(lookup)

    @abstractmethod
    def is_as_expected(self, lookup: ProfileLookup, result: SendResult) -> bool | None:
        """Say whether a profile is as it should be; None if the response does not say it."""

    @abstractmethod
    def on_unexpected(self, lookup: ProfileLookup) -> None:
        """Take note of a profile that is not as it should be when time is up, as `is_as_expected` said last."""

    @property
    def max_ready_rows(self) -> int:
        """No rows are read."""
        return 0

    def next(self) -> ProfileLookup | Wait | Signal:
        """Say what to do next."""
        if not self._in_flight and (not self._pending or self.failure is not None):
            return DONE
        now = self._timing.monotonic()
        waiting = [lookup for lookup in self._pending if not lookup.in_flight]
        if not waiting or self.failure is not None or self._in_flight >= self._concurrency:
            return Wait(None)
        lookup = min(waiting, key=lambda lookup: lookup.due)
        if lookup.due > now:
            return Wait(lookup.due - now)
        lookup.in_flight = True
        self._in_flight += 1
        lookup.attempts += 1
        return lookup

    def read(self, rows: Iterable[Any]) -> bool:  # noqa: ARG002 - it reads none
        """Read no rows."""
        return False

    def end(self) -> None:
        """Nothing ends that was not read."""

    def fail(self, error: BaseException) -> None:
        """Take note of what ends the verification."""
        self.failure = first_error(self.failure, error)

    def close(self) -> None:
        """There is nothing to be written down."""

    def on_result(self, task: ProfileLookup, result: SendResult) -> None:
        """Take what came of reading a profile."""
        if not task.in_flight:
            return
        task.in_flight = False
        self._in_flight -= 1
        if task not in self._pending:  # given up meanwhile
            return
        found = self.is_as_expected(task, result)
        if found:
            self._pending.remove(task)
            self.as_expected += 1
        elif found is None and result.is_final and not result.is_success:
            self.problem = f"profiles cannot be read: {result.description}"
            self.unread += len(self._pending)
            self._pending.clear()
        else:
            self._retry_later(task, is_known=found is False)

    def _retry_later(self, task: ProfileLookup, *, is_known: bool) -> None:
        """Read it again later, since a queued write takes its time; after the deadline what was found last counts."""
        now = self._timing.monotonic()
        due = now + min(_MAX_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2**task.attempts)
        if now < self._deadline:
            task.due = min(due, self._deadline)
            return
        self._pending.remove(task)
        if is_known:
            self.on_unexpected(task)
        else:
            self.unread += 1


def _identifier_type(name: str) -> ProfileIdentifierType:
    """Find the publisher's name for looking a profile up by a field: customId is by-custom-id."""
    type_name = "by-" + "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name)
    known_types: Sequence[ProfileIdentifierType] = get_args(ProfileIdentifierType)
    return next(known for known in known_types if known == type_name)


def _lookup_of(entry: SampledRow, identifiers: Sequence[str]) -> ProfileLookup | None:
    """Prepare to read a profile; None if its identifier cannot stand in a path."""
    named = first_identifier(entry.data, identifiers)
    if named is None:
        return None
    lookup = ProfileLookup(entry, *named)
    try:
        lookup.request()
    except InvalidRequestError:
        return None
    return lookup
