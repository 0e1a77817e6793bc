"""Before anything is sent: is all as the plan says, and what did earlier runs of it merge already? Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from .audit import Known
from .errors import MergeChangedError, MergeRefusedError
from .key_type import Key, Kind
from .plan import BasePlan
from .reconciliation import Fate, is_other, whereabouts
from .result import Reason
from .snapshots import Snapshot, after_merging, differences
from .steps import Steps, found, read

__all__ = ["Checked", "check"]


@attrs.frozen(kw_only=True)
class Checked:
    """What is there now.

    `ready` are the sources to merge, `merged` those that earlier runs merged, `left` those to leave out and why.
    `target` and `present` are what was just read.
    """

    target: Snapshot
    present: Mapping[Key, Snapshot]
    ready: tuple[Key, ...]
    merged: tuple[Key, ...]
    left: Mapping[Key, Reason]
    changes: tuple[str, ...]


def check(plan: BasePlan, kind: Kind, known: Known, *, allow_changes: bool) -> Steps[Checked]:
    """Read all profiles again and compare. Raises MergeChangedError unless changes are allowed."""
    planned = plan.target.snapshot
    outcomes = yield from read(kind.read(key) for key in (plan.target.key, *(member.key for member in plan.sources)))
    target, *others = (found(outcome) for outcome in outcomes)
    now = {member.key: snapshot for member, snapshot in zip(plan.sources, others, strict=True)}
    if planned is None or target is None or is_other(planned, target):
        return _without_target(plan, known, target)
    fates = yield from whereabouts(planned, plan.found, [now[key] for key, _ in plan.found])
    merged = tuple(key for key, _ in plan.found if _is_merged(key, fates[key], known))
    left: dict[Key, Reason] = {member.key: "missing" for member in plan.sources if not member.found}
    ready: list[Key] = []
    for key, _ in plan.found:
        if fates[key] == "there":
            ready.append(key)
        elif key not in merged:
            left[key] = "gone" if now[key] is None else "replaced"
    taken = [snapshot for key, snapshot in plan.found if key in merged]
    changes = [f"target: {text}" for text in differences(after_merging(planned, taken), target, taken)]
    changes += _changes_of_sources(plan, now, left)
    if changes and not allow_changes:
        raise MergeChangedError(changes)
    return Checked(
        target=target,
        present={key: snapshot for key in ready if (snapshot := now[key]) is not None},
        ready=tuple(ready),
        merged=merged,
        left=left,
        changes=tuple(changes),
    )


def _without_target(plan: BasePlan, known: Known, now: Snapshot | None) -> Checked:
    """A target that is gone is no harm where all of the plan is done: a later plan may have merged it on."""
    done = tuple(key for key, _ in plan.found)
    if plan.target.snapshot is not None and known.merged.issuperset(done):
        left: dict[Key, Reason] = {member.key: "missing" for member in plan.sources if not member.found}
        return Checked(target=plan.target.snapshot, present={}, ready=(), merged=done, left=left, changes=())
    if now is None:
        raise MergeRefusedError(["the target is not found (or not readable with this key)"])
    raise MergeRefusedError(["the target's id names another profile now"])


def _is_merged(key: Key, fate: Fate, known: Known) -> bool:
    """Whether a source was merged by this plan: its uuid says so, or the audit, or it went after it was sent."""
    if fate == "there":
        return False
    return fate == "moved" or key in known.merged or (fate == "gone" and key in known.sent)


def _changes_of_sources(
    plan: BasePlan, now: Mapping[Key, Snapshot | None], left: Mapping[Key, Reason]
) -> Sequence[str]:
    changes: list[str] = []
    for label, member in plan.labelled()[1:]:
        present, reason = now[member.key], left.get(member.key)
        if member.snapshot is None:
            if present is not None:
                changes.append(f"{label} was not found and is there now")
        elif reason == "gone":
            changes.append(f"{label} is gone")
        elif reason == "replaced":
            changes.append(f"{label}: its id names another profile now")
        elif present is not None and not is_other(member.snapshot, present):
            changes += [f"{label}: {text}" for text in differences(member.snapshot, present)]
    return changes
