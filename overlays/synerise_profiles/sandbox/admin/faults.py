"""Injected faults: what can go wrong on demand, and which requests meet it.

Tests add a `Fault` to `Faults`; the application asks `Faults.pick` for each request, and `fault_injection` does to the
answer what the fault says. Choosing is apart from playing, so that it is pure but for its lock.
"""

from __future__ import annotations

import enum
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from http import HTTPStatus
from math import isfinite
from typing import TypedDict, Unpack

LOGIN = "login"
"""The name of the workspace's login, which is no operation of the document."""
_MAX_REMEMBERED_FAULTS = 1000
"""How many faults are remembered, removed and used up ones included: a test may read their counts later."""


class FaultKind(enum.StrEnum):
    """What goes wrong."""

    STATUS = "status"
    DELAY = "delay"
    CLOSE = "close"
    TRUNCATE = "truncate"
    CONTENT_TYPE = "content_type"
    HTML = "html"
    DRIP = "drip"
    EXPIRE_TOKEN = "expire_token"  # noqa: S105 - a kind of fault
    LOSE_207 = "lose_207"


_KINDS_WITH_PROCESSED = frozenset({FaultKind.STATUS, FaultKind.CLOSE, FaultKind.HTML, FaultKind.DELAY})
"""Kinds for which `processed` is a choice; an expired token is never processed, all others always are."""


class FaultFilter(TypedDict, total=False):
    """Which requests meet a fault; see `Fault`."""

    operation: str
    method: str
    path: str
    times: int
    rate: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault and the requests that meet it.

    `operation` is a name such as "profiles.upsert", "login", or a pattern such as "events.*"; `method` and `path` (the
    template, such as "/v4/clients/{clientId}") likewise; by default any. `times` is how often it is played, by default
    until it is removed; `rate` is the share of the matching requests that meet it, drawn with `seed`: the same seed
    chooses the same ones.

    `processed` says whether the request is carried out all the same (for status, html and close), or before the wait
    (for delay; a delayed request is always carried out). `status` is that of status and html. `retry_after` is in
    seconds; with `retry_after_date` it is sent as a date, counted from the sandbox's clock. `seconds` is real time: the
    delay, or the pause between the pieces of a drip. `size` is how many bytes a piece has, or how much a truncated
    answer keeps of its body (by default half). `reset` breaks the connection with a RST instead of closing it.
    """

    kind: FaultKind
    operation: str = "*"
    method: str = "*"
    path: str = "*"
    times: int | None = None
    rate: float = 1.0
    seed: int = 0
    processed: bool = False
    status: int = 502
    retry_after: float | None = None
    retry_after_date: bool = False
    seconds: float = 0.0
    size: int | None = None
    media_type: str = "text/plain"
    reset: bool = False

    def __post_init__(self) -> None:
        problems = (
            (200 <= self.status <= 599, "status: expected one from 200 to 599"),
            (self.times is None or self.times > 0, "times: expected a positive number"),
            (0 < self.rate <= 1, "rate: expected a number above 0 and up to 1"),
            (isfinite(self.seconds) and self.seconds >= 0, "seconds: expected a number that is not negative"),
            (self.size is None or self.size >= (self.kind is FaultKind.DRIP), "size: expected a positive number"),
            (self.retry_after is None or 0 <= self.retry_after < 1e9, "retry_after: expected seconds from now"),
            (self.media_type.isascii() and self.media_type.isprintable(), "media_type: expected plain text"),
        )
        for good, message in problems:
            if not good:
                raise ValueError(message)

    @property
    def carries_out(self) -> bool:
        """Whether the request is carried out."""
        if self.kind is FaultKind.DELAY:
            return True
        return self.processed if self.kind in _KINDS_WITH_PROCESSED else self.kind is not FaultKind.EXPIRE_TOKEN

    @property
    def label(self) -> str:
        """What the log says."""
        when = " after processing" if self.processed else ""
        match self.kind:
            case FaultKind.STATUS | FaultKind.HTML:
                return f"{self.kind} {self.status}{when}"
            case FaultKind.DELAY:
                return f"delay {self.seconds:g} s{when}"
            case FaultKind.CLOSE:
                return f"{'reset' if self.reset else 'closed'}{when or ' before processing'}"
            case FaultKind.CONTENT_TYPE:
                return f"content type {self.media_type}"
            case FaultKind.EXPIRE_TOKEN:
                return "token expired"
            case FaultKind.LOSE_207:
                return "lost 207"
            case _:
                return {FaultKind.TRUNCATE: "truncated", FaultKind.DRIP: "drip"}[self.kind]


class InjectedFault:
    """A fault that was added: its number, how many requests matched it, and how often it was played."""

    def __init__(self, number: int, fault: Fault, operations: frozenset[str], remove: Callable[[int], bool]) -> None:
        self.number = number
        self.fault = fault
        self.matched = 0
        self.played = 0
        self.active = True
        self.operations = operations
        self._random = random.Random(fault.seed)  # noqa: S311 - chooses requests, protects nothing
        self._remove = remove

    def remove(self) -> bool:
        """Deactivate it; False when it was inactive already."""
        return self._remove(self.number)

    def record_match(self) -> bool:
        """Count a matching request; True when this one meets the fault, by its `rate`."""
        self.matched += 1
        if self._random.random() >= self.fault.rate:
            return False
        self.played += 1
        return True

    def __repr__(self) -> str:
        return f"<InjectedFault {self.number}: {self.fault.label}, played {self.played} times>"


class Faults:
    """The faults of one sandbox, in the order in which they were added.

    A request meets the first that matches it and is drawn by its `rate`, and no other. Each method that adds a fault
    takes the filter of `Fault` as keywords (`operation`, `method`, `path`, `times`, `rate`, `seed`), returns the
    `InjectedFault`, and raises ValueError for a value out of range or a filter that no request can match. `operations`
    are name, method and path template of each operation and token endpoint. All methods are safe from any thread.
    """

    def __init__(self, operations: Iterable[tuple[str, str, str]]) -> None:
        self._operations = tuple(operations)
        self._lock = threading.Lock()
        self._active: tuple[InjectedFault, ...] = ()
        self._all: deque[InjectedFault] = deque(maxlen=_MAX_REMEMBERED_FAULTS)
        self._next_number = 1

    def add(self, fault: Fault) -> InjectedFault:
        """Add a fault; ValueError when no request could ever meet it."""
        names = self._matching_operations(fault)
        with self._lock:
            injected = InjectedFault(self._next_number, fault, names, self.remove)
            self._next_number += 1
            self._active = (*self._active, injected)
            self._all.append(injected)
        return injected

    def status(
        self,
        status: int,
        *,
        retry_after: float | None = None,
        retry_after_date: bool = False,
        processed: bool = False,
        **when: Unpack[FaultFilter],
    ) -> InjectedFault:
        """Answer with a status, without carrying out the request or (`processed`) after it."""
        fault = Fault(
            kind=FaultKind.STATUS,
            status=status,
            retry_after=retry_after,
            retry_after_date=retry_after_date,
            processed=processed,
            **when,
        )
        return self.add(fault)

    def delay(self, seconds: float, *, processed: bool = False, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Wait (real time), then carry out the request and answer; or carry it out, wait and answer."""
        return self.add(Fault(kind=FaultKind.DELAY, seconds=seconds, processed=processed, **when))

    def close(self, *, processed: bool = False, reset: bool = False, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Close the connection without an answer."""
        return self.add(Fault(kind=FaultKind.CLOSE, processed=processed, reset=reset, **when))

    def truncate(self, *, size: int | None = None, reset: bool = False, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Close the connection in the middle of the answer; one without a body ends within its head."""
        return self.add(Fault(kind=FaultKind.TRUNCATE, size=size, reset=reset, **when))

    def content_type(self, media_type: str = "text/plain", **when: Unpack[FaultFilter]) -> InjectedFault:
        """Answer with another content type than the body has."""
        return self.add(Fault(kind=FaultKind.CONTENT_TYPE, media_type=media_type, **when))

    def html(self, status: int = 502, *, processed: bool = False, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Answer with the error page of a gateway."""
        return self.add(Fault(kind=FaultKind.HTML, status=status, processed=processed, **when))

    def drip(self, seconds: float = 0.01, *, size: int = 16, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Send the answer, its head too, in pieces of `size` bytes with pauses."""
        return self.add(Fault(kind=FaultKind.DRIP, seconds=seconds, size=size, **when))

    def expire_token(self, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Answer 401 "Token expired." and refuse this token from then on; met by requests with a token only."""
        return self.add(Fault(kind=FaultKind.EXPIRE_TOKEN, **when))

    def lose_207(self, **when: Unpack[FaultFilter]) -> InjectedFault:
        """Answer an empty 202 where it would be a 207 with the refused entries; met by such answers only."""
        return self.add(Fault(kind=FaultKind.LOSE_207, **when))

    def pick(self, operation: str, *, bearer: bool = False, status: int | None = None) -> Fault | None:
        """The fault that a request meets, before it is carried out or, with the `status` of its answer, after it.

        `operation` is "" for an unknown one; `bearer` says that the request has a token.
        """
        if not self._active:
            return None
        with self._lock:
            for injected in self._active:
                fault = injected.fault
                if operation in injected.operations and _applies(fault, bearer=bearer, status=status):
                    if not injected.record_match():
                        continue
                    if injected.played == fault.times:
                        self._retire(injected)
                    return fault
        return None

    def remove(self, number: int) -> bool:
        """Deactivate the fault with this number; False when it was inactive already."""
        with self._lock:
            found = next((injected for injected in self._active if injected.number == number), None)
            if found is not None:
                self._retire(found)
            return found is not None

    def clear(self) -> None:
        """Deactivate and forget all faults."""
        with self._lock:
            for injected in self._active:
                injected.active = False
            self._active = ()
            self._all.clear()

    def __iter__(self) -> Iterator[InjectedFault]:
        return iter(self._all.copy())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {len(self)} active>"

    def __len__(self) -> int:
        return len(self._active)

    def _retire(self, injected: InjectedFault) -> None:
        injected.active = False
        self._active = tuple(other for other in self._active if other is not injected)

    def _matching_operations(self, fault: Fault) -> frozenset[str]:
        names = frozenset(
            name
            for name, method, path in self._operations
            if fnmatchcase(name, fault.operation)
            and fnmatchcase(method, fault.method.upper())
            and fnmatchcase(path, fault.path)
        )
        if not names:
            asked = f"operation {fault.operation!r}, method {fault.method!r}, path {fault.path!r}"
            raise ValueError(f"no request can meet this fault: there is nothing with {asked}")
        everything = (fault.operation, fault.method, fault.path) == ("*", "*", "*")
        return names | {""} if everything else names


def _applies(fault: Fault, *, bearer: bool, status: int | None) -> bool:
    if fault.kind is FaultKind.LOSE_207:
        return status == HTTPStatus.MULTI_STATUS
    return status is None and (bearer or fault.kind is not FaultKind.EXPIRE_TOKEN)
