"""Planning: read the profiles of a merge, and make the plan of what merging them would do. Workflows for both clients.

Many merges are planned page by page, so that memory holds the profiles of one page. In a chain that is merged step by
step, a later plan starts from the survivor as the earlier plan leaves it, and not as it was read.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import attrs

from synerise_profiles._core.workflow import Notify, Workflow
from synerise_profiles_api.bounded import items_of
from synerise_profiles_api.errors import InvalidRequestError
from synerise_profiles_api.json_values import InvalidValueError

from .key_type import Key, KeyType
from .pairs import Merge
from .plan import BasePlan, members
from .result import MergeProgress
from .snapshots import Snapshot, read_profiles, snapshot_or_none

__all__ = ["PlanFactory", "plan_many", "plan_one", "source_list"]

P = TypeVar("P", bound=BasePlan)
_PAGE_PROFILES = 200
"""About so many profiles are read for one page of plans; as many answers are in memory."""


@attrs.frozen
class PlanFactory:
    """What all plans of one call have in common; it gives each its arguments."""

    key_type: KeyType
    base_url: str
    wall: Callable[[], float]

    def plan_arguments(
        self, merge: Merge, target: Snapshot | None, sources: Sequence[Snapshot | None]
    ) -> dict[str, Any]:
        """Return the keyword arguments of a plan's class."""
        made = datetime.datetime.fromtimestamp(self.wall(), datetime.UTC).isoformat(timespec="seconds")
        return {
            "by": self.key_type.by,
            "base_url": self.base_url,
            "made": made,
            "target": members([merge.target], [target])[0],
            "sources": members(merge.sources, sources),
        }


def source_list(sources: Iterable[Any]) -> list[Any]:
    """Return the sources as a list; one text is no list of them."""
    if isinstance(sources, str | bytes) or not hasattr(sources, "__iter__"):
        problem = f"expected a sequence of ids, got {type(sources).__name__}"
        raise InvalidRequestError(problem, operation="merges.plan", field="sources")
    try:
        return items_of(sources)
    except InvalidValueError as error:
        raise InvalidRequestError(error.problem, operation="merges.plan", field="sources") from None


def plan_one(factory: PlanFactory, into: object, sources: Sequence[Any], make: Callable[..., P]) -> Workflow[P]:
    """Read all profiles of one merge and make its plan."""
    key_type = factory.key_type
    key_type.check(into, sources)
    merge = Merge(cast("Key", into), tuple(sources))
    outcomes = yield from read_profiles(key_type.read_request(key) for key in merge.keys)
    target, *others = (snapshot_or_none(outcome) for outcome in outcomes)
    return make(**factory.plan_arguments(merge, target, others))


def plan_many(
    factory: PlanFactory,
    merges: Sequence[Merge],
    keep: Callable[[BasePlan], None],
    progress: Callable[[MergeProgress], object] | None,
) -> Workflow[None]:
    """Make the plans of many merges, page by page; `keep` is called with each plan."""
    chained = {merge.target for merge in merges} & {key for merge in merges for key in merge.sources}
    predicted: dict[Key, Snapshot | None] = {}
    done = profiles = 0
    for page in _pages(merges):
        keys = list(dict.fromkeys(key for merge in page for key in merge.keys if key not in predicted))
        outcomes = yield from read_profiles(factory.key_type.read_request(key) for key in keys)
        present = {key: snapshot_or_none(outcome) for key, outcome in zip(keys, outcomes, strict=True)}
        for merge in page:
            target, *others = (predicted[key] if key in predicted else present[key] for key in merge.keys)
            plan = BasePlan(**factory.plan_arguments(merge, target, others))
            if merge.target in chained:
                predicted[merge.target] = target if plan.problems else plan.after
            keep(plan)
        done += len(page)
        profiles += len(keys)
        if progress is not None:
            yield Notify(progress, MergeProgress(plans_done=done, plans=len(merges), profiles=profiles))


def _pages(merges: Iterable[Merge]) -> Iterator[list[Merge]]:
    page: list[Merge] = []
    count = 0
    for merge in merges:
        page.append(merge)
        count += len(merge.keys)
        if count >= _PAGE_PROFILES:
            yield page
            page, count = [], 0
    if page:
        yield page
