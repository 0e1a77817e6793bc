"""Errors of merges: a plan that is refused, a merge that stopped, an audit that cannot be used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from synerise_profiles_api.errors import SyneriseError

if TYPE_CHECKING:
    from .result import MergeResult, MergeSetResult

__all__ = ["AuditError", "MergeChangedError", "MergeRefusedError", "MergeStoppedError"]

_MAX_SHOWN_PROBLEMS = 10


class MergeRefusedError(SyneriseError, ValueError):
    """A plan cannot be applied as it is; this call merged nothing of it.

    `problems` are sentences without personal data.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        shown = "; ".join(self.problems[:_MAX_SHOWN_PROBLEMS])
        more = len(self.problems) - _MAX_SHOWN_PROBLEMS
        super().__init__(f"{shown} and {more} more" if more > 0 else shown)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problems,)


class MergeChangedError(MergeRefusedError):
    """Profiles are no longer as the plan says; nothing was merged.

    `problems` name what differs, such as "source[2].attributes.score has changed". Make a new plan, or apply this one
    with `allow_changes=True`.
    """


class MergeStoppedError(SyneriseError):
    """Merging stopped at the first group that failed, or of which the server could not say whether it was merged.

    A set of plans also stops so where a look-up or the audit fails after something was merged.

    `result` says exactly what is merged and what is not. The error that ended it is its `__cause__`. Applying the same
    plan again goes on from there.
    """

    def __init__(self, problem: str, result: MergeResult | MergeSetResult) -> None:
        self.problem = problem
        self.result = result
        super().__init__(f"{problem}; {result.summary()}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.problem, self.result)


class AuditError(SyneriseError):
    """The audit file cannot be read, written or locked."""
