"""Replaying dead letters, over real sockets to the sandbox: each row as it would have been sent, and nothing lost."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import gzip
import inspect
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise
from synerise_profiles.bulk import (
    AsyncBulk,
    Bulk,
    BulkStoppedError,
    Progress,
    RejectedRowsError,
    ReplayReport,
    read_dead_letter,
    replay_client,
    report_of,
)
from synerise_profiles.models import ProfileBatchItem
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import (
    RowMapping,
    field,
    read_arrow,
    read_csv,
    read_json,
    read_jsonl,
    read_parquet,
    read_sql,
)
from tests.bulk.support import Server

MAPPING = RowMapping.for_profiles(
    {"customId": "customId", "Town": "city", "Mail": "email", "Born": field("birthDate", "date", format="%d.%m.%Y")}
)
TABLE = [
    {"customId": "a", "Town": "Gdynia", "Mail": "a@example.com", "Born": "24.13.1987"},
    {"customId": "b", "Town": "Hel", "Mail": "none", "Born": "24.10.1987"},
    {"customId": "c", "Town": "Sopot", "Mail": "c@example.com", "Born": "24.10.1987"},
]
Replay = Callable[..., ReplayReport]


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.reset()
    return server


@pytest.fixture
def letters(tmp_path: Path) -> Path:
    return tmp_path / "rejected.jsonl"


@pytest.fixture(params=["sync", "async"])
def replay(request: pytest.FixtureRequest, sandbox: Sandbox, client: Synerise) -> Replay:
    if request.param == "sync":
        return client.bulk.replay

    async def run(path: Any, options: dict[str, Any]) -> ReplayReport:
        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as async_client:
            return await async_client.bulk.replay(path, **options)

    return lambda path, **options: asyncio.run(run(path, options))


def mend(letter: dict[str, Any]) -> Any:
    """Mend what is wrong with the rows of `TABLE`, in cells and in fields."""
    if letter["row_holds"] == "cells":
        return {"cells": {**letter["row"]["cells"], "Born": "24.10.1987"}}
    return {**letter["row"], "email": f"{letter['row']['customId']}@example.com"}


def rows_of(path: Path) -> list[Any]:
    return [letter["row"] for letter in read_dead_letter(path)]


def csv_rows(folder: Path) -> Any:
    path = folder / "rows.csv"
    path.write_text("\n".join([",".join(TABLE[0]), *(",".join(row.values()) for row in TABLE)]) + "\n")
    return read_csv(path, MAPPING)


def jsonl_rows(folder: Path) -> Any:
    path = folder / "rows.jsonl"
    path.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in TABLE))
    return read_jsonl(path, MAPPING)


def json_rows(folder: Path) -> Any:
    path = folder / "rows.json"
    path.write_bytes(orjson.dumps(TABLE))
    return read_json(path, MAPPING)


def arrow_rows(_: Path) -> Any:
    return read_arrow(pytest.importorskip("pyarrow").Table.from_pylist(TABLE), MAPPING)


def parquet_rows(folder: Path) -> Any:
    pytest.importorskip("pyarrow.parquet").write_table(
        pytest.importorskip("pyarrow").Table.from_pylist(TABLE), folder / "rows.parquet"
    )
    return read_parquet(folder / "rows.parquet", MAPPING)


def generated_rows(folder: Path) -> Any:
    return (row for row in csv_rows(folder))


@pytest.mark.parametrize("make", [csv_rows, jsonl_rows, json_rows, arrow_rows, parquet_rows, generated_rows])
def test_letters_of_every_source_are_mended_and_sent_whole(
    client: Synerise, replay: Replay, letters: Path, tmp_path: Path, make: Any
) -> None:
    """Cells go through the mapping, fields as they are, and no cell is lost; the file is empty in the end."""
    mend_and_compare(client, replay, letters, make(tmp_path))


def test_letters_of_a_query_are_mended_and_sent_whole(client: Synerise, replay: Replay, letters: Path) -> None:
    """Cells of a query are kept by their columns' names, as those of a file."""
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table people (customId, Town, Mail, Born)")
        database.executemany("insert into people values (:customId, :Town, :Mail, :Born)", TABLE)
        mend_and_compare(client, replay, letters, read_sql("select * from people", database, MAPPING))


def mend_and_compare(client: Synerise, replay: Replay, letters: Path, rows: Any) -> None:
    """Send the rows of `TABLE`, mend the two that are refused, and read all three back."""
    report = client.bulk.upsert_profiles(rows, dead_letter=letters)
    assert (report.accepted, report.by_stage["check"], report.by_stage["server"]) == (1, 1, 1)
    report = replay(letters, mapping=MAPPING, transform=mend, dead_letter=letters)
    assert (report.read, report.accepted, report.complete, report.notes) == (2, 2, True, {})
    assert letters.read_bytes() == b""
    for key, town in (("a", "Gdynia"), ("b", "Hel"), ("c", "Sopot")):
        found = client.profiles.find("by-custom-id", key)
        assert (found.city, found.email, str(found.birth_date)) == (town, f"{key}@example.com", "1987-10-24")


@pytest.mark.parametrize("is_model", [False, True])
def test_letters_of_lists_models_and_async_sources_are_sent(
    sandbox: Sandbox, client: Synerise, letters: Path, *, is_model: bool
) -> None:
    """Rows that no file gave, as mappings and as models, from an async iterable."""

    async def main() -> None:
        async def rows() -> Any:
            for n in range(40):
                row = {"customId": f"c{n}", "city": "Hel", "email": "none" if n % 10 == 3 else f"{n}@example.com"}
                yield ProfileBatchItem.from_dict(row) if is_model else row

        async with AsyncSynerise(api_key=sandbox.api_key, base_url=sandbox.url) as async_client:
            report = await async_client.bulk.upsert_profiles(rows(), dead_letter=letters)
            assert report.by_stage["server"] == 4
            report = await async_client.bulk.replay(letters, transform=mend, dead_letter=letters)
            assert report.accepted == 4

    asyncio.run(main())
    assert letters.read_bytes() == b""
    assert [client.profiles.find("by-custom-id", f"c{n}").email for n in (3, 33)] == [
        "c3@example.com",
        "c33@example.com",
    ]


def event(n: int, **more: Any) -> dict[str, Any]:
    return {"label": "Visit", "action": "shop.visit", "client": {"customId": f"c{n}"}, "params": {"n": n}, **more}


def test_the_rate_of_a_replay_is_shared(client: Synerise, replay: Replay, letters: Path, tmp_path: Path) -> None:
    """Its requests are counted in the file that other processes look at; no file of the replay can be that one."""
    client.bulk.upsert_profiles([{"city": "Hel"}], dead_letter=letters)
    budget: dict[str, Any] = {"rate_budget": tmp_path / "rate", "requests_per_second": 1000}
    with pytest.raises(InvalidRequestError, match="rate_budget: is the same file as dead_letter"):
        replay(letters, dead_letter=tmp_path / "rate", **budget)
    with pytest.raises(InvalidRequestError, match="rate_budget: is a file of another kind"):
        replay(letters, rate_budget=letters, requests_per_second=1000)
    assert not (tmp_path / "rate").exists()
    client.bulk.upsert_profiles([], **budget)
    before = (tmp_path / "rate").read_bytes()
    assert replay(letters, transform=lambda letter: {**letter["row"], "customId": "c"}, **budget).accepted == 1
    assert (tmp_path / "rate").read_bytes() != before


def test_a_file_that_mixes_operations_sends_each_row_by_its_own_method(
    client: Synerise, replay: Replay, letters: Path
) -> None:
    """Profiles, events, transactions, deletions and tags of several ids in one file: the report sums them up."""
    client.profiles.upsert({"customId": "gone"})
    tagged = client.profiles.find("by-custom-id", "gone").client_id
    append: Any = {"dead_letter": letters, "dead_letter_mode": "append"}
    client.bulk.upsert_profiles([{"city": "Hel"}, {"customId": "p", "email": "none"}], **append)
    client.bulk.send_events([{"label": "Visit", "action": "shop.visit", "params": {"n": 1}}], **append)
    client.bulk.create_transactions([{"customId": "x"}], **append)
    client.bulk.delete_profiles([{"city": "Hel"}], **append)
    for tag_id in (7, 8):
        client.bulk.assign_tag([{"city": "Hel"}], tag_id, **append)
    assert len(rows_of(letters)) == 7

    def mended(letter: dict[str, Any]) -> Any:
        operation, row = letter["operation"], letter["row"]
        if operation == "profiles.upsert_batch":
            return {"customId": "p", **row, "email": "p@example.com"}
        if operation == "events.send_batch":
            return {**row, "client": {"customId": "p"}}
        if operation == "transactions.create_batch":
            return None
        return {"clientId": tagged} if operation == "tags.assign" else {"customId": "nobody"}

    report = replay(letters, transform=mended, dead_letter=letters)
    counts = {name: attrs.astuple(found) for name, found in report.by_operation.items()}
    assert counts["profiles.upsert_batch"] == (2, 2, 0)
    assert counts["events.send_batch"] == (1, 1, 0)
    assert counts["transactions.create_batch"] == (1, 0, 1)
    assert counts["profiles.delete"] == (1, 0, 1)
    assert counts["tags.assign"][0] == 2
    assert report.read == 7
    assert report.accepted + report.rejected_count() == 7
    assert len(list(report.rejected)) == len(rows_of(letters)) == report.rejected_count()
    by_line = {rejection.index: rejection for rejection in report.rejected}
    assert {3, 4} <= by_line.keys()
    with pytest.raises(RejectedRowsError):
        report.raise_for_rejected()
    tags = [letter for letter in read_dead_letter(letters) if letter["operation"] == "tags.assign"]
    assert {letter["arguments"]["tag_id"] for letter in tags} <= {7, 8}


def test_the_spill_of_a_queue_is_replayed_with_its_salts_and_times(
    sandbox: Sandbox, client: Synerise, replay: Replay, letters: Path
) -> None:
    """Events and profiles that a queue could not deliver, in one file."""
    with Synerise(api_key="wrong", base_url=sandbox.url, max_retries=0) as broken:
        queue = broken.queue(spill=letters)
        for n in range(3):
            queue.events.put(event(n))
            queue.profiles.put({"customId": f"c{n}", "city": "Hel"})
        queue.close(timeout=0.0)
    salts = {row["eventSalt"] for row in rows_of(letters) if "eventSalt" in row}
    assert len(salts) == 3
    report = replay(letters, dead_letter=letters)
    assert {name: found.accepted for name, found in report.by_operation.items()} == {
        "events.send_batch": 3,
        "profiles.upsert_batch": 3,
    }
    assert client.profiles.find("by-custom-id", "c2").city == "Hel"
    assert letters.read_bytes() == b""


def sent_events(sandbox: Sandbox) -> list[dict[str, Any]]:
    bodies = [logged.body for logged in sandbox.log if logged.body and logged.path.endswith("events/batch")]
    return [row for body in bodies for row in orjson.loads(body)]


@pytest.fixture
def keeps_bodies(sandbox: Sandbox) -> Iterator[Sandbox]:
    sandbox.options.keep_bodies = True
    yield sandbox
    sandbox.options.keep_bodies = False


@pytest.mark.parametrize(
    ("options", "salt"),
    [
        ({"salt": ["params.n"], "default_time": "2024-05-01T10:00:00Z"}, "1"),
        ({"salt": "all", "default_time": "2024-05-01T10:00:00Z"}, "all"),
    ],
)
def test_the_salt_and_the_time_of_the_first_call_hold_for_letters(
    keeps_bodies: Sandbox, client: Synerise, replay: Replay, letters: Path, options: Any, salt: str
) -> None:
    """A row that was refused before it had any gets those that the call would have given it."""
    client.bulk.send_events([{**event(1), "client": {}}], dead_letter=letters, **options)
    report = replay(letters, transform=lambda letter: {**letter["row"], "client": {"customId": "p"}})
    assert report.accepted == 1
    (sent,) = sent_events(keeps_bodies)
    assert (sent["eventSalt"], sent["time"]) == (salt, "2024-05-01T10:00:00.000Z")


def test_a_salt_function_has_to_be_given_again(keeps_bodies: Sandbox, client: Synerise, letters: Path) -> None:
    """No file can hold it, and another salt would store the event twice; rows that have their salt do without."""
    salted = event(2, eventSalt="own", time="2024-05-01T10:00:00Z")
    rows = [event(1), salted]
    bad = [{**row, "client": {}} for row in rows]
    client.bulk.send_events(bad, salt=lambda row: f"n{row['params']['n']}", dead_letter=letters)

    def mended(letter: dict[str, Any]) -> Any:
        return {**letter["row"], "client": {"customId": "p"}}

    report = client.bulk.replay(letters, transform=mended, dead_letter=letters)
    assert report.accepted == 1
    (rejection,) = report.rejected
    assert rejection.reason.startswith("line 1 its salt was to be made by a function of the call: give that as salt=")
    report = client.bulk.replay(letters, transform=mended, salt=lambda row: f"n{row['params']['n']}")
    assert report.accepted == 1
    assert [row["eventSalt"] for row in sent_events(keeps_bodies)] == ["own", "n1"]


def test_cells_whose_salt_a_function_made_need_it_again(
    keeps_bodies: Sandbox, replay: Replay, client: Synerise, letters: Path
) -> None:
    """The row that the mapping makes would get another salt; one whose cells have a salt does without."""
    columns = {"id": "client.customId", "n": field("params.n", "integer"), "salt": "eventSalt"}
    mapping = RowMapping.for_events(columns, constants={"label": "Visit", "action": "shop.visit"})
    path, time = letters.with_name("rows.csv"), "2024-05-01T10:00:00Z"
    path.write_text("id,n,salt\np,zz,\np,zz,own\n", encoding="utf-8")

    def salt(row: Any) -> str:
        return f"n{row['params']['n']}"

    client.bulk.send_events(read_csv(path, mapping), salt=salt, default_time=time, dead_letter=letters)
    letters.write_text(letters.read_text(encoding="utf-8").replace("zz", "7"), encoding="utf-8")
    report = replay(letters, mapping=mapping, dead_letter=letters)
    assert report.accepted == 1
    (rejection,) = report.rejected
    assert rejection.reason.startswith("line 1 its salt was to be made by a function of the call: give that as salt=")
    assert replay(letters, mapping=mapping, salt=salt).accepted == 1
    assert [row["eventSalt"] for row in sent_events(keeps_bodies)] == ["own", "n7"]


def refuse_all(client: Synerise, letters: Path, count: int, **more: Any) -> None:
    rows = ({"customId": f"c{n}", "birthDate": "24.10.1987"} for n in range(count))
    client.bulk.upsert_profiles(rows, dead_letter=letters, reference=lambda row: f"ref {row['customId']}", **more)


def test_rows_that_are_refused_again_take_the_place_of_the_file(
    client: Synerise, replay: Replay, letters: Path
) -> None:
    """In the order of the lines, by their lines and their references; a link is followed, nothing stays beside it."""
    refuse_all(client, letters, 60)
    link = letters.with_name("link")
    link.symlink_to(letters)

    def mended(letter: dict[str, Any]) -> Any:
        n = int(letter["row"]["customId"][1:])
        return {**letter["row"], "birthDate": "1987-10-24"} if n % 3 else letter["row"]

    report = replay(link, transform=mended, dead_letter=link)
    assert (report.accepted, report.by_stage["server"]) == (40, 20)
    found = [(letter["index"], letter["reference"], letter["stage"]) for letter in read_dead_letter(letters)]
    assert found == [(n, f"ref c{n}", "server") for n in range(0, 60, 3)]
    assert [rejection.index for rejection in report.rejected] == [*range(0, 60, 3)]
    assert sorted(path.name for path in letters.parent.iterdir()) == ["link", "rejected.jsonl"]
    assert link.is_symlink()


def test_many_letters_are_read_again_from_the_new_file(client: Synerise, letters: Path) -> None:
    """More than fit into memory: the report names each of them, by its line."""
    refuse_all(client, letters, 1500)
    report = client.bulk.replay(letters, dead_letter=letters, concurrency=3)
    assert sorted(rejection.index for rejection in report.rejected) == [*range(1500)]
    assert len(rows_of(letters)) == len(report.rejected) == 1500


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_replay_did_not_read_stays_a_letter(
    client: Synerise, replay: Replay, letters: Path, error: type[BaseException]
) -> None:
    """Whatever ends it: each letter is accepted or still in the file, and the error reaches the caller as itself."""
    refuse_all(client, letters, 300)
    client.bulk.send_events([{**event(1), "client": {}}], dead_letter=letters, dead_letter_mode="append")

    def mended(letter: dict[str, Any]) -> Any:
        if letter["row"].get("customId") == "c200":
            raise error("stop")
        return {**letter["row"], "birthDate": "1987-10-24"}

    with pytest.raises(error, match="stop") as caught:
        replay(letters, transform=mended, dead_letter=letters)
    report = report_of(caught.value)
    assert report is not None
    assert report.read >= 100
    left = rows_of(letters)
    assert len(left) == 301 - report.accepted
    assert left[-1]["action"] == "shop.visit"
    assert report.notes["not read, and a letter still"] == 301 - report.read


def test_too_many_errors_end_a_replay_and_nothing_is_lost(client: Synerise, replay: Replay, letters: Path) -> None:
    """The limit counts the letters of all operations, but not those that the function leaves as they are."""
    refuse_all(client, letters, 20)
    client.bulk.send_events(
        [{**event(n), "client": {}} for n in range(20)], dead_letter=letters, dead_letter_mode="append"
    )
    report = replay(letters, transform=lambda _: None, dead_letter=letters, max_errors=0)
    assert (report.read, report.by_stage["server"], report.by_stage["check"]) == (40, 20, 20)
    with pytest.raises(BulkStoppedError, match="more than 30 rows were rejected") as caught:
        replay(letters, dead_letter=letters, max_errors=30)
    assert caught.value.report.read == 31
    assert caught.value.too_many_rejected
    assert len(rows_of(letters)) == 40
    assert isinstance(caught.value.report, ReplayReport)


def test_a_replay_that_cannot_begin_leaves_the_file(sandbox: Sandbox, client: Synerise, letters: Path) -> None:
    """A wrong key, and a function that raises at once."""
    refuse_all(client, letters, 5)
    before = letters.read_bytes()
    with Synerise(api_key="wrong", base_url=sandbox.url, max_retries=0) as other:
        with pytest.raises(BulkStoppedError):
            other.bulk.replay(letters, transform=lambda letter: letter["row"], dead_letter=letters)
        assert [row["customId"] for row in rows_of(letters)] == [f"c{n}" for n in range(5)]
    letters.write_bytes(before)
    with pytest.raises(KeyError):
        client.bulk.replay(letters, transform=lambda letter: letter["no"], dead_letter=letters)
    assert letters.read_bytes() == before


def test_what_is_appended_meanwhile_is_kept(client: Synerise, letters: Path) -> None:
    """A queue that spills to the file while it is replayed loses nothing."""
    refuse_all(client, letters, 3)
    extra = letters.read_bytes().splitlines(keepends=True)[0].replace(b"c0", b"late")

    def mended(letter: dict[str, Any]) -> Any:
        if letter["row"]["customId"] == "c2":
            with letters.open("ab") as file:
                file.write(extra)
        return {**letter["row"], "birthDate": "1987-10-24"}

    assert client.bulk.replay(letters, transform=mended, dead_letter=letters).accepted == 3
    assert [row["customId"] for row in rows_of(letters)] == ["late"]


def line(**data: Any) -> bytes:
    letter = {"version": 1, "operation": "profiles.upsert_batch", "row_holds": "fields", "index": 0, "stage": "check"}
    return orjson.dumps({**letter, "reason": "was bad", "row": {"customId": "a"}, **data}) + b"\n"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"operation": "profiles.merge"}, "line 2 is for profiles.merge, which is not sent by client.bulk"),
        ({"operation": "tags.assign", "row": 1}, "line 2 lacks the arguments of its operation, such as tag_id"),
        ({"operation": "tags.assign", "arguments": {"tag_id": "x"}}, "line 2 lacks the arguments of its operation"),
        (
            {"row_holds": "cells", "row": {"cells": {"id": "a"}}, "mapping": "abc"},
            "line 2 holds the cells of a source: give mapping=, the RowMapping with the digest abc",
        ),
        ({"row_holds": "cells", "row": {"cells": "{half a lin"}}, "line 2 holds the cells of a source: give mapping="),
        ({"row_holds": "cells"}, "line 2 says that its row holds cells, and there are none in it"),
        (
            {
                "problems": ["attributes.n: it is no finite number"],
                "row": {"customId": "a", "attributes": {"n": "inf"}},
            },
            "line 2 a value stands as text, since JSON cannot carry it: attributes.n: it is no finite number; mend it",
        ),
        (
            {"problems": ["the row: nothing of it could be kept"], "row": ""},
            "line 2 holds no row, since nothing of it could be kept: mend it in its file and send it from there",
        ),
    ],
)
def test_what_cannot_be_sent_is_told_with_its_line(
    client: Synerise, replay: Replay, letters: Path, data: Any, reason: str
) -> None:
    """It stays a letter, with its row and its former reason; the others are sent."""
    letters.write_bytes(line() + line(**data, reference="known") + line(row={"customId": "b"}))
    for _ in range(2):
        report = replay(letters, dead_letter=letters.with_name("new.jsonl"))
        assert (report.read, report.accepted, report.by_stage["check"]) == (3, 2, 1)
        (rejection,) = report.rejected
        assert rejection.reason.startswith(reason)
        assert rejection.reason.endswith("; before: was bad")
        assert (rejection.index, rejection.reference) == (1, "known")
        (letter,) = read_dead_letter(letters.with_name("new.jsonl"))
        expected = orjson.loads(line(**data))
        if expected["row_holds"] == "cells" and "cells" not in expected["row"]:
            expected["row"] = {"cells": expected["row"]}
        for name in ("row", "row_holds", "mapping", "problems", "operation", "arguments"):
            assert letter.get(name) == expected.get(name)


@pytest.mark.parametrize("cells", ["{half a lin", ["a", "Hel"], 5, [{"id": "a"}, 5]])
def test_a_line_without_named_cells_keeps_its_reason(
    client: Synerise, replay: Replay, letters: Path, cells: Any
) -> None:
    """A mapping reads cells by their names alone; what was wrong with the line of the file is told as before."""
    letters.write_bytes(line(row_holds="cells", row={"cells": cells}))
    mapping = RowMapping.for_profiles({"id": "customId"})
    (rejection,) = replay(letters, mapping=mapping, dead_letter=letters).rejected
    assert rejection.reason.startswith("line 1 holds no cells by the names of their columns: write them as {column")
    assert rejection.reason.endswith("; before: was bad")
    (letter,) = read_dead_letter(letters)
    assert letter["row"] == {"cells": cells}


def test_the_mark_that_an_editor_writes_at_the_start_is_none_of_a_letter(
    client: Synerise, replay: Replay, letters: Path
) -> None:
    """Letters are mended by hand, and some editors begin a file with the mark of UTF-8."""
    letters.write_bytes(b"\xef\xbb\xbf" + line() + line(row={"email": 1}))
    assert [letter["row"] for letter in read_dead_letter(letters)] == [{"customId": "a"}, {"email": 1}]
    report = replay(letters, dead_letter=letters)
    assert (report.accepted, report.by_stage["check"]) == (1, 1)
    letters.write_bytes(b"\xef\xbb\xbf" + line(row={"email": 1}))
    client.bulk.upsert_profiles([{"email": 2}], dead_letter=letters, dead_letter_mode="append")
    assert len(list(read_dead_letter(letters))) == 2


def test_a_mended_value_is_sent_though_its_letter_names_a_problem(client: Synerise, letters: Path) -> None:
    """What JSON could not carry is not sent as text, but what the function puts in its place is."""
    client.bulk.upsert_profiles([{"customId": "a", "attributes": {"n": float("inf")}}], dead_letter=letters)
    report = client.bulk.replay(letters, transform=lambda letter: {**letter["row"], "attributes": {"n": 1}})
    assert report.accepted == 1
    assert client.bulk.replay(letters, transform=lambda letter: letter["row"]).accepted == 0


LOST: dict[str, Any] = {
    "n": float("nan"),
    "large": 2**64,
    "half": "a\ud83d",
    "bytes": b"x",
    "list": [1, float("inf")],
    "set": {1, "b"},
    "a: b.c[0]": float("nan"),
    "deep": {"er": Decimal("sNaN")},
}


@pytest.mark.parametrize("field", ["attributes", "params"])
@pytest.mark.parametrize("name", LOST)
def test_a_text_for_what_json_cannot_carry_is_no_value(client: Synerise, letters: Path, name: str, field: str) -> None:
    """Whatever else the function changes: each is replaced by itself, or the row stays a letter."""
    is_event = field == "params"
    send = client.bulk.send_events if is_event else client.bulk.upsert_profiles
    event: dict[str, Any] = {"client": {"customId": "a"}, "action": "a.b", "label": "l"}
    row: dict[str, Any] = event if is_event else {"customId": "a"}
    send([{**row, field: {**LOST, "ok": 1}}], dead_letter=letters)
    mended = {**dict.fromkeys(LOST, 5), "ok": 2}

    def mend_others(letter: dict[str, Any]) -> Any:
        return {**letter["row"], field: {**mended, name: letter["row"][field][name]}}

    before = rows_of(letters)
    report = client.bulk.replay(letters, transform=mend_others)
    (rejection,) = report.rejected
    assert "a value stands as text, since JSON cannot carry it: " in rejection.reason
    assert f"{field}.{name}" in rejection.reason
    assert rejection.reason.count("; mend it first") == 1
    assert [text for text in LOST if f"{field}.{text}" in rejection.reason] == [name]
    assert rows_of(letters) == before
    assert client.bulk.replay(letters, transform=lambda letter: {**letter["row"], field: mended}).accepted == 1


def test_a_text_for_what_json_cannot_carry_is_none_in_another_place(client: Synerise, letters: Path) -> None:
    """As a field of another name, or an item that moved up; a text of the caller's that is the same is no fault."""
    row = {"customId": "a", "first": "a\ud83d", "list": [1, float("nan"), 3], "word": "nan"}
    client.bulk.upsert_profiles([{"customId": "a", "attributes": row}], dead_letter=letters)
    for change, accepted in (
        ({"name": "a\\ud83d", "list": [1, 2, 3], "word": "nan"}, 0),
        ({"name": "a", "list": ["nan", 3], "word": "nan"}, 0),
        ({"name": "a", "list": [3], "word": "nan"}, 1),
    ):
        made = {"customId": "a", "attributes": change}
        assert client.bulk.replay(letters, transform=lambda _, made=made: made).accepted == accepted, change


def test_keys_that_json_cannot_carry_are_no_names(client: Synerise, letters: Path) -> None:
    """A key stays one, whatever its value is."""
    for key in (5, "a\ud83d"):
        client.bulk.upsert_profiles([{"customId": "a", "attributes": {key: 1, "n": 1}}], dead_letter=letters)
        (name,) = rows_of(letters)[0]["attributes"].keys() - {"n"}
        for attributes, accepted in (({name: 1, "n": 2}, 0), ({name: 2}, 0), ({"n": 2}, 1)):
            row = {"customId": "a", "attributes": attributes}
            assert client.bulk.replay(letters, transform=lambda _, row=row: row).accepted == accepted


@pytest.mark.parametrize("made", [lambda row: row, MappingProxyType, ProfileBatchItem.from_dict])
def test_the_function_says_that_a_text_is_meant(client: Synerise, letters: Path, made: Any) -> None:
    """By taking the letter's problems away; whatever it makes of the row, nothing else does."""
    client.bulk.upsert_profiles([{"customId": "a", "attributes": {"n": 2**64}}], dead_letter=letters)

    def keep_text(letter: dict[str, Any]) -> Any:
        letter.pop("problems")
        return made(letter["row"])

    other = client.bulk.replay(letters, transform=lambda letter: made({**letter["row"], "city": "x"}))
    assert (other.accepted, other.rejected_count()) == (0, 1)
    assert client.bulk.replay(letters, transform=keep_text).accepted == 1


@pytest.mark.parametrize("levels", [251, 252])
def test_a_letter_of_the_deepest_row_is_read_and_sent(letters: Path, levels: int) -> None:
    """As deep as rows are sent; the letters beside it are sent as well."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    rows = [{"customId": "a", "phone": 5, "attributes": {"deep": deep}}, {"customId": "b", "phone": 5}]
    with Synerise(token="t", transport=Server().transport()) as client:
        client.bulk.upsert_profiles(rows, dead_letter=letters)
        report = client.bulk.replay(letters, transform=lambda letter: {**letter["row"], "phone": "+48500100200"})
    assert (report.accepted, report.rejected_count()) == (2, 0)


def test_an_enum_as_key_is_its_text_in_a_letter(client: Synerise, letters: Path) -> None:
    """As it is where it is sent, so that a replay sends the same name."""
    key = enum.Enum("Key", {"SCORE": "score"}, type=str).SCORE  # type: ignore[attr-defined]
    client.bulk.upsert_profiles([{"customId": "a", "phone": 5, "attributes": {key: 1}}], dead_letter=letters)
    assert rows_of(letters) == [{"customId": "a", "phone": 5, "attributes": {"score": 1}}]


def test_cells_of_another_operation_or_mapping(client: Synerise, replay: Replay, letters: Path, tmp_path: Path) -> None:
    """Those that the mapping is not made for stay; those that another mapping refused are read, and counted."""
    client.bulk.upsert_profiles(csv_rows(tmp_path), dead_letter=letters)
    events = RowMapping.for_events({"customId": "client.customId", "Town": "label"}, constants={"action": "a.b"})
    report = replay(letters, mapping=events, transform=lambda letter: letter["row"])
    assert [rejection.index for rejection in report.rejected] == [0, 1]
    assert (
        "holds cells for profiles.upsert_batch, and the mapping is made for events.send_batch"
        in next(iter(report.rejected)).reason
    )
    lenient = RowMapping.for_profiles({"customId": "customId", "Town": "city", "Mail": "email"})
    report = replay(letters, mapping=lenient, dead_letter=letters)
    assert report.notes["read by another mapping than the one that could not read it"] == 1
    assert client.profiles.find("by-custom-id", "a").city == "Gdynia"


def test_a_row_that_the_mapping_cannot_read_stays_a_letter_of_cells(
    client: Synerise, letters: Path, tmp_path: Path
) -> None:
    """With the cells that it had before the transform, and the mapping that could not read them."""
    client.bulk.upsert_profiles(csv_rows(tmp_path), dead_letter=letters)

    def worse(letter: dict[str, Any]) -> Any:
        is_cells = letter["row_holds"] == "cells"
        return {"cells": {**letter["row"]["cells"], "Born": "never"}} if is_cells else None

    client.bulk.replay(letters, mapping=MAPPING, transform=worse, dead_letter=letters)
    cells, fields = read_dead_letter(letters)
    assert (cells["row"]["cells"]["Born"], cells["mapping"], cells["reference"]) == ("24.13.1987", MAPPING.digest, 2)
    assert (fields["row"]["email"], fields["mapping"], fields["stage"]) == ("none", MAPPING.digest, "server")


def test_an_order_that_is_refused_again_names_its_mapping(client: Synerise, letters: Path, tmp_path: Path) -> None:
    """So that whoever replays the new letters knows which mapping reads their cells."""
    path = tmp_path / "lines.csv"
    path.write_text("No,Sku,Price,Count,Day\n1,a,2,1,2026-01-01\n1,b,2,1,2026-01-02\n", encoding="utf-8")
    mapping = RowMapping.for_transactions(
        {
            "No": "orderId",
            "Sku": "products[].sku",
            "Price": field("products[].finalUnitPrice.amount", "decimal"),
            "Count": field("products[].quantity", "integer"),
            "Day": field("recordedAt", format="%Y-%m-%d", zone="UTC"),
        },
        group_by="No",
        constants={
            "client.customId": "a",
            "source": "POS",
            "products[].name": "x",
            "products[].finalUnitPrice.currency": "PLN",
            "paymentInfo.method": "CASH",
        },
    )
    client.bulk.create_transactions(read_csv(path, mapping), dead_letter=letters)
    for _ in range(2):
        (letter,) = read_dead_letter(letters)
        assert (letter["field"], letter["mapping"]) == ("recordedAt", mapping.digest)
        client.bulk.replay(letters, mapping=mapping, dead_letter=letters)


@pytest.mark.parametrize("made", [{}, [], "x", 7, {"customId": "k", "birthDate": "still bad"}])
def test_what_a_transform_spoils_keeps_the_row_that_it_had(
    client: Synerise, replay: Replay, letters: Path, tmp_path: Path, made: Any
) -> None:
    """Refused by the checks or by the server, fields or cells: the next transform finds the letter as this one did."""
    client.bulk.upsert_profiles(csv_rows(tmp_path), dead_letter=letters)
    rows = [(letter["row"], letter["row_holds"], letter["mapping"]) for letter in read_dead_letter(letters)]
    assert [holds for _, holds, _ in rows] == ["cells", "fields"]
    report = replay(letters, mapping=MAPPING, transform=lambda _: made, dead_letter=letters)
    assert (report.accepted, report.rejected_count()) == (0, 2)
    found = list(read_dead_letter(letters))
    assert [(letter["row"], letter["row_holds"], letter["mapping"]) for letter in found] == rows
    assert replay(letters, mapping=MAPPING, transform=mend, dead_letter=letters).accepted == 2


def test_a_transformed_event_without_an_answer_keeps_its_salt(
    sandbox: Sandbox, client: Synerise, letters: Path
) -> None:
    """It may be stored: by another salt the next replay would store it twice."""
    client.bulk.send_events([{**event(1), "client": {}}], dead_letter=letters)
    sandbox.faults.close(processed=True, times=1)
    once = client.with_options(max_retries=0)
    with contextlib.suppress(BulkStoppedError):
        once.bulk.replay(
            letters, transform=lambda letter: {**letter["row"], "client": {"customId": "p"}}, dead_letter=letters
        )
    (letter,) = read_dead_letter(letters)
    assert letter["stage"] in ("ambiguous", "unsent")
    assert letter["row"]["client"] == {"customId": "p"}
    assert letter["row"]["eventSalt"]


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300], ids=["over", "under", "far"])
@pytest.mark.parametrize("holds", ["fields", "cells"])
def test_a_whole_number_beyond_64_bits_is_not_rounded(
    client: Synerise, replay: Replay, letters: Path, number: int, holds: str
) -> None:
    """Put into a letter by hand, it would lose digits: it is refused, and stays with each of them."""
    text = str(number)
    place = line(row={"customId": "big", "attributes": {"n": "HERE"}})
    mapping = RowMapping.for_profiles({"customId": "customId", "n": "attributes.n"})
    if holds == "cells":
        place = line(row={"cells": {"customId": "big", "n": "HERE"}}, row_holds="cells")
    letters.write_bytes(place.replace(b'"HERE"', text.encode()) + line(row={"customId": "b"}))
    for _ in range(2):
        report = replay(letters, mapping=mapping, dead_letter=letters)
        (rejection,) = report.rejected
        assert "n: it is a whole number beyond 64 bits; mend it first" in rejection.reason
        (letter,) = read_dead_letter(letters)
        assert (letter["row"]["cells"]["n"] if holds == "cells" else letter["row"]["attributes"]["n"]) == text
    made = {"customId": "big", "attributes": {"n": "1"}}
    assert replay(letters, mapping=mapping, transform=lambda _: made, dead_letter=letters).accepted == 1


def test_letters_of_fields_that_a_mapping_does_not_change_are_counted(replay: Replay, letters: Path) -> None:
    """A mapping reads cells alone: the report says how many that were refused again hold fields, and what changes them.

    One that is accepted needs no change, such as one that was unsent.
    """
    lines = [line(row={"email": text}) for text in ("bad", "worse")]
    lines += [line(row={"customId": "c1"}, stage="unsent"), line(row={"customId": "c2"}, stage="server")]
    letters.write_bytes(b"".join(lines))
    text = "holds fields, not cells: a mapping does not change it; edit the file, or give a transform"
    assert replay(letters, mapping=MAPPING).notes[text] == 2
    assert text not in replay(letters).notes
    assert text not in replay(letters, mapping=MAPPING, transform=lambda _: {"customId": "c1"}).notes


def test_a_line_that_was_cut_off_is_told(client: Synerise, replay: Replay, letters: Path) -> None:
    """By a note with its line, wherever it was cut; the others are sent, and what it still says stays in the file."""
    whole = line()
    text = "line {} was cut off by a crash, and holds no letter any more"
    for cut in (1, 12, 30, 60, len(whole) - 2):
        letters.write_bytes(whole + whole[:cut])
        left = whole[:cut] if cut > len('{"version":1,"operation":"') else b""
        report = replay(letters, dead_letter=letters)
        assert (report.accepted, letters.read_bytes()) == (1, left)
        assert report.notes == {text.format(2): 1}
        assert text.format(2) in report.summary()
        again = replay(letters, dead_letter=letters)
        assert (again.read, letters.read_bytes()) == (0, left)
        assert again.notes == ({text.format(1): 1} if left else {})


def test_a_line_that_was_cut_off_stays_behind_what_is_refused(replay: Replay, letters: Path) -> None:
    """The new letters come first, and a second replay reads both."""
    bad, cut = line(row={"email": 1}), line()[:40]
    letters.write_bytes(bad + cut)
    assert replay(letters, dead_letter=letters).by_stage["check"] == 1
    first, last = letters.read_bytes().splitlines()
    assert (orjson.loads(first)["row"], last) == ({"email": 1}, cut)
    assert replay(letters, dead_letter=letters).read == 1


WHOLE = line(row={"customId": "a", "attributes": {"city": "Gdynia"}})
DAMAGES = {
    "half is missing": WHOLE[:110] + b"\n",
    "NUL in it": WHOLE[:100] + b"\0" * 20 + WHOLE[120:],
    "NUL over a line's end": WHOLE[:-9] + b"\0" * 40 + WHOLE[40:],
}


@pytest.mark.parametrize("damaged", DAMAGES.values(), ids=list(DAMAGES))
@pytest.mark.parametrize("place", ["first", "middle", "last", "alone"])
def test_a_damaged_line_is_a_refused_row(
    replay: Replay, sandbox: Sandbox, letters: Path, damaged: bytes, place: str
) -> None:
    """Only the end of a file can be cut off by a crash: any other line stays a letter of every new file, as it was."""
    before, behind = place in ("middle", "last"), place in ("first", "middle")
    new = letters.with_name("new.jsonl")
    for target in (None, new, letters):
        sandbox.reset()
        letters.write_bytes(WHOLE * before + damaged + line(row={"customId": "b"}) * behind)
        report = replay(letters, dead_letter=target)
        counts = report.read, report.accepted, report.rejected_count(), report.by_stage["check"]
        assert (counts, report.complete) == ((before + 1 + behind, before + behind, 1, 1), True)
        number = 1 + before
        (rejection,) = report.rejected
        assert (rejection.index, rejection.stage) == (number - 1, "check")
        assert rejection.reason == f"line {number} is damaged: it holds no letter any more; mend it by hand"
        assert report.by_operation["profiles.upsert_batch"].rejected == 1
        assert f"line {number} is damaged, or was cut off by a crash: mend it by hand" in report.summary()
        if target is not None:
            assert target.read_bytes() == damaged
            assert replay(target, dead_letter=target).rejected_count() == 1  # and so it is told again
            assert target.read_bytes() == damaged


def test_damaged_lines_stand_among_many_letters(client: Synerise, letters: Path) -> None:
    """Also where the rejections are read from the file; one of which too little is left is counted alone."""
    bad, torn = line(row={"email": 1}), DAMAGES["half is missing"]
    letters.write_bytes(bad * 1001 + torn + b'{"version":1,\n' + bad)
    report = client.bulk.replay(letters, dead_letter=letters)
    assert [rejection.index for rejection in report.rejected] == [*range(1001), 1003, 1001, 1002]
    assert (report.read, report.rejected_count(), report.by_operation["unknown"].rejected) == (1004, 1004, 1)
    assert letters.read_bytes().splitlines(keepends=True)[1002:] == [torn]


def test_a_damaged_line_stays_where_a_replay_ends_early(sandbox: Sandbox, letters: Path) -> None:
    """In the old file where nothing was read, else in the new one."""
    new, torn = letters.with_name("new.jsonl"), DAMAGES["NUL in it"]
    letters.write_bytes(WHOLE + torn + line(row={"email": 1}) * 2 + WHOLE)
    with (
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        pytest.raises(BulkStoppedError) as caught,
    ):
        client.bulk.replay(letters, dead_letter=new, max_errors=0)
    assert caught.value.report.rejected_count() == len(caught.value.report.rejected)
    assert new.read_bytes().endswith(torn)


def test_packed_letters_are_told(client: Synerise, letters: Path) -> None:
    """By what they are, whole or cut off, before anything is sent."""
    for packed in (gzip.compress(WHOLE), gzip.compress(WHOLE)[:40]):
        letters.write_bytes(packed)
        for read in (client.bulk.replay, lambda path: list(read_dead_letter(path))):
            with pytest.raises(InvalidRequestError, match="is a gzip file, in which no letters are read; unpack it"):
                read(letters)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (line(version=2), "line 1 is a dead letter of version 2; this release reads version 1; send it by the release"),
        (b"id,town\n", "line 1 is no dead letter"),
        (line().replace(b'"row":{', b'"row":{"city":"x","city":"y",'), "line 1 has the key 'city' twice in one object"),
        (line() + b'{"customId":"a"}\n', "line 2 is no dead letter"),
    ],
)
def test_a_file_of_something_else_is_refused(
    sandbox: Sandbox, client: Synerise, replay: Replay, letters: Path, content: bytes, words: str
) -> None:
    """Before anything is sent, with the line; the file stays."""
    letters.write_bytes(content)
    with pytest.raises(InvalidRequestError, match=words):
        replay(letters)
    assert letters.read_bytes() == content
    assert not [logged for logged in sandbox.log if logged.path.endswith("/batch")]


def test_what_is_no_file_is_refused(client: Synerise, tmp_path: Path) -> None:
    """A name that is not there, a folder, a pipe and what is no path."""
    for path, error in ((tmp_path / "none", FileNotFoundError), (tmp_path, IsADirectoryError)):
        with pytest.raises(error):
            client.bulk.replay(path)
    os.mkfifo(tmp_path / "pipe")
    for given in (tmp_path / "pipe", 5, [line()]):
        with pytest.raises(InvalidRequestError, match="path"):
            client.bulk.replay(given)  # type: ignore[arg-type]


async def mend_async(letter: dict[str, Any]) -> Any:
    return letter["row"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"journal": "night.db"}, "journal: does not apply to a replay: what is not accepted is a letter again"),
        ({"reference": str}, "reference"),
        ({"verify_sample": 1}, "verify_sample"),
        ({"mapping": {"id": "customId"}}, "mapping: expected a RowMapping"),
        ({"transform": "fix"}, "transform: expected a function of a letter"),
        ({"transform": lambda letter: letter}, "transform: returned the letter; return its row"),
        ({"transform": mend_async}, "transform: is a coroutine function"),
        ({"checks": "none"}, "checks"),
        ({"default_time": "2999-01-01T00:00:00Z"}, "default_time: is in the future"),
    ],
)
def test_arguments_that_cannot_work_are_refused(client: Synerise, letters: Path, options: Any, words: str) -> None:
    """By their names, before anything is sent."""
    letters.write_bytes(line())
    with pytest.raises(InvalidRequestError, match=words):
        client.bulk.replay(letters, dead_letter=letters, **options)
    assert letters.read_bytes() == line()


def test_letters_are_not_appended_to_the_file_that_is_read(client: Synerise, letters: Path) -> None:
    """Each would be there twice; a file of something else is not replaced either."""
    letters.write_bytes(line())
    other = letters.with_name("other")
    other.write_text("keep me")
    for options in ({"dead_letter": letters, "dead_letter_mode": "append"}, {"dead_letter": other}):
        with pytest.raises(InvalidRequestError, match="dead_letter"):
            client.bulk.replay(letters, **options)  # type: ignore[arg-type]
    assert (letters.read_bytes(), other.read_text()) == (line(), "keep me")


def test_letters_are_appended_to_another_file(client: Synerise, replay: Replay, letters: Path) -> None:
    """Behind those that are there."""
    refuse_all(client, letters, 3)
    other = letters.with_name("other.jsonl")
    other.write_bytes(letters.read_bytes())
    replay(letters, dead_letter=other, dead_letter_mode="append")
    assert [row["customId"] for row in rows_of(other)] == ["c0", "c1", "c2"] * 2


def test_progress_counts_all_operations(client: Synerise, replay: Replay, letters: Path) -> None:
    """The last one has the numbers of the report, and none goes back."""
    refuse_all(client, letters, 30)
    client.bulk.send_events(
        [{**event(n), "client": {}} for n in range(30)], dead_letter=letters, dead_letter_mode="append"
    )
    seen: list[Progress] = []
    report = replay(letters, progress=seen.append)
    assert (seen[-1].read, seen[-1].accepted, seen[-1].rejected) == (60, 0, 60)
    assert [now.read for now in seen] == sorted(now.read for now in seen)
    assert (
        report.summary().partition("; ")[0]
        == "bulk.replay: 60 rows read, 0 accepted, 30 refused by the checks, 30 refused by the server"
    )


def test_an_empty_file_is_replayed(client: Synerise, replay: Replay, letters: Path) -> None:
    """Nothing is sent, and nothing is wrong."""
    letters.write_bytes(b"\n")
    report = replay(letters, dead_letter=letters)
    assert (report.read, report.complete, report.by_operation) == (0, True, {})


def test_both_clients_say_the_same() -> None:
    """The docstring and the arguments of the async method are those of the sync one."""
    assert inspect.getdoc(Bulk.replay) == inspect.getdoc(AsyncBulk.replay)


@pytest.mark.parametrize(
    ("name", "by_signal"),
    [("open_letters", True), ("RejectionStore", True), ("Replay", True), ("RejectionStore", False), ("Replay", False)],
)
def test_what_comes_as_a_replay_begins_leaves_no_part(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, by_signal: bool
) -> None:
    """So the next one is not refused by it, while somebody holds the exception."""
    path = tmp_path / "letters.jsonl"
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    make = getattr(replay_client, name)

    def struck(*args: Any, **more: Any) -> Any:
        if not by_signal:
            raise KeyboardInterrupt
        made = make(*args, **more)
        signal.raise_signal(signal.SIGINT)
        return made

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
            client.bulk.upsert_profiles([{"city": "nobody"}], dead_letter=path)
            content = path.read_bytes()
            with monkeypatch.context() as patch:
                patch.setattr(replay_client, name, struck)
                with pytest.raises(KeyboardInterrupt) as caught:
                    client.bulk.replay(path, dead_letter=path)
            assert [each.name for each in tmp_path.iterdir()] == [path.name]
            assert path.read_bytes().count(b"\n") == content.count(b"\n")
            assert client.bulk.replay(path, dead_letter=path).read == 1
            assert caught.value.__traceback__ is not None  # it is held until here
    finally:
        signal.signal(signal.SIGINT, before)
