"""The sink on a real Spark with two tasks at a time: what Spark sends twice is applied once. Run by `make spark`."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import Synerise
from synerise_profiles.integrations import spark as sink
from synerise_profiles.integrations.spark import repartition
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_parquet
from tests.integrations.spark_support import EVENTS, PROFILES, java, mapping_file, session

try:
    import pyspark  # noqa: F401 - whether it is there
except ModuleNotFoundError:
    pytest.skip("needs PySpark, which `make spark` installs", allow_module_level=True)
if java() is None:
    pytest.skip("needs Java", allow_module_level=True)
pytestmark = [pytest.mark.spark, pytest.mark.long, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def spark(shared_sandbox: Sandbox) -> Iterator[Any]:
    with session(shared_sandbox) as found:
        found.dataSource.register(sink.SyneriseDataSource)
        yield found


@pytest.fixture(autouse=True)
def sandbox(empty_sandbox: Sandbox) -> Sandbox:
    return empty_sandbox


def people(spark: Any, count: int) -> Any:
    return spark.range(count).selectExpr("concat('c-', id) as id", "'Łódź' as city", "id as n")


def visits(spark: Any, count: int, partitions: int = 4) -> Any:
    made = spark.range(0, count, 1, partitions)
    return made.selectExpr("concat('c-', id % 1000) as id", "id as n", "timestamp_seconds(1700000000 + id) as at")


def written(frame: Any, mapping: str, **options: Any) -> None:
    frame.write.format("synerise").mode("append").options(mapping=mapping, **options).save()


def dying(batches: Iterator[Any], folder: str) -> Iterator[Any]:
    """Let a task die by chance behind a batch, once for each partition that chance chooses."""
    from pathlib import Path  # noqa: PLC0415 - it runs in a worker

    from pyspark import TaskContext  # noqa: PLC0415 - likewise

    number = TaskContext.get().partitionId()
    died = Path(folder) / f"died-{number}"
    for at, batch in enumerate(batches):
        if at and not died.exists() and number % 2 == 0:
            died.touch()
            raise RuntimeError("the worker died")
        yield batch


def test_tasks_that_die_after_sending(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """They are tried again; the sandbox holds each event once, and the folder each refused row."""
    died = tmp_path / "died"
    died.mkdir()
    folder, schema = str(died), "id string, n long, at timestamp"
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "1000")
    frame = visits(spark, 20_000).mapInArrow(lambda batches: dying(batches, folder), schema)
    report, rejects = tmp_path / "report.json", tmp_path / "rejects"
    rejects.mkdir()
    frame = frame.selectExpr("id", "n", "if(n % 100 = 0, null, at) as at")
    written(frame, mapping_file(tmp_path, EVENTS), salt="params.n", report=str(report), rejects=str(rejects))
    assert len(list(died.iterdir())) == 2
    assert len(sandbox.store.events) == 19_800
    found = json.loads(report.read_text())
    assert (found["read"], found["accepted"], found["problem"]) == (20_000, 19_800, None)
    assert spark.read.parquet(str(rejects)).count() == 200


def test_a_threshold_over_all_tasks(spark: Any, tmp_path: Path) -> None:
    """`save()` raises with the summary; the refused rows are in the folder, and the file says the same."""
    rejects, report = tmp_path / "rejects", tmp_path / "report.json"
    rejects.mkdir()
    bad = visits(spark, 4000).selectExpr("id", "n", "if(n % 100 = 0, null, at) as at")
    path = mapping_file(tmp_path, EVENTS)
    with pytest.raises(Exception, match="more than 35 rows were rejected") as caught:
        written(bad, path, salt="params.n", maxErrors=35, rejects=str(rejects), report=str(report))
    assert "4,000 rows read, 3,960 accepted, 40 check" in str(caught.value)
    assert json.loads(report.read_text())["by_stage"] == {"check": 40}
    assert spark.read.parquet(str(rejects)).count() == 40


def test_a_write_that_fails_tells_what_is_known(spark: Any, tmp_path: Path) -> None:
    """A task that fails for good: `abort` writes the counts of the others."""
    report = tmp_path / "report.json"

    def fail(batches: Iterator[Any]) -> Iterator[Any]:
        from pyspark import TaskContext  # noqa: PLC0415 - it runs in a worker

        number = TaskContext.get().partitionId()
        if number:
            import time  # noqa: PLC0415 - likewise

            time.sleep(2)  # the others are done by then
            raise RuntimeError("the worker died")
        yield from batches

    rejects = tmp_path / "rejects"
    rejects.mkdir()
    frame = visits(spark, 2000, partitions=2).mapInArrow(fail, "id string, n long, at timestamp")
    frame = frame.selectExpr("id", "n", "if(n % 100 = 0, null, at) as at")
    with pytest.raises(Exception, match="the worker died"):
        written(frame, mapping_file(tmp_path, EVENTS), salt="params.n", report=str(report), rejects=str(rejects))
    found = json.loads(report.read_text())
    assert (found["tasks"], found["failed_tasks"], found["accepted"]) == (2, 1, 990)
    assert not list(rejects.iterdir())  # the next write refuses the same rows


def test_the_order_of_a_profile(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """The last row by `order_by` wins, wherever it stood; rows that were moved behind it end the write."""
    path = mapping_file(tmp_path, PROFILES)
    frame = spark.range(0, 6000, 1, 6).selectExpr("concat('c-', id % 100) as id", "'x' as city", "6000 - id as n")
    written(repartition(frame, path, order_by="n"), path)
    assert len(sandbox.store.profiles) == 100
    found = {profile.data["attributes"]["n"] for profile in sandbox.store.profiles}
    assert found == set(range(5901, 6001))
    with pytest.raises(Exception, match="nothing may move rows between repartition"):
        written(repartition(frame, path, order_by="n").repartition(4), path)


def test_errors_say_what_to_do(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """Before a task begins: no repartition, no salt, a key among the options, a misspelt option."""
    profiles, events = mapping_file(tmp_path, PROFILES), mapping_file(tmp_path, EVENTS, "events.toml")
    for frame, path, options, words in (
        (people(spark, 10), profiles, {}, r"repartition\(df, mapping"),
        (visits(spark, 10), events, {}, "names of fields that tell rows apart"),
        (visits(spark, 10), events, {"salt": "params.n", "apiKey": "s3cret"}, "set SYNERISE_API_KEY"),
        (visits(spark, 10), events, {"SALT": "params.n", "maxerror": "1"}, "did you mean 'maxErrors'"),
    ):
        with pytest.raises(Exception, match=words) as caught:
            written(frame, path, **options)
        assert "s3cret" not in str(caught.value)
        assert sandbox.api_key not in str(caught.value)
    assert not len(sandbox.store.profiles)


def test_a_key_of_a_provider(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """A function returns it when a write begins; a bad one fails the write and is nowhere shown."""
    path = mapping_file(tmp_path, EVENTS)
    key = "wr0ng-key-of-a-provider"
    spark.dataSource.register(sink.SyneriseDataSource.with_key(lambda: key))
    try:
        with pytest.raises(Exception, match=r"events\.send_batch") as caught:
            written(visits(spark, 10), path, salt="params.n", concurrency=1)
        assert key not in str(caught.value)
    finally:
        spark.dataSource.register(sink.SyneriseDataSource)


def test_a_stream_that_is_restarted(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """A micro-batch that was sent and not committed is sent again after the restart, and stored once.

    So are its refused rows in their folder.
    """
    source, checkpoint, report = tmp_path / "in", tmp_path / "checkpoint", tmp_path / "report.jsonl"
    rejects = tmp_path / "rejects"
    rejects.mkdir()
    path = mapping_file(tmp_path, EVENTS)
    for part in range(3):
        bad = "if(n % 100 = 0, null, at) as at"
        visits(spark, 3000).where(f"n % 3 = {part}").selectExpr("id", "n", bad).write.mode("append").parquet(
            str(source)
        )

    def query() -> Any:
        frame = spark.readStream.schema("id string, n long, at timestamp").option("maxFilesPerTrigger", 4)
        return (
            frame.parquet(str(source))
            .writeStream.format("synerise")
            .options(mapping=path, salt="params.n", report=str(report), rejects=str(rejects))
            .option("checkpointLocation", str(checkpoint))
            .trigger(availableNow=True)
            .start()
        )

    query().awaitTermination()
    assert len(sandbox.store.events) == 2970
    assert spark.read.parquet(str(rejects)).count() == 30
    lines = [json.loads(line) for line in report.read_text().splitlines()]
    assert [line["batch_id"] for line in lines] == list(range(len(lines)))
    commits = sorted((checkpoint / "commits").glob("[0-9]*"), key=lambda file: int(file.name))
    last = commits[-1]  # as if the driver had died behind the last tasks
    for file in (last, last.with_name(f".{last.name}.crc")):
        file.unlink(missing_ok=True)
    query().awaitTermination()
    again = [json.loads(line) for line in report.read_text().splitlines()]
    assert again[-1]["batch_id"] == int(last.name)
    assert len(again) > len(lines)
    assert len(sandbox.store.events) == 2970
    assert spark.read.parquet(str(rejects)).count() == 30
    assert {path.suffix for path in rejects.iterdir()} == {".parquet"}


def test_a_million_profiles_and_many_events(spark: Any, sandbox: Sandbox, tmp_path: Path) -> None:
    """From Parquet, with partitions that die by chance; each is there once. Figures beside those of one process."""
    profiles, events = mapping_file(tmp_path, PROFILES), mapping_file(tmp_path, EVENTS, "events.toml")
    died, chance = tmp_path / "died", random.Random(0)
    died.mkdir()
    spark.conf.set("spark.sql.parquet.outputTimestampType", "TIMESTAMP_MICROS")  # which keeps the zone
    people(spark, 1_000_000).write.parquet(str(tmp_path / "people"))
    visits(spark, 200_000, 8).write.parquet(str(tmp_path / "visits"))
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "10000")
    figures: list[str] = []

    def timed(what: str, rows: int, began: float) -> None:
        seconds = time.monotonic() - began
        figures.append(f"{what}: {rows:,} rows in {seconds:.1f} s, {rows / seconds:,.0f} a second")

    for number in chance.sample(range(8), 5):  # of the others each dies once behind its first batch
        (died / f"died-{number}").touch()
    folder = str(died)
    began = time.monotonic()
    written(repartition(spark.read.parquet(str(tmp_path / "people")), profiles, order_by=None, partitions=8), profiles)
    timed("Spark, profiles", 1_000_000, began)
    assert len(sandbox.store.profiles) == 1_000_000
    began = time.monotonic()
    frame = spark.read.parquet(str(tmp_path / "visits")).repartition(8)
    frame = frame.mapInArrow(lambda batches: dying(batches, folder), "id string, n long, at timestamp")
    written(frame, events, salt="params.n")
    timed("Spark, events, with tasks that die", 200_000, began)
    assert len(sandbox.store.events) == 200_000
    sandbox.store.clear()
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        began = time.monotonic()
        client.bulk.upsert_profiles(read_parquet(tmp_path / "people", RowMapping.load(profiles)))
        timed("one process, profiles", 1_000_000, began)
        began = time.monotonic()
        client.bulk.send_events(read_parquet(tmp_path / "visits", RowMapping.load(events)), salt=["params.n"])
        timed("one process, events", 200_000, began)
    sys.stderr.write("\n".join(["", *figures, ""]))
