"""What is nested too deeply, holds itself or comes to no end: one verdict on each road, with the field."""

from __future__ import annotations

import datetime
import enum
import subprocess
import sys
from collections import UserDict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from synerise_profiles import InvalidRequestError, Synerise
from synerise_profiles_api.encoding import to_wire


def nested(levels: int, wrap: Callable[[Any], Any] = lambda value: [value]) -> Any:
    found: Any = 1
    for _ in range(levels):
        found = wrap(found)
    return found


def cyclic() -> Any:
    found: dict[str, Any] = {}
    found["own"] = [found, found]
    return found


class Endless(Sequence[int]):
    """A sequence that says how long it is, and yields for ever."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return index


def verdict_of_call(send: Callable[[], Any]) -> tuple[bool, str, str]:
    try:
        send()
    except InvalidRequestError as error:
        return False, error.field.removeprefix("body").removeprefix("[0]").removeprefix("."), error.problem
    return True, "", ""


def verdict_of_run(client: Synerise, row: Any, checks: Any) -> tuple[bool, str, str]:
    rows = [*({"customId": f"c-{n}"} for n in range(20)), row]
    report = client.bulk.upsert_profiles(rows, checks=checks)
    if not report.rejected:
        return True, "", ""
    (rejection,) = report.rejected
    assert report.accepted == 20
    return False, rejection.field or "", rejection.reason


def verdicts(client: Synerise, row: dict[str, Any]) -> set[tuple[bool, str, str]]:
    with client.queue() as queue:
        return {
            verdict_of_call(lambda: client.profiles.upsert(row)),
            verdict_of_call(lambda: client.profiles.upsert_batch([row])),
            verdict_of_call(lambda: queue.profiles.put(row)),
            verdict_of_run(client, row, "basic"),
            verdict_of_run(client, row, "strict"),
            verdict_of_run(client, row, "off"),
            verdict_of_run(client, MappingProxyType(row), "basic"),
        }


@pytest.mark.parametrize(
    "wrap", [lambda value: [value], lambda value: {"a": value}, lambda value: (value,)], ids=["list", "dict", "tuple"]
)
@pytest.mark.parametrize(("levels", "is_taken"), [(195, True), (253, False), (260, False), (900, False)])
def test_one_limit_of_nesting(client: Synerise, wrap: Any, levels: int, *, is_taken: bool) -> None:
    """Lists and objects may be 254 levels deep, the row itself included."""
    row = {"customId": "x", "attributes": {"deep": nested(levels, wrap)}}
    field, problem = ("", "") if is_taken else ("attributes.deep", "is nested too deeply, or contains itself")
    assert verdicts(client, row) == {(is_taken, field, problem)}


@pytest.mark.parametrize("make", [cyclic, lambda: UserDict(a=nested(2000)), lambda: nested(2000)])
def test_what_holds_itself_is_refused_by_its_field(client: Synerise, make: Callable[[], Any]) -> None:
    """And so is what is deeper than Python itself goes."""
    ((is_taken, field, problem),) = verdicts(client, {"customId": "x", "attributes": {"deep": make()}})
    assert (is_taken, problem) == (False, "is nested too deeply, or contains itself")
    assert field == "attributes.deep"


def test_a_sequence_without_an_end_is_refused(client: Synerise) -> None:
    """By what it says of its length."""
    row = {"customId": "x", "attributes": {"list": Endless()}}
    ((is_taken, field, problem),) = verdicts(client, row)
    assert (is_taken, field) == (False, "attributes.list")
    assert problem.startswith("yields more items than its length says")
    with pytest.raises(InvalidRequestError, match="yields more items than its length says"):
        client.profiles.upsert_batch(Endless())  # type: ignore[arg-type]


class Consents(enum.Enum):
    ALL = MappingProxyType({"email": True})


@pytest.mark.parametrize("field", ["attributes", "agreements"])
def test_a_member_of_an_enum_is_its_value(client: Synerise, field: str) -> None:
    """Also where that is a mapping, and whatever checks it."""
    assert verdicts(client, {"customId": "x", field: Consents.ALL}) == {(True, "", "")}


@pytest.mark.parametrize("text", ["[" * 300, "[]" * 300, "]" * 300, "[{" * 200 + "}]" * 200])
def test_brackets_in_texts_are_no_levels(client: Synerise, text: str) -> None:
    """Nor are many lists beside each other."""
    assert verdicts(client, {"customId": "x", "attributes": {"text": text}}) == {(True, "", "")}
    row = {"customId": "x", "attributes": {"text": text, "lists": [[n] for n in range(300)]}}
    assert verdicts(client, row) == {(True, "", "")}


def test_an_enum_with_a_value_of_its_own_ends_no_process() -> None:
    """It costs its row where that raises, or is the member again; what it returns is written else."""
    program = Path(__file__).with_name("enum_program.py")
    done = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    failing, asked, own, looked = done.stdout.splitlines()
    problem = "attributes.v[0]: raised RuntimeError when it was read; give a value of a type of Python's own"
    assert (failing, asked) == (f"Failing {problem}", f"Asked {problem}")
    assert own.startswith("Own attributes.v[0]: is an Own, which JSON cannot carry")
    assert "|" not in own
    assert looked == "Looked sent"


@pytest.mark.parametrize("count", [0, 20, 400])
@pytest.mark.parametrize("road", ["profiles", "events", "queue"])
def test_neither_does_one_that_is_made_while_rows_are_read(road: str, count: int) -> None:
    """By the source, in a process that had none."""
    program = Path(__file__).with_name("late_enum_program.py")
    command = [sys.executable, program, road, str(count)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "attributes.v")


class OwnDate(datetime.date):
    """A date that writes itself in its own way."""

    def isoformat(self) -> str:
        return "today"


class OwnMoment(datetime.datetime):
    """A moment that writes itself in its own way."""

    def isoformat(self, *_: Any) -> Any:
        return 5


@pytest.mark.parametrize("value", [OwnDate(2026, 1, 2), OwnMoment(2026, 1, 2, tzinfo=datetime.UTC)])
def test_a_date_that_writes_itself_is_the_date_that_it_is(client: Synerise, value: Any) -> None:
    """Its class may write more of it, and nothing else; it is no text, and so no identifier."""
    assert to_wire({"v": value})["v"].startswith("2026-01-02")
    assert verdicts(client, {"customId": "x", "attributes": {"v": value}}) == {(True, "", "")}
    row = {"customId": value}
    assert {verdict_of_call(lambda: client.profiles.upsert(row))[1], verdict_of_run(client, row, "basic")[1]} == {
        "customId"
    }
