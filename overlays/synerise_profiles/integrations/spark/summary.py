"""What became of a write: the counts and reasons of its tasks, their sum, and what that means for the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import attrs
import orjson

from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles._core.files import AppendFile, replaced_file, target_of
from synerise_profiles._core.wording import counted
from synerise_profiles.bulk import Report

__all__ = ["TaskSummary", "WriteSummary", "write_report"]

_MAX_REASONS: Final = 20
_MAX_SHOWN: Final = 3


@attrs.frozen(kw_only=True)
class TaskSummary:
    """What became of the rows of one partition; without values, so that it may stand in logs.

    `reasons` count rows by stage, field and reason. `problem` says why it ended early. `buckets` are those of
    `repartition` that it saw, `rejects` is the file of its refused rows, `run_id` begins the names of such files.
    """

    read: int = 0
    accepted: int = 0
    by_stage: dict[str, int] = attrs.field(factory=dict[str, int])
    reasons: dict[tuple[str, str, str], int] = attrs.field(factory=dict[tuple[str, str, str], int])
    requests: int = 0
    retries: int = 0
    seconds: float = 0.0
    problem: str | None = None
    buckets: frozenset[int] = frozenset()
    rejects: str | None = None
    run_id: str = ""

    @classmethod
    def of(cls, report: Report, **more: Any) -> TaskSummary:
        """Take what is told of a report."""
        return cls(
            read=report.read,
            accepted=report.accepted,
            by_stage={stage: count for stage, count in report.by_stage.items() if count},
            reasons={
                (item.stage, item.field or "", item.reason): item.rows for item in report.reasons()[:_MAX_REASONS]
            },
            requests=report.requests,
            retries=report.retries,
            seconds=report.seconds,
            **more,
        )


def _summed(counts: Iterable[dict[Any, int]]) -> dict[Any, int]:
    found: dict[Any, int] = {}
    for one in counts:
        for key, count in one.items():
            found[key] = found.get(key, 0) + count
    return found


@attrs.frozen(kw_only=True)
class WriteSummary:
    """The sum over the tasks of a write. Of a task that failed nothing is known here but that it did."""

    operation: str
    tasks: Sequence[TaskSummary | None]
    thresholds: Thresholds
    batch_id: int | None = None

    @property
    def done(self) -> list[TaskSummary]:
        """The tasks that ended well."""
        return [task for task in self.tasks if task is not None]

    @property
    def problem(self) -> str | None:
        """What is wrong with the whole; None where every task is done, within the thresholds and by itself."""
        failed = len(self.tasks) - len(self.done)
        if failed:
            return f"{failed} of {counted(len(self.tasks), 'task')} failed; what they sent is not counted"
        by_stage = _summed(task.by_stage for task in self.done)
        refused = sum(by_stage.values()) - by_stage.get("unsent", 0)
        accepted = sum(task.accepted for task in self.done)
        problem = self.thresholds.problem(refused, refused + accepted)
        if problem is None:
            problem = next((f"in one task {task.problem}" for task in self.done if task.problem is not None), None)
        return problem or self._torn()

    def _torn(self) -> str | None:
        seen: set[int] = set()
        for task in self.done:
            if not seen.isdisjoint(task.buckets):
                return (
                    "rows that belong together were in two tasks, so that their order was not kept: nothing may move "
                    "rows between repartition() and save()"
                )
            seen |= task.buckets
        return None

    def rejects(self) -> tuple[set[str], set[str]]:
        """Return what the names of this write's files of refused rows begin with, and which of them count.

        None does where a task failed: the write is to be done again, and its rows are refused again.
        """
        counting = self.done if len(self.done) == len(self.tasks) else []
        return {task.run_id for task in self.done}, {task.rejects for task in counting if task.rejects is not None}

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        done = self.done
        reasons = sorted(_summed(task.reasons for task in done).items(), key=lambda item: -item[1])
        return {
            "operation": self.operation,
            **({} if self.batch_id is None else {"batch_id": self.batch_id}),
            "problem": self.problem,
            "tasks": len(self.tasks),
            "failed_tasks": len(self.tasks) - len(done),
            "read": sum(task.read for task in done),
            "accepted": sum(task.accepted for task in done),
            "by_stage": _summed(task.by_stage for task in done),
            "reasons": [
                {"stage": stage, "field": field or None, "reason": reason, "rows": rows}
                for (stage, field, reason), rows in reasons[:_MAX_REASONS]
            ],
            "requests": sum(task.requests for task in done),
            "retries": sum(task.retries for task in done),
            "task_seconds": sum(task.seconds for task in done),
            "rejects": sorted(self.rejects()[1]),
        }

    def __str__(self) -> str:
        found = self.to_dict()
        stages = [f"{count:,} {stage}" for stage, count in found["by_stage"].items()]
        counts = [f"{counted(found['read'], 'row')} read", f"{found['accepted']:,} accepted", *stages]
        reasons = [
            f"{item['rows']:,} x {': '.join(filter(None, (item['field'], item['reason'])))}"
            for item in found["reasons"][:_MAX_SHOWN]
        ]
        return "; ".join([f"{self.operation}: {', '.join(counts)}", counted(found["tasks"], "task"), *reasons])


def write_report(summary: WriteSummary, path: str) -> None:
    """Write a summary: to a file of its own, or of a micro-batch as a line at the end of one.

    Raises InvalidRequestError if the file cannot be written.
    """
    document = summary.to_dict()
    if summary.batch_id is None:
        with replaced_file(path, "report") as file:
            file.write(orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
        return
    with AppendFile(target_of(path, "report", is_appended=True), "report", is_locked=False) as file:
        file.write(orjson.dumps(document) + b"\n")
