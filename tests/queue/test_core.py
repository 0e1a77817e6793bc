"""The queue's state machine without I/O: every row delivered once, rejected, counted as dropped, or still held."""

from __future__ import annotations

import collections
import datetime
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from synerise_profiles import InvalidRequestError
from synerise_profiles._batching import operations
from synerise_profiles._batching.machine import DONE, Signal, Wait
from synerise_profiles._batching.send_result import SendResult
from synerise_profiles._core.retry import RetryPolicy
from synerise_profiles.queue.core import QueueCore
from synerise_profiles.queue.inflight import QueueTask
from synerise_profiles.queue.producers import QueueRowEncoder
from synerise_profiles.queue.settings import QueueSettings
from tests.queue.support import FATES, START, Clock, Server, event, is_bad, number, profile

POLICY = RetryPolicy()


class Rig:
    """A core with encoders, a clock and a server; `in_flight` are the tasks that were not answered yet."""

    def __init__(self, *, style: str = "207", items: int = 1000, ahead: float = 0.0, **options: Any) -> None:
        self.clock = Clock(ahead)
        self.server = Server(self.clock, style)
        self.settings = QueueSettings(**options)
        self.batch_operations = [
            attrs.evolve(each, max_items=items) for each in (operations.events(), operations.profiles())
        ]
        self.core = QueueCore(self.batch_operations, self.settings, POLICY, self.clock.timing)
        self.encoders = [QueueRowEncoder(each, self.settings, lambda _: None) for each in self.batch_operations]
        self.in_flight: list[QueueTask] = []
        self.rejected: list[int] = []
        self.errors: list[Exception] = []

    def put(self, row: dict[str, Any]) -> bool | None:
        at = 0 if "label" in row else 1
        return self.core.put(self.core.channels[at], self.encoders[at].encode(row))

    def step(self) -> QueueTask | Wait | Signal:
        step = self.core.next()
        if isinstance(step, QueueTask):
            self.in_flight.append(step)
        return step

    def answer(self, task: QueueTask, fate: str = "well") -> SendResult:
        self.in_flight.remove(task)
        result = self.server(task.request().content, fate)
        is_conclusive = task.apply_response(result)
        answer_result = self.core.on_result(task, result, is_conclusive=is_conclusive)
        if answer_result.error is not None:
            self.errors.append(answer_result.error)
        for position, _ in answer_result.refused:
            assert answer_result.chunk is not None
            self.rejected.append(answer_result.chunk.indexes[position])
        return result

    def drain(self, max_steps: int = 5000) -> None:
        """Let everything go well until nothing is left."""
        for _ in range(max_steps):
            while self.in_flight:
                self.answer(self.in_flight[0])
            step = self.step()
            if step is DONE or (isinstance(step, Wait) and step.seconds is None and not self.in_flight):
                return
            if isinstance(step, Wait) and not self.in_flight:
                assert step.seconds is not None
                self.clock.now += step.seconds
        raise AssertionError("the queue never becomes idle")

    def held(self) -> list[int]:
        return [left.index for left in self.core.undelivered()]


class CoreStates(RuleBasedStateMachine):
    """Puts, sendings, answers of every kind, flushes, time and closing, in any order."""

    @initialize(
        style=st.sampled_from(["207", "400 with positions", "400"]),
        items=st.integers(1, 5),
        max_items=st.integers(1, 14),
        max_bytes=st.integers(400, 3000),
        when_full=st.sampled_from(["block", "drop_oldest", "raise"]),
        flush_items=st.none() | st.integers(1, 6),
        flush_bytes=st.none() | st.integers(100, 1000),
        concurrency=st.integers(1, 3),
    )
    def start(self, style: str, items: int, **options: Any) -> None:
        self.rig = Rig(style=style, items=items, **options)
        self.rows: dict[int, dict[str, Any]] = {}
        self.dropped: set[int] = set()
        self.n = 0

    @rule(by=st.sampled_from(["customId", "email", "profile"]), bad=st.booleans(), timed=st.booleans())
    @precondition(lambda self: not self.rig.core.is_closed)
    def put(self, *, by: str, bad: bool, timed: bool) -> None:
        more = {"time": "2020-01-01T00:00:00Z"} if timed and by != "profile" else {}
        self.n += 1
        row = profile(self.n, bad=bad) if by == "profile" else event(self.n, by=by, bad=bad, **more)
        core = self.rig.core
        before, in_flight = set(self.rig.held()), self.indexes_in_flight()
        at = core.put_count
        if self.rig.put(row) is None:
            assert core.put_count == at
            assert self.rig.settings.when_full != "drop_oldest"
            assert set(self.rig.held()) == before
            return
        self.rows[at] = row
        dropped_now = (before | {at}) - set(self.rig.held())
        assert not dropped_now or self.rig.settings.when_full == "drop_oldest"
        assert not dropped_now & in_flight
        # The oldest ones go, of those that are not being sent; the new one only if it does not fit beside these.
        older = before - self.sealed()
        if at in dropped_now:
            assert dropped_now == {at}
            assert not older or self.has_large_row
        else:
            assert dropped_now == set(sorted(older)[: len(dropped_now)])
        self.dropped |= dropped_now

    @property
    def has_large_row(self) -> bool:
        """Whether a row was put that is larger than half of the queue; with its time it has 31 bytes more."""
        return max(len(orjson.dumps(row)) for row in self.rows.values()) + 50 + 31 > self.rig.settings.max_bytes // 2

    @rule()
    def send(self) -> None:
        self.rig.step()

    @rule(data=st.data(), fate=st.sampled_from(["well", "well", *FATES]))
    @precondition(lambda self: self.rig.in_flight)
    def answer(self, data: Any, fate: str) -> None:
        self.rig.answer(data.draw(st.sampled_from(self.rig.in_flight)), fate)

    @rule(seconds=st.floats(0, 70))
    def pass_time(self, seconds: float) -> None:
        self.rig.clock.now += seconds

    @rule()
    def flush(self) -> None:
        self.rig.core.flush()

    @rule()
    def close(self) -> None:
        self.rig.core.close()

    @rule()
    def recover(self) -> None:
        mark = self.rig.core.flush()
        self.rig.drain()
        assert self.rig.core.is_settled(mark)
        assert self.rig.core.held_before(mark) == 0

    def indexes_in_flight(self) -> set[int]:
        return {
            task.inflight_batch.chunk_state.chunk.indexes[position]
            for task in self.rig.in_flight
            if task.inflight_batch is not None
            for position in task.sub_batch.positions
        }

    def sealed(self) -> set[int]:
        batches = (batch for channel in self.rig.core.channels for batch in channel.inflight_batches)
        return {index for batch in batches for index in batch.open_indexes()}

    @invariant()
    def every_row_has_one_fate(self) -> None:
        core = self.rig.core
        held, rejected = self.rig.held(), self.rig.rejected
        assert core.put_count == core.delivered + core.rejected + core.dropped + core.held == len(self.rows)
        assert len(held) == len(set(held)) == core.held
        assert len(rejected) == len(set(rejected)) == core.rejected
        assert len(self.dropped) == core.dropped
        assert not set(held) & set(rejected)
        assert not (set(held) | set(rejected)) & self.dropped
        delivered = self.rows.keys() - set(held) - set(rejected) - self.dropped
        assert len(delivered) == core.delivered
        # Each that counts as delivered is there, and nothing is there twice, whatever was sent again.
        stored = collections.Counter(number(row) for row in self.rig.server.stored.values())
        assert all(stored[number(self.rows[n])] == 1 for n in delivered)
        assert max(stored.values(), default=1) == 1
        assert not any(stored[number(self.rows[n])] for n in self.dropped)

    @invariant()
    def bounds_are_kept(self) -> None:
        core, chosen = self.rig.core, self.rig.settings
        assert 0 <= core.held <= chosen.max_items
        assert 0 <= core.held_bytes <= chosen.max_bytes
        assert (core.held_bytes == 0) is (core.held == 0)
        assert sum(map(len, [task.sub_batch.positions for task in self.rig.in_flight])) == core.in_flight <= core.held
        assert len(self.rig.in_flight) <= chosen.concurrency
        assert (
            sum(
                task.inflight_batch is not None and task.inflight_batch in core.channels[1].inflight_batches
                for task in self.rig.in_flight
            )
            <= 1
        )
        for rows, size in self.rig.server.sizes:
            assert rows <= self.rig.batch_operations[0].max_items
            assert size <= max(chosen.flush_bytes or 0, chosen.max_bytes)

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.recover()
            self.every_row_has_one_fate()
            assert self.rig.core.held == 0


TestCoreStates = CoreStates.TestCase
TestCoreStates.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)


def test_only_bad_rows_are_rejected() -> None:
    """Whatever form a refusal has, the rows that it means are found, and no other one is lost."""
    for style in ("207", "400 with positions", "400"):
        rig = Rig(style=style)
        for n in range(200):
            rig.put(event(n, bad=n % 67 == 66))
        rig.core.flush()
        rig.drain()
        assert sorted(rig.rejected) == [66, 133], style
        assert rig.core.delivered == 198


def test_a_batch_goes_when_it_is_full_or_old() -> None:
    """By number of rows, by bytes, or by age, whichever comes first."""
    rig = Rig(flush_items=3, flush_after=5.0)
    rig.put(profile(1))
    assert rig.core.next() == Wait(5.0)
    rig.clock.now += 4
    rig.put(profile(2))
    assert rig.core.next() == Wait(1.0)
    rig.clock.now += 1
    step = rig.step()
    assert isinstance(step, QueueTask)
    assert step.sub_batch.positions == range(2)
    rig.answer(step)
    for n in range(3):
        rig.put(profile(n))
    assert isinstance(rig.step(), QueueTask)

    size = len(orjson.dumps(profile(1)))
    rig = Rig(flush_bytes=2 * size + 3)
    for n in range(1, 3):
        assert isinstance(rig.core.next(), Wait)
        rig.put(profile(n))
    step = rig.step()
    assert isinstance(step, QueueTask)
    assert len(step.request().content or b"") == 2 * size + 3


def test_rows_of_one_request_name_their_profile_in_one_way() -> None:
    """Events that name profiles by different identifiers go in different requests."""
    rig = Rig()
    for n in range(10):
        rig.put(event(n, by="email" if n % 2 else "customId"))
    rig.core.flush()
    rig.drain()
    assert rig.server.sizes == [(5, size) for _, size in rig.server.sizes]
    assert len(rig.server.sizes) == 2


def test_rows_of_one_event_are_not_in_two_requests() -> None:
    """A batch waits for the one in flight that has a row of the same salt, time and profile; others do not."""
    noon = "2020-01-01T12:00:00Z"
    rig = Rig(flush_items=2, concurrency=4)
    for n, salt in enumerate(["a", "b", "b", "c", "d", "e"]):
        row = event(n)
        rig.put({**row, "client": {"customId": "one"}, "eventSalt": salt, "time": noon})
    first = rig.step()
    assert isinstance(first, QueueTask)
    assert rig.core.next() == Wait(None)
    rig.answer(first, "well")
    assert all(isinstance(rig.step(), QueueTask) for _ in range(2))
    rig.drain()
    assert rig.core.delivered == 6


def test_profiles_arrive_in_the_order_of_puts() -> None:
    """One request after the other, even if one has to be sent again: the last put wins."""
    rig = Rig(flush_items=2, concurrency=4)
    for n in range(10):
        rig.put(profile(n))
    first = rig.step()
    assert isinstance(first, QueueTask)
    assert isinstance(rig.step(), Wait)
    rig.answer(first, "refused connection")
    rig.drain()
    assert rig.server.order == list(range(10))


def test_a_row_without_time_gets_that_of_its_put() -> None:
    """By the server's clock, milliseconds cut off; one put later is later. A second sending has the same bytes."""
    rig = Rig(ahead=-3600.25)
    rig.put(event(1))
    rig.clock.now += 7
    rig.put(event(2))
    rig.core.flush()
    clock_task = rig.step()
    assert isinstance(clock_task, QueueTask)
    assert clock_task.inflight_batch is None
    rig.answer(clock_task)
    task = rig.step()
    assert isinstance(task, QueueTask)
    content = task.request().content
    rig.answer(task, "lost after")
    rig.core.flush()
    again = rig.step()
    assert isinstance(again, QueueTask)
    assert again.request().content == content
    rig.answer(again)
    behind = [moment - seconds_of(row) for moment, row in zip((0, 7), rig.server.stored.values(), strict=True)]
    assert all(0 < seconds < 0.01 for seconds in behind)  # never ahead, and hardly behind


def seconds_of(row: dict[str, Any]) -> float:
    """The time of a row, in seconds since the first put by a server's clock that is an hour and a quarter behind."""
    return datetime.datetime.fromisoformat(row["time"]).timestamp() - (START + 100 - 3600.25)


def test_the_clock_is_read_again_when_it_is_old_or_was_set() -> None:
    """An old reading serves until the next one is there; drift never makes a time one of the future."""
    rig = Rig(ahead=5.123)
    rig.put(event(1))
    rig.core.flush()
    rig.drain()
    for n in range(2, 6):
        rig.clock.now += 250
        rig.clock.ahead -= 0.04  # the server's clock is slower
        rig.put(event(n))
        rig.core.flush()
        rig.drain()  # the server in it refuses times of the future
    assert rig.core.delivered == 5
    assert rig.core.requests == 5 + 2


def test_a_bad_key_is_tried_again_slowly_and_reported() -> None:
    """Nothing is lost while the key is refused; it is tried ever more rarely, and by a flush at once."""
    rig = Rig()
    rig.put(profile(1))
    rig.core.flush()
    waits = []
    for _ in range(10):
        task = rig.step()
        assert isinstance(task, QueueTask)
        rig.answer(task, "403")
        step = rig.core.next()
        assert isinstance(step, Wait)
        waits.append(step.seconds)
        rig.clock.now += step.seconds or 0.0
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert {type(error).__name__ for error in rig.errors} == {"PermissionDeniedError"}
    assert rig.core.stats({}).failing == {"profiles.upsert_batch": "status 403"}
    rig.core.flush()
    rig.drain()
    assert rig.core.delivered == 1
    assert rig.core.stats({}).failing == {}


def test_one_operation_that_fails_does_not_hold_up_the_others() -> None:
    """A key without the permission for events still sends profiles."""
    rig = Rig(concurrency=1)
    rig.put(event(1, time="2020-01-01T00:00:00Z"))
    rig.put(profile(2))
    rig.core.flush()
    for _ in range(2):
        task = rig.step()
        assert isinstance(task, QueueTask)
        rig.answer(task, "403" if b"label" in (task.request().content or b"") else "well")
    assert rig.core.delivered == 1
    assert rig.core.held == 1


def test_waits_grow_to_the_policys_longest_and_never_stop() -> None:
    """A server that is away is tried for ever, neither in a rush nor rarer than the policy says."""
    rig = Rig()
    rig.put(profile(1))
    rig.core.flush()
    waits = []
    for _ in range(60):
        task = rig.step()
        assert isinstance(task, QueueTask)
        rig.answer(task, "refused connection")
        step = rig.core.next()
        assert isinstance(step, Wait)
        assert step.seconds is not None
        waits.append(step.seconds)
        rig.clock.now += step.seconds
    assert min(waits) >= 0.049
    assert POLICY.max_delay / 2 < max(waits[20:]) <= POLICY.max_delay


def test_what_the_server_asks_to_wait_is_kept_even_by_a_flush() -> None:
    """Retry-After holds all rows of an operation back."""
    rig = Rig()
    rig.put(profile(1))
    rig.core.flush()
    task = rig.step()
    assert isinstance(task, QueueTask)
    rig.answer(task, "429")
    rig.core.flush()
    assert rig.core.next() == Wait(2.0)


def test_a_queue_of_which_all_is_in_flight_drops_the_new_row() -> None:
    """What is being sent is never dropped: it may have been applied, and the count would be wrong."""
    rig = Rig(max_items=1, when_full="drop_oldest")
    rig.put(profile(1))
    assert isinstance(rig.step(), QueueTask)
    assert rig.put(profile(2)) is False
    assert (rig.core.put_count, rig.core.dropped, rig.core.held) == (2, 1, 1)
    rig.drain()
    assert rig.server.order == [1]


def test_a_row_as_large_as_the_queue_fits() -> None:
    """It is sent by itself; one byte more is refused at once, since it would never fit."""
    size = len(orjson.dumps(profile(1))) + 1
    rig = Rig(max_bytes=size)
    assert rig.put(profile(1)) is True
    assert rig.core.held_bytes == size
    rig.drain()
    assert rig.core.delivered == 1
    with pytest.raises(InvalidRequestError, match="no more than"):
        Rig(max_bytes=size - 1).put(profile(1))


def test_what_was_never_sent_keeps_the_time_of_its_put() -> None:
    """Rows that are left have salt and time, by the clock here where the server's is not known."""
    rig = Rig(ahead=3600.0)
    rig.put(event(1))
    rig.clock.now += 30
    (left,) = rig.core.undelivered()
    row = orjson.loads(left.row)
    assert row["time"].startswith("2023-11-14T22:14:59.9")
    assert row["eventSalt"]
    assert not left.maybe_applied


@pytest.mark.parametrize("max_items", [10, 200])
@pytest.mark.parametrize("fate", ["503", "403"])
def test_a_full_queue_drops_its_oldest_rows_while_the_server_is_away(max_items: int, fate: str) -> None:
    """However long, and whatever is in flight: the newest rows are kept, also those of an operation that works."""
    rig = Rig(max_items=max_items, when_full="drop_oldest", concurrency=4)

    def send_all() -> None:
        rig.core.flush()
        while isinstance(rig.step(), QueueTask):
            continue
        for task in list(rig.in_flight):
            rig.answer(task, fate if b"label" in (task.request().content or b"") else "well")

    for n in range(5 * max_items):
        rig.put(event(n, time="2020-01-01T00:00:00Z"))
        if n % 5 == 0:
            send_all()
    sent, waiting = rig.core._inflight.rows, rig.held()[rig.core._inflight.rows :]
    assert 0 < sent <= max_items // 4
    assert waiting == list(range(5 * max_items - len(waiting), 5 * max_items))
    assert len(waiting) == max_items - sent
    rig.put(profile(1))
    send_all()
    assert rig.core.delivered == 1


def test_a_new_row_takes_the_place_of_an_older_one_by_bytes() -> None:
    """With batches of all operations in flight, a row of half of the queue still finds room."""
    noon = "2020-01-01T12:00:00Z"
    rig = Rig(max_bytes=2000, when_full="drop_oldest", concurrency=3)
    for n in range(30):
        rig.put(event(n, by="email" if n % 2 else "customId", time=noon))
        if n % 5 == 4:
            rig.core.flush()
            while isinstance(rig.step(), QueueTask):
                continue
    rig.put(profile(30, lastName="x" * 880))
    assert rig.held()[-1] == 30


def test_what_was_delivered_leaves_room_for_good() -> None:
    """However much went through it, a queue that is full drops its oldest row, and not the new one."""
    rig = Rig(max_items=4, flush_items=2, when_full="drop_oldest")
    for n in range(10):
        rig.put(profile(n))
        rig.core.flush()
        rig.drain()
    for n in range(10, 16):
        rig.put(profile(n))
    assert rig.held() == [12, 13, 14, 15]
    assert rig.core.dropped == 2


def test_reset_forgets_rows_and_counters_but_not_the_clock() -> None:
    """A child of fork begins with nothing."""
    rig = Rig()
    for n in range(5):
        rig.put(event(n))
    rig.core.flush()
    rig.drain()
    rig.put(event(6))
    channels = list(rig.core.channels)
    rig.core.reset()
    assert rig.core.stats({}).put == 0
    assert rig.held() == []
    assert rig.core.channels == channels
    rig.in_flight.clear()
    rig.put(event(7))
    rig.core.flush()
    step = rig.step()
    assert isinstance(step, QueueTask)
    assert step.inflight_batch is not None


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"label": "v", "action": "a.b", "client": {}}, "client"),
        ({"label": "v", "action": "a.b", "client": {"customId": "c"}, "params": {"x": None}}, "params.x"),
        ({"label": "v", "action": "a.b", "client": {"customId": "c"}, "params": {"x": float("nan")}}, "params.x"),
        ({"label": "v", "action": "a.b", "client": {"customId": "c"}, "eventSalt": ""}, "eventSalt"),
        ({"label": "v", "action": "a.b", "client": {"customId": "c"}, "time": ""}, "time"),
        ({"label": "v", "action": "a.b", "client": {"customId": "c"}, "params": {"x": "y" * 1_000_000}}, ""),
        ("text", ""),
    ],
)
def test_a_bad_row_is_refused_at_once(row: Any, field: str) -> None:
    """The caller learns of it in `put`, by the same checks as those of bulk runs; its values stay out of the text."""
    rig = Rig()
    with pytest.raises(InvalidRequestError) as caught:
        rig.core.put(rig.core.channels[0], rig.encoders[0].encode(row))
    assert caught.value.field == field
    assert caught.value.operation == "events.send_batch"
    assert "yyy" not in str(caught.value)
    assert rig.core.put_count == 0


def test_salts_are_of_the_put_of_the_content_or_the_callers() -> None:
    """Two puts are two events, unless the salt is asked to come from the content; one that is there stays."""
    row = event(1)

    def salts(**options: Any) -> list[str]:
        rig = Rig(**options)
        return [orjson.loads(rig.encoders[0].encode(row)[0])["eventSalt"] for _ in range(2)]

    one, two = salts()
    assert one != two
    assert len(one) == 32
    one, two = salts(salt="content")
    assert one == two
    assert salts(salt=lambda row: f"s-{row['params']['n']}") == ["s-1", "s-1"]
    assert salts(salt=["params.n"]) == ["1", "1"]
    assert salts(salt=("params.n", "label")) == ['[1,"Visit"]'] * 2
    assert salts(salt="nightly") == ["nightly", "nightly"]
    with pytest.raises(InvalidRequestError, match=r"did you mean salt=\['label'\]"):
        Rig(salt="label")
    with pytest.raises(InvalidRequestError, match="the salt is made from it"):
        salts(salt=["params.missing"])
    kept = Rig().encoders[0].encode({**row, "eventSalt": "mine"})[0]
    assert orjson.loads(kept)["eventSalt"] == "mine"
    assert kept.count(b"eventSalt") == 1


@pytest.mark.parametrize(
    "options",
    [
        {"max_items": 0},
        {"max_bytes": True},
        {"when_full": "drop"},
        {"put_timeout": -1},
        {"flush_after": float("inf")},
        {"flush_items": 0},
        {"concurrency": 0},
        {"checks": "some"},
        {"allow_null": "firstName"},
        {"salt": " "},
        {"salt": "unique"},
        {"salt": []},
        {"exit_timeout": None},
    ],
)
def test_options_that_cannot_work_are_refused(options: Any) -> None:
    """At once, with the option's name."""
    with pytest.raises(InvalidRequestError, match=next(iter(options))):
        QueueSettings(**options)


def test_bad_rows_are_recognised() -> None:
    """The rows of these tests are good or bad as they say."""
    assert is_bad(event(1, bad=True))
    assert not is_bad(profile(1))
