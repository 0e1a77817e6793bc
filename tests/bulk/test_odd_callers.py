"""Rows and functions of callers that raise or return what they should not: the run ends by it, with its report."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import BulkStoppedError, UnreadableRow, read_dead_letter, report_of
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import read_csv
from tests.sources.test_orders import LINES, plain_mapping, text_of


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as opened:
        yield opened


class Broken:
    """Rows that cannot even be begun."""

    def __iter__(self) -> Iterator[Any]:
        raise OSError("the file is gone")


def test_rows_that_cannot_be_begun_end_the_run(client: Synerise, sandbox: Sandbox) -> None:
    """By their own error, with a report of nothing; nothing is sent."""
    with pytest.raises(OSError, match="the file is gone") as caught:
        client.bulk.upsert_profiles(Broken())
    report = report_of(caught.value)
    assert report is not None
    assert (report.read, report.accepted, len(sandbox.log)) == (0, 0, 0)


def test_a_function_that_returns_what_has_to_be_awaited_is_refused(client: Synerise) -> None:
    """By its argument; what was sent is in the report, and the coroutine is closed."""
    with pytest.raises(InvalidRequestError, match=r"on_settled: .*a coroutine function is for AsyncSynerise") as caught:
        client.bulk.upsert_profiles([{"customId": "a"}], on_settled=lambda _: asyncio.sleep(0))
    report = report_of(caught.value)
    assert report is not None
    assert report.accepted == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_what_a_run_did_not_come_to_is_written_down(
    sandbox: Sandbox, client: Synerise, tmp_path: Path, *, is_async: bool
) -> None:
    """Each row that was read has a letter and an entry of the audit, also one that could not be read."""
    letters, audit = tmp_path / "letters.jsonl", tmp_path / "deleted.jsonl"
    rows: list[Any] = [{"customId": f"c-{n}"} for n in range(200)]
    rows[100] = UnreadableRow("customId", "is no id", {"customId": [1]})
    options: dict[str, Any] = {
        "dead_letter": letters, "dead_letter_mode": "append", "audit": audit, "max_errors": 0, "concurrency": 1,
    }  # fmt: skip
    sandbox.faults.status(403, operation="profiles.delete_by_custom_id")

    async def run() -> None:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url, max_retries=0) as other:
            await other.bulk.delete_profiles(rows, **options)

    with pytest.raises(BulkStoppedError) as caught:
        asyncio.run(run()) if is_async else client.bulk.delete_profiles(rows, **options)
    report = caught.value.report
    assert report.read == report.accepted + report.rejected_count()
    written = list(read_dead_letter(letters))
    assert len(written) == report.rejected_count()
    assert {letter["stage"] for letter in written} <= {"check", "server", "unsent"}
    assert len(audit.read_text().splitlines()) >= report.read


@pytest.mark.parametrize("name", ["progress", "reference"])
def test_a_function_that_raises_ends_the_run(client: Synerise, name: str) -> None:
    """What was sent by then is in the report."""

    def fail(_: Any) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        client.bulk.upsert_profiles([{"customId": f"c-{n}"} for n in range(3)] + [{"city": "x"}], **{name: fail})
    report = report_of(caught.value)
    assert report is not None
    assert report.read == report.accepted + report.rejected_count()


def test_letters_of_numbers_stay_what_they_are(client: Synerise, tmp_path: Path) -> None:
    """A row that no JSON carries is named in its letter."""
    letters = tmp_path / "letters.jsonl"
    client.bulk.upsert_profiles([{"customId": "c-1", "attributes": {"n": float("nan")}}], dead_letter=letters)
    (letter,) = map(json.loads, letters.read_text().splitlines())
    assert letter["stage"] == "check"


def test_a_number_that_no_json_holds_is_refused_among_others(client: Synerise) -> None:
    """By its own row, however many good ones are judged with it."""
    rows: list[Any] = list(read_csv(io.StringIO(text_of(LINES[:3])), plain_mapping()))
    rows = [json.loads(json.dumps(row)) for row in rows * 20]
    rows[7]["products"][0]["quantity"] = 10**400
    report = client.bulk.create_transactions(rows)
    (rejection,) = report.rejected
    assert (rejection.index, rejection.stage) == (7, "check")
    assert "quantity" in str(rejection.field)
    assert report.accepted == len(rows) - 1


@pytest.mark.parametrize("hook", ["on_request", "on_response"])
def test_a_hook_that_raises_stop_iteration_ends_no_loop(sandbox: Sandbox, hook: str) -> None:
    """It would be taken for the end of what is iterated; it is an error that says so."""

    def stop(*_: object) -> None:
        raise StopIteration

    hooks: Any = {hook: stop}
    with (
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url, **hooks) as hooked,
        pytest.raises(RuntimeError, match="raised StopIteration"),
    ):
        hooked.merges.plan_many([("a", "b")], by="custom_id")


@pytest.mark.parametrize("error", [StopIteration, ValueError])
def test_a_hook_that_raises_after_any_answer_of_an_export(sandbox: Sandbox, error: type[Exception]) -> None:
    """Whichever of them it is, the error comes out, and that of an iterator as another one."""
    body = {
        "name": "all",
        "fields": ["id", "email"],
        "agreementFilter": "EMAIL",
        "segmentationHash": "07243772-008a-42e1-ba37-c3807cebde8f",
        "excludedIds": [],
    }

    def run(last: int) -> int:
        calls = 0

        def hook(*_: object) -> None:
            nonlocal calls
            calls += 1
            if calls == last:
                raise error

        with Synerise(api_key=sandbox.api_key, base_url=sandbox.url, on_response=hook) as hooked:
            list(hooked.exports.run(body))
        return calls

    count = run(0)
    assert count > 2
    for last in range(1, count + 1):
        with pytest.raises(RuntimeError if error is StopIteration else error):
            run(last)
