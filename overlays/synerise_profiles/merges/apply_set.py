"""Applying a set of plans, one after the other, and what is merged of all of them at any moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, cast

import attrs

from synerise_profiles._core.workflow import Notify, Workflow
from synerise_profiles_api.errors import SyneriseError

from .apply import apply_plan, unmerged
from .audit import AuditLog
from .ended_run import MergeEnding, may_have_merged
from .errors import MergeRefusedError, MergeStoppedError
from .plan import BasePlan
from .plan_set import BasePlanSet
from .result import MergeProgress, MergeResult, MergeSetResult
from .settings import ApplySettings

__all__ = ["apply_plans"]


def apply_plans(
    plans: BasePlanSet[BasePlan], base_url: str, settings: ApplySettings, log: AuditLog, ending: MergeEnding
) -> Workflow[MergeSetResult]:
    """Apply plans in their order, with one audit; `ending` is told how to find what is merged so far.

    A plan that is refused is left out where `on_refusal` is `skip`; else MergeStoppedError is raised, as by a failure.
    So it is where a look-up or the audit fails after something was merged; before that the error itself is raised.
    """
    run = _SetRun(plans)
    ending.result_so_far = run.result_so_far
    settings_of_plan = attrs.evolve(settings, progress=None)
    for number, plan in enumerate(plans, 1):
        one = run.begin()
        try:
            run.take((yield from apply_plan(plan, base_url, settings_of_plan, log, one)))
        except MergeRefusedError as error:
            run.refuse(plan, error.problems)
            if settings.on_refusal == "stop":
                raise MergeStoppedError(f"plan {number}: {error}", run.result()) from error
        except MergeStoppedError as error:
            raise MergeStoppedError(f"plan {number}: {error.problem}", run.result()) from error.__cause__
        except SyneriseError as error:
            result = run.result()
            if one.is_sending or not may_have_merged(result):
                raise
            raise MergeStoppedError(f"plan {number}: {error}", result) from error
        if settings.progress is not None:
            progress = MergeProgress(plans_done=number, plans=len(plans), profiles=len(run.total.merged))
            yield Notify(settings.progress, progress)
    return run.total


class _Counts(NamedTuple):
    """What a total counts once so many plans are over."""

    plans: int = 0
    done: int = 0
    resumed: int = 0
    not_merged: int = 0


class _SetRun:
    """One run of a set of plans: the total of those that are over, and the one that is being applied.

    An interruption may come while the total takes a plan in. So `_over` says, in one step, what it counts for sure.
    """

    def __init__(self, plans: BasePlanSet[BasePlan]) -> None:
        self.total = MergeSetResult(plans=len(plans))
        self._plans = plans
        self._over = _Counts()
        self._current = (0, MergeEnding())

    def begin(self) -> MergeEnding:
        """Go on to the next plan; return what finds its result."""
        one = MergeEnding()
        self._current = (self._over.plans, one)
        return one

    def take(self, result: MergeResult) -> None:
        """Take in the result of a plan that was applied."""
        self.total.add(result)
        self.total.done += 1
        self._end_plan()

    def refuse(self, plan: BasePlan, problems: Sequence[str]) -> None:
        """Leave out a plan that was refused."""
        self.total.refused[plan.target.key] = tuple(problems)
        self.total.not_merged.extend(unmerged(plan, "refused"))
        self._end_plan()

    def result_so_far(self) -> MergeSetResult | None:
        """Return the result at this moment; None where no profile was asked for yet."""
        has_begun = self._over.plans > 0 or self._current[1].result_so_far() is not None
        return self.result() if has_begun else None

    def result(self) -> MergeSetResult:
        """Return what is merged so far and what is not, of all plans."""
        over, total = self._over, self.total
        result = attrs.evolve(
            total,
            done=over.done,
            resumed=over.resumed,
            merged=dict(total.merged),
            client_ids=dict(total.client_ids),
            not_merged=total.not_merged[: over.not_merged],
            refused=dict(total.refused),
            unexpected=dict(total.unexpected),
        )
        number, one = self._current
        current = cast("MergeResult | None", one.result_so_far()) if number == over.plans else None
        if current is not None:
            result.add(current)
        for left in range(over.plans + (current is not None), len(self._plans)):
            result.not_merged.extend(unmerged(self._plans[left], "unsent"))
        return result

    def _end_plan(self) -> None:
        total = self.total
        self._over = _Counts(self._over.plans + 1, total.done, total.resumed, len(total.not_merged))
