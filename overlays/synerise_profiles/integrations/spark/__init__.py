"""Apache Spark: `df.write.format("synerise")`, batch and streaming, on the engine of `client.bulk`.

`spark.dataSource.register(SyneriseDataSource)` makes the format known. It needs PySpark on the driver, and this library
on the driver and on the workers: `pip install 'synerise-profiles[spark]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .errors import SparkWriteError
from .partitions import repartition

if TYPE_CHECKING:
    from .data_source import SyneriseDataSource

__all__ = ["SparkWriteError", "SyneriseDataSource", "repartition"]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name != "SyneriseDataSource":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from .data_source import SyneriseDataSource  # noqa: PLC0415 - the rest does without PySpark

        globals()[name] = SyneriseDataSource
        return SyneriseDataSource


def __dir__() -> list[str]:
    return list(__all__)
