"""The order of rows: those that share an identifier are never in two requests at once, whatever is sent again."""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from synerise_profiles import AsyncSynerise, Synerise
from synerise_profiles._batching import operations
from synerise_profiles._batching.batch import Chunk
from synerise_profiles._batching.ordering import HOLD_DISTANCE
from synerise_profiles._batching.send_result import SendResult, send_result_of
from synerise_profiles.bulk import Report
from synerise_profiles.bulk.chunker import Chunker, ChunkerOptions
from synerise_profiles.bulk.engine import SubBatchTask
from synerise_profiles.bulk.journal import Journal
from synerise_profiles.errors import APITimeoutError, UnconfirmedResponseError
from synerise_profiles.sandbox import Sandbox
from tests.bulk import test_sandbox
from tests.bulk.support import Run, Server, fates
from tests.bulk.test_answers import BROKEN, ONCE, RESET
from tests.bulk.test_engine import STYLES, is_bad, profile, small, trouble

IDENTIFIERS = ("clientId", "uuid", "customId", "email")


def keys_of(row: Mapping[str, Any]) -> set[Any]:
    """The identifiers of a row, as the server compares them."""
    found = {value.strip() if isinstance(value, str) else value for name in IDENTIFIERS if (value := row.get(name))}
    return found or ({row["phone"]} if row.get("phone") else set())


@st.composite
def repeating_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of few profiles or many, by one identifier or two, alone or in long stretches of the same fields."""
    count = draw(st.integers(0, 150))
    people = draw(st.sampled_from([1, 3, 10, 60, 1000]))
    seed = draw(st.integers(0, 10**6))
    shapes = draw(st.sampled_from([["customId"], ["email"], ["customId", "email"], ["mixed"], ["phone"]]))
    chance = random.Random(seed)
    rows: list[dict[str, Any]] = []
    for n in range(count):
        names = (
            chance.choice([["customId"], ["email"], ["customId", "email"], ["phone"]]) if "mixed" in shapes else shapes
        )
        who = {name: f"{name}-{chance.randrange(people)}" for name in names}
        if chance.random() < 0.05 and "customId" in who:
            who["customId"] += " "
        rows.append({**who, "city": chance.choice(["Kraków", "bad!"]), "attributes": {"n": n}})
    return rows


def number(row: Any) -> int:
    found: int = row["attributes"]["n"]
    return found


@settings(max_examples=80, deadline=None)
@given(
    rows=repeating_rows(),
    items=st.sampled_from([1, 2, 5, 20]),
    size=st.integers(200, 3000),
    style=st.sampled_from(STYLES),
    concurrency=st.sampled_from([1, 3, 8, 20]),
    draws=st.lists(st.integers(0, 7), max_size=40),
    seed=st.integers(0, 1000),
)
def test_rows_of_one_profile_are_never_in_two_requests(
    rows: list[dict[str, Any]], items: int, size: int, style: str, concurrency: int, draws: list[int], seed: int
) -> None:
    """Whatever fails and in which order answers come: no key is in two chunks at once, and none is overtaken."""
    server = Server(is_bad, style, trouble(draws))
    run = Run(small(items, size), rows, server, seed=seed, concurrency=concurrency)
    first_sent: dict[Any, None] = {}
    known: dict[int, list[Any]] = {}
    for in_flight in run.steps():
        chunks = [task.chunk_state.chunk for task in in_flight if isinstance(task, SubBatchTask)]
        for chunk in chunks:
            if chunk.number not in known:
                known[chunk.number] = rows_of(chunk)
                first_sent.update(dict.fromkeys((key, number(row)) for row in rows_of(chunk) for key in keys_of(row)))
        keys = [set().union(*map(keys_of, known[chunk.number])) for chunk in chunks]
        assert len(set().union(*keys)) == sum(map(len, keys))
    assert run.report.read == len(rows) == run.report.accepted + run.report.rejected_count()
    by_key: dict[Any, list[int]] = {}
    for key, index in first_sent:
        by_key.setdefault(key, []).append(index)
    assert all(indexes == sorted(indexes) for indexes in by_key.values())


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    people=st.sampled_from([1, 4, 15, 60]),
    items=st.sampled_from([1, 2, 5, 12]),
    style=st.sampled_from(STYLES),
    concurrency=st.sampled_from([1, 3, 8]),
    budget=st.sampled_from([0, 4, 1000]),
    with_journal=st.booleans(),
)
def test_no_row_overtakes_an_unsent_one(
    seed: int, people: int, items: int, style: str, concurrency: int, budget: int, *, with_journal: bool
) -> None:
    """Once what is unsent was sent again, by its letters or by another run, no profile holds an older value.

    Whatever lasts: refusals without words, broken requests that were carried out or not, a 207 that nobody can read.
    """
    chance = random.Random(seed)
    rows = [profile(n, chance.choice(CITIES), customId=f"c-{chance.randrange(people)}") for n in range(80)]
    server = Server(is_bad, style, lasting(chance))
    options: dict[str, Any] = {"concurrency": concurrency, "max_bisect_requests": budget, "policy": ONCE}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as open_files:

        def run() -> Report:
            journal = Journal(Path(folder) / "night.db", {}) if with_journal else None
            open_files.callback(journal.close if journal else int)
            try:
                return Run(small(items, 10**5), rows, server, seed=seed, journal=journal, **options).finish()
            finally:
                open_files.close()

        report = run()
        server.fault = lambda: None
        if with_journal:
            report = run()
            assert not report.by_stage["unsent"]
    found = fates(report)
    left = [*found.get("unsent", ()), *range(report.read, len(rows))]
    server.stored += [rows[index] for index in left if not is_bad(rows[index])]
    holds = {row["customId"]: number(row) for row in server.stored}
    refused = {*found.get("server", ()), *found.get("ambiguous", ())}
    newest = {row["customId"]: number(row) for row in rows if not is_bad(row) and number(row) not in refused}
    # A row that was refused may have been applied all the same, but never takes the place of a newer one.
    assert all(holds[name] >= last for name, last in newest.items())


CITIES = ["Kraków"] * 19 + ["bad!"]


def lasting(chance: random.Random) -> Callable[[], tuple[bool, SendResult] | None]:
    """Faults of which some come again and again."""
    timeout = send_result_of(APITimeoutError("late", operation="x", maybe_applied=True))
    unreadable = send_result_of(UnconfirmedResponseError("no list", operation="x", status_code=207, content=b"{}"))
    faults = [BROKEN, RESET, timeout, unreadable]
    left: list[tuple[bool, SendResult]] = []

    def fault() -> tuple[bool, SendResult] | None:
        if not left and chance.random() < 0.15:
            left.extend([(chance.random() < 0.5, chance.choice(faults))] * chance.choice([1, 2, 2, 3, 4]))
        return left.pop() if left else None

    return fault


def test_rows_behind_an_unsent_one_share_its_fate() -> None:
    """They are told why, and what has nothing to do with it is sent."""
    rows = [profile(n, customId=f"c-{n % 15 if n < 60 else n}") for n in range(100)]
    server = Server()
    late = send_result_of(APITimeoutError("late", operation="x", maybe_applied=True))
    server.fault = lambda: (False, late) if b'"n":7}' in server.bodies[-1] else None
    report = Run(small(5, 10**5), rows, server, policy=ONCE, concurrency=2).finish()
    assert fates(report) == {"unsent": [n for n in range(60) if 5 <= n % 15 < 10]}
    reasons = {item.index: item.reason for item in report.rejected}
    assert reasons[7].startswith("late; it may have been applied")
    assert reasons[22] == (
        "an earlier row of the same profile or event is unsent, and this one must not overtake it; it was not applied"
    )
    loose = Run(small(5, 10**5), rows, Server(fault=server.fault), policy=ONCE, concurrency=2, ordered=False)
    server.bodies.append(b"")
    assert loose.finish().accepted == 100


def test_accepted_rows_are_sent_again_behind_suspects_of_their_profile() -> None:
    """A 207 that names no row: a suspect that is sent again would overtake a later row that was accepted."""
    rows = [profile(0, "a!"), profile(1), profile(2, "a!"), profile(3, customId="c-1"), profile(4)]
    entries = b'[{"field":"city","message":"is bad","rejectedValue":"Krak\xc3\xb3w"}]'

    class Vague(Server):
        """Names a value that good rows have too."""

        def _store(self, rows: Any) -> tuple[SendResult, list[Any]]:
            result, accepted = super()._store(rows)
            return (attrs.evolve(result, content=entries) if result.status == 207 else result), accepted

    server = Vague(is_bad)
    Run(small(5, 10**5), rows, server, policy=ONCE).finish()
    assert [number(row) for row in server.stored if row["customId"] == "c-1"][-1] == 3


def rows_of(chunk: Chunk) -> list[Any]:
    return [chunk.row(position) for position in range(len(chunk))]


@settings(max_examples=120, deadline=None)
@given(rows=repeating_rows(), items=st.sampled_from([1, 3, 40]), size=st.integers(200, 4000), window=st.integers(1, 40))
def test_chunks_depend_on_the_rows_alone(rows: list[dict[str, Any]], items: int, size: int, window: int) -> None:
    """One by one, in blocks, with any window: the same rows make the same chunks, and none is lost."""
    expected = chunked(rows, items, size, order_window=12)
    assert sorted(index for indexes in expected for index in indexes) == list(range(len(rows)))
    assert chunked(rows, items, size, order_window=window) == expected
    assert chunked(iter(rows), items, size, order_window=window) == expected
    assert chunked([[row] for row in rows], items, size, order_window=window) == expected
    assert chunked([dict(row) for row in rows], items, size, checks="off", order_window=window) == expected


def chunked(source: Any, items: int, size: int, **options: Any) -> list[list[int]]:
    """The indexes of the rows of each chunk. A list of lists is handed over in these parts."""
    parts = source if isinstance(source, list) and source and isinstance(source[0], list) else [source]
    fixed = isinstance(source, list)
    chunker = Chunker(
        small(items, size), ChunkerOptions(rows_are_fixed=fixed, **options), lambda *_: True, lambda _: None
    )
    chunks: list[Chunk] = []
    for part in parts:
        rows = iter(part)
        while (chunk := chunker.next_chunk(rows)) is not None:
            chunks.append(chunk)
    chunks += chunker.remaining_chunks()
    for position, chunk in enumerate(chunks):
        assert chunk.number == position > chunk.after
        assert chunk.indexes == sorted(chunk.indexes)
        assert len(chunk) <= items
        assert len(chunk.request(None).content or b"") <= size
    return [list(chunk.indexes) for chunk in chunks]


def test_what_is_held_back_is_bounded() -> None:
    """A source without end of the same few profiles is read no further than half a distance of chunks ahead."""
    rows = [profile(n % 15) for n in range(5000)]
    run = Run(small(10, 10_000), rows, Server(), concurrency=3)
    most = 0
    for in_flight in run.steps():
        settled = run.report.accepted + sum(len(task.sub_batch.positions) for task in in_flight)
        most = max(most, run.rows_taken - settled)
    assert run.report.accepted == 5000
    assert most <= 10 * (HOLD_DISTANCE // 2 + 3)


def test_single_rows_keep_their_order_too() -> None:
    """Deletions go one by one, and two of the same profile never at once."""
    rows = [n % 7 for n in range(200)]
    run = Run(operations.profile_deletions(), rows, PathServer(), concurrency=5)
    for in_flight in run.steps():
        paths = [task.request().path for task in in_flight]
        assert len(set(paths)) == len(paths)
    assert run.report.accepted == 200


class PathServer(Server):
    """Accepts requests without a body."""

    def __call__(self, content: bytes | None) -> Any:
        del content
        return super().__call__(b"[]")


def test_order_can_be_let_go_of() -> None:
    """Without it rows go into chunks as they come, and a journal of the one kind is refused by the other."""
    rows = [profile(n % 4) for n in range(10)]
    assert chunked(rows, 3, 1000, order_window=0) == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    assert chunked(rows, 3, 1000) != chunked(rows, 3, 1000, order_window=0)


@settings(max_examples=40, deadline=None)
@given(rows=repeating_rows(), style=st.sampled_from(STYLES), draws=st.lists(st.integers(0, 7), max_size=20))
def test_one_request_at_a_time_keeps_the_exact_order(rows: list[dict[str, Any]], style: str, draws: list[int]) -> None:
    """With `concurrency=1, ordered=False` rows arrive in the order of the input, whatever names their profiles."""
    server = Server(is_bad, style, trouble(draws))
    Run(small(10, 10_000), rows, server, concurrency=1, ordered=False).finish()
    found = list(dict.fromkeys(map(number, server.stored)))
    assert found == sorted(found)
    assert found == [number(row) for row in rows if not is_bad(row)]


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    concurrency=st.sampled_from([2, 8, 16]),
    people=st.sampled_from([40, 900, 3000]),
    driver=st.sampled_from(["sync", "async"]),
)
def test_the_last_row_of_each_profile_stays(seed: int, concurrency: int, people: int, driver: str) -> None:
    """After faults of every kind the sandbox holds what the last row of each profile said."""
    chance = random.Random(seed)
    rows = [{"customId": f"c-{chance.randrange(people)}", "attributes": {"n": n}} for n in range(6000)]
    last = {row["customId"]: row["attributes"]["n"] for row in rows}
    with Sandbox(log_size=10) as sandbox:
        given_options: Any = {"api_key": sandbox.api_key, "base_url": sandbox.url, "retry": test_sandbox.BRISK}
        with Synerise(**given_options) as client:
            client.tags.list()
            test_sandbox.trouble(sandbox, "profiles.upsert_batch", 0.08)
            if driver == "async":
                report = asyncio.run(run_async(given_options, rows, concurrency))
            else:
                report = client.bulk.upsert_profiles(iter(rows), concurrency=concurrency)
            sandbox.faults.clear()
            sandbox.drain()
            assert report.accepted == len(rows)
            for name in chance.sample(sorted(last), 40):
                assert client.profiles.find("by-custom-id", name).attributes["n"] == last[name]


async def run_async(options: Any, rows: list[dict[str, Any]], concurrency: int) -> Report:
    async with AsyncSynerise(**options) as client:
        return await client.bulk.upsert_profiles(iter(rows), concurrency=concurrency)


CLIENT_SHAPES = (("customId",), ("email",), ("customId", "email"), ("customId", "phone"))


def event_keys(row: Mapping[str, Any]) -> set[Any]:
    """What an event with its salt writes: it under each identifier of its profile."""
    return {(row["eventSalt"], name, value) for name, value in row["client"].items()}


def keyed_events(chance: random.Random, count: int, people: int, stretch: int) -> list[dict[str, Any]]:
    """Events with their salts, of profiles that are named now by one identifier and now by two, in stretches."""
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        shape = chance.choice(CLIENT_SHAPES)
        for _ in range(chance.randint(1, stretch)):
            who = chance.randrange(people)
            client = {name: f"{name}-{who}" for name in shape}
            more = {"label": "x", "action": "a.b", "time": "2023-01-01T00:00:00Z", "params": {"n": len(rows)}}
            rows.append({**more, "eventSalt": f"s-{who % 7}", "client": client})
    return rows


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    items=st.sampled_from([2, 7, 30]),
    people=st.sampled_from([2, 20, 300]),
    stretch=st.sampled_from([1, 4, 60]),
    concurrency=st.integers(1, 6),
)
def test_groups_of_identifiers_keep_the_order_together(
    seed: int, items: int, people: int, stretch: int, concurrency: int
) -> None:
    """An event whose profile is named with and without its e-mail address goes in two requests, one after the other."""
    rows = keyed_events(random.Random(seed), 150, people, stretch)
    server = Server()
    run = Run(
        attrs.evolve(operations.events(), max_items=items),
        rows,
        server,
        seed=seed,
        concurrency=concurrency,
        policy=ONCE,
    )
    for in_flight in run.steps():
        sent = [keys for task in in_flight if isinstance(task, SubBatchTask) for keys in [keys_in(task)]]
        assert all(first.isdisjoint(second) for at, first in enumerate(sent) for second in sent[:at])
    assert (run.report.accepted, fates(run.report)) == (len(rows), {})
    last: dict[Any, int] = {}
    for row in server.stored:
        for key in event_keys(row):
            assert last.get(key, -1) < row["params"]["n"]
            last[key] = row["params"]["n"]


def alternating(count: int, turns: int) -> list[dict[str, Any]]:
    """Events of one key each, whose profile is named in turn with and without its e-mail address."""
    more = {"label": "x", "action": "a.b", "time": "2023-01-01T00:00:00Z"}
    who = [(n, {"customId": f"c-{n}"}) for n in range(count)]
    clients = [(n, named if turn % 2 else named | {"email": f"{n}@x.pl"}) for n, named in who for turn in range(turns)]
    return [{**more, "eventSalt": f"s-{n}", "client": client, "params": {"n": n}} for n, client in clients]


def test_groups_that_alternate_fill_their_chunks() -> None:
    """A row that follows one of another group goes into a chunk that does, which both are filled for."""
    chunks = event_chunks(alternating(300, 2), 100)
    assert [len(chunk) for chunk in chunks] == [100] * 6
    assert [chunk.after for chunk in chunks] == [-1, 0, -1, 2, -1, 4]


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    items=st.sampled_from([3, 20, 200]),
    people=st.sampled_from([2, 20, 300, 5000]),
    stretch=st.sampled_from([1, 4, 60]),
)
def test_chunks_of_groups_depend_on_the_rows_alone(seed: int, items: int, people: int, stretch: int) -> None:
    """One by one and in blocks, rows of several groups go into the same chunks, which wait for the same ones."""
    rows = keyed_events(random.Random(seed), 300, people, stretch)
    found = [
        [(chunk.number, chunk.after, chunk.indexes) for chunk in event_chunks(rows, items, **options)]
        for options in ({}, {"rows_are_fixed": True}, {"flush_after": 1e9})
    ]
    assert found[0] == found[1] == found[2]
    assert sorted(index for _, _, indexes in found[0] for index in indexes) == list(range(len(rows)))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), items=st.sampled_from([2, 7, 30]), people=st.sampled_from([2, 20, 300]))
def test_a_chunk_waits_for_all_that_have_its_keys(seed: int, items: int, people: int) -> None:
    """Also for one of another group that is so long ago that its keys are forgotten."""
    rows = keyed_events(random.Random(seed), 800, people, stretch=8)
    last: dict[Any, int] = {}
    for chunk in event_chunks(rows, items):
        keys = {key for index in chunk.indexes for key in event_keys(rows[index])}
        assert max((last.get(key, -1) for key in keys), default=-1) <= chunk.after < chunk.number
        last |= dict.fromkeys(keys, chunk.number)


def event_chunks(rows: list[dict[str, Any]], items: int, **options: Any) -> list[Chunk]:
    operation = attrs.evolve(operations.events(), max_items=items)
    chunker = Chunker(operation, ChunkerOptions(**options), lambda *_: True, lambda _: None)
    source = iter(rows)
    return [*iter(lambda: chunker.next_chunk(source), None), *chunker.remaining_chunks()]


def keys_in(task: SubBatchTask) -> set[Any]:
    chunk = task.chunk_state.chunk
    return {key for position in task.sub_batch.positions for key in event_keys(chunk.row(position))}
