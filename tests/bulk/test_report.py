"""The report as text, mapping, JSON and Parquet, and the function that gets it when a run is over."""

from __future__ import annotations

import asyncio
import json
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles._batching.attribution import Rejection
from synerise_profiles._batching.letters import LetterRow
from synerise_profiles.bulk import BulkStoppedError, RejectedRowsError, Report, dry_run, report_of
from synerise_profiles.sandbox import Sandbox
from tests.bulk.test_endings import RUNS, RaisedError, Stored, sync_run
from tests.bulk.test_engine import profile

PARQUET: Any = import_module("pyarrow.parquet")
SECRET = "anna@example.com"


def report_with(*rejections: Rejection, **fields: Any) -> Report:
    report = Report(operation="profiles.upsert_batch", read=10, accepted=10 - len(rejections), **fields)
    for rejection in rejections:
        report.rejection_store.add(rejection, LetterRow(b"{}"), report.by_stage)
    return report


def quoting() -> Report:
    """A report in which the server quotes what was sent, with a reference of a kind that JSON lacks."""
    return report_with(
        Rejection(index=7, stage="server", reason=f"{SECRET} is taken", field="email", reference=("r", 7)),
        Rejection(index=3, stage="server", reason="other@example.com is taken", field="email"),
        Rejection(index=1, stage="check", reason="is not a date \ud800", field="birthDate", reference=2**70),
        seconds=2.0,
        resumed=4,
    )


def test_the_summary_names_reasons_what_was_resumed_and_the_rate() -> None:
    """One line; the words of the server are in it only where that was asked for, and in no exception."""
    report = quoting()
    line = report.summary()
    assert line.startswith("profiles.upsert_batch: 10 rows read, 7 accepted, 1 refused by the checks, 2 refused by the")
    assert "; 4 of them settled by an earlier run; 3 rows a second; 2 x email: " in line
    assert "1 x birthDate: is not a date" in line
    assert "\n" not in line
    assert SECRET not in line
    assert SECRET in report.summary(show_values=True)
    with pytest.raises(RejectedRowsError) as caught:
        report.raise_for_rejected()
    assert "email" not in str(caught.value)


def test_rejected_rows_are_indexed_and_sliced() -> None:
    """As of a list: from either end, with steps, and beyond it."""
    report = report_with(*(Rejection(index=n, stage="check", reason="r") for n in range(7)))
    whole = list(report.rejected)
    assert (report.rejected[0], report.rejected[-1]) == (whole[0], whole[-1])
    for start, end, step in ((None, 4, None), (None, None, -1), (5, 1, -2), (1, 6, 3), (4, 2, None), (90, None, None)):
        assert report.rejected[start:end:step] == whole[start:end:step]
    with pytest.raises(IndexError):
        _ = report.rejected[7]


def test_reasons_are_counted_in_bounded_memory() -> None:
    """A reason of its own for each of many rows: the counts add up, and the first rows are the first of the input."""
    many = (Rejection(index=n, stage="check", reason=f"reason {n}", field="f") for n in reversed(range(5000)))
    report = report_with(*many, *(Rejection(index=n, stage="check", reason="reason 4999", field="f") for n in (9, 8)))
    found = report.reasons()
    assert sum(item.rows for item in found) == 5002
    assert len(found) == 1001
    assert (found[0].rows, found[0].reason, found[0].first) == (4000, "further reasons", (0, 1, 2))
    assert (found[1].rows, found[1].first) == (3, (8, 9, 4999))


def test_the_mapping_is_json(tmp_path: Path) -> None:
    """What is written is what `to_dict` holds, whole numbers of any size and broken text included, for its owner."""
    report = quoting()
    path = tmp_path / "report.json"
    report.write_json(path)
    document = json.loads(path.read_bytes())
    assert document == json.loads(report.to_json()) == report.to_dict()
    assert (document["read"], document["accepted"], document["rejected"], document["resumed"]) == (10, 7, 3, 4)
    assert document["reasons"][0]["rows"] == 2
    assert document["reasons"][0]["first"] == [3, 7]
    assert report.to_dict(show_values=True)["reasons"][0]["first"] == ["('r', 7)"]
    assert document["reasons"][1] == {
        "stage": "check",
        "field": "birthDate",
        "reason": "is not a date ?",
        "rows": 1,
        "first": [str(2**70)],
    }
    assert SECRET not in report.to_json()
    assert SECRET in report.to_json(show_values=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_verification_is_part_of_the_mapping(tmp_path: Path) -> None:
    """The profiles that were not found are named as in the report; nothing of them is shown."""
    with Synerise(token="t", transport=httpx.MockTransport(_answer)) as client:
        rows = [{"customId": f"customer-{n}", "firstName": SECRET} for n in range(3)]
        report = client.bulk.upsert_profiles(rows, verify_sample=3, verify_within=0)
    found = report.to_dict()["verification"]
    assert (found["sample"], found["arrived"], len(found["missing"])) == (3, 0, 3)
    assert SECRET not in report.to_json()


def _answer(request: httpx.Request) -> httpx.Response:
    return httpx.Response(202) if request.method == "POST" else httpx.Response(404, json={"message": "not found"})


def test_parquet_has_the_rejected_rows(tmp_path: Path) -> None:
    """A row for each rejection, also where they are many and none is there; for its owner alone."""
    path = tmp_path / "rejected.parquet"
    rejections = [Rejection(index=n, stage="check", reason="is bad", field=None) for n in range(25_000)]
    report_with(
        *rejections, Rejection(index=1, stage="server", reason="is taken", reference={"a": 1}, group=4)
    ).write_parquet(path)
    table = PARQUET.read_table(path)
    assert table.num_rows == 25_001
    assert table.column_names == ["index", "stage", "field", "reason", "identifier", "reference", "group"]
    last = {"index": 1, "stage": "server", "field": None, "reason": "is taken", "identifier": None, "group": 4}
    assert table.slice(25_000).to_pylist() == [{**last, "reference": "{'a': 1}"}]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    quoting().write_parquet(path)
    assert PARQUET.read_table(path)["reason"].to_pylist()[-1] == "is not a date ?"
    report_with().write_parquet(path)
    assert PARQUET.read_table(path).num_rows == 0


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    """A folder that is not there, and a file that is one, are refused by name."""
    for path in (tmp_path / "none" / "report.json", tmp_path):
        with pytest.raises(InvalidRequestError, match="path"):
            quoting().write_json(path)
        with pytest.raises(InvalidRequestError, match="path"):
            quoting().write_parquet(path)


@pytest.mark.parametrize("run", RUNS)
def test_the_function_gets_the_report_once(run: Any) -> None:
    """It is called once, with the report that the run returns, when that is complete."""
    seen: list[tuple[Report, bool]] = []

    def tell(found: Report) -> None:
        seen.append((found, found.complete))

    report = run(Stored(), [profile(1)], on_finish=tell)
    assert seen == [(report, True)]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("error", [RaisedError, KeyboardInterrupt, BulkStoppedError])
def test_the_function_is_called_however_a_run_ends(run: Any, error: type[BaseException]) -> None:
    """By an exception of the rows, by Ctrl-C, by a limit: the function gets the report of what became of the rows."""
    seen: list[Report] = []

    def rows() -> Any:
        yield profile(1)
        if error is not BulkStoppedError:
            raise error
        yield {}

    with pytest.raises(error) as caught:
        run(Stored(), rows(), on_finish=seen.append, max_errors=0)
    assert seen == [report_of(caught.value)]
    assert seen[0].read == seen[0].accepted + seen[0].rejected_count() > 0


@pytest.mark.parametrize("run", RUNS)
def test_what_the_function_raises_reaches_the_caller(run: Any) -> None:
    """As itself, with the report, whose rows keep their fate; behind it is what ended the run, but Ctrl-C stays."""

    def fail(_: Report) -> None:
        raise RaisedError

    def rows(error: BaseException) -> Any:
        yield profile(1)
        raise error

    with pytest.raises(RaisedError) as caught:
        run(Stored(), [profile(1)], on_finish=fail)
    report = report_of(caught.value)
    assert report is not None
    assert (report.accepted, report.complete) == (1, True)
    with pytest.raises(RaisedError) as caught:
        run(Stored(), rows(OSError("lost")), on_finish=fail)
    assert isinstance(caught.value.__context__, OSError)
    with pytest.raises(KeyboardInterrupt) as interrupted:
        run(Stored(), rows(KeyboardInterrupt()), on_finish=fail)
    assert "on_finish raised RaisedError" in interrupted.value.__notes__


def test_a_coroutine_function_is_awaited_by_the_async_client_alone() -> None:
    """The sync client refuses it before anything is read."""
    seen: list[Report] = []

    async def tell(report: Report) -> None:
        await asyncio.sleep(0)
        seen.append(report)

    report = RUNS[1](Stored(), [profile(1)], on_finish=tell)
    assert seen == [report]
    server = Stored()
    with pytest.raises(InvalidRequestError, match="on_finish"):
        sync_run(server, [profile(1)], on_finish=tell)
    with pytest.raises(InvalidRequestError, match="on_finish"):
        sync_run(server, [profile(1)], on_finish="tell")
    assert server.requests == 0


def test_a_run_that_is_refused_has_no_end() -> None:
    """Before a run is accepted there is nothing to tell of."""
    seen: list[Report] = []
    with pytest.raises(InvalidRequestError):
        sync_run(Stored(), [profile(1)], on_finish=seen.append, concurrency=0)
    assert seen == []


def test_a_dry_run_tells_its_end_too() -> None:
    """The function gets the report of a dry run."""
    seen: list[Report] = []
    report = dry_run([profile(1), {}], on_finish=seen.append)
    assert seen == [report]
    assert report.reasons()[0].first == (1,)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_replay_tells_its_end_too(tmp_path: Path, *, is_async: bool) -> None:
    """The function gets the report of all operations, whose mapping has the counts of each."""
    path, seen = tmp_path / "letters.jsonl", list[Report]()
    with Sandbox() as sandbox, Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        client.bulk.upsert_profiles([{"customId": "a", "birthDate": "24.10.1987"}], dead_letter=path)

        async def replay() -> Report:
            async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as async_client:
                return await async_client.bulk.replay(path, on_finish=seen.append)

        report = asyncio.run(replay()) if is_async else client.bulk.replay(path, on_finish=seen.append)
    assert seen == [report]
    assert report.to_dict()["by_operation"] == {"profiles.upsert_batch": {"read": 1, "accepted": 0, "rejected": 1}}


def test_no_file_of_a_report_takes_the_place_of_the_letters(tmp_path: Path) -> None:
    """They hold the rows that were refused, which the report has not."""
    letters = tmp_path / "letters.jsonl"
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    with Synerise(token="a.b.c", transport=transport) as client:
        report = client.bulk.upsert_profiles([{"customId": "a"}, {"attributes": {}}], dead_letter=letters)
        again = client.bulk.replay(letters, dead_letter=letters)
    before = letters.read_bytes()
    for found in (report, again):
        for write in (found.write_html, found.write_json, found.write_parquet):
            with pytest.raises(InvalidRequestError, match="same file as the dead letters of this run"):
                write(letters)
    assert letters.read_bytes() == before
