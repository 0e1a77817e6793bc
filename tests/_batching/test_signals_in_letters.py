"""What the handler of a signal raises is no fault of the value, the row or the file that was being looked into."""

from __future__ import annotations

import collections
import functools
import itertools
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import pytest

from synerise_profiles import Synerise
from synerise_profiles._batching.letters import letter_row
from synerise_profiles._reports.plain_json import plain_value
from synerise_profiles._validation.plain_rows import asked_plainly
from synerise_profiles.bulk import read_dead_letter, report_of

Handler = Callable[[int, FrameType | None], Any]


class TermError(Exception):
    """What a handler raises."""


class Handlers:
    def method(self, _number: int, _frame: FrameType | None) -> None:
        raise TermError

    def __call__(self, *_: object) -> None:
        raise TermError


def raise_plainly(_number: int, _frame: FrameType | None) -> None:
    raise TermError


def raise_once(number: int, _frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)  # the second one kills
    raise TermError


def raise_of(kind: type[Exception], _number: int, _frame: FrameType | None) -> None:
    raise kind


HANDLERS: dict[str, Handler] = {
    "function": raise_plainly,
    "once": raise_once,
    "method": Handlers().method,
    "object": Handlers(),
    "partial": functools.partial(raise_of, TermError),
    "args": lambda *_: raise_of(TermError, 0, None),
}


@contextmanager
def handled(handler: Handler) -> Iterator[None]:
    before = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Struck(collections.UserString):
    """A value in whose reading a signal comes."""

    def __str__(self) -> str:
        signal.raise_signal(signal.SIGTERM)
        return "x"


class StruckObject:
    def __str__(self) -> str:
        signal.raise_signal(signal.SIGTERM)
        return "x"


class StruckMapping(collections.UserDict[str, Any]):
    def __iter__(self) -> Iterator[str]:
        signal.raise_signal(signal.SIGTERM)
        return super().__iter__()


VALUES: dict[str, Any] = {
    "text": {"a": None, "v": Struck("x")},
    "object": {"a": None, "v": StruckObject()},
    "key": {"a": None, StruckObject(): 1},
    "mapping": {"a": None, "v": StruckMapping({"x": 1})},
    "set": {"a": None, "v": {1, Struck("x")}},
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("handler", HANDLERS)
def test_a_letter_tells_nothing_of_a_signal(handler: str, value: str) -> None:
    """A healthy value stays what it is, whatever kind of function handles the signal."""
    with handled(HANDLERS[handler]), pytest.raises(TermError):
        letter_row(VALUES[value])


@pytest.mark.parametrize("kind", [TypeError, ValueError, RecursionError, TimeoutError, AttributeError])
def test_an_error_of_any_kind(kind: type[Exception]) -> None:
    """Also one that a value itself could raise."""
    for value in VALUES.values():
        with handled(functools.partial(raise_of, kind)), pytest.raises(kind):
            letter_row(value)
    with handled(functools.partial(raise_of, kind)), pytest.raises(kind):
        plain_value(StruckObject())  # type: ignore[arg-type]
    with handled(functools.partial(raise_of, kind)), pytest.raises(kind):
        asked_plainly(str, StruckObject())


def test_a_value_that_raises_by_itself_is_told() -> None:
    """A handler that is installed, and was not called, changes nothing."""

    class Odd:
        def __str__(self) -> str:
            raise TermError

    with handled(raise_plainly):
        found = letter_row({"a": None, "v": Odd()})
    assert (json.loads(found.json), found.problems) == ({"a": None, "v": "Odd"}, ("v: it is no value of JSON (Odd)",))


def test_a_run_ends_by_what_the_handler_raised(tmp_path: Path) -> None:
    """At whatever row that comes: it reaches the caller, with the report, and the letters hold the rows as given."""
    for at in (0, 1, 50, 99):
        numbers = itertools.count()

        class Late(collections.UserString):
            def __str__(self) -> str:
                if next(numbers) == at:  # noqa: B023 - it is called in this turn
                    signal.raise_signal(signal.SIGTERM)
                return "x"

        path = tmp_path / f"{at}.jsonl"
        transport = httpx.MockTransport(lambda _: httpx.Response(202))
        rows = [{"customId": f"c{number}", "firstName": None, "city": Late("x")} for number in range(100)]
        client = Synerise(token="t", base_url="http://localhost", transport=transport)
        with client, handled(raise_plainly), pytest.raises(TermError) as caught:
            client.bulk.upsert_profiles(rows, dead_letter=path)
        report = report_of(caught.value)
        assert report is not None
        assert report.read == report.rejected_count() > 0
        letters = list(read_dead_letter(path))
        assert [letter["row"]["city"] for letter in letters] == ["x"] * report.read
        assert not any("problems" in letter for letter in letters)
