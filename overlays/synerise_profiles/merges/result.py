"""Results of applying plans: what is merged and what is not, by source; and the progress that the caller is given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import attrs

from synerise_profiles._core.wording import counted
from synerise_profiles_api.names import HintsNames

from .key_type import Key

__all__ = ["GroupResult", "MergeProgress", "MergeResult", "MergeSetResult", "NotMerged", "Reason"]

Reason: TypeAlias = Literal["missing", "gone", "replaced", "failed", "refused", "unsent", "unknown"]
GroupState: TypeAlias = Literal["merged", "failed"]

_REASON_TEXTS: Mapping[Reason, str] = {
    "missing": "not found when planned",
    "gone": "gone since, not by this plan",
    "replaced": "now another profile",
    "failed": "in a group that failed",
    "refused": "in a plan that was refused",
    "unsent": "not sent",
    "unknown": "of unknown fate",
}


@attrs.frozen(kw_only=True)
class NotMerged(HintsNames):
    """A source that is not merged.

    `reason` is `missing` (not found when planned), `gone` (since, and not by this plan), `replaced` (another profile
    has its id now), `failed` (its group failed, and it is still there), `refused` (its plan was, see
    `MergeSetResult.refused`), `unsent` (its group was not reached; apply again) or `unknown` (the server could not be
    asked; apply again, which reads the sources first).
    """

    source: Key = attrs.field(repr=False)
    reason: Reason


@attrs.frozen(kw_only=True)
class GroupResult(HintsNames):
    """One request: its sources, how it ended, and the HTTP status of its answer.

    `looked` says that the answer left it open, and that the sources were read to find out.
    """

    sources: tuple[Key, ...] = attrs.field(repr=False)
    state: GroupState
    status: int | None
    looked: bool = False


@attrs.frozen(kw_only=True)
class MergeResult(HintsNames):
    """What is merged and what is not.

    `merged` maps the id of each source to that of its target, those of earlier runs included (`resumed` counts them);
    `client_ids` does so for clientIds. `unexpected` names attributes of the target that are not as the plan said.
    `complete` says that every source that the plan found is merged.
    """

    plan: str
    target: Key = attrs.field(repr=False)
    merged: Mapping[Key, Key] = attrs.field(repr=False)
    client_ids: Mapping[int, int] = attrs.field(repr=False)
    not_merged: tuple[NotMerged, ...]
    groups: tuple[GroupResult, ...] = attrs.field(repr=False)
    resumed: int = 0
    unexpected: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every source that the plan found is merged."""
        return all(item.reason == "missing" for item in self.not_merged)

    def summary(self) -> str:
        """One line of counts, without ids."""
        return _summary(len(self.merged), self.resumed, self.not_merged)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain JSON types, ids included; maps are lists of pairs, since ids may be numbers."""
        return {
            "plan": self.plan,
            "target": self.target,
            "merged": [list(pair) for pair in self.merged.items()],
            "client_ids": [list(pair) for pair in self.client_ids.items()],
            "not_merged": [{"source": item.source, "reason": item.reason} for item in self.not_merged],
            "resumed": self.resumed,
            "unexpected": list(self.unexpected),
            "complete": self.complete,
        }

    def __str__(self) -> str:
        return self.summary()


@attrs.define(kw_only=True)
class MergeSetResult(HintsNames):
    """What is merged and what is not, of a set of plans.

    `merged` maps old ids to new ones; `refused` maps the target of each plan that was left out to why.
    """

    plans: int
    done: int = 0
    resumed: int = 0
    merged: dict[Key, Key] = attrs.field(factory=dict[Key, Key], repr=False)
    client_ids: dict[int, int] = attrs.field(factory=dict[int, int], repr=False)
    not_merged: list[NotMerged] = attrs.field(factory=list[NotMerged], repr=False)
    refused: dict[Key, tuple[str, ...]] = attrs.field(factory=dict[Key, tuple[str, ...]], repr=False)
    unexpected: dict[Key, tuple[str, ...]] = attrs.field(factory=dict[Key, tuple[str, ...]], repr=False)

    @property
    def complete(self) -> bool:
        """Whether every plan was applied, and every source that they found is merged."""
        return self.done == self.plans and all(item.reason == "missing" for item in self.not_merged)

    def add(self, result: MergeResult) -> None:
        """Take in the result of one plan."""
        self.resumed += result.resumed
        self.merged.update(result.merged)
        self.client_ids.update(result.client_ids)
        self.not_merged.extend(result.not_merged)
        if result.unexpected:
            self.unexpected[result.target] = result.unexpected

    def summary(self) -> str:
        """One line of counts, without ids."""
        refused = f", {counted(len(self.refused), 'plan')} refused" if self.refused else ""
        counts = _summary(len(self.merged), self.resumed, self.not_merged)
        return f"{self.done:,} of {counted(self.plans, 'plan')} applied{refused}: {counts}"

    def __str__(self) -> str:
        return self.summary()


@attrs.frozen(kw_only=True)
class MergeProgress(HintsNames):
    """How far a call is: plans made or applied, of how many, and the profiles that were read or merged so far."""

    plans_done: int
    plans: int
    profiles: int


def _summary(merged: int, resumed: int, not_merged: tuple[NotMerged, ...] | list[NotMerged]) -> str:
    parts = [f"{merged:,} merged" + (f" ({resumed:,} of them by an earlier call)" if resumed else "")]
    for reason, text in _REASON_TEXTS.items():
        if count := sum(item.reason == reason for item in not_merged):
            parts.append(f"{count:,} {text}")
    return ", ".join(parts)
