"""Functions that callers give: one that works is taken in every place, and a coroutine that nothing awaits is told."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import ctypes
import dataclasses
import functools
import io
import logging
import operator
import queue
import types
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from unittest import mock

import attrs
import pytest

from synerise_profiles import AsyncSynerise, ConfigurationError, InvalidRequestError, Synerise
from synerise_profiles._core.callables import closed_coroutine, is_awaitable, is_coroutine_function, takes
from synerise_profiles.bulk.settings import EVENTS, PROFILES, BulkSettings, check_call
from synerise_profiles.exports.settings import ExportSettings
from synerise_profiles.merges.settings import ApplySettings
from synerise_profiles.sandbox import Sandbox
from synerise_profiles.sources import RowMapping, read_csv

PATCHED = "os.getcwd"


def plain(value: object) -> object:
    """Return nothing."""


async def awaited(value: object) -> None:
    """Return nothing, later."""


def drops(function: Callable[[], object]) -> Callable[[object], object]:
    @functools.wraps(function)
    def wrapper(_value: object) -> object:
        return function()

    return wrapper


def adds(function: Callable[[str, object], object]) -> Callable[..., object]:
    @functools.wraps(function)
    def wrapper(*values: Any) -> object:
        return function("database", *values)

    return wrapper


class Handler:
    def method(self, value: object) -> None: ...
    @classmethod
    def of_class(cls, value: object) -> None: ...
    @staticmethod
    def static(value: object) -> None: ...
    @functools.singledispatchmethod
    def dispatched(self, value: object) -> None: ...

    one_given = functools.partialmethod(lambda self, first, value: None, 1)
    cached = functools.lru_cache(lambda self, value: None)


def kept(result: object) -> Callable[[object], object]:
    return lambda _value: result


def calling(call: Any, **others: Any) -> Any:
    """Return an object of a class with such a `__call__`."""
    return type("Called", (), {"__call__": call} | others)()


def failing(_self: object) -> object:
    raise RuntimeError("no signature")


class Forwarding:
    """Says that it is what it forwards to."""

    def __init__(self, function: Any) -> None:
        self.function = function

    @property
    def __class__(self) -> Any:
        return type(self.function)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.function, name)

    def __call__(self, *values: Any) -> Any:
        return self.function(*values)


class Anything:
    def __getattr__(self, _name: str) -> Any:
        return Anything()

    def __call__(self, *_values: object) -> None: ...


@dataclasses.dataclass
class Data:
    value: object
    other: int = 1


@attrs.define
class Defined:
    value: object


class Named(NamedTuple):
    value: object


class Called(Protocol):
    def __call__(self, value: object, /) -> object: ...


class Implementing(Called):
    def __call__(self, value: object, /) -> object: ...


class Loud(type):
    def __call__(cls, *values: object, **_: object) -> object:
        return cls


def looped(value: object) -> None: ...


looped.__wrapped__ = looped  # type: ignore[attr-defined]


def misdescribed(value: object) -> None: ...


misdescribed.__signature__ = "none"  # type: ignore[attr-defined]


def lying(value: object) -> None: ...


lying.__signature__ = __import__("inspect").Signature()  # type: ignore[attr-defined]

VALID: dict[str, Callable[[Any], object]] = {
    "a function": plain,
    "a lambda": lambda value: None,
    "a default": lambda value, other=None: None,
    "all": lambda *values: None,
    "all and options": lambda *values, **options: None,
    "an option": lambda value, *, option=1: None,
    "a closure": kept(1),
    "positional only": eval("lambda value, /: None"),
    "a generator": lambda value: (yield),
    "a wrapper that drops": drops(lambda: None),
    "a wrapper that adds": adds(lambda database, value: None),
    "a wrapper of a wrapper": drops(functools.partial(drops(lambda: None), 1)),  # type: ignore[arg-type]
    "mock.patch": mock.patch(PATCHED)(lambda value, patched: None),
    "update_wrapper": functools.update_wrapper(lambda *values: None, int.__add__),
    "wraps itself": looped,
    "a signature that is none": misdescribed,
    "a signature that lies": lying,
    "singledispatch": functools.singledispatch(plain),
    "lru_cache": functools.lru_cache(plain),
    "a context manager": contextlib.contextmanager(lambda value: (yield)),
    "a method": Handler().method,
    "a class method": Handler.of_class,
    "a static method": Handler.static,
    "the object of a static method": staticmethod(plain),
    "singledispatchmethod": Handler().dispatched,
    "partialmethod": Handler().one_given,
    "a cached method": functools.partial(Handler.cached, 1),  # type: ignore[arg-type]
    "a method of a partial": types.MethodType(functools.partial(lambda own, value: None), 1),
    "a method of a built-in": types.MethodType(print, ""),
    "a method of a wrapper": types.MethodType(adds(lambda database, own, value: None), 1),
    "a partial": functools.partial(lambda first, value: None, 1),
    "a partial with an option": functools.partial(lambda value, option: None, option=1),
    "a partial of a partial": functools.partial(functools.partial(lambda a, b, value: None, 1), 2),
    "a partial of a wrapper": functools.partial(drops(lambda: None)),
    "__call__": calling(lambda self, value: None),
    "__call__ partial": calling(functools.partial(lambda *values: None)),
    "__call__ static partial": calling(staticmethod(functools.partial(plain))),
    "__call__ static": calling(staticmethod(plain)),
    "__call__ of the class": calling(classmethod(lambda cls, value: None)),
    "__call__ built in": calling(print),
    "__call__ partialmethod": calling(functools.partialmethod(lambda self, a, value: None, 1)),
    "__call__ singledispatchmethod": calling(functools.singledispatchmethod(lambda self, value: None)),
    "__call__ wrapper": calling(functools.wraps(plain)(lambda self, value: None)),
    "__call__ inherited": Implementing(),
    "__signature__ raises": calling(lambda self, value: None, __signature__=property(failing)),
    "__signature__ is none": calling(lambda self, value: None, __signature__=5),
    "__wrapped__ raises": calling(lambda self, value: None, __wrapped__=property(failing)),
    "__code__ raises": calling(lambda self, value: None, __code__=property(failing)),
    "any attribute": Anything(),
    "every attribute None": calling(lambda self, value: None, __getattr__=lambda self, name: None),
    "a proxy of a function": Forwarding(plain),
    "a proxy of a method": Forwarding(Handler().method),
    "a class": type("Plain", (), {"__init__": lambda self, value: None}),
    "a dataclass": Data,
    "an attrs class": Defined,
    "a named tuple": Named,
    "a class with a metaclass": Loud("Made", (), {"__init__": lambda self: None}),
    "an exception": ValueError,
    "a generic alias": list[int],
    "a type": str,
    "repr": repr,
    "print": print,
    "append": [].append,
    "deque.append": collections.deque[Any]().append,
    "itemgetter": operator.attrgetter("__class__"),
    "a slot": object().__eq__,
    "Queue.put": queue.Queue[Any]().put,
    "SimpleQueue.put": queue.SimpleQueue[Any]().put,
    "ctypes": ctypes.CFUNCTYPE(None, ctypes.py_object)(plain),
    "Mock": mock.Mock(),
    "MagicMock": mock.MagicMock(),
    "Mock of a spec": mock.Mock(spec=plain),
    "MagicMock of a spec": mock.MagicMock(spec=plain),
    "Mock that wraps": mock.Mock(wraps=plain),
    "autospec": mock.create_autospec(plain),
    "autospec of an object": mock.create_autospec(calling(lambda self, value: None)),
}
"""Each works with one argument."""


@pytest.mark.filterwarnings("ignore:functools.partial will be a method descriptor:FutureWarning")  # of Python 3.13
@pytest.mark.parametrize("kind", VALID)
def test_a_function_that_works_is_taken(kind: str) -> None:
    """Whatever its signature says, and whatever happens when that is looked at."""
    function = VALID[kind]
    function(("a",))  # it works

    assert takes(function, 1)
    assert not is_coroutine_function(function)


def places(client: Synerise | AsyncSynerise, function: Any) -> dict[str, Callable[[], object]]:
    """Return what checks a function of one argument, by its place; nothing is sent."""
    own, is_async = type(client), isinstance(client, AsyncSynerise)
    found: dict[str, Callable[[], object]] = {
        "on_response": lambda: own(token="t", on_response=function),
        "salt of a queue": lambda: client.queue(salt=function),
        "on_error": lambda: client.queue(on_error=function),
        "prepare": lambda: RowMapping.for_profiles({"A": "customId"}, prepare=function),
        "where": lambda: RowMapping.for_profiles({"A": "customId"}, where={"A": function}),
        "progress of an export": lambda: ExportSettings(progress=function),
        "progress of merges": lambda: ApplySettings(audit=None, actor="anna", progress=function),
        "salt": lambda: check_call(EVENTS, [], {"salt": function}, is_async=is_async),
    }
    for name in ("salt", "progress", "reference", "on_finish", "on_settled"):
        found[name] = functools.partial(BulkSettings, **{name: function})
    for name in ("on_finish", "on_settled"):
        found[f"{name} of the method"] = functools.partial(
            check_call, PROFILES, [], {name: function}, is_async=is_async
        )
    return found


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", VALID)
def test_every_place_takes_it(kind: str, *, is_async: bool) -> None:
    """It is refused nowhere."""
    client = AsyncSynerise(token="t") if is_async else Synerise(token="t")
    for call in places(client, VALID[kind]).values():
        call()


@pytest.mark.parametrize(
    ("function", "is_one"),
    [
        (awaited, True),
        (functools.partial(awaited), True),
        (functools.partial(functools.partial(awaited)), True),
        (types.MethodType(awaited, 1), True),
        (calling(awaited), True),
        (functools.partial(calling(awaited)), True),
        (calling(functools.partial(awaited)), False),  # not sure: told once it has returned
        (mock.AsyncMock(), False),
        (lambda *values: awaited(values), False),
        (5, False),
        (None, False),
    ],
)
def test_a_coroutine_function_is_known_where_that_is_sure(function: object, *, is_one: bool) -> None:
    """What else returns a coroutine tells once it is called."""
    assert is_coroutine_function(function) is is_one


@types.coroutine
def generated(value: object) -> Any:
    yield value


def read_rows(**options: Any) -> list[Any]:
    return list(read_csv(io.StringIO("A\n1\n"), RowMapping.for_profiles({"A": "customId"}, **options)))


COROUTINES: dict[str, Callable[..., Any]] = {
    "a lambda": lambda *values: awaited(values),
    "a wrapper": functools.wraps(awaited)(lambda *values: awaited(values)),
    "AsyncMock": mock.AsyncMock(),
    "types.coroutine": lambda *values: generated(values),
    "its own class": calling(staticmethod(functools.partial(lambda *values: awaited(values)))),
}


@pytest.mark.parametrize("kind", COROUTINES)
def test_a_coroutine_that_a_function_returns_is_told(sandbox: Sandbox, kind: str) -> None:
    """By the name of the argument, in every place of the sync client; it is closed, so Python need not warn of it."""
    function = COROUTINES[kind]
    rows: Any = [{"customId": "a"}]
    calls: dict[str, Callable[[Synerise], object]] = {
        "progress": lambda client: client.bulk.upsert_profiles(rows, progress=function),
        "reference": lambda client: client.bulk.upsert_profiles(rows, reference=function),
        "on_finish": lambda client: client.bulk.upsert_profiles(rows, on_finish=function),
        "on_settled": lambda client: client.bulk.upsert_profiles(rows, on_settled=function),
        "prepare": lambda _: read_rows(prepare=function),
        "where": lambda _: read_rows(where={"A": function}),
    }
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        for name, call in calls.items():
            with pytest.raises(InvalidRequestError, match=f"^{name}: "):
                call(client)
    for name in ("on_request", "on_response", "token"):
        signs_in: Any = {} if name == "token" else {"api_key": sandbox.api_key}
        given: Any = {name: functools.partial(function)} | signs_in
        with Synerise(base_url=sandbox.url, **given) as client, pytest.raises(ConfigurationError, match=f"^{name}: "):
            client.tags.list()


def test_a_salt_that_would_have_to_be_awaited_refuses_its_rows(sandbox: Sandbox) -> None:
    """With what is wrong as the reason; nothing is sent."""
    event = {"action": "a.b", "label": "l", "client": {"customId": "a"}, "time": "2024-01-01T00:00:00Z"}
    with Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client:
        report = client.bulk.send_events([event], salt=lambda _: awaited(1))  # type: ignore[arg-type, return-value]
    assert (report.accepted, report.rejected[0].field) == (0, "salt")
    assert "has to be awaited" in report.rejected[0].reason


def test_callbacks_of_a_queue_that_return_coroutines_are_counted_and_logged(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """As if they had raised."""
    row = {"customId": "a", "email": "no e-mail"}
    with (
        caplog.at_level(logging.ERROR),
        Synerise(api_key=sandbox.api_key, base_url=sandbox.url) as client,
        client.queue(checks="off", on_rejected=lambda *_: awaited(1)) as rows,
    ):
        rows.profiles.put({"customId": 5, "birthDate": "never"} | row)
        rows.flush()
        assert rows.stats().callback_errors == 1
    assert "a function that a queue calls" in caplog.text


def test_a_task_that_a_function_returns_is_no_fault() -> None:
    """It runs without being awaited; only where its result is wanted it has to be awaited."""

    async def run() -> None:
        task = asyncio.ensure_future(awaited(1))
        assert is_awaitable(task)
        assert not closed_coroutine(task)
        await task

    asyncio.run(run())
