"""What the generated modules are made of: the facts of an operation, a request ready to send, an answer read."""

from __future__ import annotations

import enum
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import attrs

__all__ = [
    "UNSET",
    "AsyncSend",
    "BatchLimits",
    "MergeLimits",
    "Operation",
    "RawJson",
    "RawResponse",
    "Request",
    "Response",
    "Send",
    "Unset",
]

T = TypeVar("T")


class Unset(enum.Enum):
    """The type of `UNSET`. An enum, so that type checkers narrow `is UNSET` and copies stay the one value."""

    UNSET = b"UNSET"  # bytes, which orjson refuses: what was forgotten is never sent as text

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset.UNSET
"""Not given: the field is left out of what is sent. `None` is sent as null, which deletes a value."""


@attrs.frozen(kw_only=True)
class BatchLimits:
    """How much one request of a batch operation may carry.

    `max_bytes` counts the UTF-8 body as it is sent. `assumed` says that the reference is silent and that the limits
    of the sibling operations are kept.
    """

    max_items: int
    max_bytes: int
    uniform_identifier: bool = False
    assumed: bool = False


@attrs.frozen(kw_only=True)
class MergeLimits:
    """How many sources one merge may name: `default_sources` where nobody chooses, `max_sources` at most.

    `max_path_bytes` is the length of the encoded path that servers and proxies surely take; the reference is silent.
    """

    default_sources: int
    max_sources: int
    max_path_bytes: int


def _method_name(operation: Operation) -> str:
    return f"{operation.resource}.{operation.method}"


@attrs.frozen(kw_only=True)
class Operation:
    """The facts of one operation, as the spec states them.

    `resource` and `method` name the client's method, `consumers` who may call it, `permission` and `role` what an API
    key or a user needs; `pii` says that PII permissions are needed as well, where PII protection is on. `action` is
    what the server calls a single event, `event_type` what a batch calls it. `accept` holds the media types of its
    answers. `retry` is `idempotent`, `keyed` (safe when `retry_keys` are in every item) or `never`. `sunset` is an ISO
    date; `replaced_by` holds method names, or paths of operations outside the spec. `refusals` are the statuses that
    say more here than elsewhere, and what each means.
    """

    resource: str
    method: str
    operation_id: str
    http_method: str
    path: str
    summary: str
    consumers: tuple[str, ...]
    permission: str | None = None
    role: str | None = None
    pii: bool = False
    action: str | None = None
    event_type: str | None = None
    authenticated: bool = True
    accept: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    retry: str = "never"
    retry_keys: tuple[str, ...] = ()
    irreversible: bool = False
    batch: BatchLimits | None = None
    merge: MergeLimits | None = None
    deprecated: bool = False
    sunset: str | None = None
    replaced_by: tuple[str, ...] = ()
    deprecated_reason: str | None = None
    refusals: tuple[tuple[int, str], ...] = ()

    name: str = attrs.field(init=False, default=attrs.Factory(_method_name, takes_self=True))
    """Name of the client's method, such as `profiles.get`."""


RawJson: TypeAlias = dict[str, Any] | list[Any] | str | float | bool
"""A body of another shape than is inferred, as it came: its JSON, or its text where it is none."""


class RawResponse(Protocol):
    """What an operation's `parse` reads; `httpx.Response` is one."""

    @property
    def status_code(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> bytes: ...


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Request(Generic[T]):
    """One request, ready to send: nothing in it is checked or serialised again.

    `path` is percent-encoded, `query` the encoded query without its question mark, `content` the body as it is sent,
    `body` what that was made from: a client checks it by the rules of the document before it sends it.
    `repeatable` says that sending it a second time is safe even if the first one arrived.
    """

    operation: Operation
    path: str
    parse: Callable[[RawResponse], T]
    query: str = ""
    content: bytes | None = None
    body: object = None
    repeatable: bool = False

    def __repr__(self) -> str:
        size = "" if self.content is None else f", {len(self.content)} bytes"
        return f"<Request {self.operation.name}: {self.operation.http_method} {self.operation.path}{size}>"


@attrs.frozen(kw_only=True, repr=False, eq=False)
class Response(Generic[T]):
    """An answer: `body` is what was read from `content`, `attempts` how many times the request was sent."""

    operation: Operation
    status_code: int
    headers: Mapping[str, str]
    content: bytes
    body: T
    attempts: int = 1

    def __repr__(self) -> str:
        return f"<Response {self.operation.name}: {self.status_code}, {len(self.content)} bytes>"


class Send(Protocol):
    """Sends a request and waits for its answer."""

    def __call__(self, request: Request[T], /) -> Response[T]: ...


class AsyncSend(Protocol):
    """Sends a request; the answer is awaited."""

    def __call__(self, request: Request[T], /) -> Coroutine[Any, Any, Response[T]]: ...
