"""Waiting for an export against a fake server: odd answers, deadlines, statuses, backoff."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synerise_profiles import (
    APIConnectionError,
    APIStatusError,
    InvalidRequestError,
    NotFoundError,
    ResponseDecodingError,
    Synerise,
    SyneriseError,
)
from synerise_profiles.exports import Backoff, ExportFailedError, ExportTimeoutError
from synerise_profiles.exports.status import export_spec
from tests.exports.support import Clock, Server, answer, numbered, order

HIDDEN = answer({"status": 404}, 404)


@given(
    first=st.floats(0.01, 10),
    factor=st.floats(1, 10),
    more=st.floats(0, 100),
    number=st.integers(0, 5000),
    chance=st.floats(0, 1),
)
def test_a_wait_is_within_its_bounds(first: float, factor: float, more: float, number: int, chance: float) -> None:
    """Never less than the first, never more than the most; chance chooses in between."""
    backoff = Backoff(first=first, factor=factor, most=first + more)
    assert backoff.first <= backoff.wait(number, lambda: chance) <= backoff.most * (1 + 1e-9)
    assert backoff.wait(number, lambda: 0.0) == first
    assert backoff.wait(0, lambda: chance) == pytest.approx(first)


def test_waits_have_full_jitter() -> None:
    """Chance draws between the first wait and what the backoff has grown to."""
    clock = Clock(chance=0.5)
    with Server(numbered(1), ["A", "B", "C", "D", "COMPLETED"]).client(clock) as client:
        client.exports.run(order(), poll=Backoff(first=2, factor=2, most=10))
    assert clock.slept == [2.0, 3.0, 5.0, 6.0]


@pytest.mark.parametrize(
    "wrong",
    [{"first": 0}, {"first": -1}, {"first": math.nan}, {"factor": 0.5}, {"most": 0.5}, {"most": math.inf}],
    ids=str,
)
def test_a_backoff_that_would_not_wait(wrong: dict[str, Any]) -> None:
    """It is refused where it is made."""
    with pytest.raises(InvalidRequestError, match=f"poll.{next(iter(wrong))}"):
        Backoff(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"poll": 3},
        {"deadline": 0},
        {"deadline": math.nan},
        {"page_size": 0},
        {"page_size": True},
        {"progress": "yes"},
        {"statuses": {"X": "done"}},
    ],
    ids=str,
)
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    """What cannot work is refused by name, before anything is sent."""
    with (server := Server()).client() as client:
        for method, argument in (("run", order()), ("resume", "t-1")):
            with pytest.raises(InvalidRequestError, match=next(iter(wrong))):
                getattr(client.exports, method)(argument, **wrong)
    assert server.seen == []


@pytest.mark.parametrize("status", sorted(export_spec().meanings))
def test_known_statuses(status: str) -> None:
    """Each state that the document knows ends the wait, however it is spelled."""
    with Server(numbered(2), [f" {status.lower()} "]).client() as client:
        if export_spec().meanings[status] == "ready":
            assert len(list(client.exports.run(order()))) == 2
        else:
            with pytest.raises(ExportFailedError):
                client.exports.run(order())


@pytest.mark.parametrize("odd", ["", "ARCHIVED", None, 7, {"a": 1}, "x" * 500, "jan@example.com is not ready"], ids=str)
def test_any_other_status_is_waited_on(odd: Any) -> None:
    """Whatever the server answers, nothing crashes; a text that is no state is not repeated in the error."""
    with Server(numbered(2), [odd, odd, "COMPLETED"]).client() as client:
        assert len(list(client.exports.run(order()))) == 2
    with Server(statuses=[odd]).client() as client, pytest.raises(ExportTimeoutError) as caught:
        client.exports.run(order(), deadline=5)
    assert "jan@" not in str(caught.value)
    assert "x" * 41 not in str(caught.value)
    assert caught.value.status == (odd if isinstance(odd, str) else None)


def test_a_caller_may_know_more_statuses() -> None:
    """What the caller says of a status wins over what is known."""
    meanings = {"archived": "ready", "FAILED": "waiting", "gone": "failed"}
    with Server(numbered(2), ["FAILED", "ARCHIVED"]).client() as client:
        assert len(list(client.exports.run(order(), statuses=meanings))) == 2
    with Server(statuses=["GONE"]).client() as client, pytest.raises(ExportFailedError):
        client.exports.run(order(), statuses=meanings)


@pytest.mark.parametrize(("task", "expected"), [({"taskId": "a-1"}, "a-1"), ({"taskId": 17}, "17")])
def test_the_task_may_be_a_number(task: Any, expected: str) -> None:
    """The older export numbers its tasks."""
    with Server(task=task).client() as client:
        assert client.exports.run(order()).task_id == expected


@pytest.mark.parametrize("task", [{}, {"taskId": None}, {"taskId": ""}, {"taskId": True}, {"taskId": ["a"]}], ids=str)
def test_an_order_without_a_task(task: Any) -> None:
    """The export was started, but cannot be found: the error says so and keeps the answer."""
    with Server(task=task).client() as client, pytest.raises(ResponseDecodingError, match="names no task") as caught:
        client.exports.run(order())
    assert caught.value.content.startswith(b"{")


def test_an_order_that_never_arrived() -> None:
    """Where no connection was made nothing was started, and no note says that it may have been."""

    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("")

    client = Synerise(token="t", transport=httpx.MockTransport(refuse), _timing=Clock().timing)
    with client, pytest.raises(APIConnectionError) as caught:
        client.exports.run(order())
    assert not hasattr(caught.value, "__notes__")


def test_what_the_order_is_answered_with(tmp_path: Path) -> None:
    """Column order and estimated count are there if the server names them; a file has these columns too."""
    task = {"taskId": "t-1", "columnOrder": ["id", "customId", "city", "segment"], "estimatedCount": 12}
    with Server(task=task).client() as client:
        export = client.exports.run(order(fields=["id"], tags=["vip"]))
        export.write_csv(tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_bytes() == b"id,vip,customId,city,segment\r\n"
    assert export.column_order == ("id", "customId", "city", "segment")
    assert export.estimated_count == 12


def test_a_new_task_may_be_hidden_for_a_while() -> None:
    """Right after the order a 404 is waited on a few times; once it was seen, or when resuming, it is an error."""
    with Server(numbered(1), [HIDDEN] * 5 + ["COMPLETED"]).client() as client:
        assert len(list(client.exports.run(order()))) == 1
    with Server(statuses=[HIDDEN]).client(clock := Clock()) as client, pytest.raises(NotFoundError):
        client.exports.run(order())
    assert len(clock.slept) == 5
    with Server(statuses=["QUEUED", HIDDEN]).client(clock := Clock()) as client, pytest.raises(NotFoundError):
        client.exports.run(order())
    assert clock.slept == [1.0]
    with Server(statuses=[HIDDEN]).client(clock := Clock()) as client, pytest.raises(NotFoundError):
        client.exports.resume("t-1")
    assert clock.slept == []


def test_a_task_that_is_hidden_until_the_deadline() -> None:
    """The error that was waited on is the cause."""
    with Server(statuses=[HIDDEN]).client() as client, pytest.raises(ExportTimeoutError) as caught:
        client.exports.run(order(), deadline=2)
    assert isinstance(caught.value.__cause__, NotFoundError)
    assert caught.value.status is None


def test_a_server_that_hangs_does_not_outlast_the_deadline() -> None:
    """A check of the status is cut off soon after the deadline, whatever the client's own patience is."""
    clock = Clock()

    def hang() -> httpx.Response:
        clock.now += 30
        raise httpx.ReadTimeout("")

    with Server(statuses=["QUEUED", hang]).client(clock, max_retries=1000, deadline=1e6) as client:
        began = clock.now
        with pytest.raises(ExportTimeoutError, match="its last status was QUEUED"):
            client.exports.run(order(), deadline=50)
    assert clock.now - began <= 50 + 30 + 10


def test_no_deadline() -> None:
    """An infinite deadline waits as long as it takes."""
    clock = Clock()
    with Server(numbered(1), ["X"] * 1000 + ["DONE"]).client(clock) as client:
        client.exports.run(order(), deadline=math.inf)
    assert clock.now > 25_000


@pytest.mark.parametrize("task_id", ["", "..", 17, None])
def test_an_id_that_is_none(task_id: Any) -> None:
    """What cannot stand in a path is refused, as everywhere."""
    with Server().client() as client, pytest.raises(InvalidRequestError, match="task_id"):
        client.exports.resume(task_id)


def test_errors_can_be_pickled() -> None:
    """A worker process may hand them over whole."""
    with Server(statuses=["FAILED"]).client() as client, pytest.raises(ExportFailedError) as caught:
        client.exports.run(order())
    again = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(again, ExportFailedError)
    assert isinstance(again, SyneriseError)
    assert (str(again), again.task_id, again.status) == (str(caught.value), "t-1", "FAILED")


def test_a_page_that_is_refused_names_the_task() -> None:
    """Data of an export that expired meanwhile are an error, never a shorter export."""

    def expired(offset: int, _: int) -> httpx.Response | None:
        return answer({"status": 400}, 400) if offset else None

    with Server(numbered(5), page=expired).client() as client:
        records = iter(client.exports.run(order(), page_size=2))
        assert [next(records).id, next(records).id] == [0, 1]
        with pytest.raises(APIStatusError) as caught:
            next(records)
    assert "client.exports.resume('t-1')" in caught.value.__notes__[0]
