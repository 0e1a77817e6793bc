"""Where PySpark is not installed: what needs it says so, and what does not works."""

from __future__ import annotations

import datetime
from importlib.util import find_spec
from pathlib import Path

import pyarrow
import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.integrations import spark
from synerise_profiles.integrations.spark.options import BUCKET_COLUMN, SinkOptions
from synerise_profiles.integrations.spark.partitions import key_columns
from synerise_profiles.integrations.spark.rejects import TaskPlace
from synerise_profiles.integrations.spark.task import WritePlan
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, field
from tests.integrations.spark_support import EVENTS, mapping_file
from tests.sources.test_orders import mapping as orders

NEEDED = r"Spark's sink needs pyspark; install it with: pip install 'synerise-profiles\[spark\]'"


@pytest.mark.skipif(find_spec("pyspark") is not None, reason="PySpark is installed here")
def test_what_needs_pyspark_says_what_to_install() -> None:
    """The class of the format, and `repartition`; other names are not known."""
    with pytest.raises(ModuleNotFoundError, match=NEEDED):
        _ = spark.SyneriseDataSource
    with pytest.raises(ModuleNotFoundError, match=NEEDED):
        spark.repartition(None, RowMapping.for_profiles({"id": "customId"}), order_by=None)
    assert dir(spark) == ["SparkWriteError", "SyneriseDataSource", "repartition"]
    with pytest.raises(AttributeError, match="has no attribute 'DataSource'"):
        _ = spark.DataSource  # type: ignore[attr-defined]


def test_rows_of_one_profile_are_known_by_columns_of_the_frame() -> None:
    """Those of its first identifier, of the template that makes it, or of the lines of an order."""
    both = {"e-mail": "email", "id": "customId"}
    assert key_columns(RowMapping.for_profiles(both)) == ("id",)
    assert key_columns(RowMapping.for_profiles({"shop": None, "no": field("customId", template="{shop}-{no}")})) == (
        "shop",
        "no",
    )
    assert key_columns(orders(group_by=["No", "Who"])) == ("No", "Who")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"city": "city"}, "reads no identifier from a column of its own; map one to clientId or"),
        ({"id": field("customId", fallback="old")}, "reads customId from several columns by fallback"),
    ],
)
def test_a_mapping_without_one_column_of_a_profile_is_refused(columns: dict[str, object], problem: str) -> None:
    """With what to do."""
    mapping = RowMapping.for_profiles(columns, constants={"email": "a@example.com"} if "city" in columns else None)
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        key_columns(mapping)
    assert caught.value.field == "mapping"


def test_a_mapping_of_identifiers_is_no_frame_to_write(tmp_path: Path) -> None:
    """It is refused with what is written."""
    path = mapping_file(tmp_path, 'for = "identifiers"\n[columns]\nid = "customId"\n')
    with pytest.raises(InvalidRequestError, match="is for identifiers, and a frame is written as") as caught:
        SinkOptions.parse({"mapping": path}, ["id", BUCKET_COLUMN])
    assert caught.value.field == "mapping"


def test_a_time_that_is_none_is_left_to_the_checks(tmp_path: Path) -> None:
    """A row that is unreadable keeps its reason; a time to come is refused, since a row may be sent twice."""
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=2)
    times = ["2026-03-01T08:00:00Z", "yesterday", later.isoformat(), None]
    with Sandbox() as sandbox:
        options = {"mapping": mapping_file(tmp_path, EVENTS), "salt": "params.n"}
        parsed = SinkOptions.parse(options, ["id", "n", "at", BUCKET_COLUMN])
        plan = WritePlan(options=parsed, write_id="w1", sign_in={"api_key": sandbox.api_key, "base_url": sandbox.url})
        cells = {"id": ["c-1"] * 4, "n": [1, 2, 3, 4], "at": times, BUCKET_COLUMN: pyarrow.array([0] * 4, "int32")}
        summary = plan.run(iter([pyarrow.RecordBatch.from_pydict(cells)]), TaskPlace())
    assert (summary.read, summary.accepted) == (4, 1)
