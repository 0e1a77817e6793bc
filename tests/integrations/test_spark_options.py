"""Options of a write to Spark: read in any case, checked on the driver, refused with what to do. Without PySpark."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from synerise_profiles import InvalidRequestError
from synerise_profiles.integrations.spark.options import BUCKET_COLUMN, SinkOptions
from synerise_profiles.integrations.spark.partitions import key_columns
from synerise_profiles.integrations.spark.task import WritePlan
from synerise_profiles.sources import MappingError, RowMapping, field
from tests.integrations.spark_support import EVENTS, PROFILES, mapping_file

MOVED = ["id", "city", "n", BUCKET_COLUMN]
NO_TIME = EVENTS.replace('at = "time"\n', "")


def test_names_in_any_case(tmp_path: Path) -> None:
    """Spark gives names as they were typed, or in small letters; numbers and lists are texts."""
    path = mapping_file(tmp_path, PROFILES)
    given = {"MAPPING": path, "maxerrors": "5", "RequestsPerSecond": "2.5", "allowNULL": "city, attributes.n"}
    options = SinkOptions.parse({**given, "checkpointlocation": "x"}, MOVED)
    bulk = {"max_errors": 5, "requests_per_second": 2.5, "allow_null": ["city", "attributes.n"]}
    assert options.bulk == bulk
    assert not options.needs_time


@pytest.mark.parametrize(
    ("given", "option", "problem"),
    [
        ({"mapping": ""}, "mapping", "is required"),
        ({"mapping": "/no/such.toml"}, "mapping", "cannot be read on the driver"),
        ({"apiKey": "s3cret"}, "apiKey", "set SYNERISE_API_KEY in the environment"),
        ({"path": "/x"}, "path", r"call save\(\) without a path"),
        ({"maxError": "5"}, "maxError", "did you mean 'maxErrors'"),
        ({"maxErrors": "five"}, "maxErrors", "expected a number"),
        ({"maxErrorRate": "7"}, "maxErrorRate", "a number from 0 to 1"),
        ({"concurrency": "0"}, "concurrency", "from 1 to 100"),
        ({"operation": "events"}, "operation", "the mapping is for profiles"),
        ({"operation": "profile"}, "operation", "did you mean 'profiles'"),
        ({"salt": "n"}, "salt", "profiles have neither"),
    ],
)
def test_what_is_refused(tmp_path: Path, given: dict[str, str], option: str, problem: str) -> None:
    """By the option's name as it was typed, with what to do, and never with its value."""
    with pytest.raises(InvalidRequestError, match=problem) as caught:
        SinkOptions.parse({"mapping": mapping_file(tmp_path, PROFILES), **given}, MOVED)
    assert caught.value.field == option
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("mapping", "given", "option"),
    [
        (EVENTS, {}, "salt"),
        (NO_TIME, {"salt": "params.n"}, "defaultTime"),
        (NO_TIME, {"salt": "params.n", "defaultTime": "2999-01-01T00:00:00Z"}, "defaultTime"),
        (NO_TIME, {"salt": "params.n", "defaultTime": "2024-01-01"}, "defaultTime"),
    ],
)
def test_keys_that_are_not_of_the_row_alone(tmp_path: Path, mapping: str, given: dict[str, str], option: str) -> None:
    """Events need fields for the salt and a time that stays the same, since Spark may send a row twice."""
    with pytest.raises(InvalidRequestError) as caught:
        SinkOptions.parse({"mapping": mapping_file(tmp_path, mapping), **given}, ["id", "n", "at"])
    assert caught.value.field == option


def test_rows_that_belong_together(tmp_path: Path) -> None:
    """Profiles, and orders made of lines, have to come from `repartition`; the error says the call."""
    orders = EVENTS + ""
    orders = orders.replace('for = "events"', 'for = "events"\ngroup_by = "n"')
    for text, more in ((PROFILES, {}), (orders, {"salt": "params.n"})):
        path = mapping_file(tmp_path, text)
        with pytest.raises(InvalidRequestError, match=r"repartition\(df, mapping, order_by=...\)"):
            SinkOptions.parse({"mapping": path, **more}, ["id", "n", "at"])
        SinkOptions.parse({"mapping": path, **more}, ["id", "n", "at", BUCKET_COLUMN])


def test_a_stream_is_told_of_foreach_batch(tmp_path: Path) -> None:
    """A stream cannot be brought together as a whole; the error says where the call stands."""
    given = {"mapping": mapping_file(tmp_path, PROFILES)}
    with pytest.raises(
        InvalidRequestError, match=r"by foreachBatch\(function\), with repartition\(df, mapping"
    ) as caught:
        SinkOptions.parse(given, ["id"], is_stream=True)
    assert "mapping" == caught.value.field


def test_modes_that_would_replace_what_is_stored(tmp_path: Path) -> None:
    """Overwriting is refused, and so is a stream of events that sends all of them again; one of profiles may."""
    profiles = {"mapping": mapping_file(tmp_path, PROFILES)}
    with pytest.raises(InvalidRequestError, match=r"mode\('append'\)") as caught:
        SinkOptions.parse(profiles, MOVED, overwrite=True)
    assert "mode" == caught.value.field
    SinkOptions.parse(profiles, MOVED, is_stream=True, overwrite=True)
    events = {"mapping": mapping_file(tmp_path, EVENTS), "salt": "params.n"}
    with pytest.raises(InvalidRequestError, match=r"outputMode\('append'\)") as caught:
        SinkOptions.parse(events, ["id", "n", "at"], is_stream=True, overwrite=True)
    assert "outputMode" == caught.value.field


def test_a_mapping_with_a_mistake(tmp_path: Path) -> None:
    """It is told with its line, as everywhere."""
    with pytest.raises(MappingError, match="line 4"):
        SinkOptions.parse({"mapping": mapping_file(tmp_path, PROFILES.replace("customId", "custId"))}, MOVED)


def test_the_key_is_in_no_repr(tmp_path: Path) -> None:
    """It travels with the plan of a write, and nothing that is printed shows it."""
    options = SinkOptions.parse({"mapping": mapping_file(tmp_path, PROFILES)}, MOVED)
    plan = WritePlan(options=options, write_id="w", sign_in={"api_key": "s3cret"})
    assert "s3cret" not in repr(plan)
    assert pickle.loads(pickle.dumps(plan)).sign_in == {"api_key": "s3cret"}


@pytest.mark.parametrize(
    ("option", "name", "problem"),
    [
        ("report", ".", "is a folder"),
        ("report", "no/such.json", "is in a folder that does not exist"),
        ("report", "/dev/null", "is a device"),
        ("report", "mapping.toml", "is the same file as mapping"),
        ("rejects", "no", "is no folder on the driver"),
        ("rejects", "mapping.toml", "is no folder on the driver"),
    ],
)
def test_files_are_checked_on_the_driver(tmp_path: Path, option: str, name: str, problem: str) -> None:
    """Before a row is sent, for a batch and a stream, and without a trace where nothing is sent."""
    given = {"mapping": mapping_file(tmp_path, PROFILES), option: str(tmp_path / name)}
    for is_stream in (False, True):
        with pytest.raises(InvalidRequestError, match=problem) as caught:
            SinkOptions.parse(given, MOVED, is_stream=is_stream)
        assert caught.value.field == option
    assert [path.name for path in tmp_path.iterdir()] == ["mapping.toml"]


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_files_that_may_not_be_written(tmp_path: Path) -> None:
    """A folder without the right to write, for the report and for the rejects."""
    path, folder = mapping_file(tmp_path, PROFILES), tmp_path / "locked"
    folder.mkdir(mode=0o500)
    for option, name in (("report", folder / "report.json"), ("rejects", folder)):
        with pytest.raises(InvalidRequestError, match=r"written|may not write"):
            SinkOptions.parse({"mapping": path, option: str(name)}, MOVED)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"Mail": "email", "Id": "customId"}, ("Id",)),
        ({"Mail": "email"}, ("Mail",)),
        ({"Id": field("customId", template="{Shop}-{Id}"), "Shop": "city"}, ("Shop", "Id")),
    ],
)
def test_columns_that_bring_rows_together(columns: dict[str, str], expected: tuple[str, ...]) -> None:
    """The first identifier that the rows of a mapping have."""
    assert key_columns(RowMapping.for_profiles(columns)) == expected


def test_an_identifier_of_several_columns() -> None:
    """What cannot be brought together is said."""
    mapping = RowMapping.for_profiles({"Id": field("customId", fallback="Old"), "Old": "city"})
    with pytest.raises(InvalidRequestError, match="make one column of them first"):
        key_columns(mapping)
