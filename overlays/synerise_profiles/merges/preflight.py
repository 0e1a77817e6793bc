"""The preflight check: before anything is sent, compare the profiles with the plan, and find what earlier runs merged.

A plan whose run was stopped or killed is applied again as a whole. So a source that is gone is no change if this plan
merged it: its uuid finds the target, or the audit says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from synerise_profiles._core.workflow import Workflow

from .audit import AuditState
from .errors import MergeChangedError, MergeRefusedError
from .key_type import Key, KeyType
from .plan import BasePlan
from .reconciliation import SourceState, is_different_profile, locate_sources
from .result import Reason
from .snapshots import Snapshot, after_merging, differences, read_profiles, snapshot_or_none

__all__ = ["PreflightResult", "check_plan"]


@attrs.frozen(kw_only=True)
class PreflightResult:
    """The result of the check.

    `ready` are the sources to merge, `merged` those that earlier runs merged, `left_out` those to leave out and why.
    `target` and `present` are what was just read, `changes` what differs from the plan.
    """

    target: Snapshot
    present: Mapping[Key, Snapshot]
    ready: tuple[Key, ...]
    merged: tuple[Key, ...]
    left_out: Mapping[Key, Reason]
    changes: tuple[str, ...]


def check_plan(
    plan: BasePlan, key_type: KeyType, audit_state: AuditState, *, allow_changes: bool
) -> Workflow[PreflightResult]:
    """Read all profiles again and compare. Raises MergeChangedError unless changes are allowed."""
    planned = plan.target.snapshot
    outcomes = yield from read_profiles(
        key_type.read_request(key) for key in (plan.target.key, *(member.key for member in plan.sources))
    )
    target, *others = (snapshot_or_none(outcome) for outcome in outcomes)
    present = {member.key: snapshot for member, snapshot in zip(plan.sources, others, strict=True)}
    if planned is None or target is None or is_different_profile(planned, target):
        return _without_target(plan, audit_state, target)
    states = yield from locate_sources(planned, plan.found, [present[key] for key, _ in plan.found])
    merged = tuple(key for key, _ in plan.found if _is_merged(key, states[key], audit_state))
    left_out: dict[Key, Reason] = {member.key: "missing" for member in plan.sources if not member.found}
    ready: list[Key] = []
    for key, _ in plan.found:
        if states[key] == "there":
            ready.append(key)
        elif key not in merged:
            left_out[key] = "gone" if present[key] is None else "replaced"
    taken = [snapshot for key, snapshot in plan.found if key in merged]
    changes = [f"target: {text}" for text in differences(after_merging(planned, taken), target, taken)]
    changes += _changes_of_sources(plan, present, left_out)
    if changes and not allow_changes:
        raise MergeChangedError(changes)
    return PreflightResult(
        target=target,
        present={key: snapshot for key in ready if (snapshot := present[key]) is not None},
        ready=tuple(ready),
        merged=merged,
        left_out=left_out,
        changes=tuple(changes),
    )


def _without_target(plan: BasePlan, audit_state: AuditState, now: Snapshot | None) -> PreflightResult:
    """The result without a target. If all of the plan is done, a later plan may have merged it into its own target."""
    done = tuple(key for key, _ in plan.found)
    if plan.target.snapshot is not None and audit_state.merged.issuperset(done):
        left_out: dict[Key, Reason] = {member.key: "missing" for member in plan.sources if not member.found}
        return PreflightResult(
            target=plan.target.snapshot, present={}, ready=(), merged=done, left_out=left_out, changes=()
        )
    if now is None:
        raise MergeRefusedError(["the target is not found (or not readable with this key)"])
    raise MergeRefusedError(["the target's id names another profile now"])


def _is_merged(key: Key, source_state: SourceState, audit_state: AuditState) -> bool:
    """Whether a source was merged by this plan: its uuid says so, or the audit, or it went after it was sent."""
    if source_state == "there":
        return False
    return source_state == "moved" or key in audit_state.merged or (source_state == "gone" and key in audit_state.sent)


def _changes_of_sources(
    plan: BasePlan, snapshots: Mapping[Key, Snapshot | None], left_out: Mapping[Key, Reason]
) -> Sequence[str]:
    changes: list[str] = []
    for label, member in plan.labelled_members()[1:]:
        present, reason = snapshots[member.key], left_out.get(member.key)
        if member.snapshot is None:
            if present is not None:
                changes.append(f"{label} was not found and is there now")
        elif reason == "gone":
            changes.append(f"{label} is gone")
        elif reason == "replaced":
            changes.append(f"{label}: its id names another profile now")
        elif present is not None and not is_different_profile(member.snapshot, present):
            changes += [f"{label}: {text}" for text in differences(member.snapshot, present)]
    return changes
