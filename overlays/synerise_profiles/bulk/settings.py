"""The settings of a bulk run, checked before it begins, and the keyword arguments that they come from."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from typing import Any, TypedDict, get_args

import attrs
from attrs.validators import optional

from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles._core.validators import instance_of, name_collection, number, one_of, seconds, whole_number

from .dead_letter import DeadLetterMode
from .report import Progress

__all__ = ["BatchArguments", "BulkArguments", "BulkSettings", "ProfileArguments", "SaltedArguments"]

_MAX_CONCURRENCY = 100
"""The connections of a client's pool; more requests at once would wait for one."""


class BulkArguments(TypedDict, total=False):
    """The keyword arguments of every bulk method."""

    concurrency: int
    requests_per_second: float | None
    max_errors: int | None
    max_error_rate: float | None
    dead_letter: str | os.PathLike[str] | None
    dead_letter_mode: DeadLetterMode
    journal: str | os.PathLike[str] | None
    progress: Callable[[Progress], object] | None
    reference: Callable[[Any], Any] | None
    ordered: bool


class BatchArguments(BulkArguments, total=False):
    """The keyword arguments of the methods that send batches."""

    checks: Checks
    allow_null: Collection[str]
    max_bisect_requests: int


class ProfileArguments(BatchArguments, total=False):
    """The keyword arguments of the method that writes profiles."""

    verify_sample: int
    verify_within: float


class SaltedArguments(BatchArguments, total=False):
    """The keyword arguments of the methods whose rows have a salt: events and transactions."""

    salt: Callable[[Any], str] | None
    keep_duplicates: bool


@attrs.frozen(kw_only=True)
class BulkSettings:
    """The choices of one run, checked when it is made: the union of what the bulk methods take."""

    concurrency: int = attrs.field(default=8, validator=whole_number(1, _MAX_CONCURRENCY))
    requests_per_second: float | None = attrs.field(
        default=None, validator=optional(number("a positive number", positive=True))
    )
    max_errors: int | None = attrs.field(default=None, validator=optional(whole_number(0)))
    max_error_rate: float | None = attrs.field(default=None, validator=optional(number("a number from 0 to 1", 0, 1)))
    max_bisect_requests: int = attrs.field(default=1000, validator=whole_number(0))
    dead_letter: str | os.PathLike[str] | None = None
    dead_letter_mode: DeadLetterMode = attrs.field(default="replace", validator=one_of(*get_args(DeadLetterMode)))
    journal: str | os.PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    reference: Callable[[Any], Any] | None = None
    ordered: bool = attrs.field(default=True, validator=instance_of(bool, expected="True or False"))
    checks: Checks = attrs.field(default="basic", validator=one_of(*get_args(Checks)))
    allow_null: Collection[str] = attrs.field(default=(), validator=name_collection())
    salt: Callable[[Any], str] | None = None
    keep_duplicates: bool = False
    verify_sample: int = attrs.field(default=0, validator=whole_number(0))
    verify_within: float = attrs.field(default=30.0, validator=seconds())
