"""PySpark's classes, as far as the sink derives from them; PySpark is needed at run time alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from synerise_profiles._core.optional_deps import missing_dependency_error

from .rejects import TaskPlace

__all__ = ["ArrowWriter", "CommitMessage", "DataSource", "StreamArrowWriter", "task_place"]

if TYPE_CHECKING:

    class DataSource:
        """pyspark.sql.datasource.DataSource."""

        def __init__(self, options: Mapping[str, str]) -> None:
            self.options = options

    class CommitMessage:
        """pyspark.sql.datasource.WriterCommitMessage."""

    class ArrowWriter:
        """pyspark.sql.datasource.DataSourceArrowWriter."""

        def write(self, iterator: Iterator[Any]) -> CommitMessage:
            """Write the batches of a partition."""
            ...

        def commit(self, messages: Sequence[CommitMessage | None]) -> None:
            """End a write all of whose tasks are done."""

        def abort(self, messages: Sequence[CommitMessage | None]) -> None:
            """End a write of which a task failed."""

    class StreamArrowWriter:
        """pyspark.sql.datasource.DataSourceStreamArrowWriter."""

        def write(self, iterator: Iterator[Any]) -> CommitMessage:
            """Write the batches of a partition."""
            ...

        def commit(self, messages: Sequence[CommitMessage | None], batchId: int) -> None:  # noqa: N803 - PySpark's word
            """End a micro-batch all of whose tasks are done."""

        def abort(self, messages: Sequence[CommitMessage | None], batchId: int) -> None:  # noqa: N803 - PySpark's word
            """End a micro-batch of which a task failed."""

else:
    try:
        _module = import_module("pyspark.sql.datasource")
    except ModuleNotFoundError as error:
        raise missing_dependency_error(error, "spark", "Spark's sink") from error
    if not hasattr(_module, "DataSourceStreamArrowWriter"):
        raise ImportError("Spark's sink needs PySpark 4.1 or later; install it with: pip install -U 'pyspark>=4.1'")
    DataSource, CommitMessage = _module.DataSource, _module.WriterCommitMessage
    ArrowWriter, StreamArrowWriter = _module.DataSourceArrowWriter, _module.DataSourceStreamArrowWriter


def task_place() -> TaskPlace:
    """Return which task runs here."""
    context: Any = import_module("pyspark").TaskContext.get()
    query, batch = (context.getLocalProperty(name) for name in ("sql.streaming.queryId", "streaming.sql.batchId"))
    is_known = bool(query) and str(batch).isdecimal()
    return TaskPlace(
        partition=context.partitionId(),
        attempt=context.taskAttemptId(),
        micro_batch=(query, int(batch)) if is_known else None,
    )
