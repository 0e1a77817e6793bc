"""What a task of Spark does, and the sum over tasks: batches of Arrow to the sandbox, without PySpark."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pyarrow
import pyarrow.parquet
import pytest

from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.integrations.spark.options import BUCKET_COLUMN, SinkOptions, Thresholds
from synerise_profiles.integrations.spark.rejects import remove_others
from synerise_profiles.integrations.spark.summary import TaskSummary, WriteSummary, write_report
from synerise_profiles.integrations.spark.task import WritePlan
from synerise_profiles.sandbox import Sandbox
from tests.integrations.spark_support import EVENTS, PROFILES, mapping_file


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


def plan(sandbox: Sandbox, folder: Path, text: str, **options: str) -> WritePlan:
    given = {"mapping": mapping_file(folder, text), **options}
    columns = ["id", "city", "n", "at", BUCKET_COLUMN]
    sign_in = {"api_key": sandbox.api_key, "base_url": sandbox.url}
    return WritePlan(options=SinkOptions.parse(given, columns), write_id="w1", sign_in=sign_in)


def people(count: int, bad: int = 10**9) -> Iterator[Any]:
    for start in range(0, count, 500):
        numbers = range(start, min(start + 500, count))
        cells = {
            "id": ["" if n % bad == bad - 1 else f"c-{n}" for n in numbers],
            "city": ["Łódź"] * len(numbers),
            "n": list(numbers),
            BUCKET_COLUMN: pyarrow.array([n % 7 for n in numbers], pyarrow.int32()),
        }
        yield pyarrow.record_batch(cells)


def test_a_partition_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """By the bulk engine; the column of `repartition` is not sent, and tells what the task saw."""
    summary = plan(sandbox, tmp_path, PROFILES).run(people(1200), 0, 0)
    assert (summary.read, summary.accepted, summary.by_stage) == (1200, 1200, {})
    assert summary.buckets == frozenset(range(7))
    assert len(sandbox.store.profiles) == 1200


def test_an_empty_partition(sandbox: Sandbox, tmp_path: Path) -> None:
    """It sends nothing, not even to sign in."""
    assert plan(sandbox, tmp_path, PROFILES).run([], 3, 0) == TaskSummary()
    assert not list(sandbox.log)


def test_refused_rows_in_parquet(sandbox: Sandbox, tmp_path: Path) -> None:
    """One file a task, whole at its end; its letters are lines of a dead-letter file, which can be replayed."""
    folder = tmp_path / "rejects"
    folder.mkdir()
    made = plan(sandbox, tmp_path, PROFILES, rejects=str(folder))
    summary = made.run(people(1000, bad=100), 4, 1)
    assert summary.rejects == "w1-00004-1.parquet"
    table = pyarrow.parquet.read_table(folder / summary.rejects)
    assert table.num_rows == summary.by_stage["check"] == 10
    assert table.column("index").to_pylist()[:2] == [99, 199]
    assert orjson.loads(table.column("letter")[0].as_py())["row"]["city"] == "Łódź"
    assert made.run(people(10), 5, 0).rejects is None
    (folder / "w1-00004-0.parquet").write_bytes(b"of a copy that lost")
    (folder / "w2-00004-0.parquet").write_bytes(b"of another write")
    remove_others(str(folder), "w1", {"w1-00004-1.parquet"})
    assert sorted(path.name for path in folder.iterdir()) == ["w1-00004-1.parquet", "w2-00004-0.parquet"]


def test_a_threshold_of_a_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """It ends the task, and is told instead of raised: the same rows would be refused again."""
    summary = plan(sandbox, tmp_path, PROFILES, maxErrors="3").run(people(100_000, bad=10), 0, 0)
    assert summary.problem == "more than 3 rows were rejected"
    assert summary.read < 100_000


def test_a_server_that_is_down_is_raised(sandbox: Sandbox, tmp_path: Path) -> None:
    """So that Spark tries the task again; without a half of a file of refused rows."""
    folder = tmp_path / "rejects"
    folder.mkdir()
    made = plan(sandbox, tmp_path, PROFILES, rejects=str(folder))
    with Sandbox() as other:
        sandbox_url = other.url
    broken = WritePlan(
        options=made.options, write_id="w1", sign_in={"token": "t", "base_url": sandbox_url, "max_retries": 0}
    )
    with pytest.raises(BulkStoppedError):
        broken.run(people(10), 0, 0)
    assert not list(folder.iterdir())


def visits(times: list[Any]) -> Any:
    zone = pyarrow.timestamp("us", "UTC")
    size = len(times)
    return pyarrow.record_batch({"id": ["c-1"] * size, "n": list(range(size)), "at": pyarrow.array(times, zone)})


def test_times_that_would_store_a_row_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    """A row without its time, or with one to come, is refused, and kept as it was read."""
    folder, past = tmp_path / "rejects", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    folder.mkdir()
    made = plan(sandbox, tmp_path, EVENTS, salt="params.n", rejects=str(folder))
    times = [past, None, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)]
    for _ in range(2):  # a task that is tried again
        summary = made.run([visits(times)], 0, 0)
        assert (summary.accepted, summary.by_stage) == (1, {"check": 2})
    letters = pyarrow.parquet.read_table(folder / "w1-00000-0.parquet")
    assert letters.column("field").to_pylist() == ["time", "time"]
    assert len(sandbox.store.events) == 1
    late = plan(sandbox, tmp_path, EVENTS, salt="params.n", defaultTime="2024-01-01T00:00:00Z")
    assert late.run([visits([None])], 0, 0).accepted == 1


def total(*tasks: TaskSummary | None, **settings: Any) -> WriteSummary:
    return WriteSummary(operation="profiles.upsert_batch", tasks=tasks, thresholds=Thresholds(**settings))


def test_the_sum_over_tasks(tmp_path: Path) -> None:
    """Thresholds count again for all tasks; the file says the same as the text, and replaces the last one."""
    one = TaskSummary(read=900, accepted=897, by_stage={"check": 3}, reasons={("check", "email", "is no address"): 3})
    assert total(one, one, max_errors=6).problem is None
    summary = total(one, one, max_errors=5)
    assert summary.problem == "more than 5 rows were rejected"
    assert str(summary) == (
        "profiles.upsert_batch: 1,800 rows read, 1,794 accepted, 6 check; 2 tasks; 6 x email: is no address"
    )
    assert total(one, one, max_error_rate=0.003).problem == "more than 0.3% of the rows were rejected"
    for _ in range(2):
        write_report(summary, str(tmp_path / "report.json"))
    found = orjson.loads((tmp_path / "report.json").read_bytes())
    assert (found["read"], found["accepted"], found["by_stage"]) == (1800, 1794, {"check": 6})
    assert found["problem"] == summary.problem


def test_tasks_that_failed_and_buckets_that_were_torn() -> None:
    """Of a task that failed nothing is known; a bucket that two tasks saw means that rows were moved."""
    assert total(TaskSummary(), None).problem == "1 of 2 tasks failed; what they sent is not counted"
    assert total(TaskSummary(buckets=frozenset({1, 2})), TaskSummary(buckets=frozenset({3}))).problem is None
    torn = total(TaskSummary(buckets=frozenset({1, 2})), TaskSummary(buckets=frozenset({2}))).problem
    assert torn is not None
    assert "nothing may move rows between repartition() and save()" in torn


def test_micro_batches_are_lines(tmp_path: Path) -> None:
    """A streaming query adds a line for each."""
    path = tmp_path / "report.jsonl"
    for batch_id in (0, 1):
        thresholds = Thresholds()
        summary = WriteSummary(operation="a", tasks=[TaskSummary(read=1)], thresholds=thresholds, batch_id=batch_id)
        write_report(summary, str(path))
    assert [orjson.loads(line)["batch_id"] for line in path.read_text().splitlines()] == [0, 1]
