"""What one task does: it sends the Arrow batches of its partition by the method of `client.bulk`. Knows no PySpark."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import attrs

from synerise_profiles import Synerise
from synerise_profiles._batching.row_source import UnreadableRow
from synerise_profiles.bulk import BulkStoppedError, Report
from synerise_profiles.sources import ArrowSource, RowMapping

from .options import BUCKET_COLUMN, METHODS, SinkOptions
from .rejects import TaskPlace, write_rejects
from .summary import TaskSummary, WriteSummary

__all__ = ["WritePlan"]


@attrs.frozen(kw_only=True)
class WritePlan:
    """All that a task needs; it is made on the driver and travels to the workers, with the key.

    `write_id` names the files of a batch write. `sign_in` holds the arguments of the client.
    """

    options: SinkOptions
    write_id: str
    sign_in: Mapping[str, Any] = attrs.field(repr=False)
    is_stream: bool = False

    def run(self, batches: Iterable[Any], place: TaskPlace) -> TaskSummary:
        """Send the batches of a partition.

        A task that ends by a threshold returns its summary: to try it again would refuse the same rows. What else ends
        it is raised, so that Spark tries it again.
        """
        buckets: set[int] = set()
        iterator = _without_bucket(batches, buckets)
        first = next(iterator, None)
        run_id = place.run_id(self.write_id, is_stream=self.is_stream)
        if first is None:
            return TaskSummary(run_id=run_id)
        options = self.options
        source = _PartitionSource.of(chain((first,), iterator), options.mapping)
        source.needs_time = options.needs_time
        if options.rejects is None:
            report, problem = self._send(source, options.bulk)
            return TaskSummary.of(report, problem=problem, buckets=frozenset(buckets), run_id=run_id)
        name = place.file_name(run_id)
        with write_rejects(options.rejects, name) as letters:
            report, problem = self._send(source, {**options.bulk, "dead_letter": letters})
        kept = name if report.rejected_count() else None
        return TaskSummary.of(report, problem=problem, buckets=frozenset(buckets), run_id=run_id, rejects=kept)

    def summary(self, tasks: Iterable[TaskSummary | None], batch_id: int | None = None) -> WriteSummary:
        """Return the sum over the tasks."""
        options = self.options
        operation = options.mapping.operations[0].name
        return WriteSummary(operation=operation, tasks=list(tasks), thresholds=options.thresholds, batch_id=batch_id)

    def _send(self, source: _PartitionSource, arguments: Mapping[str, Any]) -> tuple[Report, str | None]:
        with Synerise(**self.sign_in) as client:
            send = getattr(client.bulk, METHODS[self.options.mapping.kind])
            try:
                return send(source, **arguments), None
            except BulkStoppedError as error:
                if not error.too_many_rejected:
                    raise
                return error.report, error.problem


class _PartitionSource(ArrowSource):
    """The rows of a partition; where each has to bring its time, one without, or with one to come, is refused."""

    needs_time = True

    def __init__(self, arrow: Any, table: Any, mapping: RowMapping, *, sort: bool = False) -> None:
        super().__init__(arrow, table, mapping, sort=sort)
        self._time_field = mapping.operations[0].retry_keys[1] if mapping.kind != "profiles" else ""
        builder = self._row_builder
        self._convert = None if builder is None else builder.convert

    def __iter__(self) -> Iterator[Any]:
        """Read the rows."""
        convert, builder = self._convert, self._row_builder
        if not self._time_field:
            return super().__iter__()
        if self._plan is not None or convert is None or builder is None:
            return (self._timed(row, None) for row in super().__iter__())

        def convert_timed(cells: tuple[Any, ...]) -> Any:
            return self._timed(convert(cells), cells)

        return self._records(convert_timed, lambda cells: self._unreadable(cells) or convert_timed(cells))

    def _timed(self, row: Any, cells: tuple[Any, ...] | None) -> Any:
        """Return the row, or what refuses it."""
        if isinstance(row, UnreadableRow):
            return row
        time = row.get(self._time_field)
        if time is None:
            if not self.needs_time:
                return row
            problem = "is empty; Spark may send a row twice, and by its time it is stored once (see defaultTime)"
        elif _is_to_come(time):
            problem = "is in the future: the server would replace it, and a row that is sent twice be stored twice"
        else:
            return row
        kept = None if cells is None else dict(zip(self._names, cells, strict=True))
        return UnreadableRow(self._time_field, problem, kept, mapping=self.mapping_digest)


def _is_to_come(time: object) -> bool:
    if not isinstance(time, str):
        return False
    try:
        moment = datetime.datetime.fromisoformat(time)
    except ValueError:
        return False  # the checks say so
    return moment.tzinfo is not None and moment > datetime.datetime.now(datetime.UTC)


def _without_bucket(batches: Iterable[Any], buckets: set[int]) -> Iterator[Any]:
    """Yield the batches without the column of `repartition`, and note its numbers."""
    for batch in batches:
        if BUCKET_COLUMN not in batch.schema.names:
            yield batch
            continue
        buckets.update(batch.column(BUCKET_COLUMN).unique().to_pylist())
        yield batch.select([name for name in batch.schema.names if name != BUCKET_COLUMN])
