"""Planning: which profiles to read, and a plan of what was read. Pure; asks by steps."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, cast

import attrs

from synerise_profiles._core.workflow import Notify, Workflow
from synerise_profiles_api.errors import InvalidRequestError

from .key_type import Key, KeyType
from .pairs import Merge
from .plan import BasePlan, members
from .result import MergeProgress
from .snapshots import Snapshot, read_profiles, snapshot_or_none

__all__ = ["PlanFactory", "plan_many", "plan_one", "source_list"]

P = TypeVar("P", bound=BasePlan)
_PAGE_PROFILES = 200
"""Profiles that are read for several plans at once; as many answers are in memory."""


@attrs.frozen
class PlanFactory:
    """What all plans of a client have in common."""

    key_type: KeyType
    base_url: str
    wall: Callable[[], float]

    def plan_arguments(
        self, merge: Merge, target: Snapshot | None, sources: Sequence[Snapshot | None]
    ) -> dict[str, Any]:
        """Return the arguments of a plan."""
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
    return list(sources)


def plan_one(factory: PlanFactory, into: object, sources: Sequence[Any], make: Callable[..., P]) -> Workflow[P]:
    """Read all profiles of one merge and make its plan."""
    kind = factory.key_type
    kind.check(into, sources)
    merge = Merge(cast("Key", into), tuple(sources))
    outcomes = yield from read_profiles(kind.read_request(key) for key in merge.keys)
    target, *others = (snapshot_or_none(outcome) for outcome in outcomes)
    return make(**factory.plan_arguments(merge, target, others))


def plan_many(
    factory: PlanFactory,
    merges: Sequence[Merge],
    keep: Callable[[BasePlan], None],
    progress: Callable[[MergeProgress], object] | None,
) -> Workflow[None]:
    """Make the plans of many merges, some at a time; `keep` is given each.

    Where a target is merged on by a later plan, that plan has it as the earlier one leaves it.
    """
    links = {merge.target for merge in merges} & {key for merge in merges for key in merge.sources}
    left: dict[Key, Snapshot | None] = {}
    done = profiles = 0
    for page in _pages(merges):
        keys = list(dict.fromkeys(key for merge in page for key in merge.keys if key not in left))
        outcomes = yield from read_profiles(factory.key_type.read_request(key) for key in keys)
        now = {key: snapshot_or_none(outcome) for key, outcome in zip(keys, outcomes, strict=True)}
        for merge in page:
            target, *others = (left[key] if key in left else now[key] for key in merge.keys)
            plan = BasePlan(**factory.plan_arguments(merge, target, others))
            if merge.target in links:
                left[merge.target] = target if plan.problems else plan.after
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
