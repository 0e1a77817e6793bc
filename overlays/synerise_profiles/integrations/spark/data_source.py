"""The data source of Spark: it makes the writers, which send on the workers, and end a write on the driver.

Spark makes a writer in a Python process of its own on the driver's machine, pickles it, and sends it to the tasks. So
the key is read from that process's environment, which is that of the driver as its session started, and travels with
the writer; it stands in no option and in no repr.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from synerise_profiles._core.config import from_environment
from synerise_profiles._core.logging import LOGGER
from synerise_profiles._core.optional_deps import import_pyarrow

from .errors import SparkWriteError
from .options import SinkOptions
from .pyspark_types import ArrowWriter, CommitMessage, DataSource, StreamArrowWriter, task_place
from .rejects import publish_rejects
from .summary import TaskSummary, WriteSummary, write_report
from .task import WritePlan

__all__ = ["SyneriseDataSource"]


class SyneriseDataSource(DataSource):
    """The format `synerise`: `spark.dataSource.register(SyneriseDataSource)`, then `df.write.format("synerise")`.

    Options, in any case: `mapping` is the TOML file of a row mapping, on the driver; it is required. `operation`
    (profiles, events or transactions) has to agree with it. `checks`, `concurrency`, `salt`, `allowNull`,
    `allowUnknown` (lists by commas), `defaultTime`, `maxErrors`, `maxErrorRate`, `requestsPerSecond` and `rateBudget`
    are as in `client.bulk`, for each task; the thresholds count for each task, and again for all of them. `rejects` is
    a folder that all workers share, where each task writes its refused rows as a Parquet file, personal data included.
    `report` is a JSON file on the driver for the summary; a streaming query adds a line for each micro-batch. `region`
    and `baseUrl` are as for a client.

    The key is that of the driver's environment (SYNERISE_API_KEY), set before the session starts, or of `with_key`.
    """

    @staticmethod
    def read_key() -> str | None:
        """Return the API key; None stands for the credentials of the environment. See `with_key`."""
        return None

    @classmethod
    def with_key(cls, provider: Callable[[], str]) -> type[SyneriseDataSource]:
        """Return a data source whose API key a function returns, when a write begins.

        It is called in a Python process of its own on the driver's machine, where it may read a file or ask a vault; it
        has no session of Spark.
        """
        return type("SyneriseDataSource", (cls,), {"read_key": staticmethod(provider), "__module__": "__main__"})

    @classmethod
    def name(cls) -> str:
        """Return the name of the format."""
        return "synerise"

    def writer(self, schema: Any, overwrite: bool) -> SyneriseWriter:  # noqa: FBT001 - as PySpark calls it
        """Make the writer of a batch write; raises for what cannot work, before a task begins."""
        return SyneriseWriter(self._plan(schema, overwrite=overwrite))

    def streamWriter(self, schema: Any, overwrite: bool) -> SyneriseStreamWriter:  # noqa: FBT001, N802 - likewise
        """Make the writer of a streaming query; raises as `writer` does."""
        return SyneriseStreamWriter(self._plan(schema, is_stream=True, overwrite=overwrite))

    def _plan(self, schema: Any, *, overwrite: bool, is_stream: bool = False) -> WritePlan:
        import_pyarrow("spark")  # this process has the Python of the workers
        columns = list(schema.fieldNames())
        options = SinkOptions.parse(dict(self.options), columns, is_stream=is_stream, overwrite=overwrite)
        given: dict[str, Any] = dict(options.place)
        key = self.read_key()
        if key is not None:
            given["api_key"] = key
        return WritePlan(
            options=options,
            write_id=uuid.uuid4().hex[:12],
            sign_in=from_environment(os.environ, given),
            is_stream=is_stream,
        )


@attrs.frozen
class TaskMessage(CommitMessage):
    """What a task tells the driver."""

    summary: TaskSummary


class _Writer:
    """What the writers of a batch and of a stream have in common."""

    def __init__(self, plan: WritePlan) -> None:
        self._plan = plan

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._plan!r})"

    def write(self, iterator: Iterator[Any]) -> CommitMessage:
        """Send the batches of a partition."""
        return TaskMessage(self._plan.run(iterator, task_place()))

    def _end(self, messages: Sequence[CommitMessage | None], batch_id: int | None = None) -> WriteSummary:
        """Write the summary to the log and to the file of the report."""
        tasks = [message.summary if isinstance(message, TaskMessage) else None for message in messages]
        summary = self._plan.summary(tasks, batch_id)
        problem, rejected = summary.problem, any(task.by_stage for task in summary.done)
        tell = LOGGER.warning if problem or rejected else LOGGER.info
        tell("%s%s", summary, f"; {problem}" if problem else "")
        options = self._plan.options
        try:
            if options.rejects is not None:
                publish_rejects(options.rejects, *summary.rejects())
        finally:
            if options.report is not None:
                write_report(summary, options.report)
        return summary

    def _commit(self, messages: Sequence[CommitMessage | None], batch_id: int | None = None) -> None:
        summary = self._end(messages, batch_id)
        if summary.problem is not None:
            raise SparkWriteError(f"{summary.problem}; {summary}")

    def _abort(self, messages: Sequence[CommitMessage | None], batch_id: int | None = None) -> None:
        if any(message is None for message in messages):  # else the commit has told it already
            self._end(messages, batch_id)


class SyneriseWriter(_Writer, ArrowWriter):
    """Writes a frame."""

    def commit(self, messages: Sequence[CommitMessage | None]) -> None:
        """Write the summary; raise SparkWriteError where a threshold is passed over all tasks."""
        self._commit(messages)

    def abort(self, messages: Sequence[CommitMessage | None]) -> None:
        """Write the summary of a write of which a task failed."""
        self._abort(messages)


class SyneriseStreamWriter(_Writer, StreamArrowWriter):
    """Writes the micro-batches of a streaming query."""

    def commit(self, messages: Sequence[CommitMessage | None], batchId: int) -> None:  # noqa: N803 - PySpark's word
        """Write the summary of a micro-batch; raise SparkWriteError where a threshold is passed."""
        self._commit(messages, batchId)

    def abort(self, messages: Sequence[CommitMessage | None], batchId: int) -> None:  # noqa: N803 - PySpark's word
        """Write the summary of a micro-batch of which a task failed."""
        self._abort(messages, batchId)
