"""What a caller may choose about applying plans, checked before anything is sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Required, TypeAlias, TypedDict

import attrs

from synerise_profiles_api.errors import InvalidRequestError

from .key_type import KeyType
from .result import MergeProgress

__all__ = ["ApplyArguments", "ApplyManyArguments", "ApplySettings", "OnRefusal"]

OnRefusal: TypeAlias = Literal["stop", "skip"]


class ApplyArguments(TypedDict, total=False):
    """The keyword arguments of `apply`; see `Merges.apply`."""

    audit: Required[str | os.PathLike[str] | None]
    actor: Required[str]
    group_size: int | None
    allow_changes: bool
    progress: Callable[[MergeProgress], object] | None


class ApplyManyArguments(ApplyArguments, total=False):
    """Those of `apply_many`."""

    on_refusal: OnRefusal


@attrs.frozen(kw_only=True)
class ApplySettings:
    """The choices of one call."""

    audit: str | os.PathLike[str] | None
    actor: str
    group_size: int | None = None
    allow_changes: bool = False
    progress: Callable[[MergeProgress], object] | None = None
    on_refusal: OnRefusal = "stop"

    def __attrs_post_init__(self) -> None:
        """Refuse what would not work."""
        if not _is_text(self.actor):
            raise _refused("actor", "say who merges: a name for the audit")
        if self.on_refusal not in ("stop", "skip"):
            raise _refused("on_refusal", "expected stop or skip")

    def sources_per_request(self, key_type: KeyType) -> int:
        """Return how many sources one request may name."""
        limits, size = key_type.limits, self.group_size
        if size is None:
            return limits.default_sources
        if not _is_whole(size) or not 1 <= size <= limits.max_sources:
            raise _refused("group_size", f"expected a whole number from 1 to {limits.max_sources}")
        return size


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _refused(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(problem, operation="merges.apply", field=field)
