"""One verdict for one row: whatever way it is sent, it is refused for the same reason or written as the same JSON."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import math
import os
import signal
import subprocess
import sys
import types
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import attrs
import httpx
import orjson
import pytest

from synerise_profiles import AsyncSynerise, InvalidRequestError, Synerise, events
from synerise_profiles.models import BatchEvent, ClientIdentifier, Money
from synerise_profiles.sources import RowMapping, read_csv
from synerise_profiles.sources import field as to_field
from synerise_profiles_api.types import UNSET

Verdict = tuple[str, Any]
GOOD = {"v": "good"}
MOMENT = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))


class Color(enum.Enum):
    RED = "red"
    BOTH = ("red", "blue")
    KEY = uuid.UUID(int=5)
    NAN = math.nan


class Size(enum.IntEnum):
    LARGE = 3


class Level(enum.StrEnum):
    GOLD = "gold"


class Flags(enum.Flag):
    A = 1
    B = 2


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


class Pair(NamedTuple):
    left: int
    right: str


@dataclasses.dataclass
class Person:
    name: str = "Jan"
    city: str | None = None


@attrs.define
class Place:
    name: str | None = None


class Pydantic:
    """What a model of pydantic looks like."""

    model_fields: dict[str, Any] = {}  # noqa: RUF012 - as pydantic has it

    def model_dump(self) -> dict[str, Any]:
        raise NotImplementedError


class Scalar:
    """What a scalar of numpy looks like."""

    shape: tuple[int, ...] = ()

    def __init__(self, value: Any, kind: str, itemsize: int = 8) -> None:
        self.value, self.dtype, self.itemsize = value, types.SimpleNamespace(kind=kind), itemsize

    def item(self) -> Any:
        return self.value

    def __str__(self) -> str:
        return str(self.value)


Scalar.__module__ = "numpy"


class Vector(Scalar):
    shape = (2,)

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise ValueError("The truth value of an array with more than one element is ambiguous")

    def __eq__(self, other: object) -> Any:
        return self

    def tolist(self) -> list[Any]:
        raise NotImplementedError

    def __setitem__(self, index: int, value: Any) -> None:
        raise NotImplementedError

    dtype = None


Vector.__module__ = "numpy"


class NoTruth:
    """What the NA of pandas is like: nobody knows whether it is true, nor whether it is equal to anything."""

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")

    def __eq__(self, other: object) -> Any:
        return self


def cycle() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


def deep(depth: int) -> Any:
    return {"a": deep(depth - 1)} if depth else 1


def fail(*_: object, **__: object) -> Any:
    raise RuntimeError("the value of a person")


METHODS = ["__bool__", "__hash__", "__len__", "__eq__", "__iter__", "__str__", "__repr__", "keys", "items", "get"]
METHODS += ["__contains__", "__getitem__", "__format__", "isoformat", "utcoffset", "__lt__", "__class__", "__index__"]
BASES: dict[str, Callable[[Any], Any]] = {
    "str": lambda kind: kind("x"),
    "int": lambda kind: kind(3),
    "float": lambda kind: kind(2.5),
    "dict": lambda kind: kind(id="x"),
    "list": lambda kind: kind([1]),
    "datetime": lambda kind: kind(2026, 1, 1, tzinfo=datetime.UTC),
}


def failing() -> dict[str, Any]:
    """A value of a subclass of each of Python's own types, for each method of which one raises."""
    types_by_name: dict[str, type] = {"datetime": datetime.datetime, **{name: eval(name) for name in list(BASES)[:5]}}
    found: dict[str, Any] = {}
    for name, make in BASES.items():
        for method in METHODS:
            own: Any = property(fail) if method == "__class__" else fail
            with contextlib.suppress(RuntimeError):  # it cannot even be made
                found[f"{name} with its own {method}"] = make(type("Own", (types_by_name[name],), {method: own}))
    return found


class FailingZone(datetime.tzinfo):
    def utcoffset(self, dt: datetime.datetime | None) -> datetime.timedelta:
        return fail()


class FailingHash(enum.Enum):
    MALE = "MALE"


for method in ("__hash__", "__eq__", "__bool__", "__len__"):
    setattr(FailingHash, method, fail)


class FailingKeys(collections.UserDict[str, Any]):
    keys = items = __iter__ = __getitem__ = fail  # type: ignore[assignment]


FAILING: dict[str, Any] = {
    **failing(),
    "zone that raises": datetime.datetime(2026, 1, 1, tzinfo=FailingZone()),
    "enum with methods of its own": FailingHash.MALE,
    "mapping that raises": FailingKeys(a=1),
}
ODD: dict[str, Any] = FAILING | {
    "empty text": "",
    "Polish": "Łódź",
    "emoji": "\U0001f600",
    "half an emoji": "\ud83d",
    "control": "\x00\x1f",
    "half in a list": ["a", "b\udc00"],
    "half in a key": {"\ud800": 1},
    "text subclass": Text("t"),
    "StrEnum": Level.GOLD,
    "the word null": "null",
    "zero": 0,
    "minus one": -1,
    "true": True,
    "2**53": 2**53 + 1,
    "2**63": 2**63,
    "2**64-1": 2**64 - 1,
    "2**64": 2**64,
    "-2**63": -(2**63),
    "-2**63-1": -(2**63) - 1,
    "digits inside": {"a": [10**30]},
    "int subclass": Whole(5),
    "IntEnum": Size.LARGE,
    "float": 0.1,
    "small": 5e-324,
    "minus zero": -0.0,
    "huge": 1e308,
    "NaN": math.nan,
    "infinity": -math.inf,
    "NaN inside": [{"a": math.nan}],
    "float subclass": Real(1.5),
    "Decimal": decimal.Decimal("19.90"),
    "Decimal whole": decimal.Decimal("2.00"),
    "Decimal long": decimal.Decimal(10) / 3,
    "Decimal NaN": decimal.Decimal("NaN"),
    "Fraction": fractions.Fraction(1, 3),
    "complex": 1j,
    "date": MOMENT.date(),
    "moment": MOMENT,
    "naive": MOMENT.replace(tzinfo=None),
    "time": MOMENT.timetz(),
    "delta": datetime.timedelta(1),
    "UUID": uuid.UUID(int=7),
    "UUID as key": {uuid.UUID(int=7): 1},
    "Enum": Color.RED,
    "Enum of tuple": Color.BOTH,
    "Enum of UUID": Color.KEY,
    "Enum of NaN": Color.NAN,
    "Flag": Flags.A | Flags.B,
    "bytes": b"raw",
    "bytearray": bytearray(b"raw"),
    "memoryview": memoryview(b"raw"),
    "path": PurePosixPath("/a"),
    "object": object(),
    "function": len,
    "class": int,
    "set": {"b", "a", "c"},
    "set of numbers": {10, 9, 1.5},
    "set of UUIDs": {uuid.UUID(int=2)},
    "mixed set": {1, "a"},
    "frozenset": frozenset({"a"}),
    "set inside": {"a": {"b": {"c"}}},
    "range": range(3),
    "tuple": (1, "a"),
    "named tuple": Pair(1, "a"),
    "deque": collections.deque([1]),
    "generator": (n for n in range(2)),
    "Counter": collections.Counter("aab"),
    "OrderedDict": collections.OrderedDict(b=1, a=2),
    "proxy": types.MappingProxyType({"a": 1}),
    "ChainMap": collections.ChainMap({"a": 1}),
    "number as key": {1: 2},
    "None as key": {None: 1},
    "Enum as key": {Color.RED: 1},
    "StrEnum as key": {Level.GOLD: 1},
    "UNSET": UNSET,
    "UNSET inside": {"a": UNSET, "b": 1},
    "UNSET in a list": [UNSET],
    "model": Money(amount=decimal.Decimal("1.5"), currency="PLN"),
    "another model": [ClientIdentifier(custom_id="c")],
    "dataclass": Person(),
    "attrs class": Place(),
    "pydantic": Pydantic(),
    "dataclass inside": [{"a": Person()}],
    "int64": Scalar(5, "i"),
    "float32": Scalar("0.1", "f", 4),
    "float32 NaN": Scalar("nan", "f", 4),
    "longdouble": Scalar("0.10000000000000000001", "f", 16),
    "bool_": Scalar(bool(1), "b"),
    "datetime64": Scalar(0, "M"),
    "array": Vector(0, "i"),
    "no truth": NoTruth(),
    "UserString": collections.UserString("t"),
    "cycle": cycle(),
    "deep": deep(100),
    "too deep": deep(300),
}


class Roads:
    """Every way to send a row, each as a function that says what became of it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self._client = Synerise(token="t", base_url="http://localhost", transport=httpx.MockTransport(self._answer))

    def close(self) -> None:
        self._client.close()

    def profile(self, row: dict[str, Any], **options: Any) -> dict[str, Verdict]:
        client = self._client
        with client.queue(**options) as queue:
            return {
                "call": self._try(lambda: client.profiles.upsert(row)),
                "batch call": self._try(lambda: client.profiles.upsert_batch([row])),
                "bulk by row": self._try(lambda: _first(client.bulk.upsert_profiles([row], **options))),
                "bulk by block": self._try(lambda: _first(client.bulk.upsert_profiles(_among(row), **options))),
                "queue": self._try(lambda: (queue.profiles.put(row), queue.flush())),
            }

    def event(self, row: dict[str, Any], **options: Any) -> dict[str, Verdict]:
        client, kind = self._client, {"type": "custom"}
        with client.queue(**options) as queue:
            return {
                "call": self._try(lambda: client.events.custom(row)),
                "batch call": self._try(lambda: client.events.send_batch([{**row, **kind}])),
                "bulk by row": self._try(lambda: _first(client.bulk.send_events([{**row, **kind}], **options))),
                "bulk by block": self._try(lambda: _first(client.bulk.send_events(_among({**row, **kind}), **options))),
                "queue": self._try(lambda: (queue.events.put({**row, **kind}), queue.flush())),
                "builder": self._try(
                    lambda: client.events.send_batch(
                        [
                            events.custom(
                                client=row["client"],
                                action=row["action"],
                                label="l",
                                params=row["params"],
                                time=MOMENT,
                                salt="s",
                            )
                        ]
                    )
                ),
            }

    def _try(self, send: Callable[[], object]) -> Verdict:
        del self.bodies[:]
        try:
            send()
        except InvalidRequestError as error:
            field = error.field.removeprefix("body").removeprefix("[0]").removeprefix(".")
            return "refused", (field, error.problem)
        rows = [row for body in self.bodies for row in _as_list(orjson.loads(body))]
        held = [row.get("attributes", row.get("params")) for row in rows]
        return "written", orjson.dumps(next((item for item in held if item != GOOD), GOOD))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/server/time"):
            return httpx.Response(200, json={"serverTime": "2026-01-01T00:00:00.000Z"})
        self.bodies.append(request.content)
        return httpx.Response(202)


def _among(row: dict[str, Any]) -> list[dict[str, Any]]:
    """A block of rows of the same shape, of which all others are as they should be."""
    spot = "attributes" if "attributes" in row else "params"
    good = {**row, spot: GOOD}
    return [*[good] * 10, row, *[good] * 9]


def _as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]


def _sent(client: Synerise, rows: list[Any], checks: Any) -> None:
    _first(client.bulk.send_events(rows, checks=checks))


def _first(report: Any) -> None:
    for rejection in report.rejected:
        raise InvalidRequestError(rejection.reason, field=rejection.field or "")


@pytest.fixture(scope="module")
def roads() -> Iterator[Roads]:
    found = Roads()
    yield found
    found.close()


def test_the_table_is_long_enough() -> None:
    """At least sixty odd values are sent on every road."""
    assert len(ODD) >= 60


@pytest.mark.parametrize("name", list(ODD))
def test_one_verdict_for_an_attribute(roads: Roads, name: str) -> None:
    """A value of an attribute is taken as the same JSON, or refused with the same words, on every road."""
    found = roads.profile({"customId": "marked", "attributes": {"v": _value(name)}})
    assert len(set(found.values())) == 1, found


@pytest.mark.parametrize("name", list(ODD))
def test_one_verdict_for_a_param(roads: Roads, name: str) -> None:
    """A value of a param of an event likewise; a builder is one road more."""
    row = {
        "label": "l",
        "action": "a.b",
        "client": {"customId": "marked"},
        "params": {"v": _value(name)},
        "time": MOMENT,
        "eventSalt": "s",
    }
    found = roads.event(row)
    assert len(set(found.values())) == 1, found


def _value(name: str) -> Any:
    return (n for n in range(2)) if name == "generator" else ODD[name]


@pytest.mark.parametrize("name", [name for name in ODD if name not in {"UNSET", "empty text"}])
def test_one_verdict_for_an_identifier(roads: Roads, name: str) -> None:
    """A value of an identifier is of the documented kind on every road, or on none."""
    found = roads.profile({"email": "marked@example.com", "customId": _value(name), "attributes": {"v": 1}})
    assert len({verdict[0] for verdict in found.values()}) == 1, found


@pytest.mark.parametrize("wrap", [dict, types.MappingProxyType, collections.UserDict, collections.ChainMap])
def test_without_checks_a_mapping_is_written_as_a_dict_is(roads: Roads, wrap: Any) -> None:
    """A NaN is a null then, whatever kind of mapping it is in, or around it."""
    plain = {"customId": "marked", "attributes": {"v": math.nan}}
    for row in ({**plain, "attributes": wrap(plain["attributes"])}, wrap(plain)):
        found = {road: verdict for road, verdict in roads.profile(row, checks="off").items() if "call" not in road}
        assert set(found.values()) == {("written", b'{"v":null}')}


class Currency(enum.Enum):
    PLN = "PLN"


@pytest.mark.parametrize("amount", [10, decimal.Decimal(10), Scalar(10, "i")])
@pytest.mark.parametrize("currency", ["PLN", Currency.PLN])
def test_one_verdict_for_money(roads: Roads, amount: Any, currency: Any) -> None:
    """Amounts and currencies are what is written of them, also where a builder sums them."""
    price = {"amount": amount, "currency": currency}
    client, moment = {"customId": "c"}, datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    item: Any = {"sku": "a", "name": "b", "quantity": amount, "finalUnitPrice": price}
    built = events.transaction(
        client=client, order_id="o", payment="CASH", source="POS", products=[item], time=moment, salt="s"
    )
    assert built.to_dict()["revenue"] == {"amount": 100, "currency": "PLN"}
    total = {"amount": Scalar(100, "i"), "currency": currency}
    row = {"client": client, "orderId": "o", "source": "POS", "recordedAt": moment, "paymentInfo": {"method": "CASH"}}
    row |= {"products": [item], "revenue": total, "value": total}
    report = roads._client.bulk.create_transactions([row], checks="strict")
    assert not report.rejected
    assert not report.notes
    wrong = {**row, "revenue": {"amount": 7, "currency": "PLN"}}
    (refused,) = roads._client.bulk.create_transactions([wrong], checks="strict").rejected
    assert (refused.field, refused.reason) == ("revenue", "is not the sum of finalUnitPrice times quantity; mend it")


@pytest.mark.parametrize("name", list(FAILING))
@pytest.mark.parametrize("checks", ["basic", "strict", "off"])
@pytest.mark.parametrize("spot", ["row", "key", "customId", "email", "sex", "tags", "agreements", "attributes"])
def test_what_raises_as_it_is_read_costs_its_row_at_most(name: str, spot: str, checks: Any, tmp_path: Path) -> None:
    """It is written as what it is, or refused with its field and what it raised, never with its words."""
    good = [{"customId": f"c{n}", "sex": "MALE"} for n in range(20)]
    row: Any = {"customId": "odd", spot: FAILING[name]}
    if spot == "row":
        row = FAILING[name]
    elif spot == "key":
        try:
            row = {"customId": "odd", FAILING[name]: 1}
        except (RuntimeError, TypeError):
            return
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
        for rows in ([*good[:9], row, *good[9:]], [good[0], row], iter([*good[:17], row])):
            path = tmp_path / "rejected.jsonl"
            report = client.bulk.upsert_profiles(rows, checks=checks, dead_letter=path, dead_letter_mode="replace")
            assert report.accepted + report.rejected_count() == report.read
            assert report.rejected_count() <= 1
            assert not any("person" in f"{found.reason}{found.field}" for found in report.rejected)
        rows = [*good, row]
        synced = client.delta_sync.profiles(rows, key="customId", state=tmp_path / "state", checks=checks)
        assert synced.sent.accepted >= 20
        assert client.bulk.delete_profiles([row, {"customId": "c"}]).accepted >= 1


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, MemoryError, asyncio.CancelledError])
def test_what_comes_from_outside_passes_through(kind: str, interruption: type[BaseException]) -> None:
    """Ctrl-C in the midst of a method of a value is no fault of its row, and ends the run; so does a lack of memory."""

    class Slow(collections.UserString):
        def __str__(self) -> str:
            raise interruption

    rows = [{"customId": "c", "attributes": {"v": Slow("x")}}] * 10
    transport = httpx.MockTransport(lambda _: httpx.Response(202))

    async def run() -> None:
        async with AsyncSynerise(token="t", base_url="http://localhost", transport=transport) as client:
            await client.bulk.upsert_profiles(rows)

    def send() -> None:
        if kind == "async":
            asyncio.run(run())
            return
        with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
            client.bulk.upsert_profiles(rows)

    with pytest.raises(interruption):
        send()


def test_the_handler_of_a_signal_that_raises_meanwhile_passes_through() -> None:
    """Its error is none of the value that was being read."""

    def handle(_number: int, _frame: object) -> None:
        raise TimeoutError("the night is over")

    class Slow(collections.UserString):
        def __str__(self) -> str:
            signal.raise_signal(signal.SIGALRM)
            return "x"

    before = signal.signal(signal.SIGALRM, handle)
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    try:
        with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
            with pytest.raises(TimeoutError, match="night is over"):
                client.bulk.upsert_profiles([{"customId": "c", "attributes": {"v": Slow("x")}}] * 10)
            with pytest.raises(TimeoutError, match="night is over"):
                client.profiles.upsert({"customId": "c", "attributes": {"v": Slow("x")}})
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("name", list(FAILING))
def test_a_cell_that_raises_as_it_is_read_costs_its_line_at_most(name: str, tmp_path: Path) -> None:
    """What `prepare=` makes is the caller's."""
    (file := tmp_path / "rows.csv").write_text("Id,City,Born,N\n1,a,1990-01-01,1\n2,a,1990-01-01,2\n", "utf-8")
    number = to_field("attributes.n", "integer")
    fields = {"Id": "customId", "City": "city", "Born": to_field("birthDate", "date"), "N": number}
    transport = httpx.MockTransport(lambda _: httpx.Response(202))
    with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
        for column in fields:
            mapping = RowMapping.for_profiles(
                fields,
                prepare=lambda cells, column=column: {**cells, column: FAILING[name]} if cells["Id"] == "2" else cells,
            )
            report = client.bulk.upsert_profiles(read_csv(file, mapping))
            assert (report.read, report.accepted >= 1) == (2, True)
            assert not any("person" in found.reason for found in report.rejected)


PRICE = {"amount": 1, "currency": "PLN"}


@pytest.mark.parametrize("checks", ["basic", "strict", "off"])
@pytest.mark.parametrize("value", [NoTruth(), Vector(0, "i")])
@pytest.mark.parametrize("field", ["customId", "clientId", "client.id", "quantity", "amount", "currency", "products"])
def test_a_value_whose_truth_cannot_be_told_costs_its_row(field: str, value: object, checks: Any) -> None:
    """It is refused with its field, and the other rows of a run are sent; so it is by a queue."""

    def row(odd: Any = UNSET) -> dict[str, Any]:
        if field in ("customId", "clientId"):
            return {field: odd if odd is not UNSET else "c" if field == "customId" else 1}
        if field == "client.id":
            return {"label": "l", "action": "a.b", "client": {"id": 1 if odd is UNSET else odd}}
        item: dict[str, Any] = {"sku": "a", "name": "b", "quantity": 1, "finalUnitPrice": dict(PRICE)}
        found: dict[str, Any] = {"client": {"customId": "c"}, "orderId": "o", "source": "POS", "products": [item]}
        found |= {"paymentInfo": {"method": "CASH"}, "revenue": dict(PRICE), "value": dict(PRICE), "recordedAt": MOMENT}
        holder = {"quantity": item, "products": found}.get(field, found["revenue"])
        return found if odd is UNSET else (holder.update({field: odd}) or found)

    def answer(request: httpx.Request) -> httpx.Response:
        is_time = request.url.path.endswith("/server/time")
        return httpx.Response(200, json={"serverTime": "2026-01-01T00:00:00.000Z"}) if is_time else httpx.Response(202)

    with Synerise(token="t", base_url="http://localhost", transport=httpx.MockTransport(answer)) as client:
        bulk, queue = client.bulk, client.queue(checks=checks)
        run: Any = bulk.create_transactions
        put: Any = queue.transactions.put
        if "Id" in field:
            run, put = bulk.upsert_profiles, queue.profiles.put
        elif field == "client.id":
            run, put = bulk.send_events, queue.events.put
        report: Any = run([row(), row(value), *[row()] * 20], checks=checks)
        assert [rejection.stage for rejection in report.rejected] == ["check"]
        assert field in (report.rejected[0].field or "")
        assert report.accepted == 21
        with pytest.raises(InvalidRequestError, match=field):
            put(row(value))
        queue.close()


@pytest.mark.parametrize("value", [NoTruth(), Vector(0, "i")])
def test_a_deletion_by_a_value_whose_truth_cannot_be_told(value: Any) -> None:
    """Rows that are requests of their own likewise."""
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with Synerise(token="t", base_url="http://localhost", transport=transport) as client:
        report = client.bulk.delete_profiles([{"customId": value}, {"customId": "c"}])
    assert [(rejection.stage, rejection.field) for rejection in report.rejected] == [("check", "customId")]
    assert report.accepted == 1


@pytest.mark.parametrize("missing", ["client", "label", "action"])
@pytest.mark.parametrize("wrap", [dict, types.MappingProxyType])
def test_a_required_field_that_is_unset_is_missing(roads: Roads, missing: str, wrap: Any) -> None:
    """UNSET is no value, whatever the mapping: what is required is asked for on every road but the builder's."""
    row = {"label": "l", "action": "a.b", "client": {"customId": "c"}, "params": {"v": 1}, "time": MOMENT}
    client, given = roads._client, wrap({**row, missing: UNSET})
    found = [roads._try(lambda: client.events.send_batch([given]))]
    for rows in ([given], [row] * 9 + [given] + [row] * 9):
        found += [roads._try(partial(_sent, client, rows, checks)) for checks in ("basic", "strict")]
    assert {(verdict, problem[0]) for verdict, problem in found} == {("refused", missing)}, found
    with pytest.raises(InvalidRequestError, match="is required"):
        BatchEvent.from_dict({**row, "label": UNSET})


def test_a_client_that_is_null_names_no_profile(roads: Roads) -> None:
    """A null is the caller's word in a single call, but not of what says whose the event is."""
    row = {"label": "l", "action": "a.b", "client": None, "params": {"v": 1}, "time": MOMENT, "eventSalt": "s"}
    found = {road: verdict for road, verdict in roads.event(row, allow_null={"client"}).items() if road != "builder"}
    assert {(verdict, problem[0]) for verdict, problem in found.values()} == {("refused", "client")}


def test_strict_checks_judge_a_key_by_itself(roads: Roads) -> None:
    """A key of an enum of texts is its text, whichever rows came before."""
    odd, plain = ({"customId": "marked", "attributes": each} for each in ({Level.GOLD: 1}, {"gold": 1}))
    for rows in ([odd], [plain, odd], [odd, {**plain, "attributes": collections.UserDict(gold=1)}, odd]):
        assert (
            roads._try(lambda rows=rows: _first(roads._client.bulk.upsert_profiles(rows, checks="strict")))[0]
            == "written"
        )
    assert len({verdict[0] for verdict in roads.profile(odd, checks="strict").values()}) == 1


@pytest.mark.parametrize("key", ["jan.kowalski@example.com", "48600700800", "+48 600 700 800"])
@pytest.mark.parametrize("value", [float("nan"), 2**70, object(), "\ud83d", {"x": object()}, [1, {"y": 1j}]])
def test_a_key_that_may_be_somebodys_is_not_told(roads: Roads, key: str, value: object) -> None:
    """Where objects are keyed by people; the way to the value is told all the same."""
    found = roads.profile({"customId": "marked", "attributes": {key: value}})
    assert {verdict for verdict, _ in found.values()} == {"refused"}
    for _, (field, problem) in found.values():
        assert field.startswith("attributes.(a key that is not shown)")
        assert key not in field + problem


ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "no identifier": ({"firstName": "marked", "attributes": {"v": 1}}, ""),
    "a number for a text": ({"customId": 17, "attributes": {"v": 1}}, "customId"),
    "a text for a number": ({"phone": 48111222333, "attributes": {"v": 1}}, "phone"),
    "a slip": ({"customId": "marked", "first_name": "Jan", "attributes": {"v": 1}}, "first_name"),
    "another case": ({"customId": "marked", "birthdate": "1987-10-24", "attributes": {"v": 1}}, "birthdate"),
    "a slip inside": (
        {"customId": "marked", "agreements": {"web_push": True}, "attributes": {}},
        "agreements.web_push",
    ),
}


@pytest.mark.parametrize("name", list(ROWS))
def test_one_verdict_for_a_row(roads: Roads, name: str) -> None:
    """What names no profile, is of no documented kind or a slip is refused on every road."""
    row, field = ROWS[name]
    found = roads.profile(row)
    # What is wrong is said alike; how to let it pass is not, since a call has no `allow_unknown`.
    problems = {problem[1].partition("; mend the name")[0] for _, problem in found.values()}
    assert len(problems) == 1 or not field, found  # of no identifier, each operation names its own
    assert {(verdict, problem[0]) for verdict, problem in found.values()} == {("refused", field)}


@pytest.mark.parametrize(
    "row",
    [
        {"customId": "marked", "phone2": "1", "attributes": {"v": 1}},
        {"customId": "marked", "pesel": "1", "attributes": {"fristName": "x", "first_name": "y", "custom_id": 1}},
        {"customId": "marked", "agreements": {"fax": True}, "attributes": {"v": 1}},
    ],
)
def test_names_of_ones_own_pass(roads: Roads, row: dict[str, Any]) -> None:
    """Names that are near no documented one are sent on every road, and so is every name of a free-form object."""
    assert {verdict[0] for verdict in roads.profile(row).values()} == {"written"}


@pytest.mark.parametrize("field", ["time", "eventSalt"])
@pytest.mark.parametrize("value", ["", {}, [], (), 0, 0.0, -0.0, False, decimal.Decimal(0)])
def test_one_verdict_for_a_salt_or_a_time_that_is_empty(roads: Roads, field: str, value: object) -> None:
    """What is empty is neither: it is refused on every road, as rows of a batch cannot be told apart by it."""
    row = {"label": "l", "action": "a.b", "client": {"customId": "marked"}, "params": {"v": 1}, "time": MOMENT}
    found = roads.event({**row, "eventSalt": "s", field: value})
    del found["builder"]  # it has its own salt and time
    assert set(found.values()) == {("refused", (field, "is empty; leave it out"))}


def test_a_null_is_the_callers_word(roads: Roads) -> None:
    """In a single call a null was written by hand; where rows come in thousands, it is allowed by name."""
    row = {"customId": "marked", "city": None, "attributes": {"v": None, "w": Color.RED}}
    found = roads.profile(row)
    assert [road for road, verdict in found.items() if verdict[0] == "written"] == ["call", "batch call"]
    assert len(set(roads.profile(row, allow_null={"city", "attributes.v"}).values())) == 1


def test_rows_of_foreign_classes_are_refused_with_the_call_that_helps(roads: Roads) -> None:
    """A dataclass or a model of pydantic has defaults, which would be sent as null: the way to a mapping is named."""
    for row, call in (
        (Pydantic(), ".model_dump(exclude_unset=True"),
        (Person(), "dataclasses.fields"),
        (Place(), "attrs.asdict"),
    ):
        with pytest.raises(InvalidRequestError) as caught:
            roads._client.profiles.upsert(row)  # type: ignore[arg-type]
        assert call in str(caught.value)
        with pytest.raises(InvalidRequestError, match=r"model") as caught:
            _first(roads._client.bulk.upsert_profiles([row]))  # type: ignore[list-item]
        assert call in str(caught.value)


def test_what_is_written_is_the_same_in_every_process() -> None:
    """A set has another order in another process; bodies, and so salts and journals, have not."""
    program = (
        "import httpx\n"
        "from synerise_profiles import Synerise\n"
        "def answer(request):\n"
        "    print(request.content.decode())\n"
        "    return httpx.Response(202, json={})\n"
        "row = {'label': 'l', 'action': 'a.b', 'time': '2026-01-01T00:00:00Z', 'client': {'customId': '1'},"
        " 'params': {'tags': {'red', 'green', 'blue', 'white', 'black'}}}\n"
        "with Synerise(token='t', base_url='http://localhost', transport=httpx.MockTransport(answer)) as client:\n"
        "    client.bulk.send_events([row] * 20)\n"
        "    client.events.send_batch([{**row, 'type': 'custom'}])\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in (1, 2)
    }
    (text,) = found
    assert '["black","blue","green","red","white"]' in text
