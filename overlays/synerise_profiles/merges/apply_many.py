"""Applying a set of plans, one after the other, with one audit. Pure; asks by steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

import attrs

from .apply import apply_plan
from .audit import AuditLog
from .errors import MergeRefusedError, MergeStoppedError
from .plan import BasePlan
from .result import MergeProgress, MergeResult, MergeSetResult, NotMerged, Reason
from .settings import ApplySettings
from .steps import Steps

__all__ = ["apply_plans"]


def apply_plans(
    plans: Iterable[BasePlan], count: int, base_url: str, settings: ApplySettings, log: AuditLog
) -> Steps[MergeSetResult]:
    """Apply plans in their order. A plan that is refused ends it, or is left out where `on_refusal` is `skip`."""
    total = MergeSetResult(plans=count)
    each = attrs.evolve(settings, progress=None)
    left = iter(plans)
    for number, plan in enumerate(left, 1):
        try:
            total.add((yield from apply_plan(plan, base_url, each, log)))
            total.done += 1
        except MergeRefusedError as error:
            total.refused[plan.target.key] = error.problems
            _leave_out(total, [plan], "refused")
            if settings.on_refusal == "stop":
                raise _stopped_error(f"plan {number}: {error}", total, left) from error
        except MergeStoppedError as error:
            total.add(cast("MergeResult", error.result))
            raise _stopped_error(f"plan {number}: {error.problem}", total, left) from error.__cause__
        if settings.progress is not None:
            settings.progress(MergeProgress(plans_done=number, plans=count, profiles=len(total.merged)))
    return total


def _stopped_error(problem: str, total: MergeSetResult, left: Iterator[BasePlan]) -> MergeStoppedError:
    _leave_out(total, left, "unsent")
    return MergeStoppedError(problem, total)


def _leave_out(total: MergeSetResult, plans: Iterable[BasePlan], reason: Reason) -> None:
    total.not_merged.extend(
        NotMerged(source=member.key, reason=reason if member.found else "missing")
        for plan in plans
        for member in plan.sources
    )
