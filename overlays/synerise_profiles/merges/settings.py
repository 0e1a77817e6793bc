"""The settings of applying plans, checked before anything is sent, and the keyword arguments that they come from."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Literal, Required, TypeAlias, TypedDict, get_args

import attrs

from synerise_profiles._core.arguments import one_of, optional_function, text, whole_number
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
    """The keyword arguments of `apply_many`."""

    on_refusal: OnRefusal


def _refused(name: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(problem, operation="merges.apply", field=name)


@attrs.frozen(kw_only=True)
class ApplySettings:
    """The choices of one call of `apply` or `apply_many`, checked when it is made.

    `group_size` is checked where it is read: how many sources one request may name depends on the key type.
    """

    audit: str | os.PathLike[str] | None
    actor: str = attrs.field(validator=text("say who merges: a name for the audit", error=_refused))
    group_size: int | None = None
    allow_changes: bool = False
    progress: Callable[[MergeProgress], object] | None = attrs.field(
        default=None, validator=optional_function("progress", error=_refused)
    )
    on_refusal: OnRefusal = attrs.field(default="stop", validator=one_of(*get_args(OnRefusal), error=_refused))

    def sources_per_request(self, key_type: KeyType) -> int:
        """Return how many sources one request may name."""
        limits, size = key_type.limits, self.group_size
        if size is None:
            return limits.default_sources
        whole_number(1, limits.max_sources, error=_refused).check("group_size", size)
        return size
