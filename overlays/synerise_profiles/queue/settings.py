"""The settings of a queue, checked when it is made, and the keyword arguments that they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

import attrs
from attrs.validators import optional

from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.letter_lines import letter_target
from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles._batching.salt_choice import is_salt
from synerise_profiles._core.arguments import (
    SettingValidator,
    check_arguments,
    name_collection,
    no_coroutine_function,
    number,
    one_of,
    optional_function,
    refuse_unchecked,
    refuse_without,
    seconds,
    whole_number,
)
from synerise_profiles._core.callables import is_coroutine_function
from synerise_profiles._core.files import refuse_same_files, refused, scratch_file
from synerise_profiles_api.errors import InvalidRequestError

__all__ = ["OnError", "OnRejected", "QueueArguments", "QueueSettings", "Salt", "WhenFull", "queue_settings"]

WhenFull: TypeAlias = Literal["block", "drop_oldest", "raise"]
Salt: TypeAlias = str | Collection[str] | Callable[[Any], str]
OnRejected: TypeAlias = Callable[[Rejection, Mapping[str, Any]], object]
OnError: TypeAlias = Callable[[BaseException], object]


class QueueArguments(TypedDict, total=False):
    """The keyword arguments of `client.queue`; all may be left out.

    - `max_items` (100,000) and `max_bytes` (64 MB): how much is held, what is on its way included.
    - `when_full`: `block` waits for room, as long as `put_timeout` (0.1 s) or the put's own `timeout` says, and raises
      QueueFullError then; `raise` does so at once; `drop_oldest` drops what has waited longest, and counts it. What is
      in flight is never dropped; half of the queue at most is, then.
    - `flush_items`, `flush_bytes`, `flush_after` (1 s): what is sent at once; by default a whole batch, as large as is
      documented and half of the queue at most, or what has waited for so many seconds.
    - `concurrency`: requests in flight (4). Profiles are sent one request after the other, in the order of puts.
      `requests_per_second` and `rate_budget`: as in `client.bulk`, for all rows of the queue together.
    - `checks`, `allow_null`, `allow_unknown`: as in `client.bulk`. `salt`, of rows without `eventSalt`:
      `random` for each put, or made from their `content`, or a text for all rows, names of fields, or a function.
    - `on_rejected(rejection, row)` is called for each row that the server refuses, or breaks at while it takes others,
      `on_error(error)` for each request that did not succeed and is tried again, and with what a hook or `on_rejected`
      raised. In the sync queue that may be what is no Exception too, such as SystemExit; it stops nothing.
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
    requests_per_second: float | None
    rate_budget: str | os.PathLike[str] | None
    checks: Checks
    allow_null: Collection[str]
    allow_unknown: Collection[str]
    salt: Salt
    on_rejected: OnRejected | None
    on_error: OnError | None
    exit_timeout: float
    spill: str | os.PathLike[str] | None


def _check_spill(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    target = letter_target(value, attribute.name, is_appended=True)
    if not target.exists():  # rights alone do not say whether a folder takes a file, such as one of the kernel's
        try:
            scratch_file(target.parent).close()
        except OSError as error:
            raise refused(attribute.name, f"is in a folder that cannot be written: {error.strerror}") from None


_SALT: Final = SettingValidator(
    lambda value: is_salt(value) and value != "unique",
    "expected random, content, a text, a function of a row or a list of field names, such as ['orderId']",
)


_OPTIONS_OF_BULK: Final = frozenset(
    ("default_time", "keep_duplicates", "verify_sample", "dead_letter", "journal", "ordered", "max_errors", "reference")
)
"""Options of the bulk methods that have no counterpart in a queue."""


@attrs.frozen(kw_only=True)
class QueueSettings:
    """The choices of one queue, checked when it is made."""

    max_items: int = attrs.field(default=100_000, validator=whole_number(1))
    max_bytes: int = attrs.field(default=64_000_000, validator=whole_number(1))
    when_full: WhenFull = attrs.field(default="block", validator=one_of(*get_args(WhenFull)))
    put_timeout: float = attrs.field(default=0.1, validator=seconds())
    flush_items: int | None = attrs.field(default=None, validator=optional(whole_number(1)))
    flush_bytes: int | None = attrs.field(default=None, validator=optional(whole_number(1)))
    flush_after: float = attrs.field(default=1.0, validator=seconds())
    concurrency: int = attrs.field(default=4, validator=whole_number(1))
    requests_per_second: float | None = attrs.field(
        default=None, validator=optional(number("a positive number", positive=True))
    )
    rate_budget: str | os.PathLike[str] | None = None
    checks: Checks = attrs.field(default="basic", validator=one_of(*get_args(Checks)))
    allow_null: Collection[str] = attrs.field(default=(), validator=name_collection())
    allow_unknown: Collection[str] = attrs.field(default=(), validator=name_collection())
    salt: Salt = attrs.field(default="random", validator=[no_coroutine_function(), _SALT])
    on_rejected: OnRejected | None = attrs.field(default=None, validator=optional_function("rejection", "row"))
    on_error: OnError | None = attrs.field(default=None, validator=optional_function("error"))
    exit_timeout: float = attrs.field(default=10.0, validator=seconds())
    spill: str | os.PathLike[str] | None = attrs.field(default=None, validator=optional(_check_spill))

    def __attrs_post_init__(self) -> None:
        refuse_without(self, {"rate_budget": "requests_per_second"})
        refuse_unchecked(self, self.checks)
        if self.spill is not None and self.rate_budget is not None:
            from synerise_profiles._batching.shared_pace import budget_target  # noqa: PLC0415 - most queues do without

            spill = letter_target(self.spill, "spill", is_appended=True)
            refuse_same_files({"rate_budget": budget_target(self.rate_budget), "spill": spill}, {})
        if self.when_full == "raise" and self.put_timeout != attrs.fields(QueueSettings).put_timeout.default:
            raise InvalidRequestError(
                "has no effect with when_full='raise', which waits for nothing", field="put_timeout"
            )


def queue_settings(options: QueueArguments, *, is_async: bool) -> QueueSettings:
    """Make the settings of keyword arguments; raise InvalidRequestError for one that a queue does not take."""
    check_arguments("queue", options, QueueArguments, {"client.bulk": _OPTIONS_OF_BULK})
    for name in () if is_async else ("on_rejected", "on_error"):
        if is_coroutine_function(options.get(name)):
            words = "is a coroutine function; only the queue of AsyncSynerise can await it"
            raise InvalidRequestError(words, field=name)
    return QueueSettings(**options)
