"""The settings of a bulk run and the keyword arguments that they come from, checked before anything is opened."""

from __future__ import annotations

import datetime
import os
from collections.abc import AsyncIterable, Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypedDict, get_args

import attrs
from attrs.validators import optional

from synerise_profiles._batching.deletion_audit import audit_target
from synerise_profiles._batching.ordering import HOLD_DISTANCE
from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles._batching.row_source import rows_problem
from synerise_profiles._batching.salt_choice import is_salt
from synerise_profiles._batching.sampling import Sample
from synerise_profiles._batching.throttle import Pace
from synerise_profiles._core.arguments import (
    SettingValidator,
    check_arguments,
    instance_of,
    name_collection,
    no_coroutine_function,
    number,
    one_of,
    optional_function,
    positive_seconds,
    refuse_coroutine_function,
    refuse_unchecked,
    refuse_without,
    seconds,
    taken_by,
    whole_number,
    without_awaitables,
)
from synerise_profiles._core.files import target_of
from synerise_profiles._core.timing import Timing
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import is_moment, raised_problem

from .letter_file import DeadLetterMode
from .report import Progress, Report
from .row_preparer import ChunkerOptions, SaltOption

__all__ = [
    "DELETIONS",
    "EVENTS",
    "PROFILES",
    "SALT_FUNCTION",
    "SHOWN_SETTINGS",
    "TAGS",
    "TRANSACTIONS",
    "BatchArguments",
    "BulkArguments",
    "BulkSettings",
    "DeletionArguments",
    "ProfileArguments",
    "SaltedArguments",
    "check_call",
    "reference_of",
]

SALT_FUNCTION: Final = "salt_function"
"""Says in the arguments of a letter that a function made the salts of its call: no file can hold it."""

_MAX_CONCURRENCY = 100
"""The connections of a client's pool; more requests at once would wait for one."""


class BulkArguments(TypedDict, total=False):
    """The keyword arguments of every bulk method."""

    concurrency: int
    requests_per_second: float | None
    rate_budget: str | os.PathLike[str] | None
    max_errors: int | None
    max_error_rate: float | None
    dead_letter: str | os.PathLike[str] | None
    dead_letter_mode: DeadLetterMode
    journal: str | os.PathLike[str] | None
    progress: Callable[[Progress], object] | None
    reference: Callable[[Any], Any] | None
    ordered: bool
    on_settled: Callable[[int], object] | None
    flush_after: float | None
    on_finish: Callable[[Report], object] | None


class BatchArguments(BulkArguments, total=False):
    """The keyword arguments of the methods that send batches."""

    checks: Checks
    allow_null: Collection[str]
    allow_unknown: Collection[str]
    max_bisect_requests: int


class ProfileArguments(BatchArguments, total=False):
    """The keyword arguments of the method that writes profiles."""

    verify_sample: int
    verify_within: float


class DeletionArguments(BulkArguments, total=False):
    """The keyword arguments of the method that deletes profiles."""

    audit: str | os.PathLike[str] | None
    verify_sample: int
    verify_within: float


class SaltedArguments(BatchArguments, total=False):
    """The keyword arguments of the methods whose rows have a salt: events and transactions."""

    salt: SaltOption
    keep_duplicates: bool
    default_time: datetime.datetime | str | None


_REFUSED_SALTS: Final = frozenset({"random", "unique"})


def _is_salt(value: Any) -> bool:
    return is_salt(value) and not (isinstance(value, str) and value in _REFUSED_SALTS)


_SALT: Final = SettingValidator(
    _is_salt,
    "expected a text, a function of a row or a list of field names, such as ['orderId']; with a random salt a row "
    "that is sent again would be stored twice (keep_duplicates=True keeps equal rows apart)",
)


def _time_text(value: Any) -> str:
    """Write a time as it is sent; raise InvalidRequestError for what is none."""
    try:
        moment = datetime.datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        moment = None
    text = ""
    try:
        if isinstance(moment, datetime.datetime) and is_moment(moment) and moment.utcoffset() is not None:
            text = moment.astimezone(datetime.UTC).isoformat(timespec="milliseconds")
    except Exception as error:  # noqa: BLE001 - a zone of the caller's may fail in any way
        raise InvalidRequestError(raised_problem(error).problem, field="default_time") from None
    if not text:
        problem = "expected a datetime with a zone, or such a text in ISO 8601"
        raise InvalidRequestError(problem, field="default_time")
    return text.replace("+00:00", "Z")


_FLUSH_TEXT: Final = (
    "does not go together with journal=: the journal knows rows again by the batches that they are in, which have to "
    "depend on the rows alone, and not on how fast they come"
)
_NOT_ASYNC_TEXT: Final = (
    "needs rows from an async iterable, such as an async generator: the event loop stands still while another one is "
    "waited for, so that nothing can be sent meanwhile; give one, or use Synerise"
)
_COMPANIONS: Final = {
    "dead_letter_mode": "dead_letter",
    "rate_budget": "requests_per_second",
    "verify_within": "verify_sample",
}
"""What has no effect without another option."""


@attrs.frozen(kw_only=True)
class BulkSettings:
    """The choices of one run, checked when it is made: the union of what the bulk methods take."""

    concurrency: int = attrs.field(default=8, validator=whole_number(1, _MAX_CONCURRENCY))
    requests_per_second: float | None = attrs.field(
        default=None, validator=optional(number("a positive number", positive=True))
    )
    rate_budget: str | os.PathLike[str] | None = None
    max_errors: int | None = attrs.field(default=None, validator=optional(whole_number(0)))
    max_error_rate: float | None = attrs.field(default=None, validator=optional(number("a number from 0 to 1", 0, 1)))
    max_bisect_requests: int = attrs.field(default=1000, validator=whole_number(0))
    dead_letter: str | os.PathLike[str] | None = None
    dead_letter_mode: DeadLetterMode = attrs.field(default="replace", validator=one_of(*get_args(DeadLetterMode)))
    journal: str | os.PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = attrs.field(
        default=None, validator=[optional_function("progress"), no_coroutine_function()]
    )
    reference: Callable[[Any], Any] | None = attrs.field(
        default=None, validator=[optional_function("row"), no_coroutine_function()]
    )
    ordered: bool = attrs.field(default=True, validator=instance_of(bool, expected="True or False"))
    checks: Checks = attrs.field(default="basic", validator=one_of(*get_args(Checks)))
    allow_null: Collection[str] = attrs.field(default=(), validator=name_collection())
    allow_unknown: Collection[str] = attrs.field(default=(), validator=name_collection())
    salt: SaltOption = attrs.field(default=None, validator=optional((no_coroutine_function(), _SALT)))
    keep_duplicates: bool = attrs.field(default=False, validator=instance_of(bool, expected="True or False"))
    default_time: str | None = attrs.field(default=None, converter=attrs.converters.optional(_time_text))
    audit: str | os.PathLike[str] | None = None
    verify_sample: int = attrs.field(default=0, validator=whole_number(0))
    verify_within: float = attrs.field(default=30.0, validator=seconds())
    on_finish: Callable[[Report], object] | None = attrs.field(default=None, validator=optional_function("report"))
    on_settled: Callable[[int], object] | None = attrs.field(default=None, validator=optional_function("index"))
    flush_after: float | None = attrs.field(default=None, validator=optional(positive_seconds()))

    def __attrs_post_init__(self) -> None:
        refuse_without(self, _COMPANIONS)
        refuse_unchecked(self, self.checks)

    def check_journal(self) -> None:
        """Raise InvalidRequestError for what does not go together with a journal."""
        if self.flush_after is not None:
            raise InvalidRequestError(_FLUSH_TEXT, field="flush_after")

    def written_files(self) -> dict[str, Path]:
        """Return the files that a run writes, by argument; nothing is touched.

        Raises InvalidRequestError for one that cannot be written, and for a journal that does not go together with the
        rest.
        """
        found: dict[str, Path | None] = {}
        if self.dead_letter is not None:
            is_appended = self.dead_letter_mode == "append"
            found["dead_letter"] = target_of(self.dead_letter, "dead_letter", is_appended=is_appended)
        if self.journal is not None:
            from .journal import journal_target  # noqa: PLC0415 - a database

            self.check_journal()
            found["journal"] = journal_target(self.journal)
        if self.audit is not None:
            found["audit"] = audit_target(self.audit)
        if self.rate_budget is not None:
            from synerise_profiles._batching.shared_pace import budget_target  # noqa: PLC0415 - most runs do without

            found["rate_budget"] = budget_target(self.rate_budget)
        return {argument: target for argument, target in found.items() if target is not None}

    def open_pace(self, base_url: str) -> Pace | None:
        """Open the file of the rate that several processes share; None where a run has its rate for itself."""
        if self.rate_budget is None:
            return None
        from synerise_profiles._batching.shared_pace import open_pace  # noqa: PLC0415 - most runs do without

        return open_pace(self.requests_per_second, self.rate_budget, base_url)

    def check_time(self, timing: Timing) -> None:
        """Raise InvalidRequestError for a default time that is in the future."""
        time = self.default_time
        if time is not None and datetime.datetime.fromisoformat(time).timestamp() > timing.wall():
            words = "is in the future: the server would replace it, and a salt would have no effect"
            raise InvalidRequestError(words, field="default_time")

    def letter_arguments(self) -> dict[str, Any]:
        """Return what letters say of the call, so that their rows can be sent again with the same salts and times."""
        salt = self.salt
        given: dict[str, Any] = {"keep_duplicates": self.keep_duplicates or None, "default_time": self.default_time}
        given |= {SALT_FUNCTION: True} if callable(salt) else {"salt": salt}
        return {name: value for name, value in given.items() if value is not None}

    def sample_of(self, identifiers: Sequence[str], random: Callable[[], float]) -> Sample | None:
        """Return what chooses the rows that are read back; None where none are."""
        if not self.verify_sample:
            return None
        keeps_first = self.audit is not None  # of deletions: the second one of a profile finds nothing
        return Sample(self.verify_sample, identifiers, random, is_ordered=self.ordered, keeps_first=keeps_first)

    def chunker_options(self, *, rows_are_fixed: bool, wall: Callable[[], float]) -> ChunkerOptions:
        """Return the part that is about reading and checking rows; `wall` is the clock of this machine."""
        return ChunkerOptions(
            checks=self.checks,
            allow_null=frozenset(self.allow_null),
            allow_unknown=frozenset(self.allow_unknown),
            reference=reference_of(self),
            salt=self.salt,
            keep_duplicates=self.keep_duplicates,
            default_time=self.default_time,
            # Keys are remembered for longer than requests are in flight, or the guard would narrow the window.
            order_window=HOLD_DISTANCE // 2 + max(HOLD_DISTANCE, self.concurrency) if self.ordered else 0,
            rows_are_fixed=rows_are_fixed,
            flush_after=self.flush_after,
            wall=wall,
        )


def reference_of(settings: BulkSettings) -> Callable[[Any], Any] | None:
    """Return the function that says what a row is known by; it raises once that has to be awaited."""
    return None if settings.reference is None else without_awaitables("reference", settings.reference)


SHOWN_SETTINGS: Final = (
    "concurrency",
    "requests_per_second",
    "ordered",
    "checks",
    "keep_duplicates",
    "max_errors",
    "max_error_rate",
    "max_bisect_requests",
    "verify_sample",
)
"""What the page of a run shows of its settings: nothing of rows and files."""
PROFILES: Final = "bulk.upsert_profiles"
EVENTS: Final = "bulk.send_events"
TRANSACTIONS: Final = "bulk.create_transactions"
DELETIONS: Final = "bulk.delete_profiles"
TAGS: Final = "bulk.assign_tag"
_ARGUMENTS: Final[Mapping[str, type]] = {
    PROFILES: ProfileArguments,
    EVENTS: SaltedArguments,
    TRANSACTIONS: SaltedArguments,
    DELETIONS: DeletionArguments,
    TAGS: BulkArguments,
}
"""What each method takes beside its rows."""


def check_call(method: str, rows: object, options: Mapping[str, Any], *, is_async: bool) -> None:
    """Refuse what is no list of rows, and options that mean nothing to a method, before anything is opened."""
    if not is_async:
        for name in ("on_finish", "on_settled"):
            if name in options:
                refuse_coroutine_function(method, name, options[name])
    others = {other: taken_by(kind) for other, kind in _ARGUMENTS.items() if other != method}
    check_arguments(method, options, _ARGUMENTS[method], others)
    if method == DELETIONS and options.get("verify_sample") and options.get("audit") is None:
        words = "needs audit=, a file that says which profiles the rows of the report were; nothing was deleted"
        raise InvalidRequestError(words, operation=method, field="verify_sample")
    if options.get("keep_duplicates") and options.get("salt") is not None:
        words = (
            "keeps rows apart whose salts are made from their content; with salt= the salts are yours: leave one out"
        )
        raise InvalidRequestError(words, operation=method, field="keep_duplicates")
    problem = rows_problem(rows, takes_async=is_async)
    if problem is not None:
        raise InvalidRequestError(problem, operation=method, field="rows")
    is_awaited = not is_async or isinstance(rows, AsyncIterable | list | tuple)
    if options.get("flush_after") is not None and not is_awaited:
        raise InvalidRequestError(_NOT_ASYNC_TEXT, operation=method, field="flush_after")
