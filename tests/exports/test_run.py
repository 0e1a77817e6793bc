"""Whole exports against the sandbox, sync, asyncio and trio: every rule as a user meets it."""

from __future__ import annotations

import asyncio
import csv
import errno
import inspect
import re
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from synerise_profiles import APIConnectionError, InvalidRequestError, NotFoundError, RetryPolicy, ServerError
from synerise_profiles.exports import Backoff, Export, ExportFailedError, ExportProgress, ExportTimeoutError
from synerise_profiles.exports.writers import FileWriter
from synerise_profiles.models import ExportRecord, ExportRequest
from synerise_profiles.sandbox import Sandbox
from tests.exports.support import SEGMENTATION, Shop, order


@pytest.fixture
def shop() -> Iterator[Shop]:
    """A sandbox with five profiles."""
    with Sandbox() as sandbox:
        yield Shop(sandbox)


def _asyncio(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return asyncio.run(main())


RUNNERS: dict[str, Callable[..., Any]] = {"asyncio": _asyncio, "trio": trio.run}


class AnyClient:
    """The same calls on a sync client, and on an async one under asyncio or trio."""

    def __init__(self, name: str, shop: Shop) -> None:
        self._name = name
        self._shop = shop

    def call(self, method: str, argument: Any, finish: str = "list", *rest: Any, **options: Any) -> Any:
        """Run or resume, then read all records ("list") or call a method of what is returned."""
        if self._name == "sync":
            with self._shop.client() as client:
                export = getattr(client.exports, method)(argument, **options)
                return list(export) if finish == "list" else getattr(export, finish)(*rest)

        async def main() -> Any:
            async with self._shop.async_client() as client:
                export = await getattr(client.exports, method)(argument, **options)
                if finish == "list":
                    return [record async for record in export]
                found = getattr(export, finish)(*rest)
                return await found if inspect.isawaitable(found) else found

        return RUNNERS[self._name](main)


@pytest.fixture(params=["sync", "asyncio", "trio"])
def any_client(request: pytest.FixtureRequest, shop: Shop) -> AnyClient:
    return AnyClient(request.param, shop)


def test_run_orders_waits_and_reads(any_client: AnyClient, shop: Shop) -> None:
    """One call orders the export, waits for it and reads every record, page by page until an empty one."""
    shop.sandbox.options.export_time = 10

    records = any_client.call("run", order(), page_size=2)

    assert [record.id for record in records] == shop.ids
    assert (records[0]["customId"], records[0]["city"]) == ("c-0", "Łódź, 0")
    assert all(isinstance(record, ExportRecord) for record in records)
    assert shop.clock.slept == [1.0, 2.0, 4.0, 8.0]
    assert shop.sent() == ["exports.create", *["exports.get_status"] * 5, *["exports.get_data"] * 4]


def test_an_export_that_is_ready_costs_no_wait(any_client: AnyClient, shop: Shop) -> None:
    """The first check of the status comes at once."""
    assert len(any_client.call("run", order())) == 5
    assert shop.clock.slept == []
    assert shop.sent() == ["exports.create", "exports.get_status", "exports.get_data", "exports.get_data"]


def test_the_backoff_is_adjustable(any_client: AnyClient, shop: Shop) -> None:
    """Waits grow from the first by the factor up to the most."""
    shop.sandbox.options.export_time = 60
    any_client.call("run", order(), poll=Backoff(first=2, factor=3, most=20))
    assert shop.clock.slept == [2.0, 6.0, 18.0, 20.0, 20.0]


def test_progress_names_the_task_first(any_client: AnyClient, shop: Shop) -> None:
    """The task id is reported before any waiting, then each check of the status and page with the records so far."""
    shop.sandbox.options.export_time = 4
    seen: list[ExportProgress] = []

    any_client.call("run", order(), page_size=2, progress=seen.append)

    assert len({item.task_id for item in seen}) == 1
    assert [(item.stage, item.status, item.checks, item.records) for item in seen] == [
        ("waiting", None, 0, 0),
        ("waiting", "QUEUED", 1, 0),
        ("waiting", "QUEUED", 2, 0),
        ("waiting", "PROCESSING", 3, 0),
        ("ready", "COMPLETED", 4, 0),
        ("reading", "COMPLETED", 4, 2),
        ("reading", "COMPLETED", 4, 4),
        ("reading", "COMPLETED", 4, 5),
    ]
    assert [item.seconds for item in seen[:5]] == [0.0, 0.0, 1.0, 3.0, 7.0]


def test_an_unknown_status_is_waited_on(any_client: AnyClient, shop: Shop) -> None:
    """A state that nobody knows is work in progress; progress shows it as the server wrote it."""
    shop.sandbox.options.export_time = 6
    shop.sandbox.options.export_status = "Warming up"
    seen: list[ExportProgress] = []

    assert len(any_client.call("run", order(), progress=seen.append)) == 5
    assert [item.status for item in seen][:5] == [None, "Warming up", "Warming up", "Warming up", "COMPLETED"]


def test_the_deadline(any_client: AnyClient, shop: Shop) -> None:
    """An export that is not ready in time raises with its task and its last status; a last check comes at the end."""
    shop.sandbox.options.export_time = 600
    shop.sandbox.options.export_status = "Warming up"

    with pytest.raises(ExportTimeoutError, match="not ready within 10 s, its last status was Warming up") as caught:
        any_client.call("run", order(), deadline=10)

    assert shop.clock.slept == [1.0, 2.0, 4.0, 3.0]
    assert caught.value.status == "Warming up"
    assert shop.knows(caught.value.task_id)
    assert f"client.exports.resume({caught.value.task_id!r})" in str(caught.value)


def test_resume_after_the_deadline(any_client: AnyClient, shop: Shop) -> None:
    """The task id is all that another process needs: nothing is ordered again."""
    shop.sandbox.options.export_time = 100
    with pytest.raises(ExportTimeoutError) as caught:
        any_client.call("run", order(), deadline=10)

    records = any_client.call("resume", caught.value.task_id)

    assert [record.id for record in records] == shop.ids
    assert shop.sent().count("exports.create") == 1


def test_a_failed_export(any_client: AnyClient, shop: Shop) -> None:
    """It raises as soon as the server says so, with the task, the status and the server's answer."""
    shop.sandbox.options.export_time = 5
    shop.sandbox.options.failing_exports = True

    with pytest.raises(ExportFailedError, match="without records, its status is FAILED") as caught:
        any_client.call("run", order())

    assert shop.clock.slept == [1.0, 2.0, 4.0]
    assert caught.value.status == "FAILED"
    assert caught.value.answer is not None
    assert caught.value.answer.task_id == caught.value.task_id
    assert "exports.get_data" not in shop.sent()
    with pytest.raises(ExportFailedError):
        any_client.call("resume", caught.value.task_id)


def test_an_empty_export(any_client: AnyClient, shop: Shop, tmp_path: Path) -> None:
    """No record is no error; files have a header or are empty, and the table has its columns."""
    nobody = order(excludedIds=shop.ids, tags=["vip"])

    assert any_client.call("run", nobody) == []
    assert any_client.call("run", nobody, "write_jsonl", tmp_path / "none.jsonl") == 0
    assert any_client.call("run", nobody, "write_csv", tmp_path / "none.csv") == 0
    assert (tmp_path / "none.jsonl").read_bytes() == b""
    assert (tmp_path / "none.csv").read_bytes() == b"id,customId,city,vip\r\n"
    table = any_client.call("run", nobody, "to_table")
    assert (table.num_rows, [str(field.type) for field in table.schema]) == (0, ["int64", "string", "string", "string"])


@pytest.mark.parametrize("fields", [["customId", "id"], [], "id", None, {"id"}, ["Id"]], ids=str)
def test_the_first_field_must_be_id(any_client: AnyClient, shop: Shop, fields: Any) -> None:
    """Refused before anything is sent, with what to do."""
    expected = (
        "exports.create: body.fields: (expected a sequence|the first field of an export must be id; put it first)"
    )
    with pytest.raises(InvalidRequestError, match=expected):
        any_client.call("run", order(fields=fields))
    assert len(shop.sandbox.log) == 0


def test_what_is_required_is_asked_for(any_client: AnyClient, shop: Shop) -> None:
    """A mapping without a required key is refused by name before anything is sent."""
    body = order()
    del body["segmentationHash"]
    with pytest.raises(InvalidRequestError, match="segmentationHash"):
        any_client.call("run", body)
    assert len(shop.sandbox.log) == 0


def test_models_and_mappings(shop: Shop) -> None:
    """The order may be a model; what is asked for comes back."""
    with shop.client() as client:
        export = client.exports.run(
            ExportRequest(
                name="VIP",
                fields=("id", "city"),
                agreement_filter="NONE",
                segmentation_hash=SEGMENTATION,
                excluded_ids=shop.ids[1:],
                tags=["vip"],
            )
        )
        (record,) = export
    assert record.to_dict() == {"id": shop.ids[0], "city": "Łódź, 0", "vip": "false"}
    assert (export.status, export.column_order, export.estimated_count) == ("COMPLETED", None, None)
    assert repr(export) == f"<Export {export.task_id}>"


def test_an_export_can_be_read_again(shop: Shop) -> None:
    """Each pass reads from the first record on, lazily: a page is asked for when it is needed."""
    with shop.client() as client:
        export = client.exports.run(order(), page_size=2)
        assert shop.sent().count("exports.get_data") == 0
        first = iter(export)
        next(first), next(first)
        assert shop.sent().count("exports.get_data") == 1
        next(first)
        assert shop.sent().count("exports.get_data") == 2
        assert [record.id for record in export] == [record.id for record in export] == shop.ids
        assert [len(page) for page in export.pages()] == [2, 2, 1]


@pytest.mark.parametrize("name", ["asyncio", "trio"])
def test_an_async_pass_may_be_left(shop: Shop, name: str) -> None:
    """Leaving a loop half-way needs no clean-up, and asks for no further page."""

    async def main() -> None:
        async with shop.async_client() as client:
            export = await client.exports.run(order(), page_size=2)
            async for _ in export:
                break
            async for page in export.pages():
                assert len(page) == 2
                break

    RUNNERS[name](main)
    assert shop.sent().count("exports.get_data") == 2


def test_progress_may_be_a_coroutine(shop: Shop) -> None:
    """The async client awaits it."""
    seen: list[str] = []

    async def note(now: ExportProgress) -> None:
        await asyncio.sleep(0)
        seen.append(now.stage)

    async def main() -> None:
        async with shop.async_client() as client:
            assert len([record async for record in await client.exports.run(order(), progress=note)]) == 5

    asyncio.run(main())
    assert seen == ["waiting", "ready", "reading"]


def test_checks_and_pages_are_retried(any_client: AnyClient, shop: Shop) -> None:
    """Reads survive what passes, by the client's own policy: nothing is lost, nothing comes twice."""
    faults = shop.sandbox.faults
    faults.status(503, operation="exports.get_status", times=1)
    faults.close(operation="exports.get_status", times=1)
    faults.status(500, operation="exports.get_data", times=1)
    faults.close(processed=True, operation="exports.get_data", times=1)
    faults.truncate(operation="exports.get_data", times=1)

    assert [record.id for record in any_client.call("run", order(), page_size=2)] == shop.ids


def test_a_lost_order_is_not_sent_again(any_client: AnyClient, shop: Shop) -> None:
    """It may have been carried out, so that a second one could start a second export; the error says so."""
    shop.sandbox.faults.close(processed=True, operation="exports.create", times=1)

    with pytest.raises(APIConnectionError) as caught:
        any_client.call("run", order())

    assert caught.value.maybe_applied
    assert any("may have been started. It is not ordered again" in note for note in caught.value.__notes__)
    assert shop.sent() == ["exports.create"]


def test_an_order_that_did_not_begin_is_sent_again(any_client: AnyClient, shop: Shop) -> None:
    """A 503 says that nothing was started."""
    shop.sandbox.faults.status(503, operation="exports.create", times=1)
    assert len(any_client.call("run", order())) == 5


def test_errors_name_the_task(any_client: AnyClient, shop: Shop) -> None:
    """When the client's policy gives up, what is raised says which export can be resumed."""
    shop.sandbox.faults.status(500, operation="exports.get_status")
    with pytest.raises(ServerError) as caught:
        any_client.call("run", order())
    shop.sandbox.faults.clear()
    (task_id,) = re.findall(r"client\.exports\.resume\('(.*)'\)", "".join(caught.value.__notes__))
    assert shop.knows(task_id)

    shop.sandbox.faults.status(500, operation="exports.get_data")
    with pytest.raises(ServerError) as caught:
        any_client.call("resume", task_id)
    assert any(f"client.exports.resume({task_id!r})" in note for note in caught.value.__notes__)


def test_an_unknown_task(any_client: AnyClient) -> None:
    """Resuming what does not exist is refused at once."""
    with pytest.raises(NotFoundError):
        any_client.call("resume", "none")


@pytest.mark.parametrize("operation", ["exports.get_status", "exports.get_data"])
def test_an_error_of_a_hook_names_the_task(shop: Shop, operation: str) -> None:
    """Also where it was raised after the last answer that was needed."""

    def hook(attempt: Any) -> None:
        if attempt.operation.name == operation:
            raise ValueError("of the hook")

    with shop.client(on_response=hook) as client, pytest.raises(ValueError, match="of the hook") as caught:
        list(client.exports.run(order()))
    assert "client.exports.resume(" in "".join(caught.value.__notes__)


@pytest.mark.parametrize("number", [2, 3, 4])
def test_a_hook_that_raises_stop_iteration_ends_no_export(shop: Shop, tmp_path: Path, number: int) -> None:
    """What would end the loop over the records in silence is raised, and the file of the night before stays."""
    path = tmp_path / "records.jsonl"
    path.write_text("of the night before", encoding="utf-8")
    calls = iter(range(number - 1))
    hooked = shop.client(on_response=lambda _: next(calls))
    with hooked as client, pytest.raises(RuntimeError, match="StopIteration"):
        client.exports.run(order(), page_size=2).write_jsonl(path)
    assert path.read_text(encoding="utf-8") == "of the night before"


def test_an_interruption_names_the_task(shop: Shop) -> None:
    """Ctrl-C while waiting leaves the task id behind, in a note."""
    shop.sandbox.options.export_time = 60

    def interrupt(now: ExportProgress) -> None:
        if now.checks == 2:
            raise KeyboardInterrupt

    with shop.client() as client, pytest.raises(KeyboardInterrupt) as caught:
        client.exports.run(order(), progress=interrupt)
    assert "client.exports.resume(" in caught.value.__notes__[0]


def test_a_cancelled_wait_ends_at_once(shop: Shop) -> None:
    """A cancellation passes through; the export goes on at the server, and progress had reported its id."""
    shop.sandbox.options.export_time = 60
    seen: list[ExportProgress] = []

    async def main() -> None:
        async with shop.async_client() as client:
            with trio.CancelScope() as scope:
                await client.exports.run(order(), progress=lambda now: (seen.append(now), scope.cancel()))
            assert scope.cancelled_caught
            shop.sandbox.clock.advance(60)
            export = await client.exports.resume(seen[0].task_id)
            assert len([record async for record in export]) == 5

    trio.run(main)


def test_files(any_client: AnyClient, shop: Shop, tmp_path: Path) -> None:
    """JSON lines are the server's records, CSV has the fields in order, Arrow has a type for each column."""
    wanted = order(fields=["id", "city", "customId"], tags=["vip"])
    expected = [
        {"id": number, "city": f"Łódź, {n}", "customId": f"c-{n}", "vip": "false"} for n, number in enumerate(shop.ids)
    ]

    assert any_client.call("run", wanted, "write_jsonl", tmp_path / "a.jsonl", page_size=2) == 5
    assert any_client.call("run", wanted, "write_csv", tmp_path / "a.csv", page_size=2) == 5
    assert any_client.call("run", wanted, "write_arrow", tmp_path / "a.arrow", page_size=2) == 5

    assert [orjson.loads(line) for line in (tmp_path / "a.jsonl").read_bytes().splitlines()] == expected
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows == [{**row, "id": str(row["id"])} for row in expected]
    assert list(rows[0]) == ["id", "city", "customId", "vip"]
    pyarrow = pytest.importorskip("pyarrow")
    with pyarrow.ipc.open_file(tmp_path / "a.arrow") as reader:
        table = reader.read_all()
    assert table.to_pylist() == expected
    assert table.equals(any_client.call("run", wanted, "to_table", page_size=2))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.arrow", "a.csv", "a.jsonl"]


@pytest.mark.parametrize("method", ["write_jsonl", "write_csv", "write_arrow"])
def test_half_a_file_never_looks_whole(any_client: AnyClient, shop: Shop, tmp_path: Path, method: str) -> None:
    """A failure after some pages leaves the file that was there, and nothing beside it."""
    path = tmp_path / "records"
    path.write_text("of yesterday")
    seen: list[int] = []

    def fail(now: ExportProgress) -> None:
        if now.records > 2:
            seen.append(now.records)
            raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError, match="disk"):
        any_client.call("run", order(), method, path, page_size=2, progress=fail)

    assert seen == [4]
    assert [item.read_text() for item in tmp_path.iterdir()] == ["of yesterday"]


@pytest.mark.parametrize("method", ["write_jsonl", "write_csv", "write_arrow"])
def test_a_full_disk_names_the_file_and_the_task(
    any_client: AnyClient, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """The export is there still: it can be written once there is room, without being ordered again."""
    path = tmp_path / "records"

    def fail(_: FileWriter) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileWriter, "finish", fail)
    with pytest.raises(OSError, match="No space") as caught:
        any_client.call("run", order(), method, path)
    assert caught.value.filename == str(path)
    (note,) = caught.value.__notes__
    found = re.search(r"client\.exports\.resume\('(.+)'\)", note)
    assert found is not None
    assert shop.knows(found[1])
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert any_client.call("resume", found[1], method, path) == 5
    assert shop.sent().count("exports.create") == 1


def test_the_client_can_be_patient(shop: Shop) -> None:
    """A copy with other options waits and reads with them."""
    shop.sandbox.faults.status(500, operation="exports.get_status", times=6)
    with shop.client(retry=RetryPolicy(max_retries=1)) as client:
        export = client.with_options(max_retries=10).exports.run(order())
        assert isinstance(export, Export)
        assert len(list(export)) == 5


@pytest.mark.parametrize(("method", "argument"), [("run", order()), ("resume", "1")])
def test_a_coroutine_function_that_nobody_awaits_is_refused(shop: Shop, method: str, argument: Any) -> None:
    """Before anything is ordered."""

    async def progress(_: ExportProgress) -> None:
        raise NotImplementedError

    with shop.client() as client, pytest.raises(InvalidRequestError, match="progress: is a coroutine function"):
        getattr(client.exports, method)(argument, progress=progress)
    assert not list(shop.sandbox.log)
