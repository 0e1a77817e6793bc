"""Which rows have to be in one task: those of one profile, whose order is kept, and the lines of one order.

Spark gives a task its rows by partitions, in no order that it keeps. `repartition` brings together what belongs
together, and leaves a column behind, the bucket of each row. A frame without the column is refused before a task
begins; tasks tell which buckets they saw, and a bucket that two of them saw ends the write with an error.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final

from synerise_profiles._core.optional_deps import missing_dependency_error
from synerise_profiles.identifiers import PROFILE_IDENTIFIERS
from synerise_profiles.sources import RowMapping, Target
from synerise_profiles_api.errors import InvalidRequestError

from .options import BUCKET_COLUMN

__all__ = ["key_columns", "repartition"]

_BUCKETS_PER_PARTITION: Final = 32


def repartition(
    frame: Any,
    mapping: RowMapping | str | os.PathLike[str],
    *,
    order_by: str | Sequence[str] | None,
    partitions: int | None = None,
) -> Any:
    """Return a frame whose rows of one profile, or lines of one order, are in one partition, in order.

    `mapping` is that of the write, or its TOML file. Rows are brought together by the first identifier that it gives
    them, whatever its case and its blanks, or by its `group_by`. `order_by` names columns by which the rows of a
    profile are sorted, so that the last one wins, such as a time of change; None says that each profile is there once,
    or that any of its rows may win. `partitions` is how many tasks there are, by default as many as
    `spark.sql.shuffle.partitions` says. Nothing may move rows behind it: write what it returns.

    Raises InvalidRequestError for a mapping that reads no identifier from a column.
    """
    try:
        functions = import_module("pyspark.sql.functions")
    except ModuleNotFoundError as error:
        raise missing_dependency_error(error, "spark", "Spark's sink") from error
    found = mapping if isinstance(mapping, RowMapping) else RowMapping.load(mapping)
    count = partitions or int(frame.sparkSession.conf.get("spark.sql.shuffle.partitions"))
    keys = key_columns(found)
    texts = [functions.lower(functions.trim(_column(functions, name).cast("string"))) for name in keys]
    bucket = functions.pmod(functions.xxhash64(*texts), functions.lit(count * _BUCKETS_PER_PARTITION)).cast("int")
    moved = frame.withColumn(BUCKET_COLUMN, bucket).repartition(count, BUCKET_COLUMN)
    names = [order_by] if isinstance(order_by, str) else list(order_by or ())
    order = [*(keys if found.lines.group_by else ()), *names]
    return moved.sortWithinPartitions(*(_column(functions, name) for name in order)) if order else moved


def key_columns(mapping: RowMapping) -> tuple[str, ...]:
    """Return the columns whose cells say which rows belong together."""
    if mapping.lines.group_by:
        return mapping.lines.group_by
    given: dict[str, tuple[str, Target]] = {
        target.field: (name, target) for name, targets in mapping.targets.items() for target in targets
    }
    found = next((given[name] for name in PROFILE_IDENTIFIERS if name in given), None)
    if found is None or "*" in found[0]:
        problem = f"reads no identifier from a column of its own; map one to {' or '.join(PROFILE_IDENTIFIERS)}"
        raise InvalidRequestError(problem, field="mapping")
    name, target = found
    if target.fallback is not None:
        problem = f"reads {target.field} from several columns by fallback; make one column of them first"
        raise InvalidRequestError(problem, field="mapping")
    return target.sources if target.template is not None else (name,)


def _column(functions: Any, name: str) -> Any:
    quoted = name.replace("`", "``")
    return functions.col(f"`{quoted}`")
