"""Merging profiles: plan, show what would be lost, apply in groups with an audit. Reached by `client.merges`."""

from __future__ import annotations

from .audit import read_audit
from .client import AsyncMerges, Merges
from .effects import Copied, Effects, Lost, TagsLost, UuidMoved
from .ended_run import report_of
from .errors import AuditError, MergeChangedError, MergeRefusedError, MergeStoppedError
from .plan import AsyncMergePlan, BasePlan, MergePlan
from .plan_set import AsyncMergePlanSet, BasePlanSet, MergePlanSet
from .result import GroupResult, MergeProgress, MergeResult, MergeSetResult, NotMerged
from .snapshots import PlanMember, Snapshot

__all__ = [
    "AsyncMergePlan",
    "AsyncMergePlanSet",
    "AsyncMerges",
    "AuditError",
    "BasePlan",
    "BasePlanSet",
    "Copied",
    "Effects",
    "GroupResult",
    "Lost",
    "MergeChangedError",
    "MergePlan",
    "MergePlanSet",
    "MergeProgress",
    "MergeRefusedError",
    "MergeResult",
    "MergeSetResult",
    "MergeStoppedError",
    "Merges",
    "NotMerged",
    "PlanMember",
    "Snapshot",
    "TagsLost",
    "UuidMoved",
    "read_audit",
    "report_of",
]
