"""What a caller may choose about a queue, checked when it is made."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, TypeAlias, TypedDict

import attrs

from synerise_profiles._batching.rejection import Rejection
from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["OnError", "OnRejected", "QueueArguments", "QueueSettings", "WhenFull"]

WhenFull: TypeAlias = Literal["block", "drop_oldest", "raise"]
Salt: TypeAlias = Literal["random", "content"] | Callable[[Any], str]
OnRejected: TypeAlias = Callable[[Rejection, Mapping[str, Any]], object]
OnError: TypeAlias = Callable[[Exception], object]


class QueueArguments(TypedDict, total=False):
    """The keyword arguments of `client.queue`; all may be left out.

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

    max_items: int
    max_bytes: int
    when_full: WhenFull
    put_timeout: float
    flush_items: int | None
    flush_bytes: int | None
    flush_after: float
    concurrency: int
    checks: Checks
    allow_null: Collection[str]
    salt: Salt
    on_rejected: OnRejected | None
    on_error: OnError | None
    exit_timeout: float
    spill: str | os.PathLike[str] | None


def _positive_integer(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise InvalidRequestError("expected a whole number above 0", field=attribute.name)


def _positive_integer_or_none(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        _positive_integer(None, attribute, value)


def _seconds(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise InvalidRequestError("expected a number of seconds that is not negative", field=attribute.name)


def _one_of(*names: str) -> Callable[[object, attrs.Attribute[Any], object], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in names and not (attribute.name == "salt" and callable(value)):
            raise InvalidRequestError(f"expected one of {', '.join(names)}", field=attribute.name)

    return check


def _name_collection(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if isinstance(value, str):
        raise InvalidRequestError("expected a collection of names, such as {'firstName'}", field=attribute.name)


@attrs.frozen(kw_only=True)
class QueueSettings:
    """The choices of one queue."""

    max_items: int = attrs.field(default=100_000, validator=_positive_integer)
    max_bytes: int = attrs.field(default=64_000_000, validator=_positive_integer)
    when_full: WhenFull = attrs.field(default="block", validator=_one_of("block", "drop_oldest", "raise"))
    put_timeout: float = attrs.field(default=0.1, validator=_seconds)
    flush_items: int | None = attrs.field(default=None, validator=_positive_integer_or_none)
    flush_bytes: int | None = attrs.field(default=None, validator=_positive_integer_or_none)
    flush_after: float = attrs.field(default=1.0, validator=_seconds)
    concurrency: int = attrs.field(default=4, validator=_positive_integer)
    checks: Checks = attrs.field(default="basic", validator=_one_of("strict", "basic", "off"))
    allow_null: Collection[str] = attrs.field(default=(), validator=_name_collection)
    salt: Salt = attrs.field(default="random", validator=_one_of("random", "content"))
    on_rejected: OnRejected | None = None
    on_error: OnError | None = None
    exit_timeout: float = attrs.field(default=10.0, validator=_seconds)
    spill: str | os.PathLike[str] | None = None
