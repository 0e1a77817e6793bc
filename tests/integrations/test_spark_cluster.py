"""The sink on a cluster of Spark: workers in processes of their own, copies of slow tasks. Run by `make spark`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles.integrations import spark as sink
from synerise_profiles.sandbox import Sandbox
from tests.integrations.spark_support import EVENTS, java, mapping_file, session, standalone

try:
    import pyspark  # noqa: F401 - whether it is there
except ModuleNotFoundError:
    pytest.skip("needs PySpark, which `make spark` installs", allow_module_level=True)
if java() is None:
    pytest.skip("needs Java", allow_module_level=True)
pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.filterwarnings("default")]

SCHEMA = "id string, n long, at timestamp"
PATIENCE = 240.0
"""Seconds until a copy runs that Spark makes of a slow task."""


@pytest.fixture(scope="module")
def cluster(shared_sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A session whose tasks run in processes of their own, and a second time where they are slow."""
    settings = {
        "spark.executor.memory": "512m",
        "spark.speculation": "true",
        "spark.speculation.interval": "100ms",
        "spark.speculation.multiplier": "1.1",
        "spark.speculation.quantile": "0.5",
        "spark.speculation.efficiency.enabled": "false",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    }
    with (
        standalone(tmp_path_factory.mktemp("cluster")) as master,
        session(shared_sandbox, master, **settings) as found,
    ):
        found.dataSource.register(sink.SyneriseDataSource)
        yield found


@pytest.fixture
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


def visits(spark: Any, count: int, partitions: int = 4) -> Any:
    made = spark.range(0, count, 1, partitions)
    return made.selectExpr("concat('c-', id % 1000) as id", "id as n", "timestamp_seconds(1700000000 + id) as at")


def written(frame: Any, mapping: str, **options: Any) -> None:
    frame.write.format("synerise").mode("append").options(mapping=mapping, **options).save()


def sent_rows(sandbox: Sandbox) -> int:
    """How many events reached the sandbox, however often each."""
    return sum(len(request.outcomes) for request in sandbox.log if request.operation == "events.send_batch")


Batches = Iterator[Any]


def waiting(folder: str, patience: float) -> Callable[[Batches], Batches]:
    """Let the last partition hang behind its rows until a copy of its task has sent them too.

    It is made here, since workers of a cluster do not find the modules of the tests.
    """

    def act(batches: Batches) -> Batches:
        import time  # noqa: PLC0415 - it runs in a worker
        from pathlib import Path  # noqa: PLC0415 - likewise

        from pyspark import TaskContext  # noqa: PLC0415 - likewise

        context = TaskContext.get()
        number, attempt = context.partitionId(), context.attemptNumber()
        yield from batches
        Path(folder, f"{number}-{attempt}").touch()
        ends = time.monotonic() + patience
        while number == 3 and attempt == 0 and time.monotonic() < ends:
            time.sleep(0.1)

    return act


def dead(folder: str) -> Callable[[Batches], Batches]:
    """Let the process of a worker end behind the rows of a partition, the first time."""

    def act(batches: Batches) -> Batches:
        import os  # noqa: PLC0415 - it runs in a worker
        import time  # noqa: PLC0415 - likewise
        from pathlib import Path  # noqa: PLC0415 - likewise

        from pyspark import TaskContext  # noqa: PLC0415 - likewise

        yield from batches
        died = Path(folder, f"died-{TaskContext.get().partitionId()}")
        if not died.exists():
            died.touch()
            time.sleep(2)  # what was read is sent by then
            os._exit(1)

    return act


def test_a_copy_of_a_slow_task(cluster: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """Both send the same rows; each is stored once, counted once, and a refused one is in the folder once."""
    seen, rejects, report = tmp_path / "seen", tmp_path / "rejects", tmp_path / "report.json"
    seen.mkdir()
    rejects.mkdir()
    frame = visits(cluster, 40_000).selectExpr("id", "n", "if(n % 100 = 0, null, at) as at")
    frame = frame.mapInArrow(waiting(str(seen), PATIENCE), SCHEMA)
    began = time.monotonic()
    written(frame, mapping_file(tmp_path, EVENTS), salt="params.n", rejects=str(rejects), report=str(report))
    assert time.monotonic() - began < PATIENCE
    assert {"3-0", "3-1"} <= {path.name for path in seen.iterdir()}
    assert sent_rows(sandbox) > 39_600
    assert len(sandbox.store.events) == 39_600
    found = json.loads(report.read_text())
    assert (found["read"], found["accepted"], found["by_stage"]) == (40_000, 39_600, {"check": 400})
    assert sorted(path.name for path in rejects.glob("*.parquet")) == found["rejects"]
    assert cluster.read.parquet(str(rejects)).count() == 400


def test_workers_that_die(cluster: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """The process of each task ends once behind its rows; Spark tries again, and each event is stored once."""
    report = tmp_path / "report.json"
    frame = visits(cluster, 40_000).mapInArrow(dead(str(tmp_path)), SCHEMA)
    written(frame, mapping_file(tmp_path, EVENTS), salt="params.n", report=str(report))
    assert len(list(tmp_path.glob("died-*"))) == 4
    assert sent_rows(sandbox) > 40_000
    assert len(sandbox.store.events) == 40_000
    assert json.loads(report.read_text())["accepted"] == 40_000


def test_tasks_share_a_rate(cluster: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """With `rateBudget` the tasks of a machine keep one rate together, whichever process they run in."""
    rate = 4
    began = time.monotonic()
    written(
        visits(cluster, 48_000, 2), mapping_file(tmp_path, EVENTS),
        salt="params.n", requestsPerSecond=rate, rateBudget="file", concurrency=4,
    )  # fmt: skip
    times = sorted(request.time for request in sandbox.log if request.operation == "events.send_batch")
    assert len(times) >= 48  # more where Spark runs a copy, which keeps the rate too
    # What a task, or the copy of one, sends during its login arrives with its end: at most `concurrency` of each.
    times = times[16:]
    spread = times[-1] - times[0]
    most = max(sum(first <= moment < first + 2 for moment in times) for first in times)
    sys.stderr.write(
        f"\n{len(times)} requests at {rate} a second by two tasks: {spread:.1f} s, {most} in two seconds at most\n"
    )
    assert spread >= 0.95 * (len(times) - 1) / rate
    assert time.monotonic() - began < PATIENCE
