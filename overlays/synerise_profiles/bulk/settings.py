"""What a caller may choose about a run, checked before it begins."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection
from typing import Any, TypedDict

import attrs

from synerise_profiles._batching.row_encoder import Checks
from synerise_profiles_api.errors import InvalidRequestError

from .report import Progress

__all__ = ["BatchArguments", "BulkArguments", "BulkSettings", "ProfileArguments", "SaltedArguments"]

_MAX_CONCURRENCY = 100
"""The connections of a client's pool."""


class BulkArguments(TypedDict, total=False):
    """The keyword arguments that every bulk method takes."""

    concurrency: int
    requests_per_second: float | None
    max_errors: int | None
    max_error_rate: float | None
    dead_letter: str | os.PathLike[str] | None
    journal: str | os.PathLike[str] | None
    progress: Callable[[Progress], object] | None
    reference: Callable[[Any], Any] | None


class BatchArguments(BulkArguments, total=False):
    """Those of the methods that send batches."""

    checks: Checks
    allow_null: Collection[str]
    max_bisect_requests: int


class ProfileArguments(BatchArguments, total=False):
    """Those of the method that writes profiles."""

    verify_sample: int
    verify_within: float


class SaltedArguments(BatchArguments, total=False):
    """Those of the methods whose rows are keyed."""

    salt: Callable[[Any], str] | None
    keep_duplicates: bool


@attrs.frozen(kw_only=True)
class BulkSettings:
    """The choices of one run."""

    concurrency: int = 8
    requests_per_second: float | None = None
    max_errors: int | None = None
    max_error_rate: float | None = None
    max_bisect_requests: int = 1000
    dead_letter: str | os.PathLike[str] | None = None
    journal: str | os.PathLike[str] | None = None
    progress: Callable[[Progress], object] | None = None
    reference: Callable[[Any], Any] | None = None
    checks: Checks = "basic"
    allow_null: Collection[str] = ()
    salt: Callable[[Any], str] | None = None
    keep_duplicates: bool = False
    verify_sample: int = 0
    verify_within: float = 30.0

    def __attrs_post_init__(self) -> None:
        """Refuse what would not work."""
        _require(
            "concurrency",
            _is_whole_number(self.concurrency, 1, _MAX_CONCURRENCY),
            f"a whole number from 1 to {_MAX_CONCURRENCY}",
        )
        per_second = self.requests_per_second
        _require("requests_per_second", per_second is None or 0 < per_second < math.inf, "a positive number")
        _require("max_errors", self.max_errors is None or _is_whole_number(self.max_errors, 0, None), "a whole number")
        rate = self.max_error_rate
        _require("max_error_rate", rate is None or 0 <= rate <= 1, "a number from 0 to 1")
        _require("max_bisect_requests", _is_whole_number(self.max_bisect_requests, 0, None), "a whole number")
        _require("verify_sample", _is_whole_number(self.verify_sample, 0, None), "a whole number")
        _require("verify_within", 0 <= self.verify_within < math.inf, "seconds")
        _require("checks", self.checks in ("strict", "basic", "off"), "strict, basic or off")
        names = self.allow_null
        _require("allow_null", not isinstance(names, str), "a collection of names, such as {'firstName'}")


def _is_whole_number(value: object, minimum: int, maximum: int | None) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return minimum <= value and (maximum is None or value <= maximum)


def _require(name: str, is_good: bool, expected: str) -> None:  # noqa: FBT001 - it is what is required
    if not is_good:
        raise InvalidRequestError(f"expected {expected}", field=name)
