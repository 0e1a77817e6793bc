"""Salts, fixed times and keys that repeat: what a second sending overwrites, and what the report says of it."""

from __future__ import annotations

import datetime
import decimal
import enum
import itertools
import os
import random
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import Synerise, events
from synerise_profiles._batching import operations
from synerise_profiles._batching.salting import RowSalter
from synerise_profiles.bulk import JournalMismatchError, UnreadableRow, report_of
from synerise_profiles.bulk.open_chunk import RepeatCounter
from synerise_profiles.errors import InvalidRequestError
from synerise_profiles.models import ClientIdentifier
from synerise_profiles.sandbox import Outcome, Sandbox
from tests.bulk.support import Run, Server
from tests.bulk.test_engine import EVENTS, small

NOON = "2023-01-01T12:00:00Z"
TRANSACTIONS = operations.transactions()


def visit(n: int, **more: Any) -> dict[str, Any]:
    return {"label": "Visit", "action": "shop.visit", "client": {"customId": f"c{n}"}, "params": {"n": n}} | more


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(log_size=1000) as running:
        yield running


@pytest.fixture
def client(sandbox: Sandbox) -> Iterator[Synerise]:
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as opened:
        opened.bulk.upsert_profiles([{"customId": f"c{n}"} for n in range(50)])
        yield opened


def outcomes(sandbox: Sandbox) -> list[Outcome]:
    sandbox.drain()
    return [item for sent in sandbox.log if sent.operation == "events.send_batch" for item in sent.outcomes or ()]


def salts(rows: list[Any], **options: Any) -> list[str]:
    server = Server()
    Run(EVENTS, rows, server, **options).finish()
    return [row["eventSalt"] for row in server.stored]


@pytest.mark.parametrize(
    "default_time", [datetime.datetime(2026, 11, 1, tzinfo=datetime.UTC), "2026-11-01T01:00+01:00"]
)
@pytest.mark.parametrize(
    "options", [{}, {"salt": "the night"}, {"salt": ["params.n"]}, {"salt": lambda row: row["action"]}]
)
def test_a_rerun_overwrites(client: Synerise, sandbox: Sandbox, default_time: Any, options: dict[str, Any]) -> None:
    """With a fixed time the same rows, sent by two runs without a journal, are stored once, and nothing is noted."""
    rows = [visit(n) for n in range(50)]
    for _ in range(2):
        report = client.bulk.send_events(iter(rows), default_time=default_time, **options)
        assert report.accepted == 50
        assert report.notes == {}
    assert outcomes(sandbox)[-50:] == [Outcome.OVERWROTE] * 50


def test_a_rerun_that_would_double_is_told(tmp_path: Path) -> None:
    """Rows without a time get that of the run; the report says that another run would store them twice."""
    report = Run(EVENTS, [visit(1), visit(2, time=NOON)], Server()).finish()
    ((text, count),) = report.notes.items()
    assert count == 1
    assert "default_time" in text
    with Synerise(token="t", transport=Server().transport()) as client:
        report = client.bulk.send_events([visit(1)], journal=tmp_path / "night.db")
    assert report.notes == {}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"default_time": "2023-01-01T12:00:00"}, "with a zone"),
        ({"default_time": "noon"}, "ISO 8601"),
        ({"default_time": datetime.datetime(2200, 1, 1, tzinfo=datetime.UTC)}, "in the future"),
        ({"salt": "unique"}, "stored twice"),
        ({"salt": "params"}, "name of a field"),
        ({"salt": []}, "field names"),
        ({"salt": 17}, "field names"),
    ],
)
def test_choices_that_cannot_work(client: Synerise, options: dict[str, Any], words: str) -> None:
    """A time that is none or has not come, and a salt that would protect nothing, are refused before reading."""
    with pytest.raises(InvalidRequestError, match=words):
        client.bulk.send_events(itertools.repeat(visit(1)), **options)


def test_a_salt_of_nothing_is_refused() -> None:
    """A row of which the salt cannot be made is rejected: its salt would be that of all such rows."""
    rows = [visit(1, params={"order": "o-1"}), visit(2), visit(3, params={"order": ""}), visit(4, eventSalt="own")]
    by_name = Run(EVENTS, rows, Server(), salt=["params.order"]).finish()
    assert [(item.index, item.field) for item in by_name.rejected] == [(1, "params.order"), (2, "params.order")]
    by_function = Run(EVENTS, rows, Server(), salt=lambda row: row["params"].get("order")).finish()
    assert [(item.index, item.field) for item in by_function.rejected] == [(1, "eventSalt"), (2, "eventSalt")]
    assert salts([visit(1, params={"a": 1, "b": "x"})], salt=["params.a", "params.b"]) == ['[1,"x"]']
    assert salts([visit(1), visit(2, eventSalt="own")], salt="the night") == ["the night", "own"]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    count=st.integers(0, 300),
    repeats=st.sampled_from([0, 0.01, 0.2]),
    refused=st.sampled_from([0, 0.01, 0.2]),
    items=st.sampled_from([3, 50, 1000]),
    size=st.sampled_from([900, 20_000, 10**6]),
    raises_at=st.integers(0, 600),
)
def test_a_salt_function_is_asked_once_a_row(
    seed: int, count: int, repeats: float, refused: float, items: int, size: int, raises_at: int
) -> None:
    """Whatever repeats, is refused or does not fit: rows are asked for in their order, and go where they go singly."""
    chance = random.Random(seed)
    salts_of_rows = [0 if chance.random() < repeats else -1 if chance.random() < refused else n for n in range(count)]
    rows = [visit(1, time=NOON, params={"n": n, "salt": salt}) for n, salt in enumerate(salts_of_rows)]

    def sent(**options: Any) -> tuple[list[int], list[bytes], list[int], int, bool]:
        asked: list[int] = []
        server = Server()

        def salt_of(row: Any) -> str:
            asked.append(row["params"]["n"])
            if row["params"]["n"] == raises_at:
                raise LookupError
            return "" if row["params"]["salt"] < 0 else f"s-{row['params']['salt']}"

        run = Run(small(items, size, EVENTS), rows, server, salt=salt_of, concurrency=1, **options)
        has_raised = False
        try:
            run.finish()
        except LookupError:
            has_raised = True
        return asked, server.bodies, [item.index for item in run.report.rejected], run.report.read, has_raised

    in_blocks = sent()

    assert in_blocks == sent(flush_after=1e9)
    assert in_blocks[0] == list(range(min(len(rows), raises_at + 1)))


def test_keys_that_repeat_are_told() -> None:
    """Rows of the same salt, time and profile are counted: as equal, or as overwriting another content."""
    rows = [visit(1, eventSalt="s", time=NOON, params={"v": v}) for v in (1, 1, 2)]
    rows += [visit(2, eventSalt="s", time=NOON), visit(1, eventSalt="s", time=NOON, action="other.action")]
    rows += [visit(1, eventSalt="s", time="2023-01-01T13:00:00+01:00", params={"v": 2})]
    report = Run(EVENTS, rows, Server()).finish()
    found = {text.split(" ")[0]: count for text, count in report.notes.items()}
    assert found == {"equal": 1, "has": 2}


def test_equal_events_are_counted() -> None:
    """Of equal events, timed or not, all but the first are noted; with `keep_duplicates` they stay apart."""
    rows = [visit(1, time=NOON), visit(2), visit(1, time="2023-01-01T13:00:00+01:00"), visit(2), visit(2)]
    report = Run(EVENTS, rows, Server()).finish()
    assert [count for text, count in report.notes.items() if text.startswith("equal")] == [3]
    report = Run(EVENTS, rows, Server(), keep_duplicates=True).finish()
    assert not [text for text in report.notes if text.startswith("equal")]
    assert len(set(salts(rows, keep_duplicates=True))) == 5


def test_one_event_has_one_salt() -> None:
    """Whatever the order of its keys, whatever writes it: bulk, a queue and a builder give an event one salt."""
    build = events.custom
    made = build(
        client=ClientIdentifier(custom_id="c1"),
        action="a.b",
        params={"n": 1, "m": {"y": 2, "x": 3}},
        time=NOON,
        salt="content",
    )
    row = {"params": {"m": {"x": 3, "y": 2}, "n": 1}, "time": "2023-01-01T13:00:00+01:00", "label": "another"}
    row |= {"client": {"customId": "c1"}, "action": "a.b"}
    queue_salt = RowSalter(EVENTS).add_salt(row, b"{}").salt
    assert salts([row]) == [made.event_salt] == [queue_salt]
    logged_in = events.logged_in(client={"customId": "c1"}, params={"n": 1}, time=NOON, salt="content")
    event = {"label": "x", "client": {"customId": "c1"}, "params": {"n": 1}, "time": NOON}
    found = salts([{**event, "type": "logged-in"}]) + salts([{**event, "action": "client.login"}])
    assert found == [logged_in.event_salt] * 2
    bought = transaction()
    assert isinstance(bought.event_salt, str)
    fields = bought.to_dict()
    del fields["eventSalt"]
    assert RowSalter(TRANSACTIONS).add_salt(fields, b"{}").salt == bought.event_salt


class Kind(enum.Enum):
    VISIT = "a.b"
    LOGIN = "logged-in"
    KEY = uuid.UUID(int=7)


class Text(str, enum.Enum):  # noqa: UP042 - not written as StrEnum is
    M = "m"


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("m", "m"),
        (Text.M, "m"),
        (Kind.VISIT, "a.b"),
        (Kind.KEY, str(uuid.UUID(int=7))),
        (uuid.UUID(int=7), str(uuid.UUID(int=7))),
        (decimal.Decimal("5.00"), "5"),
        (decimal.Decimal("5.5"), "5.5"),
        (5, "5"),
        (1e-7, "1e-7"),
        (datetime.date(2026, 1, 1), "2026-01-01"),
    ],
)
def test_salts_are_made_of_what_is_written(value: Any, written: str) -> None:
    """Of fields and by functions alike: what JSON has of a value, and not what its class makes of it."""
    row = visit(1, time=NOON, params={"k": value})
    assert salts([row], salt=["params.k"]) == salts([row, row], salt=["params.k"])[:1] == [written]
    if not isinstance(value, float) and written != "5.5":  # a function returns a text or a whole number
        assert salts([row], salt=lambda row: row["params"]["k"]) == [written]


def test_the_kind_of_an_event_is_what_is_written() -> None:
    """An action, a type, a time or a salt of an enum is its value, also for the key and the salt of the content."""
    plain = visit(1, time=NOON, action="a.b")
    assert salts([{**plain, "action": Kind.VISIT}]) == salts([plain])
    made = events.custom(client=plain["client"], label="x", action=Kind.VISIT, time=NOON, salt="content")  # type: ignore[arg-type]
    bare = {"client": plain["client"], "label": "y", "action": Kind.VISIT, "time": NOON}
    assert salts([bare]) == [made.event_salt] == [RowSalter(EVENTS).add_salt(bare, b"{}").salt]
    assert salts([{**bare, "type": Kind.LOGIN}]) == salts([{**bare, "type": "logged-in"}])
    kept = events.custom(client=plain["client"], label="x", action="a.b", time=NOON, salt=Text.M)
    assert kept.event_salt == "m"
    for odd in ({"eventSalt": Text.M}, {"client": {"customId": Text.M}}):
        rows = [{**bare, "eventSalt": "m", "client": {"customId": "m"}, "params": {"n": n}} for n in (1, 2)]
        report = Run(EVENTS, [rows[0], {**rows[1], **odd}], Server()).finish()
        assert [text.split(",")[0] for text in report.notes] == ["has the salt"]


def test_times_in_the_future_are_told(sandbox: Sandbox, client: Synerise) -> None:
    """The server replaces them, so that a salt has no effect: the report says that they are stored once a sending."""
    rows = [visit(n, time="2099-01-01T00:00:00Z", eventSalt="s", params={"n": n // 2}) for n in range(4)]
    for count in (1, 20):  # by row and by block
        report = client.bulk.send_events([*rows, *[visit(n, time=NOON) for n in range(count)]])
        assert [(text.split(",")[0], number) for text, number in report.notes.items()] == [
            ("has a time in the future", 4)
        ]
    assert outcomes(sandbox)[:4] == [Outcome.APPLIED] * 4
    assert not client.bulk.send_events([visit(1, time=NOON)]).notes


class NoMoment(datetime.datetime):
    """What the NaT of pandas is: a datetime that is not even itself."""

    __hash__ = datetime.datetime.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def utcoffset(self) -> Any:
        raise ValueError("NaTType does not support utcoffset")


def test_no_moment_costs_its_event(client: Synerise) -> None:
    """A builder refuses it as a row is refused, so that a generator which catches the error goes on."""
    nat, now = NoMoment(2026, 1, 1, tzinfo=datetime.UTC), datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)

    def built() -> Iterator[Any]:
        for time in (now, nat, now + datetime.timedelta(hours=1)):
            try:
                yield events.custom(client={"customId": "c1"}, label="l", action="a.b", time=time, salt="content")
            except InvalidRequestError as error:
                yield UnreadableRow(error.field, error.problem)

    report = client.bulk.send_events(built())
    as_row = client.bulk.send_events([visit(1, time=nat)])
    assert report.accepted == 2
    assert [(item.field, item.reason) for item in report.rejected] == [
        (item.field, item.reason) for item in as_row.rejected
    ]
    assert report.rejected[0].reason.startswith("is no moment")
    with pytest.raises(InvalidRequestError, match="expected a datetime with a zone"):
        client.bulk.send_events([], default_time=nat)


def transaction() -> Any:
    price = events.money("9.50", "PLN")
    tea = {"sku": "tea", "name": "Tea", "quantity": 1, "finalUnitPrice": price}
    return events.transaction(
        client={"customId": "c1"}, order_id="o", products=[tea], payment="CARD", source="POS", time=NOON, salt="content"
    )


def test_many_keys_are_compared_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what memory may hold they go through a file, and the counts are the same."""
    monkeypatch.setattr("synerise_profiles.bulk.open_chunk._MAX_ROWS_IN_MEMORY", 1000)
    monkeypatch.setattr("synerise_profiles.bulk.open_chunk._MAX_ROWS_AT_ONCE", 5)
    repeats = RepeatCounter()
    for n in range(5500):
        repeats.add(("key", n % 5000), n if n % 5000 < 100 else None)
    repeats.close()
    assert (repeats.equal, repeats.overwriting) == (400, 100)


def test_built_events_of_another_run_are_named_as_the_cause(tmp_path: Path) -> None:
    """A journal that finds other times or salts says that builders made them."""

    def built() -> list[Any]:
        return [events.logged_in(client={"customId": "c1"}, time=NOON, salt="unique") for _ in range(3)]

    with Synerise(token="t", transport=Server().transport()) as client:
        client.bulk.send_events(built(), journal=tmp_path / "night.db")
        with pytest.raises(JournalMismatchError, match="times and salts that are made at run time"):
            client.bulk.send_events(built(), journal=tmp_path / "night.db")


@pytest.mark.parametrize("operation", [EVENTS, TRANSACTIONS], ids=["events", "transactions"])
def test_rows_of_one_event_keep_their_order(operation: operations.BatchOperation) -> None:
    """Rows of one key are never in two requests at once; of rows with another key or a content salt none is held."""
    time_field = operation.time_field or ""
    rows = [
        {**visit(n), "orderId": "o", "paymentInfo": {}, "products": [], "revenue": {}, "value": {}, "source": "POS"}
        for n in range(60)
    ]
    own = [
        {**row, "eventSalt": f"s{n % 7}", time_field: NOON, "client": {"customId": "c"}} for n, row in enumerate(rows)
    ]
    run = Run(small(4, 100_000, operation), own, Server(), concurrency=6, checks="off")
    for in_flight in run.steps():
        found = [row["eventSalt"] for task in in_flight for row in rows_of(task)]
        per_task = [{row["eventSalt"] for row in rows_of(task)} for task in in_flight]
        assert len(set(found)) == sum(map(len, per_task))
    assert run.report.accepted == 60
    last = {row["eventSalt"]: row["params"]["n"] for row in run.server.stored}
    assert last == {f"s{n % 7}": n for n in range(60)}
    timed = [{**row, time_field: NOON, "client": {"customId": "c"}} for row in rows]
    run = Run(small(4, 100_000, operation), timed, Server(), concurrency=6, checks="off")
    assert max(len(in_flight) for in_flight in run.steps()) == 6


def rows_of(task: Any) -> list[Any]:
    chunk = task.chunk_state.chunk
    return [chunk.row(position) for position in task.sub_batch.positions]


def test_salts_of_sets_are_the_same_in_every_process() -> None:
    """The order of a set differs with the seed of Python's hashes; what is written of it, and its salt, do not."""
    program = (
        "import json, sys\n"
        "from synerise_profiles._batching import operations\n"
        "from synerise_profiles._batching.salting import RowSalter\n"
        "row = {'action': 'a', 'client': {'customId': 'c'}, 'params': {'tags': {f't{n}' for n in range(50)}}}\n"
        "from synerise_profiles._batching.row_encoder import RowEncoder\n"
        "item = RowEncoder(operations.events(), frozenset()).encode(row)[0]\n"
        "print(RowSalter(operations.events()).add_salt(row, item).item.decode())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in (1, 2, 3)
    }
    assert len(found) == 1
    assert '"eventSalt":"' in found.pop()


def test_further_identifiers_of_a_profile_do_not_make_another_event() -> None:
    """An event whose profile is named with an e-mail address beside its customId has the key of the one without."""
    salter = RowSalter(EVENTS)
    named = [{"customId": "k", **more} for more in ({}, {"email": "a@example.com"}, {"email": "b@example.com"})]
    keys = {salter.add_salt(visit(1, eventSalt="s", time=NOON, client=client), b"{}").key for client in named}
    assert len(keys) == 1


def test_white_space_at_the_ends_of_an_identifier_does_not_make_another_event() -> None:
    """The server compares identifiers without it; so the later one overwrites the earlier, keeps its place, is told."""
    salter = RowSalter(EVENTS)
    events = [
        visit(n, eventSalt="s", time=NOON, client={"customId": name}) for n, name in enumerate(("k", "k ", "\tk"))
    ]
    assert len({salter.add_salt(row, b"{}").key for row in events}) == 1
    pairs = [{"customId": "k", "email": "a@example.com"}, {"customId": " k", "email": "a@example.com "}]
    first, second = (tuple(salter.keys_of({"client": client}, ("s", 1, "a.b", None))) for client in pairs)
    assert first == second
    report = Run(EVENTS, events, Server()).finish()
    assert sum(count for text, count in report.notes.items() if "overwrites" in text) == 2


def test_a_salt_with_half_an_emoji_costs_its_row_alone() -> None:
    """A salt function whose text is no Unicode has that row refused by name; as a text for all rows it is refused."""
    server = Server()
    run = Run(EVENTS, [visit(0), visit(1)], server, salt=lambda row: "\ud83d" if row["params"]["n"] else "s")
    run.finish()
    assert [(item.index, item.field) for item in run.report.rejected] == [(1, "eventSalt")]
    with pytest.raises(InvalidRequestError):
        Run(EVENTS, [visit(0)], server, salt="\ud83d")


class _Odd(str):
    __slots__ = ()

    def __str__(self) -> str:
        raise ValueError("no text")

    def __format__(self, _: str) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize("checks", ["strict", "basic", "off"])
@pytest.mark.parametrize(
    "change",
    [
        {"eventSalt": _Odd("s")},
        {"time": _Odd("2026-01-01T00:00:00Z")},
        {"client": {"customId": _Odd("c"), "email": _Odd("a@example.com")}},
        {"action": _Odd("a.b")},
    ],
)
def test_a_text_of_a_class_of_its_own_is_what_json_has_of_it(change: dict[str, Any], checks: Any) -> None:
    """It ends no run, whatever its class makes of it."""
    row = {"label": "l", "action": "a.b", "client": {"customId": "c"}, "eventSalt": "s", **change}
    server = Server()
    report = Run(operations.events(), [row, {**row, "eventSalt": "t"}], server, checks=checks).finish()
    assert (report.accepted, list(report.rejected)) == (2, [])


@pytest.mark.parametrize(
    "rows", [["good", "bad"], ["bad", "good"], ["bad", "bad"], ["bad", "other"], ["bad", "untimed"]]
)
def test_a_refused_row_that_would_overwrite_another_one_is_told(client, rows):
    """Once it is mended and sent again; a row with another salt, or without a time, overwrites none."""
    event = {"client": {"id": 1}, "action": "a.b", "label": "x", "eventSalt": "s", "time": "2026-01-01T00:00:00Z"}
    untimed = {name: value for name, value in event.items() if name != "time"}
    forms = {"good": event, "bad": {**event, "label": None}, "other": {**event, "eventSalt": "t"}, "untimed": untimed}
    given = [forms[kind] for kind in rows]
    report = client.bulk.send_events(given)
    assert report.accepted == len(rows) - rows.count("bad")
    told = [count for text, count in report.notes.items() if text.startswith("was refused, and has the salt")]
    assert told == ([] if rows[1] in ("other", "untimed") else [1])


class Halt(BaseException):
    """No Exception, and no signal."""


@pytest.mark.parametrize("option", ["salt", "reference"])
@pytest.mark.parametrize(
    ("raised", "seen"),
    [(StopIteration, RuntimeError), (StopAsyncIteration, StopAsyncIteration), (KeyError, KeyError), (Halt, Halt)],
)
@pytest.mark.parametrize(("count", "place"), [(1, 0), (200, 150), (3000, 2999), (3000, 250)])
def test_what_a_function_of_a_row_raises_ends_the_run(
    client: Synerise, option: str, raised: type[BaseException], seen: type[BaseException], count: int, place: int
) -> None:
    """Whatever it is: none is taken for the end of a block, so that no row is lost or sent without its salt."""

    def function(row: Any) -> str:
        if row["params"]["n"] == place:
            raise raised
        return f"s{row['params']['n']}"

    rows = [visit(n, time=NOON, client={"customId": "c1"}) for n in range(count)]
    options: dict[str, Any] = {option: function}
    with pytest.raises(seen) as caught:
        client.bulk.send_events(rows, **options)
    report = report_of(caught.value)
    assert report is not None
    assert report.accepted % 1000 == 0
    assert report.accepted + report.rejected_count() == report.read
    assert report.read <= count


NOTHING: list[Any] = ["", " ", "\t\n", None, b"x", True, 1.5, ["a"], {}, object()]


@pytest.mark.parametrize("value", NOTHING)
def test_a_salt_function_that_returns_no_salt_costs_its_row(client: Synerise, value: Any) -> None:
    """By bulk, row by row and in a block, and by a queue: it is refused by the name of the field."""
    for count in (1, 20):
        rows = [visit(n) for n in range(count)]
        report = client.bulk.send_events(rows, salt=lambda row: value if row["params"]["n"] == 0 else "s")
        assert [(item.index, item.field) for item in report.rejected] == [(0, "eventSalt")]
        assert report.accepted == count - 1
    with client.queue(salt=lambda _: value) as queue, pytest.raises(InvalidRequestError) as caught:
        queue.events.put(visit(1))
    assert caught.value.field == "eventSalt"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("orderId", "salt=['params.orderId']"),
        ("order_id", "salt=['params.orderId']"),
        ("params.orderId", "salt=['params.orderId']"),
        ("Params.orderId", "salt=['params.orderId']"),
        ("client.customId", "salt=['client.customId']"),
        ("custom-id", "salt=['client.customId']"),
        ("EventSalt", "salt=['eventSalt']"),
        ("Content", "'content'"),
        ("contnet", "'content'"),
        ("content ", "'content'"),
        ("Unique", "'unique'"),
        ("RANDOM", "'random'"),
    ],
)
def test_a_text_that_is_a_slip_is_no_salt(client: Synerise, text: str, meant: str) -> None:
    """All rows would be one event by it: the name of a field or a path of the rows, or a word for a way."""
    row = visit(1, params={"orderId": "o-1"})

    def sent() -> None:
        for rejection in client.bulk.send_events([row, row], salt=text).rejected:
            raise InvalidRequestError(rejection.reason, field="salt")

    def put() -> None:
        with client.queue(salt=text) as queue:
            queue.events.put(row)

    with pytest.raises(InvalidRequestError) as caught:
        sent()
    assert f"did you mean {meant}?" in str(caught.value)
    with pytest.raises(InvalidRequestError, match="did you mean"):
        put()
    if "salt=" not in meant and meant != "'random'":
        with pytest.raises(InvalidRequestError, match="did you mean"):
            client.builder(salt=text)


@pytest.mark.parametrize("text", ["the night", "2026-11-30", "order-17", "unit", "contained"])
def test_a_text_that_is_meant_as_a_salt(client: Synerise, text: str) -> None:
    """A text that is the name of nothing is the salt of all rows; any text is, where a function returns it."""
    row = visit(1, time=NOON, params={"orderId": "o-1"})
    assert client.bulk.send_events([row], salt=text).accepted == 1
    assert salts([row], salt=lambda _: "orderId") == ["orderId"]
    assert client.builder(salt=text)


@pytest.mark.parametrize("levels", [250, 251, 252])
def test_the_content_of_the_deepest_rows_has_a_salt(levels: int) -> None:
    """A row of as many levels as are sent ends no run: it has the salt of its content, as any other."""
    deep: Any = 1
    for _ in range(levels):
        deep = [deep]
    row = visit(1, params={"deep": deep}, time=NOON)
    report = Run(EVENTS, [visit(0), row, visit(2)], Server()).finish()
    assert (report.accepted, report.rejected_count()) == (3, 0)
    assert salts([row]) == [RowSalter(EVENTS).add_salt(row, b"{}").salt]
