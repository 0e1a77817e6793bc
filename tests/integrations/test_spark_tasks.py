"""What a task of Spark does, and the sum over tasks: batches of Arrow to the sandbox, without PySpark."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import orjson
import pyarrow
import pyarrow.dataset
import pyarrow.parquet
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles._batching.thresholds import Thresholds
from synerise_profiles.bulk import BulkStoppedError
from synerise_profiles.integrations.spark.options import BUCKET_COLUMN, SinkOptions
from synerise_profiles.integrations.spark.rejects import TaskPlace, publish_rejects
from synerise_profiles.integrations.spark.summary import TaskSummary, WriteSummary, write_report
from synerise_profiles.integrations.spark.task import WritePlan
from synerise_profiles.sandbox import Sandbox
from tests.integrations.spark_support import EVENTS, PROFILES, mapping_file


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
        yield pyarrow.RecordBatch.from_pydict(cells)


def test_a_partition_is_sent(sandbox: Sandbox, tmp_path: Path) -> None:
    """By the bulk engine; the column of `repartition` is not sent, and tells what the task saw."""
    summary = plan(sandbox, tmp_path, PROFILES).run(people(1200), TaskPlace())
    assert (summary.read, summary.accepted, summary.by_stage) == (1200, 1200, {})
    assert summary.buckets == frozenset(range(7))
    assert len(sandbox.store.profiles) == 1200


def test_an_empty_partition(sandbox: Sandbox, tmp_path: Path) -> None:
    """It sends nothing, not even to sign in."""
    assert plan(sandbox, tmp_path, PROFILES).run([], TaskPlace(partition=3)) == TaskSummary(run_id="w1")
    assert not list(sandbox.log)


def test_refused_rows_in_parquet(sandbox: Sandbox, tmp_path: Path) -> None:
    """One file a task, whole at its end; its letters are lines of a dead-letter file, which can be replayed."""
    folder = tmp_path / "rejects"
    folder.mkdir()
    made = plan(sandbox, tmp_path, PROFILES, rejects=str(folder))
    summary = made.run(people(1000, bad=100), TaskPlace(partition=4, attempt=17))
    assert summary.rejects == "w1-part00004-attempt17.parquet"
    assert made.run(people(10), TaskPlace(partition=5)).rejects is None
    assert pyarrow.dataset.dataset(folder).count_rows() == 0  # until the write is committed
    publish_rejects(str(folder), *made.summary([summary]).rejects())
    assert [path.name for path in folder.iterdir()] == [summary.rejects]
    table = pyarrow.parquet.read_table(folder / summary.rejects)
    assert table.num_rows == summary.by_stage["check"] == 10
    assert table.column("index").to_pylist()[:2] == [99, 199]
    assert orjson.loads(table.column("letter")[0].as_py())["row"]["city"] == "Łódź"


def committed(folder: Path, made: WritePlan, *tasks: TaskSummary | None) -> list[str]:
    """What a reader of the folder finds once the driver has ended the write."""
    publish_rejects(str(folder), *made.summary(tasks).rejects())
    return sorted(path.name for path in folder.glob("*.parquet"))


def test_attempts_of_a_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """A copy, and a task of a stage that ran again, write other files; those alone that Spark took are in the folder.

    A write of which a task failed leaves nothing, since its rows are refused again; files of others stay.
    """
    folder = tmp_path / "rejects"
    folder.mkdir()
    (folder / "w2-part00000-attempt0.parquet").write_bytes(b"of another write")
    (folder / "_w2-part00000-attempt1.parquet.pending").write_bytes(b"of another write")
    made = plan(sandbox, tmp_path, PROFILES, rejects=str(folder))
    tasks = [made.run(people(100, bad=10), TaskPlace(partition=0, attempt=number)) for number in (3, 7)]
    assert tasks[0].rejects != tasks[1].rejects
    assert committed(folder, made, tasks[1], None) == ["w2-part00000-attempt0.parquet"]
    assert len(list(folder.iterdir())) == 2
    tasks = [made.run(people(100, bad=10), TaskPlace(partition=0, attempt=number)) for number in (3, 7)]
    assert committed(folder, made, tasks[1]) == ["w1-part00000-attempt7.parquet", "w2-part00000-attempt0.parquet"]
    assert len(list(folder.iterdir())) == 3


def test_a_micro_batch_that_is_replayed(sandbox: Sandbox, tmp_path: Path) -> None:
    """Its files take the place of those that it wrote before, by the query and the number of the batch."""
    folder = tmp_path / "rejects"
    folder.mkdir()
    names: list[list[str]] = []
    for write_id, batch, attempt in (("a", 0, 1), ("a", 1, 2), ("b", 1, 0), ("b", 1, 2), ("b", 2, 3)):
        made = attrs.evolve(plan(sandbox, tmp_path, EVENTS, salt="params.n", rejects=str(folder)), is_stream=True)
        made = attrs.evolve(made, write_id=write_id)
        place = TaskPlace(attempt=attempt, micro_batch=("7e57-q", batch))
        names.append(committed(folder, made, made.run([visits([None])], place)))
    assert names[1] == [f"7e57-q-batch00000{n}-part00000-attempt{n + 1}.parquet" for n in (0, 1)]
    assert names[2] == [names[1][0], "7e57-q-batch000001-part00000-attempt0.parquet"]
    assert names[3] == names[1]  # the number of an attempt begins anew with a session
    assert len(names[4]) == 3


def test_a_folder_that_is_not_shared(sandbox: Sandbox, tmp_path: Path) -> None:
    """A driver that does not see what a worker wrote says so; the pending file is not lost."""
    folder, other = tmp_path / "rejects", tmp_path / "other"
    folder.mkdir()
    other.mkdir()
    made = plan(sandbox, tmp_path, PROFILES, rejects=str(folder))
    task = made.run(people(100, bad=10), TaskPlace())
    with pytest.raises(InvalidRequestError, match="driver and workers have to share it"):
        committed(other, made, task)
    assert len(list(folder.iterdir())) == 1


def test_a_threshold_of_a_task(sandbox: Sandbox, tmp_path: Path) -> None:
    """It ends the task, and is told instead of raised: the same rows would be refused again."""
    summary = plan(sandbox, tmp_path, PROFILES, maxErrors="3").run(people(100_000, bad=10), TaskPlace())
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
        broken.run(people(10), TaskPlace())
    assert not list(folder.iterdir())


def test_a_server_that_goes_down_is_no_threshold(sandbox: Sandbox, tmp_path: Path) -> None:
    """Whatever share of the rows was refused before: the run ended by the server, so Spark has to try again."""
    made = plan(sandbox, tmp_path, PROFILES, maxErrorRate="0.1")
    with Sandbox() as other:
        away = other.url
    broken = attrs.evolve(made, sign_in={"token": "t", "base_url": away, "max_retries": 0})
    with pytest.raises(BulkStoppedError) as caught:
        broken.run(people(100, bad=5), TaskPlace())
    assert caught.value.report.by_stage["check"] == 20
    assert not caught.value.too_many_rejected


def test_a_share_is_counted_as_in_bulk(sandbox: Sandbox, tmp_path: Path) -> None:
    """From 1,000 rows on, of a task and of all of them."""
    made = plan(sandbox, tmp_path, PROFILES, maxErrorRate="0.1")
    few = made.run(people(990, bad=5), TaskPlace())
    assert (few.problem, few.by_stage) == (None, {"check": 198})
    assert made.summary([few]).problem is None
    assert made.summary([few, few]).problem == "more than 10.0% of the rows were rejected"


def visits(times: list[Any]) -> Any:
    zone = pyarrow.timestamp("us", "UTC")
    size = len(times)
    return pyarrow.RecordBatch.from_pydict(
        {"id": ["c-1"] * size, "n": list(range(size)), "at": pyarrow.array(times, zone)}
    )


def test_times_that_would_store_a_row_twice(sandbox: Sandbox, tmp_path: Path) -> None:
    """A row without its time, or with one to come, is refused, and kept as it was read."""
    folder, past = tmp_path / "rejects", datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    folder.mkdir()
    made = plan(sandbox, tmp_path, EVENTS, salt="params.n", rejects=str(folder))
    times = [past, None, datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)]
    for _ in range(2):  # a task that is tried again
        summary = made.run([visits(times)], TaskPlace())
        assert (summary.accepted, summary.by_stage) == (1, {"check": 2})
    letters = pyarrow.parquet.read_table(folder / "_w1-part00000-attempt0.parquet.pending")
    assert letters.column("field").to_pylist() == ["time", "time"]
    assert len(sandbox.store.events) == 1
    late = plan(sandbox, tmp_path, EVENTS, salt="params.n", defaultTime="2024-01-01T00:00:00Z")
    assert late.run([visits([None])], TaskPlace()).accepted == 1


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
